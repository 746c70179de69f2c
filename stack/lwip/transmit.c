/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From lwIP to the port. A frame is copied once, into a packet of the port. A TCP segment longer than the MSS
 * (its head is marked, tcp_output_segment in lwIP's change 0013) goes to a port that cuts by itself whole,
 * and where the port takes frames in pieces its bytes are not copied at all; for other ports it is cut here.
 *
 * lwIP makes the checksums of everything but TCP; TCP's are made here, or asked of the port.
 */
#include "stack/lwip/private.h"

#include "lwip/prot/ethernet.h"
#include "lwip/prot/ip.h"

enum { FLAG_FIN = 1, FLAG_PSH = 8 };

/* Of the TCP header. */
enum { AT_SEQ = 4, AT_FLAGS = 13, AT_CHECKSUM = 16, TCP_MIN_LEN = 20 };

/* Where a TCP segment's headers are in its frame. */
struct headers {
    bool is_ip4;
    uint32_t ip_len, tcp_len;
};

static uint8_t *tcp_of(uint8_t *frame, const struct headers *h)
{
    return frame + SIZEOF_ETH_HDR + h->ip_len;
}

static uint32_t headers_len(const struct headers *h)
{
    return SIZEOF_ETH_HDR + h->ip_len + h->tcp_len;
}

/* False: the frame is not whole TCP, or `len` bytes do not show all its headers. */
static bool find_headers(const uint8_t *frame, uint32_t len, struct headers *ret_headers)
{
    const uint8_t *ip = frame + SIZEOF_ETH_HDR;
    if (len < SIZEOF_ETH_HDR + 20 + TCP_MIN_LEN || (frame[12] == 0x08 && frame[13] == 0x06))
        return false;
    bool is_ip4 = ip[0] >> 4 == 4;
    bool is_tcp = is_ip4 ? ip[9] == IP_PROTO_TCP && ((ip[6] & 0x3f) | ip[7]) == 0 : ip[6] == IP_PROTO_TCP;
    uint32_t ip_len = is_ip4 ? 20 : 40;
    if (!is_tcp || len < SIZEOF_ETH_HDR + ip_len + TCP_MIN_LEN)
        return false;
    *ret_headers = (struct headers){is_ip4, ip_len, (uint32_t)(ip[ip_len + 12] >> 4) * 4};
    return true;
}

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

static err_t check_room(struct pel_ipstack *ip, uint32_t num)
{
    if (ip->num_tx + num > PEL_TX_MAX)
        pel_netif_flush(ip);
    if (ip->num_tx + num <= PEL_TX_MAX)
        return ERR_OK;
    pel_count_err(ip->counters, PEL_E_TX_QUEUE_FULL);
    return ERR_MEM;
}

static void queue_frame(struct pel_ipstack *ip, struct pel_pkt *pkt)
{
    pel_count_stat(ip->counters, PEL_STAT_tx_bytes, pel_pkt_frame_len(pkt));
    ip->tx[ip->num_tx++] = pkt;
    if (ip->num_tx % PEL_TX_BURST == 0)
        pel_netif_flush(ip);
}

static struct pel_pkt *no_packet(struct pel_ipstack *ip)
{
    pel_count_err(ip->counters, PEL_E_NO_PACKET_BUFFERS);
    return NULL;
}

/* ---- checksums ---- */

static uint32_t fold(uint32_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return sum;
}

static uint32_t pseudo_sum(const uint8_t *frame, const struct headers *h, uint32_t len)
{
    const uint8_t *ip = frame + SIZEOF_ETH_HDR;
    uint32_t sum = pel_lwip_chksum(h->is_ip4 ? ip + 12 : ip + 8, h->is_ip4 ? 8 : 32);
    return fold(sum + lwip_htons(IP_PROTO_TCP) + (uint32_t)lwip_htons((u16_t)len));
}

/* Makes the TCP checksum of a frame, or leaves it to the port: then the pseudo header's sum is in its place.
 * The frame is in one piece where the sum is made here. */
static void finish_tcp(struct pel_ipstack *ip, struct pel_pkt *pkt, const struct headers *h)
{
    uint8_t *tcp = tcp_of(pkt->data, h);
    uint32_t l4_len = pel_pkt_frame_len(pkt) - SIZEOF_ETH_HDR - h->ip_len;
    uint16_t none = 0, sum = (uint16_t)pseudo_sum(pkt->data, h, l4_len);
    if ((ip->config.port->offloads & PEL_OFFLOAD_TX_L4_CSUM) != 0) {
        pkt->l2_len = SIZEOF_ETH_HDR;
        pkt->l3_len = (uint16_t)h->ip_len;
        pkt->l4_len = (uint16_t)h->tcp_len;
        pkt->flags |= PEL_PKT_TX_L4_CSUM;
    } else {
        memcpy(tcp + AT_CHECKSUM, &none, 2);
        sum = (uint16_t)~fold((uint32_t)sum + pel_lwip_chksum(tcp, (int)l4_len));
    }
    memcpy(tcp + AT_CHECKSUM, &sum, 2);
}

/* ---- frames that fit the MTU ---- */

static err_t send_small(struct pel_ipstack *ip, struct pbuf *p)
{
    struct headers h;
    struct pel_pkt *pkt = pel_port_pkt_alloc(ip->config.port, ip->config.queue);
    if (pkt == NULL)
        pkt = no_packet(ip);
    if (pkt == NULL)
        return ERR_MEM;
    if (p->tot_len > pkt->room_len) {
        pel_count_err(ip->counters, PEL_E_FRAME_TOO_LONG);
        pel_pkt_free(pkt);
        return ERR_BUF;
    }
    pkt->len = pbuf_copy_partial(p, pkt->data, p->tot_len, 0);
    if (find_headers(pkt->data, pkt->len, &h))
        finish_tcp(ip, pkt, &h);
    queue_frame(ip, pkt);
    return ERR_OK;
}

/* ---- long segments, cut by the port ---- */

static struct pel_pkt *copy_large(struct pel_ipstack *ip, const struct pbuf *p)
{
    struct pel_pkt *pkt = pel_port_pkt_alloc_large(ip->config.port, ip->config.queue);
    if (pkt == NULL || pkt->room_len < p->tot_len) {
        pel_pkt_free(pkt);
        return NULL;
    }
    pkt->len = pbuf_copy_partial(p, pkt->data, p->tot_len, 0);
    return pkt;
}

/* The headers in a packet of their own, the bytes where they are. NULL: they are not a packet of the port, or
 * there is none for the headers. */
static struct pel_pkt *show_large(struct pel_ipstack *ip, const struct pbuf *p)
{
    struct pel_pkt *pkt = NULL, *base = p->next != NULL ? pel_tx_packet_of(p->next) : NULL;
    if (base == NULL || p->next->next != NULL || (ip->config.port->offloads & PEL_OFFLOAD_SCATTER) == 0 ||
        (pkt = pel_port_pkt_alloc(ip->config.port, ip->config.queue)) == NULL)
        return NULL;
    pkt->more = pel_pkt_attach(base, ip->config.queue, p->next->payload, p->next->len);
    if (pkt->more == NULL || pkt->room_len < p->len) {
        pel_pkt_free(pkt);
        return NULL;
    }
    memcpy(pkt->data, p->payload, p->len);
    pkt->len = p->len;
    return pkt;
}

/* False: there is no packet for it. */
static bool send_large(struct pel_ipstack *ip, const struct pbuf *p, const struct headers *h)
{
    struct pel_pkt *pkt = p->tot_len <= ip->config.port->tso_max_len ? show_large(ip, p) : NULL;
    if (pkt == NULL && p->tot_len <= ip->config.port->tso_max_len)
        pkt = copy_large(ip, p);
    if (pkt == NULL)
        return false;
    finish_tcp(ip, pkt, h);
    pkt->tso_mss = (uint16_t)p->pel_len;
    pkt->flags |= PEL_PKT_TX_TSO;
    queue_frame(ip, pkt);
    return true;
}

/* ---- long segments, cut here ---- */

static void put16(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static void add16(uint8_t *at, uint32_t n)
{
    put16(at, ((uint32_t)at[0] << 8 | at[1]) + n);
}

static void add32(uint8_t *at, uint32_t n)
{
    uint32_t value = ((uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3]) + n;
    put16(at, value >> 16);
    put16(at + 2, value);
}

/* What tells piece `index` from the whole, whose headers it begins with. */
static void rewrite_headers(uint8_t *frame, const struct headers *h, uint32_t index, uint32_t at,
                            uint32_t len, bool is_last)
{
    uint8_t *ip = frame + SIZEOF_ETH_HDR, *tcp = tcp_of(frame, h);
    if (h->is_ip4) {
        put16(ip + 2, h->ip_len + h->tcp_len + len);
        add16(ip + 4, index);
        put16(ip + 10, 0);
        uint16_t sum = (uint16_t)~pel_lwip_chksum(ip, 20);
        memcpy(ip + 10, &sum, 2);
    } else {
        put16(ip + 4, h->tcp_len + len);
    }
    add32(tcp + AT_SEQ, at);
    if (!is_last)
        tcp[AT_FLAGS] = (uint8_t)(tcp[AT_FLAGS] & ~(FLAG_FIN | FLAG_PSH));
}

/* Without a packet for a piece the rest stays, and with it the segment: what went is sent again, and is no
 * harm. */
static err_t cut(struct pel_ipstack *ip, const struct pbuf *p, const struct headers *h)
{
    const uint32_t mss = (uint32_t)p->pel_len, head_len = headers_len(h), data_len = p->tot_len - head_len;
    for (uint32_t at = 0, index = 0; at < data_len; at += mss, index++) {
        uint32_t len = data_len - at < mss ? data_len - at : mss;
        struct pel_pkt *pkt = pel_port_pkt_alloc(ip->config.port, ip->config.queue);
        if (pkt == NULL)
            pkt = no_packet(ip);
        if (pkt == NULL)
            return ERR_MEM;
        pkt->len = head_len + len;
        memcpy(pkt->data, p->payload, head_len);
        pbuf_copy_partial(p, pkt->data + head_len, (u16_t)len, (u16_t)(head_len + at));
        rewrite_headers(pkt->data, h, index, at, len, at + len == data_len);
        finish_tcp(ip, pkt, h);
        queue_frame(ip, pkt);
    }
    return ERR_OK;
}

static err_t send_long(struct pel_ipstack *ip, const struct pbuf *p)
{
    struct headers h;
    uint32_t mss = (uint32_t)p->pel_len;
    if (!find_headers(p->payload, p->len, &h) || p->len < headers_len(&h) || mss == 0 ||
        headers_len(&h) + mss > ip->config.port->mtu + SIZEOF_ETH_HDR) {
        pel_count_err(ip->counters, PEL_E_FRAME_TOO_LONG);
        return ERR_BUF;
    }
    if (send_large(ip, p, &h))
        return ERR_OK;
    /* Large packets are few, and a peer over memory may keep them: small ones do as well. */
    err_t err = check_room(ip, p->tot_len / mss + 1);
    return err == ERR_OK ? cut(ip, p, &h) : err;
}

/* ERR_MEM makes TCP keep the segment and try again later. A segment that waited for the neighbour's address
 * has lost its mark, and is dropped as too long: TCP sends it again. */
err_t pel_link_output(struct netif *netif, struct pbuf *p)
{
    struct pel_ipstack *ip = (struct pel_ipstack *)netif->state;
    err_t err = check_room(ip, 1);
    if (err != ERR_OK)
        return err;
    return (p->flags & PBUF_FLAG_TO_CUT) != 0 ? send_long(ip, p) : send_small(ip, p);
}
