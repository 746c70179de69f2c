/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A model's stack as a policy. The same model makes the same text. What several rules need is written once:
 * statements of one kind with one content are one statement, named after the object that they come from.
 */
#ifndef PEL_APPS_PEL_POLICY_MODEL_BUILD_H
#define PEL_APPS_PEL_POLICY_MODEL_BUILD_H

#include "apps/pel/policy/model.h"

struct model_policy {
    char *text;
    size_t len;
    struct yaml_place *origins; /* by line of the text: what in the model it comes from */
    size_t num_lines, num_rules;
};

/* model_build makes the policy of the stack. `file_name` is what comments call the model. False: reported
 * (an object that misses what the rule needs), or no memory. Free with model_policy_free, also then. */
bool model_build(struct model_file *file, unsigned stack, const char *file_name, struct yaml_report *report,
                 struct model_policy *ret_policy);
void model_policy_free(struct model_policy *policy);

#endif
