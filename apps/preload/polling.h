/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Polling descriptors of which some are the stack's: what poll, ppoll, select and pselect have in common.
 */
#ifndef PEL_PRELOAD_POLLING_H
#define PEL_PRELOAD_POLLING_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

/* pel_poll_concerns_us tells whether one of the descriptors is the stack's, or an epoll set, which it then
 * makes readable from outside. Any thread. */
bool pel_poll_concerns_us(struct pollfd *fds, nfds_t num_fds);

/* pel_poll_wait is ppoll on such descriptors: the number of rows with something, or a negative errno.
 * `timeout_ns` negative: for ever; `mask`: the kernel's set of signals, or NULL. Any thread. */
long pel_poll_wait(struct pollfd *fds, nfds_t num_fds, int64_t timeout_ns, const void *mask);

#endif
