/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An http URL taken apart (RFC 9110 section 4.2.1). No allocation; any thread.
 */
#ifndef PEL_APPS_FETCH_URL_H
#define PEL_APPS_FETCH_URL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fetch_url {
    char host[256]; /* without brackets */
    uint16_t port;
    bool is_bracketed; /* an IPv6 address */
    char target[2048]; /* path and query, at least "/" */
};

/* fetch_url_parse reads "http://HOST[:PORT][/PATH]". False when it is none, or too long. */
bool fetch_url_parse(const char *text, struct fetch_url *ret_url);

#endif
