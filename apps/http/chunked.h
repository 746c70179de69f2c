/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The chunked transfer coding (RFC 9112 section 7.1), decoded from bytes that arrive piecewise. Chunk
 * extensions are skipped, trailer fields are read past; both are bounded. No input or output of its own. Any
 * thread.
 */
#ifndef PEL_APPS_HTTP_CHUNKED_H
#define PEL_APPS_HTTP_CHUNKED_H

#include <stddef.h>
#include <stdint.h>

#include "apps/http/head.h"

enum http_chunk_state {
    HTTP_CHUNK_SIZE, /* reading "1a3f" */
    HTTP_CHUNK_EXTENSION,
    HTTP_CHUNK_SIZE_LF,
    HTTP_CHUNK_DATA,
    HTTP_CHUNK_DATA_CR,
    HTTP_CHUNK_DATA_LF,
    HTTP_CHUNK_TRAILER, /* at the start of, or in, a trailer line */
    HTTP_CHUNK_TRAILER_LF,
    HTTP_CHUNK_DONE,
    HTTP_CHUNK_BAD,
};

struct http_chunked {
    enum http_chunk_state state;
    uint64_t remaining;   /* of the chunk */
    uint32_t num_digits;  /* of its size */
    uint32_t line_len;    /* of the trailer line */
    uint32_t overhead_len; /* of extensions and trailers so far: bounded */
};

/* http_chunked_start makes `chunked` expect the first chunk. */
void http_chunked_start(struct http_chunked *chunked);

/* http_chunked_next consumes from `bytes` up to and including the next piece of data, which it shows in
 * `ret_data` (length 0: none yet) and returns how many bytes it consumed. Call it until everything is
 * consumed, or the state is DONE or BAD (where it consumes nothing). */
size_t http_chunked_next(struct http_chunked *chunked, const char *bytes, size_t len,
                         struct http_text *ret_data);

#endif
