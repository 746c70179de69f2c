/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listening sockets. Those that share a port (SO_REUSEPORT) share one listener of each engine, and take new
 * connections in turn. An engine makes the socket and leaves a note; the service gives it a slot and a
 * channel and sends it through the listener's channel, where whoever accepts first gets it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <linux/sockios.h>
#include <unistd.h>

#include "stack/engine.h"
#include "stack/serve/parts.h"

/* One engine's part. E. */
struct port_engine {
    struct pel_serve_port *port;
    struct pel_listener *listener;
    size_t turn;
};

struct pel_serve_port {
    uint32_t refs;               /* S */
    struct pel_served **members; /* E of every engine reads; changed while all are held (change_members) */
    size_t num_members;
    struct pel_endpoint local;
    size_t num_engines;
    struct port_engine engines[];
};

/* ---- on an engine ---- */

/* How many have gone into its channel and not come out of it: by the program's count, as far as that can be
 * true. */
static uint32_t num_unaccepted(const struct pel_served *listener)
{
    uint32_t num_sent = __atomic_load_n(&listener->num_sent, __ATOMIC_ACQUIRE);
    uint32_t num = num_sent - __atomic_load_n(&listener->slot->rx_tail, __ATOMIC_ACQUIRE);
    return num > num_sent ? 0 : num;
}

/* A process that died between taking a connection and counting it leaves the count wrong for ever: the
 * service, which may ask the kernel, looks again. As long as its note is on the way the listener is not
 * freed. */
static void say_full(struct pel_served *listener)
{
    __atomic_fetch_add(&listener->num_pending, 1, __ATOMIC_ACQ_REL);
    if (!pel_served_note(listener, PEL_NOTE_FULL))
        __atomic_fetch_sub(&listener->num_pending, 1, __ATOMIC_ACQ_REL);
}

static struct pel_served *next_member(struct port_engine *here)
{
    struct pel_serve_port *port = here->port;
    for (size_t i = 0; i < port->num_members; i++) {
        struct pel_served *listener = port->members[here->turn++ % port->num_members];
        uint32_t backlog = __atomic_load_n(&listener->backlog, __ATOMIC_ACQUIRE);
        uint32_t num_pending = __atomic_load_n(&listener->num_pending, __ATOMIC_ACQUIRE);
        if (num_pending + num_unaccepted(listener) < backlog + listener->app->serve->overflow)
            return listener;
        say_full(listener);
    }
    return NULL;
}

static enum pel_err on_accept(void *arg, struct pel_conn *conn)
{
    struct port_engine *here = arg;
    struct pel_served *listener = next_member(here);
    if (listener == NULL)
        return PEL_E_BACKLOG_FULL;
    struct sockaddr_storage remote;
    pel_conn_remote(conn, listener->family, &remote);
    struct pel_served *served = pel_served_new(listener->app, PEL_SERVED_STREAM, listener->family);
    if (served == NULL)
        return PEL_E_NO_MEMORY;
    served->listener = listener;
    served->home = &listener->app->serve->engines[here - here->port->engines];
    memcpy(served->user, listener->user, sizeof served->user);
    memcpy(served->job, listener->job, sizeof served->job);
    served->pid = listener->pid;
    struct sockaddr_storage local;
    pel_conn_local(conn, listener->family, &local);
    if (pel_endpoint_from_sockaddr((struct sockaddr *)&remote, sizeof remote, &served->peer) != PEL_OK ||
        pel_endpoint_from_sockaddr((struct sockaddr *)&local, sizeof local, &served->name.local) != PEL_OK) {
        pel_served_discard(served);
        return PEL_E_ARG;
    }
    __atomic_fetch_add(&listener->num_pending, 1, __ATOMIC_ACQ_REL);
    pel_served_stream_accept(served, conn);
    pel_served_note(served, PEL_NOTE_NEW);
    return PEL_OK;
}

/* For the start gate, which takes them in turn, too. */
static void owner_of(void *arg, struct pel_identity *ret_who)
{
    struct port_engine *here = arg;
    const struct pel_serve_port *port = here->port;
    *ret_who = (struct pel_identity){0};
    if (port->num_members == 0)
        return;
    const struct pel_served *listener = port->members[here->turn++ % port->num_members];
    *ret_who = (struct pel_identity){.user = listener->user, .job = listener->job, .pid = listener->pid};
}

struct open_args {
    struct port_engine *here;
    uint32_t backlog;
    enum pel_err err;
};

static void open_here(struct pel_engine *engine, void *arg)
{
    struct open_args *args = arg;
    args->err = pel_engine_listen_at(engine, &args->here->port->local, args->backlog, on_accept, args->here,
                                     &args->here->listener);
    if (args->err == PEL_OK)
        pel_listener_set_owner(args->here->listener, owner_of);
}

static void close_here(struct pel_engine *engine, void *arg)
{
    struct port_engine *here = arg;
    (void)engine;
    pel_listener_close(here->listener);
    here->listener = NULL;
}

/* ---- the members of a port ---- */

struct members_args {
    struct pel_serve *serve;
    struct pel_serve_port *port;
    struct pel_served *listener;
    struct pel_served **room; /* for one more; NULL: the listener leaves */
    size_t next;
};

static void change_here(struct members_args *args)
{
    struct pel_serve_port *port = args->port;
    size_t num = 0;
    if (args->room != NULL) {
        for (size_t i = 0; i < port->num_members; i++)
            args->room[i] = port->members[i];
        args->room[port->num_members++] = args->listener;
        port->members = args->room;
        return;
    }
    for (size_t i = 0; i < port->num_members; i++)
        if (port->members[i] != args->listener)
            port->members[num++] = port->members[i];
    port->num_members = num;
}

/* Engine after engine waits here for the next, so that none runs while the members change. */
static void change_members(struct pel_engine *engine, void *arg)
{
    struct members_args *args = arg;
    (void)engine;
    if (args->next < args->serve->num_engines)
        pel_engine_call(args->serve->engines[args->next++].engine, change_members, args);
    else
        change_here(args);
}

static bool add_member(struct pel_served *listener)
{
    struct pel_served **old = listener->port->members;
    struct members_args args = {.serve = listener->app->serve, .port = listener->port, .listener = listener};
    args.room = calloc(listener->port->num_members + 1, sizeof *args.room);
    if (args.room == NULL)
        return false;
    change_members(NULL, &args);
    free(old);
    return true;
}

static void remove_member(struct pel_served *listener)
{
    struct members_args args = {.serve = listener->app->serve, .port = listener->port, .listener = listener};
    change_members(NULL, &args);
}

static void drop_port(struct pel_serve *serve, struct pel_serve_port *port)
{
    if (--port->refs > 0)
        return;
    for (size_t i = 0; i < port->num_engines; i++)
        if (port->engines[i].listener != NULL)
            pel_engine_call(serve->engines[i].engine, close_here, &port->engines[i]);
    free(port->members);
    free(port);
}

/* Where engines listen for it: the wildcard of IPv6 takes IPv4 too, unless it is told not to. */
static struct pel_endpoint place_of(const struct pel_served *served)
{
    struct pel_endpoint place = served->name.local;
    if (place.ip.version == 6 && pel_ip_is_any(&place.ip) && !served->name.is_v6only)
        place.ip = (struct pel_ip){0};
    return place;
}

/* The port of another socket that listens at the same place, or a new one. */
static struct pel_serve_port *find_port(struct pel_serve *serve, const struct pel_endpoint *local)
{
    for (struct pel_list *link = serve->sockets.next; link != &serve->sockets; link = link->next) {
        struct pel_served *other = PEL_PART_OF(link, struct pel_served, link);
        if (other->port != NULL && other->port->local.port == local->port &&
            pel_ip_equal(&other->port->local.ip, &local->ip))
            return other->port;
    }
    return NULL;
}

static enum pel_err open_port(struct pel_serve *serve, const struct pel_endpoint *local, uint32_t backlog,
                              struct pel_serve_port **ret_port)
{
    struct pel_serve_port *port = calloc(1, sizeof *port + serve->num_engines * sizeof port->engines[0]);
    if (port == NULL)
        return PEL_E_NO_MEMORY;
    port->refs = 1;
    port->local = *local;
    port->num_engines = serve->num_engines;
    struct open_args args = {.backlog = backlog};
    for (size_t i = 0; i < serve->num_engines && args.err == PEL_OK; i++) {
        args.here = &port->engines[i];
        args.here->port = port;
        pel_engine_call(serve->engines[i].engine, open_here, &args);
    }
    if (args.err != PEL_OK) {
        drop_port(serve, port);
        return args.err;
    }
    *ret_port = port;
    return PEL_OK;
}

enum pel_err pel_served_listen(struct pel_served *served, uint32_t backlog)
{
    struct pel_serve *serve = served->app->serve;
    backlog = backlog == 0 ? 1 : backlog > PEL_SERVED_BACKLOG_MAX ? PEL_SERVED_BACKLOG_MAX : backlog;
    __atomic_store_n(&served->backlog, backlog, __ATOMIC_RELEASE);
    if (served->port != NULL)
        return PEL_OK; /* listen again: a new backlog */
    const struct pel_endpoint local = place_of(served);
    struct pel_serve_port *port = find_port(serve, &local);
    if (port != NULL)
        port->refs++;
    else
        PEL_TRY(open_port(serve, &local, PEL_SERVED_BACKLOG_MAX, &port));
    served->port = port;
    served->kind = PEL_SERVED_LISTENER;
    served->name.is_listening = true;
    if (add_member(served)) {
        pel_served_set_state(served, PEL_SLOT_LISTENING);
        return PEL_OK;
    }
    served->port = NULL;
    drop_port(serve, port);
    return PEL_E_NO_MEMORY;
}

void pel_served_unlisten(struct pel_served *served)
{
    struct pel_serve *serve = served->app->serve;
    if (served->port != NULL) {
        remove_member(served);
        drop_port(serve, served->port);
    }
    served->port = NULL;
    served->name.is_listening = false;
    if (served->slot != NULL)
        __atomic_fetch_and(&served->slot->state, ~PEL_SLOT_LISTENING, __ATOMIC_SEQ_CST);
    while (!pel_list_is_empty(&served->waiting_accepts)) {
        struct pel_served *child = PEL_PART_OF(served->waiting_accepts.next, struct pel_served, waiting);
        pel_list_remove(&child->waiting);
        __atomic_fetch_sub(&served->num_pending, 1, __ATOMIC_ACQ_REL);
        close(child->theirs);
        pel_served_over(child);
    }
    /* Those of which only a note is on its way still refer to it; the last of them frees it. */
    if (served->is_over && __atomic_load_n(&served->num_pending, __ATOMIC_ACQUIRE) == 0)
        pel_served_free(served);
}

/* ---- to the program ---- */

static void to_ipc(const struct pel_endpoint *endpoint, int family, union pel_ipc_address *ret_address)
{
    struct sockaddr_storage storage = {0};
    pel_endpoint_to_sockaddr(endpoint, family, &storage);
    memcpy(ret_address, &storage, sizeof *ret_address);
}

/* Sends it to its program. False: the listener's channel is full; later. */
static bool send_one(struct pel_served *listener, struct pel_served *child)
{
    struct pel_accepted accepted = {.slot = child->number,
                                    .serial = child->serial,
                                    .local = child->slot->local,
                                    .remote = child->slot->remote};
    int failed = pel_ipc_send(listener->channel, &accepted, sizeof accepted, &child->theirs, 1, MSG_DONTWAIT);
    if (failed == -EAGAIN || failed == -ETOOMANYREFS)
        return false;
    close(child->theirs);
    if (failed == 0)
        __atomic_fetch_add(&listener->num_sent, 1, __ATOMIC_ACQ_REL);
    else
        pel_served_over(child); /* the listener's other end is gone */
    return true;
}

/* Gives it what a program needs to know of it. */
static enum pel_err place(struct pel_served *listener, struct pel_served *child)
{
    PEL_TRY(pel_served_place(child, &child->theirs));
    /* While it lives its port is not to be had without SO_REUSEADDR, also when the listener is gone. */
    pel_serve_name_inherit(listener->app->serve, &child->name, &listener->name);
    to_ipc(&child->name.local, child->family, &child->slot->local);
    to_ipc(&child->peer, child->family, &child->slot->remote);
    child->slot->options = listener->slot->options;
    pel_served_give_slot(child);
    return PEL_OK;
}

static void finish_pending(struct pel_served *listener)
{
    if (__atomic_sub_fetch(&listener->num_pending, 1, __ATOMIC_ACQ_REL) == 0 && listener->is_over)
        pel_served_free(listener);
}

void pel_served_look_again(struct pel_served *listener)
{
    int unread_len = 0;
    if (listener->channel >= 0 && ioctl(listener->channel, SIOCOUTQ, &unread_len) == 0 && unread_len == 0)
        __atomic_store_n(&listener->num_sent, __atomic_load_n(&listener->slot->rx_tail, __ATOMIC_ACQUIRE),
                         __ATOMIC_RELEASE);
    finish_pending(listener);
}

void pel_served_new_conn(struct pel_served *served)
{
    struct pel_served *listener = served->listener;
    served->listener = NULL;
    pel_serve_app_ref(served->app);
    if (listener->is_over || place(listener, served) != PEL_OK) {
        pel_served_over(served);
        finish_pending(listener);
    } else if (pel_list_is_empty(&listener->waiting_accepts) && send_one(listener, served)) {
        finish_pending(listener);
    } else {
        pel_list_append(&listener->waiting_accepts, &served->waiting);
        pel_serve_watch(listener->app->serve, listener->channel, EPOLLIN | EPOLLOUT | EPOLLET, listener);
    }
}

void pel_served_send_waiting(struct pel_served *listener)
{
    while (!pel_list_is_empty(&listener->waiting_accepts)) {
        struct pel_served *child = PEL_PART_OF(listener->waiting_accepts.next, struct pel_served, waiting);
        pel_list_remove(&child->waiting);
        if (!send_one(listener, child)) {
            pel_list_append(listener->waiting_accepts.next, &child->waiting); /* first again */
            return;
        }
        finish_pending(listener);
    }
}
