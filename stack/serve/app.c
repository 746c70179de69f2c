/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "stack/serve/parts.h"

/* ---- users ---- */

struct pel_serve_user *pel_serve_user_get(struct pel_serve *serve, uint32_t uid)
{
    for (struct pel_list *link = serve->users.next; link != &serve->users; link = link->next) {
        struct pel_serve_user *user = PEL_PART_OF(link, struct pel_serve_user, link);
        if (user->uid == uid)
            return user;
    }
    struct pel_serve_user *user = calloc(1, sizeof *user);
    if (user == NULL)
        return NULL;
    user->uid = uid;
    pel_list_append(&serve->users, &user->link);
    return user;
}

/* ---- segments ---- */

static bool make_segment(struct pel_serve_app *app)
{
    app->memfd = memfd_create("pellucid", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (app->memfd < 0 || ftruncate(app->memfd, (off_t)app->header.len) != 0 ||
        fcntl(app->memfd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
        return false;
    void *base =
        mmap(NULL, app->header.len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, app->memfd, 0);
    if (base == MAP_FAILED)
        return false;
    app->base = base;
    *(struct pel_segment_header *)base = app->header;
    return getrandom(app->header.token, sizeof app->header.token, 0) == (ssize_t)sizeof app->header.token &&
           memcpy(((struct pel_segment_header *)base)->token, app->header.token, sizeof app->header.token) !=
               NULL;
}

static bool make_bells(struct pel_serve_app *app)
{
    for (uint32_t i = 0; i < app->header.num_engines; i++) {
        app->bells[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (app->bells[i] < 0)
            return false;
    }
    return true;
}

static void free_app(struct pel_serve_app *app)
{
    pel_list_remove(&app->link);
    for (uint32_t i = 0; i < app->header.num_engines; i++)
        if (app->bells[i] >= 0)
            close(app->bells[i]);
    for (uint32_t i = 0; i < PEL_SEGMENT_WAKERS; i++)
        if (app->waker_fds[i] >= 0)
            close(app->waker_fds[i]);
    if (app->base != NULL)
        munmap(app->base, app->header.len);
    if (app->memfd >= 0)
        close(app->memfd);
    free(app->sockets);
    free(app->free_slots);
    free(app->engines);
    free(app);
}

static struct pel_serve_app *alloc_app(struct pel_serve *serve)
{
    struct pel_serve_app *app = calloc(1, sizeof *app);
    if (app == NULL)
        return NULL;
    const struct pel_config *config = serve->config.config;
    pel_list_init(&app->link);
    app->serve = serve;
    app->refs = 1;
    app->memfd = -1;
    app->header = (struct pel_segment_header){
        .num_engines = (uint32_t)serve->num_engines,
        .num_wakers = PEL_SEGMENT_WAKERS,
        .num_sockets = config->attach.max_sockets,
        .ring_len = config->attach.buffer_len,
        .app = ++serve->next_app,
    };
    app->number = app->header.app;
    pel_segment_lay_out(&app->header);
    memset(app->bells, -1, sizeof app->bells);
    memset(app->waker_fds, -1, sizeof app->waker_fds);
    app->sockets = calloc(app->header.num_sockets, sizeof *app->sockets);
    app->free_slots = calloc(app->header.num_sockets, sizeof *app->free_slots);
    app->engines = calloc(serve->num_engines, sizeof *app->engines);
    if (app->sockets != NULL && app->free_slots != NULL && app->engines != NULL)
        return app;
    free_app(app);
    return NULL;
}

enum pel_err pel_serve_app_new(struct pel_serve *serve, struct pel_serve_user *user,
                               struct pel_serve_app **ret_app)
{
    struct pel_serve_app *app = alloc_app(serve);
    if (app == NULL)
        return pel_count_err(&serve->counters, PEL_E_NO_MEMORY);
    app->user = user;
    if (!make_segment(app) || !make_bells(app)) {
        pel_serve_log(serve, "a program cannot attach: no shared memory: %s", strerror(errno));
        free_app(app);
        return pel_count_err(&serve->counters, PEL_E_IO);
    }
    pel_list_append(&serve->apps, &app->link);
    __atomic_fetch_add(&serve->report.num_applications, 1, __ATOMIC_RELAXED);
    pel_serve_engines_add(app);
    *ret_app = app;
    return PEL_OK;
}

void pel_serve_app_ref(struct pel_serve_app *app)
{
    app->refs++;
}

void pel_serve_app_unref(struct pel_serve_app *app)
{
    if (--app->refs > 0)
        return;
    pel_serve_engines_remove(app);
    __atomic_fetch_sub(&app->serve->report.num_applications, 1, __ATOMIC_RELAXED);
    free_app(app);
}

/* ---- sockets ---- */

struct pel_served *pel_served_new(struct pel_serve_app *app, enum pel_served_kind kind, int family)
{
    struct pel_served *served = calloc(1, sizeof *served);
    if (served == NULL)
        return NULL;
    served->kind = kind;
    served->app = app;
    served->family = family;
    served->channel = -1;
    pel_list_init(&served->link);
    pel_list_init(&served->waiting);
    pel_list_init(&served->waiting_accepts);
    pel_list_init(&served->name.link);
    __atomic_fetch_add(&app->serve->num_served, 1, __ATOMIC_RELAXED);
    return served;
}

void pel_served_discard(struct pel_served *served)
{
    __atomic_fetch_sub(&served->app->serve->num_served, 1, __ATOMIC_RELAXED);
    free(served);
}

static enum pel_err take_slot(struct pel_serve_app *app, uint32_t *ret_number)
{
    const struct pel_config *config = app->serve->config.config;
    if (app->user->num_sockets >= config->attach.max_sockets_per_user)
        return PEL_E_QUOTA;
    if (app->num_free > 0)
        *ret_number = app->free_slots[--app->num_free];
    else if (app->num_used < app->header.num_sockets)
        *ret_number = app->num_used++;
    else
        return PEL_E_QUOTA;
    return PEL_OK;
}

/* A socketpair whose one end stands for the socket in the program. */
static bool make_channel(struct pel_served *served, int *ret_theirs)
{
    int ends[2];
    socklen_t cookie_len = sizeof served->cookie;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
        return false;
    served->channel = ends[0];
    *ret_theirs = ends[1];
    /* Blocking is the program's to decide; of the description that both its copies share. */
    if (fcntl(ends[1], F_SETFL, 0) == 0 &&
        getsockopt(ends[1], SOL_SOCKET, SO_COOKIE, &served->cookie, &cookie_len) == 0 &&
        pel_serve_watch(served->app->serve, ends[0], EPOLLIN | EPOLLET, served))
        return true;
    close(ends[0]);
    close(ends[1]);
    served->channel = -1;
    return false;
}

static void fill_slot(struct pel_served *served, struct pel_slot *slot)
{
    uint32_t serial = slot->serial + 1;
    memset(slot, 0, sizeof *slot);
    slot->serial = served->serial = serial;
    slot->family = (uint16_t)served->family;
    slot->type = served->kind == PEL_SERVED_DGRAM ? SOCK_DGRAM : SOCK_STREAM;
    slot->engine = served->home->index;
    slot->num_holders = 1;
}

enum pel_err pel_served_place(struct pel_served *served, int *ret_channel)
{
    struct pel_serve_app *app = served->app;
    struct pel_serve *serve = app->serve;
    uint32_t number;
    enum pel_err err = take_slot(app, &number);
    if (err != PEL_OK)
        return pel_count_err(&serve->counters, err);
    if (!make_channel(served, ret_channel)) {
        app->free_slots[app->num_free++] = number;
        pel_serve_log(serve, "no channel for a socket: %s", strerror(errno));
        return pel_count_err(&serve->counters, PEL_E_IO);
    }
    struct pel_slot *slot = pel_segment_slot(app->base, &app->header, number);
    fill_slot(served, slot);
    served->number = number;
    served->rx = (struct pel_ring){pel_slot_rx_ring(slot), app->header.ring_len};
    served->tx = (struct pel_ring){pel_slot_tx_ring(slot, app->header.ring_len), app->header.ring_len};
    __atomic_store_n(&served->slot, slot, __ATOMIC_SEQ_CST);
    __atomic_store_n(&app->sockets[number], served, __ATOMIC_RELEASE);
    pel_list_append(&serve->sockets, &served->link);
    app->user->num_sockets++;
    __atomic_fetch_add(&serve->report.num_sockets, 1, __ATOMIC_RELAXED);
    pel_count_stat(&serve->counters, PEL_STAT_served_sockets, 1);
    return PEL_OK;
}

static void pass(struct pel_engine *engine, void *arg)
{
    (void)engine;
    (void)arg;
}

static void release(struct pel_served *served)
{
    struct pel_serve_app *app = served->app;
    pel_serve_name_release(&served->name);
    pel_list_remove(&served->waiting);
    free(served->dgram);
    if (served->slot != NULL) {
        pel_list_remove(&served->link);
        app->free_slots[app->num_free++] = served->number;
        app->user->num_sockets--;
        __atomic_fetch_sub(&app->serve->report.num_sockets, 1, __ATOMIC_RELAXED);
    }
    pel_served_discard(served);
    pel_serve_app_unref(app);
}

void pel_served_free_all(struct pel_serve *serve, struct pel_served *first)
{
    bool is_known = false;
    for (struct pel_served *served = first; served != NULL; served = served->next_note) {
        if (served->slot == NULL)
            continue;
        __atomic_store_n(&served->app->sockets[served->number], NULL, __ATOMIC_SEQ_CST);
        is_known = true;
    }
    /* A doorbell may have brought an engine to one of them just before. When it has come by its mailbox it is
     * with none. */
    for (size_t i = 0; is_known && i < serve->num_engines; i++)
        pel_engine_call(serve->engines[i].engine, pass, NULL);
    for (struct pel_served *served = first, *next; served != NULL; served = next) {
        next = served->next_note;
        release(served);
    }
}

void pel_served_free(struct pel_served *served)
{
    served->next_note = NULL;
    pel_served_free_all(served->app->serve, served);
}

static void end_stream(struct pel_engine *engine, struct pel_task *task)
{
    (void)engine;
    pel_served_stream_over(PEL_PART_OF(task, struct pel_served, over));
}

static void give_up_stream(struct pel_engine *engine, struct pel_task *task)
{
    struct pel_served *served = PEL_PART_OF(task, struct pel_served, give_up);
    (void)engine;
    served->is_abort = true;
    pel_served_stream_over(served);
}

static void post(struct pel_served *served, struct pel_task *task,
                 void (*run)(struct pel_engine *, struct pel_task *))
{
    task->run = run;
    served->num_posted++;
    pel_engine_post(served->app->serve->engines[served->home->index].engine, task);
}

void pel_served_give_up(struct pel_served *served)
{
    if (served->num_posted == 1)
        post(served, &served->give_up, give_up_stream);
}

void pel_served_over(struct pel_served *served)
{
    struct pel_serve *serve = served->app->serve;
    if (served->is_over)
        return;
    served->is_over = true;
    if (served->channel >= 0)
        close(served->channel); /* which takes it out of the epoll set, for we have the only copy */
    served->channel = -1;
    pel_serve_name_release(&served->name);
    uint32_t num_holders =
        served->slot != NULL ? __atomic_load_n(&served->slot->num_holders, __ATOMIC_ACQUIRE) : 1;
    if (served->kind == PEL_SERVED_LISTENER) {
        pel_served_unlisten(served);
    } else if (served->kind == PEL_SERVED_DGRAM) {
        pel_served_dgram_close(served);
        pel_served_free(served);
    } else {
        served->is_abort = num_holders != 0;
        served->over_us = pel_clock_now_us(&serve->clock);
        pel_list_append(&serve->closing, &served->waiting);
        post(served, &served->over, end_stream);
    }
}
