/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/tables/times.h"

#include <stdlib.h>
#include <string.h>

#include "policy/value.h"

enum { DAY_S = 86400, DAY_MINUTES = 1440 };
enum { EVERY_DAY = 0x7fffffff, EVERY_MONTH = 0xfff, EVERY_WEEKDAY = 0x7f };

/* ---- the calendar ---- */

/* Days since 1970-01-01 to year, month (1 to 12) and day, and the length of the month: the proleptic
 * Gregorian calendar, counted in years that begin in March. */
struct date {
    int64_t year;
    unsigned month, day, month_len;
};

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

static bool is_leap(int64_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static unsigned month_len(int64_t year, unsigned month)
{
    static const unsigned char lens[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return lens[month - 1] + (month == 2 && is_leap(year) ? 1u : 0);
}

static struct date date_of(int64_t days)
{
    int64_t since = days + 719468, era = floor_div(since, 146097); /* 400 years from 0000-03-01 */
    int64_t day_of_era = since - era * 146097;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned march_month = (unsigned)((5 * day_of_year + 2) / 153);
    struct date date = {.month = march_month < 10 ? march_month + 3 : march_month - 9,
                        .day = (unsigned)(day_of_year - (153 * march_month + 2) / 5) + 1};
    date.year = year_of_era + era * 400 + (date.month <= 2);
    date.month_len = month_len(date.year, date.month);
    return date;
}

bool pel_time_is_date(int64_t year, unsigned month, unsigned day)
{
    return month >= 1 && month <= 12 && day >= 1 && day <= month_len(year, month);
}

int64_t pel_time_days(int64_t year, unsigned month, unsigned day)
{
    int64_t from_march = month <= 2 ? year - 1 : year, era = floor_div(from_march, 400);
    int64_t year_of_era = from_march - era * 400;
    int64_t day_of_year = (153 * (int64_t)(month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

/* ---- what a statement says ---- */

static int compare_minutes(const void *a, const void *b)
{
    const struct pel_minutes *x = a, *y = b;
    return x->from != y->from ? x->from - y->from : x->to - y->to;
}

enum pel_err pel_time_minutes(struct pel_arena *arena, const struct pel_param *param,
                              struct pel_minutes **ret_minutes, size_t *ret_num)
{
    size_t num_coded = param != NULL ? param->number : 0, num = 0, last = 0;
    struct pel_minutes *minutes = pel_arena_alloc(arena, (2 * num_coded + 1) * sizeof *minutes);
    if (minutes == NULL)
        return PEL_E_NO_MEMORY;
    if (param == NULL)
        minutes[num++] = (struct pel_minutes){0, DAY_MINUTES};
    for (size_t i = 0; i < num_coded; i++) {
        struct pel_minutes coded = param->minutes[i];
        if (coded.from < coded.to) {
            minutes[num++] = coded;
            continue;
        }
        minutes[num++] = (struct pel_minutes){coded.from, DAY_MINUTES};
        if (coded.to > 0)
            minutes[num++] = (struct pel_minutes){0, coded.to};
    }
    qsort(minutes, num, sizeof *minutes, compare_minutes);
    for (size_t i = 1; i < num; i++) {
        if (minutes[i].from > minutes[last].to)
            minutes[++last] = minutes[i];
        else if (minutes[i].to > minutes[last].to)
            minutes[last].to = minutes[i].to;
    }
    *ret_minutes = minutes;
    *ret_num = last + 1;
    return PEL_OK;
}

static uint32_t mask_or(const struct pel_param *param, uint32_t otherwise)
{
    return param != NULL ? param->number : otherwise;
}

static int64_t instant(const struct pel_time *time, int64_t local_s, bool last)
{
    return time->zone != NULL ? pel_zone_instant(time->zone, local_s, last) : local_s - time->offset_s;
}

static enum pel_err compile_zone(struct pel_parse *parse, const struct pel_stmt *stmt, struct pel_time *time)
{
    const struct pel_param *offset = pel_stmt_get(stmt, PEL_SLOT_TIME_OFFSET);
    const struct pel_param *zone = pel_stmt_get(stmt, PEL_SLOT_TIME_ZONE);
    if (offset != NULL)
        time->offset_s = (int32_t)offset->number;
    if (offset != NULL || (zone != NULL && zone->number != PEL_ZONE_LOCAL))
        return PEL_OK;
    if (parse->zone == NULL)
        PEL_TRY(pel_zone_local(parse->kept, &parse->zone));
    time->zone = parse->zone;
    return PEL_OK;
}

enum pel_err pel_time_compile(struct pel_parse *parse, struct pel_stmt *stmt,
                              const struct pel_time **ret_time)
{
    if (stmt->compiled == NULL) {
        const struct pel_param *days = pel_stmt_get(stmt, PEL_SLOT_TIME_DAYS);
        const struct pel_param *span = pel_stmt_get(stmt, PEL_SLOT_TIME_SPAN);
        struct pel_time *time = pel_arena_alloc(parse->kept, sizeof *time);
        if (time == NULL)
            return PEL_E_NO_MEMORY;
        *time =
            (struct pel_time){.index = parse->num_times++,
                              .days = mask_or(days, EVERY_DAY),
                              .days_from_last = days != NULL ? days->number_high : 0,
                              .months = mask_or(pel_stmt_get(stmt, PEL_SLOT_TIME_MONTHS), EVERY_MONTH),
                              .weekdays = mask_or(pel_stmt_get(stmt, PEL_SLOT_TIME_WEEKDAYS), EVERY_WEEKDAY),
                              .first_s = INT64_MIN,
                              .last_s = INT64_MAX};
        struct pel_minutes *minutes = NULL;
        PEL_TRY(pel_time_minutes(parse->kept, pel_stmt_get(stmt, PEL_SLOT_TIME_OF_DAY), &minutes,
                                 &time->num_minutes));
        time->minutes = minutes;
        PEL_TRY(compile_zone(parse, stmt, time));
        if (span != NULL) {
            time->first_s = instant(time, span->seconds[0], false);
            time->last_s = instant(time, span->seconds[1], true);
        }
        stmt->compiled = time;
    }
    *ret_time = stmt->compiled;
    return PEL_OK;
}

/* ---- asking ---- */

static bool day_holds(const struct pel_time *time, int64_t days)
{
    struct date date = date_of(days);
    unsigned weekday = (unsigned)(days + 4 - floor_div(days + 4, 7) * 7); /* 1970-01-01 was a Thursday */
    bool of_month = (time->days >> (date.day - 1) & 1) != 0 ||
                    (time->days_from_last >> (date.month_len - date.day) & 1) != 0;
    return of_month && (time->months >> (date.month - 1) & 1) != 0 && (time->weekdays >> weekday & 1) != 0;
}

/* Whether the second of the day is in a range, and the second at which that changes. */
static bool minute_holds(const struct pel_time *time, int64_t second, int64_t *ret_until)
{
    for (size_t i = 0; i < time->num_minutes; i++) {
        int64_t from = time->minutes[i].from * 60, to = time->minutes[i].to * 60;
        *ret_until = second < from ? from : to;
        if (second < to)
            return second >= from;
    }
    *ret_until = DAY_S;
    return false;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

bool pel_time_holds(const struct pel_time *time, int64_t wall_s, int64_t *ret_until_s)
{
    const int64_t far = INT64_MAX / 4; /* it is no matter which day of the week that is */
    int64_t until_s = INT64_MAX, until = DAY_S;
    *ret_until_s = INT64_MAX;
    if (time == NULL)
        return true;
    if (wall_s < time->first_s || wall_s > time->last_s) {
        *ret_until_s = wall_s < time->first_s ? time->first_s : INT64_MAX;
        return false;
    }
    int64_t behind_s = time->last_s == INT64_MAX ? INT64_MAX : time->last_s + 1;
    wall_s = wall_s > far ? far : wall_s < -far ? -far : wall_s;
    int32_t offset_s = time->zone != NULL ? pel_zone_offset(time->zone, wall_s, &until_s) : time->offset_s;
    int64_t days = floor_div(wall_s + offset_s, DAY_S), second = wall_s + offset_s - days * DAY_S;
    bool holds = day_holds(time, days);
    if (holds)
        holds = minute_holds(time, second, &until);
    *ret_until_s = earlier(earlier(until_s, behind_s), wall_s + (until - second));
    return holds;
}

bool pel_time_holds_cached(const struct pel_time *time, const struct pel_policy *policy, int64_t wall_s,
                           struct pel_policy_cache *cache)
{
    int64_t until_s;
    if (time == NULL)
        return true;
    if (cache == NULL)
        return pel_time_holds(time, wall_s, &until_s);
    if (cache->policy != policy) {
        memset(cache, 0, sizeof *cache);
        cache->policy = policy;
    }
    struct pel_policy_note *note = &cache->notes[time->index % PEL_POLICY_NOTES];
    if (note->time != time || wall_s < note->from_s || wall_s >= note->until_s) {
        note->holds = pel_time_holds(time, wall_s, &note->until_s);
        note->from_s = wall_s;
        note->time = time;
    }
    return note->holds;
}

/* ---- comparing ---- */

static bool same_zone(const struct pel_time *a, const struct pel_time *b)
{
    return a->zone == b->zone && a->offset_s == b->offset_s;
}

static bool is_whole_day(const struct pel_time *time)
{
    return time->minutes[0].from == 0 && time->minutes[0].to == DAY_MINUTES;
}

static bool has_every_day(const struct pel_time *time)
{
    return pel_time_is_every_day(time->days, time->days_from_last);
}

bool pel_time_is_every_day(uint32_t days, uint32_t days_from_last)
{
    return days == EVERY_DAY || days_from_last == EVERY_DAY;
}

/* Whether no clock or calendar, in whatever zone, shows a time that is left out. */
static bool is_whole_year(const struct pel_time *time)
{
    return has_every_day(time) && time->months == EVERY_MONTH && time->weekdays == EVERY_WEEKDAY &&
           is_whole_day(time);
}

/* Both lists are sorted and joined, so a range of `b` lies in `a` only when it lies in one range of `a`. */
static bool minutes_cover(const struct pel_time *a, const struct pel_time *b)
{
    for (size_t i = 0, j = 0; j < b->num_minutes;) {
        if (i == a->num_minutes)
            return false;
        if (a->minutes[i].from <= b->minutes[j].from && a->minutes[i].to >= b->minutes[j].to)
            j++;
        else
            i++;
    }
    return true;
}

static bool days_cover(const struct pel_time *a, const struct pel_time *b)
{
    return has_every_day(a) ||
           ((a->days & b->days) == b->days && (a->days_from_last & b->days_from_last) == b->days_from_last);
}

bool pel_time_covers(const struct pel_time *a, const struct pel_time *b)
{
    if (a == NULL || a == b)
        return true;
    if (a->first_s > (b != NULL ? b->first_s : INT64_MIN) || a->last_s < (b != NULL ? b->last_s : INT64_MAX))
        return false;
    if (is_whole_year(a))
        return true;
    return b != NULL && same_zone(a, b) && days_cover(a, b) && (a->months & b->months) == b->months &&
           (a->weekdays & b->weekdays) == b->weekdays && minutes_cover(a, b);
}

static bool minutes_meet(const struct pel_time *a, const struct pel_time *b)
{
    for (size_t i = 0, j = 0; i < a->num_minutes && j < b->num_minutes;) {
        if (a->minutes[i].to <= b->minutes[j].from)
            i++;
        else if (b->minutes[j].to <= a->minutes[i].from)
            j++;
        else
            return true;
    }
    return false;
}

bool pel_time_meets(const struct pel_time *a, const struct pel_time *b)
{
    if (a == NULL || b == NULL)
        return true;
    if (a->first_s > b->last_s || b->first_s > a->last_s)
        return false;
    if (!same_zone(a, b))
        return true;
    bool days = (a->days & b->days) != 0 || a->days_from_last != 0 || b->days_from_last != 0;
    return days && (a->months & b->months) != 0 && (a->weekdays & b->weekdays) != 0 && minutes_meet(a, b);
}
