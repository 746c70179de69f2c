/* SPDX-License-Identifier: Apache-2.0 */
/* The interface's addresses and routes, and the way between struct pel_ip and lwIP's addresses. */
#include "stack/lwip/private.h"

#include "lwip/dhcp.h"
#include "lwip/nd6.h"
#include "lwip/priv/nd6_priv.h"

ip_addr_t pel_to_lwip_addr(const struct pel_ipstack *ip, const struct pel_ip *from)
{
    ip_addr_t to;
    memset(&to, 0, sizeof(to));
    if (from->version == 4) {
        memcpy(&ip_2_ip4(&to)->addr, from->bytes, 4);
        IP_SET_TYPE_VAL(to, IPADDR_TYPE_V4);
    } else if (from->version == 6) {
        memcpy(ip_2_ip6(&to)->addr, from->bytes, 16);
        IP_SET_TYPE_VAL(to, IPADDR_TYPE_V6);
        if (ip6_addr_lacks_zone(ip_2_ip6(&to), IP6_UNKNOWN))
            ip6_addr_assign_zone(ip_2_ip6(&to), IP6_UNKNOWN, &ip->netif);
    } else {
        IP_SET_TYPE_VAL(to, IPADDR_TYPE_ANY);
    }
    return to;
}

struct pel_ip pel_from_lwip_addr(const ip_addr_t *from)
{
    struct pel_ip to = {.version = 0};
    if (IP_IS_V4(from)) {
        to.version = 4;
        memcpy(to.bytes, &ip_2_ip4(from)->addr, 4);
    } else if (IP_IS_V6(from)) {
        to.version = 6;
        memcpy(to.bytes, ip_2_ip6(from)->addr, 16);
    }
    return to;
}

static uint8_t netmask_len(const ip4_addr_t *mask)
{
    return (uint8_t)__builtin_popcount(mask->addr);
}

static uint8_t prefix6_len(const struct pel_ipstack *ip, const struct pel_ip *addr)
{
    for (size_t i = 0; i < ip->config.num_addrs; i++)
        if (pel_ip_equal(&ip->config.addrs[i].ip, addr))
            return ip->config.addrs[i].prefix_len;
    return 64;
}

size_t pel_ip_addrs(const struct pel_ipstack *ip, struct pel_ip_prefix *ret_addrs, size_t max)
{
    size_t num = 0;
    const struct netif *netif = &ip->netif;
    if (num < max && !ip4_addr_isany(netif_ip4_addr(netif))) {
        ret_addrs[num].ip = pel_from_lwip_addr(netif_ip_addr4(netif));
        ret_addrs[num++].prefix_len = netmask_len(netif_ip4_netmask(netif));
    }
    for (int i = 0; i < LWIP_IPV6_NUM_ADDRESSES && num < max; i++) {
        if (!ip6_addr_isvalid(netif_ip6_addr_state(netif, i)))
            continue;
        ret_addrs[num].ip = pel_from_lwip_addr(netif_ip_addr6(netif, i));
        ret_addrs[num].prefix_len = prefix6_len(ip, &ret_addrs[num].ip);
        num++;
    }
    return num;
}

bool pel_ip_is_local(const struct pel_ipstack *ip, const struct pel_ip *addr)
{
    struct pel_ip_prefix addrs[LWIP_IPV6_NUM_ADDRESSES + 1];
    size_t num = pel_ip_addrs(ip, addrs, LWIP_IPV6_NUM_ADDRESSES + 1);
    for (size_t i = 0; i < num; i++)
        if (pel_ip_equal(&addrs[i].ip, addr))
            return true;
    return false;
}

enum pel_err pel_ip_source(struct pel_ipstack *ip, const struct pel_ip *remote, struct pel_ip *ret_source)
{
    if (!pel_ip_has_route(ip, remote))
        return PEL_E_NO_ROUTE;
    struct pel_lwip_state *before = pel_ip_enter(ip);
    ip_addr_t to = pel_to_lwip_addr(ip, remote);
    const ip_addr_t *from = ip_netif_get_local_ip(&ip->netif, &to);
    bool is_found = from != NULL && !ip_addr_isany(from);
    if (is_found)
        *ret_source = pel_from_lwip_addr(from);
    pel_ip_leave(before);
    return is_found ? PEL_OK : PEL_E_NO_ROUTE;
}

static bool has_route4(const struct netif *netif, const struct pel_ip *remote)
{
    ip4_addr_t addr;
    memcpy(&addr.addr, remote->bytes, 4);
    if (ip4_addr_isany(netif_ip4_addr(netif)) || ip4_addr_isany_val(addr) || ip4_addr_ismulticast(&addr))
        return false;
    return ip4_addr_netcmp(&addr, netif_ip4_addr(netif), netif_ip4_netmask(netif)) ||
           !ip4_addr_isany(netif_ip4_gw(netif));
}

/* As nd6.c decides: the link-local prefix, /64 prefixes of our static addresses, advertised prefixes, then
 * gateways. */
static bool has_route6(const struct pel_ipstack *ip, const ip6_addr_t *addr)
{
    const struct pel_lwip_state *lwip = &ip->lwip;
    if (ip6_addr_isany(addr) || ip6_addr_ismulticast(addr))
        return false;
    if (ip6_addr_islinklocal(addr) || !ip6_addr_isany(&ip->gateway6))
        return true;
    for (int i = 0; i < LWIP_IPV6_NUM_ADDRESSES; i++)
        if (ip6_addr_isvalid(netif_ip6_addr_state(&ip->netif, i)) &&
            ip6_addr_netcmp(addr, netif_ip6_addr(&ip->netif, i)))
            return true;
    for (int i = 0; i < LWIP_ND6_NUM_PREFIXES; i++)
        if (lwip->prefix_list[i].netif != NULL && ip6_addr_netcmp(addr, &lwip->prefix_list[i].prefix))
            return true;
    for (int i = 0; i < LWIP_ND6_NUM_ROUTERS; i++)
        if (lwip->default_router_list[i].neighbor_entry != NULL)
            return true;
    return false;
}

bool pel_ip_has_route(const struct pel_ipstack *ip, const struct pel_ip *remote)
{
    if (remote->version == 4)
        return has_route4(&ip->netif, remote);
    ip_addr_t addr = pel_to_lwip_addr(ip, remote);
    return remote->version == 6 && has_route6(ip, ip_2_ip6(&addr));
}

static enum pel_err add_addr4(struct pel_ipstack *ip, const struct pel_ip_prefix *prefix,
                              struct pel_error *reterr)
{
    if (prefix->prefix_len > 32 || !ip4_addr_isany(netif_ip4_addr(&ip->netif)) || ip->config.dhcp4)
        return pel_error_set(reterr, PEL_E_ARG,
                             "one IPv4 address, of a prefix of 0 to 32 bits, and none with DHCP");
    ip_addr_t addr = pel_to_lwip_addr(ip, &prefix->ip), gateway = pel_to_lwip_addr(ip, &ip->config.gateway4);
    ip4_addr_t mask = {.addr = lwip_htonl((u32_t)(0xffffffff00000000u >> prefix->prefix_len))};
    if (ip->config.gateway4.version != 4)
        ip4_addr_set_zero(ip_2_ip4(&gateway));
    netif_set_addr(&ip->netif, ip_2_ip4(&addr), &mask, ip_2_ip4(&gateway));
    return PEL_OK;
}

/* Configured addresses are used at once, without looking for duplicates: the engine must not wait for its
 * own set-up. */
static enum pel_err add_addr6(struct pel_ipstack *ip, const struct pel_ip_prefix *prefix,
                              struct pel_error *reterr)
{
    s8_t index = -1;
    ip_addr_t addr = pel_to_lwip_addr(ip, &prefix->ip);
    if (prefix->prefix_len > 128 || ip6_addr_isany(ip_2_ip6(&addr)) ||
        ip6_addr_ismulticast(ip_2_ip6(&addr)) ||
        netif_add_ip6_address(&ip->netif, ip_2_ip6(&addr), &index) != ERR_OK)
        return pel_error_set(reterr, PEL_E_ARG, "an IPv6 address of the interface cannot be used");
    netif_ip6_addr_set_state(&ip->netif, index, IP6_ADDR_PREFERRED);
    return PEL_OK;
}

enum pel_err pel_ip_configure(struct pel_ipstack *ip, struct pel_error *reterr)
{
    netif_create_ip6_linklocal_address(&ip->netif, 1);
    netif_ip6_addr_set_state(&ip->netif, 0, IP6_ADDR_PREFERRED);
    for (size_t i = 0; i < ip->config.num_addrs; i++) {
        const struct pel_ip_prefix *prefix = &ip->config.addrs[i];
        if (prefix->ip.version == 4)
            PEL_TRY(add_addr4(ip, prefix, reterr));
        else if (prefix->ip.version == 6)
            PEL_TRY(add_addr6(ip, prefix, reterr));
        else
            return pel_error_set(reterr, PEL_E_ARG, "address %zu of the interface is none", i);
    }
    if (ip->config.gateway6.version == 6) {
        ip_addr_t gateway = pel_to_lwip_addr(ip, &ip->config.gateway6);
        ip->gateway6 = *ip_2_ip6(&gateway);
    }
    return PEL_OK;
}
