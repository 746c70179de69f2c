/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Socket addresses as the program hands them over, and whose they are.
 */
#ifndef PEL_PRELOAD_ADDRESS_H
#define PEL_PRELOAD_ADDRESS_H

#include <stdbool.h>
#include <sys/socket.h>

#include "ipc/message.h"

/* pel_address_take copies an address for a socket of `family`. 0 or an errno, as the kernel's. */
int pel_address_take(int family, const struct sockaddr *address, socklen_t address_len,
                     union pel_ipc_address *ret);

/* pel_address_give writes an address to where the program wants it, for a socket of `family` (an IPv4 address
 * of an IPv6 socket becomes a mapped one); AF_UNSPEC: the wildcard. Either may be NULL. */
void pel_address_give(int family, const union pel_ipc_address *address, struct sockaddr *ret_address,
                      socklen_t *address_len);

/* pel_address_is_any tells whether it is the wildcard, whatever the port. */
bool pel_address_is_any(const union pel_ipc_address *address);

/* pel_address_is_in tells whether it is in a network; mapped addresses count as IPv4's. */
bool pel_address_is_in(const union pel_ipc_address *address, const struct pel_ipc_network *network);

/* pel_address_is_loopback: 127.0.0.0/8 and ::1. */
bool pel_address_is_loopback(const union pel_ipc_address *address);

uint16_t pel_address_port(const union pel_ipc_address *address);

#endif
