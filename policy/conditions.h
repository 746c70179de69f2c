/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A rule's conditions, from statements to what the matcher reads.
 */
#ifndef PEL_POLICY_CONDITIONS_H
#define PEL_POLICY_CONDITIONS_H

#include "policy/model.h"

/* pel_conditions_compile makes the conditions of a rule without errors, in the policy's arena. Errors:
 * NO_MEMORY. */
PEL_MUST_USE enum pel_err pel_conditions_compile(struct pel_parse *parse, const struct pel_stmt *rule,
                                                 struct pel_conditions *ret_conditions);

/* pel_conditions_coded tells whether the rule has a condition besides Direction. */
bool pel_conditions_coded(const struct pel_stmt *rule);

#endif
