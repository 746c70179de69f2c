/* SPDX-License-Identifier: Apache-2.0 */
/* Lookup, by hand and against an oracle that knows nothing of the compiled form. */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/testing.h"
#include "tests/harness/harness.h"

static struct pel_parsed parsed;

static struct pel_endpoint endpoint(const char *text)
{
    struct pel_endpoint result = {0};
    if (pel_endpoint_parse(text, &result) != PEL_OK)
        pel_test_fail(__FILE__, __LINE__, "\"%s\" is no endpoint", text);
    return result;
}

static const char *find(enum pel_direction direction, const char *local, const char *remote, const char *user,
                        const char *job)
{
    struct pel_policy_query query = {.local = endpoint(local),
                                     .remote = endpoint(remote),
                                     .direction = direction,
                                     .user = user,
                                     .job = job};
    const struct pel_rule *rule = pel_policy_lookup(parsed.policy, &query);
    return rule == NULL ? "none" : rule->name;
}

#define RULE(name, lines) "TTLSRule " name "\n{\n" lines "TTLSGroupActionRef G\n}\n"
#define OFF               "TTLSGroupAction G\n{\nTTLSEnabled Off\n}\n"

PEL_TEST(match, each_condition)
{
    pel_test_parse(
        &parsed,
        OFF RULE("In", "Direction Inbound\nLocalPortRange 443\n")
            RULE("Out", "Direction Outbound\nRemotePortRange 8000:8010\nRemoteAddr 10.0.0.0/8\n")
                RULE("User", "Direction Both\nUserid wEb*\nPriority 9\n")
                    RULE("Job", "Direction Both\nJobname Nginx\nPriority 8\n")
                        RULE("Six", "Direction Inbound\nLocalAddr 2001:db8::/32\nLocalPortRange 7 9\n"));
    PEL_REQUIRE(parsed.err == PEL_OK);
    PEL_EXPECT_STR(find(PEL_INBOUND, "1.2.3.4:443", "9.9.9.9:1", NULL, NULL), "In");
    PEL_EXPECT_STR(find(PEL_OUTBOUND, "1.2.3.4:443", "9.9.9.9:1", NULL, NULL), "none");
    PEL_EXPECT_STR(find(PEL_OUTBOUND, "1.2.3.4:1", "10.9.9.9:8010", NULL, NULL), "Out");
    PEL_EXPECT_STR(find(PEL_OUTBOUND, "1.2.3.4:1", "11.9.9.9:8010", NULL, NULL), "none");
    PEL_EXPECT_STR(find(PEL_OUTBOUND, "1.2.3.4:1", "10.9.9.9:8011", NULL, NULL), "none");
    PEL_EXPECT_STR(find(PEL_INBOUND, "1.2.3.4:443", "9.9.9.9:1", "WEBMASTER", "nginx"), "User");
    PEL_EXPECT_STR(find(PEL_INBOUND, "1.2.3.4:443", "9.9.9.9:1", "we", "NGINX"), "Job");
    PEL_EXPECT_STR(find(PEL_INBOUND, "1.2.3.4:443", "9.9.9.9:1", "", "nginx2"), "In");
    PEL_EXPECT_STR(find(PEL_INBOUND, "[2001:db8::1]:8", "[::1]:1", NULL, NULL), "Six");
    PEL_EXPECT_STR(find(PEL_INBOUND, "[2001:db9::1]:8", "[::1]:1", NULL, NULL), "none");
    PEL_EXPECT_STR(find(PEL_INBOUND, ":8", "[::1]:1", NULL, NULL), "none");
    pel_test_drop(&parsed);
}

PEL_TEST(match, versions_of_all)
{
    pel_test_parse(&parsed, OFF RULE("Four", "Direction Inbound\nLocalAddr All4\n")
                                RULE("Six", "Direction Inbound\nLocalAddr All6\n"));
    PEL_REQUIRE(parsed.err == PEL_OK);
    PEL_EXPECT_STR(find(PEL_INBOUND, "255.255.255.255:1", "1.1.1.1:1", NULL, NULL), "Four");
    PEL_EXPECT_STR(find(PEL_INBOUND, "[::]:1", "[::]:1", NULL, NULL), "Six");
    PEL_EXPECT_STR(find(PEL_INBOUND, ":1", ":1", NULL, NULL), "none");
    pel_test_drop(&parsed);
}

PEL_TEST(match, groups_and_sets)
{
    pel_test_parse(
        &parsed,
        OFF RULE(
            "R",
            "Direction Inbound\nRemoteAddrGroupRef A\nLocalPortGroupRef P\n") "IpAddrGroup A\n{\nIpAddrRef "
                                                                              "One\nIpAddrSet\n{\nRange "
                                                                              "10.0.0.5-10.0.0.9\n}"
                                                                              "\nIpAddrSetRef Net\n"
                                                                              "IpAddr\n{\nAddr "
                                                                              "::1\n}\n}\nIpAddr "
                                                                              "One\n{\nAddr "
                                                                              "192.0.2.1\n}\nIpAddrSet "
                                                                              "Net\n{\nPrefix fd00::/8\n}\n"
                                                                              "PortGroup "
                                                                              "P\n{\nPortRange\n{\nPort "
                                                                              "1-3\n}\nPortRangeRef "
                                                                              "Q\n}\nPortRange Q\n{\nPort "
                                                                              "9\n}\n" RULE(
                                                                                  "S",
                                                                                  "Direction "
                                                                                  "Outbound\nRemoteAddrSetRef"
                                                                                  " Net\nRemotePortRangeRef "
                                                                                  "Q\n")
                                                                                  RULE("T", "Direction "
                                                                                            "Outbound\nLocalA"
                                                                                            "ddrRef One\n"));
    PEL_REQUIRE(parsed.err == PEL_OK);
    PEL_EXPECT_STR(find(PEL_INBOUND, "1.1.1.1:3", "192.0.2.1:1", NULL, NULL), "R");
    PEL_EXPECT_STR(find(PEL_INBOUND, "1.1.1.1:4", "192.0.2.1:1", NULL, NULL), "none");
    PEL_EXPECT_STR(find(PEL_INBOUND, "1.1.1.1:9", "10.0.0.5:1", NULL, NULL), "R");
    PEL_EXPECT_STR(find(PEL_INBOUND, "1.1.1.1:9", "10.0.0.9:1", NULL, NULL), "R");
    PEL_EXPECT_STR(find(PEL_INBOUND, "1.1.1.1:9", "10.0.0.10:1", NULL, NULL), "none");
    PEL_EXPECT_STR(find(PEL_INBOUND, "[::1]:1", "[::1]:1", NULL, NULL), "R");
    PEL_EXPECT_STR(find(PEL_INBOUND, "[::1]:1", "[fdff::]:1", NULL, NULL), "R");
    PEL_EXPECT_STR(find(PEL_OUTBOUND, "[::1]:1", "[fdff::]:9", NULL, NULL), "S");
    PEL_EXPECT_STR(find(PEL_OUTBOUND, "192.0.2.1:1", "1.1.1.1:9", NULL, NULL), "T");
    pel_test_drop(&parsed);
}

/* The oracle: rules as they were thrown, each condition looked at as naively as can be. */

enum { NUM_RULES = 40, MOST_ITEMS = 4 };

struct ip_item {
    bool v6;
    uint32_t low, high; /* the last 32 bits: the rest is 2001:db8:: */
};

struct thrown_rule {
    char name[8];
    unsigned direction, priority;
    size_t num_local, num_remote, num_ports;
    struct ip_item local[MOST_ITEMS], remote[MOST_ITEMS];
    unsigned port_low[MOST_ITEMS], port_high[MOST_ITEMS];
    char user[8], job[8];
};

static uint64_t seed;

static uint32_t throw_number(uint32_t below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % below;
}

static char text[1 << 18];
static size_t text_len;

__attribute__((format(printf, 1, 2))) static void put(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    text_len += (size_t)vsnprintf(text + text_len, sizeof text - text_len, format, args);
    va_end(args);
}

static void put_ip(bool v6, uint32_t ip)
{
    if (v6)
        put("2001:db8::%x:%x", ip >> 16, ip & 0xffff);
    else
        put("%u.%u.%u.%u", ip >> 24, ip >> 16 & 255, ip >> 8 & 255, ip & 255);
}

static size_t throw_ips(const char *side, const char *rule, struct ip_item *items)
{
    size_t num = throw_number(3) == 0 ? 0 : 1 + throw_number(MOST_ITEMS);
    if (num == 0)
        return 0;
    put("IpAddrGroup %s%s\n{\n", side, rule);
    for (size_t i = 0; i < num; i++) {
        struct ip_item *item = &items[i];
        *item = (struct ip_item){.v6 = throw_number(2), .low = 0x0a000000 + throw_number(64)};
        item->high = item->low + throw_number(16);
        if (throw_number(3) == 0) {
            item->low &= ~7u;
            item->high = item->low | 7;
            put("IpAddrSet\n{\nPrefix ");
            put_ip(item->v6, item->low + throw_number(8));
            put("/%d\n}\n", item->v6 ? 125 : 29);
        } else {
            put("IpAddrSet\n{\nRange ");
            put_ip(item->v6, item->low);
            put("-");
            put_ip(item->v6, item->high);
            put("\n}\n");
        }
    }
    put("}\n");
    return num;
}

static void throw_name(char *name)
{
    static const char *const names[] = {"", "", "ab", "AB*", "abc", "b*", "*"};
    strcpy(name, names[throw_number(sizeof names / sizeof *names)]);
}

static void throw_rule(struct thrown_rule *rule, size_t number)
{
    static const char *const directions[] = {"", "Inbound", "Outbound", "Both"};
    *rule = (struct thrown_rule){.direction = 1 + throw_number(3), .priority = 1 + throw_number(3)};
    snprintf(rule->name, sizeof rule->name, "%c%zu", "ZAmk"[throw_number(4)], number);
    rule->num_local = throw_ips("L", rule->name, rule->local);
    rule->num_remote = throw_ips("R", rule->name, rule->remote);
    rule->num_ports = throw_number(MOST_ITEMS);
    throw_name(rule->user);
    throw_name(rule->job);
    for (size_t i = 0; i < rule->num_ports; i++) {
        rule->port_low[i] = 1 + throw_number(30);
        rule->port_high[i] = rule->port_low[i] + throw_number(6);
    }
    if (rule->num_ports > 1) {
        put("PortGroup P%s\n{\n", rule->name);
        for (size_t i = 0; i < rule->num_ports; i++)
            put("PortRange\n{\nPort %u-%u\n}\n", rule->port_low[i], rule->port_high[i]);
        put("}\n");
    }
    put("TTLSRule %s\n{\nDirection %s\nPriority %u\nTTLSGroupActionRef G\n", rule->name,
        directions[rule->direction], rule->priority);
    if (rule->num_ports > 1)
        put("LocalPortGroupRef P%s\n", rule->name);
    else if (rule->num_ports == 1)
        put("LocalPortRange %u %u\n", rule->port_low[0], rule->port_high[0]);
    put(rule->num_local > 0 ? "LocalAddrGroupRef L%s\n" : "LocalAddr All\n", rule->name);
    if (rule->num_remote > 0)
        put("RemoteAddrGroupRef R%s\n", rule->name);
    if (rule->user[0] != '\0')
        put("Userid %s\n", rule->user);
    if (rule->job[0] != '\0')
        put("Jobname %s\n", rule->job);
    put("}\n");
}

static bool oracle_ip(const struct ip_item *items, size_t num, bool v6, uint32_t ip)
{
    for (size_t i = 0; i < num; i++) {
        if (items[i].v6 == v6 && ip >= items[i].low && ip <= items[i].high)
            return true;
    }
    return num == 0;
}

static bool oracle_name(const char *pattern, const char *name)
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

static bool oracle_ports(const struct thrown_rule *rule, unsigned port)
{
    for (size_t i = 0; i < rule->num_ports; i++) {
        if (port >= rule->port_low[i] && port <= rule->port_high[i])
            return true;
    }
    return rule->num_ports == 0;
}

struct thrown_query {
    bool v6;
    uint32_t local, remote;
    unsigned port, direction;
    const char *user, *job;
};

static const char *oracle(const struct thrown_rule *rules, const struct thrown_query *q)
{
    const struct thrown_rule *best = NULL;
    for (size_t i = 0; i < NUM_RULES; i++) {
        const struct thrown_rule *r = &rules[i];
        if (!(r->direction & q->direction) || !oracle_ip(r->local, r->num_local, q->v6, q->local) ||
            !oracle_ip(r->remote, r->num_remote, q->v6, q->remote) || !oracle_ports(r, q->port) ||
            !oracle_name(r->user, q->user) || !oracle_name(r->job, q->job))
            continue;
        if (best == NULL || r->priority > best->priority ||
            (r->priority == best->priority && strcmp(r->name, best->name) < 0))
            best = r;
    }
    return best == NULL ? "none" : best->name;
}

static struct pel_endpoint make_endpoint(bool v6, uint32_t ip, unsigned port)
{
    struct pel_endpoint made = {.ip = {.version = v6 ? 6 : 4}, .port = (uint16_t)port};
    uint8_t *tail = made.ip.bytes + (v6 ? 12 : 0);
    for (int i = 0; i < 4; i++)
        tail[i] = (uint8_t)(ip >> (24 - 8 * i));
    if (v6)
        memcpy(made.ip.bytes, "\x20\x01\x0d\xb8", 4);
    return made;
}

static void compare_once(const struct thrown_rule *rules)
{
    static const char *const names[] = {"", "ab", "ABC", "abcd", "B", "bx", "c"};
    struct thrown_query q = {.v6 = throw_number(2),
                             .local = 0x0a000000 + throw_number(84),
                             .remote = 0x0a000000 + throw_number(84),
                             .port = throw_number(40),
                             .direction = 1 + throw_number(2),
                             .user = names[throw_number(7)],
                             .job = names[throw_number(7)]};
    struct pel_policy_query query = {.local = make_endpoint(q.v6, q.local, q.port),
                                     .remote = make_endpoint(q.v6, q.remote, throw_number(65536)),
                                     .direction = (enum pel_direction)q.direction,
                                     .user = q.user,
                                     .job = q.job};
    const struct pel_rule *rule = pel_policy_lookup(parsed.policy, &query);
    const char *found = rule == NULL ? "none" : rule->name;
    if (strcmp(found, oracle(rules, &q)) != 0)
        pel_test_fail(__FILE__, __LINE__, "found %s, the oracle says %s", found, oracle(rules, &q));
}

PEL_TEST(match, agrees_with_the_oracle)
{
    static struct thrown_rule rules[NUM_RULES];
    for (uint64_t round = 1; round <= 100 && !pel_test_has_failed(); round++) {
        seed = round;
        text_len = 0;
        put("TTLSGroupAction G\n{\nTTLSEnabled Off\n}\n");
        for (size_t i = 0; i < NUM_RULES; i++)
            throw_rule(&rules[i], i);
        pel_test_parse_len(&parsed, text, text_len);
        if (parsed.err != PEL_OK)
            pel_test_fail(__FILE__, __LINE__, "round %llu: %s", (unsigned long long)round, parsed.said);
        for (int i = 0; i < 2000 && parsed.err == PEL_OK && !pel_test_has_failed(); i++)
            compare_once(rules);
        pel_test_drop(&parsed);
    }
}
