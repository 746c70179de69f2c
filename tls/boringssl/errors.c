/* SPDX-License-Identifier: Apache-2.0 */
/*
 * BoringSSL's reasons as ours.
 */
#include <stdio.h>
#include <string.h>

#include "tls/boringssl/vendor.h"
#include "tls/names.h"

static const struct {
    int reason;
    enum pel_err err;
} reasons[] = {
    {SSL_R_NO_SHARED_CIPHER, PEL_E_TLS_NO_COMMON_CIPHER},
    {SSL_R_NO_CIPHERS_AVAILABLE, PEL_E_TLS_NO_COMMON_CIPHER},
    {SSL_R_UNSUPPORTED_PROTOCOL, PEL_E_TLS_NO_COMMON_VERSION},
    {SSL_R_NO_SUPPORTED_VERSIONS_ENABLED, PEL_E_TLS_NO_COMMON_VERSION},
    {SSL_R_NO_SHARED_GROUP, PEL_E_TLS_NO_COMMON_GROUP},
    {SSL_R_WRONG_CURVE, PEL_E_TLS_NO_COMMON_GROUP},
    {SSL_R_NO_COMMON_SIGNATURE_ALGORITHMS, PEL_E_TLS_NO_COMMON_SIGNATURE},
    {SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, PEL_E_TLS_NO_CLIENT_CERT},
    {SSL_R_CANNOT_PARSE_LEAF_CERT, PEL_E_TLS_CERT_BAD},
    {SSL_R_KEY_USAGE_BIT_INCORRECT, PEL_E_TLS_CERT_BAD},
    {SSL_R_WRONG_CERTIFICATE_TYPE, PEL_E_TLS_CERT_BAD},
    {SSL_R_UNKNOWN_CERTIFICATE_TYPE, PEL_E_TLS_CERT_BAD},
    {SSL_R_BAD_ECC_CERT, PEL_E_TLS_CERT_BAD},
    {SSL_R_ECC_CERT_NOT_FOR_SIGNING, PEL_E_TLS_CERT_BAD},
    {SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC, PEL_E_TLS_BAD_RECORD_MAC},
    {SSL_R_DECRYPTION_FAILED, PEL_E_TLS_BAD_RECORD_MAC},
    {SSL_R_ENCRYPTED_LENGTH_TOO_LONG, PEL_E_TLS_RECORD_TOO_LONG},
    {SSL_R_DATA_LENGTH_TOO_LONG, PEL_E_TLS_RECORD_TOO_LONG},
    {SSL_R_WRONG_VERSION_NUMBER, PEL_E_TLS_RECORD_MALFORMED},
    {SSL_R_BAD_ALERT, PEL_E_TLS_RECORD_MALFORMED},
    {SSL_R_BAD_CHANGE_CIPHER_SPEC, PEL_E_TLS_RECORD_MALFORMED},
    {SSL_R_HTTP_REQUEST, PEL_E_TLS_CLEARTEXT_RECEIVED},
    {SSL_R_HTTPS_PROXY_REQUEST, PEL_E_TLS_CLEARTEXT_RECEIVED},
    {SSL_R_NO_RENEGOTIATION, PEL_E_TLS_RENEGOTIATION},
    {SSL_R_RENEGOTIATION_MISMATCH, PEL_E_TLS_RENEGOTIATION},
    {SSL_R_TOO_MANY_EMPTY_FRAGMENTS, PEL_E_TLS_TOO_MANY_EMPTY},
    {SSL_R_TOO_MANY_WARNING_ALERTS, PEL_E_TLS_TOO_MANY_EMPTY},
    {SSL_R_TOO_MANY_KEY_UPDATES, PEL_E_TLS_TOO_MANY_EMPTY},
    {SSL_R_UNEXPECTED_MESSAGE, PEL_E_TLS_PROTOCOL},
    {SSL_R_UNEXPECTED_RECORD, PEL_E_TLS_PROTOCOL},
    {SSL_R_UNEXPECTED_EXTENSION, PEL_E_TLS_PROTOCOL},
    {SSL_R_EXCESSIVE_MESSAGE_SIZE, PEL_E_TLS_PROTOCOL},
    {SSL_R_EXCESS_HANDSHAKE_DATA, PEL_E_TLS_PROTOCOL},
    {SSL_R_APPLICATION_DATA_INSTEAD_OF_HANDSHAKE, PEL_E_TLS_PROTOCOL},
    {SSL_R_APP_DATA_IN_HANDSHAKE, PEL_E_TLS_PROTOCOL},
    {SSL_R_BAD_HELLO_REQUEST, PEL_E_TLS_PROTOCOL},
    {SSL_R_CCS_RECEIVED_EARLY, PEL_E_TLS_PROTOCOL},
    {SSL_R_CLIENTHELLO_PARSE_FAILED, PEL_E_TLS_PROTOCOL},
    {SSL_R_DECODE_ERROR, PEL_E_TLS_PROTOCOL},
    {SSL_R_INAPPROPRIATE_FALLBACK, PEL_E_TLS_PROTOCOL},
    {SSL_R_INVALID_OUTER_RECORD_TYPE, PEL_E_TLS_PROTOCOL},
    {SSL_R_TLS13_DOWNGRADE, PEL_E_TLS_PROTOCOL},
    {SSL_R_WRONG_CIPHER_RETURNED, PEL_E_TLS_PROTOCOL},
    {SSL_R_UNKNOWN_CIPHER_RETURNED, PEL_E_TLS_PROTOCOL},
    {SSL_R_WRONG_VERSION_ON_EARLY_DATA, PEL_E_TLS_PROTOCOL},
    {SSL_R_UNKNOWN_ALERT_TYPE, PEL_E_TLS_PROTOCOL},
    {ERR_R_MALLOC_FAILURE, PEL_E_NO_MEMORY},
};

enum pel_err pel_library_error(enum pel_err otherwise, const char **ret_reason)
{
    bool empty = true, memory = false;
    *ret_reason = "out of memory";
    for (uint32_t code = ERR_get_error(); code != 0; code = ERR_get_error()) {
        empty = false;
        memory = memory || ERR_GET_REASON(code) == ERR_R_MALLOC_FAILURE;
        if (ERR_reason_error_string(code) != NULL && !memory)
            *ret_reason = ERR_reason_error_string(code);
    }
    return empty || memory ? PEL_E_NO_MEMORY : otherwise;
}

static enum pel_err verify_error(long result)
{
    switch (result) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID: return PEL_E_TLS_CERT_EXPIRED;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH: return PEL_E_TLS_CERT_NAME;
    case X509_V_ERR_OUT_OF_MEM: return PEL_E_NO_MEMORY;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_CERT_UNTRUSTED:
    case X509_V_ERR_CERT_REJECTED: return PEL_E_TLS_CERT_UNTRUSTED;
    default: return PEL_E_TLS_CERT_BAD;
    }
}

/* The names and numbers that a certificate failure is about. */
static void explain_cert(struct pel_hs *hs, long result, enum pel_err err, struct pel_error *reterr)
{
    char subject[160] = "", issuer[160] = "";
    const STACK_OF(X509) *chain = SSL_get_peer_full_cert_chain(hs->ssl);
    X509 *leaf = chain != NULL && sk_X509_num(chain) > 0 ? sk_X509_value(chain, 0) : NULL;
    if (leaf != NULL) {
        pel_x509_name_text(X509_get_subject_name(leaf), subject, sizeof subject);
        pel_x509_name_text(X509_get_issuer_name(leaf), issuer, sizeof issuer);
    }
    const char *why = hs->cert_problem[0] != '\0' ? hs->cert_problem : X509_verify_cert_error_string(result);
    pel_error_set(reterr, err, "%s: %s; subject \"%s\", issuer \"%s\"", pel_err_text(err), why, subject,
                  issuer);
}

/* How much one error of the queue says. */
enum rank { SAYS_NOTHING, OF_ANOTHER_LIBRARY, OF_TLS, NAMED };

static enum rank rank_of(uint32_t code, enum pel_err *ret_err)
{
    int reason = ERR_GET_REASON(code), lib = ERR_GET_LIB(code);
    *ret_err = PEL_E_TLS_HANDSHAKE_FAILED;
    if (lib != ERR_LIB_SSL && reason != ERR_R_MALLOC_FAILURE)
        return OF_ANOTHER_LIBRARY;
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
        if (reasons[i].reason == reason) {
            *ret_err = reasons[i].err;
            return NAMED;
        }
    bool apart = reason > SSL_AD_REASON_OFFSET || reason == SSL_R_CERTIFICATE_VERIFY_FAILED ||
                 reason == SSL_R_CONNECTION_REJECTED;
    return apart ? NAMED : OF_TLS;
}

/* The first error of the queue that has a row (or that `failure` knows), else the first of the TLS library,
 * else the first: the library puts the cause before what it led to. */
static enum pel_err find_reason(int *ret_reason, const char **ret_text)
{
    enum pel_err found = PEL_E_TLS_HANDSHAKE_FAILED, err = PEL_OK;
    enum rank best = SAYS_NOTHING;
    for (uint32_t code = ERR_get_error(); code != 0; code = ERR_get_error()) {
        enum rank rank = rank_of(code, &err);
        if (rank <= best)
            continue;
        best = rank;
        found = err;
        *ret_reason = ERR_GET_LIB(code) == ERR_LIB_SSL ? ERR_GET_REASON(code) : -1;
        *ret_text = ERR_reason_error_string(code);
    }
    return found;
}

static enum pel_err explain(struct pel_hs *hs, enum pel_err err, const char *reason, struct pel_error *reterr)
{
    struct pel_tls_offer ours = hs->env->ours;
    if (hs->tls13 && hs->env->num_tls13_groups > 0) {
        memcpy(ours.groups, hs->env->tls13_groups, sizeof ours.groups);
        ours.num_groups = hs->env->num_tls13_groups;
    }
    return pel_offer_explain(err, reason, hs->offer, &ours, reterr);
}

/* What a server says of the name that its client wants, or does not name. */
static enum pel_err refuse_name(struct pel_hs *hs, struct pel_error *reterr)
{
    const char *name = SSL_get_servername(hs->ssl, TLSEXT_NAMETYPE_host_name);
    if (name == NULL)
        return pel_error_set(reterr, PEL_E_TLS_SERVER_NAME, "%s: the client names no server",
                             pel_err_text(PEL_E_TLS_SERVER_NAME));
    return pel_error_set(reterr, PEL_E_TLS_SERVER_NAME, "%s: the client wants \"%.100s\"",
                         pel_err_text(PEL_E_TLS_SERVER_NAME), name);
}

static enum pel_err failure(struct pel_hs *hs, struct pel_error *reterr)
{
    int reason = 0;
    const char *text = NULL;
    enum pel_err err = find_reason(&reason, &text);
    if (reason > SSL_AD_REASON_OFFSET) {
        char alert[64];
        uint16_t code = (uint16_t)(reason - SSL_AD_REASON_OFFSET);
        const char *name = pel_name_of(PEL_NAME_ALERT, code);
        snprintf(alert, sizeof alert, "alert %u %s", code, name != NULL ? name : "of unknown meaning");
        return explain(hs, PEL_E_TLS_ALERT_RECEIVED, alert, reterr);
    }
    if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED) {
        long result = SSL_get_verify_result(hs->ssl);
        err = verify_error(result);
        if (hs->cert_problem[0] != '\0' && result == X509_V_ERR_CERT_REJECTED)
            err = PEL_E_TLS_CERT_BAD;
        explain_cert(hs, result, err, reterr);
        return err;
    }
    if (hs->rejected == PEL_E_TLS_SERVER_NAME)
        return refuse_name(hs, reterr);
    if (hs->rejected != PEL_OK)
        return explain(hs, hs->rejected, "while the client's hello was read", reterr);
    if (err == PEL_E_TLS_HANDSHAKE_FAILED && hs->done)
        err = PEL_E_TLS_PROTOCOL;
    return explain(hs, err, text != NULL ? text : "no reason known", reterr);
}

enum pel_err pel_hs_error(struct pel_hs *hs, int ret, struct pel_error *reterr)
{
    if (hs->out_err != PEL_OK) {
        ERR_clear_error();
        return pel_error_set(reterr, hs->out_err == PEL_E_TOO_BIG ? PEL_E_TLS_INTERNAL : hs->out_err,
                             "the output of the handshake is over its limit or out of memory");
    }
    switch (SSL_get_error(hs->ssl, ret)) {
    case SSL_ERROR_WANT_READ: return PEL_OK;
    case SSL_ERROR_SSL: return failure(hs, reterr);
    case SSL_ERROR_ZERO_RETURN:
        return pel_error_set(reterr, hs->done ? PEL_E_EOF : PEL_E_TLS_HANDSHAKE_FAILED,
                             "the peer closed TLS before the handshake was done");
    default:
        ERR_clear_error();
        return pel_error_set(reterr, PEL_E_TLS_INTERNAL, "the TLS library failed without a reason");
    }
}
