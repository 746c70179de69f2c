/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A set of socket numbers in shared memory that many writers add to and one reader empties: who has something
 * to say. Two levels, so that an empty set is seen by looking at one line, and a set of thousands is emptied
 * without looking at them all. It never overflows, and adding twice is the same as adding once.
 *
 * Nothing is lost: a writer marks the number first and its group afterwards; the reader takes the group
 * first. A writer that finds its number marked already may rely on the one who marked it. Garbage in it costs
 * its reader looks at sockets that have nothing to say, and no more: the reader checks every number against
 * its own bound.
 */
#ifndef PEL_IPC_SIGNAL_SET_H
#define PEL_IPC_SIGNAL_SET_H

#include <stdbool.h>
#include <stdint.h>

#define PEL_SIGNAL_GROUPS      8
#define PEL_SIGNAL_SET_NUMBERS (PEL_SIGNAL_GROUPS * 64 * 64)

struct pel_signal_set {
    uint64_t groups[PEL_SIGNAL_GROUPS] __attribute__((aligned(64)));
    uint64_t words[PEL_SIGNAL_GROUPS * 64];
};

/* pel_signal_set_add adds `number`, below PEL_SIGNAL_SET_NUMBERS; returns false when it was there already,
 * and then whoever added it wakes the reader. A full barrier either way. Any thread of any process. */
static inline bool pel_signal_set_add(struct pel_signal_set *set, uint32_t number)
{
    uint32_t word = number / 64;
    uint64_t bit = 1ull << (number % 64);
    if (__atomic_fetch_or(&set->words[word], bit, __ATOMIC_SEQ_CST) & bit)
        return false;
    __atomic_fetch_or(&set->groups[word / 64], 1ull << (word % 64), __ATOMIC_SEQ_CST);
    return true;
}

/* pel_signal_set_is_empty tells whether nothing has been added since it was last emptied. Any thread. */
static inline bool pel_signal_set_is_empty(const struct pel_signal_set *set)
{
    uint64_t all = 0;
    for (int i = 0; i < PEL_SIGNAL_GROUPS; i++)
        all |= __atomic_load_n(&set->groups[i], __ATOMIC_RELAXED);
    return all == 0;
}

/* pel_signal_set_take empties the set and calls `visit` with each number below `num_numbers`; returns how
 * many it visited. What is added meanwhile is visited now or next time. The reader's thread. */
static inline uint32_t pel_signal_set_take(struct pel_signal_set *set, uint32_t num_numbers,
                                           void (*visit)(void *arg, uint32_t number), void *arg)
{
    uint32_t num_visited = 0;
    for (uint32_t group = 0; group < PEL_SIGNAL_GROUPS; group++) {
        if (__atomic_load_n(&set->groups[group], __ATOMIC_RELAXED) == 0)
            continue;
        uint64_t words = __atomic_exchange_n(&set->groups[group], 0, __ATOMIC_SEQ_CST);
        for (; words != 0; words &= words - 1) {
            uint32_t word = group * 64 + (uint32_t)__builtin_ctzll(words);
            uint64_t bits = __atomic_exchange_n(&set->words[word], 0, __ATOMIC_SEQ_CST);
            for (; bits != 0; bits &= bits - 1) {
                uint32_t number = word * 64 + (uint32_t)__builtin_ctzll(bits);
                if (number >= num_numbers)
                    break;
                visit(arg, number);
                num_visited++;
            }
        }
    }
    return num_visited;
}

#endif
