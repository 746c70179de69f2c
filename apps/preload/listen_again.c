/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "apps/preload/accept.h"
#include "apps/preload/adopt.h"
#include "apps/preload/decide.h"
#include "apps/preload/options.h"
#include "apps/preload/real.h"
#include "apps/preload/shared.h"
#include "apps/preload/table.h"
#include "apps/preload/wait.h"

#define PAUSE_NS 100000000

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int ask(struct pel_app *app, struct pel_ipc_request *request, struct pel_ipc_reply *ret_reply,
               int *ret_channel)
{
    size_t num_fds = 0;
    int error = pel_daemon_ask_low(app, request, ret_reply, ret_channel, 1, &num_fds);
    return error == 0 && ret_channel != NULL && num_fds != 1 ? EPROTO : error;
}

/* A socket at the new daemon as the old one was: name, options, backlog. */
static int listen_at(struct pel_app *app, const struct pel_file *old, bool is_shared,
                     struct pel_ipc_reply *ret_reply, int *ret_channel)
{
    struct pel_ipc_request request = {.op = PEL_IPC_SOCKET, .family = old->slot->family, .type = SOCK_STREAM};
    struct pel_ipc_reply reply;
    request.local = old->slot->local;
    request.options = old->slot->options;
    /* Processes that shared the listener come one by one, each with a listener of its own now. */
    request.options.is_reuseport |= is_shared;
    int error = ask(app, &request, ret_reply, ret_channel);
    if (error != 0)
        return error;
    request.op = PEL_IPC_LISTEN;
    request.slot = ret_reply->slot;
    request.serial = ret_reply->serial;
    request.value = pel_shared_of(old)->backlog;
    error = ask(app, &request, &reply, NULL);
    if (error != 0)
        pel_raw(SYS_close, *ret_channel, 0, 0, 0, 0, 0);
    return error;
}

static void move_to(struct pel_file *listener, struct pel_app *app, const struct pel_ipc_reply *reply,
                    int channel)
{
    const struct pel_shared *old = pel_shared_of(listener);
    struct pel_slot_options options = listener->slot->options;
    pel_file_point(listener, app, reply->slot, reply->serial);
    struct pel_shared *shared = pel_shared_of(listener);
    listener->slot->options = options;
    shared->backlog = old->backlog;
    shared->recv_timeout_us = old->recv_timeout_us;
    pel_shared_set(listener, __atomic_load_n(&old->flags, __ATOMIC_RELAXED));
    pel_options_of_listener(listener, channel);
    pel_decide_replace(listener, channel);
}

/* Whether it was the daemon's end that ended the channel; asking finds out. */
static bool is_daemon_dead(struct pel_file *listener)
{
    struct pel_ipc_info info;
    if (!__atomic_load_n(&listener->app->is_gone, __ATOMIC_ACQUIRE))
        pel_file_info(listener, &info);
    return __atomic_load_n(&listener->app->is_gone, __ATOMIC_ACQUIRE) != 0;
}

/* 0, or an errno. One thread at a time. */
static int listen_locked(struct pel_file *listener, const struct pel_slot *seen_slot)
{
    struct pel_ipc_reply reply;
    int channel = -1;
    if (listener->slot != seen_slot)
        return 0; /* another thread has done it */
    if (!is_daemon_dead(listener))
        return EINVAL;
    struct pel_app *app = pel_daemon_app();
    int error = app == NULL ? ENETDOWN : listen_at(app, listener, true, &reply, &channel);
    if (error == 0)
        move_to(listener, app, &reply, channel);
    return error;
}

int pel_listen_again(struct pel_file *listener, const struct pel_slot *seen_slot)
{
    struct timespec pause = {.tv_nsec = PAUSE_NS};
    pthread_mutex_lock(&lock);
    int error = listen_locked(listener, seen_slot);
    pthread_mutex_unlock(&lock);
    if (error == 0)
        return 0;
    pel_raw(SYS_nanosleep, (long)&pause, 0, 0, 0, 0, 0);
    return error == EINVAL ? -EINVAL : -EAGAIN;
}

int pel_listen_anew(struct pel_file *listener)
{
    struct pel_app *app = listener->app;
    struct pel_ipc_request close = {
        .op = PEL_IPC_CLOSE, .slot = listener->number, .serial = listener->serial};
    struct pel_ipc_request make = {
        .op = PEL_IPC_SOCKET, .family = listener->slot->family, .type = SOCK_STREAM};
    struct pel_ipc_request name = {.op = PEL_IPC_BIND};
    struct pel_ipc_reply made, reply;
    int channel = -1;
    pthread_mutex_lock(&lock);
    make.options = name.options = listener->slot->options;
    name.local = listener->slot->local;
    name.value = pel_shared_of(listener)->backlog;
    int error = ask(app, &make, &made, &channel);
    if (error == 0) {
        __atomic_fetch_sub(&listener->slot->num_holders, 1, __ATOMIC_ACQ_REL);
        move_to(listener, app, &made, channel);
        ask(app, &close, &reply, NULL);
        name.slot = made.slot;
        name.serial = made.serial;
        error = ask(app, &name, &reply, NULL);
    }
    if (error == 0) {
        name.op = PEL_IPC_LISTEN;
        error = ask(app, &name, &reply, NULL);
    }
    pthread_mutex_unlock(&lock);
    return error;
}

void pel_listen_forked(void)
{
    pthread_mutex_init(&lock, NULL);
}
