/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory that an application (a program, and the children that it forks) shares with the daemon: one
 * sealed memfd, made and sized by the daemon, mapped by both.
 *
 *     header | a doorbell for each engine | wakers | sockets: a page of words and two byte rings each
 *
 * A socket is one open file description, as the kernel's word for it is: what dup and fork share. Its number
 * in the segment is its slot. Each word has one writer, the daemon or the application; words of the two stand
 * in different cache lines.
 *
 * From the application to the daemon: bytes in the send ring, bits in `asked`; then the slot's number into
 * the doorbell of the socket's engine, and, if that sleeps, a ring of its bell (an eventfd). From the daemon
 * to the application: bytes in the receive ring, bits in `state`; then the slot's number into every waker
 * that `watchers` names, and, if that one sleeps, a byte on its wake channel.
 *
 * A waker is where a thread of the application waits: an epoll set's, or a thread's own. Its wake channel is
 * a stream socketpair, not an eventfd, since the daemon must be able to write without ever being made to wait
 * (MSG_DONTWAIT cannot be switched off by who holds the other end).
 *
 * Both pairs of "asleep" words work alike. Who sleeps: sets asleep (sequentially consistent), looks at its
 * signal set once more, sleeps only if that is empty. Who signals: adds (a full barrier), and if the number
 * was not there already exchanges asleep with 0, and wakes if it was 1.
 *
 * The daemon trusts nothing that an application can write: it copies a word once, checks it, and keeps its
 * own indices in its own memory (pel_ring_used says when an index cannot be true). The application trusts the
 * daemon.
 */
#ifndef PEL_IPC_SEGMENT_H
#define PEL_IPC_SEGMENT_H

#include <assert.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "ipc/signal_set.h"

#define PEL_SEGMENT_MAGIC   0x746e656d67657370ull
#define PEL_SEGMENT_VERSION 1u

#define PEL_SEGMENT_ENGINES_MAX 64
#define PEL_SEGMENT_SOCKETS_MAX PEL_SIGNAL_SET_NUMBERS
#define PEL_SEGMENT_WAKERS      1024
#define PEL_SEGMENT_TOKEN_LEN   16
#define PEL_WATCHERS            4 /* wakers that may watch one socket at once */

/* An address of either family; family AF_UNSPEC: none. */
union pel_ipc_address {
    sa_family_t family;
    struct sockaddr sa;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
};
static_assert(sizeof(union pel_ipc_address) == 28, "part of the layout");

/* Written by the daemon before the application sees it, and never again. */
struct pel_segment_header {
    uint64_t magic;
    uint32_t version;
    uint32_t num_engines, num_wakers, num_sockets;
    uint32_t ring_len;   /* bytes of each of a socket's two rings: a power of two */
    uint32_t socket_len; /* from one socket to the next */
    uint64_t doorbells_at, wakers_at, sockets_at, len;
    uint32_t app; /* the daemon's number for this application */
    /* Who knows it may join: a forked child, which has the segment mapped as its parent had. */
    uint8_t token[PEL_SEGMENT_TOKEN_LEN];
};

struct pel_doorbell {
    uint32_t is_engine_asleep __attribute__((aligned(64)));
    struct pel_signal_set rung; /* sockets that want their engine to look at them */
};

struct pel_waker {
    uint32_t is_asleep __attribute__((aligned(64)));
    uint32_t owner_pid; /* 0: free; the application's business alone */
    struct pel_signal_set ready;
};

/* pel_slot.state: what the daemon says of a socket. */
#define PEL_SLOT_OPEN 1u /* application bytes may pass; of UDP: bound */
#define PEL_SLOT_EOF  2u /* the peer has finished, cleanly; what it sent before is in the ring */
#define PEL_SLOT_GONE                                                                                        \
    4u /* the connection is no more; `gone_errno` says why, 0: both sides finished cleanly */
#define PEL_SLOT_LISTENING 8u /* accepted connections come as messages on its channel */
#define PEL_SLOT_HELD                                                                                        \
    16u /* bytes wait that found the receive ring full: ask for RESUME when there is room                    \
         */
#define PEL_SLOT_BUSY 32u /* TLS starts or stops, as the program asked for: nothing may be written */

/* pel_slot.asked: what the application wants of the daemon. */
#define PEL_SLOT_ASK_MAP     1u  /* the mapping point has come: first poll, read or write after accept */
#define PEL_SLOT_ASK_RESUME  2u  /* there is room in the receive ring again */
#define PEL_SLOT_ASK_SHUT_WR 4u  /* finish sending after what is in the ring */
#define PEL_SLOT_ASK_ABORT   8u  /* reset now */
#define PEL_SLOT_ASK_OPTIONS 16u /* `options` have changed */
#define PEL_SLOT_ASK_WAKE    32u /* wake all watchers: the application has changed what they wait for */

/* What applies to the socket in the daemon; written by the application. */
struct pel_slot_options {
    uint8_t is_nodelay, is_keepalive;
    uint8_t is_linger, is_v6only, is_reuseaddr, is_reuseport;
    uint16_t linger_s;
    uint32_t keep_idle_s, keep_interval_s, keep_count;
};

/* One socket: what both sides have to know of it. Bytes of a ring are counted from the socket's beginning,
 * modulo 2^32; a byte's place is its number masked with ring_len - 1. `head`: written so far; `tail`: read so
 * far. In the rings of a UDP socket are records (struct pel_datagram_header). */
struct pel_slot {
    /* Written by the daemon while the socket lives. */
    uint32_t state __attribute__((aligned(64)));
    uint32_t gone_errno;
    uint32_t rx_head;       /* received */
    uint32_t tx_tail;       /* taken from what the application wrote */
    uint32_t engine;        /* whose doorbell */
    uint32_t pending_errno; /* of UDP: an error of an earlier datagram; the application exchanges it with 0 */
    uint32_t num_dropped;   /* of UDP: datagrams that found the ring full */

    /* Written by the daemon before the application sees the socket, or before the state bit that says so. */
    uint32_t serial __attribute__((aligned(64))); /* counts the sockets that had this slot */
    uint16_t family, type;                        /* AF_INET, AF_INET6; SOCK_STREAM, SOCK_DGRAM */
    union pel_ipc_address local, remote;

    /* Written by the application while the socket lives. */
    uint32_t asked __attribute__((aligned(64)));
    uint32_t rx_tail, tx_head;
    uint32_t wants_room; /* 1: wake me when there is room in the send ring; the daemon exchanges it with 0 */
    uint32_t watchers[PEL_WATCHERS]; /* number of a waker + 1; 0: none */
    /* How many processes hold it open. At the last close of its channel: 0 is a clean end, what was written
     * is still delivered; more is a death, and the peer gets a reset. */
    uint32_t num_holders;
    /* Which of the application's processes connects, or has the accepted socket mapped: its pid, as it knows
     * itself. The policy's SecondaryMap tells by it the connections of one process from those of another. */
    uint32_t process;

    struct pel_slot_options options __attribute__((aligned(64)));

    /* The application's own: the daemon does not look at it, and zeroes it before the slot is used again. */
    uint8_t application[1024] __attribute__((aligned(64)));
};

/* The words of a slot end where its rings begin: receive ring, then send ring. */
#define PEL_SLOT_RINGS_AT 4096u
static_assert(sizeof(struct pel_slot) <= PEL_SLOT_RINGS_AT, "the words of a slot fit a page");

/* Before each datagram in a UDP socket's ring; records begin at multiples of 8 and go round the end of the
 * ring like all bytes. In the send ring family AF_UNSPEC: to the connected peer. */
struct pel_datagram_header {
    uint32_t payload_len; /* 0 to 65507 */
    union pel_ipc_address address;
};
static_assert(sizeof(struct pel_datagram_header) == 32, "records stay aligned");

static inline uint32_t pel_datagram_record_len(uint32_t payload_len)
{
    return (uint32_t)sizeof(struct pel_datagram_header) + (payload_len + 7) / 8 * 8;
}

/* Places in a mapped segment. `number` below the header's. */
static inline struct pel_doorbell *pel_segment_doorbell(void *base, const struct pel_segment_header *header,
                                                        uint32_t number)
{
    return (struct pel_doorbell *)((uint8_t *)base + header->doorbells_at) + number;
}

static inline struct pel_waker *pel_segment_waker(void *base, const struct pel_segment_header *header,
                                                  uint32_t number)
{
    return (struct pel_waker *)((uint8_t *)base + header->wakers_at) + number;
}

static inline struct pel_slot *pel_segment_slot(void *base, const struct pel_segment_header *header,
                                                uint32_t number)
{
    return (struct pel_slot *)((uint8_t *)base + header->sockets_at + (uint64_t)number * header->socket_len);
}

static inline uint8_t *pel_slot_rx_ring(struct pel_slot *slot)
{
    return (uint8_t *)slot + PEL_SLOT_RINGS_AT;
}

static inline uint8_t *pel_slot_tx_ring(struct pel_slot *slot, uint32_t ring_len)
{
    return (uint8_t *)slot + PEL_SLOT_RINGS_AT + ring_len;
}

/* pel_segment_lay_out fills the places and lengths of a header whose numbers and ring_len are set. */
void pel_segment_lay_out(struct pel_segment_header *header);

#endif
