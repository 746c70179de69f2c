/* SPDX-License-Identifier: Apache-2.0 */
/* Peers that stall or vanish at every step, buffers that run out, memory that runs out at every allocation.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/harness/failmalloc.h"
#include "tests/harness/harness.h"
#include "tests/scenario/world.h"

#define SECOND_US 1000000u

static const struct world_config both_tls = {.seed = 1,
                                             .policies = {world_client_policy, world_server_policy}};

struct scene {
    struct world world;
    struct peer peers[NUM_HOSTS];
    struct pel_listener *listener;
};

static bool open_scene(struct scene *scene, const struct world_config *config)
{
    memset(scene, 0, sizeof *scene);
    if (!world_open(&scene->world, config))
        return false;
    peers_transfer(&scene->world, scene->peers, 20000);
    scene->peers[HOST_A].marker = scene->peers[HOST_B].marker = true;
    return peer_listen(&scene->peers[HOST_B], &scene->listener);
}

static void close_scene(struct scene *scene)
{
    pel_listener_close(scene->listener);
    PEL_EXPECT(world_close(&scene->world));
}

/* The wire of `host` is cut after its nth frame, for every n of a whole connection: the other side must end
 * in bounded time. */
static void cut(int host)
{
    for (uint64_t n = 1; n <= 25; n++) {
        struct scene scene;
        PEL_REQUIRE(open_scene(&scene, &both_tls));
        scene.world.cut_after[host] = n;
        PEL_REQUIRE_OK(peer_connect(&scene.peers[HOST_A], "server.test"));
        world_pass(&scene.world, 30 * SECOND_US);
        bool handshake_done = scene.peers[HOST_A].opened && scene.peers[HOST_B].opened;
        bool server_seen = scene.peers[HOST_B].conn != NULL;
        if (!handshake_done && server_seen)
            PEL_EXPECT(scene.peers[HOST_B].closed || scene.peers[HOST_B].opened);
        world_pass(&scene.world, 600 * SECOND_US);
        if (!handshake_done)
            PEL_EXPECT(scene.peers[HOST_A].closed || scene.peers[HOST_A].opened);
        PEL_EXPECT_EQ(scene.world.num_markers[HOST_A] + scene.world.num_markers[HOST_B], 0);
        PEL_EXPECT_EQ(scene.peers[HOST_A].wrong + scene.peers[HOST_B].wrong, 0);
        close_scene(&scene);
        if (pel_test_has_failed()) {
            pel_test_say("host %d cut after frame %llu", host, (unsigned long long)n);
            return;
        }
    }
}

PEL_TEST(faults, the_client_vanishes_at_every_step)
{
    cut(HOST_A);
}

PEL_TEST(faults, the_server_vanishes_at_every_step)
{
    cut(HOST_B);
}

/* The client resets after each number of steps of the world. */
PEL_TEST(faults, a_reset_at_every_step)
{
    for (int steps = 1; steps <= 120; steps++) {
        struct scene scene;
        PEL_REQUIRE(open_scene(&scene, &both_tls));
        PEL_REQUIRE_OK(peer_connect(&scene.peers[HOST_A], "server.test"));
        for (int i = 0; i < steps; i++)
            world_step(&scene.world);
        if (!scene.peers[HOST_A].closed)
            pel_conn_abort(scene.peers[HOST_A].conn);
        world_pass(&scene.world, 3 * SECOND_US);
        PEL_EXPECT(scene.peers[HOST_B].conn == NULL || scene.peers[HOST_B].closed);
        PEL_EXPECT_EQ(scene.world.engines[HOST_A]->num_conns + scene.world.engines[HOST_B]->num_conns, 0);
        PEL_EXPECT_EQ(scene.world.num_markers[HOST_A] + scene.world.num_markers[HOST_B], 0);
        close_scene(&scene);
        if (pel_test_has_failed()) {
            pel_test_say("after %d steps", steps);
            return;
        }
    }
}

/* A client that connects and says nothing: the server's start interval, one HandshakeTimeout (10 s by
 * default). */
PEL_TEST(faults, a_silent_client_times_out)
{
    struct world_config config = {.seed = 1, .policies = {"", world_server_policy}};
    struct scene scene;
    PEL_REQUIRE(open_scene(&scene, &config));
    scene.peers[HOST_A].send_len = 0;
    scene.peers[HOST_A].shut = true; /* no end of stream either */
    PEL_REQUIRE_OK(peer_connect(&scene.peers[HOST_A], NULL));
    world_pass(&scene.world, 9 * SECOND_US);
    PEL_EXPECT(!scene.peers[HOST_B].closed);
    world_pass(&scene.world, 2 * SECOND_US);
    PEL_EXPECT_ERR(scene.peers[HOST_B].error, PEL_E_TLS_HANDSHAKE_START_TIMEOUT);
    PEL_EXPECT(scene.peers[HOST_A].eof || scene.peers[HOST_A].closed);
    close_scene(&scene);
}

PEL_TEST(faults, out_of_packet_buffers)
{
    struct scene scene;
    PEL_REQUIRE(open_scene(&scene, &both_tls));
    PEL_REQUIRE_OK(peer_connect(&scene.peers[HOST_A], "server.test"));
    for (int i = 0; i < 200 && !peers_done(scene.peers); i++) {
        pel_sim_fail_allocs(scene.world.ports[i % 2], 1 + (uint64_t)(i % 3), 2);
        world_pass(&scene.world, 200000);
    }
    pel_sim_fail_allocs(scene.world.ports[HOST_A], 0, 0);
    pel_sim_fail_allocs(scene.world.ports[HOST_B], 0, 0);
    PEL_EXPECT(world_run(&scene.world, peers_done, scene.peers, 300 * SECOND_US));
    PEL_EXPECT_EQ(scene.peers[HOST_B].received_len, 20000);
    PEL_EXPECT(world_err(&scene.world, HOST_A, PEL_E_NO_PACKET_BUFFERS) > 0);
    close_scene(&scene);
}

/* Every allocation of a whole connection fails once. Nothing may crash, leak, hang, or go out in clear; the
 * run after must be whole. */
PEL_TEST(faults, out_of_memory_at_each_allocation)
{
    uint64_t num_runs = 0;
    for (uint64_t nth = 1;; nth++) {
        struct scene scene;
        PEL_REQUIRE(open_scene(&scene, &both_tls));
        failmalloc_arm(nth);
        if (peer_connect(&scene.peers[HOST_A], "server.test") == PEL_OK)
            world_run(&scene.world, peers_done, scene.peers, 20 * SECOND_US);
        bool reached = failmalloc_disarm();
        PEL_EXPECT_EQ(scene.world.num_markers[HOST_A] + scene.world.num_markers[HOST_B], 0);
        PEL_EXPECT_EQ(scene.peers[HOST_A].wrong + scene.peers[HOST_B].wrong, 0);
        close_scene(&scene);
        num_runs++;
        if (pel_test_has_failed())
            pel_test_say("allocation %llu", (unsigned long long)nth);
        if (!reached || pel_test_has_failed())
            break;
    }
    pel_test_say("%llu allocations failed, one a run", (unsigned long long)num_runs - 1);
    PEL_EXPECT(num_runs > 50);
}

PEL_TEST(faults, a_thousand_connections_leave_nothing_behind)
{
    struct scene scene;
    PEL_REQUIRE(open_scene(&scene, &both_tls));
    for (int i = 0; i < 1000; i++) {
        peers_transfer(&scene.world, scene.peers, 100);
        PEL_REQUIRE_OK(peer_connect(&scene.peers[HOST_A], "server.test"));
        PEL_REQUIRE(world_run(&scene.world, peers_done, scene.peers, 60 * SECOND_US));
    }
    world_pass(&scene.world, 300 * SECOND_US);
    PEL_EXPECT_EQ(scene.world.engines[HOST_A]->num_conns, 0);
    PEL_EXPECT_EQ(scene.world.engines[HOST_B]->num_conns, 0);
    struct pel_port_stats stats;
    scene.world.ports[HOST_B]->ops->stats(scene.world.ports[HOST_B], &stats);
    PEL_EXPECT_EQ(stats.num_pkts_in_use, 0);
    close_scene(&scene);
}

static void connect_from(struct scene *scene, uint16_t port)
{
    struct sockaddr_storage local, remote;
    socklen_t local_len = world_address(&scene->world, HOST_A, port, &local);
    socklen_t remote_len = world_address(&scene->world, HOST_B, WORLD_PORT, &remote);
    struct peer *peer = &scene->peers[HOST_A];
    PEL_EXPECT_ERR(pel_engine_connect(scene->world.engines[HOST_A], (struct sockaddr *)&local, local_len,
                                      (struct sockaddr *)&remote, remote_len, "server.test", NULL,
                                      &peer_events, peer, &peer->conn),
                   PEL_OK);
}

/* The server closes first, so that TIME-WAIT is its; a client that comes again from the same port must not
 * wait for the end of it (RFC 9293 section 3.10.7.4). */
PEL_TEST(faults, a_port_that_the_server_holds_in_time_wait_is_taken_again_at_once)
{
    struct scene scene;
    PEL_REQUIRE(open_scene(&scene, &both_tls));
    for (int i = 0; i < 20; i++) {
        peers_transfer(&scene.world, scene.peers, 0);
        scene.peers[HOST_A].shut = true; /* says nothing, and closes when the server has */
        scene.peers[HOST_B].send_len = scene.peers[HOST_A].receive_len = 1000;
        connect_from(&scene, 40000);
        PEL_REQUIRE(world_run(&scene.world, peers_done, scene.peers, SECOND_US / 2));
        PEL_EXPECT_EQ(scene.peers[HOST_A].received_len, 1000);
        world_pass(&scene.world, 20000);
    }
    close_scene(&scene);
}

/* Two applications that send without reading: both receive windows close. Window probes go on, at their pace;
 * as shipped lwIP answered each empty acknowledgement with another for ever. */
PEL_TEST(faults, two_closed_windows_make_no_storm)
{
    struct world_config config = {.seed = 1, .policies = {"", ""}};
    struct scene scene;
    PEL_REQUIRE(open_scene(&scene, &config));
    for (int host = 0; host < NUM_HOSTS; host++) {
        scene.peers[host].deaf = true;
        scene.peers[host].send_len = scene.peers[1 - host].receive_len = 4 << 20;
    }
    PEL_REQUIRE_OK(peer_connect(&scene.peers[HOST_A], NULL));
    world_pass(&scene.world, 5 * SECOND_US);
    PEL_EXPECT(scene.peers[HOST_A].sent_len > 100000 && scene.peers[HOST_A].sent_len < 4 << 20);
    uint64_t before = scene.world.num_frames[HOST_A] + scene.world.num_frames[HOST_B];
    world_pass(&scene.world, 300 * SECOND_US);
    uint64_t num_frames = scene.world.num_frames[HOST_A] + scene.world.num_frames[HOST_B] - before;
    PEL_EXPECT(num_frames > 0 && num_frames < 300);
    pel_test_say("%llu frames in 300 s", (unsigned long long)num_frames);
    pel_conn_abort(scene.peers[HOST_A].conn);
    pel_conn_abort(scene.peers[HOST_B].conn);
    close_scene(&scene);
}
