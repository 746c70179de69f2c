/* SPDX-License-Identifier: Apache-2.0 */
#include "base/addr.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

enum pel_err pel_ip_parse(const char *text, struct pel_ip *ret_ip)
{
    struct pel_ip ip = {0};
    /* inet_pton, unlike inet_aton, takes whole dotted quads only. */
    if (inet_pton(AF_INET, text, ip.bytes) == 1)
        ip.version = 4;
    else if (inet_pton(AF_INET6, text, ip.bytes) == 1)
        ip.version = 6;
    else
        return PEL_E_SYNTAX;
    *ret_ip = ip;
    return PEL_OK;
}

bool pel_ip_equal(const struct pel_ip *a, const struct pel_ip *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

bool pel_ip_is_any(const struct pel_ip *ip)
{
    static const uint8_t zero[16];
    return memcmp(ip->bytes, zero, sizeof zero) == 0;
}

const char *pel_ip_format(const struct pel_ip *ip, char *text, size_t cap)
{
    int family = ip->version == 6 ? AF_INET6 : AF_INET;
    if (ip->version == 0 || inet_ntop(family, ip->bytes, text, (socklen_t)cap) == NULL)
        snprintf(text, cap, "*");
    return text;
}

const char *pel_endpoint_format(const struct pel_endpoint *endpoint, char *text, size_t cap)
{
    char ip[INET6_ADDRSTRLEN];
    pel_ip_format(&endpoint->ip, ip, sizeof ip);
    snprintf(text, cap, endpoint->ip.version == 6 ? "[%s]:%u" : "%s:%u", ip, endpoint->port);
    return text;
}

static enum pel_err parse_port(const char *text, uint16_t *ret_port)
{
    char *end;
    unsigned long port = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || port > 65535)
        return PEL_E_SYNTAX;
    *ret_port = (uint16_t)port;
    return PEL_OK;
}

enum pel_err pel_endpoint_parse(const char *text, struct pel_endpoint *ret_endpoint)
{
    char host[INET6_ADDRSTRLEN];
    struct pel_endpoint endpoint = {0};
    const char *colon = strrchr(text, ':');
    if (colon == NULL)
        return PEL_E_SYNTAX;
    PEL_TRY(parse_port(colon + 1, &endpoint.port));
    size_t host_len = (size_t)(colon - text);
    bool bracketed = host_len >= 2 && text[0] == '[' && text[host_len - 1] == ']';
    if (bracketed) {
        text++;
        host_len -= 2;
    }
    if (host_len >= sizeof host)
        return PEL_E_SYNTAX;
    memcpy(host, text, host_len);
    host[host_len] = '\0';
    if (host_len > 0) {
        PEL_TRY(pel_ip_parse(host, &endpoint.ip));
        /* Without brackets the last group of an IPv6 address would pass for a port. */
        if ((endpoint.ip.version == 6) != bracketed)
            return PEL_E_SYNTAX;
    } else if (bracketed) {
        return PEL_E_SYNTAX;
    }
    *ret_endpoint = endpoint;
    return PEL_OK;
}

enum pel_err pel_endpoint_from_sockaddr(const struct sockaddr *sockaddr, socklen_t len,
                                        struct pel_endpoint *ret_endpoint)
{
    struct pel_endpoint endpoint = {0};
    struct sockaddr_in in4;
    struct sockaddr_in6 in6;
    if (sockaddr == NULL || len < (socklen_t)sizeof(sa_family_t))
        return PEL_E_ARG;
    if (sockaddr->sa_family == AF_INET && len >= (socklen_t)sizeof in4) {
        memcpy(&in4, sockaddr, sizeof in4);
        endpoint.ip.version = 4;
        memcpy(endpoint.ip.bytes, &in4.sin_addr, 4);
        endpoint.port = ntohs(in4.sin_port);
    } else if (sockaddr->sa_family == AF_INET6 && len >= (socklen_t)sizeof in6) {
        memcpy(&in6, sockaddr, sizeof in6);
        bool mapped = memcmp(&in6.sin6_addr, mapped_prefix, sizeof mapped_prefix) == 0;
        endpoint.ip.version = mapped ? 4 : 6;
        if (mapped)
            memcpy(endpoint.ip.bytes, (const uint8_t *)&in6.sin6_addr + 12, 4);
        else
            memcpy(endpoint.ip.bytes, &in6.sin6_addr, 16);
        endpoint.port = ntohs(in6.sin6_port);
    } else {
        return PEL_E_ARG;
    }
    *ret_endpoint = endpoint;
    return PEL_OK;
}

static void to_in6(const struct pel_endpoint *endpoint, struct sockaddr_in6 *in6)
{
    uint8_t *bytes = (uint8_t *)&in6->sin6_addr;
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(endpoint->port);
    if (endpoint->ip.version == 4) {
        memcpy(bytes, mapped_prefix, sizeof mapped_prefix);
        memcpy(bytes + 12, endpoint->ip.bytes, 4);
    } else {
        memcpy(bytes, endpoint->ip.bytes, 16);
    }
}

socklen_t pel_endpoint_to_sockaddr(const struct pel_endpoint *endpoint, int family,
                                   struct sockaddr_storage *ret)
{
    memset(ret, 0, sizeof *ret);
    if (family == AF_INET6) {
        struct sockaddr_in6 in6 = {0};
        to_in6(endpoint, &in6);
        memcpy(ret, &in6, sizeof in6);
        return sizeof in6;
    }
    struct sockaddr_in in4 = {0};
    in4.sin_family = AF_INET;
    in4.sin_port = htons(endpoint->port);
    memcpy(&in4.sin_addr, endpoint->ip.bytes, 4);
    memcpy(ret, &in4, sizeof in4);
    return sizeof in4;
}
