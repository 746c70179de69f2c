/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of offloads: a TCP frame to send, and a checksum of its own to compare with.
 */
#ifndef PEL_DRIVERS_TEST_FRAME_H
#define PEL_DRIVERS_TEST_FRAME_H

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"
#include "drivers/port.h"

/* test_plain_sum adds to an Internet checksum's sum: 16-bit words, folded at every step, not complemented. */
static inline uint16_t test_plain_sum(const uint8_t *bytes, size_t len, uint32_t sum)
{
    for (size_t i = 0; i < len; i++) {
        sum += i % 2 == 0 ? (uint32_t)bytes[i] << 8 : bytes[i];
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return (uint16_t)sum;
}

/* test_build_tcp writes an IPv4 or IPv6 TCP frame with `payload_len` bytes, byte k of them 7k, with sequence
 * number 0xfffffff0 and flags PSH ACK FIN; checksums are as a stack leaves them for an offloading port. */
static inline void test_build_tcp(struct pel_pkt *pkt, bool v4, uint32_t payload_len)
{
    struct pel_writer w = pel_writer_of(pkt->data, pkt->room_len);
    uint32_t tcp_len = 20 + payload_len;
    pel_write_bytes(&w, "\x02PEL\0b\x02PEL\0a", 12);
    if (v4) {
        pel_write_bytes(&w, "\x08\x00\x45\x00", 4);
        pel_write_uint(&w, 20 + tcp_len, 2);
        pel_write_bytes(&w, "\x00\xff\x40\x00\x40\x06\x00\x00\x0a\x00\x00\x01\x0a\x00\x00\x02", 16);
    } else {
        pel_write_bytes(&w, "\x86\xdd\x60\x00\x00\x00", 6);
        pel_write_uint(&w, tcp_len, 2);
        pel_write_bytes(&w, "\x06\x40", 2);
        for (uint8_t i = 0; i < 32; i++)
            pel_write_uint(&w, i, 1);
    }
    uint32_t l3_len = v4 ? 20 : 40;
    uint16_t pseudo =
        v4 ? test_plain_sum(pkt->data + 26, 8, 6 + tcp_len) : test_plain_sum(pkt->data + 22, 32, 6 + tcp_len);
    /* ports, sequence number just before it wraps, acknowledgement, PSH ACK FIN */
    pel_write_bytes(&w, "\x12\x34\x00\x50\xff\xff\xff\xf0\x00\x00\x00\x01\x50\x19\x10\x00", 16);
    pel_write_uint(&w, pseudo, 2);
    pel_write_uint(&w, 0, 2);
    for (uint32_t i = 0; i < payload_len; i++)
        pel_write_uint(&w, i * 7 & 0xff, 1);
    pkt->len = (uint32_t)w.len;
    pkt->flags = (uint16_t)(PEL_PKT_TX_L4_CSUM | (v4 ? PEL_PKT_TX_IP_CSUM : 0));
    pkt->l2_len = 14;
    pkt->l3_len = (uint16_t)l3_len;
    pkt->l4_len = 20;
}

#endif
