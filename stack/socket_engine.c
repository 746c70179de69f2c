/* SPDX-License-Identifier: Apache-2.0 */
#include "stack/socket_engine.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "stack/conn_control.h"
#include "stack/socket_errno.h"

#define IN_EVENTS  ((uint32_t)(EPOLLIN | EPOLLRDNORM))
#define OUT_EVENTS ((uint32_t)(EPOLLOUT | EPOLLWRNORM))

static void set_state(struct pel_stream *stream, uint32_t bits, uint32_t events)
{
    __atomic_fetch_or(&stream->state, bits, __ATOMIC_ACQ_REL);
    pel_sock_wake(&stream->sock, events);
}

/* The connection is with us no more. Gives up the reference that it had to the socket. */
static void detach(struct pel_stream *stream, int gone_errno)
{
    stream->conn = NULL;
    pel_list_remove(&stream->attached.link);
    stream->gone_errno = gone_errno;
    set_state(stream, PEL_STREAM_GONE, PEL_EVENTS_ALL);
    pel_sock_unref(&stream->sock);
}

static void abort_conn(struct pel_stream *stream, int gone_errno)
{
    pel_conn_abort(stream->conn);
    detach(stream, gone_errno);
}

static void stop_stream(struct pel_attached *attached)
{
    abort_conn(PEL_PART_OF(attached, struct pel_stream, attached), ECONNRESET);
}

/* Wakes writers when there is room that they asked for: a quarter of the ring, so that they do not come for
 * every segment. */
static void tell_room(struct pel_stream *stream)
{
    if (__atomic_exchange_n(&stream->wants_room, 0, __ATOMIC_SEQ_CST) == 0)
        return;
    if (pel_byte_ring_room(&stream->tx) >= stream->tx.cap / 4)
        pel_sock_wake(&stream->sock, OUT_EVENTS);
    else
        __atomic_store_n(&stream->wants_room, 1,
                         __ATOMIC_SEQ_CST); /* only this thread makes room: none is missed */
}

/* What was written behind a wish for TLS waits until that is granted. */
static const uint8_t *next_to_send(struct pel_stream *stream, uint32_t *ret_len)
{
    const uint8_t *here = pel_byte_ring_peek(&stream->tx, 0, ret_len);
    if (stream->wish != 0 && *ret_len > stream->before_wish_len)
        *ret_len = stream->before_wish_len;
    return here;
}

static void sent(struct pel_stream *stream, uint32_t len)
{
    pel_byte_ring_consume(&stream->tx, len);
    if (stream->wish != 0)
        stream->before_wish_len -= len;
}

/* Hands what the application wrote to the connection. What is left waits for on_open or on_writable. */
static void send_ring(struct pel_stream *stream)
{
    uint32_t here_len = 0;
    const uint8_t *here = next_to_send(stream, &here_len);
    while (here_len > 0) {
        size_t taken_len = 0;
        enum pel_err err = pel_conn_write(stream->conn, here, here_len, &taken_len);
        if (stream->conn == NULL || err == PEL_E_AGAIN || (err == PEL_OK && taken_len == 0))
            return;
        /* Any other error: the connection takes no more, and on_closed says why if it was not us who
         * finished. */
        sent(stream, err == PEL_OK ? (uint32_t)taken_len : here_len);
        here = next_to_send(stream, &here_len);
    }
}

static void close_conn(struct pel_stream *stream)
{
    pel_conn_close(stream->conn);
    detach(stream, ECONNRESET);
}

/* What was written before has left: TLS starts, or stops. What comes of it is on_open, or on_closed. */
static void grant(struct pel_stream *stream)
{
    uint32_t wish = stream->wish;
    if (wish == 0 || stream->before_wish_len > 0)
        return;
    stream->wish = 0;
    if (wish == TTLS_INIT_CONNECTION)
        pel_conn_start_tls(stream->conn, stream->is_start_timeout_allowed);
    else
        pel_conn_stop_tls(stream->conn);
}

/* Moves bytes, then does what waited for them. The caller holds a reference. */
static void progress(struct pel_stream *stream)
{
    if (stream->conn == NULL)
        return;
    if (pel_byte_ring_used(&stream->tx) > 0 && (stream->state & PEL_STREAM_OPEN)) {
        send_ring(stream);
        tell_room(stream);
    }
    if (stream->conn != NULL)
        grant(stream);
    if (pel_byte_ring_used(&stream->tx) > 0 || stream->conn == NULL || stream->wish != 0)
        return;
    if (stream->is_close_asked) {
        close_conn(stream);
    } else if (stream->is_shut_asked && !stream->is_shut_done && (stream->state & PEL_STREAM_OPEN)) {
        stream->is_shut_done = true;
        pel_conn_shutdown(stream->conn);
    }
}

static void on_open(void *arg, struct pel_conn *conn)
{
    struct pel_stream *stream = arg;
    pel_sock_ref(&stream->sock);
    stream->conn = conn;
    pthread_mutex_lock(&stream->sock.lock);
    pel_conn_local(conn, stream->sock.family, &stream->sock.local);
    pthread_mutex_unlock(&stream->sock.lock);
    /* After TLS has started, or stopped, the stream goes on. */
    __atomic_fetch_and(&stream->state, ~(PEL_STREAM_BUSY | PEL_STREAM_EOF), __ATOMIC_ACQ_REL);
    set_state(stream, PEL_STREAM_OPEN, OUT_EVENTS);
    progress(stream);
    pel_sock_unref(&stream->sock);
}

/* Clear text is opened where the application will read it, unless it would have to go round the ring's end.
 */
static uint8_t *on_room(void *arg, struct pel_conn *conn, size_t len)
{
    struct pel_stream *stream = arg;
    uint32_t room_len = 0;
    (void)conn;
    uint8_t *room = pel_byte_ring_reserve(&stream->rx, &room_len);
    return room_len >= len && !stream->is_close_asked ? room : NULL;
}

/* Puts bytes into the ring, or publishes those that are there already. */
static size_t put(struct pel_stream *stream, const uint8_t *bytes, size_t len)
{
    uint32_t room_len = 0;
    if (pel_byte_ring_reserve(&stream->rx, &room_len) != bytes)
        return pel_byte_ring_write(&stream->rx, bytes, len);
    pel_byte_ring_commit(&stream->rx, (uint32_t)len);
    return len;
}

static size_t on_data(void *arg, struct pel_conn *conn, const uint8_t *bytes, size_t len)
{
    struct pel_stream *stream = arg;
    (void)conn;
    if (stream->is_close_asked)
        return len; /* nobody will read it; it must not hold back what we still send */
    if (stream->wish == TTLS_INIT_CONNECTION)
        return 0; /* it is the peer's handshake */
    size_t taken_len = put(stream, bytes, len);
    while (taken_len < len) {
        /* Held first, looked again afterwards: an application that reads in between either is seen here or
         * sees the mark. */
        __atomic_exchange_n(&stream->is_held, 1, __ATOMIC_SEQ_CST);
        if (pel_byte_ring_room(&stream->rx) < stream->rx.cap / 2)
            break;
        __atomic_store_n(&stream->is_held, 0, __ATOMIC_SEQ_CST);
        taken_len += pel_byte_ring_write(&stream->rx, bytes + taken_len, len - taken_len);
    }
    if (taken_len > 0)
        pel_sock_wake(&stream->sock, IN_EVENTS);
    return taken_len;
}

static void on_eof(void *arg, struct pel_conn *conn)
{
    (void)conn;
    set_state(arg, PEL_STREAM_EOF, IN_EVENTS | (uint32_t)(EPOLLRDHUP | EPOLLHUP));
}

static void on_writable(void *arg, struct pel_conn *conn)
{
    struct pel_stream *stream = arg;
    (void)conn;
    pel_sock_ref(&stream->sock);
    progress(stream);
    pel_sock_unref(&stream->sock);
}

static void on_closed(void *arg, struct pel_conn *conn, enum pel_err err)
{
    struct pel_stream *stream = arg;
    (void)conn;
    bool is_connect = !stream->is_accepted && !(stream->state & PEL_STREAM_OPEN);
    int gone_errno = is_connect ? pel_errno_of_call(err) : pel_errno_of_end(err);
    if (is_connect && gone_errno == 0)
        gone_errno = ECONNRESET; /* ended before it was open: not a clean end for who waits to connect */
    detach(stream, gone_errno);
}

static const struct pel_conn_events conn_events = {
    .on_open = on_open,
    .on_data = on_data,
    .on_room = on_room,
    .on_eof = on_eof,
    .on_writable = on_writable,
    .on_closed = on_closed,
};

static uint32_t s_to_ms(uint32_t seconds)
{
    return seconds > UINT32_MAX / 1000 ? UINT32_MAX : seconds * 1000;
}

static void apply_options(struct pel_stream *stream)
{
    pthread_mutex_lock(&stream->sock.lock);
    struct pel_sock_options options = stream->sock.options;
    pthread_mutex_unlock(&stream->sock.lock);
    pel_conn_set_nodelay(stream->conn, options.is_nodelay);
    pel_conn_set_keepalive(stream->conn, options.is_keepalive ? s_to_ms(options.keep_idle_s) : 0,
                           s_to_ms(options.keep_interval_s), options.keep_count);
}

static void resume(struct pel_stream *stream)
{
    if (__atomic_exchange_n(&stream->is_held, 0, __ATOMIC_SEQ_CST))
        pel_conn_resume(stream->conn);
}

/* Does what the application asked for. Each step may end the connection from within. */
static void serve(struct pel_stream *stream, uint32_t bits)
{
    if (stream->conn != NULL && (bits & PEL_ASK_ABORT))
        abort_conn(stream, ECONNRESET);
    if (stream->conn != NULL && (bits & PEL_ASK_OPTIONS))
        apply_options(stream);
    stream->is_shut_asked |= (bits & PEL_ASK_SHUT) != 0;
    stream->is_close_asked |= (bits & PEL_ASK_CLOSE) != 0;
    if (stream->conn != NULL && (bits & PEL_ASK_MAP))
        pel_conn_map(stream->conn, NULL);
    if (stream->conn != NULL && (bits & (PEL_ASK_RESUME | PEL_ASK_CLOSE)))
        resume(stream);
    progress(stream);
}

void pel_stream_kick(struct pel_engine *engine, struct pel_task *task)
{
    struct pel_stream *stream = PEL_PART_OF(task, struct pel_stream, kick);
    struct pel_home *home = stream->home;
    (void)engine;
    /* From here on the task may be posted again; the reference of this post holds until the end. */
    uint32_t bits = __atomic_exchange_n(&stream->asked, 0, __ATOMIC_ACQ_REL);
    serve(stream, bits);
    pel_home_done(home);
    pel_sock_unref(&stream->sock);
}

/* What the application has not read is the peer's handshake. The caller's thread holds rx_lock: here the
 * engine is the ring's only reader. */
static int take_back(struct pel_stream *stream)
{
    struct pel_piece pieces[2] = {{0}};
    uint32_t first_len = 0, second_len = 0, used_len = pel_byte_ring_used(&stream->rx);
    pieces[0].bytes = pel_byte_ring_peek(&stream->rx, 0, &first_len);
    pieces[0].len = first_len;
    pieces[1].bytes = pel_byte_ring_peek(&stream->rx, first_len, &second_len);
    pieces[1].len = second_len;
    if (pel_conn_give_back(stream->conn, pieces, second_len > 0 ? 2 : 1) != PEL_OK)
        return ENOMEM;
    pel_byte_ring_consume(&stream->rx, used_len);
    __atomic_store_n(&stream->is_held, 0, __ATOMIC_SEQ_CST);
    return 0;
}

static int begin_wish(struct pel_stream *stream, uint32_t request)
{
    bool is_init = request & TTLS_INIT_CONNECTION;
    int error = is_init ? take_back(stream) : pel_byte_ring_used(&stream->rx) > 0 ? EPROTO : 0;
    if (error != 0)
        return error;
    stream->wish = is_init ? TTLS_INIT_CONNECTION : TTLS_STOP_CONNECTION;
    stream->is_start_timeout_allowed = request & TTLS_ALLOW_HSTIMEOUT;
    stream->before_wish_len = pel_byte_ring_used(&stream->tx);
    __atomic_fetch_or(&stream->state, PEL_STREAM_BUSY, __ATOMIC_ACQ_REL);
    progress(stream);
    if (stream->conn == NULL)
        return ECONNRESET;
    return stream->state & PEL_STREAM_BUSY ? EINPROGRESS : 0;
}

static int control(struct pel_stream *stream, uint32_t request)
{
    bool asks_only = pel_ttls_only_asks(request);
    if (stream->is_close_asked || (!asks_only && stream->is_shut_asked))
        return EPIPE;
    if (!asks_only && (stream->state & PEL_STREAM_BUSY))
        return EWOULDBLOCK;
    int error = pel_conn_may_control(stream->conn, request);
    if (error != 0 || asks_only)
        return error;
    if (request & (TTLS_INIT_CONNECTION | TTLS_STOP_CONNECTION))
        return begin_wish(stream, request);
    return pel_conn_reset_tls(stream->conn, request);
}

void pel_stream_control(struct pel_engine *engine, void *arg)
{
    struct pel_stream_control_args *args = arg;
    struct pel_stream *stream = args->stream;
    const uint8_t *cert = NULL;
    (void)engine;
    args->error = EPIPE;
    if (stream->conn == NULL)
        return;
    pel_conn_map(stream->conn, NULL);
    if (stream->conn != NULL)
        args->error = control(stream, args->request);
    if (stream->conn == NULL)
        return;
    cert = pel_conn_facts(stream->conn, &args->facts);
    if (stream->state & PEL_STREAM_BUSY)
        args->facts.stat_conn = TTLS_CONN_HS_INPROGRESS;
    if (cert == NULL || !args->wants_cert)
        return;
    args->cert = malloc(args->facts.cert_len);
    if (args->cert == NULL)
        args->error = ENOMEM;
    else
        memcpy(args->cert, cert, args->facts.cert_len);
}

void pel_stream_open(struct pel_engine *engine, void *arg)
{
    struct pel_stream_open_args *args = arg;
    struct pel_stream *stream = args->stream;
    const struct sockaddr *local =
        args->local->ss_family == AF_UNSPEC ? NULL : (const struct sockaddr *)args->local;
    pel_sock_ref(&stream->sock);
    stream->is_shut_asked = stream->is_shut_done = false;
    stream->wish = 0;
    stream->attached.stop = stop_stream;
    args->err = pel_engine_connect(engine, local, local == NULL ? 0 : args->local_len,
                                   (const struct sockaddr *)args->remote, args->remote_len, args->server_name,
                                   NULL, &conn_events, stream, &stream->conn);
    if (args->err != PEL_OK) {
        pel_sock_unref(&stream->sock);
        return;
    }
    pel_list_append(&args->home->attached, &stream->attached.link);
    pthread_mutex_lock(&stream->sock.lock);
    pel_conn_local(stream->conn, stream->sock.family, &stream->sock.local);
    pthread_mutex_unlock(&stream->sock.lock);
    apply_options(stream);
}

/* An IPv4 peer on a socket that wants IPv6 only. */
static bool is_wrong_family(struct pel_stream *listener, const struct sockaddr_storage *remote)
{
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)remote;
    return listener->sock.family == AF_INET6 && listener->sock.options.is_v6only &&
           IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr);
}

/* Puts the new connection into the queue, if there is place. Takes the caller's reference in any case. */
static enum pel_err enqueue(struct pel_listen_port *port, struct pel_stream *stream)
{
    struct pel_stream *listener = port->listener_sock;
    struct pel_acceptor *acceptor = port->acceptor;
    enum pel_err err = PEL_OK;
    pthread_mutex_lock(&listener->sock.lock);
    if (acceptor->num_queued >= __atomic_load_n(&acceptor->backlog, __ATOMIC_RELAXED))
        err = PEL_E_BACKLOG_FULL;
    else if (is_wrong_family(listener, &stream->sock.remote))
        err = PEL_E_ADDRESS_NOT_OURS;
    if (err == PEL_OK) {
        stream->sock.options = listener->sock.options;
        pel_list_append(&acceptor->queue, &stream->queued);
        __atomic_fetch_add(&acceptor->num_queued, 1, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&listener->sock.lock);
    return err;
}

static void attach_accepted(struct pel_listen_port *port, struct pel_stream *stream, struct pel_conn *conn)
{
    stream->home = port->home;
    stream->conn = conn;
    stream->is_accepted = true;
    stream->phase = PEL_PHASE_CONN;
    stream->attached.stop = stop_stream;
    pel_conn_local(conn, stream->sock.family, &stream->sock.local);
    pel_conn_remote(conn, stream->sock.family, &stream->sock.remote);
}

static enum pel_err on_accept(void *arg, struct pel_conn *conn)
{
    struct pel_listen_port *port = arg;
    struct pel_stream *listener = port->listener_sock;
    struct pel_stream *stream = pel_stream_new(listener->sock.family, listener->sock.homes);
    if (stream == NULL)
        return PEL_E_NO_MEMORY;
    attach_accepted(port, stream, conn);
    pel_sock_ref(&stream->sock); /* one for the queue, one for the connection */
    pel_list_append(&port->home->attached, &stream->attached.link);
    enum pel_err err = enqueue(port, stream);
    if (err != PEL_OK) {
        pel_list_remove(&stream->attached.link);
        pel_sock_unref(&stream->sock);
        pel_sock_unref(&stream->sock);
        return err;
    }
    pel_conn_attach(conn, &conn_events, stream);
    apply_options(stream);
    pel_sock_wake(&listener->sock, IN_EVENTS);
    return PEL_OK;
}

static void stop_port(struct pel_attached *attached)
{
    struct pel_listen_port *port = PEL_PART_OF(attached, struct pel_listen_port, attached);
    struct pel_stream *listener = port->listener_sock;
    __atomic_store_n(&port->acceptor->is_stopped, 1, __ATOMIC_RELEASE);
    pel_sock_wake(&listener->sock, PEL_EVENTS_ALL);
    pel_listen_port_close(NULL, port);
}

void pel_listen_port_open(struct pel_engine *engine, void *arg)
{
    struct pel_listen_port_args *args = arg;
    struct pel_listen_port *port = args->port;
    args->err = pel_engine_listen(engine, (const struct sockaddr *)args->address, args->address_len,
                                  args->backlog, on_accept, port, &port->listener);
    if (args->err != PEL_OK)
        return;
    port->attached.stop = stop_port;
    pel_sock_ref(&port->listener_sock->sock);
    pel_list_append(&port->home->attached, &port->attached.link);
    args->address_len = pel_listener_address(port->listener, args->address);
}

void pel_listen_port_close(struct pel_engine *engine, void *arg)
{
    struct pel_listen_port *port = arg;
    (void)engine;
    if (port->listener == NULL)
        return;
    pel_listener_close(port->listener);
    port->listener = NULL;
    pel_list_remove(&port->attached.link);
    pel_sock_unref(&port->listener_sock->sock); /* may free the port */
}
