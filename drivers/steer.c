/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/steer.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define CACHE_LINE   64
#define RETA_LEN     128u
#define NUM_TO_TRUST 1000u
#define RING_LEN     1024u /* frames that one engine may have waiting from another */

/* One writer, one reader. */
struct ring {
    _Alignas(CACHE_LINE) uint32_t head; /* the reader's */
    uint32_t tail_seen;
    _Alignas(CACHE_LINE) uint32_t tail; /* the writer's */
    uint32_t head_seen;
    struct pel_pkt *pkts[RING_LEN];
};

typedef void wake_fn(void *arg);

struct queue {
    _Alignas(CACHE_LINE) struct pel_steer_counts counts;
    uint32_t turn;                /* whose ring is looked at first */
    uint32_t trusted, distrusted; /* enum pel_rss_types */
    uint32_t num_right[4];        /* by type */
    uint32_t is_busy;             /* the last look found frames, but all of them other engines' */
    wake_fn *wake;                /* atomic; `wake_arg` is written before it, once */
    void *wake_arg;
    pthread_mutex_t tx_lock; /* of the real queue of this number */
};

struct steer {
    struct pel_port port; /* first: a steered port is a struct steer */
    struct pel_port_ops ops;
    struct pel_port *real;
    struct pel_rss rss;
    uint16_t num;
    bool is_shared;     /* the real port has fewer queues */
    struct ring *rings; /* [from * num + to] */
    struct queue queues[];
};

static struct steer *of(const struct pel_port *port)
{
    return (struct steer *)(uintptr_t)port;
}

static uint16_t real_queue(const struct steer *steer, uint16_t queue)
{
    return (uint16_t)(queue % steer->real->num_queues);
}

/* ---- the rings ---- */

static struct ring *ring_of(struct steer *steer, uint32_t from, uint32_t to)
{
    return &steer->rings[from * steer->num + to];
}

/* False when it is full. `ret_first`: the ring was empty, as far as the writer can see. */
static bool push(struct ring *ring, struct pel_pkt *pkt, bool *ret_first)
{
    uint32_t tail = ring->tail;
    if (tail - ring->head_seen == RING_LEN)
        ring->head_seen = __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE);
    if (tail - ring->head_seen == RING_LEN)
        return false;
    ring->pkts[tail % RING_LEN] = pkt;
    /* Ordered before the look at the head, as the reader's taking is before its look at the tail: one of the
     * two sees the other, and a reader that goes to sleep is woken. */
    __atomic_exchange_n(&ring->tail, tail + 1, __ATOMIC_SEQ_CST);
    *ret_first = __atomic_load_n(&ring->head, __ATOMIC_SEQ_CST) == tail;
    return true;
}

static struct pel_pkt *pop(struct ring *ring)
{
    uint32_t head = ring->head;
    if (head == ring->tail_seen) {
        ring->tail_seen = __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE);
        if (head == ring->tail_seen)
            return NULL;
    }
    struct pel_pkt *pkt = ring->pkts[head % RING_LEN];
    __atomic_store_n(&ring->head, head + 1, __ATOMIC_SEQ_CST);
    return pkt;
}

static bool is_empty(const struct ring *ring)
{
    return __atomic_load_n(&ring->tail, __ATOMIC_SEQ_CST) == __atomic_load_n(&ring->head, __ATOMIC_SEQ_CST);
}

/* ---- receive ---- */

static void hand_over(struct steer *steer, uint16_t from, uint16_t to, struct pel_pkt *pkt, uint64_t *count)
{
    struct queue *q = &steer->queues[from], *target = &steer->queues[to];
    bool first = false;
    if (!push(ring_of(steer, from, to), pkt, &first)) {
        pel_count_add(&q->counts.lost, 1);
        pel_pkt_free(pkt);
        return;
    }
    pel_count_add(count, 1);
    wake_fn *wake = first ? __atomic_load_n(&target->wake, __ATOMIC_ACQUIRE) : NULL;
    if (wake != NULL)
        wake(target->wake_arg);
}

static void copy_to_others(struct steer *steer, uint16_t queue, const struct pel_pkt *pkt)
{
    struct queue *q = &steer->queues[queue];
    for (uint16_t to = 0; to < steer->num; to++) {
        if (to == queue)
            continue;
        struct pel_pkt *copy = pel_port_pkt_alloc(steer->real, real_queue(steer, queue));
        if (copy == NULL || copy->room_len < pel_pkt_frame_len(pkt)) {
            pel_pkt_free(copy);
            pel_count_add(&q->counts.lost, 1);
            continue;
        }
        copy->flags = pkt->flags;
        for (const struct pel_pkt *piece = pkt; piece != NULL; piece = piece->more) {
            memcpy(copy->data + copy->len, piece->data, piece->len);
            copy->len += piece->len;
        }
        hand_over(steer, queue, to, copy, &q->counts.copied);
    }
}

/* A port that says how it spreads flows is believed, kind by kind, after so many frames that were where
 * it says; one that was not, and it is never believed again. */
static uint16_t place_flow(struct steer *steer, uint16_t queue, const struct pel_rss_frame *frame)
{
    struct queue *q = &steer->queues[queue];
    if ((frame->type & q->trusted) != 0)
        return queue;
    uint16_t to = pel_rss_frame_queue(&steer->rss, frame);
    if ((frame->type & steer->rss.types & ~q->distrusted) == 0)
        return to;
    if (to != queue)
        q->distrusted |= frame->type;
    else if (++q->num_right[__builtin_ctz(frame->type)] == NUM_TO_TRUST)
        q->trusted |= frame->type;
    return to;
}

/* Which engine's the frame is; what concerns everyone is copied to the others. */
static uint16_t place(struct steer *steer, uint16_t queue, const struct pel_pkt *pkt)
{
    struct pel_rss_frame frame;
    pel_rss_parse(pkt->data, pkt->len, &frame);
    switch (frame.kind) {
    case PEL_RSS_FLOW: return place_flow(steer, queue, &frame);
    case PEL_RSS_HOST: return pel_rss_frame_queue(&steer->rss, &frame);
    case PEL_RSS_EVERYONE: copy_to_others(steer, queue, pkt); return queue;
    case PEL_RSS_FIRST: return 0;
    case PEL_RSS_BROKEN: break;
    }
    return queue;
}

static uint32_t take_handed_over(struct steer *steer, uint16_t queue, struct pel_pkt **pkts, uint32_t max)
{
    struct queue *q = &steer->queues[queue];
    uint32_t num = 0;
    for (uint16_t i = 0; i < steer->num && num < max; i++, q->turn++) {
        struct ring *ring = ring_of(steer, q->turn % steer->num, queue);
        while (num < max && (pkts[num] = pop(ring)) != NULL)
            num++;
    }
    return num;
}

static uint32_t steer_rx(struct pel_port *port, uint16_t queue, struct pel_pkt **ret_pkts, uint32_t max)
{
    struct steer *steer = of(port);
    struct queue *q = &steer->queues[queue];
    uint32_t num = take_handed_over(steer, queue, ret_pkts, max), got = 0, kept = num;
    if (queue < steer->real->num_queues && num < max)
        got = pel_port_rx(steer->real, queue, ret_pkts + num, max - num);
    for (uint32_t i = num; i < num + got; i++) {
        struct pel_pkt *pkt = ret_pkts[i];
        uint16_t to = place(steer, queue, pkt);
        if (to == queue)
            ret_pkts[kept++] = pkt;
        else
            hand_over(steer, queue, to, pkt, &q->counts.handed_over);
    }
    __atomic_store_n(&q->is_busy, got > 0 && kept == 0, __ATOMIC_RELAXED);
    return kept;
}

static void steer_hand_over(struct pel_port *port, uint16_t from, uint16_t to, struct pel_pkt *pkt)
{
    hand_over(of(port), from, to, pkt, &of(port)->queues[from].counts.handed_over);
}

/* ---- the rest of a port ---- */

static uint32_t steer_tx(struct pel_port *port, uint16_t queue, struct pel_pkt **pkts, uint32_t num)
{
    struct steer *steer = of(port);
    uint16_t to = real_queue(steer, queue);
    if (!steer->is_shared)
        return pel_port_tx(steer->real, to, pkts, num);
    pthread_mutex_lock(&steer->queues[to].tx_lock);
    uint32_t done = pel_port_tx(steer->real, to, pkts, num);
    pthread_mutex_unlock(&steer->queues[to].tx_lock);
    return done;
}

static struct pel_pkt *steer_pkt_alloc(struct pel_port *port, uint16_t queue)
{
    struct steer *steer = of(port);
    return pel_port_pkt_alloc(steer->real, real_queue(steer, queue));
}

static struct pel_pkt *steer_pkt_alloc_large(struct pel_port *port, uint16_t queue)
{
    struct steer *steer = of(port);
    return pel_port_pkt_alloc_large(steer->real, real_queue(steer, queue));
}

static uint64_t load(const uint64_t *number)
{
    return __atomic_load_n(number, __ATOMIC_RELAXED);
}

static void steer_stats(struct pel_port *port, struct pel_port_stats *ret_stats)
{
    struct pel_steer_counts counts;
    of(port)->real->ops->stats(of(port)->real, ret_stats);
    pel_steer_counts(port, &counts);
    ret_stats->rx_missed += counts.lost;
}

/* Work that no clock foretells is due at once. */
static uint64_t steer_next_event_us(struct pel_port *port, uint16_t queue)
{
    struct steer *steer = of(port);
    bool is_busy = false;
    for (uint16_t i = 0; i < steer->num; i++)
        if (queue == PEL_ANY_QUEUE || i == queue)
            is_busy |= __atomic_load_n(&steer->queues[i].is_busy, __ATOMIC_RELAXED) != 0;
    for (uint32_t i = 0; i < (uint32_t)steer->num * steer->num && !is_busy; i++)
        is_busy = (queue == PEL_ANY_QUEUE || i % steer->num == queue) && !is_empty(&steer->rings[i]);
    if (is_busy)
        return 0;
    return steer->real->ops->next_event_us != NULL
               ? steer->real->ops->next_event_us(steer->real, steer->is_shared ? PEL_ANY_QUEUE : queue)
               : UINT64_MAX;
}

/* Who has no queue of the real port gets all frames from others, and is woken. */
static int steer_rx_wait_fd(struct pel_port *port, uint16_t queue)
{
    const struct steer *steer = of(port);
    if (queue < steer->real->num_queues)
        return pel_port_rx_wait_fd(steer->real, queue);
    return steer->queues[queue].wake != NULL ? PEL_RX_WAIT_WOKEN : PEL_RX_WAIT_LOOK;
}

static void steer_free(struct steer *steer)
{
    for (uint16_t i = 0; i < steer->num; i++)
        pthread_mutex_destroy(&steer->queues[i].tx_lock);
    free(steer->rings);
    free(steer);
}

static void steer_close(struct pel_port *port)
{
    struct steer *steer = of(port);
    struct pel_port *real = steer->real;
    struct pel_pkt *pkt;
    for (uint32_t i = 0; i < (uint32_t)steer->num * steer->num; i++)
        while ((pkt = pop(&steer->rings[i])) != NULL)
            pel_pkt_free(pkt);
    steer_free(steer);
    pel_port_close(real);
}

static void set_up(struct steer *steer, struct pel_port *real, const uint8_t *key)
{
    uint8_t random_key[PEL_RSS_KEY_LEN];
    steer->port = *real;
    steer->ops = *real->ops;
    steer->ops.rx = steer_rx;
    steer->ops.tx = steer_tx;
    steer->ops.pkt_alloc = steer_pkt_alloc;
    steer->ops.pkt_alloc_large = steer_pkt_alloc_large;
    steer->ops.hand_over = steer_hand_over;
    steer->ops.stats = steer_stats;
    steer->ops.next_event_us = steer_next_event_us;
    steer->ops.rx_wait_fd = steer_rx_wait_fd;
    steer->ops.close = steer_close;
    steer->port.ops = &steer->ops;
    steer->port.num_queues = steer->num;
    steer->port.rss = &steer->rss;
    steer->port.offloads |= PEL_OFFLOAD_RSS;
    steer->real = real;
    steer->is_shared = real->num_queues < steer->num;
    if (real->rss != NULL && real->num_queues == steer->num) {
        steer->rss = *real->rss;
        return;
    }
    pel_random_bytes(random_key, sizeof random_key);
    pel_rss_init(&steer->rss, key != NULL ? key : random_key, steer->num, RETA_LEN);
}

enum pel_err pel_steer_open(struct pel_port *real, uint16_t num_engines, const uint8_t *key,
                            struct pel_port **ret_port)
{
    if (num_engines < 1 || num_engines > PEL_STEER_MAX || real->num_queues < 1 ||
        real->num_queues > num_engines || (real->num_queues < num_engines && !real->any_thread_alloc))
        return PEL_E_ARG;
    size_t len = sizeof(struct steer) + num_engines * sizeof(struct queue);
    size_t rings_len = (size_t)num_engines * num_engines * sizeof(struct ring);
    struct steer *steer = aligned_alloc(CACHE_LINE, (len + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE);
    struct ring *rings = aligned_alloc(CACHE_LINE, rings_len);
    if (steer == NULL || rings == NULL) {
        free(steer);
        free(rings);
        return PEL_E_NO_MEMORY;
    }
    memset(steer, 0, len);
    memset(rings, 0, rings_len);
    steer->num = num_engines;
    steer->rings = rings;
    for (uint16_t i = 0; i < num_engines; i++)
        pthread_mutex_init(&steer->queues[i].tx_lock, NULL);
    set_up(steer, real, key);
    *ret_port = &steer->port;
    return PEL_OK;
}

void pel_steer_on_frame(struct pel_port *steered, uint16_t queue, void (*wake)(void *arg), void *arg)
{
    struct queue *q = &of(steered)->queues[queue];
    q->wake_arg = arg;
    __atomic_store_n(&q->wake, wake, __ATOMIC_RELEASE);
}

void pel_steer_counts(const struct pel_port *port, struct pel_steer_counts *ret_counts)
{
    *ret_counts = (struct pel_steer_counts){0};
    if (port->ops->rx != steer_rx)
        return;
    for (uint16_t i = 0; i < of(port)->num; i++) {
        const struct pel_steer_counts *counts = &of(port)->queues[i].counts;
        ret_counts->handed_over += load(&counts->handed_over);
        ret_counts->copied += load(&counts->copied);
        ret_counts->lost += load(&counts->lost);
    }
}
