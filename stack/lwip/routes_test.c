/* SPDX-License-Identifier: Apache-2.0 */
/* Where packets go: configured gateways, and advertised prefixes and routers (RFC 4861, RFC 4862). */
#include "stack/lwip/frames.h"
#include "stack/lwip/lab.h"

#define SECOND 1000000ull

struct to_seen {
    uint8_t last_syn_to[6];
    int num_syns;
};

/* Remembers the station that SYNs go to. */
static bool see_syn(void *arg, const uint8_t *bytes, size_t len)
{
    struct to_seen *seen = (struct to_seen *)arg;
    bool is_tcp4 = len >= FRAME_L4 + 20 && bytes[12] == 8 && bytes[13] == 0 && bytes[23] == 6;
    bool is_tcp6 = len >= FRAME6_L4 + 20 && bytes[12] == 0x86 && bytes[20] == 6;
    size_t flags_at = (is_tcp4 ? FRAME_L4 : FRAME6_L4) + 13;
    if ((is_tcp4 || is_tcp6) && (bytes[flags_at] & SEG_SYN) != 0) {
        memcpy(seen->last_syn_to, bytes, 6);
        seen->num_syns++;
    }
    return true;
}

static void with_gateways(struct pel_ipstack_config *config)
{
    config->gateway4 = lab_endpoint("10.0.0.2:0").ip;
    config->gateway6 = lab_endpoint("[fd00::2]:0").ip;
}

PEL_TEST(lwip_routes, far_addresses_go_over_the_gateway)
{
    struct lab lab;
    struct to_seen seen = {.num_syns = 0};
    struct lab_conn conn4, conn6;
    lab_conn_init(&conn4, 0, 0, 0);
    lab_conn_init(&conn6, 0, 0, 0);
    PEL_REQUIRE(lab_open(&lab, NULL, with_gateways));
    pel_sim_tap(lab.a.port, see_syn, &seen);
    PEL_REQUIRE_OK(lab_connect(&lab.a, "192.0.2.1:80", &conn4));
    lab_run(&lab, SECOND / 2);
    PEL_EXPECT_EQ(seen.num_syns, 1);
    PEL_EXPECT_MEM(seen.last_syn_to, lab.b.port->mac, 6);
    pel_tcp_abort(conn4.tcp);
    memset(&seen, 0, sizeof(seen));
    PEL_REQUIRE_OK(lab_connect(&lab.a, "[2001:db8::1]:80", &conn6));
    lab_run(&lab, SECOND / 2);
    PEL_EXPECT_EQ(seen.num_syns, 1);
    PEL_EXPECT_MEM(seen.last_syn_to, lab.b.port->mac, 6);
    pel_tcp_abort(conn6.tcp);
    lab_close(&lab);
}

/* A router advertisement for 2001:db8:7::/64 from fe80::77, with the router's link address. */
static void router_advertisement(struct frame *f, const uint8_t *mac)
{
    static const uint8_t from[16] = {0xfe, 0x80, [15] = 0x77};
    static const uint8_t to[16] = {0xff, 2, [15] = 1};
    static const uint8_t icmp[56] = {134, 0, 0,  0,    64,   0,    0x07, 0x08, 0, 0, 0,    0,
                                     0,   0, 0,  0,    1,    1,    2,    0,    0, 0, 0,    0x77,
                                     3,   4, 64, 0xc0, 0,    1,    0x51, 0x80, 0, 0, 0x38, 0x40,
                                     0,   0, 0,  0,    0x20, 0x01, 0x0d, 0xb8, 0, 7};
    frame_solicit6(f, mac);
    memcpy(f->bytes + 22, from, 16);
    memcpy(f->bytes + 38, to, 16);
    memcpy(f->bytes + FRAME6_L4, icmp, sizeof(icmp));
    f->bytes[19] = sizeof(icmp);
    f->len = FRAME6_L4 + sizeof(icmp);
    frame_sums(f);
}

static void autoconfigured(struct pel_ipstack_config *config)
{
    config->num_addrs = 0;
    config->autoconf6 = true;
}

PEL_TEST(lwip_routes, advertised_prefixes_and_routers_are_taken_when_wanted)
{
    struct lab lab;
    struct to_seen seen = {.num_syns = 0};
    struct frame f;
    struct lab_conn conn;
    struct pel_ip_prefix addrs[4];
    static const uint8_t router_mac[6] = {2, 0, 0, 0, 0, 0x77};
    char text[64];
    lab_conn_init(&conn, 0, 0, 0);
    PEL_REQUIRE(lab_open(&lab, NULL, autoconfigured));
    pel_sim_tap(lab.a.port, see_syn, &seen);
    lab_run(&lab, SECOND);
    PEL_EXPECT_ERR(lab_connect(&lab.a, "[2001:db8::1]:80", &conn), PEL_E_NO_ROUTE);
    router_advertisement(&f, lab.a.port->mac);
    PEL_REQUIRE_OK(pel_sim_inject(lab.a.port, f.bytes, f.len));
    lab_run(&lab, 10 * SECOND);
    PEL_REQUIRE(pel_ip_addrs(lab.a.ip, addrs, 4) == 2);
    PEL_EXPECT_HAS(pel_ip_format(&addrs[1].ip, text, sizeof(text)), "2001:db8:7:");
    PEL_EXPECT_EQ(addrs[1].prefix_len, 64);
    PEL_REQUIRE_OK(lab_connect(&lab.a, "[2001:db8::1]:80", &conn));
    lab_run(&lab, SECOND / 2);
    PEL_EXPECT_EQ(seen.num_syns, 1);
    PEL_EXPECT_MEM(seen.last_syn_to, router_mac, 6);
    pel_tcp_abort(conn.tcp);
    lab_close(&lab);
}

PEL_TEST(lwip_routes, advertisements_are_refused_when_not_wanted)
{
    struct lab lab;
    struct frame f;
    struct pel_ip_prefix addrs[4];
    PEL_REQUIRE(lab_open(&lab, NULL, NULL));
    router_advertisement(&f, lab.a.port->mac);
    PEL_REQUIRE_OK(pel_sim_inject(lab.a.port, f.bytes, f.len));
    lab_run(&lab, 10 * SECOND);
    PEL_EXPECT_EQ(pel_ip_addrs(lab.a.ip, addrs, 4), 3);
    PEL_EXPECT_EQ(lab.a.counters.err[PEL_E_FRAME_ETHERTYPE], 1);
    lab_close(&lab);
}

/* Link-local addresses work without any configuration. */
PEL_TEST(lwip_routes, link_local)
{
    struct lab lab;
    struct lab_listener listener;
    struct lab_conn client, server;
    struct pel_ip_prefix addrs[4];
    lab_conn_init(&client, 5000, 1, 2);
    lab_conn_init(&server, 5000, 2, 1);
    PEL_REQUIRE(lab_open(&lab, NULL, autoconfigured));
    PEL_REQUIRE(pel_ip_addrs(lab.b.ip, addrs, 4) == 1);
    PEL_REQUIRE(lab_listen(&lab.b, ":80", &listener, &server, 1));
    struct pel_endpoint remote = {.ip = addrs[0].ip, .port = 80};
    PEL_REQUIRE_OK(pel_tcp_connect(lab.a.ip, NULL, &remote, &lab_events, &client, &client.tcp));
    lab_run(&lab, 5 * SECOND);
    PEL_EXPECT_EQ(client.received_len, 5000);
    PEL_EXPECT_EQ(server.received_len, 5000);
    pel_tcp_close(client.tcp);
    pel_tcp_close(server.tcp);
    lab_close(&lab);
}
