/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/tables_inside.h"

enum pel_err pel_tables_make(struct pel_policy *policy)
{
    struct pel_tables *tables = pel_arena_alloc(&policy->arena, sizeof *tables);
    if (tables == NULL)
        return PEL_E_NO_MEMORY;
    PEL_TRY(pel_boxes_make(&policy->arena, policy->conditions, policy->num_rules, tables));
    PEL_TRY(pel_tree_make(&policy->arena, tables));
    policy->tables = tables;
    return PEL_OK;
}

struct pel_tables_size pel_tables_size(const struct pel_policy *policy)
{
    return policy->tables->size;
}

/* ---- lookup ---- */

static void find_point(const struct pel_tables *tables, const struct pel_policy_query *query,
                       struct pel_point *ret_point)
{
    *ret_point = (struct pel_point){{
        [PEL_DIM_LOCAL_IP] = (int32_t)pel_ip_rank(&tables->ips[0], &query->local.ip),
        [PEL_DIM_REMOTE_IP] = (int32_t)pel_ip_rank(&tables->ips[1], &query->remote.ip),
        [PEL_DIM_LOCAL_PORT] = query->local.port,
        [PEL_DIM_REMOTE_PORT] = query->remote.port,
        [PEL_DIM_USER] = (int32_t)pel_name_rank(&tables->users, query->user),
        [PEL_DIM_JOB] = (int32_t)pel_name_rank(&tables->jobs, query->job),
        [PEL_DIM_DIRECTION] = query->direction == PEL_OUTBOUND,
    }};
}

static bool is_inside(const struct pel_box *box, const struct pel_point *point)
{
    uint32_t outside = 0;
    for (int i = 0; i < PEL_DIM_NR; i++)
        outside |= (uint32_t)(point->at[i] - box->low[i]) > box->span[i];
    return outside == 0;
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
    return list->ranges == NULL;
}

static bool extra_holds(const struct pel_extra *extra, const struct pel_point *point,
                        const struct pel_policy_query *query)
{
    for (int i = 0; i <= PEL_DIM_REMOTE_PORT; i++) {
        if (!list_has(&extra->lists[i], (uint32_t)point->at[i]))
            return false;
    }
    return true;
}

struct search {
    const struct pel_tables *tables;
    const struct pel_policy_query *query;
    struct pel_point point;
    uint32_t best; /* the lowest box so far; UINT32_MAX: none */
};

static void look_at_leaf(struct search *search, uint32_t leaf)
{
    const struct pel_tables *tables = search->tables;
    const uint32_t *refs = &tables->refs[leaf + 1], *end = refs + refs[-1];
    for (const uint32_t *ref = refs; ref < end && ref < refs + 8; ref++)
        __builtin_prefetch(&tables->boxes[*ref]);
    for (; refs < end && *refs < search->best; refs++) {
        const struct pel_box *box = &tables->boxes[*refs];
        if (is_inside(box, &search->point) &&
            (box->extra == 0 || extra_holds(&tables->extras[box->extra], &search->point, search->query))) {
            search->best = *refs;
            return;
        }
    }
}

static uint32_t way_of(const struct pel_node *node, const struct pel_point *point)
{
    int32_t number = point->at[node->dimension], way = 0;
    for (int i = 0; i < PEL_NODE_KEYS; i++)
        way += node->keys[i] <= number;
    return node->ways[way];
}

static void search_tree(struct search *search)
{
    struct {
        uint32_t tree, first;
    } later[PEL_TREE_MAX_DEPTH];
    size_t num_later = 0;
    uint32_t tree = search->tables->root;
    for (;;) {
        while ((tree & PEL_TREE_LEAF) == 0) {
            const struct pel_node *node = &search->tables->nodes[tree];
            if (node->rest_first < search->best) {
                later[num_later].tree = node->rest;
                later[num_later++].first = node->rest_first;
            }
            tree = way_of(node, &search->point);
        }
        if (tree != PEL_TREE_EMPTY)
            look_at_leaf(search, tree & ~PEL_TREE_LEAF);
        while (num_later > 0 && later[num_later - 1].first >= search->best)
            num_later--;
        if (num_later == 0)
            return;
        tree = later[--num_later].tree;
    }
}

size_t pel_tables_lookup(const struct pel_policy *policy, const struct pel_policy_query *query)
{
    struct search search = {.tables = policy->tables, .query = query, .best = UINT32_MAX};
    find_point(policy->tables, query, &search.point);
    search_tree(&search);
    return search.best == UINT32_MAX ? policy->num_rules : policy->tables->rules[search.best];
}
