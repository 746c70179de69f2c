/* SPDX-License-Identifier: Apache-2.0 */
/* Rules as boxes of numbers. */
#include <stdlib.h>
#include <string.h>

#include "policy/tables/tables_inside.h"

/* Boxes that groups may make besides one for each rule: a few of each, or as many as ranges were written. */
enum { BOXES_ALWAYS = 65536, BOXES_A_RULE = 4, MOST_OF_A_RULE = 1 << 16 };

void *pel_cache_lines_alloc(struct pel_arena *arena, size_t len)
{
    const size_t line = 64;
    if (len > SIZE_MAX / 2)
        return NULL;
    uintptr_t at = (uintptr_t)pel_arena_alloc(arena, len + line - 1);
    return at == 0 ? NULL : (void *)((at + line - 1) / line * line);
}

/* ---- numbers for addresses and names ---- */

/* Groups are shared by rules: each list is counted, and translated, once. */
static bool add_bounds(struct pel_arena *arena, struct pel_ip_ranges *ranges, int side,
                       struct pel_ip_bounds *bounds, size_t *num_ranges)
{
    if (ranges == NULL || ranges->ranks[side] != NULL)
        return true;
    ranges->ranks[side] = pel_arena_alloc(arena, ranges->num * sizeof *ranges->ranks[side]);
    for (size_t i = 0; i < ranges->num; i++)
        pel_ip_bounds_add(bounds, &ranges->ranges[i]);
    *num_ranges += ranges->num;
    return ranges->ranks[side] != NULL && !bounds->failed;
}

static void translate(struct pel_ip_ranges *ranges, int side, const struct pel_ip_ranks *ranks)
{
    if (ranges == NULL || ranges->num == 0 || ranges->ranks[side][0].high != 0)
        return; /* no address has rank 0 */
    for (size_t i = 0; i < ranges->num; i++)
        ranges->ranks[side][i] = pel_ip_range_ranks(ranks, &ranges->ranges[i]);
}

static struct pel_ip_ranges *ips_of(const struct pel_conditions *conditions, int side)
{
    return side == 0 ? conditions->local_ips : conditions->remote_ips;
}

static enum pel_err rank_ips(struct pel_arena *arena, struct pel_conditions *conditions, size_t num_rules,
                             int side, struct pel_ip_ranks *ret_ranks, size_t *num_ranges)
{
    struct pel_ip_bounds bounds = {0};
    enum pel_err err = PEL_OK;
    for (size_t i = 0; i < num_rules && err == PEL_OK; i++)
        err = add_bounds(arena, ips_of(&conditions[i], side), side, &bounds, num_ranges) ? PEL_OK
                                                                                         : PEL_E_NO_MEMORY;
    if (err == PEL_OK)
        err = pel_ip_ranks_make(arena, &bounds, ret_ranks);
    for (size_t i = 0; i < num_rules && err == PEL_OK; i++)
        translate(ips_of(&conditions[i], side), side, ret_ranks);
    pel_ip_bounds_free(&bounds);
    return err;
}

static enum pel_err rank_names(struct pel_arena *arena, const struct pel_conditions *conditions,
                               size_t num_rules, struct pel_tables *tables)
{
    struct pel_name_bounds users = {0}, jobs = {0};
    for (size_t i = 0; i < num_rules; i++) {
        pel_name_bounds_add(&users, &conditions[i].user);
        pel_name_bounds_add(&jobs, &conditions[i].job);
    }
    enum pel_err err = pel_name_ranks_make(arena, &users, &tables->users);
    if (err == PEL_OK)
        err = pel_name_ranks_make(arena, &jobs, &tables->jobs);
    pel_name_bounds_free(&users);
    pel_name_bounds_free(&jobs);
    return err;
}

/* ---- ports ---- */

static bool translate_ports(struct pel_arena *arena, struct pel_port_ranges *ports)
{
    if (ports == NULL || ports->ranks != NULL)
        return true;
    ports->ranks = pel_arena_alloc(arena, ports->num * sizeof *ports->ranks);
    for (size_t i = 0; i < ports->num && ports->ranks != NULL; i++)
        ports->ranks[i] = (struct pel_rank_range){ports->ranges[i].low, ports->ranges[i].high};
    return ports->ranks != NULL;
}

/* ---- boxes ---- */

enum { NUM_LISTS = PEL_DIM_REMOTE_PORT + 1 };

/* A rule's ranges in the dimensions that may have several. */
struct sides {
    struct pel_rank_list lists[NUM_LISTS];
    bool expanded[NUM_LISTS]; /* becomes a box for each range; else one for all, and an extra */
    size_t num_boxes;
    struct pel_rank_range port_hulls[2];
};

struct expansion {
    struct pel_arena *arena;
    const struct pel_conditions *conditions;
    size_t num_rules;
    size_t most; /* boxes of a rule */
    struct pel_tables *tables;
    struct pel_box *boxes;
    struct pel_extra *extras;
    size_t num_boxes, num_extras;
};

static const struct pel_rank_range any_number = {0, PEL_NO_KEY - 1};

static struct pel_rank_list ip_list(const struct pel_ip_ranges *ranges, int side)
{
    return ranges == NULL ? (struct pel_rank_list){&any_number, 1}
                          : (struct pel_rank_list){ranges->ranks[side], ranges->num};
}

/* Ports are their own ranks. */
static struct pel_rank_list port_list(const struct pel_port_ranges *ports, const struct pel_port_range *hull,
                                      struct pel_rank_range *room)
{
    if (ports != NULL)
        return (struct pel_rank_list){ports->ranks, ports->num};
    *room = (struct pel_rank_range){hull->low, hull->high};
    return (struct pel_rank_list){room, 1};
}

/* Short lists become boxes first: they tell most for a box. */
static void choose_expanded(struct sides *sides, size_t most)
{
    sides->num_boxes = 1;
    memset(sides->expanded, 0, sizeof sides->expanded);
    for (int round = 0; round < NUM_LISTS; round++) {
        int shortest = -1;
        for (int i = 0; i < NUM_LISTS; i++) {
            if (!sides->expanded[i] && (shortest < 0 || sides->lists[i].num < sides->lists[shortest].num))
                shortest = i;
        }
        if (sides->lists[shortest].num > most / sides->num_boxes)
            return;
        sides->expanded[shortest] = true;
        sides->num_boxes *= sides->lists[shortest].num;
    }
}

static void find_sides(const struct pel_conditions *c, size_t most, struct sides *ret_sides)
{
    ret_sides->lists[PEL_DIM_LOCAL_IP] = ip_list(c->local_ips, 0);
    ret_sides->lists[PEL_DIM_REMOTE_IP] = ip_list(c->remote_ips, 1);
    ret_sides->lists[PEL_DIM_LOCAL_PORT] =
        port_list(c->local_ports, &c->local_port_hull, &ret_sides->port_hulls[0]);
    ret_sides->lists[PEL_DIM_REMOTE_PORT] =
        port_list(c->remote_ports, &c->remote_port_hull, &ret_sides->port_hulls[1]);
    choose_expanded(ret_sides, most);
}

static bool needs_extra(const struct pel_conditions *c, const struct sides *sides)
{
    bool needed = c->user.text != NULL || c->job.text != NULL || c->time != NULL;
    for (int i = 0; i < NUM_LISTS; i++)
        needed |= !sides->expanded[i];
    return needed;
}

static size_t count_boxes(const struct expansion *expansion, size_t most, size_t *ret_num_extras)
{
    size_t num = 0, num_extras = 1;
    struct sides sides;
    for (size_t i = 0; i < expansion->num_rules; i++) {
        find_sides(&expansion->conditions[i], most, &sides);
        num += sides.num_boxes;
        num_extras += needs_extra(&expansion->conditions[i], &sides);
    }
    *ret_num_extras = num_extras;
    return num;
}

static void set_range(struct pel_box *box, int dimension, struct pel_rank_range range)
{
    box->low[dimension] = (int32_t)range.low;
    box->span[dimension] = range.high - range.low;
}

static struct pel_rank_range pattern_range(const struct pel_name_ranks *ranks,
                                           const struct pel_pattern *pattern)
{
    return pattern->text == NULL ? any_number : pel_pattern_ranks(ranks, pattern);
}

static struct pel_rank_range direction_range(enum pel_direction direction)
{
    return (struct pel_rank_range){direction == PEL_OUTBOUND, direction != PEL_INBOUND};
}

/* What all boxes of the rule have in common. */
static struct pel_box common_box(struct expansion *expansion, uint32_t rule, const struct sides *sides)
{
    const struct pel_conditions *c = &expansion->conditions[rule];
    struct pel_box box = {.rule = rule};
    struct pel_extra extra = {.users = pattern_range(&expansion->tables->users, &c->user),
                              .jobs = pattern_range(&expansion->tables->jobs, &c->job),
                              .time = c->time};
    for (int i = 0; i < NUM_LISTS; i++) {
        const struct pel_rank_list *list = &sides->lists[i];
        if (sides->expanded[i])
            continue;
        set_range(&box, i, (struct pel_rank_range){list->ranges[0].low, list->ranges[list->num - 1].high});
        extra.lists[i] = *list;
    }
    set_range(&box, PEL_DIM_USER, extra.users);
    set_range(&box, PEL_DIM_JOB, extra.jobs);
    set_range(&box, PEL_DIM_DIRECTION, direction_range(c->direction));
    if (needs_extra(c, sides)) {
        box.extra = (uint32_t)expansion->num_extras;
        expansion->extras[expansion->num_extras++] = extra;
    }
    return box;
}

/* One box for each choice of a range in every expanded list: counted like digits. */
static void add_boxes(struct expansion *expansion, uint32_t rule)
{
    struct sides sides;
    find_sides(&expansion->conditions[rule], expansion->most, &sides);
    if (sides.num_boxes == 0)
        return; /* an empty list: nothing is in it */
    struct pel_box common = common_box(expansion, rule, &sides);
    for (size_t number = 0; number < sides.num_boxes; number++) {
        size_t rest = number;
        struct pel_box *box = &expansion->boxes[expansion->num_boxes];
        *box = common;
        for (int i = 0; i < NUM_LISTS; i++) {
            if (!sides.expanded[i])
                continue;
            set_range(box, i, sides.lists[i].ranges[rest % sides.lists[i].num]);
            rest /= sides.lists[i].num;
        }
        expansion->num_boxes++;
    }
}

/* Also counts the ranges of the policy's address lists, each list once. */
static enum pel_err translate_all(struct pel_arena *arena, struct pel_conditions *conditions,
                                  size_t num_rules, struct pel_tables *tables, size_t *num_ranges)
{
    PEL_TRY(rank_ips(arena, conditions, num_rules, 0, &tables->ips[0], num_ranges));
    PEL_TRY(rank_ips(arena, conditions, num_rules, 1, &tables->ips[1], num_ranges));
    for (size_t i = 0; i < num_rules; i++) {
        if (!translate_ports(arena, conditions[i].local_ports) ||
            !translate_ports(arena, conditions[i].remote_ports))
            return PEL_E_NO_MEMORY;
    }
    return rank_names(arena, conditions, num_rules, tables);
}

enum pel_err pel_boxes_make(struct pel_arena *arena, struct pel_conditions *conditions, size_t num_rules,
                            struct pel_tables *tables, struct pel_box **ret_boxes)
{
    struct expansion expansion = {.arena = arena,
                                  .conditions = conditions,
                                  .num_rules = num_rules,
                                  .most = MOST_OF_A_RULE,
                                  .tables = tables,
                                  .num_extras = 1};
    size_t num_ranges = 0, num_extras = 0, num_boxes;
    PEL_TRY(translate_all(arena, conditions, num_rules, tables, &num_ranges));
    size_t limit = BOXES_ALWAYS + BOXES_A_RULE * num_rules + num_ranges;
    while ((num_boxes = count_boxes(&expansion, expansion.most, &num_extras)) > limit && expansion.most > 1)
        expansion.most /= 2;
    expansion.boxes = malloc((num_boxes + 1) * sizeof *expansion.boxes);
    expansion.extras = pel_arena_alloc(arena, num_extras * sizeof *expansion.extras);
    if (expansion.boxes == NULL || expansion.extras == NULL) {
        free(expansion.boxes);
        return PEL_E_NO_MEMORY;
    }
    for (size_t i = 0; i < num_rules; i++)
        add_boxes(&expansion, (uint32_t)i);
    tables->extras = expansion.extras;
    tables->size.num_boxes = expansion.num_boxes;
    *ret_boxes = expansion.boxes;
    return PEL_OK;
}
