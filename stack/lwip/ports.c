/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Local ports of outgoing connections. One pass over the connections marks those that the same remote end
 * is reached from; the first free one after a random start is taken. One local port may so serve many
 * remote ends.
 */
#include "stack/lwip/private.h"

#include "lwip/priv/tcp_priv.h"

#define FIRST_PORT 32768u
#define NUM_PORTS  32768u

uint16_t pel_port_random(void)
{
    return (uint16_t)(FIRST_PORT + LWIP_RAND() % NUM_PORTS);
}

static bool is_flow(const struct tcp_pcb *pcb, const ip_addr_t *local, const ip_addr_t *remote,
                    uint16_t remote_port)
{
    return pcb->remote_port == remote_port && ip_addr_cmp(&pcb->remote_ip, remote) &&
           ip_addr_cmp(&pcb->local_ip, local);
}

bool pel_port_in_use(const ip_addr_t *local, uint16_t local_port, const ip_addr_t *remote,
                     uint16_t remote_port)
{
    const struct tcp_pcb *lists[] = {pel_lwip->tcp_active_pcbs, pel_lwip->tcp_tw_pcbs};
    for (int i = 0; i < 2; i++)
        for (const struct tcp_pcb *pcb = lists[i]; pcb != NULL; pcb = pcb->next)
            if (pcb->local_port == local_port && is_flow(pcb, local, remote, remote_port))
                return true;
    return false;
}

static void mark(uint64_t *used, unsigned port)
{
    if (port >= FIRST_PORT)
        used[(port - FIRST_PORT) / 64] |= 1ull << (port % 64);
}

uint16_t pel_port_choose(struct pel_ipstack *ip, const ip_addr_t *local, const ip_addr_t *remote,
                         uint16_t remote_port)
{
    uint64_t used[NUM_PORTS / 64] = {0};
    const struct tcp_pcb *lists[] = {pel_lwip->tcp_active_pcbs, pel_lwip->tcp_tw_pcbs};
    for (int i = 0; i < 2; i++)
        for (const struct tcp_pcb *pcb = lists[i]; pcb != NULL; pcb = pcb->next)
            if (is_flow(pcb, local, remote, remote_port))
                mark(used, pcb->local_port);
    for (const struct pel_tcp_listener *listener = ip->listeners; listener != NULL; listener = listener->next)
        mark(used, listener->local.port);
    unsigned start = pel_port_random() - FIRST_PORT;
    for (unsigned i = 0; i < NUM_PORTS; i++) {
        unsigned at = (start + i) % NUM_PORTS;
        if ((used[at / 64] & 1ull << (at % 64)) == 0)
            return (uint16_t)(FIRST_PORT + at);
    }
    return 0;
}
