/* SPDX-License-Identifier: Apache-2.0 */
#include "stack/socket_home.h"

#include <sched.h>
#include <stdlib.h>

enum pel_err pel_homes_new(struct pel_engine *const *engines, size_t num_engines, uint32_t buffer_len,
                           struct pel_clock clock, struct pel_homes **ret_homes)
{
    struct pel_homes *homes = calloc(1, sizeof *homes + num_engines * sizeof homes->home[0]);
    if (homes == NULL)
        return PEL_E_NO_MEMORY;
    homes->refs = 1;
    homes->buffer_len = buffer_len;
    homes->clock = clock;
    homes->num = num_engines;
    for (size_t i = 0; i < num_engines; i++) {
        homes->home[i].engine = engines[i];
        pel_list_init(&homes->home[i].attached);
    }
    *ret_homes = homes;
    return PEL_OK;
}

struct pel_homes *pel_homes_ref(struct pel_homes *homes)
{
    __atomic_fetch_add(&homes->refs, 1, __ATOMIC_RELAXED);
    return homes;
}

void pel_homes_unref(struct pel_homes *homes)
{
    if (__atomic_fetch_sub(&homes->refs, 1, __ATOMIC_ACQ_REL) == 1)
        free(homes);
}

struct pel_home *pel_homes_pick(struct pel_homes *homes)
{
    return &homes->home[__atomic_fetch_add(&homes->turn, 1, __ATOMIC_RELAXED) % homes->num];
}

/* Enters: counted first and the door looked at afterwards, while pel_homes_stop shuts the door first and
 * counts afterwards; both count with a read-modify-write, so one of the two sees the other. */
static bool enter(struct pel_home *home)
{
    __atomic_fetch_add(&home->num_under_way, 1, __ATOMIC_SEQ_CST);
    if (!__atomic_load_n(&home->is_closed, __ATOMIC_SEQ_CST))
        return true;
    pel_home_done(home);
    return false;
}

void pel_home_done(struct pel_home *home)
{
    __atomic_fetch_sub(&home->num_under_way, 1, __ATOMIC_SEQ_CST);
}

bool pel_home_post(struct pel_home *home, struct pel_task *task)
{
    if (!enter(home))
        return false;
    pel_engine_post(home->engine, task);
    return true;
}

bool pel_home_call(struct pel_home *home, void (*fn)(struct pel_engine *engine, void *arg), void *arg)
{
    if (!enter(home))
        return false;
    pel_engine_call(home->engine, fn, arg);
    pel_home_done(home);
    return true;
}

static void stop_attached(struct pel_engine *engine, void *arg)
{
    struct pel_home *home = arg;
    (void)engine;
    while (!pel_list_is_empty(&home->attached)) {
        struct pel_attached *first = PEL_PART_OF(home->attached.next, struct pel_attached, link);
        first->stop(first);
    }
}

static void home_stop(struct pel_home *home)
{
    __atomic_store_n(&home->is_closed, 1, __ATOMIC_SEQ_CST);
    bool is_quiet = false;
    while (!is_quiet) {
        is_quiet = __atomic_fetch_add(&home->num_under_way, 0, __ATOMIC_SEQ_CST) == 0;
        pel_engine_call(home->engine, stop_attached,
                        home); /* also after the last one under way, which may have attached something */
        if (!is_quiet)
            sched_yield();
    }
}

void pel_homes_stop(struct pel_homes *homes)
{
    for (size_t i = 0; i < homes->num; i++)
        home_stop(&homes->home[i]);
}
