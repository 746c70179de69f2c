/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A UDP socket: bound on every engine; received datagrams wait in a bounded queue, and those that find it
 * full are dropped and counted. A datagram to send is copied and posted to one engine; what that engine says
 * against it (no route) is the socket's pending error, which the next call returns, as the kernel does with
 * ICMP errors. UDP is never TLS.
 */
#ifndef PEL_STACK_SOCKET_UDP_H
#define PEL_STACK_SOCKET_UDP_H

#include "base/addr.h"
#include "stack/socket_object.h"

/* Most datagrams that wait. */
#define PEL_DGRAM_MAX_QUEUED 512
/* The most bytes of one (RFC 768 over IPv4). */
#define PEL_DGRAM_MAX_LEN    65507

struct pel_dgram;

struct pel_datagram {
    struct pel_list link;
    struct sockaddr_storage from;
    size_t len;
    uint8_t bytes[];
};

/* The socket on one engine. */
struct pel_dgram_port {
    struct pel_attached attached;
    struct pel_home *home;
    struct pel_dgram *udp;                /* with a reference while it is bound */
    struct pel_udp_socket *engine_socket; /* the engine's; NULL: not bound */
};

struct pel_dgram {
    struct pel_sock sock;

    /* Shared by both sides. */
    struct pel_list queue; /* of struct pel_datagram, under sock.lock, like the following */
    size_t queued_len;
    struct pel_endpoint peer; /* datagrams from others are not for us, when has_peer */
    bool has_peer;
    uint32_t num_queued;    /* atomic, changed under sock.lock */
    uint32_t num_dropped;   /* atomic */
    uint32_t sending_len;   /* atomic: bytes on their way to the engine */
    uint32_t wants_room;    /* atomic: as in socket_stream.h */
    uint32_t pending_errno; /* atomic */
    uint32_t is_stopped;    /* atomic: the stack has stopped */

    /* The application's. */
    pthread_mutex_t setup_lock;
    uint32_t is_bound;               /* atomic, changed under setup_lock */
    uint32_t is_rd_shut, is_wr_shut; /* atomic */
    size_t send_port;                /* which of `ports` sends */
    size_t num_ports;
    struct pel_dgram_port ports[];
};

/* pel_dgram_new makes an unbound one; NULL when out of memory. Any thread. */
struct pel_dgram *pel_dgram_new(int family, struct pel_homes *homes);
struct pel_dgram *pel_dgram_of(struct pel_sock *sock);

/* pel_dgram_bind, _connect (AF_UNSPEC: no peer any more) and _shutdown return 0 or an errno. Application
 * threads. */
int pel_dgram_bind(struct pel_dgram *udp, const struct sockaddr *address, socklen_t address_len);
int pel_dgram_connect(struct pel_dgram *udp, const struct sockaddr *address, socklen_t address_len);
int pel_dgram_shutdown(struct pel_dgram *udp, int how);

/* pel_dgram_send and pel_dgram_recv pass one datagram; a length or a negative errno. `address` NULL: the
 * peer. MSG_TRUNC returns a datagram's whole length. Application threads. */
ssize_t pel_dgram_send(struct pel_dgram *udp, const struct iovec *iov, int num_iov, size_t iov_len, int flags,
                       const struct sockaddr *address, socklen_t address_len);
ssize_t pel_dgram_recv(struct pel_dgram *udp, const struct iovec *iov, int num_iov, int flags,
                       struct sockaddr *ret_address, socklen_t *address_len);

/* pel_dgram_next_len returns the length of the first datagram that waits, 0 when none does: FIONREAD. */
size_t pel_dgram_next_len(struct pel_dgram *udp);

/* The engine's side (socket_udp_engine.c). */

/* For pel_home_call: binds and unbinds one port. */
struct pel_dgram_open_args {
    struct pel_dgram_port *port;
    struct sockaddr_storage *address; /* in: where; out: with the port that was chosen */
    enum pel_err err;
};
void pel_dgram_port_open(struct pel_engine *engine, void *arg);  /* struct pel_dgram_open_args */
void pel_dgram_port_close(struct pel_engine *engine, void *arg); /* struct pel_dgram_port */

/* pel_dgram_post_out copies a datagram and has the engine send it; 0, ENOMEM, or ENETDOWN after the stop.
 * Application threads. */
int pel_dgram_post_out(struct pel_dgram *udp, const struct sockaddr_storage *to, const struct iovec *iov,
                       int num_iov, size_t iov_len);

/* pel_dgram_has_room tells whether another datagram may be sent now; if not, the engine will wake for room.
 */
bool pel_dgram_has_room(struct pel_dgram *udp);

#endif
