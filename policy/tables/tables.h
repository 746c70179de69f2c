/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The classifier: a policy's conditions, compiled so that the first rule that matches is found without
 * looking at the others.
 *
 * Each connection is a point of seven small numbers (ranks of addresses and names, ports, direction); each
 * rule is one box of seven ranges, or several where it has groups. Boxes stand in the order of their rules,
 * so that the lowest box that holds the point is the answer. A tree of nodes with up to 13 ways finds the
 * few boxes that can: a node compares one number. Boxes that are wide in that number are not copied into
 * every way; they stay behind in the node's rest, a tree of its own that tells other numbers apart and is
 * looked at only when it may hold a lower box than the one that was found. So the tables stay within a few
 * times the size of the rules, whatever the rules are; and where rules cannot be told apart, lookups become
 * slow, not the load.
 *
 * What a box cannot say stands in its extra: lists of ranges that were too many to become boxes, and time.
 * Immutable once made; lookups allocate nothing and run on any thread.
 */
#ifndef PEL_POLICY_TABLES_TABLES_H
#define PEL_POLICY_TABLES_TABLES_H

#include "policy/compiled.h"

/* pel_tables_make compiles the policy's conditions, into the policy's arena. Errors: NO_MEMORY. */
PEL_MUST_USE enum pel_err pel_tables_make(struct pel_policy *policy);

/* pel_tables_lookup returns the index of the first rule that matches, or the number of rules when none does.
 * Any thread; allocates nothing. */
size_t pel_tables_lookup(const struct pel_policy *policy, const struct pel_policy_query *query);

/* How large the tables are, for tests and figures. */
struct pel_tables_size {
    size_t num_boxes, num_nodes, num_refs; /* refs: places of boxes in leaves */
    size_t largest_leaf, depth;
    size_t num_bytes;
};

struct pel_tables_size pel_tables_size(const struct pel_policy *policy);

#endif
