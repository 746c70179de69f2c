/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/record_speed.h"

#include <getopt.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_LIST    16
#define BATCH_LEN   65536u /* bytes between two looks at the clock */
#define PATIENCE_NS 10000000000u
#define SLOTS       32u /* records on the way from one core to the other */

enum work { SEAL, OPEN, SEAL_TO_OTHER, OPEN_FROM_OTHER };

struct slot {
    uint64_t full; /* whose turn: 0 the sealer's, 1 the opener's */
    uint8_t bytes[RECORD_MAX_LEN + 1 + RECORD_TAG_LEN] __attribute__((aligned(64)));
} __attribute__((aligned(64)));

struct job {
    const struct record_engine *engine;
    enum work work;
    size_t len;
    int core;
    double seconds;
    struct slot *slots;
    double gbytes_per_s; /* the outcome; 0: an engine failed */
};

static const char *program;

static void die(const char *what)
{
    fprintf(stderr, "%s: %s\n", program, what);
    exit(1);
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ---- one core's work ---- */

struct hands {
    void *ctx;
    uint8_t *text, *sealed;
};

static bool do_one(const struct job *job, const struct hands *hands, uint64_t number)
{
    struct slot *slot = job->slots == NULL ? NULL : &job->slots[number % SLOTS];
    bool done;
    switch (job->work) {
    case SEAL: return job->engine->seal(hands->ctx, number, hands->text, job->len + 1, hands->sealed);
    case OPEN:
        return job->engine->open(hands->ctx, 0, hands->sealed, job->len + 1 + RECORD_TAG_LEN, hands->text);
    case SEAL_TO_OTHER:
        done = job->engine->seal(hands->ctx, number, hands->text, job->len + 1, slot->bytes);
        __atomic_store_n(&slot->full, 1, __ATOMIC_RELEASE);
        return done;
    case OPEN_FROM_OTHER:
        done = job->engine->open(hands->ctx, number, slot->bytes, job->len + 1 + RECORD_TAG_LEN, hands->text);
        __atomic_store_n(&slot->full, 0, __ATOMIC_RELEASE);
        return done;
    }
    return false;
}

/* Whether the slot is this side's; true for work without another side. */
static bool is_my_turn(const struct job *job, uint64_t number)
{
    if (job->work == SEAL || job->work == OPEN)
        return true;
    return __atomic_load_n(&job->slots[number % SLOTS].full, __ATOMIC_ACQUIRE) ==
           (job->work == OPEN_FROM_OTHER);
}

static void loop(struct job *job, const struct hands *hands)
{
    uint64_t batch = BATCH_LEN / job->len + 1, number = 0, begin_ns = now_ns(), elapsed_ns = 0;
    /* On a busy machine the other side may not have come to its first record yet. */
    while ((double)elapsed_ns < job->seconds * 1e9 || (number == 0 && elapsed_ns < PATIENCE_NS)) {
        for (uint64_t i = 0; i < batch && is_my_turn(job, number); i++, number++)
            if (!do_one(job, hands, number))
                return;
        elapsed_ns = now_ns() - begin_ns;
    }
    job->gbytes_per_s = (double)(number * job->len) / (double)elapsed_ns;
}

static void *run(void *arg)
{
    struct job *job = arg;
    cpu_set_t cores;
    CPU_ZERO(&cores);
    CPU_SET((unsigned)job->core, &cores);
    pthread_setaffinity_np(pthread_self(), sizeof cores, &cores);
    struct hands hands = {.ctx = job->engine->open_key(),
                          .text = aligned_alloc(64, RECORD_MAX_LEN + 64),
                          .sealed = aligned_alloc(64, RECORD_MAX_LEN + 64)};
    if (hands.ctx == NULL || hands.text == NULL || hands.sealed == NULL)
        die("no memory for an engine");
    memset(hands.text, 23, RECORD_MAX_LEN + 64);
    if (job->engine->seal(hands.ctx, 0, hands.text, job->len + 1, hands.sealed))
        loop(job, &hands);
    job->engine->close_key(hands.ctx);
    free(hands.text);
    free(hands.sealed);
    return NULL;
}

/* Runs `num` jobs at once. */
static void run_all(struct job *jobs, size_t num)
{
    pthread_t threads[2];
    for (size_t i = 0; i < num; i++)
        if (pthread_create(&threads[i], NULL, run, &jobs[i]) != 0)
            die("no thread");
    for (size_t i = 0; i < num; i++)
        pthread_join(threads[i], NULL);
    for (size_t i = 0; i < num; i++)
        if (jobs[i].gbytes_per_s <= 0)
            die("an engine failed, or nothing was handed over");
}

/* ---- the two questions ---- */

static void print_size(const struct record_engine *engine, size_t len, double seconds, const char *separator)
{
    printf("%s {\"engine\": \"%s\", \"bytes\": %zu", separator, engine->name, len);
    for (enum work work = SEAL; work <= OPEN; work++) {
        const char *name = work == SEAL ? "seal" : "open";
        struct job job = {.engine = engine, .work = work, .len = len, .core = 0, .seconds = seconds};
        struct job both[2] = {job, job};
        both[1].core = 1;
        run_all(&job, 1);
        run_all(both, 2);
        printf(", \"%s\": {\"alone_gbytes_per_s\": %f, \"both_gbytes_per_s\": %f, \"sum_gbytes_per_s\": %f}",
               name, job.gbytes_per_s, both[0].gbytes_per_s, both[0].gbytes_per_s + both[1].gbytes_per_s);
    }
    printf("}");
}

static void print_pipeline(const struct record_engine *engine, size_t len, double seconds,
                           const char *separator)
{
    struct slot *slots = aligned_alloc(64, SLOTS * sizeof *slots);
    if (slots == NULL)
        die("no memory");
    memset(slots, 0, SLOTS * sizeof *slots);
    struct job apart[2] = {{.engine = engine, .work = SEAL, .len = len, .core = 0, .seconds = seconds},
                           {.engine = engine, .work = OPEN, .len = len, .core = 1, .seconds = seconds}};
    struct job over[2] = {apart[0], apart[1]};
    for (int i = 0; i < 2; i++) {
        over[i].work = i == 0 ? SEAL_TO_OTHER : OPEN_FROM_OTHER;
        over[i].slots = slots;
    }
    run_all(apart, 2);
    run_all(over, 2);
    printf("%s {\"engine\": \"%s\", \"bytes\": %zu, \"seal_gbytes_per_s\": %f, \"open_gbytes_per_s\": %f, "
           "\"handed_over_gbytes_per_s\": %f}",
           separator, engine->name, len, apart[0].gbytes_per_s, apart[1].gbytes_per_s, over[1].gbytes_per_s);
    free(slots);
}

int record_speed_main(int argc, char **argv, const struct record_engine *engines, size_t num)
{
    static const struct option longs[] = {{"seconds", required_argument, NULL, 's'},
                                          {"list", required_argument, NULL, 'l'},
                                          {NULL, 0, NULL, 0}};
    double seconds = 0.1;
    size_t list[MAX_LIST] = {RECORD_MAX_LEN}, num_list = 1;
    char *rest = NULL;
    int option;
    program = argv[0];
    if (argc < 2 || (strcmp(argv[1], "sizes") != 0 && strcmp(argv[1], "pipeline") != 0))
        die("usage: sizes|pipeline [--seconds S] [--list N,N,...]");
    while ((option = getopt_long(argc - 1, argv + 1, "", longs, NULL)) != -1) {
        if (option == 's')
            seconds = atof(optarg);
        if (option == 'l')
            for (num_list = 0, rest = optarg; num_list < MAX_LIST && *rest != '\0'; rest += *rest == ',')
                list[num_list++] = strtoul(rest, &rest, 10);
    }
    if (seconds <= 0)
        die("--seconds is more than 0");
    printf("{\"results\": [\n");
    for (size_t k = 0; k < num_list * num; k++) {
        size_t len = list[k / num];
        if (len < 1 || len > RECORD_MAX_LEN)
            die("sizes are 1 to 16384");
        (argv[1][0] == 's' ? print_size : print_pipeline)(&engines[k % num], len, seconds,
                                                          k == 0 ? "" : ",\n");
    }
    printf("\n]}\n");
    return 0;
}
