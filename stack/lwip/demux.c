/* SPDX-License-Identifier: Apache-2.0 */
#include "stack/lwip/demux.h"

#include <stdlib.h>
#include <string.h>

#include "pel_lwip_hooks.h"
#include "stack/lwip/private.h"
#include "stack/lwip/siphash.h"

#define FIRST_CHAINS_MIN 64u
#define FIRST_CHAINS_MAX 131072u /* 1 MiB, of which only what is used becomes real memory */

static uint32_t hash_of(const struct pel_demux *demux, const ip_addr_t *local, uint16_t local_port,
                        const ip_addr_t *remote, uint16_t remote_port)
{
    uint32_t words[9];
    size_t num = 0;
    words[num++] = (uint32_t)local_port << 16 | remote_port;
    if (IP_IS_V6(local)) {
        memcpy(&words[num], ip_2_ip6(local)->addr, 16);
        memcpy(&words[num + 4], ip_2_ip6(remote)->addr, 16);
        num += 8;
    } else {
        words[num++] = ip_2_ip4(local)->addr;
        words[num++] = ip_2_ip4(remote)->addr;
    }
    return (uint32_t)pel_siphash(demux->key, words, num * sizeof(words[0]));
}

static void put(struct pel_demux *demux, struct tcp_pcb *pcb)
{
    struct tcp_pcb **at = &demux->chains[pcb->hash & demux->mask];
    pcb->hash_next = *at;
    pcb->hash_link = at;
    if (pcb->hash_next != NULL)
        pcb->hash_next->hash_link = &pcb->hash_next;
    *at = pcb;
}

static void grow(struct pel_demux *demux)
{
    struct tcp_pcb **old = demux->chains;
    uint32_t num_old = demux->mask + 1;
    struct tcp_pcb **chains = calloc(2 * (size_t)num_old, sizeof(struct tcp_pcb *));
    if (chains == NULL)
        return;
    demux->chains = chains;
    demux->mask = 2 * num_old - 1;
    for (uint32_t i = 0; i < num_old; i++)
        for (struct tcp_pcb *pcb = old[i], *next; pcb != NULL; pcb = next) {
            next = pcb->hash_next;
            put(demux, pcb);
        }
    free(old);
}

enum pel_err pel_demux_open(struct pel_demux *demux, const uint64_t key[2], uint32_t num_expected,
                            uint32_t max_chains)
{
    uint32_t num = FIRST_CHAINS_MIN;
    while (num < num_expected && num < FIRST_CHAINS_MAX)
        num *= 2;
    while (num > max_chains && num > 1)
        num /= 2;
    struct tcp_pcb **chains = calloc(num, sizeof(struct tcp_pcb *));
    if (chains == NULL)
        return PEL_E_NO_MEMORY;
    *demux = (struct pel_demux){
        .key = {key[0], key[1]}, .chains = chains, .mask = num - 1, .max_chains = max_chains};
    return PEL_OK;
}

void pel_demux_close(struct pel_demux *demux)
{
    free(demux->chains);
    demux->chains = NULL;
}

void pel_demux_add(struct pel_demux *demux, struct tcp_pcb *pcb)
{
    if (demux->num > demux->mask && demux->mask + 1 < demux->max_chains)
        grow(demux);
    pcb->hash = hash_of(demux, &pcb->local_ip, pcb->local_port, &pcb->remote_ip, pcb->remote_port);
    put(demux, pcb);
    demux->num++;
}

void pel_demux_remove(struct pel_demux *demux, struct tcp_pcb *pcb)
{
    if (pcb->hash_link == NULL)
        return;
    *pcb->hash_link = pcb->hash_next;
    if (pcb->hash_next != NULL)
        pcb->hash_next->hash_link = pcb->hash_link;
    pcb->hash_next = NULL;
    pcb->hash_link = NULL;
    demux->num--;
}

struct tcp_pcb *pel_demux_find(const struct pel_demux *demux, const ip_addr_t *local, uint16_t local_port,
                               const ip_addr_t *remote, uint16_t remote_port)
{
    uint32_t hash = hash_of(demux, local, local_port, remote, remote_port);
    struct tcp_pcb *pcb = demux->chains[hash & demux->mask];
    while (pcb != NULL &&
           (pcb->hash != hash || pcb->remote_port != remote_port || pcb->local_port != local_port ||
            !ip_addr_cmp(&pcb->remote_ip, remote) || !ip_addr_cmp(&pcb->local_ip, local)))
        pcb = pcb->hash_next;
    return pcb;
}

/* ---- listeners ---- */

void pel_demux_listen(struct pel_demux *demux, struct tcp_pcb_listen *listener)
{
    struct tcp_pcb_listen **at = &demux->listeners[listener->local_port % PEL_LISTENER_CHAINS];
    listener->hash_next = *at;
    listener->hash_link = at;
    if (listener->hash_next != NULL)
        listener->hash_next->hash_link = &listener->hash_next;
    *at = listener;
}

void pel_demux_unlisten(struct pel_demux *demux, struct tcp_pcb_listen *listener)
{
    *listener->hash_link = listener->hash_next;
    if (listener->hash_next != NULL)
        listener->hash_next->hash_link = listener->hash_link;
    listener->hash_next = NULL;
    listener->hash_link = NULL;
}

struct tcp_pcb_listen *pel_demux_listeners_of(const struct pel_demux *demux, uint16_t local_port)
{
    return demux->listeners[local_port % PEL_LISTENER_CHAINS];
}

struct tcp_pcb_listen *pel_demux_listener(const struct pel_demux *demux, const ip_addr_t *local,
                                          uint16_t local_port)
{
    struct tcp_pcb_listen *on_any = NULL;
    for (struct tcp_pcb_listen *l = pel_demux_listeners_of(demux, local_port); l != NULL; l = l->hash_next) {
        if (l->local_port != local_port)
            continue;
        bool is_same_version = IP_IS_V6_VAL(l->local_ip) == IP_IS_V6(local);
        if (IP_IS_ANY_TYPE_VAL(l->local_ip) || (is_same_version && ip_addr_isany(&l->local_ip)))
            on_any = l;
        else if (is_same_version && ip_addr_cmp(&l->local_ip, local))
            return l;
    }
    return on_any;
}

/* ---- lwIP's questions: always with an instance entered ---- */

void pel_lwip_pcb_link(struct tcp_pcb *pcb)
{
    pel_demux_add(&pel_ip_current()->demux, pcb);
}

void pel_lwip_pcb_unlink(struct tcp_pcb *pcb)
{
    pel_demux_remove(&pel_ip_current()->demux, pcb);
}

struct tcp_pcb *pel_lwip_pcb_find(const ip_addr_t *local, u16_t local_port, const ip_addr_t *remote,
                                  u16_t remote_port)
{
    return pel_demux_find(&pel_ip_current()->demux, local, local_port, remote, remote_port);
}

void pel_lwip_listener_link(struct tcp_pcb_listen *listener)
{
    pel_demux_listen(&pel_ip_current()->demux, listener);
}

void pel_lwip_listener_unlink(struct tcp_pcb_listen *listener)
{
    pel_demux_unlisten(&pel_ip_current()->demux, listener);
}

struct tcp_pcb_listen *pel_lwip_listener_find(const ip_addr_t *local, u16_t local_port)
{
    return pel_demux_listener(&pel_ip_current()->demux, local, local_port);
}

struct tcp_pcb_listen *pel_lwip_listeners_of(u16_t local_port)
{
    return pel_demux_listeners_of(&pel_ip_current()->demux, local_port);
}
