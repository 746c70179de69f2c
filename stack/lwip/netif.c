/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the port to lwIP. Received frames pass the gate (frame_check.h) and are shown to lwIP where they lie:
 * the buffer's header is in the packet's own `user` bytes. Those of a burst that continue each other become
 * one segment (coalesce.h).
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
/* TCP's are transmit.c's, after it has cut. */
#define GENERATE                                                                                             \
    (NETIF_CHECKSUM_GEN_IP | NETIF_CHECKSUM_GEN_UDP | NETIF_CHECKSUM_GEN_ICMP | NETIF_CHECKSUM_GEN_ICMP6)

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

static void give_to_lwip(struct pel_ipstack *ip, struct pbuf *p, bool is_fragment)
{
    if (is_fragment)
        set_rx_checks(&ip->netif, true);
    if (ethernet_input(p, &ip->netif) != ERR_OK)
        pbuf_free(p);
    if (is_fragment)
        set_rx_checks(&ip->netif, false);
}

static void give_held(struct pel_ipstack *ip)
{
    struct pbuf *p = pel_coalesce_take(&ip->coalescer);
    if (p != NULL)
        give_to_lwip(ip, p, false);
}

/* Shows a piece to lwIP where it lies. */
static struct pbuf *wrap(struct pel_pkt *pkt)
{
    struct pbuf_custom *custom = (struct pbuf_custom *)(void *)pkt->user;
    memset(custom, 0, sizeof(*custom));
    custom->custom_free_function = free_packet;
    pkt->more = NULL;
    return pbuf_alloced_custom(PBUF_RAW, (u16_t)pkt->len, PBUF_REF, custom, pkt->data, (u16_t)pkt->len);
}

static struct pbuf *wrap_all(struct pel_pkt *pkt)
{
    struct pel_pkt *more = pkt->more;
    struct pbuf *p = wrap(pkt);
    while (more != NULL) {
        struct pel_pkt *piece = more;
        more = piece->more;
        pbuf_cat(p, wrap(piece));
    }
    return p;
}

/* Only whole TCP segments that the port has checked may come in pieces: the other frames are small and rare.
 */
static bool may_stay_in_pieces(const struct pel_pkt *pkt)
{
    uint32_t protocol_at = pkt->len < 54 ? 0 : pkt->data[14] >> 4 == 4 ? 23 : 20;
    return protocol_at != 0 && pkt->data[protocol_at] == IP_PROTO_TCP &&
           (pkt->flags & PEL_PKT_RX_L4_CSUM_GOOD) != 0;
}

static struct pbuf *flatten(struct pel_pkt *pkt, uint32_t len)
{
    struct pbuf *p = pbuf_alloc(PBUF_RAW, (u16_t)len, PBUF_RAM);
    uint32_t at = 0;
    for (struct pel_pkt *piece = pkt; p != NULL && piece != NULL; piece = piece->more) {
        memcpy((uint8_t *)p->payload + at, piece->data, piece->len);
        at += piece->len;
    }
    return p;
}

/* The gate. Fills `ret_p` with what may go on; otherwise the caller still has the packet. */
static enum pel_err admit(struct pel_ipstack *ip, struct pel_pkt *pkt, struct pel_frame_info *ret_info,
                          struct pbuf **ret_p)
{
    uint32_t len = pel_pkt_frame_len(pkt);
    struct pbuf *flat = NULL;
    struct pel_frame_rules rules = {
        .mac = ip->config.port->mac,
        .ip_csum_good = (pkt->flags & PEL_PKT_RX_IP_CSUM_GOOD) != 0,
        .l4_csum_good = (pkt->flags & PEL_PKT_RX_L4_CSUM_GOOD) != 0,
        .router_messages = ip->config.autoconf6,
        .tail_len = len - pkt->len,
    };
    pel_count_stat(ip->counters, PEL_STAT_rx_bytes, len);
    if ((pkt->flags & PEL_PKT_RX_CSUM_BAD) != 0)
        return PEL_E_FRAME_CHECKSUM;
    if (len > 65535)
        return PEL_E_FRAME_TOO_LONG;
    if (pkt->more != NULL && !may_stay_in_pieces(pkt)) {
        if ((flat = flatten(pkt, len)) == NULL)
            return PEL_E_NO_MEMORY;
        rules.tail_len = 0;
    }
    const uint8_t *bytes = flat != NULL ? flat->payload : pkt->data;
    enum pel_err err = pel_frame_check(&rules, bytes, flat != NULL ? len : pkt->len, ret_info);
    if (err != PEL_OK && flat != NULL)
        pbuf_free(flat);
    if (err != PEL_OK)
        return err;
    *ret_p = flat != NULL ? flat : wrap_all(pkt);
    if (flat != NULL)
        pel_pkt_free(pkt);
    return PEL_OK;
}

static void input(struct pel_ipstack *ip, struct pel_pkt *pkt)
{
    struct pel_frame_info info;
    struct pbuf *p = NULL;
    pel_count_stat(ip->counters, PEL_STAT_rx_packets, 1);
    if (pel_count_err(ip->counters, admit(ip, pkt, &info, &p)) != PEL_OK) {
        pel_pkt_free(pkt);
        return;
    }
    if (info.is_echo_request)
        pel_count_stat(ip->counters, PEL_STAT_icmp_echo_in, 1);
    if (info.is_refusal)
        pel_udp_refuse(ip, &info.refused_from, &info.refused_to);
    if (pel_coalesce_add(&ip->coalescer, p, &info)) {
        pel_count_stat(ip->counters, PEL_STAT_rx_coalesced, 1);
        return;
    }
    give_held(ip);
    if (!pel_coalesce_begin(&ip->coalescer, p, &info))
        give_to_lwip(ip, p, info.is_fragment);
}

void pel_ip_input(struct pel_ipstack *ip, struct pel_pkt **pkts, uint32_t num)
{
    struct pel_lwip_state *before = pel_ip_enter(ip);
    for (uint32_t i = 0; i < num; i++)
        input(ip, pkts[i]);
    give_held(ip);
    pel_ip_leave(before);
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
    netif->linkoutput = pel_link_output;
    netif->output = etharp_output;
    netif->output_ip6 = ethip6_output;
    NETIF_SET_CHECKSUM_CTRL(netif, GENERATE);
    netif_set_ip6_autoconfig_enabled(netif, ip->config.autoconf6);
    return ERR_OK;
}
