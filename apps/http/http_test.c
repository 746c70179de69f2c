/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "apps/http/chunked.h"
#include "apps/http/head.h"
#include "tests/harness/harness.h"

PEL_TEST(http_head, end_is_found_in_any_split)
{
    static const char head[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\nrest";
    size_t expected = sizeof head - 1 - 4;
    for (size_t split = 0; split <= expected; split++) {
        size_t scanned = 0, len = 0;
        enum http_find first = http_head_find(head, split, &scanned, &len);
        PEL_EXPECT_EQ(first, split == expected ? HTTP_FIND_DONE : HTTP_FIND_MORE);
        if (first == HTTP_FIND_MORE)
            PEL_EXPECT_EQ(http_head_find(head, sizeof head - 1, &scanned, &len), HTTP_FIND_DONE);
        PEL_EXPECT_EQ(len, expected);
    }
}

PEL_TEST(http_head, bare_line_feeds_and_nuls_are_bad)
{
    size_t scanned = 0, len = 0;
    PEL_EXPECT_EQ(http_head_find("GET / HTTP/1.1\nHost: a\n\n", 24, &scanned, &len), HTTP_FIND_BAD);
    scanned = 0;
    PEL_EXPECT_EQ(http_head_find("GET /\0 HTTP/1.1\r\n\r\n", 19, &scanned, &len), HTTP_FIND_BAD);
    scanned = 0;
    PEL_EXPECT_EQ(http_head_find("\n", 1, &scanned, &len), HTTP_FIND_BAD);
}

static struct http_text text_of(const char *text)
{
    return (struct http_text){text, strlen(text)};
}

PEL_TEST(http_head, fields)
{
    struct http_text name, value;
    PEL_REQUIRE(http_field_split(text_of("Host: \t a b \t"), &name, &value));
    PEL_EXPECT(http_text_is(name, "host"));
    PEL_EXPECT(http_text_is(value, "A B"));
    PEL_REQUIRE(http_field_split(text_of("Empty:"), &name, &value));
    PEL_EXPECT_EQ(value.len, 0);
    PEL_EXPECT(!http_field_split(text_of("Host : a"), &name, &value));
    PEL_EXPECT(!http_field_split(text_of(" folded: a"), &name, &value));
    PEL_EXPECT(!http_field_split(text_of("no colon"), &name, &value));
    PEL_EXPECT(!http_field_split(text_of(": a"), &name, &value));
    PEL_EXPECT(!http_field_split(text_of("A: b\x01"), &name, &value));
    PEL_EXPECT(!http_field_split(text_of("A: b\rc"), &name, &value));
}

PEL_TEST(http_head, numbers)
{
    uint64_t number = 7;
    PEL_EXPECT(http_text_number(text_of("0"), &number) && number == 0);
    PEL_EXPECT(http_text_number(text_of("9223372036854775807"), &number) && number == (uint64_t)INT64_MAX);
    PEL_EXPECT(!http_text_number(text_of("9223372036854775808"), &number));
    PEL_EXPECT(!http_text_number(text_of("99999999999999999999"), &number));
    PEL_EXPECT(!http_text_number(text_of(""), &number));
    PEL_EXPECT(!http_text_number(text_of("+1"), &number));
    PEL_EXPECT(!http_text_number(text_of("1 "), &number));
    PEL_EXPECT_EQ(number, INT64_MAX);
}

PEL_TEST(http_head, lists)
{
    struct http_text list = text_of(" , a,, b\t,c"), element;
    PEL_REQUIRE(http_list_next(&list, &element) && http_text_is(element, "a"));
    PEL_REQUIRE(http_list_next(&list, &element) && http_text_is(element, "b"));
    PEL_REQUIRE(http_list_next(&list, &element) && http_text_is(element, "c"));
    PEL_EXPECT(!http_list_next(&list, &element));
}

/* Decodes `bytes`, given in pieces of `piece` bytes, each in a buffer of exactly its size. */
static enum http_chunk_state decode(const char *bytes, size_t len, size_t piece, char *ret_data,
                                    size_t *ret_data_len, size_t *ret_used)
{
    struct http_chunked chunked;
    http_chunked_start(&chunked);
    *ret_data_len = *ret_used = 0;
    while (*ret_used < len && chunked.state != HTTP_CHUNK_DONE && chunked.state != HTTP_CHUNK_BAD) {
        size_t take = len - *ret_used < piece ? len - *ret_used : piece;
        char *copy = malloc(take);
        memcpy(copy, bytes + *ret_used, take);
        struct http_text data;
        size_t used = http_chunked_next(&chunked, copy, take, &data);
        memcpy(ret_data + *ret_data_len, data.bytes, data.len);
        *ret_data_len += data.len;
        *ret_used += used;
        free(copy);
    }
    return chunked.state;
}

PEL_TEST(http_chunked, decodes_in_any_split)
{
    static const char body[] = "5\r\nhello\r\n6;name=value\r\n world\r\n0\r\nTrailer: x\r\n\r\nnext";
    for (size_t piece = 1; piece < sizeof body; piece++) {
        char data[64];
        size_t data_len, used;
        PEL_EXPECT_EQ(decode(body, sizeof body - 1, piece, data, &data_len, &used), HTTP_CHUNK_DONE);
        PEL_EXPECT_EQ(used, sizeof body - 1 - 4);
        PEL_REQUIRE(data_len == 11);
        PEL_EXPECT_MEM(data, "hello world", 11);
    }
}

PEL_TEST(http_chunked, refuses_what_is_malformed)
{
    static const char *const bodies[] = {
        "\r\n",   "x\r\n",          "5\nhello",  "5\r\nhelloX",
        "-1\r\n", "0x5\r\n",        "1\r\na\rX", "10000000000000000\r\n",
        "1 \n",   "0\r\nTrailer\n",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        char data[64];
        size_t data_len, used;
        PEL_EXPECT_EQ(decode(bodies[i], strlen(bodies[i]), 64, data, &data_len, &used), HTTP_CHUNK_BAD);
    }
}

PEL_TEST(http_chunked, extensions_and_trailers_are_bounded)
{
    static char body[20000], data[20000];
    size_t data_len, used;
    memset(body, 'a', sizeof body);
    memcpy(body, "1;", 2);
    PEL_EXPECT_EQ(decode(body, sizeof body, sizeof body, data, &data_len, &used), HTTP_CHUNK_BAD);
    memcpy(body, "0\r\n", 3);
    PEL_EXPECT_EQ(decode(body, sizeof body, sizeof body, data, &data_len, &used), HTTP_CHUNK_BAD);
}
