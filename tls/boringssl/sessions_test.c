/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long a client offers a session, with the library's clock put forward.
 */
#include <time.h>

#include "tests/harness/harness.h"
#include "tls/boringssl/vendor.h"
#include "tls/testkit.h"

static int64_t later_s;

static void later(const SSL *ssl, struct timeval *ret_now)
{
    (void)ssl;
    *ret_now = (struct timeval){.tv_sec = time(NULL) + later_s};
}

/* Two connections, the second `wait_s` after the first: it resumes, or not. */
static void expect_resumes_with(const struct pel_tls_sessions *sessions, uint32_t versions, const char *ring,
                                int64_t wait_s, bool wanted)
{
    struct kit_pair pair;
    struct pel_tls_info info = {0};
    struct pel_tls_config client = kit_config(PEL_TLS_CLIENT, "trusting", NULL);
    struct pel_tls_config server = kit_config(PEL_TLS_SERVER, ring, NULL);
    client.versions = versions;
    client.sessions = *sessions;
    PEL_REQUIRE_OK(kit_pair_init(&pair, &client, &server, "server.test"));
    for (int i = 0; i < 2; i++) {
        later_s = i == 0 ? 0 : wait_s;
        SSL_CTX_set_current_time_cb(pair.client_env->ctx->ssl_ctx, later);
        pel_tls_free(pair.client);
        pel_tls_free(pair.server);
        pair.client = pair.server = NULL;
        PEL_REQUIRE_OK(pel_tls_new(pair.server_env, NULL, 0, NULL, &pair.server));
        PEL_REQUIRE_OK(pel_tls_new(pair.client_env, "server.test", 0, NULL, &pair.client));
        kit_settle(&pair);
        pel_tls_info(pair.client, &info);
        PEL_EXPECT(i == 1 || (pel_tls_is_secure(pair.client) && !info.resumed));
    }
    PEL_EXPECT(pel_tls_is_secure(pair.client));
    PEL_EXPECT_EQ(info.resumed, wanted);
    kit_pair_fini(&pair);
}

static void expect_resumes(uint32_t versions, const char *ring, int64_t wait_s, bool wanted)
{
    expect_resumes_with(&(struct pel_tls_sessions){0}, versions, ring, wait_s, wanted);
}

PEL_TEST(sessions, end_with_the_clients_time)
{
    const struct pel_tls_sessions minute = {.timeout_s = 60};
    expect_resumes_with(&minute, PEL_TLS_V1_2, "server", 50, true);
    expect_resumes_with(&minute, PEL_TLS_V1_2, "server", 70, false);
    expect_resumes_with(&minute, PEL_TLS_V1_3, "server", 70, true); /* of TLS 1.3 the server says how long */
}

PEL_TEST(sessions, keys_of_3des)
{
    uint8_t block[2 * 20 + 2 * 24];
    for (size_t i = 0; i < sizeof block; i++)
        block[i] = (uint8_t)(2 * i);
    PEL_EXPECT(!pel_des_keys_are_weak(block, 20));
    static const size_t parts[][2] = {{40, 48}, {48, 56}, {40, 56}, {64, 72}, {72, 80}, {64, 80}};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        uint8_t weak[sizeof block];
        memcpy(weak, block, sizeof block);
        for (size_t k = 0; k < 8; k++)
            weak[parts[i][1] + k] = weak[parts[i][0] + k] ^ (k == 3); /* parity does not count */
        PEL_EXPECT(pel_des_keys_are_weak(weak, 20));
        weak[parts[i][1]] ^= 2;
        PEL_EXPECT(!pel_des_keys_are_weak(weak, 20));
    }
}

PEL_TEST(sessions, end_with_their_time)
{
    expect_resumes(PEL_TLS_V1_2, "server", 3700, true);
    expect_resumes(PEL_TLS_V1_2, "server", 7300, false); /* BoringSSL's two hours */
    expect_resumes(PEL_TLS_V1_3, "server", 86400, true);
    expect_resumes(PEL_TLS_V1_3, "server", 3 * 86400, false); /* its two days */
}

PEL_TEST(sessions, end_with_the_servers_certificate)
{
    expect_resumes(PEL_TLS_V1_2, "brief_server", 3500, true);
    expect_resumes(PEL_TLS_V1_2, "brief_server", 3700, false);
    expect_resumes(PEL_TLS_V1_3, "brief_server", 3500, true);
    expect_resumes(PEL_TLS_V1_3, "brief_server", 3700, false);
}
