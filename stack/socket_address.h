/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses as POSIX calls take and give them.
 */
#ifndef PEL_STACK_SOCKET_ADDRESS_H
#define PEL_STACK_SOCKET_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "stack/socket_object.h"

/* pel_address_take checks an address that was given to a socket of `family` and copies it. Returns 0, EINVAL,
 * EFAULT or EAFNOSUPPORT. */
int pel_address_take(int family, const struct sockaddr *address, socklen_t address_len,
                     struct sockaddr_storage *ret);

/* pel_address_give writes `address`, cut at `*address_len`, which becomes its full length; harmless when
 * `ret_address` is NULL. */
void pel_address_give(const struct sockaddr_storage *address, struct sockaddr *ret_address,
                      socklen_t *address_len);

/* pel_address_len returns the length of an AF_INET or AF_INET6 address. */
socklen_t pel_address_len(const struct sockaddr_storage *address);

/* pel_address_any writes the family's any address with port 0. */
void pel_address_any(int family, struct sockaddr_storage *ret);

/* pel_address_port and pel_address_set_port read and set the port, in host order. */
uint16_t pel_address_port(const struct sockaddr_storage *address);
void pel_address_set_port(struct sockaddr_storage *address, uint16_t port);

/* pel_address_is_v4_mapped tells whether it is IPv4 in the form of IPv6. */
bool pel_address_is_v4_mapped(const struct sockaddr_storage *address);

/* pel_address_copy reads one of a socket's addresses under its lock; false when it is not known. */
bool pel_address_copy(struct pel_sock *sock, const struct sockaddr_storage *address,
                      struct sockaddr_storage *ret);

#endif
