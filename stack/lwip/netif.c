/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between lwIP's interface and the port. Received frames pass the gate (frame_check.h) and are shown to
 * lwIP where they lie: the buffer's header is in the packet's own `user` bytes. Frames to send are copied
 * once, into a packet of the port, and collected into bursts.
 */
#include "stack/lwip/frame_check.h"
#include "stack/lwip/private.h"

#include "lwip/etharp.h"
#include "lwip/ethip6.h"
#include "lwip/prot/ethernet.h"
#include "lwip/prot/ip.h"
#include "netif/ethernet.h"

_Static_assert(sizeof(struct pbuf_custom) <= PEL_PKT_USER_LEN, "a buffer's header must fit into the packet");

#define CHECK_AFTER_REASSEMBLY                                                                               \
    (NETIF_CHECKSUM_CHECK_UDP | NETIF_CHECKSUM_CHECK_TCP | NETIF_CHECKSUM_CHECK_ICMP |                       \
     NETIF_CHECKSUM_CHECK_ICMP6)
#define GENERATE                                                                                             \
    (NETIF_CHECKSUM_GEN_IP | NETIF_CHECKSUM_GEN_UDP | NETIF_CHECKSUM_GEN_TCP | NETIF_CHECKSUM_GEN_ICMP |     \
     NETIF_CHECKSUM_GEN_ICMP6)

/* ---- receive ---- */

static void free_packet(struct pbuf *p)
{
    struct pel_pkt *pkt = (struct pel_pkt *)(void *)((uint8_t *)p - offsetof(struct pel_pkt, user));
    pel_pkt_free(pkt);
}

/* The checks that are left to lwIP for this packet; those for sending are fixed. */
static void set_rx_checks(struct netif *netif, bool are_on)
{
    u16_t flags = (u16_t)(netif->chksum_flags & GENERATE);
    NETIF_SET_CHECKSUM_CTRL(netif, (u16_t)(are_on ? flags | CHECK_AFTER_REASSEMBLY : flags));
}

void pel_ip_input(struct pel_ipstack *ip, struct pel_pkt *pkt)
{
    struct pel_frame_info info;
    struct pel_frame_rules rules = {
        .mac = ip->config.port->mac,
        .ip_csum_good = (pkt->flags & PEL_PKT_RX_IP_CSUM_GOOD) != 0,
        .l4_csum_good = (pkt->flags & PEL_PKT_RX_L4_CSUM_GOOD) != 0,
        .router_messages = ip->config.autoconf6,
    };
    pel_count_stat(ip->counters, PEL_STAT_rx_packets, 1);
    pel_count_stat(ip->counters, PEL_STAT_rx_bytes, pkt->len);
    enum pel_err err = PEL_OK;
    if ((pkt->flags & PEL_PKT_RX_CSUM_BAD) != 0)
        err = PEL_E_FRAME_CHECKSUM;
    else if (pkt->len > 65535)
        err = PEL_E_FRAME_TOO_LONG;
    else
        err = pel_frame_check(&rules, pkt->data, pkt->len, &info);
    if (pel_count_err(ip->counters, err) != PEL_OK) {
        pel_pkt_free(pkt);
        return;
    }
    if (info.is_echo_request)
        pel_count_stat(ip->counters, PEL_STAT_icmp_echo_in, 1);

    struct pel_lwip_state *before = pel_ip_enter(ip);
    struct pbuf_custom *custom = (struct pbuf_custom *)(void *)pkt->user;
    memset(custom, 0, sizeof(*custom));
    custom->custom_free_function = free_packet;
    struct pbuf *p =
        pbuf_alloced_custom(PBUF_RAW, (u16_t)pkt->len, PBUF_REF, custom, pkt->data, (u16_t)pkt->len);
    set_rx_checks(&ip->netif, info.is_fragment);
    if (ethernet_input(p, &ip->netif) != ERR_OK)
        pbuf_free(p);
    set_rx_checks(&ip->netif, false);
    pel_ip_leave(before);
}

/* ---- transmit ---- */

void pel_netif_flush(struct pel_ipstack *ip)
{
    uint32_t done = 0;
    while (done < ip->num_tx) {
        uint32_t num = ip->num_tx - done < PEL_TX_BURST ? ip->num_tx - done : PEL_TX_BURST;
        uint32_t taken = pel_port_tx(ip->config.port, ip->config.queue, ip->tx + done, num);
        done += taken;
        if (taken < num)
            break;
    }
    pel_count_stat(ip->counters, PEL_STAT_tx_packets, done);
    memmove(ip->tx, ip->tx + done, (ip->num_tx - done) * sizeof(ip->tx[0]));
    ip->num_tx -= done;
    ip->tx_full_us = ip->num_tx > 0 ? pel_ip_now_us(ip) : 0;
}

void pel_netif_drop_tx(struct pel_ipstack *ip)
{
    for (uint32_t i = 0; i < ip->num_tx; i++)
        pel_pkt_free(ip->tx[i]);
    ip->num_tx = 0;
}

/* Leaves the TCP checksum to the port: puts the pseudo header's sum in place, as the port expects it. */
static void request_tcp_checksum(struct pel_pkt *pkt)
{
    uint8_t *ip = pkt->data + SIZEOF_ETH_HDR;
    bool is_ip4 = ip[0] >> 4 == 4;
    bool is_tcp = is_ip4 ? ip[9] == IP_PROTO_TCP && ((ip[6] & 0x3f) | ip[7]) == 0 : ip[6] == IP_PROTO_TCP;
    uint32_t ip_len = is_ip4 ? 20 : 40;
    if (!is_tcp || pkt->len < SIZEOF_ETH_HDR + ip_len + 20)
        return;
    uint32_t l4_total_len = pkt->len - SIZEOF_ETH_HDR - ip_len;
    uint32_t sum = pel_lwip_chksum(is_ip4 ? ip + 12 : ip + 8, is_ip4 ? 8 : 32);
    sum += lwip_htons(IP_PROTO_TCP) + (uint32_t)lwip_htons(l4_total_len);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    uint16_t folded = (uint16_t)sum;
    memcpy(ip + ip_len + 16, &folded, 2);
    pkt->l2_len = SIZEOF_ETH_HDR;
    pkt->l3_len = (uint16_t)ip_len;
    pkt->l4_len = (uint16_t)((ip[ip_len + 12] >> 4) * 4);
    pkt->flags |= PEL_PKT_TX_L4_CSUM;
}

/* ERR_MEM makes TCP keep the segment and try again later. */
static err_t link_output(struct netif *netif, struct pbuf *p)
{
    struct pel_ipstack *ip = (struct pel_ipstack *)netif->state;
    if (ip->num_tx == PEL_TX_MAX)
        pel_netif_flush(ip);
    if (ip->num_tx == PEL_TX_MAX) {
        pel_count_err(ip->counters, PEL_E_TX_QUEUE_FULL);
        return ERR_MEM;
    }
    struct pel_pkt *pkt = pel_port_pkt_alloc(ip->config.port, ip->config.queue);
    if (pkt == NULL) {
        pel_count_err(ip->counters, PEL_E_NO_PACKET_BUFFERS);
        return ERR_MEM;
    }
    if (p->tot_len > pkt->room_len) {
        pel_count_err(ip->counters, PEL_E_FRAME_TOO_LONG);
        pel_pkt_free(pkt);
        return ERR_BUF;
    }
    pkt->len = pbuf_copy_partial(p, pkt->data, p->tot_len, 0);
    if ((ip->config.port->offloads & PEL_OFFLOAD_TX_L4_CSUM) != 0)
        request_tcp_checksum(pkt);
    pel_count_stat(ip->counters, PEL_STAT_tx_bytes, pkt->len);
    ip->tx[ip->num_tx++] = pkt;
    if (ip->num_tx % PEL_TX_BURST == 0)
        pel_netif_flush(ip);
    return ERR_OK;
}

err_t pel_netif_init(struct netif *netif)
{
    const struct pel_ipstack *ip = (const struct pel_ipstack *)netif->state;
    netif->name[0] = 'p';
    netif->name[1] = 'l';
    netif->mtu = (u16_t)ip->config.port->mtu;
    netif->hwaddr_len = 6;
    memcpy(netif->hwaddr, ip->config.port->mac, 6);
    netif->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET | NETIF_FLAG_MLD6;
    netif->linkoutput = link_output;
    netif->output = etharp_output;
    netif->output_ip6 = ethip6_output;
    bool port_does_tcp = (ip->config.port->offloads & PEL_OFFLOAD_TX_L4_CSUM) != 0;
    NETIF_SET_CHECKSUM_CTRL(netif, (u16_t)(port_does_tcp ? GENERATE & ~NETIF_CHECKSUM_GEN_TCP : GENERATE));
    netif_set_ip6_autoconfig_enabled(netif, ip->config.autoconf6);
    return ERR_OK;
}
