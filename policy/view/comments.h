/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The comments of policy texts and the lines that they stand on, so that a text can be written anew with
 * them. Slices of the texts, which must stay as long.
 */
#ifndef PEL_POLICY_VIEW_COMMENTS_H
#define PEL_POLICY_VIEW_COMMENTS_H

#include "policy/arena.h"
#include "policy/policy.h"

struct pel_comment {
    uint32_t file, line; /* as in struct pel_pos */
    bool alone;          /* nothing stands before it on its line */
    const char *text;    /* from its "#", without blanks at the end */
    uint32_t text_len;
};

struct pel_comments {
    size_t num;
    struct pel_comment *comments; /* in the order of the texts */
};

/* pel_comments_find finds the comments of the texts, into memory of `arena`. Errors: NO_MEMORY. */
PEL_MUST_USE enum pel_err pel_comments_find(struct pel_arena *arena, const struct pel_policy_source *sources,
                                            size_t num_sources, struct pel_comments *ret_comments);

#endif
