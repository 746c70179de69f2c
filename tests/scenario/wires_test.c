/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole hosts on DPDK's wires in memory, in real time: virtio-user with vhost in one process, with
 * offloads and frames far larger than the MTU; memif between two processes, with one engine and with two.
 * Real connections, every byte compared.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "drivers/dpdk/dpdk.h"
#include "drivers/dpdk/test_child.h"
#include "drivers/steer.h"
#include "tests/harness/harness.h"
#include "tests/scenario/world.h"

#define NUM_CONNS    8
#define MAX_ENGINES  2
#define PATIENCE_US  80000000u
/* For what is still to be said when all is received: so long, and so many steps. */
#define LINGER_US    300000u
#define LINGER_STEPS 20000u
#define CSUMS                                                                                                \
    (PEL_OFFLOAD_TX_IP_CSUM | PEL_OFFLOAD_TX_L4_CSUM | PEL_OFFLOAD_RX_IP_CSUM | PEL_OFFLOAD_RX_L4_CSUM)

struct side {
    struct world world; /* for its addresses */
    int host;
    uint16_t num_engines;
    uint64_t len; /* each connection, each way */
    struct pel_port *port;
    struct pel_generation_slot slot;
    struct pel_engine *engines[MAX_ENGINES];
    struct pel_listener *listeners[MAX_ENGINES];
    struct peer peers[NUM_CONNS];
    uint32_t num_peers;
    uint32_t *num_done; /* atomic: how many sides have all, those of other processes too; all wait for all */
};

static struct peer *new_peer(struct side *side)
{
    struct peer *peer = &side->peers[side->num_peers++];
    peer->send_len = peer->receive_len = side->len;
    peer->send_salt = (uint8_t)(side->host + 1);
    peer->receive_salt = (uint8_t)(2 - side->host);
    return peer;
}

static enum pel_err on_accept(void *arg, struct pel_conn *conn)
{
    struct side *side = arg;
    if (side->num_peers == NUM_CONNS)
        return PEL_E_BACKLOG_FULL;
    struct peer *peer = new_peer(side);
    peer->conn = conn;
    pel_conn_attach(conn, &peer_events, peer);
    pel_conn_map(conn, NULL);
    return PEL_OK;
}

static const char *open_engine(struct side *side, uint16_t index, char ret_text[TEST_TEXT_LEN])
{
    struct pel_error error = {0};
    struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(WORLD_PORT)};
    struct pel_engine_config config = {.index = index,
                                       .slot = &side->slot,
                                       .start_gate_open = true,
                                       .user = "tester",
                                       .job = "wires",
                                       .ip = {.port = side->port,
                                              .queue = index,
                                              .addrs = {{.prefix_len = 24}, {.prefix_len = 64}},
                                              .num_addrs = 2,
                                              .max_connections = 100,
                                              .tcp_window_len = 512 * 1024,
                                              .clock = pel_clock_real()}};
    CHECK_OK(pel_ip_parse(side->host == HOST_A ? "10.9.0.1" : "10.9.0.2", &config.ip.addrs[0].ip));
    CHECK_OK(pel_ip_parse(side->host == HOST_A ? "fd09::1" : "fd09::2", &config.ip.addrs[1].ip));
    CHECK_OK(pel_engine_open(&config, &side->engines[index], &error));
    if (side->host == HOST_B)
        CHECK_OK(pel_engine_listen(side->engines[index], (struct sockaddr *)&any, sizeof any, 16, on_accept,
                                   side, &side->listeners[index]));
    return NULL;
}

static const char *open_side(struct side *side, const struct pel_dpdk_port_config *config,
                             char ret_text[TEST_TEXT_LEN])
{
    struct pel_error error = {0};
    CHECK_OK(test_port_open(config, &side->port, &error));
    if (side->num_engines > 1)
        CHECK_OK(pel_steer_open(side->port, side->num_engines, NULL, &side->port));
    pel_generation_slot_init(&side->slot);
    for (uint16_t i = 0; i < side->num_engines; i++)
        CHECK_NULL(open_engine(side, i, ret_text));
    return NULL;
}

static const char *connect_all(struct side *side, char ret_text[TEST_TEXT_LEN])
{
    struct pel_error error = {0};
    struct sockaddr_storage remote;
    for (uint16_t i = 0; i < NUM_CONNS; i++) {
        side->world.config.ipv6 = i / 2 % 2 == 1;
        socklen_t len = world_address(&side->world, 1 - side->host, WORLD_PORT, &remote);
        struct peer *peer = new_peer(side);
        CHECK_OK(pel_engine_connect(side->engines[i % side->num_engines], NULL, 0, (struct sockaddr *)&remote,
                                    len, NULL, NULL, &peer_events, peer, &peer->conn));
    }
    return NULL;
}

static bool is_done(const struct side *side)
{
    uint32_t num_closed = 0;
    for (uint32_t i = 0; i < side->num_peers; i++)
        num_closed += side->peers[i].closed;
    return num_closed == NUM_CONNS;
}

static void step(struct side *sides, int num)
{
    for (int s = 0; s < num; s++)
        for (uint16_t e = 0; e < sides[s].num_engines; e++)
            pel_engine_step(sides[s].engines[e]);
}

static const char *run(struct side *sides, int num, char ret_text[TEST_TEXT_LEN])
{
    struct pel_clock clock = pel_clock_real();
    uint64_t start_us = pel_clock_now_us(&clock), done_us = 0, now_us = start_us, num_steps = 0;
    bool is_told = false;
    while (done_us == 0 || now_us < done_us + LINGER_US || num_steps < LINGER_STEPS) {
        step(sides, num);
        num_steps++;
        now_us = pel_clock_now_us(&clock);
        if (!is_told && is_done(&sides[0]) && is_done(&sides[num - 1])) {
            is_told = true;
            __atomic_add_fetch(sides[0].num_done, (uint32_t)num, __ATOMIC_SEQ_CST);
        }
        if (done_us == 0 && __atomic_load_n(sides[0].num_done, __ATOMIC_SEQ_CST) == NUM_HOSTS) {
            done_us = now_us;
            num_steps = 0;
        }
        CHECK(now_us < start_us + PATIENCE_US);
    }
    for (int s = 0; s < num; s++) {
        for (uint32_t i = 0; i < NUM_CONNS; i++) {
            const struct peer *peer = &sides[s].peers[i];
            CHECK(!peer->wrong && peer->eof && peer->received_len == sides[s].len && peer->error == PEL_OK);
        }
    }
    return NULL;
}

/* Ends the engines; the port closes with no packet missing. */
static const char *close_side(struct side *side, char ret_text[TEST_TEXT_LEN])
{
    struct pel_port_stats stats;
    for (uint16_t i = 0; i < side->num_engines; i++) {
        pel_listener_close(side->listeners[i]);
        pel_engine_close(side->engines[i]);
    }
    side->port->ops->stats(side->port, &stats);
    pel_generation_slot_fini(&side->slot);
    CHECK(stats.num_pkts_in_use == 0);
    pel_port_close(side->port);
    return NULL;
}

static uint64_t mean_frame_len(const struct side *side)
{
    const uint64_t *stat = side->engines[0]->counters.stat;
    return stat[PEL_STAT_rx_bytes] / stat[PEL_STAT_rx_packets];
}

/* ---- virtio-user and vhost ---- */

static const char *virtio(char ret_text[TEST_TEXT_LEN])
{
    uint32_t num_done = 0;
    struct side sides[NUM_HOSTS] = {
        {.host = HOST_A, .num_engines = 1, .len = 8u << 20, .num_done = &num_done},
        {.host = HOST_B, .num_engines = 1, .len = 8u << 20}};
    struct pel_dpdk_config dpdk = {.hugepages = PEL_DPDK_HUGEPAGES_NO, .memory_mb = 512};
    struct pel_error error = {0};
    char vhost[128], user[128];
    snprintf(vhost, sizeof vhost, "net_vhost0,iface=/tmp/pel-wires-%d.sock,queues=1,tso=1", (int)getpid());
    snprintf(user, sizeof user, "virtio_user0,path=/tmp/pel-wires-%d.sock,queues=1", (int)getpid());
    struct pel_dpdk_port_config a = {.device = vhost,
                                     .num_packets = 1024,
                                     .num_tx_packets = 512,
                                     .large_receive = true,
                                     .offloads = CSUMS | PEL_OFFLOAD_TSO | PEL_OFFLOAD_SCATTER};
    struct pel_dpdk_port_config b = a;
    b.device = user;
    CHECK_OK(pel_dpdk_start(&dpdk, &error));
    CHECK_NULL(open_side(&sides[HOST_A], &a, ret_text));
    CHECK_NULL(open_side(&sides[HOST_B], &b, ret_text));
    const uint32_t wanted = PEL_OFFLOAD_TSO | PEL_OFFLOAD_TX_L4_CSUM | PEL_OFFLOAD_RX_L4_CSUM;
    CHECK((sides[HOST_B].port->offloads & wanted) == wanted);
    CHECK_NULL(connect_all(&sides[HOST_A], ret_text));
    CHECK_NULL(run(sides, NUM_HOSTS, ret_text));
    /* From virtio-user to vhost; acknowledgements included, the mean is far above an MTU of 1,500. */
    CHECK(mean_frame_len(&sides[HOST_A]) > 3000);
    if ((sides[HOST_A].port->offloads & PEL_OFFLOAD_TSO) != 0)
        CHECK(mean_frame_len(&sides[HOST_B]) > 3000);
    CHECK_NULL(close_side(&sides[HOST_B], ret_text));
    CHECK_NULL(close_side(&sides[HOST_A], ret_text));
    pel_dpdk_stop();
    return NULL;
}

PEL_TEST(wires, virtio_with_segments_larger_than_the_mtu)
{
    IN_CHILD(virtio);
}

/* ---- memif ---- */

static const char *memif_side(int host, uint16_t num_engines, int pid, uint32_t *num_done,
                              char ret_text[TEST_TEXT_LEN])
{
    struct side *side = calloc(1, sizeof *side);
    struct pel_error error = {0};
    struct pel_dpdk_config dpdk = {.hugepages = PEL_DPDK_HUGEPAGES_NO, .memory_mb = 128};
    char device[128];
    snprintf(device, sizeof device, "net_memif0,role=%s,id=0,socket=/tmp/pel-wires-%d.sock",
             host == HOST_B ? "server" : "client", pid);
    const struct pel_dpdk_port_config config = {
        .device = device, .num_queues = num_engines, .fewer_queues = true, .num_packets = 8192};
    CHECK(side != NULL);
    side->host = host;
    side->num_engines = num_engines;
    side->len = 4u << 20;
    side->num_done = num_done;
    CHECK_OK(pel_dpdk_start(&dpdk, &error));
    CHECK_NULL(open_side(side, &config, ret_text));
    CHECK(num_engines == 1 || (side->port->num_queues == num_engines && side->port->rss != NULL));
    if (host == HOST_A)
        CHECK_NULL(connect_all(side, ret_text));
    CHECK_NULL(run(side, 1, ret_text));
    for (uint16_t i = 0; host == HOST_A && i < num_engines; i++)
        CHECK(side->engines[i]->counters.stat[PEL_STAT_tcp_opened_out] == NUM_CONNS / num_engines);
    CHECK_NULL(close_side(side, ret_text));
    free(side);
    pel_dpdk_stop();
    return NULL;
}

static const char *memif(uint16_t num_engines, char ret_text[TEST_TEXT_LEN])
{
    int pid = getpid(), status = 0;
    uint32_t *num_done =
        mmap(NULL, sizeof *num_done, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(num_done != MAP_FAILED);
    pid_t other = fork();
    if (other == 0) {
        const char *failure = memif_side(HOST_A, num_engines, pid, num_done, ret_text);
        if (failure != NULL)
            fprintf(stderr, "the other process: %s\n", failure);
        _exit(failure != NULL);
    }
    const char *failure = memif_side(HOST_B, num_engines, pid, num_done, ret_text);
    CHECK(waitpid(other, &status, 0) == other);
    CHECK_NULL(failure);
    CHECK(status == 0);
    return NULL;
}

static const char *memif_1(char ret_text[TEST_TEXT_LEN])
{
    return memif(1, ret_text);
}

static const char *memif_2(char ret_text[TEST_TEXT_LEN])
{
    return memif(2, ret_text);
}

PEL_TEST(wires, memif_between_two_processes)
{
    IN_CHILD(memif_1);
}

PEL_TEST(wires, memif_between_two_processes_of_two_engines)
{
    IN_CHILD(memif_2);
}
