/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting for frames instead of looking for them: the kernel sends one to a neighbour behind the port; the
 * descriptor is readable as long as it has not been received, whatever signals are blocked.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "drivers/dpdk/dpdk.h"
#include "drivers/dpdk/test_child.h"

#define ROUNDS  20
#define WAIT_MS 20000

static bool is_readable(int fd, int timeout_ms)
{
    struct pollfd pollfd = {.fd = fd, .events = POLLIN};
    return poll(&pollfd, 1, timeout_ms) == 1;
}

/* Takes what there is; returns how many frames are for port 9 of UDP. */
static uint32_t take(struct pel_port *port)
{
    struct pel_pkt *pkts[16];
    uint32_t num_ours = 0, num;
    while ((num = pel_port_rx(port, 0, pkts, 16)) > 0)
        for (uint32_t i = 0; i < num; i++) {
            num_ours += pkts[i]->len > 38 && pkts[i]->data[23] == IPPROTO_UDP && pkts[i]->data[37] == 9;
            pel_pkt_free(pkts[i]);
        }
    return num_ours;
}

static const char *check_waiting(struct pel_port *port, const char *interface, char ret_text[TEST_TEXT_LEN])
{
    const struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = inet_addr("10.9.0.9")};
    int fd = pel_port_rx_wait_fd(port, 0), from = socket(AF_INET, SOCK_DGRAM, 0);
    sigset_t all;
    CHECK(fd >= 0 && from >= 0);
    CHECK(test_run("ip neigh add 10.9.0.9 lladdr 02:00:00:00:00:09 dev %s", interface) == 0);
    sigfillset(&all);
    CHECK(sigprocmask(SIG_BLOCK, &all, NULL) == 0);
    for (int round = 0; round < ROUNDS; round++) {
        uint32_t num_ours = 0;
        CHECK(sendto(from, "x", 1, 0, (const struct sockaddr *)&to, sizeof to) == 1);
        while (num_ours == 0) {
            CHECK(is_readable(fd, WAIT_MS));
            num_ours = take(port);
        }
        CHECK(num_ours == 1);
        /* The kernel says a word of its own now and then (IPv6), so what is readable must be a frame. */
        CHECK(!is_readable(fd, 0) || take(port) == 0);
    }
    close(from);
    return NULL;
}

static const char *tap(char ret_text[TEST_TEXT_LEN])
{
    struct pel_dpdk_port_config config = {.device = "net_tap0,iface=pel0"};
    struct pel_error error = {0};
    struct pel_port *port = NULL;
    CHECK_NULL(test_dpdk_start(ret_text));
    CHECK_OK(pel_dpdk_port_open(&config, &port, &error));
    CHECK(test_run("ip addr add 10.9.0.1/24 dev pel0 && ip link set pel0 up") == 0);
    CHECK_NULL(check_waiting(port, "pel0", ret_text));
    pel_port_close(port);
    return NULL;
}

PEL_TEST(dpdk_wait, a_tap_can_be_waited_for)
{
    IN_CHILD(tap);
}

static const char *af_packet(char ret_text[TEST_TEXT_LEN])
{
    struct pel_dpdk_port_config config = {.device = "net_af_packet0,iface=veth1"};
    struct pel_error error = {0};
    struct pel_port *port = NULL;
    if (test_run("ip link add veth0 type veth peer name veth1 2>/dev/null") != 0)
        return TEST_SKIP_MARK "the kernel has no veth";
    CHECK(test_run("ip addr add 10.9.0.1/24 dev veth0 && ip link set veth0 up && ip link set veth1 up") == 0);
    CHECK_NULL(test_dpdk_start(ret_text));
    CHECK_OK(pel_dpdk_port_open(&config, &port, &error));
    CHECK_NULL(check_waiting(port, "veth0", ret_text));
    pel_port_close(port);
    return NULL;
}

PEL_TEST(dpdk_wait, af_packet_can_be_waited_for)
{
    IN_CHILD(af_packet);
}

static const char *ring(char ret_text[TEST_TEXT_LEN])
{
    struct pel_dpdk_port_config config = {.device = "net_ring0"};
    struct pel_error error = {0};
    struct pel_port *port = NULL;
    CHECK_NULL(test_dpdk_start(ret_text));
    CHECK_OK(pel_dpdk_port_open(&config, &port, &error));
    CHECK(pel_port_rx_wait_fd(port, 0) == PEL_RX_WAIT_LOOK);
    pel_port_close(port);
    return NULL;
}

PEL_TEST(dpdk_wait, memory_must_be_looked_at)
{
    IN_CHILD(ring);
}
