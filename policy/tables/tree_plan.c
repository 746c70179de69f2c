/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every dimension is tried in two ways, and an estimate of the time of a lookup decides. Comparing: the keys
 * are the quantiles of the boundaries of a sample. Counting: a way for each number, where the numbers are few
 * beside the boxes, which ranks make likely. Both with boxes of several widths copied into their ways and the
 * wider ones left in the rest.
 */
#include "policy/tables/tree_plan.h"

#include <stdlib.h>
#include <string.h>

enum {
    FULL_LEAF = 10,       /* boxes that are not worth a node */
    SAMPLE = 200,         /* boxes looked at to choose keys */
    NUM_WIDTHS = 4,       /* of boxes, for comparing */
    NUM_COUNT_WIDTHS = 3, /* of boxes, for counting */
    COUNT_FROM = 24,      /* boxes that are worth a table */
    NUMBERS_A_BOX = 4,    /* so many ways may a table have for each box */
};

static const uint32_t widths[NUM_WIDTHS] = {1, 2, 4, PEL_NODE_KEYS + 1};
static const uint32_t count_widths[NUM_COUNT_WIDTHS] = {1, 4, 16};

/* ---- the time of a lookup ---- */

/* 8 * log2(number), the fraction in steps of an eighth. */
static uint64_t log8(uint64_t number)
{
    if (number <= 1)
        return 0;
    unsigned bits = 63u - (unsigned)__builtin_clzll(number);
    uint64_t fraction = bits >= 3 ? number >> (bits - 3) & 7 : number << (3 - bits) & 7;
    return bits * 8 + fraction;
}

/* About how many ns a lookup takes in a tree of so many tenths of a box. Measured: what counts are the lines
 * of memory that it comes to. */
static uint64_t time_of(uint64_t tenths)
{
    const uint64_t full = FULL_LEAF * 10;
    return tenths <= full ? 15 + tenths * 3 / 10
                          : 25 + FULL_LEAF * 3 + (log8(tenths * 8 / full) - 24) * 3 / 2;
}

struct weights {
    uint64_t sum, squares; /* of the numbers of boxes in the ways */
    uint64_t rest, num;    /* boxes left over, and in all */
};

/* Sets the plan's cost, and tells whether it makes the trees smaller within the budget. */
static bool weigh(const struct pel_tree_work *work, const struct weights *weights, uint64_t node_time,
                  struct pel_tree_plan *plan)
{
    uint64_t copies = weights->sum + weights->rest - weights->num;
    if (weights->sum == 0)
        return false;
    uint64_t expected = weights->squares * 10 / weights->sum * work->num / weights->num;
    uint64_t rest = weights->rest * 10 * work->num / weights->num;
    copies = copies * work->num / weights->num;
    plan->cost = node_time + time_of(expected) + (rest > 0 ? 5 + time_of(rest) : 0);
    return copies <= work->budget && copies <= 2 * work->num && expected <= work->num * 9 &&
           rest <= work->num * 9;
}

/* ---- comparing ---- */

static int compare_numbers(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return x < y ? -1 : x > y;
}

/* The numbers at which boxes begin, or have just ended, inside the region. */
static size_t find_boundaries(const struct pel_tree_work *work, int dimension, int32_t *boundaries)
{
    size_t num = 0, step = work->num / SAMPLE + 1;
    for (size_t i = 0; i < work->num; i += step) {
        const struct pel_box *box = &work->all[work->boxes[i]];
        int32_t low = box->low[dimension], high = pel_box_high(box, dimension);
        if (low > work->region.low[dimension])
            boundaries[num++] = low;
        if (high < work->region.high[dimension])
            boundaries[num++] = high + 1;
    }
    qsort(boundaries, num, sizeof *boundaries, compare_numbers);
    return num;
}

static void set_keys(struct pel_tree_plan *plan, const int32_t *keys, uint32_t num)
{
    plan->kind = PEL_PLAN_COMPARE;
    plan->num_ways = num + 1;
    for (uint32_t i = 0; i < PEL_NODE_KEYS; i++)
        plan->keys[i] = i < num ? keys[i] : PEL_NO_KEY;
}

static void choose_keys(const int32_t *boundaries, size_t num, struct pel_tree_plan *plan)
{
    int32_t keys[PEL_NODE_KEYS];
    uint32_t num_keys = 0;
    for (size_t i = 1; i <= PEL_NODE_KEYS; i++) {
        int32_t key = boundaries[i * num / (PEL_NODE_KEYS + 1)];
        if (num_keys == 0 || key > keys[num_keys - 1])
            keys[num_keys++] = key;
    }
    set_keys(plan, keys, num_keys);
}

static uint32_t way_of(const int32_t *keys, int32_t number)
{
    typedef int32_t numbers __attribute__((vector_size(16), aligned(4)));
    const numbers *four = (const numbers *)(const void *)keys;
    numbers at = {number, number, number, number};
    numbers below = (four[0] <= at) + (four[1] <= at) + (four[2] <= at);
    return (uint32_t) - (below[0] + below[1] + below[2] + below[3]);
}

/* What the sample says of a plan's keys, by width. */
struct tally {
    uint32_t num;                                   /* boxes in the sample */
    uint32_t num_of_width[NUM_WIDTHS];              /* boxes that are that wide */
    int32_t changes[NUM_WIDTHS][PEL_NODE_KEYS + 2]; /* of the number of boxes from way to way */
};

static void count_sample(const struct pel_tree_work *work, const struct pel_tree_plan *plan,
                         struct tally *ret_tally)
{
    size_t step = work->num / SAMPLE + 1;
    memset(ret_tally, 0, sizeof *ret_tally);
    for (size_t i = 0; i < work->num; i += step) {
        const struct pel_box *box = &work->all[work->boxes[i]];
        uint32_t first = way_of(plan->keys, box->low[plan->dimension]);
        uint32_t last = way_of(plan->keys, pel_box_high(box, plan->dimension));
        int width = 0;
        while (last - first + 1 > widths[width])
            width++;
        ret_tally->num++;
        ret_tally->num_of_width[width]++;
        ret_tally->changes[width][first]++;
        ret_tally->changes[width][last + 1]--;
    }
}

static struct weights sum_up(const struct tally *tally, uint32_t num_ways, int width)
{
    struct weights weights = {.num = tally->num};
    int64_t here = 0;
    for (uint32_t way = 0; way < num_ways; way++) {
        for (int w = 0; w <= width; w++)
            here += tally->changes[w][way];
        weights.sum += (uint64_t)here;
        weights.squares += (uint64_t)(here * here);
    }
    for (int w = width + 1; w < NUM_WIDTHS; w++)
        weights.rest += tally->num_of_width[w];
    return weights;
}

static void try_comparing(const struct pel_tree_work *work, int dimension, struct pel_tree_plan *best)
{
    struct pel_tree_plan plan = {.dimension = dimension};
    int32_t boundaries[2 * SAMPLE + 2];
    struct tally tally;
    size_t num = find_boundaries(work, dimension, boundaries);
    if (num == 0)
        return;
    choose_keys(boundaries, num, &plan);
    count_sample(work, &plan, &tally);
    for (int width = 0; width < NUM_WIDTHS; width++) {
        struct weights weights = sum_up(&tally, plan.num_ways, width);
        plan.width = widths[width];
        if (weigh(work, &weights, 25, &plan) && plan.cost < best->cost)
            *best = plan;
    }
}

/* ---- counting ---- */

size_t pel_tree_room_num(size_t num)
{
    return (NUMBERS_A_BOX * num + 1) * NUM_COUNT_WIDTHS;
}

/* The part of a box inside the region. */
static struct pel_rank_range clip(const struct pel_tree_region *region, const struct pel_box *box,
                                  int dimension)
{
    int32_t low = box->low[dimension], high = pel_box_high(box, dimension);
    low = low > region->low[dimension] ? low : region->low[dimension];
    high = high < region->high[dimension] ? high : region->high[dimension];
    return (struct pel_rank_range){(uint32_t)low, (uint32_t)high};
}

/* The numbers from the lowest to the highest that a box which is not too wide has; false: there is none. */
static bool find_hull(const struct pel_tree_work *work, int dimension, struct pel_rank_range *ret_hull)
{
    struct pel_rank_range hull = {UINT32_MAX, 0};
    for (size_t i = 0; i < work->num; i++) {
        struct pel_rank_range part = clip(&work->region, &work->all[work->boxes[i]], dimension);
        if (part.high - part.low >= count_widths[NUM_COUNT_WIDTHS - 1])
            continue;
        hull.low = part.low < hull.low ? part.low : hull.low;
        hull.high = part.high > hull.high ? part.high : hull.high;
    }
    *ret_hull = hull;
    return hull.low <= hull.high;
}

static void try_counting(const struct pel_tree_work *work, int dimension, struct pel_tree_plan *best)
{
    struct pel_tree_plan plan = {.kind = PEL_PLAN_COUNT, .dimension = dimension};
    struct weights weights[NUM_COUNT_WIDTHS];
    struct pel_rank_range hull;
    int64_t here[NUM_COUNT_WIDTHS] = {0};
    if (work->num < COUNT_FROM || !find_hull(work, dimension, &hull) || hull.low == hull.high ||
        hull.high - hull.low >= NUMBERS_A_BOX * work->num)
        return;
    plan.low = (int32_t)hull.low;
    plan.num_ways = hull.high - hull.low + 1;
    int32_t(*changes)[NUM_COUNT_WIDTHS] = (int32_t(*)[NUM_COUNT_WIDTHS])work->room;
    memset(changes, 0, (plan.num_ways + 1) * sizeof *changes);
    for (int w = 0; w < NUM_COUNT_WIDTHS; w++)
        weights[w] = (struct weights){.num = work->num};
    for (size_t i = 0; i < work->num; i++) {
        struct pel_rank_range part = clip(&work->region, &work->all[work->boxes[i]], dimension);
        for (int w = 0; w < NUM_COUNT_WIDTHS; w++) {
            bool wide = part.high - part.low >= count_widths[w];
            weights[w].rest += wide;
            if (wide)
                continue;
            changes[part.low - hull.low][w]++;
            changes[part.high - hull.low + 1][w]--;
        }
    }
    for (uint32_t way = 0; way < plan.num_ways; way++) {
        for (int w = 0; w < NUM_COUNT_WIDTHS; w++) {
            here[w] += changes[way][w];
            weights[w].sum += (uint64_t)here[w];
            weights[w].squares += (uint64_t)(here[w] * here[w]);
        }
    }
    for (int w = 0; w < NUM_COUNT_WIDTHS; w++) {
        plan.width = count_widths[w];
        if (weigh(work, &weights[w], 30, &plan) && plan.cost < best->cost)
            *best = plan;
    }
}

/* ---- all ---- */

/* Boxes that nothing divides: at least what is outside of them all shall not have to look at each. */
static struct pel_tree_plan plan_fence(const struct pel_tree_work *work)
{
    struct pel_tree_plan plan = {.kind = PEL_PLAN_LEAF, .width = PEL_NODE_KEYS + 1};
    for (int d = 0; d < PEL_DIM_NR && plan.kind == PEL_PLAN_LEAF; d++) {
        int32_t low = PEL_NO_KEY, high = 0, keys[2];
        uint32_t num = 0;
        for (size_t i = 0; i < work->num; i++) {
            const struct pel_box *box = &work->all[work->boxes[i]];
            low = box->low[d] < low ? box->low[d] : low;
            high = pel_box_high(box, d) > high ? pel_box_high(box, d) : high;
        }
        if (low > work->region.low[d])
            keys[num++] = low;
        if (high < work->region.high[d])
            keys[num++] = high + 1;
        plan.dimension = d;
        if (num > 0)
            set_keys(&plan, keys, num);
    }
    return plan;
}

struct pel_tree_plan pel_tree_plan(const struct pel_tree_work *work)
{
    struct pel_tree_plan best = {.kind = PEL_PLAN_LEAF, .cost = 15 + 3 * work->num};
    if (work->num <= FULL_LEAF || work->depth >= PEL_TREE_MAX_DEPTH)
        return best;
    for (int dimension = 0; dimension < PEL_DIM_NR; dimension++) {
        try_comparing(work, dimension, &best);
        try_counting(work, dimension, &best);
    }
    return best.kind == PEL_PLAN_LEAF ? plan_fence(work) : best;
}

void pel_tree_ways(const struct pel_tree_plan *plan, const struct pel_tree_region *region,
                   const struct pel_box *box, uint32_t *ret_first, uint32_t *ret_last)
{
    uint32_t first, last;
    if (plan->kind == PEL_PLAN_COUNT) {
        struct pel_rank_range part = clip(region, box, plan->dimension);
        first = part.low - (uint32_t)plan->low;
        last = part.high - (uint32_t)plan->low;
    } else {
        first = way_of(plan->keys, box->low[plan->dimension]);
        last = way_of(plan->keys, pel_box_high(box, plan->dimension));
    }
    bool wide = last - first >= plan->width;
    *ret_first = wide ? plan->num_ways : first;
    *ret_last = wide ? plan->num_ways : last;
}
