/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A byte queue that has memory only while it holds bytes: append at the end, drop from the front, and an
 * empty one owns nothing. An idle connection so keeps no buffers. Every queue has a limit, given with each
 * append.
 *
 * Failure: NO_MEMORY and TOO_BIG leave the queue as it was. It does not lock: one owner.
 */
#ifndef PEL_TLS_BUFFER_H
#define PEL_TLS_BUFFER_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct pel_buffer {
    uint8_t *bytes;
    uint32_t start; /* the first waiting byte */
    uint32_t len;   /* how many wait */
    uint32_t cap;
};

/* pel_buffer_reserve makes room for `len` more bytes (1 or more) behind the waiting ones and returns in
 * `ret_at` where they go; none counts until pel_buffer_commit. At most `limit` bytes (up to 2^30) may
 * wait. Errors: TOO_BIG, NO_MEMORY. */
PEL_MUST_USE enum pel_err pel_buffer_reserve(struct pel_buffer *buffer, size_t len, size_t limit,
                                             uint8_t **ret_at);

/* pel_buffer_commit adds the first `len` reserved bytes. */
void pel_buffer_commit(struct pel_buffer *buffer, size_t len);

/* pel_buffer_append copies `len` bytes in, all or none. Errors: TOO_BIG, NO_MEMORY. */
PEL_MUST_USE enum pel_err pel_buffer_append(struct pel_buffer *buffer, const uint8_t *bytes, size_t len,
                                            size_t limit);

/* pel_buffer_at returns the waiting bytes, `len` of them; NULL when none wait. */
const uint8_t *pel_buffer_at(const struct pel_buffer *buffer);

/* pel_buffer_consume drops the first `len` waiting bytes (at most all); the memory goes back with the
 * last. */
void pel_buffer_consume(struct pel_buffer *buffer, size_t len);

/* pel_buffer_fini wipes and frees. Harmless on a zeroed buffer, and leaves a zeroed one. */
void pel_buffer_fini(struct pel_buffer *buffer);

#endif
