/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages between a process and the daemon, over a Unix socket of type SOCK_SEQPACKET: one request, one
 * reply, in order; file descriptors travel along. Used for what is rare: to attach, to make, bind, connect
 * and listen. Everything else goes through the segment.
 *
 *     process: connect to the attach socket; HELLO -> its segment and the bells of the engines
 *              (a forked child: a connection of its own, JOIN with the token; it has segment and bells)
 *              SOCKET -> a slot and its channel; BIND, LISTEN, CONNECT; WAKER -> its wake channel
 *
 * A socket's channel is one end of a Unix socketpair, of which the daemon holds the other. The application
 * puts it at the number that the program has: so that dup, fork, exec, SCM_RIGHTS and close are the kernel's
 * business, and the daemon hears of the last close, however it came about, as the end of the channel. A
 * listening socket's channel brings accepted connections, one struct pel_accepted with a channel each; so
 * that processes that share it share them as the kernel would have it, and its readiness is the kernel's.
 */
#ifndef PEL_IPC_MESSAGE_H
#define PEL_IPC_MESSAGE_H

#include <sys/types.h>

#include "ipc/segment.h"
#include "ipc/ttls.h"

#define PEL_IPC_VERSION     2u
#define PEL_IPC_NAME_LEN    256
#define PEL_IPC_FDS_MAX     (PEL_SEGMENT_ENGINES_MAX + 1)
#define PEL_IPC_SOCKET_PATH "/run/pellucid/attach.sock"

enum pel_ipc_op {
    /* name: the wanted job, or "". Reply: app; fds: the segment, then the bell of each engine (eventfds to
     * write to); kernel_networks. Once, first on a connection. */
    PEL_IPC_HELLO = 1,
    /* app, token: of the segment that the caller has mapped. Once, first on a connection, or after HELLO, to
     * use sockets of another application that came by inheritance. */
    PEL_IPC_JOIN,
    /* family, type, options; local: where to bind, or AF_UNSPEC. Reply: slot, local; fds: its channel. */
    PEL_IPC_SOCKET,
    /* slot, local, options. Reply: local, with the port that was chosen. */
    PEL_IPC_BIND,
    /* slot, value: the backlog, options. Reply: local. From now on the channel brings struct pel_accepted. */
    PEL_IPC_LISTEN,
    /* slot, remote, options; name: what the program resolved, or "". Reply: local, when it is known. Of a
     * stream the outcome comes as the slot's OPEN or GONE; of UDP remote AF_UNSPEC dissolves. */
    PEL_IPC_CONNECT,
    /* value: the waker's number. Reply: fds: its wake channel, which replaces an earlier one. */
    PEL_IPC_WAKER,
    /* fds: a descriptor that may be a socket's channel, come by exec or SCM_RIGHTS. Reply: app, slot, serial;
     * fds: that application's segment and bells, as with HELLO. ENOTSOCK: it is none of this daemon's. */
    PEL_IPC_WHO,
    /* slot. Reply: info. */
    PEL_IPC_INFO,
    /* slot. The program has closed its last copy: when the reply comes the socket listens no more and its
     * name is free, which the end of its channel alone would bring about a moment later. EBUSY: there is
     * another copy somewhere, and the socket stays. */
    PEL_IPC_CLOSE,
    /* slot: of a listening socket, which listens no more but keeps its name; LISTEN may come again. */
    PEL_IPC_UNLISTEN,
    /* slot, value: TTLS_* (pellucid/ttls.h); from a caller that lets nobody read meanwhile. Reply: ttls, also
     * with most errors; fds: a file that holds the peer's certificate, when it is asked for and there is one;
     * rx_tail: what is in the receive ring up to there has been taken back, as the peer's handshake. */
    PEL_IPC_TTLS,
    PEL_IPC_OPS
};

struct pel_ipc_request {
    uint32_t version; /* PEL_IPC_VERSION */
    uint32_t op;
    uint32_t app; /* whose slot; given by HELLO and WHO */
    uint32_t slot;
    uint32_t serial; /* the slot's, so that a stale request hits nobody else */
    uint32_t value;
    uint16_t family, type;
    union pel_ipc_address local, remote;
    struct pel_slot_options options;
    uint8_t token[PEL_SEGMENT_TOKEN_LEN];
    char name[PEL_IPC_NAME_LEN]; /* ends with a NUL */
};

/* What TCP_INFO is filled from. */
struct pel_ipc_info {
    uint32_t state; /* of linux/tcp.h's: TCP_ESTABLISHED ... */
    uint32_t mss, rtt_us, rtt_var_us, congestion_window_len, num_retransmits, unacked_len;
};

#define PEL_IPC_NETWORKS_MAX 16
struct pel_ipc_network {
    union pel_ipc_address address;
    uint8_t prefix_len;
};

struct pel_ipc_reply {
    uint32_t op;
    uint32_t error; /* an errno; 0: done */
    uint32_t app, slot, serial;
    union pel_ipc_address local;
    struct pel_ipc_info info;
    struct pel_ttls_facts ttls;
    uint32_t rx_tail, is_taken_back;
    /* HELLO: which addresses the kernel serves. */
    uint32_t num_networks;
    struct pel_ipc_network networks[PEL_IPC_NETWORKS_MAX];
    char text[PEL_IPC_NAME_LEN]; /* why, for a person; "" when the errno says it all */
};

/* On a listening socket's channel, with the new socket's channel as a descriptor. The slot is of the
 * listener's application. */
struct pel_accepted {
    uint32_t slot, serial;
    union pel_ipc_address local, remote;
};

/* pel_ipc_send sends one message with `num_fds` descriptors (copies: the caller keeps its own), without
 * raising SIGPIPE; `flags` as of sendmsg. Returns 0 or a negative errno. Any thread; async-signal-safe. */
int pel_ipc_send(int fd, const void *message, size_t len, const int *fds, size_t num_fds, int flags);

/* pel_ipc_receive takes one message of at most `len` bytes, and up to `max_fds` descriptors, close-on-exec,
 * which are the caller's; surplus ones are closed. Returns its length, 0 at the end, or a negative errno
 * (-EMSGSIZE: it was longer; the message is lost, its descriptors closed; -EINTR). Any thread;
 * async-signal-safe. */
ssize_t pel_ipc_receive(int fd, void *ret_message, size_t len, int *ret_fds, size_t max_fds,
                        size_t *ret_num_fds, int flags);

#endif
