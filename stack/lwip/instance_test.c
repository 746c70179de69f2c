/* SPDX-License-Identifier: Apache-2.0 */
/* Instances: many in one thread, one after the other, and two on two threads. */
#include "stack/lwip/lab.h"

#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>

#define SECOND 1000000ull

PEL_TEST(lwip_instance, a_thousand_opens_and_closes)
{
    size_t heap = 0;
    for (int i = 0; i < 500; i++) {
        struct lab lab;
        struct lab_listener listener;
        struct lab_conn client, server;
        struct pel_sim_wire_config wire = {.seed = 1, .latency_us = 50, .max_packets = 256, .queue_len = 64};
        lab_conn_init(&client, 3000, 1, 2);
        lab_conn_init(&server, 3000, 2, 1);
        PEL_REQUIRE(lab_open(&lab, &wire, NULL));
        PEL_REQUIRE(lab_listen(&lab.b, ":80", &listener, &server, 1));
        PEL_REQUIRE_OK(lab_connect(&lab.a, i % 2 == 0 ? "10.0.0.2:80" : "[fd00::2]:80", &client));
        /* Closed at a different moment each time, half-open states included. */
        lab_run(&lab, (uint64_t)(i % 50) * 40);
        lab_close(&lab);
        if (i == 50)
            heap = mallinfo2().uordblks;
    }
    PEL_EXPECT(mallinfo2().uordblks <= heap + 65536);
}

/* The same seed and the same time give the same run, whatever instances there were before. */
static uint64_t run_hash(void)
{
    struct lab lab;
    struct lab_listener listener;
    struct lab_conn client, server;
    struct pel_sim_impair bad = {.loss_ppm = 20000};
    struct pel_sim_wire_config wire = {.seed = 7, .latency_us = 500, .a_to_b = bad, .b_to_a = bad};
    lab_conn_init(&client, 100000, 1, 2);
    lab_conn_init(&server, 100000, 2, 1);
    if (!lab_open(&lab, &wire, NULL) || !lab_listen(&lab.b, ":80", &listener, &server, 1) ||
        lab_connect(&lab.a, "10.0.0.2:80", &client) != PEL_OK)
        return 0;
    uint64_t hash = pel_tcp_local(client.tcp).port;
    for (int i = 0; i < 500; i++) {
        lab_run(&lab, 1000);
        hash = hash * 31 + client.received_len + server.received_len * 7 +
               lab.a.counters.stat[PEL_STAT_tx_packets];
    }
    lab_close(&lab);
    return hash;
}

PEL_TEST(lwip_instance, runs_repeat)
{
    uint64_t first = run_hash();
    PEL_EXPECT(first != 0);
    PEL_EXPECT(first == run_hash());
}

PEL_TEST(lwip_instance, rejects_bad_configurations)
{
    struct lab lab;
    struct pel_ipstack *ip = NULL;
    struct pel_error error;
    PEL_REQUIRE(lab_open(&lab, NULL, NULL));
    struct pel_ipstack_config good = {.port = lab.a.port,
                                      .max_connections = 1,
                                      .tcp_window_len = 65536,
                                      .clock = pel_clock_virtual(&lab.time)};
    struct pel_ipstack_config config = good;
    config.tcp_window_len = 1000;
    PEL_EXPECT_ERR(pel_ip_open(&config, &ip, &error), PEL_E_ARG);
    config = good;
    config.max_connections = 0;
    PEL_EXPECT_ERR(pel_ip_open(&config, &ip, &error), PEL_E_ARG);
    config = good;
    config.num_addrs = 1; /* none is no address */
    PEL_EXPECT_ERR(pel_ip_open(&config, &ip, &error), PEL_E_ARG);
    config = good;
    config.num_addrs = 2; /* two of IPv4 */
    PEL_REQUIRE_OK(pel_ip_parse("10.0.0.1", &config.addrs[0].ip));
    PEL_REQUIRE_OK(pel_ip_parse("10.0.0.2", &config.addrs[1].ip));
    PEL_EXPECT_ERR(pel_ip_open(&config, &ip, &error), PEL_E_ARG);
    PEL_EXPECT(ip == NULL);
    lab_close(&lab);
}

PEL_TEST(lwip_instance, tells_its_addresses)
{
    struct lab lab;
    struct pel_ip_prefix addrs[PEL_IP_ADDRS_MAX];
    char text[64];
    PEL_REQUIRE(lab_open(&lab, NULL, NULL));
    PEL_REQUIRE(pel_ip_addrs(lab.a.ip, addrs, PEL_IP_ADDRS_MAX) == 3);
    PEL_EXPECT_STR(pel_ip_format(&addrs[0].ip, text, sizeof(text)), "10.0.0.1");
    PEL_EXPECT_EQ(addrs[0].prefix_len, 24);
    PEL_EXPECT_HAS(pel_ip_format(&addrs[1].ip, text, sizeof(text)), "fe80::");
    PEL_EXPECT_STR(pel_ip_format(&addrs[2].ip, text, sizeof(text)), "fd00::1");
    PEL_EXPECT_EQ(addrs[2].prefix_len, 64);
    PEL_EXPECT_EQ(pel_ip_addrs(lab.a.ip, addrs, 1), 1);
    PEL_EXPECT(pel_ip_is_local(lab.a.ip, &addrs[1].ip) && !pel_ip_is_local(lab.b.ip, &addrs[1].ip));
    lab_close(&lab);
}

/* To one's own address: over the loop inside lwIP. */
PEL_TEST(lwip_instance, talks_to_itself)
{
    struct lab lab;
    struct lab_listener listener;
    struct lab_conn client, server;
    lab_conn_init(&client, 200000, 1, 2);
    lab_conn_init(&server, 200000, 2, 1);
    PEL_REQUIRE(lab_open(&lab, NULL, NULL));
    PEL_REQUIRE(lab_listen(&lab.a, ":80", &listener, &server, 1));
    PEL_REQUIRE_OK(lab_connect(&lab.a, "10.0.0.1:80", &client));
    lab_run(&lab, 20 * SECOND);
    PEL_EXPECT_EQ(client.received_len, 200000);
    PEL_EXPECT_EQ(server.received_len, 200000);
    PEL_EXPECT_EQ(client.wrong_at & server.wrong_at, SIZE_MAX);
    pel_tcp_close(client.tcp);
    pel_tcp_close(server.tcp);
    lab_close(&lab);
}

/* ---- two threads ---- */

#define THREAD_LEN 20000000

struct thread_side {
    struct lab_host host;
    int number;
    const char *peer;
    struct lab_conn conn;
    bool failed;
    atomic_int *num_done;
};

static void thread_loop(struct thread_side *side)
{
    struct pel_clock clock = pel_clock_real();
    uint64_t end_us = pel_clock_now_us(&clock) + 60 * SECOND;
    bool done = false;
    while (atomic_load(side->num_done) < 2 && pel_clock_now_us(&clock) < end_us) {
        struct pel_pkt *pkts[LAB_BURST];
        uint32_t num = pel_port_rx(side->host.port, 0, pkts, LAB_BURST);
        pel_ip_input(side->host.ip, pkts, num);
        pel_ip_poll(side->host.ip);
        bool is_over = side->conn.num_errors > 0 ||
                       (side->conn.received_len == THREAD_LEN && side->conn.acked_len == THREAD_LEN);
        if (is_over && !done) {
            done = true;
            atomic_fetch_add(side->num_done, 1);
        }
    }
    side->failed = side->failed || !done;
}

static void *thread_main(void *arg)
{
    struct thread_side *side = (struct thread_side *)arg;
    struct lab_listener listener;
    struct pel_ipstack_config config = {.port = side->host.port,
                                        .num_addrs = 2,
                                        .max_connections = 10,
                                        .tcp_window_len = 1024 * 1024,
                                        .clock = pel_clock_real(),
                                        .counters = &side->host.counters};
    config.addrs[0].ip = lab_endpoint(side->number == 1 ? "10.0.0.1:0" : "10.0.0.2:0").ip;
    config.addrs[1].ip = lab_endpoint(side->number == 1 ? "[fd00::1]:0" : "[fd00::2]:0").ip;
    config.addrs[0].prefix_len = 24;
    config.addrs[1].prefix_len = 64;
    if (pel_ip_open(&config, &side->host.ip, NULL) != PEL_OK) {
        side->failed = true;
        atomic_fetch_add(side->num_done, 1);
        return NULL;
    }
    if (side->number == 2)
        side->failed = !lab_listen(&side->host, ":80", &listener, &side->conn, 1);
    else
        side->failed = lab_connect(&side->host, side->peer, &side->conn) != PEL_OK;
    thread_loop(side);
    if (side->conn.tcp != NULL)
        pel_tcp_abort(side->conn.tcp);
    pel_ip_close(side->host.ip);
    return NULL;
}

static void two_threads(const char *peer)
{
    struct pel_clock clock = pel_clock_real();
    struct pel_sim_wire_config wire = {.seed = 1};
    static struct thread_side a, b;
    atomic_int num_done = 0;
    a = (struct thread_side){.number = 1, .peer = peer, .num_done = &num_done};
    b = (struct thread_side){.number = 2, .num_done = &num_done};
    lab_conn_init(&a.conn, THREAD_LEN, 1, 2);
    lab_conn_init(&b.conn, THREAD_LEN, 2, 1);
    PEL_REQUIRE_OK(pel_sim_wire_open(&wire, &clock, &a.host.port, &b.host.port));
    PEL_EXPECT(pel_sim_is_direct(a.host.port));
    pthread_t threads[2];
    PEL_REQUIRE(pthread_create(&threads[1], NULL, thread_main, &b) == 0);
    PEL_REQUIRE(pthread_create(&threads[0], NULL, thread_main, &a) == 0);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    PEL_EXPECT(!a.failed && !b.failed);
    PEL_EXPECT_EQ(a.conn.received_len, THREAD_LEN);
    PEL_EXPECT_EQ(b.conn.received_len, THREAD_LEN);
    PEL_EXPECT_EQ(a.conn.wrong_at & b.conn.wrong_at, SIZE_MAX);
    struct pel_pkt *pkt;
    while (pel_port_rx(a.host.port, 0, &pkt, 1) == 1)
        pel_pkt_free(pkt);
    while (pel_port_rx(b.host.port, 0, &pkt, 1) == 1)
        pel_pkt_free(pkt);
    pel_port_close(a.host.port);
    pel_port_close(b.host.port);
}

PEL_TEST(lwip_instance, two_threads_v4)
{
    two_threads("10.0.0.2:80");
}

PEL_TEST(lwip_instance, two_threads_v6)
{
    two_threads("[fd00::2]:80");
}
