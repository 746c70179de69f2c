/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Segments that came in fragments, where several instances share an address. Only the first fragment has
 * the ports, so that all are brought to the instance of their two addresses; what they make together may
 * belong to a connection of another one, and goes there as a frame of its own.
 */
#include "stack/lwip/private.h"

#include "lwip/ip.h"
#include "lwip/prot/ethernet.h"
#include "lwip/prot/ip.h"
#include "pel_lwip_hooks.h"

#define IP4_LEN 20u
#define IP6_LEN 40u

static void put16(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

/* Headers enough to be found by: what was in the packets' own is not known any more. */
static uint32_t put_headers(uint8_t *at, const struct pel_ipstack *ip, const struct pel_ip *remote,
                            const struct pel_ip *local, uint32_t tcp_len)
{
    bool is_ip4 = remote->version == 4;
    uint32_t ip_len = is_ip4 ? IP4_LEN : IP6_LEN;
    uint8_t *header = at + SIZEOF_ETH_HDR;
    memset(at, 0, SIZEOF_ETH_HDR + ip_len);
    memcpy(at, ip->config.port->mac, 6);
    memcpy(at + 6, ip->config.port->mac, 6);
    put16(at + 12, is_ip4 ? ETHTYPE_IP : ETHTYPE_IPV6);
    header[0] = is_ip4 ? 0x45 : 0x60;
    put16(header + (is_ip4 ? 2 : 4), is_ip4 ? IP4_LEN + tcp_len : tcp_len);
    header[is_ip4 ? 9 : 6] = IP_PROTO_TCP;
    header[is_ip4 ? 8 : 7] = 64;
    memcpy(header + (is_ip4 ? 12 : 8), remote->bytes, is_ip4 ? 4 : 16);
    memcpy(header + (is_ip4 ? 16 : 24), local->bytes, is_ip4 ? 4 : 16);
    return SIZEOF_ETH_HDR + ip_len;
}

static void hand_over(struct pel_ipstack *ip, uint16_t to, const struct pel_endpoint *remote,
                      const struct pel_endpoint *local, struct pbuf *p)
{
    struct pel_port *port = ip->config.port;
    struct pel_pkt *pkt = pel_port_pkt_alloc(port, ip->config.queue);
    if (pkt == NULL) {
        pel_count_err(ip->counters, PEL_E_NO_PACKET_BUFFERS);
        return;
    }
    /* A sender that keeps to our MSS sends none that is longer. */
    uint32_t ip_len = remote->ip.version == 4 ? IP4_LEN : IP6_LEN;
    if (SIZEOF_ETH_HDR + ip_len + p->tot_len > pkt->room_len) {
        pel_count_err(ip->counters, PEL_E_FRAME_TOO_LONG);
        pel_pkt_free(pkt);
        return;
    }
    pkt->len = put_headers(pkt->data, ip, &remote->ip, &local->ip, p->tot_len);
    pkt->len += pbuf_copy_partial(p, pkt->data + pkt->len, p->tot_len, 0);
    pkt->flags = PEL_PKT_RX_IP_CSUM_GOOD | PEL_PKT_RX_L4_CSUM_GOOD; /* checked just now */
    port->ops->hand_over(port, ip->config.queue, to, pkt);
}

/* Called behind the check of the checksum, which is left to lwIP for fragments alone. */
int pel_lwip_reassembled(struct pbuf *p)
{
    struct pel_ipstack *ip = pel_ip_current();
    const struct pel_port *port = ip->config.port;
    const uint8_t *tcp = (const uint8_t *)p->payload;
    if ((ip->netif.chksum_flags & NETIF_CHECKSUM_CHECK_TCP) == 0 || port->rss == NULL ||
        port->num_queues == 1 || port->ops->hand_over == NULL)
        return 0;
    struct pel_endpoint remote = {pel_from_lwip_addr(ip_current_src_addr()),
                                  (uint16_t)(tcp[0] << 8 | tcp[1])};
    struct pel_endpoint local = {pel_from_lwip_addr(ip_current_dest_addr()),
                                 (uint16_t)(tcp[2] << 8 | tcp[3])};
    uint16_t queue = pel_rss_flow_queue(port->rss, &remote, &local);
    if (queue == ip->config.queue)
        return 0;
    hand_over(ip, queue, &remote, &local, p);
    return 1;
}
