/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/httpd/target.h"

#include <string.h>
#include <strings.h>

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Takes "http://host" off an absolute target; an empty path is "/". */
static struct http_text without_host(struct http_text target)
{
    static const char scheme[] = "http://";
    size_t scheme_len = sizeof scheme - 1;
    if (target.len < scheme_len || strncasecmp(target.bytes, scheme, scheme_len) != 0)
        return target;
    target.bytes += scheme_len;
    target.len -= scheme_len;
    const char *slash = target.len > 0 ? memchr(target.bytes, '/', target.len) : NULL;
    if (slash == NULL)
        return (struct http_text){"/", 1};
    target.len -= (size_t)(slash - target.bytes);
    target.bytes = slash;
    return target;
}

/* Decodes one character at `*pos`; -1 when it is malformed. */
static int decode_char(struct http_text target, size_t *pos)
{
    char c = target.bytes[(*pos)++];
    if (c != '%')
        return (unsigned char)c;
    if (target.len - *pos < 2)
        return -1;
    int high = hex_digit(target.bytes[*pos]), low = hex_digit(target.bytes[*pos + 1]);
    *pos += 2;
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

static bool has_parent_segment(const char *path)
{
    for (const char *at = strstr(path, "/.."); at != NULL; at = strstr(at + 1, "/..")) {
        if (at[3] == '/' || at[3] == '\0')
            return true;
    }
    return false;
}

bool http_target_path(struct http_text target, char *ret_path, size_t *ret_path_len)
{
    target = without_host(target);
    if (target.len == 0 || target.bytes[0] != '/')
        return false;
    size_t len = 0, pos = 0;
    while (pos < target.len && target.bytes[pos] != '?' && target.bytes[pos] != '#') {
        int c = decode_char(target, &pos);
        if (c <= 0)
            return false;
        ret_path[len++] = (char)c;
    }
    ret_path[len] = '\0';
    *ret_path_len = len;
    return !has_parent_segment(ret_path);
}
