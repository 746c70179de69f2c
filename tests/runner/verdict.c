/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/runner/verdict.h"

#include <stdio.h>
#include <string.h>

/* What our own session and record layer say (a part of the text), and BoringSSL's reason for the same. */
static const struct {
    enum pel_err err;
    const char *part;
    const char *reason;
} same[] = {
    {PEL_E_TLS_CONFIG, "no TLS version is left", "NO_SUPPORTED_VERSIONS_ENABLED"},
    {PEL_E_TLS_CERT_BAD, "application verification failure", "CERTIFICATE_VERIFY_FAILED"},
    {PEL_E_TLS_RENEGOTIATION, "", "NO_RENEGOTIATION"},
    /* what comes first */
    {PEL_E_TLS_CLEARTEXT_RECEIVED, "an HTTP request line", "HTTP_REQUEST"},
    {PEL_E_TLS_CLEARTEXT_RECEIVED, "an HTTP proxy request", "HTTPS_PROXY_REQUEST"},
    {PEL_E_TLS_CLEARTEXT_RECEIVED, "plain text", "WRONG_VERSION_NUMBER"},
    {PEL_E_TLS_CLEARTEXT_RECEIVED, "no protocol known", "WRONG_VERSION_NUMBER"},
    {PEL_E_TLS_PROTOCOL, "the first TLS record is of type 23", "APPLICATION_DATA_INSTEAD_OF_HANDSHAKE"},
    {PEL_E_TLS_PROTOCOL, "the first TLS record is of type 21", "WRONG_VERSION_NUMBER"},
    {PEL_E_TLS_RECORD_MALFORMED, "an empty record of type 22", "WRONG_VERSION_NUMBER"},
    /* records */
    {PEL_E_TLS_BAD_RECORD_MAC, "", "DECRYPTION_FAILED_OR_BAD_RECORD_MAC"},
    {PEL_E_TLS_RECORD_MALFORMED, "a record of another version", "WRONG_VERSION_NUMBER"},
    {PEL_E_TLS_RECORD_MALFORMED, "an alert record of other than two bytes", "BAD_ALERT"},
    {PEL_E_TLS_RECORD_TOO_LONG, "bytes; at most", "ENCRYPTED_LENGTH_TOO_LONG"},
    {PEL_E_TLS_RECORD_TOO_LONG, "the clear text of a record", "DATA_LENGTH_TOO_LONG"},
    {PEL_E_TLS_PROTOCOL, "a record of a type that may not come", "UNEXPECTED_RECORD"},
    {PEL_E_TLS_PROTOCOL, "a record in clear after the handshake", "INVALID_OUTER_RECORD_TYPE"},
    {PEL_E_TLS_PROTOCOL, "a KeyUpdate that neither asks nor does not", "DECODE_ERROR"},
    {PEL_E_TLS_TOO_MANY_EMPTY, "", "TOO_MANY_EMPTY_FRAGMENTS"},
    {PEL_E_TLS_TOO_MANY_EMPTY, "", "TOO_MANY_KEY_UPDATES"},
};

static bool is_of_reason(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* Prints every word of the text that can be a reason of BoringSSL's: capitals behind a colon. */
static void print_reasons(const char *text)
{
    for (const char *at = text; (at = strstr(at, ": ")) != NULL;) {
        at += 2;
        size_t len = 0;
        while (is_of_reason(at[len]))
            len++;
        if (len >= 6)
            fprintf(stderr, " :%.*s:", (int)len, at);
    }
}

void verdict_print(enum pel_err err, const char *failure)
{
    fprintf(stderr, "%s", pel_err_name(err));
    print_reasons(failure);
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++)
        if (same[i].err == err && strstr(failure, same[i].part) != NULL)
            fprintf(stderr, " :%s:", same[i].reason);
    fprintf(stderr, " %s\n", failure);
}
