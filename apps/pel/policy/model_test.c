/* SPDX-License-Identifier: Apache-2.0 */
/* Models: what is wrong is said with its place; lists of addresses against a naive oracle; names. */
#include "apps/pel/policy/model.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#include "apps/pel/policy/model_addresses.h"
#include "apps/pel/policy/model_build.h"
#include "apps/pel/policy/model_names.h"
#include "tests/harness/harness.h"

#define GROUPS  "address_groups:\n  - { name: lan, addresses: [ 10.0.0.0/8 ] }\n"
#define TRAFFIC "traffic_descriptors:\n  - { name: web, local_ports: [ 443 ], direction: inbound }\n"
#define LEVELS  "security_levels:\n  - { name: own, versions: [ 1.2 ] }\n"
#define MAPS    "requirement_maps:\n  - { name: m, map: [ { traffic: web, security: own } ] }\n"
#define STACK   "stacks:\n  - name: s\n    keyring: k\n    connectivity_rules:\n"
#define RULE    "      - { name: r, remote: lan, requirement_map: m }\n"
#define USES    STACK RULE
#define PAIR    "traffic: web, security: own"

/* The messages of one reading, "LINE:COLUMN: text" each. */
static void messages_of(const struct yaml_report *report, char *text, size_t cap)
{
    size_t i;
    json_t *entry;
    text[0] = '\0';
    json_array_foreach(report->diagnostics, i, entry)
    {
        size_t used = strlen(text);
        snprintf(text + used, cap - used, "%lld:%lld: %s\n",
                 json_integer_value(json_object_get(entry, "line")),
                 json_integer_value(json_object_get(entry, "column")),
                 json_string_value(json_object_get(entry, "message")));
    }
}

/* Reads and builds; `said` gets the messages. Returns the policy's text, or NULL. Free it. */
static char *build_text(const char *model, size_t len, char *said, size_t cap)
{
    struct yaml_report report = {.file = "m.yaml", .diagnostics = json_array()};
    struct model_policy policy = {0};
    struct model_file file;
    char *text = NULL;
    if (model_read_text(&file, model, len, &report) && model_build(&file, 0, "m.yaml", &report, &policy)) {
        text = policy.text;
        policy.text = NULL;
    }
    messages_of(&report, said, cap);
    model_policy_free(&policy);
    model_free(&file);
    json_decref(report.diagnostics);
    return text;
}

/* What is wrong, and a part of what must be said. */
static const struct {
    const char *model, *said;
} wrong[] = {
    {"", "1:1: the file is empty"},
    {"[]", "1:1: keys with their values are expected here: KEY: VALUE"},
    {"stacks: { a: b }\n", "1:9: a list is expected here: [ ONE, TWO ], or lines that begin with \"- \""},
    {"stacks:\n  - name: [ a ]\n", "2:11: one word or text is expected here, no list and no keys"},
    {"stacks: []\n", "1:9: stacks: write at least one"},
    {"stacks: []\n---\na: b\n", "there is more behind the end of its document"},
    {"stacks: \x01", "1:9: control characters are not allowed"},
    {"stacks: [ { name: \"\xff\" } ]", "1:20: invalid leading UTF-8 octet"},
    {"stacks: [\n", "did not find expected node content"},
    {"stacks: &a []\n", "stacks: write at least one"},
    {"stacks:\n  - { name: &a s, keyring: *a }\n", "2:19: YAML alias unsupported"},
    {"stocks: []\n", "Unexpected key: stocks"},
    {"stacks:\n  - { name: s, name: t }\n", "Mapping field already seen: name"},
    {GROUPS TRAFFIC LEVELS MAPS STACK "      - { name: r, remote: lam, requirement_map: m }\n",
     "13:28: there is no address group \"lam\"; did you mean \"lan\"?"},
    {GROUPS TRAFFIC LEVELS MAPS STACK "      - { name: r, remote: lan, requirement_map: map }\n",
     "there is no requirement map \"map\""},
    {GROUPS TRAFFIC LEVELS
     "requirement_maps:\n  - { name: m, map: [ { traffic: wep, security: Golt } ] }\n" USES,
     "8:34: there is no traffic descriptor \"wep\"; did you mean \"web\"?\n8:49: there is no security level "
     "\"Golt\"; did you mean \"Gold\"?"},
    {GROUPS TRAFFIC LEVELS "requirement_maps:\n  - { name: m, map: [ { traffic: web } ] }\n" USES,
     "security is missing: name a security level"},
    {GROUPS TRAFFIC LEVELS "requirement_maps:\n  - { name: m }\n" USES, "map: write at least one pair"},
    {GROUPS "traffic_descriptors:\n  - { name: web, direction: in }\n" LEVELS MAPS USES,
     "4:29: direction: \"in\" is not known; write one of inbound, outbound, both; did you mean \"inbound\"?"},
    {GROUPS "traffic_descriptors:\n  - { name: web, direction: both }\n" LEVELS MAPS USES,
     "role is missing: it cannot be told from direction: both"},
    {GROUPS "traffic_descriptors:\n  - { name: web }\n" LEVELS MAPS USES, "direction is missing"},
    {GROUPS "traffic_descriptors:\n  - { name: web, direction: both, role: boss }\n" LEVELS MAPS USES,
     "role: \"boss\" is not known; write one of client, server, server-with-client-auth"},
    {GROUPS "traffic_descriptors:\n  - { name: web, app: postgres, side: server }\n" LEVELS MAPS USES,
     "app: \"postgres\" is not known (pel policy new --list); did you mean \"postgresql\"?"},
    {GROUPS "traffic_descriptors:\n  - { name: web, app: https }\n" LEVELS MAPS USES, "side is missing"},
    {GROUPS "traffic_descriptors:\n  - { name: web, app: cssmtp, side: server }\n" LEVELS MAPS USES,
     "side: cssmtp is a client only"},
    {GROUPS "traffic_descriptors:\n  - { name: web, direction: inbound, side: server }\n" LEVELS MAPS USES,
     "side goes with app"},
    {GROUPS
     "traffic_descriptors:\n  - { name: web, direction: inbound, local_ports: [ 0 ] }\n" LEVELS MAPS USES,
     "local_ports: \"0\" is no port from 1 to 65535 and no range LOW-HIGH"},
    {GROUPS
     "traffic_descriptors:\n  - { name: web, direction: inbound, remote_ports: [ 9-8 ] }\n" LEVELS MAPS USES,
     "remote_ports: \"9-8\" is no port"},
    {GROUPS "traffic_descriptors:\n  - { name: web, direction: inbound, job: \"a b\" }\n" LEVELS MAPS USES,
     "job: one word without #, braces and quotes"},
    {GROUPS "traffic_descriptors:\n  - { name: web, direction: inbound, user: \"a#\" }\n" LEVELS MAPS USES,
     "user: one word"},
    {GROUPS
     "traffic_descriptors:\n  - { name: web, direction: inbound, secondary_map: si }\n" LEVELS MAPS USES,
     "secondary_map: \"si\" is not true or false"},
    {GROUPS
     "traffic_descriptors:\n  - { name: web, direction: inbound, handshake_timeout_s: -1 }\n" LEVELS MAPS
         USES,
     "a number is expected here, not '-1'"},
    {GROUPS TRAFFIC "security_levels:\n  - { name: gold }\n" MAPS USES,
     "security level \"gold\" is predefined; give yours another name"},
    {GROUPS TRAFFIC "security_levels:\n  - { name: own, versions: [ 1.4 ] }\n" MAPS USES,
     "versions: \"1.4\" is not known"},
    {GROUPS TRAFFIC "security_levels:\n  - { name: own, versions: [ 1.2, 1.2, 1.2, 1.2, 1.3 ] }\n" MAPS USES,
     "versions: there are four"},
    {GROUPS TRAFFIC "security_levels:\n  - { name: own, ciphers: [ \"A B\" ] }\n" MAPS USES,
     "ciphers: one name or code each"},
    {GROUPS TRAFFIC "security_levels:\n  - { name: own, client_authentication: Some }\n" MAPS USES,
     "client_authentication: \"Some\" is not known"},
    {GROUPS TRAFFIC "security_levels:\n  - { name: own, clear: maybe }\n" MAPS USES,
     "clear: \"maybe\" is not true or false"},
    {GROUPS TRAFFIC "security_levels:\n  - { name: own, clear: true, ciphers: [ A ] }\n" MAPS USES,
     "clear: a level without TLS has nothing but group"},
    {GROUPS TRAFFIC "security_levels:\n  - { name: own, advanced: [ \"A B\\n}\" ] }\n" MAPS USES,
     "6:30: advanced: one line of a policy"},
    {GROUPS TRAFFIC "security_levels:\n  - { name: own, gsk: [ \"A {\" ] }\n" MAPS USES, "gsk: one line"},
    {GROUPS TRAFFIC "security_levels:\n  - { name: own }\n  - { name: own }\n" MAPS USES,
     "7:5: security level \"own\" is written twice, first on line 6"},
    {GROUPS TRAFFIC LEVELS "  - { versions: [ 1.3 ] }\n" MAPS USES, "security level: name is missing"},
    {GROUPS TRAFFIC LEVELS "  - { name: \"a#b\" }\n" MAPS USES, "security level: a name has 1 to 64 bytes"},
    {"address_groups:\n  - { name: lan, addresses: [ 10.0.0/8, 6793 ] }\n" TRAFFIC LEVELS MAPS USES,
     "2:31: addresses: \"10.0.0/8\" is no address, ADDRESS/PREFIX or ADDRESS-ADDRESS\n2:41: addresses: "
     "\"6793\""},
    {"address_groups:\n  - { name: lan }\n" TRAFFIC LEVELS MAPS USES, "addresses: write at least one"},
    {GROUPS TRAFFIC LEVELS MAPS "time_conditions:\n  - { name: t, days: [ Fry ] }\n" USES,
     "days: \"Fry\" is no day, such as Monday or Mon"},
    {GROUPS TRAFFIC LEVELS MAPS "time_conditions:\n  - { name: t }\n" USES, "write days, hours or lines"},
    {GROUPS TRAFFIC LEVELS MAPS STACK "      - { name: r, " PAIR ", time: t }\n",
     "there is no time condition \"t\""},
    {GROUPS TRAFFIC LEVELS MAPS STACK "      - { name: r, requirement_map: m, " PAIR " }\n",
     "requirement_map, or traffic and security: not both"},
    {GROUPS TRAFFIC LEVELS MAPS STACK "      - { name: r }\n",
     "requirement_map is missing; or write traffic and security"},
    {GROUPS TRAFFIC LEVELS MAPS STACK "      - { " PAIR " }\n", "connectivity rule: name is missing"},
    {GROUPS TRAFFIC LEVELS MAPS USES RULE, "connectivity rule \"r\" is written twice"},
    {GROUPS TRAFFIC LEVELS MAPS USES "      - { name: q, priority: 5, " PAIR " }\n",
     "priority: write it for every connectivity rule of the stack, or for none"},
    {GROUPS TRAFFIC LEVELS "requirement_maps:\n  - { name: m, map: [ { " PAIR " }, { " PAIR " } ] }\n" STACK
                           "      - { name: r, remote: lan, requirement_map: m, priority: 1 }\n",
     "connectivity rule \"r\": priority 1 is too low for the 2 pairs of its map"},
    {GROUPS TRAFFIC LEVELS MAPS STACK "      - { name: r, keyring: \"a b\", " PAIR " }\n",
     "keyring: one word"},
    {GROUPS TRAFFIC LEVELS MAPS STACK "      - { name: r, certificate_label: \"a}\", " PAIR " }\n",
     "certificate_label: without #, braces and quotes"},
    {GROUPS TRAFFIC LEVELS MAPS "stacks:\n  - name: s\n    connectivity_rules:\n" RULE,
     "12:9: connectivity rule \"r\" has no keyring: write keyring for it, or for the stack"},
    {GROUPS TRAFFIC LEVELS MAPS "stacks:\n  - { name: s }\n", "connectivity_rules: write at least one"},
    {GROUPS TRAFFIC LEVELS MAPS USES "  - name: s\n    keyring: k\n    connectivity_rules:\n" RULE,
     "stack \"s\" is written twice"},
};

PEL_TEST(model, errors_say_where_and_what)
{
    char said[4000];
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char *text = build_text(wrong[i].model, strlen(wrong[i].model), said, sizeof said);
        PEL_EXPECT(text == NULL);
        PEL_EXPECT_HAS(said, wrong[i].said);
        free(text);
    }
}

PEL_TEST(model, what_is_not_used_is_a_warning)
{
    static const char model[] =
        GROUPS TRAFFIC LEVELS "  - { name: spare }\n" MAPS STACK "      - { name: r, " PAIR " }\n";
    char said[4000];
    char *text = build_text(model, strlen(model), said, sizeof said);
    PEL_EXPECT(text != NULL);
    PEL_EXPECT_STR(said, "2:5: address group \"lan\" is not used\n7:5: security level \"spare\" is not used\n"
                         "9:5: requirement map \"m\" is not used\n");
    free(text);
}

PEL_TEST(model, a_hundred_messages_and_no_more)
{
    char *model = malloc(100000), *said = malloc(100000);
    PEL_REQUIRE(model != NULL && said != NULL);
    strcpy(model, "address_groups:\n");
    for (int i = 0; i < 1000; i++)
        strcat(model, "  - { name: a, addresses: [ x ] }\n");
    strcat(model, "stacks: []\n");
    PEL_EXPECT(build_text(model, strlen(model), said, 100000) == NULL);
    size_t num = 0;
    for (const char *c = said; *c != '\0'; c++)
        num += *c == '\n';
    PEL_EXPECT_EQ(num, 101);
    PEL_EXPECT_HAS(said, "that is the hundredth of its kind: no more are shown\n");
    free(model);
    free(said);
}

/* Rules from maps of maps grow with their product: there is an end. */
PEL_TEST(model, too_many_rules)
{
    char *model = malloc(400000), said[4000];
    PEL_REQUIRE(model != NULL);
    char *end = stpcpy(model, TRAFFIC "requirement_maps:\n  - name: m\n    map:\n");
    for (int i = 0; i < 1000; i++)
        end = stpcpy(end, "      - { traffic: web, security: Gold }\n");
    end = stpcpy(end, STACK);
    for (int i = 0; i < 201; i++)
        end += sprintf(end, "      - { name: r%d, requirement_map: m }\n", i);
    PEL_EXPECT(build_text(model, strlen(model), said, sizeof said) == NULL);
    PEL_EXPECT_HAS(said, "stack \"s\" comes to 201000 rules; at most 200000");
    free(model);
}

PEL_TEST(model, too_much_text)
{
    enum { CAP = 4000000 };
    char *model = malloc(CAP), said[4000];
    PEL_REQUIRE(model != NULL);
    char *end = stpcpy(model, TRAFFIC "security_levels:\n  - name: own\n    advanced:\n");
    for (int i = 0; i < 200; i++)
        end += sprintf(end, "      - \"CertificateLabel %03d %03500d\"\n", i, i);
    end = stpcpy(end, STACK);
    for (int i = 0; i < 1000; i++)
        end += sprintf(end, "      - { name: r%d, remote: 10.0.0.1, traffic: web, security: own }\n", i);
    PEL_EXPECT(build_text(model, strlen(model), said, sizeof said) == NULL);
    PEL_EXPECT_HAS(said, "stack \"s\": its rules come to more text than a policy may have");
    free(model);
}

PEL_TEST(model, statements_are_shared_and_names_fit)
{
    static const char model[] = GROUPS TRAFFIC LEVELS
        "  - { name: a level whose name is longer than a statement may have, advanced: [ ServerScsv On ] }\n"
        "  - { name: a level whose name is longer than a statement may hold, advanced: [ ServerScsv On ] "
        "}\n" STACK "      - { name: one, remote: lan, " PAIR " }\n"
        "      - { name: two, remote: lan, " PAIR " }\n"
        "      - { name: three, remote: lan, " PAIR ", keyring: other }\n"
        "      - { name: four, traffic: web, security: a level whose name is longer than a statement may "
        "have }\n"
        "      - { name: five, traffic: web, security: a level whose name is longer than a statement may "
        "hold }\n"
        "      - { name: six, traffic: web, security: Clear }\n";
    char said[4000];
    char *text = build_text(model, strlen(model), said, sizeof said);
    PEL_REQUIRE(text != NULL);
    PEL_EXPECT_STR(said, "");
    size_t num = 0, num_groups = 0;
    for (const char *c = text; (c = strstr(c, "\nTTLSEnvironmentAction ")) != NULL; c++) {
        num++;
        PEL_EXPECT(strcspn(c + 23, "\n") <= 32);
    }
    for (const char *c = text; (c = strstr(c, "\nIpAddrGroup ")) != NULL; c++)
        num_groups++;
    PEL_EXPECT_EQ(num, 4); /* one and two, three, four, five */
    PEL_EXPECT_EQ(num_groups, 1);
    PEL_EXPECT_HAS(text, "TTLSEnvironmentActionRef own~Server\n");
    PEL_EXPECT_HAS(text, "TTLSEnvironmentActionRef own~Server~2\n");
    PEL_EXPECT_HAS(text, "TTLSGroupActionRef clear\n");
    PEL_EXPECT_HAS(text, "  Priority 60\n");
    free(text);
}

/* ---- names ---- */

PEL_TEST(model, names_are_never_taken_twice)
{
    struct model_names names = {0};
    char name[STATEMENT_NAME_MAX + 1], stem[200];
    char(*all)[STATEMENT_NAME_MAX + 1] = calloc(3000, sizeof *all);
    PEL_REQUIRE(all != NULL);
    for (int i = 0; i < 3000; i++) {
        snprintf(stem, sizeof stem, "a stem that is cut, and again %s%d", i % 3 == 0 ? "" : "longer ",
                 i % 100);
        PEL_REQUIRE(model_names_new(&names, "TTLSRule", stem, name));
        PEL_EXPECT(strlen(name) <= STATEMENT_NAME_MAX && strchr(name, ' ') == NULL);
        memcpy(all[i], name, sizeof name);
    }
    qsort(all, 3000, sizeof *all, (int (*)(const void *, const void *))(void (*)(void))strcmp);
    for (int i = 1; i < 3000; i++)
        PEL_EXPECT(strcmp(all[i - 1], all[i]) != 0);
    PEL_REQUIRE(model_names_new(&names, "IpAddrGroup", "x", name));
    PEL_EXPECT_STR(name, "x"); /* another kind of statement */
    free(all);
    model_names_free(&names);
}

/* ---- addresses and ports ---- */

/* Addresses below 256, bit by bit. */
static void mark(const struct address_range *range, unsigned char *bits)
{
    for (unsigned i = range->low[3]; i <= range->high[3]; i++)
        bits[i] = 1;
}

PEL_TEST(model, joined_addresses_are_the_same_addresses)
{
    unsigned seed = 20261129;
    pel_test_say("seed %u", seed);
    srand(seed);
    for (int round = 0; round < 2000; round++) {
        struct address_range ranges[12];
        unsigned char before[256] = {0}, after[256] = {0};
        size_t num = 1 + (size_t)rand() % 12;
        for (size_t i = 0; i < num; i++) {
            char text[ADDRESS_TEXT_MAX];
            unsigned low = (unsigned)rand() % 256, high = low + (unsigned)rand() % (256 - low);
            int len = 24 + rand() % 9;
            if (rand() % 2 == 0)
                snprintf(text, sizeof text, "10.0.0.%u/%d", low, len);
            else
                snprintf(text, sizeof text, "10.0.0.%u-10.0.0.%u", low, high);
            PEL_REQUIRE(address_parse(text, &ranges[i]));
            mark(&ranges[i], before);
        }
        size_t kept = addresses_join(ranges, num);
        for (size_t i = 0; i < kept; i++) {
            char text[ADDRESS_TEXT_MAX];
            struct address_range again;
            address_print(&ranges[i], text);
            PEL_REQUIRE(address_parse(text, &again));
            PEL_EXPECT(memcmp(&again, &ranges[i], sizeof again) == 0);
            mark(&ranges[i], after);
            PEL_EXPECT(i == 0 || ranges[i].low[3] > ranges[i - 1].high[3] + 1);
        }
        PEL_EXPECT(memcmp(before, after, sizeof before) == 0);
    }
}

PEL_TEST(model, ends_of_the_address_space)
{
    struct address_range ranges[3];
    char text[ADDRESS_TEXT_MAX];
    PEL_REQUIRE(address_parse("255.255.255.255", &ranges[0]) && address_parse("::", &ranges[1]) &&
                address_parse("0.0.0.0/0", &ranges[2]));
    PEL_EXPECT_EQ(addresses_join(ranges, 3), 2);
    address_print(&ranges[0], text);
    PEL_EXPECT_STR(text, "0.0.0.0/0");
    PEL_REQUIRE(address_parse("2001:db8::ffff", &ranges[0]) && address_parse("2001:db8::1:0", &ranges[1]));
    PEL_EXPECT_EQ(addresses_join(ranges, 2), 1);
    address_print(&ranges[0], text);
    PEL_EXPECT_STR(text, "2001:db8::ffff-2001:db8::1:0");
    static const char *const none[] = {"",         "1.2.3",       "1.2.3.4/33", "1.2.3.4/", "1.2.3.4-1.2.3.3",
                                       "::/129",   "1.2.3.4-::1", "1.2.3.4-",   "/8",       "1.2.3.4/8x",
                                       "01.2.3.4", "All",         "1.2.3.4 /8"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        PEL_EXPECT(!address_parse(none[i], &ranges[0]));
}

PEL_TEST(model, ports)
{
    struct port_range ports[4];
    PEL_REQUIRE(port_parse("65535", &ports[0]) && port_parse("1-3", &ports[1]) &&
                port_parse("4", &ports[2]) && port_parse("2", &ports[3]));
    PEL_EXPECT_EQ(ports_join(ports, 4), 2);
    PEL_EXPECT(ports[0].low == 1 && ports[0].high == 4 && ports[1].low == 65535);
    static const char *const none[] = {"",     "0", "65536", "1-", "-1", "2-1", "1 2", "99999999999999999999",
                                       "1-2-3"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        PEL_EXPECT(!port_parse(none[i], &ports[0]));
}
