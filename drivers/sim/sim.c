/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/sim/internal.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define ETH_LEN             14u
#define DEFAULT_MTU         1500u
#define MIN_MTU             576u
#define MAX_MTU             9216u
#define DEFAULT_QUEUE_LEN   1024u
#define DEFAULT_MAX_PACKETS 4096u
#define MAX_FRAME_LEN       65535u
#define MAX_COUNT           (1u << 24)
#define PPM                 1000000u

/* One large packet for so many small ones, but never fewer than MIN_LARGE. */
#define SMALL_A_LARGE 16u
#define MIN_LARGE     64u

#define OFFLOADS                                                                                             \
    (PEL_OFFLOAD_RX_IP_CSUM | PEL_OFFLOAD_RX_L4_CSUM | PEL_OFFLOAD_TX_IP_CSUM | PEL_OFFLOAD_TX_L4_CSUM |     \
     PEL_OFFLOAD_TSO | PEL_OFFLOAD_SCATTER)

struct sim_wire;

/* Packets of one pool of a queue of the peer that were freed here, to go back together. */
struct sim_batch {
    struct sim_pkt *first;
    struct sim_pkt *last;
    uint32_t num;
};

struct sim_queue {
    _Alignas(SIM_CACHE_LINE) struct sim_pool pools[SIM_KINDS];
    struct sim_batch batches[SIM_MAX_QUEUES][SIM_KINDS]; /* by the peer's queue */
    uint32_t turn;                                       /* which of the peer's queues is looked at first */
    struct pel_port_stats count;
};

struct sim_port {
    struct pel_port port; /* first: a struct pel_port of this driver is a struct sim_port */
    struct sim_wire *wire;
    struct sim_port *peer;
    struct sim_line *out;
    struct sim_line *in;
    struct sim_line *rings; /* direct mode: to this port, [the peer's queue * num_queues + its own] */
    struct sim_sorter sorter;
    struct sim_queue queues[SIM_MAX_QUEUES];
    uint64_t fail_after; /* pkt_alloc calls that still succeed, then num_fail that do not */
    uint64_t num_fail;
    pel_sim_tap_fn *tap;
    void *tap_arg;
};

struct sim_wire {
    struct pel_clock clock;
    bool direct;
    bool exact_buffers;
    bool real_offloads;
    uint32_t num_open;
    struct sim_line a_to_b;
    struct sim_line b_to_a;
    struct sim_port a;
    struct sim_port b;
};

/* Its address tells threads apart; no value is kept in it. */
static _Thread_local char self;

static struct sim_port *of(const struct pel_port *port)
{
    return (struct sim_port *)(uintptr_t)port;
}

static struct sim_queue *enter(struct sim_port *sim, uint16_t queue)
{
    struct sim_queue *q = &sim->queues[queue];
    for (enum sim_kind kind = 0; kind < SIM_KINDS; kind++)
        if (__atomic_load_n(&q->pools[kind].owner, __ATOMIC_RELAXED) != &self)
            __atomic_store_n(&q->pools[kind].owner, &self, __ATOMIC_RELAXED);
    return q;
}

static void flush_batch(struct sim_batch *batch, struct sim_pool *pool)
{
    if (batch->num == 0)
        return;
    sim_pool_return(pool, batch->first, batch->last, batch->num);
    batch->first = batch->last = NULL;
    __atomic_store_n(&batch->num, 0, __ATOMIC_RELAXED);
}

static void flush_batches(struct sim_port *sim, struct sim_queue *q)
{
    for (uint16_t i = 0; i < sim->port.num_queues; i++)
        for (enum sim_kind kind = 0; kind < SIM_KINDS; kind++)
            flush_batch(&q->batches[i][kind], &sim->peer->queues[i].pools[kind]);
}

/* The peer's packet, freed by our thread: one atomic operation for many. Small pools cannot do without the
 * few that would wait here. */
static void free_peers(struct sim_queue *q, struct sim_pkt *p)
{
    struct sim_batch *batch = &q->batches[p->pool->index][p->pool->kind];
    p->next_free = batch->first;
    batch->first = p;
    if (batch->last == NULL)
        batch->last = p;
    __atomic_store_n(&batch->num, batch->num + 1, __ATOMIC_RELAXED);
    if (batch->num >= SIM_FREE_BATCH || p->pool->max_packets < 16 * SIM_FREE_BATCH)
        flush_batch(batch, p->pool);
}

/* The queue of `sim` that the calling thread uses; NULL when it uses none. */
static struct sim_queue *own_queue(struct sim_port *sim)
{
    for (uint16_t i = 0; i < sim->port.num_queues; i++)
        if (__atomic_load_n(&sim->queues[i].pools[SIM_SMALL].owner, __ATOMIC_RELAXED) == &self)
            return &sim->queues[i];
    return NULL;
}

/* One reference less; with the last the packet goes back to its pool. */
static void unref(struct sim_pkt *p)
{
    struct sim_queue *peers = NULL;
    if (__atomic_load_n(&p->num_refs, __ATOMIC_ACQUIRE) > 1 &&
        __atomic_sub_fetch(&p->num_refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    if (p->exact != NULL) {
        free(p->exact);
        p->exact = NULL;
    }
    if (__atomic_load_n(&p->pool->owner, __ATOMIC_RELAXED) == &self)
        sim_pool_give(p->pool, p);
    else if ((peers = own_queue(of(p->pkt.port)->peer)) != NULL)
        free_peers(peers, p);
    else
        sim_pool_return(p->pool, p, p, 1);
}

static void sim_pkt_free(struct pel_pkt *pkt)
{
    while (pkt != NULL) {
        struct sim_pkt *p = (struct sim_pkt *)pkt, *base = p->base;
        pkt = pkt->more;
        p->base = NULL;
        unref(p);
        if (base != NULL)
            unref(base);
    }
}

static bool alloc_shall_fail(struct sim_port *sim)
{
    if (sim->num_fail == 0)
        return false;
    if (sim->fail_after > 0) {
        sim->fail_after--;
        return false;
    }
    sim->num_fail--;
    return true;
}

static struct pel_pkt *alloc(struct sim_port *sim, uint16_t queue, enum sim_kind kind)
{
    struct sim_queue *q = enter(sim, queue);
    struct sim_pkt *p = alloc_shall_fail(sim) ? NULL : sim_pool_take(&q->pools[kind]);
    if (p == NULL)
        return NULL;
    p->pkt.port = &sim->port;
    p->pkt.queue = queue;
    return &p->pkt;
}

static struct pel_pkt *sim_pkt_alloc(struct pel_port *port, uint16_t queue)
{
    return alloc(of(port), queue, SIM_SMALL);
}

static struct pel_pkt *sim_pkt_alloc_large(struct pel_port *port, uint16_t queue)
{
    return alloc(of(port), queue, SIM_LARGE);
}

static struct pel_pkt *sim_pkt_attach(struct pel_pkt *whole, uint16_t queue, uint8_t *data, uint32_t len)
{
    struct sim_pkt *base = (struct sim_pkt *)whole;
    /* The queue that `whole` is from: its thread is this one, whatever it calls its queue. */
    struct pel_pkt *pkt = alloc(of(whole->port), base->pool->index, SIM_VIEW);
    assert(base->base == NULL);
    if (pkt == NULL)
        return NULL;
    __atomic_add_fetch(&base->num_refs, 1, __ATOMIC_RELAXED);
    ((struct sim_pkt *)pkt)->base = base;
    pkt->data = data;
    pkt->len = len;
    return pkt;
}

/* What the receiver is told of a frame that comes over as it was sent. */
static uint16_t virtio_flags(uint16_t tx_flags)
{
    uint32_t flags = 0;
    if ((tx_flags & (PEL_PKT_TX_IP_CSUM | PEL_PKT_TX_TSO)) != 0)
        flags |= PEL_PKT_RX_IP_CSUM_GOOD;
    if ((tx_flags & (PEL_PKT_TX_L4_CSUM | PEL_PKT_TX_TSO)) != 0)
        flags |= PEL_PKT_RX_L4_CSUM_GOOD;
    return (uint16_t)flags;
}

static struct sim_line *ring_of(struct sim_port *to, uint16_t from_queue, uint16_t to_queue)
{
    return &to->rings[from_queue * to->port.num_queues + to_queue];
}

static struct sim_pkt *rx_direct(struct sim_port *sim, struct sim_queue *q, uint16_t queue)
{
    struct sim_pkt *p = NULL;
    for (uint16_t i = 0; i < sim->port.num_queues && p == NULL; i++, q->turn++)
        p = sim_line_pop(ring_of(sim, (uint16_t)(q->turn % sim->port.num_queues), queue));
    if (p == NULL)
        return NULL;
    p->pkt.flags = virtio_flags(p->pkt.flags);
    p->pkt.queue = queue;
    p->pkt.next = NULL;
    return p;
}

/* Gives the frame a packet of the pool; NULL when there is none, or the frame is too large for it. Takes the
 * bytes. */
static struct sim_pkt *pack(struct sim_port *sim, uint16_t queue, const struct sim_frame *frame)
{
    struct sim_queue *q = &sim->queues[queue];
    enum sim_kind kind =
        sim->wire->exact_buffers || frame->len <= q->pools[SIM_SMALL].room_len ? SIM_SMALL : SIM_LARGE;
    bool fits = sim->wire->exact_buffers || frame->len <= q->pools[kind].room_len;
    struct sim_pkt *p = fits ? sim_pool_take(&q->pools[kind]) : NULL;
    if (p == NULL) {
        pel_count_add(fits ? &q->count.rx_no_buffers : &q->count.rx_missed, 1);
        free(frame->bytes);
        return NULL;
    }
    if (sim->wire->exact_buffers) {
        p->pkt.data = p->exact = frame->bytes;
        p->pkt.room_len = frame->len;
    } else {
        memcpy(p->bytes, frame->bytes, frame->len);
        free(frame->bytes);
    }
    p->pkt.len = frame->len;
    p->pkt.flags = frame->flags;
    if (sim->wire->real_offloads)
        p->pkt.flags = sim_offload_check(p->pkt.data, p->pkt.len, sim->port.offloads);
    p->pkt.port = &sim->port;
    p->pkt.queue = queue;
    return p;
}

static uint32_t sim_rx(struct pel_port *port, uint16_t queue, struct pel_pkt **ret_pkts, uint32_t max)
{
    struct sim_port *sim = of(port);
    struct sim_pkt *p = NULL;
    struct sim_frame frame;
    uint64_t bytes_len = 0;
    uint32_t num = 0;
    struct sim_queue *q = enter(sim, queue);
    while (num < max && sim->wire->direct && (p = rx_direct(sim, q, queue)) != NULL)
        ret_pkts[num++] = &p->pkt;
    while (num < max &&
           sim_sorter_receive(&sim->sorter, sim->in, queue, pel_clock_now_us(&sim->wire->clock), &frame))
        if ((p = pack(sim, queue, &frame)) != NULL)
            ret_pkts[num++] = &p->pkt;
    for (uint32_t i = 0; i < num; i++)
        bytes_len += pel_pkt_frame_len(ret_pkts[i]);
    pel_count_add(&q->count.rx_packets, num);
    pel_count_add(&q->count.rx_bytes, bytes_len);
    if (num == 0)
        flush_batches(sim, q);
    return num;
}

/* A frame of pieces as one piece, in memory of its own, for whoever has to look into it. */
static bool flatten(const struct pel_pkt *pkt, struct pel_pkt *ret_flat)
{
    *ret_flat = *pkt;
    ret_flat->more = NULL;
    ret_flat->data = malloc(pel_pkt_frame_len(pkt));
    ret_flat->len = 0;
    if (ret_flat->data == NULL)
        return false;
    for (; pkt != NULL; pkt = pkt->more) {
        memcpy(ret_flat->data + ret_flat->len, pkt->data, pkt->len);
        ret_flat->len += pkt->len;
    }
    return true;
}

static uint8_t *copy_of(const uint8_t *bytes, uint32_t len)
{
    uint8_t *copy = malloc(len);
    if (copy != NULL)
        memcpy(copy, bytes, len);
    return copy;
}

/* The pieces of a TCP frame, each checksummed and sent: what a NIC does. False when it cannot be cut. */
static bool send_pieces(struct sim_port *sim, const struct pel_pkt *pkt, uint64_t now_us)
{
    uint8_t *scratch = malloc(pkt->len);
    uint32_t len, index = 0;
    if (scratch == NULL)
        return false;
    for (; (len = sim_offload_cut(pkt, index, scratch)) > 0; index++) {
        uint8_t *bytes = copy_of(scratch, len);
        if (bytes != NULL && sim_offload_finish(bytes, len, pkt))
            sim_line_send(sim->out, now_us, bytes, len, 0);
        else
            free(bytes);
    }
    free(scratch);
    return index > 0;
}

static bool send_copy(struct sim_port *sim, const struct pel_pkt *pkt, uint64_t now_us)
{
    bool real = sim->wire->real_offloads;
    if (real && (pkt->flags & PEL_PKT_TX_TSO) != 0)
        return send_pieces(sim, pkt, now_us);
    uint8_t *bytes = copy_of(pkt->data, pkt->len);
    uint16_t flags = real ? 0 : virtio_flags(pkt->flags);
    if (bytes == NULL || (real && pkt->flags != 0 && !sim_offload_finish(bytes, pkt->len, pkt))) {
        free(bytes);
        return false;
    }
    sim_line_send(sim->out, now_us, bytes, pkt->len, flags);
    return true;
}

/* Whether the port may send the frame at all: its length, and only offloads that were claimed. */
static bool is_sendable(const struct sim_port *sim, const struct pel_pkt *pkt)
{
    bool tso = (pkt->flags & PEL_PKT_TX_TSO) != 0;
    uint32_t limit = tso ? sim->port.tso_max_len : sim->port.mtu + ETH_LEN;
    uint32_t offloads = sim->port.offloads, len = pel_pkt_frame_len(pkt);
    if (pkt->more != NULL && (offloads & PEL_OFFLOAD_SCATTER) == 0)
        return false;
    if (pkt->len == 0 || len > limit || (tso && (offloads & PEL_OFFLOAD_TSO) == 0))
        return false;
    if ((pkt->flags & PEL_PKT_TX_IP_CSUM) != 0 && (offloads & PEL_OFFLOAD_TX_IP_CSUM) == 0)
        return false;
    return (pkt->flags & PEL_PKT_TX_L4_CSUM) == 0 || (offloads & PEL_OFFLOAD_TX_L4_CSUM) != 0;
}

static uint32_t num_pieces(const struct pel_pkt *pkt)
{
    bool cut = (pkt->flags & PEL_PKT_TX_TSO) != 0 && pkt->tso_mss > 0;
    return cut ? pel_pkt_frame_len(pkt) / pkt->tso_mss + 1 : 1;
}

/* The test's tap and the queued wire read frames as one piece. False: there is no memory, the frame is lost.
 */
static bool send_flat(struct sim_port *sim, const struct pel_pkt *pkt, uint64_t now_us, bool *ret_carry)
{
    struct pel_pkt flat;
    if (pkt->more != NULL && !flatten(pkt, &flat))
        return false;
    const struct pel_pkt *whole = pkt->more != NULL ? &flat : pkt;
    *ret_carry = sim->tap == NULL || sim->tap(sim->tap_arg, whole->data, whole->len);
    bool sent = sim->wire->direct || !*ret_carry || send_copy(sim, whole, now_us);
    if (whole == &flat)
        free(flat.data);
    return sent;
}

static bool push_direct(struct sim_port *sim, uint16_t queue, struct sim_pkt *p)
{
    uint16_t to = sim_sorter_queue(&sim->peer->sorter, p->pkt.data, p->pkt.len);
    return sim_line_push(ring_of(sim->peer, queue, to), p);
}

/* Sends one frame and takes its packet. False, and the packet stays the caller's, when the wire is full. */
static bool tx_one(struct sim_port *sim, uint16_t queue, struct pel_pkt *pkt, uint64_t now_us)
{
    struct sim_queue *q = &sim->queues[queue];
    uint32_t len = pel_pkt_frame_len(pkt);
    bool direct = sim->wire->direct, carry = true;
    if (!direct && !sim_line_has_room(sim->out, num_pieces(pkt)) && num_pieces(pkt) <= sim->out->cap_heap)
        return false;
    if (!is_sendable(sim, pkt) || num_pieces(pkt) > sim->out->cap_heap) {
        pel_count_add(&q->count.tx_errors, 1);
        sim_pkt_free(pkt);
        return true;
    }
    bool sent = (direct && sim->tap == NULL) || send_flat(sim, pkt, now_us, &carry);
    if (sent && carry && direct && !push_direct(sim, queue, (struct sim_pkt *)pkt))
        return false;
    if (!sent || !carry || !direct)
        sim_pkt_free(pkt);
    pel_count_add(sent ? &q->count.tx_packets : &q->count.tx_errors, 1);
    pel_count_add(&q->count.tx_bytes, sent ? len : 0);
    return true;
}

static uint32_t sim_tx(struct pel_port *port, uint16_t queue, struct pel_pkt **pkts, uint32_t num)
{
    struct sim_port *sim = of(port);
    uint64_t now_us = sim->wire->direct ? 0 : pel_clock_now_us(&sim->wire->clock);
    uint32_t done = 0;
    enter(sim, queue);
    while (done < num && tx_one(sim, queue, pkts[done], now_us))
        done++;
    return done;
}

static uint64_t load(const uint64_t *number)
{
    return __atomic_load_n(number, __ATOMIC_RELAXED);
}

static uint32_t queue_in_use(const struct sim_port *sim, uint16_t queue)
{
    uint32_t num = 0;
    for (enum sim_kind kind = 0; kind < SIM_KINDS; kind++) {
        num += sim_pool_in_use(&sim->queues[queue].pools[kind]);
        for (uint16_t i = 0; i < sim->port.num_queues; i++)
            num -= __atomic_load_n(&sim->peer->queues[i].batches[queue][kind].num, __ATOMIC_RELAXED);
    }
    return num;
}

static void sim_stats(struct pel_port *port, struct pel_port_stats *ret_stats)
{
    struct sim_port *sim = of(port);
    struct pel_port_stats stats = {0};
    for (uint16_t i = 0; i < port->num_queues; i++) {
        const struct pel_port_stats *count = &sim->queues[i].count;
        stats.rx_packets += load(&count->rx_packets);
        stats.rx_bytes += load(&count->rx_bytes);
        stats.rx_missed += load(&count->rx_missed);
        stats.rx_no_buffers += load(&count->rx_no_buffers);
        stats.tx_packets += load(&count->tx_packets);
        stats.tx_bytes += load(&count->tx_bytes);
        stats.tx_errors += load(&count->tx_errors);
        stats.num_pkts_in_use += queue_in_use(sim, i);
    }
    *ret_stats = stats;
}

static uint32_t num_rings(const struct sim_port *sim)
{
    return (uint32_t)sim->port.num_queues * sim->port.num_queues;
}

static uint64_t sim_next_event_us(struct pel_port *port, uint16_t queue)
{
    struct sim_port *sim = of(port);
    bool waits = !sim_sorter_is_empty(&sim->sorter);
    for (uint32_t i = 0; sim->wire->direct && i < num_rings(sim); i++)
        if (queue == PEL_ANY_QUEUE || i % sim->port.num_queues == queue)
            waits |= !sim_line_ring_is_empty(&sim->rings[i]);
    return waits ? pel_clock_now_us(&sim->wire->clock) : sim_line_next_us(sim->in);
}

static void drain(struct sim_port *sim)
{
    struct sim_pkt *p;
    for (uint32_t i = 0; sim->wire->direct && i < num_rings(sim); i++)
        while ((p = sim_line_pop(&sim->rings[i])) != NULL)
            sim_pkt_free(&p->pkt);
}

static void port_fini(struct sim_port *sim)
{
    for (uint32_t i = 0; sim->rings != NULL && i < num_rings(sim); i++)
        sim_line_fini(&sim->rings[i]);
    free(sim->rings);
    sim_sorter_fini(&sim->sorter);
    for (uint16_t i = 0; i < sim->port.num_queues; i++)
        for (enum sim_kind kind = 0; kind < SIM_KINDS; kind++)
            sim_pool_fini(&sim->queues[i].pools[kind]);
}

static void wire_free(struct sim_wire *wire)
{
    sim_line_fini(&wire->a_to_b);
    sim_line_fini(&wire->b_to_a);
    port_fini(&wire->a);
    port_fini(&wire->b);
    free(wire);
}

static void sim_close(struct pel_port *port)
{
    struct sim_port *sim = of(port);
    struct sim_wire *wire = sim->wire;
    struct pel_port_stats stats;
    for (uint16_t i = 0; i < port->num_queues; i++)
        flush_batches(sim, &sim->queues[i]);
    /* A packet of this pool may still be on the wire or with the other port: the second to close cleans up
     * for both. */
    if (__atomic_sub_fetch(&wire->num_open, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    drain(&wire->a);
    drain(&wire->b);
    for (int i = 0; i < 2; i++) {
        sim_stats(i == 0 ? &wire->a.port : &wire->b.port, &stats);
        if (stats.num_pkts_in_use != 0)
            fprintf(stderr, "%s: %u packets were never freed\n",
                    i == 0 ? wire->a.port.name : wire->b.port.name, stats.num_pkts_in_use);
        assert(stats.num_pkts_in_use == 0);
    }
    wire_free(wire);
}

static const struct pel_port_ops sim_ops = {
    .driver = "sim",
    .rx = sim_rx,
    .tx = sim_tx,
    .pkt_alloc = sim_pkt_alloc,
    .pkt_alloc_large = sim_pkt_alloc_large,
    .pkt_attach = sim_pkt_attach,
    .pkt_free = sim_pkt_free,
    .stats = sim_stats,
    .next_event_us = sim_next_event_us,
    .close = sim_close,
};

static bool impairs(const struct pel_sim_impair *impair)
{
    return (impair->loss_ppm | impair->dup_ppm | impair->reorder_ppm | impair->corrupt_ppm) != 0;
}

static bool impair_is_valid(const struct pel_sim_impair *impair)
{
    return impair->loss_ppm <= PPM && impair->dup_ppm <= PPM && impair->reorder_ppm <= PPM &&
           impair->corrupt_ppm <= PPM;
}

static uint32_t or_default(uint32_t value, uint32_t otherwise)
{
    return value != 0 ? value : otherwise;
}

static enum pel_err complete_config(struct pel_sim_wire_config *config)
{
    bool tso = (config->offloads & PEL_OFFLOAD_TSO) != 0;
    config->mtu = or_default(config->mtu, DEFAULT_MTU);
    config->queue_len = or_default(config->queue_len, DEFAULT_QUEUE_LEN);
    config->num_queues = (uint16_t)or_default(config->num_queues, 1);
    config->max_packets = or_default(config->max_packets, DEFAULT_MAX_PACKETS);
    config->tso_max_len = tso ? or_default(config->tso_max_len, MAX_FRAME_LEN) : 0;
    if (config->mtu < MIN_MTU || config->mtu > MAX_MTU || config->tso_max_len > MAX_FRAME_LEN)
        return PEL_E_ARG;
    if (config->num_queues > SIM_MAX_QUEUES || config->queue_len > MAX_COUNT ||
        config->max_packets > MAX_COUNT || (config->offloads & ~OFFLOADS) != 0)
        return PEL_E_ARG;
    return impair_is_valid(&config->a_to_b) && impair_is_valid(&config->b_to_a) ? PEL_OK : PEL_E_ARG;
}

/* How the port spreads what it receives, and what it says of it. */
static void spread_init(struct sim_port *sim, const struct pel_sim_wire_config *config)
{
    uint8_t key[PEL_RSS_KEY_LEN];
    struct pel_prng prng;
    pel_prng_seed(&prng, config->seed);
    for (size_t i = 0; i < sizeof key; i++)
        key[i] = (uint8_t)pel_prng_next(&prng);
    sim_sorter_init(&sim->sorter, config->num_queues, config->rss_key != NULL ? config->rss_key : key);
    if (config->num_queues == 1 || config->secret_rss)
        return;
    sim->port.rss = &sim->sorter.rss;
    sim->port.offloads |= PEL_OFFLOAD_RSS;
}

static void queue_init(struct sim_queue *q, uint16_t index, const struct pel_sim_wire_config *config)
{
    uint32_t num_large = config->max_packets / SMALL_A_LARGE;
    sim_pool_init(&q->pools[SIM_SMALL], SIM_SMALL, config->mtu + ETH_LEN, config->max_packets);
    sim_pool_init(&q->pools[SIM_VIEW], SIM_VIEW, 0, config->max_packets);
    if (config->tso_max_len > 0)
        sim_pool_init(&q->pools[SIM_LARGE], SIM_LARGE, config->tso_max_len,
                      num_large > MIN_LARGE ? num_large : MIN_LARGE);
    for (enum sim_kind kind = 0; kind < SIM_KINDS; kind++)
        q->pools[kind].index = index;
}

static void port_init(struct sim_port *sim, const struct pel_sim_wire_config *config, struct sim_wire *wire,
                      char end)
{
    /* Locally administered addresses, 'P' 'E' 'L'. */
    const uint8_t mac[6] = {0x02, 'P', 'E', 'L', 0, (uint8_t)end};
    sim->port.ops = &sim_ops;
    snprintf(sim->port.name, sizeof sim->port.name, "sim-%c", end);
    memcpy(sim->port.mac, mac, sizeof mac);
    sim->port.num_queues = config->num_queues;
    sim->port.mtu = config->mtu;
    sim->port.offloads = config->offloads;
    sim->port.tso_max_len = config->tso_max_len;
    sim->wire = wire;
    sim->peer = end == 'a' ? &wire->b : &wire->a;
    sim->out = end == 'a' ? &wire->a_to_b : &wire->b_to_a;
    sim->in = end == 'a' ? &wire->b_to_a : &wire->a_to_b;
    spread_init(sim, config);
    for (uint16_t i = 0; i < config->num_queues; i++)
        queue_init(&sim->queues[i], i, config);
}

static enum pel_err rings_init(struct sim_port *sim, const struct pel_sim_wire_config *config)
{
    if (!sim->wire->direct)
        return PEL_OK;
    sim->rings = aligned_alloc(SIM_CACHE_LINE, num_rings(sim) * sizeof *sim->rings);
    if (sim->rings == NULL)
        return PEL_E_NO_MEMORY;
    memset(sim->rings, 0, num_rings(sim) * sizeof *sim->rings);
    enum pel_err err = PEL_OK;
    for (uint32_t i = 0; i < num_rings(sim); i++)
        if (sim_line_init(&sim->rings[i], config, &config->a_to_b, 0, true) != PEL_OK)
            err = PEL_E_NO_MEMORY;
    return err;
}

enum pel_err pel_sim_wire_open(const struct pel_sim_wire_config *config, const struct pel_clock *clock,
                               struct pel_port **ret_a, struct pel_port **ret_b)
{
    struct pel_sim_wire_config full = *config;
    PEL_TRY(complete_config(&full));
    struct sim_wire *wire = aligned_alloc(SIM_CACHE_LINE, sizeof *wire);
    if (wire == NULL)
        return PEL_E_NO_MEMORY;
    memset(wire, 0, sizeof *wire);
    wire->clock = *clock;
    wire->num_open = 2;
    wire->exact_buffers = full.exact_buffers;
    wire->real_offloads = full.real_offloads;
    wire->direct = !full.exact_buffers && !full.real_offloads && full.latency_us == 0 &&
                   full.bandwidth_bps == 0 && !impairs(&full.a_to_b) && !impairs(&full.b_to_a);
    port_init(&wire->a, &full, wire, 'a');
    port_init(&wire->b, &full, wire, 'b');
    enum pel_err a = sim_line_init(&wire->a_to_b, &full, &full.a_to_b, full.seed, false);
    enum pel_err b = sim_line_init(&wire->b_to_a, &full, &full.b_to_a, ~full.seed, false);
    if (a != PEL_OK || b != PEL_OK || rings_init(&wire->a, &full) != PEL_OK ||
        rings_init(&wire->b, &full) != PEL_OK) {
        wire_free(wire);
        return PEL_E_NO_MEMORY;
    }
    *ret_a = &wire->a.port;
    *ret_b = &wire->b.port;
    return PEL_OK;
}

bool pel_sim_is_direct(const struct pel_port *port)
{
    return of(port)->wire->direct;
}

enum pel_err pel_sim_set_impair(struct pel_port *port, const struct pel_sim_impair *impair)
{
    struct sim_port *sim = of(port);
    if (sim->wire->direct)
        return PEL_E_STATE;
    if (!impair_is_valid(impair))
        return PEL_E_ARG;
    pthread_mutex_lock(&sim->out->lock);
    sim->out->impair = *impair;
    pthread_mutex_unlock(&sim->out->lock);
    return PEL_OK;
}

enum pel_err pel_sim_inject(struct pel_port *port, const void *bytes, size_t len)
{
    struct sim_port *sim = of(port);
    if (len == 0 || len > MAX_FRAME_LEN)
        return PEL_E_ARG;
    uint8_t *copy = copy_of(bytes, (uint32_t)len);
    if (copy == NULL)
        return PEL_E_NO_MEMORY;
    enum pel_err err = sim_line_inject(sim->in, pel_clock_now_us(&sim->wire->clock), copy, (uint32_t)len);
    if (err != PEL_OK)
        free(copy);
    return err;
}

void pel_sim_tap(struct pel_port *port, pel_sim_tap_fn *fn, void *arg)
{
    of(port)->tap = fn;
    of(port)->tap_arg = arg;
}

void pel_sim_fail_allocs(struct pel_port *port, uint64_t nth, uint64_t num)
{
    of(port)->fail_after = nth > 0 ? nth - 1 : 0;
    of(port)->num_fail = num;
}

void pel_sim_limit_packets(struct pel_port *port, uint32_t max_packets)
{
    for (uint16_t i = 0; i < port->num_queues; i++)
        of(port)->queues[i].pools[SIM_SMALL].max_packets = max_packets;
}
