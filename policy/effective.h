/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What holds for a rule: the values of its connection action, else its environment action's, else its group
 * action's, else the default (policy-language, 2.2 and 16).
 */
#ifndef PEL_POLICY_EFFECTIVE_H
#define PEL_POLICY_EFFECTIVE_H

#include "policy/model.h"

/* pel_effective_compile works out the values for a rule without errors. Combinations that cannot be served
 * are reported at the rule. Errors: NO_MEMORY. */
PEL_MUST_USE enum pel_err pel_effective_compile(struct pel_parse *parse, struct pel_stmt *rule,
                                                struct pel_effective *ret_effective);

#endif
