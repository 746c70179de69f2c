/* SPDX-License-Identifier: Apache-2.0 */
#include "stack/lwip/frame_check.h"

#include <string.h>

#include "base/bytes.h"
#include "lwip/arch.h"

enum { ETH_ARP = 0x0806, ETH_IP4 = 0x0800, ETH_IP6 = 0x86dd };
enum {
    IP_ICMP = 1,
    IP_TCP = 6,
    IP_UDP = 17,
    IP6_HOP = 0,
    IP6_ROUTING = 43,
    IP6_FRAGMENT = 44,
    IP6_ICMP = 58,
    IP6_NONE = 59,
    IP6_OPTIONS = 60
};
enum { TCP_FIN_BIT = 1, TCP_SYN_BIT = 2, TCP_RST_BIT = 4, TCP_ACK_BIT = 16, TCP_ALL_BITS = 63 };

#define EXTENSIONS_MAX 8 /* IPv6 extension headers of one packet */

/* One packet on its way through the checks: the bytes that are left and what the headers so far said. */
struct packet {
    const struct pel_frame_rules *rules;
    struct pel_frame_info *info;
    struct pel_reader r;
    const uint8_t *frame;
    const uint8_t *addrs; /* source and destination, side by side */
    size_t addr_len;      /* of one */
    uint8_t hop_limit;
};

static uint32_t sum_of(const void *bytes, size_t len)
{
    return pel_lwip_chksum(bytes, (int)len);
}

static bool l4_sum_is_good(const struct packet *p, const uint8_t *bytes, size_t len, uint8_t protocol)
{
    uint32_t sum = sum_of(p->addrs, 2 * p->addr_len) + sum_of(bytes, len);
    sum += lwip_htons(protocol) + (uint32_t)lwip_htons(len);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return sum == 0xffff;
}

/* RFC 826, for Ethernet and IPv4 alone. */
static enum pel_err check_arp(struct pel_reader *r)
{
    uint16_t hardware = pel_read_u16(r), protocol = pel_read_u16(r);
    uint8_t hardware_len = pel_read_u8(r), protocol_len = pel_read_u8(r);
    uint16_t operation = pel_read_u16(r);
    pel_read_bytes(r, 20);
    bool good = !r->failed && hardware == 1 && protocol == ETH_IP4 && hardware_len == 6 &&
                protocol_len == 4 && (operation == 1 || operation == 2);
    return good ? PEL_OK : PEL_E_ARP_MALFORMED;
}

/* RFC 9293 section 3.1: whole options, and no combination of flags that no sender has a use for. */
static enum pel_err check_tcp(struct packet *p)
{
    const uint8_t *tcp = p->r.at;
    size_t len = p->r.left_len;
    if (len < 20 || tcp[12] >> 4 < 5 || (size_t)(tcp[12] >> 4) * 4 > len)
        return PEL_E_TCP_MALFORMED;
    size_t header_len = (size_t)(tcp[12] >> 4) * 4;
    for (size_t at = 20; at < header_len && tcp[at] != 0;) {
        size_t option_len = tcp[at] == 1 ? 1 : at + 1 < header_len ? tcp[at + 1] : 0;
        if (option_len == 0 || (tcp[at] != 1 && option_len < 2) || at + option_len > header_len)
            return PEL_E_TCP_MALFORMED;
        at += option_len;
    }
    uint8_t flags = tcp[13] & TCP_ALL_BITS;
    bool has_both = (flags & TCP_SYN_BIT) != 0 && (flags & (TCP_FIN_BIT | TCP_RST_BIT)) != 0;
    bool has_none = (flags & (TCP_SYN_BIT | TCP_RST_BIT | TCP_ACK_BIT | TCP_FIN_BIT)) == 0;
    bool port_0 = (tcp[0] | tcp[1]) == 0 || (tcp[2] | tcp[3]) == 0;
    if (has_both || has_none || port_0)
        return PEL_E_TCP_MALFORMED;
    p->info->is_tcp = true;
    p->info->tcp_at = (uint16_t)(tcp - p->frame);
    p->info->data_at = (uint16_t)(p->info->tcp_at + header_len);
    p->info->data_len = (uint32_t)(len - header_len + p->rules->tail_len);
    return p->rules->l4_csum_good || l4_sum_is_good(p, tcp, len, IP_TCP) ? PEL_OK : PEL_E_FRAME_CHECKSUM;
}

/* RFC 768; over IPv6 a checksum is a must (RFC 8200 section 8.1). */
static enum pel_err check_udp(struct packet *p)
{
    const uint8_t *udp = p->r.at;
    size_t len = p->r.left_len;
    size_t udp_len = len < 8 ? 0 : (size_t)udp[4] << 8 | udp[5];
    if (udp_len < 8 || udp_len > len)
        return PEL_E_UDP_MALFORMED;
    bool has_sum = (udp[6] | udp[7]) != 0;
    if (!has_sum)
        return p->addr_len == 4 ? PEL_OK : PEL_E_FRAME_CHECKSUM;
    return p->rules->l4_csum_good || l4_sum_is_good(p, udp, udp_len, IP_UDP) ? PEL_OK : PEL_E_FRAME_CHECKSUM;
}

static struct pel_endpoint endpoint_of(const uint8_t *ip, size_t ip_len, const uint8_t *port)
{
    struct pel_endpoint endpoint = {.ip = {.version = ip_len == 4 ? 4 : 6},
                                    .port = (uint16_t)(port[0] << 8 | port[1])};
    memcpy(endpoint.ip.bytes, ip, ip_len);
    return endpoint;
}

/* What the error is about: RFC 792 and RFC 4443 have it quote the header and 8 bytes behind it at least. */
static void note_refusal(struct packet *p, const uint8_t *quoted, size_t len)
{
    bool is_ip6 = p->addr_len == 16;
    size_t header_len = is_ip6 ? 40 : 20, addrs_at = is_ip6 ? 8 : 12;
    if (len < header_len + 8 || quoted[0] >> 4 != (is_ip6 ? 6 : 4) || quoted[is_ip6 ? 6 : 9] != IP_UDP)
        return;
    if (!is_ip6)
        header_len = (quoted[0] & 15u) * 4u;
    if (header_len < 20 || len < header_len + 8)
        return;
    p->info->is_refusal = true;
    p->info->refused_from = endpoint_of(quoted + addrs_at, p->addr_len, quoted + header_len);
    p->info->refused_to = endpoint_of(quoted + addrs_at + p->addr_len, p->addr_len, quoted + header_len + 2);
}

static enum pel_err check_icmp4(struct packet *p)
{
    const uint8_t *icmp = p->r.at;
    if (p->r.left_len < 8)
        return PEL_E_IP_MALFORMED;
    if (icmp[0] == 3 && icmp[1] == 3) /* destination unreachable: the port */
        note_refusal(p, icmp + 8, p->r.left_len - 8);
    p->info->is_echo_request = icmp[0] == 8;
    return sum_of(icmp, p->r.left_len) == 0xffff ? PEL_OK : PEL_E_FRAME_CHECKSUM;
}

/* RFC 4861: options are in units of 8 bytes, never 0 long. */
static bool nd_options_are_whole(const uint8_t *at, size_t len)
{
    while (len >= 2 && at[1] != 0 && (size_t)at[1] * 8 <= len) {
        len -= (size_t)at[1] * 8;
        at += (size_t)at[1] * 8;
    }
    return len == 0;
}

static enum pel_err check_icmp6(struct packet *p)
{
    static const struct {
        uint8_t type, header_len;
        bool is_nd, is_router;
    } rows[] = {
        {133, 8, true, false}, {134, 16, true, true},   {135, 24, true, false},  {136, 24, true, false},
        {137, 40, true, true}, {130, 24, false, false}, {131, 24, false, false}, {132, 24, false, false},
    };
    const uint8_t *icmp = p->r.at;
    size_t len = p->r.left_len;
    if (len < 8)
        return PEL_E_IP_MALFORMED;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (rows[i].type != icmp[0])
            continue;
        if (len < rows[i].header_len)
            return PEL_E_IP_MALFORMED;
        if (rows[i].is_nd && (p->hop_limit != 255 || icmp[1] != 0 ||
                              !nd_options_are_whole(icmp + rows[i].header_len, len - rows[i].header_len)))
            return PEL_E_IP_MALFORMED;
        if (rows[i].is_router && !p->rules->router_messages)
            return PEL_E_FRAME_ETHERTYPE;
    }
    if (icmp[0] == 1 && icmp[1] == 4) /* destination unreachable: the port */
        note_refusal(p, icmp + 8, len - 8);
    p->info->is_echo_request = icmp[0] == 128;
    return l4_sum_is_good(p, icmp, len, IP6_ICMP) ? PEL_OK : PEL_E_FRAME_CHECKSUM;
}

static enum pel_err check_l4(struct packet *p, uint8_t protocol)
{
    bool is_ip6 = p->addr_len == 16;
    if (p->rules->tail_len > 0 && (protocol != IP_TCP || p->info->is_fragment || !p->rules->l4_csum_good))
        return PEL_E_IP_MALFORMED;
    if (protocol == IP_TCP)
        return p->info->is_fragment ? PEL_OK : check_tcp(p);
    if (protocol == IP_UDP)
        return p->info->is_fragment ? PEL_OK : check_udp(p);
    if (protocol == IP_ICMP && !is_ip6)
        return p->info->is_fragment ? PEL_OK : check_icmp4(p);
    if (protocol == IP6_ICMP && is_ip6)
        return p->info->is_fragment ? PEL_OK : check_icmp6(p);
    return PEL_E_FRAME_ETHERTYPE;
}

/* A fragment: not empty, in units of 8 unless it is the last, and not past the largest datagram, whose
 * length with its IP header lwIP holds in 16 bits. */
static bool fragment_is_good(size_t offset, size_t len, bool more, size_t header_len)
{
    return len > 0 && (!more || len % 8 == 0) && header_len + offset + len <= 65535;
}

/* RFC 791. Options are not served: they are obsolete, and source routes dangerous. */
static enum pel_err check_ip4(struct packet *p)
{
    const uint8_t *ip = p->r.at;
    size_t have_len = p->r.left_len;
    if (have_len < 20)
        return PEL_E_FRAME_TOO_SHORT;
    size_t total_len = (size_t)ip[2] << 8 | ip[3], tail_len = p->rules->tail_len;
    if (tail_len > 0 && total_len != have_len + tail_len)
        return PEL_E_IP_MALFORMED;
    total_len -= tail_len;
    if (ip[0] != 0x45 || total_len < 20 || total_len > have_len || ip[12] == 127 || ip[16] == 127)
        return PEL_E_IP_MALFORMED;
    if (!p->rules->ip_csum_good && sum_of(ip, 20) != 0xffff)
        return PEL_E_FRAME_CHECKSUM;
    p->addrs = ip + 12;
    p->addr_len = 4;
    p->r = pel_reader_of(ip + 20, total_len - 20);
    uint16_t fragment = (uint16_t)(ip[6] << 8 | ip[7]);
    p->info->is_fragment = (fragment & 0x3fff) != 0;
    if (p->info->is_fragment &&
        !fragment_is_good((fragment & 0x1fffu) * 8, total_len - 20, (fragment & 0x2000) != 0, 20))
        return PEL_E_IP_MALFORMED;
    return check_l4(p, ip[9]);
}

/* Steps over one extension header; `protocol` becomes the next. */
static enum pel_err check_extension(struct packet *p, uint8_t *protocol)
{
    bool is_fragment = *protocol == IP6_FRAGMENT;
    const uint8_t *header = pel_read_bytes(&p->r, 8);
    if (header == NULL || *protocol == IP6_ROUTING)
        return PEL_E_IP_MALFORMED;
    if (is_fragment) {
        uint16_t fragment = (uint16_t)(header[2] << 8 | header[3]);
        if (p->info->is_fragment ||
            !fragment_is_good(fragment & 0xfff8u, p->r.left_len, (fragment & 1) != 0, 40))
            return PEL_E_IP_MALFORMED;
        p->info->is_fragment = true;
    } else if (pel_read_bytes(&p->r, (size_t)header[1] * 8) == NULL && header[1] != 0) {
        return PEL_E_IP_MALFORMED;
    } else {
        size_t options_len = 6 + (size_t)header[1] * 8;
        for (size_t at = 0; at < options_len;) {
            size_t option_len = header[2 + at] == 0    ? 1
                                : at + 1 < options_len ? 2u + header[3 + at]
                                                       : options_len + 1;
            if (at + option_len > options_len)
                return PEL_E_IP_MALFORMED;
            at += option_len;
        }
    }
    *protocol = header[0];
    return PEL_OK;
}

/* RFC 8200. Hop-by-hop options come first or not at all; routing headers are not served (RFC 5095). */
static enum pel_err check_ip6(struct packet *p)
{
    const uint8_t *ip = p->r.at;
    size_t have_len = p->r.left_len;
    if (have_len < 40)
        return PEL_E_FRAME_TOO_SHORT;
    size_t payload_len = (size_t)ip[4] << 8 | ip[5], tail_len = p->rules->tail_len;
    if (tail_len > 0 && payload_len != have_len - 40 + tail_len)
        return PEL_E_IP_MALFORMED;
    payload_len -= tail_len;
    if (ip[0] >> 4 != 6 || payload_len == 0 || payload_len > have_len - 40 || ip[8] == 0xff)
        return PEL_E_IP_MALFORMED;
    p->addrs = ip + 8;
    p->addr_len = 16;
    p->hop_limit = ip[7];
    p->r = pel_reader_of(ip + 40, payload_len);
    uint8_t protocol = ip[6];
    for (int i = 0; protocol == IP6_HOP || protocol == IP6_ROUTING || protocol == IP6_OPTIONS ||
                    protocol == IP6_FRAGMENT;
         i++) {
        if (i == EXTENSIONS_MAX || (protocol == IP6_HOP && i > 0))
            return PEL_E_IP_MALFORMED;
        PEL_TRY(check_extension(p, &protocol));
        if (p->info->is_fragment)
            break; /* what follows belongs to the whole datagram */
    }
    if (protocol == IP6_NONE)
        return PEL_E_FRAME_ETHERTYPE;
    enum pel_err err = check_l4(p, protocol);
    p->info->is_tcp &= protocol == ip[6];
    return err;
}

enum pel_err pel_frame_check(const struct pel_frame_rules *rules, const uint8_t *bytes, size_t len,
                             struct pel_frame_info *ret_info)
{
    struct pel_frame_info info = {0};
    struct packet p = {.rules = rules, .info = &info, .frame = bytes, .r = pel_reader_of(bytes, len)};
    const uint8_t *to = pel_read_bytes(&p.r, 6);
    pel_read_bytes(&p.r, 6);
    uint16_t type = pel_read_u16(&p.r);
    if (p.r.failed || p.r.left_len == 0)
        return PEL_E_FRAME_TOO_SHORT;
    if ((to[0] & 1) == 0 && memcmp(to, rules->mac, 6) != 0)
        return PEL_E_FRAME_OTHER_MAC;
    enum pel_err err = PEL_E_FRAME_ETHERTYPE;
    if (type == ETH_ARP)
        err = check_arp(&p.r);
    else if (type == ETH_IP4)
        err = check_ip4(&p);
    else if (type == ETH_IP6)
        err = check_ip6(&p);
    if (err == PEL_OK)
        *ret_info = info;
    return err;
}
