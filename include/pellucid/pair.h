/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two engines in one process, each on a thread and a core of its own, on a wire in memory between them:
 * no port, no privileges, no other host. For measuring the stack itself, and for trying the embedded API.
 *
 * A side may have several engines, which share its addresses: the wire spreads flows over them, and both
 * ends of a flow are engines of the same number. One listens on each engine of a side, and connects on
 * any.
 *
 * Side A is 10.7.0.1 and fd07::1, side B 10.7.0.2 and fd07::2. Each has a policy of its own; the job that
 * conditions see is "a" or "b".
 *
 *     pel_pair_start -> pel_engine_call on either engine to listen and connect -> pel_pair_stop
 */
#ifndef PELLUCID_PAIR_H
#define PELLUCID_PAIR_H

#include <pellucid/engine.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

struct pel_pair;

#define PEL_PAIR_ENGINES_MAX 4

struct pel_pair_options {
    const char *policy_files[2]; /* of A and of B; NULL: an empty policy, all in clear */
    const char *keyring_dir;     /* where the policies' keyrings stand; NULL: none */
    int cores[2];                /* which core each engine's thread is bound to; -1: not bound */
    int num_engines;             /* of each side, 1 to PEL_PAIR_ENGINES_MAX; 0: 1 */
    int more_cores[2][PEL_PAIR_ENGINES_MAX - 1]; /* of the engines behind the first, when there are some */
    uint32_t mtu;                                /* 1280 to 9216; 0: 1500 */
    uint32_t window_len;                         /* TCP window and send buffer, 16 KiB to 4 MiB; 0: 1 MiB */
    int busy_poll;                               /* not 0: the engines never sleep */
    int no_segment_offload;                      /* not 0: the wire carries no frame above the MTU */
};

/* What the engines of a side have used so far. */
struct pel_pair_usage {
    uint64_t cpu_us;     /* CPU time of their threads; with busy_poll their cores' whole time */
    uint64_t busy_us;    /* time in loops that found work, by the processor's cycle counter */
    uint64_t busy_loops; /* loops that found work */
    uint64_t idle_loops;
};

/* pel_pair_start makes the wire, loads the policies and starts both engines. Errors, with text:
 * POLICY_SYNTAX, POLICY_UNUSABLE (a rule's keyring cannot be used), IO, NO_MEMORY, ARG. Any thread. */
PEL_MUST_USE enum pel_err pel_pair_start(const struct pel_pair_options *options, struct pel_pair **ret_pair,
                                         struct pel_error *reterr);

/* pel_pair_engine returns the first engine of side 0 (A) or 1 (B). Any thread. */
struct pel_engine *pel_pair_engine(const struct pel_pair *pair, int side);

/* pel_pair_engine_at returns engine `index` (from 0) of a side. Any thread. */
struct pel_engine *pel_pair_engine_at(const struct pel_pair *pair, int side, int index);

/* pel_pair_usage reads what a side has used. Any thread but the engine's. */
void pel_pair_usage(const struct pel_pair *pair, int side, struct pel_pair_usage *ret_usage);

/* pel_pair_stop resets what is still connected, stops the engines and frees everything. Not from an engine's
 * thread. NULL is harmless. */
void pel_pair_stop(struct pel_pair *pair);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif
#endif
