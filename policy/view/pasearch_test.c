/* SPDX-License-Identifier: Apache-2.0 */
/* The original's report, line by line. */
#include <pellucid/policy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "policy/files.h"
#include "policy/view/out.h"
#include "policy/testing.h"
#include "tests/harness/harness.h"

static struct pel_parsed parsed;

static enum pel_err add_text(void *arg, const char *text, size_t text_len)
{
    pel_out_add(arg, text, text_len);
    return PEL_OK;
}

static void load(const char *path)
{
    memset(&parsed, 0, sizeof parsed);
    parsed.err =
        pel_policy_load_files(&path, 1, NULL, pel_test_note, &parsed, &parsed.policy, NULL, NULL, NULL);
}

/* Lines in which the report may differ: dates; suites, signatures and groups that are not available here; and
 * blank ones, which the published report has one of too many. */
static bool is_passed_over(const char *line)
{
    static const char *const heads[] = {
        "Policy created: ", "Policy updated: ", "C023  ", "C024  ", "C027  ", "C028  ", "003D  ", "0301  ",
        "0302  ",           "0303  ",           "0402  ", "0202  ", "0203  ", "0019  ", "0021  ", "0030  "};
    line += strspn(line, " ");
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        if (strncmp(line, heads[i], strlen(heads[i])) == 0)
            return true;
    }
    return line[0] == '\0';
}

/* The next line to compare, cut off the text; NULL at its end. */
static char *next_line(char **text)
{
    for (;;) {
        char *line = strsep(text, "\n");
        if (line == NULL || !is_passed_over(line))
            return line;
    }
}

static size_t compare_lines(char *theirs, char *ours)
{
    size_t num = 0;
    for (;; num++) {
        char *their = next_line(&theirs), *our = next_line(&ours);
        if (their == NULL && our == NULL)
            return num;
        if (their == NULL || our == NULL || strcmp(their, our) != 0) {
            pel_test_fail(__FILE__, __LINE__, "line %zu: \"%s\" is \"%s\" in the report", num,
                          our != NULL ? our : "(none)", their != NULL ? their : "(none)");
            return num;
        }
    }
}

PEL_TEST(pasearch, the_rules_of_a_report_of_the_original)
{
    const char *shared = getenv("PEL_SHARED");
    char path[4096];
    char *report = NULL;
    size_t report_len;
    struct pel_out out = {0};
    snprintf(path, sizeof path, "%s/policies/pasearch-zos31.report",
             shared != NULL ? shared : PEL_TEST_SHARED);
    if (access(path, F_OK) != 0)
        PEL_SKIP("pasearch-zos31.report is not here (PEL_SHARED)");
    PEL_EXPECT_ERR(pel_policy_read_file(path, &report, &report_len, NULL), PEL_OK);
    load(PEL_TEST_DATA "/pasearch.policy");
    PEL_REQUIRE(parsed.policy != NULL && report != NULL);
    for (size_t i = 0; i < pel_policy_count(parsed.policy); i++)
        PEL_EXPECT_ERR(pel_policy_pasearch_rule(parsed.policy, i, 0, add_text, &out), PEL_OK);
    char *first = strstr(report, "policyRule:");
    PEL_REQUIRE(first != NULL && out.text != NULL);
    PEL_EXPECT(compare_lines(first, out.text) > 1800);
    pel_out_free(&out);
    free(report);
    pel_test_drop(&parsed);
}

static void expect_report(const char *rule_line, const char *group_line, const char *env_lines,
                          const char *expected)
{
    char text[2000];
    struct pel_out out = {0};
    snprintf(
        text, sizeof text,
        "TTLSRule R\n{\nLocalPortRange 443\nDirection Inbound\n%sTTLSGroupAction\n{\nTTLSEnabled On\n%s}\n"
        "TTLSEnvironmentAction\n{\nHandshakeRole Server\nTTLSKeyringParms\n{\nKeyring web\n}\n%s}\n}\n",
        rule_line, group_line, env_lines);
    pel_test_parse(&parsed, text);
    PEL_REQUIRE(parsed.policy != NULL);
    PEL_EXPECT_ERR(pel_policy_pasearch_rule(parsed.policy, 0, 0, add_text, &out), PEL_OK);
    PEL_EXPECT_HAS(out.text, expected);
    pel_out_free(&out);
    pel_test_drop(&parsed);
}

/* What a profile leaves out, and what is not available, is in no list. */
PEL_TEST(pasearch, lists_are_what_holds)
{
    expect_report("", "FIPS140 On\n", "TTLSCipherParms\n{\nV3CipherSuites4Char 1303C02F002F\n}\n",
                  "     v3CipherSuites:\n      C02F  TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256\n    TTLSGsk");
    expect_report("", "FIPS140 On\n", "TTLSSignatureParms\n{\nServerKeyShareGroups 00290023\n}\n",
                  "     ClientECurves:\n      0023  secp256r1\n      0024  secp384r1\n      0025  secp521r1\n"
                  "     ServerKeyShareGroups:\n      0023  secp256r1\n     ServerKexECurves:\n");
    expect_report("", "", "SuiteBProfile 128\n", "     TLSv1.3:                   Off            \n");
    expect_report("", "", "SuiteBProfile 128\n",
                  "     SignaturePairs:\n      0403  TLS_SIGALG_SHA256_WITH_ECDSA\n    T");
    expect_report("", "", "TTLSSignatureParms\n{\nServerKexECurves 00300023\n}\n",
                  "     ServerKexECurves:\n      0023  secp256r1\n     SignaturePairs:\n");
}

/* The zone that holds, and no other. */
PEL_TEST(pasearch, times)
{
    expect_report(
        "IpTimeCondition\n{\nTimezoneOffset +05:30\n}\n", "", "",
        "To TimeOfDay UTC:  00:00           \n   TimezoneOffset:      +05:30          \n  TTLS Condition");
    expect_report("IpTimeCondition\n{\nTimeZone UTC\n}\n", "", "",
                  "\n   TimeZone:            UTC             \n  TTLS");
    expect_report(
        "", "", "",
        "   First to Last:       1111111111111111111111111111111\n"
        "   Last to First:       1111111111111111111111111111111\n   Month of Yr Mask:    111111111111    \n"
        "   Day of Week Mask:    1111111  (Sunday - Saturday)\n");
}
