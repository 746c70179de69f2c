/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/x509v3.h>

#include "base/addr.h"
#include "tls/boringssl/vendor.h"
#include "tls/record.h"

static int bio_read(BIO *bio, char *bytes, int cap)
{
    struct pel_hs *hs = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (hs->in_len == 0 || cap <= 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    size_t len = hs->in_len < (size_t)cap ? hs->in_len : (size_t)cap;
    memcpy(bytes, hs->in, len);
    hs->in += len;
    hs->in_len -= len;
    return (int)len;
}

static int bio_write(BIO *bio, const char *bytes, int len)
{
    struct pel_hs *hs = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    enum pel_err err = pel_buffer_append(hs->out, (const uint8_t *)bytes, (size_t)len, hs->out_limit);
    if (err != PEL_OK)
        hs->out_err = err;
    return err == PEL_OK ? len : -1;
}

static long bio_ctrl(BIO *bio, int command, long number, void *arg)
{
    (void)bio, (void)number, (void)arg;
    return command == BIO_CTRL_FLUSH;
}

static const BIO_METHOD memory_method = {
    .type = BIO_TYPE_SOURCE_SINK,
    .name = "pellucid",
    .bwrite = bio_write,
    .bread = bio_read,
    .ctrl = bio_ctrl,
};

static bool attach_bio(struct pel_hs *hs)
{
    BIO *bio = BIO_new(&memory_method);
    if (bio == NULL)
        return false;
    BIO_set_data(bio, hs);
    BIO_set_init(bio, 1);
    SSL_set_bio(hs->ssl, bio, bio);
    return true;
}

/* Copies a name without the root's dot, which is no part of a certificate's name. */
static enum pel_err copy_name(const char *from, char *name, size_t cap)
{
    size_t len = strlen(from);
    if (len > 1 && from[len - 1] == '.')
        len--;
    if (len == 0 || len >= cap)
        return PEL_E_ARG;
    memcpy(name, from, len);
    name[len] = '\0';
    return PEL_OK;
}

/* The name that the program resolved: what the server's certificate must be for. */
static enum pel_err set_resolved_name(struct pel_hs *hs, const char *name, bool is_ip,
                                      const struct pel_ip *ip)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(hs->ssl);
    hs->name_checked = true;
    if (is_ip)
        return X509_VERIFY_PARAM_set1_ip(param, ip->bytes, ip->version == 4 ? 4 : 16) ? PEL_OK
                                                                                      : PEL_E_NO_MEMORY;
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return X509_VERIFY_PARAM_set1_host(param, name, strlen(name)) ? PEL_OK : PEL_E_NO_MEMORY;
}

/* Whether a common name may be sent as a host's. */
static bool is_host(const char *name)
{
    return name != NULL &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-") == strlen(name);
}

/* Which name is checked, and which is sent: RFC 6066 section 3: host names only, no addresses. */
static enum pel_err set_names(struct pel_hs *hs, const char *resolved)
{
    const struct pel_tls_env *env = hs->env;
    const bool reference = env->reference_dns != NULL || env->reference_cn != NULL;
    char checked[sizeof hs->name] = "";
    struct pel_ip ip;
    bool is_ip = false;
    if (resolved != NULL) {
        PEL_TRY(copy_name(resolved, checked, sizeof checked));
        is_ip = pel_ip_parse(checked, &ip) == PEL_OK;
        if (!reference)
            PEL_TRY(set_resolved_name(hs, checked, is_ip, &ip));
    }
    hs->name_checked = hs->name_checked || reference;
    const char *asked = env->sni_name != NULL        ? env->sni_name
                        : env->reference_dns != NULL ? env->reference_dns
                        : resolved != NULL && !is_ip ? checked
                        : is_host(env->reference_cn) ? env->reference_cn
                                                     : NULL;
    if (asked != NULL && env->sni != PEL_TLS_OFF) {
        PEL_TRY(copy_name(asked, hs->name, sizeof hs->name));
        return SSL_set_tlsext_host_name(hs->ssl, hs->name) ? PEL_OK : PEL_E_ARG;
    }
    if (env->sni == PEL_TLS_REQUIRED)
        return PEL_E_TLS_SERVER_NAME;
    const char *shown = resolved != NULL             ? checked
                        : env->reference_dns != NULL ? env->reference_dns
                        : env->reference_cn != NULL  ? env->reference_cn
                                                     : "";
    snprintf(hs->name, sizeof hs->name, "%s", shown);
    return PEL_OK;
}

/* Under what a session is kept: no session crosses bindings, though they share the cache. */
struct session_key {
    char text[256 + 12];
};

static struct session_key session_key_of(uint32_t binding, const char *name)
{
    struct session_key key;
    snprintf(key.text, sizeof key.text, "%u/%s", binding, name);
    return key;
}

static struct session_key session_key(const struct pel_hs *hs)
{
    return session_key_of(hs->binding, hs->name);
}

/* A ticket is good for the binding that gave it: the library compares this id, which is in the ticket. */
static bool bind_tickets(struct pel_hs *hs)
{
    uint8_t id[sizeof hs->env->ctx->session_id];
    memcpy(id, hs->env->ctx->session_id, sizeof id);
    for (size_t i = 0; i < sizeof hs->binding; i++)
        id[i] = (uint8_t)(id[i] ^ hs->binding >> (8 * i));
    return SSL_set_session_id_context(hs->ssl, id, sizeof id);
}

/* What is left of the time that the session may be resumed in is the library's to check. */
static enum pel_err offer_session(struct pel_hs *hs)
{
    SSL_SESSION *session = pel_sessions_take(hs->env->sessions, session_key(hs).text);
    bool fine = session == NULL || SSL_set_session(hs->ssl, session);
    SSL_SESSION_free(session);
    return fine ? PEL_OK : PEL_E_NO_MEMORY;
}

static enum pel_err set_up(struct pel_hs *hs, const char *server_name)
{
    hs->ssl = SSL_new(hs->env->ctx->ssl_ctx);
    if (hs->ssl == NULL || !attach_bio(hs) || !SSL_set_app_data(hs->ssl, hs))
        return PEL_E_NO_MEMORY;
    SSL_set_shed_handshake_config(hs->ssl, 1);
    SSL_set_renegotiate_mode(hs->ssl, ssl_renegotiate_never);
    if (hs->env->role == PEL_TLS_SERVER) {
        SSL_set_accept_state(hs->ssl);
        return bind_tickets(hs) ? PEL_OK : PEL_E_NO_MEMORY;
    }
    SSL_set_connect_state(hs->ssl);
    PEL_TRY(set_names(hs, server_name));
    return offer_session(hs);
}

enum pel_err pel_hs_new(const struct pel_tls_env *env, uint32_t binding, const char *server_name,
                        struct pel_buffer *out, struct pel_hs **ret_hs)
{
    ERR_clear_error();
    struct pel_hs *hs = calloc(1, sizeof *hs);
    if (hs == NULL)
        return PEL_E_NO_MEMORY;
    *hs = (struct pel_hs){.env = env, .binding = binding, .out = out, .out_limit = PEL_HS_OUT_MAX_LEN};
    enum pel_err err = set_up(hs, server_name);
    ERR_clear_error();
    if (err != PEL_OK) {
        pel_hs_free(hs);
        return err;
    }
    *ret_hs = hs;
    return PEL_OK;
}

void pel_hs_free(struct pel_hs *hs)
{
    if (hs == NULL)
        return;
    SSL_free(hs->ssl);
    free(hs->offer);
    free(hs);
}

/* A TLS 1.3 server has queued its tickets; a write of nothing brings them out, before anybody takes keys
 * or sequence numbers. */
static enum pel_err flush_tickets(struct pel_hs *hs, struct pel_error *reterr)
{
    int ret = SSL_write(hs->ssl, NULL, 0);
    return ret < 0 ? pel_hs_error(hs, ret, reterr) : PEL_OK;
}

/* The library keeps to the configured suites; if it ever did not, no byte of the application would pass. */
static enum pel_err check_suite(struct pel_hs *hs, struct pel_error *reterr)
{
    uint16_t code = SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(hs->ssl));
    if (pel_offer_has_cipher(&hs->env->ours, code))
        return PEL_OK;
    pel_hs_alert(hs, SSL_AD_INTERNAL_ERROR);
    return pel_error_set(reterr, PEL_E_TLS_INTERNAL,
                         "the TLS library agreed on suite %04X, which is not configured", code);
}

static enum pel_err finish(struct pel_hs *hs, struct pel_error *reterr)
{
    PEL_TRY(check_suite(hs, reterr));
    PEL_TRY(pel_demands_check(hs, reterr));
    hs->done = true;
    free(hs->offer);
    hs->offer = NULL;
    if (hs->env->role == PEL_TLS_CLIENT && SSL_version(hs->ssl) < TLS1_3_VERSION)
        pel_sessions_put(hs->env->sessions, session_key(hs).text, SSL_get1_session(hs->ssl));
    return flush_tickets(hs, reterr);
}

bool pel_hs_await_ticket(struct pel_hs *hs)
{
    if (hs->env->role != PEL_TLS_CLIENT || hs->env->session_config.tickets_off ||
        SSL_version(hs->ssl) != TLS1_3_VERSION)
        return false;
    hs->out_limit = 0;
    SSL_set_quiet_shutdown(hs->ssl, 1);
    bool closed = SSL_shutdown(hs->ssl) == 1;
    ERR_clear_error();
    return closed;
}

void pel_hs_take_ticket(struct pel_hs *hs, const uint8_t *message, size_t len)
{
    ERR_clear_error();
    pel_sessions_put(hs->env->sessions, session_key(hs).text,
                     SSL_process_tls13_new_session_ticket(hs->ssl, message, len));
    ERR_clear_error();
}

void pel_hs_forget(const struct pel_tls_env *env, uint32_t binding, const char *name)
{
    if (env->sessions != NULL)
        pel_sessions_forget(env->sessions, session_key_of(binding, name).text);
    if (env->ctx->tickets != NULL)
        pel_tickets_forget(env->ctx->tickets);
}

struct pel_peer_cert *pel_hs_peer_cert(const struct pel_hs *hs)
{
    const STACK_OF(CRYPTO_BUFFER) *chain = SSL_get0_peer_certificates(hs->ssl);
    if (chain == NULL || sk_CRYPTO_BUFFER_num(chain) == 0)
        return NULL;
    CRYPTO_BUFFER *leaf = sk_CRYPTO_BUFFER_value(chain, 0);
    CRYPTO_BUFFER_up_ref(leaf);
    return (struct pel_peer_cert *)leaf;
}

const uint8_t *pel_peer_cert_bytes(const struct pel_peer_cert *cert, size_t *ret_len)
{
    const CRYPTO_BUFFER *buffer = (const CRYPTO_BUFFER *)cert;
    *ret_len = CRYPTO_BUFFER_len(buffer);
    return CRYPTO_BUFFER_data(buffer);
}

void pel_peer_cert_free(struct pel_peer_cert *cert)
{
    CRYPTO_BUFFER_free((CRYPTO_BUFFER *)cert);
}

enum pel_err pel_hs_step(struct pel_hs *hs, const uint8_t *record, size_t len, uint64_t now_us,
                         bool *ret_done, struct pel_error *reterr)
{
    ERR_clear_error();
    hs->now_us = now_us;
    hs->in = record;
    hs->in_len = len;
    int ret = SSL_do_handshake(hs->ssl);
    size_t left_len = hs->in_len;
    hs->in = NULL;
    hs->in_len = 0;
    if (ret != 1) {
        *ret_done = false;
        return pel_hs_error(hs, ret, reterr);
    }
    if (left_len > 0)
        return pel_error_set(reterr, PEL_E_TLS_PROTOCOL, "%zu bytes follow the handshake in its last record",
                             left_len);
    PEL_TRY(finish(hs, reterr));
    *ret_done = true;
    return PEL_OK;
}

void pel_hs_alert(struct pel_hs *hs, uint8_t description)
{
    if (SSL_send_fatal_alert(hs->ssl, description) < 0)
        ERR_clear_error();
}

const char *pel_hs_name(const struct pel_hs *hs)
{
    return hs->name;
}

static void peer_facts(const struct pel_hs *hs, struct pel_hs_facts *facts)
{
    X509 *peer = SSL_get_peer_certificate(hs->ssl);
    if (peer != NULL)
        pel_x509_name_text(X509_get_subject_name(peer), facts->peer_subject, sizeof facts->peer_subject);
    X509_free(peer);
}

void pel_hs_facts(const struct pel_hs *hs, struct pel_hs_facts *ret_facts)
{
    const SSL_CIPHER *cipher = SSL_get_current_cipher(hs->ssl);
    *ret_facts = (struct pel_hs_facts){
        .version = cipher != NULL ? (uint16_t)SSL_version(hs->ssl) : 0,
        .cipher = cipher != NULL ? SSL_CIPHER_get_protocol_id(cipher) : 0,
        .group = SSL_get_curve_id(hs->ssl),
        .resumed = SSL_session_reused(hs->ssl) != 0,
        .name_checked = hs->name_checked,
        .user = hs->user,
    };
    peer_facts(hs, ret_facts);
    const char *name = SSL_get_servername(hs->ssl, TLSEXT_NAMETYPE_host_name);
    snprintf(ret_facts->server_name, sizeof ret_facts->server_name, "%s", name != NULL ? name : hs->name);
    ERR_clear_error();
}
