/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The TCP/IP layer of one engine: lwIP, made an object, behind functions that show no lwIP type. The engine
 * gives it received packets and the time; it gives back connections' events and hands frames to the port.
 *
 *     pel_ip_open -> pel_ip_input for each received packet, pel_ip_poll each loop -> pel_ip_close
 *
 * An instance belongs to the thread that called pel_ip_open: every call (but none from another thread) must
 * come from it. A thread may have several instances, and the callback of one may call into another.
 *
 * Receive is zero copy: the bytes that on_receive shows lie in the driver's packet, which goes back when
 * the receiver has called pel_tcp_received for them and released the buffer. Failure: each dropped packet
 * is counted by name in the instance's counters.
 */
#ifndef PEL_STACK_LWIP_LWIP_H
#define PEL_STACK_LWIP_LWIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/clock.h"
#include "base/counters.h"
#include "base/err.h"
#include "base/pieces.h"
#include "drivers/port.h"

struct pel_ipstack;
struct pel_tcp;
struct pel_tcp_listener;
struct pel_udp;
struct pel_buf; /* a chain of received bytes, in packets of the driver */

#define PEL_IP_ADDRS_MAX 8

/* One interface's address: an IP and its prefix length. */
struct pel_ip_prefix {
    struct pel_ip ip;
    uint8_t prefix_len;
};

struct pel_ipstack_config {
    struct pel_port *port; /* borrowed; must outlive the instance */
    uint16_t queue;        /* the port's queue that this thread owns; with pel_port.rss,
                            * other instances have the others and the same addresses */
    struct pel_ip_prefix addrs[PEL_IP_ADDRS_MAX]; /* at most one IPv4, the rest IPv6 */
    size_t num_addrs;
    struct pel_ip gateway4; /* version 0: none */
    struct pel_ip gateway6;
    bool dhcp4;     /* get the IPv4 address, mask and gateway by DHCP */
    bool autoconf6; /* take IPv6 prefixes and routers from router advertisements */
    uint32_t max_connections;
    uint32_t tcp_window_len; /* receive window and send buffer, 16 KiB to 4 MiB */
    struct pel_clock clock;
    uint64_t secret_seed;          /* 0: from the kernel's generator; else fixed, for reproducible tests */
    struct pel_counters *counters; /* borrowed */
};

/* pel_ip_open makes an instance, which belongs to this thread, and brings the interface up. Errors: ARG,
 * NO_MEMORY. */
PEL_MUST_USE enum pel_err pel_ip_open(const struct pel_ipstack_config *config, struct pel_ipstack **ret_ip,
                                      struct pel_error *reterr);

/* pel_ip_close aborts every connection (each hears on_error with CONN_ABORTED), closes listeners and UDP
 * endpoints and frees the instance. Chains of received bytes stay valid. Not from within one of the
 * instance's callbacks. NULL is harmless. */
void pel_ip_close(struct pel_ipstack *ip);

/* pel_ip_input takes ownership of a burst of received frames, in their order. Malformed ones are counted by
 * name and freed; TCP segments that continue each other are taken as one. */
void pel_ip_input(struct pel_ipstack *ip, struct pel_pkt **pkts, uint32_t num);

/* pel_ip_poll runs the timers that are due, and flushes frames to the port. Call it once a loop. */
void pel_ip_poll(struct pel_ipstack *ip);

/* pel_ip_next_timer_us returns the time, by the instance's clock, at which pel_ip_poll has something to
 * do. */
uint64_t pel_ip_next_timer_us(const struct pel_ipstack *ip);

/* pel_ip_addrs writes up to `max` of the interface's present, usable addresses (also those of DHCP and
 * autoconfiguration, and the IPv6 link-local one) and returns their number. */
size_t pel_ip_addrs(const struct pel_ipstack *ip, struct pel_ip_prefix *ret_addrs, size_t max);

/* pel_ip_source writes the address from which `remote` would be sent to; NO_ROUTE when there is none. */
PEL_MUST_USE enum pel_err pel_ip_source(struct pel_ipstack *ip, const struct pel_ip *remote,
                                        struct pel_ip *ret_source);

/* pel_ip_is_local tells whether `addr` is one of the interface's. */
bool pel_ip_is_local(const struct pel_ipstack *ip, const struct pel_ip *addr);

/* pel_ip_num_time_wait counts the closed connections whose endpoints are still held back (TIME-WAIT,
 * RFC 9293 section 3.4.2). */
size_t pel_ip_num_time_wait(const struct pel_ipstack *ip);

/* ---- received bytes ---- */

/* pel_buf_len returns how many bytes the chain holds, pel_buf_num in how many packets. */
size_t pel_buf_len(const struct pel_buf *buf);
uint32_t pel_buf_num(const struct pel_buf *buf);

/* pel_buf_peek returns the first contiguous piece after skipping `skip_len` bytes and its length; `ret_len`
 * 0 at the end. */
const uint8_t *pel_buf_peek(const struct pel_buf *buf, size_t skip_len, size_t *ret_len);

/* pel_buf_pieces shows up to `max` pieces of the chain from its beginning, no more than hold `wanted_len`
 * bytes; returns their number. */
size_t pel_buf_pieces(const struct pel_buf *buf, struct pel_piece *ret_pieces, size_t max, size_t wanted_len);

/* pel_buf_consume drops the first `len` bytes, giving packets back that are used up; returns the rest, NULL
 * when all is consumed (the chain is freed then). */
struct pel_buf *pel_buf_consume(struct pel_buf *buf, size_t len);

/* pel_buf_join puts `tail` behind `head` (may be NULL) and returns the whole; takes both. */
struct pel_buf *pel_buf_join(struct pel_buf *head, struct pel_buf *tail);

/* pel_buf_free gives the whole chain back. NULL is harmless. */
void pel_buf_free(struct pel_buf *buf);

/* ---- TCP ---- */

/* A connection's owner is told by these, from within pel_ip_input and pel_ip_poll. `arg` is the owner's. In
 * each of them the owner may call any pel_tcp_ function on the connection, pel_tcp_abort included. */
struct pel_tcp_events {
    void (*on_connected)(void *arg);                    /* an active open succeeded */
    void (*on_receive)(void *arg, struct pel_buf *buf); /* in-order bytes; the owner takes `buf` */
    void (*on_fin)(void *arg);                          /* the peer has finished sending */
    void (*on_sent)(void *arg, size_t len);             /* the peer acknowledged `len` bytes: room for more */
    /* The connection is gone: CONN_RESET, CONN_REFUSED, CONN_TIMEOUT, CONN_ABORTED, NO_MEMORY; the struct
     * pel_tcp is no more. */
    void (*on_error)(void *arg, enum pel_err err);
};

/* pel_tcp_connect opens a connection from `local` (ip version 0: chosen; port 0: chosen) to `remote`. The
 * outcome comes as on_connected or on_error. Errors: NO_ROUTE, NO_LOCAL_PORT, OTHER_ENGINE (the port
 * asked for is one whose answers arrive on another queue of the port), ADDRESS_IN_USE, ADDRESS_NOT_OURS,
 * TOO_MANY_CONNECTIONS, NO_MEMORY. */
PEL_MUST_USE enum pel_err pel_tcp_connect(struct pel_ipstack *ip, const struct pel_endpoint *local,
                                          const struct pel_endpoint *remote,
                                          const struct pel_tcp_events *events, void *arg,
                                          struct pel_tcp **ret_tcp);

/* pel_tcp_comes_here tells whether a connection from `local` (ip version 0: chosen; port not 0) to `remote`
 * would be this instance's: whether its answers arrive on the instance's queue of the port. */
bool pel_tcp_comes_here(struct pel_ipstack *ip, const struct pel_endpoint *local,
                        const struct pel_endpoint *remote);

/* Called when a connection is complete. The callee must set its events with pel_tcp_set_events or abort it;
 * returning anything but PEL_OK makes the layer abort it and count that error. */
typedef enum pel_err pel_tcp_accept_fn(void *arg, struct pel_tcp *tcp);

/* pel_tcp_listen accepts connections to `local` (ip version 0: every address of both versions). `backlog`
 * is 1 to 65535 connections that are not complete yet. Errors: ADDRESS_IN_USE, ADDRESS_NOT_OURS, NO_MEMORY.
 */
PEL_MUST_USE enum pel_err pel_tcp_listen(struct pel_ipstack *ip, const struct pel_endpoint *local,
                                         uint32_t backlog, pel_tcp_accept_fn *accept, void *arg,
                                         struct pel_tcp_listener **ret_listener);

/* pel_tcp_listener_endpoint returns where it listens (the chosen port, when 0 was asked for). */
struct pel_endpoint pel_tcp_listener_endpoint(const struct pel_tcp_listener *listener);

/* pel_tcp_unlisten stops listening; connections that were accepted stay. NULL is harmless. */
void pel_tcp_unlisten(struct pel_tcp_listener *listener);

/* pel_tcp_set_events hands the connection to (another) owner. */
void pel_tcp_set_events(struct pel_tcp *tcp, const struct pel_tcp_events *events, void *arg);

/* pel_tcp_send_room returns how many bytes pel_tcp_write would take now: what the send buffer has left, which
 * grows with the congestion window up to tcp_window_len. */
size_t pel_tcp_send_room(const struct pel_tcp *tcp);

/* pel_tcp_mss returns how many bytes a segment on the wire holds at most, 0 when the connection is no more;
 * pel_tcp_segment_max how many pel_tcp_reserve gives at most. */
size_t pel_tcp_mss(const struct pel_tcp *tcp);
size_t pel_tcp_segment_max(const struct pel_ipstack *ip);

/* pel_tcp_reserve shows `ret_room`, where the caller writes the next `len` bytes of the stream itself; they
 * are the stream's once pel_tcp_commit has been called, before any other function of the connection, with how
 * many of them count, and leave with pel_tcp_flush. Errors: AGAIN (more than pel_tcp_send_room), ARG (more
 * than pel_tcp_segment_max), STATE, NO_MEMORY. */
PEL_MUST_USE enum pel_err pel_tcp_reserve(struct pel_tcp *tcp, size_t len, uint8_t **ret_room);
void pel_tcp_commit(struct pel_tcp *tcp, size_t len);

/* pel_tcp_write queues a copy of up to `len` bytes; `ret_len` says how many. AGAIN when none fit. `more`
 * says that more follows at once (no PSH, may be held back for a full segment until pel_tcp_flush). */
PEL_MUST_USE enum pel_err pel_tcp_write(struct pel_tcp *tcp, const uint8_t *bytes, size_t len, bool more,
                                        size_t *ret_len);

/* pel_tcp_flush sends what windows allow. NO_MEMORY: committed bytes wait still, and go by themselves
 * as soon as there is some. */
enum pel_err pel_tcp_flush(struct pel_tcp *tcp);

/* pel_tcp_received opens the receive window again by `len` bytes that the owner has taken from its chains. */
void pel_tcp_received(struct pel_tcp *tcp, size_t len);

/* pel_tcp_unacked_len returns how many written bytes are not acknowledged yet. */
size_t pel_tcp_unacked_len(const struct pel_tcp *tcp);

/* pel_tcp_shutdown sends FIN after what was written (half close). Errors: NO_MEMORY (try again later). */
PEL_MUST_USE enum pel_err pel_tcp_shutdown(struct pel_tcp *tcp);

/* pel_tcp_close gives the connection up: what was written is still sent, then FIN; no event comes any more
 * and `tcp` may not be used again. Received bytes that were not taken make it a reset, as BSD does when
 * data is lost. */
void pel_tcp_close(struct pel_tcp *tcp);

/* pel_tcp_abort sends RST and frees the connection; no event comes any more. */
void pel_tcp_abort(struct pel_tcp *tcp);

/* pel_tcp_local and pel_tcp_remote return the connection's endpoints. */
struct pel_endpoint pel_tcp_local(const struct pel_tcp *tcp);
struct pel_endpoint pel_tcp_remote(const struct pel_tcp *tcp);

/* What TCP knows of the path. Of its clock of 500 ms the round-trip times are an eighth exact; 0: not known.
 */
struct pel_tcp_info {
    uint32_t mss, congestion_window_len, unacked_len;
    uint32_t rtt_us, rtt_var_us;
    uint32_t num_retransmits; /* of the segment that waits to be acknowledged now */
};

/* pel_tcp_get_info tells it; all zeros when the connection is no more. */
void pel_tcp_get_info(const struct pel_tcp *tcp, struct pel_tcp_info *ret_info);

/* pel_tcp_set_nodelay switches Nagle's algorithm off (true) or on. pel_tcp_set_keepalive sets keep-alive
 * probes: first after `idle_ms` (0: off), then every `interval_ms`, `num` times. */
void pel_tcp_set_nodelay(struct pel_tcp *tcp, bool on);
void pel_tcp_set_keepalive(struct pel_tcp *tcp, uint32_t idle_ms, uint32_t interval_ms, uint32_t num);

/* ---- UDP ---- */

typedef void pel_udp_receive_fn(void *arg, const struct pel_endpoint *from, struct pel_buf *buf);

/* pel_udp_open binds to `local` (port 0: chosen, ip version 0: every address). Errors as pel_tcp_listen. */
PEL_MUST_USE enum pel_err pel_udp_open(struct pel_ipstack *ip, const struct pel_endpoint *local,
                                       pel_udp_receive_fn *receive, void *arg, struct pel_udp **ret_udp);

/* pel_udp_open_shared is pel_udp_open for an owner that settles itself who may have which port: all that are
 * opened so may have the same. A datagram goes to the one that is connected to its sender, else to the one
 * that was opened last. */
PEL_MUST_USE enum pel_err pel_udp_open_shared(struct pel_ipstack *ip, const struct pel_endpoint *local,
                                              pel_udp_receive_fn *receive, void *arg,
                                              struct pel_udp **ret_udp);

/* pel_udp_set_refused has `refused` called, with the argument of `receive`, when the host of a connected
 * socket's peer says that nobody listens there (ICMP port unreachable). */
typedef void pel_udp_refused_fn(void *arg);
void pel_udp_set_refused(struct pel_udp *udp, pel_udp_refused_fn *refused);

/* pel_udp_connect lets only datagrams from `remote` in; NULL: from everybody again. */
void pel_udp_connect(struct pel_udp *udp, const struct pel_endpoint *remote);

/* pel_udp_send sends one datagram of 0 to 65507 bytes (fragmented where longer than the MTU allows).
 * Errors: NO_ROUTE, TOO_BIG, NO_MEMORY. */
PEL_MUST_USE enum pel_err pel_udp_send(struct pel_udp *udp, const struct pel_endpoint *to,
                                       const uint8_t *bytes, size_t len);

/* pel_udp_local returns where it is bound. */
struct pel_endpoint pel_udp_local(const struct pel_udp *udp);

/* pel_udp_close unbinds and frees it. NULL is harmless. */
void pel_udp_close(struct pel_udp *udp);

#endif
