/* SPDX-License-Identifier: Apache-2.0 */
/* Lookup, by hand. */
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
