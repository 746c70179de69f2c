/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/tables/zone.h"

#include <stdlib.h>
#include <time.h>

enum { WEEK_S = 7 * 86400, WEEKS = 131 * 366 / 7, CHUNK = 64 };

static int32_t ask_libc(int64_t wall_s)
{
    time_t when = (time_t)wall_s;
    struct tm tm;
    return localtime_r(&when, &tm) != NULL ? (int32_t)tm.tm_gmtoff : 0;
}

/* The first moment after `before_s` and up to `after_s` at which the offset is no longer that of
 * `before_s`. */
static int64_t find_change(int64_t before_s, int64_t after_s)
{
    int32_t offset_s = ask_libc(before_s);
    while (after_s - before_s > 1) {
        int64_t middle_s = before_s + (after_s - before_s) / 2;
        if (ask_libc(middle_s) == offset_s)
            before_s = middle_s;
        else
            after_s = middle_s;
    }
    return after_s;
}

static bool add_span(struct pel_zone *zone, size_t *cap, struct pel_zone_span span)
{
    if (zone->num == *cap) {
        void *grown = realloc(zone->spans, (*cap + CHUNK) * sizeof *zone->spans);
        if (grown == NULL)
            return false;
        zone->spans = grown;
        *cap += CHUNK;
    }
    zone->spans[zone->num++] = span;
    return true;
}

/* A look each week: no zone has changed its offset twice in one. */
static bool find_spans(struct pel_zone *zone)
{
    size_t cap = 0;
    bool done = add_span(zone, &cap, (struct pel_zone_span){INT64_MIN, ask_libc(0)});
    for (int64_t week = 1; week < WEEKS && done; week++) {
        int64_t wall_s = week * WEEK_S;
        if (ask_libc(wall_s) != zone->spans[zone->num - 1].offset_s) {
            int64_t change_s = find_change(wall_s - WEEK_S, wall_s);
            done = add_span(zone, &cap, (struct pel_zone_span){change_s, ask_libc(change_s)});
        }
    }
    return done;
}

enum pel_err pel_zone_local(struct pel_arena *arena, const struct pel_zone **ret_zone)
{
    struct pel_zone found = {0};
    enum pel_err err = PEL_E_NO_MEMORY;
    tzset(); /* localtime_r need not look at TZ */
    if (find_spans(&found)) {
        struct pel_zone *zone = pel_arena_alloc(arena, sizeof *zone);
        struct pel_zone_span *spans = pel_arena_alloc(arena, found.num * sizeof *spans);
        if (zone != NULL && spans != NULL) {
            for (size_t i = 0; i < found.num; i++)
                spans[i] = found.spans[i];
            *zone = (struct pel_zone){.num = found.num, .spans = spans};
            *ret_zone = zone;
            err = PEL_OK;
        }
    }
    free(found.spans);
    return err;
}

/* The span that holds at the moment. */
static size_t find_span(const struct pel_zone *zone, int64_t wall_s)
{
    size_t from = 0, to = zone->num;
    while (to - from > 1) {
        size_t middle = from + (to - from) / 2;
        if (zone->spans[middle].from_s <= wall_s)
            from = middle;
        else
            to = middle;
    }
    return from;
}

int32_t pel_zone_offset(const struct pel_zone *zone, int64_t wall_s, int64_t *ret_until_s)
{
    size_t i = find_span(zone, wall_s);
    *ret_until_s = i + 1 < zone->num ? zone->spans[i + 1].from_s : INT64_MAX;
    return zone->spans[i].offset_s;
}

int64_t pel_zone_instant(const struct pel_zone *zone, int64_t local_s, bool last)
{
    int64_t first_s = 0, last_s = 0, gap_s = local_s;
    bool found = false;
    for (size_t i = 0; i < zone->num; i++) {
        const struct pel_zone_span *span = &zone->spans[i];
        int64_t wall_s = local_s - span->offset_s;
        int64_t until_s = i + 1 < zone->num ? span[1].from_s : INT64_MAX;
        if (wall_s >= until_s)
            gap_s = until_s; /* left out, unless a later span has it */
        if (wall_s < span->from_s || wall_s >= until_s)
            continue;
        first_s = found ? first_s : wall_s;
        last_s = wall_s;
        found = true;
    }
    if (!found)
        return gap_s;
    return last ? last_s : first_s;
}
