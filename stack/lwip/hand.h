/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A peer that the test plays by hand: host a of the laboratory alone on its wire, frames that it is given one
 * by one, and those that it answers with.
 */
#ifndef PEL_STACK_LWIP_HAND_H
#define PEL_STACK_LWIP_HAND_H

#include "stack/lwip/frames.h"
#include "stack/lwip/lab.h"

#define HAND_CAP 64

/* What host a has sent; when it is more, the newest overwrite the oldest. */
struct hand_seen {
    struct frame frames[HAND_CAP];
    size_t num;
};

/* hand_open opens host a on a wire whose other end is the test; buffers of the frames' exact size. */
bool hand_open(struct lab *lab);

/* hand_give gives host a a frame, and a millisecond to answer. */
void hand_give(struct lab *lab, const struct frame *f);

/* hand_see is a tap (pel_sim_tap) whose argument is a struct hand_seen. */
bool hand_see(void *arg, const uint8_t *bytes, size_t len);

/* hand_connect opens a connection to port 80 of host a, with 1,000 as its own first sequence number; returns
 * host a's first of the stream. */
uint32_t hand_connect(struct lab *lab, struct hand_seen *seen);

/* hand_acknowledge acknowledges up to `ack` and gives a window. */
void hand_acknowledge(struct lab *lab, uint32_t ack, uint16_t window);

/* hand_read_stream puts what host a sent into `stream`, from sequence number `first` on; returns how far it
 * reaches. */
uint32_t hand_read_stream(const struct hand_seen *seen, uint32_t first, uint8_t *stream, size_t stream_len);

/* hand_seq returns the sequence number of a TCP frame. */
uint32_t hand_seq(const struct frame *f);

#endif
