/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/preload/address.h"

#include <errno.h>
#include <string.h>

static socklen_t len_of(int family)
{
    return family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

int pel_address_take(int family, const struct sockaddr *address, socklen_t address_len,
                     union pel_ipc_address *ret)
{
    if ((int)address_len < 0)
        return EINVAL;
    if (address == NULL)
        return EFAULT;
    if (address_len < (family == AF_INET ? len_of(family) : 24u) || /* SIN6_LEN_RFC2133 */
        address_len > sizeof(struct sockaddr_storage))
        return EINVAL;
    /* Linux takes AF_UNSPEC with the wildcard for AF_INET, for the sake of old programs. */
    if (address->sa_family != family && !(family == AF_INET && address->sa_family == AF_UNSPEC))
        return EAFNOSUPPORT;
    memset(ret, 0, sizeof *ret);
    memcpy(ret, address, address_len < len_of(family) ? address_len : len_of(family));
    if (address->sa_family == AF_UNSPEC && ret->in.sin_addr.s_addr != INADDR_ANY)
        return EAFNOSUPPORT;
    ret->family = (sa_family_t)family;
    return 0;
}

void pel_address_give(int family, const union pel_ipc_address *address, struct sockaddr *ret_address,
                      socklen_t *address_len)
{
    union pel_ipc_address whole = *address;
    if (ret_address == NULL || address_len == NULL)
        return;
    if (address->family == AF_UNSPEC) {
        memset(&whole, 0, sizeof whole);
        whole.family = (sa_family_t)family;
    } else if (family == AF_INET6 && address->family == AF_INET) {
        memset(&whole, 0, sizeof whole);
        whole.in6.sin6_family = AF_INET6;
        whole.in6.sin6_port = address->in.sin_port;
        whole.in6.sin6_addr.s6_addr[10] = whole.in6.sin6_addr.s6_addr[11] = 0xff;
        memcpy(&whole.in6.sin6_addr.s6_addr[12], &address->in.sin_addr, 4);
    }
    socklen_t full_len = len_of(family);
    memcpy(ret_address, &whole, *address_len < full_len ? *address_len : full_len);
    *address_len = full_len;
}

/* The address's bytes, without the mapping. */
static const uint8_t *bytes_of(const union pel_ipc_address *address, size_t *ret_len)
{
    *ret_len = 4;
    if (address->family == AF_INET)
        return (const uint8_t *)&address->in.sin_addr;
    if (IN6_IS_ADDR_V4MAPPED(&address->in6.sin6_addr))
        return &address->in6.sin6_addr.s6_addr[12];
    *ret_len = 16;
    return address->in6.sin6_addr.s6_addr;
}

bool pel_address_is_any(const union pel_ipc_address *address)
{
    static const uint8_t none[16];
    size_t len;
    const uint8_t *bytes = bytes_of(address, &len);
    return memcmp(bytes, none, len) == 0;
}

bool pel_address_is_in(const union pel_ipc_address *address, const struct pel_ipc_network *network)
{
    size_t len, network_len;
    const uint8_t *bytes = bytes_of(address, &len), *first = bytes_of(&network->address, &network_len);
    unsigned num_bits = network->prefix_len;
    if (len != network_len || num_bits > len * 8)
        return false;
    if (memcmp(bytes, first, num_bits / 8) != 0)
        return false;
    return num_bits % 8 == 0 || ((bytes[num_bits / 8] ^ first[num_bits / 8]) >> (8 - num_bits % 8)) == 0;
}

bool pel_address_is_loopback(const union pel_ipc_address *address)
{
    static const uint8_t loopback[16] = {[15] = 1};
    size_t len;
    const uint8_t *bytes = bytes_of(address, &len);
    return len == 4 ? bytes[0] == 127 : memcmp(bytes, loopback, len) == 0;
}

uint16_t pel_address_port(const union pel_ipc_address *address)
{
    return ntohs(address->family == AF_INET ? address->in.sin_port : address->in6.sin6_port);
}
