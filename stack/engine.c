/* SPDX-License-Identifier: Apache-2.0 */
#include "stack/engine.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "stack/conn.h"

/* How often connections' deadlines are looked at. They are seconds long; ten milliseconds late is in time. */
#define DEADLINE_CHECK_US 10000

/* So old may the time be that a running engine goes by: 4 to 10 us. */
#define CLOCK_AGE_CYCLES 16384

/* Both directions of so many connections that are at work at once: 400 kB an engine. */
#define KEYS_CACHED 256

/* An idle engine spins this many loops before it sleeps; fewer when it has a duty to programs, which want the
 * core too and wake it when they have something (bench/NOTES.md has what that brings). */
#define SPIN_LOOPS      2000
#define SPIN_LOOPS_DUTY 30

/* What it sleeps at most where all that can come wakes it. Deadlines are looked at, so they wait no longer.
 */
#define SLEEP_WOKEN_US 100000

/* And where only a look at the port tells: short while there has just been something, longer in silence. */
static const struct {
    uint64_t silent_us, sleep_us;
} looks[] = {{2000000, 2000}, {200000, 500}, {2000, 200}, {0, 40}};

/* In a dialogue of one socket with its peer the engine gives its core to the program instead of sleeping, so
 * that the next word finds it awake: so long after the last one. Where a yield takes so long, others than the
 * program want the core, and who sleeps gets it back sooner: no yields for a while then. */
#define DIALOGUE_US    50
#define CROWDED_US     200
#define NO_YIELD_US    10000
#define DIALOGUE_LOOPS 2

/* Tasks may post tasks: so often when the engine closes. One that always posts itself would keep it. */
#define DRAIN_ROUNDS 1000

static uint64_t read_clock(const struct pel_engine *engine)
{
    return pel_clock_now_us(&engine->clock);
}

/* The TCP/IP layer's clock is the loop's: read once a loop, however many segments it brings. */
static uint64_t loop_now_us(void *arg)
{
    return ((const struct pel_engine *)arg)->now_us;
}

static int64_t loop_wall_s(void *arg)
{
    return pel_clock_wall_s(&((const struct pel_engine *)arg)->clock);
}

enum pel_err pel_engine_open(const struct pel_engine_config *config, struct pel_engine **ret_engine,
                             struct pel_error *reterr)
{
    struct pel_engine *engine = aligned_alloc(64, (sizeof *engine + 63) / 64 * 64);
    if (engine == NULL)
        return pel_error_set(reterr, PEL_E_NO_MEMORY, "engine %u: out of memory", config->index);
    memset(engine, 0, sizeof *engine);
    engine->config = *config;
    engine->config.ip.counters = &engine->counters;
    engine->clock = config->ip.clock;
    engine->config.ip.clock = (struct pel_clock){.now_us = loop_now_us, .wall_s = loop_wall_s, .arg = engine};
    engine->now_us = engine->opened_us = read_clock(engine);
    engine->opened_cycles = pel_cycles();
    engine->thread = pthread_self();
    engine->next_conn_id = 1;
    engine->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    engine->scratch = malloc(PEL_ENGINE_SCRATCH_LEN);
    engine->key_cache = pel_key_cache_new(KEYS_CACHED, &engine->counters);
    enum pel_err err = PEL_OK;
    if (engine->wake_fd < 0)
        err = pel_error_set(reterr, PEL_E_IO, "engine %u: eventfd: %s", config->index, strerror(errno));
    else if (engine->scratch == NULL || engine->key_cache == NULL)
        err = pel_error_set(reterr, PEL_E_NO_MEMORY, "engine %u: out of memory", config->index);
    else
        err = pel_ip_open(&engine->config.ip, &engine->ip, reterr);
    if (err != PEL_OK) {
        pel_engine_close(engine);
        return err;
    }
    *ret_engine = engine;
    return PEL_OK;
}

static void drain_mailbox(struct pel_engine *engine);

void pel_engine_close(struct pel_engine *engine)
{
    if (engine == NULL)
        return;
    engine->closing = true;
    drain_mailbox(engine);
    while (engine->conns != NULL)
        pel_conn_drop(engine->conns, PEL_E_CONN_ABORTED);
    drain_mailbox(engine);
    pel_ip_close(engine->ip);
    pel_generation_unref(engine->generation);
    if (engine->wake_fd >= 0)
        close(engine->wake_fd);
    free(engine->scratch);
    pel_key_cache_free(engine->key_cache);
    free(engine);
}

/* ---- mailbox: many posters push onto a stack; the owner takes the whole of it and turns it round ---- */

void pel_engine_wake(struct pel_engine *engine)
{
    uint64_t one = 1;
    /* The engine says "sleeping" before it looks at the mailbox and its port a last time, and whoever
     * wakes has put something there before: one of the two sees the other. */
    if (__atomic_exchange_n(&engine->sleeping, 0, __ATOMIC_SEQ_CST) != 0 &&
        write(engine->wake_fd, &one, sizeof one) < 0)
        abort(); /* an eventfd that we own takes a 1 unless it overflows, which one sleeper cannot cause */
}

void pel_engine_post(struct pel_engine *engine, struct pel_task *task)
{
    struct pel_task *first = __atomic_load_n(&engine->mailbox, __ATOMIC_RELAXED);
    do {
        task->next = first;
    } while (!__atomic_compare_exchange_n(&engine->mailbox, &first, task, true, __ATOMIC_SEQ_CST,
                                          __ATOMIC_RELAXED));
    pel_engine_wake(engine);
}

static bool run_mailbox(struct pel_engine *engine)
{
    if (__atomic_load_n(&engine->mailbox, __ATOMIC_RELAXED) == NULL)
        return false;
    struct pel_task *last = __atomic_exchange_n(&engine->mailbox, NULL, __ATOMIC_ACQUIRE), *first = NULL;
    while (last != NULL) {
        struct pel_task *next = last->next;
        last->next = first;
        first = last;
        last = next;
    }
    while (first != NULL) {
        struct pel_task *next = first->next; /* before run: the task may be posted again from within */
        first->run(engine, first);
        first = next;
    }
    return true;
}

static void drain_mailbox(struct pel_engine *engine)
{
    for (int i = 0; i < DRAIN_ROUNDS && run_mailbox(engine); i++) {
    }
}

struct call {
    struct pel_task task; /* first: the mailbox gives it back */
    void (*fn)(struct pel_engine *engine, void *arg);
    void *arg;
    sem_t done;
};

static void run_call(struct pel_engine *engine, struct pel_task *task)
{
    struct call *call = (struct call *)task;
    call->fn(engine, call->arg);
    sem_post(&call->done);
}

void pel_engine_call(struct pel_engine *engine, void (*fn)(struct pel_engine *engine, void *arg), void *arg)
{
    if (pthread_equal(pthread_self(), engine->thread)) {
        fn(engine, arg);
        return;
    }
    struct call call = {.task.run = run_call, .fn = fn, .arg = arg};
    sem_init(&call.done, 0, 0);
    pel_engine_post(engine, &call.task);
    while (sem_wait(&call.done) != 0) {
    }
    sem_destroy(&call.done);
}

uint64_t pel_engine_now_us(const struct pel_engine *engine)
{
    return engine->now_us;
}

bool pel_engine_gate_open(const struct pel_engine *engine)
{
    return engine->config.start_gate_open || pel_generation_number(engine->config.slot) > 0;
}

void pel_engine_note_held(struct pel_engine *engine, const struct pel_identity *who, enum pel_held_what what,
                          const struct pel_endpoint *endpoint)
{
    const struct pel_identity own = {
        .user = engine->config.user, .job = engine->config.job, .pid = (int)getpid()};
    pel_held_note(&engine->config.slot->held, who != NULL ? who : &own, what, endpoint,
                  pel_clock_wall_s(&engine->clock));
}

/* ---- the loop ---- */

void pel_engine_refresh_generation(struct pel_engine *engine)
{
    uint64_t have = engine->generation != NULL ? engine->generation->number : 0;
    struct pel_generation *before = engine->generation;
    if (pel_generation_number(engine->config.slot) == have)
        return;
    if (before == NULL)
        engine->generation = pel_generation_current(engine->config.slot);
    else if (!pel_generation_try_current(engine->config.slot, &engine->generation))
        return; /* whoever is at the slot may have lost its core: the next loop looks again */
    pel_generation_unref(before);
    engine->policy_cache.policy = NULL; /* another policy may stand at the same place */
    pel_count_stat(&engine->counters, PEL_STAT_policy_loads, 1);
}

static bool receive(struct pel_engine *engine)
{
    struct pel_pkt *pkts[PEL_ENGINE_RX_BURST];
    uint32_t num = pel_port_rx(engine->config.ip.port, engine->config.ip.queue, pkts, PEL_ENGINE_RX_BURST);
    if (num > 0)
        pel_ip_input(engine->ip, pkts, num);
    return num > 0;
}

static void check_deadlines(struct pel_engine *engine)
{
    if (engine->now_us < engine->next_deadline_check_us)
        return;
    engine->next_deadline_check_us = engine->now_us + DEADLINE_CHECK_US;
    for (struct pel_conn *conn = engine->timed; conn != NULL; conn = engine->cursor) {
        engine->cursor = conn->timed_next;
        if (conn->deadline_us <= engine->now_us)
            pel_conn_check_deadline(conn);
    }
}

static bool step(struct pel_engine *engine, uint64_t cycles)
{
    if (engine->found_work)
        pel_count_add(&engine->busy_cycles, cycles - engine->step_cycles);
    engine->step_cycles = cycles;
    pel_engine_refresh_generation(engine);
    bool worked = run_mailbox(engine);
    worked |= receive(engine);
    if (engine->duty.poll != NULL)
        worked |= engine->duty.poll(engine->duty.arg);
    check_deadlines(engine);
    pel_conn_flush_all(engine);
    pel_ip_poll(engine->ip);
    pel_count_add(worked ? &engine->busy_loops : &engine->idle_loops, 1);
    engine->found_work = worked;
    return worked;
}

bool pel_engine_step(struct pel_engine *engine)
{
    engine->now_us = read_clock(engine);
    return step(engine, pel_cycles());
}

/* The same, with a look at the clock only when the last one is some time ago: a few microseconds. */
static bool step_quickly(struct pel_engine *engine)
{
    uint64_t cycles = pel_cycles();
    if (cycles - engine->clock_cycles > CLOCK_AGE_CYCLES) {
        engine->now_us = read_clock(engine);
        engine->clock_cycles = cycles;
    }
    return step(engine, cycles);
}

/* Frames that the port knows of: of a wire in memory, or handed over by another engine. */
static bool port_has_work(const struct pel_engine *engine)
{
    struct pel_port *port = engine->config.ip.port;
    return port->ops->next_event_us != NULL &&
           port->ops->next_event_us(port, engine->config.ip.queue) <= read_clock(engine);
}

static bool may_sleep(struct pel_engine *engine)
{
    return __atomic_load_n(&engine->mailbox, __ATOMIC_SEQ_CST) == NULL && !port_has_work(engine) &&
           (engine->duty.poll == NULL || engine->duty.may_sleep(engine->duty.arg));
}

static uint64_t longest_sleep_us(const struct pel_engine *engine, int wait_fd, uint64_t now_us)
{
    size_t row = 0;
    if (wait_fd != PEL_RX_WAIT_LOOK)
        return engine->timed != NULL ? DEADLINE_CHECK_US : SLEEP_WOKEN_US;
    while (now_us - engine->last_work_us < looks[row].silent_us)
        row++;
    return looks[row].sleep_us;
}

static void sleep_a_little(struct pel_engine *engine)
{
    int wait_fd = pel_port_rx_wait_fd(engine->config.ip.port, engine->config.ip.queue);
    struct pollfd pollfds[] = {{.fd = engine->wake_fd, .events = POLLIN},
                               {.fd = engine->duty.poll != NULL ? engine->duty.fd : -1, .events = POLLIN},
                               {.fd = wait_fd, .events = POLLIN}};
    uint64_t next_us = pel_ip_next_timer_us(engine->ip), now_us = read_clock(engine), count;
    uint64_t longest_us = longest_sleep_us(engine, wait_fd, now_us);
    uint64_t sleep_us = next_us <= now_us ? 0 : next_us - now_us;
    if (sleep_us > longest_us)
        sleep_us = longest_us;
    if (sleep_us == 0)
        return;
    struct timespec timeout = {.tv_sec = 0, .tv_nsec = (long)sleep_us * 1000};
    __atomic_store_n(&engine->sleeping, 1, __ATOMIC_SEQ_CST);
    if (may_sleep(engine) && ppoll(pollfds, 3, &timeout, NULL) > 0 &&
        read(engine->wake_fd, &count, sizeof count) < 0 && errno != EAGAIN)
        abort();
    __atomic_store_n(&engine->sleeping, 0, __ATOMIC_SEQ_CST);
    if (engine->duty.poll != NULL)
        engine->duty.woke(engine->duty.arg);
}

void pel_engine_set_duty(struct pel_engine *engine, const struct pel_engine_duty *duty)
{
    engine->duty = duty != NULL ? *duty : (struct pel_engine_duty){0};
}

/* Whether it yielded; else the engine may sleep. */
static bool yield_to_program(struct pel_engine *engine)
{
    if (!engine->duty.is_dialogue(engine->duty.arg))
        return false;
    uint64_t before_us = read_clock(engine);
    if (before_us < engine->no_yield_before_us || before_us - engine->last_work_us >= DIALOGUE_US)
        return false;
    sched_yield();
    uint64_t after_us = read_clock(engine);
    if (after_us - before_us > CROWDED_US)
        engine->no_yield_before_us = after_us + NO_YIELD_US;
    return true;
}

static void idle(struct pel_engine *engine, uint32_t num_idle)
{
    if (engine->config.busy_poll)
        return;
    if (engine->duty.poll == NULL) {
        if (num_idle > SPIN_LOOPS)
            sleep_a_little(engine);
    } else if (num_idle > DIALOGUE_LOOPS && !yield_to_program(engine) && num_idle > SPIN_LOOPS_DUTY) {
        sleep_a_little(engine);
    }
}

void pel_engine_run(struct pel_engine *engine)
{
    uint32_t num_idle = 0;
    if (!pthread_equal(engine->thread, pthread_self())) /* others may read it already */
        engine->thread = pthread_self();
    while (!__atomic_load_n(&engine->stopping, __ATOMIC_ACQUIRE)) {
        num_idle = step_quickly(engine) ? 0 : num_idle + 1;
        if (num_idle == 0)
            engine->last_work_us = engine->now_us;
        else
            idle(engine, num_idle);
    }
}

void pel_engine_stop(struct pel_engine *engine)
{
    __atomic_store_n(&engine->stopping, 1, __ATOMIC_SEQ_CST);
    pel_engine_wake(engine);
}

static struct pel_no_rule_port *no_rule_row(struct pel_engine *engine, uint16_t port, bool outbound)
{
    for (size_t i = 0; i < PEL_ENGINE_NO_RULE_PORTS - 1; i++) {
        struct pel_no_rule_port *row = &engine->no_rule[i];
        if (row->count == 0)
            *row = (struct pel_no_rule_port){.port = port, .outbound = outbound, .generation = UINT64_MAX};
        if (row->port == port && row->outbound == outbound)
            return row;
    }
    /* The last row collects, as port 0, what no longer has a row of its own. */
    struct pel_no_rule_port *last = &engine->no_rule[PEL_ENGINE_NO_RULE_PORTS - 1];
    if (last->count == 0)
        last->generation = UINT64_MAX;
    return last;
}

void pel_engine_note_no_rule(struct pel_engine *engine, const struct pel_policy_query *query)
{
    bool outbound = query->direction == PEL_OUTBOUND;
    uint64_t generation = engine->generation != NULL ? engine->generation->number : 0;
    struct pel_no_rule_port *row =
        no_rule_row(engine, outbound ? query->remote.port : query->local.port, outbound);
    pel_count_stat(&engine->counters, PEL_STAT_map_no_rule, 1);
    row->count++;
    if (row->generation == generation)
        return;
    row->generation = generation;
    row->local = query->local;
    row->remote = query->remote;
    snprintf(row->user, sizeof row->user, "%s", query->user != NULL ? query->user : "");
    snprintf(row->job, sizeof row->job, "%s", query->job != NULL ? query->job : "");
    if (engine->config.on_no_rule != NULL)
        engine->config.on_no_rule(engine->config.arg);
}
