/* SPDX-License-Identifier: Apache-2.0 */
/* What a program that controls TLS itself may ask for: new keys, no resumption, the peer's certificate, and
 * to have back what follows the peer's close_notify. */
#include <string.h>

#include "tests/harness/harness.h"
#include "tls/env.h"
#include "tls/session.h"
#include "tls/testkit.h"

static void open_pair(struct kit_pair *pair, uint32_t version)
{
    struct pel_tls_config client = kit_config(PEL_TLS_CLIENT, "client", NULL);
    struct pel_tls_config server = kit_config(PEL_TLS_SERVER, "server", "p256");
    client.versions = version;
    server.client_auth = PEL_TLS_AUTH_REQUIRED;
    PEL_REQUIRE_OK(kit_pair_init(pair, &client, &server, "server.test"));
    kit_settle(pair);
    PEL_REQUIRE(pel_tls_is_secure(pair->client) && pel_tls_is_secure(pair->server));
}

static void begin_again(struct kit_pair *pair)
{
    pel_tls_free(pair->client);
    pel_tls_free(pair->server);
    PEL_REQUIRE_OK(pel_tls_new(pair->server_env, NULL, 0, &pair->server_counters, &pair->server));
    PEL_REQUIRE_OK(pel_tls_new(pair->client_env, "server.test", 0, &pair->client_counters, &pair->client));
    kit_settle(pair);
    PEL_REQUIRE(pel_tls_is_secure(pair->client) && pel_tls_is_secure(pair->server));
}

static bool is_resumed(const struct pel_tls *tls)
{
    struct pel_tls_info info;
    pel_tls_info(tls, &info);
    return info.resumed;
}

PEL_TEST(wishes, keys_are_renewed_in_tls_1_3_and_data_goes_on)
{
    struct kit_pair pair;
    open_pair(&pair, PEL_TLS_V1_3);
    for (uint64_t seed = 1; seed <= 4; seed++) {
        PEL_EXPECT_ERR(pel_tls_renew_keys(pair.client, seed % 2 == 0), PEL_OK);
        PEL_EXPECT_ERR(pel_tls_renew_keys(pair.server, seed > 2), PEL_OK);
        PEL_EXPECT(kit_transfer(&pair, pair.client, pair.server, 50000, seed));
        PEL_EXPECT(kit_transfer(&pair, pair.server, pair.client, 50000, seed + 100));
    }
    PEL_EXPECT_ERR(pel_tls_close(pair.client), PEL_OK);
    PEL_EXPECT_ERR(pel_tls_renew_keys(pair.client, true), PEL_E_STATE);
    kit_pair_fini(&pair);
}

PEL_TEST(wishes, no_new_keys_in_tls_1_2_nor_before_the_handshake_is_done)
{
    struct kit_pair pair;
    open_pair(&pair, PEL_TLS_V1_2);
    PEL_EXPECT_ERR(pel_tls_renew_keys(pair.client, true), PEL_E_UNSUPPORTED);
    PEL_EXPECT(kit_transfer(&pair, pair.client, pair.server, 1000, 1));
    pel_tls_free(pair.client);
    PEL_REQUIRE_OK(pel_tls_new(pair.client_env, "server.test", 0, &pair.client_counters, &pair.client));
    PEL_EXPECT_ERR(pel_tls_renew_keys(pair.client, false), PEL_E_STATE);
    kit_pair_fini(&pair);
}

PEL_TEST(wishes, a_session_that_either_end_forgets_is_not_resumed)
{
    static const uint32_t versions[] = {PEL_TLS_V1_2, PEL_TLS_V1_3};
    for (size_t i = 0; i < 4; i++) {
        struct kit_pair pair;
        open_pair(&pair, versions[i % 2]);
        if (pair.client_env->library_records && i % 2 == 1) {
            pel_test_say("left out: the client has BoringSSL's record layer, which keeps no tickets");
            kit_pair_fini(&pair);
            continue;
        }
        begin_again(&pair);
        PEL_EXPECT(is_resumed(pair.client));
        pel_tls_forget_session(i < 2 ? pair.client : pair.server);
        begin_again(&pair);
        PEL_EXPECT(!is_resumed(pair.client) && !is_resumed(pair.server));
        begin_again(&pair);
        PEL_EXPECT(is_resumed(pair.client));
        kit_pair_fini(&pair);
    }
}

PEL_TEST(wishes, the_peers_certificate_is_known_and_shared)
{
    static const uint32_t versions[] = {PEL_TLS_V1_2, PEL_TLS_V1_3};
    for (size_t i = 0; i < 2; i++) {
        struct kit_pair pair;
        size_t len = 0, again_len = 0;
        open_pair(&pair, versions[i]);
        const uint8_t *cert = pel_tls_peer_cert(pair.client, &len);
        PEL_REQUIRE(cert != NULL && len > 100);
        PEL_EXPECT_EQ(cert[0], 0x30); /* a SEQUENCE, of all that is there */
        PEL_EXPECT_EQ((size_t)cert[2] << 8 | cert[3], len - 4);
        PEL_EXPECT(memmem(cert, len, "p256", 4) != NULL);
        const uint8_t *clients = pel_tls_peer_cert(pair.server, &again_len);
        PEL_EXPECT(clients != NULL && memmem(clients, again_len, "me", 2) != NULL);
        struct pel_tls *first = pair.client;
        pair.client = NULL;
        begin_again(&pair); /* resumed or not, the certificate is there */
        PEL_EXPECT(pel_tls_peer_cert(pair.client, &again_len) != NULL);
        PEL_EXPECT_EQ(again_len, len);
        PEL_EXPECT(pel_tls_peer_cert(pair.client, &again_len) == cert);
        pel_tls_free(first);
        kit_pair_fini(&pair);
    }
}

PEL_TEST(wishes, there_is_no_certificate_where_none_was_shown)
{
    struct pel_tls_config client = kit_config(PEL_TLS_CLIENT, "trusting", NULL);
    struct pel_tls_config server = kit_config(PEL_TLS_SERVER, "server", "p256");
    struct kit_pair pair;
    size_t len = 1;
    PEL_REQUIRE_OK(kit_pair_init(&pair, &client, &server, "server.test"));
    PEL_EXPECT(pel_tls_peer_cert(pair.client, &len) == NULL);
    kit_settle(&pair);
    PEL_EXPECT(pel_tls_peer_cert(pair.server, &len) == NULL);
    PEL_EXPECT_EQ(len, 0);
    kit_pair_fini(&pair);
}

/* What one end wrote, its close_notify, and text behind it. */
static void final_bytes(struct pel_tls *tls, uint8_t *bytes, size_t cap, size_t *ret_len)
{
    size_t len = 0, taken_len = 0;
    PEL_EXPECT_ERR(pel_tls_write(tls, (const uint8_t *)"last", 4, &taken_len), PEL_OK);
    PEL_EXPECT_ERR(pel_tls_close(tls), PEL_OK);
    const uint8_t *out = pel_tls_out_peek(tls, &len);
    PEL_REQUIRE(len + 5 <= cap);
    memcpy(bytes, out, len);
    memcpy(bytes + len, "clear", 5);
    *ret_len = len;
}

PEL_TEST(wishes, what_follows_close_notify_is_given_back)
{
    static const uint32_t versions[] = {PEL_TLS_V1_2, PEL_TLS_V1_3};
    for (size_t i = 0; i < 8; i++) {
        bool keeps = i & 2, whole = i & 4;
        struct kit_pair pair;
        uint8_t bytes[1024], plain[16];
        size_t at = 0, used_len = 0, plain_len = 0, tls_len = 0;
        open_pair(&pair, versions[i % 2]);
        final_bytes(pair.client, bytes, sizeof bytes, &tls_len);
        size_t len = tls_len + 5;
        if (keeps)
            pel_tls_keep_rest(pair.server);
        do {
            PEL_EXPECT_ERR(pel_tls_feed(pair.server, bytes + at, whole ? len - at : 1, 0, &used_len), PEL_OK);
            at += used_len;
        } while (at < len && used_len > 0);
        PEL_EXPECT_EQ(at, keeps ? tls_len : len);
        PEL_EXPECT(!pel_tls_has_ended(pair.server)); /* "last" is still to be read */
        PEL_EXPECT_ERR(pel_tls_read(pair.server, plain, sizeof plain, &plain_len), PEL_OK);
        PEL_EXPECT_EQ(plain_len, 4);
        PEL_EXPECT_ERR(pel_tls_read(pair.server, plain, sizeof plain, &plain_len), PEL_E_EOF);
        PEL_EXPECT(pel_tls_has_ended(pair.server));
        kit_pair_fini(&pair);
    }
}
