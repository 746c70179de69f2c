/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an engine does for programs, once a loop: looks at the doorbells of those that have rung lately. The
 * others ring a bell, an eventfd, which is looked at every few microseconds, and wakes a sleeping engine.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ipc/raw.h"
#include "stack/serve/parts.h"
#include "stack/engine.h"

/* How often a busy engine looks for bells; after which silence a program must ring: cycles, 3 GHz or so. */
#define BELLS_CYCLES  60000u
#define SILENT_CYCLES 15000000u
#define BELLS_AT_ONCE 64

/* So many times in a row from one socket: a dialogue. */
#define KICKS_OF_DIALOGUE 8

/* ---- doorbells ---- */

static void kick(void *arg, uint32_t number)
{
    struct pel_serve_app_engine *share = arg;
    struct pel_served *served = __atomic_load_n(&share->app->sockets[number], __ATOMIC_ACQUIRE);
    struct pel_serve_engine *here = &share->app->serve->engines[share - share->app->engines];
    if (served == NULL || served->home != here)
        return; /* of a socket that is gone, or of none: a program may ring what it likes */
    here->num_kicks_alone = served == here->last_kicked ? here->num_kicks_alone + 1 : 0;
    here->last_kicked = served;
    if (served->kind == PEL_SERVED_STREAM)
        pel_served_stream_kick(served);
    else if (served->kind == PEL_SERVED_DGRAM)
        pel_served_dgram_kick(served);
}

static bool answer(struct pel_serve_app_engine *share, uint64_t now_cycles)
{
    if (pel_signal_set_is_empty(&share->doorbell->rung))
        return false;
    share->last_rung_cycles = now_cycles;
    return pel_signal_set_take(&share->doorbell->rung, share->app->header.num_sockets, kick, share) > 0;
}

static void let_sleep(struct pel_serve_engine *here, struct pel_serve_app_engine *share)
{
    __atomic_store_n(&share->doorbell->is_engine_asleep, 1, __ATOMIC_SEQ_CST);
    if (!pel_signal_set_is_empty(&share->doorbell->rung)) {
        __atomic_store_n(&share->doorbell->is_engine_asleep, 0, __ATOMIC_SEQ_CST);
        return;
    }
    pel_list_remove(&share->link);
    pel_list_append(&here->asleep, &share->link);
    share->is_awake = false;
}

static void wake_share(struct pel_serve_engine *here, struct pel_serve_app_engine *share, uint64_t now_cycles)
{
    if (share->is_awake)
        return;
    __atomic_store_n(&share->doorbell->is_engine_asleep, 0, __ATOMIC_SEQ_CST);
    pel_list_remove(&share->link);
    pel_list_append(&here->awake, &share->link);
    share->is_awake = true;
    share->last_rung_cycles = now_cycles;
}

static void look_at_bells(struct pel_serve_engine *here, uint64_t now_cycles)
{
    struct epoll_event events[BELLS_AT_ONCE];
    here->next_bells_cycles = now_cycles + BELLS_CYCLES;
    int num = epoll_wait(here->bells_fd, events, BELLS_AT_ONCE, 0);
    for (int i = 0; i < num; i++)
        wake_share(here, events[i].data.ptr, now_cycles);
}

static bool poll_programs(void *arg)
{
    struct pel_serve_engine *here = arg;
    uint64_t now_cycles = pel_cycles();
    bool worked = false;
    /* 0: after a sleep, which a bell may have ended that must not end the next one too. */
    if (here->next_bells_cycles == 0 ||
        (now_cycles >= here->next_bells_cycles && !pel_list_is_empty(&here->asleep)))
        look_at_bells(here, now_cycles);
    for (struct pel_list *link = here->awake.next, *next; link != &here->awake; link = next) {
        struct pel_serve_app_engine *share = PEL_PART_OF(link, struct pel_serve_app_engine, link);
        next = link->next;
        if (answer(share, now_cycles))
            worked = true;
        else if (share->has_bell && now_cycles - share->last_rung_cycles > SILENT_CYCLES)
            let_sleep(here, share);
    }
    return worked;
}

static bool may_sleep(void *arg)
{
    struct pel_serve_engine *here = arg;
    bool is_quiet = true;
    for (struct pel_list *link = here->awake.next; link != &here->awake; link = link->next) {
        struct pel_serve_app_engine *share = PEL_PART_OF(link, struct pel_serve_app_engine, link);
        __atomic_store_n(&share->doorbell->is_engine_asleep, 1, __ATOMIC_SEQ_CST);
        is_quiet &= pel_signal_set_is_empty(&share->doorbell->rung);
    }
    return is_quiet;
}

static void woke(void *arg)
{
    struct pel_serve_engine *here = arg;
    for (struct pel_list *link = here->awake.next; link != &here->awake; link = link->next)
        __atomic_store_n(&PEL_PART_OF(link, struct pel_serve_app_engine, link)->doorbell->is_engine_asleep, 0,
                         __ATOMIC_SEQ_CST);
    here->next_bells_cycles = 0;
}

static bool is_dialogue(void *arg)
{
    const struct pel_serve_engine *here = arg;
    return here->num_kicks_alone >= KICKS_OF_DIALOGUE;
}

/* ---- start and stop ---- */

static void set_duty(struct pel_engine *engine, void *arg)
{
    struct pel_serve_engine *here = arg;
    const struct pel_engine_duty duty = {.poll = poll_programs,
                                         .may_sleep = may_sleep,
                                         .woke = woke,
                                         .is_dialogue = is_dialogue,
                                         .fd = here->bells_fd,
                                         .arg = here};
    pel_engine_set_duty(engine, &duty);
}

static void unset_duty(struct pel_engine *engine, void *arg)
{
    (void)arg;
    pel_engine_set_duty(engine, NULL);
}

enum pel_err pel_serve_engines_start(struct pel_serve *serve, struct pel_error *reterr)
{
    for (size_t i = 0; i < serve->num_engines; i++) {
        struct pel_serve_engine *here = &serve->engines[i];
        here->bells_fd = epoll_create1(EPOLL_CLOEXEC);
        here->scratch = malloc(serve->config.config->attach.buffer_len);
        if (here->bells_fd < 0 || here->scratch == NULL)
            return pel_error_set(reterr, PEL_E_NO_MEMORY, "attach: engine %zu: %s", i, strerror(errno));
        pel_engine_call(here->engine, set_duty, here);
    }
    return PEL_OK;
}

void pel_serve_engines_stop(struct pel_serve *serve)
{
    for (size_t i = 0; i < serve->num_engines; i++) {
        struct pel_serve_engine *here = &serve->engines[i];
        pel_engine_call(here->engine, unset_duty, NULL);
        if (here->bells_fd >= 0)
            close(here->bells_fd);
        free(here->scratch);
    }
}

static void add_share(struct pel_engine *engine, void *arg)
{
    struct pel_serve_app_engine *share = arg;
    struct pel_serve_engine *here = &share->app->serve->engines[share - share->app->engines];
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = share};
    (void)engine;
    pel_list_append(&here->awake, &share->link);
    share->is_awake = true;
    share->last_rung_cycles = pel_cycles();
    /* One whose bell cannot be heard is looked at every loop. Sleeps are short. */
    share->has_bell = epoll_ctl(here->bells_fd, EPOLL_CTL_ADD, share->app->bells[here->index], &event) == 0;
}

static void remove_share(struct pel_engine *engine, void *arg)
{
    struct pel_serve_app_engine *share = arg;
    struct pel_serve_engine *here = &share->app->serve->engines[share - share->app->engines];
    (void)engine;
    pel_list_remove(&share->link);
    epoll_ctl(here->bells_fd, EPOLL_CTL_DEL, share->app->bells[here->index], NULL);
}

void pel_serve_engines_add(struct pel_serve_app *app)
{
    for (size_t i = 0; i < app->serve->num_engines; i++) {
        app->engines[i].app = app;
        app->engines[i].doorbell = pel_segment_doorbell(app->base, &app->header, (uint32_t)i);
        pel_engine_call(app->serve->engines[i].engine, add_share, &app->engines[i]);
    }
}

void pel_serve_engines_remove(struct pel_serve_app *app)
{
    for (size_t i = 0; i < app->serve->num_engines; i++)
        pel_engine_call(app->serve->engines[i].engine, remove_share, &app->engines[i]);
}

/* ---- to the program, and to the service ---- */

/* Whether the waker did not know of the socket yet: then it may have to be woken. */
static bool signal_one(struct pel_served *served, uint32_t watcher)
{
    const struct pel_serve_app *app = served->app;
    if (watcher == 0 || watcher > app->header.num_wakers)
        return false;
    return pel_signal_set_add(&pel_segment_waker(app->base, &app->header, watcher - 1)->ready,
                              served->number);
}

static void wake_one(struct pel_serve_app *app, uint32_t waker_number)
{
    struct pel_waker *waker = pel_segment_waker(app->base, &app->header, waker_number);
    if (__atomic_load_n(&waker->is_asleep, __ATOMIC_SEQ_CST) == 0 ||
        __atomic_exchange_n(&waker->is_asleep, 0, __ATOMIC_SEQ_CST) == 0)
        return;
    int fd = __atomic_load_n(&app->waker_fds[waker_number], __ATOMIC_ACQUIRE);
    /* A full channel wakes as well as one more byte; one without another end has nobody to wake. */
    if (fd >= 0)
        pel_raw(SYS_sendto, fd, (long)"", 1, MSG_DONTWAIT | MSG_NOSIGNAL, 0, 0);
}

/* All are told before the first is woken: a thread that runs at once, perhaps on this very core, must not
 * find a change that another waker of its own hears of only later, as one more edge. */
void pel_served_wake(struct pel_served *served)
{
    struct pel_slot *slot = __atomic_load_n(&served->slot, __ATOMIC_ACQUIRE);
    uint32_t watchers[PEL_WATCHERS];
    int num = 0;
    if (slot == NULL)
        return;
    /* What there is to see was published before; whoever begins to watch looks again afterwards. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    for (int i = 0; i < PEL_WATCHERS; i++) {
        watchers[num] = __atomic_load_n(&slot->watchers[i], __ATOMIC_SEQ_CST);
        num += signal_one(served, watchers[num]);
    }
    for (int i = 0; i < num; i++)
        wake_one(served->app, watchers[i] - 1);
}

void pel_served_set_state(struct pel_served *served, uint32_t bits)
{
    struct pel_slot *slot = __atomic_load_n(&served->slot, __ATOMIC_SEQ_CST);
    if (slot == NULL)
        return;
    __atomic_fetch_or(&slot->state, bits, __ATOMIC_SEQ_CST);
    pel_served_wake(served);
}

bool pel_served_note(struct pel_served *served, uint32_t bits)
{
    struct pel_serve *serve = served->app->serve;
    uint64_t one = 1;
    if (__atomic_fetch_or(&served->noted, bits, __ATOMIC_ACQ_REL) != 0)
        return false; /* it is on the stack already, or the service has not looked at its bits yet */
    struct pel_served *first = __atomic_load_n(&serve->notes, __ATOMIC_RELAXED);
    do {
        served->next_note = first;
    } while (!__atomic_compare_exchange_n(&serve->notes, &first, served, true, __ATOMIC_RELEASE,
                                          __ATOMIC_RELAXED));
    if (first == NULL && write(serve->note_fd, &one, sizeof one) < 0 && errno != EAGAIN)
        abort(); /* an eventfd of our own */
    return true;
}
