/* SPDX-License-Identifier: Apache-2.0 */
#include <sys/socket.h>

#include "apps/preload/stream.h"
#include "apps/preload/wait.h"

#define MAX_PAYLOAD_LEN 65507

static bool is_nonblocking(const struct pel_file *file, int flags)
{
    return (flags & MSG_DONTWAIT) || (pel_shared_flags(file) & PEL_SHARED_NONBLOCK);
}

static uint32_t room_len(const struct pel_file *file)
{
    return file->tx.len - pel_stream_unsent(file);
}

/* Room for any datagram, or a quarter of a ring that is too small for one. */
static uint32_t roomy_len(const struct pel_file *file)
{
    uint32_t any_len = pel_datagram_record_len(MAX_PAYLOAD_LEN);
    return any_len < file->tx.len / 2 ? any_len : file->tx.len / 4;
}

static bool has_room(struct pel_file *file, uint32_t need_len)
{
    if (room_len(file) >= need_len)
        return true;
    __atomic_exchange_n(&file->slot->wants_room, 1, __ATOMIC_SEQ_CST);
    return room_len(file) >= need_len;
}

uint32_t pel_dgram_events(struct pel_file *file, uint32_t wanted)
{
    uint32_t events = 0, flags = pel_shared_flags(file);
    if (pel_file_is_dead(file))
        return PEL_IN_EVENTS | PEL_OUT_EVENTS | (uint32_t)POLLERR;
    if (pel_stream_used(file) > 0)
        events |= PEL_IN_EVENTS;
    if ((wanted & PEL_OUT_EVENTS) && has_room(file, roomy_len(file)))
        events |= PEL_OUT_EVENTS;
    if (__atomic_load_n(&file->slot->pending_errno, __ATOMIC_ACQUIRE) != 0)
        events |= (uint32_t)POLLERR;
    if (flags & PEL_SHARED_RD_SHUT)
        events |= PEL_IN_EVENTS | (uint32_t)POLLRDHUP;
    if ((flags & PEL_SHARED_RD_SHUT) && (flags & PEL_SHARED_WR_SHUT))
        events |= (uint32_t)POLLHUP;
    return events;
}

int pel_dgram_take_error(struct pel_file *file)
{
    if (pel_file_is_dead(file))
        return ECONNRESET;
    if (__atomic_load_n(&file->slot->pending_errno, __ATOMIC_ACQUIRE) == 0)
        return 0;
    return (int)__atomic_exchange_n(&file->slot->pending_errno, 0, __ATOMIC_SEQ_CST);
}

/* The header of the record at the tail; false: there is none. Under the receive lock, or as a guess. */
static bool next_header(const struct pel_file *file, struct pel_datagram_header *ret)
{
    uint32_t used_len = pel_stream_used(file);
    if (used_len < sizeof *ret)
        return false;
    uint32_t tail = __atomic_load_n(&file->slot->rx_tail, __ATOMIC_RELAXED);
    pel_ring_copy_out(&file->rx, tail, ret, sizeof *ret);
    return ret->payload_len <= MAX_PAYLOAD_LEN && pel_datagram_record_len(ret->payload_len) <= used_len;
}

uint32_t pel_dgram_next_len(const struct pel_file *file)
{
    struct pel_datagram_header header;
    return next_header(file, &header) ? header.payload_len : 0;
}

static size_t scatter(const struct pel_file *file, uint32_t at, uint32_t len, const struct iovec *iov,
                      size_t num_iov)
{
    size_t done_len = 0;
    for (size_t i = 0; i < num_iov && done_len < len; i++) {
        size_t piece_len = iov[i].iov_len < len - done_len ? iov[i].iov_len : len - done_len;
        pel_ring_copy_out(&file->rx, at + (uint32_t)done_len, iov[i].iov_base, (uint32_t)piece_len);
        done_len += piece_len;
    }
    return done_len;
}

/* Takes the first datagram if there is one; -EAGAIN: there is none. */
static ssize_t take(struct pel_file *file, const struct iovec *iov, size_t num_iov, int flags,
                    union pel_ipc_address *ret_address, int *ret_flags)
{
    struct pel_shared *shared = pel_shared_of(file);
    struct pel_datagram_header header;
    if (!pel_lock_take(&shared->rx_lock))
        return -EAGAIN;
    if (!next_header(file, &header)) {
        pel_lock_give(&shared->rx_lock);
        return -EAGAIN;
    }
    uint32_t tail = __atomic_load_n(&file->slot->rx_tail, __ATOMIC_RELAXED);
    size_t len = scatter(file, tail + (uint32_t)sizeof header, header.payload_len, iov, num_iov);
    if (!(flags & MSG_PEEK)) {
        uint32_t after = tail + pel_datagram_record_len(header.payload_len);
        __atomic_exchange_n(&file->slot->rx_tail, after, __ATOMIC_SEQ_CST);
        if (pel_file_state(file) & PEL_SLOT_HELD)
            pel_file_ask(file, PEL_SLOT_ASK_RESUME);
    }
    pel_lock_give(&shared->rx_lock);
    if (ret_address != NULL)
        *ret_address = header.address;
    if (len < header.payload_len && ret_flags != NULL)
        *ret_flags |= MSG_TRUNC;
    return flags & MSG_TRUNC ? (ssize_t)header.payload_len : (ssize_t)len;
}

ssize_t pel_dgram_recv(struct pel_file *file, const struct iovec *iov, size_t num_iov, int flags,
                       union pel_ipc_address *ret_address, int *ret_flags)
{
    int64_t deadline_us = 0;
    if (flags & MSG_OOB)
        return -EOPNOTSUPP;
    if (flags & MSG_ERRQUEUE)
        return -EAGAIN;
    for (;;) {
        int error = pel_dgram_take_error(file);
        if (error != 0)
            return -error;
        ssize_t len = take(file, iov, num_iov, flags, ret_address, ret_flags);
        if (len != -EAGAIN)
            return len;
        if (is_nonblocking(file, flags)) {
            pel_file_idle(file);
            return -EAGAIN;
        }
        if (pel_shared_flags(file) & PEL_SHARED_RD_SHUT)
            return 0;
        error =
            pel_wait_until(file, PEL_IN_EVENTS, pel_shared_of(file)->recv_timeout_us, false, &deadline_us);
        if (error != 0)
            return error;
    }
}

/* Puts a record into the ring; false: no room. */
static bool put(struct pel_file *file, const struct iovec *iov, size_t num_iov,
                const struct pel_datagram_header *header)
{
    struct pel_slot *slot = file->slot;
    uint32_t record_len = pel_datagram_record_len(header->payload_len);
    if (room_len(file) < record_len)
        return false;
    uint32_t head = __atomic_load_n(&slot->tx_head, __ATOMIC_RELAXED), at = head + (uint32_t)sizeof *header;
    pel_ring_copy_in(&file->tx, head, header, sizeof *header);
    for (size_t i = 0; i < num_iov; i++) {
        pel_ring_copy_in(&file->tx, at, iov[i].iov_base, (uint32_t)iov[i].iov_len);
        at += (uint32_t)iov[i].iov_len;
    }
    __atomic_store_n(&slot->tx_head, head + record_len, __ATOMIC_RELEASE);
    return true;
}

/* 1: sent; 0: no room; or a negative errno. */
static int try_send(struct pel_file *file, const struct iovec *iov, size_t num_iov, int flags,
                    const struct pel_datagram_header *header)
{
    struct pel_shared *shared = pel_shared_of(file);
    int error = pel_dgram_take_error(file);
    if (error != 0)
        return -error;
    if (pel_shared_flags(file) & PEL_SHARED_WR_SHUT)
        return (int)pel_stream_broken(EPIPE, flags);
    if (!pel_lock_take(&shared->tx_lock))
        return -EAGAIN;
    bool is_put = put(file, iov, num_iov, header);
    pel_lock_give(&shared->tx_lock);
    if (is_put)
        pel_file_kick(file);
    return is_put;
}

ssize_t pel_dgram_send(struct pel_file *file, const struct iovec *iov, size_t num_iov, size_t iov_len,
                       int flags, const union pel_ipc_address *address)
{
    struct pel_datagram_header header = {.payload_len = (uint32_t)iov_len};
    int64_t deadline_us = 0;
    if (flags & MSG_OOB)
        return -EOPNOTSUPP;
    if (iov_len > MAX_PAYLOAD_LEN || pel_datagram_record_len((uint32_t)iov_len) > file->tx.len)
        return -EMSGSIZE;
    if (address != NULL)
        header.address = *address;
    else if (pel_shared_of(file)->remote.family == AF_UNSPEC)
        return -EDESTADDRREQ;
    for (;;) {
        int sent = try_send(file, iov, num_iov, flags, &header);
        if (sent != 0)
            return sent < 0 ? sent : (ssize_t)iov_len;
        if (is_nonblocking(file, flags)) {
            if (has_room(file, pel_datagram_record_len((uint32_t)iov_len)))
                continue;
            pel_file_idle(file);
            return -EAGAIN;
        }
        int error =
            pel_wait_until(file, PEL_OUT_EVENTS, pel_shared_of(file)->send_timeout_us, false, &deadline_us);
        if (error != 0)
            return error;
    }
}
