/* SPDX-License-Identifier: Apache-2.0 */
/* The instance's life: open, poll, close. */
#include "stack/lwip/private.h"

#include "lwip/dhcp.h"
#include "lwip/etharp.h"
#include "lwip/init.h"
#include "lwip/nd6.h"
#include "lwip/priv/tcp_priv.h"
#include "netif/ethernet.h"

#define WINDOW_MIN (16u * 1024)
#define WINDOW_MAX (4u * 1024 * 1024)

static enum pel_err check_config(const struct pel_ipstack_config *config, struct pel_error *reterr)
{
    if (config->port == NULL || config->clock.now_us == NULL || config->num_addrs > PEL_IP_ADDRS_MAX)
        return pel_error_set(reterr, PEL_E_ARG, "an instance needs a port, a clock and at most %d addresses",
                             PEL_IP_ADDRS_MAX);
    if (config->port->mtu < 576 || config->port->mtu > 9216)
        return pel_error_set(reterr, PEL_E_ARG, "the port's MTU is %u, not 576 to 9216", config->port->mtu);
    if (config->tcp_window_len < WINDOW_MIN || config->tcp_window_len > WINDOW_MAX ||
        config->max_connections == 0)
        return pel_error_set(reterr, PEL_E_ARG, "tcp_window_len must be %u to %u, max_connections at least 1",
                             WINDOW_MIN, WINDOW_MAX);
    return PEL_OK;
}

static void set_key(struct pel_ipstack *ip, uint64_t seed)
{
    struct pel_prng prng;
    if (seed == 0) {
        pel_random_bytes(ip->key, sizeof(ip->key));
        return;
    }
    pel_prng_seed(&prng, seed);
    ip->key[0] = pel_prng_next(&prng);
    ip->key[1] = pel_prng_next(&prng);
}

static enum pel_err bring_up(struct pel_ipstack *ip, struct pel_error *reterr)
{
    lwip_init();
    tcp_ext_arg_alloc_id();
    if (netif_add(&ip->netif, NULL, NULL, NULL, ip, pel_netif_init, ethernet_input) == NULL)
        return pel_error_set(reterr, PEL_E_NO_MEMORY, "no memory for the interface");
    netif_set_default(&ip->netif);
    netif_set_link_up(&ip->netif);
    netif_set_up(&ip->netif);
    PEL_TRY(pel_ip_configure(ip, reterr));
    if (!ip->config.autoconf6)
        ip->netif.rs_count = 0;
    if (ip->config.dhcp4 && dhcp_start(&ip->netif) != ERR_OK)
        return pel_error_set(reterr, PEL_E_NO_MEMORY, "no memory for DHCP");
    pel_timers_start(ip);
    return PEL_OK;
}

enum pel_err pel_ip_open(const struct pel_ipstack_config *config, struct pel_ipstack **ret_ip,
                         struct pel_error *reterr)
{
    PEL_TRY(check_config(config, reterr));
    struct pel_ipstack *ip = calloc(1, sizeof(*ip));
    if (ip == NULL)
        return pel_error_set(reterr, PEL_E_NO_MEMORY, "no memory for the instance");
    ip->config = *config;
    ip->counters = config->counters;
    set_key(ip, config->secret_seed);
    if (pel_demux_open(&ip->demux, ip->key, config->max_connections, UINT32_MAX / 2) != PEL_OK) {
        free(ip);
        return pel_error_set(reterr, PEL_E_NO_MEMORY, "no memory for the table of connections");
    }
    pel_lwip_state_init(&ip->lwip);
    ip->lwip.owner = ip;
    ip->lwip.tcp_wnd = config->tcp_window_len;
    ip->lwip.tcp_snd_buf = config->tcp_window_len;

    struct pel_lwip_state *before = pel_ip_enter(ip);
    enum pel_err err = bring_up(ip, reterr);
    pel_ip_leave(before);
    if (err != PEL_OK) {
        pel_ip_close(ip);
        return err;
    }
    *ret_ip = ip;
    return PEL_OK;
}

void pel_ip_poll(struct pel_ipstack *ip)
{
    struct pel_lwip_state *before = pel_ip_enter(ip);
    pel_timers_run(ip);
    netif_poll(&ip->netif);
    pel_netif_flush(ip);
    pel_ip_leave(before);
}

static void drop_orphans(void)
{
    while (pel_lwip->tcp_active_pcbs != NULL)
        tcp_abort(pel_lwip->tcp_active_pcbs);
    while (pel_lwip->tcp_idle_pcbs != NULL)
        tcp_abort(pel_lwip->tcp_idle_pcbs);
    while (pel_lwip->tcp_tw_pcbs != NULL)
        tcp_abort(pel_lwip->tcp_tw_pcbs);
}

static void take_down(struct pel_ipstack *ip)
{
    pel_tcp_drop_all(ip);
    drop_orphans();
    while (ip->listeners != NULL)
        pel_tcp_unlisten(ip->listeners);
    while (ip->udps != NULL)
        pel_udp_close(ip->udps);
    pel_netif_flush(ip);
    if (ip->config.dhcp4) {
        dhcp_release_and_stop(&ip->netif);
        dhcp_cleanup(&ip->netif);
    }
    pel_timers_flush_reassembly();
    netif_poll(&ip->netif);
    if (ip->lwip.netif_list != NULL)
        netif_remove(&ip->netif);
}

size_t pel_ip_num_time_wait(const struct pel_ipstack *ip)
{
    size_t num = 0;
    for (const struct tcp_pcb *pcb = ip->lwip.tcp_tw_pcbs; pcb != NULL; pcb = pcb->next)
        num++;
    return num;
}

void pel_ip_close(struct pel_ipstack *ip)
{
    if (ip == NULL)
        return;
    struct pel_lwip_state *before = pel_ip_enter(ip);
    take_down(ip);
    pel_netif_flush(ip);
    pel_netif_drop_tx(ip);
    pel_ip_leave(before == &ip->lwip ? NULL : before);
    pel_demux_close(&ip->demux);
    free(ip);
}
