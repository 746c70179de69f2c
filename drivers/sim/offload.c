/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/sim/internal.h"

#include "base/bytes.h"

#define ETH_LEN        14u
#define ETHERTYPE_IPV4 0x0800u
#define ETHERTYPE_IPV6 0x86ddu
#define IPV4_LEN       20u
#define IPV6_LEN       40u
#define PROTO_TCP      6u
#define PROTO_UDP      17u
#define TCP_FIN_PSH    0x09u
#define TCP_CWR        0x80u

static uint16_t get16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static void put16(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

/* The Internet checksum's sum (RFC 1071), not complemented. */
static uint64_t sum_of(const uint8_t *bytes, uint32_t len, uint64_t sum)
{
    for (uint32_t i = 0; i + 1 < len; i += 2)
        sum += get16(bytes + i);
    if (len % 2 != 0)
        sum += (uint32_t)bytes[len - 1] << 8;
    return sum;
}

static uint16_t fold(uint64_t sum)
{
    while (sum >> 16 != 0)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

/* Where the headers of a frame are; `l4_len` counts header and payload. */
struct headers {
    bool is_v4;
    uint8_t proto;
    uint32_t l3_at, l4_at, l4_len;
};

static bool find_v4(const uint8_t *bytes, uint32_t len, struct headers *ret)
{
    if (len < ETH_LEN + IPV4_LEN)
        return false;
    const uint8_t *ip = bytes + ETH_LEN;
    uint32_t ip_len = 4u * (ip[0] & 15u);
    uint32_t total_len = get16(ip + 2);
    bool is_fragment = (get16(ip + 6) & 0x3fff) != 0;
    if (ip[0] >> 4 != 4 || ip_len < IPV4_LEN || total_len < ip_len || total_len > len - ETH_LEN)
        return false;
    *ret = (struct headers){.is_v4 = true,
                            .proto = is_fragment ? 0 : ip[9],
                            .l3_at = ETH_LEN,
                            .l4_at = ETH_LEN + ip_len,
                            .l4_len = total_len - ip_len};
    return true;
}

static bool find_v6(const uint8_t *bytes, uint32_t len, struct headers *ret)
{
    if (len < ETH_LEN + IPV6_LEN)
        return false;
    const uint8_t *ip = bytes + ETH_LEN;
    uint32_t payload_len = get16(ip + 4);
    if (ip[0] >> 4 != 6 || payload_len > len - ETH_LEN - IPV6_LEN)
        return false;
    *ret = (struct headers){
        .proto = ip[6], .l3_at = ETH_LEN, .l4_at = ETH_LEN + IPV6_LEN, .l4_len = payload_len};
    return true;
}

static bool find_headers(const uint8_t *bytes, uint32_t len, struct headers *ret)
{
    if (len < ETH_LEN)
        return false;
    uint16_t type = get16(bytes + 12);
    if (type == ETHERTYPE_IPV4)
        return find_v4(bytes, len, ret);
    return type == ETHERTYPE_IPV6 && find_v6(bytes, len, ret);
}

static uint64_t pseudo_sum(const uint8_t *bytes, const struct headers *h)
{
    const uint8_t *ip = bytes + h->l3_at;
    uint64_t sum = (uint64_t)h->proto + h->l4_len;
    return h->is_v4 ? sum_of(ip + 12, 8, sum) : sum_of(ip + 8, 32, sum);
}

/* The checksum's place in the frame, or 0 for a protocol without one that we know. */
static uint32_t l4_csum_at(const struct headers *h)
{
    if (h->proto == PROTO_TCP && h->l4_len >= 20)
        return h->l4_at + 16;
    return h->proto == PROTO_UDP && h->l4_len >= 8 ? h->l4_at + 6 : 0;
}

/* The whole sum is taken anew instead of trusting the pseudo header sum that the sender left: what a sender
 * leaves wrong there must not pass here and fail on a NIC, so it is compared first. */
static bool finish_l4(uint8_t *bytes, const struct headers *h)
{
    uint32_t at = l4_csum_at(h);
    if (at == 0 || get16(bytes + at) != fold(pseudo_sum(bytes, h)))
        return false;
    put16(bytes + at, 0);
    uint16_t csum = (uint16_t)~fold(sum_of(bytes + h->l4_at, h->l4_len, pseudo_sum(bytes, h)));
    put16(bytes + at, csum == 0 && h->proto == PROTO_UDP ? 0xffff : csum);
    return true;
}

bool sim_offload_finish(uint8_t *bytes, uint32_t len, const struct pel_pkt *pkt)
{
    struct headers h;
    if (!find_headers(bytes, len, &h) || pkt->l2_len != ETH_LEN || pkt->l3_len != h.l4_at - h.l3_at)
        return false;
    if ((pkt->flags & (PEL_PKT_TX_L4_CSUM | PEL_PKT_TX_TSO)) != 0 && !finish_l4(bytes, &h))
        return false;
    if ((pkt->flags & (PEL_PKT_TX_IP_CSUM | PEL_PKT_TX_TSO)) != 0 && h.is_v4) {
        put16(bytes + h.l3_at + 10, 0);
        put16(bytes + h.l3_at + 10, (uint16_t)~fold(sum_of(bytes + h.l3_at, h.l4_at - h.l3_at, 0)));
    }
    return true;
}

/* Sets lengths, IP id, sequence number and flags of a piece whose payload begins `done_len` bytes in. */
static void rewrite_headers(uint8_t *bytes, const struct headers *whole, uint32_t index, uint32_t done_len,
                            uint32_t l4_len, bool is_last)
{
    uint8_t *ip = bytes + whole->l3_at, *tcp = bytes + whole->l4_at;
    struct headers h = *whole;
    h.l4_len = l4_len;
    if (h.is_v4) {
        put16(ip + 2, h.l4_at - h.l3_at + l4_len);
        put16(ip + 4, get16(ip + 4) + index);
    } else {
        put16(ip + 4, l4_len);
    }
    uint32_t seq = ((uint32_t)get16(tcp + 4) << 16 | get16(tcp + 6)) + done_len;
    put16(tcp + 4, seq >> 16);
    put16(tcp + 6, seq);
    if (!is_last)
        tcp[13] = (uint8_t)(tcp[13] & ~TCP_FIN_PSH);
    if (index > 0)
        tcp[13] = (uint8_t)(tcp[13] & ~TCP_CWR);
    put16(tcp + 16, fold(pseudo_sum(bytes, &h)));
}

uint32_t sim_offload_cut(const struct pel_pkt *pkt, uint32_t index, uint8_t *ret_bytes)
{
    struct headers h;
    if (pkt->tso_mss == 0 || !find_headers(pkt->data, pkt->len, &h) || h.proto != PROTO_TCP)
        return 0;
    uint32_t headers_len = h.l4_at + pkt->l4_len, end = h.l4_at + h.l4_len;
    if (pkt->l2_len != ETH_LEN || pkt->l3_len != h.l4_at - h.l3_at || pkt->l4_len < 20 || headers_len > end)
        return 0;
    if (get16(pkt->data + h.l4_at + 16) != fold(pseudo_sum(pkt->data, &h)))
        return 0;
    uint64_t done_len = (uint64_t)index * pkt->tso_mss;
    uint32_t whole_len = end - headers_len;
    if (done_len >= whole_len && index > 0)
        return 0;
    uint32_t left_len = whole_len - (uint32_t)done_len;
    uint32_t len = left_len < pkt->tso_mss ? left_len : pkt->tso_mss;
    memcpy(ret_bytes, pkt->data, headers_len);
    memcpy(ret_bytes + headers_len, pkt->data + headers_len + done_len, len);
    rewrite_headers(ret_bytes, &h, index, (uint32_t)done_len, pkt->l4_len + len, len == left_len);
    return headers_len + len;
}

uint16_t sim_offload_check(const uint8_t *bytes, uint32_t len, uint32_t offloads)
{
    struct headers h;
    uint32_t flags = 0;
    if (!find_headers(bytes, len, &h))
        return 0;
    if ((offloads & PEL_OFFLOAD_RX_IP_CSUM) != 0 && h.is_v4) {
        bool good = fold(sum_of(bytes + h.l3_at, h.l4_at - h.l3_at, 0)) == 0xffff;
        flags |= good ? PEL_PKT_RX_IP_CSUM_GOOD : PEL_PKT_RX_CSUM_BAD;
    }
    uint32_t at = l4_csum_at(&h);
    bool has_none = at != 0 && h.proto == PROTO_UDP && get16(bytes + at) == 0;
    if ((offloads & PEL_OFFLOAD_RX_L4_CSUM) != 0 && at != 0 && !has_none) {
        bool good = fold(sum_of(bytes + h.l4_at, h.l4_len, pseudo_sum(bytes, &h))) == 0xffff;
        flags |= good ? PEL_PKT_RX_L4_CSUM_GOOD : PEL_PKT_RX_CSUM_BAD;
    }
    return (uint16_t)flags;
}
