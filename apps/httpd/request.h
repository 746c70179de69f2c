/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request's head (RFC 9112 section 3), checked and taken apart: bytes in, a struct or a status code out.
 *
 * What cannot be understood for certain is refused rather than guessed, since a guess that another server on
 * the way makes differently is how requests get smuggled: both length and chunked, two lengths, two hosts,
 * folded fields.
 *
 * No input or output, no allocation. Any thread.
 */
#ifndef PEL_APPS_HTTPD_REQUEST_H
#define PEL_APPS_HTTPD_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_HEAD_MAX_LEN 16384
#define HTTP_TARGET_MAX_LEN 4096
#define HTTP_NUM_FIELDS_MAX 100

enum http_method {
    HTTP_GET,
    HTTP_HEAD,
    HTTP_PUT,
    HTTP_POST,
    HTTP_OTHER, /* a method that HTTP defines and no file server has */
};

/* What part of a file is asked for (RFC 9110 section 14). */
enum http_range {
    HTTP_RANGE_NONE, /* all: also for several ranges at once, and for what is no byte range */
    HTTP_RANGE_FROM, /* first to the end */
    HTTP_RANGE_SPAN, /* first to last, both included */
    HTTP_RANGE_LAST, /* the last `last` bytes */
};

struct http_request {
    enum http_method method;
    char path[HTTP_TARGET_MAX_LEN +
              1]; /* decoded, without the query; starts with '/', has no ".." segment and no NUL */
    size_t path_len;
    bool keep_alive;
    bool is_chunked;
    bool expects_continue;
    uint64_t content_length; /* 0 without a body, and when chunked */
    enum http_range range;
    uint64_t range_first, range_last;
    int64_t modified_since_s; /* If-Modified-Since, or INT64_MIN */
    /* If-Range as a date; INT64_MIN without; INT64_MAX when it is an entity tag, which we never give out. */
    int64_t if_range_s;
};

/* http_request_parse reads the head in `bytes` (as http_head_find delimited it). Returns 0, or the status
 * code of the refusal: 400, 414, 417, 431, 501, 505; then the request holds nothing of use. */
int http_request_parse(const char *bytes, size_t len, struct http_request *ret_request);

#endif
