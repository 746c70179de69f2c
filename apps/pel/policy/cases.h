/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Expected verdicts: connections, and what a policy shall say of each. docs/POLICY-MODEL.md describes the
 * file.
 */
#ifndef PEL_APPS_PEL_POLICY_CASES_H
#define PEL_APPS_PEL_POLICY_CASES_H

#include <pellucid/policy.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "apps/pel/policy/yaml_file.h"

/* As the file has it; NULL where nothing is written. */
struct case_row {
    char *name, *direction, *local, *remote, *user, *job, *time, *rule, *verdict;
    char **settings;
    unsigned num_settings;
};

struct case_list {
    struct case_row *cases;
    unsigned num_cases;
};

struct cases_file {
    struct yaml_file yaml;
    struct case_list *list;                    /* in yaml */
    struct pel_policy_connection *connections; /* by case */
};

/* cases_read reads the file at `report->file` and checks every case; false: reported. Free with cases_free,
 * also then. cases_read_text is the same for a text. */
bool cases_read(struct cases_file *file, struct yaml_report *report);
bool cases_read_text(struct cases_file *file, const char *text, size_t len, struct yaml_report *report);
void cases_free(struct cases_file *file);

/* What came of a case. */
struct case_result {
    bool passed;
    const char *rule; /* of the policy; NULL: none */
    enum pel_policy_verdict verdict;
    char *expected, *got, *why; /* texts; `why` may be empty */
};

/* case_run asks the policy. Errors: NO_MEMORY. Free with case_result_free, also then. */
enum pel_err case_run(const struct cases_file *file, unsigned index, const struct pel_policy *policy,
                      struct case_result *ret_result);
void case_result_free(struct case_result *result);

#endif
