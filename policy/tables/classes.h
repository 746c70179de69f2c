/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which rules have the same settings. A rule's settings come from its three actions alone, so rules whose
 * actions say the same, named or inline, shared or not, are of one class; what is made of the settings (a
 * TLS environment) is then made once for all of them. Actions are compared as canonical text: whatever
 * parameter is added to the language takes part by itself.
 */
#ifndef PEL_POLICY_TABLES_CLASSES_H
#define PEL_POLICY_TABLES_CLASSES_H

#include "policy/model.h"

/* pel_classes_make numbers the classes of the policy's rules, from 0 (pel_rule.settings). `stmts` are the
 * rules' statements, in match order. Errors: NO_MEMORY. */
PEL_MUST_USE enum pel_err pel_classes_make(struct pel_parse *parse, struct pel_policy *policy,
                                           struct pel_stmt *const *stmts);

#endif
