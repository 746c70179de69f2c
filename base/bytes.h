/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bounded readers and writers: every wire format is parsed and built through these, never by pointer
 * arithmetic. Integers are big endian (network order). A reader or writer that failed once stays failed, so
 * that a parser may read a whole header and check once at the end. Owner thread only.
 */
#ifndef PEL_BASE_BYTES_H
#define PEL_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct pel_reader {
    const uint8_t *at;
    size_t left_len;
    bool failed;
};

struct pel_writer {
    uint8_t *start;
    size_t len; /* written so far */
    size_t cap;
    bool failed;
};

/* pel_reader_of makes a reader over `len` bytes, which it borrows. */
static inline struct pel_reader pel_reader_of(const void *bytes, size_t len)
{
    return (struct pel_reader){.at = (const uint8_t *)bytes, .left_len = len, .failed = false};
}

/* pel_read_bytes returns a pointer to the next `len` bytes and steps over them, or NULL when fewer are left.
 */
static inline const uint8_t *pel_read_bytes(struct pel_reader *r, size_t len)
{
    if (r->failed || len > r->left_len) {
        r->failed = true;
        return NULL;
    }
    const uint8_t *bytes = r->at;
    r->at += len;
    r->left_len -= len;
    return bytes;
}

/* pel_read_uint reads an integer of `len` bytes (1 to 8); 0 when fewer are left. */
static inline uint64_t pel_read_uint(struct pel_reader *r, size_t len)
{
    const uint8_t *bytes = pel_read_bytes(r, len);
    uint64_t value = 0;
    for (size_t i = 0; bytes != NULL && i < len; i++)
        value = value << 8 | bytes[i];
    return value;
}

static inline uint8_t pel_read_u8(struct pel_reader *r)
{
    return (uint8_t)pel_read_uint(r, 1);
}

static inline uint16_t pel_read_u16(struct pel_reader *r)
{
    return (uint16_t)pel_read_uint(r, 2);
}

static inline uint32_t pel_read_u32(struct pel_reader *r)
{
    return (uint32_t)pel_read_uint(r, 4);
}

/* pel_writer_of makes a writer over `cap` bytes, which it borrows. */
static inline struct pel_writer pel_writer_of(void *bytes, size_t cap)
{
    return (struct pel_writer){.start = (uint8_t *)bytes, .len = 0, .cap = cap, .failed = false};
}

/* pel_write_bytes appends `len` bytes; fails when they do not fit. */
static inline void pel_write_bytes(struct pel_writer *w, const void *bytes, size_t len)
{
    if (w->failed || len > w->cap - w->len) {
        w->failed = true;
        return;
    }
    if (len > 0)
        memcpy(w->start + w->len, bytes, len);
    w->len += len;
}

/* pel_write_uint appends an integer of `len` bytes (1 to 8). */
static inline void pel_write_uint(struct pel_writer *w, uint64_t value, size_t len)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)(value >> (8 * (len - 1 - i)));
    pel_write_bytes(w, bytes, len);
}

#endif
