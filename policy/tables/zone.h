/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The offsets of a time zone from UTC, as a table: what time it is somewhere is a function of seconds since
 * 1970 and of this table, and asks the system nothing.
 */
#ifndef PEL_POLICY_TABLES_ZONE_H
#define PEL_POLICY_TABLES_ZONE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "policy/arena.h"

/* An offset that holds from a moment until the next one's. */
struct pel_zone_span {
    int64_t from_s; /* since 1970; of the first: INT64_MIN */
    int32_t offset_s;
};

struct pel_zone {
    size_t num; /* at least 1 */
    struct pel_zone_span *spans;
};

/* pel_zone_local makes the table of the machine's zone, which the C library knows (TZ, /etc/localtime), for
 * the years 1970 to 2100; before and after, the nearest offset holds. Takes a millisecond or two. Errors:
 * NO_MEMORY. Any thread. */
PEL_MUST_USE enum pel_err pel_zone_local(struct pel_arena *arena, const struct pel_zone **ret_zone);

/* pel_zone_offset returns the offset at a moment, and the moment until which it holds (INT64_MAX: for ever).
 * Any thread. */
int32_t pel_zone_offset(const struct pel_zone *zone, int64_t wall_s, int64_t *ret_until_s);

/* pel_zone_instant returns the moment at which clocks of the zone show `local_s` (seconds since 1970 as if
 * they were UTC's). An hour that comes twice has two: `last` chooses. One that is left out has none: the
 * moment of the switch is returned. Any thread. */
int64_t pel_zone_instant(const struct pel_zone *zone, int64_t local_s, bool last);

#endif
