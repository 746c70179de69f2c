/* SPDX-License-Identifier: Apache-2.0 */
/* Limits: ports, backlog, connections, memory, full queues. */
#include "stack/lwip/lab.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#define SECOND 1000000ull

PEL_TEST(lwip_limits, errors_of_connect)
{
    struct lab lab;
    struct lab_conn conn, other;
    lab_conn_init(&conn, 0, 0, 0);
    lab_conn_init(&other, 0, 0, 0);
    PEL_REQUIRE(lab_open(&lab, NULL, NULL));
    struct pel_endpoint remote = lab_endpoint("10.0.0.2:80"), local = lab_endpoint("10.0.0.1:5000");
    PEL_EXPECT_ERR(lab_connect(&lab.a, "192.0.2.1:80", &conn), PEL_E_NO_ROUTE);
    PEL_EXPECT_ERR(lab_connect(&lab.a, "[2001:db8::1]:80", &conn), PEL_E_NO_ROUTE);
    PEL_EXPECT_ERR(lab_connect(&lab.a, "0.0.0.0:80", &conn), PEL_E_NO_ROUTE);
    PEL_EXPECT_ERR(lab_connect(&lab.a, ":80", &conn), PEL_E_NO_ROUTE);
    struct pel_endpoint stranger = lab_endpoint("10.0.0.9:0");
    PEL_EXPECT_ERR(pel_tcp_connect(lab.a.ip, &stranger, &remote, &lab_events, &conn, &conn.tcp),
                   PEL_E_ADDRESS_NOT_OURS);
    PEL_REQUIRE_OK(pel_tcp_connect(lab.a.ip, &local, &remote, &lab_events, &conn, &conn.tcp));
    PEL_EXPECT_EQ(pel_tcp_local(conn.tcp).port, 5000);
    PEL_EXPECT_ERR(pel_tcp_connect(lab.a.ip, &local, &remote, &lab_events, &other, &other.tcp),
                   PEL_E_ADDRESS_IN_USE);
    remote.port = 81;
    PEL_EXPECT_ERR(pel_tcp_connect(lab.a.ip, &local, &remote, &lab_events, &other, &other.tcp), PEL_OK);
    pel_tcp_abort(conn.tcp);
    pel_tcp_abort(other.tcp);
    lab_close(&lab);
}

PEL_TEST(lwip_limits, errors_of_listen)
{
    struct lab lab;
    struct lab_listener first, second;
    struct pel_tcp_listener *listener = NULL;
    PEL_REQUIRE(lab_open(&lab, NULL, NULL));
    PEL_REQUIRE(lab_listen(&lab.a, ":80", &first, NULL, 0));
    struct pel_endpoint any = lab_endpoint(":80"), any4 = lab_endpoint("0.0.0.0:80"),
                        stranger = lab_endpoint("10.0.0.9:80");
    PEL_EXPECT_ERR(pel_tcp_listen(lab.a.ip, &any, 1, NULL, NULL, &listener), PEL_E_ADDRESS_IN_USE);
    PEL_EXPECT_ERR(pel_tcp_listen(lab.a.ip, &any4, 1, NULL, NULL, &listener), PEL_E_ADDRESS_IN_USE);
    PEL_EXPECT_ERR(pel_tcp_listen(lab.a.ip, &stranger, 1, NULL, NULL, &listener), PEL_E_ADDRESS_NOT_OURS);
    PEL_EXPECT(lab_listen(&lab.a, "10.0.0.1:80", &second, NULL, 0));
    pel_tcp_unlisten(second.listener);
    pel_tcp_unlisten(first.listener);
    PEL_REQUIRE(lab_listen(&lab.a, ":0", &first, NULL, 0));
    PEL_EXPECT(pel_tcp_listener_endpoint(first.listener).port != 0);
    lab_close(&lab);
}

/* A listener on one address is asked before one on all. */
PEL_TEST(lwip_limits, the_nearest_listener_accepts)
{
    struct lab lab;
    struct lab_listener all, one;
    struct lab_conn client, server;
    lab_conn_init(&client, 0, 0, 0);
    lab_conn_init(&server, 0, 0, 0);
    PEL_REQUIRE(lab_open(&lab, NULL, NULL));
    PEL_REQUIRE(lab_listen(&lab.b, "10.0.0.2:80", &one, &server, 1));
    PEL_REQUIRE(lab_listen(&lab.b, ":80", &all, NULL, 0));
    PEL_REQUIRE_OK(lab_connect(&lab.a, "10.0.0.2:80", &client));
    lab_run(&lab, SECOND);
    PEL_EXPECT(client.connected);
    PEL_EXPECT_EQ(one.num, 1);
    pel_tcp_close(client.tcp);
    pel_tcp_close(server.tcp);
    lab_close(&lab);
}

static void at_most_ten(struct pel_ipstack_config *config)
{
    config->max_connections = 10;
}

PEL_TEST(lwip_limits, too_many_connections)
{
    struct lab lab;
    struct lab_listener listener;
    static struct lab_conn clients[11], servers[11];
    PEL_REQUIRE(lab_open(&lab, NULL, at_most_ten));
    PEL_REQUIRE(lab_listen(&lab.b, ":80", &listener, servers, 11));
    for (int i = 0; i < 11; i++) {
        lab_conn_init(&clients[i], 0, 0, 0);
        PEL_EXPECT_ERR(lab_connect(&lab.a, "10.0.0.2:80", &clients[i]),
                       i < 10 ? PEL_OK : PEL_E_TOO_MANY_CONNECTIONS);
    }
    lab_run(&lab, SECOND);
    PEL_EXPECT_EQ(listener.num, 10);
    struct pel_endpoint remote = lab_endpoint("10.0.0.1:80");
    struct lab_conn back;
    lab_conn_init(&back, 0, 0, 0);
    PEL_EXPECT_ERR(pel_tcp_connect(lab.b.ip, NULL, &remote, &lab_events, &back, &back.tcp),
                   PEL_E_TOO_MANY_CONNECTIONS);
    lab_close(&lab);
    PEL_EXPECT_EQ(clients[0].num_errors, 1);
}

PEL_TEST(lwip_limits, a_full_backlog_drops_and_counts)
{
    struct lab lab;
    struct pel_tcp_listener *listener = NULL;
    struct lab_conn clients[5];
    PEL_REQUIRE(lab_open(&lab, NULL, NULL));
    struct pel_endpoint local = lab_endpoint(":80");
    PEL_REQUIRE_OK(pel_tcp_listen(lab.b.ip, &local, 3, NULL, NULL, &listener));
    /* One connection, refused, so that both know each other's MAC address; then nothing comes back from the
     * server, which waits for acknowledgements of its SYNs. */
    lab_conn_init(&clients[0], 0, 0, 0);
    PEL_REQUIRE_OK(lab_connect(&lab.a, "10.0.0.2:81", &clients[0]));
    lab_run(&lab, SECOND);
    PEL_REQUIRE(clients[0].num_errors == 1);
    struct pel_sim_impair cut = {.loss_ppm = 1000000}, none = {.loss_ppm = 0};
    PEL_REQUIRE_OK(pel_sim_set_impair(lab.b.port, &cut));
    for (int i = 0; i < 5; i++) {
        lab_conn_init(&clients[i], 0, 0, 0);
        PEL_REQUIRE_OK(lab_connect(&lab.a, "10.0.0.2:80", &clients[i]));
    }
    lab_run(&lab, SECOND / 2);
    PEL_EXPECT_EQ(lab.b.counters.err[PEL_E_BACKLOG_FULL], 2);
    /* The clients ask again; when answers come through, three are complete, and two have room. */
    struct lab_conn servers[5];
    for (int i = 0; i < 5; i++)
        lab_conn_init(&servers[i], 0, 0, 0);
    PEL_REQUIRE_OK(pel_sim_set_impair(lab.b.port, &none));
    pel_tcp_unlisten(listener);
    struct lab_listener wide;
    PEL_REQUIRE(lab_listen(&lab.b, ":80", &wide, servers, 5));
    lab_run(&lab, 30 * SECOND);
    PEL_EXPECT_EQ(wide.num, 2);
    PEL_EXPECT_EQ(clients[4].connected + clients[3].connected, 2);
    lab_close(&lab);
}

PEL_TEST(lwip_limits, port_exhaustion_and_reuse)
{
    struct lab lab;
    static struct lab_conn conns[4];
    PEL_REQUIRE(lab_open(&lab, NULL, NULL));
    bool seen[65536] = {false};
    uint16_t last = 0;
    int in_order = 0;
    for (int i = 0; i < 200; i++) {
        lab_conn_init(&conns[0], 0, 0, 0);
        PEL_REQUIRE_OK(lab_connect(&lab.a, "10.0.0.2:80", &conns[0]));
        uint16_t port = pel_tcp_local(conns[0].tcp).port;
        PEL_EXPECT(port >= 32768);
        in_order += port == last + 1;
        last = port;
        seen[port] = true;
        pel_tcp_abort(conns[0].tcp);
    }
    int num = 0;
    for (int i = 0; i < 65536; i++)
        num += seen[i];
    PEL_EXPECT(num > 180);
    PEL_EXPECT(in_order < 5);
    lab_close(&lab);
}

static void many_connections(struct pel_ipstack_config *config)
{
    config->max_connections = 40000;
}

PEL_TEST(lwip_limits, no_local_port_is_left)
{
    struct lab lab;
    struct lab_conn *conns = calloc(32769, sizeof(*conns));
    PEL_REQUIRE(conns != NULL && lab_open(&lab, NULL, many_connections));
    struct pel_sim_impair cut = {.loss_ppm = 1000000};
    PEL_REQUIRE_OK(pel_sim_set_impair(lab.a.port, &cut));
    /* One in sixteen ports by its number, which is quick; then the rest cannot be chosen any more. */
    struct pel_endpoint remote = lab_endpoint("10.0.0.2:80"), local = lab_endpoint("10.0.0.1:0");
    for (uint32_t i = 0; i < 2048; i++) {
        local.port = (uint16_t)(32768 + i);
        PEL_REQUIRE_OK(pel_tcp_connect(lab.a.ip, &local, &remote, &lab_events, &conns[i], &conns[i].tcp));
    }
    for (uint32_t i = 0; i < 64; i++) {
        PEL_REQUIRE_OK(lab_connect(&lab.a, "10.0.0.2:80", &conns[2048 + i]));
        PEL_EXPECT(pel_tcp_local(conns[2048 + i].tcp).port >= 32768 + 2048);
    }
    lab_close(&lab);
    free(conns);
}

static size_t heap_in_use(void)
{
    return mallinfo2().uordblks;
}

/* Opens, exchanges 100 bytes and closes; the time goes on so that TIME-WAIT ends now and then. */
static void cycle(struct lab *lab, struct lab_listener *listener, struct lab_conn *server, int num)
{
    for (int i = 0; i < num; i++) {
        struct lab_conn client;
        lab_conn_init(&client, 100, 1, 2);
        lab_conn_init(server, 100, 2, 1);
        listener->num = 0;
        if (lab_connect(&lab->a, i % 2 == 0 ? "10.0.0.2:80" : "[fd00::2]:80", &client) != PEL_OK) {
            pel_test_fail(__FILE__, __LINE__, "connection %d", i);
            return;
        }
        lab_run(lab, 2000);
        if (client.received_len != 100 || server->received_len != 100) {
            pel_test_fail(__FILE__, __LINE__, "cycle %d: %zu and %zu bytes", i, client.received_len,
                          server->received_len);
            return;
        }
        pel_tcp_close(client.tcp);
        pel_tcp_close(server->tcp);
        lab_run(lab, i % 500 == 499 ? 100 * SECOND : 2000);
    }
}

PEL_TEST(lwip_limits, ten_thousand_connections_leave_nothing)
{
    struct lab lab;
    struct lab_listener listener;
    struct lab_conn server;
    PEL_REQUIRE(lab_open(&lab, NULL, NULL));
    PEL_REQUIRE(lab_listen(&lab.b, ":80", &listener, &server, 1));
    cycle(&lab, &listener, &server, 500);
    size_t before = heap_in_use();
    cycle(&lab, &listener, &server, 10000);
    size_t after = heap_in_use();
    pel_test_say("heap in use: %zu before, %zu after", before, after);
    PEL_EXPECT(after <= before + 65536);
    PEL_EXPECT_EQ(lab.a.counters.stat[PEL_STAT_tcp_opened_out], 10500);
    PEL_EXPECT_EQ(lab.b.counters.stat[PEL_STAT_tcp_opened_in], 10500);
    PEL_EXPECT_EQ(lab.b.counters.stat[PEL_STAT_tcp_closed], 10500);
    lab_close(&lab);
}

/* A queue that takes nothing: frames wait, then are counted, and TCP recovers when it takes again. */
static uint32_t tx_nothing(struct pel_port *port, uint16_t queue, struct pel_pkt **pkts, uint32_t num)
{
    return 0;
}

PEL_TEST(lwip_limits, a_full_transmit_queue)
{
    struct lab lab;
    struct lab_listener listener;
    struct lab_conn client, server;
    lab_conn_init(&client, 2000000, 1, 2);
    lab_conn_init(&server, 0, 2, 1);
    PEL_REQUIRE(lab_open(&lab, NULL, NULL));
    PEL_REQUIRE(lab_listen(&lab.b, ":80", &listener, &server, 1));
    PEL_REQUIRE_OK(lab_connect(&lab.a, "10.0.0.2:80", &client));
    lab_run(&lab, 5000);
    const struct pel_port_ops *real = lab.a.port->ops;
    struct pel_port_ops stuck = *real;
    stuck.tx = tx_nothing;
    lab.a.port->ops = &stuck;
    for (int i = 0; i < 2000; i++) {
        lab.time.now_us += 1000;
        pel_ip_poll(lab.a.ip);
    }
    struct pel_endpoint to = lab_endpoint("10.0.0.2:7"), from = lab_endpoint(":0");
    struct pel_udp *udp = NULL;
    PEL_REQUIRE_OK(pel_udp_open(lab.a.ip, &from, NULL, NULL, &udp));
    enum pel_err err = PEL_OK;
    for (int i = 0; i < 600 && err == PEL_OK; i++)
        err = pel_udp_send(udp, &to, (const uint8_t *)"x", 1);
    PEL_EXPECT_ERR(err, PEL_E_NO_MEMORY);
    PEL_EXPECT(lab.a.counters.err[PEL_E_TX_QUEUE_FULL] > 0);
    lab.a.port->ops = real;
    lab_run(&lab, 60 * SECOND);
    PEL_EXPECT_EQ(server.received_len, 2000000);
    PEL_EXPECT_EQ(server.wrong_at, SIZE_MAX);
    pel_tcp_close(client.tcp);
    pel_tcp_close(server.tcp);
    lab_close(&lab);
}

PEL_TEST(lwip_limits, no_packet_buffers)
{
    struct lab lab;
    struct lab_listener listener;
    struct lab_conn client, server;
    lab_conn_init(&client, 500000, 1, 2);
    lab_conn_init(&server, 500000, 2, 1);
    PEL_REQUIRE(lab_open(&lab, NULL, NULL));
    PEL_REQUIRE(lab_listen(&lab.b, ":80", &listener, &server, 1));
    PEL_REQUIRE_OK(lab_connect(&lab.a, "10.0.0.2:80", &client));
    for (int i = 0; i < 40; i++) {
        pel_sim_fail_allocs(lab.a.port, (uint64_t)(1 + i % 5), (uint64_t)(1 + i % 7));
        lab_run(&lab, 3000);
    }
    lab_run(&lab, 60 * SECOND);
    PEL_EXPECT(lab.a.counters.err[PEL_E_NO_PACKET_BUFFERS] > 0);
    PEL_EXPECT_EQ(server.received_len, 500000);
    PEL_EXPECT_EQ(client.received_len, 500000);
    pel_tcp_close(client.tcp);
    pel_tcp_close(server.tcp);
    lab_close(&lab);
}
