/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a load changes in effect, rule by rule and by name: for whoever asked, and to tell which rules of the
 * generation before go on as they were.
 */
#ifndef PEL_STACK_POLICY_CHANGES_H
#define PEL_STACK_POLICY_CHANGES_H

#include <stdint.h>

#include "policy/policy.h"

enum pel_load_change_kind {
    PEL_CHANGE_ADDED,
    PEL_CHANGE_REMOVED,
    PEL_CHANGE_CHANGED, /* a condition or a value that holds for it */
    PEL_CHANGE_MOVED,   /* only its place in match order */
    PEL_CHANGE_KINDS
};

/* More are counted, and not listed. */
#define PEL_LOAD_CHANGES_LISTED 1000

#define PEL_POLICY_NO_RULE UINT32_MAX

struct pel_load_change {
    enum pel_load_change_kind kind;
    char rule[33];
    char *detail; /* "HandshakeTimeout: 10 -> 20; …", the list's; NULL: none */
};

struct pel_load_changes {
    struct pel_load_change *rows;
    size_t num, cap;
    size_t num_of[PEL_CHANGE_KINDS];
    /* By the new policy's rule index: the index that the rule of this name had before, whatever it said;
     * PEL_POLICY_NO_RULE: there was none. And whether it is the same in effect. */
    uint32_t *before;
    bool *same;
};

/* pel_load_changes_find compares two policies; `before` NULL: there was none, and nothing is listed. The
 * caller frees with pel_load_changes_free. Errors: NO_MEMORY. Any thread. */
PEL_MUST_USE enum pel_err pel_load_changes_find(const struct pel_policy *before, const struct pel_policy *now,
                                                struct pel_load_changes *ret_changes);

/* pel_load_changes_free frees what they hold; harmless when zeroed. */
void pel_load_changes_free(struct pel_load_changes *changes);

/* pel_load_changes_any tells whether anything differs in effect. */
bool pel_load_changes_any(const struct pel_load_changes *changes);

/* pel_load_change_name returns "added", "removed", "changed" or "moved". */
const char *pel_load_change_name(enum pel_load_change_kind kind);

#endif
