/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/sim/sim.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bytes.h"
#include "drivers/sim/test_wire.h"
#include "tests/harness/harness.h"

PEL_TEST(sim, frames_arrive_in_order_both_ways)
{
    struct pel_sim_wire_config config = {.exact_buffers = true};
    struct test_wire w;
    PEL_REQUIRE(test_wire_open(&w, &config));
    PEL_EXPECT(!pel_sim_is_direct(w.a));
    for (uint32_t i = 0; i < 500; i++) {
        PEL_REQUIRE(test_send(w.a, i, 60 + i));
        PEL_REQUIRE(test_send(w.b, 1000 + i, 60));
    }
    for (uint32_t i = 0; i < 500; i++) {
        PEL_EXPECT_EQ(test_receive(w.b), i);
        PEL_EXPECT_EQ(test_receive(w.a), 1000 + i);
    }
    PEL_EXPECT_EQ(test_receive(w.a), -1);
    test_wire_close(&w);
}

PEL_TEST(sim, direct_mode_hands_the_packet_over)
{
    struct pel_sim_wire_config config = {.queue_len = 8};
    struct pel_port_stats stats;
    struct pel_pkt *got[16];
    struct test_wire w;
    PEL_REQUIRE(test_wire_open(&w, &config));
    PEL_EXPECT(pel_sim_is_direct(w.a));
    struct pel_pkt *pkt = pel_port_pkt_alloc(w.a, 0);
    PEL_REQUIRE(pkt != NULL && pkt->room_len == 1514);
    memset(pkt->data, 7, 100);
    pkt->len = 100;
    PEL_EXPECT_EQ(pel_port_tx(w.a, 0, &pkt, 1), 1);
    PEL_EXPECT_EQ(w.b->ops->next_event_us(w.b, PEL_ANY_QUEUE), w.time.now_us);
    PEL_REQUIRE(pel_port_rx(w.b, 0, got, 16) == 1);
    PEL_EXPECT(got[0] == pkt && got[0]->len == 100 && got[0]->next == NULL);
    w.a->ops->stats(w.a, &stats);
    PEL_EXPECT_EQ(stats.num_pkts_in_use, 1);
    pel_pkt_free(got[0]);
    w.a->ops->stats(w.a, &stats);
    PEL_EXPECT_EQ(stats.num_pkts_in_use, 0);
    PEL_EXPECT_EQ(w.b->ops->next_event_us(w.b, PEL_ANY_QUEUE), UINT64_MAX);
    test_wire_close(&w);
}

static void check_full_wire(bool exact_buffers)
{
    struct pel_sim_wire_config config = {.queue_len = 8, .exact_buffers = exact_buffers};
    struct pel_pkt *pkts[12];
    struct test_wire w;
    PEL_REQUIRE(test_wire_open(&w, &config));
    for (int i = 0; i < 12; i++) {
        pkts[i] = pel_port_pkt_alloc(w.a, 0);
        PEL_REQUIRE(pkts[i] != NULL);
        pkts[i]->len = 60;
        memset(pkts[i]->data, i, 60);
    }
    PEL_EXPECT_EQ(pel_port_tx(w.a, 0, pkts, 12), 8);
    PEL_EXPECT_EQ(pel_port_tx(w.a, 0, pkts + 8, 4), 0);
    struct pel_pkt *got[12];
    PEL_REQUIRE(pel_port_rx(w.b, 0, got, 3) == 3);
    PEL_EXPECT_EQ(got[2]->data[0], 2);
    for (int i = 0; i < 3; i++)
        pel_pkt_free(got[i]);
    PEL_EXPECT_EQ(pel_port_tx(w.a, 0, pkts + 8, 4), 3);
    pel_pkt_free(pkts[11]);
    test_wire_close(&w);
}

PEL_TEST(sim, a_full_wire_is_a_short_count)
{
    check_full_wire(false);
    check_full_wire(true);
}

PEL_TEST(sim, latency_and_bandwidth_set_the_time)
{
    /* 1250 bytes at 10 Mbit/s take 1 ms each. */
    struct pel_sim_wire_config config = {.latency_us = 500, .bandwidth_bps = 10000000};
    struct test_wire w;
    PEL_REQUIRE(test_wire_open(&w, &config));
    PEL_EXPECT_EQ(w.b->ops->next_event_us(w.b, PEL_ANY_QUEUE), UINT64_MAX);
    PEL_REQUIRE(test_send(w.a, 1, 1250) && test_send(w.a, 2, 1250));
    PEL_EXPECT_EQ(w.b->ops->next_event_us(w.b, PEL_ANY_QUEUE), 1500);
    w.time.now_us = 1499;
    PEL_EXPECT_EQ(test_receive(w.b), -1);
    w.time.now_us = 1500;
    PEL_EXPECT_EQ(test_receive(w.b), 1);
    PEL_EXPECT_EQ(test_receive(w.b), -1);
    PEL_EXPECT_EQ(w.b->ops->next_event_us(w.b, PEL_ANY_QUEUE), 2500);
    w.time.now_us = 2500;
    PEL_EXPECT_EQ(test_receive(w.b), 2);
    test_wire_close(&w);
}

PEL_TEST(sim, frames_over_the_mtu_are_errors)
{
    struct pel_sim_wire_config config = {.mtu = 576, .offloads = PEL_OFFLOAD_TSO, .tso_max_len = 4000};
    struct pel_port_stats stats;
    struct test_wire w;
    PEL_REQUIRE(test_wire_open(&w, &config));
    PEL_REQUIRE(test_send(w.a, 1, 590) && test_send(w.a, 2, 591));
    PEL_EXPECT_EQ(test_receive(w.b), 1);
    PEL_EXPECT_EQ(test_receive(w.b), -1);
    w.a->ops->stats(w.a, &stats);
    PEL_EXPECT_EQ(stats.tx_packets, 1);
    PEL_EXPECT_EQ(stats.tx_bytes, 590);
    PEL_EXPECT_EQ(stats.tx_errors, 1);
    test_wire_close(&w);
}

PEL_TEST(sim, an_empty_pool_gives_null_and_loses_received_frames)
{
    struct pel_sim_wire_config config = {.max_packets = 4, .exact_buffers = true};
    struct pel_pkt *held[4], *got[4];
    struct pel_port_stats stats;
    struct test_wire w;
    PEL_REQUIRE(test_wire_open(&w, &config));
    for (int i = 0; i < 4; i++)
        PEL_REQUIRE((held[i] = pel_port_pkt_alloc(w.b, 0)) != NULL);
    PEL_EXPECT(pel_port_pkt_alloc(w.b, 0) == NULL);
    PEL_REQUIRE(test_send(w.a, 1, 60) && test_send(w.a, 2, 60));
    PEL_EXPECT_EQ(pel_port_rx(w.b, 0, got, 4), 0);
    w.b->ops->stats(w.b, &stats);
    PEL_EXPECT_EQ(stats.rx_no_buffers, 2);
    PEL_EXPECT_EQ(stats.num_pkts_in_use, 4);
    for (int i = 0; i < 4; i++)
        pel_pkt_free(held[i]);
    PEL_REQUIRE(test_send(w.a, 3, 60));
    PEL_EXPECT_EQ(test_receive(w.b), 3);
    test_wire_close(&w);
}

PEL_TEST(sim, allocations_fail_on_demand)
{
    struct pel_sim_wire_config config = {.seed = 1};
    struct pel_pkt *pkts[6];
    struct test_wire w;
    PEL_REQUIRE(test_wire_open(&w, &config));
    pel_sim_fail_allocs(w.a, 3, 2);
    for (int i = 0; i < 6; i++)
        pkts[i] = pel_port_pkt_alloc(w.a, 0);
    for (int i = 0; i < 6; i++)
        PEL_EXPECT_EQ(pkts[i] == NULL, i == 2 || i == 3);
    for (int i = 0; i < 6; i++)
        pel_pkt_free(pkts[i]);
    pel_sim_limit_packets(w.a, 1);
    pkts[0] = pel_port_pkt_alloc(w.a, 0);
    PEL_EXPECT(pkts[0] != NULL && pel_port_pkt_alloc(w.a, 0) == NULL);
    pel_pkt_free(pkts[0]);
    test_wire_close(&w);
}

PEL_TEST(sim, injected_bytes_are_received_as_they_are)
{
    const bool exact[] = {true, false};
    for (int i = 0; i < 2; i++) {
        struct pel_sim_wire_config config = {.exact_buffers = exact[i]};
        struct pel_pkt *got[2];
        struct test_wire w;
        PEL_REQUIRE(test_wire_open(&w, &config));
        PEL_EXPECT_ERR(pel_sim_inject(w.a, "", 0), PEL_E_ARG);
        PEL_REQUIRE_OK(pel_sim_inject(w.a, "x", 1));
        PEL_REQUIRE(pel_port_rx(w.a, 0, got, 2) == 1);
        PEL_EXPECT(got[0]->len == 1 && got[0]->data[0] == 'x');
        PEL_EXPECT_EQ(got[0]->room_len, exact[i] ? 1 : 1514);
        pel_pkt_free(got[0]);
        test_wire_close(&w);
    }
}

static int signal_of_a_close_with_a_packet_out(void)
{
    struct pel_sim_wire_config config = {.seed = 1};
    struct test_wire w;
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        close(2);
        signal(SIGABRT, SIG_DFL);
        if (test_wire_open(&w, &config) && pel_port_pkt_alloc(w.a, 0) != NULL)
            test_wire_close(&w);
        _exit(0);
    }
    waitpid(child, &status, 0);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

PEL_TEST(sim, a_close_with_packets_out_aborts)
{
    PEL_EXPECT_EQ(signal_of_a_close_with_a_packet_out(), SIGABRT);
}

struct tap_log {
    uint32_t num;
    uint32_t refuse;
};

static bool refuse_one(void *arg, const uint8_t *bytes, size_t len)
{
    struct tap_log *log = arg;
    return ++log->num != log->refuse && bytes != NULL && len >= 60;
}

PEL_TEST(sim, a_tap_sees_and_may_drop_frames)
{
    const bool exact[] = {true, false};
    for (int i = 0; i < 2; i++) {
        struct pel_sim_wire_config config = {.exact_buffers = exact[i]};
        struct tap_log log = {.refuse = 2};
        struct test_wire w;
        PEL_REQUIRE(test_wire_open(&w, &config));
        pel_sim_tap(w.a, refuse_one, &log);
        for (uint32_t k = 1; k <= 3; k++)
            PEL_REQUIRE(test_send(w.a, k, 60) && test_send(w.b, k, 60));
        PEL_EXPECT_EQ(log.num, 3);
        PEL_EXPECT_EQ(test_receive(w.b), 1);
        PEL_EXPECT_EQ(test_receive(w.b), 3);
        PEL_EXPECT_EQ(test_receive(w.b), -1);
        test_wire_close(&w);
    }
}

PEL_TEST(sim, refuses_a_bad_configuration)
{
    const struct pel_sim_wire_config bad[] = {
        {.mtu = 575},
        {.mtu = 9217},
        {.a_to_b.loss_ppm = 1000001},
        {.b_to_a.dup_ppm = 1000001},
        {.offloads = PEL_OFFLOAD_RSS},
        {.offloads = PEL_OFFLOAD_TSO, .tso_max_len = 65536},
        {.queue_len = 1u << 25},
    };
    struct pel_clock clock = pel_clock_real();
    struct pel_port *a = NULL, *b = NULL;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        PEL_EXPECT_ERR(pel_sim_wire_open(&bad[i], &clock, &a, &b), PEL_E_ARG);
    PEL_EXPECT(a == NULL && b == NULL);
}

#define NUM_FRAMES 200000u

struct side {
    struct pel_port *port;
    uint32_t num_sent, num_received, num_wrong;
};

/* Sends NUM_FRAMES numbered frames and takes as many, checking their order. */
static void *exchange(void *arg)
{
    struct side *side = arg;
    while (side->num_sent < NUM_FRAMES || side->num_received < NUM_FRAMES) {
        struct pel_pkt *got[32];
        if (side->num_sent < NUM_FRAMES && test_send(side->port, side->num_sent, 60))
            side->num_sent++;
        uint32_t num = pel_port_rx(side->port, 0, got, 32);
        for (uint32_t i = 0; i < num; i++) {
            side->num_wrong += test_number_of(got[i]) != side->num_received++;
            pel_pkt_free(got[i]);
        }
        if (num == 0)
            sched_yield();
    }
    return NULL;
}

static void check_two_threads(const struct pel_sim_wire_config *config)
{
    struct pel_clock clock = pel_clock_real();
    struct pel_port *a, *b;
    pthread_t thread;
    PEL_REQUIRE_OK(pel_sim_wire_open(config, &clock, &a, &b));
    struct side side_a = {.port = a}, side_b = {.port = b};
    PEL_REQUIRE(pthread_create(&thread, NULL, exchange, &side_b) == 0);
    exchange(&side_a);
    pthread_join(thread, NULL);
    PEL_EXPECT_EQ(side_a.num_wrong, 0);
    PEL_EXPECT_EQ(side_b.num_wrong, 0);
    struct test_wire w = {.a = a, .b = b};
    test_wire_close(&w);
}

PEL_TEST(sim, two_threads_direct)
{
    check_two_threads(&(struct pel_sim_wire_config){.queue_len = 256});
}

PEL_TEST(sim, two_threads_direct_with_a_small_pool)
{
    check_two_threads(&(struct pel_sim_wire_config){.queue_len = 64, .max_packets = 8});
}

PEL_TEST(sim, two_threads_queued)
{
    check_two_threads(
        &(struct pel_sim_wire_config){.queue_len = 256, .exact_buffers = true, .max_packets = 1024});
}

/* A frame whose headers and bytes lie apart: the bytes stay the sender's, and are shown twice. */
PEL_TEST(sim, frames_in_pieces_share_the_senders_bytes)
{
    for (int direct = 0; direct < 2; direct++) {
        struct pel_sim_wire_config config = {.offloads = PEL_OFFLOAD_TSO | PEL_OFFLOAD_SCATTER,
                                             .latency_us = direct ? 0 : 1};
        struct pel_port_stats stats;
        struct pel_pkt *whole, *pkt, *got[3];
        struct test_wire w;
        PEL_REQUIRE(test_wire_open(&w, &config));
        PEL_REQUIRE((whole = pel_port_pkt_alloc_large(w.a, 0)) != NULL && whole->room_len == 65535);
        memset(whole->data, 0x5a, 1000);
        for (int i = 0; i < 2; i++) {
            PEL_REQUIRE((pkt = pel_port_pkt_alloc(w.a, 0)) != NULL);
            pkt->len = 60;
            memset(pkt->data, i, 60);
            PEL_REQUIRE((pkt->more = pel_pkt_attach(whole, 0, whole->data + i, 900)) != NULL);
            PEL_EXPECT_EQ(pel_pkt_frame_len(pkt), 960);
            PEL_REQUIRE(pel_port_tx(w.a, 0, &pkt, 1) == 1);
        }
        pel_pkt_free(whole);
        w.time.now_us = 10;
        PEL_REQUIRE(pel_port_rx(w.b, 0, got, 3) == 2);
        for (int i = 0; i < 2; i++) {
            PEL_EXPECT_EQ(pel_pkt_frame_len(got[i]), 960);
            PEL_EXPECT_EQ(got[i]->more != NULL, direct == 1);
            PEL_EXPECT_EQ(got[i]->data[59], i);
            PEL_EXPECT_EQ(direct ? got[i]->more->data[899] : got[i]->data[959], 0x5a);
        }
        w.a->ops->stats(w.a, &stats);
        PEL_EXPECT_EQ(stats.num_pkts_in_use, direct ? 5 : 0); /* two headers, two pieces, the bytes */
        pel_pkt_free(got[0]);
        pel_pkt_free(got[1]);
        test_wire_close(&w);
    }
}
