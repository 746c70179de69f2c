/* SPDX-License-Identifier: Apache-2.0 */
/* One allocation fails while an open connection is used: it goes on, or it ends with an error that its
 * owner hears. It never just stands still. */
#include <string.h>

#include "tests/harness/failmalloc.h"
#include "tests/harness/harness.h"
#include "tests/scenario/world.h"

#define SECOND_US 1000000u

static bool is_over(void *arg)
{
    const struct peer *peers = arg;
    return peers[HOST_A].closed || peers[HOST_B].closed || peers[HOST_B].received_len == 3000;
}

static void send_marker(struct peer *peer)
{
    struct pel_conn *conn = peer->conn;
    peer->send_len = 3000;
    peer_events.on_writable(peer, conn);
}

/* A writes 3000 bytes upon a quiet connection, so that nothing else will wake it, and the `nth` allocation
 * from there on fails. Returns whether there were as many. */
static bool fail_nth(const struct world_config *config, uint64_t nth)
{
    struct world world;
    struct peer peers[NUM_HOSTS];
    struct pel_listener *listener = NULL;
    PEL_EXPECT(world_open(&world, config));
    peers_transfer(&world, peers, 0);
    for (int host = 0; host < NUM_HOSTS; host++) {
        peers[host].marker = peers[host].keep_open = true;
        peers[host].shut = true; /* says when it is done by itself */
    }
    PEL_EXPECT(peer_listen(&peers[HOST_B], &listener));
    PEL_EXPECT_ERR(peer_connect(&peers[HOST_A], "server.test"), PEL_OK);
    world_pass(&world, SECOND_US);
    PEL_EXPECT(peers[HOST_A].opened && peers[HOST_B].opened);
    failmalloc_arm(nth);
    send_marker(&peers[HOST_A]);
    PEL_EXPECT(world_run(&world, is_over, peers, 20 * SECOND_US));
    bool reached = failmalloc_disarm();
    PEL_EXPECT(!peers[HOST_A].wrong && !peers[HOST_B].wrong);
    if (config->policies[HOST_A][0] != '\0')
        PEL_EXPECT_EQ(world.num_markers[HOST_A] + world.num_markers[HOST_B], 0);
    pel_listener_close(listener);
    PEL_EXPECT(world_close(&world));
    return reached;
}

static void fail_each(const struct world_config *config)
{
    uint64_t nth = 1;
    while (fail_nth(config, nth) && !pel_test_has_failed())
        nth++;
    if (pel_test_has_failed())
        pel_test_say("allocation %llu", (unsigned long long)nth);
    PEL_EXPECT(nth > 5);
}

PEL_TEST(hostile_memory, an_open_connection_under_tls_does_not_stand_still)
{
    struct world_config config = {.seed = 5, .policies = {world_client_policy, world_server_policy}};
    fail_each(&config);
}

PEL_TEST(hostile_memory, an_open_connection_in_clear_does_not_stand_still)
{
    struct world_config config = {.seed = 5, .policies = {"", ""}};
    fail_each(&config);
}
