/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a lookup costs in policies of several sizes: one connection after the other, each measured alone, so
 * that none overlaps with the next. Warm: the same connections have been asked about just before, in another
 * order, so that the tables are where a busy engine has them: what fits in its caches. Cold: before each
 * lookup more memory than the caches hold was read.
 *
 *     bench_policy_lookup [--rules N,N...] [--queries N] [--rounds N] [--cold N] [--seed N]
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <x86intrin.h>

#include "base/clock.h"
#include "bench/policy/rules.h"
#include "policy/tables/tables.h"

enum { MOST_SIZES = 16, SWEEP_BYTES = 96 << 20 };

struct options {
    size_t sizes[MOST_SIZES], num_sizes, num_queries, num_rounds, num_cold;
    uint64_t seed;
};

struct measured {
    double mean, p50, p99;
};

static double ns_per_cycle;
static uint64_t overhead; /* of measuring, in cycles */

static uint64_t now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC_RAW, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* Waits for all that came before. */
static uint64_t stamp(void)
{
    _mm_lfence();
    uint64_t cycles = pel_cycles();
    _mm_lfence();
    return cycles;
}

static void learn_clock(void)
{
    uint64_t begin_ns = now_ns(), begin = pel_cycles();
    overhead = UINT64_MAX;
    while (now_ns() - begin_ns < 50000000) {
        uint64_t first = stamp(), cycles = stamp() - first;
        overhead = cycles < overhead ? cycles : overhead;
    }
    ns_per_cycle = (double)(now_ns() - begin_ns) / (double)(pel_cycles() - begin);
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static struct measured summarize(uint32_t *cycles, size_t num)
{
    double sum = 0;
    qsort(cycles, num, sizeof *cycles, compare);
    for (size_t i = 0; i < num - num / 1000; i++) /* without what interrupted us */
        sum += cycles[i];
    return (struct measured){sum / (double)(num - num / 1000) * ns_per_cycle, cycles[num / 2] * ns_per_cycle,
                             cycles[num - 1 - num / 100] * ns_per_cycle};
}

static uint32_t measure_one(const struct pel_policy *policy, const struct pel_policy_query *query,
                            size_t *hits)
{
    uint64_t begin = stamp();
    const struct pel_rule *rule = pel_policy_lookup(policy, query);
    uint64_t cycles = stamp() - begin;
    *hits += rule != NULL;
    return cycles > overhead ? (uint32_t)(cycles - overhead) : 0;
}

static void sweep(volatile uint8_t *bytes)
{
    for (size_t i = 0; i < SWEEP_BYTES; i += 64)
        bytes[i]++;
}

static void print(const char *name, struct measured measured)
{
    printf(", \"%s\": {\"mean_ns\": %.1f, \"p50_ns\": %.1f, \"p99_ns\": %.1f}", name, measured.mean,
           measured.p50, measured.p99);
}

static void measure_policy(const struct options *options, const struct pel_policy *policy,
                           struct rules *rules, uint8_t *swept)
{
    struct pel_policy_query *queries = malloc(options->num_queries * sizeof *queries);
    size_t num = options->num_queries * options->num_rounds, hits = 0, cold_hits = 0;
    uint32_t *cycles = malloc((num + options->num_cold + 1) * sizeof *cycles);
    struct pel_prng prng;
    pel_prng_seed(&prng, options->seed);
    if (queries == NULL || cycles == NULL)
        exit(1);
    for (size_t i = 0; i < options->num_queries; i++)
        queries[i] = rules_query(rules);
    for (size_t i = 0; i < options->num_queries; i++)
        measure_one(policy, &queries[i], &cold_hits);
    for (size_t i = 0; i < num; i++) {
        const struct pel_policy_query *query = &queries[pel_prng_below(&prng, options->num_queries)];
        struct pel_policy_query here = *query; /* the connection is in the cache, where it would be */
        cycles[i] = measure_one(policy, &here, &hits);
    }
    print("warm", summarize(cycles, num));
    for (size_t i = 0; i < options->num_cold; i++) {
        sweep(swept);
        struct pel_policy_query here = queries[pel_prng_below(&prng, options->num_queries)];
        cycles[i] = measure_one(policy, &here, &cold_hits);
    }
    if (options->num_cold > 0)
        print("cold", summarize(cycles, options->num_cold));
    printf(", \"hits\": %.3f", (double)hits / (double)num);
    free(queries);
    free(cycles);
}

static void show(void *arg, const struct pel_policy_diag *diag)
{
    if (diag->severity == PEL_SEV_ERROR)
        fprintf(stderr, "%s:%u:%u: %s\n", diag->file, diag->line, diag->column, diag->message);
}

static int measure_size(const struct options *options, size_t num_rules, bool first, uint8_t *swept)
{
    struct rules rules;
    struct pel_policy *policy = NULL;
    rules_make(num_rules, options->seed, &rules);
    struct pel_policy_source source = {
        .file = "random.policy", .text = rules.text, .text_len = rules.text_len};
    uint64_t begin_ns = now_ns();
    if (pel_policy_parse(&source, 1, NULL, show, NULL, &policy, NULL) != PEL_OK) {
        rules_free(&rules);
        return 1;
    }
    struct pel_tables_size size = pel_tables_size(policy);
    printf(
        "%s{\"rules\": %zu, \"parse_ms\": %.1f, \"text_bytes\": %zu, \"table_bytes\": %zu, \"boxes\": %zu, "
        "\"nodes\": %zu, \"refs\": %zu, \"largest_leaf\": %zu, \"depth\": %zu",
        first ? "" : ",\n", num_rules, (double)(now_ns() - begin_ns) / 1e6, rules.text_len, size.num_bytes,
        size.num_boxes, size.num_nodes, size.num_refs, size.largest_leaf, size.depth);
    measure_policy(options, policy, &rules, swept);
    printf("}");
    pel_policy_unref(policy);
    rules_free(&rules);
    return 0;
}

static bool read_options(int argc, char **argv, struct options *options)
{
    static const struct option longs[] = {
        {"rules", required_argument, NULL, 'r'},  {"queries", required_argument, NULL, 'q'},
        {"rounds", required_argument, NULL, 'n'}, {"cold", required_argument, NULL, 'c'},
        {"seed", required_argument, NULL, 's'},   {NULL, 0, NULL, 0},
    };
    int option;
    while ((option = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        switch (option) {
        case 'r':
            options->num_sizes = 0;
            for (char *at = strtok(optarg, ","); at != NULL && options->num_sizes < MOST_SIZES;
                 at = strtok(NULL, ","))
                options->sizes[options->num_sizes++] = strtoull(at, NULL, 10);
            break;
        case 'q': options->num_queries = strtoull(optarg, NULL, 10); break;
        case 'n': options->num_rounds = strtoull(optarg, NULL, 10); break;
        case 'c': options->num_cold = strtoull(optarg, NULL, 10); break;
        case 's': options->seed = strtoull(optarg, NULL, 10); break;
        default: return false;
        }
    }
    return optind == argc && options->num_queries > 0 && options->num_rounds > 0;
}

int main(int argc, char **argv)
{
    struct options options = {.sizes = {10, 100, 1000, 10000, 100000},
                              .num_sizes = 5,
                              .num_queries = 20000,
                              .num_rounds = 10,
                              .num_cold = 200,
                              .seed = 1};
    int failed = 0;
    if (!read_options(argc, argv, &options)) {
        fprintf(
            stderr,
            "usage: bench_policy_lookup [--rules N,N...] [--queries N] [--rounds N] [--cold N] [--seed N]\n");
        return 2;
    }
    uint8_t *swept = calloc(1, SWEEP_BYTES);
    if (swept == NULL)
        return 1;
    learn_clock();
    printf("{\"sizes\": [");
    for (size_t i = 0; i < options.num_sizes && failed == 0; i++)
        failed = measure_size(&options, options.sizes[i], i == 0, swept);
    printf("]}\n");
    free(swept);
    return failed;
}
