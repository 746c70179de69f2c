/* SPDX-License-Identifier: Apache-2.0 */
/* UDP, fragments, and DHCP against a small server of the test's. */
#include "stack/lwip/lab.h"

#include <stdlib.h>

#include "base/bytes.h"

#define SECOND 1000000ull

struct peer {
    struct pel_udp *udp;
    bool echo;
    uint8_t bytes[65536];
    size_t len;
    int num;
    struct pel_endpoint from;
};

static void receive(void *arg, const struct pel_endpoint *from, struct pel_buf *buf)
{
    struct peer *peer = (struct peer *)arg;
    size_t piece_len;
    peer->len = 0;
    const uint8_t *piece;
    while ((piece = pel_buf_peek(buf, peer->len, &piece_len)) != NULL) {
        memcpy(peer->bytes + peer->len, piece, piece_len);
        peer->len += piece_len;
    }
    PEL_EXPECT_EQ(peer->len, pel_buf_len(buf));
    pel_buf_free(buf);
    peer->num++;
    peer->from = *from;
    if (peer->echo)
        PEL_EXPECT_ERR(pel_udp_send(peer->udp, from, peer->bytes, peer->len), PEL_OK);
}

static void echo(const char *to_text, size_t len)
{
    struct lab lab;
    static struct peer client, server;
    struct pel_endpoint any = lab_endpoint(":0"), port7 = lab_endpoint(":7"), to = lab_endpoint(to_text);
    uint8_t *bytes = malloc(len + 1);
    memset(&client, 0, sizeof(client));
    memset(&server, 0, sizeof(server));
    server.echo = true;
    for (size_t i = 0; i < len; i++)
        bytes[i] = lab_byte(9, i);
    PEL_REQUIRE(lab_open(&lab, NULL, NULL));
    PEL_REQUIRE_OK(pel_udp_open(lab.a.ip, &any, receive, &client, &client.udp));
    PEL_REQUIRE_OK(pel_udp_open(lab.b.ip, &port7, receive, &server, &server.udp));
    PEL_EXPECT_ERR(pel_udp_send(client.udp, &to, bytes, len), PEL_OK);
    lab_run(&lab, SECOND);
    PEL_EXPECT_EQ(server.num, 1);
    PEL_EXPECT_EQ(client.num, 1);
    PEL_EXPECT_EQ(client.len, len);
    PEL_EXPECT_MEM(client.bytes, bytes, len);
    PEL_EXPECT_EQ(server.from.port, pel_udp_local(client.udp).port);
    PEL_EXPECT_EQ(lab.a.counters.stat[PEL_STAT_udp_out] + lab.a.counters.stat[PEL_STAT_udp_in], 2);
    pel_udp_close(client.udp);
    lab_close(&lab);
    free(bytes);
}

PEL_TEST(lwip_udp, echo_v4)
{
    echo("10.0.0.2:7", 1);
    echo("10.0.0.2:7", 0);
    echo("10.0.0.2:7", 1472);
}

PEL_TEST(lwip_udp, echo_v6)
{
    echo("[fd00::2]:7", 1);
    echo("[fd00::2]:7", 0);
    echo("[fd00::2]:7", 1452);
}

PEL_TEST(lwip_udp, fragments_v4)
{
    echo("10.0.0.2:7", 1473);
    echo("10.0.0.2:7", 20000);
    echo("10.0.0.2:7", 65507);
}

PEL_TEST(lwip_udp, fragments_v6)
{
    echo("[fd00::2]:7", 1453);
    echo("[fd00::2]:7", 20000);
    echo("[fd00::2]:7", 65487);
}

/* One that is connected beside one that takes new peers: as servers of UDP do it. */
PEL_TEST(lwip_udp, one_port_is_shared)
{
    struct lab lab;
    static struct peer one, two, known, stranger;
    struct pel_endpoint any = lab_endpoint(":0"), port7 = lab_endpoint(":7"), to = lab_endpoint("10.0.0.2:7");
    const uint8_t byte = 1;
    PEL_REQUIRE(lab_open(&lab, NULL, NULL));
    PEL_REQUIRE_OK(pel_udp_open(lab.a.ip, &any, receive, &known, &known.udp));
    PEL_REQUIRE_OK(pel_udp_open(lab.a.ip, &any, receive, &stranger, &stranger.udp));
    PEL_REQUIRE_OK(pel_udp_open_shared(lab.b.ip, &port7, receive, &one, &one.udp));
    struct pel_endpoint peer = {lab_endpoint("10.0.0.1:0").ip, pel_udp_local(known.udp).port};
    pel_udp_connect(one.udp, &peer);
    PEL_REQUIRE_OK(pel_udp_open_shared(lab.b.ip, &port7, receive, &two, &two.udp));
    PEL_EXPECT_ERR(pel_udp_open(lab.b.ip, &port7, receive, &two, &two.udp), PEL_E_ADDRESS_IN_USE);
    for (int i = 0; i < 3; i++) {
        PEL_EXPECT_ERR(pel_udp_send(known.udp, &to, &byte, 1), PEL_OK);
        PEL_EXPECT_ERR(pel_udp_send(stranger.udp, &to, &byte, 1), PEL_OK);
        lab_run(&lab, SECOND);
        PEL_EXPECT_EQ(one.num, i + 1);
        PEL_EXPECT_EQ(two.num, i + 1);
    }
    pel_udp_connect(one.udp, NULL);
    pel_udp_close(two.udp);
    PEL_EXPECT_ERR(pel_udp_send(stranger.udp, &to, &byte, 1), PEL_OK);
    lab_run(&lab, SECOND);
    PEL_EXPECT_EQ(one.num, 4);
    lab_close(&lab);
}

static void count_refusal(void *arg)
{
    ((struct peer *)arg)->num += 100;
}

/* Nobody listens there, says the other host: only who is connected to that very place hears it. */
PEL_TEST(lwip_udp, a_port_without_listener_is_told_to_who_is_connected)
{
    static const char *const ends[][2] = {{"10.0.0.1:0", "10.0.0.2:9"}, {"[fd00::1]:0", "[fd00::2]:9"}};
    const uint8_t byte = 1;
    for (size_t i = 0; i < 2; i++) {
        struct lab lab;
        static struct peer asker, elsewhere, unconnected;
        struct pel_endpoint local = lab_endpoint(ends[i][0]), to = lab_endpoint(ends[i][1]), other = to;
        asker = elsewhere = unconnected = (struct peer){0};
        other.port = 10;
        PEL_REQUIRE(lab_open(&lab, NULL, NULL));
        PEL_REQUIRE_OK(pel_udp_open(lab.a.ip, &local, receive, &unconnected, &unconnected.udp));
        PEL_REQUIRE_OK(pel_udp_open(lab.a.ip, &local, receive, &elsewhere, &elsewhere.udp));
        PEL_REQUIRE_OK(pel_udp_open(lab.a.ip, &local, receive, &asker, &asker.udp));
        pel_udp_set_refused(unconnected.udp, count_refusal);
        pel_udp_set_refused(elsewhere.udp, count_refusal);
        pel_udp_set_refused(asker.udp, count_refusal);
        pel_udp_connect(elsewhere.udp, &other);
        pel_udp_connect(asker.udp, &to);
        PEL_EXPECT_ERR(pel_udp_send(unconnected.udp, &to, &byte, 1), PEL_OK);
        lab_run(&lab, 2 * SECOND);
        PEL_EXPECT_EQ(asker.num, 0);
        PEL_EXPECT_ERR(pel_udp_send(asker.udp, &to, &byte, 1), PEL_OK);
        lab_run(&lab, 2 * SECOND);
        PEL_EXPECT_EQ(asker.num, 100);
        PEL_EXPECT_EQ(elsewhere.num, 0);
        PEL_EXPECT_EQ(unconnected.num, 0);
        lab_close(&lab);
    }
}

PEL_TEST(lwip_udp, errors)
{
    struct lab lab;
    static struct peer peer, other;
    static uint8_t bytes[65536];
    PEL_REQUIRE(lab_open(&lab, NULL, NULL));
    struct pel_endpoint port7 = lab_endpoint(":7"), stranger = lab_endpoint("10.0.0.9:7"),
                        far = lab_endpoint("192.0.2.1:7");
    struct pel_endpoint to4 = lab_endpoint("10.0.0.2:7"), to6 = lab_endpoint("[fd00::2]:7");
    PEL_REQUIRE_OK(pel_udp_open(lab.a.ip, &port7, receive, &peer, &peer.udp));
    PEL_EXPECT_ERR(pel_udp_open(lab.a.ip, &port7, receive, &other, &other.udp), PEL_E_ADDRESS_IN_USE);
    PEL_EXPECT_ERR(pel_udp_open(lab.a.ip, &stranger, receive, &other, &other.udp), PEL_E_ADDRESS_NOT_OURS);
    PEL_EXPECT_ERR(pel_udp_send(peer.udp, &far, bytes, 1), PEL_E_NO_ROUTE);
    PEL_EXPECT_ERR(pel_udp_send(peer.udp, &to4, bytes, 65508), PEL_E_TOO_BIG);
    PEL_EXPECT_ERR(pel_udp_send(peer.udp, &to6, bytes, 65488), PEL_E_TOO_BIG);
    pel_udp_close(NULL);
    lab_close(&lab);
}

/* ---- DHCP (RFC 2131), a server in a few lines on the other end of the wire ---- */

#define DHCP_OPTIONS_AT 282 /* in a frame: Ethernet, IPv4, UDP, the fixed part and the cookie */

struct dhcp_server {
    struct pel_port *port;
    int num_discovers, num_requests;
};

static void put_sum(uint8_t *ip)
{
    uint32_t sum = 0;
    ip[10] = ip[11] = 0;
    for (int i = 0; i < 20; i += 2)
        sum += (uint32_t)ip[i] << 8 | ip[i + 1];
    sum = (sum & 0xffff) + (sum >> 16);
    sum = ~(sum + (sum >> 16));
    ip[10] = (uint8_t)(sum >> 8);
    ip[11] = (uint8_t)sum;
}

/* Turns the client's message into the answer: 10.1.2.3/24 from 10.1.2.1, which is the gateway, for 1,200
 * seconds. */
static void answer(struct dhcp_server *server, const uint8_t *bytes, uint8_t type)
{
    uint8_t frame[400] = {0};
    struct pel_writer w = pel_writer_of(frame, sizeof(frame));
    static const uint8_t broadcast[6] = {255, 255, 255, 255, 255, 255}, mac[6] = {2, 0, 0, 0, 0, 9};
    pel_write_bytes(&w, broadcast, 6);
    pel_write_bytes(&w, mac, 6);
    static const uint8_t ip_udp[30] = {0x08, 0x00, 0x45, 0,  1,  0x2c + 0x40, 0, 1,           0,   0,
                                       64,   17,   0,    0,  10, 1,           2, 1,           255, 255,
                                       255,  255,  0,    67, 0,  68,          1, 0x18 + 0x40, 0,   0};
    pel_write_bytes(&w, ip_udp, 30);
    memcpy(frame + 42, bytes + 42, 236); /* the fixed part as it came */
    frame[42] = 2;
    static const uint8_t yours[4] = {10, 1, 2, 3};
    memcpy(frame + 42 + 16, yours, 4);
    struct pel_writer o = pel_writer_of(frame + 278, sizeof(frame) - 278);
    static const uint8_t options[] = {0x63, 0x82, 0x53, 0x63, 54,  4,   10, 1, 2, 1,  51, 4, 0, 0,  4,
                                      0xb0, 1,    4,    255,  255, 255, 0,  3, 4, 10, 1,  2, 1, 53, 1};
    pel_write_bytes(&o, options, sizeof(options));
    pel_write_uint(&o, type, 1);
    pel_write_uint(&o, 255, 1);
    size_t ip_len = 14 + 0x16c > sizeof(frame) ? sizeof(frame) - 14 : 0x16c;
    put_sum(frame + 14);
    PEL_EXPECT_ERR(pel_sim_inject(server->port, frame, 14 + ip_len), PEL_OK);
}

static bool serve(void *arg, const uint8_t *bytes, size_t len)
{
    struct dhcp_server *server = (struct dhcp_server *)arg;
    bool is_dhcp =
        len > DHCP_OPTIONS_AT + 3 && bytes[12] == 8 && bytes[13] == 0 && bytes[23] == 17 && bytes[37] == 67;
    if (!is_dhcp || bytes[DHCP_OPTIONS_AT] != 53)
        return true;
    if (bytes[DHCP_OPTIONS_AT + 2] == 1) {
        server->num_discovers++;
        answer(server, bytes, 2);
    } else if (bytes[DHCP_OPTIONS_AT + 2] == 3) {
        server->num_requests++;
        answer(server, bytes, 5);
    }
    return true;
}

static void by_dhcp(struct pel_ipstack_config *config)
{
    config->dhcp4 = true;
    config->num_addrs = 0;
}

PEL_TEST(lwip_udp, dhcp_gives_address_and_gateway_and_is_renewed)
{
    struct lab lab;
    struct pel_sim_wire_config wire = {.seed = 1, .latency_us = 50, .exact_buffers = true};
    memset(&lab, 0, sizeof(lab));
    lab.time.now_us = 1000000;
    struct pel_clock clock = pel_clock_virtual(&lab.time);
    PEL_REQUIRE_OK(pel_sim_wire_open(&wire, &clock, &lab.a.port, &lab.b.port));
    struct dhcp_server server = {.port = lab.a.port};
    pel_sim_tap(lab.a.port, serve, &server);
    PEL_REQUIRE(lab_open_host(&lab, &lab.a, 1, by_dhcp));
    struct lab_conn conn;
    lab_conn_init(&conn, 0, 0, 0);
    PEL_EXPECT_ERR(lab_connect(&lab.a, "192.0.2.1:80", &conn), PEL_E_NO_ROUTE);
    lab_run(&lab, 5 * SECOND);
    PEL_EXPECT(server.num_discovers >= 1 && server.num_requests == 1);
    struct pel_ip_prefix addrs[3];
    char text[64];
    PEL_REQUIRE(pel_ip_addrs(lab.a.ip, addrs, 3) == 2);
    PEL_EXPECT_STR(pel_ip_format(&addrs[0].ip, text, sizeof(text)), "10.1.2.3");
    PEL_EXPECT_EQ(addrs[0].prefix_len, 24);
    PEL_EXPECT_ERR(lab_connect(&lab.a, "192.0.2.1:80", &conn), PEL_OK);
    pel_tcp_abort(conn.tcp);
    lab_run(&lab, 1200 * SECOND);
    PEL_EXPECT(server.num_requests >= 2);
    PEL_EXPECT_EQ(pel_ip_addrs(lab.a.ip, addrs, 3), 2);
    lab_close(&lab);
}
