/* SPDX-License-Identifier: Apache-2.0 */
/* Policies that others have published. They are not part of the project; PEL_SHARED says where they are. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "policy/files.h"
#include "policy/testing.h"
#include "tests/harness/harness.h"

static struct pel_parsed parsed;

/* Loads policies/NAME into `parsed`; false when it is not there. */
static bool load(const char *name)
{
    const char *shared = getenv("PEL_SHARED");
    char path[4096];
    snprintf(path, sizeof path, "%s/policies/%s", shared != NULL ? shared : PEL_TEST_SHARED, name);
    if (access(path, F_OK) != 0)
        return false;
    const char *const paths[] = {path};
    memset(&parsed, 0, sizeof parsed);
    parsed.err =
        pel_policy_load_files(paths, 1, NULL, pel_test_note, &parsed, &parsed.policy, NULL, NULL, NULL);
    return true;
}

static bool overlaps(const char *rule, const char *other)
{
    char text[200];
    snprintf(text, sizeof text, "TTLSRule \"%s\" overlaps TTLSRule \"%s\" on line ", rule, other);
    return strstr(parsed.said, text) != NULL;
}

PEL_TEST(shared, zosmf_client_loads)
{
    if (!load("zosmf-client.policy"))
        PEL_SKIP("zosmf-client.policy is not here (PEL_SHARED)");
    PEL_EXPECT_ERR(parsed.err, PEL_OK);
    PEL_EXPECT_STR(
        parsed.said,
        "20:1: warning: TTLSRule \"IBMUSER_TLKLABJob\": outbound without a remote address or port: "
        "it takes every connection that its other conditions allow\n");
    const struct pel_rule *rule = pel_test_rule(&parsed, "IBMUSER_TLKLABJob");
    PEL_REQUIRE(rule != NULL);
    PEL_EXPECT_EQ(rule->priority, 49);
    PEL_EXPECT_EQ(rule->effective.role, PEL_ROLE_CLIENT);
    PEL_EXPECT_STR(rule->effective.keyring, "*AUTH*/*");
    PEL_EXPECT_EQ(rule->effective.versions, PEL_POLICY_TLS1_2 | PEL_POLICY_TLS1_3);
    PEL_EXPECT_EQ(rule->effective.trace, 14);
    struct pel_policy_query query = {.direction = PEL_OUTBOUND, .job = "tkt1"};
    PEL_EXPECT(pel_policy_lookup(parsed.policy, &query) == rule);
    query.job = "tk";
    PEL_EXPECT(pel_policy_lookup(parsed.policy, &query) == NULL);
    pel_test_drop(&parsed);
}

PEL_TEST(shared, generated_inline_loads)
{
    static const char *const order[] = {"AZFClientRule", "AZFMutAuthRule", "AZFSrvAuthRule", "CPJES2IN",
                                        "CPJES2OUT",     "COLATTLJ",       "COLATTLS",       "CSSMTPRule",
                                        "DEFAULTRULE12", "DEFAULTRULE13",  "GPMSERVE"};
    if (!load("generated-inline.policy"))
        PEL_SKIP("generated-inline.policy is not here (PEL_SHARED)");
    PEL_EXPECT_ERR(parsed.err, PEL_OK);
    PEL_REQUIRE(parsed.policy != NULL && pel_policy_num_rules(parsed.policy) == 11);
    for (size_t i = 0; i < 11; i++)
        PEL_EXPECT_STR(pel_policy_rule(parsed.policy, i)->name, order[i]);
    /* TLSv1 On three times, each without TLSv1.1; 003D three times; six pairs of rules, one of them hidden.
     */
    PEL_EXPECT_EQ(parsed.num_warnings, 15);
    PEL_EXPECT_HAS(parsed.said, "41:5: warning: TLSv1 On: TLS 1.0 is weak\n");
    PEL_EXPECT_HAS(parsed.said,
                   "183:20: warning: V3CipherSuites: TLS_RSA_WITH_AES_256_CBC_SHA256 (003D) is not available "
                   "here and is left out\n");
    PEL_EXPECT_HAS(parsed.said,
                   "360:3: warning: TTLSRule \"DEFAULTRULE13\" never matches: TTLSRule \"DEFAULTRULE12\" on "
                   "line 330 is tried first and takes all that it would\n");
    PEL_EXPECT(overlaps("CSSMTPRule", "COLATTLJ") && overlaps("CSSMTPRule", "COLATTLS"));
    PEL_EXPECT(overlaps("DEFAULTRULE12", "CSSMTPRule") && overlaps("GPMSERVE", "CSSMTPRule"));
    const struct pel_rule *rule = pel_test_rule(&parsed, "GPMSERVE");
    PEL_REQUIRE(rule != NULL && rule->effective.num_ciphers == 1);
    PEL_EXPECT_EQ(rule->effective.ciphers[0], 0xc02c);
    PEL_EXPECT_EQ(rule->effective.versions, PEL_POLICY_TLS1_2);
    PEL_EXPECT_EQ(rule->effective.handshake_timeout_s, 3);
    PEL_EXPECT_STR(rule->effective.server_certificate_labels[0], "NISTECCTEST");
    pel_test_drop(&parsed);
}

PEL_TEST(shared, tn3270_gets_the_one_error_it_deserves)
{
    if (!load("tn3270-multi-app.policy"))
        PEL_SKIP("tn3270-multi-app.policy is not here (PEL_SHARED)");
    PEL_EXPECT_ERR(parsed.err, PEL_E_POLICY_SYNTAX);
    PEL_EXPECT(parsed.policy == NULL);
    PEL_EXPECT_EQ(parsed.num_errors, 1);
    PEL_EXPECT_HAS(parsed.said, "255:35: error: RemoteAddr: \"6793\" is a number, not an IP address; a port "
                                "goes into RemotePortRange\n");
    /* And what is only odd. */
    PEL_EXPECT_EQ(parsed.num_warnings, 13);
    PEL_EXPECT_HAS(parsed.said, "296:3: warning: TTLSEnvironmentAdvancedParms replaces the whole "
                                "TTLSEnvironmentAdvancedParmsRef on line 293\n");
    PEL_EXPECT_HAS(parsed.said, "379:3: warning: TLSv1 is given twice; the one on line 375 is ignored\n"
                                "380:3: warning: TLSv1.1 is given twice; the one on line 377 is ignored\n"
                                "381:3: warning: TLSv1.2 is given twice; the one on line 378 is ignored\n");
    PEL_EXPECT_HAS(parsed.said, "430:62: warning: ignored after the value: \"C02\"\n");
    PEL_EXPECT_HAS(
        parsed.said,
        "283:3: note: EnvironmentUserInstance: accepted, no effect: every load makes all environments anew; "
        "no number need change\n");
}
