/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Segments longer than the MSS: cut by the port, passed whole, or cut here; split at windows and after
 * losses; joined again on receive; and bytes that the owner writes in place.
 */
#include "stack/lwip/coalesce.h"
#include "stack/lwip/lab.h"

#include <stdlib.h>

#define SECOND 1000000ull
#define CSUMS                                                                                                \
    (PEL_OFFLOAD_RX_IP_CSUM | PEL_OFFLOAD_RX_L4_CSUM | PEL_OFFLOAD_TX_IP_CSUM | PEL_OFFLOAD_TX_L4_CSUM)

struct pair {
    struct lab lab;
    struct lab_listener listener;
    struct lab_conn client, server;
};

static bool both_done(void *arg)
{
    struct pair *x = arg;
    return (x->client.received_len == x->server.to_send_len &&
            x->server.received_len == x->client.to_send_len && x->listener.num == 1) ||
           x->client.num_errors + x->server.num_errors > 0;
}

static bool is_connected(void *arg)
{
    struct pair *x = arg;
    return x->client.connected && x->server.connected;
}

static bool start(struct pair *x, const char *to, const struct pel_sim_wire_config *wire, size_t len,
                  void (*change)(struct pel_ipstack_config *config))
{
    memset(x, 0, sizeof *x);
    lab_conn_init(&x->client, len, 1, 2);
    lab_conn_init(&x->server, len, 2, 1);
    return lab_open(&x->lab, wire, change) && lab_listen(&x->lab.b, ":80", &x->listener, &x->server, 1) &&
           lab_connect(&x->lab.a, to, &x->client) == PEL_OK;
}

static void finish(struct pair *x)
{
    PEL_EXPECT_EQ(x->client.wrong_at, SIZE_MAX);
    PEL_EXPECT_EQ(x->server.wrong_at, SIZE_MAX);
    PEL_EXPECT_EQ(x->client.num_errors + x->server.num_errors, 0);
    if (x->client.tcp != NULL)
        pel_tcp_close(x->client.tcp);
    if (x->server.tcp != NULL)
        pel_tcp_close(x->server.tcp);
    lab_close(&x->lab);
}

/* Moves `len` bytes each way and returns how many bytes a frame had on average. */
static uint64_t exchange(const char *to, const struct pel_sim_wire_config *wire, size_t len,
                         void (*change)(struct pel_ipstack_config *config), uint64_t *ret_coalesced)
{
    struct pair x;
    struct pel_port_stats stats;
    PEL_EXPECT(start(&x, to, wire, len, change));
    PEL_EXPECT(lab_run_until(&x.lab, 600 * SECOND, both_done, &x));
    PEL_EXPECT_EQ(x.client.received_len, len);
    PEL_EXPECT_EQ(x.server.received_len, len);
    x.lab.a.port->ops->stats(x.lab.a.port, &stats);
    *ret_coalesced = x.lab.b.counters.stat[PEL_STAT_rx_coalesced];
    finish(&x);
    return stats.tx_bytes / (stats.tx_packets + 1);
}

static const char *const addresses[] = {"10.0.0.2:80", "[fd00::2]:80"};

PEL_TEST(lwip_segments, go_whole_to_a_port_that_takes_pieces)
{
    for (int i = 0; i < 2; i++) {
        struct pel_sim_wire_config wire = {.offloads = CSUMS | PEL_OFFLOAD_TSO | PEL_OFFLOAD_SCATTER};
        uint64_t coalesced, frame_len = exchange(addresses[i], &wire, 8000000, NULL, &coalesced);
        PEL_EXPECT(frame_len > 8000);
    }
}

PEL_TEST(lwip_segments, go_whole_to_a_port_that_wants_one_piece)
{
    for (int i = 0; i < 2; i++) {
        struct pel_sim_wire_config wire = {
            .offloads = CSUMS | PEL_OFFLOAD_TSO, .latency_us = 20, .exact_buffers = true};
        uint64_t coalesced, frame_len = exchange(addresses[i], &wire, 8000000, NULL, &coalesced);
        PEL_EXPECT(frame_len > 8000);
    }
}

/* The wire cuts as a NIC does, and the receiver joins. */
PEL_TEST(lwip_segments, are_cut_by_the_port)
{
    for (int i = 0; i < 4; i++) {
        struct pel_sim_wire_config wire = {.offloads =
                                               CSUMS | PEL_OFFLOAD_TSO | (i < 2 ? PEL_OFFLOAD_SCATTER : 0),
                                           .latency_us = 20,
                                           .real_offloads = true,
                                           .exact_buffers = true};
        uint64_t coalesced;
        exchange(addresses[i % 2], &wire, 8000000, NULL, &coalesced);
        PEL_EXPECT(coalesced > 2000);
    }
}

/* No offload at all: cut here, with every checksum made and checked in software. */
PEL_TEST(lwip_segments, are_cut_in_software)
{
    for (int i = 0; i < 2; i++) {
        struct pel_sim_wire_config wire = {.latency_us = 20, .exact_buffers = true};
        uint64_t coalesced, frame_len = exchange(addresses[i], &wire, 8000000, NULL, &coalesced);
        PEL_EXPECT(frame_len < 1514);
        PEL_EXPECT(coalesced > 2000);
    }
}

PEL_TEST(lwip_segments, survive_a_bad_wire)
{
    const uint32_t offloads[] = {0, CSUMS | PEL_OFFLOAD_TSO, CSUMS | PEL_OFFLOAD_TSO | PEL_OFFLOAD_SCATTER};
    for (uint64_t seed = 1; seed <= 18 && !pel_test_has_failed(); seed++) {
        struct pel_sim_impair bad = {
            .loss_ppm = 10000, .dup_ppm = 5000, .reorder_ppm = 10000, .corrupt_ppm = 3000};
        struct pel_sim_wire_config wire = {.seed = seed,
                                           .latency_us = 1000,
                                           .a_to_b = bad,
                                           .b_to_a = bad,
                                           .exact_buffers = true,
                                           .offloads = offloads[seed % 3],
                                           .real_offloads = seed % 2 == 0};
        uint64_t coalesced;
        pel_test_say("seed %d", (int)seed);
        exchange(addresses[seed % 4 / 2], &wire, 2000000, NULL, &coalesced);
    }
}

static void smallest_window(struct pel_ipstack_config *config)
{
    config->tcp_window_len = 16 * 1024;
}

/* A segment that never fits the window whole. */
PEL_TEST(lwip_segments, are_split_at_windows)
{
    struct pel_sim_impair bad = {.loss_ppm = 5000};
    for (int i = 0; i < 4; i++) {
        struct pel_sim_wire_config wire = {.seed = 7,
                                           .latency_us = 50,
                                           .a_to_b = bad,
                                           .b_to_a = bad,
                                           .offloads = CSUMS | PEL_OFFLOAD_TSO | PEL_OFFLOAD_SCATTER,
                                           .real_offloads = i >= 2};
        uint64_t coalesced;
        exchange(addresses[i % 2], &wire, 500000, smallest_window, &coalesced);
    }
}

/* ---- in place ---- */

static bool write_in_place(struct lab_conn *conn, size_t len)
{
    uint8_t *room;
    if (pel_tcp_reserve(conn->tcp, len, &room) != PEL_OK)
        return false;
    for (size_t i = 0; i < len; i++)
        room[i] = lab_byte(conn->seed, conn->sent_len + i);
    pel_tcp_commit(conn->tcp, len);
    conn->sent_len += len;
    return true;
}

/* Pieces of any size, in place and copied, with and without flushes between: one stream. */
PEL_TEST(lwip_segments, are_written_in_place)
{
    struct pel_sim_wire_config wire = {.offloads = CSUMS | PEL_OFFLOAD_TSO | PEL_OFFLOAD_SCATTER,
                                       .latency_us = 10};
    struct pel_prng prng;
    struct pair x;
    pel_prng_seed(&prng, 42);
    pel_test_say("seed 42");
    PEL_REQUIRE(start(&x, "10.0.0.2:80", &wire, 0, NULL));
    PEL_REQUIRE(lab_run_until(&x.lab, SECOND, is_connected, &x));
    size_t total_len = 3000000;
    while (x.client.sent_len < total_len && !pel_test_has_failed()) {
        size_t len = 1 + pel_prng_below(&prng, pel_prng_below(&prng, 2) == 0 ? 300 : 60000);
        if (pel_prng_below(&prng, 4) == 0) {
            x.client.to_send_len = x.client.sent_len + len;
            lab_conn_pump(&x.client);
        } else {
            (void)write_in_place(&x.client, len);
        }
        x.client.to_send_len = x.client.sent_len;
        if (pel_prng_below(&prng, 3) == 0) {
            PEL_EXPECT_ERR(pel_tcp_flush(x.client.tcp), PEL_OK);
            lab_run(&x.lab, pel_prng_below(&prng, 3) * 20);
        }
    }
    PEL_EXPECT_ERR(pel_tcp_flush(x.client.tcp), PEL_OK);
    PEL_EXPECT(lab_run_until(&x.lab, 60 * SECOND, both_done, &x));
    PEL_EXPECT_EQ(x.server.received_len, x.client.sent_len);
    lab_run(&x.lab, SECOND);
    PEL_EXPECT_EQ(pel_tcp_unacked_len(x.client.tcp), 0);
    finish(&x);
}

PEL_TEST(lwip_segments, in_place_has_limits)
{
    struct pel_sim_wire_config wire = {.offloads = CSUMS | PEL_OFFLOAD_TSO | PEL_OFFLOAD_SCATTER};
    struct pair x;
    uint8_t *room;
    PEL_REQUIRE(start(&x, "10.0.0.2:80", &wire, 0, smallest_window));
    PEL_EXPECT_ERR(pel_tcp_reserve(x.client.tcp, 1, &room), PEL_E_STATE);
    PEL_REQUIRE(lab_run_until(&x.lab, SECOND, is_connected, &x));
    PEL_EXPECT_ERR(pel_tcp_reserve(x.client.tcp, 65536, &room), PEL_E_ARG);
    PEL_EXPECT_ERR(pel_tcp_reserve(x.client.tcp, pel_tcp_send_room(x.client.tcp) + 1, &room), PEL_E_AGAIN);
    x.server.hold = true;
    PEL_REQUIRE(write_in_place(&x.client, 10000));
    PEL_EXPECT_EQ(pel_tcp_unacked_len(x.client.tcp), 10000);
    PEL_EXPECT_EQ(pel_tcp_send_room(x.client.tcp), 6384);
    /* What is open goes with the FIN, and is no leak with a reset. */
    PEL_EXPECT_ERR(pel_tcp_shutdown(x.client.tcp), PEL_OK);
    lab_run(&x.lab, SECOND);
    PEL_EXPECT_EQ(x.server.received_len, 10000);
    PEL_EXPECT(x.server.fin);
    PEL_REQUIRE(write_in_place(&x.server, 9000));
    pel_tcp_abort(x.server.tcp);
    x.server.tcp = NULL;
    pel_buf_free(x.server.held);
    lab_run(&x.lab, SECOND);
    PEL_EXPECT_ERR(x.client.error, PEL_E_CONN_RESET);
    x.client.num_errors = 0;
    finish(&x);
}

/* The large packets of the port are few, and a slow reader keeps them: what follows takes memory instead. */
PEL_TEST(lwip_segments, go_on_without_large_packets)
{
    struct pel_sim_wire_config wire = {.offloads = CSUMS | PEL_OFFLOAD_TSO | PEL_OFFLOAD_SCATTER,
                                       .max_packets = 256};
    struct pel_pkt *taken[64];
    struct pair x;
    PEL_REQUIRE(start(&x, "10.0.0.2:80", &wire, 1000000, NULL));
    for (int i = 0; i < 64; i++)
        PEL_REQUIRE((taken[i] = pel_port_pkt_alloc_large(x.lab.a.port, 0)) != NULL);
    PEL_EXPECT(pel_port_pkt_alloc_large(x.lab.a.port, 0) == NULL);
    PEL_EXPECT(lab_run_until(&x.lab, 60 * SECOND, both_done, &x));
    for (int i = 0; i < 64; i++)
        pel_pkt_free(taken[i]);
    PEL_EXPECT_EQ(x.server.received_len, 1000000);
    finish(&x);
}
