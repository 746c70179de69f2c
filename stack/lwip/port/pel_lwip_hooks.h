/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hooks through which lwIP asks the instance: sequence numbers, routes, limits. All in hooks.c.
 */
#ifndef PEL_STACK_LWIP_PORT_HOOKS_H
#define PEL_STACK_LWIP_PORT_HOOKS_H

#include "lwip/ip_addr.h"
#include "lwip/netif.h"

/* pel_lwip_isn returns a connection's initial sequence number: RFC 6528. */
u32_t pel_lwip_isn(const ip_addr_t *local, u16_t local_port, const ip_addr_t *remote, u16_t remote_port);
#define LWIP_HOOK_TCP_ISN pel_lwip_isn

/* pel_lwip_gateway6 returns the configured gateway, or NULL where only router advertisements tell. */
const ip6_addr_t *pel_lwip_gateway6(struct netif *netif, const ip6_addr_t *dest);
#define LWIP_HOOK_ND6_GET_GW(netif, dest) pel_lwip_gateway6(netif, dest)

/* pel_lwip_may_challenge tells whether one more challenge acknowledgement may go out now: RFC 5961 section
 * 7. */
int pel_lwip_may_challenge(void);
#define LWIP_HOOK_CHALLENGE_ACK() pel_lwip_may_challenge()

/* pel_lwip_backlog_full counts a SYN that a listener's backlog had no room for. */
void pel_lwip_backlog_full(void);
#define LWIP_HOOK_BACKLOG_FULL() pel_lwip_backlog_full()

/* pel_lwip_retransmit counts a segment or a flight that is sent again. */
void pel_lwip_retransmit(void);
#define LWIP_HOOK_RETRANSMIT() pel_lwip_retransmit()

/* pel_lwip_window_probe counts a probe of a window that its receiver keeps shut. */
void pel_lwip_window_probe(void);
#define LWIP_HOOK_WINDOW_PROBE() pel_lwip_window_probe()

/* pel_lwip_pbuf_rest returns the last `len` bytes of a segment, which begin at `offset`: shared with it or
 * copied. NULL: no memory. */
struct pbuf;
struct pbuf *pel_lwip_pbuf_rest(struct pbuf *p, u16_t offset, u16_t len);
#define LWIP_HOOK_PBUF_REST pel_lwip_pbuf_rest

/* pel_lwip_reassembled gives a segment that came in fragments to the instance whose connection it is; 0 when
 * that is this one (elsewhere.c). */
int pel_lwip_reassembled(struct pbuf *p);
#define LWIP_HOOK_TCP_REASSEMBLED(p) pel_lwip_reassembled(p)

/* The demultiplexer (stack/lwip/demux.h): connections, TIME-WAIT included, and listeners. */
struct tcp_pcb;
struct tcp_pcb_listen;
void pel_lwip_pcb_link(struct tcp_pcb *pcb);
void pel_lwip_pcb_unlink(struct tcp_pcb *pcb);
struct tcp_pcb *pel_lwip_pcb_find(const ip_addr_t *local, u16_t local_port, const ip_addr_t *remote,
                                  u16_t remote_port);
void pel_lwip_listener_link(struct tcp_pcb_listen *listener);
void pel_lwip_listener_unlink(struct tcp_pcb_listen *listener);
struct tcp_pcb_listen *pel_lwip_listener_find(const ip_addr_t *local, u16_t local_port);
struct tcp_pcb_listen *pel_lwip_listeners_of(u16_t local_port);
#define LWIP_HOOK_PCB_LINK        pel_lwip_pcb_link
#define LWIP_HOOK_PCB_UNLINK      pel_lwip_pcb_unlink
#define LWIP_HOOK_PCB_FIND        pel_lwip_pcb_find
#define LWIP_HOOK_LISTENER_LINK   pel_lwip_listener_link
#define LWIP_HOOK_LISTENER_UNLINK pel_lwip_listener_unlink
#define LWIP_HOOK_LISTENER_FIND   pel_lwip_listener_find
#define LWIP_HOOK_LISTENERS_OF    pel_lwip_listeners_of

#endif
