/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/boringssl/testpeer.h"

#include <fcntl.h>
#include <openssl/base64.h>
#include <openssl/pem.h>
#include <openssl/pkcs8.h>
#include <stdio.h>
#include <string.h>

#include "tls/boringssl/vendor.h"
#include "tls/own_record.h"
#include "tls/session.h"

/* The handshake object within the context of tls/boringssl/record.c, which begins with it. */
static struct pel_hs *hs_of(struct pel_tls *tls)
{
    struct pel_hs *hs = *(struct pel_hs **)tls->record_ctx;
    hs->out = &tls->out;
    return hs;
}

bool testpeer_key_update(struct pel_tls *tls, bool request)
{
    if (tls->ops == &pel_record_own)
        return pel_own_update(tls->record_ctx, request, &tls->out) == PEL_OK;
    struct pel_hs *hs = hs_of(tls);
    return SSL_key_update(hs->ssl, request ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED) == 1 &&
           SSL_write(hs->ssl, NULL, 0) == 0;
}

bool testpeer_alert(struct pel_tls *tls, unsigned char description)
{
    if (tls->ops == &pel_record_own)
        return tls->ops->alert(tls->record_ctx, description, &tls->out) == PEL_OK;
    return SSL_send_fatal_alert(hs_of(tls)->ssl, description) >= 0;
}

bool testpeer_set_tls13_suites(struct pel_tls *tls, const uint16_t *codes, size_t num)
{
    return SSL_CTX_set_pel_tls13_ciphers(SSL_get_SSL_CTX(tls->hs->ssl), codes, num) == 1;
}

/* A new one that never had extensions: an empty list of them is an error in version 1. */
static X509 *make_old(X509 *from, EVP_PKEY *ca_key)
{
    X509 *cert = X509_new();
    EVP_PKEY *key = X509_get_pubkey(from);
    if (cert != NULL && key != NULL && X509_set_version(cert, X509_VERSION_1) == 1 &&
        X509_set_serialNumber(cert, X509_get0_serialNumber(from)) == 1 &&
        X509_set_subject_name(cert, X509_get_subject_name(from)) == 1 &&
        X509_set_issuer_name(cert, X509_get_issuer_name(from)) == 1 &&
        X509_set1_notBefore(cert, X509_get0_notBefore(from)) == 1 &&
        X509_set1_notAfter(cert, X509_get0_notAfter(from)) == 1 && X509_set_pubkey(cert, key) == 1 &&
        X509_sign(cert, ca_key, EVP_sha256()) > 0) {
        EVP_PKEY_free(key);
        return cert;
    }
    EVP_PKEY_free(key);
    X509_free(cert);
    return NULL;
}

bool testpeer_make_old(const char *cert_path, const char *ca_key_path)
{
    FILE *cert_file = fopen(cert_path, "r+"), *key_file = fopen(ca_key_path, "r");
    X509 *cert = cert_file != NULL ? PEM_read_X509(cert_file, NULL, NULL, NULL) : NULL;
    EVP_PKEY *key = key_file != NULL ? PEM_read_PrivateKey(key_file, NULL, NULL, NULL) : NULL;
    X509 *old = cert != NULL && key != NULL ? make_old(cert, key) : NULL;
    bool fine = old != NULL && freopen(NULL, "w", cert_file) != NULL && PEM_write_X509(cert_file, old) == 1;
    X509_free(cert);
    X509_free(old);
    EVP_PKEY_free(key);
    if (key_file != NULL)
        fclose(key_file);
    if (cert_file != NULL && fclose(cert_file) != 0)
        return false;
    return fine;
}

static X509 *read_cert(const char *path)
{
    FILE *file = path != NULL ? fopen(path, "r") : NULL;
    X509 *cert = file != NULL ? PEM_read_X509(file, NULL, NULL, NULL) : NULL;
    if (file != NULL)
        fclose(file);
    return cert;
}

static EVP_PKEY *read_key(const char *path)
{
    FILE *file = path != NULL ? fopen(path, "r") : NULL;
    EVP_PKEY *key = file != NULL ? PEM_read_PrivateKey(file, NULL, NULL, NULL) : NULL;
    if (file != NULL)
        fclose(file);
    return key;
}

static bool write_pkcs12(const char *path, const PKCS12 *pkcs12)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
    bool fine = file != NULL && i2d_PKCS12_fp(file, pkcs12) == 1;
    return file != NULL && fclose(file) == 0 && fine;
}

bool testpeer_make_pkcs12(const struct testpeer_pkcs12 *wanted)
{
    STACK_OF(X509) *authorities = sk_X509_new_null();
    X509 *cert = read_cert(wanted->cert_path), *ca = read_cert(wanted->ca_path);
    EVP_PKEY *key = read_key(wanted->key_path);
    if (ca != NULL && sk_X509_push(authorities, ca) == 0)
        X509_free(ca);
    PKCS12 *pkcs12 = PKCS12_create(wanted->password, wanted->name, key, cert, authorities, 0, 0,
                                   wanted->iterations, 0, 0);
    bool fine = pkcs12 != NULL && write_pkcs12(wanted->path, pkcs12);
    PKCS12_free(pkcs12);
    EVP_PKEY_free(key);
    X509_free(cert);
    sk_X509_pop_free(authorities, X509_free);
    return fine;
}

static int64_t fixed_s;

static int accept_any(X509_STORE_CTX *store_ctx, void *arg)
{
    (void)arg;
    X509_STORE_CTX_set_error(store_ctx, X509_V_OK);
    return 1;
}

static int refuse_any(X509_STORE_CTX *store_ctx, void *arg)
{
    (void)arg;
    X509_STORE_CTX_set_error(store_ctx, X509_V_ERR_APPLICATION_VERIFICATION);
    return 0;
}

void testpeer_judge_certs(struct pel_tls_env *env, bool accept)
{
    SSL_CTX_set_cert_verify_callback(env->ctx->ssl_ctx, accept ? accept_any : refuse_any, NULL);
}

static void set_time(const SSL *ssl, struct timeval *ret_now)
{
    (void)ssl;
    *ret_now = (struct timeval){.tv_sec = fixed_s};
}

void testpeer_set_time(struct pel_tls_env *env, int64_t now_s)
{
    fixed_s = now_s;
    SSL_CTX_set_current_time_cb(env->ctx->ssl_ctx, set_time);
}

bool testpeer_set_ticket_key(struct pel_tls_env *env, const char *text)
{
    uint8_t key[51];
    size_t len = 0;
    SSL_CTX_set_tlsext_ticket_key_cb(env->ctx->ssl_ctx, NULL); /* our keys go before those of the library */
    return EVP_DecodeBase64(key, &len, sizeof key, (const uint8_t *)text, strlen(text)) && len == 48 &&
           SSL_CTX_set_tlsext_ticket_keys(env->ctx->ssl_ctx, key, len);
}

static struct testpeer_export *wanted;

static void make_export(const SSL *ssl, struct testpeer_export *export)
{
    export->done = !SSL_in_init(ssl) &&
                   SSL_export_keying_material((SSL *)ssl, export->bytes, export->len, export->label,
                                              strlen(export->label), (const uint8_t *)export->context,
                                              strlen(export->context), export->use_context);
}

/* The library calls this first of all when it frees an SSL. */
static void export_last(void *ssl, void *ptr, CRYPTO_EX_DATA *ad, int index, long argl, void *argp)
{
    (void)ptr, (void)ad, (void)index, (void)argl, (void)argp;
    if (wanted != NULL && !wanted->done)
        make_export(ssl, wanted);
}

void testpeer_export_begin(struct testpeer_export *export)
{
    static bool registered;
    if (!registered)
        registered = SSL_get_ex_new_index(0, NULL, NULL, NULL, export_last) >= 0;
    wanted = export;
}

bool testpeer_export(struct pel_tls *tls, struct testpeer_export *export)
{
    const struct pel_hs *hs =
        tls->ops == &pel_record_own ? ((struct pel_own_record *)tls->record_ctx)->hs : hs_of(tls);
    if (!export->done && hs != NULL)
        make_export(hs->ssl, export);
    return export->done;
}

void testpeer_thread_fini(void)
{
    ERR_remove_thread_state(NULL);
}
