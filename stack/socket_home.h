/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engines as the sockets see them. A home is one engine with what the sockets have attached to it
 * (connections, listeners, UDP ports). Every task and every call goes through a home, which knows how many
 * are under way, so that pel_homes_stop can shut the door, let them finish, end what is attached, and then
 * promise that the engine is not touched again.
 */
#ifndef PEL_STACK_SOCKET_HOME_H
#define PEL_STACK_SOCKET_HOME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"
#include "stack/socket_list.h"
#include <pellucid/engine.h>

struct pel_home {
    struct pel_engine *engine;
    uint32_t num_under_way;   /* atomic: tasks posted and calls made that have not ended */
    uint32_t is_closed;       /* atomic */
    struct pel_list attached; /* of struct pel_attached; the engine's thread only */
};

/* Something on an engine that must end when the sockets stop. */
struct pel_attached {
    struct pel_list link;
    void (*stop)(struct pel_attached *attached); /* on the engine's thread; removes itself from the list */
};

/* All homes of one start, with what every socket needs to know. Lives as long as a socket refers to it. */
struct pel_homes {
    uint32_t refs; /* atomic */
    uint32_t turn; /* atomic: for round-robin */
    uint32_t buffer_len;
    struct pel_clock clock;
    size_t num;
    struct pel_home home[];
};

/* pel_homes_new makes the homes of `engines` with one reference. Errors: NO_MEMORY. */
PEL_MUST_USE enum pel_err pel_homes_new(struct pel_engine *const *engines, size_t num_engines,
                                        uint32_t buffer_len, struct pel_clock clock,
                                        struct pel_homes **ret_homes);

/* pel_homes_ref and pel_homes_unref count references; the last one frees. Any thread. */
struct pel_homes *pel_homes_ref(struct pel_homes *homes);
void pel_homes_unref(struct pel_homes *homes);

/* pel_homes_pick returns the homes in turn. Any thread. */
struct pel_home *pel_homes_pick(struct pel_homes *homes);

/* pel_homes_stop ends everything as described above. Not from an engine's thread. */
void pel_homes_stop(struct pel_homes *homes);

/* pel_home_post posts `task`, whose `run` must call pel_home_done when it has finished; false, and nothing
 * happens, after the stop. Any thread. */
bool pel_home_post(struct pel_home *home, struct pel_task *task);
void pel_home_done(struct pel_home *home);

/* pel_home_call runs `fn` on the engine's thread and waits for it; false, and `fn` is not run, after the
 * stop. Any thread. */
bool pel_home_call(struct pel_home *home, void (*fn)(struct pel_engine *engine, void *arg), void *arg);

#endif
