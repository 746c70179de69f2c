/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How often a rule was chosen, and when last. Each engine has a cache line of its own to count in, so that
 * engines never wait for each other; whoever asks adds them up. A rule that a load leaves as it is takes its
 * counts along into the next generation: hence the references.
 */
#ifndef PEL_STACK_RULE_HITS_H
#define PEL_STACK_RULE_HITS_H

#include <stddef.h>
#include <stdint.h>

struct pel_rule_hits_row {
    uint64_t count;
    int64_t last_s; /* wall clock */
} __attribute__((aligned(64)));

struct pel_rule_hits {
    uint32_t num_refs; /* atomic */
    uint32_t num_engines;
    struct pel_rule_hits_row of_engine[];
};

/* pel_rule_hits_new makes counts that are zero, with one reference; NULL: out of memory. Any thread. */
struct pel_rule_hits *pel_rule_hits_new(uint32_t num_engines);

/* pel_rule_hits_ref takes a reference; pel_rule_hits_unref drops one and frees with the last. NULL is
 * harmless. Any thread. */
struct pel_rule_hits *pel_rule_hits_ref(struct pel_rule_hits *hits);
void pel_rule_hits_unref(struct pel_rule_hits *hits);

/* pel_rule_hits_count counts a connection. The thread of engine `engine` only; NULL is harmless. */
static inline void pel_rule_hits_count(struct pel_rule_hits *hits, uint32_t engine, int64_t now_s)
{
    if (hits == NULL || engine >= hits->num_engines)
        return;
    struct pel_rule_hits_row *row = &hits->of_engine[engine];
    __atomic_store_n(&row->last_s, now_s, __ATOMIC_RELAXED);
    __atomic_store_n(&row->count, __atomic_load_n(&row->count, __ATOMIC_RELAXED) + 1, __ATOMIC_RELAXED);
}

/* pel_rule_hits_sum adds up what all engines have counted; `ret_last_s` is 0 when none has. Any thread. */
void pel_rule_hits_sum(const struct pel_rule_hits *hits, uint64_t *ret_count, int64_t *ret_last_s);

#endif
