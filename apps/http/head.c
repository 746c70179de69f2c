/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/http/head.h"

#include <string.h>
#include <strings.h>

enum http_find http_head_find(const char *bytes, size_t len, size_t *scanned, size_t *ret_len)
{
    for (size_t i = *scanned; i < len; i++) {
        *scanned = i + 1;
        if (bytes[i] == '\0' || (bytes[i] == '\n' && (i == 0 || bytes[i - 1] != '\r')))
            return HTTP_FIND_BAD;
        if (bytes[i] == '\n' && i >= 3 && bytes[i - 2] == '\n') {
            *ret_len = i + 1;
            return HTTP_FIND_DONE;
        }
    }
    return HTTP_FIND_MORE;
}

bool http_head_line(struct http_text *head, struct http_text *ret_line)
{
    const char *end = head->len > 0 ? memchr(head->bytes, '\n', head->len) : NULL;
    if (end == NULL || end - head->bytes < 2)
        return false;
    *ret_line = (struct http_text){head->bytes, (size_t)(end - head->bytes) - 1};
    head->len -= (size_t)(end + 1 - head->bytes);
    head->bytes = end + 1;
    return true;
}

bool http_is_token_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

bool http_text_is_token(struct http_text text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (!http_is_token_char(text.bytes[i]))
            return false;
    }
    return text.len > 0;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

static struct http_text trim(struct http_text text)
{
    while (text.len > 0 && is_space(text.bytes[0])) {
        text.bytes++;
        text.len--;
    }
    while (text.len > 0 && is_space(text.bytes[text.len - 1]))
        text.len--;
    return text;
}

/* RFC 9110 section 5.5: visible characters, obs-text, and white space inside. */
static bool is_field_value(struct http_text value)
{
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.bytes[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

bool http_field_split(struct http_text line, struct http_text *ret_name, struct http_text *ret_value)
{
    const char *colon = line.len > 0 ? memchr(line.bytes, ':', line.len) : NULL;
    if (colon == NULL)
        return false;
    struct http_text name = {line.bytes, (size_t)(colon - line.bytes)};
    struct http_text value = trim((struct http_text){colon + 1, line.len - name.len - 1});
    if (!http_text_is_token(name) || !is_field_value(value))
        return false;
    *ret_name = name;
    *ret_value = value;
    return true;
}

bool http_text_is(struct http_text text, const char *word)
{
    return text.len == strlen(word) && strncasecmp(text.bytes, word, text.len) == 0;
}

bool http_text_number(struct http_text text, uint64_t *ret_number)
{
    uint64_t number = 0;
    if (text.len == 0 || text.len > 20)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.bytes[i] < '0' || text.bytes[i] > '9')
            return false;
        uint64_t digit = (uint64_t)(text.bytes[i] - '0');
        if (number > ((uint64_t)INT64_MAX - digit) / 10)
            return false;
        number = number * 10 + digit;
    }
    *ret_number = number;
    return true;
}

bool http_list_next(struct http_text *list, struct http_text *ret_element)
{
    while (list->len > 0) {
        const char *comma = memchr(list->bytes, ',', list->len);
        size_t len = comma != NULL ? (size_t)(comma - list->bytes) : list->len;
        struct http_text element = trim((struct http_text){list->bytes, len});
        size_t skip = comma != NULL ? len + 1 : len;
        list->bytes += skip;
        list->len -= skip;
        if (element.len > 0) {
            *ret_element = element;
            return true;
        }
    }
    return false;
}
