/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two engines in one process, each on a thread and a core of its own, on a wire in memory between them: no
 * port, no privileges, no other host. For measuring the stack itself, and for trying the embedded API.
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

struct pel_pair_options {
    const char *policy_files[2]; /* of A and of B; NULL: an empty policy, all in clear */
    const char *keyring_dir;     /* where the policies' keyrings stand; NULL: none */
    int cores[2];                /* which core each engine's thread is bound to; -1: not bound */
    uint32_t mtu;                /* 1280 to 9216; 0: 1500 */
    uint32_t window_len;         /* TCP window and send buffer, 16 KiB to 4 MiB; 0: 1 MiB */
    int busy_poll;               /* not 0: the engines never sleep */
    int no_segment_offload;      /* not 0: the wire carries no frame above the MTU */
};

/* What an engine has used so far. */
struct pel_pair_usage {
    uint64_t cpu_us;     /* CPU time of its thread; with busy_poll its core's whole time */
    uint64_t busy_us;    /* time in loops that found work, measured by the clock that the loop reads anyway */
    uint64_t busy_loops; /* loops that found work */
    uint64_t idle_loops;
};

/* pel_pair_start makes the wire, loads the policies and starts both engines. Errors, with text:
 * POLICY_SYNTAX, POLICY_UNUSABLE (a rule's keyring cannot be used), IO, NO_MEMORY, ARG. Any thread. */
PEL_MUST_USE enum pel_err pel_pair_start(const struct pel_pair_options *options, struct pel_pair **ret_pair,
                                         struct pel_error *reterr);

/* pel_pair_engine returns side 0 (A) or 1 (B). Any thread. */
struct pel_engine *pel_pair_engine(const struct pel_pair *pair, int side);

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
