/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a configuration wants of its peer and of time: sizes of keys, age of keys, intervals of the handshake,
 * sessions and tickets.
 */
#include "tests/harness/harness.h"
#include "tls/env.h"
#include "tls/session.h"
#include "tls/testkit.h"

static const uint32_t both_versions[] = {PEL_TLS_V1_2, PEL_TLS_V1_3};

#define SECOND_US 1000000u

static struct pel_tls_config client_config(uint32_t versions)
{
    struct pel_tls_config config = kit_config(PEL_TLS_CLIENT, "client", NULL);
    config.versions = versions;
    return config;
}

static struct pel_tls_config server_config(const char *label)
{
    return kit_config(PEL_TLS_SERVER, "server", label);
}

static void expect_judged(const struct pel_tls_config *client, const struct pel_tls_config *server,
                          const char *name, bool at_server, const char *text)
{
    struct kit_pair pair;
    struct pel_tls_info info;
    PEL_REQUIRE_OK(kit_pair_init(&pair, client, server, name));
    kit_settle(&pair);
    pel_tls_info(at_server ? pair.server : pair.client, &info);
    PEL_EXPECT_ERR(at_server ? pair.server_err : pair.client_err,
                   text[0] != '\0' ? PEL_E_TLS_CERT_BAD : PEL_OK);
    PEL_EXPECT_HAS(info.failure, text);
    PEL_EXPECT_EQ(pel_tls_is_secure(pair.server), text[0] == '\0');
    kit_pair_fini(&pair);
}

static void expect_cert(const struct pel_tls_config *client, const struct pel_tls_config *server,
                        bool at_server, const char *text)
{
    expect_judged(client, server, "server.test", at_server, text);
}

/* Certificates of version 1 bear no names that a client could look for. */
static void expect_nameless(const struct pel_tls_config *client, const struct pel_tls_config *server,
                            bool at_server, const char *text)
{
    expect_judged(client, server, NULL, at_server, text);
}

PEL_TEST(demands, the_servers_key)
{
    for (size_t i = 0; i < 2; i++) {
        struct pel_tls_config client = client_config(both_versions[i]), rsa = server_config("rsa"),
                              ec = server_config("p256");
        client.min_rsa_bits = 2048;
        client.min_ecc_bits = 256;
        client.cert_version_3 = true;
        expect_cert(&client, &rsa, false, "");
        expect_cert(&client, &ec, false, "");
        client.min_rsa_bits = 2049;
        expect_cert(&client, &rsa, false,
                    "has an RSA key of 2048 bits; at least 2049 are wanted (PeerMinRsaKeySize)");
        expect_cert(&client, &ec, false, "");
        client.min_ecc_bits = 384;
        expect_cert(&client, &ec, false,
                    "has an EC key of 256 bits; at least 384 are wanted (PeerMinECCKeySize)");
    }
}

PEL_TEST(demands, the_clients_key)
{
    for (size_t i = 0; i < 2; i++) {
        struct pel_tls_config client = client_config(both_versions[i]), server = server_config("rsa");
        server.client_auth = PEL_TLS_AUTH_FULL;
        server.min_ecc_bits = 256;
        expect_cert(&client, &server, true, "");
        server.min_ecc_bits = 257;
        expect_cert(&client, &server, true, "has an EC key of 256 bits");
        client.label = ""; /* no certificate: none to measure */
        expect_cert(&client, &server, true, "");
    }
}

PEL_TEST(demands, the_version_of_certificates)
{
    static const char refused[] =
        "a certificate of the chain is of X.509 version 1; 3 is wanted (PeerMinCertVersion)";
    for (size_t i = 0; i < 2; i++) {
        struct pel_tls_config client = client_config(both_versions[i]),
                              server = kit_config(PEL_TLS_SERVER, "version1", "server");
        expect_nameless(&client, &server, false, "");
        client.cert_version_3 = true;
        expect_nameless(&client, &server, false, refused);
        client = kit_config(PEL_TLS_CLIENT, "version1", "client");
        client.versions = both_versions[i];
        server = server_config("p256");
        server.client_auth = PEL_TLS_AUTH_FULL;
        expect_nameless(&client, &server, true, "");
        server.cert_version_3 = true;
        expect_nameless(&client, &server, true, refused);
    }
}

PEL_TEST(demands, our_own_key)
{
    struct pel_tls_config server = server_config("rsa");
    struct pel_tls_env *env = NULL;
    struct pel_error error = {0};
    server.min_own_rsa_bits = 2048;
    PEL_REQUIRE_OK(pel_tls_env_new(&server, &env, &error));
    pel_tls_env_unref(env);
    server.min_own_rsa_bits = 3072;
    PEL_EXPECT_ERR(pel_tls_env_new(&server, &env, &error), PEL_E_TLS_CONFIG);
    PEL_EXPECT_HAS(error.text, "rsa.key: an RSA key of 2048 bits; FIPS140 wants at least 3072");
}

/* Our own ends have both extensions, and 3DES keys that are as they should be. */
PEL_TEST(demands, that_are_met)
{
    static const uint16_t suites[] = {0xc02f, 0x000a};
    for (size_t i = 0; i < 2; i++) {
        struct pel_tls_config client = client_config(PEL_TLS_V1_2), server = server_config("rsa");
        client.extended_master_secret = server.extended_master_secret = true;
        client.renegotiation_indicated = server.renegotiation_indicated = true;
        client.des_key_check = server.des_key_check = true;
        client.ciphers = &suites[i];
        client.num_ciphers = server.num_ciphers = 1;
        server.ciphers = &suites[i];
        expect_cert(&client, &server, true, "");
    }
    struct pel_tls_config client = client_config(PEL_TLS_V1_3), server = server_config("rsa");
    client.extended_master_secret = server.extended_master_secret = true;
    client.renegotiation_indicated = server.renegotiation_indicated = true;
    expect_cert(&client, &server, true, "");
}

/* ---- the age of keys ---- */

static void open_renewing(struct kit_pair *pair, uint32_t version)
{
    struct pel_tls_config client = client_config(version), server = server_config(NULL);
    client.reset_cipher_us = 60 * SECOND_US;
    PEL_REQUIRE_OK(kit_pair_init(pair, &client, &server, "server.test"));
    pair->now_us = 5 * SECOND_US;
    kit_settle(pair);
    PEL_EXPECT(pel_tls_is_secure(pair->client) && pel_tls_is_secure(pair->server));
    PEL_EXPECT_EQ(pel_tls_deadline_us(pair->server), UINT64_MAX);
}

PEL_TEST(demands, old_keys_are_renewed_by_the_next_write)
{
    struct kit_pair pair;
    uint8_t byte = 'x';
    size_t n = 0, before = 0, after = 0;
    open_renewing(&pair, PEL_TLS_V1_3);
    PEL_EXPECT_EQ(pel_tls_deadline_us(pair.client), 65 * SECOND_US);
    PEL_REQUIRE_OK(pel_tls_tick(pair.client, 64 * SECOND_US));
    PEL_REQUIRE_OK(pel_tls_write(pair.client, &byte, 1, &n));
    (void)pel_tls_out_peek(pair.client, &before);
    kit_settle(&pair);
    PEL_REQUIRE_OK(pel_tls_read(pair.server, &byte, 1, &n));
    PEL_REQUIRE_OK(pel_tls_tick(pair.client, 65 * SECOND_US));
    PEL_EXPECT_EQ(pel_tls_deadline_us(pair.client), 125 * SECOND_US);
    PEL_EXPECT_EQ(pel_tls_sealed_len(pair.client, 1), 0); /* the KeyUpdate goes first */
    (void)pel_tls_out_peek(pair.client, &after);
    PEL_EXPECT_EQ(after, 0); /* and not while the connection is idle */
    PEL_REQUIRE_OK(pel_tls_write(pair.client, &byte, 1, &n));
    (void)pel_tls_out_peek(pair.client, &after);
    PEL_EXPECT(after > before + 20);
    kit_settle(&pair);
    PEL_REQUIRE_OK(pel_tls_read(pair.server, &byte, 1, &n));
    /* The server answers with an update of its own before its next data, and both go on. */
    PEL_EXPECT(kit_transfer(&pair, pair.server, pair.client, 50000, 2));
    PEL_EXPECT(kit_transfer(&pair, pair.client, pair.server, 50000, 3));
    if (!pair.client_env->library_records && !pair.server_env->library_records)
        PEL_EXPECT(pel_tls_sealed_len(pair.client, 1) > 0);
    kit_pair_fini(&pair);
}

PEL_TEST(demands, old_keys_are_renewed_by_the_next_read)
{
    struct kit_pair pair;
    uint8_t byte = 'x';
    size_t n = 0, len = 0;
    open_renewing(&pair, PEL_TLS_V1_3);
    PEL_REQUIRE_OK(pel_tls_tick(pair.client, 70 * SECOND_US));
    PEL_REQUIRE_OK(pel_tls_write(pair.server, &byte, 1, &n));
    (void)kit_move(&pair, pair.server, pair.client, &pair.client_err);
    PEL_REQUIRE_OK(pel_tls_read(pair.client, &byte, 1, &n));
    (void)pel_tls_out_peek(pair.client, &len);
    if (!pair.client_env->library_records)
        PEL_EXPECT(len > 20);
    PEL_EXPECT(kit_transfer(&pair, pair.client, pair.server, 50000, 2));
    PEL_EXPECT(kit_transfer(&pair, pair.server, pair.client, 50000, 3));
    /* After our close_notify nothing more is sent. */
    PEL_REQUIRE_OK(pel_tls_tick(pair.client, 200 * SECOND_US));
    PEL_REQUIRE_OK(pel_tls_close(pair.client));
    kit_settle(&pair);
    PEL_REQUIRE_OK(pel_tls_write(pair.server, &byte, 1, &n));
    (void)kit_move(&pair, pair.server, pair.client, &pair.client_err);
    PEL_REQUIRE_OK(pel_tls_read(pair.client, &byte, 1, &n));
    (void)pel_tls_out_peek(pair.client, &len);
    PEL_EXPECT_EQ(len, 0);
    kit_pair_fini(&pair);
}

PEL_TEST(demands, keys_of_tls12_have_no_age)
{
    struct kit_pair pair;
    open_renewing(&pair, PEL_TLS_V1_2);
    PEL_EXPECT_EQ(pel_tls_deadline_us(pair.client), UINT64_MAX);
    PEL_REQUIRE_OK(pel_tls_tick(pair.client, 1000 * SECOND_US));
    PEL_EXPECT(kit_transfer(&pair, pair.client, pair.server, 1000, 2));
    kit_pair_fini(&pair);
}

/* ---- the two intervals of the handshake ---- */

PEL_TEST(demands, whoever_connected_waits_five_times_as_long)
{
    static const struct {
        enum pel_tls_role role;
        bool active;
        uint64_t start_s;
    } rows[] = {
        {PEL_TLS_CLIENT, true, 50},
        {PEL_TLS_CLIENT, false, 10},
        {PEL_TLS_SERVER, true, 50},
        {PEL_TLS_SERVER, false, 10},
    };
    for (size_t i = 0; i < 4; i++) {
        struct pel_tls_config config =
            rows[i].role == PEL_TLS_CLIENT ? client_config(PEL_TLS_V1_3) : server_config(NULL);
        struct pel_tls_env *env = NULL;
        struct pel_tls *tls = NULL;
        uint8_t first = 0x16;
        size_t n = 0;
        PEL_REQUIRE_OK(pel_tls_env_new(&config, &env, NULL));
        for (int begun = 0; begun < 2; begun++) {
            uint64_t end_us = (begun ? 13 : 3 + rows[i].start_s) * SECOND_US;
            PEL_REQUIRE_OK(pel_tls_new(env, NULL, 3 * SECOND_US, NULL, &tls));
            pel_tls_set_active(tls, rows[i].active, 3 * SECOND_US);
            if (begun)
                PEL_REQUIRE_OK(pel_tls_feed(tls, &first, 1, 3 * SECOND_US, &n));
            PEL_EXPECT_EQ(pel_tls_deadline_us(tls), end_us);
            PEL_EXPECT_ERR(pel_tls_tick(tls, end_us - 1), PEL_OK);
            PEL_EXPECT_ERR(pel_tls_tick(tls, end_us),
                           begun ? PEL_E_TLS_HANDSHAKE_TIMEOUT : PEL_E_TLS_HANDSHAKE_START_TIMEOUT);
            struct pel_tls_info info;
            pel_tls_info(tls, &info);
            PEL_EXPECT_HAS(info.failure, begun ? "RC 5005" : "RC 5004");
            pel_tls_free(tls);
        }
        pel_tls_env_unref(env);
        config.handshake_timeout_us = 0;
        PEL_REQUIRE_OK(pel_tls_env_new(&config, &env, NULL));
        PEL_REQUIRE_OK(pel_tls_new(env, NULL, 0, NULL, &tls));
        pel_tls_set_active(tls, rows[i].active, 0);
        PEL_EXPECT_EQ(pel_tls_deadline_us(tls), UINT64_MAX);
        pel_tls_free(tls);
        pel_tls_env_unref(env);
    }
}

/* ---- sessions ---- */

static void begin_again(struct kit_pair *pair)
{
    pel_tls_free(pair->client);
    pel_tls_free(pair->server);
    pair->client = pair->server = NULL;
    PEL_REQUIRE_OK(pel_tls_new(pair->server_env, NULL, pair->now_us, NULL, &pair->server));
    PEL_REQUIRE_OK(pel_tls_new(pair->client_env, "server.test", pair->now_us, NULL, &pair->client));
}

static bool settle_resumed(struct kit_pair *pair)
{
    struct pel_tls_info info;
    kit_settle(pair);
    PEL_EXPECT(pel_tls_is_secure(pair->client) && pel_tls_is_secure(pair->server));
    pel_tls_info(pair->server, &info);
    return info.resumed;
}

/* Shakes hands twice, the second time `later_s` seconds of the session's clock later. */
static bool resumes(const struct pel_tls_config *client, const struct pel_tls_config *server,
                    uint64_t later_s)
{
    struct kit_pair pair;
    if (kit_pair_init(&pair, client, server, "server.test") != PEL_OK) {
        pel_test_fail(__FILE__, __LINE__, "no pair");
        return false;
    }
    pair.now_us = SECOND_US;
    PEL_EXPECT(!settle_resumed(&pair));
    pair.now_us += later_s * SECOND_US;
    begin_again(&pair);
    bool resumed = settle_resumed(&pair);
    kit_pair_fini(&pair);
    return resumed;
}

PEL_TEST(demands, sessions_that_are_off)
{
    for (size_t i = 0; i < 2; i++) {
        struct pel_tls_config client = client_config(both_versions[i]), server = server_config(NULL);
        const bool able = i == 0 || kit_takes_tickets();
        PEL_EXPECT_EQ(resumes(&client, &server, 0), able);
        server.sessions = (struct pel_tls_sessions){.off = true};
        PEL_EXPECT_EQ(resumes(&client, &server, 0), i == 1 && able);
        server.sessions = (struct pel_tls_sessions){.tickets_off = true};
        PEL_EXPECT_EQ(resumes(&client, &server, 0), i == 0 && able);
        server.sessions = (struct pel_tls_sessions){.aes256 = true};
        PEL_EXPECT_EQ(resumes(&client, &server, 0), able);
        client.sessions = (struct pel_tls_sessions){.off = true};
        PEL_EXPECT_EQ(resumes(&client, &server, 0), i == 1 && able);
        client.sessions = (struct pel_tls_sessions){.tickets_off = true};
        PEL_EXPECT_EQ(resumes(&client, &server, 0), i == 0 && able);
        client.sessions = (struct pel_tls_sessions){.max_ticket_len = 20}; /* shorter than any */
        PEL_EXPECT_EQ(resumes(&client, &server, 0), i == 0 && able);
    }
}

/* A key seals tickets of TLS 1.3 for ten seconds, and they are good for a hundred. */
PEL_TEST(demands, keys_of_tickets_are_renewed_and_forgotten)
{
    struct pel_tls_config client = client_config(PEL_TLS_V1_3), server = server_config(NULL);
    if (!kit_takes_tickets())
        return;
    server.sessions = (struct pel_tls_sessions){.key_refresh_s = 10, .ticket_timeout_s = 100};
    PEL_EXPECT(resumes(&client, &server, 9));
    PEL_EXPECT(resumes(&client, &server, 11));
    PEL_EXPECT(resumes(&client, &server, 110));
    PEL_EXPECT(!resumes(&client, &server, 111));
    server.sessions.key_refresh_s = 0; /* never: what ends a ticket is its own time alone */
    PEL_EXPECT(resumes(&client, &server, 1000000));
    /* So often that there would be more keys than there is room for: less often then. */
    server.sessions = (struct pel_tls_sessions){.key_refresh_s = 1, .ticket_timeout_s = 604800};
    PEL_EXPECT(resumes(&client, &server, 600000));
    PEL_EXPECT(!resumes(&client, &server, 700000));
}

PEL_TEST(demands, keys_of_older_tickets_last_as_long_as_sessions)
{
    struct pel_tls_config client = client_config(PEL_TLS_V1_2), server = server_config(NULL);
    server.sessions = (struct pel_tls_sessions){.timeout_s = 1000, .key_refresh_s = 1, .ticket_timeout_s = 1};
    PEL_EXPECT(resumes(&client, &server, 999));
    PEL_EXPECT(resumes(&client, &server, 2000));
    PEL_EXPECT(!resumes(&client, &server, 2001));
}

PEL_TEST(demands, many_keys_of_tickets)
{
    struct pel_tls_config client = client_config(PEL_TLS_V1_3), server = server_config(NULL);
    struct kit_pair pair;
    if (!kit_takes_tickets())
        return;
    server.sessions = (struct pel_tls_sessions){.key_refresh_s = 10, .ticket_timeout_s = 600};
    PEL_REQUIRE_OK(kit_pair_init(&pair, &client, &server, "server.test"));
    PEL_EXPECT(!settle_resumed(&pair));
    for (int i = 0; i < 200; i++) { /* each resumes with the ticket of the one before, under a new key */
        pair.now_us += 30 * SECOND_US;
        begin_again(&pair);
        PEL_EXPECT(settle_resumed(&pair));
    }
    kit_pair_fini(&pair);
}

/* How much a server sends after the client's last flight. */
static size_t tickets_len(uint32_t num_tickets)
{
    struct pel_tls_config client = client_config(PEL_TLS_V1_3), server = server_config(NULL);
    struct kit_pair pair;
    size_t len = 0;
    server.sessions.num_tickets = num_tickets;
    if (kit_pair_init(&pair, &client, &server, "server.test") != PEL_OK)
        return 0;
    (void)kit_move(&pair, pair.client, pair.server, &pair.server_err);
    while (kit_move(&pair, pair.server, pair.client, &pair.client_err) > 0) {
    }
    (void)kit_move(&pair, pair.client, pair.server, &pair.server_err);
    PEL_EXPECT(pel_tls_is_secure(pair.server));
    (void)pel_tls_out_peek(pair.server, &len);
    kit_pair_fini(&pair);
    return len;
}

PEL_TEST(demands, how_many_tickets)
{
    size_t one = tickets_len(1), each = tickets_len(2) - one;
    PEL_EXPECT(each > 100 && one > each);
    PEL_EXPECT_EQ(tickets_len(0), one + each); /* two */
    PEL_EXPECT_EQ(tickets_len(5), one + 4 * each);
    PEL_EXPECT_EQ(tickets_len(1000), one + 15 * each);
}

PEL_TEST(demands, how_many_sessions_a_client_keeps)
{
    for (size_t i = 0; i < 2; i++) {
        struct pel_tls_config client = client_config(both_versions[i]), server = server_config(NULL);
        struct kit_pair pair;
        static const char *const hosts[] = {"a.wild.test", "b.wild.test", "c.wild.test"};
        if (i == 1 && !kit_takes_tickets())
            continue;
        client.sessions.max_kept = client.sessions.max_tickets = 2;
        PEL_REQUIRE_OK(kit_pair_init(&pair, &client, &server, hosts[0]));
        PEL_EXPECT(!settle_resumed(&pair));
        static const struct {
            size_t host;
            bool resumed;
        } rows[] = {{1, false}, {2, false}, {0, false}, {2, true}, {1, false}};
        for (size_t k = 0; k < sizeof rows / sizeof rows[0]; k++) {
            pel_tls_free(pair.client);
            pel_tls_free(pair.server);
            pair.client = pair.server = NULL;
            PEL_REQUIRE_OK(pel_tls_new(pair.server_env, NULL, 0, NULL, &pair.server));
            PEL_REQUIRE_OK(pel_tls_new(pair.client_env, hosts[rows[k].host], 0, NULL, &pair.client));
            PEL_EXPECT_EQ(settle_resumed(&pair), rows[k].resumed);
        }
        kit_pair_fini(&pair);
    }
}
