/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/httpd/request.h"

#include <string.h>
#include <strings.h>
#include <time.h>

#include "apps/http/head.h"
#include "apps/httpd/target.h"

/* What the fields said so far, beyond the request itself. */
struct fields_seen {
    bool host, length, transfer_encoding, close, keep_alive;
    bool is_http10;
};

static int parse_method(struct http_text method, enum http_method *ret_method)
{
    static const struct {
        const char *name;
        enum http_method method;
    } methods[] = {
        {"GET", HTTP_GET},       {"HEAD", HTTP_HEAD},     {"PUT", HTTP_PUT},
        {"POST", HTTP_POST},     {"OPTIONS", HTTP_OTHER}, {"DELETE", HTTP_OTHER},
        {"CONNECT", HTTP_OTHER}, {"TRACE", HTTP_OTHER},   {"PATCH", HTTP_OTHER},
    };
    if (!http_text_is_token(method))
        return 400;
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        if (method.len == strlen(methods[i].name) && memcmp(method.bytes, methods[i].name, method.len) == 0) {
            *ret_method = methods[i].method;
            return 0;
        }
    }
    return 501;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int parse_version(struct http_text version, bool *ret_is_http10)
{
    if (version.len != 8 || memcmp(version.bytes, "HTTP/", 5) != 0 || !is_digit(version.bytes[5]) ||
        version.bytes[6] != '.' || !is_digit(version.bytes[7]))
        return 400;
    if (version.bytes[5] != '1')
        return 505;
    *ret_is_http10 = version.bytes[7] == '0';
    return 0;
}

/* RFC 9112 section 3: method SP request-target SP HTTP-version. */
static int parse_request_line(struct http_text line, struct http_request *request, struct fields_seen *seen)
{
    const char *first = memchr(line.bytes, ' ', line.len);
    if (first == NULL)
        return 400;
    struct http_text method = {line.bytes, (size_t)(first - line.bytes)};
    struct http_text rest = {first + 1, line.len - method.len - 1};
    const char *second = rest.len > 0 ? memchr(rest.bytes, ' ', rest.len) : NULL;
    if (second == NULL)
        return 400;
    struct http_text target = {rest.bytes, (size_t)(second - rest.bytes)};
    struct http_text version = {second + 1, rest.len - target.len - 1};
    int status = parse_version(version, &seen->is_http10);
    if (status == 0)
        status = parse_method(method, &request->method);
    if (status != 0)
        return status;
    if (target.len >= HTTP_TARGET_MAX_LEN)
        return 414;
    if (request->method ==
        HTTP_OTHER) { /* "*" and "host:port" are targets, too, and it is refused by its method later */
        memcpy(request->path, "/", 2);
        request->path_len = 1;
        return 0;
    }
    return http_target_path(target, request->path, &request->path_len) ? 0 : 400;
}

/* RFC 9110 section 5.6.7, the preferred form alone; INT64_MIN for another, which counts as not sent. */
static int64_t parse_date(struct http_text text)
{
    char copy[40];
    if (text.len >= sizeof copy)
        return INT64_MIN;
    memcpy(copy, text.bytes, text.len);
    copy[text.len] = '\0';
    struct tm tm = {0};
    const char *end = strptime(copy, "%a, %d %b %Y %H:%M:%S GMT", &tm);
    return end != NULL && *end == '\0' ? (int64_t)timegm(&tm) : INT64_MIN;
}

/* RFC 9110 section 14.2: a Range that is not understood is as if it were not there. */
static void parse_range(struct http_text value, struct http_request *request)
{
    if (value.len < 7 || strncasecmp(value.bytes, "bytes=", 6) != 0)
        return;
    struct http_text span = {value.bytes + 6, value.len - 6};
    const char *dash = memchr(span.bytes, '-', span.len);
    if (dash == NULL)
        return;
    struct http_text first = {span.bytes, (size_t)(dash - span.bytes)};
    struct http_text last = {dash + 1, span.len - first.len - 1};
    uint64_t first_number = 0, last_number = 0;
    bool has_first = http_text_number(first, &first_number), has_last = http_text_number(last, &last_number);
    if ((!has_first && first.len > 0) || (!has_last && last.len > 0) || (!has_first && !has_last))
        return;
    if (has_first && has_last && last_number < first_number)
        return;
    request->range = has_first ? (has_last ? HTTP_RANGE_SPAN : HTTP_RANGE_FROM) : HTTP_RANGE_LAST;
    request->range_first = first_number;
    request->range_last = last_number;
}

static int on_host(struct http_text value, struct http_request *request, struct fields_seen *seen)
{
    if (seen->host)
        return 400;
    seen->host = true;
    for (size_t i = 0; i < value.len; i++) {
        if (strchr(" \t/@?#\\", value.bytes[i]) != NULL)
            return 400;
    }
    return 0;
}

static int on_content_length(struct http_text value, struct http_request *request, struct fields_seen *seen)
{
    if (seen->length || !http_text_number(value, &request->content_length))
        return 400;
    seen->length = true;
    return 0;
}

static int on_transfer_encoding(struct http_text value, struct http_request *request,
                                struct fields_seen *seen)
{
    if (seen->transfer_encoding || seen->is_http10)
        return 400;
    seen->transfer_encoding = true;
    request->is_chunked = http_text_is(value, "chunked");
    return request->is_chunked ? 0 : 501;
}

static int on_connection(struct http_text value, struct http_request *request, struct fields_seen *seen)
{
    struct http_text option;
    while (http_list_next(&value, &option)) {
        seen->close |= http_text_is(option, "close");
        seen->keep_alive |= http_text_is(option, "keep-alive");
    }
    return 0;
}

static int on_expect(struct http_text value, struct http_request *request, struct fields_seen *seen)
{
    if (!http_text_is(value, "100-continue"))
        return 417;
    request->expects_continue = !seen->is_http10;
    return 0;
}

static int on_range(struct http_text value, struct http_request *request, struct fields_seen *seen)
{
    parse_range(value, request);
    return 0;
}

static int on_modified_since(struct http_text value, struct http_request *request, struct fields_seen *seen)
{
    request->modified_since_s = parse_date(value);
    return 0;
}

static int on_if_range(struct http_text value, struct http_request *request, struct fields_seen *seen)
{
    int64_t date_s = parse_date(value);
    request->if_range_s = date_s != INT64_MIN ? date_s : INT64_MAX;
    return 0;
}

static const struct {
    const char *name;
    int (*take)(struct http_text value, struct http_request *request, struct fields_seen *seen);
} known_fields[] = {
    {"Host", on_host},
    {"Content-Length", on_content_length},
    {"Transfer-Encoding", on_transfer_encoding},
    {"Connection", on_connection},
    {"Expect", on_expect},
    {"Range", on_range},
    {"If-Modified-Since", on_modified_since},
    {"If-Range", on_if_range},
};

static int take_field(struct http_text line, struct http_request *request, struct fields_seen *seen)
{
    struct http_text name, value;
    if (!http_field_split(line, &name, &value))
        return 400;
    for (size_t i = 0; i < sizeof known_fields / sizeof known_fields[0]; i++) {
        if (http_text_is(name, known_fields[i].name))
            return known_fields[i].take(value, request, seen);
    }
    return 0;
}

/* What only all fields together tell. */
static int check_fields(struct http_request *request, const struct fields_seen *seen)
{
    if (seen->length && seen->transfer_encoding)
        return 400;
    if (!seen->host && !seen->is_http10)
        return 400;
    request->keep_alive = !seen->close && (!seen->is_http10 || seen->keep_alive);
    return 0;
}

int http_request_parse(const char *bytes, size_t len, struct http_request *ret_request)
{
    struct http_text head = {bytes, len}, line;
    struct fields_seen seen = {0};
    ret_request->method = HTTP_GET;
    ret_request->keep_alive = false;
    ret_request->path[0] = '\0';
    ret_request->path_len = 0;
    ret_request->is_chunked = ret_request->expects_continue = false;
    ret_request->content_length = ret_request->range_first = ret_request->range_last = 0;
    ret_request->range = HTTP_RANGE_NONE;
    ret_request->modified_since_s = ret_request->if_range_s = INT64_MIN;
    if (!http_head_line(&head, &line))
        return 400;
    int status = parse_request_line(line, ret_request, &seen);
    size_t num_fields = 0;
    while (status == 0 && http_head_line(&head, &line))
        status = ++num_fields > HTTP_NUM_FIELDS_MAX ? 431 : take_field(line, ret_request, &seen);
    return status != 0 ? status : check_fields(ret_request, &seen);
}
