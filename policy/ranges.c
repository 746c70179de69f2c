/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "policy/compiled.h"

static int compare_ip_ranges(const void *a, const void *b)
{
    const struct pel_ip_range *x = a, *y = b;
    if (x->version != y->version)
        return x->version < y->version ? -1 : 1;
    int low = memcmp(x->low, y->low, sizeof x->low);
    return low != 0 ? low : memcmp(x->high, y->high, sizeof x->high);
}

/* Whether `next` begins at most one behind `high`. */
static bool touches(const uint8_t high[16], const uint8_t next[16], size_t ip_len)
{
    uint8_t after[16];
    memcpy(after, high, sizeof after);
    for (size_t i = ip_len; i-- > 0;) {
        if (++after[i] != 0)
            return memcmp(next, after, ip_len) <= 0;
    }
    return true; /* nothing is behind the last address */
}

void pel_ip_ranges_normalize(struct pel_ip_ranges *ranges)
{
    size_t num = 0;
    if (ranges->num == 0)
        return;
    qsort(ranges->ranges, ranges->num, sizeof *ranges->ranges, compare_ip_ranges);
    for (size_t i = 1; i < ranges->num; i++) {
        struct pel_ip_range *last = &ranges->ranges[num], *range = &ranges->ranges[i];
        if (last->version != range->version || !touches(last->high, range->low, range->version == 4 ? 4 : 16))
            ranges->ranges[++num] = *range;
        else if (memcmp(range->high, last->high, sizeof range->high) > 0)
            memcpy(last->high, range->high, sizeof last->high);
    }
    ranges->num = num + 1;
}

static int compare_port_ranges(const void *a, const void *b)
{
    const struct pel_port_range *x = a, *y = b;
    return x->low != y->low ? x->low - y->low : x->high - y->high;
}

void pel_port_ranges_normalize(struct pel_port_ranges *ranges)
{
    size_t num = 0;
    if (ranges->num == 0)
        return;
    qsort(ranges->ranges, ranges->num, sizeof *ranges->ranges, compare_port_ranges);
    for (size_t i = 1; i < ranges->num; i++) {
        struct pel_port_range *last = &ranges->ranges[num], *range = &ranges->ranges[i];
        if (range->low > last->high + 1)
            ranges->ranges[++num] = *range;
        else if (range->high > last->high)
            last->high = range->high;
    }
    ranges->num = num + 1;
}

bool pel_ip_ranges_has(const struct pel_ip_ranges *ranges, const struct pel_ip *ip)
{
    if (ranges == NULL)
        return true;
    size_t from = 0, to = ranges->num;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        const struct pel_ip_range *range = &ranges->ranges[middle];
        if (ip->version < range->version ||
            (ip->version == range->version && memcmp(ip->bytes, range->low, 16) < 0))
            to = middle;
        else if (ip->version > range->version || memcmp(ip->bytes, range->high, 16) > 0)
            from = middle + 1;
        else
            return true;
    }
    return false;
}

bool pel_port_ranges_has(const struct pel_port_ranges *ranges, uint16_t port)
{
    if (ranges == NULL)
        return true;
    size_t from = 0, to = ranges->num;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (port < ranges->ranges[middle].low)
            to = middle;
        else if (port > ranges->ranges[middle].high)
            from = middle + 1;
        else
            return true;
    }
    return false;
}
