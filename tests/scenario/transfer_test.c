/* SPDX-License-Identifier: Apache-2.0 */
/* Handshakes and transfers over a wire that loses, doubles, reorders and spoils frames. */
#include <stdlib.h>
#include <string.h>

#include "tests/harness/harness.h"
#include "tests/scenario/world.h"

static const struct pel_sim_impair hostile = {
    .loss_ppm = 50000, .reorder_ppm = 50000, .dup_ppm = 10000, .corrupt_ppm = 1000};

/* Ten minutes of virtual time: at 5 % loss back-off can take long, but a connection that makes no progress
 * for so long hangs. */
#define PATIENCE_US 600000000u

static void expect_equal(const struct peer *peer, const char *who)
{
    if (peer->wrong || peer->received_len != peer->receive_len || !peer->eof || peer->error != PEL_OK)
        pel_test_fail(__FILE__, __LINE__, "%s: received %llu of %llu bytes, %s, %s, error %s", who,
                      (unsigned long long)peer->received_len, (unsigned long long)peer->receive_len,
                      peer->wrong ? "WRONG" : "equal", peer->eof ? "end of file" : "no end of file",
                      pel_err_name(peer->error));
}

/* One connection, `len` bytes each way; every failure names the seed. */
static bool transfer(const struct world_config *config, uint64_t len)
{
    struct world world;
    struct peer peers[NUM_HOSTS];
    struct pel_listener *listener = NULL;
    bool ok = world_open(&world, config);
    peers_transfer(&world, peers, len);
    ok =
        ok && peer_listen(&peers[HOST_B], &listener) && peer_connect(&peers[HOST_A], "server.test") == PEL_OK;
    if (ok && !world_run(&world, peers_done, peers, PATIENCE_US))
        pel_test_fail(__FILE__, __LINE__, "no end after %u s of virtual time", PATIENCE_US / 1000000u);
    if (ok) {
        expect_equal(&peers[HOST_A], "client");
        expect_equal(&peers[HOST_B], "server");
    }
    if (world.num_markers[HOST_A] + world.num_markers[HOST_B] != 0)
        pel_test_fail(__FILE__, __LINE__, "clear text on the wire");
    pel_listener_close(listener);
    if (!world_close(&world))
        pel_test_fail(__FILE__, __LINE__, "packets are missing from the pools");
    if (!ok)
        pel_test_fail(__FILE__, __LINE__, "the world could not be opened");
    return !pel_test_has_failed();
}

static int num_seeds(void)
{
    const char *text = getenv("PEL_SEEDS");
    return text != NULL ? atoi(text) : 200;
}

#define CSUMS                                                                                                \
    (PEL_OFFLOAD_RX_IP_CSUM | PEL_OFFLOAD_RX_L4_CSUM | PEL_OFFLOAD_TX_IP_CSUM | PEL_OFFLOAD_TX_L4_CSUM)

/* What ports do by themselves: nothing, sums, segments, segments that they take in pieces. */
static const uint32_t offload_sets[] = {0, CSUMS, CSUMS | PEL_OFFLOAD_TSO,
                                        CSUMS | PEL_OFFLOAD_TSO | PEL_OFFLOAD_SCATTER};

PEL_TEST(transfer, one_megabyte_each_way_200_seeds)
{
    for (int seed = 1; seed <= num_seeds(); seed++) {
        struct world_config config = {
            .seed = (uint64_t)seed,
            .impair = hostile,
            .policies = {world_client_policy, world_server_policy},
            .ipv6 = seed % 2 == 0,
            .offloads = offload_sets[seed / 2 % 4],
            .real_offloads = seed / 8 % 2 == 0,
        };
        if (!transfer(&config, 1 << 20)) {
            pel_test_say("seed %d", seed);
            return;
        }
    }
}

static const char server_that_calls[] =
    "TTLSRule CALLS\n{\n RemotePortRange 4433\n Direction Outbound\n TTLSGroupActionRef on\n"
    " TTLSEnvironmentActionRef server\n}\n"
    "TTLSGroupAction on\n{\n TTLSEnabled On\n}\n"
    "TTLSEnvironmentAction server\n{\n HandshakeRole Server\n"
    " TTLSKeyringParms\n {\n Keyring server\n }\n}\n";

static const char client_that_is_called[] =
    "TTLSRule CALLED\n{\n LocalPortRange 4433\n Direction Inbound\n TTLSGroupActionRef on\n"
    " TTLSEnvironmentActionRef client\n}\n"
    "TTLSGroupAction on\n{\n TTLSEnabled On\n}\n"
    "TTLSEnvironmentAction client\n{\n HandshakeRole Client\n"
    " TTLSKeyringParms\n {\n Keyring client\n }\n}\n";

/* The TLS role is the policy's, not TCP's: who connects may be the TLS server. */
PEL_TEST(transfer, tls_roles_reversed)
{
    for (int seed = 1; seed <= 20; seed++) {
        struct world_config config = {
            .seed = (uint64_t)seed,
            .impair = hostile,
            .policies = {server_that_calls, client_that_is_called},
        };
        if (!transfer(&config, 200000)) {
            pel_test_say("seed %d", seed);
            return;
        }
    }
}

PEL_TEST(transfer, offloads_of_the_port_are_used)
{
    struct world_config config = {
        .seed = 1,
        .policies = {world_client_policy, world_server_policy},
        .offloads =
            PEL_OFFLOAD_RX_IP_CSUM | PEL_OFFLOAD_RX_L4_CSUM | PEL_OFFLOAD_TX_IP_CSUM | PEL_OFFLOAD_TX_L4_CSUM,
    };
    transfer(&config, 300000);
}

PEL_TEST(transfer, exact_buffers)
{
    struct world_config config = {.seed = 3,
                                  .impair = hostile,
                                  .policies = {world_client_policy, world_server_policy},
                                  .exact_buffers = true};
    transfer(&config, 300000);
}

PEL_TEST(transfer, in_clear_without_rules)
{
    struct world_config config = {.seed = 5, .impair = hostile, .policies = {"", ""}};
    transfer(&config, 300000);
}

PEL_TEST(transfer, a_slow_reader_loses_nothing)
{
    struct world_config config = {.seed = 7, .policies = {world_client_policy, world_server_policy}};
    struct world world;
    struct peer peers[NUM_HOSTS];
    struct pel_listener *listener = NULL;
    PEL_REQUIRE(world_open(&world, &config));
    peers_transfer(&world, peers, 100000);
    peers[HOST_B].slow = true;
    PEL_REQUIRE(peer_listen(&peers[HOST_B], &listener));
    PEL_REQUIRE_OK(peer_connect(&peers[HOST_A], "server.test"));
    PEL_EXPECT(world_run(&world, peers_done, peers, PATIENCE_US));
    expect_equal(&peers[HOST_A], "client");
    expect_equal(&peers[HOST_B], "server");
    pel_listener_close(listener);
    PEL_EXPECT(world_close(&world));
}
