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

/* Lines in which the report may differ: dates, suites that are not available here, and blank ones, which the
 * published report has one of too many. */
static bool is_passed_over(const char *line)
{
    static const char *const heads[] = {"Policy created: ", "Policy updated: ", "C023  ", "C024  ",
                                        "C027  ",           "C028  ",           "003D  "};
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
    PEL_EXPECT(compare_lines(first, out.text) > 2000);
    pel_out_free(&out);
    free(report);
    pel_test_drop(&parsed);
}
