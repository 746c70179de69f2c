/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/dpdk/dpdk.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "drivers/dpdk/responder.h"
#include "drivers/dpdk/test_child.h"

static uint32_t pkts_in_use(struct pel_port *port)
{
    struct pel_port_stats stats;
    port->ops->stats(port, &stats);
    return stats.num_pkts_in_use;
}

/* Pings the port over whatever is on its other end, whose kernel interface already has 10.9.0.1/24. */
static const char *check_ping(struct pel_port *port, uint32_t mtu, char ret_text[TEST_TEXT_LEN])
{
    struct responder r = {.port = port, .ip = {10, 9, 0, 2}};
    CHECK(port->mtu == mtu);
    CHECK(responder_ping(&r, 56));
    CHECK(r.num_arp >= 1 && r.num_echo == 1);
    CHECK(responder_ping(&r, mtu - 28)); /* a full frame, never fragmented */
    CHECK(r.num_echo == 2 && r.longest_len == mtu + 14);
    CHECK(pkts_in_use(port) == 0);
    struct pel_port_stats stats;
    port->ops->stats(port, &stats);
    CHECK(stats.rx_packets >= 3 && stats.tx_packets >= 3 && stats.rx_bytes >= mtu && stats.tx_bytes >= mtu);
    return NULL;
}

static const char *tap(uint32_t mtu, uint32_t offloads, char ret_text[TEST_TEXT_LEN])
{
    struct pel_dpdk_port_config config = {.device = "net_tap0,iface=pel0", .mtu = mtu, .offloads = offloads};
    struct pel_error error = {0};
    struct pel_port *port = NULL;
    CHECK_NULL(test_dpdk_start(ret_text));
    CHECK_OK(pel_dpdk_port_open(&config, &port, &error));
    CHECK(strcmp(port->name, "net_tap0") == 0);
    CHECK(test_run("ip addr add 10.9.0.1/24 dev pel0 && ip link set pel0 up") == 0);
    CHECK(test_run("ip -o link show pel0 | grep -q 'mtu %u '", mtu) == 0);
    /* The kernel's end has another address than the port. */
    CHECK(test_run("ip -o link show pel0 | grep -qi %02x:%02x:%02x:%02x:%02x:%02x", port->mac[0],
                   port->mac[1], port->mac[2], port->mac[3], port->mac[4], port->mac[5]) != 0);
    CHECK((port->mac[0] & 3) == 2);
    CHECK_NULL(check_ping(port, mtu, ret_text));
    pel_port_close(port);
    CHECK(test_run("ip link show pel0 >/dev/null 2>&1") != 0);
    pel_dpdk_stop();
    return NULL;
}

static const char *tap_1500(char ret_text[TEST_TEXT_LEN])
{
    return tap(1500, 0, ret_text);
}

static const char *tap_9000(char ret_text[TEST_TEXT_LEN])
{
    return tap(9000, 0, ret_text);
}

static const char *tap_with_offloads(char ret_text[TEST_TEXT_LEN])
{
    return tap(1500, PEL_OFFLOAD_RX_IP_CSUM | PEL_OFFLOAD_RX_L4_CSUM, ret_text);
}

static const char *tap_without_queued_signals(char ret_text[TEST_TEXT_LEN])
{
    const struct rlimit none = {0, 0};
    CHECK(setrlimit(RLIMIT_SIGPENDING, &none) == 0);
    return tap(1500, 0, ret_text);
}

PEL_TEST(dpdk_tap, frames_come_also_when_no_signal_can_wait)
{
    IN_CHILD(tap_without_queued_signals);
}

PEL_TEST(dpdk_tap, the_kernel_pings_us_mtu_1500)
{
    IN_CHILD(tap_1500);
}

PEL_TEST(dpdk_tap, the_kernel_pings_us_mtu_9000)
{
    IN_CHILD(tap_9000);
}

PEL_TEST(dpdk_tap, the_kernel_pings_us_with_receive_offloads)
{
    IN_CHILD(tap_with_offloads);
}

static const char *af_packet(uint32_t mtu, char ret_text[TEST_TEXT_LEN])
{
    struct pel_dpdk_port_config config = {.device = "net_af_packet0,iface=veth1", .mtu = mtu};
    struct pel_error error = {0};
    struct pel_port *port = NULL;
    if (test_run("ip link add veth0 mtu %u type veth peer name veth1 mtu %u 2>/dev/null", mtu, mtu) != 0)
        return TEST_SKIP_MARK "the kernel has no veth";
    CHECK(test_run("ip addr add 10.9.0.1/24 dev veth0 && ip link set veth0 up && ip link set veth1 up") == 0);
    CHECK_NULL(test_dpdk_start(ret_text));
    CHECK_OK(pel_dpdk_port_open(&config, &port, &error));
    CHECK_NULL(check_ping(port, mtu, ret_text));
    pel_port_close(port);
    pel_dpdk_stop();
    return NULL;
}

static const char *af_packet_1500(char ret_text[TEST_TEXT_LEN])
{
    return af_packet(1500, ret_text);
}

static const char *af_packet_9000(char ret_text[TEST_TEXT_LEN])
{
    return af_packet(9000, ret_text);
}

PEL_TEST(dpdk_af_packet, the_kernel_pings_us_mtu_1500)
{
    IN_CHILD(af_packet_1500);
}

PEL_TEST(dpdk_af_packet, the_kernel_pings_us_mtu_9000)
{
    IN_CHILD(af_packet_9000);
}

/* Sends `num` numbered frames out of a ring port, whose other end it is itself, and takes them back. */
static const char *check_ring_burst(struct pel_port *port, uint32_t num, uint32_t len,
                                    char ret_text[TEST_TEXT_LEN])
{
    struct pel_pkt *pkts[256], *got[256];
    for (uint32_t i = 0; i < num; i++) {
        CHECK((pkts[i] = pel_port_pkt_alloc(port, 0)) != NULL);
        CHECK(pkts[i]->room_len >= len);
        memset(pkts[i]->data, (int)i, len);
        pkts[i]->len = len;
    }
    CHECK(pkts_in_use(port) == num);
    CHECK(pel_port_tx(port, 0, pkts, num) == num);
    CHECK(pkts_in_use(port) == 0);
    for (uint32_t done = 0; done < num;) {
        uint32_t n = pel_port_rx(port, 0, got, 256);
        CHECK(n > 0);
        for (uint32_t i = 0; i < n; i++, done++) {
            CHECK(got[i]->len == len && got[i]->data[0] == (uint8_t)done &&
                  got[i]->data[len - 1] == (uint8_t)done);
            CHECK(got[i]->port == port && got[i]->next == NULL && got[i]->queue == 0);
            pel_pkt_free(got[i]);
        }
    }
    CHECK(pkts_in_use(port) == 0);
    return NULL;
}

static const char *ring(char ret_text[TEST_TEXT_LEN])
{
    struct pel_dpdk_port_config config = {.device = "net_ring0", .mtu = 9000};
    struct pel_error error = {0};
    struct pel_port *port = NULL;
    CHECK_NULL(test_dpdk_start(ret_text));
    CHECK_OK(pel_dpdk_port_open(&config, &port, &error));
    CHECK_NULL(check_ring_burst(port, 200, 9014, ret_text));
    CHECK_NULL(check_ring_burst(port, 1, 60, ret_text));
    /* A frame over the MTU is an error of its own; the frames around it go. */
    struct pel_pkt *pkts[3], *got[4];
    for (int i = 0; i < 3; i++) {
        CHECK((pkts[i] = pel_port_pkt_alloc(port, 0)) != NULL);
        pkts[i]->len = i == 1 ? 9015 : 60;
    }
    CHECK(pel_port_tx(port, 0, pkts, 3) == 3);
    CHECK(pel_port_rx(port, 0, got, 4) == 2);
    pel_pkt_free(got[0]);
    pel_pkt_free(got[1]);
    struct pel_port_stats stats;
    port->ops->stats(port, &stats);
    CHECK(stats.tx_errors == 1 && stats.num_pkts_in_use == 0);
    pel_port_close(port);
    pel_dpdk_stop();
    return NULL;
}

PEL_TEST(dpdk, a_ring_carries_bursts)
{
    IN_CHILD(ring);
}

static const char *null_device(char ret_text[TEST_TEXT_LEN])
{
    struct pel_dpdk_port_config config = {.device = "net_null0,size=100"};
    struct pel_error error = {0};
    struct pel_port *port = NULL;
    struct pel_pkt *got[32];
    CHECK_NULL(test_dpdk_start(ret_text));
    CHECK_OK(pel_dpdk_port_open(&config, &port, &error));
    for (int i = 0; i < 1000; i++) {
        CHECK(pel_port_rx(port, 0, got, 32) == 32);
        CHECK(got[0]->len == 100);
        CHECK(pel_port_tx(port, 0, got, 32) == 32);
    }
    CHECK(pkts_in_use(port) == 0);
    pel_port_close(port);
    pel_dpdk_stop();
    return NULL;
}

PEL_TEST(dpdk, the_null_device_gives_and_takes)
{
    IN_CHILD(null_device);
}

static const char *out_of_packets(char ret_text[TEST_TEXT_LEN])
{
    struct pel_dpdk_port_config config = {.device = "net_ring0", .num_packets = 64};
    struct pel_error error = {0};
    struct pel_port *port = NULL;
    struct pel_pkt *first = NULL;
    uint32_t num = 0;
    CHECK_NULL(test_dpdk_start(ret_text));
    CHECK_OK(pel_dpdk_port_open(&config, &port, &error));
    for (struct pel_pkt *pkt; (pkt = pel_port_pkt_alloc(port, 0)) != NULL; num++) {
        pkt->next = first;
        first = pkt;
    }
    CHECK(num >= 64);
    struct pel_port_stats stats;
    port->ops->stats(port, &stats);
    CHECK(stats.rx_no_buffers == 1 && stats.num_pkts_in_use == num);
    while (first != NULL) {
        struct pel_pkt *next = first->next;
        pel_pkt_free(first);
        first = next;
    }
    CHECK(pkts_in_use(port) == 0);
    CHECK((first = pel_port_pkt_alloc(port, 0)) != NULL);
    pel_pkt_free(first);
    pel_port_close(port);
    pel_dpdk_stop();
    return NULL;
}

PEL_TEST(dpdk, out_of_packets_is_null_and_counted)
{
    IN_CHILD(out_of_packets);
}

static const char *bad_devices(char ret_text[TEST_TEXT_LEN])
{
    static const struct {
        const char *device, *in_text;
    } rows[] = {
        {"net_nosuch0", "port net_nosuch0: cannot make the device"},
        {"net_af_packet0,iface=nosuch", "port net_af_packet0,iface=nosuch: cannot make the device"},
        {"net_tap0,ifaze=pel0", "a tap has no argument ifaze"},
        {"net_tap0,iface=", "an interface's name has 1 to 15 characters"},
        {"net_tap0,iface=pel0,mac=nonsense", "port net_tap0,iface=pel0,mac=nonsense: cannot make the device"},
        {"net_memif0,role=client,socket=/tmp/pel-no-such.sock", "start the server's side first"},
        {"0000:ff:1f.7", "port 0000:ff:1f.7"},
        {"", "a port needs a device"},
    };
    struct pel_error error = {0};
    struct pel_port *port = NULL;
    CHECK(pel_dpdk_port_open(&(struct pel_dpdk_port_config){.device = "net_ring0"}, &port, &error) ==
          PEL_E_STATE);
    CHECK_NULL(test_dpdk_start(ret_text));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct pel_dpdk_port_config config = {.device = rows[i].device};
        error.text[0] = 0;
        if (pel_dpdk_port_open(&config, &port, &error) == PEL_OK ||
            strstr(error.text, rows[i].in_text) == NULL)
            return test_describe(ret_text, __LINE__, rows[i].device, error.text);
        CHECK(port == NULL);
    }
    CHECK(pel_dpdk_port_open(&(struct pel_dpdk_port_config){.device = "net_ring0", .mtu = 100}, &port,
                             &error) == PEL_E_ARG);
    CHECK(strstr(error.text, "the MTU 100 is not between 576 and 9216") != NULL);
    CHECK(pel_dpdk_port_open(&(struct pel_dpdk_port_config){.device = "net_ring0", .num_queues = 63}, &port,
                             &error) == PEL_E_PORT_OPEN);
    pel_dpdk_stop();
    return NULL;
}

PEL_TEST(dpdk, a_bad_device_is_a_clear_error)
{
    IN_CHILD(bad_devices);
}

static const char *taken(char ret_text[TEST_TEXT_LEN])
{
    struct pel_dpdk_port_config config = {.device = "net_tap0,iface=pel0"};
    struct pel_dpdk_port_config same_iface = {.device = "net_tap1,iface=pel0"};
    struct pel_error error = {0};
    struct pel_port *port = NULL, *other = NULL;
    CHECK_NULL(test_dpdk_start(ret_text));
    CHECK_OK(pel_dpdk_port_open(&config, &port, &error));
    CHECK(pel_dpdk_port_open(&config, &other, &error) == PEL_E_EXISTS);
    CHECK(strstr(error.text, "net_tap0 is open already") != NULL);
    CHECK(pel_dpdk_port_open(&same_iface, &other, &error) == PEL_E_EXISTS);
    CHECK(strstr(error.text, "port net_tap1,iface=pel0: the interface pel0 exists already") != NULL);
    pel_port_close(port);
    /* What was closed can be opened again. */
    CHECK_OK(pel_dpdk_port_open(&config, &port, &error));
    pel_port_close(port);
    pel_dpdk_stop();
    return NULL;
}

PEL_TEST(dpdk, a_port_that_is_taken)
{
    IN_CHILD(taken);
}

/* The kernel spreads flows over the tap's queues as it likes; each frame is on exactly one. */
static const char *two_queues(char ret_text[TEST_TEXT_LEN])
{
    struct pel_dpdk_port_config config = {.device = "net_tap0,iface=pel0", .num_queues = 2};
    struct pel_error error = {0};
    struct pel_port *port = NULL;
    struct pel_pkt *got[32];
    uint32_t num = 0;
    CHECK_NULL(test_dpdk_start(ret_text));
    CHECK_OK(pel_dpdk_port_open(&config, &port, &error));
    CHECK(port->num_queues == 2);
    CHECK(test_run("ip addr add 10.9.0.1/24 dev pel0 && ip link set pel0 up && "
                   "ip neigh add 10.9.0.2 lladdr 02:00:00:00:00:02 dev pel0") == 0);
    for (int i = 0; i < 20; i++)
        CHECK(test_run("bash -c 'echo x >/dev/udp/10.9.0.2/%d'", 1000 + i) == 0);
    for (int i = 0; i < 20000 && num < 20; i++) {
        for (uint16_t queue = 0; queue < 2; queue++) {
            uint32_t n = pel_port_rx(port, queue, got, 32);
            for (uint32_t k = 0; k < n; k++) {
                CHECK(got[k]->queue == queue);
                num += got[k]->len == 44 && got[k]->data[23] == 17;
                CHECK(pel_port_tx(port, queue, &got[k], 1) == 1);
            }
        }
        usleep(1000);
    }
    CHECK(num == 20 && pkts_in_use(port) == 0);
    pel_port_close(port);
    pel_dpdk_stop();
    return NULL;
}

PEL_TEST(dpdk_tap, two_queues)
{
    IN_CHILD(two_queues);
}

static const char *forwarding(char ret_text[TEST_TEXT_LEN])
{
    struct pel_dpdk_port_config null = {.device = "net_null0"}, ring = {.device = "net_ring0"};
    struct pel_error error = {0};
    struct pel_port *from = NULL, *to = NULL;
    struct pel_pkt *pkt;
    CHECK_NULL(test_dpdk_start(ret_text));
    CHECK_OK(pel_dpdk_port_open(&null, &from, &error));
    CHECK_OK(pel_dpdk_port_open(&ring, &to, &error));
    CHECK(pel_port_rx(from, 0, &pkt, 1) == 1 && pkts_in_use(from) == 1);
    CHECK(pel_port_tx(to, 0, &pkt, 1) == 1);
    CHECK(pkts_in_use(from) == 0 && pkts_in_use(to) == 0);
    CHECK(pel_port_rx(to, 0, &pkt, 1) == 1 && pkt->port == to && pkts_in_use(to) == 1);
    pel_pkt_free(pkt);
    CHECK(pkts_in_use(from) == 0 && pkts_in_use(to) == 0);
    pel_port_close(to);
    pel_port_close(from);
    pel_dpdk_stop();
    return NULL;
}

PEL_TEST(dpdk, a_packet_may_leave_by_another_port)
{
    IN_CHILD(forwarding);
}

static const char *chosen_mac(char ret_text[TEST_TEXT_LEN])
{
    struct pel_dpdk_port_config config = {.device = "net_tap0,iface=pel0", .mac = {2, 0, 0, 1, 2, 3}};
    struct pel_error error = {0};
    struct pel_port *port = NULL;
    CHECK_NULL(test_dpdk_start(ret_text));
    CHECK_OK(pel_dpdk_port_open(&config, &port, &error));
    CHECK(memcmp(port->mac, config.mac, 6) == 0);
    CHECK(test_run("ip addr add 10.9.0.1/24 dev pel0 && ip link set pel0 up") == 0);
    CHECK_NULL(check_ping(port, 1500, ret_text));
    pel_port_close(port);
    pel_dpdk_stop();
    return NULL;
}

PEL_TEST(dpdk_tap, an_address_can_be_chosen)
{
    IN_CHILD(chosen_mac);
}
