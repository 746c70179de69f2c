/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When an IpTimeCondition holds (IBM z/OS IP Configuration Reference; RFC 3060 section 6.5). All that it
 * says is asked of one moment, as clocks of its zone show it: month, day of the month, day of the week,
 * time of day. So a range over midnight, 22:00-06:00, is the same as the two ranges 22:00-24:00 and
 * 00:00-06:00 of each day that the masks allow; with the mask of Friday alone it holds from 0 to 6 and from
 * 22 to 24 on Friday, and not on Saturday. An hour that clocks leave out in spring never comes; one that
 * they show twice in autumn counts twice. ConditionTimeRange holds from the first to the last second that
 * it names.
 */
#ifndef PEL_POLICY_TABLES_TIMES_H
#define PEL_POLICY_TABLES_TIMES_H

#include "policy/model.h"
#include "policy/tables/zone.h"

struct pel_time {
    uint32_t index;                /* of the policy's time conditions */
    uint32_t days, days_from_last; /* bit 0: the first day of the month, the last */
    uint32_t months, weekdays;     /* bit 0: January, Sunday */
    size_t num_minutes;
    const struct pel_minutes *minutes; /* sorted, without overlaps */
    int64_t first_s, last_s;           /* since 1970 */
    const struct pel_zone *zone;       /* NULL: `offset_s` */
    int32_t offset_s;
};

/* Days since 1970-01-01 of a date of the Gregorian calendar, and whether there is such a date. */
int64_t pel_time_days(int64_t year, unsigned month, unsigned day);
bool pel_time_is_date(int64_t year, unsigned month, unsigned day);

/* pel_time_is_every_day tells whether the two halves of a DayOfMonthMask leave no day out. */
bool pel_time_is_every_day(uint32_t days, uint32_t days_from_last);

/* pel_time_minutes gives the ranges of a TimeOfDayRange (NULL: the whole day) sorted and joined, those over
 * midnight in two; the memory is from `arena`. Errors: NO_MEMORY. */
PEL_MUST_USE enum pel_err pel_time_minutes(struct pel_arena *arena, const struct pel_param *param,
                                           struct pel_minutes **ret_minutes, size_t *ret_num);

/* pel_time_compile makes what the statement says, once for all rules that use it. Errors: NO_MEMORY. */
PEL_MUST_USE enum pel_err pel_time_compile(struct pel_parse *parse, struct pel_stmt *stmt,
                                           const struct pel_time **ret_time);

/* pel_time_holds tells whether the condition holds at a moment, and until when at least that stays so. NULL
 * always holds. Pure; any thread. */
bool pel_time_holds(const struct pel_time *time, int64_t wall_s, int64_t *ret_until_s);

/* pel_time_holds_cached is the same with the engine's notes, which may be NULL. */
bool pel_time_holds_cached(const struct pel_time *time, const struct pel_policy *policy, int64_t wall_s,
                           struct pel_policy_cache *cache);

/* pel_time_covers tells whether `a` holds whenever `b` does; pel_time_meets whether both may hold at one
 * moment. When that is hard to tell they say false, and true. */
bool pel_time_covers(const struct pel_time *a, const struct pel_time *b);
bool pel_time_meets(const struct pel_time *a, const struct pel_time *b);

#endif
