/* SPDX-License-Identifier: Apache-2.0 */
#include <pellucid/pair.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "drivers/sim/sim.h"
#include "drivers/steer.h"
#include "policy/files.h"
#include "stack/engine.h"

#define WINDOW_LEN     (1u << 20)
#define WIRE_QUEUE_LEN 8192
#define POOL_PACKETS   32768

/* An engine of a side; the first has the side's policy. */
struct side {
    struct pel_pair *pair;
    int core;
    struct pel_engine *engine;
    struct pel_engine_config config;
    struct pel_generation_slot slot;
    struct pel_error error;
    pthread_t thread;
    sem_t opened, ended, may_close;
    bool started;
};

struct pel_pair {
    struct pel_port *ports[2];
    int num_engines; /* of each side */
    struct side sides[2][PEL_PAIR_ENGINES_MAX];
};

/* ---- policy ---- */

struct first_error {
    char text[400];
};

static void keep_first(void *arg, const struct pel_policy_diag *diag)
{
    struct first_error *first = arg;
    if (diag->severity == PEL_SEV_ERROR && first->text[0] == '\0')
        snprintf(first->text, sizeof first->text, "%s:%u:%u: %s", diag->file, diag->line, diag->column,
                 diag->message);
}

static void keep_problem(void *arg, const struct pel_rule *rule, const struct pel_error *problem)
{
    struct first_error *first = arg;
    if (first->text[0] == '\0')
        snprintf(first->text, sizeof first->text, "rule %s: %s", rule->name, problem->text);
}

static enum pel_err parse(const char *file, struct first_error *first, struct pel_policy **ret_policy,
                          struct pel_error *reterr)
{
    static const struct pel_policy_source empty = {.file = "empty", .text = "", .text_len = 0};
    if (file == NULL)
        return pel_policy_parse(&empty, 1, NULL, NULL, NULL, ret_policy, NULL);
    return pel_policy_load_files(&file, 1, NULL, keep_first, first, ret_policy, NULL, NULL, reterr);
}

static enum pel_err load(struct side *side, const char *file, const char *keyring_dir,
                         struct pel_error *reterr)
{
    struct first_error first = {""};
    struct pel_policy *policy = NULL;
    struct pel_generation *generation = NULL;
    const struct pel_generation_config config = {
        .keyring_dir = keyring_dir != NULL ? keyring_dir : "", .owner = "root", .now_s = (int64_t)time(NULL)};
    enum pel_err err = parse(file, &first, &policy, reterr);
    if (err != PEL_OK)
        return first.text[0] != '\0' ? pel_error_set(reterr, err, "%s", first.text) : err;
    PEL_TRY(pel_generation_build(policy, &config, keep_problem, &first, &generation));
    pel_generation_publish(&side->slot, generation);
    return first.text[0] == '\0' ? PEL_OK : pel_error_set(reterr, PEL_E_POLICY_UNUSABLE, "%s", first.text);
}

/* ---- threads ---- */

static void wait_for(sem_t *sem)
{
    while (sem_wait(sem) != 0) {
    }
}

static void *run_side(void *arg)
{
    struct side *side = arg;
    if (side->core >= 0) {
        cpu_set_t cores;
        CPU_ZERO(&cores);
        CPU_SET((unsigned)side->core, &cores);
        pthread_setaffinity_np(pthread_self(), sizeof cores, &cores);
    }
    side->error.code = pel_engine_open(&side->config, &side->engine, &side->error);
    struct pel_engine *engine = side->engine;
    sem_post(&side->opened);
    if (engine != NULL) {
        pel_engine_run(engine);
        sem_post(&side->ended);
        wait_for(&side->may_close); /* the others' packets are in this one's pool until they have ended too */
        pel_engine_close(engine);
    }
    return NULL;
}

static void configure(struct side *side, int index, int engine, const struct pel_pair_options *options)
{
    static const char *const addrs[2][2] = {{"10.7.0.1", "fd07::1"}, {"10.7.0.2", "fd07::2"}};
    struct pel_ipstack_config *ip = &side->config.ip;
    side->core = engine == 0 ? options->cores[index] : options->more_cores[index][engine - 1];
    side->config = (struct pel_engine_config){
        .index = (uint32_t)(engine * 2 + index),
        .slot = &side->pair->sides[index][0].slot,
        .busy_poll = options->busy_poll != 0,
        .user = "root",
        .job = index == 0 ? "a" : "b",
    };
    ip->port = side->pair->ports[index];
    ip->queue = (uint16_t)engine;
    ip->clock = pel_clock_real();
    ip->max_connections = 1u << 17;
    ip->tcp_window_len = options->window_len != 0 ? options->window_len : WINDOW_LEN;
    ip->num_addrs = 2;
    for (size_t i = 0; i < 2; i++) {
        if (pel_ip_parse(addrs[index][i], &ip->addrs[i].ip) != PEL_OK)
            abort(); /* our own constants */
        ip->addrs[i].prefix_len = i == 0 ? 24 : 64;
    }
}

static enum pel_err start_side(struct side *side, struct pel_error *reterr)
{
    if (pthread_create(&side->thread, NULL, run_side, side) != 0)
        return pel_error_set(reterr, PEL_E_IO, "no thread for an engine");
    side->started = true;
    wait_for(&side->opened);
    if (side->error.code != PEL_OK && reterr != NULL)
        *reterr = side->error;
    return side->error.code;
}

static enum pel_err start(struct pel_pair *pair, const struct pel_pair_options *options,
                          struct pel_error *reterr)
{
    const struct pel_clock clock = pel_clock_real();
    const struct pel_sim_wire_config wire = {
        .mtu = options->mtu != 0 ? options->mtu : 1500,
        .num_queues = (uint16_t)pair->num_engines,
        .rss_key = pel_rss_symmetric_key,
        .queue_len = WIRE_QUEUE_LEN,
        .max_packets = POOL_PACKETS,
        /* Memory does not spoil frames: as virtio does, nobody makes or checks sums. */
        .offloads = PEL_OFFLOAD_TX_IP_CSUM | PEL_OFFLOAD_TX_L4_CSUM | PEL_OFFLOAD_RX_IP_CSUM |
                    PEL_OFFLOAD_RX_L4_CSUM |
                    (options->no_segment_offload ? 0 : PEL_OFFLOAD_TSO | PEL_OFFLOAD_SCATTER),
    };
    enum pel_err err = pel_sim_wire_open(&wire, &clock, &pair->ports[0], &pair->ports[1]);
    if (err != PEL_OK)
        return pel_error_set(reterr, err, "the wire in memory: %s", pel_err_text(err));
    for (int i = 0; i < 2; i++) {
        if (pair->num_engines > 1)
            PEL_TRY(pel_steer_open(pair->ports[i], (uint16_t)pair->num_engines, NULL, &pair->ports[i]));
        for (int e = 0; e < pair->num_engines; e++)
            configure(&pair->sides[i][e], i, e, options);
        PEL_TRY(load(&pair->sides[i][0], options->policy_files[i], options->keyring_dir, reterr));
    }
    for (int i = 0; i < 2 * pair->num_engines; i++)
        PEL_TRY(start_side(&pair->sides[i % 2][i / 2], reterr));
    return PEL_OK;
}

enum pel_err pel_pair_start(const struct pel_pair_options *options, struct pel_pair **ret_pair,
                            struct pel_error *reterr)
{
    struct pel_pair *pair = calloc(1, sizeof *pair);
    if (pair == NULL)
        return pel_error_set(reterr, PEL_E_NO_MEMORY, "out of memory");
    if (options->num_engines < 0 || options->num_engines > PEL_PAIR_ENGINES_MAX) {
        free(pair);
        return pel_error_set(reterr, PEL_E_ARG, "%d engines a side: 1 to %d", options->num_engines,
                             PEL_PAIR_ENGINES_MAX);
    }
    pair->num_engines = options->num_engines > 0 ? options->num_engines : 1;
    for (int i = 0; i < 2 * pair->num_engines; i++) {
        struct side *side = &pair->sides[i % 2][i / 2];
        side->pair = pair;
        sem_init(&side->opened, 0, 0);
        sem_init(&side->ended, 0, 0);
        sem_init(&side->may_close, 0, 0);
        pel_generation_slot_init(&side->slot);
    }
    enum pel_err err = start(pair, options, reterr);
    if (err != PEL_OK) {
        pel_pair_stop(pair);
        return err;
    }
    *ret_pair = pair;
    return PEL_OK;
}

struct pel_engine *pel_pair_engine(const struct pel_pair *pair, int side)
{
    return pel_pair_engine_at(pair, side, 0);
}

struct pel_engine *pel_pair_engine_at(const struct pel_pair *pair, int side, int index)
{
    return index >= 0 && index < pair->num_engines ? pair->sides[side == 1][index].engine : NULL;
}

/* By how many cycles the engine has lived for how long. */
static uint64_t to_us(const struct pel_engine *engine, uint64_t cycles)
{
    uint64_t lived_cycles = pel_cycles() - engine->opened_cycles;
    uint64_t lived_us = pel_clock_now_us(&engine->clock) - engine->opened_us;
    return (uint64_t)((double)cycles * (double)lived_us / (double)(lived_cycles + 1));
}

static void add_usage(const struct side *of, struct pel_pair_usage *usage)
{
    struct timespec used = {0};
    clockid_t clock;
    if (pthread_getcpuclockid(of->thread, &clock) == 0)
        clock_gettime(clock, &used);
    usage->cpu_us += (uint64_t)used.tv_sec * 1000000u + (uint64_t)used.tv_nsec / 1000u;
    usage->busy_us += to_us(of->engine, __atomic_load_n(&of->engine->busy_cycles, __ATOMIC_RELAXED));
    usage->busy_loops += __atomic_load_n(&of->engine->busy_loops, __ATOMIC_RELAXED);
    usage->idle_loops += __atomic_load_n(&of->engine->idle_loops, __ATOMIC_RELAXED);
}

void pel_pair_usage(const struct pel_pair *pair, int side, struct pel_pair_usage *ret_usage)
{
    *ret_usage = (struct pel_pair_usage){0};
    for (int e = 0; e < pair->num_engines; e++)
        add_usage(&pair->sides[side == 1][e], ret_usage);
}

void pel_pair_stop(struct pel_pair *pair)
{
    if (pair == NULL)
        return;
    int num = 2 * pair->num_engines;
    for (int i = 0; i < num; i++)
        if (pair->sides[i % 2][i / 2].engine != NULL)
            pel_engine_stop(pair->sides[i % 2][i / 2].engine);
    for (int i = 0; i < num; i++)
        if (pair->sides[i % 2][i / 2].engine != NULL)
            wait_for(&pair->sides[i % 2][i / 2].ended);
    for (int i = 0; i < num; i++) {
        struct side *side = &pair->sides[i % 2][i / 2];
        sem_post(&side->may_close);
        if (side->started)
            pthread_join(side->thread, NULL);
        sem_destroy(&side->opened);
        sem_destroy(&side->ended);
        sem_destroy(&side->may_close);
    }
    for (int i = 0; i < num; i++) /* a side's engines share the first one's slot */
        pel_generation_slot_fini(&pair->sides[i % 2][i / 2].slot);
    for (int i = 0; i < 2; i++)
        pel_port_close(pair->ports[i]);
    free(pair);
}
