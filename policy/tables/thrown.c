/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/tables/thrown.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/harness/harness.h"

enum { NAME_LEN = 40, LINE_ROOM = 256 };

struct ip_item {
    bool v6;
    uint32_t low, high; /* the last 32 bits: the rest is 2001:db8:: */
};

struct port_item {
    uint32_t low, high;
};

/* None coded: num is 0. */
struct side {
    size_t num_ips, num_ports;
    struct ip_item *ips;
    struct port_item *ports;
};

/* Looked at with libc's calendar. */
struct moment {
    bool local; /* else UTC */
    char weekdays[8], months[13];
    unsigned from, to; /* minutes of the day; the later first: over midnight */
};

struct rule {
    char name[16];
    const struct moment *moment; /* NULL: any */
    unsigned direction, priority;
    struct side sides[2]; /* local, remote */
    char user[NAME_LEN], job[NAME_LEN];
};

struct thrown {
    struct thrown_shape shape;
    uint64_t seed, state;
    struct rule *rules;
    struct moment *moments;
    struct pel_policy_cache cache;
    char *text;
    size_t text_len, text_cap;
};

static uint32_t throw_number(struct thrown *thrown, uint32_t below)
{
    thrown->state = thrown->state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(thrown->state >> 33) % below;
}

static bool throw_bare(struct thrown *thrown)
{
    return throw_number(thrown, 10) < thrown->shape.bare;
}

/* ---- text ---- */

static void *more(void *old, size_t num, size_t size)
{
    void *bytes = realloc(old, num * size + 1);
    if (bytes == NULL)
        abort();
    return bytes;
}

__attribute__((format(printf, 2, 3))) static void put(struct thrown *thrown, const char *format, ...)
{
    va_list args;
    if (thrown->text_cap - thrown->text_len < LINE_ROOM)
        thrown->text = more(thrown->text, thrown->text_cap = thrown->text_cap * 2 + LINE_ROOM, 1);
    va_start(args, format);
    thrown->text_len += (size_t)vsnprintf(thrown->text + thrown->text_len, LINE_ROOM, format, args);
    va_end(args);
}

static void put_ip(struct thrown *thrown, bool v6, uint32_t ip)
{
    if (v6)
        put(thrown, "2001:db8::%x:%x", ip >> 16, ip & 0xffff);
    else
        put(thrown, "%u.%u.%u.%u", ip >> 24, ip >> 16 & 255, ip >> 8 & 255, ip & 255);
}

/* ---- conditions ---- */

/* From 10.0.0.0 on; now and then the last addresses of all. */
static uint32_t throw_ip(struct thrown *thrown)
{
    uint32_t ip = throw_number(thrown, thrown->shape.num_ips);
    return throw_number(thrown, 50) == 0 ? UINT32_MAX - ip % 4 : 0x0a000000 + ip;
}

static void throw_ip_item(struct thrown *thrown, struct ip_item *item)
{
    *item = (struct ip_item){.v6 = throw_number(thrown, 2), .low = throw_ip(thrown)};
    uint32_t width = throw_number(thrown, thrown->shape.width);
    item->high = item->low > UINT32_MAX - width ? UINT32_MAX : item->low + width;
    if (throw_number(thrown, 3) == 0) {
        uint32_t bits = throw_number(thrown, 8), mask = (1u << bits) - 1;
        put(thrown, "IpAddrSet\n{\nPrefix ");
        put_ip(thrown, item->v6, item->low);
        put(thrown, "/%u\n}\n", (item->v6 ? 128 : 32) - bits);
        item->low &= ~mask;
        item->high = item->low | mask;
    } else if (item->low == item->high) {
        put(thrown, "IpAddr\n{\nAddr ");
        put_ip(thrown, item->v6, item->low);
        put(thrown, "\n}\n");
    } else {
        put(thrown, "IpAddrSet\n{\nRange ");
        put_ip(thrown, item->v6, item->low);
        put(thrown, "-");
        put_ip(thrown, item->v6, item->high);
        put(thrown, "\n}\n");
    }
}

/* How many items a group has: mostly few. */
static size_t throw_num(struct thrown *thrown)
{
    return 1 + throw_number(thrown, throw_number(thrown, 8) == 0 ? thrown->shape.num_items : 3);
}

static void throw_ips(struct thrown *thrown, char kind, size_t number, struct side *side)
{
    if (throw_bare(thrown))
        return;
    side->num_ips = throw_num(thrown);
    side->ips = more(NULL, side->num_ips, sizeof *side->ips);
    put(thrown, "IpAddrGroup %c%zu\n{\n", kind, number);
    for (size_t i = 0; i < side->num_ips; i++)
        throw_ip_item(thrown, &side->ips[i]);
    put(thrown, "}\n");
}

static void throw_ports(struct thrown *thrown, char kind, size_t number, struct side *side)
{
    if (throw_bare(thrown))
        return;
    side->num_ports = throw_num(thrown);
    side->ports = more(NULL, side->num_ports, sizeof *side->ports);
    put(thrown, "PortGroup %c%zu\n{\n", kind, number);
    for (size_t i = 0; i < side->num_ports; i++) {
        uint32_t low = 1 + throw_number(thrown, thrown->shape.num_ports - 1);
        uint32_t high = low + throw_number(thrown, thrown->shape.width);
        side->ports[i] = (struct port_item){low, high > 65535 ? 65535 : high};
        put(thrown, "PortRange\n{\nPort %u-%u\n}\n", low, side->ports[i].high);
    }
    put(thrown, "}\n");
}

/* Names share beginnings; some are as long as can be, and one is longer than any pattern. */
static void throw_name(struct thrown *thrown, char *name)
{
    uint32_t number = throw_number(thrown, thrown->shape.num_names);
    static const char *const stems[] = {"ab", "AbC", "b", "abcdefg", "abcdefgh", "\xc3\xa4"};
    snprintf(name, NAME_LEN, "%s", stems[number % 6]);
    if (number / 6 > 0)
        snprintf(name + strlen(name), NAME_LEN - strlen(name), "%u", number / 6);
    if (number % 11 == 0)
        snprintf(name, NAME_LEN, "long-name-of-thirty-two-bytes-%02u", number / 11 % 100);
}

static void throw_pattern(struct thrown *thrown, char *pattern)
{
    pattern[0] = '\0';
    if (throw_bare(thrown))
        return;
    throw_name(thrown, pattern);
    if (throw_number(thrown, 2) == 0)
        return;
    size_t len = throw_number(thrown, 4) % (strlen(pattern) + 1);
    while ((pattern[len] & 0xc0) == 0x80)
        len--; /* not in the middle of a character */
    pattern[len] = '\0';
    strcat(pattern, "*");
}

/* ---- times ---- */

static void throw_mask(struct thrown *thrown, char *mask, size_t len)
{
    for (size_t i = 0; i < len; i++)
        mask[i] = throw_number(thrown, 4) == 0 ? '0' : '1';
    mask[len] = '\0';
}

static void throw_moment(struct thrown *thrown, size_t number)
{
    struct moment *moment = &thrown->moments[number];
    *moment = (struct moment){.local = throw_number(thrown, 2),
                              .from = throw_number(thrown, 1440),
                              .to = 1 + throw_number(thrown, 1440)};
    throw_mask(thrown, moment->weekdays, 7);
    throw_mask(thrown, moment->months, 12);
    moment->to += moment->to == moment->from;
    put(thrown, "IpTimeCondition T%zu\n{\nDayOfWeekMask %s\nMonthOfYearMask %s\nTimeZone %s\n", number,
        moment->weekdays, moment->months, moment->local ? "Local" : "UTC");
    put(thrown, "TimeOfDayRange %02u:%02u-%02u:%02u\n}\n", moment->from / 60, moment->from % 60,
        moment->to / 60, moment->to % 60);
}

/* ---- rules ---- */

static void put_side(struct thrown *thrown, const char *side_name, const char *kinds, size_t number,
                     const struct side *side)
{
    if (side->num_ips > 0)
        put(thrown, "%sAddrGroupRef %c%zu\n", side_name, kinds[0], number);
    if (side->num_ports == 1)
        put(thrown, "%sPortRange %u %u\n", side_name, side->ports[0].low, side->ports[0].high);
    else if (side->num_ports > 1)
        put(thrown, "%sPortGroupRef %c%zu\n", side_name, kinds[1], number);
}

static void throw_rule(struct thrown *thrown, size_t number)
{
    static const char *const directions[] = {"", "Inbound", "Outbound", "Both"};
    struct rule *rule = &thrown->rules[number];
    *rule = (struct rule){.direction = 1 + throw_number(thrown, 3), .priority = 1 + throw_number(thrown, 3)};
    snprintf(rule->name, sizeof rule->name, "%c%zu", "ZAmk"[throw_number(thrown, 4)], number);
    for (int i = 0; i < 2; i++) {
        throw_ips(thrown, "lr"[i], number, &rule -> sides[i]);
        throw_ports(thrown, "LR"[i], number, &rule -> sides[i]);
    }
    throw_pattern(thrown, rule->user);
    throw_pattern(thrown, rule->job);
    if (thrown->shape.num_times > 0 && !throw_bare(thrown))
        rule->moment = &thrown->moments[throw_number(thrown, thrown->shape.num_times)];
    put(thrown, "TTLSRule %s\n{\nDirection %s\nPriority %u\nTTLSGroupActionRef G\n", rule->name,
        directions[rule->direction], rule->priority);
    put_side(thrown, "Local", "lL", number, &rule->sides[0]);
    put_side(thrown, "Remote", "rR", number, &rule->sides[1]);
    if (rule->user[0] != '\0')
        put(thrown, "Userid %s\n", rule->user);
    if (rule->job[0] != '\0')
        put(thrown, "Jobname %s\n", rule->job);
    if (rule->moment != NULL)
        put(thrown, "IpTimeConditionRef T%zu\n", (size_t)(rule->moment - thrown->moments));
    if (rule->sides[0].num_ips + rule->sides[1].num_ips == 0)
        put(thrown, "LocalAddr All\n"); /* one condition there must be */
    put(thrown, "}\n");
}

struct thrown *thrown_make(const struct thrown_shape *shape, uint64_t seed, struct pel_parsed *parsed)
{
    struct thrown *thrown = more(NULL, 1, sizeof *thrown);
    *thrown = (struct thrown){.shape = *shape, .seed = seed, .state = seed};
    thrown->rules = more(NULL, shape->num_rules, sizeof *thrown->rules);
    put(thrown, "TTLSGroupAction G\n{\nTTLSEnabled Off\n}\n");
    thrown->moments = more(NULL, shape->num_times, sizeof *thrown->moments);
    for (size_t i = 0; i < shape->num_times; i++)
        throw_moment(thrown, i);
    for (size_t i = 0; i < shape->num_rules; i++)
        throw_rule(thrown, i);
    pel_test_parse_len(parsed, thrown->text, thrown->text_len);
    if (parsed->err != PEL_OK)
        pel_test_fail(__FILE__, __LINE__, "seed %llu: %s", (unsigned long long)seed, parsed->said);
    return thrown;
}

void thrown_free(struct thrown *thrown, struct pel_parsed *parsed)
{
    for (size_t i = 0; i < thrown->shape.num_rules; i++) {
        for (int side = 0; side < 2; side++) {
            free(thrown->rules[i].sides[side].ips);
            free(thrown->rules[i].sides[side].ports);
        }
    }
    free(thrown->rules);
    free(thrown->moments);
    free(thrown->text);
    free(thrown);
    pel_test_drop(parsed);
}

/* ---- the oracle ---- */

struct end {
    uint32_t ip, port;
};

struct query {
    unsigned version; /* of both ends; 0: none */
    struct end ends[2];
    unsigned direction;
    char user[NAME_LEN], job[NAME_LEN];
    int64_t wall_s;
    struct tm now[2]; /* UTC, local */
};

static bool is_now(const struct moment *moment, const struct query *query)
{
    if (moment == NULL)
        return true;
    const struct tm *now = &query->now[moment->local];
    unsigned minute = (unsigned)(now->tm_hour * 60 + now->tm_min);
    bool hours = moment->from < moment->to ? minute >= moment->from && minute < moment->to
                                           : minute >= moment->from || minute < moment->to;
    return hours && moment->weekdays[now->tm_wday] == '1' && moment->months[now->tm_mon] == '1';
}

static bool has_ip(const struct side *side, unsigned version, uint32_t ip)
{
    for (size_t i = 0; i < side->num_ips; i++) {
        const struct ip_item *item = &side->ips[i];
        if (version == (item->v6 ? 6u : 4u) && ip >= item->low && ip <= item->high)
            return true;
    }
    return side->num_ips == 0;
}

static bool has_port(const struct side *side, uint32_t port)
{
    for (size_t i = 0; i < side->num_ports; i++) {
        if (port >= side->ports[i].low && port <= side->ports[i].high)
            return true;
    }
    return side->num_ports == 0;
}

static bool has_name(const char *pattern, const char *name)
{
    if (pattern[0] == '\0')
        return true;
    if (name[0] == '\0')
        return false;
    while (*pattern != '\0' && *pattern != '*' && tolower(*pattern) == tolower(*name)) {
        pattern++;
        name++;
    }
    return *pattern == '*' || (*pattern == '\0' && *name == '\0');
}

static bool holds(const struct rule *rule, const struct query *query)
{
    for (int side = 0; side < 2; side++) {
        if (!has_ip(&rule->sides[side], query->version, query->ends[side].ip) ||
            !has_port(&rule->sides[side], query->ends[side].port))
            return false;
    }
    return (rule->direction & query->direction) != 0 && has_name(rule->user, query->user) &&
           has_name(rule->job, query->job) && is_now(rule->moment, query);
}

static const char *ask_oracle(const struct thrown *thrown, const struct query *query)
{
    const struct rule *best = NULL;
    for (size_t i = 0; i < thrown->shape.num_rules; i++) {
        const struct rule *rule = &thrown->rules[i];
        if (best != NULL && rule->priority < best->priority)
            continue;
        if (holds(rule, query) &&
            (best == NULL || rule->priority > best->priority || strcmp(rule->name, best->name) < 0))
            best = rule;
    }
    return best == NULL ? "none" : best->name;
}

/* ---- connections ---- */

/* Mostly near the edges of some rule's range. */
static struct end throw_end(struct thrown *thrown, const struct side *side)
{
    struct end end = {throw_ip(thrown), throw_number(thrown, thrown->shape.num_ports + 8)};
    if (side->num_ips > 0 && throw_number(thrown, 4) > 0) {
        const struct ip_item *item = &side->ips[throw_number(thrown, (uint32_t)side->num_ips)];
        end.ip = (throw_number(thrown, 2) == 0 ? item->low : item->high) + throw_number(thrown, 3) - 1;
    }
    if (side->num_ports > 0 && throw_number(thrown, 4) > 0) {
        const struct port_item *item = &side->ports[throw_number(thrown, (uint32_t)side->num_ports)];
        end.port = (throw_number(thrown, 2) == 0 ? item->low : item->high) + throw_number(thrown, 3) - 1;
    }
    end.port &= 0xffff;
    return end;
}

static void throw_query(struct thrown *thrown, struct query *query)
{
    const struct rule *rule = &thrown->rules[throw_number(thrown, (uint32_t)thrown->shape.num_rules)];
    uint32_t version = throw_number(thrown, 40);
    *query = (struct query){.version = version == 0       ? 0
                                       : version % 2 == 0 ? 4
                                                          : 6,
                            .direction = 1 + throw_number(thrown, 2)};
    query->wall_s = 1700000000 + (int64_t)throw_number(thrown, 2 * 365) * 86400 + throw_number(thrown, 86400);
    time_t when = (time_t)query->wall_s;
    gmtime_r(&when, &query->now[0]);
    localtime_r(&when, &query->now[1]);
    for (int side = 0; side < 2; side++)
        query->ends[side] = throw_end(thrown, &rule->sides[side]);
    for (int i = 0; i < 2; i++) {
        char *name = i == 0 ? query->user : query->job;
        const char *pattern = i == 0 ? rule->user : rule->job;
        uint32_t kind = throw_number(thrown, 6);
        if (kind < 3)
            snprintf(name, NAME_LEN, "%s", pattern);
        else if (kind < 5)
            throw_name(thrown, name);
        if (strchr(name, '*') != NULL)
            *strchr(name, '*') = (char)('a' + throw_number(thrown, 3));
        if (throw_number(thrown, 8) == 0 && strlen(name) + 2 < NAME_LEN)
            strcat(name, "x");
    }
}

static struct pel_endpoint make_endpoint(unsigned version, struct end end)
{
    struct pel_endpoint made = {.ip = {.version = (uint8_t)version}, .port = (uint16_t)end.port};
    uint8_t *tail = made.ip.bytes + (version == 6 ? 12 : 0);
    for (int i = 0; i < 4 && version != 0; i++)
        tail[i] = (uint8_t)(end.ip >> (24 - 8 * i));
    if (version == 6)
        memcpy(made.ip.bytes, "\x20\x01\x0d\xb8", 4);
    return made;
}

bool thrown_compare(struct thrown *thrown, const struct pel_parsed *parsed)
{
    struct query q;
    throw_query(thrown, &q);
    struct pel_policy_query query = {.local = make_endpoint(q.version, q.ends[0]),
                                     .remote = make_endpoint(q.version, q.ends[1]),
                                     .direction = (enum pel_direction)q.direction,
                                     .user = q.user,
                                     .job = q.job,
                                     .wall_s = q.wall_s,
                                     .cache = throw_number(thrown, 2) ? &thrown->cache : NULL};
    const struct pel_rule *rule = pel_policy_lookup(parsed->policy, &query);
    const char *found = rule == NULL ? "none" : rule->name, *expected = ask_oracle(thrown, &q);
    if (strcmp(found, expected) == 0)
        return true;
    pel_test_fail(__FILE__, __LINE__, "seed %llu: found %s, the oracle says %s (v%u %x:%u %x:%u, %s %s)",
                  (unsigned long long)thrown->seed, found, expected, q.version, q.ends[0].ip, q.ends[0].port,
                  q.ends[1].ip, q.ends[1].port, q.user, q.job);
    return false;
}
