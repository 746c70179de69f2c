/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/fetch/url.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* A control character or a space would end the request line. */
static bool is_clean(const char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text <= ' ' || *text == 0x7f)
            return false;
    }
    return true;
}

static bool parse_port(const char *text, size_t len, uint16_t *ret_port)
{
    unsigned long port = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9' || port > 65535)
            return false;
        port = port * 10 + (unsigned long)(text[i] - '0');
    }
    if (port == 0 || port > 65535)
        return false;
    *ret_port = (uint16_t)port;
    return true;
}

static bool copy(char *to, size_t cap, const char *from, size_t len)
{
    if (len >= cap)
        return false;
    memcpy(to, from, len);
    to[len] = '\0';
    return true;
}

/* "host", "host:port", "[address]" or "[address]:port". */
static bool parse_authority(const char *text, size_t len, struct fetch_url *url)
{
    const char *host = text, *end = text + len;
    const char *host_end = memchr(text, ':', len);
    url->is_bracketed = len > 0 && text[0] == '[';
    if (url->is_bracketed) {
        host++;
        host_end = memchr(text, ']', len);
        if (host_end == NULL)
            return false;
    } else if (host_end == NULL) {
        host_end = end;
    }
    const char *rest = host_end + (url->is_bracketed ? 1 : 0);
    url->port = 80;
    if (rest < end && (*rest != ':' || !parse_port(rest + 1, (size_t)(end - rest) - 1, &url->port)))
        return false;
    return host_end > host && copy(url->host, sizeof url->host, host, (size_t)(host_end - host));
}

bool fetch_url_parse(const char *text, struct fetch_url *ret_url)
{
    static const char scheme[] = "http://";
    if (strncasecmp(text, scheme, sizeof scheme - 1) != 0 || !is_clean(text))
        return false;
    text += sizeof scheme - 1;
    size_t authority_len = strcspn(text, "/?#");
    const char *target = text + authority_len;
    size_t target_len = strcspn(target, "#");
    bool has_slash = target[0] == '/';
    if (!has_slash)
        ret_url->target[0] = '/';
    size_t skip = has_slash ? 0 : 1;
    return parse_authority(text, authority_len, ret_url) &&
           copy(ret_url->target + skip, sizeof ret_url->target - skip, target, target_len);
}
