/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SSL_CTX_set_pel_tls13_ciphers, which our patch adds to BoringSSL: what it accepts, and that no session is
 * resumed with a suite that is not, or no longer, listed. The lists of our own environments do not change, so
 * that the clients are BoringSSL's own.
 */
#include "tests/harness/harness.h"
#include "tls/boringssl/vendor.h"
#include "tls/testkit.h"

PEL_TEST(suites_patch, what_a_list_may_be)
{
    static const uint16_t good[][3] = {{0x1301}, {0x1303, 0x1302}, {0x1302, 0x1301, 0x1303}};
    static const uint16_t bad[][3] = {{0x1304}, {0x1301, 0x1301}, {0x1301, 0xc02b}, {0x1301, 0x1302, 0}};
    static const size_t num_bad[] = {1, 2, 2, 3};
    static const uint16_t four[] = {0x1301, 0x1302, 0x1303, 0x1301};
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    PEL_REQUIRE(ctx != NULL);
    for (size_t i = 0; i < 3; i++)
        PEL_EXPECT_EQ(SSL_CTX_set_pel_tls13_ciphers(ctx, good[i], i + 1), 1);
    for (size_t i = 0; i < 4; i++)
        PEL_EXPECT_EQ(SSL_CTX_set_pel_tls13_ciphers(ctx, bad[i], num_bad[i]), 0);
    PEL_EXPECT_EQ(SSL_CTX_set_pel_tls13_ciphers(ctx, four, 4), 0);
    PEL_EXPECT_EQ(SSL_CTX_set_pel_tls13_ciphers(ctx, four, 0), 0);
    PEL_EXPECT_EQ(ERR_GET_REASON(ERR_peek_last_error()), SSL_R_NO_CIPHER_MATCH);
    ERR_clear_error();
    SSL_CTX_free(ctx);
}

/* A client and a server whose lists can change while the keys of their tickets stay. */
struct couple {
    struct pel_tls_env *client_env, *server_env;
    SSL_CTX *client_ctx, *server_ctx;
    SSL_SESSION *session; /* the client's last ticket */
    bool offered_session;
};

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    struct couple *couple = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    SSL_SESSION_free(couple->session);
    couple->session = session;
    return 1;
}

static enum ssl_select_cert_result_t look_at_hello(const SSL_CLIENT_HELLO *hello)
{
    struct couple *couple = SSL_CTX_get_app_data(SSL_get_SSL_CTX(hello->ssl));
    const uint8_t *bytes = NULL;
    size_t len = 0;
    couple->offered_session =
        SSL_early_callback_ctx_extension_get(hello, TLSEXT_TYPE_pre_shared_key, &bytes, &len) == 1;
    return ssl_select_cert_success;
}

static bool couple_init(struct couple *couple)
{
    struct pel_tls_config client = kit_config(PEL_TLS_CLIENT, "trusting", NULL);
    struct pel_tls_config server = kit_config(PEL_TLS_SERVER, "server", NULL);
    *couple = (struct couple){0};
    if (pel_tls_env_new(&client, &couple->client_env, NULL) != PEL_OK ||
        pel_tls_env_new(&server, &couple->server_env, NULL) != PEL_OK)
        return false;
    couple->client_ctx = couple->client_env->ctx->ssl_ctx;
    couple->server_ctx = couple->server_env->ctx->ssl_ctx;
    /* Ours want a handshake of ours. */
    SSL_CTX_set_cert_verify_callback(couple->client_ctx, NULL, NULL);
    SSL_CTX_set_tlsext_servername_callback(couple->server_ctx, NULL);
    SSL_CTX_set_tlsext_ticket_key_cb(couple->server_ctx, NULL);
    SSL_CTX_set_session_cache_mode(couple->client_ctx, SSL_SESS_CACHE_CLIENT);
    SSL_CTX_sess_set_new_cb(couple->client_ctx, keep_session);
    SSL_CTX_set_select_certificate_cb(couple->server_ctx, look_at_hello);
    return SSL_CTX_set_app_data(couple->client_ctx, couple) &&
           SSL_CTX_set_app_data(couple->server_ctx, couple);
}

static void couple_fini(struct couple *couple)
{
    SSL_SESSION_free(couple->session);
    pel_tls_env_unref(couple->client_env);
    pel_tls_env_unref(couple->server_env);
    ERR_clear_error();
}

/* A handshake, and the tickets after it. Returns the suite that both agreed on; 0 when they did not. */
static uint16_t shake(struct couple *couple, bool *ret_resumed)
{
    SSL *client = SSL_new(couple->client_ctx), *server = SSL_new(couple->server_ctx);
    BIO *client_bio = NULL, *server_bio = NULL;
    uint8_t byte;
    uint16_t code = 0;
    if (client == NULL || server == NULL || !BIO_new_bio_pair(&client_bio, 0, &server_bio, 0))
        abort();
    SSL_set_bio(client, client_bio, client_bio);
    SSL_set_bio(server, server_bio, server_bio);
    SSL_set_connect_state(client);
    SSL_set_accept_state(server);
    if (couple->session != NULL)
        SSL_set_session(client, couple->session);
    for (int i = 0; i < 10; i++) {
        (void)SSL_do_handshake(client);
        (void)SSL_do_handshake(server);
    }
    if (!SSL_in_init(client) && !SSL_in_init(server) && SSL_write(server, "x", 1) == 1 &&
        SSL_read(client, &byte, 1) == 1 && SSL_session_reused(client) == SSL_session_reused(server))
        code = SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(server));
    *ret_resumed = SSL_session_reused(server) != 0;
    SSL_free(client);
    SSL_free(server);
    return code;
}

PEL_TEST(suites_patch, no_session_of_another_suite)
{
    static const struct {
        uint16_t client[2], server[2]; /* the lists of the second handshake; 0: none */
        uint16_t code;
        bool offered, resumed;
    } rows[] = {
        {{0x1301, 0x1302}, {0x1301, 0x1302}, 0x1301, true, true},
        {{0x1302, 0x1301}, {0x1301, 0x1302}, 0x1301, true, true}, /* the client's order does not matter */
        {{0x1301, 0x1302}, {0x1302, 0x1301}, 0x1302, true, false},
        {{0x1301, 0x1302}, {0x1302}, 0x1302, true, false},
        {{0x1301, 0x1303}, {0x1303}, 0x1303, true, false}, /* with the same hash */
        {{0x1302}, {0x1301, 0x1302}, 0x1302, false, false},
        {{0x1303}, {0x1303}, 0x1303, false, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        static const uint16_t first[] = {0x1301};
        struct couple couple;
        bool resumed = true;
        PEL_REQUIRE(couple_init(&couple));
        PEL_REQUIRE(SSL_CTX_set_pel_tls13_ciphers(couple.server_ctx, first, 1));
        PEL_EXPECT_EQ(shake(&couple, &resumed), 0x1301);
        PEL_EXPECT(!resumed && couple.session != NULL);
        PEL_REQUIRE(
            SSL_CTX_set_pel_tls13_ciphers(couple.client_ctx, rows[i].client, 1 + (rows[i].client[1] != 0)));
        PEL_REQUIRE(
            SSL_CTX_set_pel_tls13_ciphers(couple.server_ctx, rows[i].server, 1 + (rows[i].server[1] != 0)));
        PEL_EXPECT_EQ(shake(&couple, &resumed), rows[i].code);
        PEL_EXPECT_EQ(resumed, rows[i].resumed);
        PEL_EXPECT_EQ(couple.offered_session, rows[i].offered);
        couple_fini(&couple);
        if (pel_test_has_failed()) {
            pel_test_say("row %zu", i);
            return;
        }
    }
}
