/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of drivers/sim share: the packet pool (pool.c), one direction of the wire (wire.c), what a
 * NIC does to frames (offload.c), and the port that joins them (sim.c).
 */
#ifndef PEL_DRIVERS_SIM_INTERNAL_H
#define PEL_DRIVERS_SIM_INTERNAL_H

#include <pthread.h>
#include <string.h>

#include "drivers/sim/sim.h"

#define SIM_CACHE_LINE 64
#define SIM_MAX_HELD   16
#define SIM_FREE_BATCH 32
#define SIM_MAX_QUEUES 8
#define SIM_MAX_PIECES 128 /* of one frame, at any sensible segment size */

/* A port's pools: packets for a frame of the MTU, those for the largest frame, and those without bytes of
 * their own, which show some of another's. */
enum sim_kind { SIM_SMALL, SIM_LARGE, SIM_VIEW, SIM_KINDS };

/* A packet of a pool. `bytes` is its own buffer of the pool's room, or with exact_buffers, while it holds a
 * received frame, `exact` is that frame's heap buffer. `num_refs`: its owner and the views of it. */
struct sim_pkt {
    struct pel_pkt pkt;
    uint8_t *bytes;
    uint8_t *exact;
    struct sim_pool *pool;
    uint32_t num_refs;
    struct sim_pkt *base; /* of a view: whose bytes it shows */
    struct sim_pkt *next_free;
    struct sim_pkt *next_made;
};

/* Packets of one queue of a port. The owner thread allocates; any thread frees: the owner onto `free`, others
 * onto `returned`. */
struct sim_pool {
    const void *owner; /* the thread that uses the queue, as the address of its `self` */
    uint16_t index;    /* the queue's number */
    enum sim_kind kind;
    uint32_t room_len;
    uint32_t max_packets;
    uint32_t num_made;
    uint32_t num_free;
    struct sim_pkt *free;
    struct sim_pkt *made;
    _Alignas(SIM_CACHE_LINE) struct sim_pkt *returned; /* pushed by any thread, taken whole by the owner */
    uint32_t num_returned;
};

void sim_pool_init(struct sim_pool *pool, enum sim_kind kind, uint32_t room_len, uint32_t max_packets);

/* Frees all packets, whoever has them. */
void sim_pool_fini(struct sim_pool *pool);

/* An empty packet or NULL. Owner thread. */
struct sim_pkt *sim_pool_take(struct sim_pool *pool);

/* Gives one packet back. Owner thread. */
void sim_pool_give(struct sim_pool *pool, struct sim_pkt *p);

/* Gives the chain first..last of `num` packets (by next_free) back. Any thread. */
void sim_pool_return(struct sim_pool *pool, struct sim_pkt *first, struct sim_pkt *last, uint32_t num);

/* Packets that are out. Exact when nobody allocates or frees meanwhile. Any thread. */
uint32_t sim_pool_in_use(const struct sim_pool *pool);

/* A frame on the wire, in queued mode. */
struct sim_frame {
    uint64_t due_us;
    uint64_t order; /* among frames of the same moment */
    uint8_t *bytes;
    uint32_t len;
    uint16_t flags; /* as the receiver shall see them */
};

/* A frame that was chosen to come late: it goes out behind `left` more frames, or when it is due. */
struct sim_held {
    struct sim_frame frame;
    uint32_t left;
};

/* One direction of the wire. `lock` guards everything up to the ring; the ring is the direct mode's. */
struct sim_line {
    pthread_mutex_t lock;
    struct pel_prng prng;
    struct pel_sim_impair impair;
    uint64_t latency_us;
    uint64_t bandwidth_bps;
    uint64_t free_ns; /* when the sender's end has put the last frame out */
    uint64_t next_order;
    struct sim_frame *heap; /* the earliest first */
    uint32_t num_heap;
    uint32_t cap_heap;
    struct sim_held held[SIM_MAX_HELD];
    uint32_t num_held;
    uint32_t num_waiting; /* num_heap + num_held, for a look without the lock */

    struct sim_pkt **ring;
    uint32_t ring_mask;
    _Alignas(SIM_CACHE_LINE) uint32_t head; /* the receiver's */
    uint32_t tail_seen;
    _Alignas(SIM_CACHE_LINE) uint32_t tail; /* the sender's */
    uint32_t head_seen;
};

PEL_MUST_USE enum pel_err sim_line_init(struct sim_line *line, const struct pel_sim_wire_config *config,
                                        const struct pel_sim_impair *impair, uint64_t seed, bool direct);
void sim_line_fini(struct sim_line *line);

/* Whether `num` frames more may be sent. The sender's thread. */
bool sim_line_has_room(struct sim_line *line, uint32_t num);

/* Puts a frame on the wire: takes `bytes` (heap). False when it was lost on the way. */
bool sim_line_send(struct sim_line *line, uint64_t now_us, uint8_t *bytes, uint32_t len, uint16_t flags);

/* Puts a frame, unimpaired, at the receiver's end. Takes `bytes`, unless the error is PEL_E_TOO_BIG. */
PEL_MUST_USE enum pel_err sim_line_inject(struct sim_line *line, uint64_t now_us, uint8_t *bytes,
                                          uint32_t len);

/* Takes the next frame that is due; the caller owns its bytes. */
bool sim_line_receive(struct sim_line *line, uint64_t now_us, struct sim_frame *ret_frame);

/* When the next frame is due; UINT64_MAX for none. */
uint64_t sim_line_next_us(struct sim_line *line);

/* The direct mode: one sender, one receiver. push is false when the ring is full; pop is NULL when it is
 * empty. */
bool sim_line_push(struct sim_line *line, struct sim_pkt *p);
struct sim_pkt *sim_line_pop(struct sim_line *line);
bool sim_line_ring_is_empty(const struct sim_line *line);

/* What the receiving end of a wire does with frames for several queues (rss.c). */
struct sim_fifo {
    struct sim_waiting *first, *last;
};
struct sim_sorter {
    pthread_mutex_t lock; /* guards the queues */
    uint32_t num_kept;    /* in all of them, for a look without the lock */
    uint16_t num;
    struct pel_rss rss;
    struct sim_fifo fifos[SIM_MAX_QUEUES];
};

/* sim_sorter_init prepares for `num` queues, 1 to SIM_MAX_QUEUES. */
void sim_sorter_init(struct sim_sorter *sorter, uint16_t num, const uint8_t key[PEL_RSS_KEY_LEN]);
void sim_sorter_fini(struct sim_sorter *sorter);

/* sim_sorter_queue tells to which queue a frame goes. Any thread. */
uint16_t sim_sorter_queue(const struct sim_sorter *sorter, const uint8_t *bytes, uint32_t len);

/* sim_sorter_receive takes the next frame of `queue` that is due on `line`, and sorts those of other queues
 * that lie before it; the caller owns its bytes. */
bool sim_sorter_receive(struct sim_sorter *sorter, struct sim_line *line, uint16_t queue, uint64_t now_us,
                        struct sim_frame *ret_frame);

/* sim_sorter_is_empty tells whether no sorted frame waits. */
bool sim_sorter_is_empty(struct sim_sorter *sorter);

/* sim_offload_finish fills in the checksums that `flags` ask for. False when the headers do not fit the
 * frame. */
bool sim_offload_finish(uint8_t *bytes, uint32_t len, const struct pel_pkt *pkt);

/* sim_offload_cut makes piece `index` of a TCP frame, without checksums, in `ret_bytes` (room for the frame):
 * returns its length, or 0 when there is no such piece or the headers do not fit the frame. */
uint32_t sim_offload_cut(const struct pel_pkt *pkt, uint32_t index, uint8_t *ret_bytes);

/* sim_offload_check returns the PEL_PKT_RX_* flags of a received frame. */
uint16_t sim_offload_check(const uint8_t *bytes, uint32_t len, uint32_t offloads);

#endif
