/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Wakers in our hands, and what every wait has in common: the count of signal handlers, spinning that adapts,
 * and the sleep that no signal slips past.
 */
#ifndef PEL_PRELOAD_WAKE_H
#define PEL_PRELOAD_WAKE_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "apps/preload/file.h"

/* How often who found no waker, or no place among a socket's watchers, looks. */
#define PEL_NAP_NS 1000000

/* The longest spin, in ticks of the time-stamp counter: 30 to 60 us. */
#define PEL_SPIN_TICKS 125000u

/* One waker of an application, while it is ours. */
struct pel_wake {
    struct pel_app *app;
    struct pel_waker *waker;
    uint32_t number;
    int channel; /* hidden; -1: its daemon has died */
};

/* pel_wake_open takes a waker of `app`, empty and awake. 0 or an errno: ENOSPC, none is free; what the daemon
 * said. Any thread. */
int pel_wake_open(struct pel_wake *ret_wake, struct pel_app *app);

/* pel_wake_close gives it back; nothing watches with it any more. pel_wake_drop closes a forked child's copy
 * of what stays its parent's. */
void pel_wake_close(struct pel_wake *wake);
void pel_wake_drop(struct pel_wake *wake);

/* pel_wake_watch has the socket's changes signalled to the waker; false: all places are taken. A full
 * barrier: what the caller reads of the socket afterwards is as new as the last unsignalled change. Any
 * thread. */
bool pel_wake_watch(const struct pel_wake *wake, struct pel_slot *slot);
void pel_wake_unwatch(const struct pel_wake *wake, struct pel_slot *slot);

/* pel_wake_forget_signals empties the waker's set. */
void pel_wake_forget_signals(const struct pel_wake *wake);

/* pel_wake_fall_asleep asks for a byte on the channel at the next signal; a full barrier. pel_wake_rise takes
 * that back; false: the byte has been sent, or is on its way. */
void pel_wake_fall_asleep(const struct pel_wake *wake);
bool pel_wake_rise(const struct pel_wake *wake);

/* pel_wake_drain takes the bytes from the channel. At its end the daemon has died: marks the application and
 * returns false; the caller drops the channel. Never waits. */
bool pel_wake_drain(struct pel_wake *wake);

/* Whether spinning helps is learned: after each failure twice as many waits go by without. Who owns it says
 * which lock or thread it is under. */
struct pel_spin {
    uint16_t num_skipped, backoff;
};

/* pel_spin_ticks returns how long to spin now, 0: not at all. pel_spin_learn says how it went. */
uint64_t pel_spin_ticks(struct pel_spin *spin);
void pel_spin_learn(struct pel_spin *spin, bool has_helped);

static inline uint64_t pel_ticks(void)
{
    return __builtin_ia32_rdtsc();
}

#define PEL_THREAD_WAKES 4 /* applications whose sockets one thread waits for */

struct pel_thread {
    /* Signal handlers that began on this thread, and those of them without SA_RESTART (signals.c). */
    volatile uint32_t num_handlers, num_final_handlers;
    struct pel_wake wakes[PEL_THREAD_WAKES]; /* app NULL: none */
    struct pel_spin spin;
};

extern __thread struct pel_thread pel_thread __attribute__((tls_model("initial-exec")));

/* Counts the forks that lead to this process: who finds another number than he knew is in a child. */
extern uint32_t pel_fork_generation;

/* pel_thread_wake returns the calling thread's own waker of `app`, or NULL. */
struct pel_wake *pel_thread_wake(struct pel_app *app);

/* Time: nanoseconds of the monotonic clock; PEL_NEVER is later than any. */
#define PEL_NEVER INT64_MAX
int64_t pel_now_ns(void);

/* pel_deadline_ns is when `timeout_ns` from now is over; negative: PEL_NEVER. */
int64_t pel_deadline_ns(int64_t timeout_ns);

/* pel_timeout_left fills the time until `deadline_ns`, but at most `most_ns`, and returns it, or NULL when
 * that is for ever. Never negative. */
struct timespec *pel_timeout_left(struct timespec *ret_left, int64_t deadline_ns, int64_t most_ns);

/* pel_timeout_ns is a timespec or timeval as nanoseconds, -1 for ever (NULL); -EINVAL < -1 when it is none.
 */
int64_t pel_timeout_ns(const struct timespec *timeout);

/* What a wait remembers of its beginning. */
struct pel_interrupts {
    uint32_t num_before;
    bool is_final_only; /* handlers with SA_RESTART do not count */
    /* When the thread is cancelled while it sleeps: gives up what the wait and its caller hold. Not NULL. */
    void (*undo)(void *arg);
    void *undo_arg;
};

struct pel_interrupts pel_interrupts_begin(bool is_final_only, void (*undo)(void *arg), void *undo_arg);
bool pel_interrupts_any(const struct pel_interrupts *interrupts);

/* A system call that sleeps; the argument at `mask_at` is the set of signals, which pel_sleep fills in. */
struct pel_sleep {
    long number, args[6];
    int mask_at;
};

/* pel_sleep makes the call with the signal mask `mask`, or the thread's own when that is NULL: its result or
 * a negative errno; -EINTR too when a handler has run since the wait began, which is looked at with all
 * signals blocked. A point of cancellation: `undo` runs then, and pel_sleep does not return. */
long pel_sleep(struct pel_sleep *sleep, const void *mask, const struct pel_interrupts *interrupts);

/* pel_sleep_poll is pel_sleep in ppoll. */
long pel_sleep_poll(struct pollfd *fds, nfds_t num_fds, const struct timespec *timeout, const void *mask,
                    const struct pel_interrupts *interrupts);

#endif
