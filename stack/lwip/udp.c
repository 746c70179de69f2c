/* SPDX-License-Identifier: Apache-2.0 */
/* UDP endpoints. */
#include "stack/lwip/private.h"

#define DATAGRAM_MAX  65507u /* of IPv4: 65535 less both headers */
#define DATAGRAM6_MAX 65487u /* lwIP's lengths hold the IPv6 header too */
#define BIND_TRIES    1000

static void receive_event(void *arg, struct udp_pcb *pcb, struct pbuf *p, const ip_addr_t *addr, u16_t port)
{
    struct pel_udp *udp = (struct pel_udp *)arg;
    struct pel_endpoint from = {pel_from_lwip_addr(addr), port};
    pel_count_stat(udp->ip->counters, PEL_STAT_udp_in, 1);
    udp->receive(udp->arg, &from, pel_buf_from_pbuf(p));
}

static enum pel_err bind_pcb(struct pel_ipstack *ip, struct pel_udp *udp, const struct pel_endpoint *local,
                             bool is_shared)
{
    ip_addr_t addr = pel_to_lwip_addr(ip, &local->ip);
    udp->pcb = udp_new_ip_type(IP_GET_TYPE(&addr));
    if (udp->pcb == NULL)
        return PEL_E_NO_MEMORY;
    if (is_shared)
        ip_set_option(udp->pcb, SOF_REUSEADDR);
    err_t err = ERR_USE;
    for (int i = 0; err == ERR_USE && i < (local->port == 0 ? BIND_TRIES : 1); i++) {
        udp->local.port = local->port != 0 ? local->port : pel_port_random();
        err = udp_bind(udp->pcb, &addr, udp->local.port);
    }
    if (err == ERR_OK)
        return PEL_OK;
    udp_remove(udp->pcb);
    return local->port == 0 ? PEL_E_NO_LOCAL_PORT : PEL_E_ADDRESS_IN_USE;
}

static enum pel_err open_udp(struct pel_ipstack *ip, const struct pel_endpoint *local, bool is_shared,
                             pel_udp_receive_fn *receive, void *arg, struct pel_udp **ret_udp)
{
    if (!pel_ip_is_any(&local->ip) && !pel_ip_is_local(ip, &local->ip))
        return pel_count_err(ip->counters, PEL_E_ADDRESS_NOT_OURS);
    struct pel_udp *udp = calloc(1, sizeof(*udp));
    if (udp == NULL)
        return pel_count_err(ip->counters, PEL_E_NO_MEMORY);
    struct pel_lwip_state *before = pel_ip_enter(ip);
    udp->local = *local;
    enum pel_err err = bind_pcb(ip, udp, local, is_shared);
    if (err == PEL_OK) {
        udp->ip = ip;
        udp->receive = receive;
        udp->arg = arg;
        udp->next = ip->udps;
        ip->udps = udp;
        udp_recv(udp->pcb, receive_event, udp);
        *ret_udp = udp;
    } else {
        free(udp);
    }
    pel_ip_leave(before);
    return pel_count_err(ip->counters, err);
}

enum pel_err pel_udp_open(struct pel_ipstack *ip, const struct pel_endpoint *local,
                          pel_udp_receive_fn *receive, void *arg, struct pel_udp **ret_udp)
{
    return open_udp(ip, local, false, receive, arg, ret_udp);
}

enum pel_err pel_udp_open_shared(struct pel_ipstack *ip, const struct pel_endpoint *local,
                                 pel_udp_receive_fn *receive, void *arg, struct pel_udp **ret_udp)
{
    return open_udp(ip, local, true, receive, arg, ret_udp);
}

void pel_udp_set_refused(struct pel_udp *udp, pel_udp_refused_fn *refused)
{
    udp->refused = refused;
}

/* As the kernel does, only who is connected hears it: others could not tell which datagram was meant. */
void pel_udp_refuse(struct pel_ipstack *ip, const struct pel_endpoint *from, const struct pel_endpoint *to)
{
    for (struct pel_udp *udp = ip->udps; udp != NULL; udp = udp->next) {
        const struct udp_pcb *pcb = udp->pcb;
        struct pel_ip peer = pel_from_lwip_addr(&pcb->remote_ip);
        if ((pcb->flags & UDP_FLAGS_CONNECTED) == 0 || udp->refused == NULL ||
            udp->local.port != from->port || pcb->remote_port != to->port || !pel_ip_equal(&peer, &to->ip))
            continue;
        udp->refused(udp->arg);
        return;
    }
}

void pel_udp_connect(struct pel_udp *udp, const struct pel_endpoint *remote)
{
    struct pel_lwip_state *before = pel_ip_enter(udp->ip);
    udp_disconnect(udp->pcb);
    if (remote != NULL) {
        ip_addr_t addr = pel_to_lwip_addr(udp->ip, &remote->ip);
        udp_connect(udp->pcb, &addr, remote->port); /* fails only where it would have to bind first */
    }
    pel_ip_leave(before);
}

static enum pel_err send_datagram(struct pel_udp *udp, const struct pel_endpoint *to, const uint8_t *bytes,
                                  size_t len)
{
    struct pbuf *p = pbuf_alloc(PBUF_TRANSPORT, (u16_t)len, PBUF_RAM);
    if (p == NULL)
        return PEL_E_NO_MEMORY;
    if (len > 0)
        memcpy(p->payload, bytes, len);
    ip_addr_t addr = pel_to_lwip_addr(udp->ip, &to->ip);
    err_t err = udp_sendto(udp->pcb, p, &addr, to->port);
    pbuf_free(p);
    if (err == ERR_OK)
        return PEL_OK;
    return err == ERR_RTE || err == ERR_VAL ? PEL_E_NO_ROUTE : PEL_E_NO_MEMORY;
}

enum pel_err pel_udp_send(struct pel_udp *udp, const struct pel_endpoint *to, const uint8_t *bytes,
                          size_t len)
{
    struct pel_counters *counters = udp->ip->counters;
    if (len > (to->ip.version == 6 ? DATAGRAM6_MAX : DATAGRAM_MAX))
        return pel_count_err(counters, PEL_E_TOO_BIG);
    if (!pel_ip_has_route(udp->ip, &to->ip))
        return pel_count_err(counters, PEL_E_NO_ROUTE);
    struct pel_lwip_state *before = pel_ip_enter(udp->ip);
    enum pel_err err = pel_count_err(counters, send_datagram(udp, to, bytes, len));
    pel_ip_leave(before);
    if (err == PEL_OK)
        pel_count_stat(counters, PEL_STAT_udp_out, 1);
    return err;
}

struct pel_endpoint pel_udp_local(const struct pel_udp *udp)
{
    return udp->local;
}

void pel_udp_close(struct pel_udp *udp)
{
    if (udp == NULL)
        return;
    struct pel_lwip_state *before = pel_ip_enter(udp->ip);
    for (struct pel_udp **at = &udp->ip->udps; *at != NULL; at = &(*at)->next)
        if (*at == udp) {
            *at = udp->next;
            break;
        }
    udp_remove(udp->pcb);
    free(udp);
    pel_ip_leave(before);
}
