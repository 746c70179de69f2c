/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "stack/held.h"
#include "stack/socket_address.h"
#include "stack/socket_engine.h"
#include "stack/socket_errno.h"
#include "stack/socket_stream.h"
#include "stack/socket_table.h"
#include <pellucid/socket.h>

#define IN_EVENTS   ((uint32_t)(EPOLLIN | EPOLLRDNORM))
#define MAX_BACKLOG 65535

static uint32_t backlog_of(int backlog)
{
    return backlog < 1 ? 1 : backlog > MAX_BACKLOG ? MAX_BACKLOG : (uint32_t)backlog;
}

static struct pel_acceptor *acceptor_new(struct pel_stream *stream, uint32_t backlog)
{
    struct pel_homes *homes = stream->sock.homes;
    struct pel_acceptor *acceptor = calloc(1, sizeof *acceptor + homes->num * sizeof acceptor->ports[0]);
    if (acceptor == NULL)
        return NULL;
    pel_list_init(&acceptor->queue);
    acceptor->backlog = backlog;
    acceptor->num_ports = homes->num;
    for (size_t i = 0; i < homes->num; i++) {
        acceptor->ports[i] =
            (struct pel_listen_port){.home = &homes->home[i], .listener_sock = stream, .acceptor = acceptor};
        pel_list_init(&acceptor->ports[i].attached.link);
    }
    return acceptor;
}

static struct pel_stream *pop_queued(struct pel_stream *listener, struct pel_acceptor *acceptor)
{
    struct pel_stream *stream = NULL;
    pthread_mutex_lock(&listener->sock.lock);
    if (!pel_list_is_empty(&acceptor->queue)) {
        stream = PEL_PART_OF(acceptor->queue.next, struct pel_stream, queued);
        pel_list_remove(&stream->queued);
        __atomic_fetch_sub(&acceptor->num_queued, 1, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&listener->sock.lock);
    return stream;
}

static void drop_queued(struct pel_stream *listener, struct pel_acceptor *acceptor)
{
    struct pel_stream *stream;
    while ((stream = pop_queued(listener, acceptor)) != NULL) {
        pel_stream_ask(stream, PEL_ASK_ABORT);
        pel_sock_unref(&stream->sock);
    }
}

/* False: the stack is stopping, and closes those that are left by itself. */
static bool close_ports(struct pel_acceptor *acceptor)
{
    bool is_closed = true;
    for (size_t i = 0; i < acceptor->num_ports; i++) {
        struct pel_listen_port *port = &acceptor->ports[i];
        is_closed &= pel_home_call(port->home, pel_listen_port_close, port);
    }
    return is_closed;
}

uint32_t pel_acceptor_events(struct pel_stream *listener)
{
    const struct pel_acceptor *acceptor = listener->acceptor;
    if (__atomic_load_n(&acceptor->is_stopped, __ATOMIC_ACQUIRE))
        return IN_EVENTS | (uint32_t)(EPOLLERR | EPOLLHUP);
    if (__atomic_load_n(&acceptor->is_shut, __ATOMIC_ACQUIRE))
        return IN_EVENTS | (uint32_t)(EPOLLRDHUP | EPOLLHUP);
    return __atomic_load_n(&acceptor->num_queued, __ATOMIC_ACQUIRE) > 0 ? IN_EVENTS : 0;
}

void pel_acceptor_close(struct pel_stream *listener)
{
    close_ports(listener->acceptor);
    drop_queued(listener, listener->acceptor);
}

void pel_acceptor_free(struct pel_acceptor *acceptor)
{
    if (acceptor == NULL)
        return;
    /* What came in between a refused close of the ports and the stop's own. */
    while (!pel_list_is_empty(&acceptor->queue)) {
        struct pel_stream *stream = PEL_PART_OF(acceptor->queue.next, struct pel_stream, queued);
        pel_list_remove(&stream->queued);
        pel_sock_unref(&stream->sock);
    }
    free(acceptor);
}

/* Listens on every engine, or on none. The first engine chooses the port, when it is open. */
static int open_ports(struct pel_acceptor *acceptor, struct sockaddr_storage *address, uint32_t backlog)
{
    for (size_t i = 0; i < acceptor->num_ports; i++) {
        struct pel_listen_port *port = &acceptor->ports[i];
        struct pel_listen_port_args args = {
            .port = port, .address = address, .address_len = pel_address_len(address), .backlog = backlog};
        int error =
            pel_home_call(port->home, pel_listen_port_open, &args) ? pel_errno_of_call(args.err) : ENETDOWN;
        if (error != 0)
            return error;
    }
    return 0;
}

/* After the stop the homes may be asked for nothing, the gate included. */
struct gate_args {
    const struct sockaddr_storage *address;
    bool is_open;
};

static void read_gate(struct pel_engine *engine, void *arg)
{
    struct gate_args *args = arg;
    struct pel_endpoint at = {.port = 0};
    args->is_open = pel_engine_gate_open(engine);
    if (!args->is_open && pel_endpoint_from_sockaddr((const struct sockaddr *)args->address,
                                                     sizeof *args->address, &at) == PEL_OK)
        pel_engine_note_held(engine, NULL, PEL_HELD_LISTEN, &at);
}

static int check_gate(struct pel_homes *homes, const struct sockaddr_storage *address)
{
    struct gate_args args = {.address = address};
    if (!pel_home_call(&homes->home[0], read_gate, &args))
        return ENETDOWN;
    return args.is_open ? 0 : EAGAIN;
}

/* Undoes a listen that failed on some engine. */
static void discard(struct pel_stream *stream, struct pel_acceptor *acceptor)
{
    bool is_closed = close_ports(acceptor);
    drop_queued(stream, acceptor);
    if (is_closed)
        pel_acceptor_free(acceptor);
    else
        stream->acceptor =
            acceptor; /* freed with the socket, which the ports refer to; the gate refuses another listen */
}

/* Makes a fresh socket listen; under setup_lock. */
static int listen_fresh(struct pel_stream *stream, uint32_t backlog)
{
    struct sockaddr_storage address;
    if (!stream->is_bound || !pel_address_copy(&stream->sock, &stream->sock.local, &address))
        pel_address_any(stream->sock.family, &address);
    int error = check_gate(stream->sock.homes, &address);
    if (error != 0)
        return error;
    struct pel_acceptor *acceptor = acceptor_new(stream, backlog);
    if (acceptor == NULL)
        return ENOMEM;
    error = open_ports(acceptor, &address, backlog);
    if (error != 0) {
        discard(stream, acceptor);
        return error;
    }
    pthread_mutex_lock(&stream->sock.lock);
    stream->sock.local = address;
    stream->is_bound = true;
    pthread_mutex_unlock(&stream->sock.lock);
    stream->acceptor = acceptor;
    __atomic_store_n(&stream->phase, PEL_PHASE_LISTEN, __ATOMIC_RELEASE);
    pel_sock_wake(&stream->sock, PEL_EVENTS_ALL); /* connections may be there already */
    return 0;
}

static int stream_listen(struct pel_stream *stream, int backlog)
{
    int error = EINVAL;
    pthread_mutex_lock(&stream->setup_lock);
    if (__atomic_load_n(&stream->sock.is_closed, __ATOMIC_ACQUIRE)) {
        error = EBADF;
    } else if (pel_stream_phase(stream) == PEL_PHASE_LISTEN && !stream->acceptor->is_shut) {
        __atomic_store_n(&stream->acceptor->backlog, backlog_of(backlog), __ATOMIC_RELAXED);
        error = 0;
    } else if (pel_stream_phase(stream) == PEL_PHASE_FRESH) {
        error = listen_fresh(stream, backlog_of(backlog));
    }
    pthread_mutex_unlock(&stream->setup_lock);
    return error;
}

int pel_listen(int fd, int backlog)
{
    struct pel_sock *sock = pel_fd_get(fd);
    if (sock == NULL)
        return (int)pel_result(-EBADF);
    int error = sock->kind == PEL_SOCK_STREAM ? stream_listen(pel_stream_of(sock), backlog) : EOPNOTSUPP;
    pel_sock_unref(sock);
    return (int)pel_result(-error);
}

/* Why nothing will come any more; 0: something may. */
static int accept_end(const struct pel_acceptor *acceptor)
{
    if (__atomic_load_n(&acceptor->is_stopped, __ATOMIC_ACQUIRE))
        return ECONNRESET;
    return __atomic_load_n(&acceptor->is_shut, __ATOMIC_ACQUIRE) ? EINVAL : 0;
}

/* The next connection, waited for when the socket blocks; 0 or an errno. */
static int next_accepted(struct pel_stream *listener, struct pel_stream **ret_stream)
{
    struct pel_acceptor *acceptor = listener->acceptor;
    uint64_t deadline_us = 0;
    for (;;) {
        int error = accept_end(acceptor);
        if (error != 0)
            return error;
        struct pel_stream *stream = pop_queued(listener, acceptor);
        if (stream != NULL) {
            *ret_stream = stream;
            return 0;
        }
        if (__atomic_load_n(&listener->sock.is_nonblock, __ATOMIC_ACQUIRE))
            return EAGAIN;
        if (deadline_us == 0)
            deadline_us = pel_sock_recv_deadline(&listener->sock);
        error = pel_sock_wait(&listener->sock, IN_EVENTS, deadline_us, NULL, NULL);
        if (error != 0)
            return error;
    }
}

/* Accepts into the reserved number `fd`; 0 or an errno. */
static int accept_into(int fd, struct pel_stream *listener, struct sockaddr *ret_address,
                       socklen_t *address_len, int flags)
{
    struct pel_stream *stream = NULL;
    int error = next_accepted(listener, &stream);
    if (error != 0)
        return error;
    if (!pel_stream_make_rings(stream)) {
        pel_stream_ask(stream, PEL_ASK_ABORT);
        pel_sock_unref(&stream->sock);
        return ENOMEM;
    }
    stream->sock.is_nonblock = (flags & SOCK_NONBLOCK) != 0;
    pel_address_give(&stream->sock.remote, ret_address, address_len);
    pel_fd_install(fd, &stream->sock);
    return 0;
}

static int accept_on(struct pel_sock *sock, struct sockaddr *ret_address, socklen_t *address_len, int flags)
{
    if (sock->kind != PEL_SOCK_STREAM)
        return -EOPNOTSUPP;
    struct pel_stream *listener = pel_stream_of(sock);
    if (pel_stream_phase(listener) != PEL_PHASE_LISTEN)
        return -EINVAL;
    if (ret_address != NULL && address_len == NULL)
        return -EFAULT;
    int fd = pel_fd_reserve(); /* first, so that a connection is not lost when there is no number for it */
    if (fd < 0)
        return fd;
    int error = accept_into(fd, listener, ret_address, address_len, flags);
    if (error == 0)
        return fd;
    pel_fd_release(fd);
    return -error;
}

int pel_accept4(int fd, struct sockaddr *ret_address, socklen_t *address_len, int flags)
{
    if (flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC))
        return (int)pel_result(-EINVAL);
    struct pel_sock *sock = pel_fd_get(fd);
    if (sock == NULL)
        return (int)pel_result(-EBADF);
    int accepted_fd = accept_on(sock, ret_address, address_len, flags);
    pel_sock_unref(sock);
    return (int)pel_result(accepted_fd);
}

int pel_accept(int fd, struct sockaddr *ret_address, socklen_t *address_len)
{
    return pel_accept4(fd, ret_address, address_len, 0);
}
