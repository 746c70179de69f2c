/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "stack/socket_address.h"
#include "stack/socket_engine.h"
#include "stack/socket_errno.h"
#include "stack/socket_stream.h"
#include "stack/socket_table.h"
#include "stack/socket_udp.h"
#include <pellucid/socket.h>

/* The range that IANA leaves to such use (RFC 6335 section 6). */
#define FIRST_EPHEMERAL_PORT 49152u
#define NUM_EPHEMERAL_PORTS  (65536u - FIRST_EPHEMERAL_PORT)

/* A DNS name's limit (RFC 1035 section 2.3.4). */
#define MAX_SERVER_NAME_LEN 255

static void set_address(struct pel_sock *sock, struct sockaddr_storage *which,
                        const struct sockaddr_storage *address)
{
    pthread_mutex_lock(&sock->lock);
    *which = *address;
    pthread_mutex_unlock(&sock->lock);
}

int pel_stream_bind(struct pel_stream *stream, const struct sockaddr *address, socklen_t address_len)
{
    struct sockaddr_storage local;
    int error = pel_address_take(stream->sock.family, address, address_len, &local);
    if (error != 0)
        return error;
    pthread_mutex_lock(&stream->setup_lock);
    if (stream->is_bound || pel_stream_phase(stream) != PEL_PHASE_FRESH) {
        error = EINVAL;
    } else {
        stream->is_bound = true;
        set_address(&stream->sock, &stream->sock.local, &local);
    }
    pthread_mutex_unlock(&stream->setup_lock);
    return error;
}

/* A bound socket whose port is still open gets one when somebody asks for its name, and keeps it: a guess,
 * which listen or connect report as EADDRINUSE when it was taken. */
void pel_stream_local(struct pel_stream *stream)
{
    pthread_mutex_lock(&stream->setup_lock);
    if (stream->is_bound && pel_stream_phase(stream) == PEL_PHASE_FRESH) {
        uint16_t guess = 0;
        pel_random_bytes(&guess, sizeof guess);
        pthread_mutex_lock(&stream->sock.lock);
        if (pel_address_port(&stream->sock.local) == 0)
            pel_address_set_port(&stream->sock.local,
                                 (uint16_t)(FIRST_EPHEMERAL_PORT + guess % NUM_EPHEMERAL_PORTS));
        pthread_mutex_unlock(&stream->sock.lock);
    }
    pthread_mutex_unlock(&stream->setup_lock);
}

struct home_args {
    const struct sockaddr_storage *local, *remote;
    bool is_home;
};

static void ask_home(struct pel_engine *engine, void *arg)
{
    struct home_args *args = arg;
    args->is_home =
        pel_engine_is_home(engine, (const struct sockaddr *)args->local, pel_address_len(args->local),
                           (const struct sockaddr *)args->remote, pel_address_len(args->remote));
}

/* The engine for a new connection: any, in turn, which then chooses a port whose answers come to it; with
 * a port that was bound, the one that they come to. */
static struct pel_home *choose_home(struct pel_stream *stream, const struct sockaddr_storage *local,
                                    const struct sockaddr_storage *remote)
{
    struct pel_homes *homes = stream->sock.homes;
    struct home_args args = {.local = local, .remote = remote};
    bool is_free = !stream->is_bound || pel_address_port(local) == 0;
    for (size_t i = 0; i < homes->num && homes->num > 1 && !is_free; i++)
        if (pel_home_call(&homes->home[i], ask_home, &args) && args.is_home)
            return &homes->home[i];
    return pel_homes_pick(homes);
}

/* Asks an engine to open the connection. Under setup_lock; 0 or an errno. */
static int open_conn(struct pel_stream *stream, const struct sockaddr_storage *remote)
{
    struct sockaddr_storage local;
    if (!pel_stream_make_rings(stream))
        return ENOMEM;
    pel_address_copy(&stream->sock, &stream->sock.local, &local);
    if (!stream->is_bound)
        local.ss_family = AF_UNSPEC;
    if (stream->home == NULL)
        stream->home = choose_home(stream, &local, remote);
    struct pel_stream_open_args args = {
        .stream = stream,
        .home = stream->home,
        .local = &local,
        .local_len = pel_address_len(&local),
        .remote = remote,
        .remote_len = pel_address_len(remote),
        .server_name = stream->server_name,
    };
    __atomic_store_n(&stream->state, 0, __ATOMIC_RELEASE);
    __atomic_store_n(&stream->is_error_told, 0, __ATOMIC_RELEASE);
    set_address(&stream->sock, &stream->sock.remote, remote);
    __atomic_store_n(&stream->phase, PEL_PHASE_CONN, __ATOMIC_RELEASE);
    int error = pel_home_call(stream->home, pel_stream_open, &args) ? pel_errno_of_call(args.err) : ENETDOWN;
    if (error != 0)
        __atomic_store_n(&stream->phase, PEL_PHASE_FRESH, __ATOMIC_RELEASE);
    free(stream->server_name);
    stream->server_name = NULL;
    return error;
}

static int begin_fresh(struct pel_stream *stream, const struct sockaddr *address, socklen_t address_len)
{
    struct sockaddr_storage remote;
    int error = pel_address_take(stream->sock.family, address, address_len, &remote);
    if (error != 0)
        return error;
    pthread_mutex_lock(&stream->sock.lock);
    bool is_v6only = stream->sock.options.is_v6only;
    pthread_mutex_unlock(&stream->sock.lock);
    if (is_v6only && pel_address_is_v4_mapped(&remote))
        return ENETUNREACH;
    error = open_conn(stream, &remote);
    return error != 0 ? error : EINPROGRESS;
}

/* What a connect finds: EINPROGRESS, begun now or under way; 0, done; or an errno. Under setup_lock. */
static int begin_connect(struct pel_stream *stream, const struct sockaddr *address, socklen_t address_len,
                         bool is_nonblock)
{
    uint32_t state = pel_stream_state(stream);
    if (__atomic_load_n(&stream->sock.is_closed, __ATOMIC_ACQUIRE))
        return EBADF;
    if (pel_stream_phase(stream) == PEL_PHASE_FRESH)
        return begin_fresh(stream, address, address_len);
    if (pel_stream_phase(stream) == PEL_PHASE_LISTEN || stream->is_accepted || stream->is_connect_told)
        return EISCONN;
    if (state & PEL_STREAM_OPEN)
        return 0;
    if (!(state & PEL_STREAM_GONE))
        return is_nonblock ? EALREADY : EINPROGRESS;
    int error = pel_stream_take_error(stream);
    return error != 0
               ? error
               : begin_fresh(stream, address, address_len); /* it failed, that was told: a new attempt */
}

/* How a connect that was under way ended. */
static int end_connect(struct pel_stream *stream)
{
    uint32_t state = pel_stream_state(stream);
    if (state & PEL_STREAM_OPEN)
        return 0;
    int error = pel_stream_take_error(stream);
    return error != 0 ? error : ECONNABORTED; /* another thread was told the reason */
}

int pel_stream_connect(struct pel_stream *stream, const struct sockaddr *address, socklen_t address_len)
{
    bool is_nonblock = __atomic_load_n(&stream->sock.is_nonblock, __ATOMIC_ACQUIRE);
    pthread_mutex_lock(&stream->setup_lock);
    int error = begin_connect(stream, address, address_len, is_nonblock);
    pthread_mutex_unlock(&stream->setup_lock);
    if (error == EINPROGRESS && !is_nonblock) {
        error = pel_sock_wait(&stream->sock, EPOLLOUT, pel_sock_send_deadline(&stream->sock), NULL, NULL);
        error = error == 0 ? end_connect(stream) : error == EAGAIN ? EINPROGRESS : error;
    }
    if (error == 0) {
        pthread_mutex_lock(&stream->setup_lock);
        stream->is_connect_told = true;
        pthread_mutex_unlock(&stream->setup_lock);
    }
    return error;
}

typedef int address_fn(struct pel_sock *sock, const struct sockaddr *address, socklen_t address_len);

static int bind_any(struct pel_sock *sock, const struct sockaddr *address, socklen_t address_len)
{
    return sock->kind == PEL_SOCK_STREAM ? pel_stream_bind(pel_stream_of(sock), address, address_len)
                                         : pel_dgram_bind(pel_dgram_of(sock), address, address_len);
}

static int connect_any(struct pel_sock *sock, const struct sockaddr *address, socklen_t address_len)
{
    return sock->kind == PEL_SOCK_STREAM ? pel_stream_connect(pel_stream_of(sock), address, address_len)
                                         : pel_dgram_connect(pel_dgram_of(sock), address, address_len);
}

static int with_socket(int fd, address_fn *fn, const struct sockaddr *address, socklen_t address_len)
{
    struct pel_sock *sock = pel_fd_get(fd);
    if (sock == NULL)
        return (int)pel_result(-EBADF);
    int error = sock->kind == PEL_SOCK_EPOLL ? ENOTSOCK : fn(sock, address, address_len);
    pel_sock_unref(sock);
    return (int)pel_result(-error);
}

int pel_bind(int fd, const struct sockaddr *address, socklen_t address_len)
{
    return with_socket(fd, bind_any, address, address_len);
}

int pel_connect(int fd, const struct sockaddr *address, socklen_t address_len)
{
    return with_socket(fd, connect_any, address, address_len);
}

static int set_server_name(struct pel_sock *sock, const char *server_name)
{
    if (sock->kind != PEL_SOCK_STREAM || server_name == NULL)
        return EINVAL;
    size_t len = strnlen(server_name, MAX_SERVER_NAME_LEN + 1);
    if (len == 0 || len > MAX_SERVER_NAME_LEN)
        return EINVAL;
    char *copy = strdup(server_name);
    if (copy == NULL)
        return ENOMEM;
    struct pel_stream *stream = pel_stream_of(sock);
    pthread_mutex_lock(&stream->setup_lock);
    free(stream->server_name);
    stream->server_name = copy;
    pthread_mutex_unlock(&stream->setup_lock);
    return 0;
}

int pel_set_server_name(int fd, const char *server_name)
{
    struct pel_sock *sock = pel_fd_get(fd);
    if (sock == NULL)
        return (int)pel_result(-EBADF);
    int error = set_server_name(sock, server_name);
    pel_sock_unref(sock);
    return (int)pel_result(-error);
}
