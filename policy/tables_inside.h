/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The classifier's tables, between the files that make them and the one that reads them (policy/tables.h).
 */
#ifndef PEL_POLICY_TABLES_INSIDE_H
#define PEL_POLICY_TABLES_INSIDE_H

#include "policy/ranks.h"
#include "policy/tables.h"

/* The numbers of a point. The eighth is always 0, and fills the line. */
enum pel_dimension {
    PEL_DIM_LOCAL_IP,
    PEL_DIM_REMOTE_IP,
    PEL_DIM_LOCAL_PORT,
    PEL_DIM_REMOTE_PORT,
    PEL_DIM_USER,
    PEL_DIM_JOB,
    PEL_DIM_DIRECTION,
    PEL_DIM_NR,
    PEL_DIM_LANES = 8,
};

/* Numbers stay below it, so that it can mean "no key". */
#define PEL_NO_KEY INT32_MAX

struct pel_point {
    int32_t at[PEL_DIM_LANES];
} __attribute__((aligned(32)));

/* A point is inside when at - low <= span in every dimension. A cache line. */
struct pel_box {
    int32_t low[PEL_DIM_LANES];
    uint32_t span[PEL_DIM_NR];
    uint32_t extra; /* index; 0: none. In a lane whose comparison always holds */
} __attribute__((aligned(64)));

/* Ranges of ranks or ports that a box does not tell. NULL: nothing to look at. */
struct pel_rank_list {
    const struct pel_rank_range *ranges;
    size_t num;
};

struct pel_extra {
    struct pel_rank_list lists[PEL_DIM_REMOTE_PORT + 1]; /* by dimension */
};

/* Where a tree goes on: a node's index, or with the uppermost bit a leaf's place among the refs. */
#define PEL_TREE_LEAF  UINT32_C(0x80000000)
#define PEL_TREE_EMPTY UINT32_MAX

enum { PEL_NODE_KEYS = 12, PEL_TREE_MAX_DEPTH = 40 };

/* Way i is taken by numbers that i keys are at or below. Two cache lines. */
struct pel_node {
    int32_t keys[PEL_NODE_KEYS]; /* sorted, PEL_NO_KEY at the end */
    uint32_t dimension;
    uint32_t rest;       /* a tree */
    uint32_t rest_first; /* its lowest box; UINT32_MAX: none */
    uint32_t ways[PEL_NODE_KEYS + 1];
    uint32_t unused[4];
} __attribute__((aligned(64)));

struct pel_tables {
    struct pel_ip_ranks ips[2]; /* local, remote */
    struct pel_name_ranks users, jobs;
    const struct pel_box *boxes;
    const uint32_t *rules; /* by box */
    const struct pel_extra *extras;
    const struct pel_node *nodes;
    const uint32_t *refs; /* leaves: a number, and so many boxes, lowest first */
    uint32_t root;
    struct pel_tables_size size;
};

/* pel_boxes_make makes the boxes of all rules, with what they need. Errors: NO_MEMORY. */
PEL_MUST_USE enum pel_err pel_boxes_make(struct pel_arena *arena, struct pel_conditions *conditions,
                                         size_t num_rules, struct pel_tables *tables);

/* pel_tree_make makes the tree over the boxes. Errors: NO_MEMORY. */
PEL_MUST_USE enum pel_err pel_tree_make(struct pel_arena *arena, struct pel_tables *tables);

/* pel_cache_lines_alloc returns zeroed bytes that begin a cache line, or NULL. */
void *pel_cache_lines_alloc(struct pel_arena *arena, size_t len);

#endif
