/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For the tests of this folder: policies drawn at random from the schema, with every statement, parameter and
 * kind of value, named, inline and by reference; and connections that have a chance to meet their rules.
 */
#ifndef PEL_POLICY_VIEW_TESTING_RANDOM_H
#define PEL_POLICY_VIEW_TESTING_RANDOM_H

#include "policy/view/out.h"
#include "policy/policy.h"

struct pel_random {
    uint64_t state;
};

/* pel_random_below returns a number below `limit`. */
uint32_t pel_random_below(struct pel_random *random, uint32_t limit);

/* pel_random_policy appends a policy of some rules to `out`. Most load; what does not is for the caller to
 * pass over. `comments`: also comments, odd spacing and letters of either case. */
void pel_random_policy(struct pel_random *random, struct pel_out *out, bool comments);

/* pel_random_query draws a connection. `user` and `job` are static. */
struct pel_policy_query pel_random_query(struct pel_random *random);

#endif
