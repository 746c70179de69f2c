/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which cases of lwIP's own unit tests are not run, and why. A row for a case that does not exist fails the
 * program, and so does a case that is neither run nor here.
 *
 * Cases that run with another expectation than lwIP's, because we changed the behaviour on purpose, are
 * changes/ *.patch, with the reason at the top of each.
 */
#include "stack/lwip/upstream/runner.h"

#include <string.h>

static const struct upstream_not_run rows[] = {
    {"api/test_sockets.c", NULL, UPSTREAM_BOTH,
     "lwIP's sockets are not compiled (LWIP_SOCKET 0): applications use pellucid.h"},
    {"mdns/test_mdns.c", NULL, UPSTREAM_BOTH, "lwIP's multicast DNS is not compiled"},
    {"mqtt/test_mqtt.c", NULL, UPSTREAM_BOTH, "lwIP's MQTT client is not compiled"},
    {"core/test_timers.c", NULL, UPSTREAM_BOTH,
     "lwIP's timer lists are not compiled (LWIP_TIMERS 0): stack/lwip/timers.c calls the timers"},
    {"core/test_mem.c", "test_mem_invalid_free", UPSTREAM_BOTH,
     "tests lwIP's own heap, and memory is malloc's (MEM_LIBC_MALLOC 1), whose misuse ASan finds"},
    {"core/test_mem.c", "test_mem_double_free", UPSTREAM_BOTH,
     "tests lwIP's own heap, and memory is malloc's (MEM_LIBC_MALLOC 1), whose misuse ASan finds"},
    {"core/test_netif.c", "test_netif_extcallbacks", UPSTREAM_OURS,
     "the interface's callbacks are not compiled (LWIP_NETIF_EXT_STATUS_CALLBACK 0): nobody asks for them"},
    {"dhcp/test_dhcp.c", "test_dhcp_nak", UPSTREAM_OURS,
     "an offered address is not probed (DHCP_DOES_ARP_CHECK 0), so that nothing is declined; runs in "
     "lwip-upstream"},
    {"etharp/test_etharp.c", NULL, UPSTREAM_OURS,
     "needs static entries, which are not compiled (ETHARP_SUPPORT_STATIC_ENTRIES 0); runs in lwip-upstream"},
    {"ip4/test_ip4.c", NULL, UPSTREAM_OURS,
     "reads lwIP's statistics of reassembly, which are not compiled (LWIP_STATS 0); runs in lwip-upstream"},
    {"ip6/test_ip6.c", "test_ip6_dummy", UPSTREAM_BOTH, "stands in where IPv6 is not compiled, and it is"},
    {"tcp/test_tcp_oos.c", "test_tcp_recv_ooseq_max_bytes", UPSTREAM_OURS,
     "needs a bound on bytes out of order below the window, and ours is the window; runs in lwip-upstream"},
    {"tcp/test_tcp_oos.c", "test_tcp_recv_ooseq_max_pbufs", UPSTREAM_OURS,
     "needs a bound on pbufs out of order of a few, and ours is thousands; runs in lwip-upstream"},
    {"tcp/test_tcp_oos.c", "test_tcp_recv_ooseq_overrun_rxwin", UPSTREAM_THEIRS,
     "needs bounds on what is out of order that are no less than the window; runs in lwip-upstream-ours"},
    {"tcp/test_tcp_oos.c", "test_tcp_recv_ooseq_overrun_rxwin_edge", UPSTREAM_THEIRS,
     "needs bounds on what is out of order that are no less than the window; runs in lwip-upstream-ours"},
};

static bool is_of(const struct upstream_not_run *row, const char *file, const char *name)
{
    return strcmp(row->file, file) == 0 && (row->name == NULL || strcmp(row->name, name) == 0);
}

const struct upstream_not_run *upstream_not_run(const char *file, const char *name,
                                                enum upstream_options options)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if ((rows[i].options & options) != 0 && is_of(&rows[i], file, name))
            return &rows[i];
    return NULL;
}

const struct upstream_not_run *upstream_not_run_row(size_t i)
{
    return i < sizeof(rows) / sizeof(rows[0]) ? &rows[i] : NULL;
}
