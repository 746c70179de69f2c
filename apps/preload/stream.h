/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes and datagrams through a socket's rings, and its readiness. Results are lengths or negative errnos.
 */
#ifndef PEL_PRELOAD_STREAM_H
#define PEL_PRELOAD_STREAM_H

#include <errno.h>
#include <poll.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "apps/preload/shared.h"
#include "ipc/raw.h"

#define PEL_IN_EVENTS  ((uint32_t)(POLLIN | POLLRDNORM))
#define PEL_OUT_EVENTS ((uint32_t)(POLLOUT | POLLWRNORM))

static inline uint32_t pel_file_state(const struct pel_file *file)
{
    return __atomic_load_n(&file->slot->state, __ATOMIC_ACQUIRE);
}

static inline bool pel_file_is_dead(const struct pel_file *file)
{
    return __builtin_expect(__atomic_load_n(&file->app->is_gone, __ATOMIC_ACQUIRE) != 0, 0);
}

/* pel_file_ask sets bits of the slot's `asked` and has the engine look. */
void pel_file_ask(struct pel_file *file, uint32_t asked);

/* pel_file_sign says which process it is that connects, or has an accepted socket mapped. */
static inline void pel_file_sign(struct pel_file *file)
{
    uint32_t pid = (uint32_t)pel_raw(SYS_getpid, 0, 0, 0, 0, 0, 0);
    __atomic_store_n(&file->slot->process, pid, __ATOMIC_RELEASE);
}

/* pel_file_map asks for the mapping point of an accepted socket, once. */
static inline void pel_file_map(struct pel_file *file)
{
    uint32_t flags = pel_shared_flags(file);
    if (__builtin_expect((flags & (PEL_SHARED_ACCEPTED | PEL_SHARED_MAPPED)) == PEL_SHARED_ACCEPTED, 0) &&
        !(pel_shared_set(file, PEL_SHARED_MAPPED) & PEL_SHARED_MAPPED)) {
        pel_file_sign(file);
        pel_file_ask(file, PEL_SLOT_ASK_MAP);
    }
}

/* pel_wake_watchers has the daemon wake all who wait on the socket, in this process and in others. */
void pel_wake_watchers(struct pel_file *file);

/* pel_stream_consume gives up what is in the receive ring up to byte number `tail`. The caller holds rx_lock.
 */
void pel_stream_consume(struct pel_file *file, uint32_t tail);

/* pel_file_take_error returns why the connection is gone, as an errno, once in its life; 0 otherwise. */
int pel_file_take_error(struct pel_file *file);

/* pel_file_idle is called where nothing was to be had: now and then it looks whether the daemon lives. */
void pel_file_idle(struct pel_file *file);

/* pel_iov_len sums up; -EINVAL: too many pieces or bytes; -EFAULT: what no program can have. */
ssize_t pel_iov_len(const struct iovec *iov, size_t num_iov);

/* A piece of a ring handed to whoever reads it (sendfile, splice): returns how many bytes it took or gave, or
 * a negative errno. */
typedef ssize_t pel_piece_fn(void *arg, void *bytes, size_t len);

/* pel_stream_recv and pel_stream_send are recv and send of a connection, any flags of theirs.
 * pel_stream_recv_piece and pel_stream_send_piece do one step with memory of the ring itself: what `fn` took
 * is consumed, what it gave is sent. */
ssize_t pel_stream_recv(struct pel_file *file, const struct iovec *iov, size_t num_iov, size_t iov_len,
                        int flags);
ssize_t pel_stream_send(struct pel_file *file, const struct iovec *iov, size_t num_iov, size_t iov_len,
                        int flags);
ssize_t pel_stream_recv_piece(struct pel_file *file, size_t max_len, int flags, pel_piece_fn *fn, void *arg);
ssize_t pel_stream_send_piece(struct pel_file *file, size_t max_len, int flags, pel_piece_fn *fn, void *arg);

/* pel_stream_broken raises SIGPIPE for EPIPE, as the kernel does, and returns the negative errno. */
ssize_t pel_stream_broken(int error, int flags);

/* pel_stream_used and pel_stream_unsent: bytes that wait in the receive and in the send ring. */
uint32_t pel_stream_used(const struct pel_file *file);
uint32_t pel_stream_unsent(const struct pel_file *file);

/* pel_dgram_recv takes a datagram; `ret_address` may be NULL; `ret_flags` (may be NULL) gets MSG_TRUNC when
 * it was longer than the buffers. pel_dgram_send sends one; `address` NULL: to the connected peer. */
ssize_t pel_dgram_recv(struct pel_file *file, const struct iovec *iov, size_t num_iov, int flags,
                       union pel_ipc_address *ret_address, int *ret_flags);
ssize_t pel_dgram_send(struct pel_file *file, const struct iovec *iov, size_t num_iov, size_t iov_len,
                       int flags, const union pel_ipc_address *address);

/* pel_dgram_next_len returns the length of the datagram that would be received next; 0: none. */
uint32_t pel_dgram_next_len(const struct pel_file *file);
uint32_t pel_dgram_events(struct pel_file *file, uint32_t wanted);

/* pel_dgram_take_error returns the pending error of an earlier datagram, once. */
int pel_dgram_take_error(struct pel_file *file);

/* pel_wait_until waits as pel_wait_for for the socket's own timeout (0: for ever); 0 or a negative errno,
 * -EAGAIN when the time has passed. `never_restart`: a call that has done something already gives up at any
 * signal handler. `ret_deadline_us` is 0 at the first wait of a call and kept by it. */
int pel_wait_until(struct pel_file *file, uint32_t events, int64_t timeout_us, bool never_restart,
                   int64_t *ret_deadline_us);

#endif
