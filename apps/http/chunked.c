/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/http/chunked.h"

/* Extensions and trailers together may be so long. */
#define OVERHEAD_MAX_LEN 16384

void http_chunked_start(struct http_chunked *chunked)
{
    *chunked = (struct http_chunked){.state = HTTP_CHUNK_SIZE};
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static enum http_chunk_state size_char(struct http_chunked *chunked, char c)
{
    int digit = hex_digit(c);
    if (digit >= 0) {
        if (chunked->num_digits++ >= 15)
            return HTTP_CHUNK_BAD;
        chunked->remaining = chunked->remaining * 16 + (uint64_t)digit;
        return HTTP_CHUNK_SIZE;
    }
    if (chunked->num_digits == 0)
        return HTTP_CHUNK_BAD;
    if (c == '\r')
        return HTTP_CHUNK_SIZE_LF;
    return c == ';' || c == ' ' || c == '\t' ? HTTP_CHUNK_EXTENSION : HTTP_CHUNK_BAD;
}

static enum http_chunk_state after_size(struct http_chunked *chunked)
{
    chunked->num_digits = 0;
    return chunked->remaining > 0 ? HTTP_CHUNK_DATA : HTTP_CHUNK_TRAILER;
}

static enum http_chunk_state extension_char(struct http_chunked *chunked, char c)
{
    if (c == '\n' || ++chunked->overhead_len > OVERHEAD_MAX_LEN)
        return HTTP_CHUNK_BAD;
    return c == '\r' ? HTTP_CHUNK_SIZE_LF : HTTP_CHUNK_EXTENSION;
}

static enum http_chunk_state trailer_char(struct http_chunked *chunked, char c)
{
    if (c == '\n' || ++chunked->overhead_len > OVERHEAD_MAX_LEN)
        return HTTP_CHUNK_BAD;
    if (c == '\r')
        return HTTP_CHUNK_TRAILER_LF;
    chunked->line_len++;
    return HTTP_CHUNK_TRAILER;
}

static enum http_chunk_state after_trailer_line(struct http_chunked *chunked)
{
    enum http_chunk_state next = chunked->line_len == 0 ? HTTP_CHUNK_DONE : HTTP_CHUNK_TRAILER;
    chunked->line_len = 0;
    return next;
}

/* The step for one byte that is no data. */
static enum http_chunk_state step(struct http_chunked *chunked, char c)
{
    switch (chunked->state) {
    case HTTP_CHUNK_SIZE:
        return size_char(chunked, c);
    case HTTP_CHUNK_EXTENSION:
        return extension_char(chunked, c);
    case HTTP_CHUNK_SIZE_LF:
        return c == '\n' ? after_size(chunked) : HTTP_CHUNK_BAD;
    case HTTP_CHUNK_DATA_CR:
        return c == '\r' ? HTTP_CHUNK_DATA_LF : HTTP_CHUNK_BAD;
    case HTTP_CHUNK_DATA_LF:
        return c == '\n' ? HTTP_CHUNK_SIZE : HTTP_CHUNK_BAD;
    case HTTP_CHUNK_TRAILER:
        return trailer_char(chunked, c);
    case HTTP_CHUNK_TRAILER_LF:
        return c == '\n' ? after_trailer_line(chunked) : HTTP_CHUNK_BAD;
    case HTTP_CHUNK_DATA:
    case HTTP_CHUNK_DONE:
    case HTTP_CHUNK_BAD:
        break;
    }
    return HTTP_CHUNK_BAD;
}

static size_t take_data(struct http_chunked *chunked, const char *bytes, size_t len,
                        struct http_text *ret_data)
{
    size_t data_len = len < chunked->remaining ? len : (size_t)chunked->remaining;
    *ret_data = (struct http_text){bytes, data_len};
    chunked->remaining -= data_len;
    if (chunked->remaining == 0)
        chunked->state = HTTP_CHUNK_DATA_CR;
    return data_len;
}

size_t http_chunked_next(struct http_chunked *chunked, const char *bytes, size_t len,
                         struct http_text *ret_data)
{
    *ret_data = (struct http_text){bytes, 0};
    size_t pos = 0;
    while (pos < len && chunked->state != HTTP_CHUNK_DONE && chunked->state != HTTP_CHUNK_BAD) {
        if (chunked->state == HTTP_CHUNK_DATA)
            return pos + take_data(chunked, bytes + pos, len - pos, ret_data);
        chunked->state = step(chunked, bytes[pos++]);
    }
    return pos;
}
