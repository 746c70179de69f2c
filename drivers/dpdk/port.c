/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The packets' way through a DPDK port. A struct pel_pkt lies in the private area of its mbuf, so that one is
 * found from the other by adding a constant, and nothing is allocated or copied.
 */
#include <assert.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_ip.h>
#include <stdio.h>
#include <stdlib.h>

#include "drivers/dpdk/internal.h"

#define MAX_BURST 64u

/* No frame that the stack reads has longer ones: Ethernet, IPv6 with options, TCP with options. */
#define MAX_HEADERS_LEN 128u

#define TX_FLAGS (PEL_PKT_TX_IP_CSUM | PEL_PKT_TX_L4_CSUM | PEL_PKT_TX_TSO)

_Static_assert(sizeof(struct rte_mbuf) % 64 == 0, "the packet behind an mbuf is aligned");
_Static_assert(sizeof(struct pel_pkt) % RTE_MBUF_PRIV_ALIGN == 0, "DPDK wants the private area's size so");

static struct dpdk_port *of(const struct pel_port *port)
{
    return (struct dpdk_port *)(uintptr_t)port;
}

static struct pel_pkt *pkt_of(struct rte_mbuf *m)
{
    return (struct pel_pkt *)(m + 1);
}

static struct rte_mbuf *mbuf_of(struct pel_pkt *pkt)
{
    return (struct rte_mbuf *)pkt - 1;
}

/* Threads that DPDK numbers have their own place; the others share the last, and must add atomically. */
static void count_out(struct dpdk_port *dpdk, int64_t num)
{
    unsigned lcore = rte_lcore_id();
    if (lcore >= RTE_MAX_LCORE) {
        __atomic_add_fetch(&dpdk->threads[RTE_MAX_LCORE].pkts_out, num, __ATOMIC_RELAXED);
        return;
    }
    int64_t *pkts_out = &dpdk->threads[lcore].pkts_out;
    __atomic_store_n(pkts_out, *pkts_out + num, __ATOMIC_RELAXED);
}

static void count_alloc_failed(struct dpdk_port *dpdk)
{
    unsigned lcore = rte_lcore_id();
    uint32_t slot = lcore < RTE_MAX_LCORE ? lcore : RTE_MAX_LCORE;
    __atomic_add_fetch(&dpdk->threads[slot].alloc_failed, 1, __ATOMIC_RELAXED);
}

uint32_t dpdk_port_pkts_out(const struct dpdk_port *dpdk)
{
    int64_t sum = 0;
    for (int i = 0; i <= RTE_MAX_LCORE; i++)
        sum += __atomic_load_n(&dpdk->threads[i].pkts_out, __ATOMIC_RELAXED);
    return (uint32_t)sum;
}

static struct pel_pkt *alloc(struct dpdk_port *dpdk, struct rte_mempool *pool, uint16_t queue)
{
    dpdk_enter_thread();
    struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
    if (m == NULL) {
        count_alloc_failed(dpdk);
        return NULL;
    }
    struct pel_pkt *pkt = pkt_of(m);
    pkt->data = rte_pktmbuf_mtod(m, uint8_t *);
    pkt->len = 0;
    pkt->room_len = rte_pktmbuf_tailroom(m);
    pkt->flags = 0;
    pkt->tso_mss = 0;
    pkt->l2_len = pkt->l3_len = pkt->l4_len = 0;
    pkt->queue = queue;
    pkt->port = &dpdk->port;
    pkt->next = pkt->more = NULL;
    count_out(dpdk, 1);
    return pkt;
}

static struct pel_pkt *dpdk_pkt_alloc(struct pel_port *port, uint16_t queue)
{
    return alloc(of(port), of(port)->rx_pool, queue);
}

static struct pel_pkt *dpdk_pkt_alloc_large(struct pel_port *port, uint16_t queue)
{
    return alloc(of(port), of(port)->tx_pool, queue);
}

static struct pel_pkt *dpdk_pkt_attach(struct pel_pkt *base, uint16_t queue, uint8_t *data, uint32_t len)
{
    struct dpdk_port *dpdk = of(base->port);
    struct pel_pkt *pkt = alloc(dpdk, dpdk->rx_pool, queue);
    assert(RTE_MBUF_DIRECT(mbuf_of(base)));
    if (pkt == NULL)
        return NULL;
    rte_pktmbuf_attach(mbuf_of(pkt), mbuf_of(base));
    pkt->data = data;
    pkt->len = len;
    pkt->room_len = 0;
    return pkt;
}

static void dpdk_pkt_free(struct pel_pkt *pkt)
{
    while (pkt != NULL) {
        struct pel_pkt *more = pkt->more;
        count_out(of(pkt->port), -1);
        mbuf_of(pkt)->next = NULL;
        mbuf_of(pkt)->nb_segs = 1;
        rte_pktmbuf_free(mbuf_of(pkt));
        pkt = more;
    }
}

/* "None" is what virtio says of a frame that came over memory with its checksum unfinished: the bytes are
 * right. */
static uint16_t rx_flags(uint64_t ol_flags)
{
    uint64_t ip = ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK, l4 = ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK;
    uint32_t flags = 0;
    if (ip == RTE_MBUF_F_RX_IP_CKSUM_GOOD || ip == RTE_MBUF_F_RX_IP_CKSUM_NONE)
        flags |= PEL_PKT_RX_IP_CSUM_GOOD;
    if (l4 == RTE_MBUF_F_RX_L4_CKSUM_GOOD || l4 == RTE_MBUF_F_RX_L4_CKSUM_NONE)
        flags |= PEL_PKT_RX_L4_CSUM_GOOD;
    if (ip == RTE_MBUF_F_RX_IP_CKSUM_BAD || l4 == RTE_MBUF_F_RX_L4_CKSUM_BAD)
        flags |= PEL_PKT_RX_CSUM_BAD;
    return (uint16_t)flags;
}

/* The pool whose packets can hold `len` bytes, or NULL. */
static struct rte_mempool *pool_for(const struct dpdk_port *dpdk, uint32_t len)
{
    if (len + RTE_PKTMBUF_HEADROOM <= rte_pktmbuf_data_room_size(dpdk->rx_pool))
        return dpdk->rx_pool;
    return len + RTE_PKTMBUF_HEADROOM <= rte_pktmbuf_data_room_size(dpdk->tx_pool) ? dpdk->tx_pool : NULL;
}

/* One piece out of several, for a stack that does not want chains, or whose headers would not lie in the
 * first piece. Takes `m`; NULL when it was lost. */
static struct rte_mbuf *linearise(struct dpdk_port *dpdk, struct dpdk_queue_counts *count, struct rte_mbuf *m)
{
    uint32_t len = m->pkt_len;
    struct rte_mempool *pool = pool_for(dpdk, len);
    struct rte_mbuf *whole = pool != NULL ? rte_pktmbuf_alloc(pool) : NULL;
    pel_count_add(whole != NULL ? &count->rx_linearised : &count->rx_unlinearised, 1);
    if (whole != NULL) {
        uint8_t *to = (uint8_t *)rte_pktmbuf_append(whole, (uint16_t)len);
        const uint8_t *from = rte_pktmbuf_read(m, 0, len, to);
        if (from != to)
            memcpy(to, from, len);
        whole->ol_flags = m->ol_flags;
    }
    rte_pktmbuf_free(m);
    return whole;
}

static struct pel_pkt *receive(struct pel_port *port, uint16_t queue, struct rte_mbuf *m)
{
    struct pel_pkt *pkt = pkt_of(m);
    pkt->data = rte_pktmbuf_mtod(m, uint8_t *);
    pkt->len = m->data_len;
    pkt->room_len = (uint32_t)m->buf_len - m->data_off;
    pkt->flags = rx_flags(m->ol_flags);
    pkt->tso_mss = 0;
    pkt->l2_len = pkt->l3_len = pkt->l4_len = 0;
    pkt->queue = queue;
    pkt->port = port;
    pkt->next = pkt->more = NULL;
    return pkt;
}

/* A received frame with its pieces; adds to the number that the stack has. */
static struct pel_pkt *receive_frame(struct pel_port *port, uint16_t queue, struct rte_mbuf *m,
                                     uint32_t *ret_num)
{
    struct pel_pkt *first = receive(port, queue, m), *last = first;
    ++*ret_num;
    for (m = m->next; m != NULL; m = m->next, ++*ret_num) {
        last->more = receive(port, queue, m);
        last = last->more;
    }
    return first;
}

static bool comes_as_it_is(const struct dpdk_port *dpdk, const struct rte_mbuf *m)
{
    return m->nb_segs == 1 ||
           ((dpdk->port.offloads & PEL_OFFLOAD_SCATTER) != 0 && m->data_len >= MAX_HEADERS_LEN);
}

/* What lies between may lose its memory otherwise: memif.c. */
static void burst_begins(struct dpdk_port *dpdk, uint32_t burst)
{
    if (dpdk->bursts != NULL)
        rte_rcu_qsbr_thread_online(dpdk->bursts, burst);
}

static void burst_ends(struct dpdk_port *dpdk, uint32_t burst)
{
    if (dpdk->bursts != NULL)
        rte_rcu_qsbr_thread_offline(dpdk->bursts, burst);
}

static uint32_t dpdk_rx(struct pel_port *port, uint16_t queue, struct pel_pkt **ret_pkts, uint32_t max)
{
    struct dpdk_port *dpdk = of(port);
    struct dpdk_queue_counts *count = &dpdk->queues[queue];
    struct rte_mbuf *burst[MAX_BURST];
    uint64_t bytes_len = 0;
    uint32_t num_frames = 0, num_pkts = 0;
    dpdk_enter_thread();
    if (dpdk->before_rx != NULL)
        dpdk->before_rx(0);
    burst_begins(dpdk, DPDK_RX_BURST(queue));
    uint16_t num = rte_eth_rx_burst(dpdk->id, queue, burst, (uint16_t)(max < MAX_BURST ? max : MAX_BURST));
    burst_ends(dpdk, DPDK_RX_BURST(queue));
    if (num == 0)
        return 0;
    for (uint16_t i = 0; i < num; i++) {
        struct rte_mbuf *m = comes_as_it_is(dpdk, burst[i]) ? burst[i] : linearise(dpdk, count, burst[i]);
        if (m == NULL)
            continue;
        bytes_len += m->pkt_len;
        ret_pkts[num_frames++] = receive_frame(port, queue, m, &num_pkts);
    }
    count_out(dpdk, num_pkts);
    pel_count_add(&count->rx_packets, num_frames);
    pel_count_add(&count->rx_bytes, bytes_len);
    return num_frames;
}

/* The stack leaves the pseudo header's sum of the whole; for TSO DPDK wants it without the length. */
static void put_tso_sum(struct rte_mbuf *m, bool v4)
{
    uint8_t *ip = rte_pktmbuf_mtod_offset(m, uint8_t *, m->l2_len);
    struct rte_tcp_hdr *tcp = (struct rte_tcp_hdr *)(ip + m->l3_len);
    tcp->cksum = v4 ? rte_ipv4_phdr_cksum((struct rte_ipv4_hdr *)ip, m->ol_flags)
                    : rte_ipv6_phdr_cksum((struct rte_ipv6_hdr *)ip, m->ol_flags);
}

/* The header lengths must lie within the frame, and in what an mbuf can express. */
static bool lengths_are_possible(const struct pel_pkt *pkt)
{
    uint32_t l4_at = (uint32_t)pkt->l2_len + pkt->l3_len;
    bool is_tso = (pkt->flags & PEL_PKT_TX_TSO) != 0;
    if (pkt->l2_len > 64 || pkt->l3_len < 20 || pkt->l3_len > 500 || pkt->l4_len > 60)
        return false;
    if (is_tso && (pkt->tso_mss == 0 || pkt->l4_len < 20))
        return false;
    return l4_at + RTE_MAX(pkt->l4_len, 8) <= pkt->len;
}

static bool ask_offloads(struct rte_mbuf *m, const struct pel_pkt *pkt)
{
    if (!lengths_are_possible(pkt))
        return false;
    bool v4 = pkt->data[pkt->l2_len] >> 4 == 4;
    bool is_tcp = pkt->data[pkt->l2_len + (v4 ? 9 : 6)] == IPPROTO_TCP;
    bool is_tso = (pkt->flags & PEL_PKT_TX_TSO) != 0;
    m->tx_offload = rte_mbuf_tx_offload(pkt->l2_len, pkt->l3_len, pkt->l4_len, pkt->tso_mss, 0, 0, 0);
    m->ol_flags = v4 ? RTE_MBUF_F_TX_IPV4 : RTE_MBUF_F_TX_IPV6;
    if (v4 && (pkt->flags & (PEL_PKT_TX_IP_CSUM | PEL_PKT_TX_TSO)) != 0)
        m->ol_flags |= RTE_MBUF_F_TX_IP_CKSUM;
    if ((pkt->flags & (PEL_PKT_TX_L4_CSUM | PEL_PKT_TX_TSO)) != 0)
        m->ol_flags |= is_tcp ? RTE_MBUF_F_TX_TCP_CKSUM : RTE_MBUF_F_TX_UDP_CKSUM;
    if (is_tso && is_tcp) {
        m->ol_flags |= RTE_MBUF_F_TX_TCP_SEG;
        put_tso_sum(m, v4);
    }
    return is_tcp || !is_tso;
}

static void put_piece(struct rte_mbuf *m, const struct pel_pkt *pkt)
{
    m->data_off = (uint16_t)(pkt->data - (uint8_t *)m->buf_addr);
    m->data_len = (uint16_t)pkt->len;
    m->next = pkt->more != NULL ? mbuf_of(pkt->more) : NULL;
    m->nb_segs = 1;
}

/* Makes the mbufs say what the packets say. False for a frame that cannot be sent. */
static bool prepare(const struct dpdk_port *dpdk, struct rte_mbuf *m, const struct pel_pkt *pkt)
{
    uint32_t limit = (pkt->flags & PEL_PKT_TX_TSO) != 0 ? dpdk->port.tso_max_len : dpdk->max_frame_len;
    uint32_t len = pel_pkt_frame_len(pkt);
    if (pkt->len == 0 || len > limit ||
        (pkt->more != NULL && (dpdk->port.offloads & PEL_OFFLOAD_SCATTER) == 0))
        return false;
    put_piece(m, pkt);
    m->pkt_len = len;
    m->ol_flags = 0;
    for (struct pel_pkt *piece = pkt->more; piece != NULL; piece = piece->more) {
        put_piece(mbuf_of(piece), piece);
        m->nb_segs++;
    }
    return (pkt->flags & TX_FLAGS) == 0 || ask_offloads(m, pkt);
}

static void drop(struct dpdk_queue_counts *count, struct rte_mbuf *m)
{
    pel_count_add(&count->tx_errors, 1);
    dpdk_pkt_free(pkt_of(m));
}

/* Hands prepared frames to the device; returns how many were taken. The device's own check comes first: it
 * looks at offloads only, and what it refuses is dropped. */
static uint32_t send_burst(struct dpdk_port *dpdk, uint16_t queue, struct rte_mbuf **burst, uint16_t num,
                           bool has_offloads)
{
    struct dpdk_queue_counts *count = &dpdk->queues[queue];
    uint32_t done = 0;
    uint64_t lens[MAX_BURST], bytes_len = 0;
    int64_t nums[MAX_BURST], num_pieces = 0;
    while (done < num) {
        uint16_t left = (uint16_t)(num - done);
        uint16_t ready = has_offloads ? rte_eth_tx_prepare(dpdk->id, queue, burst + done, left) : left;
        for (uint16_t i = 0; i < ready; i++) {
            lens[i] = burst[done + i]->pkt_len;
            nums[i] = burst[done + i]->nb_segs;
        }
        burst_begins(dpdk, DPDK_TX_BURST(queue));
        uint16_t sent = ready > 0 ? rte_eth_tx_burst(dpdk->id, queue, burst + done, ready) : 0;
        burst_ends(dpdk, DPDK_TX_BURST(queue));
        for (uint16_t i = 0; i < sent; i++) {
            bytes_len += lens[i];
            num_pieces += nums[i];
        }
        done += sent;
        pel_count_add(&count->tx_packets, sent);
        if (sent < ready)
            break;
        if (ready < left) {
            pel_count_add(&count->tx_bad_offload, 1);
            drop(count, burst[done++]);
        }
    }
    count_out(dpdk, -num_pieces);
    pel_count_add(&count->tx_bytes, bytes_len);
    return done;
}

/* A packet of another port becomes this port's before it is sent or refused: each counts what is out. */
static void adopt(struct dpdk_port *dpdk, struct pel_pkt *pkt)
{
    for (; pkt != NULL && pkt->port != &dpdk->port; pkt = pkt->more) {
        count_out(of(pkt->port), -1);
        count_out(dpdk, 1);
        pkt->port = &dpdk->port;
    }
}

static uint32_t tx_burst(struct dpdk_port *dpdk, uint16_t queue, struct pel_pkt **pkts, uint32_t num)
{
    struct rte_mbuf *burst[MAX_BURST];
    uint16_t len = 0;
    bool has_offloads = false;
    for (uint32_t i = 0; i < num; i++)
        adopt(dpdk, pkts[i]);
    while (len < num && prepare(dpdk, mbuf_of(pkts[len]), pkts[len])) {
        burst[len] = mbuf_of(pkts[len]);
        has_offloads |= burst[len++]->ol_flags != 0;
    }
    uint32_t done = send_burst(dpdk, queue, burst, len, has_offloads);
    if (done < len || len == num)
        return done;
    drop(&dpdk->queues[queue], mbuf_of(pkts[len]));
    return done + 1;
}

static uint32_t dpdk_tx(struct pel_port *port, uint16_t queue, struct pel_pkt **pkts, uint32_t num)
{
    uint32_t done = 0;
    dpdk_enter_thread();
    while (done < num) {
        uint32_t len = num - done < MAX_BURST ? num - done : MAX_BURST;
        uint32_t sent = tx_burst(of(port), queue, pkts + done, len);
        if (sent == 0)
            break;
        done += sent;
    }
    return done;
}

static uint64_t load(const uint64_t *number)
{
    return __atomic_load_n(number, __ATOMIC_RELAXED);
}

static void dpdk_stats(struct pel_port *port, struct pel_port_stats *ret_stats)
{
    const struct dpdk_port *dpdk = of(port);
    struct rte_eth_stats device = {0};
    struct pel_port_stats stats = {0};
    (void)rte_eth_stats_get(dpdk->id, &device);
    for (int i = 0; i < port->num_queues; i++) {
        stats.rx_packets += load(&dpdk->queues[i].rx_packets);
        stats.rx_bytes += load(&dpdk->queues[i].rx_bytes);
        stats.tx_packets += load(&dpdk->queues[i].tx_packets);
        stats.tx_bytes += load(&dpdk->queues[i].tx_bytes);
        stats.tx_errors += load(&dpdk->queues[i].tx_errors);
    }
    stats.tx_errors += device.oerrors;
    stats.rx_missed = device.imissed + device.ierrors;
    stats.rx_no_buffers = device.rx_nombuf;
    for (int i = 0; i <= RTE_MAX_LCORE; i++)
        stats.rx_no_buffers += load(&dpdk->threads[i].alloc_failed);
    stats.num_pkts_in_use = dpdk_port_pkts_out(dpdk);
    *ret_stats = stats;
}

void pel_dpdk_port_counts(const struct pel_port *port, struct pel_dpdk_port_counts *ret_counts)
{
    const struct dpdk_port *dpdk = of(port);
    struct pel_dpdk_port_counts counts = {0};
    for (int i = 0; i < port->num_queues; i++) {
        counts.rx_linearised += load(&dpdk->queues[i].rx_linearised);
        counts.rx_unlinearised += load(&dpdk->queues[i].rx_unlinearised);
        counts.tx_bad_offload += load(&dpdk->queues[i].tx_bad_offload);
    }
    *ret_counts = counts;
}

/* At once, so that no memif peer comes in between. */
static int stop_and_close(uint16_t id)
{
    (void)rte_eth_dev_stop(id);
    return rte_eth_dev_close(id);
}

void dpdk_port_destroy(struct dpdk_port *dpdk)
{
    struct rte_eth_dev_info info = {0};
    (void)rte_eth_dev_info_get(dpdk->id, &info);
    (void)dpdk_device_call(dpdk, dpdk->started ? stop_and_close : rte_eth_dev_close);
    dpdk_memif_remove(dpdk);
    if (info.device != NULL)
        (void)rte_dev_remove(info.device);
    if (dpdk->tx_pool != dpdk->rx_pool)
        rte_mempool_free(dpdk->tx_pool);
    rte_mempool_free(dpdk->rx_pool);
    free(dpdk);
}

static int dpdk_rx_wait_fd(struct pel_port *port, uint16_t queue)
{
    return of(port)->wait_fds[queue];
}

static void dpdk_close(struct pel_port *port)
{
    uint32_t num = dpdk_port_pkts_out(of(port));
    if (num != 0)
        fprintf(stderr, "%s: %u packets were never freed\n", port->name, num);
    assert(num == 0);
    dpdk_port_destroy(of(port));
}

const struct pel_port_ops dpdk_port_ops = {
    .driver = "dpdk",
    .rx = dpdk_rx,
    .tx = dpdk_tx,
    .pkt_alloc = dpdk_pkt_alloc,
    .pkt_alloc_large = dpdk_pkt_alloc_large,
    .pkt_attach = dpdk_pkt_attach,
    .pkt_free = dpdk_pkt_free,
    .stats = dpdk_stats,
    .rx_wait_fd = dpdk_rx_wait_fd,
    .close = dpdk_close,
};
