/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two sessions in memory: every version, kind of key, client authentication and way to cut the bytes.
 */
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>

#include "tests/harness/harness.h"
#include "tls/env.h"
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
        {PEL_TLS_AUTH_NONE, "trusting"},   {PEL_TLS_AUTH_PASSTHRU, "trusting"},
        {PEL_TLS_AUTH_PASSTHRU, "client"}, {PEL_TLS_AUTH_FULL, "trusting"},
        {PEL_TLS_AUTH_FULL, "client"},     {PEL_TLS_AUTH_REQUIRED, "client"},
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

/* Suites that stay in BoringSSL's record layer, and the versions that a policy may still switch on. */
PEL_TEST(session, older_suites_and_versions)
{
    static const struct {
        uint32_t versions;
        uint16_t cipher;
        const char *name;
    } rows[] = {
        {PEL_TLS_V1_0, 0xc014, "TLSv1.0"}, {PEL_TLS_V1_1, 0xc013, "TLSv1.1"},
        {PEL_TLS_V1_2, 0xc013, "TLSv1.2"}, {PEL_TLS_V1_2, 0x002f, "TLSv1.2"},
        {PEL_TLS_V1_2, 0x009d, "TLSv1.2"}, {PEL_TLS_V1_2, 0xcca8, "TLSv1.2"},
        {PEL_TLS_V1_0, 0x000a, "TLSv1.0"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct kit_pair pair;
        struct pel_tls_info info;
        struct pel_tls_config client = kit_config(PEL_TLS_CLIENT, "trusting", NULL);
        struct pel_tls_config server = kit_config(PEL_TLS_SERVER, "server", "rsa");
        client.versions = server.versions = rows[i].versions;
        client.ciphers = server.ciphers = &rows[i].cipher;
        client.num_ciphers = server.num_ciphers = 1;
        PEL_REQUIRE_OK(kit_pair_init(&pair, &client, &server, "server.test"));
        pair.chunks = KIT_RANDOM;
        kit_settle(&pair);
        pel_tls_info(pair.server, &info);
        PEL_EXPECT_STR(info.version, rows[i].name);
        PEL_EXPECT_EQ(info.cipher, rows[i].cipher);
        PEL_EXPECT(kit_transfer(&pair, pair.client, pair.server, 200000, 1));
        PEL_EXPECT(kit_transfer(&pair, pair.server, pair.client, 200000, 2));
        kit_pair_fini(&pair);
    }
}

struct sharing {
    struct pel_tls_env *client_env, *server_env;
    unsigned seed;
    unsigned num_secure;
};

static void *handshakes(void *arg)
{
    struct sharing *sharing = arg;
    for (int i = 0; i < 40; i++) {
        struct kit_pair pair = {.client_env = pel_tls_env_ref(sharing->client_env),
                                .server_env = pel_tls_env_ref(sharing->server_env),
                                .chunks = KIT_RANDOM};
        pel_prng_seed(&pair.prng, sharing->seed);
        if (pel_tls_new(pair.server_env, NULL, 0, NULL, &pair.server) == PEL_OK &&
            pel_tls_new(pair.client_env, "server.test", 0, NULL, &pair.client) == PEL_OK) {
            kit_settle(&pair);
            sharing->num_secure += kit_transfer(&pair, pair.client, pair.server, 10000, 3);
        }
        kit_pair_fini(&pair);
    }
    return NULL;
}

PEL_TEST(session, threads_share_environments)
{
    struct pel_tls_config client = kit_config(PEL_TLS_CLIENT, "client", NULL);
    struct pel_tls_config server = kit_config(PEL_TLS_SERVER, "server", NULL);
    struct sharing sharing[4] = {0};
    pthread_t threads[4];
    server.client_auth = PEL_TLS_AUTH_REQUIRED;
    PEL_REQUIRE_OK(pel_tls_env_new(&client, &sharing[0].client_env, NULL));
    PEL_REQUIRE_OK(pel_tls_env_new(&server, &sharing[0].server_env, NULL));
    for (unsigned i = 0; i < 4; i++) {
        sharing[i] = (struct sharing){sharing[0].client_env, sharing[0].server_env, i + 1, 0};
        PEL_REQUIRE(pthread_create(&threads[i], NULL, handshakes, &sharing[i]) == 0);
    }
    for (unsigned i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        PEL_EXPECT_EQ(sharing[i].num_secure, 40);
    }
    pel_tls_env_unref(sharing[0].client_env);
    pel_tls_env_unref(sharing[0].server_env);
}

/* What an idle session holds, as malloc counts it. */
PEL_TEST(session, memory_of_an_idle_session)
{
    enum { NUM = 200 };
    struct kit_pair *pairs = calloc(NUM, sizeof *pairs);
    struct pel_tls_config client = kit_config(PEL_TLS_CLIENT, "trusting", NULL);
    struct pel_tls_config server = kit_config(PEL_TLS_SERVER, "server", NULL);
    PEL_REQUIRE_OK(kit_pair_init(&pairs[0], &client, &server, "server.test"));
    kit_settle(&pairs[0]);
    size_t before = mallinfo2().uordblks;
    for (int i = 1; i < NUM; i++) {
        pairs[i] = (struct kit_pair){.client_env = pel_tls_env_ref(pairs[0].client_env),
                                     .server_env = pel_tls_env_ref(pairs[0].server_env)};
        pel_prng_seed(&pairs[i].prng, 1);
        PEL_REQUIRE_OK(pel_tls_new(pairs[i].server_env, NULL, 0, NULL, &pairs[i].server));
        PEL_REQUIRE_OK(pel_tls_new(pairs[i].client_env, "server.test", 0, NULL, &pairs[i].client));
        kit_settle(&pairs[i]);
        PEL_EXPECT(kit_transfer(&pairs[i], pairs[i].client, pairs[i].server, 20000, 1));
    }
    size_t each = (mallinfo2().uordblks - before) / (NUM - 1) / 2;
    pel_test_say("%zu bytes a session", each);
    /* With our record layer: two expanded keys, and no object of the library. */
    PEL_EXPECT(each <
               (pairs[0].client_env->library_records || pairs[0].server_env->library_records ? 16384 : 4096));
    for (int i = 0; i < NUM; i++)
        kit_pair_fini(&pairs[i]);
    free(pairs);
}
