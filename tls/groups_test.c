/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signatures, groups and key shares of a configuration: which are offered, which are taken, in which version,
 * and what a failure says of both sides.
 */
#include <stdio.h>

#include "base/bytes.h"
#include "tests/harness/harness.h"
#include "tls/testkit.h"

#define SET(config, field, ...)                                                                              \
    do {                                                                                                     \
        static const uint16_t codes[] = {__VA_ARGS__};                                                       \
        (config).field = codes;                                                                              \
        (config).num_##field = sizeof codes / sizeof codes[0];                                               \
    } while (0)

static const uint32_t both_versions[] = {PEL_TLS_V1_2, PEL_TLS_V1_3};

static void shake(struct kit_pair *pair, const struct pel_tls_config *client,
                  const struct pel_tls_config *server, uint32_t version)
{
    struct pel_tls_config c = *client;
    c.versions = version;
    PEL_REQUIRE_OK(kit_pair_init(pair, &c, server, "server.test"));
    kit_settle(pair);
}

static void expect_secure(const struct pel_tls_config *client, const struct pel_tls_config *server,
                          uint32_t version, uint16_t group, const char *subject)
{
    struct kit_pair pair;
    struct pel_tls_info info;
    shake(&pair, client, server, version);
    pel_tls_info(pair.client, &info);
    PEL_EXPECT_STR(info.failure, "");
    PEL_EXPECT(pel_tls_is_secure(pair.client) && pel_tls_is_secure(pair.server));
    if (group != 0)
        PEL_EXPECT_EQ(info.group, group);
    if (subject != NULL)
        PEL_EXPECT_STR(info.peer_subject, subject);
    PEL_EXPECT(kit_transfer(&pair, pair.client, pair.server, 1000, 1));
    kit_pair_fini(&pair);
}

static void expect_refused(const struct pel_tls_config *client, const struct pel_tls_config *server,
                           uint32_t version, enum pel_err client_err, enum pel_err server_err,
                           const char *text)
{
    struct kit_pair pair;
    struct pel_tls_info info;
    shake(&pair, client, server, version);
    PEL_EXPECT_ERR(pair.client_err, client_err);
    PEL_EXPECT_ERR(pair.server_err, server_err);
    pel_tls_info(server_err == PEL_E_TLS_ALERT_RECEIVED ? pair.client : pair.server, &info);
    PEL_EXPECT_HAS(info.failure, text);
    kit_pair_fini(&pair);
}

static struct pel_tls_config client_config(void)
{
    return kit_config(PEL_TLS_CLIENT, "client", NULL);
}

static struct pel_tls_config server_config(const char *label)
{
    return kit_config(PEL_TLS_SERVER, "server", label);
}

PEL_TEST(groups, a_server_signs_as_both_allow)
{
    for (size_t i = 0; i < 2; i++) {
        struct pel_tls_config client = client_config(), server = server_config("rsa");
        SET(client, signatures, 0x0804, 0x0805);
        SET(server, signatures, 0x0805);
        expect_secure(&client, &server, both_versions[i], 0, "CN=rsa,O=Pellucid");
        SET(client, signatures, 0x0804);
        expect_refused(&client, &server, both_versions[i], PEL_E_TLS_ALERT_RECEIVED,
                       PEL_E_TLS_NO_COMMON_SIGNATURE,
                       "the peer offers rsa_pss_rsae_sha256; configured here: rsa_pss_rsae_sha384");
        SET(client, signatures, 0x0403);
        SET(server, signatures, 0x0804, 0x0403);
        expect_refused(&client, &server, both_versions[i], PEL_E_TLS_ALERT_RECEIVED,
                       PEL_E_TLS_NO_COMMON_SIGNATURE, "the peer offers ecdsa_secp256r1_sha256");
    }
}

PEL_TEST(groups, a_client_signs_as_both_allow)
{
    for (size_t i = 0; i < 2; i++) {
        struct pel_tls_config client = client_config(), server = server_config("rsa");
        server.client_auth = PEL_TLS_AUTH_REQUIRED;
        SET(client, signatures, 0x0403, 0x0804);
        SET(server, signatures, 0x0804, 0x0403);
        expect_secure(&client, &server, both_versions[i], 0, NULL);
        SET(server, signatures, 0x0804);
        expect_refused(&client, &server, both_versions[i], PEL_E_TLS_NO_COMMON_SIGNATURE,
                       PEL_E_TLS_ALERT_RECEIVED, "");
    }
}

/* PKCS #1 signs the handshake of TLS 1.2 alone. */
PEL_TEST(groups, signatures_from_before_tls13)
{
    struct pel_tls_config client = client_config(), server = server_config("rsa");
    SET(server, signatures, 0x0401);
    expect_secure(&client, &server, PEL_TLS_V1_2, 0, NULL);
    expect_refused(&client, &server, PEL_TLS_V1_3, PEL_E_TLS_ALERT_RECEIVED, PEL_E_TLS_NO_COMMON_SIGNATURE,
                   "configured here: rsa_pkcs1_sha256");
}

PEL_TEST(groups, a_certificate_is_chosen_by_what_the_server_may_sign_with)
{
    static const char *const labels[] = {"p256", "rsa"};
    for (size_t i = 0; i < 2; i++) {
        struct pel_tls_config client = client_config(), server = server_config(NULL);
        server.more_labels = labels;
        server.num_more_labels = 2;
        expect_secure(&client, &server, both_versions[i], 0, "CN=p256,O=Pellucid");
        SET(server, signatures, 0x0804);
        expect_secure(&client, &server, both_versions[i], 0, "CN=rsa,O=Pellucid");
    }
}

/* The test authority's key is EC, so its signatures are ECDSA with SHA-256. */
PEL_TEST(groups, signatures_of_the_peers_certificates)
{
    for (size_t i = 0; i < 2; i++) {
        struct pel_tls_config client = client_config(), server = server_config("rsa");
        SET(client, cert_signatures, 0x0804, 0x0403);
        expect_secure(&client, &server, both_versions[i], 0, NULL);
        SET(client, cert_signatures, 0x0401, 0x0503);
        expect_refused(
            &client, &server, both_versions[i], PEL_E_TLS_CERT_BAD, PEL_E_TLS_ALERT_RECEIVED,
            "a certificate is signed with ecdsa_secp256r1_sha256, which SignaturePairsCert does not "
            "allow");
        client = client_config();
        server.client_auth = PEL_TLS_AUTH_REQUIRED;
        SET(server, cert_signatures, 0x0401);
        expect_refused(&client, &server, both_versions[i], PEL_E_TLS_ALERT_RECEIVED, PEL_E_TLS_CERT_BAD,
                       "which SignaturePairsCert does not allow");
    }
}

PEL_TEST(groups, a_server_has_groups_for_each_version)
{
    struct pel_tls_config client = client_config(), server = server_config(NULL);
    SET(server, groups, 25);
    SET(server, tls13_groups, 24, 29);
    expect_secure(&client, &server, PEL_TLS_V1_2, 25, NULL);
    expect_secure(&client, &server, PEL_TLS_V1_3, 24, NULL);
    SET(client, groups, 23);
    expect_refused(&client, &server, PEL_TLS_V1_2, PEL_E_TLS_ALERT_RECEIVED, PEL_E_TLS_NO_COMMON_CIPHER, "");
    expect_refused(&client, &server, PEL_TLS_V1_3, PEL_E_TLS_ALERT_RECEIVED, PEL_E_TLS_NO_COMMON_GROUP,
                   "groups: the peer offers secp256r1; configured here: secp384r1,x25519");
}

/* Writes the groups of the key shares of the hello that waits in `tls` as "23 29 ". */
static void key_shares_of(struct pel_tls *tls, char *text, size_t cap)
{
    size_t len = 0, at = 0;
    const uint8_t *bytes = pel_tls_out_peek(tls, &len);
    struct pel_reader r = pel_reader_of(bytes, len);
    (void)pel_read_bytes(&r, 5 + 4 + 2 + 32);
    (void)pel_read_bytes(&r, pel_read_u8(&r));
    (void)pel_read_bytes(&r, pel_read_u16(&r));
    (void)pel_read_bytes(&r, pel_read_u8(&r));
    (void)pel_read_u16(&r);
    text[0] = '\0';
    while (!r.failed) {
        uint16_t type = pel_read_u16(&r), ext_len = pel_read_u16(&r);
        if (type != 51) {
            (void)pel_read_bytes(&r, ext_len);
            continue;
        }
        for (size_t left = pel_read_u16(&r); left > 0 && !r.failed;) {
            uint16_t group = pel_read_u16(&r), share_len = pel_read_u16(&r);
            (void)pel_read_bytes(&r, share_len);
            left -= 4u + share_len;
            at += (size_t)snprintf(text + at, cap - at, "%u ", group);
        }
        return;
    }
}

static void expect_key_shares(const struct pel_tls_config *client, const char *wanted)
{
    struct pel_tls_env *env = NULL;
    struct pel_tls *tls = NULL;
    char text[64];
    PEL_REQUIRE_OK(pel_tls_env_new(client, &env, NULL));
    PEL_REQUIRE_OK(pel_tls_new(env, NULL, 0, NULL, &tls));
    key_shares_of(tls, text, sizeof text);
    PEL_EXPECT_STR(text, wanted);
    pel_tls_free(tls);
    pel_tls_env_unref(env);
}

PEL_TEST(groups, key_shares_are_those_of_the_policy)
{
    struct pel_tls_config client = client_config(), server = server_config(NULL);
    client.versions = PEL_TLS_V1_2 | PEL_TLS_V1_3;
    expect_key_shares(&client, "29 ");
    SET(client, groups, 23, 24, 29);
    expect_key_shares(&client, "23 ");
    SET(client, key_shares, 29);
    expect_key_shares(&client, "29 ");
    SET(client, key_shares, 24, 23);
    expect_key_shares(&client, "24 23 ");
    /* Either is used, and one that was not sent is asked for. */
    SET(server, tls13_groups, 24);
    expect_secure(&client, &server, PEL_TLS_V1_3, 24, NULL);
    SET(server, tls13_groups, 23);
    expect_secure(&client, &server, PEL_TLS_V1_3, 23, NULL);
    SET(server, tls13_groups, 29);
    expect_secure(&client, &server, PEL_TLS_V1_3, 29, NULL);
}

PEL_TEST(groups, a_key_share_of_a_group_that_is_not_offered)
{
    struct pel_tls_config client = client_config();
    struct pel_tls_env *env = NULL;
    struct pel_error error = {0};
    SET(client, groups, 23);
    SET(client, key_shares, 24);
    PEL_EXPECT(pel_tls_env_new(&client, &env, &error) != PEL_OK && env == NULL);
    PEL_EXPECT_HAS(error.text, "the versions, suites, groups and signatures do not go together");
}
