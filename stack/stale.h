/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stale rules: those of earlier generations that a load has deleted or changed. No new connection gets one;
 * those that have one keep it until they close. A rule that later loads left as it is is not stale, whichever
 * generation mapped the connection.
 */
#ifndef PEL_STACK_STALE_H
#define PEL_STACK_STALE_H

#include <stddef.h>
#include <stdint.h>

#include "stack/generation.h"

struct pel_stack;

/* The rules in force, by name. */
struct pel_rule_names {
    struct pel_generation *generation; /* a reference; NULL: none is in force */
    const struct pel_rule **rules;     /* sorted by name */
    size_t num;
};

/* pel_rule_names_take takes the generation in force of `slot`; pel_rule_names_free gives it back. Errors:
 * NO_MEMORY. Any thread. */
PEL_MUST_USE enum pel_err pel_rule_names_take(struct pel_generation_slot *slot,
                                              struct pel_rule_names *ret_names);
void pel_rule_names_free(struct pel_rule_names *names);

/* pel_stale_why tells why the rule `name`, as it was in the generation of that number, is stale: "deleted" or
 * "changed"; NULL when it is in force. */
const char *pel_stale_why(const struct pel_rule_names *names, const char *name, uint64_t generation);

/* A stale rule that connections still have. */
struct pel_stale_rule {
    char rule[33];
    uint64_t generation;
    const char *why;
    size_t num_conns;
    uint64_t oldest_ms; /* the age of its oldest connection */
};

/* More are counted as connections, and not listed. */
#define PEL_STALE_LISTED 1024

struct pel_stale_rules {
    struct pel_stale_rule rows[PEL_STALE_LISTED]; /* by generation and name */
    size_t num;
    size_t num_conns_more; /* of rules that have no row */
};

/* pel_stale_collect asks every engine. `ret_rules` is some 80 kB. Errors: NO_MEMORY. Not from an engine's
 * thread. */
PEL_MUST_USE enum pel_err pel_stale_collect(struct pel_stack *stack, struct pel_stale_rules *ret_rules);

#endif
