/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Serves programs of other processes: those that are started with pel run (apps/preload) attach over a Unix
 * socket, share a segment of memory (ipc/segment.h) with the daemon, and have their sockets here.
 *
 *     program                service thread (service.c)                engine thread (duty.c)
 *     request, reply    ->   requests.c: slots, names, channels   ->   open, listen: pel_engine_call
 *     rings, doorbell   ------------------------------------------->   stream.c, dgram.c: moves bytes
 *     waker, its byte   <-------------------------------------------   wakes whoever watches the socket
 *     accepted          <-   accept.c: a slot and a channel       <-   a note: there is a new connection
 *     channel ends      ->   the socket is over                   ->   close or reset; a note: done
 *
 * The service thread owns applications, clients, names and slots; an engine owns what stands between the
 * rings and its connections. They talk by pel_engine_call and tasks one way, by notes the other way.
 *
 * Programs are hostile: every word of a segment is read once, checked and never believed twice; what cannot
 * be true resets that one socket and is counted (RING_CORRUPT). A program that dies leaves channels without
 * another end, which is how the service hears of it, and its peers get resets.
 */
#ifndef PEL_STACK_SERVE_SERVE_H
#define PEL_STACK_SERVE_SERVE_H

#include <pellucid/engine.h>

#include "base/clock.h"
#include "base/counters.h"
#include "stack/config.h"

/* The thread's name: what restricts the daemon leaves it the look at other processes. */
#define PEL_SERVE_THREAD "pel-serve"

struct pel_serve;

struct pel_serve_config {
    const struct pel_config *config; /* its `attach` section; borrowed */
    struct pel_engine *const *engines;
    size_t num_engines;
    /* With a full backlog the kernel goes on to let connections wait, half open, until the program accepts or
     * their patience ends. Ours wait complete, so many beyond the backlog of each listener; what comes then
     * is reset. 0: 8192. */
    uint32_t overflow;
    /* How long what a program wrote before it closed may take to be delivered; then its connection is reset.
     * 0: 60000. */
    uint32_t patience_ms;
    void (*log)(void *arg, const char *line); /* from the service thread */
    void *arg;
    /* For tests that have everything on one thread, the engines' too: there is no service thread, its owner
     * calls pel_serve_turn; and pel_serve_stop calls `wait` where it waits for the engines. NULL: a thread.
     */
    void (*wait)(void *arg);
    const struct pel_clock *clock; /* NULL: the real one */
};

/* pel_serve_start makes the attach socket and the service thread. The engines must run, and until
 * pel_serve_stop. Not from an engine's thread. Errors, with text: EXISTS (a live daemon answers there), IO,
 * NO_MEMORY, ARG. */
PEL_MUST_USE enum pel_err pel_serve_start(const struct pel_serve_config *config, struct pel_serve **ret_serve,
                                          struct pel_error *reterr);

/* pel_serve_turn does what there is to do and returns. For a service without a thread, on its owner's. */
void pel_serve_turn(struct pel_serve *serve);

/* pel_serve_stop resets what is connected, lets go of every program (which sees ECONNRESET), removes the
 * attach socket and frees. Not from an engine's thread. NULL is harmless. */
void pel_serve_stop(struct pel_serve *serve);

/* What there is now. */
struct pel_serve_report {
    uint64_t num_applications, num_clients, num_sockets;
};

/* pel_serve_get_report tells what there is, and adds the service's counters to `counters`. Any thread. */
void pel_serve_get_report(struct pel_serve *serve, struct pel_serve_report *ret_report,
                          struct pel_counters *counters);

#endif
