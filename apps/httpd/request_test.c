/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/httpd/request.h"

#include <stdio.h>
#include <stdlib.h>

#include "apps/httpd/options.h"
#include "apps/httpd/response.h"
#include "apps/httpd/target.h"
#include "tests/harness/harness.h"

static struct http_request request;

/* From a buffer of exactly its size, so that a read beyond it is seen by ASan. */
static int parse(const char *head)
{
    size_t len = strlen(head);
    char *copy = malloc(len);
    memcpy(copy, head, len);
    int status = http_request_parse(copy, len, &request);
    free(copy);
    return status;
}

PEL_TEST(http_request, a_plain_get)
{
    PEL_EXPECT_EQ(parse("GET /a%20b/%C3%A9?q=1 HTTP/1.1\r\nHost: x\r\n\r\n"), 0);
    PEL_EXPECT_EQ(request.method, HTTP_GET);
    PEL_EXPECT_STR(request.path, "/a b/\xc3\xa9");
    PEL_EXPECT_EQ(request.path_len, 7);
    PEL_EXPECT(request.keep_alive);
    PEL_EXPECT(!request.is_chunked);
    PEL_EXPECT_EQ(request.content_length, 0);
    PEL_EXPECT_EQ(request.range, HTTP_RANGE_NONE);
    PEL_EXPECT_EQ(request.modified_since_s, INT64_MIN);
}

PEL_TEST(http_request, forms_of_the_target)
{
    PEL_EXPECT_EQ(parse("GET http://host:80/x HTTP/1.1\r\nHost: x\r\n\r\n"), 0);
    PEL_EXPECT_STR(request.path, "/x");
    PEL_EXPECT_EQ(parse("GET http://host HTTP/1.1\r\nHost: x\r\n\r\n"), 0);
    PEL_EXPECT_STR(request.path, "/");
    PEL_EXPECT_EQ(parse("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"), 0);
    PEL_EXPECT_EQ(request.method, HTTP_OTHER);
    PEL_EXPECT_EQ(parse("GET /..a/b..c/... HTTP/1.1\r\nHost: x\r\n\r\n"), 0);
}

PEL_TEST(http_request, keep_alive_by_version_and_connection)
{
    PEL_EXPECT_EQ(parse("GET / HTTP/1.0\r\n\r\n"), 0);
    PEL_EXPECT(!request.keep_alive);
    PEL_EXPECT_EQ(parse("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"), 0);
    PEL_EXPECT(request.keep_alive);
    PEL_EXPECT_EQ(parse("GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade, CLOSE\r\n\r\n"), 0);
    PEL_EXPECT(!request.keep_alive);
}

PEL_TEST(http_request, bodies)
{
    PEL_EXPECT_EQ(parse("PUT /f HTTP/1.1\r\nHost: x\r\nContent-Length: 12\r\nExpect: 100-continue\r\n\r\n"),
                  0);
    PEL_EXPECT_EQ(request.content_length, 12);
    PEL_EXPECT(request.expects_continue);
    PEL_EXPECT_EQ(parse("POST /f HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n\r\n"), 0);
    PEL_EXPECT(request.is_chunked);
}

PEL_TEST(http_request, what_is_refused)
{
    static const struct {
        int status;
        const char *head;
    } cases[] = {
        {400, "GET /\r\nHost: x\r\n\r\n"},
        {400, "GET  / HTTP/1.1\r\nHost: x\r\n\r\n"},
        {400, "GET / HTTP/1.1 \r\nHost: x\r\n\r\n"},
        {400, "G(T / HTTP/1.1\r\nHost: x\r\n\r\n"},
        {400, "GET / HTTX/1.1\r\nHost: x\r\n\r\n"},
        {400, "GET x HTTP/1.1\r\nHost: x\r\n\r\n"},
        {400, "GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n"},
        {400, "GET /%0 HTTP/1.1\r\nHost: x\r\n\r\n"},
        {400, "GET /%00 HTTP/1.1\r\nHost: x\r\n\r\n"},
        {400, "GET /../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n"},
        {400, "GET /a/%2e%2e/b HTTP/1.1\r\nHost: x\r\n\r\n"},
        {400, "GET /a%2f.. HTTP/1.1\r\nHost: x\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\nHost : x\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1, 1\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"},
        {400, "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"},
        {417, "PUT / HTTP/1.1\r\nHost: x\r\nExpect: tea\r\n\r\n"},
        {501, "PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"},
        {501, "BREW / HTTP/1.1\r\nHost: x\r\n\r\n"},
        {501, "get / HTTP/1.1\r\nHost: x\r\n\r\n"},
        {505, "GET / HTTP/2.0\r\nHost: x\r\n\r\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int status = parse(cases[i].head);
        if (status != cases[i].status)
            pel_test_fail(__FILE__, __LINE__, "%d, expected %d: %s", status, cases[i].status, cases[i].head);
    }
}

PEL_TEST(http_request, limits)
{
    static char head[HTTP_HEAD_MAX_LEN];
    int len = snprintf(head, sizeof head, "GET /");
    memset(head + len, 'a', HTTP_TARGET_MAX_LEN);
    snprintf(head + len + HTTP_TARGET_MAX_LEN, 64, " HTTP/1.1\r\nHost: x\r\n\r\n");
    PEL_EXPECT_EQ(parse(head), 414);
    len = snprintf(head, sizeof head, "GET / HTTP/1.1\r\nHost: x\r\n");
    for (int i = 0; i < HTTP_NUM_FIELDS_MAX - 1; i++)
        len += snprintf(head + len, sizeof head - (size_t)len, "A: b\r\n");
    snprintf(head + len, 8, "\r\n");
    PEL_EXPECT_EQ(parse(head), 0);
    snprintf(head + len, 16, "A: b\r\n\r\n");
    PEL_EXPECT_EQ(parse(head), 431);
}

static enum http_range parse_range(const char *range)
{
    char head[256];
    snprintf(head, sizeof head, "GET / HTTP/1.1\r\nHost: x\r\nRange: %s\r\n\r\n", range);
    PEL_EXPECT_EQ(parse(head), 0);
    return request.range;
}

PEL_TEST(http_request, ranges)
{
    PEL_EXPECT_EQ(parse_range("bytes=5-"), HTTP_RANGE_FROM);
    PEL_EXPECT_EQ(request.range_first, 5);
    PEL_EXPECT_EQ(parse_range("Bytes=5-9"), HTTP_RANGE_SPAN);
    PEL_EXPECT_EQ(request.range_last, 9);
    PEL_EXPECT_EQ(parse_range("bytes=-3"), HTTP_RANGE_LAST);
    PEL_EXPECT_EQ(request.range_last, 3);
    PEL_EXPECT_EQ(parse_range("bytes=9-5"), HTTP_RANGE_NONE);
    PEL_EXPECT_EQ(parse_range("bytes=-"), HTTP_RANGE_NONE);
    PEL_EXPECT_EQ(parse_range("bytes=0-1,3-4"), HTTP_RANGE_NONE);
    PEL_EXPECT_EQ(parse_range("bytes=a-b"), HTTP_RANGE_NONE);
    PEL_EXPECT_EQ(parse_range("lines=1-2"), HTTP_RANGE_NONE);
    PEL_EXPECT_EQ(parse_range("bytes"), HTTP_RANGE_NONE);
}

PEL_TEST(http_request, dates)
{
    PEL_EXPECT_EQ(
        parse("GET / HTTP/1.1\r\nHost: x\r\nIf-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n"), 0);
    PEL_EXPECT_EQ(request.modified_since_s, 784111777);
    PEL_EXPECT_EQ(
        parse("GET / HTTP/1.1\r\nHost: x\r\nIf-Modified-Since: yesterday\r\nIf-Range: \"tag\"\r\n\r\n"), 0);
    PEL_EXPECT_EQ(request.modified_since_s, INT64_MIN);
    PEL_EXPECT_EQ(request.if_range_s, INT64_MAX);
}

PEL_TEST(http_response, heads)
{
    char text[HTTP_RESPONSE_HEAD_MAX_LEN];
    struct http_response response = {
        .status = 206,
        .keep_alive = true,
        .content_length = 5,
        .content_type = "text/plain",
        .modified_s = 784111777,
        .has_range = true,
        .range_first = 1,
        .range_last = 5,
        .range_size = 10,
    };
    size_t len = http_response_format(&response, 784111778, text, sizeof text);
    PEL_REQUIRE(len > 0 && len == strlen(text));
    PEL_EXPECT_STR(text,
                   "HTTP/1.1 206 Partial Content\r\nServer: httpd\r\nDate: Sun, 06 Nov 1994 08:49:38 GMT\r\n"
                   "Content-Type: text/plain\r\nContent-Length: 5\r\nAccept-Ranges: bytes\r\n"
                   "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Range: bytes 1-5/10\r\n"
                   "Connection: keep-alive\r\n\r\n");
    for (size_t cap = 0; cap <= len; cap++)
        PEL_EXPECT_EQ(http_response_format(&response, 784111778, text, cap), 0);
}

PEL_TEST(http_response, content_types)
{
    PEL_EXPECT_STR(http_content_type("/a/index.HTML"), "text/html; charset=utf-8");
    PEL_EXPECT_STR(http_content_type("/a.png/noext"), "application/octet-stream");
    PEL_EXPECT_STR(http_content_type("/a.unknown"), "application/octet-stream");
}

PEL_TEST(http_options, listen_addresses)
{
    struct http_listen listen;
    PEL_EXPECT_EQ(http_listen_parse(":8080", &listen), 0);
    PEL_EXPECT_EQ(listen.address.ss_family, AF_INET6);
    PEL_EXPECT_EQ(http_listen_parse("[::]:443", &listen), 0);
    PEL_EXPECT_EQ(http_listen_parse("10.0.0.1:80", &listen), 0);
    PEL_EXPECT_EQ(listen.address.ss_family, AF_INET);
    static const char *const bad[] = {"8080",    ":",     ":0",   ":65536",  "::1:80", "[10.0.0.1]:80",
                                      "host:80", "[]:80", ":80x", "[::1:80", ""};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (http_listen_parse(bad[i], &listen) == 0)
            pel_test_fail(__FILE__, __LINE__, "accepted: %s", bad[i]);
    }
}
