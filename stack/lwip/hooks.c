/* SPDX-License-Identifier: Apache-2.0 */
/* lwIP's questions to the instance. lwIP calls these only with an instance entered. */
#include "stack/lwip/private.h"
#include "stack/lwip/siphash.h"

#include <stdio.h>

#include "lwip/sys.h"
#include "pel_lwip_hooks.h"

/* RFC 5961 section 7 wants a limit; a fixed one would let an attacker count (CVE-2016-5696), so each second
 * has its own. */
#define CHALLENGES_MIN    50
#define CHALLENGES_SPREAD 100

uint32_t pel_lwip_rand(void)
{
    struct pel_ipstack *ip = pel_ip_current();
    ip->num_randoms++;
    return (uint32_t)pel_siphash(ip->key, &ip->num_randoms, sizeof(ip->num_randoms));
}

/* RFC 6528: a clock of 4 us steps, and an offset that is secret and fixed for the connection's addresses
 * and ports. */
u32_t pel_lwip_isn(const ip_addr_t *local, u16_t local_port, const ip_addr_t *remote, u16_t remote_port)
{
    struct pel_ipstack *ip = pel_ip_current();
    struct {
        struct pel_ip local, remote;
        uint16_t local_port, remote_port;
    } flow;
    memset(&flow, 0, sizeof(flow));
    flow.local = pel_from_lwip_addr(local);
    flow.remote = pel_from_lwip_addr(remote);
    flow.local_port = local_port;
    flow.remote_port = remote_port;
    return (u32_t)(pel_siphash(ip->key, &flow, sizeof(flow)) + pel_ip_now_us(ip) / 4);
}

const ip6_addr_t *pel_lwip_gateway6(struct netif *netif, const ip6_addr_t *dest)
{
    const struct pel_ipstack *ip = (const struct pel_ipstack *)netif->state;
    return ip6_addr_isany(&ip->gateway6) ? NULL : &ip->gateway6;
}

int pel_lwip_may_challenge(void)
{
    struct pel_ipstack *ip = pel_ip_current();
    uint64_t second = pel_ip_now_us(ip) / 1000000 + 1;
    if (second != ip->challenge_second) {
        ip->challenge_second = second;
        ip->challenges_left = CHALLENGES_MIN + pel_lwip_rand() % CHALLENGES_SPREAD;
    }
    if (ip->challenges_left == 0)
        return 0;
    ip->challenges_left--;
    pel_count_stat(ip->counters, PEL_STAT_tcp_challenge_acks, 1);
    return 1;
}

void pel_lwip_backlog_full(void)
{
    pel_count_err(pel_ip_current()->counters, PEL_E_BACKLOG_FULL);
}

void pel_lwip_window_probe(void)
{
    pel_count_stat(pel_ip_current()->counters, PEL_STAT_tcp_window_probes, 1);
}

void pel_lwip_retransmit(void)
{
    pel_count_stat(pel_ip_current()->counters, PEL_STAT_tcp_retransmits, 1);
}

u32_t sys_now(void)
{
    return (u32_t)(pel_ip_now_us(pel_ip_current()) / 1000);
}

/* Four sums side by side keep the adder busy; 32-bit words in 64-bit sums cannot overflow below 16 GiB. */
uint16_t pel_lwip_chksum(const void *bytes, int len)
{
    const uint8_t *at = (const uint8_t *)bytes;
    uint64_t sum[4] = {0, 0, 0, 0};
    for (; len >= 16; at += 16, len -= 16) {
        uint32_t words[4];
        memcpy(words, at, 16);
        for (int i = 0; i < 4; i++)
            sum[i] += words[i];
    }
    uint8_t rest[16] = {0};
    uint32_t words[4];
    if (len > 0)
        memcpy(rest, at, (size_t)len);
    memcpy(words, rest, 16);
    uint64_t all = 0;
    for (int i = 0; i < 4; i++)
        all += sum[i] + words[i];
    while (all >> 16)
        all = (all & 0xffff) + (all >> 16);
    return (uint16_t)all;
}

#ifdef NDEBUG
void pel_lwip_assert_failed(const char *what, const char *file, int line)
{
    if (pel_lwip != NULL)
        pel_count_err(pel_ip_current()->counters, PEL_E_STATE);
}
#else
void pel_lwip_assert_failed(const char *what, const char *file, int line)
{
    fprintf(stderr, "%s:%d: lwIP's assertion failed: %s\n", file, line, what);
    abort();
}
#endif
