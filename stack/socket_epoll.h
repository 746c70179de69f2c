/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An epoll set. An item is one socket in one set; it watches its socket, and stands in the set's ready list
 * from the moment something may have become ready until pel_epoll_wait finds that nothing is (level), or has
 * reported it (edge, one-shot).
 *
 * Nothing is lost: an item enters the list and is looked at under ready_lock, and what made it ready was
 * published before; so either the look sees it, or the item enters the list again afterwards.
 *
 * What it does not do: sets in sets (EINVAL).
 */
#ifndef PEL_STACK_SOCKET_EPOLL_H
#define PEL_STACK_SOCKET_EPOLL_H

#include "stack/socket_object.h"

/* pel_epoll_new makes an empty set; NULL when out of memory. Any thread. */
struct pel_sock *pel_epoll_new(struct pel_homes *homes);

/* pel_epoll_forget takes a closed socket out of all sets. Application threads, before the number may be used
 * again. */
void pel_epoll_forget(struct pel_sock *sock);

#endif
