/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random policies for the tests, with an oracle: rules as they were thrown, whose conditions it looks at
 * one by one, as naively as can be, knowing nothing of the compiled form.
 */
#ifndef PEL_POLICY_TABLES_THROWN_H
#define PEL_POLICY_TABLES_THROWN_H

#include "policy/testing.h"

/* What a policy is made of. Small worlds collide more. */
struct thrown_shape {
    size_t num_rules;
    uint32_t num_ips;   /* addresses lie in so many, of each family */
    uint32_t num_ports; /* likewise */
    uint32_t width;     /* ranges are up to so wide */
    uint32_t num_names; /* of users and programs */
    uint32_t num_items; /* a group has up to so many */
    uint32_t bare;      /* of 10 conditions so many are left out */
    uint32_t num_times; /* time conditions to choose from; 0: none */
};

struct thrown;

/* thrown_make throws a policy from `seed` and parses it into `parsed`; the test fails when it is wrong.
 * thrown_free frees both. */
struct thrown *thrown_make(const struct thrown_shape *shape, uint64_t seed, struct pel_parsed *parsed);
void thrown_free(struct thrown *thrown, struct pel_parsed *parsed);

/* thrown_compare throws a connection and asks both; false, and the test has failed, when they differ. */
bool thrown_compare(struct thrown *thrown, const struct pel_parsed *parsed);

#endif
