/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree over the boxes. At each node every dimension is tried on a sample of the boxes: its keys are the
 * quantiles of the boxes' boundaries, and an estimate of the time of a lookup says how well they tell the boxes
 * apart, with the wide boxes copied into the ways or left in the rest. What copies may cost in memory is a
 * budget that is handed down the tree in proportion; a node that nothing divides becomes a leaf, however large.
 */
#include <stdlib.h>
#include <string.h>

#include "policy/tables_inside.h"

enum {
    NUM_WAYS = PEL_NODE_KEYS + 1,
    FULL_LEAF = 6,    /* boxes that are not worth a node */
    SAMPLE = 200,     /* boxes looked at to choose */
    COPIES_A_BOX = 4, /* how often a box may stand in leaves besides once, in the mean */
    NUM_WIDTHS = 4,   /* how wide a box may be before it goes to the rest: */
};

static const uint32_t widths[NUM_WIDTHS] = {1, 2, 4, NUM_WAYS};

struct region {
    int32_t low[PEL_DIM_NR], high[PEL_DIM_NR];
};

/* Boxes that one tree is about, lowest first. */
struct work {
    const uint32_t *boxes;
    size_t num;
    size_t budget; /* copies that it may make */
    struct region region;
    uint32_t depth;
};

struct plan {
    uint64_t cost;
    int dimension; /* -1: a leaf */
    uint32_t num_keys;
    int32_t keys[PEL_NODE_KEYS];
    uint32_t width;
};

struct builder {
    const struct pel_box *boxes;
    struct pel_node *nodes;
    uint32_t *refs;
    size_t num_nodes, cap_nodes, num_refs, cap_refs, largest_leaf, depth;
    bool failed; /* out of memory */
};

static int32_t box_high(const struct pel_box *box, int dimension)
{
    return box->low[dimension] + (int32_t)box->span[dimension];
}

/* ---- what is best ---- */

/* 8 * log2(number), the fraction in steps of an eighth. */
static uint64_t log8(uint64_t number)
{
    if (number <= 1)
        return 0;
    unsigned bits = 63u - (unsigned)__builtin_clzll(number);
    uint64_t fraction = bits >= 3 ? number >> (bits - 3) & 7 : number << (3 - bits) & 7;
    return bits * 8 + fraction;
}

/* About how many ns a lookup takes in a tree of so many boxes. */
static uint64_t time_of(uint64_t num)
{
    return num <= FULL_LEAF ? 15 + 3 * num : 40 + 6 * log8(num / FULL_LEAF) / 8;
}

static int compare_numbers(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return x < y ? -1 : x > y;
}

/* The numbers at which the boxes begin, or have just ended, inside the region. */
static size_t find_boundaries(const struct builder *builder, const struct work *work, int dimension,
                              int32_t *boundaries)
{
    size_t num = 0, step = work->num / SAMPLE + 1;
    for (size_t i = 0; i < work->num; i += step) {
        const struct pel_box *box = &builder->boxes[work->boxes[i]];
        int32_t low = box->low[dimension], high = box_high(box, dimension);
        if (low > work->region.low[dimension])
            boundaries[num++] = low;
        if (high < work->region.high[dimension])
            boundaries[num++] = high + 1;
    }
    qsort(boundaries, num, sizeof *boundaries, compare_numbers);
    return num;
}

static void choose_keys(const int32_t *boundaries, size_t num, struct plan *plan)
{
    plan->num_keys = 0;
    for (size_t i = 1; i <= PEL_NODE_KEYS; i++) {
        int32_t key = boundaries[i * num / NUM_WAYS < num ? i * num / NUM_WAYS : num - 1];
        if (plan->num_keys == 0 || key > plan->keys[plan->num_keys - 1])
            plan->keys[plan->num_keys++] = key;
    }
    for (size_t i = plan->num_keys; i < PEL_NODE_KEYS; i++)
        plan->keys[i] = PEL_NO_KEY;
}

static uint32_t way_of(const int32_t *keys, int32_t number)
{
    uint32_t way = 0;
    for (int i = 0; i < PEL_NODE_KEYS; i++)
        way += keys[i] <= number;
    return way;
}

/* What the sample says of a plan's keys, by width. */
struct tally {
    uint32_t num;                              /* boxes in the sample */
    uint32_t num_of_width[NUM_WIDTHS];         /* boxes that are that wide */
    int32_t changes[NUM_WIDTHS][NUM_WAYS + 1]; /* of the number of boxes from way to way */
};

static void count_sample(const struct builder *builder, const struct work *work, const struct plan *plan,
                         struct tally *ret_tally)
{
    size_t step = work->num / SAMPLE + 1;
    memset(ret_tally, 0, sizeof *ret_tally);
    for (size_t i = 0; i < work->num; i += step) {
        const struct pel_box *box = &builder->boxes[work->boxes[i]];
        uint32_t first = way_of(plan->keys, box->low[plan->dimension]);
        uint32_t last = way_of(plan->keys, box_high(box, plan->dimension));
        int width = 0;
        while (last - first + 1 > widths[width])
            width++;
        ret_tally->num++;
        ret_tally->num_of_width[width]++;
        ret_tally->changes[width][first]++;
        ret_tally->changes[width][last + 1]--;
    }
}

/* Weighs the plan with boxes of up to `width` copied and wider ones left; keeps it in `best` when it is the
 * cheapest that makes the trees smaller within the budget. */
static void weigh(const struct work *work, const struct plan *plan, const struct tally *tally, int width,
                  struct plan *best)
{
    uint64_t sum = 0, squares = 0, rest = 0;
    int64_t here = 0;
    for (uint32_t way = 0; way <= plan->num_keys; way++) {
        for (int w = 0; w <= width; w++)
            here += tally->changes[w][way];
        sum += (uint64_t)here;
        squares += (uint64_t)(here * here);
    }
    for (int w = width + 1; w < NUM_WIDTHS; w++)
        rest += tally->num_of_width[w];
    if (sum == 0)
        return;
    uint64_t scale = work->num / tally->num + (work->num % tally->num != 0);
    uint64_t expected = squares * work->num / (sum * tally->num), rest_num = rest * work->num / tally->num;
    uint64_t copies = (sum + rest - tally->num) * scale;
    uint64_t cost = 15 + time_of(expected) + (rest > 0 ? 5 + time_of(rest_num) : 0);
    if (copies > work->budget || copies > work->num || expected * 10 > work->num * 9 ||
        rest_num * 10 > work->num * 9 || cost >= best->cost)
        return;
    *best = *plan;
    best->width = widths[width];
    best->cost = cost;
}

static struct plan choose_plan(const struct builder *builder, const struct work *work)
{
    struct plan best = {.dimension = -1, .cost = 15 + 3 * work->num};
    int32_t boundaries[2 * SAMPLE + 2];
    struct tally tally;
    if (work->num <= FULL_LEAF || work->depth >= PEL_TREE_MAX_DEPTH)
        return best;
    for (int dimension = 0; dimension < PEL_DIM_NR; dimension++) {
        struct plan plan = {.dimension = dimension};
        size_t num = find_boundaries(builder, work, dimension, boundaries);
        if (num == 0)
            continue;
        choose_keys(boundaries, num, &plan);
        count_sample(builder, work, &plan, &tally);
        for (int width = 0; width < NUM_WIDTHS; width++)
            weigh(work, &plan, &tally, width, &best);
    }
    return best;
}

/* Boxes that nothing divides: at least what is outside of them all shall not have to look at each. */
static bool plan_fence(const struct builder *builder, const struct work *work, struct plan *plan)
{
    if (work->num <= FULL_LEAF || work->depth >= PEL_TREE_MAX_DEPTH)
        return false;
    for (int d = 0; d < PEL_DIM_NR; d++) {
        int32_t low = PEL_NO_KEY, high = 0;
        for (size_t i = 0; i < work->num; i++) {
            const struct pel_box *box = &builder->boxes[work->boxes[i]];
            low = box->low[d] < low ? box->low[d] : low;
            high = box_high(box, d) > high ? box_high(box, d) : high;
        }
        *plan = (struct plan){.dimension = d, .width = NUM_WAYS};
        if (low > work->region.low[d])
            plan->keys[plan->num_keys++] = low;
        if (high < work->region.high[d])
            plan->keys[plan->num_keys++] = high + 1;
        for (size_t i = plan->num_keys; i < PEL_NODE_KEYS; i++)
            plan->keys[i] = PEL_NO_KEY;
        if (plan->num_keys > 0)
            return true;
    }
    return false;
}

/* ---- making it ---- */

static bool grow(void **array, size_t *cap, size_t need, size_t size)
{
    size_t more = *cap == 0 ? 1024 : *cap;
    while (more < need)
        more *= 2;
    if (more == *cap)
        return true;
    void *grown = realloc(*array, more * size);
    if (grown == NULL)
        return false;
    *array = grown;
    *cap = more;
    return true;
}

static uint32_t make_leaf(struct builder *builder, const struct work *work)
{
    size_t at = builder->num_refs;
    if (work->num == 0 || builder->failed)
        return PEL_TREE_EMPTY;
    if (at + work->num + 1 >= PEL_TREE_LEAF - 1 ||
        !grow((void **)&builder->refs, &builder->cap_refs, at + work->num + 1, sizeof *builder->refs)) {
        builder->failed = true;
        return PEL_TREE_EMPTY;
    }
    builder->refs[at] = (uint32_t)work->num;
    memcpy(&builder->refs[at + 1], work->boxes, work->num * sizeof *work->boxes);
    builder->num_refs += work->num + 1;
    if (work->num > builder->largest_leaf)
        builder->largest_leaf = work->num;
    if (work->depth > builder->depth)
        builder->depth = work->depth;
    return PEL_TREE_LEAF | (uint32_t)at;
}

/* Boxes by way, and those of the rest behind them. */
struct division {
    uint32_t *boxes;
    size_t from[NUM_WAYS + 2]; /* where each way begins; [num_keys + 1]: the rest; then the end */
};

static void ways_of_box(const struct plan *plan, const struct pel_box *box, uint32_t *ret_first,
                        uint32_t *ret_last)
{
    uint32_t first = way_of(plan->keys, box->low[plan->dimension]);
    uint32_t last = way_of(plan->keys, box_high(box, plan->dimension));
    bool wide = last - first + 1 > plan->width;
    *ret_first = wide ? plan->num_keys + 1 : first;
    *ret_last = wide ? plan->num_keys + 1 : last;
}

static bool divide(const struct builder *builder, const struct work *work, const struct plan *plan,
                   struct division *ret_division)
{
    struct division division = {0};
    size_t at[NUM_WAYS + 2] = {0}, total = 0;
    uint32_t first, last;
    for (size_t i = 0; i < work->num; i++) {
        ways_of_box(plan, &builder->boxes[work->boxes[i]], &first, &last);
        for (uint32_t way = first; way <= last; way++)
            at[way]++;
    }
    for (uint32_t way = 0; way <= plan->num_keys + 1; way++) {
        division.from[way] = total;
        total += at[way];
        at[way] = division.from[way];
    }
    division.from[plan->num_keys + 2] = total;
    division.boxes = malloc((total + 1) * sizeof *division.boxes);
    if (division.boxes == NULL)
        return false;
    for (size_t i = 0; i < work->num; i++) {
        ways_of_box(plan, &builder->boxes[work->boxes[i]], &first, &last);
        for (uint32_t way = first; way <= last; way++)
            division.boxes[at[way]++] = work->boxes[i];
    }
    *ret_division = division;
    return true;
}

static uint32_t make_tree(struct builder *builder, const struct work *work);

/* The tree of one way, or of the rest. */
static uint32_t make_way(struct builder *builder, const struct work *work, const struct plan *plan,
                         const struct division *division, uint32_t way)
{
    size_t total = division->from[plan->num_keys + 2];
    size_t copies = total - work->num, left = work->budget > copies ? work->budget - copies : 0;
    struct work part = *work;
    part.boxes = division->boxes + division->from[way];
    part.num = division->from[way + 1] - division->from[way];
    part.budget = total == 0 ? 0 : (size_t)((double)left * (double)part.num / (double)total);
    part.depth++;
    if (way > 0 && way <= plan->num_keys)
        part.region.low[plan->dimension] = plan->keys[way - 1];
    if (way < plan->num_keys)
        part.region.high[plan->dimension] = plan->keys[way] - 1;
    return make_tree(builder, &part);
}

static uint32_t make_node(struct builder *builder, const struct work *work, const struct plan *plan)
{
    struct division division;
    if (builder->num_nodes >= PEL_TREE_LEAF - 1 ||
        !grow((void **)&builder->nodes, &builder->cap_nodes, builder->num_nodes + 1,
              sizeof *builder->nodes) ||
        !divide(builder, work, plan, &division)) {
        builder->failed = true;
        return PEL_TREE_EMPTY;
    }
    struct pel_node node = {.dimension = (uint32_t)plan->dimension, .rest_first = UINT32_MAX};
    uint32_t place = (uint32_t)builder->num_nodes++, rest = plan->num_keys + 1;
    memcpy(node.keys, plan->keys, sizeof node.keys);
    for (uint32_t way = 0; way <= plan->num_keys; way++)
        node.ways[way] = make_way(builder, work, plan, &division, way);
    node.rest = make_way(builder, work, plan, &division, rest);
    if (division.from[rest + 1] > division.from[rest])
        node.rest_first = division.boxes[division.from[rest]];
    if (!builder->failed)
        builder->nodes[place] = node;
    free(division.boxes);
    return place;
}

static uint32_t make_tree(struct builder *builder, const struct work *work)
{
    struct plan plan = choose_plan(builder, work);
    if (builder->failed || (plan.dimension < 0 && !plan_fence(builder, work, &plan)))
        return make_leaf(builder, work);
    return make_node(builder, work, &plan);
}

static enum pel_err keep(struct pel_arena *arena, const struct builder *builder, struct pel_tables *tables)
{
    struct pel_node *nodes = pel_cache_lines_alloc(arena, (builder->num_nodes + 1) * sizeof *nodes);
    uint32_t *refs = pel_cache_lines_alloc(arena, (builder->num_refs + 1) * sizeof *refs);
    if (nodes == NULL || refs == NULL)
        return PEL_E_NO_MEMORY;
    if (builder->num_nodes > 0)
        memcpy(nodes, builder->nodes, builder->num_nodes * sizeof *nodes);
    if (builder->num_refs > 0)
        memcpy(refs, builder->refs, builder->num_refs * sizeof *refs);
    tables->nodes = nodes;
    tables->refs = refs;
    tables->size.num_nodes = builder->num_nodes;
    tables->size.num_refs = builder->num_refs;
    tables->size.largest_leaf = builder->largest_leaf;
    tables->size.depth = builder->depth;
    tables->size.num_bytes = builder->num_nodes * sizeof *nodes + builder->num_refs * sizeof *refs +
                             tables->size.num_boxes * (sizeof(struct pel_box) + sizeof(uint32_t));
    return PEL_OK;
}

enum pel_err pel_tree_make(struct pel_arena *arena, struct pel_tables *tables)
{
    struct builder builder = {.boxes = tables->boxes};
    size_t num = tables->size.num_boxes;
    uint32_t *all = malloc((num + 1) * sizeof *all);
    struct work work = {.boxes = all, .num = num, .budget = num * COPIES_A_BOX + 64};
    if (all == NULL || num >= PEL_TREE_LEAF / 8) {
        free(all);
        return PEL_E_NO_MEMORY;
    }
    for (size_t i = 0; i < num; i++)
        all[i] = (uint32_t)i;
    for (int dimension = 0; dimension < PEL_DIM_NR; dimension++)
        work.region.high[dimension] = PEL_NO_KEY - 1;
    tables->root = make_tree(&builder, &work);
    enum pel_err err = builder.failed ? PEL_E_NO_MEMORY : keep(arena, &builder, tables);
    free(builder.nodes);
    free(builder.refs);
    free(all);
    return err;
}
