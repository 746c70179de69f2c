/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a tree's boxes are best divided.
 */
#ifndef PEL_POLICY_TABLES_TREE_PLAN_H
#define PEL_POLICY_TABLES_TREE_PLAN_H

#include "policy/tables/tables_inside.h"

struct pel_tree_region {
    int32_t low[PEL_DIM_NR], high[PEL_DIM_NR];
};

/* Boxes that one tree is about, lowest first. */
struct pel_tree_work {
    const struct pel_box *all;
    const uint32_t *boxes;
    size_t num;
    size_t budget; /* copies that it may make */
    struct pel_tree_region region;
    uint32_t depth;
    int32_t *room; /* as of pel_tree_room_num */
};

struct pel_tree_plan {
    enum { PEL_PLAN_LEAF, PEL_PLAN_COMPARE, PEL_PLAN_COUNT } kind;
    int dimension;
    uint32_t num_ways;
    int32_t keys[PEL_NODE_KEYS]; /* COMPARE: num_ways - 1 of them, PEL_NO_KEY behind */
    int32_t low;                 /* COUNT: of the first way */
    uint32_t width; /* of the widest box that does not go to the rest: in ways or, COUNT, numbers */
    uint64_t cost;
};

/* pel_tree_plan returns what is best. Pure. */
struct pel_tree_plan pel_tree_plan(const struct pel_tree_work *work);

/* pel_tree_room_num says how many numbers of room the plans over `num` boxes need. */
size_t pel_tree_room_num(size_t num);

/* pel_tree_ways tells from which way to which the box belongs; the rest is way `num_ways`. */
void pel_tree_ways(const struct pel_tree_plan *plan, const struct pel_tree_region *region,
                   const struct pel_box *box, uint32_t *ret_first, uint32_t *ret_last);

static inline int32_t pel_box_high(const struct pel_box *box, int dimension)
{
    return box->low[dimension] + (int32_t)box->span[dimension];
}

#endif
