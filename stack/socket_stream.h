/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A TCP socket: fresh, connecting or connected, or listening. The bytes of a connection pass through two
 * rings. Received: the engine produces, the application consumes; sent: the other way round. The application
 * asks the engine for things with bits in `asked` and one task, the kick, which is posted when no post of it
 * is under way; the engine answers with bits in `state`, which only grow during a connection, unless the
 * application starts and stops TLS itself (socket_ttls.c).
 *
 * Held back: when the receive ring is full the engine leaves the rest with the connection and sets `is_held`;
 * the application that has made room enough then asks for RESUME. No room: an application that found the send
 * ring full sets `wants_room`; the engine that has made room clears it and wakes. Both pairs set first and
 * look again afterwards, so that none misses the other.
 */
#ifndef PEL_STACK_SOCKET_STREAM_H
#define PEL_STACK_SOCKET_STREAM_H

#include "base/byte_ring.h"
#include "stack/socket_object.h"
#include <pellucid/ttls.h>

/* pel_stream.state: from the engine to the application. */
#define PEL_STREAM_OPEN 1u /* application bytes may pass */
#define PEL_STREAM_EOF  2u /* the peer has finished, cleanly */
#define PEL_STREAM_BUSY 8u /* TLS starts or stops, as the application asked for: nothing may be written */
#define PEL_STREAM_GONE 4u /* the connection is gone; `gone_errno` says why, 0: a clean end of both sides */

/* pel_stream.asked: from the application to the engine. */
#define PEL_ASK_MAP     1u   /* the mapping point has come */
#define PEL_ASK_SEND    2u   /* there are bytes in the send ring */
#define PEL_ASK_RESUME  4u   /* there is room in the receive ring again */
#define PEL_ASK_SHUT    8u   /* finish sending after what is in the ring */
#define PEL_ASK_CLOSE   16u  /* deliver what is in the ring, then close */
#define PEL_ASK_ABORT   32u  /* reset now */
#define PEL_ASK_OPTIONS 64u  /* options have changed */
#define PEL_ASK_POSTED  128u /* the kick is under way */

enum pel_phase {
    PEL_PHASE_FRESH,
    PEL_PHASE_CONN, /* connecting, connected, or was */
    PEL_PHASE_LISTEN,
};

struct pel_acceptor;

struct pel_stream {
    struct pel_sock sock;

    /* Shared by both sides. `rings` are there while phase is CONN. */
    struct pel_byte_ring rx, tx;
    uint32_t state;      /* atomic */
    uint32_t asked;      /* atomic */
    uint32_t is_held;    /* atomic */
    uint32_t wants_room; /* atomic */
    int gone_errno;      /* before PEL_STREAM_GONE */
    struct pel_home *home;
    struct pel_task kick;

    /* The engine's. */
    struct pel_attached attached;
    struct pel_conn *conn; /* NULL: none, or gone */
    bool is_shut_asked, is_shut_done, is_close_asked;
    uint32_t
        wish; /* TTLS_INIT_CONNECTION or TTLS_STOP_CONNECTION, for when what was written before has left */
    uint32_t before_wish_len; /* bytes of the send ring that were written before */
    bool is_start_timeout_allowed;

    /* The application's. */
    pthread_mutex_t setup_lock, rx_lock, tx_lock;
    struct pel_list queued;          /* in an acceptor's queue, under the listener's sock.lock */
    uint32_t phase;                  /* atomic, changed under setup_lock */
    uint32_t is_mapped;              /* atomic: the mapping point has been asked for */
    uint32_t is_error_told;          /* atomic: SO_ERROR, or a call, has returned gone_errno */
    uint32_t is_rd_shut, is_wr_shut; /* atomic */
    bool is_accepted;
    bool is_bound;        /* under setup_lock, as are the following */
    bool is_connect_told; /* a connect has returned 0 */
    char *server_name;
    struct pel_acceptor *acceptor; /* while phase is LISTEN */
};

/* pel_stream_new makes a fresh one; NULL when out of memory. Any thread. */
struct pel_stream *pel_stream_new(int family, struct pel_homes *homes);

/* pel_stream_of returns the stream of a socket that is one. */
struct pel_stream *pel_stream_of(struct pel_sock *sock);

/* pel_stream_make_rings makes the rings, if there are none yet. False: out of memory. */
bool pel_stream_make_rings(struct pel_stream *stream);

/* pel_stream_ask sets bits in `asked` and posts the kick. Application threads. */
void pel_stream_ask(struct pel_stream *stream, uint32_t bits);

/* pel_stream_phase and pel_stream_state read the atomics. */
enum pel_phase pel_stream_phase(const struct pel_stream *stream);
uint32_t pel_stream_state(const struct pel_stream *stream);

/* pel_stream_take_error returns the connection's errno the first time, then 0: SO_ERROR. */
int pel_stream_take_error(struct pel_stream *stream);

/* Application bytes; `iov_len` is the sum of `iov`. Return a length or a negative errno. */
ssize_t pel_stream_recv(struct pel_stream *stream, const struct iovec *iov, int num_iov, size_t iov_len,
                        int flags);
ssize_t pel_stream_send(struct pel_stream *stream, const struct iovec *iov, int num_iov, size_t iov_len,
                        int flags);

/* pel_stream_ttls is SIOCTTLSCTL (pellucid/ttls.h); returns 0 or an errno. */
int pel_stream_ttls(struct pel_stream *stream, struct TTLS_IOCTL *ioctl);

/* pel_stream_shutdown and the following return 0 or an errno. */
int pel_stream_shutdown(struct pel_stream *stream, int how);
int pel_stream_bind(struct pel_stream *stream, const struct sockaddr *address, socklen_t address_len);
int pel_stream_connect(struct pel_stream *stream, const struct sockaddr *address, socklen_t address_len);

/* pel_stream_local makes sure that the socket has a local port when it is bound (pel_getsockname). */
void pel_stream_local(struct pel_stream *stream);

/* pel_acceptor_events and pel_acceptor_close are the listening part of ops->events and ops->close. The latter
 * under setup_lock. */
uint32_t pel_acceptor_events(struct pel_stream *listener);
void pel_acceptor_close(struct pel_stream *listener);
void pel_acceptor_free(struct pel_acceptor *acceptor);

#endif
