/* SPDX-License-Identifier: Apache-2.0 */
#include "stack/lwip/frames.h"

#include <string.h>

static const uint8_t sender_mac[6] = {2, 0, 0, 0, 0, 0x77};
static const uint8_t addr4[2][4] = {{10, 0, 0, 2}, {10, 0, 0, 1}};
static const uint8_t addr6[2][16] = {{0xfd, [15] = 2}, {0xfd, [15] = 1}};

static void put16(uint8_t *at, size_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static void put32(uint8_t *at, uint32_t value)
{
    put16(at, value >> 16);
    put16(at + 2, value & 0xffff);
}

static uint32_t sum_bytes(uint32_t sum, const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        sum += i % 2 == 0 ? (uint32_t)bytes[i] << 8 : bytes[i];
    return sum;
}

static uint16_t fold(uint32_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

static void ethernet(struct frame *f, const uint8_t *mac, uint16_t type)
{
    memset(f, 0, sizeof(*f));
    memcpy(f->bytes, mac, 6);
    memcpy(f->bytes + 6, sender_mac, 6);
    put16(f->bytes + 12, type);
}

static uint8_t *ip4(struct frame *f, const uint8_t *mac, uint8_t protocol, size_t len)
{
    ethernet(f, mac, 0x0800);
    uint8_t *ip = f->bytes + FRAME_IP;
    ip[0] = 0x45;
    put16(ip + 2, 20 + len);
    put16(ip + 4, 0x4711);
    ip[8] = 64;
    ip[9] = protocol;
    memcpy(ip + 12, addr4[0], 4);
    memcpy(ip + 16, addr4[1], 4);
    f->len = FRAME_L4 + len;
    return f->bytes + FRAME_L4;
}

static uint8_t *ip6(struct frame *f, const uint8_t *mac, uint8_t protocol, size_t len)
{
    ethernet(f, mac, 0x86dd);
    uint8_t *ip = f->bytes + FRAME_IP;
    ip[0] = 0x60;
    put16(ip + 4, len);
    ip[6] = protocol;
    ip[7] = 255;
    memcpy(ip + 8, addr6[0], 16);
    memcpy(ip + 24, addr6[1], 16);
    f->len = FRAME6_L4 + len;
    return f->bytes + FRAME6_L4;
}

static void sum_l4(uint8_t *l4, size_t len, const uint8_t *addrs, size_t addrs_len, uint8_t protocol)
{
    size_t at = protocol == 6 ? 16 : protocol == 17 ? 6 : 2;
    if (len < at + 2 || (protocol != 6 && protocol != 17 && protocol != 1 && protocol != 58))
        return;
    put16(l4 + at, 0);
    uint32_t pseudo = protocol == 1 ? 0 : sum_bytes((uint32_t)(protocol + len), addrs, addrs_len);
    put16(l4 + at, fold(sum_bytes(pseudo, l4, len)));
}

void frame_sums(struct frame *f)
{
    uint8_t *ip = f->bytes + FRAME_IP;
    uint16_t type = (uint16_t)(f->bytes[12] << 8 | f->bytes[13]);
    if (type == 0x0800 && f->len >= FRAME_L4) {
        put16(ip + 10, 0);
        put16(ip + 10, fold(sum_bytes(0, ip, 20)));
        size_t total_len = (size_t)ip[2] << 8 | ip[3];
        if (total_len >= 20 && total_len <= f->len - FRAME_IP)
            sum_l4(ip + 20, total_len - 20, ip + 12, 8, ip[9]);
    } else if (type == 0x86dd && f->len >= FRAME6_L4) {
        size_t len = (size_t)ip[4] << 8 | ip[5];
        if (len <= f->len - FRAME6_L4)
            sum_l4(ip + 40, len, ip + 8, 32, ip[6]);
    }
}

void frame_arp(struct frame *f, const uint8_t *mac, uint16_t operation)
{
    ethernet(f, mac, 0x0806);
    uint8_t *arp = f->bytes + FRAME_IP;
    put16(arp, 1);
    put16(arp + 2, 0x0800);
    arp[4] = 6;
    arp[5] = 4;
    put16(arp + 6, operation);
    memcpy(arp + 8, sender_mac, 6);
    memcpy(arp + 14, addr4[0], 4);
    memcpy(arp + 24, addr4[1], 4);
    f->len = FRAME_IP + 28;
}

static void tcp(uint8_t *at, const struct segment *s)
{
    put16(at, s->from_port == 0 ? 1234 : s->from_port);
    put16(at + 2, s->to_port == 0 ? 80 : s->to_port);
    put32(at + 4, s->seq);
    put32(at + 8, s->ack);
    at[12] = 0x50;
    at[13] = s->flags;
    put16(at + 14, s->window);
    if (s->data_len > 0)
        memcpy(at + 20, s->data, s->data_len);
}

void frame_tcp4(struct frame *f, const uint8_t *mac, const struct segment *segment)
{
    tcp(ip4(f, mac, 6, 20 + segment->data_len), segment);
    frame_sums(f);
}

void frame_tcp6(struct frame *f, const uint8_t *mac, const struct segment *segment)
{
    tcp(ip6(f, mac, 6, 20 + segment->data_len), segment);
    frame_sums(f);
}

static void udp(uint8_t *at, uint16_t to_port, const uint8_t *data, size_t data_len)
{
    put16(at, 1234);
    put16(at + 2, to_port);
    put16(at + 4, 8 + data_len);
    if (data_len > 0)
        memcpy(at + 8, data, data_len);
}

void frame_udp4(struct frame *f, const uint8_t *mac, uint16_t to_port, const uint8_t *data, size_t data_len)
{
    udp(ip4(f, mac, 17, 8 + data_len), to_port, data, data_len);
    frame_sums(f);
}

void frame_udp6(struct frame *f, const uint8_t *mac, uint16_t to_port, const uint8_t *data, size_t data_len)
{
    udp(ip6(f, mac, 17, 8 + data_len), to_port, data, data_len);
    frame_sums(f);
}

static void ping(uint8_t *at, uint8_t type)
{
    at[0] = type;
    put16(at + 4, 0x1234);
    put16(at + 6, 1);
    for (int i = 0; i < 40; i++)
        at[8 + i] = (uint8_t)i;
}

void frame_ping4(struct frame *f, const uint8_t *mac)
{
    ping(ip4(f, mac, 1, 48), 8);
    frame_sums(f);
}

void frame_ping6(struct frame *f, const uint8_t *mac)
{
    ping(ip6(f, mac, 58, 48), 128);
    frame_sums(f);
}

void frame_solicit6(struct frame *f, const uint8_t *mac)
{
    uint8_t *icmp = ip6(f, mac, 58, 32);
    icmp[0] = 135;
    memcpy(icmp + 8, addr6[1], 16);
    icmp[24] = 1;
    icmp[25] = 1;
    memcpy(icmp + 26, sender_mac, 6);
    frame_sums(f);
}
