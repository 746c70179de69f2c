/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One port for several engines, whatever it can do itself. A steered port stands before a real one and
 * has as many queues as there are engines. Each queue gives its engine the flows that hash to it
 * (pel_port.rss), and copies of what every engine must see.
 *
 * Where the real port has a queue for each engine and says how it spreads flows (RSS), frames come to the
 * right engine by themselves and cost no more than a look at their headers (once a thousand of a kind
 * have been found right). Otherwise (kernel interfaces that spread as they please, memory between
 * processes, a single queue) who receives a frame of another engine hands the packet over in a ring,
 * without a copy. Engines without a queue of their own send through another's, under a lock.
 *
 * Failure: a full ring loses the frame, as a full receive queue does; counted in rx_missed.
 *
 * It does not balance: a flow stays where its hash puts it.
 */
#ifndef PEL_DRIVERS_STEER_H
#define PEL_DRIVERS_STEER_H

#include "drivers/port.h"

#define PEL_STEER_MAX 64

struct pel_steer_counts {
    uint64_t handed_over; /* frames that came to one engine and were another's */
    uint64_t copied;      /* copies made for the other engines */
    uint64_t lost;        /* frames and copies that found a ring full, or no packet */
};

/* pel_steer_open puts a port of `num_engines` queues (1 to PEL_STEER_MAX) before `real`, which it then owns:
 * pel_port_close closes both. `key` (PEL_RSS_KEY_LEN bytes; NULL: random) is used where `real` does not say
 * how it spreads flows. On an error `real` stays the caller's. Errors: ARG (also when `real` has fewer
 * queues and its packets are for the queues' own threads alone), NO_MEMORY. Any thread. */
PEL_MUST_USE enum pel_err pel_steer_open(struct pel_port *real, uint16_t num_engines, const uint8_t *key,
                                         struct pel_port **ret_port);

/* pel_steer_on_frame has `wake` called, on another engine's thread, when a frame was handed over to
 * `queue` and no other waits there. Once a queue, by its thread; `arg` must outlive every use of the
 * port. */
void pel_steer_on_frame(struct pel_port *steered, uint16_t queue, void (*wake)(void *arg), void *arg);

/* pel_steer_counts reads what was steered so far; of a port that is not steered, zeros. Any thread. */
void pel_steer_counts(const struct pel_port *port, struct pel_steer_counts *ret_counts);

#endif
