/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/preload/stream.h"

#include <limits.h>
#include <signal.h>
#include <sys/socket.h>
#include <time.h>

#include "apps/preload/adopt.h"
#include "apps/preload/table.h"
#include "apps/preload/wait.h"
#include "ipc/raw.h"

#define NUM_IDLE_LOOKS 1024

void pel_file_kick(struct pel_file *file)
{
    struct pel_app *app = file->app;
    uint32_t engine = __atomic_load_n(&file->slot->engine, __ATOMIC_RELAXED);
    if (engine >= app->header.num_engines)
        return;
    struct pel_doorbell *bell = pel_segment_doorbell(app->base, &app->header, engine);
    if (!pel_signal_set_add(&bell->rung, file->number))
        return;
    if (__atomic_load_n(&bell->is_engine_asleep, __ATOMIC_SEQ_CST) != 1 ||
        __atomic_exchange_n(&bell->is_engine_asleep, 0, __ATOMIC_SEQ_CST) != 1)
        return;
    uint64_t one = 1;
    pel_raw(SYS_write, app->bells[engine], (long)&one, sizeof one, 0, 0, 0);
}

void pel_file_ask(struct pel_file *file, uint32_t asked)
{
    __atomic_fetch_or(&file->slot->asked, asked, __ATOMIC_SEQ_CST);
    pel_file_kick(file);
}

void pel_wake_watchers(struct pel_file *file)
{
    if (pel_file_kind(file) == PEL_FILE_DGRAM) /* there who asks for room is told at every look */
        __atomic_exchange_n(&file->slot->wants_room, 1, __ATOMIC_SEQ_CST);
    pel_file_ask(file, PEL_SLOT_ASK_WAKE);
}

void pel_file_idle(struct pel_file *file)
{
    static __thread unsigned num_idle __attribute__((tls_model("initial-exec")));
    (void)file;
    if (++num_idle % NUM_IDLE_LOOKS == 0)
        pel_daemon_look();
}

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int pel_wait_until(struct pel_file *file, uint32_t events, int64_t timeout_us, bool never_restart,
                   int64_t *ret_deadline_us)
{
    int64_t left_us = -1;
    if (timeout_us > 0) {
        int64_t now = now_us();
        if (*ret_deadline_us == 0)
            *ret_deadline_us = now + timeout_us;
        left_us = *ret_deadline_us - now;
        if (left_us <= 0)
            return -EAGAIN;
    }
    int error = pel_wait_for(file, events, left_us, never_restart || timeout_us > 0);
    return error == -ETIMEDOUT ? -EAGAIN : error;
}

static uint32_t used_between(const struct pel_ring *ring, uint32_t head, uint32_t tail)
{
    uint32_t len = 0;
    return pel_ring_used(ring, head, tail, &len) ? len : 0;
}

uint32_t pel_stream_used(const struct pel_file *file)
{
    uint32_t head = __atomic_load_n(&file->slot->rx_head, __ATOMIC_ACQUIRE);
    return used_between(&file->rx, head, __atomic_load_n(&file->slot->rx_tail, __ATOMIC_RELAXED));
}

uint32_t pel_stream_unsent(const struct pel_file *file)
{
    uint32_t tail = __atomic_load_n(&file->slot->tx_tail, __ATOMIC_ACQUIRE);
    return used_between(&file->tx, __atomic_load_n(&file->slot->tx_head, __ATOMIC_RELAXED), tail);
}

/* Whether a writer may write now; when not, the engine will wake for room. */
static bool has_room(struct pel_file *file)
{
    uint32_t need_len = file->tx.len / 4;
    if (file->tx.len - pel_stream_unsent(file) >= need_len)
        return true;
    __atomic_exchange_n(&file->slot->wants_room, 1, __ATOMIC_SEQ_CST);
    return file->tx.len - pel_stream_unsent(file) >= need_len;
}

/* A reset that comes after the peer's end has lost nothing of what it sent: only writers learn of it. */
static int gone_errno(const struct pel_file *file)
{
    if (pel_file_is_dead(file))
        return ECONNRESET;
    int error = (int)__atomic_load_n(&file->slot->gone_errno, __ATOMIC_ACQUIRE);
    return error == ECONNRESET && (pel_file_state(file) & PEL_SLOT_EOF) ? EPIPE : error;
}

static bool is_gone(const struct pel_file *file, uint32_t state)
{
    return (state & PEL_SLOT_GONE) || pel_file_is_dead(file);
}

int pel_file_take_error(struct pel_file *file)
{
    if ((pel_shared_flags(file) & PEL_SHARED_CUT) &&
        (pel_shared_clear(file, PEL_SHARED_CUT) & PEL_SHARED_CUT))
        return ECONNRESET;
    if (!(pel_shared_flags(file) & PEL_SHARED_CONNECTING))
        return 0;
    int error = is_gone(file, pel_file_state(file)) ? gone_errno(file) : 0;
    if (error == 0 || (pel_shared_flags(file) & PEL_SHARED_ERROR_TOLD) ||
        (pel_shared_set(file, PEL_SHARED_ERROR_TOLD) & PEL_SHARED_ERROR_TOLD))
        return 0;
    return error;
}

/* SO_RCVLOWAT, as far as a ring can hold so much before the peer is held back. */
static uint32_t low_water(const struct pel_file *file)
{
    uint32_t len = pel_shared_of(file)->recv_low_water;
    return len < 1 ? 1 : len > file->rx.len / 2 ? file->rx.len / 2 : len;
}

/* Whether bytes may be written, if there is room. */
static bool is_up(uint32_t flags, uint32_t state)
{
    return ((flags & PEL_SHARED_ACCEPTED) || (state & PEL_SLOT_OPEN)) && !(state & PEL_SLOT_BUSY);
}

/* Readiness of a connection, as Linux's tcp_poll has it. */
static uint32_t conn_events(struct pel_file *file, uint32_t wanted)
{
    uint32_t flags = pel_shared_flags(file), state = pel_file_state(file), events = 0;
    if (!(flags & PEL_SHARED_CONNECTING))
        return PEL_OUT_EVENTS | (uint32_t)(POLLHUP | (flags & PEL_SHARED_CUT ? POLLERR : 0));
    if (is_gone(file, state)) {
        /* Not while there is something to read: programs that give up at POLLERR (netcat) would lose what
         * came whole before an end without close_notify. */
        bool is_error =
            gone_errno(file) != 0 && !(flags & PEL_SHARED_ERROR_TOLD) && pel_stream_used(file) == 0;
        return PEL_IN_EVENTS | PEL_OUT_EVENTS | (uint32_t)(POLLRDHUP | POLLHUP | (is_error ? POLLERR : 0));
    }
    bool is_rd_end = (state & PEL_SLOT_EOF) || (flags & PEL_SHARED_RD_SHUT),
         is_wr_shut = flags & PEL_SHARED_WR_SHUT;
    if (is_rd_end)
        events |= PEL_IN_EVENTS | (uint32_t)POLLRDHUP;
    else if (pel_stream_used(file) >= low_water(file))
        events |= PEL_IN_EVENTS;
    if (is_up(flags, state) && (wanted & PEL_OUT_EVENTS) && (is_wr_shut || has_room(file)))
        events |= PEL_OUT_EVENTS;
    if (is_rd_end && is_wr_shut)
        events |= (uint32_t)POLLHUP;
    return events;
}

static uint32_t listener_events(struct pel_file *file)
{
    struct pollfd pfd = {.fd = file->fd, .events = POLLIN};
    if (pel_shared_flags(file) & PEL_SHARED_RD_SHUT)
        return PEL_IN_EVENTS | (uint32_t)(POLLRDHUP | POLLHUP);
    if (pfd.fd < 0 || pel_raw(SYS_poll, (long)&pfd, 1, 0, 0, 0, 0) <= 0)
        return 0;
    return pfd.revents & (POLLIN | POLLHUP | POLLERR) ? PEL_IN_EVENTS : 0;
}

uint32_t pel_file_events(struct pel_file *file, uint32_t wanted)
{
    switch (pel_file_kind(file)) {
    case PEL_FILE_STREAM: pel_file_map(file); return conn_events(file, wanted);
    case PEL_FILE_LISTENER: return listener_events(file);
    case PEL_FILE_DGRAM: return pel_dgram_events(file, wanted);
    case PEL_FILE_UNDECIDED: return PEL_OUT_EVENTS | POLLHUP;
    case PEL_FILE_EPOLL: break;
    }
    return 0;
}

/* As the kernel does for a write to what can no longer be written to. */
ssize_t pel_stream_broken(int error, int flags)
{
    if (error == EPIPE && !(flags & MSG_NOSIGNAL))
        pel_raw(SYS_tgkill, pel_raw(SYS_getpid, 0, 0, 0, 0, 0, 0), pel_raw(SYS_gettid, 0, 0, 0, 0, 0, 0),
                SIGPIPE, 0, 0, 0);
    return -error;
}

/* The result of a call on what is no connection. */
static ssize_t no_connection(struct pel_file *file, int error, int flags)
{
    int cut_error = pel_file_take_error(file);
    return pel_stream_broken(cut_error != 0 ? cut_error : error, flags);
}

/* Copies out what waits at `at`, from `done_len` of the caller's buffers on, at most `len` bytes. */
static void copy_out(const struct pel_file *file, uint32_t at, const struct iovec *iov, size_t num_iov,
                     size_t done_len, uint32_t len)
{
    for (size_t i = 0; i < num_iov && len > 0; i++) {
        size_t skip_len = done_len < iov[i].iov_len ? done_len : iov[i].iov_len;
        size_t piece_len = iov[i].iov_len - skip_len;
        done_len -= skip_len;
        if (piece_len > len)
            piece_len = len;
        pel_ring_copy_out(&file->rx, at, (uint8_t *)iov[i].iov_base + skip_len, (uint32_t)piece_len);
        at += (uint32_t)piece_len;
        len -= (uint32_t)piece_len;
    }
}

/* The tail is moved first and the mark looked at afterwards; the exchange keeps that order. */
void pel_stream_consume(struct pel_file *file, uint32_t tail)
{
    struct pel_slot *slot = file->slot;
    __atomic_exchange_n(&slot->rx_tail, tail, __ATOMIC_SEQ_CST);
    if (__builtin_expect(pel_file_state(file) & PEL_SLOT_HELD, 0) &&
        used_between(&file->rx, __atomic_load_n(&slot->rx_head, __ATOMIC_ACQUIRE), tail) <= file->rx.len / 2)
        pel_file_ask(file, PEL_SLOT_ASK_RESUME);
}

/* Takes up to `max_len`, when `is_peek` from `done_len` of the ring on and leaving it there. */
static ssize_t take(struct pel_file *file, const struct iovec *iov, size_t num_iov, size_t done_len,
                    size_t max_len, int flags)
{
    struct pel_shared *shared = pel_shared_of(file);
    bool is_peek = flags & MSG_PEEK;
    if (!pel_lock_take(&shared->rx_lock))
        return -EAGAIN;
    uint32_t head = __atomic_load_n(&file->slot->rx_head, __ATOMIC_ACQUIRE);
    uint32_t tail =
        __atomic_load_n(&file->slot->rx_tail, __ATOMIC_RELAXED) + (is_peek ? (uint32_t)done_len : 0);
    uint32_t len = used_between(&file->rx, head, tail);
    if (len > max_len - done_len)
        len = (uint32_t)(max_len - done_len);
    if (len > 0) {
        if (!(flags & MSG_TRUNC))
            copy_out(file, tail, iov, num_iov, done_len, len);
        if (!is_peek)
            pel_stream_consume(file, tail + len);
    }
    pel_lock_give(&shared->rx_lock);
    return (ssize_t)len;
}

static bool is_end(const struct pel_file *file, uint32_t state)
{
    return (state & PEL_SLOT_EOF) || is_gone(file, state) || (pel_shared_flags(file) & PEL_SHARED_RD_SHUT);
}

/* Why no byte will come any more, as a result of recv: 0 or a negative errno; 1 when some may come. `state`
 * was read before the ring was found empty. An error is told once, to whoever asks first, and after it comes
 * the end, as the kernel has it: who looks at no error sees no clean end where there was none. */
static ssize_t recv_end(struct pel_file *file, uint32_t state)
{
    if (state & PEL_SLOT_EOF)
        return 0;
    if (is_gone(file, state)) {
        return -pel_file_take_error(file);
    }
    return pel_shared_flags(file) & PEL_SHARED_RD_SHUT ? 0 : 1;
}

/* Nothing is there: what a receive that has `done_len` bytes does now; 0: look again; else its result. */
static int wait_for_bytes(struct pel_file *file, size_t done_len, int flags, int64_t *deadline_us)
{
    if (__atomic_load_n(&file->slot->state, __ATOMIC_RELAXED) & PEL_SLOT_HELD)
        pel_file_ask(file,
                     PEL_SLOT_ASK_RESUME); /* what we wait for may be held back, for want of half a ring */
    /* A peek that waits for more than it has seen is not ready by what it has seen: it looks now and then. */
    if ((flags & MSG_PEEK) && done_len > 0) {
        struct timespec time = {.tv_nsec = 1000000};
        return pel_raw(SYS_nanosleep, (long)&time, 0, 0, 0, 0, 0) == -EINTR ? -EINTR : 0;
    }
    return pel_wait_until(file, PEL_IN_EVENTS | POLLRDHUP, pel_shared_of(file)->recv_timeout_us, done_len > 0,
                          deadline_us);
}

static bool is_nonblocking(const struct pel_file *file, int flags)
{
    return (flags & MSG_DONTWAIT) || (pel_shared_flags(file) & PEL_SHARED_NONBLOCK);
}

static bool is_enough(const struct pel_file *file, size_t done_len, size_t want_len, int flags)
{
    return done_len == want_len || (!(flags & MSG_WAITALL) && done_len >= low_water(file));
}

ssize_t pel_stream_recv(struct pel_file *file, const struct iovec *iov, size_t num_iov, size_t iov_len,
                        int flags)
{
    if (flags & MSG_OOB)
        return -EINVAL;
    if (flags & MSG_ERRQUEUE)
        return -EAGAIN;
    if (!(pel_shared_flags(file) & PEL_SHARED_CONNECTING))
        return no_connection(file, ENOTCONN, flags);
    pel_file_map(file);
    /* A peek cannot see past the ring. */
    size_t want_len = (flags & MSG_PEEK) && iov_len > file->rx.len ? file->rx.len : iov_len, done_len = 0;
    int64_t deadline_us = 0;
    for (;;) {
        uint32_t state = pel_file_state(file);
        ssize_t len = take(file, iov, num_iov, done_len, want_len, flags);
        if (len < 0)
            return done_len > 0 ? (ssize_t)done_len : len;
        done_len += (size_t)len;
        if (iov_len == 0 ? pel_stream_used(file) > 0 : is_enough(file, done_len, want_len, flags))
            return (ssize_t)done_len;
        if (done_len > 0 && is_end(file, state))
            return (ssize_t)done_len; /* why, is for the next call to tell */
        ssize_t end = recv_end(file, state);
        if (end <= 0)
            return end;
        if (is_nonblocking(file, flags)) {
            pel_file_idle(file);
            return done_len > 0 ? (ssize_t)done_len : -EAGAIN;
        }
        int error = wait_for_bytes(file, done_len, flags, &deadline_us);
        if (error != 0)
            return done_len > 0 ? (ssize_t)done_len : error;
    }
}

ssize_t pel_stream_recv_piece(struct pel_file *file, size_t max_len, int flags, pel_piece_fn *fn, void *arg)
{
    struct pel_shared *shared = pel_shared_of(file);
    int64_t deadline_us = 0;
    if (!(pel_shared_flags(file) & PEL_SHARED_CONNECTING))
        return no_connection(file, ENOTCONN, flags);
    pel_file_map(file);
    for (;;) {
        uint32_t state = pel_file_state(file);
        if (!pel_lock_take(&shared->rx_lock))
            return -EAGAIN;
        uint32_t tail = __atomic_load_n(&file->slot->rx_tail, __ATOMIC_RELAXED), len = 0;
        uint32_t used_len = pel_stream_used(file);
        uint8_t *bytes =
            pel_ring_at(&file->rx, tail, used_len < max_len ? used_len : (uint32_t)max_len, &len);
        ssize_t taken_len = len > 0 ? fn(arg, bytes, len) : 0;
        if (taken_len > 0)
            pel_stream_consume(file, tail + (uint32_t)taken_len);
        pel_lock_give(&shared->rx_lock);
        if (len > 0)
            return taken_len;
        ssize_t end = recv_end(file, state);
        if (end <= 0)
            return end;
        if (is_nonblocking(file, flags))
            return -EAGAIN;
        int error = wait_for_bytes(file, 0, 0, &deadline_us);
        if (error != 0)
            return error;
    }
}

/* Copies into the ring from `done_len` of the caller's bytes on; returns how many found room. */
static ssize_t put(struct pel_file *file, const struct iovec *iov, size_t num_iov, size_t done_len)
{
    struct pel_shared *shared = pel_shared_of(file);
    struct pel_slot *slot = file->slot;
    if (!pel_lock_take(&shared->tx_lock))
        return -EAGAIN;
    uint32_t head = __atomic_load_n(&slot->tx_head, __ATOMIC_RELAXED), begin = head;
    uint32_t room_len = file->tx.len - pel_stream_unsent(file);
    for (size_t i = 0; i < num_iov && room_len > 0; i++) {
        size_t skip_len = done_len < iov[i].iov_len ? done_len : iov[i].iov_len;
        size_t piece_len = iov[i].iov_len - skip_len;
        done_len -= skip_len;
        if (piece_len > room_len)
            piece_len = room_len;
        pel_ring_copy_in(&file->tx, head, (const uint8_t *)iov[i].iov_base + skip_len, (uint32_t)piece_len);
        head += (uint32_t)piece_len;
        room_len -= (uint32_t)piece_len;
    }
    __atomic_store_n(&slot->tx_head, head, __ATOMIC_RELEASE);
    pel_lock_give(&shared->tx_lock);
    if (head != begin)
        pel_file_kick(file);
    return (ssize_t)(head - begin);
}

/* Why nothing can be sent any more; an errno, or 0. */
static int send_end(struct pel_file *file)
{
    if (is_gone(file, pel_file_state(file))) {
        int error = pel_file_take_error(file);
        return error != 0 ? error : EPIPE;
    }
    return pel_shared_flags(file) & PEL_SHARED_WR_SHUT ? EPIPE : 0;
}

/* There was no room; 0: look again; else the result of a send that has sent nothing. */
static int wait_for_room(struct pel_file *file, size_t done_len, int flags, int64_t *deadline_us)
{
    if (!is_nonblocking(file, flags))
        return pel_wait_until(file, PEL_OUT_EVENTS, pel_shared_of(file)->send_timeout_us, done_len > 0,
                              deadline_us);
    /* Room that came since the last look has to be used here: no wake-up will tell of it. */
    if ((conn_events(file, PEL_OUT_EVENTS) & PEL_OUT_EVENTS) && !is_gone(file, pel_file_state(file)))
        return 0;
    pel_file_idle(file);
    return -EAGAIN;
}

ssize_t pel_stream_send(struct pel_file *file, const struct iovec *iov, size_t num_iov, size_t iov_len,
                        int flags)
{
    if (!(pel_shared_flags(file) & PEL_SHARED_CONNECTING))
        return no_connection(file, EPIPE, flags);
    if (flags & MSG_OOB)
        return -EOPNOTSUPP;
    pel_file_map(file);
    size_t done_len = 0;
    int64_t deadline_us = 0;
    for (;;) {
        int error = send_end(file);
        if (error != 0)
            return done_len > 0 ? (ssize_t)done_len : pel_stream_broken(error, flags);
        if (is_up(pel_shared_flags(file), pel_file_state(file))) {
            ssize_t len = put(file, iov, num_iov, done_len);
            if (len < 0)
                return done_len > 0 ? (ssize_t)done_len : len;
            done_len += (size_t)len;
        }
        if (done_len == iov_len)
            return (ssize_t)done_len;
        error = wait_for_room(file, done_len, flags, &deadline_us);
        if (error != 0)
            return done_len > 0 ? (ssize_t)done_len : error;
    }
}

/* Fills the free piece of the ring; 1 and the length in `ret_len`: there was room. */
static bool fill_piece(struct pel_file *file, size_t max_len, pel_piece_fn *fn, void *arg, ssize_t *ret_len)
{
    struct pel_slot *slot = file->slot;
    uint32_t head = __atomic_load_n(&slot->tx_head, __ATOMIC_RELAXED), len = 0;
    uint32_t room_len = file->tx.len - pel_stream_unsent(file);
    uint8_t *bytes = pel_ring_at(&file->tx, head, room_len < max_len ? room_len : (uint32_t)max_len, &len);
    if (len == 0)
        return false;
    ssize_t given_len = fn(arg, bytes, len);
    if (given_len > 0)
        __atomic_store_n(&slot->tx_head, head + (uint32_t)given_len, __ATOMIC_RELEASE);
    *ret_len = given_len;
    return true;
}

ssize_t pel_stream_send_piece(struct pel_file *file, size_t max_len, int flags, pel_piece_fn *fn, void *arg)
{
    struct pel_shared *shared = pel_shared_of(file);
    int64_t deadline_us = 0;
    if (!(pel_shared_flags(file) & PEL_SHARED_CONNECTING))
        return no_connection(file, EPIPE, flags);
    pel_file_map(file);
    for (;;) {
        ssize_t len = 0;
        bool is_done = false;
        int error = send_end(file);
        if (error != 0)
            return pel_stream_broken(error, flags);
        if (is_up(pel_shared_flags(file), pel_file_state(file))) {
            if (!pel_lock_take(&shared->tx_lock))
                return -EAGAIN;
            is_done = fill_piece(file, max_len, fn, arg, &len);
            pel_lock_give(&shared->tx_lock);
        }
        if (len > 0)
            pel_file_kick(file);
        if (is_done)
            return len;
        error = wait_for_room(file, 0, flags, &deadline_us);
        if (error != 0)
            return error;
    }
}
