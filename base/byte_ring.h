/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A byte ring for one producer thread and one consumer thread, without locks. The producer copies in and
 * publishes by moving `head`; the consumer reads in place and gives back by moving `tail`. Both indices run
 * freely (modulo 2^32) and are masked at use, so a full ring and an empty one differ. Capacity is a power of
 * two.
 *
 * What it does not do: wake anybody. The owner pairs it with an event.
 */
#ifndef PEL_BASE_BYTE_RING_H
#define PEL_BASE_BYTE_RING_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct pel_byte_ring {
    uint8_t *bytes;
    uint32_t cap;                               /* a power of two */
    uint32_t head __attribute__((aligned(64))); /* written by the producer only */
    uint32_t tail __attribute__((aligned(64))); /* written by the consumer only */
};

/* pel_byte_ring_init allocates a ring of `cap` bytes, a power of two from 2^10 to 2^30. Errors: ARG,
 * NO_MEMORY. */
PEL_MUST_USE enum pel_err pel_byte_ring_init(struct pel_byte_ring *ring, uint32_t cap);

/* pel_byte_ring_fini frees what init allocated; harmless on a zeroed ring. No other thread may use the ring.
 */
void pel_byte_ring_fini(struct pel_byte_ring *ring);

/* pel_byte_ring_used returns how many bytes wait. Either thread; the other may change it at once, in its
 * direction. */
uint32_t pel_byte_ring_used(const struct pel_byte_ring *ring);

/* pel_byte_ring_room returns how many bytes fit. Either thread. */
uint32_t pel_byte_ring_room(const struct pel_byte_ring *ring);

/* pel_byte_ring_write copies in as many of `len` bytes as fit and returns that number. Producer only. */
uint32_t pel_byte_ring_write(struct pel_byte_ring *ring, const void *bytes, size_t len);

/* pel_byte_ring_reserve returns the contiguous free space at the head and its length in `ret_len` (0 when
 * full); pel_byte_ring_commit publishes the first `len` bytes of it. Producer only. */
uint8_t *pel_byte_ring_reserve(struct pel_byte_ring *ring, uint32_t *ret_len);
void pel_byte_ring_commit(struct pel_byte_ring *ring, uint32_t len);

/* pel_byte_ring_peek returns the first contiguous waiting bytes, after skipping `skip_len`, and their number
 * in `ret_len` (0 when none). Consumer only; the bytes stay until pel_byte_ring_consume. */
const uint8_t *pel_byte_ring_peek(const struct pel_byte_ring *ring, uint32_t skip_len, uint32_t *ret_len);

/* pel_byte_ring_consume gives `len` bytes back (at most what waits). Consumer only. */
void pel_byte_ring_consume(struct pel_byte_ring *ring, uint32_t len);

/* pel_byte_ring_copy copies out up to `len` bytes, after skipping `skip_len`, without giving them back;
 * returns how many. Consumer only. */
uint32_t pel_byte_ring_copy(const struct pel_byte_ring *ring, uint32_t skip_len, void *bytes, size_t len);

#endif
