/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include <openssl/cpu.h>
#include <openssl/mem.h>

#include "tls/boringssl/vendor.h"
#include "tls/keyring.h"
#include "tls/names.h"

bool pel_ctx_has_cipher(uint16_t code)
{
    return SSL_get_cipher_by_value(code) != NULL;
}

bool pel_ctx_has_group(uint16_t code)
{
    return pel_group_nid(code) != 0;
}

bool pel_ctx_aes_is_fast(void)
{
    return EVP_has_aes_hardware() != 0;
}

/* The error of a call that can only fail for want of memory or for parameters that do not go together. */
static enum pel_err library_error(const char *what, struct pel_error *reterr)
{
    const char *reason = NULL;
    enum pel_err err = pel_library_error(PEL_E_TLS_CONFIG, &reason);
    return pel_error_set(reterr, err, "%s: %s", what, reason);
}

static int accept_any(X509_STORE_CTX *store_ctx, void *arg)
{
    (void)arg;
    X509_STORE_CTX_set_error(store_ctx, X509_V_OK);
    return 1;
}

static void set_verification(SSL_CTX *ssl_ctx, const struct pel_tls_env *env)
{
    int mode = SSL_VERIFY_PEER;
    if (env->role == PEL_TLS_SERVER && env->client_auth == PEL_TLS_AUTH_NONE)
        mode = SSL_VERIFY_NONE;
    if (env->client_auth == PEL_TLS_AUTH_REQUIRED || env->client_auth == PEL_TLS_AUTH_SAFCHECK)
        mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    SSL_CTX_set_verify(ssl_ctx, mode, NULL);
    bool any = env->role == PEL_TLS_SERVER && env->client_auth == PEL_TLS_AUTH_PASSTHRU;
    SSL_CTX_set_cert_verify_callback(ssl_ctx, any ? accept_any : pel_verify_callback, NULL);
}

static bool set_versions(SSL_CTX *ssl_ctx, const struct pel_tls_offer *ours)
{
    uint16_t lowest = 0xffff, highest = 0;
    for (size_t i = 0; i < ours->num_versions; i++) {
        lowest = ours->versions[i] < lowest ? ours->versions[i] : lowest;
        highest = ours->versions[i] > highest ? ours->versions[i] : highest;
    }
    return SSL_CTX_set_min_proto_version(ssl_ctx, lowest) && SSL_CTX_set_max_proto_version(ssl_ctx, highest);
}

/* One list of ours, two of BoringSSL's. Where one stays empty its versions are off (pel_env_lists). */
static bool set_ciphers(SSL_CTX *ssl_ctx, const struct pel_tls_offer *ours)
{
    char list[PEL_OFFER_MAX_CIPHERS * 32] = "";
    uint16_t tls13[PEL_OFFER_MAX_CIPHERS];
    size_t len = 0, num_tls13 = 0;
    for (size_t i = 0; i < ours->num_ciphers; i++) {
        const SSL_CIPHER *cipher = SSL_get_cipher_by_value(ours->ciphers[i]);
        if (cipher == NULL)
            continue;
        if (SSL_CIPHER_get_min_version(cipher) >= TLS1_3_VERSION) {
            tls13[num_tls13++] = ours->ciphers[i];
            continue;
        }
        int added =
            snprintf(list + len, sizeof list - len, "%s%s", len > 0 ? ":" : "", SSL_CIPHER_get_name(cipher));
        if (added < 0 || (size_t)added >= sizeof list - len)
            return false;
        len += (size_t)added;
    }
    SSL_CTX_set_options(ssl_ctx, SSL_OP_CIPHER_SERVER_PREFERENCE);
    return (len == 0 || SSL_CTX_set_strict_cipher_list(ssl_ctx, list)) &&
           (num_tls13 == 0 || SSL_CTX_set_pel_tls13_ciphers(ssl_ctx, tls13, num_tls13));
}

static bool set_groups(SSL_CTX *ssl_ctx, const struct pel_tls_offer *ours)
{
    int nids[PEL_OFFER_MAX_GROUPS];
    size_t num = 0;
    for (size_t i = 0; i < ours->num_groups; i++)
        nids[num++] = pel_group_nid(ours->groups[i]);
    return SSL_CTX_set1_curves(ssl_ctx, nids, num);
}

/* Without a list the library's own defaults hold. */
static bool set_sigalgs(SSL_CTX *ssl_ctx, const struct pel_tls_env *env)
{
    const struct pel_tls_offer *ours = &env->ours;
    return env->default_sigalgs ||
           (SSL_CTX_set_verify_algorithm_prefs(ssl_ctx, ours->sigalgs, ours->num_sigalgs) &&
            SSL_CTX_set_signing_algorithm_prefs(ssl_ctx, ours->sigalgs, ours->num_sigalgs));
}

static bool set_key_shares(SSL_CTX *ssl_ctx, const struct pel_tls_env *env)
{
    for (size_t i = 0; i < env->num_key_shares; i++)
        if (!pel_offer_has_group(&env->ours, env->key_shares[i]))
            return false;
    return env->num_key_shares == 0 ||
           SSL_CTX_set_pel_key_shares(ssl_ctx, env->key_shares, env->num_key_shares);
}

static bool set_server(struct pel_ctx *ctx, const struct pel_tls_sessions *sessions)
{
    SSL_CTX *ssl_ctx = ctx->ssl_ctx;
    SSL_CTX_set_select_certificate_cb(ssl_ctx, pel_hello_callback);
    SSL_CTX_set_tlsext_servername_callback(ssl_ctx, pel_sni_callback);
    SSL_CTX_set_timeout(ssl_ctx, sessions->timeout_s);
    SSL_CTX_set_session_psk_dhe_timeout(ssl_ctx, sessions->ticket_timeout_s);
    ctx->tickets = pel_tickets_new(sessions);
    return ctx->tickets != NULL && SSL_CTX_set_num_tickets(ssl_ctx, sessions->num_tickets) &&
           SSL_CTX_set_tlsext_ticket_key_cb(ssl_ctx, pel_ticket_callback);
}

static void digest_codes(SHA256_CTX *digest, const uint16_t *codes, size_t num)
{
    SHA256_Update(digest, &num, sizeof num);
    SHA256_Update(digest, codes, num * sizeof codes[0]);
}

static void digest_env(SHA256_CTX *digest, const struct pel_tls_env *env)
{
    uint32_t parts[2] = {(uint32_t)env->role, (uint32_t)env->client_auth};
    SHA256_Init(digest);
    SHA256_Update(digest, parts, sizeof parts);
    digest_codes(digest, env->ours.versions, env->ours.num_versions);
    digest_codes(digest, env->ours.ciphers, env->ours.num_ciphers);
    digest_codes(digest, env->ours.groups, env->ours.num_groups);
    digest_codes(digest, env->tls13_groups, env->num_tls13_groups);
    digest_codes(digest, env->ours.sigalgs, env->ours.num_sigalgs);
    digest_codes(digest, env->cert_sigalgs, env->num_cert_sigalgs);
    const struct pel_peer_demands *demands = &env->demands;
    uint32_t wanted[] = {demands->min_rsa_bits, demands->min_ecc_bits, demands->cert_version_3,
                         demands->extended_master_secret, demands->renegotiation_indicated};
    SHA256_Update(digest, wanted, sizeof wanted);
}

enum pel_err pel_ctx_new(const struct pel_tls_env *env, struct pel_ctx **ret_ctx, struct pel_error *reterr)
{
    ERR_clear_error();
    struct pel_ctx *ctx = calloc(1, sizeof *ctx);
    if (ctx == NULL)
        return pel_error_set(reterr, PEL_E_NO_MEMORY, "out of memory");
    ctx->env = env;
    ctx->pool = CRYPTO_BUFFER_POOL_new();
    ctx->ssl_ctx = SSL_CTX_new(TLS_method());
    ctx->announced = sk_X509_NAME_new_null();
    if (ctx->pool == NULL || ctx->ssl_ctx == NULL || ctx->announced == NULL ||
        !set_versions(ctx->ssl_ctx, &env->ours) || !set_ciphers(ctx->ssl_ctx, &env->ours) ||
        !set_groups(ctx->ssl_ctx, &env->ours) || !set_sigalgs(ctx->ssl_ctx, env) ||
        !set_key_shares(ctx->ssl_ctx, env) ||
        (env->role == PEL_TLS_SERVER && !set_server(ctx, &env->session_config))) {
        enum pel_err err =
            library_error("the versions, suites, groups and signatures do not go together", reterr);
        pel_ctx_free(ctx);
        return err;
    }
    set_verification(ctx->ssl_ctx, env);
    SSL_CTX_set0_buffer_pool(ctx->ssl_ctx, ctx->pool);
    SSL_CTX_set_quiet_shutdown(ctx->ssl_ctx, 0);
    SSL_CTX_set_session_cache_mode(ctx->ssl_ctx, SSL_SESS_CACHE_OFF);
    if (env->role == PEL_TLS_CLIENT && (env->sni == PEL_TLS_REQUIRED || env->sni_match))
        SSL_CTX_set_msg_callback(ctx->ssl_ctx, pel_message_callback);
    digest_env(&ctx->digest, env);
    *ret_ctx = ctx;
    return PEL_OK;
}

static void free_cert(struct pel_ctx_cert *cert)
{
    for (size_t i = 0; i < cert->num_buffers; i++)
        CRYPTO_BUFFER_free(cert->buffers[i]);
    EVP_PKEY_free(cert->key); /* BoringSSL wipes what it frees */
    free(cert->host);
    *cert = (struct pel_ctx_cert){0};
}

void pel_ctx_free(struct pel_ctx *ctx)
{
    if (ctx == NULL)
        return;
    for (size_t i = 0; i < ctx->num_certs; i++)
        free_cert(&ctx->certs[i]);
    free(ctx->certs);
    pel_tickets_free(ctx->tickets);
    sk_X509_NAME_pop_free(ctx->announced, X509_NAME_free);
    SSL_CTX_free(ctx->ssl_ctx);
    CRYPTO_BUFFER_POOL_free(ctx->pool); /* it must be empty: sessions and their certificates went before */
    OPENSSL_cleanse(ctx, sizeof *ctx);
    free(ctx);
}

/* Keeps the DER of a chain, leaf first, and counts it into what tickets are bound to. */
static bool take_chain(struct pel_ctx *ctx, STACK_OF(X509) * certs, struct pel_ctx_cert *cert)
{
    for (size_t i = 0; i < sk_X509_num(certs); i++) {
        uint8_t *der = NULL;
        int len = i < PEL_CTX_MAX_CHAIN ? i2d_X509(sk_X509_value(certs, i), &der) : -1;
        if (len <= 0)
            return false;
        CRYPTO_BUFFER *buffer = CRYPTO_BUFFER_new(der, (size_t)len, NULL);
        SHA256_Update(&ctx->digest, der, (size_t)len);
        OPENSSL_free(der);
        if (buffer == NULL)
            return false;
        cert->buffers[cert->num_buffers++] = buffer;
    }
    return true;
}

static enum pel_err check_time(X509 *leaf, const char *path, int64_t now_s, int64_t *ret_expiry_s,
                               struct pel_error *reterr)
{
    int64_t not_before_s = 0, not_after_s = 0;
    if (pel_cert_times(leaf, &not_before_s, &not_after_s) != PEL_OK)
        return pel_error_set(reterr, PEL_E_KEYRING_CERT_MALFORMED,
                             "%s: the certificate's dates cannot be read", path);
    PEL_TRY(pel_keyring_check_times(path, not_before_s, not_after_s, now_s, reterr));
    *ret_expiry_s = not_after_s;
    return PEL_OK;
}

static enum pel_err check_leaf(X509 *leaf, EVP_PKEY *key, const struct pel_pem *chain,
                               const struct pel_pem *key_pem, struct pel_error *reterr)
{
    if (!X509_check_private_key(leaf, key)) {
        const char *reason = NULL;
        enum pel_err err = pel_library_error(PEL_E_KEYRING_KEY_MISMATCH, &reason);
        return pel_error_set(reterr, err,
                             "%s: the private key does not belong to the first certificate of %s (%s)",
                             key_pem->path, chain->path, reason);
    }
    int type = EVP_PKEY_id(key);
    if (type != EVP_PKEY_RSA && (type != EVP_PKEY_EC || pel_key_group(key) == 0))
        return pel_error_set(
            reterr, PEL_E_KEYRING_CERT_MALFORMED,
            "%s: the key is neither RSA nor EC on P-256, P-384 or P-521; make another with `pel keyring`",
            key_pem->path);
    return PEL_OK;
}

static enum pel_err check_own_key(const struct pel_ctx *ctx, const EVP_PKEY *key, const char *path,
                                  struct pel_error *reterr)
{
    uint32_t bits = (uint32_t)EVP_PKEY_bits(key), least = ctx->env->demands.min_own_rsa_bits;
    if (EVP_PKEY_id(key) != EVP_PKEY_RSA || bits >= least)
        return PEL_OK;
    return pel_error_set(reterr, PEL_E_TLS_CONFIG, "%s: an RSA key of %u bits; FIPS140 wants at least %u",
                         path, bits, least);
}

static enum pel_err build_cert(struct pel_ctx *ctx, const struct pel_ctx_identity *identity,
                               STACK_OF(X509) * certs, int64_t now_s, struct pel_ctx_cert *cert,
                               int64_t *ret_expiry_s, struct pel_error *reterr)
{
    const struct pel_pem *chain = &identity->chain, *key = &identity->key;
    X509 *leaf = sk_X509_value(certs, 0);
    PEL_TRY(pel_pem_key(key, &cert->key, reterr));
    PEL_TRY(check_leaf(leaf, cert->key, chain, key, reterr));
    PEL_TRY(check_own_key(ctx, cert->key, key->path, reterr));
    PEL_TRY(check_time(leaf, chain->path, now_s, ret_expiry_s, reterr));
    cert->key_type = EVP_PKEY_id(cert->key);
    cert->group = pel_key_group(cert->key);
    if (sk_X509_num(certs) > PEL_CTX_MAX_CHAIN)
        return pel_error_set(reterr, PEL_E_KEYRING_CERT_MALFORMED,
                             "%s: more than %d certificates in one chain", chain->path, PEL_CTX_MAX_CHAIN);
    if (!take_chain(ctx, certs, cert))
        return library_error(chain->path, reterr);
    if (identity->host != NULL && (cert->host = strdup(identity->host)) == NULL)
        return pel_error_set(reterr, PEL_E_NO_MEMORY, "out of memory");
    return PEL_OK;
}

static enum pel_err keep_cert(struct pel_ctx *ctx, const struct pel_ctx_cert *cert, struct pel_error *reterr)
{
    struct pel_ctx_cert *certs = realloc(ctx->certs, (ctx->num_certs + 1) * sizeof *certs);
    if (certs == NULL)
        return pel_error_set(reterr, PEL_E_NO_MEMORY, "out of memory");
    ctx->certs = certs;
    ctx->certs[ctx->num_certs++] = *cert;
    return PEL_OK;
}

enum pel_err pel_ctx_add_cert(struct pel_ctx *ctx, const struct pel_ctx_identity *identity, int64_t now_s,
                              int64_t *ret_expiry_s, struct pel_error *reterr)
{
    STACK_OF(X509) *certs = NULL;
    struct pel_ctx_cert cert = {0};
    if (ctx->num_certs == PEL_CTX_MAX_CERTS)
        return pel_error_set(reterr, PEL_E_TLS_CONFIG, "more than %d certificates for one server",
                             PEL_CTX_MAX_CERTS);
    PEL_TRY(pel_pem_certs(&identity->chain, &certs, reterr));
    enum pel_err err = build_cert(ctx, identity, certs, now_s, &cert, ret_expiry_s, reterr);
    sk_X509_pop_free(certs, X509_free);
    if (err == PEL_OK)
        err = keep_cert(ctx, &cert, reterr);
    if (err != PEL_OK)
        free_cert(&cert);
    return err;
}

static bool announce_name(struct pel_ctx *ctx, X509 *cert)
{
    X509_NAME *name = X509_NAME_dup(X509_get_subject_name(cert));
    if (name == NULL)
        return false;
    if (sk_X509_NAME_push(ctx->announced, name) > 0)
        return true;
    X509_NAME_free(name);
    return false;
}

static bool trust_cert(struct pel_ctx *ctx, X509 *cert, bool announce)
{
    uint8_t *der = NULL;
    int len = i2d_X509(cert, &der);
    if (len <= 0)
        return false;
    SHA256_Update(&ctx->digest, der, (size_t)len);
    OPENSSL_free(der);
    if (!X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx->ssl_ctx), cert))
        return false;
    return !announce || announce_name(ctx, cert);
}

enum pel_err pel_ctx_add_trust(struct pel_ctx *ctx, const struct pel_pem *pem, bool announce, size_t *ret_num,
                               struct pel_error *reterr)
{
    STACK_OF(X509) *certs = NULL;
    PEL_TRY(pel_pem_certs(pem, &certs, reterr));
    size_t num = sk_X509_num(certs);
    bool fine = true;
    for (size_t i = 0; i < num && fine; i++)
        fine = trust_cert(ctx, sk_X509_value(certs, i), announce);
    sk_X509_pop_free(certs, X509_free);
    if (!fine)
        return library_error(pem->path, reterr);
    *ret_num = num;
    return PEL_OK;
}

bool pel_ctx_use_cert(SSL *ssl, const struct pel_ctx_cert *cert)
{
    CRYPTO_BUFFER *buffers[PEL_CTX_MAX_CHAIN];
    memcpy(buffers, cert->buffers, sizeof buffers);
    return SSL_set_chain_and_key(ssl, buffers, cert->num_buffers, cert->key, NULL);
}

enum pel_err pel_ctx_finish(struct pel_ctx *ctx, struct pel_error *reterr)
{
    const struct pel_ctx_cert *first = ctx->certs;
    SHA256_Final(ctx->session_id, &ctx->digest);
    if (!SSL_CTX_set_session_id_context(ctx->ssl_ctx, ctx->session_id, sizeof ctx->session_id))
        return library_error("session id context", reterr);
    if (ctx->num_certs > 0 &&
        !SSL_CTX_set_chain_and_key(ctx->ssl_ctx, first->buffers, first->num_buffers, first->key, NULL))
        return library_error("the certificate cannot be used", reterr);
    if (ctx->env->role == PEL_TLS_SERVER && ctx->env->client_auth != PEL_TLS_AUTH_NONE) {
        SSL_CTX_set_client_CA_list(ctx->ssl_ctx, ctx->announced);
        ctx->announced = NULL;
    }
    return PEL_OK;
}
