/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct pel_arena_chunk {
    struct pel_arena_chunk *next;
    alignas(max_align_t) unsigned char bytes[];
};

enum { FIRST_CHUNK = 4096, LARGEST_CHUNK = 1 << 20, HUGE_PAGE = 2 << 20 };

/* Large tables are read here and there: with pages of 4 KiB each look would miss the processor's list of
 * pages as well. So a large chunk is whole huge pages. It is a wish: without such pages all works, slower. */
static struct pel_arena_chunk *alloc_chunk(size_t *cap)
{
    size_t len = sizeof(struct pel_arena_chunk) + *cap;
    if (len < HUGE_PAGE / 2)
        return malloc(len);
    len = (len + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    struct pel_arena_chunk *chunk = aligned_alloc(HUGE_PAGE, len);
    if (chunk != NULL)
        (void)madvise(chunk, len, MADV_HUGEPAGE);
    *cap = len - sizeof *chunk;
    return chunk;
}

static int add_chunk(struct pel_arena *arena, size_t need)
{
    size_t cap = arena->cap == 0 ? FIRST_CHUNK : arena->cap * 2;
    if (cap > LARGEST_CHUNK)
        cap = LARGEST_CHUNK;
    if (cap < need)
        cap = need;
    if (cap > SIZE_MAX / 2)
        return -1;
    struct pel_arena_chunk *chunk = alloc_chunk(&cap);
    if (chunk == NULL)
        return -1;
    chunk->next = arena->chunks;
    arena->chunks = chunk;
    arena->used = 0;
    arena->cap = cap;
    return 0;
}

void *pel_arena_alloc(struct pel_arena *arena, size_t len)
{
    const size_t align = alignof(max_align_t);
    if (len > SIZE_MAX / 2)
        return NULL;
    size_t rounded = (len + align - 1) / align * align;
    if ((arena->chunks == NULL || arena->cap - arena->used < rounded) && add_chunk(arena, rounded) != 0)
        return NULL;
    void *bytes = arena->chunks->bytes + arena->used;
    arena->used += rounded;
    return memset(bytes, 0, len);
}

char *pel_arena_strndup(struct pel_arena *arena, const char *text, size_t text_len)
{
    char *copy = pel_arena_alloc(arena, text_len + 1);
    if (copy != NULL && text_len > 0)
        memcpy(copy, text, text_len);
    return copy;
}

void pel_arena_free(struct pel_arena *arena)
{
    while (arena->chunks != NULL) {
        struct pel_arena_chunk *next = arena->chunks->next;
        free(arena->chunks);
        arena->chunks = next;
    }
    arena->used = arena->cap = 0;
}
