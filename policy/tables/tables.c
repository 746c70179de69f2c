/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "policy/tables/tables_inside.h"
#include "policy/tables/times.h"

enum pel_err pel_tables_make(struct pel_policy *policy)
{
    struct pel_tables *tables = pel_arena_alloc(&policy->arena, sizeof *tables);
    if (tables == NULL)
        return PEL_E_NO_MEMORY;
    struct pel_box *boxes = NULL;
    PEL_TRY(pel_boxes_make(&policy->arena, policy->conditions, policy->num_rules, tables, &boxes));
    enum pel_err err = pel_tree_make(&policy->arena, boxes, tables);
    free(boxes);
    policy->tables = tables;
    return err;
}

struct pel_tables_size pel_tables_size(const struct pel_policy *policy)
{
    return policy->tables->size;
}

/* ---- lookup ---- */

struct search {
    const struct pel_policy *policy;
    const struct pel_tables *tables;
    const struct pel_policy_query *query;
    int32_t at[PEL_DIM_NR]; /* the point; below 0: not known yet */
    uint32_t best;          /* the lowest rule so far; UINT32_MAX: none */
};

static void begin(const struct pel_policy *policy, const struct pel_policy_query *query,
                  struct search *ret_search)
{
    *ret_search = (struct search){.policy = policy,
                                  .tables = policy->tables,
                                  .query = query,
                                  .at = {[PEL_DIM_LOCAL_IP] = -1,
                                         [PEL_DIM_REMOTE_IP] = -1,
                                         [PEL_DIM_LOCAL_PORT] = query->local.port,
                                         [PEL_DIM_REMOTE_PORT] = query->remote.port,
                                         [PEL_DIM_USER] = -1,
                                         [PEL_DIM_JOB] = -1,
                                         [PEL_DIM_DIRECTION] = query->direction == PEL_OUTBOUND},
                                  .best = UINT32_MAX};
}

static int32_t find_number(struct search *search, uint32_t dimension)
{
    const struct pel_tables *tables = search->tables;
    uint32_t rank = 0;
    switch (dimension) {
    case PEL_DIM_LOCAL_IP: rank = pel_ip_rank(&tables->ips[0], &search->query->local.ip); break;
    case PEL_DIM_REMOTE_IP: rank = pel_ip_rank(&tables->ips[1], &search->query->remote.ip); break;
    case PEL_DIM_USER: rank = pel_name_rank(&tables->users, search->query->user); break;
    default: rank = pel_name_rank(&tables->jobs, search->query->job); break;
    }
    return search->at[dimension] = (int32_t)rank;
}

/* Ranks are worked out when they are asked for: many lookups end without some of them. */
static int32_t number_of(struct search *search, uint32_t dimension)
{
    int32_t number = search->at[dimension];
    return number >= 0 ? number : find_number(search, dimension);
}

static bool ip_is_inside(struct search *search, const struct pel_leaf_box *box, int side)
{
    if (box->ip_span[side] == PEL_NO_KEY - 1)
        return true; /* any */
    return (uint32_t)number_of(search, PEL_DIM_LOCAL_IP + (uint32_t)side) - box->ip_low[side] <=
           box->ip_span[side];
}

/* Of the direction, it has a tree of its own. */
static bool is_inside(struct search *search, const struct pel_leaf_box *box)
{
    bool outside = false;
    for (int side = 0; side < 2; side++) {
        uint32_t port = (uint32_t)search->at[PEL_DIM_LOCAL_PORT + side];
        outside |= port < box->port_low[side];
        outside |= port > box->port_high[side];
    }
    return !outside && ip_is_inside(search, box, 1) && ip_is_inside(search, box, 0);
}

static bool range_has(struct search *search, uint32_t dimension, const struct pel_rank_range *range)
{
    if (range->low == 0 && range->high == PEL_NO_KEY - 1)
        return true;
    return (uint32_t)number_of(search, dimension) - range->low <= range->high - range->low;
}

static bool list_has(const struct pel_rank_list *list, uint32_t rank)
{
    size_t from = 0, to = list->num;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (rank < list->ranges[middle].low)
            to = middle;
        else if (rank > list->ranges[middle].high)
            from = middle + 1;
        else
            return true;
    }
    return false;
}

static bool extra_holds(struct search *search, const struct pel_extra *extra)
{
    for (uint32_t i = 0; i <= PEL_DIM_REMOTE_PORT; i++) {
        if (extra->lists[i].ranges != NULL && !list_has(&extra->lists[i], (uint32_t)number_of(search, i)))
            return false;
    }
    return range_has(search, PEL_DIM_USER, &extra->users) && range_has(search, PEL_DIM_JOB, &extra->jobs) &&
           pel_time_holds_cached(extra->time, search->policy, search->query->wall_s, search->query->cache);
}

/* The first box that holds the point is the leaf's answer. */
static void look_at_leaf(struct search *search, uint32_t leaf)
{
    const struct pel_tables *tables = search->tables;
    for (const struct pel_leaf_box *box = &tables->leaves[leaf]; box->rule < search->best; box++) {
        if (is_inside(search, box) && (box->extra == 0 || extra_holds(search, &tables->extras[box->extra]))) {
            search->best = box->rule;
            return;
        }
        if (box->is_last)
            return;
    }
}

static uint32_t way_of(struct search *search, const struct pel_node *node)
{
    typedef int32_t numbers __attribute__((vector_size(16)));
    const numbers *keys = (const numbers *)(const void *)node->keys;
    int32_t number = number_of(search, node->dimension);
    numbers at = {number, number, number, number};
    numbers below = (keys[0] <= at) + (keys[1] <= at) + (keys[2] <= at);
    return node->ways[-(below[0] + below[1] + below[2] + below[3])];
}

/* Trees to look at later: rests. */
struct later {
    size_t num;
    struct {
        uint32_t tree, first;
    } trees[PEL_TREE_MAX_DEPTH + 1];
};

/* Its first lines of memory come while something else is looked at. */
static void announce(const struct pel_tables *tables, uint32_t tree)
{
    if ((tree & PEL_TREE_KIND) == PEL_TREE_LEAF) {
        __builtin_prefetch(&tables->leaves[tree & ~PEL_TREE_KIND]);
    } else if ((tree & PEL_TREE_KIND) == PEL_TREE_TABLE) {
        __builtin_prefetch(&tables->table_nodes[tree & ~PEL_TREE_KIND]);
    } else {
        __builtin_prefetch(&tables->nodes[tree]);
        __builtin_prefetch(tables->nodes[tree].ways);
    }
}

static void put_off(struct later *later, const struct search *search, uint32_t tree, uint32_t first)
{
    if (first >= search->best)
        return;
    announce(search->tables, tree);
    later->trees[later->num].tree = tree;
    later->trees[later->num++].first = first;
}

/* Goes down one node. */
static uint32_t go_down(struct search *search, uint32_t tree, struct later *later)
{
    const struct pel_tables *tables = search->tables;
    if ((tree & PEL_TREE_KIND) == PEL_TREE_NODE) {
        const struct pel_node *node = &tables->nodes[tree];
        __builtin_prefetch(node->ways); /* the other line, whichever way is taken */
        put_off(later, search, node->rest, node->rest_first);
        return way_of(search, node);
    }
    const struct pel_table_node *node = &tables->table_nodes[tree & ~PEL_TREE_KIND];
    uint32_t way = (uint32_t)(number_of(search, node->dimension) - node->low);
    put_off(later, search, node->rest, node->rest_first);
    return way < node->num ? tables->ways[node->ways + way] : PEL_TREE_EMPTY;
}

static void search_tree(struct search *search)
{
    struct later later;
    uint32_t tree = search->tables->roots[search->at[PEL_DIM_DIRECTION]];
    later.num = 0;
    for (;;) {
        while ((tree & PEL_TREE_LEAF) == 0)
            tree = go_down(search, tree, &later);
        if (tree != PEL_TREE_EMPTY)
            look_at_leaf(search, tree & ~PEL_TREE_KIND);
        while (later.num > 0 && later.trees[later.num - 1].first >= search->best)
            later.num--;
        if (later.num == 0)
            return;
        tree = later.trees[--later.num].tree;
    }
}

size_t pel_tables_lookup(const struct pel_policy *policy, const struct pel_policy_query *query)
{
    struct search search;
    begin(policy, query, &search);
    search_tree(&search);
    return search.best == UINT32_MAX ? policy->num_rules : search.best;
}
