/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/rivals/boringssl_peer.h"

#include <openssl/bio.h>
#include <openssl/ssl.h>
#include <stdlib.h>

struct boringssl_ctx {
    SSL_CTX *ssl_ctx;
    SSL_SESSION *session; /* the last that a client got */
    bool server;
};

struct boringssl_peer {
    struct boringssl_ctx *ctx;
    SSL *ssl;
    BIO *in, *out; /* the SSL's */
    bool done;
};

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    struct boringssl_ctx *ctx = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    SSL_SESSION_free(ctx->session);
    ctx->session = session;
    return 1; /* kept */
}

static enum ssl_verify_result_t trust_anybody(SSL *ssl, uint8_t *ret_alert)
{
    (void)ssl;
    (void)ret_alert;
    return ssl_verify_ok;
}

struct boringssl_ctx *boringssl_ctx_new(const char *cert, const char *key)
{
    struct boringssl_ctx *ctx = calloc(1, sizeof *ctx);
    if (ctx == NULL)
        return NULL;
    ctx->server = cert != NULL;
    ctx->ssl_ctx = SSL_CTX_new(TLS_method());
    bool is_fine = ctx->ssl_ctx != NULL && SSL_CTX_set_min_proto_version(ctx->ssl_ctx, TLS1_3_VERSION) == 1;
    if (is_fine && ctx->server)
        is_fine = SSL_CTX_use_certificate_chain_file(ctx->ssl_ctx, cert) == 1 &&
                  SSL_CTX_use_PrivateKey_file(ctx->ssl_ctx, key, SSL_FILETYPE_PEM) == 1;
    if (!is_fine) {
        boringssl_ctx_free(ctx);
        return NULL;
    }
    SSL_CTX_set_app_data(ctx->ssl_ctx, ctx);
    if (!ctx->server) {
        SSL_CTX_set_custom_verify(ctx->ssl_ctx, SSL_VERIFY_PEER, trust_anybody);
        SSL_CTX_set_session_cache_mode(ctx->ssl_ctx, SSL_SESS_CACHE_CLIENT);
        SSL_CTX_sess_set_new_cb(ctx->ssl_ctx, keep_session);
    }
    return ctx;
}

void boringssl_ctx_free(struct boringssl_ctx *ctx)
{
    if (ctx == NULL)
        return;
    SSL_SESSION_free(ctx->session);
    SSL_CTX_free(ctx->ssl_ctx);
    free(ctx);
}

struct boringssl_peer *boringssl_peer_new(struct boringssl_ctx *ctx, bool resume)
{
    struct boringssl_peer *peer = calloc(1, sizeof *peer);
    if (peer == NULL)
        return NULL;
    peer->ctx = ctx;
    peer->ssl = SSL_new(ctx->ssl_ctx);
    peer->in = BIO_new(BIO_s_mem());
    peer->out = BIO_new(BIO_s_mem());
    if (peer->ssl == NULL || peer->in == NULL || peer->out == NULL)
        abort(); /* a benchmark without memory has nothing to say */
    BIO_set_mem_eof_return(peer->in, -1);
    SSL_set_bio(peer->ssl, peer->in, peer->out);
    if (ctx->server) {
        SSL_set_accept_state(peer->ssl);
        return peer;
    }
    SSL_set_connect_state(peer->ssl);
    SSL_set_tlsext_host_name(peer->ssl, "bench.test");
    if (resume && ctx->session != NULL)
        SSL_set_session(peer->ssl, ctx->session);
    return peer;
}

void boringssl_peer_free(struct boringssl_peer *peer)
{
    if (peer != NULL)
        SSL_free(peer->ssl);
    free(peer);
}

void boringssl_peer_feed(struct boringssl_peer *peer, const uint8_t *bytes, size_t len)
{
    if (len > 0 && BIO_write(peer->in, bytes, (int)len) != (int)len)
        abort();
}

/* Whether a call that returned `n` only wants more bytes. */
static int waits(struct boringssl_peer *peer, int n)
{
    return SSL_get_error(peer->ssl, n) == SSL_ERROR_WANT_READ ? 0 : -1;
}

int boringssl_peer_run(struct boringssl_peer *peer)
{
    uint8_t byte = 0;
    int n = SSL_do_handshake(peer->ssl);
    if (peer->done || n != 1)
        return peer->done ? 1 : waits(peer, n);
    n = peer->ctx->server ? SSL_write(peer->ssl, &byte, 1) : SSL_read(peer->ssl, &byte, 1);
    peer->done = n == 1;
    return peer->done ? 1 : waits(peer, n);
}

size_t boringssl_peer_take(struct boringssl_peer *peer, uint8_t *bytes, size_t cap)
{
    int n = BIO_read(peer->out, bytes, (int)cap);
    return n > 0 ? (size_t)n : 0;
}

bool boringssl_peer_resumed(const struct boringssl_peer *peer)
{
    return SSL_session_reused(peer->ssl) == 1;
}
