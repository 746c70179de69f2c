/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Byte rings in shared memory, between two sides of which one trusts nothing. A ring is its bytes and its
 * length, a power of two; indices run freely modulo 2^32 and are masked at use, so that no index, however
 * wrong, leads outside. Whoever uses a ring keeps its own index in its own memory, reads the other's once,
 * and asks pel_ring_used whether the two can be true together.
 */
#ifndef PEL_IPC_RING_H
#define PEL_IPC_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct pel_ring {
    uint8_t *bytes;
    uint32_t len; /* a power of two */
};

/* pel_ring_used writes how many bytes wait between `tail` and `head`; false when that is more than the ring
 * holds, which no honest side brings about. */
static inline bool pel_ring_used(const struct pel_ring *ring, uint32_t head, uint32_t tail, uint32_t *ret_len)
{
    uint32_t used_len = head - tail;
    if (used_len > ring->len)
        return false;
    *ret_len = used_len;
    return true;
}

/* pel_ring_at returns where byte number `at` is, and in `ret_len` how many of `len` follow before the end. */
static inline uint8_t *pel_ring_at(const struct pel_ring *ring, uint32_t at, uint32_t len, uint32_t *ret_len)
{
    uint32_t place = at & (ring->len - 1), to_end_len = ring->len - place;
    *ret_len = len < to_end_len ? len : to_end_len;
    return ring->bytes + place;
}

/* pel_ring_copy_in puts `len` bytes, at most the ring's length, from byte number `at` on. */
static inline void pel_ring_copy_in(const struct pel_ring *ring, uint32_t at, const void *bytes, uint32_t len)
{
    uint32_t first_len;
    uint8_t *first = pel_ring_at(ring, at, len, &first_len);
    memcpy(first, bytes, first_len);
    memcpy(ring->bytes, (const uint8_t *)bytes + first_len, len - first_len);
}

/* pel_ring_copy_out reads `len` bytes, at most the ring's length, from byte number `at` on. */
static inline void pel_ring_copy_out(const struct pel_ring *ring, uint32_t at, void *ret_bytes, uint32_t len)
{
    uint32_t first_len;
    const uint8_t *first = pel_ring_at(ring, at, len, &first_len);
    memcpy(ret_bytes, first, first_len);
    memcpy((uint8_t *)ret_bytes + first_len, ring->bytes, len - first_len);
}

#endif
