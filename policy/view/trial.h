/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why a rule does not match: what pel_conditions_match decides, told condition by condition.
 */
#ifndef PEL_POLICY_VIEW_TRIAL_H
#define PEL_POLICY_VIEW_TRIAL_H

#include "policy/model.h"
#include "policy/view/out.h"

/* pel_trial_explain tells whether the rule at `index` matches; if not, `ret_reason` has the first condition
 * that fails, "local port 8443 is not 443-444". */
bool pel_trial_explain(const struct pel_policy *policy, size_t index, const struct pel_policy_query *query,
                       struct pel_out *ret_reason);

#endif
