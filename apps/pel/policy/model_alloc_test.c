/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Nth allocation fails, for every N of a model's way to a policy and back. Nothing may crash or leak, and
 * what is made is the whole, or nothing, and then it was said.
 */
#include <stdio.h>
#include <stdlib.h>

#include "apps/pel/policy/cases.h"
#include "apps/pel/policy/model_build.h"
#include "apps/pel/policy/model_import.h"
#include "apps/pel/policy/out.h"
#include "tests/harness/failmalloc.h"
#include "tests/harness/harness.h"

static char *read_example(const char *name, size_t *ret_len)
{
    FILE *from = fopen(name, "re");
    char *text = NULL;
    size_t cap = 0;
    ssize_t len = from != NULL ? getdelim(&text, &cap, '\0', from) : -1;
    if (from != NULL)
        fclose(from);
    *ret_len = len > 0 ? (size_t)len : 0;
    return text;
}

/* The policy of the first stack, or NULL. */
static char *build(const char *model, size_t len, struct yaml_report *report)
{
    struct model_policy policy = {0};
    struct model_file file;
    char *text = NULL;
    if (model_read_text(&file, model, len, report) && model_build(&file, 0, "m.yaml", report, &policy)) {
        text = policy.text;
        policy.text = NULL;
    }
    model_policy_free(&policy);
    model_free(&file);
    return text;
}

/* The model of the policy, or NULL. */
static char *import(const struct pel_policy *policy, const char *text, struct yaml_report *report)
{
    size_t num = pel_policy_count(policy), num_read = 0;
    struct facts *facts = calloc(num, sizeof *facts);
    struct hints hints = {0};
    bool has_secret, fine = facts != NULL && hints_read(text, &hints);
    for (; num_read < num && fine; num_read++)
        fine = facts_read(policy, num_read, report, &facts[num_read]);
    char *model = fine ? model_write(facts, num, &hints, "front", "p", &has_secret) : NULL;
    for (size_t i = 0; i < num_read; i++)
        facts_free(&facts[i]);
    free(facts);
    hints_free(&hints);
    return model;
}

PEL_TEST(model_alloc, a_build_is_whole_or_nothing)
{
    size_t len;
    char *model = read_example(PEL_TEST_EXAMPLES "/branch.yaml", &len);
    struct yaml_report report = {.file = "m", .diagnostics = json_array()};
    char *whole = build(model, len, &report);
    bool failed = true;
    PEL_REQUIRE(whole != NULL);
    for (uint64_t nth = 1; failed; nth++) {
        report.num_errors = 0;
        failmalloc_arm(nth);
        char *text = build(model, len, &report);
        failed = failmalloc_disarm();
        PEL_EXPECT(text == NULL ? report.num_errors > 0 : strcmp(text, whole) == 0);
        PEL_EXPECT(failed || text != NULL);
        free(text);
    }
    free(whole);
    free(model);
    json_decref(report.diagnostics);
}

PEL_TEST(model_alloc, an_import_is_whole_or_nothing)
{
    size_t len;
    char *model = read_example(PEL_TEST_EXAMPLES "/branch.yaml", &len);
    struct yaml_report report = {.file = "m", .diagnostics = json_array()};
    struct pel_policy *policy = NULL;
    struct pel_error error;
    char *text = build(model, len, &report);
    bool failed = true;
    PEL_REQUIRE(text != NULL);
    PEL_REQUIRE_OK(policy_open_text(text, strlen(text), NULL, NULL, &policy, &error));
    char *whole = import(policy, text, &report);
    PEL_REQUIRE(whole != NULL);
    for (uint64_t nth = 1; failed; nth++) {
        report.num_errors = 0;
        failmalloc_arm(nth);
        char *again = import(policy, text, &report);
        failed = failmalloc_disarm();
        PEL_EXPECT(again == NULL || strcmp(again, whole) == 0);
        PEL_EXPECT(failed || again != NULL);
        free(again);
    }
    pel_policy_close(policy);
    free(whole);
    free(text);
    free(model);
    json_decref(report.diagnostics);
}

PEL_TEST(model_alloc, a_case_passes_or_says_so)
{
    static const char policy_text[] =
        "TTLSRule r\n{\n  LocalPortRange 1\n  Direction Inbound\n  TTLSGroupAction\n"
        "  {\n    TTLSEnabled Off\n  }\n}\n";
    static const char cases[] =
        "cases:\n  - { name: n, direction: inbound, local: 1.2.3.4:1, remote: 1.2.3.4:1, "
        "rule: q, settings: [ Trace 2 ] }\n";
    struct yaml_report report = {.file = "c", .diagnostics = json_array()};
    struct pel_policy *policy = NULL;
    struct pel_error error;
    bool failed = true;
    PEL_REQUIRE_OK(policy_open_text(policy_text, sizeof policy_text - 1, NULL, NULL, &policy, &error));
    for (uint64_t nth = 1; failed; nth++) {
        struct cases_file file;
        struct case_result result = {0};
        report.num_errors = 0;
        failmalloc_arm(nth);
        bool is_read = cases_read_text(&file, cases, sizeof cases - 1, &report);
        enum pel_err err = is_read ? case_run(&file, 0, policy, &result) : PEL_E_NO_MEMORY;
        failed = failmalloc_disarm();
        PEL_EXPECT(is_read == (report.num_errors == 0));
        PEL_EXPECT(err == PEL_OK ? !result.passed : err == PEL_E_NO_MEMORY);
        case_result_free(&result);
        cases_free(&file);
    }
    pel_policy_close(policy);
    json_decref(report.diagnostics);
}
