/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Our options with the sizes and intervals that lwIP's own unit tests were written for, and with the
 * statistics by which they see what is allocated.
 */
#ifndef PEL_STACK_LWIP_UPSTREAM_THEIRS_H
#define PEL_STACK_LWIP_UPSTREAM_THEIRS_H

#include "stack/lwip/port/lwipopts.h"

/* The defaults of lwIP's opt.h, and windows as in lwIP's test/unit/lwipopts.h. */
#undef TCP_MSS
#define TCP_MSS 536
#undef TCP_WND
#define TCP_WND (10 * TCP_MSS)
#undef TCP_SND_BUF
#define TCP_SND_BUF (12 * TCP_MSS)
#undef TCP_SND_QUEUELEN
#define TCP_SND_QUEUELEN 40
#undef TCP_RCV_SCALE
#define TCP_RCV_SCALE        0
#define UPSTREAM_TCP_WND     (10 * TCP_MSS)
#define UPSTREAM_TCP_SND_BUF (12 * TCP_MSS)

/* Bounds below the window, for the cases that overrun them; those that fill a window run with our options. */
#undef TCP_OOSEQ_BYTES_LIMIT
#undef TCP_OOSEQ_PBUFS_LIMIT
#define TCP_OOSEQ_MAX_BYTES (6 * TCP_MSS)
#define TCP_OOSEQ_MAX_PBUFS 8

/* Cases count turns of the timers: the retransmission in the eleventh, for a first timeout of 3 s. */
#undef TCP_TMR_INTERVAL
#define TCP_TMR_INTERVAL 250
#undef LWIP_TCP_RTO_TIME
#define LWIP_TCP_RTO_TIME 3000

/* What cases look at. */
#undef LWIP_STATS
#define LWIP_STATS                     1
#define MEM_STATS                      1
#define MEMP_STATS                     1
#define MIB2_STATS                     1
#define LWIP_TESTMODE                  1
#undef DHCP_DOES_ARP_CHECK
#define DHCP_DOES_ARP_CHECK            1
#define ETHARP_SUPPORT_STATIC_ENTRIES  1
#define LWIP_NETIF_EXT_STATUS_CALLBACK 1

#endif
