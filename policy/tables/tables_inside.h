/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The classifier's tables, between the files that make them and the one that reads them (tables.h).
 */
#ifndef PEL_POLICY_TABLES_TABLES_INSIDE_H
#define PEL_POLICY_TABLES_TABLES_INSIDE_H

#include <assert.h>

#include "policy/tables/ranks.h"
#include "policy/tables/tables.h"

/* The numbers of a point. */
enum pel_dimension {
    PEL_DIM_LOCAL_IP,
    PEL_DIM_REMOTE_IP,
    PEL_DIM_LOCAL_PORT,
    PEL_DIM_REMOTE_PORT,
    PEL_DIM_USER,
    PEL_DIM_JOB,
    PEL_DIM_DIRECTION,
    PEL_DIM_NR
};

/* Numbers stay below it, so that it can mean "no key". */
#define PEL_NO_KEY INT32_MAX

/* What the tree is made of, and then forgotten: a point is inside when at - low <= span in every dimension.
 */
struct pel_box {
    int32_t low[PEL_DIM_NR];
    uint32_t span[PEL_DIM_NR];
    uint32_t rule, extra;
};

/* Ranges of ranks or ports that a box does not tell. `ranges` NULL: nothing to look at. */
struct pel_rank_list {
    const struct pel_rank_range *ranges;
    size_t num;
};

/* What is looked at when all else holds. */
struct pel_extra {
    struct pel_rank_range users, jobs;
    const struct pel_time *time;
    struct pel_rank_list lists[PEL_DIM_REMOTE_PORT + 1]; /* by dimension */
};

/* A box in a leaf: what its lookups read, two in a cache line. The boxes of a leaf follow each other, the
 * lowest rule first. */
struct pel_leaf_box {
    uint32_t ip_low[2], ip_span[2]; /* local, remote */
    uint16_t port_low[2], port_high[2];
    uint32_t rule;
    uint32_t extra : 31;  /* index; 0: none */
    uint32_t is_last : 1; /* of its leaf */
};

static_assert(sizeof(struct pel_leaf_box) == 32, "a box spans cache lines");

/* Where a tree goes on: the two uppermost bits say at what, the others where. */
#define PEL_TREE_NODE   UINT32_C(0)          /* a node that compares */
#define PEL_TREE_TABLE  UINT32_C(0x40000000) /* a node that counts */
#define PEL_TREE_LEAF   UINT32_C(0x80000000) /* the first box of a leaf */
#define PEL_TREE_KIND   UINT32_C(0xc0000000)
#define PEL_TREE_EMPTY  UINT32_MAX
#define PEL_TREE_PLACES UINT32_C(0x3fffffff)

enum { PEL_NODE_KEYS = 12, PEL_TREE_MAX_DEPTH = 40 };

/* A node that compares: way i is taken by numbers that i keys are at or below. Two cache lines. */
struct pel_node {
    int32_t keys[PEL_NODE_KEYS]; /* sorted, PEL_NO_KEY at the end */
    uint32_t dimension;
    uint32_t rest;       /* a tree */
    uint32_t rest_first; /* its lowest rule; UINT32_MAX: none */
    uint32_t unused;
    uint32_t ways[PEL_NODE_KEYS + 1];
} __attribute__((aligned(64)));

/* A node that counts: numbers from `low` have a way each; others have none. */
struct pel_table_node {
    int32_t low;
    uint32_t num;
    uint32_t dimension;
    uint32_t rest, rest_first;
    uint32_t ways; /* their place among all tables' ways */
};

struct pel_tables {
    struct pel_ip_ranks ips[2]; /* local, remote */
    struct pel_name_ranks users, jobs;
    const struct pel_extra *extras;
    const struct pel_node *nodes;
    const struct pel_table_node *table_nodes;
    const uint32_t *ways; /* of the table nodes */
    const struct pel_leaf_box *leaves;
    uint32_t roots[2]; /* inbound, outbound */
    struct pel_tables_size size;
};

/* pel_boxes_make makes the boxes of all rules, lowest first, and what they need in `tables`. The boxes are
 * the caller's, to be freed with free(). Errors: NO_MEMORY. */
PEL_MUST_USE enum pel_err pel_boxes_make(struct pel_arena *arena, struct pel_conditions *conditions,
                                         size_t num_rules, struct pel_tables *tables,
                                         struct pel_box **ret_boxes);

/* pel_tree_make makes the tree over the boxes. Errors: NO_MEMORY. */
PEL_MUST_USE enum pel_err pel_tree_make(struct pel_arena *arena, const struct pel_box *boxes,
                                        struct pel_tables *tables);

/* pel_cache_lines_alloc returns zeroed bytes that begin a cache line, or NULL. */
void *pel_cache_lines_alloc(struct pel_arena *arena, size_t len);

#endif
