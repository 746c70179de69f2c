/* SPDX-License-Identifier: Apache-2.0 */
/* TCP between two instances: data, ends of connections, limits. */
#include "stack/lwip/lab.h"

#include <stdlib.h>

#define SECOND 1000000ull

struct exchange {
    struct lab lab;
    struct lab_listener listener;
    struct lab_conn client, server;
};

static bool both_done(void *arg)
{
    struct exchange *x = (struct exchange *)arg;
    return (x->client.received_len == x->server.to_send_len &&
            x->server.received_len == x->client.to_send_len && x->listener.num == 1) ||
           x->client.num_errors + x->server.num_errors > 0;
}

/* Both sides send `len` bytes and compare what comes. */
static void exchange(const char *to, const struct pel_sim_wire_config *wire, size_t len,
                     void (*change)(struct pel_ipstack_config *config))
{
    struct exchange x;
    PEL_REQUIRE(lab_open(&x.lab, wire, change));
    lab_conn_init(&x.client, len, 1, 2);
    lab_conn_init(&x.server, len, 2, 1);
    PEL_REQUIRE(lab_listen(&x.lab.b, ":80", &x.listener, &x.server, 1));
    PEL_REQUIRE_OK(lab_connect(&x.lab.a, to, &x.client));
    PEL_EXPECT(lab_run_until(&x.lab, 600 * SECOND, both_done, &x));
    PEL_EXPECT_EQ(x.client.received_len, len);
    PEL_EXPECT_EQ(x.server.received_len, len);
    PEL_EXPECT_EQ(x.client.wrong_at, SIZE_MAX);
    PEL_EXPECT_EQ(x.server.wrong_at, SIZE_MAX);
    PEL_EXPECT_EQ(x.client.num_errors + x.server.num_errors, 0);
    pel_tcp_close(x.client.tcp);
    pel_tcp_close(x.server.tcp);
    lab_close(&x.lab);
}

PEL_TEST(lwip_tcp, both_ways_v4)
{
    exchange("10.0.0.2:80", NULL, 1000000, NULL);
}

PEL_TEST(lwip_tcp, both_ways_v6)
{
    exchange("[fd00::2]:80", NULL, 1000000, NULL);
}

static void jumbo_big_window(struct pel_ipstack_config *config)
{
    config->tcp_window_len = 4 * 1024 * 1024;
}

PEL_TEST(lwip_tcp, jumbo_frames_and_big_windows)
{
    struct pel_sim_wire_config wire = {.seed = 1, .latency_us = 20000, .mtu = 9000};
    exchange("10.0.0.2:80", &wire, 8000000, jumbo_big_window);
    wire.mtu = 9216;
    exchange("[fd00::2]:80", &wire, 8000000, jumbo_big_window);
}

static void smallest_window(struct pel_ipstack_config *config)
{
    config->tcp_window_len = 16 * 1024;
}

PEL_TEST(lwip_tcp, smallest_windows_and_mtu)
{
    struct pel_sim_wire_config wire = {.seed = 1, .latency_us = 50, .mtu = 576};
    exchange("10.0.0.2:80", &wire, 300000, smallest_window);
}

PEL_TEST(lwip_tcp, checksums_left_to_the_port)
{
    struct pel_sim_wire_config wire = {.seed = 1, .latency_us = 50, .real_offloads = true};
    wire.offloads = PEL_OFFLOAD_RX_IP_CSUM | PEL_OFFLOAD_RX_L4_CSUM | PEL_OFFLOAD_TX_L4_CSUM;
    exchange("10.0.0.2:80", &wire, 300000, NULL);
    exchange("[fd00::2]:80", &wire, 300000, NULL);
}

PEL_TEST(lwip_tcp, equal_bytes_over_a_bad_wire)
{
    for (uint64_t seed = 1; seed <= 24; seed++) {
        struct pel_sim_impair bad = {
            .loss_ppm = 10000, .dup_ppm = 5000, .reorder_ppm = 10000, .corrupt_ppm = 3000};
        struct pel_sim_wire_config wire = {
            .seed = seed, .latency_us = 1000, .a_to_b = bad, .b_to_a = bad, .exact_buffers = true};
        pel_test_say("seed %d", (int)seed);
        exchange(seed % 2 == 0 ? "10.0.0.2:80" : "[fd00::2]:80", &wire, 1000000, NULL);
        if (pel_test_has_failed())
            return;
    }
}

/* ---- ends ---- */

static bool start(struct exchange *x, size_t len)
{
    memset(x, 0, sizeof(*x));
    lab_conn_init(&x->client, len, 1, 2);
    lab_conn_init(&x->server, len, 2, 1);
    return lab_open(&x->lab, NULL, NULL) && lab_listen(&x->lab.b, ":80", &x->listener, &x->server, 1) &&
           lab_connect(&x->lab.a, "10.0.0.2:80", &x->client) == PEL_OK;
}

static bool client_failed(void *arg)
{
    return ((struct exchange *)arg)->client.num_errors > 0;
}

static bool both_connected(void *arg)
{
    struct exchange *x = (struct exchange *)arg;
    return x->client.connected && x->server.connected;
}

PEL_TEST(lwip_tcp, refused)
{
    struct lab lab;
    struct lab_conn conn;
    lab_conn_init(&conn, 0, 0, 0);
    PEL_REQUIRE(lab_open(&lab, NULL, NULL));
    PEL_REQUIRE_OK(lab_connect(&lab.a, "10.0.0.2:81", &conn));
    lab_run(&lab, SECOND);
    PEL_EXPECT_ERR(conn.error, PEL_E_CONN_REFUSED);
    PEL_EXPECT_EQ(lab.a.counters.err[PEL_E_CONN_REFUSED], 1);
    lab_close(&lab);
}

PEL_TEST(lwip_tcp, connect_times_out)
{
    struct lab lab;
    struct lab_conn conn;
    lab_conn_init(&conn, 0, 0, 0);
    PEL_REQUIRE(lab_open(&lab, NULL, NULL));
    lab_run(&lab, SECOND);
    struct pel_sim_impair cut = {.loss_ppm = 1000000};
    PEL_REQUIRE_OK(lab_connect(&lab.a, "10.0.0.2:81", &conn));
    PEL_REQUIRE_OK(pel_sim_set_impair(lab.b.port, &cut));
    lab_run(&lab, 60 * SECOND);
    PEL_EXPECT_EQ(conn.num_errors, 0);
    lab_run(&lab, 120 * SECOND);
    PEL_EXPECT_ERR(conn.error, PEL_E_CONN_TIMEOUT);
    PEL_EXPECT_EQ(lab.a.counters.stat[PEL_STAT_tcp_retransmits], 6);
    lab_close(&lab);
}

PEL_TEST(lwip_tcp, data_times_out)
{
    struct exchange x;
    PEL_REQUIRE(start(&x, 100));
    PEL_REQUIRE(lab_run_until(&x.lab, SECOND, both_done, &x));
    struct pel_sim_impair cut = {.loss_ppm = 1000000};
    PEL_REQUIRE_OK(pel_sim_set_impair(x.lab.b.port, &cut));
    x.client.to_send_len = 200;
    lab_conn_pump(&x.client);
    PEL_EXPECT(lab_run_until(&x.lab, 3600 * SECOND, client_failed, &x));
    PEL_EXPECT_ERR(x.client.error, PEL_E_CONN_TIMEOUT);
    pel_tcp_abort(x.server.tcp);
    lab_close(&x.lab);
}

PEL_TEST(lwip_tcp, half_close_goes_on_the_other_way)
{
    struct exchange x;
    PEL_REQUIRE(start(&x, 0));
    x.client.to_send_len = 1000;
    x.client.shutdown_when_sent = true;
    lab_run(&x.lab, SECOND);
    PEL_EXPECT(x.server.fin && !x.client.fin);
    PEL_EXPECT_EQ(x.server.received_len, 1000);
    size_t len = 0;
    PEL_EXPECT_ERR(pel_tcp_write(x.client.tcp, (const uint8_t *)"x", 1, false, &len), PEL_E_STATE);
    x.server.to_send_len = 300000;
    x.server.shutdown_when_sent = true;
    lab_conn_pump(&x.server);
    lab_run(&x.lab, 10 * SECOND);
    PEL_EXPECT_EQ(x.client.received_len, 300000);
    PEL_EXPECT(x.client.fin);
    /* Both have finished: TIME-WAIT and LAST-ACK end without a word, and the objects stay until they are
     * closed. */
    lab_run(&x.lab, 200 * SECOND);
    PEL_EXPECT_EQ(x.client.num_errors + x.server.num_errors, 0);
    PEL_EXPECT_EQ(pel_tcp_unacked_len(x.client.tcp) + pel_tcp_send_room(x.server.tcp), 0);
    PEL_EXPECT_EQ(pel_tcp_remote(x.client.tcp).port, 80);
    pel_tcp_received(x.client.tcp, 1);
    pel_tcp_flush(x.server.tcp);
    pel_tcp_close(x.client.tcp);
    pel_tcp_abort(x.server.tcp);
    lab_close(&x.lab);
}

PEL_TEST(lwip_tcp, close_sends_what_was_written)
{
    struct exchange x;
    PEL_REQUIRE(start(&x, 0));
    x.client.to_send_len = 100000;
    PEL_REQUIRE(lab_run_until(&x.lab, SECOND, both_connected, &x));
    lab_conn_pump(&x.client);
    PEL_REQUIRE(x.client.sent_len == 100000);
    pel_tcp_close(x.client.tcp);
    lab_run(&x.lab, 5 * SECOND);
    PEL_EXPECT_EQ(x.server.received_len, 100000);
    PEL_EXPECT(x.server.fin);
    PEL_EXPECT_EQ(x.server.num_errors, 0);
    pel_tcp_close(x.server.tcp);
    lab_close(&x.lab);
}

PEL_TEST(lwip_tcp, close_with_unread_bytes_resets)
{
    struct exchange x;
    PEL_REQUIRE(start(&x, 0));
    x.server.hold = true;
    x.client.to_send_len = 5000;
    lab_run(&x.lab, SECOND);
    PEL_EXPECT_EQ(x.server.received_len, 5000);
    pel_tcp_close(x.server.tcp);
    pel_buf_free(x.server.held);
    lab_run(&x.lab, SECOND);
    PEL_EXPECT_ERR(x.client.error, PEL_E_CONN_RESET);
    lab_close(&x.lab);
}

PEL_TEST(lwip_tcp, closed_window_stops_the_sender_and_opens_again)
{
    struct exchange x;
    PEL_REQUIRE(start(&x, 0));
    x.server.hold = true;
    x.client.to_send_len = 2000000;
    lab_run(&x.lab, 60 * SECOND);
    PEL_EXPECT(x.server.received_len >= 250 * 1024 && x.server.received_len <= 256 * 1024);
    PEL_EXPECT_EQ(pel_buf_len(x.server.held), x.server.received_len);
    PEL_EXPECT_EQ(x.client.num_errors, 0);
    size_t held_len = x.server.received_len;
    x.server.hold = false;
    x.server.held = pel_buf_consume(x.server.held, held_len - 1);
    PEL_EXPECT_EQ(pel_buf_len(x.server.held), 1);
    size_t piece_len = 0;
    PEL_EXPECT_EQ(*pel_buf_peek(x.server.held, 0, &piece_len), lab_byte(1, held_len - 1));
    PEL_EXPECT(pel_buf_consume(x.server.held, 1) == NULL);
    pel_tcp_received(x.server.tcp, held_len);
    lab_run(&x.lab, 60 * SECOND);
    PEL_EXPECT_EQ(x.server.received_len, 2000000);
    PEL_EXPECT_EQ(x.server.wrong_at, SIZE_MAX);
    pel_tcp_close(x.client.tcp);
    pel_tcp_close(x.server.tcp);
    lab_close(&x.lab);
}

PEL_TEST(lwip_tcp, many_small_writes)
{
    struct exchange x;
    PEL_REQUIRE(start(&x, 100000));
    x.client.write_len = 1;
    x.server.write_len = 7;
    PEL_EXPECT(lab_run_until(&x.lab, 60 * SECOND, both_done, &x));
    PEL_EXPECT_EQ(x.server.received_len, 100000);
    PEL_EXPECT_EQ(x.server.wrong_at & x.client.wrong_at, SIZE_MAX);
    /* Without Nagle each is a segment of its own. */
    pel_tcp_set_nodelay(x.client.tcp, true);
    x.client.to_send_len += 50000;
    x.server.to_send_len += 50000;
    lab_conn_pump(&x.client);
    lab_conn_pump(&x.server);
    PEL_EXPECT(lab_run_until(&x.lab, 60 * SECOND, both_done, &x));
    PEL_EXPECT_EQ(x.server.received_len, 150000);
    pel_tcp_close(x.client.tcp);
    pel_tcp_close(x.server.tcp);
    lab_close(&x.lab);
}

PEL_TEST(lwip_tcp, keepalive_finds_a_dead_peer)
{
    struct exchange x;
    PEL_REQUIRE(start(&x, 100));
    PEL_REQUIRE(lab_run_until(&x.lab, SECOND, both_done, &x));
    pel_tcp_set_keepalive(x.client.tcp, 10000, 1000, 3);
    lab_run(&x.lab, 100 * SECOND);
    PEL_EXPECT_EQ(x.client.num_errors, 0);
    struct pel_sim_impair cut = {.loss_ppm = 1000000};
    PEL_REQUIRE_OK(pel_sim_set_impair(x.lab.b.port, &cut));
    lab_run(&x.lab, 30 * SECOND);
    PEL_EXPECT_ERR(x.client.error, PEL_E_CONN_TIMEOUT);
    PEL_EXPECT_ERR(x.server.error, PEL_E_CONN_RESET);
    lab_close(&x.lab);
}

/* ---- ends from within events ---- */

static void abort_within(struct lab_conn *conn)
{
    if (conn->tcp != NULL)
        pel_tcp_abort(conn->tcp);
    conn->tcp = NULL;
}

static void close_within(struct lab_conn *conn)
{
    if (conn->tcp != NULL)
        pel_tcp_close(conn->tcp);
    conn->tcp = NULL;
}

/* The server ends the connection within an event; `hold` makes a close a reset, as bytes are unread. */
static void end_within(void (*in_receive)(struct lab_conn *), void (*in_sent)(struct lab_conn *), bool hold,
                       bool reset)
{
    struct exchange x;
    PEL_REQUIRE(start(&x, 100000));
    x.server.in_receive = in_receive;
    x.server.in_sent = in_sent;
    x.server.hold = hold;
    lab_run(&x.lab, 5 * SECOND);
    PEL_EXPECT(x.server.tcp == NULL);
    PEL_EXPECT_EQ(x.server.num_errors, 0);
    if (reset)
        PEL_EXPECT_ERR(x.client.error, PEL_E_CONN_RESET);
    pel_buf_free(x.server.held);
    if (x.client.tcp != NULL)
        pel_tcp_close(x.client.tcp);
    lab_close(&x.lab);
}

PEL_TEST(lwip_tcp, abort_and_close_within_events)
{
    end_within(abort_within, NULL, false, true);
    end_within(NULL, abort_within, false, true);
    end_within(close_within, NULL, true, true);
    end_within(NULL, close_within, true, true);
    end_within(close_within, NULL, false, false);
    end_within(NULL, close_within, false, false);
}

static void abort_on_connected(void *arg)
{
    abort_within((struct lab_conn *)arg);
}

PEL_TEST(lwip_tcp, abort_within_connected)
{
    struct lab lab;
    struct lab_listener listener;
    struct lab_conn client, server;
    struct pel_tcp_events events = lab_events;
    events.on_connected = abort_on_connected;
    lab_conn_init(&client, 0, 0, 0);
    lab_conn_init(&server, 0, 0, 0);
    PEL_REQUIRE(lab_open(&lab, NULL, NULL));
    PEL_REQUIRE(lab_listen(&lab.b, ":80", &listener, &server, 1));
    struct pel_endpoint remote = lab_endpoint("10.0.0.2:80");
    PEL_REQUIRE_OK(pel_tcp_connect(lab.a.ip, NULL, &remote, &events, &client, &client.tcp));
    lab_run(&lab, SECOND);
    PEL_EXPECT(client.tcp == NULL);
    if (server.tcp != NULL)
        pel_tcp_abort(server.tcp);
    lab_close(&lab);
}

PEL_TEST(lwip_tcp, accept_may_refuse)
{
    struct exchange x;
    PEL_REQUIRE(start(&x, 0));
    x.listener.answer = PEL_E_NO_RULE_REFUSED;
    lab_run(&x.lab, SECOND);
    PEL_EXPECT_ERR(x.client.error, PEL_E_CONN_RESET);
    PEL_EXPECT_EQ(x.lab.b.counters.err[PEL_E_NO_RULE_REFUSED], 1);
    lab_close(&x.lab);
}

PEL_TEST(lwip_tcp, closing_the_instance_tells_the_owners)
{
    struct exchange x;
    PEL_REQUIRE(start(&x, 5000));
    PEL_REQUIRE(lab_run_until(&x.lab, SECOND, both_done, &x));
    pel_ip_close(x.lab.b.ip);
    x.lab.b.ip = NULL;
    PEL_EXPECT_ERR(x.server.error, PEL_E_CONN_ABORTED);
    lab_run(&x.lab, SECOND);
    PEL_EXPECT_ERR(x.client.error, PEL_E_CONN_RESET);
    lab_close(&x.lab);
}

/* ---- another connection from within a callback ---- */

static struct exchange *again; /* the callback's */
static struct lab_conn again_conn;

static void abort_and_connect(struct lab_conn *conn)
{
    pel_tcp_abort(conn->tcp);
    conn->tcp = NULL;
    conn->in_receive = NULL;
    lab_conn_init(&again_conn, 0, 1, 2);
    PEL_EXPECT_ERR(lab_connect(&again->lab.a, "10.0.0.2:80", &again_conn), PEL_OK);
}

static bool is_again_connected(void *arg)
{
    (void)arg;
    return again_conn.connected;
}

/* The new connection may get the memory of the one that is being served; its SYN goes at once all the same.
 */
PEL_TEST(lwip_tcp, a_connection_opened_in_place_of_an_aborted_one_does_not_wait)
{
    struct exchange x;
    struct lab_conn servers[2];
    memset(&x, 0, sizeof x);
    again = &x;
    lab_conn_init(&x.client, 0, 1, 2);
    lab_conn_init(&servers[0], 100, 2, 1);
    lab_conn_init(&servers[1], 0, 2, 1);
    x.client.in_receive = abort_and_connect;
    PEL_REQUIRE(lab_open(&x.lab, NULL, NULL) && lab_listen(&x.lab.b, ":80", &x.listener, servers, 2));
    PEL_REQUIRE_OK(lab_connect(&x.lab.a, "10.0.0.2:80", &x.client));
    PEL_EXPECT(lab_run_until(&x.lab, SECOND / 100, is_again_connected, NULL));
    if (servers[0].tcp != NULL)
        pel_tcp_close(servers[0].tcp);
    pel_tcp_close(again_conn.tcp);
    if (servers[1].tcp != NULL)
        pel_tcp_close(servers[1].tcp);
    lab_close(&x.lab);
}
