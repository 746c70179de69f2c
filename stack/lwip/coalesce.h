/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Receive coalescing: TCP segments of one flow that come one behind the other in a burst become one segment
 * of up to 64 KB, a chain of the packets as they are, so that lwIP's work and the acknowledgement are done
 * once.
 *
 * Only what the sender could as well have sent as one is joined: plain data, in sequence, the same headers
 * and options; everything else goes by itself, in its order. Nothing is held back beyond the burst.
 */
#ifndef PEL_STACK_LWIP_COALESCE_H
#define PEL_STACK_LWIP_COALESCE_H

#include <stdbool.h>
#include <stdint.h>

#include "stack/lwip/frame_check.h"

struct pbuf;

/* The segment that the next packet may continue; all zeros: none. */
struct pel_coalescer {
    struct pbuf *head, *tail;
    uint16_t tcp_at, data_at; /* in the head's frame */
    uint32_t next_seq;
};

/* pel_coalesce_begin holds `p`, which has passed the gate with `info`, if others may continue it; false: it
 * is not of that kind and stays the caller's. Nothing is held before. */
bool pel_coalesce_begin(struct pel_coalescer *c, struct pbuf *p, const struct pel_frame_info *info);

/* pel_coalesce_add puts `p` behind what is held, if it continues that; false: it does not, and stays the
 * caller's. */
bool pel_coalesce_add(struct pel_coalescer *c, struct pbuf *p, const struct pel_frame_info *info);

/* pel_coalesce_take returns what is held, NULL for nothing, and holds nothing any more. */
struct pbuf *pel_coalesce_take(struct pel_coalescer *c);

#endif
