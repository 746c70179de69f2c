/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The head of an HTTP/1.1 message (RFC 9112): finding its end in bytes that arrive piecewise, and walking
 * over its lines. Shared by the server, which reads requests, and the client, which reads responses.
 *
 * Strict where leniency has led to request smuggling: lines end in CRLF, no folding, no space before the
 * colon, no control characters. Borrows the bytes; keeps nothing; no input or output of its own. Any thread.
 */
#ifndef PEL_APPS_HTTP_HEAD_H
#define PEL_APPS_HTTP_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Part of a message; not NUL-terminated. */
struct http_text {
    const char *bytes;
    size_t len;
};

enum http_find {
    HTTP_FIND_MORE, /* the end has not come yet */
    HTTP_FIND_DONE,
    HTTP_FIND_BAD, /* a line feed without carriage return, or a NUL */
};

/* http_head_find looks for the empty line that ends a head. `*scanned` remembers how far it has looked (0 at
 * first), so that no byte is looked at twice. On DONE `*ret_len` is the head's length with its empty line. */
enum http_find http_head_find(const char *bytes, size_t len, size_t *scanned, size_t *ret_len);

/* http_head_line takes the first line off `head`, without its CRLF. False when the empty line is reached. */
bool http_head_line(struct http_text *head, struct http_text *ret_line);

/* http_field_split splits a field line into name and value, without white space around the value. False when
 * malformed. */
bool http_field_split(struct http_text line, struct http_text *ret_name, struct http_text *ret_value);

/* http_text_is compares without regard to case. */
bool http_text_is(struct http_text text, const char *word);

/* http_text_number reads a decimal number of digits alone. False when it is none or over 2^63 - 1. */
bool http_text_number(struct http_text text, uint64_t *ret_number);

/* http_list_next takes the next element off a comma-separated list, without white space around it; empty ones
 * are skipped. False at the end. */
bool http_list_next(struct http_text *list, struct http_text *ret_element);

/* http_is_token_char tells whether `c` may be in a token (RFC 9110 section 5.6.2). */
bool http_is_token_char(char c);

/* http_text_is_token tells whether it is a token of at least one character. */
bool http_text_is_token(struct http_text text);

#endif
