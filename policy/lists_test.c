/* SPDX-License-Identifier: Apache-2.0 */
/* The lists of a rule: signatures, groups, key shares, profiles, certificates by name. */
#include <stdio.h>
#include <string.h>

#include "policy/signatures.h"
#include "policy/testing.h"
#include "tests/harness/harness.h"

static struct pel_parsed parsed;

#define V12 PEL_POLICY_TLS1_2
#define V13 PEL_POLICY_TLS1_3

/* What the rule R of these lines comes to; NULL when the text has an error. */
static const struct pel_effective *rule_of(const char *group, const char *env, const char *conn)
{
    char text[6000];
    snprintf(text, sizeof text,
             "TTLSRule R\n{\nLocalPortRange 1\nDirection Both\nTTLSGroupAction\n{\nTTLSEnabled On\n%s}\n"
             "TTLSEnvironmentAction\n{\nTTLSKeyringParms\n{\nKeyring r\n}\n%s}\n"
             "TTLSConnectionAction\n{\n%s}\n}\n",
             group, env, conn);
    pel_test_parse(&parsed, text);
    const struct pel_rule *rule = pel_test_rule(&parsed, "R");
    return rule == NULL ? NULL : &rule->effective;
}

#define CLIENT           "HandshakeRole Client\n"
#define SERVER           "HandshakeRole Server\n"
#define SIGNATURE(lines) "TTLSSignatureParms\n{\n" lines "}\n"
#define CIPHERS(lines)   "TTLSCipherParms\n{\n" lines "}\n"
#define ENV_ADV(lines)   "TTLSEnvironmentAdvancedParms\n{\n" lines "}\n"
#define CONN_ADV(lines)  "TTLSConnectionAdvancedParms\n{\n" lines "}\n"
#define GSK(lines)       "TTLSGskAdvancedParms\n{\n" lines "}\n"
#define EXPECT_LIST(e, field, ...)                                                                           \
    do {                                                                                                     \
        static const uint16_t wanted[] = {__VA_ARGS__};                                                      \
        expect_list((e)->field, (e)->num_##field, wanted, sizeof wanted / sizeof wanted[0], __LINE__);       \
    } while (0)

static void expect_list(const uint16_t *got, size_t num_got, const uint16_t *wanted, size_t num,
                        unsigned line)
{
    if (num_got != num || memcmp(got, wanted, num * sizeof wanted[0]) != 0)
        pel_test_fail(__FILE__, (int)line, "%zu codes, the first %04x", num_got, num_got > 0 ? got[0] : 0u);
}

PEL_TEST(lists, signatures_of_either_form)
{
    const struct pel_effective *e =
        rule_of("", SERVER SIGNATURE("SignaturePairs 0403 08040401\nSignaturePairsCert 0401\n"), "");
    PEL_REQUIRE(e != NULL);
    EXPECT_LIST(e, signatures, 0x0403, 0x0804, 0x0401);
    EXPECT_LIST(e, cert_signatures, 0x0401);
    PEL_EXPECT_STR(parsed.said, "");
    pel_test_drop(&parsed);
    /* Those of certificates are those of the handshake, where they are not coded. */
    e = rule_of("", CLIENT SIGNATURE("SignaturePairs 0403\n"), "");
    PEL_REQUIRE(e != NULL);
    EXPECT_LIST(e, cert_signatures, 0x0403);
    pel_test_drop(&parsed);
    e = rule_of("", CLIENT SIGNATURE("SignaturePairs 0403\nSignaturePairsCert any\n"), "");
    PEL_REQUIRE(e != NULL);
    PEL_EXPECT_EQ(e->num_cert_signatures, 0);
    pel_test_drop(&parsed);
    e = rule_of("", CLIENT SIGNATURE("SignaturePairs Any\n"), "");
    PEL_REQUIRE(e != NULL);
    PEL_EXPECT_EQ(e->num_signatures, 0);
    pel_test_drop(&parsed);
    /* The connection's statement holds whole. */
    e = rule_of("", CLIENT SIGNATURE("SignaturePairs 0403\nClientKeyShareGroups 0023\n"),
                SIGNATURE("ClientECurves 0023\n"));
    PEL_REQUIRE(e != NULL);
    PEL_EXPECT_EQ(e->num_signatures, 0);
    PEL_EXPECT_HAS(parsed.said,
                   "warning: TTLSRule \"R\": ClientKeyShareGroups, SignaturePairs of the "
                   "environment action not used: the connection action's TTLSSignatureParms takes "
                   "the place of the whole statement\n");
    pel_test_drop(&parsed);
    e = rule_of("", CLIENT SIGNATURE("SignaturePairs 0403\n"), SIGNATURE("SignaturePairs 0403\n"));
    PEL_REQUIRE(e != NULL);
    PEL_EXPECT_STR(parsed.said, "");
    pel_test_drop(&parsed);
    e = rule_of("", CLIENT CIPHERS("V3CipherSuites4Char 1302\n"), CIPHERS(""));
    PEL_REQUIRE(e != NULL);
    PEL_EXPECT_HAS(parsed.said, "V3CipherSuites of the environment action not used: the connection action's "
                                "TTLSCipherParms takes the place of the whole statement\n");
    pel_test_drop(&parsed);
}

PEL_TEST(lists, signatures_that_do_not_exist_here)
{
    static const struct {
        const char *line, *said;
    } rows[] = {
        {"SignaturePairs 0402 0301 0403\n",
         "3:16: warning: SignaturePairs: DSA with SHA-256 (0402) is not available here and is left out\n"
         "3:21: warning: SignaturePairs: RSA with SHA-224 (0301) is not available here and is left out\n"},
        {"SignaturePairs 0402\n",
         "3:16: warning: SignaturePairs: DSA with SHA-256 (0402) is not available here and is left out\n"
         "3:16: error: SignaturePairs: no signature is left\n"},
        {"SignaturePairs 0499\n", "3:16: error: SignaturePairs: \"0499\" is not a signature algorithm; write "
                                  "its code in 4 hexadecimal digits, as 0403\n"},
        {"SignaturePairs 04x3\n", "3:16: error: SignaturePairs: \"04x3\" is not a signature algorithm; write "
                                  "its code in 4 hexadecimal digits, as 0403\n"},
        {"SignaturePairs 040\n", "3:16: error: SignaturePairs: not made of signatures of 4 digits\n"},
        {"SignaturePairsCert Any 0403\n",
         "3:20: error: SignaturePairsCert: Any cannot be combined with a list\n"},
        {"SignaturePairs\n", "3:1: error: SignaturePairs needs a value\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[300];
        snprintf(text, sizeof text, "TTLSSignatureParms S\n{\n%s}\n", rows[i].line);
        pel_test_parse(&parsed, text);
        PEL_EXPECT_STR(parsed.said, rows[i].said);
        pel_test_drop(&parsed);
    }
}

PEL_TEST(lists, tls13_needs_a_signature_of_its_own)
{
    const struct pel_effective *e = rule_of("", SERVER SIGNATURE("SignaturePairs 0601 0501 0401\n"), "");
    PEL_REQUIRE(e != NULL);
    PEL_EXPECT_EQ(e->versions, V12);
    PEL_EXPECT_STR(parsed.said, "1:1: warning: TTLSRule \"R\": TLSv1.3 is on, but no signature of "
                                "SignaturePairs is for it: not offered\n");
    pel_test_drop(&parsed);
    /* A list from before TLS 1.3: a peer with an RSA certificate would be lost to it. */
    e = rule_of("", SERVER SIGNATURE("SignaturePairs 0401 0403\n"), "");
    PEL_REQUIRE(e != NULL);
    PEL_EXPECT_EQ(e->versions, V12);
    PEL_EXPECT_HAS(parsed.said,
                   "no 0804, 0805 or 0806 for RSA certificates in it (code TLSv1.3 On to offer it");
    pel_test_drop(&parsed);
    e = rule_of("", SERVER SIGNATURE("SignaturePairs 0401 0403\n"), CONN_ADV("TLSv1.3 On\n"));
    PEL_REQUIRE(e != NULL);
    PEL_EXPECT_EQ(e->versions, V12 | V13);
    PEL_EXPECT_HAS(parsed.said, "in TLS 1.3 no RSA certificate can be used");
    pel_test_drop(&parsed);
    e = rule_of("", SERVER SIGNATURE("SignaturePairs 0403 0503\n"), "");
    PEL_REQUIRE(e != NULL);
    PEL_EXPECT_EQ(e->versions, V12 | V13);
    PEL_EXPECT_STR(parsed.said, "");
    pel_test_drop(&parsed);
    PEL_EXPECT(rule_of("", SERVER SIGNATURE("SignaturePairs 0401\n"), CONN_ADV("TLSv1.2 Off\n")) == NULL);
    PEL_EXPECT_HAS(
        parsed.said,
        "error: TTLSRule \"R\": no signature of its SignaturePairs is for a TLS version that is on");
    pel_test_drop(&parsed);
}

PEL_TEST(lists, groups_by_role_and_version)
{
    static const char lines[] = SIGNATURE("ClientECurves 0024 0023\nClientKeyShareGroups 0023\n"
                                          "ServerKexECurves 0025\nServerKeyShareGroups 0029 0024\n");
    char env[400];
    snprintf(env, sizeof env, "%s%s", CLIENT, lines);
    const struct pel_effective *e = rule_of("", env, "");
    PEL_REQUIRE(e != NULL);
    EXPECT_LIST(e, groups, 24, 23);
    EXPECT_LIST(e, key_shares, 23);
    PEL_EXPECT_EQ(e->num_tls13_groups, 0);
    pel_test_drop(&parsed);
    snprintf(env, sizeof env, "%s%s", SERVER, lines);
    e = rule_of("", env, "");
    PEL_REQUIRE(e != NULL);
    EXPECT_LIST(e, groups, 25);
    EXPECT_LIST(e, tls13_groups, 29, 24);
    PEL_EXPECT_EQ(e->num_key_shares, 0);
    pel_test_drop(&parsed);
}

/* ServerKexECurves is for TLS 1.2 alone. */
PEL_TEST(lists, a_server_has_groups_of_tls13_by_default)
{
    const struct pel_effective *e = rule_of("", SERVER SIGNATURE("ServerKexECurves 0023\n"), "");
    PEL_REQUIRE(e != NULL);
    EXPECT_LIST(e, groups, 23);
    EXPECT_LIST(e, tls13_groups, 29, 23, 24, 25);
    PEL_EXPECT_STR(parsed.said, "");
    pel_test_drop(&parsed);
    e = rule_of("", SERVER SIGNATURE("ServerKexECurves 0023\nServerKeyShareGroups Any\n"), "");
    PEL_REQUIRE(e != NULL);
    EXPECT_LIST(e, tls13_groups, 29, 23, 24, 25);
    pel_test_drop(&parsed);
    e = rule_of("FIPS140 On\n", SERVER SIGNATURE("ServerKexECurves 0024\n"), "");
    PEL_REQUIRE(e != NULL);
    EXPECT_LIST(e, groups, 24);
    EXPECT_LIST(e, tls13_groups, 23, 24, 25);
    pel_test_drop(&parsed);
    e = rule_of("", CLIENT SIGNATURE("ServerKexECurves 0023\n"), "");
    PEL_REQUIRE(e != NULL);
    PEL_EXPECT(e->num_groups == 0 && e->num_tls13_groups == 0);
    pel_test_drop(&parsed);
}

PEL_TEST(lists, key_shares_are_of_groups_that_are_offered)
{
    const struct pel_effective *e =
        rule_of("", CLIENT SIGNATURE("ClientECurves 0023 0024\nClientKeyShareGroups 0029 0024\n"), "");
    PEL_REQUIRE(e != NULL);
    EXPECT_LIST(e, key_shares, 24);
    PEL_EXPECT_STR(parsed.said, "1:1: warning: TTLSRule \"R\": 1 of ClientKeyShareGroups not offered "
                                "(ClientECurves) and left out\n");
    pel_test_drop(&parsed);
    e = rule_of("", CLIENT SIGNATURE("ClientKeyShareGroups 0023 0024 0029\n"), "");
    PEL_REQUIRE(e != NULL);
    EXPECT_LIST(e, key_shares, 23, 24);
    PEL_EXPECT_HAS(parsed.said, "a client sends 2 key shares at most");
    pel_test_drop(&parsed);
    PEL_EXPECT(rule_of("", CLIENT SIGNATURE("ClientECurves 0023\nClientKeyShareGroups 0029\n"), "") == NULL);
    PEL_EXPECT_STR(parsed.said, "1:1: error: TTLSRule \"R\": no group of ClientKeyShareGroups is offered "
                                "(ClientECurves)\n");
    pel_test_drop(&parsed);
}

PEL_TEST(lists, suite_b)
{
    static const struct {
        const char *level;
        uint16_t ciphers[2], groups[2], signatures[2];
        size_t num;
        uint32_t ecc_bits;
    } rows[] = {
        {"128", {0xc02b}, {23}, {0x0403}, 1, 256},
        {"128Min", {0xc02b, 0xc02c}, {23, 24}, {0x0403, 0x0503}, 2, 256},
        {"192", {0xc02c}, {24}, {0x0503}, 1, 384},
        {"192min", {0xc02c}, {24}, {0x0503}, 1, 384},
        {"ALL", {0xc02b, 0xc02c}, {23, 24}, {0x0403, 0x0503}, 2, 256},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char env[200];
        snprintf(env, sizeof env, "%sSuiteBProfile %s\n", i % 2 ? CLIENT : SERVER, rows[i].level);
        const struct pel_effective *e = rule_of("", env, "");
        PEL_REQUIRE(e != NULL);
        PEL_EXPECT_EQ(e->versions, V12);
        expect_list(e->ciphers, e->num_ciphers, rows[i].ciphers, rows[i].num, __LINE__);
        expect_list(e->groups, e->num_groups, rows[i].groups, rows[i].num, __LINE__);
        expect_list(e->signatures, e->num_signatures, rows[i].signatures, rows[i].num, __LINE__);
        expect_list(e->cert_signatures, e->num_cert_signatures, rows[i].signatures, rows[i].num, __LINE__);
        PEL_EXPECT_EQ(e->min_ecc_bits, rows[i].ecc_bits);
        PEL_EXPECT_STR(parsed.said, "");
        pel_test_drop(&parsed);
    }
    const struct pel_effective *off = rule_of("", SERVER "SuiteBProfile Off\n", "");
    PEL_REQUIRE(off != NULL);
    PEL_EXPECT(off->num_ciphers == 0 && off->versions == (V12 | V13));
    pel_test_drop(&parsed);
}

PEL_TEST(lists, suite_b_cuts_what_is_coded)
{
    const struct pel_effective *e =
        rule_of("", SERVER "SuiteBProfile All\n" CIPHERS("V3CipherSuites4Char C030C02C1301C02B\n"),
                CONN_ADV("TLSv1.3 On\n"));
    PEL_REQUIRE(e != NULL);
    EXPECT_LIST(e, ciphers, 0xc02c, 0xc02b);
    PEL_EXPECT_EQ(e->versions, V12);
    PEL_EXPECT_STR(parsed.said,
                   "1:1: note: TTLSRule \"R\": SuiteBProfile All leaves out 2 of its 4 suites\n"
                   "1:1: warning: TTLSRule \"R\": TLSv1.3 is on, but not allowed by SuiteBProfile All: not "
                   "offered\n");
    pel_test_drop(&parsed);
    PEL_EXPECT(rule_of("", SERVER "SuiteBProfile 128\n" CIPHERS("V3CipherSuites4Char C02C\n"), "") == NULL);
    PEL_EXPECT_STR(parsed.said,
                   "1:1: error: TTLSRule \"R\": SuiteBProfile 128 leaves nothing of its suites\n");
    pel_test_drop(&parsed);
    PEL_EXPECT(rule_of("", SERVER "SuiteBProfile 192\n" SIGNATURE("SignaturePairs 0403 0401\n"), "") == NULL);
    PEL_EXPECT_STR(parsed.said,
                   "1:1: error: TTLSRule \"R\": SuiteBProfile 192 leaves nothing of its SignaturePairs\n");
    pel_test_drop(&parsed);
    PEL_EXPECT(rule_of("", SERVER "SuiteBProfile 192\n", CONN_ADV("TLSv1.2 Off\n")) == NULL);
    PEL_EXPECT_STR(parsed.said, "1:1: error: TTLSRule \"R\": no TLS version that is on is allowed by its "
                                "SuiteBProfile or FIPS140\n");
    pel_test_drop(&parsed);
}

PEL_TEST(lists, fips)
{
    const struct pel_effective *e = rule_of("FIPS140 Level2\n", SERVER, "");
    PEL_REQUIRE(e != NULL);
    EXPECT_LIST(e, ciphers, 0x1301, 0x1302, 0xc02b, 0xc02f, 0xc02c, 0xc030);
    EXPECT_LIST(e, groups, 23, 24, 25);
    EXPECT_LIST(e, tls13_groups, 23, 24, 25);
    PEL_EXPECT_EQ(e->num_signatures, 9);
    PEL_EXPECT(e->fips && e->versions == (V12 | V13) && e->min_rsa_bits == 2048 && e->min_ecc_bits == 224);
    PEL_EXPECT_STR(parsed.said,
                   "8:1: note: FIPS140 Level2: approved algorithms; the module is not validated\n");
    pel_test_drop(&parsed);
    e = rule_of("FIPS140 On\n",
                CLIENT CIPHERS("V3CipherSuites4Char C0131303C02F\nV3CipherSuites 352F\n")
                    SIGNATURE("ClientECurves 0029 0024\nSignaturePairs 0201 0804\n")
                        ENV_ADV("PeerMinRsaKeySize 3072\nPeerMinECCKeySize 160\nTLSv1.1 On\n"),
                "");
    PEL_REQUIRE(e != NULL);
    EXPECT_LIST(e, ciphers, 0xc013, 0xc02f);
    EXPECT_LIST(e, groups, 24);
    EXPECT_LIST(e, signatures, 0x0804);
    PEL_EXPECT(e->versions == V12 && e->min_rsa_bits == 3072 && e->min_ecc_bits == 224);
    PEL_EXPECT_HAS(parsed.said, "FIPS140 leaves out 3 of its 5 suites");
    PEL_EXPECT_HAS(parsed.said, "FIPS140 leaves out 1 of its 2 groups");
    PEL_EXPECT_HAS(parsed.said, "TLSv1.1 is on, but not allowed by FIPS140: not offered");
    pel_test_drop(&parsed);
    e = rule_of("FIPS140 Off\n", CLIENT, "");
    PEL_REQUIRE(e != NULL);
    PEL_EXPECT(!e->fips && e->num_ciphers == 0 && e->min_rsa_bits == 1024 && e->min_ecc_bits == 192);
    PEL_EXPECT_STR(parsed.said, "");
    pel_test_drop(&parsed);
}

PEL_TEST(lists, both_profiles)
{
    const struct pel_effective *e = rule_of("FIPS140 On\n", SERVER "SuiteBProfile 192\n", "");
    PEL_REQUIRE(e != NULL);
    EXPECT_LIST(e, ciphers, 0xc02c);
    EXPECT_LIST(e, groups, 24);
    PEL_EXPECT(e->versions == V12 && e->min_ecc_bits == 384);
    pel_test_drop(&parsed);
}

PEL_TEST(lists, names_and_labels)
{
    const struct pel_effective *e = rule_of(
        "",
        SERVER ENV_ADV("ServerHandshakeSNI Required\nServerHandshakeSNIMatch Required\n"
                       "ServerHandshakeSNIList www.example WWW cert\nServerHandshakeSNIList b.example/B\n"
                       "ServerCertificateLabel one\n"),
        CONN_ADV("ServerHandshakeSNI Optional\n"));
    PEL_REQUIRE(e != NULL);
    PEL_EXPECT(e->sni == PEL_DEMAND_OPTIONAL && e->sni_match);
    PEL_REQUIRE(e->num_server_sni == 2);
    PEL_EXPECT_STR(e->server_sni_hosts[0], "www.example");
    PEL_EXPECT_STR(e->server_sni_labels[0], "WWW cert");
    PEL_EXPECT_STR(e->server_sni_hosts[1], "b.example");
    PEL_EXPECT_STR(e->server_sni_labels[1], "B");
    PEL_EXPECT_EQ(e->num_server_certificate_labels, 1);
    PEL_EXPECT_STR(parsed.said, "");
    pel_test_drop(&parsed);
    e = rule_of("", CLIENT,
                CONN_ADV("ClientHandshakeSNI Required\nClientHandshakeSNIList c.example\n"
                         "ServerHandshakeSNI Off\nServerHandshakeSNIMatch Required\n"));
    PEL_REQUIRE(e != NULL);
    PEL_EXPECT(e->sni == PEL_DEMAND_REQUIRED && !e->sni_match);
    PEL_EXPECT_STR(e->client_sni_name, "c.example");
    pel_test_drop(&parsed);
    e = rule_of("", CLIENT, "");
    PEL_REQUIRE(e != NULL);
    PEL_EXPECT(e->sni == PEL_DEMAND_OPTIONAL && e->client_sni_name == NULL);
    pel_test_drop(&parsed);
    e = rule_of("", SERVER, "");
    PEL_REQUIRE(e != NULL);
    PEL_EXPECT_EQ(e->sni, PEL_DEMAND_OFF);
    pel_test_drop(&parsed);
    PEL_EXPECT(rule_of("", SERVER ENV_ADV("ServerHandshakeSNIList www.example\n"), "") == NULL);
    PEL_EXPECT_HAS(parsed.said, "error: ServerHandshakeSNIList: a name and a label are needed, as in "
                                "\"www.example.com WWWCERT\"");
    pel_test_drop(&parsed);
    PEL_EXPECT(rule_of("", SERVER ENV_ADV("ServerHandshakeSNIList /WWW\n"), "") == NULL);
    pel_test_drop(&parsed);
}

PEL_TEST(lists, demands_of_the_role)
{
    static const char demands[] =
        ENV_ADV("ClientExtendedMasterSecret Required\nRenegotiationIndicator Server\n"
                "PeerMinCertVersion 3\n3DesKeyCheck On\nPeerMinRsaKeySize 4096\n");
    char env[600];
    snprintf(env, sizeof env, "%s%s", CLIENT, demands);
    const struct pel_effective *e = rule_of("", env, "");
    PEL_REQUIRE(e != NULL);
    PEL_EXPECT(e->extended_master_secret_required && e->renegotiation_indicated && e->cert_version_3);
    PEL_EXPECT(e->des_key_check && e->min_rsa_bits == 4096);
    pel_test_drop(&parsed);
    snprintf(env, sizeof env, "%s%s", SERVER, demands);
    e = rule_of("", env, "");
    PEL_REQUIRE(e != NULL);
    PEL_EXPECT(!e->extended_master_secret_required && !e->renegotiation_indicated);
    pel_test_drop(&parsed);
    e = rule_of("", SERVER ENV_ADV("ServerExtendedMasterSecret Required\nRenegotiationIndicator Client\n"),
                "");
    PEL_REQUIRE(e != NULL);
    PEL_EXPECT(e->extended_master_secret_required && e->renegotiation_indicated);
    pel_test_drop(&parsed);
    e = rule_of("", SERVER ENV_ADV("RenegotiationIndicator Both\nResetCipherTimer 3\n"),
                CONN_ADV("HostRefWildcardValidation On\n"));
    PEL_REQUIRE(e != NULL);
    PEL_EXPECT(e->renegotiation_indicated && e->host_reference_wildcards && e->reset_cipher_s == 180);
    pel_test_drop(&parsed);
}

PEL_TEST(lists, what_cannot_do_what_it_seems_to)
{
    PEL_REQUIRE(rule_of("", SERVER, CONN_ADV("TLSv1.3 Off\nResetCipherTimer 5\n")) != NULL);
    PEL_EXPECT_STR(parsed.said,
                   "1:1: note: TTLSRule \"R\": ResetCipherTimer: accepted, no effect: only TLS 1.3 "
                   "renews its keys, and it is not offered\n");
    pel_test_drop(&parsed);
    PEL_REQUIRE(rule_of("", SERVER, CONN_ADV("ResetCipherTimer 5\n")) != NULL);
    PEL_EXPECT_STR(parsed.said, "");
    pel_test_drop(&parsed);
    PEL_REQUIRE(rule_of("", SERVER,
                        CONN_ADV("ServerHandshakeSNI Optional\nServerHandshakeSNIMatch Required\n")) != NULL);
    PEL_EXPECT_HAS(parsed.said,
                   "1:1: warning: TTLSRule \"R\": ServerHandshakeSNIMatch is Required, but "
                   "ServerHandshakeSNIList has no name: every client that names a server is refused");
    pel_test_drop(&parsed);
}

PEL_TEST(lists, sessions)
{
    const struct pel_effective *e = rule_of("", SERVER, "");
    PEL_REQUIRE(e != NULL);
    PEL_EXPECT(e->sessions.timeout_s == 86400 && e->sessions.max_kept == 512 && e->sessions.client_tickets);
    PEL_EXPECT(e->sessions.server_tickets && e->sessions.server_ticket_count == 2);
    PEL_EXPECT(e->sessions.server_ticket_timeout_s == 300 && e->sessions.server_ticket_refresh_s == 300);
    PEL_EXPECT(e->sessions.client_ticket_max_len == 8192 && e->sessions.client_tickets_max_kept == 64);
    pel_test_drop(&parsed);
    e = rule_of("",
                SERVER GSK("GSK_V3_SESSION_TIMEOUT 0\nGSK_V3_SIDCACHE_SIZE 7\n"
                           "GSK_SESSION_TICKET_SERVER_ENABLE Off\nGSK_SESSION_TICKET_SERVER_COUNT 5\n"
                           "GSK_SESSION_TICKET_SERVER_ALGORITHM AESCBC256\n"
                           "GSK_SESSION_TICKET_SERVER_TIMEOUT 60\nGSK_SESSION_TICKET_SERVER_KEY_REFRESH 30\n"
                           "GSK_SESSION_TICKET_CLIENT_MAXSIZE 100\nGSK_SESSION_TICKET_CLIENT_MAXCACHED 3\n"),
                "");
    PEL_REQUIRE(e != NULL);
    PEL_EXPECT(e->sessions.timeout_s == 0 && e->sessions.max_kept == 7 && !e->sessions.server_tickets);
    PEL_EXPECT(e->sessions.server_ticket_aes256 && e->sessions.server_ticket_count == 5);
    PEL_EXPECT(e->sessions.server_ticket_timeout_s == 60 && e->sessions.server_ticket_refresh_s == 30);
    PEL_EXPECT(e->sessions.client_ticket_max_len == 100 && e->sessions.client_tickets_max_kept == 3);
    PEL_EXPECT_STR(parsed.said, "");
    pel_test_drop(&parsed);
}

PEL_TEST(lists, values_that_cannot_be_met_or_change_nothing)
{
    static const struct {
        const char *line, *said;
    } rows[] = {
        {"TruncatedHMAC Required\n", "TruncatedHMAC: Required cannot be met: the handshake library has no "
                                     "truncated HMAC"},
        {"TruncatedHMAC Optional\n", "note: TruncatedHMAC Optional: accepted, no effect: the handshake"},
        {"ClientMaxSSLFragment Required\n", "error: ClientMaxSSLFragment: Required cannot be met"},
        {"ServerMaxSSLFragment Required\n", "error: ServerMaxSSLFragment: Required cannot be met"},
        {"ServerMaxSSLFragment Optional\n", "note: ServerMaxSSLFragment Optional: accepted, no effect: "},
        {"Renegotiation All\n", "note: Renegotiation All: accepted, no effect: renegotiation is refused"},
        {"RenegotiationCertCheck On\n", "note: RenegotiationCertCheck On: accepted, no effect: "},
        {"CertValidationMode RFC3280\n", "note: CertValidationMode RFC3280: accepted, no effect: "},
        {"ServerScsv Off\n", "note: ServerScsv Off: accepted, no effect: "},
        {"MiddleBoxCompatMode Off\n", "note: MiddleBoxCompatMode Off: accepted, no effect: "},
        {"ClientExtendedMasterSecret Off\n", "note: ClientExtendedMasterSecret Off: accepted, no effect: "},
        {"PeerMinDHKeySize 2048\n", "note: PeerMinDHKeySize: accepted, no effect: no suite with DHE"},
        {"PeerMinDsaKeySize 2048\n", "note: PeerMinDsaKeySize: accepted, no effect: no suite with DSA"},
        {"TruncatedHMAC Off\nServerScsv On\nRenegotiation Disabled\nMiddleBoxCompatMode On\n", NULL},
        {"CertValidationMode RFC5280\nRenegotiationCertCheck Off\nServerMaxSSLFragment Off\n", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[500];
        snprintf(text, sizeof text, "TTLSEnvironmentAdvancedParms A\n{\n%s}\n", rows[i].line);
        pel_test_parse(&parsed, text);
        if (rows[i].said != NULL)
            PEL_EXPECT_HAS(parsed.said, rows[i].said);
        else
            PEL_EXPECT_STR(parsed.said, "");
        pel_test_drop(&parsed);
    }
}
