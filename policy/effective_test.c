/* SPDX-License-Identifier: Apache-2.0 */
/* What holds for a rule: inheritance, defaults, lists. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/ciphers.h"
#include "policy/testing.h"
#include "tests/harness/harness.h"

static struct pel_parsed parsed;

#define V12 PEL_POLICY_TLS1_2
#define V13 PEL_POLICY_TLS1_3

/* A rule whose group, environment and connection actions have these lines. */
static const struct pel_effective *effective_of(const char *group, const char *env, const char *conn)
{
    char text[4000];
    snprintf(
        text, sizeof text,
        "TTLSRule R\n{\nLocalPortRange 1\nDirection Inbound\n"
        "TTLSGroupAction\n{\nTTLSEnabled On\n%s}\n"
        "TTLSEnvironmentAction\n{\nHandshakeRole Server\nTTLSKeyringParms\n{\nKeyring user/ring\n}\n%s}\n"
        "TTLSConnectionAction\n{\n%s}\n}\n",
        group, env, conn);
    pel_test_parse(&parsed, text);
    if (parsed.err != PEL_OK)
        pel_test_fail(__FILE__, __LINE__, "not parsed: %s", parsed.said);
    const struct pel_rule *rule = pel_test_rule(&parsed, "R");
    return rule == NULL ? NULL : &rule->effective;
}

#define GROUP_ADV(lines) "TTLSGroupAdvancedParms\n{\n" lines "}\n"
#define ENV_ADV(lines)   "TTLSEnvironmentAdvancedParms\n{\n" lines "}\n"
#define CONN_ADV(lines)  "TTLSConnectionAdvancedParms\n{\n" lines "}\n"

PEL_TEST(effective, defaults)
{
    const struct pel_effective *e = effective_of("", "", "");
    PEL_REQUIRE(e != NULL);
    PEL_EXPECT(e->ttls_enabled);
    PEL_EXPECT(!e->application_controlled);
    PEL_EXPECT_EQ(e->role, PEL_ROLE_SERVER);
    PEL_EXPECT_EQ(e->client_auth, PEL_CLIENT_AUTH_REQUIRED);
    PEL_EXPECT_EQ(e->versions, V12 | V13);
    PEL_EXPECT_EQ(e->num_ciphers, 0);
    PEL_EXPECT_EQ(e->num_groups, 0);
    PEL_EXPECT_STR(e->keyring, "user/ring");
    PEL_EXPECT(e->keyring_pw == NULL && e->keyring_stash_file == NULL);
    PEL_EXPECT(e->certificate_label == NULL && e->num_server_certificate_labels == 0);
    PEL_EXPECT_EQ(e->handshake_timeout_s, 10);
    PEL_EXPECT(e->host_reference_dns == NULL && e->host_reference_cn == NULL);
    PEL_EXPECT_EQ(e->trace, 2);
    pel_test_drop(&parsed);
}

PEL_TEST(effective, secondary_map_goes_up_all_three_levels)
{
    static const struct {
        const char *group, *env, *conn;
        bool is_on;
    } cases[] = {
        {"", "", "", false},
        {GROUP_ADV("SecondaryMap On\n"), "", "", true},
        {GROUP_ADV("SecondaryMap On\n"), ENV_ADV("SecondaryMap Off\n"), "", false},
        {GROUP_ADV("SecondaryMap Off\n"), ENV_ADV("SecondaryMap On\n"), "", true},
        {"", ENV_ADV("SecondaryMap On\n"), CONN_ADV("SecondaryMap Off\n"), false},
        {"", ENV_ADV("HandshakeTimeout 5\n"), CONN_ADV("SecondaryMap On\n"), true},
        {GROUP_ADV("SecondaryMap On\n"), ENV_ADV("HandshakeTimeout 5\n"), CONN_ADV("TLSv1.2 On\n"), true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct pel_effective *e = effective_of(cases[i].group, cases[i].env, cases[i].conn);
        PEL_EXPECT_EQ(e->secondary_map, cases[i].is_on);
        pel_test_drop(&parsed);
    }
}

/* Where TLS is off there is nothing that a later connection could follow. */
PEL_TEST(effective, a_rule_that_is_off_has_no_secondary_map)
{
    pel_test_parse(&parsed, "TTLSRule R\n{\nLocalPortRange 1\nDirection Inbound\nTTLSGroupAction\n{\n"
                            "TTLSEnabled Off\nTTLSGroupAdvancedParms\n{\nSecondaryMap On\n}\n}\n}\n");
    PEL_REQUIRE_OK(parsed.err);
    PEL_EXPECT(!pel_test_rule(&parsed, "R")->effective.secondary_map);
    pel_test_drop(&parsed);
}

/* What a rule without a word of versions, and with these, speaks where uncoded means what z/OS means. */
static uint32_t zos_versions(const char *lines)
{
    const struct pel_policy_options options = {.flags = PEL_POLICY_COMPAT_ZOS};
    char text[1000];
    snprintf(text, sizeof text,
             "TTLSRule R\n{\nLocalPortRange 1\nDirection Inbound\nTTLSGroupAction\n{\nTTLSEnabled On\n}\n"
             "TTLSEnvironmentAction\n{\nHandshakeRole Server\nTTLSKeyringParms\n{\nKeyring r\n}\n"
             "TTLSEnvironmentAdvancedParms\n{\n%s}\n}\n}\n",
             lines);
    pel_test_parse_as(&parsed, text, &options);
    const struct pel_rule *rule = pel_test_rule(&parsed, "R");
    uint32_t versions = rule != NULL ? rule->effective.versions : 0;
    pel_test_drop(&parsed);
    return versions;
}

PEL_TEST(effective, versions_as_on_zos)
{
    PEL_EXPECT_EQ(zos_versions(""), PEL_POLICY_TLS1_0 | PEL_POLICY_TLS1_1);
    PEL_EXPECT_STR(parsed.said, "1:1: warning: TTLSRule \"R\": old versions are on, since not coded Off "
                                "(compat zos): TLSv1 TLSv1.1\n");
    PEL_EXPECT_EQ(zos_versions("TLSv1.2 On\n"), PEL_POLICY_TLS1_0 | PEL_POLICY_TLS1_1 | V12);
    PEL_EXPECT_EQ(zos_versions("TLSv1 Off\nTLSv1.2 On\n"), PEL_POLICY_TLS1_1 | V12);
    PEL_EXPECT_STR(parsed.said, "1:1: warning: TTLSRule \"R\": old versions are on, since not coded Off "
                                "(compat zos): TLSv1.1\n");
    PEL_EXPECT_EQ(zos_versions("TLSv1 Off\nTLSv1.1 Off\nTLSv1.2 On\n"), V12);
    PEL_EXPECT_STR(parsed.said, "");
    /* Old ones that only the defaults turn on do not make a gap below TLS 1.3. */
    PEL_EXPECT_EQ(zos_versions("TLSv1.3 On\n"), V13);
    PEL_EXPECT_HAS(parsed.said, "(compat zos): TLSv1 TLSv1.1; not offered, since TLSv1.2 is not on");
    PEL_EXPECT_EQ(zos_versions("TLSv1 On\nTLSv1.3 On\n"), 0);
    PEL_EXPECT_HAS(parsed.said, "TLSv1.3 and an older version are on without TLSv1.2 between them");
}

PEL_TEST(effective, trace_goes_up_all_three_levels)
{
    PEL_EXPECT_EQ(effective_of("Trace 1\n", "", "")->trace, 1);
    pel_test_drop(&parsed);
    PEL_EXPECT_EQ(effective_of("Trace 1\n", "Trace 4\n", "")->trace, 4);
    pel_test_drop(&parsed);
    PEL_EXPECT_EQ(effective_of("Trace 1\n", "Trace 4\n", "Trace 0\n")->trace, 0);
    pel_test_drop(&parsed);
}

PEL_TEST(effective, a_clients_tickets)
{
    static const struct {
        const char *env;
        bool tickets;
    } rows[] = {
        {"", true},
        {"TTLSGskAdvancedParms\n{\n}\n", true},
        {"TTLSGskAdvancedParms\n{\nGSK_SESSION_TICKET_CLIENT_ENABLE On\n}\n", true},
        {"TTLSGskAdvancedParms\n{\nGSK_SESSION_TICKET_CLIENT_ENABLE Off\n}\n", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct pel_effective *e = effective_of("", rows[i].env, "");
        PEL_REQUIRE(e != NULL);
        PEL_EXPECT_EQ(e->sessions.client_tickets, rows[i].tickets);
        PEL_EXPECT_EQ(parsed.num_warnings, 0);
        pel_test_drop(&parsed);
    }
}

PEL_TEST(effective, connection_before_environment)
{
    const struct pel_effective *e = effective_of(
        "",
        ENV_ADV("HandshakeTimeout 20\nApplicationControlled On\nClientAuthType SAFCheck\nTLSv1.3 Off\n"
                "CertificateLabel env label\nHostReferenceIdDNS a.example\nHostReferenceIdCN b.example\n"),
        "HandshakeRole ServerWithClientAuth\n" CONN_ADV(
            "HandshakeTimeout 0\nTLSv1.2 On\nCertificateLabel \nHostReferenceIdDNS c.example\n"));
    PEL_REQUIRE(e != NULL);
    PEL_EXPECT_EQ(e->handshake_timeout_s, 0);
    PEL_EXPECT(e->application_controlled);
    PEL_EXPECT_EQ(e->client_auth, PEL_CLIENT_AUTH_SAFCHECK);
    PEL_EXPECT_EQ(e->role, PEL_ROLE_SERVER_WITH_CLIENT_AUTH);
    PEL_EXPECT_EQ(e->versions, V12);
    PEL_EXPECT_STR(e->certificate_label, "");
    PEL_EXPECT_STR(e->host_reference_dns, "c.example");
    PEL_EXPECT_STR(e->host_reference_cn, "b.example");
    pel_test_drop(&parsed);
}

PEL_TEST(effective, labels_are_the_rest_of_the_line)
{
    const struct pel_effective *e =
        effective_of("", ENV_ADV("CertificateLabel My label {1}  # not this\nServerCertificateLabel env\n"),
                     CONN_ADV("ServerCertificateLabel RSA key\nServerCertificateLabel EC\n"));
    PEL_REQUIRE(e != NULL);
    PEL_EXPECT_STR(e->certificate_label, "My label {1}");
    PEL_REQUIRE(e->num_server_certificate_labels == 2);
    PEL_EXPECT_STR(e->server_certificate_labels[0], "RSA key");
    PEL_EXPECT_STR(e->server_certificate_labels[1], "EC");
    PEL_EXPECT_EQ(parsed.num_warnings, 0);
    pel_test_drop(&parsed);
}

PEL_TEST(effective, no_certificate_in_two_ways)
{
    static const char *const conn[] = {CONN_ADV("CertificateLabel\n"), CONN_ADV("CertificateLabel None\n")};
    for (size_t i = 0; i < 2; i++) {
        const struct pel_effective *e = effective_of("", ENV_ADV("CertificateLabel env\n"), conn[i]);
        PEL_REQUIRE(e != NULL);
        PEL_EXPECT_STR(e->certificate_label, "");
        PEL_EXPECT_EQ(parsed.num_warnings, 0);
        pel_test_drop(&parsed);
    }
    const struct pel_effective *e = effective_of("", "", CONN_ADV("CertificateLabel none of it\n"));
    PEL_REQUIRE(e != NULL);
    PEL_EXPECT_STR(e->certificate_label, "none of it");
    pel_test_drop(&parsed);
}

PEL_TEST(effective, keyring_password_and_stash)
{
    static const char text[] =
        "TTLSRule R\n{\nLocalPortRange 1\nDirection Inbound\nTTLSGroupAction\n{\nTTLSEnabled On\n}\n"
        "TTLSEnvironmentAction\n{\nHandshakeRole Client\nTTLSKeyringParms\n{\nKeyring /a.p12\nKeyringPw "
        "secret\n}\n}\n}\n";
    pel_test_parse(&parsed, text);
    PEL_REQUIRE(parsed.err == PEL_OK);
    const struct pel_effective *e = &pel_test_rule(&parsed, "R")->effective;
    PEL_EXPECT_STR(e->keyring, "/a.p12");
    PEL_EXPECT_STR(e->keyring_pw, "secret");
    PEL_EXPECT_EQ(e->role, PEL_ROLE_CLIENT);
    pel_test_drop(&parsed);
}

PEL_TEST(effective, off_needs_no_environment)
{
    pel_test_parse(&parsed, "TTLSRule R\n{\nJobname *\nDirection Both\nTTLSGroupActionRef G\n}\n"
                            "TTLSGroupAction G\n{\nTTLSEnabled Off\n}\n");
    PEL_REQUIRE(parsed.err == PEL_OK);
    const struct pel_rule *rule = pel_test_rule(&parsed, "R");
    PEL_EXPECT(!rule->effective.ttls_enabled);
    PEL_EXPECT_STR(rule->effective.keyring, "");
    PEL_EXPECT_STR(rule->group_action, "G");
    PEL_EXPECT_STR(rule->environment_action, "");
    PEL_EXPECT_EQ(rule->direction, PEL_BOTH);
    pel_test_drop(&parsed);
}

static void expect_suites(const char *lines, const uint16_t *codes, size_t num, uint32_t versions)
{
    char conn[1000];
    snprintf(conn, sizeof conn, "TTLSCipherParms\n{\n%s}\n", lines);
    const struct pel_effective *e = effective_of("", "TTLSCipherParms\n{\nV3CipherSuites 2F\n}\n", conn);
    PEL_REQUIRE(e != NULL);
    PEL_EXPECT_EQ(e->num_ciphers, num);
    for (size_t i = 0; i < num && i < e->num_ciphers; i++)
        PEL_EXPECT_EQ(e->ciphers[i], codes[i]);
    PEL_EXPECT_EQ(e->versions, versions);
    pel_test_drop(&parsed);
}

PEL_TEST(effective, suites_in_every_form)
{
    expect_suites("V3CipherSuites 352F0A\n", (const uint16_t[]){0x35, 0x2f, 0x0a}, 3, V12);
    expect_suites("V3CipherSuites4Char 1301c02F\n", (const uint16_t[]){0x1301, 0xc02f}, 2, V12 | V13);
    expect_suites("V3CipherSuites4Char C02F1301\nV3CipherSuites "
                  "tls_rsa_with_aes_128_cbc_sha\nV3CipherSuites4Char C02F\n",
                  (const uint16_t[]){0xc02f, 0x1301, 0x2f}, 3, V12 | V13);
    expect_suites("V3CipherSuites TLS_CHACHA20_POLY1305_SHA256\n", (const uint16_t[]){0x1303}, 1, V13);
    /* What is not available leaves the others in their order. */
    expect_suites("V3CipherSuites4Char C0230005C030C02B\n", (const uint16_t[]){0xc030, 0xc02b}, 2, V12);
}

PEL_TEST(effective, a_version_without_a_suite_is_said)
{
    const struct pel_effective *e =
        effective_of("", "", "TTLSCipherParms\n{\nV3CipherSuites4Char C02F\n}\n" CONN_ADV("TLSv1.3 On\n"));
    PEL_REQUIRE(e != NULL);
    PEL_EXPECT_EQ(e->versions, V12);
    PEL_EXPECT_STR(parsed.said,
                   "1:1: warning: TTLSRule \"R\": TLSv1.3 is on, but no suite of the list is for it: not "
                   "offered\n");
    pel_test_drop(&parsed);
    pel_test_parse(
        &parsed, "TTLSRule R\n{\nLocalPortRange 1\nDirection Inbound\nTTLSGroupAction\n{\nTTLSEnabled On\n}\n"
                 "TTLSEnvironmentAction\n{\nHandshakeRole Server\nTTLSKeyringParms\n{\nKeyring x\n}\n"
                 "TTLSCipherParms\n{\nV3CipherSuites4Char C02F\n}\n" ENV_ADV("TLSv1.2 Off\n") "}\n}\n");
    PEL_EXPECT_STR(parsed.said,
                   "1:1: error: TTLSRule \"R\": no suite of its list is for a TLS version that is on\n");
    pel_test_drop(&parsed);
}

PEL_TEST(effective, every_suite_of_the_table_is_found_by_code_and_name)
{
    size_t num, num_available = 0;
    const struct pel_cipher *table = pel_cipher_table(&num);
    PEL_EXPECT_EQ(num, 84);
    for (size_t i = 0; i < num; i++) {
        PEL_EXPECT(pel_cipher_by_code(table[i].code) == &table[i]);
        PEL_EXPECT(pel_cipher_by_name(table[i].name, strlen(table[i].name)) == &table[i]);
        num_available += table[i].available;
    }
    PEL_EXPECT_EQ(num_available, 18);
}

PEL_TEST(effective, groups_of_either_role)
{
    const struct pel_effective *e = effective_of(
        "", "TTLSSignatureParms\n{\nClientECurves 00230029\nServerKexECurves 0029 0024 0021\n}\n", "");
    PEL_REQUIRE(e != NULL && e->num_groups == 2);
    PEL_EXPECT_EQ(e->groups[0], 29);
    PEL_EXPECT_EQ(e->groups[1], 24);
    pel_test_drop(&parsed);
    e = effective_of("", "TTLSSignatureParms\n{\nClientECurves 00230029\n}\n", "HandshakeRole Client\n");
    PEL_REQUIRE(e != NULL && e->num_groups == 2);
    PEL_EXPECT_EQ(e->groups[0], 23);
    PEL_EXPECT_EQ(e->groups[1], 29);
    pel_test_drop(&parsed);
    e = effective_of("", "TTLSSignatureParms\n{\nClientECurves Any\n}\n", "HandshakeRole Client\n");
    PEL_REQUIRE(e != NULL);
    PEL_EXPECT_EQ(e->num_groups, 0);
    pel_test_drop(&parsed);
}

PEL_TEST(effective, the_last_of_reference_and_block_holds_wholly)
{
    pel_test_parse(&parsed,
                   "TTLSRule R\n{\nLocalPortRange 1\nDirection Inbound\nTTLSGroupActionRef "
                   "G\nTTLSEnvironmentActionRef E\n"
                   "TTLSConnectionAction C\n{\nTTLSConnectionAdvancedParmsRef P\n" CONN_ADV(
                       "CertificateLabel inline\n") "}\n}\n" PEL_TEST_ACTIONS
                                                    "TTLSConnectionAdvancedParms P\n{\nHandshakeTimeout "
                                                    "99\nCertificateLabel named\n}\n");
    PEL_REQUIRE(parsed.err == PEL_OK);
    const struct pel_rule *rule = pel_test_rule(&parsed, "R");
    PEL_EXPECT_STR(rule->effective.certificate_label, "inline");
    PEL_EXPECT_EQ(rule->effective.handshake_timeout_s, 10);
    PEL_EXPECT_STR(rule->connection_action, "C");
    PEL_EXPECT_STR(parsed.said, "10:1: warning: TTLSConnectionAdvancedParms replaces the whole "
                                "TTLSConnectionAdvancedParmsRef on line 9\n");
    pel_test_drop(&parsed);
}

PEL_TEST(effective, rules_stand_in_match_order)
{
    static const char *const order[] = {"z", "A", "B", "a"};
    pel_test_parse(&parsed, "TTLSGroupAction G\n{\nTTLSEnabled Off\n}\n"
#define ORDERED(name, port, line)                                                                            \
    "TTLSRule " name "\n{\nLocalPortRange " port "\nDirection Inbound\nTTLSGroupActionRef G\n" line "}\n"
                   ORDERED("a", "1", "") ORDERED("B", "2", "Priority 1\n") ORDERED("z", "3", "Priority 7\n")
                       ORDERED("A", "4", ""));
    PEL_REQUIRE(parsed.err == PEL_OK && pel_policy_num_rules(parsed.policy) == 4);
    for (uint32_t i = 0; i < 4; i++) {
        PEL_EXPECT_STR(pel_policy_rule(parsed.policy, i)->name, order[i]);
        PEL_EXPECT_EQ(pel_policy_rule(parsed.policy, i)->index, i);
    }
    PEL_EXPECT(pel_policy_rule(parsed.policy, 4) == NULL);
    pel_test_drop(&parsed);
}

PEL_TEST(effective, a_generation_lives_as_long_as_it_is_held)
{
    PEL_REQUIRE(effective_of("", "", "") != NULL);
    struct pel_policy *held = pel_policy_ref(parsed.policy);
    pel_test_drop(&parsed);
    PEL_EXPECT_STR(pel_policy_rule(held, 0)->name, "R");
    pel_policy_unref(held);
    pel_policy_unref(NULL);
}
