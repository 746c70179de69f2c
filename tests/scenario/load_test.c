/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The data path at its edges, under TLS: the sizes of records, readers that do not read, a byte at a time, or
 * not for minutes, and ports that run out of packets while others work.
 */
#include "tests/harness/harness.h"
#include "tests/scenario/world.h"

#define SECOND_US 1000000ull
#define CSUMS                                                                                                \
    (PEL_OFFLOAD_RX_IP_CSUM | PEL_OFFLOAD_RX_L4_CSUM | PEL_OFFLOAD_TX_IP_CSUM | PEL_OFFLOAD_TX_L4_CSUM)

static const uint32_t offload_sets[] = {0, CSUMS | PEL_OFFLOAD_TSO,
                                        CSUMS | PEL_OFFLOAD_TSO | PEL_OFFLOAD_SCATTER};

struct scene {
    struct world world;
    struct peer peers[NUM_HOSTS];
    struct pel_listener *listener;
};

static bool open_scene(struct scene *scene, uint32_t offloads, uint32_t max_packets)
{
    const struct world_config config = {.seed = 11,
                                        .policies = {world_client_policy, world_server_policy},
                                        .offloads = offloads,
                                        .max_packets = max_packets};
    memset(scene, 0, sizeof *scene);
    if (!world_open(&scene->world, &config))
        return false;
    peers_transfer(&scene->world, scene->peers, 0);
    return peer_listen(&scene->peers[HOST_B], &scene->listener);
}

static void close_scene(struct scene *scene)
{
    pel_listener_close(scene->listener);
    PEL_EXPECT(world_close(&scene->world));
}

static bool both_open(void *arg)
{
    const struct peer *peers = arg;
    return peers[HOST_A].opened && peers[HOST_B].opened;
}

static bool all_received(void *arg)
{
    const struct peer *peers = arg;
    return peers[HOST_B].received_len >= peers[HOST_A].sent_len;
}

/* Sends `len` more bytes from A to B; returns the records that it took. */
static uint64_t send_and_count(struct scene *scene, uint64_t len)
{
    uint64_t before = world_stat(&scene->world, HOST_A, PEL_STAT_tls_records_out);
    struct peer *a = &scene->peers[HOST_A];
    a->send_len += len;
    scene->peers[HOST_B].receive_len = a->send_len;
    a->conn->want_write = false;
    peer_events.on_writable(a, a->conn);
    PEL_EXPECT(world_run(&scene->world, all_received, scene->peers, 10 * SECOND_US));
    return world_stat(&scene->world, HOST_A, PEL_STAT_tls_records_out) - before;
}

/* One segment a record at first, the largest once the stream flows, and one segment again after a pause. */
PEL_TEST(load, records_grow_with_the_stream)
{
    struct scene scene;
    PEL_REQUIRE(open_scene(&scene, 0, 0));
    scene.peers[HOST_A].shut = scene.peers[HOST_B].shut = true; /* they stay open */
    PEL_REQUIRE_OK(peer_connect(&scene.peers[HOST_A], "server.test"));
    PEL_REQUIRE(world_run(&scene.world, both_open, scene.peers, 10 * SECOND_US));
    PEL_EXPECT_EQ(send_and_count(&scene, 14380), 10);
    uint64_t num_warming = send_and_count(&scene, 60000), num_warm = send_and_count(&scene, 10 * 16384);
    PEL_EXPECT(num_warming > 30 && num_warming < 45);
    PEL_EXPECT(num_warm >= 10 && num_warm <= 14); /* the application's writes are not multiples of 16 KB */
    world_pass(&scene.world, 2 * SECOND_US);
    PEL_EXPECT_EQ(send_and_count(&scene, 14380), 10);
    PEL_EXPECT(!scene.peers[HOST_B].wrong);
    pel_conn_abort(scene.peers[HOST_A].conn);
    world_pass(&scene.world, SECOND_US);
    close_scene(&scene);
}

static bool listening_again(struct peer *peer)
{
    peer->deaf = false;
    pel_conn_resume(peer->conn);
    return true;
}

/* The window is shut for ten minutes: little is sent, nothing is lost, and what waits is bounded by the send
 * buffer. */
PEL_TEST(load, a_window_that_stays_shut_for_minutes)
{
    for (int i = 0; i < 3; i++) {
        struct scene scene;
        PEL_REQUIRE(open_scene(&scene, offload_sets[i], 0));
        struct peer *a = &scene.peers[HOST_A], *b = &scene.peers[HOST_B];
        a->send_len = b->receive_len = 3000000;
        b->deaf = true;
        PEL_REQUIRE_OK(peer_connect(a, "server.test"));
        world_pass(&scene.world, 5 * SECOND_US);
        uint64_t sent_len = a->sent_len, frames = scene.world.num_frames[HOST_A];
        PEL_EXPECT(b->opened && sent_len > 0 && sent_len < 1200000);
        world_pass(&scene.world, 600 * SECOND_US);
        PEL_EXPECT_EQ(a->sent_len, sent_len);
        PEL_EXPECT(scene.world.num_frames[HOST_A] - frames < 400);
        PEL_EXPECT(world_stat(&scene.world, HOST_A, PEL_STAT_tcp_window_probes) > 5);
        PEL_EXPECT(!a->closed && !b->closed && listening_again(b));
        PEL_EXPECT(world_run(&scene.world, peers_done, scene.peers, 60 * SECOND_US));
        PEL_EXPECT_EQ(b->received_len, 3000000);
        PEL_EXPECT(!b->wrong);
        close_scene(&scene);
    }
}

PEL_TEST(load, a_reader_of_single_bytes)
{
    for (int i = 0; i < 3; i++) {
        struct scene scene;
        PEL_REQUIRE(open_scene(&scene, offload_sets[i], 0));
        struct peer *a = &scene.peers[HOST_A], *b = &scene.peers[HOST_B];
        a->send_len = b->receive_len = 100000;
        b->slowest = true;
        PEL_REQUIRE_OK(peer_connect(a, "server.test"));
        PEL_EXPECT(world_run(&scene.world, peers_done, scene.peers, 60 * SECOND_US));
        PEL_EXPECT_EQ(b->received_len, 100000);
        PEL_EXPECT(!b->wrong);
        close_scene(&scene);
    }
}

/* A writer of single bytes: a record each, none lost. */
PEL_TEST(load, a_writer_of_single_bytes)
{
    struct scene scene;
    PEL_REQUIRE(open_scene(&scene, 0, 0));
    struct peer *a = &scene.peers[HOST_A], *b = &scene.peers[HOST_B];
    a->send_len = b->receive_len = 60000;
    a->write_len = 1;
    PEL_REQUIRE_OK(peer_connect(a, "server.test"));
    PEL_EXPECT(world_run(&scene.world, peers_done, scene.peers, 60 * SECOND_US));
    PEL_EXPECT_EQ(b->received_len, 60000);
    PEL_EXPECT(!b->wrong);
    PEL_EXPECT_EQ(world_stat(&scene.world, HOST_A, PEL_STAT_tls_records_out), 60000);
    close_scene(&scene);
}

/* The pool runs out again and again while bytes go both ways: counted by name, and nothing is lost. */
PEL_TEST(load, too_few_packets)
{
    for (int i = 0; i < 3; i++) {
        struct scene scene;
        PEL_REQUIRE(open_scene(&scene, offload_sets[i], i == 0 ? 48 : 5));
        struct peer *a = &scene.peers[HOST_A], *b = &scene.peers[HOST_B];
        a->send_len = b->receive_len = b->send_len = a->receive_len = 2000000;
        PEL_REQUIRE_OK(peer_connect(a, "server.test"));
        PEL_EXPECT(world_run(&scene.world, peers_done, scene.peers, 300 * SECOND_US));
        PEL_EXPECT_EQ(a->received_len, 2000000);
        PEL_EXPECT_EQ(b->received_len, 2000000);
        PEL_EXPECT(!a->wrong && !b->wrong);
        struct pel_port_stats stats;
        scene.world.ports[HOST_A]->ops->stats(scene.world.ports[HOST_A], &stats);
        uint64_t num_short = world_err(&scene.world, HOST_A, PEL_E_NO_PACKET_BUFFERS) + stats.rx_no_buffers;
        PEL_EXPECT(num_short > 0);
        close_scene(&scene);
    }
}
