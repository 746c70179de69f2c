/* SPDX-License-Identifier: Apache-2.0 */
#include "stack/socket_stream.h"

#include <errno.h>
#include <stdlib.h>

#include "stack/socket_engine.h"

#define IN_EVENTS  ((uint32_t)(EPOLLIN | EPOLLRDNORM))
#define OUT_EVENTS ((uint32_t)(EPOLLOUT | EPOLLWRNORM))

struct pel_stream *pel_stream_of(struct pel_sock *sock)
{
    return PEL_PART_OF(sock, struct pel_stream, sock);
}

enum pel_phase pel_stream_phase(const struct pel_stream *stream)
{
    return (enum pel_phase)__atomic_load_n(&stream->phase, __ATOMIC_ACQUIRE);
}

uint32_t pel_stream_state(const struct pel_stream *stream)
{
    return __atomic_load_n(&stream->state, __ATOMIC_ACQUIRE);
}

static bool is_set(const uint32_t *flag)
{
    return __atomic_load_n(flag, __ATOMIC_ACQUIRE) != 0;
}

bool pel_stream_make_rings(struct pel_stream *stream)
{
    uint32_t cap = stream->sock.homes->buffer_len;
    if (stream->rx.bytes == NULL && pel_byte_ring_init(&stream->rx, cap) != PEL_OK)
        return false;
    return stream->tx.bytes != NULL || pel_byte_ring_init(&stream->tx, cap) == PEL_OK;
}

void pel_stream_ask(struct pel_stream *stream, uint32_t bits)
{
    uint32_t before = __atomic_fetch_or(&stream->asked, bits | PEL_ASK_POSTED, __ATOMIC_ACQ_REL);
    if (before & PEL_ASK_POSTED)
        return; /* under way; it will see our bits */
    pel_sock_ref(&stream->sock);
    if (!pel_home_post(stream->home, &stream->kick))
        pel_sock_unref(&stream->sock); /* the stack has stopped and ends the connection by itself */
}

/* The mapping point (policy-language.md 9.1): the first poll, read or write after accept. */
static void touch(struct pel_sock *sock)
{
    struct pel_stream *stream = pel_stream_of(sock);
    if (!stream->is_accepted || is_set(&stream->is_mapped))
        return;
    if (!__atomic_exchange_n(&stream->is_mapped, 1, __ATOMIC_ACQ_REL))
        pel_stream_ask(stream, PEL_ASK_MAP);
}

/* Whether a writer may write now; when not, the engine will wake for room. */
static bool has_room(struct pel_stream *stream)
{
    if (pel_byte_ring_room(&stream->tx) >= stream->tx.cap / 4)
        return true;
    __atomic_exchange_n(&stream->wants_room, 1, __ATOMIC_SEQ_CST);
    return pel_byte_ring_room(&stream->tx) >= stream->tx.cap / 4;
}

static int pending_error(const struct pel_stream *stream)
{
    return (pel_stream_state(stream) & PEL_STREAM_GONE) && !is_set(&stream->is_error_told)
               ? stream->gone_errno
               : 0;
}

int pel_stream_take_error(struct pel_stream *stream)
{
    int error = pending_error(stream);
    if (error == 0 || __atomic_exchange_n(&stream->is_error_told, 1, __ATOMIC_ACQ_REL))
        return 0;
    return error;
}

static bool may_write(const struct pel_stream *stream, uint32_t state)
{
    return (stream->is_accepted || (state & PEL_STREAM_OPEN)) && !(state & PEL_STREAM_BUSY);
}

/* Readiness of a connection, as Linux's tcp_poll has it. */
static uint32_t conn_events(struct pel_stream *stream)
{
    uint32_t state = pel_stream_state(stream), events = 0;
    if (state & PEL_STREAM_GONE)
        return IN_EVENTS | OUT_EVENTS |
               (uint32_t)(EPOLLRDHUP | EPOLLHUP | (pending_error(stream) ? EPOLLERR : 0));
    bool is_wr_shut = is_set(&stream->is_wr_shut);
    bool is_end = (state & PEL_STREAM_EOF) || is_set(&stream->is_rd_shut);
    if (is_end)
        events |= IN_EVENTS | (uint32_t)EPOLLRDHUP;
    else if (pel_byte_ring_used(&stream->rx) > 0)
        events |= IN_EVENTS;
    if (may_write(stream, state) && (is_wr_shut || has_room(stream)))
        events |= OUT_EVENTS;
    if (is_end && is_wr_shut)
        events |= (uint32_t)EPOLLHUP;
    return events;
}

static uint32_t stream_events(struct pel_sock *sock)
{
    struct pel_stream *stream = pel_stream_of(sock);
    switch (pel_stream_phase(stream)) {
    case PEL_PHASE_CONN: return conn_events(stream);
    case PEL_PHASE_LISTEN: return pel_acceptor_events(stream);
    case PEL_PHASE_FRESH: break;
    }
    return OUT_EVENTS | (uint32_t)EPOLLHUP;
}

static void stream_close(struct pel_sock *sock)
{
    struct pel_stream *stream = pel_stream_of(sock);
    pthread_mutex_lock(&stream->setup_lock);
    if (pel_stream_phase(stream) == PEL_PHASE_LISTEN) {
        pel_acceptor_close(stream);
    } else if (pel_stream_phase(stream) == PEL_PHASE_CONN) {
        pthread_mutex_lock(&sock->lock);
        bool is_reset = sock->options.is_linger && sock->options.linger_s == 0;
        pthread_mutex_unlock(&sock->lock);
        pel_stream_ask(stream, is_reset ? PEL_ASK_ABORT : PEL_ASK_CLOSE);
    }
    pthread_mutex_unlock(&stream->setup_lock);
}

static void stream_free(struct pel_sock *sock)
{
    struct pel_stream *stream = pel_stream_of(sock);
    pel_acceptor_free(stream->acceptor);
    pel_byte_ring_fini(&stream->rx);
    pel_byte_ring_fini(&stream->tx);
    pthread_mutex_destroy(&stream->setup_lock);
    pthread_mutex_destroy(&stream->rx_lock);
    pthread_mutex_destroy(&stream->tx_lock);
    free(stream->server_name);
    pel_sock_fini(sock);
    free(stream);
}

static const struct pel_sock_ops stream_ops = {
    .events = stream_events,
    .touch = touch,
    .close = stream_close,
    .free = stream_free,
};

struct pel_stream *pel_stream_new(int family, struct pel_homes *homes)
{
    /* The rings' indices are aligned to cache lines, more than calloc promises. */
    size_t size = (sizeof(struct pel_stream) + 63) & ~(size_t)63;
    struct pel_stream *stream = aligned_alloc(64, size);
    if (stream == NULL)
        return NULL;
    *stream = (struct pel_stream){.kick = {.run = pel_stream_kick}};
    pel_sock_init(&stream->sock, &stream_ops, PEL_SOCK_STREAM, family, homes);
    pthread_mutex_init(&stream->setup_lock, NULL);
    pthread_mutex_init(&stream->rx_lock, NULL);
    pthread_mutex_init(&stream->tx_lock, NULL);
    pel_list_init(&stream->queued);
    pel_list_init(&stream->attached.link);
    return stream;
}

/* Copies out what waits, from `done_len` of the caller's buffers on; with `is_peek` from `done_len` of the
 * ring and leaving it there. */
static size_t copy_out(struct pel_stream *stream, const struct iovec *iov, int num_iov, size_t done_len,
                       bool is_peek)
{
    size_t skip_len = done_len, copied_len = 0;
    for (int i = 0; i < num_iov; i++) {
        size_t at = skip_len < iov[i].iov_len ? skip_len : iov[i].iov_len;
        skip_len -= at;
        size_t want_len = iov[i].iov_len - at;
        if (want_len == 0)
            continue;
        uint32_t ring_at = is_peek ? (uint32_t)(done_len + copied_len) : 0;
        uint32_t now_len =
            pel_byte_ring_copy(&stream->rx, ring_at, (uint8_t *)iov[i].iov_base + at, want_len);
        if (!is_peek)
            pel_byte_ring_consume(&stream->rx, now_len);
        copied_len += now_len;
        if (now_len < want_len)
            break;
    }
    return copied_len;
}

static size_t take(struct pel_stream *stream, const struct iovec *iov, int num_iov, size_t done_len,
                   bool is_peek)
{
    pthread_mutex_lock(&stream->rx_lock);
    size_t taken_len = copy_out(stream, iov, num_iov, done_len, is_peek);
    pthread_mutex_unlock(&stream->rx_lock);
    /* The tail is moved first and the mark looked at afterwards; a read-modify-write keeps that order. */
    if (taken_len > 0 && !is_peek && __atomic_fetch_add(&stream->is_held, 0, __ATOMIC_SEQ_CST) &&
        pel_byte_ring_room(&stream->rx) >= stream->rx.cap / 2)
        pel_stream_ask(stream, PEL_ASK_RESUME);
    return taken_len;
}

struct more_than {
    struct pel_stream *stream;
    size_t len;
};

static bool has_more_than(struct pel_sock *sock, void *arg)
{
    const struct more_than *more = arg;
    uint32_t end = PEL_STREAM_EOF | PEL_STREAM_GONE;
    (void)sock;
    return pel_byte_ring_used(&more->stream->rx) > more->len || (pel_stream_state(more->stream) & end) ||
           is_set(&more->stream->is_rd_shut);
}

/* Sleeps until the ring has more than `seen_len` bytes, or nothing will come. */
static int wait_for_bytes(struct pel_stream *stream, size_t seen_len, uint64_t deadline_us)
{
    struct more_than more = {.stream = stream, .len = seen_len};
    if (is_set(&stream->is_held))
        pel_stream_ask(stream,
                       PEL_ASK_RESUME); /* what we wait for may be held back, for want of half a ring */
    return pel_sock_wait(&stream->sock, IN_EVENTS | (uint32_t)EPOLLRDHUP, deadline_us, has_more_than, &more);
}

/* Why no byte will come any more, as a result of recv: 0 or a negative errno; 1 when some may come. `state`
 * was read before the ring was found empty. An error stays, so that an end without close_notify can never be
 * taken for the end of the stream. */
static ssize_t recv_end(struct pel_stream *stream, uint32_t state)
{
    if (state & PEL_STREAM_EOF)
        return 0;
    if ((state & PEL_STREAM_GONE) && stream->gone_errno != 0) {
        pel_stream_take_error(stream);
        return -stream->gone_errno;
    }
    return (state & PEL_STREAM_GONE) || is_set(&stream->is_rd_shut) ? 0 : 1;
}

/* Receives up to `want_len`, not less unless it must when `is_all`. */
static ssize_t recv_loop(struct pel_stream *stream, const struct iovec *iov, int num_iov, size_t want_len,
                         int flags)
{
    bool is_peek = flags & MSG_PEEK, is_all = flags & MSG_WAITALL;
    bool is_nonblock = (flags & MSG_DONTWAIT) || is_set(&stream->sock.is_nonblock);
    uint64_t deadline_us = 0;
    size_t done_len = 0;
    for (;;) {
        uint32_t state = pel_stream_state(stream);
        done_len += take(stream, iov, num_iov, done_len, is_peek);
        if (done_len == want_len || (done_len > 0 && !is_all))
            return (ssize_t)done_len;
        ssize_t end = recv_end(stream, state);
        if (end <= 0)
            return done_len > 0 ? (ssize_t)done_len : end;
        if (is_nonblock)
            return done_len > 0 ? (ssize_t)done_len : -EAGAIN;
        if (deadline_us == 0)
            deadline_us = pel_sock_recv_deadline(&stream->sock);
        int error = wait_for_bytes(stream, is_peek ? done_len : 0, deadline_us);
        if (error != 0)
            return done_len > 0 && error != EBADF ? (ssize_t)done_len : -error;
    }
}

ssize_t pel_stream_recv(struct pel_stream *stream, const struct iovec *iov, int num_iov, size_t iov_len,
                        int flags)
{
    if (pel_stream_phase(stream) != PEL_PHASE_CONN)
        return -ENOTCONN;
    touch(&stream->sock);
    if (iov_len == 0)
        return 0;
    /* A peek cannot see past the ring. */
    size_t cap = (flags & MSG_PEEK) && iov_len > stream->rx.cap ? stream->rx.cap : iov_len;
    return recv_loop(stream, iov, num_iov, cap, flags);
}

/* Copies into the ring from `done_len` of the caller's bytes on. */
static size_t put(struct pel_stream *stream, const struct iovec *iov, int num_iov, size_t done_len)
{
    size_t skip_len = done_len, put_len = 0;
    pthread_mutex_lock(&stream->tx_lock);
    for (int i = 0; i < num_iov; i++) {
        size_t at = skip_len < iov[i].iov_len ? skip_len : iov[i].iov_len;
        skip_len -= at;
        size_t want_len = iov[i].iov_len - at;
        if (want_len == 0)
            continue;
        uint32_t now_len = pel_byte_ring_write(&stream->tx, (const uint8_t *)iov[i].iov_base + at, want_len);
        put_len += now_len;
        if (now_len < want_len)
            break;
    }
    pthread_mutex_unlock(&stream->tx_lock);
    if (put_len > 0)
        pel_stream_ask(stream, PEL_ASK_SEND);
    return put_len;
}

/* Why nothing can be sent any more; an errno, or 0. */
static int send_end(struct pel_stream *stream)
{
    if (pel_stream_state(stream) & PEL_STREAM_GONE) {
        int error = pel_stream_take_error(stream);
        return error != 0 ? error : EPIPE;
    }
    return is_set(&stream->is_wr_shut) ? EPIPE : 0;
}

static ssize_t send_loop(struct pel_stream *stream, const struct iovec *iov, int num_iov, size_t want_len,
                         bool is_nonblock)
{
    uint64_t deadline_us = 0;
    size_t done_len = 0;
    for (;;) {
        int error = send_end(stream);
        if (error != 0)
            return done_len > 0 ? (ssize_t)done_len : -error;
        if (may_write(stream, pel_stream_state(stream)))
            done_len += put(stream, iov, num_iov, done_len);
        if (done_len == want_len)
            return (ssize_t)done_len;
        if (is_nonblock) {
            /* Room that came since the last look has to be used here: no wake-up will tell of it. */
            if ((conn_events(stream) & OUT_EVENTS) && !(pel_stream_state(stream) & PEL_STREAM_GONE))
                continue;
            return done_len > 0 ? (ssize_t)done_len : -EAGAIN;
        }
        if (deadline_us == 0)
            deadline_us = pel_sock_send_deadline(&stream->sock);
        error = pel_sock_wait(&stream->sock, OUT_EVENTS, deadline_us, NULL, NULL);
        if (error != 0)
            return done_len > 0 && error != EBADF ? (ssize_t)done_len : -error;
    }
}

ssize_t pel_stream_send(struct pel_stream *stream, const struct iovec *iov, int num_iov, size_t iov_len,
                        int flags)
{
    if (pel_stream_phase(stream) != PEL_PHASE_CONN)
        return -EPIPE;
    touch(&stream->sock);
    return send_loop(stream, iov, num_iov, iov_len,
                     (flags & MSG_DONTWAIT) || is_set(&stream->sock.is_nonblock));
}

static int shutdown_conn(struct pel_stream *stream, int how)
{
    uint32_t state = pel_stream_state(stream), events = 0;
    if ((state & PEL_STREAM_GONE) || !(stream->is_accepted || (state & PEL_STREAM_OPEN)))
        return ENOTCONN;
    if (how != SHUT_WR) {
        __atomic_store_n(&stream->is_rd_shut, 1, __ATOMIC_SEQ_CST);
        events |= IN_EVENTS | (uint32_t)EPOLLRDHUP;
    }
    if (how != SHUT_RD && !__atomic_exchange_n(&stream->is_wr_shut, 1, __ATOMIC_SEQ_CST)) {
        touch(&stream->sock); /* the end is sent as policy says: close_notify and FIN, or FIN */
        pel_stream_ask(stream, PEL_ASK_SHUT);
        events |= OUT_EVENTS;
    }
    pel_sock_wake(&stream->sock, events | (uint32_t)EPOLLHUP);
    return 0;
}

static int shutdown_listener(struct pel_stream *stream, int how)
{
    if (how == SHUT_WR)
        return ENOTCONN;
    __atomic_store_n(&stream->acceptor->is_shut, 1, __ATOMIC_SEQ_CST);
    pel_acceptor_close(stream);
    pel_sock_wake(&stream->sock, PEL_EVENTS_ALL);
    return 0;
}

int pel_stream_shutdown(struct pel_stream *stream, int how)
{
    if (how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR)
        return EINVAL;
    int error = ENOTCONN;
    pthread_mutex_lock(&stream->setup_lock);
    if (pel_stream_phase(stream) == PEL_PHASE_CONN)
        error = shutdown_conn(stream, how);
    else if (pel_stream_phase(stream) == PEL_PHASE_LISTEN)
        error = shutdown_listener(stream, how);
    pthread_mutex_unlock(&stream->setup_lock);
    return error;
}
