/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Places in a row. The classifier works on small numbers: an address or a name becomes its rank, the number
 * of boundaries of the policy's ranges that are at or below it, so that "is it in this range" is a
 * comparison of two numbers, whatever the width of an address. Immutable once made; the memory is an
 * arena's.
 *
 * Addresses: rank 0 is "no address", then come all of IPv4, then all of IPv6. Names: rank 0 is "unknown"; a
 * pattern is a range of names in the order of their folded bytes, so a prefix is a range like any other.
 */
#ifndef PEL_POLICY_TABLES_RANKS_H
#define PEL_POLICY_TABLES_RANKS_H

#include <stdint.h>

#include "policy/compiled.h"

/* Sorted numbers in blocks of a cache line: 8 of 64 bits, or 16 of 32. A block of an upper level tells in
 * which of the blocks below, one more than it has numbers, to go on. */
enum { PEL_KEYS_MAX_LEVELS = 11 };

struct pel_keys {
    uint32_t num, num_levels;
    bool narrow;                             /* 32 bits */
    const void *levels[PEL_KEYS_MAX_LEVELS]; /* the lowest, with all numbers, first */
};

/* pel_keys_make makes the blocks of `num` sorted numbers without doubles, which fit 32 bits when `narrow`.
 * Errors: NO_MEMORY. */
PEL_MUST_USE enum pel_err pel_keys_make(struct pel_arena *arena, const int64_t *sorted, size_t num,
                                        bool narrow, struct pel_keys *ret_keys);

/* pel_keys_rank returns how many are at or below `key`, of wide ones; pel_keys_rank32 of narrow ones. Any
 * thread, like all that only reads. */
uint32_t pel_keys_rank(const struct pel_keys *keys, int64_t key);
uint32_t pel_keys_rank32(const struct pel_keys *keys, int32_t key);

/* The boundaries of addresses of one side of a connection. */
struct pel_ip_ranks {
    struct pel_keys v4;      /* as narrow numbers, the uppermost bit turned */
    struct pel_keys v6_high; /* the upper halves, likewise */
    const uint32_t *v6_from; /* by upper half: where its lower halves begin; one more at the end */
    const uint64_t *v6_low;
    uint32_t v6_base; /* the rank of :: when no boundary is at it */
};

uint32_t pel_ip_rank(const struct pel_ip_ranks *ranks, const struct pel_ip *ip);

/* A name folded to lower case (ASCII), cut at 32 bytes, as numbers that compare like its bytes; the last
 * tells a longer name from one of 32 bytes. All zero: no name. */
enum { PEL_NAME_WORDS = 5, PEL_NAME_BYTES = 32 };

struct pel_name {
    uint64_t words[PEL_NAME_WORDS];
};

struct pel_name_ranks {
    uint32_t num;
    const struct pel_name *names; /* sorted */
    struct pel_keys firsts;       /* their first words, the uppermost bit turned */
    const uint32_t *from;         /* by first word: where its names begin; one more at the end */
};

uint32_t pel_name_rank(const struct pel_name_ranks *ranks, const char *name);

/* ---- making them ---- */

/* Boundaries as they are collected. All zero is an empty one; pel_ip_bounds_free and pel_name_bounds_free
 * drop it. `failed`: memory was short, and the ranks will not be made. */
struct pel_v6 {
    uint64_t high, low;
};

struct pel_ip_bounds {
    bool failed;
    size_t num_v4, cap_v4, num_v6, cap_v6;
    int64_t *v4;
    struct pel_v6 *v6;
};

struct pel_name_bounds {
    bool failed;
    size_t num, cap;
    struct pel_name *names;
};

void pel_ip_bounds_add(struct pel_ip_bounds *bounds, const struct pel_ip_range *range);
void pel_name_bounds_add(struct pel_name_bounds *bounds, const struct pel_pattern *pattern);
void pel_ip_bounds_free(struct pel_ip_bounds *bounds);
void pel_name_bounds_free(struct pel_name_bounds *bounds);

/* pel_ip_ranks_make and pel_name_ranks_make sort what was collected. Errors: NO_MEMORY. */
PEL_MUST_USE enum pel_err pel_ip_ranks_make(struct pel_arena *arena, struct pel_ip_bounds *bounds,
                                            struct pel_ip_ranks *ret_ranks);
PEL_MUST_USE enum pel_err pel_name_ranks_make(struct pel_arena *arena, struct pel_name_bounds *bounds,
                                              struct pel_name_ranks *ret_ranks);

/* The lowest and the highest rank of what lies in the range, whose boundaries were added before. */
struct pel_rank_range pel_ip_range_ranks(const struct pel_ip_ranks *ranks, const struct pel_ip_range *range);
struct pel_rank_range pel_pattern_ranks(const struct pel_name_ranks *ranks,
                                        const struct pel_pattern *pattern);

#endif
