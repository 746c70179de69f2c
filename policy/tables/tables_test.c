/* SPDX-License-Identifier: Apache-2.0 */
/* Policies that are meant to be hard on the tables: what they cost is bounded, and the answers are right. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/compiled.h"
#include "policy/tables/tables.h"
#include "policy/testing.h"
#include "tests/harness/harness.h"

enum { LINE_ROOM = 512 };

static struct pel_parsed parsed;
static char *text;
static size_t text_len, text_cap;

__attribute__((format(printf, 1, 2))) static void put(const char *format, ...)
{
    va_list args;
    if (text_cap - text_len < LINE_ROOM) {
        text = realloc(text, text_cap = text_cap * 2 + LINE_ROOM);
        PEL_REQUIRE(text != NULL);
    }
    va_start(args, format);
    text_len += (size_t)vsnprintf(text + text_len, LINE_ROOM, format, args);
    va_end(args);
}

static void begin(void)
{
    text_len = 0;
    put("TTLSGroupAction G\n{\nTTLSEnabled Off\n}\n");
}

/* A rule that is tried before those with higher numbers. */
__attribute__((format(printf, 2, 3))) static void put_rule(unsigned number, const char *format, ...)
{
    char conditions[256];
    va_list args;
    va_start(args, format);
    vsnprintf(conditions, sizeof conditions, format, args);
    va_end(args);
    put("TTLSRule R%u\n{\nPriority %u\n%sTTLSGroupActionRef G\n}\n", number, 1000000 - number, conditions);
}

/* Compiles what was put; tables may have so many bytes for each rule. */
static void parse(size_t most_bytes_a_rule)
{
    pel_test_parse_len(&parsed, text, text_len);
    PEL_REQUIRE(parsed.policy != NULL);
    struct pel_tables_size size = pel_tables_size(parsed.policy);
    size_t num = pel_policy_num_rules(parsed.policy);
    pel_test_say("%zu rules: %zu boxes, %zu refs, %zu bytes, depth %zu, largest leaf %zu", num,
                 size.num_boxes, size.num_refs, size.num_bytes, size.depth, size.largest_leaf);
    PEL_EXPECT(size.num_bytes <= most_bytes_a_rule * num);
    PEL_EXPECT(size.depth <= 40);
}

static void end(void)
{
    pel_test_drop(&parsed);
    free(text);
    text = NULL;
    text_cap = 0;
}

/* The first rule in match order whose conditions hold. */
static const struct pel_rule *look_at_each(const struct pel_policy_query *query)
{
    const struct pel_policy *policy = parsed.policy;
    for (size_t i = 0; i < policy->num_rules; i++) {
        if (pel_conditions_match(&policy->conditions[i], query))
            return &policy->rules[i];
    }
    return NULL;
}

static void compare(const char *local, const char *remote, const char *user)
{
    struct pel_policy_query query = {.direction = PEL_INBOUND, .user = user};
    PEL_REQUIRE(pel_endpoint_parse(local, &query.local) == PEL_OK);
    PEL_REQUIRE(pel_endpoint_parse(remote, &query.remote) == PEL_OK);
    if (pel_policy_lookup(parsed.policy, &query) != look_at_each(&query))
        pel_test_fail(__FILE__, __LINE__, "%s %s %s", local, remote, user != NULL ? user : "");
}

static void compare_many(void)
{
    char local[64], remote[64], user[32];
    for (unsigned i = 0; i < 3000; i++) {
        unsigned n = i * 2654435761u;
        snprintf(local, sizeof local, "10.0.%u.%u:%u", n >> 3 & 3, n >> 8 & 255, n >> 16);
        snprintf(remote, sizeof remote, "10.%u.%u.%u:%u", n >> 4 & 1, n >> 5 & 255, n >> 13 & 255,
                 n >> 15 & 65535);
        snprintf(user, sizeof user, "u%u", n >> 18);
        compare(local, remote, user);
    }
}

PEL_TEST(tables, rules_that_are_all_alike)
{
    begin();
    for (unsigned i = 0; i < 50000; i++)
        put_rule(i, "Direction Inbound\nLocalPortRange 443\nRemoteAddr 10.0.0.0/8\n");
    parse(100);
    compare("1.1.1.1:443", "10.1.1.1:1", NULL);
    compare("1.1.1.1:442", "10.1.1.1:1", NULL);
    compare("1.1.1.1:443", "11.1.1.1:1", NULL);
    end();
}

PEL_TEST(tables, ranges_that_all_overlap)
{
    begin();
    for (unsigned i = 0; i < 20000; i++)
        put_rule(i,
                 "Direction Inbound\nLocalPortRange %u-%u\nRemotePortRange %u-%u\nRemoteAddr "
                 "10.0.%u.%u-10.1.%u.%u\n",
                 1 + i, 30000 + i, 20001 - i, 60000 - i, i >> 8, i & 255, i >> 8, i & 255);
    parse(400);
    compare_many();
    end();
}

PEL_TEST(tables, ranges_one_in_the_other)
{
    begin();
    for (unsigned i = 0; i < 20000; i++)
        put_rule(i, "Direction Both\nLocalPortRange %u-%u\nLocalAddr 10.0.%u.%u-10.0.255.255\n", 20000 - i,
                 30000 + i, (20000 - i) >> 8 & 3, i & 255);
    parse(400);
    compare_many();
    end();
}

PEL_TEST(tables, every_rule_uses_one_large_group)
{
    begin();
    put("IpAddrGroup Large\n{\n");
    for (unsigned i = 0; i < 20000; i++)
        put("IpAddr\n{\nAddr 10.%u.%u.%u\n}\n", i & 1, i >> 8, i & 254);
    put("}\nPortGroup Ports\n{\n");
    for (unsigned i = 0; i < 5000; i++)
        put("PortRange\n{\nPort %u\n}\n", 1 + i * 13);
    put("}\n");
    for (unsigned i = 0; i < 20000; i++)
        put_rule(i, "Direction Inbound\nRemoteAddrGroupRef Large\nLocalPortGroupRef Ports\nUserid u%u\n", i);
    parse(400);
    compare_many();
    compare("10.0.0.1:14", "10.0.0.2:5", "u7");
    compare("10.0.0.1:14", "10.0.0.2:5", "U19999");
    compare("10.0.0.1:15", "10.0.0.2:5", "u7");
    compare("10.0.0.1:14", "10.0.0.1:5", "u7");
    compare("10.0.0.1:14", "10.0.0.2:5", "u20000");
    end();
}

PEL_TEST(tables, products_of_groups)
{
    begin();
    for (unsigned g = 0; g < 2; g++) {
        put("IpAddrGroup %c\n{\n", "AB"[g]);
        for (unsigned i = 0; i < 600; i++)
            put("IpAddr\n{\nAddr 10.0.%u.%u\n}\n", i >> 7, i * 2 & 255);
        put("}\n");
    }
    for (unsigned i = 0; i < 1000; i++)
        put_rule(i, "Direction Inbound\nRemoteAddrGroupRef A\nLocalAddrGroupRef B\nLocalPortRange %u-%u\n",
                 1 + i * 60, i * 60 + 30);
    parse(8000);
    compare_many();
    for (unsigned i = 0; i < 60000; i += 17) {
        char local[64];
        snprintf(local, sizeof local, "10.0.%u.%u:%u", i & 3, i >> 3 & 255, i);
        compare(local, "10.0.1.4:5", NULL);
    }
    end();
}

/* Names of up to 32 bytes and beyond, with and without a star, in any case. */
PEL_TEST(tables, names)
{
    static const char *const names[] = {"a",
                                        "A",
                                        "ab",
                                        "abc",
                                        "b",
                                        "B1",
                                        "z",
                                        "12345678",
                                        "123456789",
                                        "1234567",
                                        "\xc3\xa4",
                                        "\xff",
                                        "abcdefghijklmnopqrstuvwxyz-12345",
                                        "ABCDEFGHIJKLMNOPQRSTUVWXYZ-123456",
                                        "abcdefghijklmnopqrstuvwxyz-123456-and-more",
                                        "abcdefghijklmnopqrstuvwxyz-1234",
                                        "{",
                                        "~",
                                        "",
                                        NULL};
    begin();
    put_rule(1, "Direction Inbound\nUserid AB\n");
    put_rule(2, "Direction Inbound\nUserid abcdefghijklmnopqrstuvwxyz-12345\n");
    put_rule(3, "Direction Inbound\nUserid 12345678\n");
    put_rule(4, "Direction Inbound\nUserid abcdefghijklmnopqrstuvwxyz-1234*\n");
    put_rule(5, "Direction Inbound\nUserid 12345678*\n");
    put_rule(6, "Direction Inbound\nUserid a*\n");
    put_rule(7, "Direction Inbound\nUserid \xc3\xa4\n");
    put_rule(8, "Direction Inbound\nJobname *\nLocalPortRange 7\n");
    put_rule(9, "Direction Inbound\nUserid *\n");
    parse(1000);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        compare("1.1.1.1:7", "1.1.1.1:7", names[i]);
    end();
}

/* The edges of both families, where numbers could wrap. */
PEL_TEST(tables, edges_of_addresses)
{
    static const char *const ips[] = {"0.0.0.0:1",
                                      "0.0.0.1:1",
                                      "127.255.255.255:1",
                                      "128.0.0.0:1",
                                      "255.255.255.254:1",
                                      "255.255.255.255:1",
                                      "[::]:1",
                                      "[::1]:1",
                                      "[7fff:ffff:ffff:ffff::]:1",
                                      "[7fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:1",
                                      "[8000::]:1",
                                      "[ffff:ffff:ffff:fffe:ffff:ffff:ffff:ffff]:1",
                                      "[ffff:ffff:ffff:ffff::]:1",
                                      "[ffff:ffff:ffff:ffff::1]:1",
                                      "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:1",
                                      ":1"};
    begin();
    put_rule(1, "Direction Inbound\nRemoteAddr 255.255.255.255\n");
    put_rule(2, "Direction Inbound\nRemoteAddr 0.0.0.0\n");
    put_rule(3, "Direction Inbound\nRemoteAddr ::\n");
    put_rule(4, "Direction Inbound\nRemoteAddr ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff\n");
    put_rule(5, "Direction Inbound\nRemoteAddr ffff:ffff:ffff:ffff::/64\n");
    put_rule(6, "Direction Inbound\nRemoteAddr 128.0.0.0-255.255.255.254\n");
    put_rule(7, "Direction Inbound\nRemoteAddr 8000::/1\n");
    put_rule(8, "Direction Inbound\nRemoteAddr All4\n");
    put_rule(9, "Direction Inbound\nLocalAddr All6\n");
    parse(1000);
    for (size_t i = 0; i < sizeof ips / sizeof *ips; i++) {
        for (size_t j = 0; j < sizeof ips / sizeof *ips; j++)
            compare(ips[i], ips[j], NULL);
    }
    end();
}
