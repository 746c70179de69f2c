/* SPDX-License-Identifier: Apache-2.0 */
/* A million lookups in random policies, small and large, beside an oracle. PEL_ORACLE_SEED throws others. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/tables/tables.h"
#include "policy/tables/thrown.h"
#include "tests/harness/harness.h"

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

static struct pel_parsed parsed;

static uint64_t first_seed(void)
{
    const char *text = getenv("PEL_ORACLE_SEED");
    return text != NULL ? strtoull(text, NULL, 10) : 1;
}

/* `num_policies` of the shape, and `num_queries` to each; a tenth of them where memory is watched. */
static void compare(const char *name, const struct thrown_shape *shape, size_t num_policies,
                    size_t num_queries)
{
    uint64_t seed = first_seed();
    size_t num = 0;
    setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
    if (SANITIZED)
        num_queries /= 10;
    for (size_t round = 0; round < num_policies && !pel_test_has_failed(); round++) {
        struct thrown *thrown = thrown_make(shape, seed + round, &parsed);
        for (size_t i = 0; i < num_queries && parsed.err == PEL_OK && thrown_compare(thrown, &parsed); i++)
            num++;
        struct pel_tables_size size = {0};
        if (parsed.policy != NULL)
            size = pel_tables_size(parsed.policy);
        if (round == 0)
            pel_test_say("%s: seed %llu; %zu boxes, %zu nodes, %zu refs, largest leaf %zu, depth %zu", name,
                         (unsigned long long)seed, size.num_boxes, size.num_nodes, size.num_refs,
                         size.largest_leaf, size.depth);
        thrown_free(thrown, &parsed);
    }
    pel_test_say("%s: %zu lookups", name, num);
}

static const struct thrown_shape small = {.num_rules = 40,
                                          .num_ips = 80,
                                          .num_ports = 30,
                                          .width = 16,
                                          .num_names = 12,
                                          .num_items = 4,
                                          .bare = 4,
                                          .num_times = 5},
                                 tiny = {.num_rules = 3,
                                         .num_ips = 8,
                                         .num_ports = 8,
                                         .width = 4,
                                         .num_names = 6,
                                         .num_items = 3,
                                         .bare = 5,
                                         .num_times = 2},
                                 middle = {.num_rules = 1000,
                                           .num_ips = 5000,
                                           .num_ports = 2000,
                                           .width = 100,
                                           .num_names = 100,
                                           .num_items = 6,
                                           .bare = 5},
                                 wide = {.num_rules = 600,
                                         .num_ips = 3000,
                                         .num_ports = 3000,
                                         .width = 3000,
                                         .num_names = 20,
                                         .num_items = 8,
                                         .bare = 3},
                                 groups = {.num_rules = 300,
                                           .num_ips = 100000,
                                           .num_ports = 60000,
                                           .width = 3,
                                           .num_names = 40,
                                           .num_items = 400,
                                           .bare = 5},
                                 large = {.num_rules = 10000,
                                          .num_ips = 200000,
                                          .num_ports = 60000,
                                          .width = 300,
                                          .num_names = 800,
                                          .num_items = 4,
                                          .bare = 6,
                                          .num_times = 300};

PEL_TEST(oracle, tiny_policies)
{
    compare("tiny", &tiny, 2000, 100);
}

PEL_TEST(oracle, small_policies)
{
    compare("small", &small, 250, 1600);
}

PEL_TEST(oracle, policies_of_a_thousand_rules)
{
    compare("middle", &middle, 30, 8000);
}

PEL_TEST(oracle, wide_ranges)
{
    compare("wide", &wide, 12, 6000);
}

PEL_TEST(oracle, long_groups)
{
    compare("groups", &groups, 12, 6000);
}

PEL_TEST(oracle, large_policies)
{
    compare("large", &large, 4, 10000);
}
