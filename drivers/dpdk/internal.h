/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of drivers/dpdk share: DPDK's environment (eal.c), its log (log.c), opening a device
 * (open.c), the packets' way (port.c), and memif peers that leave (memif.c).
 */
#ifndef PEL_DRIVERS_DPDK_INTERNAL_H
#define PEL_DRIVERS_DPDK_INTERNAL_H

#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_rcu_qsbr.h>

#include "drivers/dpdk/dpdk.h"

#define DPDK_MAX_QUEUES      64
#define DPDK_MAX_RSS_KEY_LEN 64
#define DPDK_MAX_BUFFER_LEN  65535u
#define DPDK_MAX_FRAME_LEN   (DPDK_MAX_BUFFER_LEN - RTE_PKTMBUF_HEADROOM)

/* Counts of one thread; the last is shared by threads that DPDK has no number for. */
struct dpdk_thread_counts {
    /* Packets given to the stack less those taken back by this thread; only the sum over all has meaning. */
    _Alignas(RTE_CACHE_LINE_SIZE) int64_t pkts_out;
    uint64_t alloc_failed;
};

struct dpdk_queue_counts {
    _Alignas(RTE_CACHE_LINE_SIZE) uint64_t rx_packets;
    uint64_t rx_bytes, tx_packets, tx_bytes, tx_errors;
    uint64_t rx_linearised, rx_unlinearised, tx_bad_offload;
};

/* One queue may be received from and sent to by two threads at once. */
#define DPDK_RX_BURST(queue) (2u * (queue))
#define DPDK_TX_BURST(queue) (2u * (queue) + 1)

struct dpdk_port {
    struct pel_port port; /* first: a struct pel_port of this driver is a struct dpdk_port */
    uint16_t id;
    bool started;
    uint32_t max_frame_len; /* without TSO */
    bool rss_asked;
    struct pel_rss rss; /* port.rss points here when it is known */
    uint8_t rss_key[DPDK_MAX_RSS_KEY_LEN];
    struct rte_mempool *rx_pool;
    struct rte_mempool *tx_pool;      /* of large packets; rx_pool itself when those are no larger */
    int wait_fds[DPDK_MAX_QUEUES];    /* as of rx_wait_fd */
    void (*before_rx)(int signal_no); /* of a tap: lets the driver look; NULL: it looks by itself */
    struct rte_rcu_qsbr *bursts;      /* of memif: which are going on, by DPDK_RX_BURST and so on */
    struct dpdk_port *next_memif;
    struct dpdk_queue_counts queues[DPDK_MAX_QUEUES];
    struct dpdk_thread_counts threads[RTE_MAX_LCORE + 1];
};

extern const struct pel_port_ops dpdk_port_ops;

/* dpdk_port_pkts_out returns how many packets the stack has. */
uint32_t dpdk_port_pkts_out(const struct dpdk_port *dpdk);

/* dpdk_port_destroy stops the device as far as it was started, removes it and frees everything. */
void dpdk_port_destroy(struct dpdk_port *dpdk);

/* dpdk_memif_add prepares a memif port for peers that leave (false: no memory), before it is started;
 * dpdk_memif_remove undoes it after the port is closed, and does nothing to other ports. */
bool dpdk_memif_add(struct dpdk_port *dpdk);
void dpdk_memif_remove(struct dpdk_port *dpdk);

/* dpdk_device_call starts, stops or closes a port by `fn`, in the thread where that is safe, and waits for
 * the result. */
int dpdk_device_call(const struct dpdk_port *dpdk, int (*fn)(uint16_t id));

/* dpdk_rss_ask puts RSS over addresses and ports, with a random key, into what a device is configured
 * with, if it can be told key and table; dpdk_rss_take gives the started device its table, reads back
 * what it does, and makes that port.rss. False: how it spreads flows stays unknown. */
void dpdk_rss_ask(struct dpdk_port *dpdk, const struct rte_eth_dev_info *info, struct rte_eth_conf *conf);
bool dpdk_rss_take(struct dpdk_port *dpdk, const struct rte_eth_dev_info *info);

/* dpdk_wait_ask puts receive interrupts into what a device is configured with, if they are of use;
 * dpdk_wait_take finds out of the started device what each queue can be waited for by, and keeps a tap from
 * sending a signal for each frame. */
void dpdk_wait_ask(const struct rte_eth_dev_info *info, struct rte_eth_conf *conf);
void dpdk_wait_take(struct dpdk_port *dpdk, const struct rte_eth_dev_info *info);

/* dpdk_limits_mtu tells whether DPDK itself must be told of 1,500 at most, though the device can do `mtu`. */
bool dpdk_limits_mtu(const struct rte_eth_dev_info *info, uint32_t mtu);

/* dpdk_set_mtu gives a configured device its MTU and verifies it; returns 0 or an errno. */
int dpdk_set_mtu(uint16_t id, const struct rte_eth_dev_info *info, uint32_t mtu);

/* dpdk_is_started tells whether DPDK runs. */
bool dpdk_is_started(void);

/* dpdk_enter_thread gives the calling thread a number of DPDK's (for its packet caches), until it ends. */
void dpdk_enter_thread(void);

/* DPDK's log goes to memory. dpdk_log_open redirects it, dpdk_log_forget empties it, and dpdk_log_said copies
 * the last lines as one, for an error's text. */
void dpdk_log_open(void);
void dpdk_log_forget(void);
const char *dpdk_log_said(char *ret_text, size_t cap);

#endif
