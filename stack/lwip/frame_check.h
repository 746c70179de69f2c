/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gate before lwIP: reads a received frame's headers, each within the bytes that are really there, and
 * tells by name why a frame is not taken. What passes has whole headers, lengths that fit each other, right
 * checksums, and a protocol that is served, so that lwIP's own parsers never meet a short one.
 *
 * It does not look at state: addresses beyond the station's, ports and sequence numbers are lwIP's. The
 * checksum of a datagram in fragments is checked after reassembly, by lwIP.
 */
#ifndef PEL_STACK_LWIP_FRAME_CHECK_H
#define PEL_STACK_LWIP_FRAME_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/err.h"

struct pel_frame_rules {
    const uint8_t *mac;   /* the station's, 6 bytes */
    bool ip_csum_good;    /* the port has checked the IPv4 header */
    bool l4_csum_good;    /* the port has checked TCP or UDP */
    bool router_messages; /* router advertisements are taken (autoconfiguration) */
    size_t tail_len;      /* bytes of the frame that lie elsewhere, behind those shown: only for TCP whose
                           * checksum the port has checked */
};

struct pel_frame_info {
    bool is_fragment;
    bool is_echo_request;
    bool is_tcp;      /* whole, in a packet without extension headers: */
    uint16_t tcp_at;  /* where its header begins in the frame */
    uint16_t data_at; /* and its data */
    uint32_t data_len;
    /* An ICMP error that quotes a UDP datagram to a port at which nobody listens: from where it went, and to
     * where. */
    bool is_refusal;
    struct pel_endpoint refused_from, refused_to;
};

/* pel_frame_check returns PEL_OK for a frame that may go on, and fills `ret_info`. Errors: FRAME_TOO_SHORT,
 * FRAME_OTHER_MAC, FRAME_ETHERTYPE (also VLANs and IP protocols that are not served), FRAME_CHECKSUM,
 * ARP_MALFORMED, IP_MALFORMED, TCP_MALFORMED, UDP_MALFORMED. Any thread. */
PEL_MUST_USE enum pel_err pel_frame_check(const struct pel_frame_rules *rules, const uint8_t *bytes,
                                          size_t len, struct pel_frame_info *ret_info);

#endif
