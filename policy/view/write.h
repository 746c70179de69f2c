/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A policy as canonical text. Statements and parameters stay in the order of the files; each parameter has a
 * line, each brace too, two blanks a level, keywords and values as the schema spells them.
 */
#ifndef PEL_POLICY_VIEW_WRITE_H
#define PEL_POLICY_VIEW_WRITE_H

#include <pellucid/policy.h>

#include "policy/view/comments.h"
#include "policy/model.h"

/* pel_write_model writes the statements of `model`, with the comments of its files (NULL: without any).
 * Errors: those of `fn`; NO_MEMORY. */
PEL_MUST_USE enum pel_err pel_write_model(const struct pel_model *model, const struct pel_comments *comments,
                                          pel_policy_write_fn *fn, void *arg);

/* pel_write_some writes those statements that `wanted` says, an inline one that it says as if it stood at the
 * top; without comments. Errors as pel_write_model. */
PEL_MUST_USE enum pel_err pel_write_some(const struct pel_model *model,
                                         bool (*wanted)(void *arg, const struct pel_stmt *stmt),
                                         void *wanted_arg, pel_policy_write_fn *fn, void *arg);

#endif
