/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/rss.h"

#include <string.h>

#define ETH_LEN         14u
#define ARP_LEN         28u
#define IP4_LEN         20u
#define IP6_LEN         40u
#define PORTS_LEN       4u
#define MAX_EXT_HEADERS 8

enum { ICMP4 = 1, TCP = 6, UDP = 17, ICMP6 = 58 };
enum { HOP_BY_HOP = 0, ROUTING = 43, FRAGMENT = 44, DESTINATION = 60 };

const uint8_t pel_rss_symmetric_key[PEL_RSS_KEY_LEN] = {
    0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a,
    0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a,
    0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a,
};

/* ---- the hash ---- */

/* The key's 32 bits from bit `at` on. */
static uint32_t key_window(const uint8_t *key, size_t at)
{
    uint64_t bits = 0;
    for (size_t i = 0; i < 5; i++) {
        size_t byte = at / 8 + i;
        bits = bits << 8 | (byte < PEL_RSS_KEY_LEN ? key[byte] : 0);
    }
    return (uint32_t)(bits >> (8 - at % 8));
}

void pel_rss_init(struct pel_rss *rss, const uint8_t key[PEL_RSS_KEY_LEN], uint32_t num_queues,
                  uint32_t reta_len)
{
    memset(rss, 0, sizeof *rss);
    memcpy(rss->key, key, PEL_RSS_KEY_LEN);
    rss->reta_len = reta_len;
    for (uint32_t i = 0; i < reta_len; i++)
        rss->reta[i] = (uint16_t)(i % num_queues);
    for (size_t half = 0; half < 2 * PEL_RSS_TUPLE_MAX; half++)
        for (uint32_t value = 0; value < 16; value++)
            for (size_t bit = 0; bit < 4; bit++)
                if ((value & (8u >> bit)) != 0)
                    rss->steps[half][value] ^= key_window(key, half * 4 + bit);
}

uint32_t pel_rss_hash(const struct pel_rss *rss, const uint8_t *bytes, size_t len)
{
    uint32_t hash = 0;
    for (size_t i = 0; i < len; i++)
        hash ^= rss->steps[2 * i][bytes[i] >> 4] ^ rss->steps[2 * i + 1][bytes[i] & 15];
    return hash;
}

static void put_port(uint8_t *at, uint16_t port)
{
    at[0] = (uint8_t)(port >> 8);
    at[1] = (uint8_t)port;
}

uint16_t pel_rss_flow_queue(const struct pel_rss *rss, const struct pel_endpoint *remote,
                            const struct pel_endpoint *local)
{
    uint8_t tuple[PEL_RSS_TUPLE_MAX];
    size_t addr_len = remote->ip.version == 4 ? 4 : 16;
    memcpy(tuple, remote->ip.bytes, addr_len);
    memcpy(tuple + addr_len, local->ip.bytes, addr_len);
    put_port(tuple + 2 * addr_len, remote->port);
    put_port(tuple + 2 * addr_len + 2, local->port);
    return rss->reta[pel_rss_hash(rss, tuple, 2 * addr_len + PORTS_LEN) & (rss->reta_len - 1)];
}

/* ---- frames ---- */

static void no_tuple(struct pel_rss_frame *frame, enum pel_rss_kind kind)
{
    frame->kind = kind;
    frame->tuple_len = 0;
}

static void set_host(struct pel_rss_frame *frame, const uint8_t *addrs, size_t addrs_len)
{
    frame->kind = PEL_RSS_HOST;
    memcpy(frame->tuple, addrs, addrs_len);
    frame->tuple_len = (uint8_t)addrs_len;
}

/* The ports behind both addresses; without them the frame stays the host's. */
static void add_ports(struct pel_rss_frame *frame, uint32_t type, const uint8_t *ports)
{
    frame->kind = PEL_RSS_FLOW;
    frame->type = type;
    memcpy(frame->tuple + frame->tuple_len, ports, PORTS_LEN);
    frame->tuple_len = (uint8_t)(frame->tuple_len + PORTS_LEN);
}

/* An error quotes a packet of ours: its flow is that of the answer, with both ends changed round. */
static void set_quoted(struct pel_rss_frame *frame, const uint8_t *addrs, size_t addr_len,
                       const uint8_t *ports)
{
    frame->kind = PEL_RSS_FLOW;
    memcpy(frame->tuple, addrs + addr_len, addr_len);
    memcpy(frame->tuple + addr_len, addrs, addr_len);
    memcpy(frame->tuple + 2 * addr_len, ports + 2, 2);
    memcpy(frame->tuple + 2 * addr_len + 2, ports, 2);
    frame->tuple_len = (uint8_t)(2 * addr_len + PORTS_LEN);
}

static bool has_ports(uint8_t protocol)
{
    return protocol == TCP || protocol == UDP;
}

static void parse_icmp4(const uint8_t *icmp, size_t len, struct pel_rss_frame *frame)
{
    /* Destination unreachable, source quench, redirect, time exceeded, parameter problem. */
    bool is_error = icmp[0] == 3 || icmp[0] == 4 || icmp[0] == 5 || icmp[0] == 11 || icmp[0] == 12;
    if (!is_error || len < 8 + IP4_LEN + PORTS_LEN)
        return;
    const uint8_t *quoted = icmp + 8;
    size_t header_len = (size_t)(quoted[0] & 15) * 4;
    bool is_first = ((quoted[6] & 0x1f) | quoted[7]) == 0;
    if (quoted[0] >> 4 != 4 || header_len < IP4_LEN || len < 8 + header_len + PORTS_LEN || !is_first ||
        !has_ports(quoted[9]))
        return;
    set_quoted(frame, quoted + 12, 4, quoted + header_len);
}

static void parse_ip4(const uint8_t *ip, size_t len, struct pel_rss_frame *frame)
{
    if (len < IP4_LEN || ip[0] >> 4 != 4 || (ip[0] & 15) < 5)
        return;
    size_t header_len = (size_t)(ip[0] & 15) * 4, total_len = (size_t)ip[2] << 8 | ip[3];
    size_t l4_len = total_len < len ? total_len : len;
    bool is_fragment = ((ip[6] & 0x3f) | ip[7]) != 0;
    set_host(frame, ip + 12, 8);
    if (is_fragment || l4_len < header_len + PORTS_LEN)
        return;
    l4_len -= header_len;
    if (has_ports(ip[9]))
        add_ports(frame, ip[9] == TCP ? PEL_RSS_TCP4 : PEL_RSS_UDP4, ip + header_len);
    else if (ip[9] == ICMP4)
        parse_icmp4(ip + header_len, l4_len, frame);
    else if (ip[9] == 2)
        no_tuple(frame, PEL_RSS_FIRST); /* IGMP */
}

/* Steps over extension headers; false when there is no whole transport header in this very frame. */
static bool find_l4(const uint8_t *ip, size_t len, uint8_t *ret_protocol, size_t *ret_at)
{
    uint8_t next = ip[6];
    size_t at = IP6_LEN;
    for (int i = 0; i < MAX_EXT_HEADERS && (next == HOP_BY_HOP || next == ROUTING || next == DESTINATION);
         i++) {
        if (len < at + 8)
            return false;
        next = ip[at];
        at += ((size_t)ip[at + 1] + 1) * 8;
    }
    *ret_protocol = next;
    *ret_at = at;
    return next != FRAGMENT && len >= at + PORTS_LEN;
}

static void parse_icmp6(const uint8_t *icmp, size_t len, struct pel_rss_frame *frame)
{
    uint8_t protocol = 0;
    size_t at = 0;
    switch (icmp[0]) {
    case 1: /* errors: unreachable, too big, time exceeded, parameter problem */
    case 2:
    case 3:
    case 4:
        if (len >= 8 + IP6_LEN && icmp[8] >> 4 == 6 && find_l4(icmp + 8, len - 8, &protocol, &at) &&
            has_ports(protocol))
            set_quoted(frame, icmp + 8 + 8, 16, icmp + 8 + at);
        break;
    case 136: /* neighbour advertisement, redirect */
    case 137: no_tuple(frame, PEL_RSS_EVERYONE); break;
    case 128: /* echo */
    case 129: break;
    default: /* solicitations, routers, multicast listeners */ no_tuple(frame, PEL_RSS_FIRST);
    }
}

static void parse_ip6(const uint8_t *ip, size_t len, struct pel_rss_frame *frame)
{
    uint8_t protocol = 0;
    size_t at = 0;
    if (len < IP6_LEN || ip[0] >> 4 != 6)
        return;
    size_t total_len = IP6_LEN + ((size_t)ip[4] << 8 | ip[5]);
    len = total_len < len ? total_len : len;
    set_host(frame, ip + 8, 32);
    if (!find_l4(ip, len, &protocol, &at))
        return;
    /* Behind extension headers a NIC may not find the ports: no type. */
    if (has_ports(protocol))
        add_ports(frame, at != IP6_LEN ? 0 : protocol == TCP ? PEL_RSS_TCP6 : PEL_RSS_UDP6, ip + at);
    else if (protocol == ICMP6)
        parse_icmp6(ip + at, len - at, frame);
}

/* Questions are answered once; answers are for whoever asked, and an announcement (a question for one's own
 * address) changes what every cache holds. */
static void parse_arp(const uint8_t *arp, size_t len, struct pel_rss_frame *frame)
{
    if (len < ARP_LEN)
        return;
    bool is_question = arp[6] == 0 && arp[7] == 1;
    bool is_announcement = memcmp(arp + 14, arp + 24, 4) == 0;
    no_tuple(frame, is_question && !is_announcement ? PEL_RSS_FIRST : PEL_RSS_EVERYONE);
}

void pel_rss_parse(const uint8_t *bytes, size_t len, struct pel_rss_frame *ret_frame)
{
    ret_frame->type = 0;
    no_tuple(ret_frame, PEL_RSS_BROKEN);
    if (len < ETH_LEN)
        return;
    uint32_t type = (uint32_t)bytes[12] << 8 | bytes[13];
    if (type == 0x0800)
        parse_ip4(bytes + ETH_LEN, len - ETH_LEN, ret_frame);
    else if (type == 0x86dd)
        parse_ip6(bytes + ETH_LEN, len - ETH_LEN, ret_frame);
    else if (type == 0x0806)
        parse_arp(bytes + ETH_LEN, len - ETH_LEN, ret_frame);
}
