/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of ports: the smallest station that a kernel can talk to. It answers ARP requests and ICMP echo
 * requests for one IPv4 address, in place in the packet received, and counts what it saw.
 */
#ifndef PEL_DRIVERS_DPDK_RESPONDER_H
#define PEL_DRIVERS_DPDK_RESPONDER_H

#include <stdbool.h>

#include "drivers/port.h"

struct responder {
    struct pel_port *port;
    uint8_t ip[4];
    uint32_t num_arp, num_echo, num_other;
    uint32_t longest_len;
};

/* responder_poll receives and answers once; returns the number of frames seen. */
uint32_t responder_poll(struct responder *r);

/* responder_ping opens the kernel's side: sends an echo request with `payload_len` bytes to the responder's
 * address through a raw socket of this namespace, polls the responder, and returns whether the answer came
 * back whole. */
bool responder_ping(struct responder *r, uint32_t payload_len);

#endif
