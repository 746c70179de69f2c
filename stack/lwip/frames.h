/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames by hand, for tests: each builder writes a good frame from 10.0.0.2 or fd00::2 to a host of the
 * laboratory, and frame_sums makes the checksums right again after a test has bent it.
 */
#ifndef PEL_STACK_LWIP_FRAMES_H
#define PEL_STACK_LWIP_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRAME_CAP 2048
#define FRAME_IP  14 /* where the IP header begins */
#define FRAME_L4  34 /* where IPv4's payload begins */
#define FRAME6_L4 54 /* where IPv6's payload begins */

struct frame {
    uint8_t bytes[FRAME_CAP];
    size_t len;
};

/* What a TCP segment says; ports 1234 and 80. */
struct segment {
    uint32_t seq, ack;
    uint8_t flags;
    uint16_t window;
    const uint8_t *data;
    size_t data_len;
    uint16_t from_port, to_port; /* 0: as above */
};

enum { SEG_FIN = 1, SEG_SYN = 2, SEG_RST = 4, SEG_PSH = 8, SEG_ACK = 16 };

void frame_arp(struct frame *f, const uint8_t *mac, uint16_t operation);
void frame_tcp4(struct frame *f, const uint8_t *mac, const struct segment *segment);
void frame_tcp6(struct frame *f, const uint8_t *mac, const struct segment *segment);
void frame_udp4(struct frame *f, const uint8_t *mac, uint16_t to_port, const uint8_t *data, size_t data_len);
void frame_udp6(struct frame *f, const uint8_t *mac, uint16_t to_port, const uint8_t *data, size_t data_len);

/* An echo request with 40 bytes of data. */
void frame_ping4(struct frame *f, const uint8_t *mac);
void frame_ping6(struct frame *f, const uint8_t *mac);

/* A neighbour solicitation for fd00::1, with the sender's link address. */
void frame_solicit6(struct frame *f, const uint8_t *mac);

/* frame_sums fills in the checksums of the headers that it finds. */
void frame_sums(struct frame *f);

#endif
