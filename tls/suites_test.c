/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The suites listed are the only ones, and in the list's order: what a client offers, byte by byte, what a
 * server takes, what both refuse.
 */
#include "tests/harness/harness.h"
#include "tls/boringssl/testpeer.h"
#include "tls/testkit.h"

enum { X25519 = 29, P256 = 23 };

static struct pel_tls_config config_of(enum pel_tls_role role, const uint16_t *ciphers, size_t num)
{
    struct pel_tls_config config = kit_config(role, role == PEL_TLS_SERVER ? "server" : "trusting",
                                              role == PEL_TLS_SERVER ? "p256" : NULL);
    config.ciphers = ciphers;
    config.num_ciphers = num;
    return config;
}

/* A client that guesses X25519 and a server that wants P-256: a HelloRetryRequest. */
static void provoke_retry(struct pel_tls_config *client, struct pel_tls_config *server)
{
    static const uint16_t both[] = {X25519, P256}, one[] = {P256};
    client->groups = both;
    client->num_groups = 2;
    server->groups = one;
    server->num_groups = 1;
}

static void expect_suite(const struct pel_tls_config *client, const struct pel_tls_config *server,
                         uint16_t code, const char *version)
{
    struct kit_pair pair;
    struct pel_tls_info info;
    PEL_REQUIRE_OK(kit_pair_init(&pair, client, server, "server.test"));
    kit_settle(&pair);
    pel_tls_info(pair.server, &info);
    PEL_EXPECT_EQ(info.cipher, code);
    PEL_EXPECT_STR(info.version, version);
    PEL_EXPECT_STR(info.failure, "");
    pel_tls_info(pair.client, &info);
    PEL_EXPECT_EQ(info.cipher, code);
    PEL_EXPECT(kit_transfer(&pair, pair.client, pair.server, 20000, 1));
    PEL_EXPECT(kit_transfer(&pair, pair.server, pair.client, 20000, 2));
    kit_pair_fini(&pair);
}

PEL_TEST(suites, the_servers_order_in_tls12)
{
    static const uint16_t client_order[] = {0xc02b, 0xc02c, 0xcca9},
                          server_order[] = {0xcca9, 0xc02c, 0xc02b};
    struct pel_tls_config client = config_of(PEL_TLS_CLIENT, client_order, 3);
    struct pel_tls_config server = config_of(PEL_TLS_SERVER, server_order, 3);
    expect_suite(&client, &server, 0xcca9, "TLSv1.2");
}

PEL_TEST(suites, the_servers_order_in_tls13)
{
    static const uint16_t codes[] = {0x1301, 0x1302, 0x1303};
    for (size_t i = 0; i < 18; i++) {
        uint16_t first = codes[i % 3], second = codes[(i % 3 + 1 + i / 3 % 2) % 3];
        const uint16_t server_order[] = {first, second}, client_order[] = {second, first};
        struct pel_tls_config server = config_of(PEL_TLS_SERVER, server_order, 2);
        struct pel_tls_config client =
            i / 6 == 0 ? config_of(PEL_TLS_CLIENT, NULL, 0) : config_of(PEL_TLS_CLIENT, client_order, 2);
        if (i / 6 == 2)
            provoke_retry(&client, &server);
        expect_suite(&client, &server, first, "TLSv1.3");
    }
}

/* Another side that offers, or would take, all three. The suites of TLS 1.2 in the list change nothing. */
PEL_TEST(suites, one_suite_of_tls13_alone)
{
    for (uint16_t code = 0x1301; code <= 0x1303; code++) {
        const uint16_t list[] = {0xc02b, code};
        struct pel_tls_config listing = config_of(PEL_TLS_SERVER, list, 2);
        struct pel_tls_config any = config_of(PEL_TLS_CLIENT, NULL, 0);
        expect_suite(&any, &listing, code, "TLSv1.3");
        listing = config_of(PEL_TLS_CLIENT, list, 2);
        any = config_of(PEL_TLS_SERVER, NULL, 0);
        expect_suite(&listing, &any, code, "TLSv1.3");
    }
}

/* TLS 1.3 is agreed before the suite: nothing in common ends it, although a suite of TLS 1.2 would do. */
PEL_TEST(suites, nothing_in_common_in_tls13)
{
    static const uint16_t theirs[] = {0x1301, 0x1303, 0xc02b}, ours[] = {0x1302, 0xc02b};
    struct pel_tls_config client = config_of(PEL_TLS_CLIENT, theirs, 3);
    struct pel_tls_config server = config_of(PEL_TLS_SERVER, ours, 2);
    for (int retry = 0; retry < 2; retry++) {
        struct kit_pair pair;
        struct pel_tls_info info;
        PEL_REQUIRE_OK(kit_pair_init(&pair, &client, &server, "server.test"));
        kit_settle(&pair);
        PEL_EXPECT_ERR(pair.server_err, PEL_E_TLS_NO_COMMON_CIPHER);
        PEL_EXPECT_ERR(pair.client_err, PEL_E_TLS_ALERT_RECEIVED);
        pel_tls_info(pair.server, &info);
        PEL_EXPECT_HAS(info.failure, "the peer offers TLS_AES_128_GCM_SHA256,TLS_CHACHA20_POLY1305_SHA256,");
        PEL_EXPECT_HAS(info.failure, "configured here: TLS_AES_256_GCM_SHA384,TLS_ECDHE_ECDSA");
        pel_tls_info(pair.client, &info);
        PEL_EXPECT_HAS(info.failure, "alert 40 handshake_failure");
        PEL_EXPECT_HAS(info.failure, "suites TLS_AES_128_GCM_SHA256,TLS_CHACHA20_POLY1305_SHA256,");
        kit_pair_fini(&pair);
        provoke_retry(&client, &server);
    }
}

/* The suites of the ClientHello (RFC 8446 section 4.1.2) that waits in `tls`, behind other records. */
static size_t offered(struct pel_tls *tls, uint16_t *codes, size_t max)
{
    enum { RECORD_LEN = 5, BEFORE_SESSION_ID_LEN = 4 + 2 + 32 };
    size_t len = 0, at = 0, num = 0;
    const uint8_t *bytes = pel_tls_out_peek(tls, &len);
    while (at + RECORD_LEN < len && bytes[at] != 22)
        at += RECORD_LEN + (size_t)(bytes[at + 3] << 8 | bytes[at + 4]);
    at += RECORD_LEN + BEFORE_SESSION_ID_LEN;
    if (at >= len)
        return 0;
    at += 1u + bytes[at];
    size_t list_len = (size_t)(bytes[at] << 8 | bytes[at + 1]);
    for (at += 2; num < max && num < list_len / 2; at += 2)
        codes[num++] = (uint16_t)(bytes[at] << 8 | bytes[at + 1]);
    return num;
}

static void expect_offer(struct pel_tls *tls, const uint16_t *codes, size_t num)
{
    uint16_t got[32] = {0};
    PEL_REQUIRE(offered(tls, got, 32) == num);
    PEL_EXPECT_MEM(got, codes, num * sizeof codes[0]);
}

PEL_TEST(suites, a_client_offers_the_list_and_nothing_else)
{
    static const struct {
        uint32_t versions;
        uint16_t codes[4];
        size_t num;
    } rows[] = {
        {PEL_TLS_V1_3, {0x1303}, 1},
        {PEL_TLS_V1_3, {0x1302, 0x1301}, 2},
        {PEL_TLS_V1_3, {0x1303, 0x1302, 0x1301}, 3},
        {PEL_TLS_V1_2 | PEL_TLS_V1_3, {0x1302, 0x1303, 0xc02c, 0xc02b}, 4},
        {PEL_TLS_V1_2, {0xc02c, 0xc02b}, 2},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct pel_tls_config client = config_of(PEL_TLS_CLIENT, rows[i].codes, rows[i].num);
        struct pel_tls_config server = config_of(PEL_TLS_SERVER, NULL, 0);
        struct kit_pair pair;
        enum pel_err err = PEL_OK;
        client.versions = rows[i].versions;
        provoke_retry(&client, &server);
        PEL_REQUIRE_OK(kit_pair_init(&pair, &client, &server, NULL));
        expect_offer(pair.client, rows[i].codes, rows[i].num);
        if (rows[i].versions & PEL_TLS_V1_3) { /* the second hello, after the HelloRetryRequest */
            (void)kit_move(&pair, pair.client, pair.server, &err);
            (void)kit_move(&pair, pair.server, pair.client, &err);
            PEL_EXPECT_ERR(err, PEL_OK);
            expect_offer(pair.client, rows[i].codes, rows[i].num);
        }
        kit_pair_fini(&pair);
    }
}

/* Uncoded: AES-GCM first with AES instructions, else ChaCha20, in TLS 1.3 and 1.2 alike. */
PEL_TEST(suites, the_default_list)
{
    static const uint16_t with_aes[] = {0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f,
                                        0xc02c, 0xc030, 0xcca9, 0xcca8};
    static const uint16_t without[] = {0x1303, 0x1301, 0x1302, 0xcca9, 0xcca8,
                                       0xc02b, 0xc02f, 0xc02c, 0xc030};
    static const uint16_t chacha_first[] = {0x1303, 0x1301, 0x1302};
    bool aes = __builtin_cpu_supports("aes");
    struct pel_tls_config client = config_of(PEL_TLS_CLIENT, NULL, 0);
    struct pel_tls_config server = config_of(PEL_TLS_SERVER, NULL, 0);
    struct kit_pair pair;
    PEL_REQUIRE_OK(kit_pair_init(&pair, &client, &server, NULL));
    expect_offer(pair.client, aes ? with_aes : without, 9);
    kit_pair_fini(&pair);
    client = config_of(PEL_TLS_CLIENT, chacha_first, 3);
    expect_suite(&client, &server, aes ? 0x1301 : 0x1303, "TLSv1.3");
}

/* A server that answers with a suite that the client did not offer: the two bytes behind the session
 * identifier of its ServerHello or HelloRetryRequest (RFC 8446 section 4.1.3). */
PEL_TEST(suites, a_client_refuses_what_it_did_not_offer)
{
    enum { AT = 5 + 4 + 2 + 32 + 1 + 32 };
    static const uint16_t list[] = {0x1302};
    struct pel_tls_config client = config_of(PEL_TLS_CLIENT, list, 1);
    struct pel_tls_config server = config_of(PEL_TLS_SERVER, NULL, 0);
    for (int retry = 0; retry < 2; retry++) {
        struct kit_pair pair;
        struct pel_tls_info info;
        enum pel_err err = PEL_OK;
        uint8_t answer[4096];
        size_t len = 0, used_len = 0;
        PEL_REQUIRE_OK(kit_pair_init(&pair, &client, &server, NULL));
        (void)kit_move(&pair, pair.client, pair.server, &err);
        const uint8_t *bytes = pel_tls_out_peek(pair.server, &len);
        PEL_REQUIRE(len > AT + 2 && len <= sizeof answer);
        memcpy(answer, bytes, len);
        PEL_REQUIRE(answer[AT] == 0x13 && answer[AT + 1] == 0x02);
        answer[AT + 1] = 0x01;
        PEL_EXPECT_ERR(pel_tls_feed(pair.client, answer, len, 0, &used_len), PEL_E_TLS_PROTOCOL);
        pel_tls_info(pair.client, &info);
        PEL_EXPECT_HAS(info.failure, "WRONG_CIPHER_RETURNED");
        PEL_EXPECT(!pel_tls_is_secure(pair.client));
        (void)pel_tls_out_peek(pair.client, &len);
        PEL_EXPECT(len > 0); /* the alert */
        kit_pair_fini(&pair);
        provoke_retry(&client, &server);
    }
}

/* Should the library ever agree on another suite, the session ends before a byte passes. */
PEL_TEST(suites, a_library_that_disobeys)
{
    static const uint16_t list[] = {0x1302}, disobeyed[] = {0x1301};
    struct pel_tls_config client = config_of(PEL_TLS_CLIENT, NULL, 0);
    struct pel_tls_config server = config_of(PEL_TLS_SERVER, list, 1);
    struct kit_pair pair;
    struct pel_tls_info info;
    PEL_REQUIRE_OK(kit_pair_init(&pair, &client, &server, "server.test"));
    PEL_REQUIRE(testpeer_set_tls13_suites(pair.server, disobeyed, 1));
    kit_settle(&pair);
    PEL_EXPECT_ERR(pair.server_err, PEL_E_TLS_INTERNAL);
    PEL_EXPECT(!pel_tls_is_secure(pair.server));
    pel_tls_info(pair.server, &info);
    PEL_EXPECT_HAS(info.failure, "suite 1301, which is not configured");
    pel_tls_info(pair.client, &info);
    PEL_EXPECT_HAS(info.failure, "alert 80 internal_error");
    kit_pair_fini(&pair);
}
