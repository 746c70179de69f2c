/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A response's head as text (RFC 9112 section 4), and the words that belong to status codes and file names.
 * No input or output, no allocation; any thread.
 */
#ifndef PEL_APPS_HTTPD_RESPONSE_H
#define PEL_APPS_HTTPD_RESPONSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Room for every head but a redirect's; that needs the length of its location more. */
#define HTTP_RESPONSE_HEAD_MAX_LEN 1024

struct http_response {
    int status;
    bool keep_alive;
    uint64_t content_length;
    const char *content_type; /* NULL: no body, and so no length for 304 */
    int64_t modified_s;       /* Last-Modified; INT64_MIN: none */
    bool has_range;           /* Content-Range: of a 206 first to last, of a 416 the size alone */
    uint64_t range_first, range_last, range_size;
    const char *location; /* NULL: none */
    const char *allow;    /* NULL: none */
};

/* http_response_format writes the head, with its empty line and a Date of `now_s`, and returns its length; 0
 * when `cap` is too small. */
size_t http_response_format(const struct http_response *response, int64_t now_s, char *ret_text, size_t cap);

/* http_status_text returns the reason phrase, "Not Found". */
const char *http_status_text(int status);

/* http_content_type returns the media type for a file name, by its extension. */
const char *http_content_type(const char *name);

#endif
