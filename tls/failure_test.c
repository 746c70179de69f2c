/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every way in which a handshake or a connection fails, each with its own error, the right alert, and a
 * text that says what the peer brought beside what is configured.
 */
#include "tests/harness/harness.h"
#include "tls/boringssl/testpeer.h"
#include "tls/testkit.h"

#define SET_CODES(config, field, ...)                                                                        \
    static const uint16_t field##_codes[] = {__VA_ARGS__};                                                   \
    (config).field = field##_codes;                                                                          \
    (config).num_##field = sizeof field##_codes / sizeof field##_codes[0]

struct expected {
    enum pel_err client, server; /* PEL_OK: that side must not fail by itself */
    const char *client_text, *server_text;
};

static void expect_failure(const struct pel_tls_config *client, const struct pel_tls_config *server,
                           const char *name, const struct expected *expected)
{
    for (enum kit_chunks chunks = KIT_WHOLE; chunks <= KIT_SINGLE; chunks++) {
        struct kit_pair pair;
        struct pel_tls_info info;
        PEL_REQUIRE_OK(kit_pair_init(&pair, client, server, name));
        pair.chunks = chunks;
        kit_settle(&pair);
        PEL_EXPECT_ERR(pair.client_err, expected->client);
        PEL_EXPECT_ERR(pair.server_err, expected->server);
        pel_tls_info(pair.client, &info);
        if (expected->client_text != NULL)
            PEL_EXPECT_HAS(info.failure, expected->client_text);
        pel_tls_info(pair.server, &info);
        if (expected->server_text != NULL)
            PEL_EXPECT_HAS(info.failure, expected->server_text);
        PEL_EXPECT_EQ(pair.server_counters.err[expected->server], expected->server != PEL_OK);
        uint8_t byte;
        size_t n;
        if (expected->server != PEL_OK) { /* final: the session keeps saying it */
            PEL_EXPECT_STR(info.state, "FAILED");
            PEL_EXPECT_ERR(pel_tls_feed(pair.server, &byte, 0, 0, &n), expected->server);
            PEL_EXPECT_ERR(pel_tls_read(pair.server, &byte, 1, &n), expected->server);
            PEL_EXPECT_ERR(pel_tls_write(pair.server, &byte, 1, &n), expected->server);
            PEL_EXPECT_ERR(pel_tls_close(pair.server), expected->server);
            PEL_EXPECT_ERR(pel_tls_feed_fin(pair.server), expected->server);
            PEL_EXPECT_ERR(pel_tls_tick(pair.server, 1), expected->server);
            PEL_EXPECT_EQ(pel_tls_deadline_us(pair.server) == UINT64_MAX, 1);
        }
        kit_pair_fini(&pair);
    }
}

static struct pel_tls_config client_config(void)
{
    return kit_config(PEL_TLS_CLIENT, "trusting", NULL);
}

static struct pel_tls_config server_config(void)
{
    return kit_config(PEL_TLS_SERVER, "server", NULL);
}

PEL_TEST(failure, no_common_cipher)
{
    struct pel_tls_config client = client_config(), server = server_config();
    static const uint16_t other[] = {0xc02c};
    client.versions = server.versions = PEL_TLS_V1_2;
    SET_CODES(client, ciphers, 0xc02b, 0x002f);
    server.ciphers = other;
    server.num_ciphers = 1;
    expect_failure(
        &client, &server, NULL,
        &(struct expected){
            PEL_E_TLS_ALERT_RECEIVED, PEL_E_TLS_NO_COMMON_CIPHER, "alert 40 handshake_failure",
            "the peer offers TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,TLS_RSA_WITH_AES_128_CBC_SHA"});
}

/* An alert says little; what was offered says more. */
PEL_TEST(failure, a_client_that_was_refused_says_what_it_offered)
{
    struct pel_tls_config client = client_config(), server = server_config();
    static const uint16_t p384[] = {24};
    SET_CODES(client, groups, 29);
    server.groups = p384;
    server.num_groups = 1;
    expect_failure(&client, &server, NULL,
                   &(struct expected){PEL_E_TLS_ALERT_RECEIVED, PEL_E_TLS_NO_COMMON_GROUP,
                                      "offered here: TLSv1.2,TLSv1.3; suites TLS_",
                                      "configured here: secp384r1; the peer's versions: TLSv1.3,TLSv1.2"});
    expect_failure(&client, &server, NULL,
                   &(struct expected){PEL_E_TLS_ALERT_RECEIVED, PEL_E_TLS_NO_COMMON_GROUP,
                                      "groups x25519; signatures ecdsa_secp256r1_sha256,", "x25519"});
}

PEL_TEST(failure, no_common_version)
{
    struct pel_tls_config client = client_config(), server = server_config();
    client.versions = PEL_TLS_V1_2;
    server.versions = PEL_TLS_V1_3;
    expect_failure(&client, &server, NULL,
                   &(struct expected){PEL_E_TLS_ALERT_RECEIVED, PEL_E_TLS_NO_COMMON_VERSION,
                                      "alert 70 protocol_version", "configured here: TLSv1.3"});
}

PEL_TEST(failure, no_common_group)
{
    struct pel_tls_config client = client_config(), server = server_config();
    static const uint16_t p384[] = {24};
    client.versions = server.versions = PEL_TLS_V1_3;
    SET_CODES(client, groups, 29);
    server.groups = p384;
    server.num_groups = 1;
    expect_failure(&client, &server, NULL,
                   &(struct expected){PEL_E_TLS_ALERT_RECEIVED, PEL_E_TLS_NO_COMMON_GROUP, "alert 40",
                                      "the peer offers x25519; configured here: secp384r1"});
}

/* Overwrites the signature algorithms of the hello that waits in `tls` with `code`. */
static bool patch_sigalgs(struct pel_tls *tls, uint16_t code, uint8_t *hello, size_t cap, size_t *ret_len)
{
    const uint8_t *bytes = pel_tls_out_peek(tls, ret_len);
    if (*ret_len > cap)
        return false;
    memcpy(hello, bytes, *ret_len);
    for (size_t i = 100; i + 8 < *ret_len; i++) {
        size_t list_len = (size_t)(hello[i + 4] << 8 | hello[i + 5]);
        if (hello[i] != 0 || hello[i + 1] != 13 || hello[i + 2] != 0 || hello[i + 3] != list_len + 2)
            continue;
        for (size_t at = i + 6; at < i + 6 + list_len; at += 2) {
            /* distinct codes: 0x0804 … 0x0806 are RSA-PSS; a duplicate would be a decode error */
            hello[at] = (uint8_t)(code >> 8);
            hello[at + 1] = (uint8_t)(code + (at - i - 6) / 2);
        }
        return true;
    }
    return false;
}

PEL_TEST(failure, no_common_signature)
{
    struct pel_tls_config client = client_config(), server = server_config();
    struct kit_pair pair;
    struct pel_tls_info info;
    uint8_t hello[2048];
    size_t len = 0, used_len = 0;
    client.versions = server.versions = PEL_TLS_V1_3;
    PEL_REQUIRE_OK(kit_pair_init(&pair, &client, &server, NULL));
    PEL_REQUIRE(patch_sigalgs(pair.client, 0x0901, hello, sizeof hello, &len));
    PEL_EXPECT_ERR(pel_tls_feed(pair.server, hello, len, 0, &used_len), PEL_E_TLS_NO_COMMON_SIGNATURE);
    pel_tls_info(pair.server, &info);
    PEL_EXPECT_HAS(info.failure, "signature algorithms: the peer offers 0x0901,0x0902");
    kit_pair_fini(&pair);
}

/* The library says first what is wrong, and then what it was about when it found that. */
PEL_TEST(failure, the_first_reason_is_told)
{
    struct pel_tls_config client = client_config(), server = server_config();
    struct kit_pair pair;
    struct pel_tls_info info;
    uint8_t hello[2048];
    size_t len = 0, used_len = 0, num = 0;
    client.versions = server.versions = PEL_TLS_V1_2;
    PEL_REQUIRE_OK(kit_pair_init(&pair, &client, &server, NULL));
    const uint8_t *bytes = pel_tls_out_peek(pair.client, &len);
    PEL_REQUIRE(len <= sizeof hello);
    memcpy(hello, bytes, len);
    for (size_t i = 0; i + 6 <= len; i++)
        if (memcmp(hello + i, "\0\13\0\2\1\0", 6) == 0) { /* ec_point_formats: no uncompressed one any more */
            hello[i + 5] = 1;
            num++;
        }
    PEL_REQUIRE(num == 1);
    PEL_EXPECT_ERR(pel_tls_feed(pair.server, hello, len, 0, &used_len), PEL_E_TLS_HANDSHAKE_FAILED);
    pel_tls_info(pair.server, &info);
    PEL_EXPECT_HAS(info.failure, "ERROR_PARSING_EXTENSION");
    kit_pair_fini(&pair);
}

/* RFC 7507: a client that says that it fell back, to a server that speaks the newer version. */
PEL_TEST(failure, a_client_that_fell_back)
{
    static const uint16_t suites[] = {0xc02b, 0xc02f};
    for (int newer = 0; newer < 2; newer++) {
        struct pel_tls_config client = client_config(), server = server_config();
        struct kit_pair pair;
        struct pel_tls_info info;
        uint8_t hello[2048];
        size_t len = 0, used_len = 0;
        client.versions = PEL_TLS_V1_2;
        client.ciphers = suites;
        client.num_ciphers = 2;
        server.versions = newer ? PEL_TLS_V1_2 | PEL_TLS_V1_3 : PEL_TLS_V1_2;
        PEL_REQUIRE_OK(kit_pair_init(&pair, &client, &server, NULL));
        const uint8_t *bytes = pel_tls_out_peek(pair.client, &len);
        PEL_REQUIRE(len <= sizeof hello);
        memcpy(hello, bytes, len);
        for (size_t i = 0; i + 4 <= len; i++)
            if (memcmp(hello + i, "\xc0\x2b\xc0\x2f", 4) == 0)
                memcpy(hello + i + 2, "\x56\x00", 2); /* TLS_FALLBACK_SCSV */
        PEL_EXPECT_ERR(pel_tls_feed(pair.server, hello, len, 0, &used_len),
                       newer ? PEL_E_TLS_PROTOCOL : PEL_OK);
        pel_tls_info(pair.server, &info);
        PEL_EXPECT_HAS(info.failure, newer ? "INAPPROPRIATE_FALLBACK" : "");
        kit_pair_fini(&pair);
    }
}

PEL_TEST(failure, no_client_certificate)
{
    for (uint32_t versions = PEL_TLS_V1_2; versions <= PEL_TLS_V1_3; versions *= 2) {
        struct pel_tls_config client = client_config(), server = server_config();
        client.versions = versions;
        server.client_auth = PEL_TLS_AUTH_REQUIRED;
        expect_failure(
            &client, &server, NULL,
            &(struct expected){PEL_E_TLS_ALERT_RECEIVED, PEL_E_TLS_NO_CLIENT_CERT,
                               versions == PEL_TLS_V1_3 ? "alert 116 certificate_required" : "alert 40",
                               "RC 5001"});
    }
}

PEL_TEST(failure, untrusted_client)
{
    struct pel_tls_config client = kit_config(PEL_TLS_CLIENT, "stranger", NULL), server = server_config();
    server.client_auth = PEL_TLS_AUTH_FULL;
    expect_failure(&client, &server, NULL,
                   &(struct expected){PEL_E_TLS_ALERT_RECEIVED, PEL_E_TLS_CERT_UNTRUSTED,
                                      "alert 48 unknown_ca", "subject \"CN=they,O=Pellucid\""});
    server.client_auth = PEL_TLS_AUTH_PASSTHRU;
    expect_failure(&client, &server, NULL, &(struct expected){PEL_OK, PEL_OK, "", ""});
}

PEL_TEST(failure, expired_client)
{
    struct pel_tls_config client = kit_config(PEL_TLS_CLIENT, "client", "old"), server = server_config();
    client.now_s -= 5000; /* it was in force then: the environment loads it */
    server.client_auth = PEL_TLS_AUTH_REQUIRED;
    expect_failure(&client, &server, NULL,
                   &(struct expected){PEL_E_TLS_ALERT_RECEIVED, PEL_E_TLS_CERT_EXPIRED,
                                      "alert 45 certificate_expired", "RC 401"});
}

PEL_TEST(failure, expired_server)
{
    struct pel_tls_config client = client_config(), server = kit_config(PEL_TLS_SERVER, "server", "expired");
    server.now_s -= 5000;
    expect_failure(&client, &server, "server.test",
                   &(struct expected){PEL_E_TLS_CERT_EXPIRED, PEL_E_TLS_ALERT_RECEIVED, "RC 401",
                                      "alert 45 certificate_expired"});
}

PEL_TEST(failure, untrusted_server)
{
    struct pel_tls_config client = client_config(),
                          server = kit_config(PEL_TLS_SERVER, "strange_server", NULL);
    expect_failure(&client, &server, "server.test",
                   &(struct expected){PEL_E_TLS_CERT_UNTRUSTED, PEL_E_TLS_ALERT_RECEIVED,
                                      "issuer \"CN=Test Authority,O=Pellucid\"", "alert 48 unknown_ca"});
}

/* A client's certificate (clientAuth) does not make a server. */
PEL_TEST(failure, wrong_purpose)
{
    struct pel_tls_config client = client_config(), server = kit_config(PEL_TLS_SERVER, "client", "me");
    expect_failure(&client, &server, NULL,
                   &(struct expected){PEL_E_TLS_CERT_BAD, PEL_E_TLS_ALERT_RECEIVED, "purpose", NULL});
}

PEL_TEST(failure, wrong_name)
{
    static const char *const wrong[] = {"other.test", "a.b.wild.test", "192.0.2.2", "2001:db8::2",
                                        "wild.test"};
    static const char *const right[] = {"server.test", "SERVER.test", "server.test.",
                                        "a.wild.test", "192.0.2.1",   "2001:db8::1"};
    struct pel_tls_config client = client_config(), server = server_config();
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        expect_failure(&client, &server, wrong[i],
                       &(struct expected){PEL_E_TLS_CERT_NAME, PEL_E_TLS_ALERT_RECEIVED, "mismatch",
                                          "alert 42 bad_certificate"});
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++) {
        expect_failure(&client, &server, right[i], &(struct expected){PEL_OK, PEL_OK, "", ""});
        if (pel_test_has_failed())
            pel_test_say("name %s", right[i]);
    }
}

PEL_TEST(failure, without_a_name_only_the_chain_is_checked)
{
    struct pel_tls_config client = client_config(), server = server_config();
    struct kit_pair pair;
    struct pel_tls_info info;
    PEL_REQUIRE_OK(kit_pair_init(&pair, &client, &server, NULL));
    kit_settle(&pair);
    pel_tls_info(pair.client, &info);
    PEL_EXPECT(pel_tls_is_secure(pair.client) && !info.name_checked);
    PEL_EXPECT_STR(info.server_name, "");
    pel_tls_info(pair.server, &info);
    PEL_EXPECT_STR(info.server_name, "");
    kit_pair_fini(&pair);
}

PEL_TEST(failure, addresses_are_no_sni)
{
    struct pel_tls_config client = client_config(), server = server_config();
    struct kit_pair pair;
    struct pel_tls_info info;
    PEL_REQUIRE_OK(kit_pair_init(&pair, &client, &server, "192.0.2.1"));
    kit_settle(&pair);
    pel_tls_info(pair.server, &info);
    PEL_EXPECT(pel_tls_is_secure(pair.server));
    PEL_EXPECT_STR(info.server_name, "");
    kit_pair_fini(&pair);
}

PEL_TEST(failure, names_that_cannot_be_one)
{
    struct pel_tls_config client = client_config();
    struct pel_tls_env *env = NULL;
    struct pel_tls *tls = NULL;
    char name[300];
    memset(name, 'a', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    PEL_REQUIRE_OK(pel_tls_env_new(&client, &env, NULL));
    PEL_EXPECT_ERR(pel_tls_new(env, "", 0, NULL, &tls), PEL_E_ARG);
    PEL_EXPECT_ERR(pel_tls_new(env, name, 0, NULL, &tls), PEL_E_ARG);
    PEL_EXPECT(tls == NULL);
    pel_tls_env_unref(env);
}

PEL_TEST(failure, a_server_chooses_the_certificate_that_the_client_can_verify)
{
    static const char *const more[] = {"rsa"};
    static const uint16_t rsa_only[] = {0xc02f}, ecdsa_only[] = {0xc02b};
    const uint16_t *const lists[] = {rsa_only, ecdsa_only, NULL};
    static const char *const subjects[] = {"CN=rsa,O=Pellucid", "CN=p256,O=Pellucid", "CN=p256,O=Pellucid"};
    for (size_t i = 0; i < 3; i++) {
        struct pel_tls_config client = client_config(), server = kit_config(PEL_TLS_SERVER, "server", "p256");
        struct kit_pair pair;
        struct pel_tls_info info;
        server.more_labels = more;
        server.num_more_labels = 1;
        client.ciphers = lists[i];
        client.num_ciphers = lists[i] != NULL;
        PEL_REQUIRE_OK(kit_pair_init(&pair, &client, &server, "server.test"));
        kit_settle(&pair);
        pel_tls_info(pair.client, &info);
        PEL_EXPECT_STR(info.peer_subject, subjects[i]);
        kit_pair_fini(&pair);
    }
}

/* A TLS 1.3 client that can verify RSA only gets the RSA certificate: 0x0804 and following are RSA-PSS.
 * The transcript is patched on the way, so the client fails later; the certificate that the server picked
 * shows in what it sends. */
PEL_TEST(failure, the_choice_of_certificate_follows_the_signature_algorithms)
{
    static const char *const more[] = {"rsa"};
    struct pel_tls_config client = client_config(), server = kit_config(PEL_TLS_SERVER, "server", "p256");
    struct kit_pair pair;
    uint8_t hello[2048];
    size_t len = 0, used_len = 0, with_rsa = 0, with_ec = 0;
    client.versions = PEL_TLS_V1_3;
    server.more_labels = more;
    server.num_more_labels = 1;
    PEL_REQUIRE_OK(kit_pair_init(&pair, &client, &server, NULL));
    PEL_REQUIRE(patch_sigalgs(pair.client, 0x0804, hello, sizeof hello, &len));
    PEL_EXPECT_ERR(pel_tls_feed(pair.server, hello, len, 0, &used_len), PEL_OK);
    (void)pel_tls_out_peek(pair.server, &with_rsa);
    kit_pair_fini(&pair);
    PEL_REQUIRE_OK(kit_pair_init(&pair, &client, &server, NULL));
    (void)kit_move(&pair, pair.client, pair.server, &pair.server_err);
    (void)pel_tls_out_peek(pair.server, &with_ec);
    PEL_EXPECT(with_rsa > with_ec + 300); /* a 2048-bit key and signature are that much longer */
    kit_pair_fini(&pair);
}
