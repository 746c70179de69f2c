/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a model of `pel policy build`: no crash, no leak, every message has a place in the text. What
 * is built is a policy with an origin for each line; and where that policy has no errors, its import builds
 * the same policy again, or is refused, but is never another.
 */
#include <stdlib.h>
#include <string.h>

#include "apps/pel/policy/model_build.h"
#include "apps/pel/policy/model_import.h"
#include "apps/pel/policy/out.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_messages(const struct yaml_report *report, size_t num_lines)
{
    size_t i;
    json_t *entry;
    json_array_foreach(report->diagnostics, i, entry)
    {
        json_int_t line = json_integer_value(json_object_get(entry, "line"));
        const char *text = json_string_value(json_object_get(entry, "message"));
        if (line < 1 || (size_t)line > num_lines || text == NULL || text[0] == '\0')
            abort();
    }
}

/* Whether the model's policy differs from `policy`. */
static void compare(const char *model, const struct pel_policy *policy)
{
    struct yaml_report report = {.file = "again", .diagnostics = json_array()};
    struct model_policy built = {0};
    struct model_file file;
    struct pel_policy *again = NULL;
    struct pel_error error;
    size_t num_changes = 0;
    if (model_read_text(&file, model, strlen(model), &report) &&
        model_build(&file, 0, "again", &report, &built) &&
        policy_open_text(built.text, built.len, NULL, NULL, &again, &error) == PEL_OK) {
        if (pel_policy_diff(policy, again, NULL, NULL, &num_changes) == PEL_OK && num_changes > 0)
            abort();
    }
    pel_policy_close(again);
    model_policy_free(&built);
    model_free(&file);
    json_decref(report.diagnostics);
}

static void import(const struct model_policy *built)
{
    struct yaml_report report = {.file = "policy", .diagnostics = json_array()};
    struct pel_policy *policy = NULL;
    struct pel_error error;
    struct hints hints = {0};
    struct facts facts[16];
    size_t num = 0;
    bool has_secret;
    if (policy_open_text(built->text, built->len, NULL, NULL, &policy, &error) != PEL_OK ||
        pel_policy_count(policy) > 16) {
        pel_policy_close(policy);
        json_decref(report.diagnostics);
        return;
    }
    bool fine = hints_read(built->text, &hints);
    for (; num < pel_policy_count(policy) && fine; num++)
        fine = facts_read(policy, num, &report, &facts[num]);
    char *model = fine ? model_write(facts, num, &hints, "s", "fuzz", &has_secret) : NULL;
    if (model != NULL)
        compare(model, policy);
    free(model);
    for (size_t i = 0; i < num; i++)
        facts_free(&facts[i]);
    hints_free(&hints);
    pel_policy_close(policy);
    json_decref(report.diagnostics);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct yaml_report report = {.file = "fuzz", .diagnostics = json_array()};
    struct model_policy built = {0};
    struct model_file file;
    size_t num_lines = 1;
    for (size_t i = 0; i < len; i++)
        num_lines += data[i] == '\n' || data[i] == '\r';
    /* In memory of its exact size, so that the sanitizer sees a read behind the end. */
    char *text = malloc(len > 0 ? len : 1);
    if (text == NULL)
        return 0;
    memcpy(text, data, len);
    bool fine = model_read_text(&file, text, len, &report) && model_build(&file, 0, "fuzz", &report, &built);
    free(text);
    if (fine != (report.num_errors == 0))
        abort();
    check_messages(&report, num_lines + 2 * len); /* Unicode has more kinds of line ends */
    if (fine) {
        size_t num = 0;
        for (size_t i = 0; i < built.len; i++)
            num += built.text[i] == '\n';
        if (num != built.num_lines || strlen(built.text) != built.len)
            abort();
        import(&built);
    }
    model_policy_free(&built);
    model_free(&file);
    json_decref(report.diagnostics);
    return 0;
}
