/* SPDX-License-Identifier: Apache-2.0 */
/* Rules that stay although the files do not have them any more. */
#include "policy/view/keep.h"

#include <stdio.h>
#include <string.h>

#include "policy/view/out.h"
#include "policy/testing.h"
#include "tests/harness/harness.h"

static struct pel_parsed parsed;

#define RULE(name, lines)                                                                                    \
    "TTLSRule " name "\n{\nDirection Inbound\nTTLSGroupActionRef G\nTTLSEnvironmentActionRef E\n" lines "}"  \
    "\n"
#define GROUP "TTLSGroupAction G\n{\nTTLSEnabled On\n}\n"
#define ENVIRONMENT(ring)                                                                                    \
    "TTLSEnvironmentAction E\n{\nHandshakeRole Server\nTTLSKeyringParms\n{\nKeyring " ring "\n}\n}\n"

static struct pel_policy *parse(const char *text)
{
    pel_test_parse(&parsed, text);
    PEL_EXPECT_STR(parsed.policy == NULL ? parsed.said : "", "");
    return parsed.policy;
}

/* `text` as a load without flushing takes it over `before`, whose reference it takes. */
static struct pel_policy *load_over(struct pel_policy *before, const char *text, size_t num_kept)
{
    struct pel_policy *now = parse(text), *both = NULL;
    struct pel_policy_kept kept = {0};
    struct pel_policy_source sources[8] = {{.file = "t.policy", .text = text, .text_len = strlen(text)}};
    PEL_EXPECT_ERR(pel_policy_keep(before, now, "kept", &kept), PEL_OK);
    PEL_EXPECT_EQ(kept.num_rules, num_kept);
    PEL_EXPECT(kept.num_sources < 8);
    memcpy(sources + 1, kept.sources, kept.num_sources * sizeof *sources);
    memset(&parsed, 0, sizeof parsed);
    if (pel_policy_parse(sources, 1 + kept.num_sources, NULL, pel_test_note, &parsed, &both, NULL) != PEL_OK)
        for (size_t i = 0; i < kept.num_sources; i++)
            pel_test_say("%s%.*s", parsed.said, (int)kept.sources[i].text_len, kept.sources[i].text);
    PEL_EXPECT(both != NULL);
    pel_policy_kept_free(&kept);
    pel_policy_unref(now);
    pel_policy_unref(before);
    return both;
}

static void note_change(void *arg, const struct pel_policy_change *change)
{
    pel_out_format(arg, "%d %s %s;", (int)change->kind, change->rule,
                   change->name != NULL ? change->name : "");
}

/* What differs in effect, as text. */
static void expect_changes(const struct pel_policy *before, const struct pel_policy *now,
                           const char *expected)
{
    struct pel_out out = {0};
    PEL_REQUIRE_OK(pel_policy_diff(before, now, note_change, &out, NULL));
    PEL_EXPECT_STR(out.text != NULL ? out.text : "", expected);
    pel_out_free(&out);
}

static size_t index_of(const struct pel_policy *policy, const char *name)
{
    size_t i = 0;
    while (i < pel_policy_num_rules(policy) && strcmp(pel_policy_rule(policy, i)->name, name) != 0)
        i++;
    PEL_EXPECT(i < pel_policy_num_rules(policy));
    return i;
}

PEL_TEST(keep, a_rule_stays_as_it_was)
{
    struct pel_policy *first = parse(RULE("A", "LocalPortRange 1\n") RULE("B", "LocalPortGroupRef P\n")
                                         GROUP ENVIRONMENT("old") "PortGroup P\n{\nPortRangeRef Q\n}\n"
                                                                  "PortRange Q\n{\nPort 7-9\n}\n");
    /* The file has A alone, and E is another: B goes on with its own. */
    struct pel_policy *second =
        load_over(pel_policy_ref(first), RULE("A", "LocalPortRange 1\n") GROUP ENVIRONMENT("new"), 1);
    PEL_EXPECT_EQ(pel_policy_num_rules(second), 2);
    expect_changes(first, second, "3 A Keyring;");
    PEL_EXPECT_STR(pel_policy_rule(second, index_of(second, "B"))->effective.keyring, "old");
    PEL_EXPECT_STR(pel_policy_rule(second, index_of(second, "B"))->environment_action, "E");
    PEL_EXPECT(pel_policy_is_kept(second, index_of(second, "B")));
    PEL_EXPECT(!pel_policy_is_kept(second, index_of(second, "A")));
    PEL_EXPECT(!pel_policy_is_kept(second, 99));
    /* And again, with A gone too: each as it was last. */
    struct pel_policy *third =
        load_over(pel_policy_ref(second), RULE("C", "LocalPortRange 3\n") GROUP ENVIRONMENT("newest"), 2);
    expect_changes(second, third, "0 C ;");
    PEL_EXPECT_STR(pel_policy_rule(third, index_of(third, "A"))->effective.keyring, "new");
    PEL_EXPECT_STR(pel_policy_rule(third, index_of(third, "B"))->effective.keyring, "old");
    /* What is in the file again is the file's. */
    struct pel_policy *fourth =
        load_over(pel_policy_ref(third), RULE("B", "LocalPortRange 4\n") GROUP ENVIRONMENT("newest"), 2);
    PEL_EXPECT_STR(pel_policy_rule(fourth, index_of(fourth, "B"))->effective.keyring, "newest");
    PEL_EXPECT(!pel_policy_is_kept(fourth, index_of(fourth, "B")));
    pel_policy_unref(first);
    pel_policy_unref(second);
    pel_policy_unref(third);
    pel_policy_unref(fourth);
}

/* An inline statement's name can be referred to from another rule; the rule around it may not stay. */
PEL_TEST(keep, what_is_inline_elsewhere_is_kept_too)
{
#define INLINE_A                                                                                             \
    "TTLSRule A\n{\nDirection Inbound\nLocalPortRange 1\nTTLSGroupActionRef G\nTTLSEnvironmentAction E\n{\n" \
    "HandshakeRole Server\nTTLSKeyringParms K\n{\nKeyring k\n}\n}\n}\n"
    const char *text =
        INLINE_A "TTLSRule B\n{\nDirection Inbound\nLocalPortRange 2\nTTLSGroupActionRef G\n"
                 "TTLSEnvironmentAction\n{\nHandshakeRole Server\nTTLSKeyringParmsRef K\n}\n}\n"
                 "TTLSRule D\n{\nDirection Inbound\nLocalPortRange 3\nTTLSGroupActionRef G\n"
                 "TTLSEnvironmentActionRef E\n}\n" GROUP;
    struct pel_policy *first = parse(text);
    struct pel_policy *second = load_over(pel_policy_ref(first), INLINE_A GROUP, 2);
    expect_changes(first, second, "");
    /* With the rule around it kept as well, it stands there. */
    struct pel_policy *third = load_over(second, RULE("X", "LocalPortRange 9\n") GROUP ENVIRONMENT("x"), 3);
    expect_changes(first, third, "0 X ;");
    pel_policy_unref(first);
    pel_policy_unref(third);
}

PEL_TEST(keep, nothing_to_keep)
{
    struct pel_policy *first = parse(RULE("A", "LocalPortRange 1\n") GROUP ENVIRONMENT("r"));
    struct pel_policy *second = load_over(first, RULE("A", "LocalPortRange 2\n") GROUP ENVIRONMENT("r"), 0);
    PEL_EXPECT_EQ(pel_policy_num_rules(second), 1);
    pel_policy_unref(second);
}

/* Names of a text that is apart do not meet those of others; rules' names do. */
PEL_TEST(keep, names_apart)
{
    static const char text[] = RULE("A", "LocalPortRange 1\n") GROUP ENVIRONMENT("r");
    static const char alone[] = RULE("B", "LocalPortRange 2\n");
    struct pel_policy_source sources[] = {
        {.file = "a", .text = text, .text_len = sizeof text - 1},
        {.file = "b", .text = alone, .text_len = sizeof alone - 1, .apart = true}};
    struct pel_policy *policy = NULL;
    memset(&parsed, 0, sizeof parsed);
    PEL_EXPECT_ERR(pel_policy_parse(sources, 2, NULL, pel_test_note, &parsed, &policy, NULL),
                   PEL_E_POLICY_SYNTAX);
    PEL_EXPECT_HAS(parsed.said, "TTLSGroupActionRef: no TTLSGroupAction is named \"G\"");
    sources[1].text = text;
    sources[1].text_len = sizeof text - 1;
    memset(&parsed, 0, sizeof parsed);
    PEL_EXPECT_ERR(pel_policy_parse(sources, 2, NULL, pel_test_note, &parsed, &policy, NULL),
                   PEL_E_POLICY_SYNTAX);
    PEL_EXPECT_STR(parsed.said, "1:1: error: TTLSRule \"A\" is defined already on a:1\n");
}
