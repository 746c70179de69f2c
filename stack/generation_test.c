/* SPDX-License-Identifier: Apache-2.0 */
/* Generations: what rules share, and who frees them. */
#include "stack/generation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/harness/harness.h"
#include "tls/keyring.h"

#define GROUP "TTLSGroupAction G\n{\nTTLSEnabled On\n}\n"
#define ENV(name, ring, more)                                                                                \
    "TTLSEnvironmentAction " name "\n{\nHandshakeRole Client\n" more "TTLSKeyringParms\n{\nKeyring " ring    \
    "\n}\n}\n"
#define RULE(name, env)                                                                                      \
    "TTLSRule " name "\n{\nDirection Outbound\nRemotePortRange 1\nTTLSGroupActionRef G\n"                    \
    "TTLSEnvironmentActionRef " env "\n}\n"

static char problems[1024];

static void note(void *arg, const struct pel_rule *rule, const struct pel_error *problem)
{
    (void)arg;
    snprintf(problems + strlen(problems), sizeof problems - strlen(problems), "%s %s\n", rule->name,
             pel_err_name(problem->code));
}

static struct pel_generation *build(const char *text)
{
    const struct pel_policy_source source = {.file = "t", .text = text, .text_len = strlen(text)};
    const struct pel_generation_config config = {.keyring_dir = "/nowhere", .owner = "me", .now_s = 1};
    struct pel_policy *policy = NULL;
    struct pel_generation *generation = NULL;
    problems[0] = '\0';
    PEL_EXPECT_ERR(pel_policy_parse(&source, 1, NULL, NULL, NULL, &policy, NULL), PEL_OK);
    if (policy != NULL)
        PEL_EXPECT_ERR(pel_generation_build(policy, &config, note, NULL, &generation), PEL_OK);
    return generation;
}

static const struct pel_tls_env *env_of(const struct pel_generation *generation, const char *name)
{
    for (size_t i = 0; i < pel_policy_num_rules(generation->policy); i++) {
        if (strcmp(pel_policy_rule(generation->policy, i)->name, name) == 0)
            return generation->bindings[i].env;
    }
    return NULL;
}

PEL_TEST(generation, rules_with_the_same_settings_share_an_environment)
{
    struct pel_generation *generation = build(
        GROUP ENV("E", "*AUTH*/*", "") ENV("F", "*AUTH*/*", "") ENV("X", "*AUTH*/*", "Trace 6\n")
            ENV("Y", "*AUTH*/*", "TTLSEnvironmentAdvancedParms\n{\nHandshakeTimeout 7\n}\n") RULE("R1", "E")
                RULE("R2", "E") RULE("R3", "F") RULE("R4", "X") RULE(
                    "R5", "Y") "TTLSRule R6\n{\nDirection Outbound\nRemotePortRange 1\nTTLSGroupAction\n{\n"
                               "TTLSEnabled On\n}\n" ENV("", "*AUTH*/*", "") "}\n");
    PEL_REQUIRE(generation != NULL);
    if (access(PEL_KEYRING_MACHINE_CAS, R_OK) == 0) {
        PEL_EXPECT_STR(problems, "");
        PEL_EXPECT(env_of(generation, "R1") != NULL);
        PEL_EXPECT(env_of(generation, "R1") == env_of(generation, "R2"));
        PEL_EXPECT(env_of(generation, "R1") == env_of(generation, "R3")); /* says the same by another name */
        PEL_EXPECT(env_of(generation, "R1") == env_of(generation, "R6")); /* and inline */
        PEL_EXPECT(env_of(generation, "R1") != env_of(generation, "R4"));
        PEL_EXPECT(env_of(generation, "R1") != env_of(generation, "R5"));
    }
    PEL_EXPECT_EQ(pel_policy_num_settings(generation->policy), 3);
    pel_generation_unref(generation);
}

/* A problem is each rule's, though the keyring is looked at once. */
PEL_TEST(generation, rules_share_a_problem_too)
{
    struct pel_generation *generation =
        build(GROUP ENV("E", "missing", "") RULE("R1", "E") RULE("R2", "E") RULE("R3", "E"));
    PEL_REQUIRE(generation != NULL);
    PEL_EXPECT_STR(problems, "R1 KEYRING_MISSING\nR2 KEYRING_MISSING\nR3 KEYRING_MISSING\n");
    for (size_t i = 0; i < 3; i++) {
        PEL_EXPECT(generation->bindings[i].env == NULL);
        PEL_EXPECT_HAS(generation->bindings[i].problem.text, "/nowhere/me/missing");
    }
    pel_generation_unref(generation);
}

/* The last reference of a published generation only retires it. */
PEL_TEST(generation, who_drops_the_last_reference_frees_nothing)
{
    struct pel_generation_slot slot;
    pel_generation_slot_init(&slot);
    struct pel_generation *first = build(GROUP ENV("E", "missing", "") RULE("R", "E")), *taken = NULL;
    PEL_REQUIRE(first != NULL);
    PEL_EXPECT_EQ(pel_generation_publish(&slot, first), 1);
    PEL_EXPECT(pel_generation_try_current(&slot, &taken) && taken == first);
    PEL_EXPECT_EQ(pel_generation_publish(&slot, build("")), 2);
    PEL_EXPECT(slot.retired == NULL);
    pel_generation_unref(taken);
    PEL_EXPECT(slot.retired == first);
    PEL_EXPECT_EQ(pel_policy_num_rules(first->policy), 1); /* still there */
    PEL_EXPECT_EQ(pel_generation_publish(&slot, build("")), 3);
    PEL_EXPECT(slot.retired == NULL); /* freed, and the second too */
    pthread_mutex_lock(&slot.lock);
    PEL_EXPECT(!pel_generation_try_current(&slot, &taken));
    pthread_mutex_unlock(&slot.lock);
    pel_generation_slot_fini(&slot);
}
