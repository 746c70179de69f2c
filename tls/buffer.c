/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/buffer.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define MIN_CAP 512u

static void move_to_front(struct pel_buffer *buffer)
{
    if (buffer->start > 0 && buffer->len > 0)
        memmove(buffer->bytes, buffer->bytes + buffer->start, buffer->len);
    buffer->start = 0;
}

static enum pel_err grow(struct pel_buffer *buffer, size_t need)
{
    size_t cap = MIN_CAP;
    while (cap < need)
        cap *= 2;
    uint8_t *bytes = malloc(cap);
    if (bytes == NULL)
        return PEL_E_NO_MEMORY;
    if (buffer->len > 0)
        memcpy(bytes, buffer->bytes + buffer->start, buffer->len);
    free(buffer->bytes);
    *buffer = (struct pel_buffer){.bytes = bytes, .len = buffer->len, .cap = (uint32_t)cap};
    return PEL_OK;
}

enum pel_err pel_buffer_reserve(struct pel_buffer *buffer, size_t len, size_t limit, uint8_t **ret_at)
{
    assert(len > 0 && limit <= 1u << 30);
    if (len > limit || buffer->len > limit - len)
        return PEL_E_TOO_BIG;
    size_t need = buffer->len + len;
    if (need > buffer->cap)
        PEL_TRY(grow(buffer, need));
    else if (buffer->start + need > buffer->cap)
        move_to_front(buffer);
    *ret_at = buffer->bytes + buffer->start + buffer->len;
    return PEL_OK;
}

void pel_buffer_commit(struct pel_buffer *buffer, size_t len)
{
    assert(len <= buffer->cap - buffer->start - buffer->len);
    buffer->len += (uint32_t)len;
    pel_buffer_consume(buffer, 0);
}

enum pel_err pel_buffer_append(struct pel_buffer *buffer, const uint8_t *bytes, size_t len, size_t limit)
{
    uint8_t *at = NULL;
    if (len == 0)
        return PEL_OK;
    PEL_TRY(pel_buffer_reserve(buffer, len, limit, &at));
    memcpy(at, bytes, len);
    pel_buffer_commit(buffer, len);
    return PEL_OK;
}

const uint8_t *pel_buffer_at(const struct pel_buffer *buffer)
{
    return buffer->len > 0 ? buffer->bytes + buffer->start : NULL;
}

void pel_buffer_consume(struct pel_buffer *buffer, size_t len)
{
    if (len > buffer->len)
        len = buffer->len;
    buffer->start += (uint32_t)len;
    buffer->len -= (uint32_t)len;
    if (buffer->len > 0)
        return;
    free(buffer->bytes);
    *buffer = (struct pel_buffer){0};
}

void pel_buffer_fini(struct pel_buffer *buffer)
{
    if (buffer->bytes != NULL)
        explicit_bzero(buffer->bytes, buffer->cap);
    free(buffer->bytes);
    *buffer = (struct pel_buffer){0};
}
