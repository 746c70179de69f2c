/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lwIP's options, as the engine needs them: no threads and no sequential API, memory from malloc (so that
 * fault injection and LeakSanitizer reach the connection path), both IP versions, big windows, and
 * everything on that makes TCP hard to guess or to exhaust. An option that is not here has lwIP's own
 * default.
 */
#ifndef PEL_STACK_LWIP_PORT_LWIPOPTS_H
#define PEL_STACK_LWIP_PORT_LWIPOPTS_H

/* Shape: the engine's loop calls the timers itself (stack/lwip/timers.c). */
#define NO_SYS                     1
#define LWIP_TIMERS                0
#define SYS_LIGHTWEIGHT_PROT       0
#define LWIP_NETCONN               0
#define LWIP_SOCKET                0
#define LWIP_STATS                 0
#define LWIP_RAW                   0
#define LWIP_DNS                   0
#define LWIP_IGMP                  0
#define LWIP_ALTCP                 0
#define LWIP_AUTOIP                0
#define LWIP_NUM_NETIF_CLIENT_DATA 0
#define LWIP_HOOK_FILENAME         "pel_lwip_hooks.h"

/* Memory. The head of a chain of received bytes knows its end, its length and its pieces: see buf.c. */
#define MEM_LIBC_MALLOC          1
#define MEMP_MEM_MALLOC          1
#define MEM_ALIGNMENT            8
#define PBUF_POOL_FREE_OOSEQ     0
#define LWIP_SUPPORT_CUSTOM_PBUF 1
struct pbuf;
#define LWIP_PBUF_CUSTOM_DATA                                                                                \
    struct pbuf *pel_tail;                                                                                   \
    unsigned long pel_len;                                                                                   \
    unsigned pel_num;

/* Link. */
#define ETH_PAD_SIZE                 0
#define LWIP_ETHERNET                1
#define LWIP_ARP                     1
#define ARP_TABLE_SIZE               127
#define ARP_QUEUEING                 1
#define ARP_QUEUE_LEN                64
#define LWIP_NETIF_HWADDRHINT        1
#define LWIP_NETIF_LOOPBACK          1
#define LWIP_HAVE_LOOPIF             0
#define LWIP_LOOPBACK_MAX_PBUFS      1024
#define LWIP_CHECKSUM_CTRL_PER_NETIF 1

/* IPv4. */
#define LWIP_IPV4                 1
#define IP_OPTIONS_ALLOWED        0
#define IP_FORWARD                0
#define IP_REASSEMBLY             1
#define IP_FRAG                   1
#define IP_REASS_MAX_PBUFS        512
#define IP_REASS_MAXAGE           15
#define IP_DEFAULT_TTL            64
#define LWIP_BROADCAST_PING       0
#define LWIP_MULTICAST_PING       0
#define LWIP_MULTICAST_TX_OPTIONS 0
#define LWIP_DHCP                 1
#define DHCP_DOES_ARP_CHECK       0
#define DHCP_CREATE_RAND_XID      1

/* IPv6. */
#define LWIP_IPV6                      1
#define LWIP_IPV6_FORWARD              0
#define LWIP_IPV6_NUM_ADDRESSES        12
#define LWIP_IPV6_AUTOCONFIG           1
#define LWIP_IPV6_DUP_DETECT_ATTEMPTS  1
#define LWIP_IPV6_MLD                  1
#define LWIP_IPV6_FRAG                 1
#define LWIP_IPV6_REASS                1
#define IPV6_REASS_MAXAGE              60
#define IPV6_FRAG_COPYHEADER           1
#define LWIP_ND6_QUEUEING              1
#define LWIP_ND6_NUM_NEIGHBORS         100
#define LWIP_ND6_NUM_DESTINATIONS      100
#define LWIP_ND6_NUM_PREFIXES          8
#define LWIP_ND6_NUM_ROUTERS           4
#define LWIP_ND6_RDNSS_MAX_DNS_SERVERS 0
#define LWIP_IPV6_DHCP6                0

/* UDP. */
#define LWIP_UDP     1
#define LWIP_UDPLITE 0

/* TCP. The windows and buffers are upper bounds: each instance sets its own (tcp_wnd, tcp_snd_buf). The MSS
 * that a connection uses comes from the interface's MTU. */
#define LWIP_TCP                   1
#define TCP_MSS                    9176
#define TCP_CALCULATE_EFF_SEND_MSS 1
#define LWIP_WND_SCALE             1
#define TCP_RCV_SCALE              7
#define TCP_WND                    (4 * 1024 * 1024)
#define TCP_SND_BUF                (4 * 1024 * 1024)
#define TCP_SND_QUEUELEN           32768
#define TCP_QUEUE_OOSEQ            1
#define TCP_OOSEQ_BYTES_LIMIT(pcb) ((unsigned)TCP_WND)
#define TCP_OOSEQ_PBUFS_LIMIT(pcb) ((unsigned short)(64 + TCP_WND / 1024))
#define LWIP_TCP_SACK_OUT          1
#define LWIP_TCP_MAX_SACK_NUM      4
#define LWIP_TCP_TIMESTAMPS        0
#define LWIP_TCP_KEEPALIVE         1
#define LWIP_TCP_PCB_NUM_EXT_ARGS  1
#define TCP_LISTEN_BACKLOG         1
#define TCP_DEFAULT_LISTEN_BACKLOG 0xff
#define SO_REUSE                   1

/* TCP's time: the slow timer, twice this interval, is the grain of every timeout. Its estimator never goes
 * below three grains, so that the shortest retransmission timeout is 200 to 300 ms. */
#define TCP_TMR_INTERVAL  50
#define LWIP_TCP_RTO_TIME 1000
#define TCP_MSL           30000UL
#define TCP_MAXRTX        12
#define TCP_SYNMAXRTX     6

/* lwIP's checks of the options assume small windows (TCP_SNDLOWAT) and fixed pools. */
#define LWIP_DISABLE_TCP_SANITY_CHECKS 1

#endif
