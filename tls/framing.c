/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/framing.h"

#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "tls/record.h"

struct signature {
    const char *start;
    size_t len;
    const char *what;
};
#define SIGNATURE(start, what)                                                                               \
    {                                                                                                        \
        (start), sizeof(start) - 1, (what)                                                                   \
    }

static const struct signature signatures[] = {
    SIGNATURE("GET ", "an HTTP request line"),
    SIGNATURE("POST ", "an HTTP request line"),
    SIGNATURE("HEAD ", "an HTTP request line"),
    SIGNATURE("PUT ", "an HTTP request line"),
    SIGNATURE("DELETE ", "an HTTP request line"),
    SIGNATURE("OPTIONS ", "an HTTP request line"),
    SIGNATURE("PATCH ", "an HTTP request line"),
    SIGNATURE("CONNECT ", "an HTTP proxy request"),
    SIGNATURE("PRI * HTTP/2", "an HTTP/2 preface in clear"),
    SIGNATURE("HTTP/1.", "an HTTP answer"),
    SIGNATURE("SSH-", "an SSH banner"),
    SIGNATURE("PROXY ", "a PROXY protocol header"),
    SIGNATURE("\r\n\r\n\0\r\nQUIT\n", "a PROXY protocol v2 header"),
    SIGNATURE("EHLO ", "an SMTP command"),
    SIGNATURE("HELO ", "an SMTP command"),
    SIGNATURE("220 ", "an SMTP or FTP greeting"),
    SIGNATURE("220-", "an SMTP or FTP greeting"),
    SIGNATURE("USER ", "an FTP or POP3 command"),
    SIGNATURE("AUTH ", "an FTP or SMTP command"),
    SIGNATURE("+OK", "a POP3 greeting"),
    SIGNATURE("* OK", "an IMAP greeting"),
    SIGNATURE("\xff\xfd", "a Telnet or TN3270 negotiation"),
    SIGNATURE("\xff\xfb", "a Telnet or TN3270 negotiation"),
    SIGNATURE("\0\0\0\x08\x04\xd2\x16\x2f", "a PostgreSQL SSLRequest"),
    SIGNATURE("\x30\x82", "an LDAP or other ASN.1 message"),
};

static bool is_print(const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((bytes[i] < 0x20 || bytes[i] > 0x7e) && bytes[i] != '\r' && bytes[i] != '\n' && bytes[i] != '\t')
            return false;
    return len > 0;
}

const char *pel_framing_guess(const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < sizeof signatures / sizeof signatures[0]; i++) {
        const struct signature *s = &signatures[i];
        if (len >= s->len && memcmp(bytes, s->start, s->len) == 0)
            return s->what;
    }
    return is_print(bytes, len < 16 ? len : 16) ? "plain text" : "no protocol known here";
}

/* Writes the first bytes as people read them: text where it is text, else hexadecimal. */
static void show(const uint8_t *bytes, size_t len, char *text, size_t cap)
{
    size_t num = len < 16 ? len : 16, at = 0;
    bool print = is_print(bytes, num);
    for (size_t i = 0; i < num && at + 5 < cap; i++) {
        if (print && bytes[i] >= 0x20)
            text[at++] = (char)bytes[i];
        else if (print)
            text[at++] = '.';
        else
            at += (size_t)snprintf(text + at, cap - at, "%s%02x", i > 0 ? " " : "", bytes[i]);
    }
    text[at] = '\0';
}

static enum pel_err cleartext(const uint8_t *bytes, size_t len, struct pel_error *reterr)
{
    char shown[64];
    show(bytes, len, shown, sizeof shown);
    return pel_error_set(
        reterr, PEL_E_TLS_CLEARTEXT_RECEIVED,
        "clear text came where a TLS record was expected (RC 5003): \"%s\" looks like %s; does the peer "
        "speak TLS on this port?",
        shown, pel_framing_guess(bytes, len));
}

/* A v2 ClientHello: two bytes of length with the high bit set, then message type 1 (RFC 6101 appendix E). */
static bool is_sslv2_hello(const uint8_t *bytes, size_t len)
{
    return len >= 3 && (bytes[0] & 0x80) != 0 && bytes[2] == 1;
}

static enum pel_err check_type(const uint8_t *bytes, size_t len, enum pel_framing_phase phase,
                               struct pel_error *reterr)
{
    bool first = phase == PEL_FRAMING_FIRST_OF_CLIENT || phase == PEL_FRAMING_FIRST_OF_SERVER;
    uint8_t type = bytes[0];
    if (type < PEL_CONTENT_CHANGE_CIPHER_SPEC || type > PEL_CONTENT_APPLICATION_DATA) {
        if (phase == PEL_FRAMING_FIRST_OF_CLIENT && (type & 0x80) != 0 && len < 3)
            return PEL_OK; /* may be an SSLv2 hello: two more bytes tell */
        if (phase == PEL_FRAMING_FIRST_OF_CLIENT && is_sslv2_hello(bytes, len))
            return pel_error_set(reterr, PEL_E_TLS_NO_COMMON_VERSION,
                                 "the client sent an SSLv2 hello; SSLv2 is never spoken here");
        if (first)
            return cleartext(bytes, len, reterr);
        return pel_error_set(reterr, PEL_E_TLS_RECORD_MALFORMED, "a record of unknown type %u (RC 410)",
                             type);
    }
    bool may_come =
        type == PEL_CONTENT_HANDSHAKE || (type == PEL_CONTENT_ALERT && phase == PEL_FRAMING_FIRST_OF_SERVER);
    if (first && !may_come)
        return pel_error_set(reterr, PEL_E_TLS_PROTOCOL,
                             "the first TLS record is of type %u, not a handshake record", type);
    return PEL_OK;
}

static enum pel_err check_length(uint8_t type, size_t body_len, enum pel_framing_phase phase,
                                 struct pel_error *reterr)
{
    size_t max_len = PEL_RECORD_MAX_CIPHER_LEN;
    if (phase == PEL_FRAMING_FIRST_OF_CLIENT || phase == PEL_FRAMING_FIRST_OF_SERVER)
        max_len = PEL_RECORD_MAX_PLAIN_LEN;
    if (body_len > max_len)
        return pel_error_set(reterr, PEL_E_TLS_RECORD_TOO_LONG,
                             "a record of %zu bytes; at most %zu may come here", body_len, max_len);
    /* RFC 8446 section 5.1: zero-length fragments of handshake and alert types are forbidden; of a
     * change_cipher_spec exactly one byte may come. Only application data may be empty, and only where
     * nothing encrypts it yet. */
    if (body_len == 0 && type != PEL_CONTENT_APPLICATION_DATA)
        return pel_error_set(reterr, PEL_E_TLS_RECORD_MALFORMED, "an empty record of type %u (RC 410)", type);
    return PEL_OK;
}

enum pel_err pel_framing_check(const uint8_t *bytes, size_t len, enum pel_framing_phase phase,
                               size_t *ret_record_len, struct pel_error *reterr)
{
    struct pel_reader r = pel_reader_of(bytes, len);
    *ret_record_len = 0;
    if (len == 0)
        return PEL_OK;
    PEL_TRY(check_type(bytes, len, phase, reterr));
    uint8_t type = pel_read_u8(&r);
    if (len >= 2 && bytes[1] != 3) {
        if (phase == PEL_FRAMING_FIRST_OF_CLIENT && (type & 0x80) != 0)
            return PEL_OK;
        if (phase == PEL_FRAMING_FIRST_OF_CLIENT || phase == PEL_FRAMING_FIRST_OF_SERVER)
            return cleartext(bytes, len, reterr);
        return pel_error_set(reterr, PEL_E_TLS_RECORD_MALFORMED, "a record of version %u.x (RC 410)",
                             bytes[1]);
    }
    /* The minor version says nothing before a version is agreed: a server "MUST accept any value {03,XX}"
     * (RFC 5246 appendix E.1). Whoever opens the record knows the one agreed. */
    (void)pel_read_u16(&r);
    size_t body_len = pel_read_u16(&r);
    if (r.failed)
        return PEL_OK;
    PEL_TRY(check_length(type, body_len, phase, reterr));
    *ret_record_len = PEL_RECORD_HEADER_LEN + body_len;
    return PEL_OK;
}
