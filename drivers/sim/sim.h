/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A wire in memory between two ports. What one port transmits the other receives, in the order and at the
 * time that the configuration says: latency, bandwidth, loss, duplicates, reordering and corruption, all
 * drawn from one seed, so that a run with a virtual clock can be repeated to the byte.
 *
 * Two modes. "Queued": frames are copied onto the wire, wait there for their moment and are copied (or, with
 * exact_buffers, handed over in a heap buffer of exactly their size) into a packet of the receiver's pool, as
 * a NIC would do. "Direct", chosen by itself when there is no impairment, latency, bandwidth limit,
 * exact_buffers or real_offloads: the packet itself goes over in a lock-free ring without a copy and comes
 * back to the sender's pool when the receiver frees it, so that the sender's pool must also hold what the
 * receiver keeps. Direct mode is the wire of benchmarks.
 *
 * Both modes allow one thread a queue, with the real clock. A port of several queues spreads what it receives
 * by the hash of addresses and ports, as a NIC with RSS does; what is no IP goes to queue 0.
 *
 * Failure: a full wire is a short count from tx; an empty pool is NULL from pkt_alloc, and on receive a frame
 * lost and counted in rx_no_buffers; a frame over the MTU is lost and counted in tx_errors. Both ports must
 * be closed; the second close frees the wire and aborts in debug builds when packets are still out.
 *
 * It models no collisions, no VLANs and no pause frames.
 */
#ifndef PEL_DRIVERS_SIM_H
#define PEL_DRIVERS_SIM_H

#include <stdbool.h>

#include "base/clock.h"
#include "drivers/port.h"

/* Chances in parts per million, drawn for every frame. */
struct pel_sim_impair {
    uint32_t loss_ppm;
    uint32_t dup_ppm;     /* the frame comes twice */
    uint32_t reorder_ppm; /* the frame comes 1 to 4 frames late, or 1 ms late when none follow */
    uint32_t corrupt_ppm; /* exactly one byte of the frame is changed */
};

/* Zero means the default in brackets. */
struct pel_sim_wire_config {
    uint64_t seed;
    uint64_t latency_us;
    uint64_t bandwidth_bps; /* bits a second, each way (no limit) */
    struct pel_sim_impair a_to_b;
    struct pel_sim_impair b_to_a;
    uint32_t mtu;           /* 576 to 9216 (1500) */
    uint16_t num_queues;    /* of each port, 1 to 8 (1) */
    bool secret_rss;        /* the ports do not tell how they spread flows, as kernel interfaces do */
    const uint8_t *rss_key; /* PEL_RSS_KEY_LEN bytes, for both ports (made from the seed) */
    uint32_t queue_len;     /* frames under way each way (1024); without a copy, from each queue to each */
    uint32_t max_packets;   /* of each queue's pool (4096); and a 16th of that, large ones */
    bool exact_buffers;     /* received frames lie in heap buffers of exactly their size, for ASan */

    /* Offloads that both ports claim (enum pel_offload; not RSS). By itself the wire does as virtio does: a
     * frame whose checksum is unfinished, or that is larger than the MTU, comes over as it is, marked as
     * good. With real_offloads it does as a NIC does: finishes checksums, cuts TCP segments, and on receive
     * checks and marks. */
    uint32_t offloads;
    bool real_offloads;
    uint32_t tso_max_len; /* with PEL_OFFLOAD_TSO, the largest frame (65535); the room of large packets */
};

/* pel_sim_wire_open makes a wire and its two ports; the caller owns both and closes each with pel_port_close.
 * `clock` is copied; what its arg points to is borrowed until then. PEL_E_ARG for a value out of range,
 * PEL_E_NO_MEMORY. Any thread. */
PEL_MUST_USE enum pel_err pel_sim_wire_open(const struct pel_sim_wire_config *config,
                                            const struct pel_clock *clock, struct pel_port **ret_a,
                                            struct pel_port **ret_b);

/* pel_sim_is_direct tells whether the port's wire is in direct mode. Any thread. */
bool pel_sim_is_direct(const struct pel_port *port);

/* pel_sim_set_impair changes what happens from now on to the frames that `port` sends (loss_ppm 1000000 cuts
 * the wire). PEL_E_STATE in direct mode. Any thread. */
PEL_MUST_USE enum pel_err pel_sim_set_impair(struct pel_port *port, const struct pel_sim_impair *impair);

/* pel_sim_inject puts a copy of any `len` bytes (1 to 65535) onto the receive side of `port`, for the next
 * rx; they pass no impairment and no MTU check. PEL_E_ARG, PEL_E_NO_MEMORY, PEL_E_TOO_BIG when the wire is
 * full. Any thread. */
PEL_MUST_USE enum pel_err pel_sim_inject(struct pel_port *port, const void *bytes, size_t len);

/* Sees each frame that a port sends, before the impairments, and returns whether the wire shall carry it. */
typedef bool pel_sim_tap_fn(void *arg, const uint8_t *bytes, size_t len);

/* pel_sim_tap sets the function (NULL: none) that sees the frames which `port` sends, in the thread that
 * sends. Call it before the first frame or from that thread. */
void pel_sim_tap(struct pel_port *port, pel_sim_tap_fn *fn, void *arg);

/* pel_sim_fail_allocs makes pkt_alloc of `port` return NULL `num` times, beginning with the `nth` call from
 * now (1 is the next). 0 for `num` ends it. The port's thread. */
void pel_sim_fail_allocs(struct pel_port *port, uint64_t nth, uint64_t num);

/* pel_sim_limit_packets sets the size of the pool of each queue, at most max_packets; packets already out
 * stay valid. The port's thread. */
void pel_sim_limit_packets(struct pel_port *port, uint32_t max_packets);

#endif
