/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/httpd/response.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

const char *http_status_text(int status)
{
    static const struct {
        int status;
        const char *text;
    } texts[] = {
        {100, "Continue"},
        {200, "OK"},
        {201, "Created"},
        {206, "Partial Content"},
        {301, "Moved Permanently"},
        {304, "Not Modified"},
        {400, "Bad Request"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {416, "Range Not Satisfiable"},
        {417, "Expectation Failed"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {503, "Service Unavailable"},
        {505, "HTTP Version Not Supported"},
        {507, "Insufficient Storage"},
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (texts[i].status == status)
            return texts[i].text;
    }
    return "Unknown";
}

const char *http_content_type(const char *name)
{
    static const char *const types[][2] = {
        {"html", "text/html; charset=utf-8"},
        {"htm", "text/html; charset=utf-8"},
        {"txt", "text/plain; charset=utf-8"},
        {"md", "text/plain; charset=utf-8"},
        {"css", "text/css; charset=utf-8"},
        {"js", "text/javascript; charset=utf-8"},
        {"json", "application/json"},
        {"xml", "application/xml"},
        {"svg", "image/svg+xml"},
        {"png", "image/png"},
        {"jpg", "image/jpeg"},
        {"jpeg", "image/jpeg"},
        {"gif", "image/gif"},
        {"webp", "image/webp"},
        {"ico", "image/x-icon"},
        {"pdf", "application/pdf"},
        {"wasm", "application/wasm"},
    };
    const char *slash = strrchr(name, '/'), *dot = strrchr(name, '.');
    if (dot == NULL || (slash != NULL && dot < slash))
        return "application/octet-stream";
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (strcasecmp(dot + 1, types[i][0]) == 0)
            return types[i][1];
    }
    return "application/octet-stream";
}

/* Text that is put together piece by piece; once something did not fit, it stays "did not fit". */
struct text {
    char *bytes;
    size_t len, cap;
    bool is_cut;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *text, const char *format, ...)
{
    if (text->is_cut)
        return;
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text->bytes + text->len, text->cap - text->len, format, args);
    va_end(args);
    text->is_cut = len < 0 || (size_t)len >= text->cap - text->len;
    text->len += text->is_cut ? 0 : (size_t)len;
}

/* RFC 9110 section 5.6.7. */
static void add_date(struct text *text, const char *name, int64_t time_s)
{
    time_t time = (time_t)time_s;
    struct tm tm;
    char date[64];
    if (gmtime_r(&time, &tm) == NULL || strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &tm) == 0)
        return;
    add(text, "%s: %s\r\n", name, date);
}

static void add_range(struct text *text, const struct http_response *response)
{
    if (response->status == 206)
        add(text, "Content-Range: bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64 "\r\n", response->range_first,
            response->range_last, response->range_size);
    else
        add(text, "Content-Range: bytes */%" PRIu64 "\r\n", response->range_size);
}

size_t http_response_format(const struct http_response *response, int64_t now_s, char *ret_text, size_t cap)
{
    struct text text = {.bytes = ret_text, .cap = cap};
    add(&text, "HTTP/1.1 %d %s\r\nServer: httpd\r\n", response->status, http_status_text(response->status));
    add_date(&text, "Date", now_s);
    if (response->content_type != NULL)
        add(&text, "Content-Type: %s\r\nContent-Length: %" PRIu64 "\r\n", response->content_type,
            response->content_length);
    if (response->status == 200 || response->status == 206)
        add(&text, "Accept-Ranges: bytes\r\n");
    if (response->modified_s != INT64_MIN)
        add_date(&text, "Last-Modified", response->modified_s);
    if (response->has_range)
        add_range(&text, response);
    if (response->location != NULL)
        add(&text, "Location: %s\r\n", response->location);
    if (response->allow != NULL)
        add(&text, "Allow: %s\r\n", response->allow);
    add(&text, "Connection: %s\r\n\r\n", response->keep_alive ? "keep-alive" : "close");
    return text.is_cut ? 0 : text.len;
}
