/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which connection or listener a segment is for: a hash table of the connections by addresses and ports,
 * those in TIME-WAIT among them, and one of the listeners by port. The links are in lwIP's pcbs
 * (changes/0010), so that nothing is allocated for one; the hash is SipHash under the instance's key, so that
 * nobody outside can aim at one chain. A table that grows too full doubles; where there is no memory for that
 * it stays, and its chains grow. It decides nothing about ports or states, and a pair of endpoints that is
 * put in twice is in twice.
 */
#ifndef PEL_STACK_LWIP_DEMUX_H
#define PEL_STACK_LWIP_DEMUX_H

#include <stdint.h>

#include "base/err.h"
#include "lwip/tcp.h"

#define PEL_LISTENER_CHAINS 64

struct pel_demux {
    uint64_t key[2];
    struct tcp_pcb **chains;
    uint32_t mask;       /* the number of chains, a power of two, less one */
    uint32_t num;        /* connections in them */
    uint32_t max_chains; /* the table grows no further */
    struct tcp_pcb_listen *listeners[PEL_LISTENER_CHAINS];
};

/* pel_demux_open makes an empty table with room for `num_expected` connections, within bounds; it will not
 * grow beyond `max_chains`. Errors: NO_MEMORY. The engine's thread, as all below. */
PEL_MUST_USE enum pel_err pel_demux_open(struct pel_demux *demux, const uint64_t key[2],
                                         uint32_t num_expected, uint32_t max_chains);

/* pel_demux_close frees the table; the pcbs are not touched. */
void pel_demux_close(struct pel_demux *demux);

/* pel_demux_add puts a pcb in, whose addresses and ports stay as they are until it is taken out. */
void pel_demux_add(struct pel_demux *demux, struct tcp_pcb *pcb);

/* pel_demux_remove takes a pcb out; one that is not in is left alone. */
void pel_demux_remove(struct pel_demux *demux, struct tcp_pcb *pcb);

/* pel_demux_find returns the connection between these ends, or NULL. */
struct tcp_pcb *pel_demux_find(const struct pel_demux *demux, const ip_addr_t *local, uint16_t local_port,
                               const ip_addr_t *remote, uint16_t remote_port);

/* pel_demux_listen and pel_demux_unlisten put a listener in and take it out. */
void pel_demux_listen(struct pel_demux *demux, struct tcp_pcb_listen *listener);
void pel_demux_unlisten(struct pel_demux *demux, struct tcp_pcb_listen *listener);

/* pel_demux_listener returns the listener for a segment to `local`: the one on that very address, or else one
 * on every address; NULL when there is none. */
struct tcp_pcb_listen *pel_demux_listener(const struct pel_demux *demux, const ip_addr_t *local,
                                          uint16_t local_port);

/* pel_demux_listeners_of returns the first of a chain (hash_next) in which all listeners on that port are,
 * and others. */
struct tcp_pcb_listen *pel_demux_listeners_of(const struct pel_demux *demux, uint16_t local_port);

#endif
