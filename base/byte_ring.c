/* SPDX-License-Identifier: Apache-2.0 */
#include "base/byte_ring.h"

#include <stdlib.h>
#include <string.h>

static uint32_t load(const uint32_t *index)
{
    return __atomic_load_n(index, __ATOMIC_ACQUIRE);
}

static void store(uint32_t *index, uint32_t value)
{
    __atomic_store_n(index, value, __ATOMIC_RELEASE);
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

enum pel_err pel_byte_ring_init(struct pel_byte_ring *ring, uint32_t cap)
{
    if (cap < (1u << 10) || cap > (1u << 30) || (cap & (cap - 1)) != 0)
        return PEL_E_ARG;
    uint8_t *bytes = malloc(cap);
    if (bytes == NULL)
        return PEL_E_NO_MEMORY;
    *ring = (struct pel_byte_ring){.bytes = bytes, .cap = cap};
    return PEL_OK;
}

void pel_byte_ring_fini(struct pel_byte_ring *ring)
{
    free(ring->bytes);
    *ring = (struct pel_byte_ring){0};
}

uint32_t pel_byte_ring_used(const struct pel_byte_ring *ring)
{
    /* The tail first: read the other way round, a consumer that moves between would make the difference
     * wrap. */
    uint32_t tail = load(&ring->tail);
    return load(&ring->head) - tail;
}

uint32_t pel_byte_ring_room(const struct pel_byte_ring *ring)
{
    return ring->cap - smaller(pel_byte_ring_used(ring), ring->cap);
}

uint32_t pel_byte_ring_write(struct pel_byte_ring *ring, const void *bytes, size_t len)
{
    uint32_t done_len = 0, room_len = 0;
    while (done_len < len) {
        uint8_t *room = pel_byte_ring_reserve(ring, &room_len);
        uint32_t now_len =
            smaller(room_len, (uint32_t)(len - done_len < ring->cap ? len - done_len : ring->cap));
        if (now_len == 0)
            break;
        memcpy(room, (const uint8_t *)bytes + done_len, now_len);
        pel_byte_ring_commit(ring, now_len);
        done_len += now_len;
    }
    return done_len;
}

uint8_t *pel_byte_ring_reserve(struct pel_byte_ring *ring, uint32_t *ret_len)
{
    uint32_t at = ring->head & (ring->cap - 1);
    *ret_len = smaller(pel_byte_ring_room(ring), ring->cap - at);
    return ring->bytes + at;
}

void pel_byte_ring_commit(struct pel_byte_ring *ring, uint32_t len)
{
    store(&ring->head, ring->head + len);
}

const uint8_t *pel_byte_ring_peek(const struct pel_byte_ring *ring, uint32_t skip_len, uint32_t *ret_len)
{
    uint32_t used_len = pel_byte_ring_used(ring);
    uint32_t at = (ring->tail + skip_len) & (ring->cap - 1);
    *ret_len = skip_len >= used_len ? 0 : smaller(used_len - skip_len, ring->cap - at);
    return ring->bytes + at;
}

void pel_byte_ring_consume(struct pel_byte_ring *ring, uint32_t len)
{
    store(&ring->tail, ring->tail + smaller(len, pel_byte_ring_used(ring)));
}

uint32_t pel_byte_ring_copy(const struct pel_byte_ring *ring, uint32_t skip_len, void *bytes, size_t len)
{
    uint32_t done_len = 0, here_len = 0;
    while (done_len < len) {
        const uint8_t *here = pel_byte_ring_peek(ring, skip_len + done_len, &here_len);
        uint32_t now_len =
            smaller(here_len, (uint32_t)(len - done_len < ring->cap ? len - done_len : ring->cap));
        if (now_len == 0)
            break;
        memcpy((uint8_t *)bytes + done_len, here, now_len);
        done_len += now_len;
    }
    return done_len;
}
