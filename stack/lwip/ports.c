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

uint16_t pel_port_choose(struct pel_ipstack *ip, const ip_addr_t *local, const ip_addr_t *remote,
                         uint16_t remote_port)
{
    uint32_t random = LWIP_RAND();
    uint32_t at = random % NUM_PORTS, step = (random >> 16) | 1;
    for (unsigned i = 0; i < NUM_PORTS; i++, at = (at + step) % NUM_PORTS) {
        uint16_t port = (uint16_t)(FIRST_PORT + at);
        if (!is_listened_on(ip, port) && !pel_port_in_use(local, port, remote, remote_port))
            return port;
    }
    return 0;
}
