/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/testing.h"

#include <stdio.h>
#include <string.h>

void pel_test_note(void *arg, const struct pel_policy_diag *diag)
{
    struct pel_parsed *parsed = arg;
    size_t left = sizeof parsed->said - parsed->said_len;
    parsed->num_errors += diag->severity == PEL_SEV_ERROR;
    parsed->num_warnings += diag->severity == PEL_SEV_WARNING;
    parsed->num_notes += diag->severity == PEL_SEV_NOTE;
    int len = snprintf(parsed->said + parsed->said_len, left, "%u:%u: %s: %s\n", diag->line, diag->column,
                       pel_severity_name(diag->severity), diag->message);
    if (len > 0 && (size_t)len < left)
        parsed->said_len += (size_t)len;
}

static void parse(struct pel_parsed *parsed, const char *text, size_t text_len,
                  const struct pel_policy_options *options)
{
    struct pel_policy_source source = {.file = "t.policy", .text = text, .text_len = text_len};
    memset(parsed, 0, sizeof *parsed);
    parsed->err = pel_policy_parse(&source, 1, options, pel_test_note, parsed, &parsed->policy, NULL);
}

void pel_test_parse_len(struct pel_parsed *parsed, const char *text, size_t text_len)
{
    parse(parsed, text, text_len, NULL);
}

void pel_test_parse_as(struct pel_parsed *parsed, const char *text, const struct pel_policy_options *options)
{
    parse(parsed, text, strlen(text), options);
}

void pel_test_parse(struct pel_parsed *parsed, const char *text)
{
    pel_test_parse_len(parsed, text, strlen(text));
}

void pel_test_drop(struct pel_parsed *parsed)
{
    pel_policy_unref(parsed->policy);
    parsed->policy = NULL;
}

const struct pel_rule *pel_test_rule(const struct pel_parsed *parsed, const char *name)
{
    for (size_t i = 0; parsed->policy != NULL && i < pel_policy_num_rules(parsed->policy); i++) {
        if (strcmp(pel_policy_rule(parsed->policy, i)->name, name) == 0)
            return pel_policy_rule(parsed->policy, i);
    }
    return NULL;
}
