/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree over the boxes, from the root down. What copies may cost in memory is a budget that is handed down
 * in proportion; what no plan divides becomes a leaf, however large.
 */
#include <stdlib.h>
#include <string.h>

#include "policy/tables/tree_plan.h"

enum { COPIES_A_BOX = 1 }; /* how often a box may stand in leaves besides once, in the mean */

/* An array that grows. */
struct pile {
    void *items;
    size_t num, cap;
};

struct builder {
    struct pile nodes, table_nodes, ways, leaves;
    size_t largest_leaf, depth;
    bool failed; /* out of memory */
};

/* Takes room for `more` items on top; false without memory, or without numbers for their places. */
static bool add(struct builder *builder, struct pile *pile, size_t more, size_t size, uint32_t *ret_place)
{
    size_t cap = pile->cap == 0 ? 256 : pile->cap;
    while (cap < pile->num + more)
        cap *= 2;
    void *grown = cap == pile->cap ? pile->items : realloc(pile->items, cap * size);
    if (grown == NULL || pile->num + more > PEL_TREE_PLACES) {
        builder->failed = true;
        return false;
    }
    pile->items = grown;
    pile->cap = cap;
    *ret_place = (uint32_t)pile->num;
    pile->num += more;
    return true;
}

static struct pel_leaf_box leaf_box(const struct pel_box *box, bool is_last)
{
    struct pel_leaf_box leaf_box = {
        .rule = box->rule, .extra = box->extra & ((1u << 31) - 1), .is_last = is_last};
    for (int side = 0; side < 2; side++) {
        int ip = PEL_DIM_LOCAL_IP + side, port = PEL_DIM_LOCAL_PORT + side;
        leaf_box.ip_low[side] = (uint32_t)box->low[ip];
        leaf_box.ip_span[side] = box->span[ip];
        leaf_box.port_low[side] = (uint16_t)box->low[port];
        leaf_box.port_high[side] = (uint16_t)pel_box_high(box, port);
    }
    return leaf_box;
}

static uint32_t make_leaf(struct builder *builder, const struct pel_tree_work *work)
{
    uint32_t place;
    builder->largest_leaf = work->num > builder->largest_leaf ? work->num : builder->largest_leaf;
    builder->depth = work->depth > builder->depth ? work->depth : builder->depth;
    if (work->num == 0)
        return PEL_TREE_EMPTY;
    if (!add(builder, &builder->leaves, work->num, sizeof(struct pel_leaf_box), &place))
        return PEL_TREE_EMPTY;
    struct pel_leaf_box *leaf = (struct pel_leaf_box *)builder->leaves.items + place;
    for (size_t i = 0; i < work->num; i++)
        leaf[i] = leaf_box(&work->all[work->boxes[i]], i + 1 == work->num);
    return PEL_TREE_LEAF | place;
}

/* Boxes by way, those of the rest behind them. */
struct division {
    uint32_t *boxes;
    uint32_t *from; /* where each way begins; the rest; the end */
};

static void drop(struct division *division)
{
    free(division->boxes);
    free(division->from);
}

/* Counts into `from`, one place up, then turns counts into places. */
static size_t count_ways(const struct pel_tree_work *work, const struct pel_tree_plan *plan, uint32_t *from)
{
    uint32_t first, last;
    for (size_t i = 0; i < work->num; i++) {
        pel_tree_ways(plan, &work->region, &work->all[work->boxes[i]], &first, &last);
        for (uint32_t way = first; way <= last; way++)
            from[way + 1]++;
    }
    for (uint32_t way = 0; way <= plan->num_ways; way++)
        from[way + 1] += from[way];
    return from[plan->num_ways + 1];
}

static bool divide(const struct pel_tree_work *work, const struct pel_tree_plan *plan, struct division *ret)
{
    struct division division = {.from = calloc(plan->num_ways + 2, sizeof *division.from)};
    uint32_t *at = malloc((plan->num_ways + 2) * sizeof *at), first, last;
    if (division.from != NULL && at != NULL)
        division.boxes = malloc((count_ways(work, plan, division.from) + 1) * sizeof *division.boxes);
    if (division.boxes == NULL) {
        drop(&division);
        free(at);
        return false;
    }
    memcpy(at, division.from, (plan->num_ways + 2) * sizeof *at);
    for (size_t i = 0; i < work->num; i++) {
        pel_tree_ways(plan, &work->region, &work->all[work->boxes[i]], &first, &last);
        for (uint32_t way = first; way <= last; way++)
            division.boxes[at[way]++] = work->boxes[i];
    }
    free(at);
    *ret = division;
    return true;
}

static uint32_t make_tree(struct builder *builder, const struct pel_tree_work *work);

static void narrow_region(struct pel_tree_region *region, const struct pel_tree_plan *plan, uint32_t way)
{
    int d = plan->dimension;
    if (way == plan->num_ways)
        return; /* the rest is everywhere */
    if (plan->kind == PEL_PLAN_COUNT) {
        region->low[d] = region->high[d] = plan->low + (int32_t)way;
        return;
    }
    if (way > 0)
        region->low[d] = plan->keys[way - 1];
    if (way + 1 < plan->num_ways)
        region->high[d] = plan->keys[way] - 1;
}

/* The tree of one way, or of the rest. */
static uint32_t make_way(struct builder *builder, const struct pel_tree_work *work,
                         const struct pel_tree_plan *plan, const struct division *division, uint32_t way)
{
    size_t total = division->from[plan->num_ways + 1], copies = total - work->num;
    struct pel_tree_work part = *work;
    part.boxes = division->boxes + division->from[way];
    part.num = division->from[way + 1] - division->from[way];
    part.budget = work->budget > copies ? work->budget - copies : 0;
    part.budget = total == 0 ? 0 : (size_t)((double)part.budget * (double)part.num / (double)total);
    part.depth++;
    if (part.num == 0)
        return PEL_TREE_EMPTY;
    narrow_region(&part.region, plan, way);
    return make_tree(builder, &part);
}

static uint32_t rest_first(const struct pel_tree_work *work, const struct pel_tree_plan *plan,
                           const struct division *division)
{
    uint32_t from = division->from[plan->num_ways];
    return from == division->from[plan->num_ways + 1] ? UINT32_MAX : work->all[division->boxes[from]].rule;
}

static uint32_t make_node(struct builder *builder, const struct pel_tree_work *work,
                          const struct pel_tree_plan *plan, const struct division *division)
{
    struct pel_node node = {.dimension = (uint32_t)plan->dimension,
                            .rest_first = rest_first(work, plan, division)};
    uint32_t place;
    if (!add(builder, &builder->nodes, 1, sizeof node, &place))
        return PEL_TREE_EMPTY;
    memcpy(node.keys, plan->keys, sizeof node.keys);
    for (uint32_t way = 0; way < plan->num_ways; way++)
        node.ways[way] = make_way(builder, work, plan, division, way);
    node.rest = make_way(builder, work, plan, division, plan->num_ways);
    memcpy((struct pel_node *)builder->nodes.items + place, &node, sizeof node);
    return PEL_TREE_NODE | place;
}

static uint32_t make_table(struct builder *builder, const struct pel_tree_work *work,
                           const struct pel_tree_plan *plan, const struct division *division)
{
    struct pel_table_node node = {.low = plan->low,
                                  .num = plan->num_ways,
                                  .dimension = (uint32_t)plan->dimension,
                                  .rest_first = rest_first(work, plan, division)};
    uint32_t place;
    if (!add(builder, &builder->table_nodes, 1, sizeof node, &place) ||
        !add(builder, &builder->ways, plan->num_ways, sizeof(uint32_t), &node.ways))
        return PEL_TREE_EMPTY;
    for (uint32_t way = 0; way < plan->num_ways; way++) {
        uint32_t tree = make_way(builder, work, plan, division, way);
        ((uint32_t *)builder->ways.items)[node.ways + way] = tree;
    }
    node.rest = make_way(builder, work, plan, division, plan->num_ways);
    memcpy((struct pel_table_node *)builder->table_nodes.items + place, &node, sizeof node);
    return PEL_TREE_TABLE | place;
}

static uint32_t make_tree(struct builder *builder, const struct pel_tree_work *work)
{
    struct pel_tree_plan plan = pel_tree_plan(work);
    struct division division;
    uint32_t tree;
    if (plan.kind == PEL_PLAN_LEAF || builder->failed)
        return make_leaf(builder, work);
    if (!divide(work, &plan, &division)) {
        builder->failed = true;
        return PEL_TREE_EMPTY;
    }
    tree = plan.kind == PEL_PLAN_COUNT ? make_table(builder, work, &plan, &division)
                                       : make_node(builder, work, &plan, &division);
    drop(&division);
    return tree;
}

/* ---- all ---- */

static const void *keep_pile(struct pel_arena *arena, const struct pile *pile, size_t size, size_t *num_bytes)
{
    void *kept = pel_cache_lines_alloc(arena, (pile->num + 1) * size);
    if (kept != NULL && pile->num > 0)
        memcpy(kept, pile->items, pile->num * size);
    *num_bytes += pile->num * size;
    return kept;
}

static enum pel_err keep(struct pel_arena *arena, const struct builder *builder, struct pel_tables *tables)
{
    struct pel_tables_size *size = &tables->size;
    size->num_bytes = 0;
    tables->nodes = keep_pile(arena, &builder->nodes, sizeof *tables->nodes, &size->num_bytes);
    tables->table_nodes =
        keep_pile(arena, &builder->table_nodes, sizeof *tables->table_nodes, &size->num_bytes);
    tables->ways = keep_pile(arena, &builder->ways, sizeof *tables->ways, &size->num_bytes);
    tables->leaves = keep_pile(arena, &builder->leaves, sizeof *tables->leaves, &size->num_bytes);
    size->num_nodes = builder->nodes.num + builder->table_nodes.num;
    size->num_refs = builder->leaves.num;
    size->largest_leaf = builder->largest_leaf;
    size->depth = builder->depth;
    return tables->nodes == NULL || tables->table_nodes == NULL || tables->ways == NULL ||
                   tables->leaves == NULL
               ? PEL_E_NO_MEMORY
               : PEL_OK;
}

/* All boxes of one direction. */
static void begin(struct pel_tree_work *work, size_t num, int direction, uint32_t *boxes)
{
    work->num = 0;
    for (size_t i = 0; i < num; i++) {
        const struct pel_box *box = &work->all[i];
        if (box->low[PEL_DIM_DIRECTION] <= direction && pel_box_high(box, PEL_DIM_DIRECTION) >= direction)
            boxes[work->num++] = (uint32_t)i;
    }
    for (int dimension = 0; dimension < PEL_DIM_NR; dimension++) {
        work->region.low[dimension] = 0;
        work->region.high[dimension] = PEL_NO_KEY - 1;
    }
    work->region.low[PEL_DIM_DIRECTION] = work->region.high[PEL_DIM_DIRECTION] = direction;
    work->boxes = boxes;
    work->budget = work->num * COPIES_A_BOX + 64;
}

enum pel_err pel_tree_make(struct pel_arena *arena, const struct pel_box *boxes, struct pel_tables *tables)
{
    struct builder builder = {0};
    size_t num = tables->size.num_boxes;
    uint32_t *all = malloc((num + 1) * sizeof *all);
    int32_t *room = malloc(pel_tree_room_num(num) * sizeof *room);
    struct pel_tree_work work = {.all = boxes, .num = num, .budget = num * COPIES_A_BOX + 64, .room = room};
    enum pel_err err = PEL_E_NO_MEMORY;
    if (all != NULL && room != NULL && num < PEL_TREE_PLACES) {
        for (int direction = 0; direction < 2; direction++) {
            begin(&work, num, direction, all);
            tables->roots[direction] = make_tree(&builder, &work);
        }
        err = builder.failed ? PEL_E_NO_MEMORY : keep(arena, &builder, tables);
    }
    free(builder.nodes.items);
    free(builder.table_nodes.items);
    free(builder.ways.items);
    free(builder.leaves.items);
    free(all);
    free(room);
    return err;
}
