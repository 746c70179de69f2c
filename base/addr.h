/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IPv4 and IPv6 addresses and endpoints as values, their text, and the way to and from struct sockaddr. Text
 * is strict: dotted quads without leading zeros, RFC 4291 for IPv6; never `inet_aton`'s short forms.
 */
#ifndef PEL_BASE_ADDR_H
#define PEL_BASE_ADDR_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/err.h"

/* An address in network order: 4 bytes used for IPv4, 16 for IPv6; unused bytes are 0, so that values compare
 * with memcmp. `version` is 4, 6, or 0 for "none". */
struct pel_ip {
    uint8_t version;
    uint8_t bytes[16];
};

struct pel_endpoint {
    struct pel_ip ip;
    uint16_t port; /* host order */
};

/* Enough for any text of an endpoint, "[addr%…]:65535" with its NUL. */
#define PEL_ENDPOINT_TEXT_LEN 64

/* pel_ip_parse reads an address of either version. Errors: SYNTAX. */
PEL_MUST_USE enum pel_err pel_ip_parse(const char *text, struct pel_ip *ret_ip);

/* pel_ip_equal compares value by value. */
bool pel_ip_equal(const struct pel_ip *a, const struct pel_ip *b);

/* pel_ip_is_any tells whether `ip` is 0.0.0.0, :: or none. */
bool pel_ip_is_any(const struct pel_ip *ip);

/* pel_ip_format writes the address's text into `text` of `cap` bytes (46 are always enough) and returns
 * `text`. */
const char *pel_ip_format(const struct pel_ip *ip, char *text, size_t cap);

/* pel_endpoint_format writes "1.2.3.4:80" or "[::1]:80" into `text` (PEL_ENDPOINT_TEXT_LEN is always enough)
 * and returns `text`. */
const char *pel_endpoint_format(const struct pel_endpoint *endpoint, char *text, size_t cap);

/* pel_endpoint_parse reads "1.2.3.4:80", "[::1]:80" or ":80" (any address, version 0). Errors: SYNTAX. */
PEL_MUST_USE enum pel_err pel_endpoint_parse(const char *text, struct pel_endpoint *ret_endpoint);

/* pel_endpoint_from_sockaddr reads an AF_INET or AF_INET6 address of `len` bytes. An IPv4-mapped IPv6 address
 * becomes IPv4. Errors: ARG. */
PEL_MUST_USE enum pel_err pel_endpoint_from_sockaddr(const struct sockaddr *sockaddr, socklen_t len,
                                                     struct pel_endpoint *ret_endpoint);

/* pel_endpoint_to_sockaddr writes the endpoint in the form of `family` (AF_INET, or AF_INET6 with IPv4
 * mapped) and returns its length. */
socklen_t pel_endpoint_to_sockaddr(const struct pel_endpoint *endpoint, int family,
                                   struct sockaddr_storage *ret);

#endif
