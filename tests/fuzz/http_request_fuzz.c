/* SPDX-License-Identifier: Apache-2.0 */
/*
 * httpd's way from bytes to a request and its body: the head's end found piecewise, the head parsed, the rest
 * decoded as a chunked body and as a response. What a request says of itself must hold, whatever came in.
 */
#include <stdlib.h>
#include <string.h>

#include "apps/http/chunked.h"
#include "apps/http/head.h"
#include "apps/httpd/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void require(int condition)
{
    if (!condition)
        abort();
}

static void check(const struct http_request *request)
{
    require(request->path_len == strlen(request->path) && request->path_len <= HTTP_TARGET_MAX_LEN);
    require(request->path[0] == '/');
    require(strstr(request->path, "/../") == NULL);
    require(!request->is_chunked || request->content_length == 0);
    require(request->range != HTTP_RANGE_SPAN || request->range_first <= request->range_last);
}

static void decode(const char *bytes, size_t len, size_t piece)
{
    struct http_chunked chunked;
    http_chunked_start(&chunked);
    size_t pos = 0;
    while (pos < len && chunked.state != HTTP_CHUNK_DONE && chunked.state != HTTP_CHUNK_BAD) {
        struct http_text data;
        size_t take = len - pos < piece ? len - pos : piece;
        size_t used = http_chunked_next(&chunked, bytes + pos, take, &data);
        require(used > 0 && used <= take && data.len <= used);
        pos += used;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static struct http_request request;
    if (len < 1)
        return 0;
    size_t piece = (size_t)bytes[0] + 1, seen = 0, scanned = 0, head_len = 0;
    const char *text = (const char *)bytes + 1;
    enum http_find found = HTTP_FIND_MORE;
    len--;
    while (found == HTTP_FIND_MORE && seen < len) {
        seen = len - seen < piece ? len : seen + piece;
        found = http_head_find(text, seen, &scanned, &head_len);
    }
    if (found != HTTP_FIND_DONE || head_len > HTTP_HEAD_MAX_LEN)
        return 0;
    require(head_len <= len);
    char *head = malloc(head_len); /* of exactly its size: a read beyond it is seen */
    require(head != NULL);
    memcpy(head, text, head_len);
    if (http_request_parse(head, head_len, &request) == 0)
        check(&request);
    free(head);
    decode(text + head_len, len - head_len, piece);
    return 0;
}
