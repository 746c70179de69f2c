/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two sessions in memory: every version, kind of key, client authentication and way to cut the bytes.
 */
#include "tests/harness/harness.h"
#include "tls/testkit.h"

struct variant {
    uint32_t versions;
    const char *server_label;
    enum pel_tls_client_auth auth;
    const char *client_ring; /* its default certificate; "trusting" has none */
    enum kit_chunks chunks;
};

static void run_variant(const struct variant *v)
{
    struct kit_pair pair;
    struct pel_tls_info info;
    struct pel_tls_config client = kit_config(PEL_TLS_CLIENT, v->client_ring, NULL);
    struct pel_tls_config server = kit_config(PEL_TLS_SERVER, "server", v->server_label);
    client.versions = v->versions;
    server.client_auth = v->auth;
    PEL_REQUIRE(client.keyring_path != NULL);
    PEL_REQUIRE_OK(kit_pair_init(&pair, &client, &server, "server.test"));
    pair.chunks = v->chunks;
    kit_settle(&pair);
    PEL_EXPECT_ERR(pair.client_err, PEL_OK);
    PEL_EXPECT_ERR(pair.server_err, PEL_OK);
    PEL_EXPECT(pel_tls_is_secure(pair.client) && pel_tls_is_secure(pair.server));
    size_t len = v->chunks == KIT_SINGLE ? 50000 : 1 << 20;
    PEL_EXPECT(kit_transfer(&pair, pair.client, pair.server, len, 1));
    PEL_EXPECT(kit_transfer(&pair, pair.server, pair.client, len, 2));
    pel_tls_info(pair.server, &info);
    PEL_EXPECT_STR(info.state, "SECURE");
    PEL_EXPECT_STR(info.version, v->versions == PEL_TLS_V1_3 ? "TLSv1.3" : "TLSv1.2");
    PEL_EXPECT_STR(info.server_name, "server.test");
    bool sent_cert = v->auth != PEL_TLS_AUTH_NONE && strcmp(v->client_ring, "client") == 0;
    PEL_EXPECT_STR(info.peer_subject, sent_cert ? "CN=me,O=Pellucid" : "");
    pel_tls_info(pair.client, &info);
    PEL_EXPECT(info.name_checked && info.group == 29 && info.cipher != 0 && info.cipher_name[0] != '\0');
    PEL_EXPECT_HAS(info.peer_subject, v->server_label);
    PEL_EXPECT_STR(info.failure, "");
    PEL_EXPECT_EQ(pair.server_counters.stat[PEL_STAT_tls_handshakes_server], 1);
    PEL_EXPECT_EQ(pair.server_counters.stat[PEL_STAT_tls_bytes_in], len);
    kit_pair_fini(&pair);
}

static void run_all(uint32_t versions, const char *label)
{
    static const struct {
        enum pel_tls_client_auth auth;
        const char *ring;
    } auths[] = {
        {PEL_TLS_AUTH_NONE, "trusting"}, {PEL_TLS_AUTH_PASSTHRU, "trusting"}, {PEL_TLS_AUTH_PASSTHRU, "client"},
        {PEL_TLS_AUTH_FULL, "trusting"}, {PEL_TLS_AUTH_FULL, "client"},       {PEL_TLS_AUTH_REQUIRED, "client"},
    };
    for (size_t i = 0; i < sizeof auths / sizeof auths[0]; i++)
        for (enum kit_chunks chunks = KIT_WHOLE; chunks <= KIT_SINGLE; chunks++) {
            struct variant v = {versions, label, auths[i].auth, auths[i].ring, chunks};
            run_variant(&v);
            if (pel_test_has_failed()) {
                pel_test_say("auth %d, ring %s, chunks %d", (int)auths[i].auth, auths[i].ring, (int)chunks);
                return;
            }
        }
}

PEL_TEST(session, tls13_p256)
{
    run_all(PEL_TLS_V1_3, "p256");
}

PEL_TEST(session, tls13_rsa)
{
    run_all(PEL_TLS_V1_3, "rsa");
}

PEL_TEST(session, tls12_p256)
{
    run_all(PEL_TLS_V1_2, "p256");
}

PEL_TEST(session, tls12_rsa)
{
    run_all(PEL_TLS_V1_2, "rsa");
}
