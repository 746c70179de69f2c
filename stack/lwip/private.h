/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of this folder share: the instance and the objects behind lwip.h. Every function of lwip.h
 * that reaches lwIP stands between pel_ip_enter and pel_ip_leave, which point lwIP's state at the instance
 * and back: a callback may so call into another instance of the same thread.
 */
#ifndef PEL_STACK_LWIP_PRIVATE_H
#define PEL_STACK_LWIP_PRIVATE_H

#include <stdlib.h>
#include <string.h>

#include "stack/lwip/coalesce.h"
#include "stack/lwip/demux.h"
#include "stack/lwip/lwip.h"

#include "lwip/netif.h"
#include "lwip/pbuf.h"
#include "lwip/tcp.h"
#include "lwip/udp.h"
#include "pel_lwip_state.h"

#define PEL_TX_BURST    64  /* frames that are handed to the port at once */
#define PEL_TX_MAX      512 /* frames that wait while the port's queue is full */
#define PEL_TX_RETRY_US 50

/* The timers that an instance runs; rows of timers.c. */
#define PEL_NUM_TIMERS 9

/* A running callback of a connection, so that an abort from within is told to lwIP. Lives on the stack. */
struct pel_tcp_call {
    struct pel_tcp *tcp; /* NULL when it is no more */
    bool aborted;
    struct pel_tcp_call *up;
};

struct pel_ipstack {
    struct pel_lwip_state lwip;
    struct netif netif;
    struct pel_ipstack_config config;
    struct pel_counters *counters;
    struct pel_demux demux;

    uint64_t key[2]; /* of sequence numbers, random numbers and hashes */
    uint64_t num_randoms;
    uint64_t due_us[PEL_NUM_TIMERS];
    uint64_t first_due_us; /* the least of them */
    ip6_addr_t gateway6;

    struct pel_coalescer coalescer;
    struct pel_pkt *tx[PEL_TX_MAX];
    uint32_t num_tx;
    uint64_t tx_full_us; /* when the port last took less than it was given; 0: it took all */

    struct pel_tcp *tcps; /* those with an owner */
    uint32_t num_tcps;
    struct pel_tcp_listener *listeners;
    struct pel_udp *udps;
    struct pel_tcp_call *calls;
    bool in_tcp_timer;
    bool has_stuck; /* a connection's written bytes wait for memory */

    uint64_t challenge_second;
    uint32_t challenges_left;
};

struct pel_tcp {
    struct pel_ipstack *ip;
    struct tcp_pcb *pcb; /* NULL when lwIP has freed it quietly, after TIME-WAIT or LAST-ACK */
    const struct pel_tcp_events *events;
    void *arg;
    struct pel_endpoint local, remote;
    bool connected;
    /* Bytes that the owner has written in place (send.c), `open_len` of room for `open_cap`; NULL: none. */
    struct pbuf *open;
    uint32_t open_len, open_cap;
    size_t unread_len; /* shown by on_receive, not yet acknowledged by pel_tcp_received */
    struct pel_tcp *next, *prev;
};

struct pel_tcp_listener {
    struct pel_ipstack *ip;
    struct tcp_pcb *pcb;
    pel_tcp_accept_fn *accept;
    void *arg;
    struct pel_endpoint local;
    struct pel_tcp_listener *next;
};

struct pel_udp {
    struct pel_ipstack *ip;
    struct udp_pcb *pcb;
    pel_udp_receive_fn *receive;
    pel_udp_refused_fn *refused; /* NULL: nobody wants to know */
    void *arg;
    struct pel_endpoint local;
    struct pel_udp *next;
};

/* pel_ip_enter makes `ip` the instance that lwIP works for, and returns the one before, for pel_ip_leave. */
static inline struct pel_lwip_state *pel_ip_enter(struct pel_ipstack *ip)
{
    struct pel_lwip_state *before = pel_lwip;
    pel_lwip = &ip->lwip;
    return before;
}

static inline void pel_ip_leave(struct pel_lwip_state *before)
{
    pel_lwip = before;
}

/* pel_ip_current returns the instance that lwIP works for. */
static inline struct pel_ipstack *pel_ip_current(void)
{
    return (struct pel_ipstack *)pel_lwip->owner;
}

static inline uint64_t pel_ip_now_us(const struct pel_ipstack *ip)
{
    return pel_clock_now_us(&ip->config.clock);
}

/* ---- addresses.c ---- */

/* pel_to_lwip_addr converts; version 0 becomes lwIP's address of any type. IPv6 link-local ones get the
 * interface's zone. */
ip_addr_t pel_to_lwip_addr(const struct pel_ipstack *ip, const struct pel_ip *from);
struct pel_ip pel_from_lwip_addr(const ip_addr_t *from);

/* pel_ip_has_route tells whether a packet to `remote` has a way: on the link, or over a gateway. */
bool pel_ip_has_route(const struct pel_ipstack *ip, const struct pel_ip *remote);

/* pel_ip_configure gives the interface its addresses, with lwIP entered. Errors: ARG. */
PEL_MUST_USE enum pel_err pel_ip_configure(struct pel_ipstack *ip, struct pel_error *reterr);

/* ---- netif.c ---- */

/* pel_netif_init is lwIP's netif_init_fn. */
err_t pel_netif_init(struct netif *netif);

/* ---- transmit.c ---- */

/* pel_link_output is lwIP's netif_linkoutput_fn. */
err_t pel_link_output(struct netif *netif, struct pbuf *p);

/* pel_netif_flush hands waiting frames to the port; what it does not take waits on. */
void pel_netif_flush(struct pel_ipstack *ip);

/* pel_netif_drop_tx frees the waiting frames. */
void pel_netif_drop_tx(struct pel_ipstack *ip);

/* ---- send.c ---- */

/* pel_tx_packet_of returns the port's packet in which the bytes of `p` lie; NULL: they lie in none. */
struct pel_pkt *pel_tx_packet_of(struct pbuf *p);

/* pel_tcp_drop_open forgets what was written in place and is no segment yet. */
void pel_tcp_drop_open(struct pel_tcp *tcp);

/* pel_tcp_retry_stuck is a timer: tries again where there was no memory for what was written in place. */
void pel_tcp_retry_stuck(void);

/* ---- buf.c ---- */

/* pel_buf_from_pbuf takes lwIP's chain over. */
struct pel_buf *pel_buf_from_pbuf(struct pbuf *p);

/* ---- timers.c ---- */

void pel_timers_start(struct pel_ipstack *ip);

/* pel_timers_run runs what is due, with lwIP entered. */
void pel_timers_run(struct pel_ipstack *ip);

/* pel_timers_flush_reassembly gives up all half-reassembled datagrams, with lwIP entered. */
void pel_timers_flush_reassembly(void);

/* ---- tcp.c ---- */

/* pel_tcp_adopt makes the object for a pcb and puts it into the instance's list; NULL without memory. */
struct pel_tcp *pel_tcp_adopt(struct pel_ipstack *ip, struct tcp_pcb *pcb);

/* pel_tcp_drop_all aborts all connections; the owners hear CONN_ABORTED. With lwIP entered. */
void pel_tcp_drop_all(struct pel_ipstack *ip);

/* pel_tcp_call_begin and _end stand around each event that is given to an owner; _end returns what lwIP
 * wants to know. */
void pel_tcp_call_begin(struct pel_tcp *tcp, struct pel_tcp_call *call);
err_t pel_tcp_call_end(struct pel_ipstack *ip, struct pel_tcp_call *call);

/* ---- ports.c ---- */

/* pel_udp_refuse tells the socket that is connected to `to` from `from` that nobody listens there. */
void pel_udp_refuse(struct pel_ipstack *ip, const struct pel_endpoint *from, const struct pel_endpoint *to);

/* pel_port_choose returns a free local port for a connection from `local` to `remote`, random and not in
 * order (RFC 6056), or 0 when all are in use. */
uint16_t pel_port_choose(struct pel_ipstack *ip, const ip_addr_t *local, const ip_addr_t *remote,
                         uint16_t remote_port);

/* pel_port_comes_here tells whether answers to a connection from there arrive on the instance's own queue. */
bool pel_port_comes_here(const struct pel_ipstack *ip, const ip_addr_t *local, uint16_t local_port,
                         const ip_addr_t *remote, uint16_t remote_port);

/* pel_port_in_use tells whether that very connection exists, TIME-WAIT included. */
bool pel_port_in_use(const ip_addr_t *local, uint16_t local_port, const ip_addr_t *remote,
                     uint16_t remote_port);

/* pel_port_random returns a random port of the range that is chosen from. */
uint16_t pel_port_random(void);

#endif
