/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server's look at the ClientHello before BoringSSL acts on it (RFC 8446 section 4.1.2): what the client
 * offers is noted for messages, and the certificate is chosen that the client can verify.
 */
#include <stdlib.h>
#include <strings.h>

#include "base/bytes.h"
#include "tls/boringssl/vendor.h"

/* Reads a list of 16-bit codes of `len` bytes; what does not fit into `max` is dropped. */
static uint8_t read_codes(struct pel_reader *r, size_t len, uint16_t *codes, size_t max)
{
    uint8_t num = 0;
    for (; len >= 2 && !r->failed; len -= 2) {
        uint16_t code = pel_read_u16(r);
        if (!r->failed && num < max)
            codes[num++] = code;
    }
    return num;
}

/* An extension that is one list of 16-bit codes behind a length of `prefix_len` bytes. */
static uint8_t read_extension(const SSL_CLIENT_HELLO *hello, uint16_t type, size_t prefix_len,
                              uint16_t *codes, size_t max)
{
    const uint8_t *bytes = NULL;
    size_t len = 0;
    if (!SSL_early_callback_ctx_extension_get(hello, type, &bytes, &len))
        return 0;
    struct pel_reader r = pel_reader_of(bytes, len);
    return read_codes(&r, pel_read_uint(&r, prefix_len), codes, max);
}

static void note_offer(const SSL_CLIENT_HELLO *hello, struct pel_tls_offer *offer)
{
    struct pel_reader r = pel_reader_of(hello->cipher_suites, hello->cipher_suites_len);
    offer->num_ciphers = read_codes(&r, hello->cipher_suites_len, offer->ciphers, PEL_OFFER_MAX_CIPHERS);
    offer->num_versions =
        read_extension(hello, TLSEXT_TYPE_supported_versions, 1, offer->versions, PEL_OFFER_MAX_VERSIONS);
    offer->num_groups =
        read_extension(hello, TLSEXT_TYPE_supported_groups, 2, offer->groups, PEL_OFFER_MAX_GROUPS);
    offer->num_sigalgs =
        read_extension(hello, TLSEXT_TYPE_signature_algorithms, 2, offer->sigalgs, PEL_OFFER_MAX_SIGALGS);
    /* Without the extension the hello's own version is the highest, and every lower one goes too (RFC 5246
     * appendix E). */
    if (offer->num_versions == 0)
        for (uint16_t version = hello->version > TLS1_2_VERSION ? TLS1_2_VERSION : hello->version;
             version >= SSL3_VERSION && offer->num_versions < PEL_OFFER_MAX_VERSIONS; version--)
            offer->versions[offer->num_versions++] = version;
}

/* RFC 8446 section 4.2.3: TLS 1.3 signs with ECDSA on the key's own curve, and with PSS for RSA; TLS 1.2
 * with any pair. */
static bool can_verify(const struct pel_hs *hs, const struct pel_ctx_cert *cert)
{
    const struct pel_tls_offer *offer = hs->offer, *ours = &hs->env->ours;
    const bool tls13 = hs->tls13;
    static const uint16_t rsa[] = {0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601, 0x0201};
    static const uint16_t ecdsa[] = {0x0403, 0x0503, 0x0603, 0x0203};
    if (offer->num_sigalgs == 0)
        return true; /* a TLS 1.1 client: SHA-1 with either */
    if (cert->key_type == EVP_PKEY_RSA) {
        for (size_t i = 0; i < (tls13 ? 3u : 7u); i++)
            if (pel_offer_has_sigalg(offer, rsa[i]) && pel_offer_has_sigalg(ours, rsa[i]))
                return true;
        return false;
    }
    const uint16_t own_curve = cert->group == 23 ? 0x0403 : cert->group == 24 ? 0x0503 : 0x0603;
    if (tls13)
        return pel_offer_has_sigalg(offer, own_curve) && pel_offer_has_sigalg(ours, own_curve);
    for (size_t i = 0; i < 4; i++)
        if (pel_offer_has_sigalg(offer, ecdsa[i]) && pel_offer_has_sigalg(ours, ecdsa[i]))
            return offer->num_groups == 0 || pel_offer_has_group(offer, cert->group);
    return false;
}

/* TLS 1.2 and lower bind the suite to the key: a common suite with the certificate's kind of
 * authentication must exist. */
static bool has_suite(const struct pel_hs *hs, const struct pel_ctx_cert *cert)
{
    const struct pel_tls_offer *ours = &hs->env->ours;
    for (size_t i = 0; i < ours->num_ciphers; i++) {
        const SSL_CIPHER *cipher = SSL_get_cipher_by_value(ours->ciphers[i]);
        if (cipher == NULL || !pel_offer_has_cipher(hs->offer, ours->ciphers[i]))
            continue;
        int auth = SSL_CIPHER_get_auth_nid(cipher);
        if (auth == (cert->key_type == EVP_PKEY_RSA ? NID_auth_rsa : NID_auth_ecdsa))
            return true;
    }
    return false;
}

/* Whether the certificate is among those for the name that the client asks for: those of that name, or where
 * there are none those for all. */
static bool is_for(const struct pel_ctx_cert *cert, const char *name, bool known)
{
    return known ? cert->host != NULL && strcasecmp(cert->host, name) == 0 : cert->host == NULL;
}

static bool is_known_name(const struct pel_ctx *ctx, const char *name)
{
    for (size_t i = 0; name != NULL && i < ctx->num_certs; i++)
        if (ctx->certs[i].host != NULL && strcasecmp(ctx->certs[i].host, name) == 0)
            return true;
    return false;
}

/* The first that the client can verify; else the first for the name: BoringSSL says why it does not fit. */
static bool choose_cert(struct pel_hs *hs, const struct pel_ctx *ctx, const char *name)
{
    const bool known = is_known_name(ctx, name);
    const struct pel_ctx_cert *first = NULL;
    for (size_t i = 0; ctx->num_certs > 1 && i < ctx->num_certs; i++) {
        const struct pel_ctx_cert *cert = &ctx->certs[i];
        if (!is_for(cert, name, known))
            continue;
        if (can_verify(hs, cert) && (hs->tls13 || has_suite(hs, cert)))
            return pel_ctx_use_cert(hs->ssl, cert);
        first = first == NULL ? cert : first;
    }
    return first == NULL || pel_ctx_use_cert(hs->ssl, first);
}

/* A session that was begun under one name is not resumed under another (RFC 6066 section 3). */
static bool bind_to_name(SSL *ssl, const char *name)
{
    uint8_t id[SHA256_DIGEST_LENGTH];
    size_t len = 0;
    SHA256_CTX digest;
    const uint8_t *context = SSL_get0_session_id_context(ssl, &len);
    SHA256_Init(&digest);
    SHA256_Update(&digest, context, len);
    for (size_t i = 0; name[i] != '\0'; i++) {
        uint8_t c = (uint8_t)(name[i] >= 'A' && name[i] <= 'Z' ? name[i] + 32 : name[i]);
        SHA256_Update(&digest, &c, 1);
    }
    SHA256_Final(id, &digest);
    return SSL_set_session_id_context(ssl, id, sizeof id);
}

/* What the version that will be agreed needs. */
static bool set_for_version(struct pel_hs *hs)
{
    const struct pel_tls_env *env = hs->env;
    int nids[PEL_OFFER_MAX_GROUPS];
    if (hs->tls13 ? env->session_config.tickets_off : env->session_config.off)
        SSL_set_options(hs->ssl, SSL_OP_NO_TICKET);
    if (!hs->tls13 || env->num_tls13_groups == 0)
        return true;
    for (size_t i = 0; i < env->num_tls13_groups; i++)
        nids[i] = pel_group_nid(env->tls13_groups[i]);
    return SSL_set1_curves(hs->ssl, nids, env->num_tls13_groups);
}

static bool act_on(struct pel_hs *hs)
{
    const struct pel_tls_env *env = hs->env;
    const char *name =
        env->sni != PEL_TLS_OFF ? SSL_get_servername(hs->ssl, TLSEXT_NAMETYPE_host_name) : NULL;
    hs->tls13 = pel_env_has_version(env, TLS1_3_VERSION) && pel_offer_has_version(hs->offer, TLS1_3_VERSION);
    return choose_cert(hs, env->ctx, name) && set_for_version(hs) &&
           (!is_known_name(env->ctx, name) || bind_to_name(hs->ssl, name));
}

enum ssl_select_cert_result_t pel_hello_callback(const SSL_CLIENT_HELLO *hello)
{
    struct pel_hs *hs = SSL_get_app_data(hello->ssl);
    if (hs->offer == NULL)
        hs->offer = calloc(1, sizeof *hs->offer);
    if (hs->offer == NULL) {
        hs->rejected = PEL_E_NO_MEMORY;
        return ssl_select_cert_error;
    }
    note_offer(hello, hs->offer);
    if (!act_on(hs)) {
        hs->rejected = PEL_E_NO_MEMORY;
        return ssl_select_cert_error;
    }
    return ssl_select_cert_success;
}

int pel_sni_callback(SSL *ssl, int *ret_alert, void *arg)
{
    (void)arg;
    struct pel_hs *hs = SSL_get_app_data(ssl);
    const struct pel_tls_env *env = hs->env;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    if (env->sni == PEL_TLS_OFF || (name == NULL && env->sni != PEL_TLS_REQUIRED))
        return SSL_TLSEXT_ERR_NOACK;
    if (name != NULL && is_known_name(env->ctx, name))
        return SSL_TLSEXT_ERR_OK;
    if (name != NULL && !env->sni_match)
        return SSL_TLSEXT_ERR_NOACK;
    hs->rejected = PEL_E_TLS_SERVER_NAME;
    /* RFC 8446 section 9.2, RFC 6066 section 3. */
    *ret_alert = name == NULL ? SSL_AD_MISSING_EXTENSION : SSL_AD_UNRECOGNIZED_NAME;
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}
