/* SPDX-License-Identifier: Apache-2.0 */
/* Large and hostile texts. Sizes are such that work that grows with the square of the text would run into the
 * time limit of the test. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/testing.h"
#include "tests/harness/harness.h"

static struct pel_parsed parsed;

/* `part` over and over, to about `len` bytes, behind `head`. */
static void parse_repeated(const char *head, const char *part, size_t len)
{
    size_t head_len = strlen(head), part_len = strlen(part), num = len / part_len;
    char *text = malloc(head_len + num * part_len);
    PEL_REQUIRE(text != NULL);
    memcpy(text, head, head_len);
    for (size_t i = 0; i < num; i++)
        memcpy(text + head_len + i * part_len, part, part_len);
    pel_test_parse_len(&parsed, text, head_len + num * part_len);
    free(text);
}

#define MEGABYTE ((size_t)1 << 20)

PEL_TEST(limits, hostile_texts_end_soon)
{
    static const struct {
        const char *head, *part;
        enum pel_err err;
    } cases[] = {
        {"", "{\n", PEL_E_POLICY_SYNTAX},
        {"", "}\n", PEL_E_POLICY_SYNTAX},
        {"", "{}", PEL_E_POLICY_SYNTAX},
        {"", "x", PEL_E_POLICY_SYNTAX},
        {"", "x\n", PEL_E_POLICY_SYNTAX},
        {"", "x ", PEL_E_POLICY_SYNTAX},
        {"", "\n", PEL_OK},
        {"", "#\n", PEL_OK},
        {"", "# ", PEL_OK},
        {"", "IpAddr A\n{\nAddr 1.1.1.1\n}\n", PEL_E_POLICY_SYNTAX},
        {"", "TTLSEnvironmentAction\n{\nTTLSKeyringParms\n{\n", PEL_E_POLICY_SYNTAX},
        {"TTLSGroupAction G\n{\nTTLSEnabled Off\n", "Trace 1\n", PEL_E_POLICY_SYNTAX},
        {"TTLSCipherParms C\n{\n", "V3CipherSuites 352F05\n", PEL_E_POLICY_SYNTAX},
        {"TTLSCipherParms C\n{\nV3CipherSuites ", "352F05", PEL_E_POLICY_SYNTAX},
        {"TTLSCipherParms C\n{\nV3CipherSuites ", "\xff", PEL_E_POLICY_SYNTAX},
        {"PortGroup P\n{\n", "PortRangeRef Q\n", PEL_E_POLICY_SYNTAX},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        parse_repeated(cases[i].head, cases[i].part, 4 * MEGABYTE);
        if (parsed.err != cases[i].err)
            pel_test_fail(__FILE__, __LINE__, "%s: %s", cases[i].part, pel_err_name(parsed.err));
        pel_test_drop(&parsed);
    }
}

PEL_TEST(limits, a_text_cannot_ask_for_endless_memory)
{
    parse_repeated("", "IpAddr\n", 8 * MEGABYTE);
    PEL_EXPECT_HAS(parsed.said, "error: further errors not shown\n");
    parse_repeated("PortGroup P\n{\n", "PortRange\n{\nPort 1\n}\n", 24 * MEGABYTE);
    PEL_EXPECT_STR(parsed.said, "3999999:1: error: too many statements (at most 1000000)\n");
    pel_test_drop(&parsed);
}

PEL_TEST(limits, a_hundred_thousand_rules)
{
    enum { NUM = 100000 };
    size_t cap = NUM * 160, len = 0;
    char *text = malloc(cap);
    PEL_REQUIRE(text != NULL);
    len += (size_t)snprintf(text, cap, PEL_TEST_ACTIONS);
    for (unsigned i = 0; i < NUM; i++)
        len += (size_t)snprintf(
            text + len, cap - len,
            "TTLSRule Rule%u\n{\nLocalPortRange %u\nRemoteAddr 10.%u.%u.%u\nDirection Inbound\n"
            "TTLSGroupActionRef G\nTTLSEnvironmentActionRef E\n}\n",
            i, 1 + i % 1000, i >> 16, i >> 8 & 255, i & 255);
    pel_test_parse_len(&parsed, text, len);
    free(text);
    PEL_EXPECT_STR(parsed.said, "");
    PEL_REQUIRE(parsed.policy != NULL);
    PEL_EXPECT_EQ(pel_policy_num_rules(parsed.policy), NUM);
    pel_test_drop(&parsed);
}

PEL_TEST(limits, overlaps_of_many_rules_are_cut)
{
    enum { NUM = 20000 };
    size_t cap = NUM * 100, len = 0;
    char *text = malloc(cap);
    PEL_REQUIRE(text != NULL);
    len += (size_t)snprintf(text, cap, "TTLSGroupAction G\n{\nTTLSEnabled Off\n}\n");
    for (unsigned i = 0; i < NUM; i++)
        len += (size_t)snprintf(text + len, cap - len,
                                "TTLSRule R%u\n{\nJobname J%u\nDirection Inbound\n"
                                "TTLSGroupActionRef G\n}\n",
                                i, i);
    pel_test_parse_len(&parsed, text, len);
    free(text);
    PEL_EXPECT_HAS(parsed.said,
                   "warning: too many rules to compare every pair: warnings of overlaps are not complete\n");
    PEL_EXPECT_EQ(parsed.num_warnings, 1);
    pel_test_drop(&parsed);
}
