/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "apps/fetch/options.h"
#include "apps/fetch/reply.h"
#include "apps/fetch/url.h"
#include "tests/harness/harness.h"

PEL_TEST(fetch_url, forms)
{
    struct fetch_url url;
    PEL_REQUIRE(fetch_url_parse("http://host.example/a/b?c#d", &url));
    PEL_EXPECT_STR(url.host, "host.example");
    PEL_EXPECT_EQ(url.port, 80);
    PEL_EXPECT_STR(url.target, "/a/b?c");
    PEL_REQUIRE(fetch_url_parse("HTTP://[fd00::1]:8443", &url));
    PEL_EXPECT_STR(url.host, "fd00::1");
    PEL_EXPECT(url.is_bracketed);
    PEL_EXPECT_EQ(url.port, 8443);
    PEL_EXPECT_STR(url.target, "/");
    PEL_REQUIRE(fetch_url_parse("http://h?x", &url));
    PEL_EXPECT_STR(url.target, "/?x");
}

PEL_TEST(fetch_url, what_is_none)
{
    static const char *const bad[] = {
        "",
        "host",
        "ftp://host/",
        "http://",
        "http:///x",
        "http://h:0/",
        "http://h:99999/",
        "http://h:x/",
        "http://[::1/",
        "http://h/a b",
        "http://h/\r\n",
        "http://[]/",
        "http://[::1]x/",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct fetch_url url;
        if (fetch_url_parse(bad[i], &url))
            pel_test_fail(__FILE__, __LINE__, "accepted: %s", bad[i]);
    }
}

PEL_TEST(fetch_options, resolve)
{
    struct fetch_resolve resolve;
    PEL_REQUIRE(fetch_resolve_parse("host:443:10.0.0.1", &resolve));
    PEL_EXPECT_STR(resolve.host, "host");
    PEL_EXPECT_STR(resolve.address, "10.0.0.1");
    PEL_REQUIRE(fetch_resolve_parse("host:443:[fd00::1]", &resolve));
    PEL_EXPECT_STR(resolve.address, "fd00::1");
    PEL_REQUIRE(fetch_resolve_parse("host:443:fd00::1", &resolve));
    PEL_EXPECT(!fetch_resolve_parse("host:443", &resolve));
    PEL_EXPECT(!fetch_resolve_parse("host::10.0.0.1", &resolve));
    PEL_EXPECT(!fetch_resolve_parse("host:443:elsewhere", &resolve));
}

static struct fetch_reply reply;
static char body[256];
static size_t body_len, used_len;

/* Feeds `text` in pieces of `piece` bytes, and the end of the stream. */
static void feed(const char *text, size_t piece, bool is_for_head)
{
    size_t len = strlen(text);
    body_len = used_len = 0;
    fetch_reply_start(&reply, is_for_head);
    while (used_len < len && reply.state != FETCH_REPLY_DONE && reply.state != FETCH_REPLY_BAD) {
        size_t take = len - used_len < piece ? len - used_len : piece;
        char *copy = malloc(take);
        memcpy(copy, text + used_len, take);
        struct http_text data;
        used_len += fetch_reply_feed(&reply, copy, take, &data);
        memcpy(body + body_len, data.bytes, data.len);
        body_len += data.len;
        free(copy);
    }
    if (used_len == len)
        fetch_reply_end(&reply);
    body[body_len] = '\0';
}

PEL_TEST(fetch_reply, bodies_in_any_split)
{
    static const struct {
        const char *text;
        bool keep_alive;
    } cases[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", true},
        {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: "
         "5\r\n\r\nhello",
         false},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", true},
        {"HTTP/1.0 200 OK\r\n\r\nhello", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (size_t piece = 1; piece < 100; piece++) {
            feed(cases[i].text, piece, false);
            PEL_EXPECT_EQ(reply.state, FETCH_REPLY_DONE);
            PEL_EXPECT_EQ(reply.status, 200);
            PEL_EXPECT_STR(reply.reason, "OK");
            PEL_EXPECT_STR(body, "hello");
            PEL_EXPECT_EQ(reply.keep_alive, cases[i].keep_alive);
        }
    }
}

PEL_TEST(fetch_reply, no_body_where_none_can_be)
{
    feed("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 7, true);
    PEL_EXPECT_EQ(reply.state, FETCH_REPLY_DONE);
    feed("HTTP/1.1 204\r\n\r\nHTTP", 100, false);
    PEL_EXPECT_EQ(reply.state, FETCH_REPLY_DONE);
    PEL_EXPECT_EQ(used_len, 16);
    PEL_EXPECT_STR(reply.reason, "");
}

PEL_TEST(fetch_reply, cut_short_is_an_error_and_never_the_end)
{
    feed("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", 100, false);
    PEL_EXPECT_EQ(reply.state, FETCH_REPLY_BAD);
    PEL_EXPECT_HAS(reply.error, "within");
    feed("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n", 100, false);
    PEL_EXPECT_EQ(reply.state, FETCH_REPLY_BAD);
    feed("HTTP/1.1 200 OK\r\n", 100, false);
    PEL_EXPECT_HAS(reply.error, "before the response");
}

PEL_TEST(fetch_reply, malformed)
{
    static const char *const bad[] = {
        "hello\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 1\n\n",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
        "\x15\x03\x03",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        feed(bad[i], 100, false);
        if (reply.state != FETCH_REPLY_BAD)
            pel_test_fail(__FILE__, __LINE__, "accepted: %s", bad[i]);
    }
}
