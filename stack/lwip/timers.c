/* SPDX-License-Identifier: Apache-2.0 */
/* lwIP's periodic functions, called by the instance's own clock. */
#include "stack/lwip/private.h"

#include "lwip/dhcp.h"
#include "lwip/etharp.h"
#include "lwip/ip4_frag.h"
#include "lwip/ip6_frag.h"
#include "lwip/mld6.h"
#include "lwip/nd6.h"
#include "lwip/priv/tcp_priv.h"

struct timer_row {
    void (*run)(void);
    uint32_t interval_ms;
    bool (*is_needed)(const struct pel_ipstack *ip);
};

/* After a pause of the whole process a timer makes up for so many turns; the rest are left out. */
#define CATCH_UP_MAX 20

/* How soon a connection without memory for what its owner has written tries again. */
#define STUCK_INTERVAL_MS 20

static bool always(const struct pel_ipstack *ip)
{
    return true;
}

static bool has_tcp(const struct pel_ipstack *ip)
{
    return ip->demux.num > 0;
}

static bool has_dhcp(const struct pel_ipstack *ip)
{
    return ip->config.dhcp4;
}

static bool has_reassembly(const struct pel_ipstack *ip)
{
    return ip->lwip.ip4_frag_reassdatagrams != NULL || ip->lwip.ip6_frag_reassdatagrams != NULL;
}

static bool has_stuck(const struct pel_ipstack *ip)
{
    return ip->has_stuck;
}

static const struct timer_row timer_rows[PEL_NUM_TIMERS] = {
    {tcp_tmr, TCP_TMR_INTERVAL, has_tcp},
    {ip_reass_tmr, IP_TMR_INTERVAL, has_reassembly},
    {ip6_reass_tmr, IP6_REASS_TMR_INTERVAL, has_reassembly},
    {etharp_tmr, ARP_TMR_INTERVAL, always},
    {nd6_tmr, ND6_TMR_INTERVAL, always},
    {mld6_tmr, MLD6_TMR_INTERVAL, always},
    {dhcp_fine_tmr, DHCP_FINE_TIMER_MSECS, has_dhcp},
    {dhcp_coarse_tmr, DHCP_COARSE_TIMER_MSECS, has_dhcp},
    {pel_tcp_retry_stuck, STUCK_INTERVAL_MS, has_stuck},
};

void pel_timers_start(struct pel_ipstack *ip)
{
    uint64_t now_us = pel_ip_now_us(ip);
    for (int i = 0; i < PEL_NUM_TIMERS; i++)
        ip->due_us[i] = now_us + timer_rows[i].interval_ms * 1000ull;
    ip->first_due_us = now_us;
}

void pel_timers_run(struct pel_ipstack *ip)
{
    uint64_t now_us = pel_ip_now_us(ip);
    if (now_us < ip->first_due_us)
        return;
    ip->first_due_us = UINT64_MAX;
    for (int i = 0; i < PEL_NUM_TIMERS; i++) {
        uint64_t interval_us = timer_rows[i].interval_ms * 1000ull;
        for (int turn = 0; ip->due_us[i] <= now_us && turn < CATCH_UP_MAX; turn++) {
            ip->due_us[i] += interval_us;
            ip->in_tcp_timer = i == 0;
            if (timer_rows[i].is_needed(ip))
                timer_rows[i].run();
            ip->in_tcp_timer = false;
        }
        if (ip->due_us[i] <= now_us)
            ip->due_us[i] = now_us + interval_us;
        if (ip->due_us[i] < ip->first_due_us)
            ip->first_due_us = ip->due_us[i];
    }
}

uint64_t pel_ip_next_timer_us(const struct pel_ipstack *ip)
{
    uint64_t next_us = UINT64_MAX;
    for (int i = 0; i < PEL_NUM_TIMERS; i++)
        if (timer_rows[i].is_needed(ip) && ip->due_us[i] < next_us)
            next_us = ip->due_us[i];
    uint64_t now_us = pel_ip_now_us(ip), send_us = UINT64_MAX;
    if (ip->num_tx > 0)
        send_us = ip->tx_full_us == 0 ? now_us : ip->tx_full_us + PEL_TX_RETRY_US;
    if (ip->netif.loop_first != NULL)
        send_us = now_us;
    return send_us < next_us ? send_us : next_us;
}

void pel_timers_flush_reassembly(void)
{
    for (int i = 0; i <= IP_REASS_MAXAGE + 1; i++)
        ip_reass_tmr();
    for (int i = 0; i <= IPV6_REASS_MAXAGE + 1; i++)
        ip6_reass_tmr();
}
