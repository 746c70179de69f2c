/* SPDX-License-Identifier: Apache-2.0 */
/* What changes in effect from one policy to another. */
#include <pellucid/policy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/view/out.h"
#include "policy/testing.h"
#include "tests/harness/harness.h"

static struct pel_parsed before, after;

static void add_change(void *arg, const struct pel_policy_change *change)
{
    struct pel_out *out = arg;
    switch (change->kind) {
    case PEL_POLICY_CHANGE_ADDED: pel_out_format(out, "+%s %zu\n", change->rule, change->new_index); break;
    case PEL_POLICY_CHANGE_REMOVED: pel_out_format(out, "-%s %zu\n", change->rule, change->old_index); break;
    case PEL_POLICY_CHANGE_MOVED:
        pel_out_format(out, "%s %zu>%zu before %s\n", change->rule, change->old_index, change->new_index,
                       change->tried_before != NULL ? change->tried_before : "none");
        break;
    case PEL_POLICY_CHANGE_SETTING:
        pel_out_format(out, "%s %s.%s ", change->rule, change->statement, change->name);
        pel_out_text(out, change->old_value != NULL ? change->old_value : "(none)");
        pel_out_text(out, " > ");
        pel_out_text(out, change->new_value != NULL ? change->new_value : "(none)");
        pel_out_text(out, "\n");
        break;
    }
}

static void expect_changes(const char *old_text, const char *new_text, const char *expected)
{
    struct pel_out out = {0};
    size_t num = 0, num_lines = 0;
    pel_test_parse(&before, old_text);
    pel_test_parse(&after, new_text);
    PEL_REQUIRE(before.policy != NULL && after.policy != NULL);
    PEL_EXPECT_ERR(pel_policy_diff(before.policy, after.policy, add_change, &out, &num), PEL_OK);
    PEL_EXPECT_STR(out.text != NULL ? out.text : "", expected);
    PEL_EXPECT_ERR(pel_policy_diff(before.policy, after.policy, NULL, NULL, &num_lines), PEL_OK);
    PEL_EXPECT_EQ(num_lines, num);
    pel_out_free(&out);
    pel_test_drop(&before);
    pel_test_drop(&after);
}

#define RULE(name, lines)                                                                                    \
    "TTLSRule " name "\n{\nDirection Inbound\nTTLSGroupActionRef G\nTTLSEnvironmentActionRef E\n" lines "}"  \
    "\n"

PEL_TEST(diff, only_what_changes_in_effect)
{
    /* Inline and named, written otherwise, a default coded: nothing changes. */
    expect_changes(RULE("R", "LocalPortRange 80-81\nRemoteAddr 10.0.0.0-10.255.255.255\n") PEL_TEST_ACTIONS,
                   RULE("R", "LocalPortGroupRef P\nRemoteAddrSetRef S\nPriority 1\n") PEL_TEST_ACTIONS
                   "PortGroup P\n{\nPortRange\n{\nPort 81\n}\nPortRange\n{\nPort 80\n}\n}\n"
                   "IpAddrSet S\n{\nPrefix 10.0.0.0/8\n}\n",
                   "");
    expect_changes(RULE("R", "LocalPortRange 80\n") PEL_TEST_ACTIONS,
                   RULE("R", "LocalPortRange 80\nUserid bob\nPriority 3\nTTLSConnectionAction\n{\n"
                             "HandshakeRole Client\n}\n") PEL_TEST_ACTIONS,
                   "R TTLSRule.Userid (none) > bob\n"
                   "R TTLSRule.Priority 1 > 3\n"
                   "R TTLSEnvironmentAction.HandshakeRole Server > Client\n");
    expect_changes(RULE("R", "LocalPortRange 80\n") "TTLSGroupAction G\n{\nTTLSEnabled Off\n}\n"
                                                    "TTLSEnvironmentAction E\n{\nHandshakeRole "
                                                    "Server\nTTLSKeyringParms\n{\nKeyring a\n}\n}\n",
                   RULE("R", "LocalPortRange 80\n") "TTLSGroupAction G\n{\nTTLSEnabled On\n}\n"
                                                    "TTLSEnvironmentAction E\n{\nHandshakeRole "
                                                    "Server\nTTLSKeyringParms\n{\nKeyring a\n}\n}\n",
                   "R TTLSGroupAction.TTLSEnabled Off > On\n"
                   "R TTLSEnvironmentAction.HandshakeRole (none) > Server\n"
                   "R TTLSKeyringParms.Keyring (none) > a\n");
}

PEL_TEST(diff, rules_come_go_and_move)
{
#define P(n) "LocalPortRange " n "\nPriority " n "\n"
    expect_changes(RULE("A", P("9")) RULE("B", P("8")) RULE("C", P("7")) RULE("D", P("6")) PEL_TEST_ACTIONS,
                   RULE("A", P("9")) RULE("C", P("7")) RULE("D", P("6")) RULE("N", P("8"))
                       RULE("B", "LocalPortRange 8\nPriority 1\n") PEL_TEST_ACTIONS,
                   "+N 1\n"
                   "B 1>4 before none\n"
                   "B TTLSRule.Priority 8 > 1\n");
    expect_changes(RULE("A", P("9")) RULE("B", P("8")) PEL_TEST_ACTIONS, RULE("B", P("8")) PEL_TEST_ACTIONS,
                   "-A 0\n");
    expect_changes(RULE("A", P("9")) RULE("B", P("8")) RULE("C", P("7")) RULE("D", P("6")) PEL_TEST_ACTIONS,
                   RULE("A", P("9")) RULE("B", P("8")) RULE("C", P("7"))
                       RULE("D", "LocalPortRange 6\nPriority 10\n") PEL_TEST_ACTIONS,
                   "D 3>0 before A\n"
                   "D TTLSRule.Priority 6 > 10\n");
    expect_changes("", "", "");
}

PEL_TEST(diff, secrets_change_unseen)
{
#define KEYRING(pw)                                                                                          \
    "TTLSEnvironmentAction E\n{\nHandshakeRole Server\nTTLSKeyringParms\n{\nKeyring /a\n" pw "}\n}\n"
#define ON "TTLSGroupAction G\n{\nTTLSEnabled On\n}\n"
    expect_changes(RULE("A", P("9")) ON KEYRING("KeyringPw one\n"),
                   RULE("A", P("9")) ON KEYRING("KeyringPw two\n"),
                   "A TTLSKeyringParms.KeyringPw (not shown) > (not shown)\n");
    expect_changes(RULE("A", P("9")) ON KEYRING("KeyringPw one\n"), RULE("A", P("9")) ON KEYRING(""),
                   "A TTLSKeyringParms.KeyringPw (not shown) > (none)\n");
}

/* Shared actions are compared once for all rules, and a difference in them is told of each rule. */
PEL_TEST(diff, shared_actions)
{
    expect_changes(RULE("A", P("9")) RULE("B", P("8")) ON KEYRING(""),
                   RULE("A", P("9")) RULE("B", P("8")) ON KEYRING("KeyringStashFile /s\n"),
                   "A TTLSKeyringParms.KeyringStashFile (none) > /s\n"
                   "B TTLSKeyringParms.KeyringStashFile (none) > /s\n");
    expect_changes(RULE("A", P("9")) RULE("B", P("8")) RULE("C", P("7")) ON KEYRING(""),
                   RULE("A", P("9")) RULE("B", P("8")) RULE("C", "LocalPortRange 5\nPriority 7\n")
                       ON KEYRING(""),
                   "C TTLSRule.LocalPortRange 7 > 5\n");
}

#define TIME(lines) "LocalPortRange 9\nIpTimeCondition\n{\n" lines "}\n"
#define ADVANCED(lines)                                                                                      \
    "TTLSEnvironmentAction E\n{\nHandshakeRole Server\nTTLSKeyringParms\n{\nKeyring a\n}\n"                  \
    "TTLSEnvironmentAdvancedParms\n{\n" lines "}\n}\n"

/* Written otherwise, and the same. */
PEL_TEST(diff, what_has_several_spellings)
{
    expect_changes(RULE("A", "LocalPortRange 9\n") PEL_TEST_ACTIONS,
                   RULE("A", TIME("DayOfWeekMask 1111111\nMonthOfYearMask 111111111111\n"
                                  "TimeOfDayRange 00:00-12:00,12:00-24:00\n")) PEL_TEST_ACTIONS,
                   "");
    expect_changes(RULE("A", TIME("DayOfMonthMask 1111111111111111111111111111111\n")) PEL_TEST_ACTIONS,
                   RULE("A", "LocalPortRange 9\n") PEL_TEST_ACTIONS, "");
    expect_changes(RULE("A", TIME("TimeOfDayRange 08:00-09:00,09:00-10:00\n")) PEL_TEST_ACTIONS,
                   RULE("A", TIME("TimeOfDayRange 08:00-10:00\n")) PEL_TEST_ACTIONS, "");
    expect_changes(RULE("A", TIME("TimeOfDayRange 22:00-24:00,00:00-06:00\n")) PEL_TEST_ACTIONS,
                   RULE("A", TIME("TimeOfDayRange 22:00-06:00\n")) PEL_TEST_ACTIONS, "");
    expect_changes(RULE("A", TIME("TimeOfDayRange 22:00-06:00,08:00-09:00\n")) PEL_TEST_ACTIONS,
                   RULE("A", TIME("TimeOfDayRange 22:00-07:00\nDayOfWeekMask 0111110\n")) PEL_TEST_ACTIONS,
                   "A IpTimeCondition.DayOfWeekMask 1111111 > 0111110\n"
                   "A IpTimeCondition.TimeOfDayRange 08:00-09:00,22:00-06:00 > 22:00-07:00\n");
    expect_changes(RULE("A", "Jobname ABC*\nUserid bob\n") PEL_TEST_ACTIONS,
                   RULE("A", "Jobname abc*\nUserid BOB\n") PEL_TEST_ACTIONS, "");
    expect_changes(
        RULE("A", P("9")) ON ADVANCED("ServerHandshakeSNIList a.b/x y\nServerHandshakeSNIList c z\n"),
        RULE("A", P("9")) ON ADVANCED("ServerHandshakeSNIList a.b x y\nServerHandshakeSNIList c/z\n"), "");
    expect_changes(RULE("A", P("9")) ON ADVANCED("ServerHandshakeSNIList a.b x y\n"),
                   RULE("A", P("9")) ON ADVANCED("ServerHandshakeSNIList a.b X y\n"),
                   "A TTLSEnvironmentAdvancedParms.ServerHandshakeSNIList a.b x y > a.b X y\n");
}

/* A profile that comes changes the lists as well. */
PEL_TEST(diff, lists_are_what_holds)
{
    expect_changes(
        RULE("A", P("9")) ON ADVANCED("SSLv2 Off\n"),
        RULE("A", P("9")) "TTLSGroupAction G\n{\nTTLSEnabled On\nFIPS140 On\n}\n" ADVANCED("SSLv2 Off\n") "",
        "A TTLSGroupAction.FIPS140 Off > On\n"
        "A TTLSCipherParms.V3CipherSuites4Char (none) > TLS_AES_128_GCM_SHA256\nTLS_AES_256_GCM_SHA384\n"
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256\nTLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256\n"
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384\nTLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384\n"
        "A TTLSSignatureParms.ClientECurves 0029 0023 0024 0025 > 0023 0024 0025\n"
        "A TTLSSignatureParms.ServerKeyShareGroups 0029 0023 0024 0025 > 0023 0024 0025\n"
        "A TTLSSignatureParms.ServerKexECurves 0029 0023 0024 0025 > 0023 0024 0025\n"
        "A TTLSSignatureParms.SignaturePairs (none) > 0403 0804 0401 0503 0805 0501 0603 0806 0601\n"
        "A TTLSSignatureParms.SignaturePairsCert (none) > 0403 0804 0401 0503 0805 0501 0603 0806 0601\n"
        "A TTLSEnvironmentAdvancedParms.PeerMinRsaKeySize 1024 > 2048\n"
        "A TTLSEnvironmentAdvancedParms.PeerMinECCKeySize 192 > 224\n");
}
