/* SPDX-License-Identifier: Apache-2.0 */
/* A policy looked at: its rules' settings, why a rule does not match, its text. */
#include <arpa/inet.h>
#include <pellucid/policy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/model.h"
#include "policy/view/out.h"
#include "policy/testing.h"
#include "tests/harness/harness.h"

static struct pel_parsed parsed;

static void add_setting(void *arg, const struct pel_policy_setting *setting)
{
    struct pel_out *out = arg;
    pel_out_format(out, "%s.%s=", setting->statement, setting->name);
    pel_out_text(out, setting->value != NULL ? setting->value : "(none)");
    pel_out_format(out, " (%s:%u%s%s)\n", setting->from, setting->line, setting->note != NULL ? "; " : "",
                   setting->note != NULL ? setting->note : "");
}

/* Lines "STATEMENT.NAME=VALUE (FROM:LINE; NOTE)". */
static const char *settings(struct pel_out *out, size_t index, unsigned flags)
{
    pel_out_clear(out);
    PEL_EXPECT_ERR(pel_policy_settings(parsed.policy, index, flags, add_setting, out), PEL_OK);
    return out->text != NULL ? out->text : "";
}

static const char rule_text[] = "TTLSRule R\n{\nLocalPortGroupRef P\nRemoteAddrGroupRef A\nUserid web*\n"
                                "Direction Inbound\nPriority 7\nTTLSGroupActionRef G\n"
                                "TTLSEnvironmentActionRef E\nTTLSConnectionAction C\n{\nTrace 5\n"
                                "TTLSConnectionAdvancedParms\n{\nHandshakeTimeout 3\nSSLv3 On\n}\n}\n}\n"
                                "PortGroup P\n{\nPortRange\n{\nPort 444\n}\nPortRange\n{\nPort 443\n}\n"
                                "PortRange\n{\nPort 80\n}\n}\n"
                                "IpAddrGroup A\n{\nIpAddrSet\n{\nPrefix 10.0.0.0/9\n}\nIpAddrSet\n{\n"
                                "Prefix 10.128.0.0/9\n}\nIpAddr\n{\nAddr 2001:db8::1\n}\n}\n"
                                "TTLSGroupAction G\n{\nTTLSEnabled On\nTrace 255\n}\n"
                                "TTLSEnvironmentAction E\n{\nHandshakeRole Client\nTTLSKeyringParms K\n{\n"
                                "Keyring ring\nKeyringPw hush\n}\nTTLSEnvironmentAdvancedParms\n{\n"
                                "TLSv1.2 On\nServerCertificateLabel one label\n"
                                "ServerCertificateLabel two\n}\nTTLSCipherParms\n{\n"
                                "V3CipherSuites4Char c02bC030\n}\n}\n";

PEL_TEST(view, settings_that_differ_from_the_default)
{
    struct pel_out out = {0};
    pel_test_parse(&parsed, rule_text);
    PEL_REQUIRE(parsed.policy != NULL);
    PEL_EXPECT_STR(
        settings(&out, 0, 0),
        "TTLSRule.RemoteAddr=10.0.0.0/8\n2001:db8::1 (IpAddrGroup \"A\":4)\n"
        "TTLSRule.LocalPortRange=80\n443-444 (PortGroup \"P\":3)\n"
        "TTLSRule.Userid=web* (TTLSRule \"R\":5)\n"
        "TTLSRule.Direction=Inbound (TTLSRule \"R\":6)\n"
        "TTLSRule.Priority=7 (TTLSRule \"R\":7)\n"
        "TTLSGroupAction.TTLSEnabled=On (TTLSGroupAction \"G\":52)\n"
        "TTLSEnvironmentAction.HandshakeRole=Client (TTLSEnvironmentAction \"E\":57)\n"
        "TTLSEnvironmentAction.Trace=5 (TTLSConnectionAction \"C\":12)\n"
        "TTLSKeyringParms.Keyring=ring (TTLSKeyringParms \"K\":60)\n"
        "TTLSKeyringParms.KeyringPw=(not shown) (TTLSKeyringParms \"K\":61)\n"
        "TTLSCipherParms.V3CipherSuites4Char=TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256\n"
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 (TTLSCipherParms:71)\n"
        "TTLSEnvironmentAdvancedParms.SSLv3=On (TTLSConnectionAdvancedParms:16; "
        "no effect: SSL 3.0 is never spoken)\n"
        "TTLSEnvironmentAdvancedParms.TLSv1.3=Off (default:0; not offered: no suite or signature of "
        "the lists is for it, or a version beside it is off)\n"
        "TTLSEnvironmentAdvancedParms.HandshakeTimeout=3 (TTLSConnectionAdvancedParms:15)\n"
        "TTLSEnvironmentAdvancedParms.ServerCertificateLabel=one label\n"
        "two (TTLSEnvironmentAdvancedParms:66)\n");
    const char *all = settings(&out, 0, PEL_POLICY_SETTINGS_ALL | PEL_POLICY_SETTINGS_SECRETS);
    PEL_EXPECT_HAS(all, "TTLSKeyringParms.KeyringPw=hush (TTLSKeyringParms \"K\":61)\n");
    PEL_EXPECT_HAS(all, "TTLSEnvironmentAdvancedParms.TLSv1.2=On (TTLSEnvironmentAdvancedParms:65)\n");
    PEL_EXPECT_HAS(all, "TTLSEnvironmentAdvancedParms.CertificateLabel=(none) (default:0)\n");
    PEL_EXPECT_HAS(all, "TTLSEnvironmentAdvancedParms.TLSv1.3=Off (default:0; not offered: no suite or "
                        "signature of the lists is for it, or a version beside it is off)\n");
    PEL_EXPECT_HAS(all, "TTLSGskOcspParms.OcspNonceSize=8 (default:0)\n");
    PEL_EXPECT_ERR(pel_policy_settings(parsed.policy, 1, 0, add_setting, &out), PEL_E_ARG);
    pel_out_free(&out);
    pel_test_drop(&parsed);
}

static const char lists_text[] =
    "TTLSRule R\n{\nLocalPortRange 443\nDirection Inbound\nTTLSGroupAction\n{\nTTLSEnabled On\nFIPS140 "
    "On\n}\n"
    "TTLSEnvironmentAction\n{\nHandshakeRole Server\nTTLSKeyringParms\n{\nKeyring web\n}\n"
    "TTLSCipherParms\n{\nV3CipherSuites4Char 1303C02F002F\n}\nTTLSSignatureParms\n{\n"
    "ServerKeyShareGroups 00290023\nServerKexECurves 00230030\n}\n}\n}\n";

/* As coded, they are still there for those who write the policy again. */
PEL_TEST(view, lists_are_what_the_profiles_leave)
{
    struct pel_out out = {0};
    pel_test_parse(&parsed, lists_text);
    PEL_REQUIRE(parsed.policy != NULL);
    const char *shown = settings(&out, 0, 0);
    PEL_EXPECT_HAS(shown,
                   "V3CipherSuites4Char=TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 (TTLSCipherParms:19; 2 of 3 "
                   "left out by FIPS140)\n");
    PEL_EXPECT_HAS(shown, "ServerKeyShareGroups=0023 (TTLSSignatureParms:23; 1 of 2 left out by FIPS140)\n");
    PEL_EXPECT_HAS(shown, "ServerKexECurves=0023 (TTLSSignatureParms:24)\n");
    PEL_EXPECT_HAS(shown, "SignaturePairs=0403 0804 0401 0503 0805 0501 0603 0806 0601 (FIPS140:0)\n");
    PEL_EXPECT_HAS(shown, "PeerMinRsaKeySize=2048 (FIPS140:0)\n");
    PEL_EXPECT(strstr(shown, "ClientECurves") == NULL);
    const char *coded = settings(&out, 0, PEL_POLICY_SETTINGS_CODED);
    PEL_EXPECT_HAS(coded, "ServerKeyShareGroups=0029 0023 (TTLSSignatureParms:23)\n");
    PEL_EXPECT_HAS(coded,
                   "V3CipherSuites4Char=TLS_CHACHA20_POLY1305_SHA256\nTLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256\n"
                   "TLS_RSA_WITH_AES_128_CBC_SHA (TTLSCipherParms:19)\n");
    pel_out_free(&out);
    pel_test_drop(&parsed);
}

PEL_TEST(view, suite_b_says_that_tls13_is_not_offered)
{
    struct pel_out out = {0};
    pel_test_parse(
        &parsed,
        "TTLSRule R\n{\nLocalPortRange 443\nDirection Outbound\nTTLSGroupAction\n{\nTTLSEnabled On\n}\n"
        "TTLSEnvironmentAction\n{\nHandshakeRole Client\nSuiteBProfile 128\nTTLSKeyringParms\n{\n"
        "Keyring web\n}\nTTLSSignatureParms\n{\nClientECurves 00290023\nClientKeyShareGroups 00290023\n"
        "}\n}\n}\n");
    PEL_REQUIRE(parsed.policy != NULL);
    const char *shown = settings(&out, 0, 0);
    PEL_EXPECT_HAS(shown,
                   "TLSv1.3=Off (SuiteBProfile 128:0; not offered: SuiteBProfile 128 does not allow it)\n");
    PEL_EXPECT_HAS(shown,
                   "V3CipherSuites4Char=TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 (SuiteBProfile 128:0)\n");
    PEL_EXPECT_HAS(shown,
                   "ClientECurves=0023 (TTLSSignatureParms:19; 1 of 2 left out by SuiteBProfile 128)\n");
    PEL_EXPECT_HAS(shown, "ClientKeyShareGroups=0023 (TTLSSignatureParms:20; 1 of 2 left out");
    pel_out_free(&out);
    pel_test_drop(&parsed);
}

/* The settings of a rule with TLS, of those lines. */
static const char *settings_of(struct pel_out *out, const char *group, const char *env)
{
    char text[2000];
    snprintf(text, sizeof text,
             "TTLSRule R\n{\nLocalPortRange 443\nDirection Both\nTTLSGroupAction\n{\nTTLSEnabled On\n%s}\n"
             "TTLSEnvironmentAction\n{\nTTLSKeyringParms\n{\nKeyring web\n}\n%s}\n}\n",
             group, env);
    pel_test_parse(&parsed, text);
    return parsed.policy != NULL ? settings(out, 0, PEL_POLICY_SETTINGS_ALL) : "";
}

PEL_TEST(view, groups_of_tls13_are_not_those_of_the_versions_before)
{
    struct pel_out out = {0};
    const char *shown =
        settings_of(&out, "", "HandshakeRole Server\nTTLSSignatureParms\n{\nServerKexECurves 0023\n}\n");
    PEL_EXPECT_HAS(shown, "ServerKexECurves=0023 (TTLSSignatureParms:18)\n");
    PEL_EXPECT_HAS(shown, "ServerKeyShareGroups=0029 0023 0024 0025 (default:0)\n");
    pel_test_drop(&parsed);
    shown =
        settings_of(&out, "", "HandshakeRole Server\nTTLSSignatureParms\n{\nServerKeyShareGroups Any\n}\n");
    PEL_EXPECT_HAS(shown, "ServerKeyShareGroups=Any (TTLSSignatureParms:18)\n");
    pel_test_drop(&parsed);
    pel_out_free(&out);
}

PEL_TEST(view, what_is_not_coded_is_from_the_profile_that_made_it)
{
    struct pel_out out = {0};
    const char *shown = settings_of(&out, "FIPS140 On\n", "HandshakeRole Server\nSuiteBProfile 128\n");
    PEL_EXPECT_HAS(shown, "PeerMinRsaKeySize=2048 (FIPS140:0)\n");
    PEL_EXPECT_HAS(shown, "PeerMinECCKeySize=256 (SuiteBProfile 128:0)\n");
    PEL_EXPECT_HAS(shown, "ServerKexECurves=0023 (SuiteBProfile 128:0)\n");
    pel_test_drop(&parsed);
    static const char copied[] = "HandshakeRole Server\nTTLSSignatureParms S\n{\nSignaturePairs 0804\n}\n";
    shown = settings_of(&out, "FIPS140 On\n", copied);
    PEL_EXPECT_HAS(shown, "SignaturePairs=0804 (TTLSSignatureParms \"S\":19)\n");
    PEL_EXPECT_HAS(shown, "SignaturePairsCert=0804 (TTLSSignatureParms \"S\":19)\n");
    pel_test_drop(&parsed);
    shown = settings_of(&out, "FIPS140 On\n",
                        "HandshakeRole Server\nTTLSSignatureParms\n{\nSignaturePairs Any\n}\n");
    PEL_EXPECT_HAS(shown, "SignaturePairsCert=0403 0804 0401 0503 0805 0501 0603 0806 0601 (FIPS140:0)\n");
    pel_test_drop(&parsed);
    pel_out_free(&out);
}

PEL_TEST(view, any_that_a_profile_narrows_says_so)
{
    struct pel_out out = {0};
    const char *shown = settings_of(&out, "FIPS140 On\n",
                                    "HandshakeRole Client\nTTLSSignatureParms\n{\nClientECurves Any\n"
                                    "SignaturePairsCert Any\nServerKexECurves Any\n}\n");
    PEL_EXPECT_HAS(shown,
                   "ClientECurves=0023 0024 0025 (TTLSSignatureParms:19; Any is narrowed by FIPS140)\n");
    PEL_EXPECT_HAS(shown, "SignaturePairsCert=0403 0804 0401 0503 0805 0501 0603 0806 0601 "
                          "(TTLSSignatureParms:20; Any is narrowed by FIPS140)\n");
    PEL_EXPECT_HAS(shown,
                   "ServerKexECurves=0023 0024 0025 (TTLSSignatureParms:21; Any is narrowed by FIPS140)\n");
    pel_test_drop(&parsed);
    shown = settings_of(&out, "", "HandshakeRole Client\nTTLSSignatureParms\n{\nClientECurves Any\n}\n");
    PEL_EXPECT_HAS(shown, "ClientECurves=Any (TTLSSignatureParms:18)\n");
    pel_test_drop(&parsed);
    pel_out_free(&out);
}

PEL_TEST(view, a_rule_in_clear_has_conditions_and_group_only)
{
    struct pel_out out = {0};
    pel_test_parse(&parsed, "TTLSRule R\n{\nJobname j\nDirection Both\nTTLSGroupAction\n{\n"
                            "TTLSEnabled Off\nTrace 3\n}\n}\n");
    PEL_REQUIRE(parsed.policy != NULL);
    PEL_EXPECT_STR(settings(&out, 0, 0), "TTLSRule.Jobname=j (TTLSRule \"R\":3)\n"
                                         "TTLSRule.Direction=Both (TTLSRule \"R\":4)\n"
                                         "TTLSGroupAction.TTLSEnabled=Off (TTLSGroupAction:7)\n"
                                         "TTLSGroupAction.Trace=3 (TTLSGroupAction:8)\n");
    PEL_EXPECT(strstr(settings(&out, 0, PEL_POLICY_SETTINGS_ALL), "HandshakeTimeout") == NULL);
    pel_out_free(&out);
    pel_test_drop(&parsed);
}

PEL_TEST(view, describes_rules_in_match_order)
{
    struct pel_policy_info info;
    pel_test_parse(&parsed,
                   "\n"
                   "TTLSRule A\n{\nLocalPortRange 1\nDirection Outbound\nTTLSGroupActionRef G\n"
                   "TTLSEnvironmentActionRef E\n}\n"
                   "TTLSRule B\n{\nLocalPortRange 1\nDirection Both\nPriority 2\n"
                   "TTLSGroupAction\n{\nTTLSEnabled Off\n}\n}\n"
                   "TTLSRule C\n{\nLocalPortRange 1\nDirection Both\nTTLSGroupActionRef G\n"
                   "TTLSEnvironmentAction X\n{\nHandshakeRole Client\nTTLSKeyringParms\n{\nKeyring r\n}\n"
                   "TTLSEnvironmentAdvancedParms\n{\nApplicationControlled On\n}\n}\n}\n" PEL_TEST_ACTIONS);
    PEL_REQUIRE(parsed.policy != NULL && pel_policy_count(parsed.policy) == 3);
    PEL_EXPECT_ERR(pel_policy_describe(parsed.policy, 0, &info), PEL_OK);
    PEL_EXPECT_STR(info.name, "B");
    PEL_EXPECT(info.priority == 2 && info.inbound && info.outbound && info.line == 9);
    PEL_EXPECT_EQ(info.verdict, PEL_POLICY_VERDICT_CLEAR);
    PEL_EXPECT_STR(info.file, "t.policy");
    PEL_EXPECT_STR(info.group_action, "");
    PEL_EXPECT_ERR(pel_policy_describe(parsed.policy, 1, &info), PEL_OK);
    PEL_EXPECT_STR(info.name, "A");
    PEL_EXPECT(!info.inbound && info.outbound);
    PEL_EXPECT_STR(info.environment_action, "E");
    PEL_EXPECT_STR(pel_policy_verdict_text(info.verdict), "tls");
    PEL_EXPECT_ERR(pel_policy_describe(parsed.policy, 2, &info), PEL_OK);
    PEL_EXPECT_STR(pel_policy_verdict_text(info.verdict), "tls when asked");
    PEL_EXPECT_ERR(pel_policy_describe(parsed.policy, 3, &info), PEL_E_ARG);
    pel_test_drop(&parsed);
}

/* ---- Match ---- */

static void set_address(struct sockaddr_storage *storage, const char *ip, uint16_t port)
{
    struct sockaddr_in *in = (struct sockaddr_in *)storage;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)storage;
    memset(storage, 0, sizeof *storage);
    if (inet_pton(AF_INET, ip, &in->sin_addr) == 1) {
        in->sin_family = AF_INET;
        in->sin_port = htons(port);
        return;
    }
    PEL_EXPECT(inet_pton(AF_INET6, ip, &in6->sin6_addr) == 1);
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(port);
}

static void add_trial(void *arg, const struct pel_policy_trial *trial)
{
    struct pel_out *out = arg;
    pel_out_format(out, "%zu %s %s %s\n", trial->index, trial->rule, trial->reached ? "reached" : "not",
                   trial->matches ? "matches" : trial->reason);
}

PEL_TEST(view, each_condition_says_why)
{
    static const char text[] =
        "TTLSRule R\n{\nLocalPortRange 443 444\nRemotePortRange 1024-65535\n"
        "LocalAddr 10.0.0.0/8\nRemoteAddr 2001:db8::/32\nUserid IBMUSER*\nJobname web\n"
        "Direction Inbound\nTTLSGroupActionRef G\nTTLSEnvironmentActionRef E\n}\n" PEL_TEST_ACTIONS;
    static const struct {
        const char *local, *remote, *user, *job, *said;
        uint16_t local_port, remote_port;
        int inbound;
    } rows[] = {
        {"10.1.1.1", "2001:db8::1", "ibmuser1", "WEB", "0 R reached matches\n", 443, 2000, 1},
        {"10.1.1.1", "2001:db8::1", "ibmuser1", "WEB", "0 R reached outbound, not Inbound\n", 443, 2000, 0},
        {"11.1.1.1", "2001:db8::1", "ibmuser1", "WEB",
         "0 R reached local address 11.1.1.1 is not 10.0.0.0/8\n", 443, 2000, 1},
        {"10.1.1.1", "2001:db8::1", "ibmuser1", "WEB", "0 R reached local port 8443 is not 443-444\n", 8443,
         2000, 1},
        {"10.1.1.1", "1.2.3.4", "ibmuser1", "WEB",
         "0 R reached remote address 1.2.3.4 is not 2001:db8::/32\n", 443, 2000, 1},
        {"10.1.1.1", "2001:db8::1", "ibmuser1", "WEB", "0 R reached remote port 80 is not 1024-65535\n", 443,
         80, 1},
        {"10.1.1.1", "2001:db8::1", "ibmuser1", "ftp", "0 R reached job \"ftp\" is not web\n", 443, 2000, 1},
        {"10.1.1.1", "2001:db8::1", "bob", "web", "0 R reached user \"bob\" is not IBMUSER*\n", 443, 2000, 1},
        {"10.1.1.1", "2001:db8::1", NULL, "web", "0 R reached user unknown, not IBMUSER*\n", 443, 2000, 1},
    };
    struct pel_out out = {0};
    pel_test_parse(&parsed, text);
    PEL_REQUIRE(parsed.policy != NULL);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct pel_policy_connection connection = {
            .inbound = rows[i].inbound, .user = rows[i].user, .job = rows[i].job};
        struct pel_policy_outcome outcome;
        set_address(&connection.local, rows[i].local, rows[i].local_port);
        set_address(&connection.remote, rows[i].remote, rows[i].remote_port);
        pel_out_clear(&out);
        PEL_EXPECT_ERR(pel_policy_match(parsed.policy, &connection, add_trial, &out, &outcome), PEL_OK);
        PEL_EXPECT_STR(out.text, rows[i].said);
        PEL_EXPECT_EQ(outcome.has_rule, i == 0);
        PEL_EXPECT_EQ(outcome.verdict, i == 0 ? PEL_POLICY_VERDICT_TLS : PEL_POLICY_VERDICT_CLEAR_NO_RULE);
    }
    pel_out_free(&out);
    pel_test_drop(&parsed);
}

PEL_TEST(view, rules_behind_the_match_are_not_reached)
{
    struct pel_out out = {0};
    struct pel_policy_connection connection = {.inbound = 1};
    struct pel_policy_outcome outcome;
    pel_test_parse(&parsed,
                   "TTLSRule A\n{\nLocalPortRange 1\nDirection Both\nTTLSGroupActionRef G\n"
                   "TTLSEnvironmentActionRef E\n}\n"
                   "TTLSRule B\n{\nLocalPortRange 2\nDirection Both\nTTLSGroupActionRef G\n"
                   "TTLSEnvironmentActionRef E\n}\n"
                   "TTLSRule C\n{\nLocalPortGroupRef P\nDirection Both\nTTLSGroupActionRef G\n"
                   "TTLSEnvironmentActionRef E\n}\n"
                   "TTLSRule D\n{\nLocalPortRange 2\nDirection Both\nTTLSGroupActionRef G\n"
                   "TTLSEnvironmentActionRef E\n}\n"
                   "PortGroup P\n{\nPortRange\n{\nPort 3\n}\nPortRange\n{\nPort 5\n}\nPortRange\n{\n"
                   "Port 7\n}\nPortRange\n{\nPort 9\n}\nPortRange\n{\nPort 11\n}\n}\n" PEL_TEST_ACTIONS);
    PEL_REQUIRE(parsed.policy != NULL);
    set_address(&connection.local, "1.1.1.1", 2);
    set_address(&connection.remote, "::1", 2);
    PEL_EXPECT_ERR(pel_policy_match(parsed.policy, &connection, add_trial, &out, &outcome), PEL_OK);
    PEL_EXPECT_STR(out.text, "0 A reached local port 2 is not 1\n1 B reached matches\n"
                             "2 C not local port 2 is not 3, 5, 7, 9 or one of 1 more\n3 D not matches\n");
    PEL_EXPECT(outcome.has_rule && outcome.index == 1);
    connection.remote.ss_family = AF_UNIX;
    PEL_EXPECT_ERR(pel_policy_match(parsed.policy, &connection, NULL, NULL, &outcome), PEL_E_ARG);
    pel_out_free(&out);
    pel_test_drop(&parsed);
}
