/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random policies of any size for the bench, and connections to ask them about. The mix is what large
 * policies are made of: servers' ports with the prefixes, ranges and groups that may reach them, clients'
 * rules by remote address and port, some by user or program, a few wide ones; 3 of 5 in IPv4, the others in
 * IPv6. The same seed gives the same text.
 */
#ifndef PEL_BENCH_POLICY_RULES_H
#define PEL_BENCH_POLICY_RULES_H

#include "policy/policy.h"

struct rules {
    char *text;
    size_t text_len;
    struct pel_policy_query *inside; /* by number of rule: a connection that the rule is about */
    size_t num;
    uint64_t seed;
};

/* rules_make writes a policy of `num` rules; ends the program without memory. rules_free frees it. */
void rules_make(size_t num, uint64_t seed, struct rules *ret_rules);
void rules_free(struct rules *rules);

/* rules_query throws a connection: of ten, six that a rule is about, two with one thing changed, two at
 * random. Strings belong to the program. */
struct pel_policy_query rules_query(struct rules *rules);

#endif
