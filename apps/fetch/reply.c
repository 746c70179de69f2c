/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/fetch/reply.h"

#include <string.h>

struct fields {
    bool is_chunked, has_length, close, keep_alive, is_http10;
    uint64_t length;
};

static void fail(struct fetch_reply *reply, const char *error)
{
    reply->state = FETCH_REPLY_BAD;
    reply->error = error;
}

static void expect_head(struct fetch_reply *reply)
{
    reply->state = FETCH_REPLY_HEAD;
    reply->head_len = reply->scanned = 0;
}

void fetch_reply_start(struct fetch_reply *reply, bool is_for_head)
{
    expect_head(reply);
    reply->is_for_head = is_for_head;
    reply->status = 0;
    reply->reason[0] = '\0';
    reply->keep_alive = false;
    reply->error = NULL;
}

/* "HTTP/1.1 200 OK" */
static bool parse_status_line(struct fetch_reply *reply, struct http_text line, struct fields *fields)
{
    if (line.len < 12 || memcmp(line.bytes, "HTTP/1.", 7) != 0 || line.bytes[8] != ' ')
        return false;
    fields->is_http10 = line.bytes[7] == '0';
    uint64_t status;
    if (!http_text_number((struct http_text){line.bytes + 9, 3}, &status) || status < 100 ||
        (line.len > 12 && line.bytes[12] != ' '))
        return false;
    reply->status = (int)status;
    size_t reason_len = line.len > 13 ? line.len - 13 : 0;
    if (reason_len >= sizeof reply->reason)
        reason_len = sizeof reply->reason - 1;
    if (reason_len > 0)
        memcpy(reply->reason, line.bytes + 13, reason_len);
    reply->reason[reason_len] = '\0';
    return true;
}

static bool take_field(struct http_text line, struct fields *fields)
{
    struct http_text name, value, element;
    if (!http_field_split(line, &name, &value))
        return false;
    if (http_text_is(name, "Content-Length")) {
        uint64_t length;
        if (!http_text_number(value, &length) || (fields->has_length && length != fields->length))
            return false;
        fields->has_length = true;
        fields->length = length;
    } else if (http_text_is(name, "Transfer-Encoding")) {
        if (!http_text_is(value, "chunked"))
            return false;
        fields->is_chunked = true;
    } else if (http_text_is(name, "Connection")) {
        while (http_list_next(&value, &element)) {
            fields->close |= http_text_is(element, "close");
            fields->keep_alive |= http_text_is(element, "keep-alive");
        }
    }
    return true;
}

/* How the body ends (RFC 9112 section 6.3). */
static void begin_body(struct fetch_reply *reply, const struct fields *fields)
{
    reply->keep_alive = !fields->close && (!fields->is_http10 || fields->keep_alive);
    if (reply->status < 200) {
        expect_head(reply);
    } else if (reply->is_for_head || reply->status == 204 || reply->status == 304) {
        reply->state = FETCH_REPLY_DONE;
    } else if (fields->is_chunked) {
        http_chunked_start(&reply->chunked);
        reply->state = FETCH_REPLY_CHUNKED;
    } else if (fields->has_length) {
        reply->remaining = fields->length;
        reply->state = fields->length > 0 ? FETCH_REPLY_SIZED : FETCH_REPLY_DONE;
    } else {
        reply->keep_alive = false;
        reply->state = FETCH_REPLY_TO_END;
    }
}

static void parse_head(struct fetch_reply *reply, size_t len)
{
    struct http_text head = {reply->head, len}, line;
    struct fields fields = {0};
    if (!http_head_line(&head, &line) || !parse_status_line(reply, line, &fields)) {
        fail(reply, "the answer is no HTTP/1.1 response");
        return;
    }
    while (http_head_line(&head, &line)) {
        if (!take_field(line, &fields)) {
            fail(reply, "the response has a malformed header field");
            return;
        }
    }
    begin_body(reply, &fields);
}

static size_t feed_head(struct fetch_reply *reply, const char *bytes, size_t len)
{
    size_t room = FETCH_HEAD_MAX_LEN - reply->head_len;
    size_t old_len = reply->head_len, take = len < room ? len : room, head_len = 0;
    memcpy(reply->head + old_len, bytes, take);
    switch (http_head_find(reply->head, old_len + take, &reply->scanned, &head_len)) {
    case HTTP_FIND_BAD:
        fail(reply, "the answer is no HTTP/1.1 response");
        return take;
    case HTTP_FIND_MORE:
        reply->head_len += take;
        if (reply->head_len == FETCH_HEAD_MAX_LEN)
            fail(reply, "the response's head is longer than 64 KiB");
        return take;
    case HTTP_FIND_DONE:
        break;
    }
    parse_head(reply, head_len);
    return head_len - old_len;
}

static size_t feed_sized(struct fetch_reply *reply, const char *bytes, size_t len, struct http_text *ret_data)
{
    size_t take = len < reply->remaining ? len : (size_t)reply->remaining;
    *ret_data = (struct http_text){bytes, take};
    reply->remaining -= take;
    if (reply->remaining == 0)
        reply->state = FETCH_REPLY_DONE;
    return take;
}

static size_t feed_chunked(struct fetch_reply *reply, const char *bytes, size_t len,
                           struct http_text *ret_data)
{
    size_t take = http_chunked_next(&reply->chunked, bytes, len, ret_data);
    if (reply->chunked.state == HTTP_CHUNK_DONE)
        reply->state = FETCH_REPLY_DONE;
    else if (reply->chunked.state == HTTP_CHUNK_BAD)
        fail(reply, "the response's chunks are malformed");
    return take;
}

size_t fetch_reply_feed(struct fetch_reply *reply, const char *bytes, size_t len, struct http_text *ret_data)
{
    *ret_data = (struct http_text){bytes, 0};
    switch (reply->state) {
    case FETCH_REPLY_HEAD:
        return feed_head(reply, bytes, len);
    case FETCH_REPLY_SIZED:
        return feed_sized(reply, bytes, len, ret_data);
    case FETCH_REPLY_CHUNKED:
        return feed_chunked(reply, bytes, len, ret_data);
    case FETCH_REPLY_TO_END:
        *ret_data = (struct http_text){bytes, len};
        return len;
    case FETCH_REPLY_DONE:
    case FETCH_REPLY_BAD:
        break;
    }
    return 0;
}

void fetch_reply_end(struct fetch_reply *reply)
{
    if (reply->state == FETCH_REPLY_TO_END)
        reply->state = FETCH_REPLY_DONE;
    else if (reply->state == FETCH_REPLY_HEAD)
        fail(reply, "the connection ended before the response");
    else if (reply->state != FETCH_REPLY_DONE && reply->state != FETCH_REPLY_BAD)
        fail(reply, "the connection ended within the response's body");
}
