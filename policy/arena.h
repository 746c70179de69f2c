/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that is freed all at once: what one parse needs lives in one arena, what the finished policy needs
 * in another. Allocation is a pointer bump; failure is a NULL, never an abort. Nothing is freed singly.
 */
#ifndef PEL_POLICY_ARENA_H
#define PEL_POLICY_ARENA_H

#include <stddef.h>

struct pel_arena_chunk;

/* All zero is an empty arena. */
struct pel_arena {
    struct pel_arena_chunk *chunks;
    size_t used; /* of the newest chunk */
    size_t cap;
};

/* pel_arena_alloc returns `len` zeroed bytes, aligned for any type, or NULL. They live until pel_arena_free.
 * */
void *pel_arena_alloc(struct pel_arena *arena, size_t len);

/* pel_arena_strndup returns a copy of `text` with a NUL behind it, or NULL. */
char *pel_arena_strndup(struct pel_arena *arena, const char *text, size_t text_len);

/* pel_arena_free frees everything and leaves an empty arena. */
void pel_arena_free(struct pel_arena *arena);

#endif
