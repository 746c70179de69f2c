/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Local ports of outgoing connections: from a random start in random steps (which, being odd, come to every
 * port once) to the first that no connection to the same remote end and no listener has. One local port may
 * so serve many remote ends. A look at a port is one look into the demultiplexer; nothing is walked through.
 */
#include "stack/lwip/private.h"

#include "lwip/priv/tcp_priv.h"

#define FIRST_PORT 32768u
#define NUM_PORTS  32768u

uint16_t pel_port_random(void)
{
    return (uint16_t)(FIRST_PORT + LWIP_RAND() % NUM_PORTS);
}

bool pel_port_in_use(const ip_addr_t *local, uint16_t local_port, const ip_addr_t *remote,
                     uint16_t remote_port)
{
    return pel_demux_find(&pel_ip_current()->demux, local, local_port, remote, remote_port) != NULL;
}

static bool is_listened_on(const struct pel_ipstack *ip, uint16_t port)
{
    const struct tcp_pcb_listen *l = pel_demux_listeners_of(&ip->demux, port);
    while (l != NULL && l->local_port != port)
        l = l->hash_next;
    return l != NULL;
}

bool pel_port_comes_here(const struct pel_ipstack *ip, const ip_addr_t *local, uint16_t local_port,
                         const ip_addr_t *remote, uint16_t remote_port)
{
    const struct pel_port *port = ip->config.port;
    struct pel_endpoint from = {.ip = pel_from_lwip_addr(remote), .port = remote_port};
    struct pel_endpoint to = {.ip = pel_from_lwip_addr(local), .port = local_port};
    if (port->rss == NULL || port->num_queues == 1 || pel_ip_is_local(ip, &from.ip))
        return true; /* what goes to ourselves never leaves the instance */
    return pel_rss_flow_queue(port->rss, &from, &to) == ip->config.queue;
}

bool pel_tcp_comes_here(struct pel_ipstack *ip, const struct pel_endpoint *local,
                        const struct pel_endpoint *remote)
{
    struct pel_lwip_state *before = pel_ip_enter(ip);
    ip_addr_t from = pel_to_lwip_addr(ip, &local->ip), to = pel_to_lwip_addr(ip, &remote->ip);
    const ip_addr_t *chosen = pel_ip_is_any(&local->ip) ? ip_netif_get_local_ip(&ip->netif, &to) : &from;
    bool here = chosen == NULL || pel_port_comes_here(ip, chosen, local->port, &to, remote->port);
    pel_ip_leave(before);
    return here;
}

/* A connection to ourselves stays on its engine, whatever its ports; but no two engines may choose the same
 * one, or both would have a connection of the same two ends. */
static bool is_of_own_share(const struct pel_ipstack *ip, const ip_addr_t *remote, uint16_t local_port)
{
    const struct pel_ip to = pel_from_lwip_addr(remote);
    uint16_t num = ip->config.port->num_queues;
    return num <= 1 || !pel_ip_is_local(ip, &to) || local_port % num == ip->config.queue % num;
}

uint16_t pel_port_choose(struct pel_ipstack *ip, const ip_addr_t *local, const ip_addr_t *remote,
                         uint16_t remote_port)
{
    uint32_t random = LWIP_RAND();
    uint32_t at = random % NUM_PORTS, step = (random >> 16) | 1;
    for (unsigned i = 0; i < NUM_PORTS; i++, at = (at + step) % NUM_PORTS) {
        uint16_t port = (uint16_t)(FIRST_PORT + at);
        if (is_of_own_share(ip, remote, port) && !is_listened_on(ip, port) &&
            pel_port_comes_here(ip, local, port, remote, remote_port) &&
            !pel_port_in_use(local, port, remote, remote_port))
            return port;
    }
    return 0;
}
