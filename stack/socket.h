/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process's default stack, as pellucid/socket.h sees it: the engines on which pel_socket's sockets live.
 * stack.c starts it after the engines and stops it before them.
 *
 *     application thread                      shared                       engine thread
 *     socket_stream.c, socket_connect.c   two byte rings, state     socket_engine.c, on pellucid/engine.h
 *     socket_udp.c, poll, epoll, options  bits, one kick task       socket_udp_engine.c
 *
 * The two sides meet in the fields that socket_stream.h and socket_udp.h mark as shared and nowhere else,
 * because a later version puts them into different processes. An application thread asks by setting a bit and
 * posting the socket's kick task; an engine thread answers by setting a state bit and waking whoever watches
 * the socket. Engine threads never wait: they take only leaf locks that are held for a few instructions.
 *
 * Lock order, outermost first; a thread that holds one takes only later ones:
 *   1. pel_stream.setup_lock, pel_dgram.setup_lock   bind, listen, connect's begin, close: application
 * threads only; its holder may wait for an engine
 *   2. pel_epoll.ctl_lock                          a set's membership: application threads only
 *   3. pel_sock.lock of a stream or UDP socket     watches, addresses, options, queues
 *   4. pel_epoll.ready_lock                        a set's ready list (released before 5)
 *   5. pel_sock.lock of an epoll set               its watches: only waiting threads, for sets do not nest
 *   6. pel_waiter.lock                             one sleeping thread
 * Beside them, never held with 1 to 6: pel_sockets.lock and a slot's lock (descriptors), pel_stream.rx_lock
 * and tx_lock (one ring's application end).
 *
 * What it does not do: share sockets between processes; nest epoll sets; urgent data.
 */
#ifndef PEL_STACK_SOCKET_H
#define PEL_STACK_SOCKET_H

#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"
#include <pellucid/engine.h>

/* Most descriptors that a process can have. */
#define PEL_SOCKETS_LIMIT      (1u << 20)
#define PEL_SOCKETS_BUFFER_LEN (128u << 10)

struct pel_sockets_config {
    uint32_t max_sockets; /* 1 to PEL_SOCKETS_LIMIT; 0: PEL_SOCKETS_LIMIT */
    uint32_t buffer_len; /* bytes of each ring, a power of two from 2^10 to 2^30; 0: PEL_SOCKETS_BUFFER_LEN */
    struct pel_clock clock; /* judges timeouts; sleeping itself is done in real time */
};

/* pel_sockets_start makes `engines` the ones that pel_socket uses; borrows them until pel_sockets_stop. Their
 * threads must run already, or run soon: calls wait for them. Not from an engine's thread. Errors: STATE
 * (started already), ARG, NO_MEMORY. */
PEL_MUST_USE enum pel_err pel_sockets_start(struct pel_engine *const *engines, size_t num_engines,
                                            const struct pel_sockets_config *config);

/* pel_sockets_stop resets every connection of every socket and takes the sockets off the engines, which must
 * still run; afterwards no engine is touched any more. Descriptors stay until pel_close; waiting threads get
 * ECONNRESET, pel_socket ENETDOWN. Harmless when not started. Not from an engine's thread. */
void pel_sockets_stop(void);

#endif
