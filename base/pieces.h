/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes that lie in several places, in their order: a record in the packets that brought it.
 */
#ifndef PEL_BASE_PIECES_H
#define PEL_BASE_PIECES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct pel_piece {
    const uint8_t *bytes;
    size_t len;
};

/* pel_pieces_len returns how many bytes they have together. Any thread. */
static inline size_t pel_pieces_len(const struct pel_piece *pieces, size_t num)
{
    size_t len = 0;
    for (size_t i = 0; i < num; i++)
        len += pieces[i].len;
    return len;
}

/* pel_pieces_copy copies `len` bytes, from the byte `at` on, to `out`; returns how many there were. Any
 * thread. */
static inline size_t pel_pieces_copy(const struct pel_piece *pieces, size_t num, size_t at, uint8_t *out,
                                     size_t len)
{
    size_t done_len = 0;
    for (size_t i = 0; i < num && done_len < len; i++) {
        if (at >= pieces[i].len) {
            at -= pieces[i].len;
            continue;
        }
        size_t part_len = pieces[i].len - at < len - done_len ? pieces[i].len - at : len - done_len;
        memcpy(out + done_len, pieces[i].bytes + at, part_len);
        done_len += part_len;
        at = 0;
    }
    return done_len;
}

/* pel_pieces_cut writes the pieces of `len` bytes from the byte `at` on into `ret_pieces`, which has room for
 * `num`; returns their number. Any thread. */
static inline size_t pel_pieces_cut(const struct pel_piece *pieces, size_t num, size_t at, size_t len,
                                    struct pel_piece *ret_pieces)
{
    size_t num_out = 0;
    for (size_t i = 0; i < num && len > 0; i++) {
        if (at >= pieces[i].len) {
            at -= pieces[i].len;
            continue;
        }
        size_t part_len = pieces[i].len - at < len ? pieces[i].len - at : len;
        ret_pieces[num_out++] = (struct pel_piece){pieces[i].bytes + at, part_len};
        len -= part_len;
        at = 0;
    }
    return num_out;
}

#endif
