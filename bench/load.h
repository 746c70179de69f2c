/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the programs of the bench that run on our stack share: options, a pair of engines with a wire in
 * memory between them (side 1 serves, side 0 is the client), listening, connecting, and the accounting of
 * CPU time.
 *
 *     load_open -> load_listen -> load_call_client(... load_connect ...) -> load_wait_open
 *               -> load_span_begin ... load_span_end -> load_close
 *
 * Failure: what cannot go on is said on stderr and ends the program; connections that end before the
 * measurement is over are counted as failed, said on stderr, and make load_close return 1.
 */
#ifndef PEL_BENCH_LOAD_H
#define PEL_BENCH_LOAD_H

#include <jansson.h>
#include <pellucid/pair.h>

#define LOAD_PORTS     16 /* listening ports: each remote port has local ports for 32,768 connections */
#define LOAD_MAX_LISTS 16
#define LOAD_ASK_LEN   100  /* a request */
#define LOAD_REPLY_LEN 1024 /* and its reply */

struct load_options {
    struct pel_pair_options pair;
    double seconds;   /* of each measurement */
    double warm_up_s; /* before each */
    uint32_t num_conns;
    uint32_t in_flight;
    uint32_t num_rounds;
    uint32_t num_engines;          /* that serve: bench/cores.c */
    uint64_t list[LOAD_MAX_LISTS]; /* --list: message lengths, or stages */
    uint32_t num_list;
    bool up; /* the client sends */
};

struct load {
    struct load_options options;
    struct pel_pair *pair;
    int engine; /* of each side: which one, where there are several */
    struct pel_listener *listeners[LOAD_PORTS];
    pel_accept_fn *on_accept;
    void *arg;
    uint64_t num_open, num_failed; /* of the client's connections: written by its engine */
    bool over;                     /* what ends now, ends because we stop */
};

/* A measured time and what both engines used in it. */
struct load_span {
    uint64_t begin_us;
    struct pel_pair_usage usage[2];
    double seconds; /* after load_span_end */
};

/* load_read reads the options over the defaults in `load->options`; load_start starts the pair; load_open is
 * both. They end the program with a text when they cannot. */
void load_read(struct load *load, int argc, char **argv);
void load_start(struct load *load);
void load_open(struct load *load, int argc, char **argv);

/* load_share makes `load` another engine's of the pair that `first` has started. It is closed before that. */
void load_share(struct load *load, const struct load *first, int engine);

/* load_close stops everything and returns the program's exit status. */
int load_close(struct load *load);

/* load_listen has side 1 listen on LOAD_PORTS ports; `on_accept` gets `arg`. */
void load_listen(struct load *load, pel_accept_fn *on_accept, void *arg);

/* load_connect opens a client's connection to the listening port `number` % LOAD_PORTS. On the client's
 * engine. NULL: it failed, was said, and counted. */
struct pel_conn *load_connect(struct load *load, struct pel_engine *engine, uint32_t number,
                              const struct pel_conn_events *events, void *arg);

/* load_engine returns the engine of a side: 0 the client's, 1 the server's. */
struct pel_engine *load_engine(const struct load *load, int side);

/* load_call runs `fn` on the engine of `side` and waits for it. */
void load_call(struct load *load, int side, void (*fn)(struct pel_engine *engine, void *arg), void *arg);

/* load_wait waits until `*number` has come to `goal`, or a connection has failed, or a minute without any
 * progress; false for the latter two. */
bool load_wait(struct load *load, const uint64_t *number, uint64_t goal);

/* load_failed counts the end of a connection that ought to live and says why; an end after load_stop, or by
 * our own reset, is none. */
void load_failed(struct load *load, enum pel_err err);

/* load_stop: from now on connections may end. */
void load_stop(struct load *load);

/* load_sleep waits for `seconds`. */
void load_sleep(double seconds);

/* load_span_begin and load_span_end measure; load_span_json returns {"seconds", "server": {"cpu_s",
 * "busy_s"}, "client": the same}. */
void load_span_begin(struct load *load, struct load_span *span);
void load_span_end(struct load *load, struct load_span *span);
json_t *load_span_json(const struct load_span *span);

/* load_print prints a JSON object with the library's version added, and releases it. */
void load_print(json_t *json);

/* load_now_ns reads the monotonic clock. */
uint64_t load_now_ns(void);

/* load_add, load_get, load_set: numbers that one thread writes and another reads. */
static inline void load_add(uint64_t *number, uint64_t n)
{
    __atomic_store_n(number, *number + n, __ATOMIC_RELAXED);
}

static inline uint64_t load_get(const uint64_t *number)
{
    return __atomic_load_n(number, __ATOMIC_RELAXED);
}

static inline void load_set(uint64_t *number, uint64_t n)
{
    __atomic_store_n(number, n, __ATOMIC_RELAXED);
}

#endif
