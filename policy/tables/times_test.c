/* SPDX-License-Identifier: Apache-2.0 */
/* Time conditions. Zones are POSIX rules in TZ, so that no data base of zones is needed. */
#include "policy/tables/times.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "policy/testing.h"
#include "tests/harness/harness.h"

static struct pel_parsed parsed;

static const char berlin[] = "CET-1CEST,M3.5.0,M10.5.0/3";
static const char new_york[] = "EST5EDT,M3.2.0,M11.1.0";

#define RULE(lines)                                                                                          \
    "TTLSGroupAction G\n{\nTTLSEnabled Off\n}\nTTLSRule R\n{\nDirection Inbound\nLocalPortRange 1\n"         \
    "TTLSGroupActionRef G\nIpTimeCondition\n{\n" lines "}\n}\n"

static void set_zone(const char *zone)
{
    setenv("TZ", zone, 1);
    tzset();
}

static void parse(const char *zone, const char *text)
{
    set_zone(zone);
    pel_test_parse(&parsed, text);
    if (parsed.err != PEL_OK)
        pel_test_fail(__FILE__, __LINE__, "%s", parsed.said);
}

/* Seconds since 1970 of "2024-02-29 12:00:00" UTC. */
static int64_t utc(const char *text)
{
    struct tm tm = {0};
    if (sscanf(text, "%d-%d-%d %d:%d:%d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min,
               &tm.tm_sec) != 6)
        pel_test_fail(__FILE__, __LINE__, "\"%s\" is no time", text);
    tm.tm_year -= 1900;
    tm.tm_mon--;
    return (int64_t)timegm(&tm);
}

static bool matches(int64_t wall_s)
{
    struct pel_policy_query query = {.local.port = 1, .direction = PEL_INBOUND, .wall_s = wall_s};
    return pel_policy_lookup(parsed.policy, &query) != NULL;
}

static void expect_at(const char *text, bool expected)
{
    if (matches(utc(text)) != expected)
        pel_test_fail(__FILE__, __LINE__, "%s UTC: %s", text, expected ? "does not hold" : "holds");
}

PEL_TEST(times, masks)
{
    parse(berlin, RULE("MonthOfYearMask 010000000001\nDayOfWeekMask 1000001\nTimeZone UTC\n"));
    expect_at("2024-02-03 00:00:00", true); /* a Saturday */
    expect_at("2024-02-04 23:59:59", true);
    expect_at("2024-02-05 00:00:00", false);
    expect_at("2024-03-02 12:00:00", false);
    expect_at("2024-12-01 12:00:00", true);
    expect_at("2024-11-30 23:59:59", false);
    pel_test_drop(&parsed);
    parse(berlin, RULE("DayOfMonthMask 1000000000000000000000000000000\nTimeZone UTC\n"));
    expect_at("2023-01-01 00:00:00", true);
    expect_at("2023-01-02 00:00:00", false);
    expect_at("2022-12-31 23:59:59", false);
    pel_test_drop(&parsed);
    parse(
        berlin,
        RULE(
            "DayOfMonthMask 00000000000000000000000000000001100000000000000000000000000000\nTimeZone UTC\n"));
    expect_at("2023-02-28 12:00:00", true); /* the last day but one, and the last */
    expect_at("2023-02-27 12:00:00", true);
    expect_at("2023-02-26 12:00:00", false);
    expect_at("2024-02-29 12:00:00", true);
    expect_at("2024-02-28 12:00:00", true);
    expect_at("2024-02-27 12:00:00", false);
    expect_at("2024-03-01 12:00:00", false);
    expect_at("1969-12-31 12:00:00", true);
    expect_at("1900-02-28 12:00:00", true);
    expect_at("2000-02-28 12:00:00", true);
    expect_at("2000-02-27 12:00:00", false);
    pel_test_drop(&parsed);
}

PEL_TEST(times, hours)
{
    parse(berlin, RULE("TimeOfDayRange 08:00-12:00, 13:30-17:00,16:00-18:00\nTimeZone UTC\n"));
    expect_at("2024-01-01 07:59:59", false);
    expect_at("2024-01-01 08:00:00", true);
    expect_at("2024-01-01 11:59:59", true);
    expect_at("2024-01-01 12:00:00", false);
    expect_at("2024-01-01 13:30:00", true);
    expect_at("2024-01-01 17:30:00", true);
    expect_at("2024-01-01 18:00:00", false);
    pel_test_drop(&parsed);
    /* Friday from 0 to 6, and from 22 on; Saturday not. */
    parse(berlin, RULE("TimeOfDayRange 22:00-06:00\nDayOfWeekMask 0000010\nTimeZone UTC\n"));
    expect_at("2024-02-01 23:59:59", false);
    expect_at("2024-02-02 00:00:00", true);
    expect_at("2024-02-02 06:00:00", false);
    expect_at("2024-02-02 21:59:59", false);
    expect_at("2024-02-02 22:00:00", true);
    expect_at("2024-02-02 23:59:59", true);
    expect_at("2024-02-03 00:00:00", false);
    pel_test_drop(&parsed);
    parse(berlin, RULE("TimeOfDayRange 23:00-00:00\nTimeZone UTC\n"));
    expect_at("2024-02-02 23:30:00", true);
    expect_at("2024-02-02 00:00:00", false);
    pel_test_drop(&parsed);
}

PEL_TEST(times, dates_and_offsets)
{
    parse(berlin, RULE("ConditionTimeRange 20240229120000:20240301115959\nTimezoneOffset +05:30\n"));
    expect_at("2024-02-29 06:29:59", false);
    expect_at("2024-02-29 06:30:00", true);
    expect_at("2024-03-01 06:29:59", true);
    expect_at("2024-03-01 06:30:00", false);
    pel_test_drop(&parsed);
    parse(berlin, RULE("TimeOfDayRange 00:00-01:00\nTimezoneOffset -03:00\n"));
    expect_at("2024-02-29 02:59:59", false);
    expect_at("2024-02-29 03:00:00", true);
    expect_at("2024-02-29 03:59:59", true);
    expect_at("2024-02-29 04:00:00", false);
    pel_test_drop(&parsed);
}

/* Berlin: on 2024-03-31 clocks go from 02:00 to 03:00 (01:00 UTC), on 2024-10-27 from 03:00 back to 02:00. */
PEL_TEST(times, daylight_saving_in_berlin)
{
    parse(berlin, RULE("TimeOfDayRange 02:15-02:45\n")); /* uncoded: Local */
    expect_at("2024-03-30 01:14:59", false);
    expect_at("2024-03-30 01:15:00", true);
    expect_at("2024-03-31 00:59:59", false);
    expect_at("2024-03-31 01:00:00", false); /* the hour is left out */
    expect_at("2024-03-31 01:20:00", false);
    expect_at("2024-04-01 00:20:00", true);
    expect_at("2024-10-26 00:20:00", true);
    expect_at("2024-10-27 00:20:00", true); /* the hour comes twice */
    expect_at("2024-10-27 00:45:00", false);
    expect_at("2024-10-27 01:20:00", true);
    expect_at("2024-10-27 01:45:00", false);
    expect_at("2024-10-28 00:20:00", false);
    expect_at("2024-10-28 01:20:00", true);
    pel_test_drop(&parsed);
    parse(berlin, RULE("TimeOfDayRange 02:30-04:00\nTimeZone Local\n"));
    expect_at("2024-03-31 00:59:59", false); /* 01:59:59 */
    expect_at("2024-03-31 01:00:00", true);  /* 03:00:00 */
    expect_at("2024-03-31 02:00:00", false); /* 04:00:00 */
    pel_test_drop(&parsed);
    parse(berlin, RULE("DayOfWeekMask 1000000\n"));
    expect_at("2024-03-30 22:59:59", false);
    expect_at("2024-03-30 23:00:00", true);  /* 00:00 */
    expect_at("2024-03-31 21:59:59", true);  /* 23:59:59, summer time */
    expect_at("2024-03-31 22:00:00", false); /* a day of 23 hours */
    expect_at("2024-10-26 21:59:59", false);
    expect_at("2024-10-26 22:00:00", true);
    expect_at("2024-10-27 22:59:59", true); /* a day of 25 hours */
    expect_at("2024-10-27 23:00:00", false);
    pel_test_drop(&parsed);
}

/* New York: on 2024-03-10 from 02:00 to 03:00 (07:00 UTC), on 2024-11-03 from 02:00 back to 01:00 (06:00
 * UTC). */
PEL_TEST(times, daylight_saving_in_new_york)
{
    parse(new_york, RULE("TimeOfDayRange 01:30-02:30\n"));
    expect_at("2024-03-10 06:29:59", false);
    expect_at("2024-03-10 06:30:00", true);
    expect_at("2024-03-10 06:59:59", true);
    expect_at("2024-03-10 07:00:00", false); /* 03:00 */
    expect_at("2024-11-03 05:29:59", false);
    expect_at("2024-11-03 05:30:00", true);
    expect_at("2024-11-03 05:59:59", true);
    expect_at("2024-11-03 06:00:00", false); /* 01:00 again */
    expect_at("2024-11-03 06:29:59", false);
    expect_at("2024-11-03 06:30:00", true);
    expect_at("2024-11-03 07:29:59", true);
    expect_at("2024-11-03 07:30:00", false);
    pel_test_drop(&parsed);
}

/* A date in the hour that comes twice means its first showing as a beginning and its second as an end; one
 * that is left out means the switch. */
PEL_TEST(times, dates_in_the_switches)
{
    parse(berlin, RULE("ConditionTimeRange 20240331023000:20241027023000\n"));
    expect_at("2024-03-31 00:59:59", false);
    expect_at("2024-03-31 01:00:00", true);
    expect_at("2024-10-27 00:30:00", true);
    expect_at("2024-10-27 01:30:00", true);
    expect_at("2024-10-27 01:30:01", false);
    pel_test_drop(&parsed);
    parse(berlin, RULE("ConditionTimeRange 20241027023000:20250331023000\n"));
    expect_at("2024-10-27 00:29:59", false);
    expect_at("2024-10-27 00:30:00", true);
    pel_test_drop(&parsed);
}

/* Every half hour of eighty years, in several zones: what libc's calendar says. */
PEL_TEST(times, agrees_with_the_calendar_of_libc)
{
    static const char *const zones[] = {berlin,
                                        new_york,
                                        "UTC0",
                                        "IST-5:30",
                                        "LHST-10:30LHDT-11,M10.1.0,M4.1.0",
                                        "NZST-12NZDT,M9.5.0,M4.1.0/3"};
    for (size_t i = 0; i < sizeof zones / sizeof *zones; i++) {
        parse(zones[i],
              RULE("TimeOfDayRange 01:45-02:20,23:00-00:30\nDayOfWeekMask 1010110\n"
                   "MonthOfYearMask 101101010111\n"
                   "DayOfMonthMask 10101010101010101010101010101011100000000000000000000000000000\n"));
        size_t num = 0;
        for (int64_t wall_s = 0; wall_s < (int64_t)80 * 365 * 86400 && !pel_test_has_failed();
             wall_s += 7001) {
            time_t when = (time_t)wall_s;
            struct tm tm, next;
            localtime_r(&when, &tm);
            int minute = tm.tm_hour * 60 + tm.tm_min, from_last = 0;
            for (; from_last < 2; from_last++) {
                next = tm;
                next.tm_mday += from_last + 1;
                (void)timegm(&next);
                if (next.tm_mon != tm.tm_mon)
                    break;
            }
            bool day = tm.tm_mday % 2 == 1 || from_last < 2;
            bool expected = ((minute >= 105 && minute < 140) || minute >= 1380 || minute < 30) &&
                            "1010110"[tm.tm_wday] == '1' && "101101010111"[tm.tm_mon] == '1' && day;
            num += expected;
            if (matches(wall_s) != expected)
                pel_test_fail(__FILE__, __LINE__, "%s: %lld, %d-%02d-%02d %02d:%02d: %d", zones[i],
                              (long long)wall_s, tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour,
                              tm.tm_min, expected);
        }
        PEL_EXPECT(num > 1000);
        pel_test_drop(&parsed);
    }
}

/* With the engine's notes the answers are the same, whichever way the clock goes. */
PEL_TEST(times, notes_change_no_answer)
{
    static struct pel_policy_cache cache;
    uint64_t state = 7;
    size_t num = 0;
    parse(berlin, RULE("TimeOfDayRange 01:45-02:20,08:00-17:00,23:00-00:30\nDayOfWeekMask 1010110\n"));
    int64_t wall_s = utc("2024-10-20 00:00:00");
    for (int i = 0; i < 200000 && !pel_test_has_failed(); i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        wall_s += (int64_t)(state >> 33) % 120 - (state >> 60 == 0 ? 4000 : 30);
        struct pel_policy_query query = {
            .local.port = 1, .direction = PEL_INBOUND, .wall_s = wall_s, .cache = &cache};
        bool holds = pel_policy_lookup(parsed.policy, &query) != NULL;
        num += holds;
        if (holds != matches(wall_s))
            pel_test_fail(__FILE__, __LINE__, "%lld", (long long)wall_s);
    }
    PEL_EXPECT(num > 1000 && num < 199000);
    pel_test_drop(&parsed);
}

/* Until when an answer holds is never too late. */
PEL_TEST(times, until_is_no_promise_too_many)
{
    parse(new_york, RULE("TimeOfDayRange 01:45-02:20,08:00-17:00\nDayOfWeekMask 1010110\n"
                         "ConditionTimeRange 20240301000000:20241231235959\n"));
    const struct pel_time *time = parsed.policy->conditions[0].time;
    int64_t until_s = 0, next_s = 0;
    for (int64_t wall_s = utc("2024-02-20 00:00:00"); wall_s < utc("2025-01-10 00:00:00"); wall_s = until_s) {
        bool holds = pel_time_holds(time, wall_s, &until_s);
        PEL_REQUIRE(until_s > wall_s);
        int64_t last_s = until_s < wall_s + 90000 ? until_s : wall_s + 90000;
        for (int64_t s = wall_s; s < last_s; s += 60) {
            if (pel_time_holds(time, s, &next_s) != holds)
                pel_test_fail(__FILE__, __LINE__, "%lld: until %lld, but not at %lld", (long long)wall_s,
                              (long long)until_s, (long long)s);
        }
        if (until_s == INT64_MAX)
            break;
    }
    pel_test_drop(&parsed);
}

/* Any second since 1970 and before, far and near: an answer. */
PEL_TEST(times, any_number_of_seconds)
{
    static const int64_t seconds[] = {INT64_MIN, INT64_MIN + 1, -1, 0, 1, INT64_MAX - 1, INT64_MAX};
    parse(berlin, RULE("TimeOfDayRange 00:00-24:00\n"));
    for (size_t i = 0; i < sizeof seconds / sizeof *seconds; i++)
        PEL_EXPECT(matches(seconds[i]));
    pel_test_drop(&parsed);
}

static const char *said_of(const char *lines)
{
    static char text[4096];
    snprintf(text, sizeof text, RULE("%s"), lines);
    pel_test_drop(&parsed);
    pel_test_parse(&parsed, text);
    return parsed.said;
}

PEL_TEST(times, wrong_values)
{
    PEL_EXPECT_STR(said_of("DayOfMonthMask 0101\n"),
                   "12:16: error: DayOfMonthMask: \"0101\" is not 31 or 62 digits 0 or 1\n");
    PEL_EXPECT_STR(said_of("MonthOfYearMask 0101010101012\n"),
                   "12:17: error: MonthOfYearMask: \"0101010101012\" is not 12 digits 0 or 1\n");
    PEL_EXPECT_STR(said_of("DayOfWeekMask 01x0101\n"),
                   "12:15: error: DayOfWeekMask: \"01x0101\" is not 7 digits 0 or 1\n");
    PEL_EXPECT_STR(said_of("DayOfWeekMask 0000000\n"),
                   "12:15: warning: DayOfWeekMask: without a 1 the condition never holds\n");
    PEL_EXPECT_STR(said_of("DayOfWeekMask\n"), "12:1: error: DayOfWeekMask needs a value\n");
    PEL_EXPECT_STR(said_of("TimeOfDayRange 8:00-12:00\n"),
                   "12:16: error: TimeOfDayRange: \"8:00-12:00\" is not hh:mm-hh:mm, from 00:00 to 24:00\n");
    PEL_EXPECT_STR(said_of("TimeOfDayRange 08:00-12:00, 13:60-14:00\n"),
                   "12:29: error: TimeOfDayRange: \"13:60-14:00\" is not hh:mm-hh:mm, from 00:00 to 24:00\n");
    PEL_EXPECT_STR(said_of("TimeOfDayRange 08:00-24:01\n"),
                   "12:16: error: TimeOfDayRange: \"08:00-24:01\" is not hh:mm-hh:mm, from 00:00 to 24:00\n");
    PEL_EXPECT_STR(said_of("TimeOfDayRange 24:00-08:00\n"),
                   "12:16: error: TimeOfDayRange: \"24:00-08:00\" is not hh:mm-hh:mm, from 00:00 to 24:00\n");
    PEL_EXPECT_STR(said_of("TimeOfDayRange 08:00-12:00,\n"),
                   "12:28: error: TimeOfDayRange: \"\" is not hh:mm-hh:mm, from 00:00 to 24:00\n");
    PEL_EXPECT_STR(
        said_of("TimeOfDayRange 08:00-08:00\n"),
        "12:16: error: TimeOfDayRange: the range 08:00-08:00 is empty; the whole day is 00:00-24:00\n");
    PEL_EXPECT_STR(
        said_of("ConditionTimeRange 20240101:20241231\n"),
        "12:20: error: ConditionTimeRange: \"20240101:20241231\" is not yyyymmddhhmmss:yyyymmddhhmmss\n");
    PEL_EXPECT_STR(
        said_of("ConditionTimeRange 20240230000000:20241231235959\n"),
        "12:20: error: ConditionTimeRange: \"20240230000000\" is no date and time, yyyymmddhhmmss\n");
    PEL_EXPECT_STR(
        said_of("ConditionTimeRange 20240101000000:20241231235960\n"),
        "12:35: error: ConditionTimeRange: \"20241231235960\" is no date and time, yyyymmddhhmmss\n");
    PEL_EXPECT_STR(said_of("ConditionTimeRange 20250101000000:20241231235959\n"),
                   "12:20: error: ConditionTimeRange: it ends before it begins\n");
    PEL_EXPECT_STR(said_of("TimezoneOffset 2\n"),
                   "12:16: error: TimezoneOffset: \"2\" is not +hh:mm or -hh:mm, up to 14:00\n");
    PEL_EXPECT_STR(said_of("TimezoneOffset +14:01\n"),
                   "12:16: error: TimezoneOffset: \"+14:01\" is not +hh:mm or -hh:mm, up to 14:00\n");
    PEL_EXPECT_STR(said_of("TimezoneOffset +02:00\nTimeZone UTC\n"),
                   "12:1: error: TimezoneOffset and TimeZone exclude each other\n");
    PEL_EXPECT_STR(said_of("TimeZone CET\n"), "12:10: error: TimeZone: \"CET\" is not Local or UTC\n");
    pel_test_drop(&parsed);
}

PEL_TEST(times, too_many_ranges)
{
    char line[1024] = "TimeOfDayRange 00:00-00:01";
    for (int i = 1; i < 32; i++)
        snprintf(line + strlen(line), sizeof line - strlen(line), ",00:%02d-00:%02d", i, i + 1);
    size_t len = strlen(line);
    strcpy(line + len, "\n");
    PEL_EXPECT_STR(said_of(line), "");
    strcpy(line + len, ",01:00-02:00\n");
    PEL_EXPECT_STR(said_of(line), "12:400: error: TimeOfDayRange: more than 32 ranges\n");
    pel_test_drop(&parsed);
}

/* Rules that never hold at one moment do not overlap; one whose times are another's is hidden by it. */
PEL_TEST(times, overlaps)
{
#define TWO(first, second)                                                                                   \
    "TTLSGroupAction G\n{\nTTLSEnabled Off\n}\nTTLSRule A\n{\nDirection Inbound\nLocalPortRange 1\n"         \
    "TTLSGroupActionRef G\nIpTimeCondition\n{\n" first "}\n}\n"                                              \
    "TTLSRule B\n{\nDirection Inbound\nLocalPortRange 1\nTTLSGroupActionRef G\nIpTimeCondition\n{\n" second  \
    "}\n}\n"
    static const char overlap[] =
        "15:1: warning: TTLSRule \"B\" overlaps TTLSRule \"A\" on line 5 at the same "
        "priority; \"A\" is tried first, for its name\n",
                      hidden[] =
                          "15:1: warning: TTLSRule \"B\" never matches: TTLSRule \"A\" on line 5 is tried "
                          "first and takes all that it would\n";
    set_zone(berlin);
    pel_test_parse(&parsed, TWO("TimeOfDayRange 08:00-12:00\n", "TimeOfDayRange 12:00-18:00\n"));
    PEL_EXPECT_STR(parsed.said, "");
    pel_test_drop(&parsed);
    pel_test_parse(&parsed, TWO("TimeOfDayRange 08:00-12:00\n", "TimeOfDayRange 11:59-18:00\n"));
    PEL_EXPECT_STR(parsed.said, overlap);
    pel_test_drop(&parsed);
    pel_test_parse(&parsed, TWO("DayOfWeekMask 0111110\n", "DayOfWeekMask 1000001\n"));
    PEL_EXPECT_STR(parsed.said, "");
    pel_test_drop(&parsed);
    pel_test_parse(&parsed, TWO("DayOfWeekMask 0111110\n", "DayOfWeekMask 0001000\n"));
    PEL_EXPECT_STR(parsed.said, hidden);
    pel_test_drop(&parsed);
    pel_test_parse(&parsed,
                   TWO("DayOfWeekMask 0111110\nTimeZone Local\n", "DayOfWeekMask 0111110\nTimeZone UTC\n"));
    PEL_EXPECT_HAS(parsed.said, "16:1: warning: TTLSRule \"B\" overlaps TTLSRule \"A\" on line 5");
    pel_test_drop(&parsed);
}

/* The times of one rule, then those of one that is tried behind it; whether it never matches. */
PEL_TEST(times, hidden_by_times_that_cover)
{
    static const struct {
        const char *first, *second;
        bool hidden;
    } rows[] = {
        {"TimeOfDayRange 08:00-18:00", "TimeOfDayRange 09:00-17:00", true},
        {"TimeOfDayRange 08:00-18:00", "TimeOfDayRange 08:00-18:01", false},
        {"TimeOfDayRange 08:00-18:00", "TimeOfDayRange 08:00-10:00,17:00-18:00", true},
        {"TimeOfDayRange 08:00-10:00,11:00-18:00", "TimeOfDayRange 09:00-12:00", false},
        {"TimeOfDayRange 22:00-06:00", "TimeOfDayRange 23:00-05:00", true},
        {"TimeOfDayRange 23:00-05:00", "TimeOfDayRange 22:00-06:00", false},
        {"MonthOfYearMask 111111111111", NULL, true},
        {"TimeOfDayRange 00:00-24:00", NULL, true},
        {"DayOfWeekMask 0111111", NULL, false},
        {"ConditionTimeRange 20260101000000:20270101000000", NULL, false},
        {"", NULL, true},
        {"", "TimeZone UTC\nDayOfWeekMask 0000001", true},
        {"DayOfWeekMask 0111111", "TimeZone UTC\nDayOfWeekMask 0000001", false},
        {"TimeOfDayRange 08:00-18:00", "TimeZone UTC\nTimeOfDayRange 09:00-17:00", false},
        {"DayOfMonthMask 1111111111111111111111111111111",
         "DayOfMonthMask 00000000000000000000000000000001000000000000000000000000000000", true},
    };
    char text[2000], time[200];
    set_zone(berlin);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        snprintf(time, sizeof time, "IpTimeCondition\n{\n%s\n}\n",
                 rows[i].second != NULL ? rows[i].second : "");
        snprintf(
            text, sizeof text,
            "TTLSGroupAction G\n{\nTTLSEnabled Off\n}\nTTLSRule A\n{\nPriority 20\nDirection Inbound\n"
            "LocalPortRange 1\nTTLSGroupActionRef G\nIpTimeCondition\n{\n%s\n}\n}\n"
            "TTLSRule B\n{\nPriority 10\nDirection Inbound\nLocalPortRange 1\nTTLSGroupActionRef G\n%s}\n",
            rows[i].first, rows[i].second != NULL ? time : "");
        pel_test_parse(&parsed, text);
        PEL_EXPECT(parsed.policy != NULL);
        bool hidden = strstr(parsed.said, "never matches") != NULL;
        if (hidden != rows[i].hidden)
            pel_test_fail(__FILE__, __LINE__, "\"%s\" hides \"%s\": %d", rows[i].first,
                          rows[i].second != NULL ? rows[i].second : "no condition", hidden);
        pel_test_drop(&parsed);
    }
}
