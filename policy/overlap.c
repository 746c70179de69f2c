/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "policy/model.h"
#include "policy/tables/times.h"

/*
 * Pairs of rules that can meet one connection. A sweep along the one dimension in which the fewest rules
 * overlap finds the candidates; each pair is then compared in all. The work has a bound: past it one warning
 * says that the search was cut.
 */

enum { MOST_STEPS = 20000000, NUM_DIMENSIONS = 4 };

struct span {
    uint64_t low, high;
    uint32_t rule;
};

struct search {
    struct pel_parse *parse;
    const struct pel_policy *policy;
    const struct pel_pos *positions;
    size_t steps;
    bool *hidden; /* by rule: reported already */
};

static bool ranges_overlap(struct search *search, const struct pel_ip_ranges *a,
                           const struct pel_ip_ranges *b)
{
    if (a == NULL || b == NULL)
        return true;
    for (size_t i = 0, j = 0; i < a->num && j < b->num; search->steps++) {
        const struct pel_ip_range *x = &a->ranges[i], *y = &b->ranges[j];
        if (x->version < y->version || (x->version == y->version && memcmp(x->high, y->low, 16) < 0))
            i++;
        else if (y->version < x->version || memcmp(y->high, x->low, 16) < 0)
            j++;
        else
            return true;
    }
    return false;
}

static bool is_every_address(const struct pel_ip_ranges *ranges)
{
    static const uint8_t zero[16],
        ones[16] = {255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255};
    return ranges == NULL ||
           (ranges->num == 2 && memcmp(ranges->ranges[0].low, zero, 4) == 0 &&
            memcmp(ranges->ranges[0].high, ones, 4) == 0 && memcmp(ranges->ranges[1].low, zero, 16) == 0 &&
            memcmp(ranges->ranges[1].high, ones, 16) == 0);
}

/* Both lists are normalized, so a range of `b` lies in `a` only when it lies in one range of `a`. */
static bool ranges_cover(struct search *search, const struct pel_ip_ranges *a, const struct pel_ip_ranges *b)
{
    if (is_every_address(a))
        return true;
    if (b == NULL)
        return false;
    for (size_t i = 0, j = 0; j < b->num; search->steps++) {
        const struct pel_ip_range *x = &a->ranges[i], *y = &b->ranges[j];
        if (i == a->num)
            return false;
        if (x->version == y->version && memcmp(x->low, y->low, 16) <= 0 && memcmp(x->high, y->high, 16) >= 0)
            j++;
        else
            i++;
    }
    return true;
}

/* A rule's ports as a list, whichever way they are kept. */
static struct pel_port_ranges port_list(const struct pel_port_ranges *ports,
                                        const struct pel_port_range *hull)
{
    if (ports != NULL)
        return *ports;
    return (struct pel_port_ranges){.num = 1, .ranges = (struct pel_port_range *)(uintptr_t)hull};
}

static bool ports_overlap(struct search *search, struct pel_port_ranges a, struct pel_port_ranges b)
{
    for (size_t i = 0, j = 0; i < a.num && j < b.num; search->steps++) {
        if (a.ranges[i].high < b.ranges[j].low)
            i++;
        else if (b.ranges[j].high < a.ranges[i].low)
            j++;
        else
            return true;
    }
    return false;
}

static bool ports_cover(struct search *search, struct pel_port_ranges a, struct pel_port_ranges b)
{
    for (size_t i = 0, j = 0; j < b.num; search->steps++) {
        if (i == a.num)
            return false;
        if (a.ranges[i].low <= b.ranges[j].low && a.ranges[i].high >= b.ranges[j].high)
            j++;
        else
            i++;
    }
    return true;
}

static bool pattern_covers(const struct pel_pattern *a, const struct pel_pattern *b)
{
    if (a->text == NULL)
        return true;
    if (b->text == NULL || b->len < a->len || strncasecmp(a->text, b->text, a->len) != 0)
        return false;
    return a->prefix || (!b->prefix && a->len == b->len);
}

/* Whether there is a name that both take. */
static bool patterns_overlap(const struct pel_pattern *a, const struct pel_pattern *b)
{
    const struct pel_pattern *shorter = a->len <= b->len ? a : b;
    if (a->text == NULL || b->text == NULL)
        return true;
    return strncasecmp(a->text, b->text, shorter->len) == 0 && (a->len == b->len || shorter->prefix);
}

static bool covers(struct search *search, const struct pel_conditions *a, const struct pel_conditions *b)
{
    return (a->direction & b->direction) == b->direction && pel_time_covers(a->time, b->time) &&
           pattern_covers(&a->user, &b->user) && pattern_covers(&a->job, &b->job) &&
           ports_cover(search, port_list(a->local_ports, &a->local_port_hull),
                       port_list(b->local_ports, &b->local_port_hull)) &&
           ports_cover(search, port_list(a->remote_ports, &a->remote_port_hull),
                       port_list(b->remote_ports, &b->remote_port_hull)) &&
           ranges_cover(search, a->local_ips, b->local_ips) &&
           ranges_cover(search, a->remote_ips, b->remote_ips);
}

static bool overlap(struct search *search, const struct pel_conditions *a, const struct pel_conditions *b)
{
    return (a->direction & b->direction) != 0 && pel_time_meets(a->time, b->time) &&
           patterns_overlap(&a->user, &b->user) && patterns_overlap(&a->job, &b->job) &&
           ports_overlap(search, port_list(a->local_ports, &a->local_port_hull),
                         port_list(b->local_ports, &b->local_port_hull)) &&
           ports_overlap(search, port_list(a->remote_ports, &a->remote_port_hull),
                         port_list(b->remote_ports, &b->remote_port_hull)) &&
           ranges_overlap(search, a->local_ips, b->local_ips) &&
           ranges_overlap(search, a->remote_ips, b->remote_ips);
}

/* `first` is tried before `second`. */
static void compare_pair(struct search *search, uint32_t first, uint32_t second)
{
    const struct pel_policy *policy = search->policy;
    const struct pel_rule *a = &policy->rules[first], *b = &policy->rules[second];
    struct pel_diags *diags = &search->parse->diags;
    search->steps++;
    if (search->hidden[second] || !overlap(search, &policy->conditions[first], &policy->conditions[second]))
        return;
    struct pel_place place = pel_diag_place(diags, search->positions[first], search->positions[second]);
    if (covers(search, &policy->conditions[first], &policy->conditions[second])) {
        search->hidden[second] = true;
        pel_diag_warning(
            diags, search->positions[second],
            "TTLSRule \"%s\" never matches: TTLSRule \"%s\" on %s is tried first and takes all that it would",
            b->name, a->name, place.text);
    } else if (a->priority == b->priority) {
        pel_diag_warning(
            diags, search->positions[second],
            "TTLSRule \"%s\" overlaps TTLSRule \"%s\" on %s at the same priority; \"%s\" is tried first, "
            "for its name",
            b->name, a->name, place.text, a->name);
    }
}

/* An address as a number that keeps the order, IPv4 before IPv6; of IPv6 the upper bits only, which may find
 * a pair too many, never one too few. */
static uint64_t address_key(uint8_t version, const uint8_t bytes[16])
{
    uint64_t key = 0;
    for (size_t i = 0; i < (version == 4 ? 4u : 8u); i++)
        key = key << 8 | bytes[i];
    return version == 4 ? key : key >> 1 | UINT64_C(1) << 63;
}

static struct span ip_span(const struct pel_ip_ranges *ranges)
{
    if (ranges == NULL)
        return (struct span){.low = 0, .high = UINT64_MAX};
    const struct pel_ip_range *first = &ranges->ranges[0], *last = &ranges->ranges[ranges->num - 1];
    return (struct span){.low = address_key(first->version, first->low),
                         .high = address_key(last->version, last->high)};
}

static struct span span_of(const struct pel_conditions *conditions, int dimension)
{
    switch (dimension) {
    case 0:
        return (struct span){.low = conditions->local_port_hull.low,
                             .high = conditions->local_port_hull.high};
    case 1:
        return (struct span){.low = conditions->remote_port_hull.low,
                             .high = conditions->remote_port_hull.high};
    case 2: return ip_span(conditions->local_ips);
    default: return ip_span(conditions->remote_ips);
    }
}

static int compare_spans(const void *a, const void *b)
{
    const struct span *x = a, *y = b;
    if (x->low != y->low)
        return x->low < y->low ? -1 : 1;
    return x->rule < y->rule ? -1 : x->rule > y->rule;
}

static int compare_keys(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void fill(const struct search *search, int dimension, struct span *spans)
{
    for (uint32_t i = 0; i < search->policy->num_rules; i++) {
        spans[i] = span_of(&search->policy->conditions[i], dimension);
        spans[i].rule = i;
    }
    qsort(spans, search->policy->num_rules, sizeof *spans, compare_spans);
}

/* How many pairs of spans overlap: for each, those that begin before it less those that ended before it. */
static uint64_t count_pairs(const struct span *spans, uint64_t *ends, size_t num)
{
    uint64_t pairs = 0;
    for (size_t i = 0; i < num; i++)
        ends[i] = spans[i].high;
    qsort(ends, num, sizeof *ends, compare_keys);
    for (size_t i = 0, ended = 0; i < num; i++) {
        while (ended < num && ends[ended] < spans[i].low)
            ended++;
        pairs += i - ended;
    }
    return pairs;
}

/* `active` holds the rules whose span is open where the sweep stands. */
static void sweep(struct search *search, const struct span *spans, uint32_t *active, size_t num)
{
    size_t num_active = 0;
    for (size_t i = 0; i < num; i++) {
        size_t kept = 0;
        for (size_t j = 0; j < num_active; j++) {
            const struct span *other = &spans[active[j]];
            search->steps++;
            if (other->high < spans[i].low)
                continue;
            active[kept++] = active[j];
            uint32_t a = other->rule, b = spans[i].rule;
            compare_pair(search, a < b ? a : b, a < b ? b : a);
        }
        num_active = kept;
        active[num_active++] = (uint32_t)i;
        if (search->steps > MOST_STEPS) {
            pel_diag_warning(&search->parse->diags, search->positions[spans[i].rule],
                             "too many rules to compare every pair: warnings of overlaps are not complete");
            return;
        }
    }
}

enum pel_err pel_overlaps(struct pel_parse *parse, const struct pel_policy *policy,
                          const struct pel_pos *positions)
{
    size_t num = policy->num_rules;
    struct search search = {.parse = parse, .policy = policy, .positions = positions};
    if (num < 2)
        return PEL_OK;
    struct span *spans = pel_arena_alloc(&parse->scratch, num * sizeof *spans);
    uint64_t *ends = pel_arena_alloc(&parse->scratch, num * sizeof *ends);
    uint32_t *active = pel_arena_alloc(&parse->scratch, num * sizeof *active);
    search.hidden = pel_arena_alloc(&parse->scratch, num * sizeof *search.hidden);
    if (spans == NULL || ends == NULL || active == NULL || search.hidden == NULL)
        return PEL_E_NO_MEMORY;
    int best = 0;
    uint64_t fewest = UINT64_MAX;
    for (int dimension = 0; dimension < NUM_DIMENSIONS; dimension++) {
        fill(&search, dimension, spans);
        uint64_t pairs = count_pairs(spans, ends, num);
        if (pairs < fewest) {
            fewest = pairs;
            best = dimension;
        }
    }
    fill(&search, best, spans);
    sweep(&search, spans, active, num);
    return PEL_OK;
}
