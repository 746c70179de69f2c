/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two ports of one process that are each other's wire: memif, and virtio-user with vhost; and what offloads
 * do on a tap.
 */
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "drivers/dpdk/test_child.h"
#include "drivers/test_frame.h"

#define WAIT_US     20000000u
#define TX_OFFLOADS (PEL_OFFLOAD_TX_IP_CSUM | PEL_OFFLOAD_TX_L4_CSUM | PEL_OFFLOAD_TSO)
#define RX_OFFLOADS (PEL_OFFLOAD_RX_IP_CSUM | PEL_OFFLOAD_RX_L4_CSUM)

static uint32_t pkts_in_use(struct pel_port *port)
{
    struct pel_port_stats stats;
    port->ops->stats(port, &stats);
    return stats.num_pkts_in_use;
}

/* Receives one frame, polling both ends (they may still be shaking hands); NULL after WAIT_US. */
static struct pel_pkt *receive(struct pel_port *port)
{
    struct pel_clock clock = pel_clock_real();
    uint64_t until_us = pel_clock_now_us(&clock) + WAIT_US;
    struct pel_pkt *pkt;
    while (pel_clock_now_us(&clock) < until_us)
        if (pel_port_rx(port, 0, &pkt, 1) == 1)
            return pkt;
    return NULL;
}

/* Sends one frame as soon as the other end is there. */
static bool transmit(struct pel_port *port, struct pel_pkt *pkt)
{
    struct pel_clock clock = pel_clock_real();
    uint64_t until_us = pel_clock_now_us(&clock) + WAIT_US;
    while (pel_clock_now_us(&clock) < until_us) {
        if (pel_port_tx(port, 0, &pkt, 1) == 1)
            return true;
        usleep(1000);
    }
    return false;
}

static const char *check_frames(struct pel_port *from, struct pel_port *to, uint32_t num, uint32_t len,
                                char ret_text[TEST_TEXT_LEN])
{
    for (uint32_t i = 0; i < num; i++) {
        struct pel_pkt *pkt = pel_port_pkt_alloc(from, 0);
        CHECK(pkt != NULL);
        memset(pkt->data, (int)i, len);
        pkt->len = len;
        CHECK(transmit(from, pkt));
        CHECK((pkt = receive(to)) != NULL);
        CHECK(pkt->len == len && pkt->data[0] == (uint8_t)i && pkt->data[len - 1] == (uint8_t)i);
        pel_pkt_free(pkt);
    }
    return NULL;
}

struct pair {
    struct pel_port *a, *b;
};

static const char *open_pair(struct pair *pair, struct pel_dpdk_port_config *a,
                             struct pel_dpdk_port_config *b, char ret_text[TEST_TEXT_LEN])
{
    struct pel_error error = {0};
    struct pel_dpdk_config config = {.hugepages = PEL_DPDK_HUGEPAGES_NO, .memory_mb = 512};
    CHECK_OK(pel_dpdk_start(&config, &error));
    CHECK_OK(pel_dpdk_port_open(a, &pair->a, &error));
    CHECK_OK(pel_dpdk_port_open(b, &pair->b, &error));
    return NULL;
}

static const char *close_pair(struct pair *pair, char ret_text[TEST_TEXT_LEN])
{
    CHECK(pkts_in_use(pair->a) == 0 && pkts_in_use(pair->b) == 0);
    pel_port_close(pair->b);
    pel_port_close(pair->a);
    pel_dpdk_stop();
    return NULL;
}

/* The other process: sends back what it receives, until a frame begins with STOP. It stays until the other
 * end of `over` is closed: the last frame must be read before the memory goes away. */
#define STOP 0xff
static const char *echo(const char *device, int over, char ret_text[TEST_TEXT_LEN])
{
    struct pel_dpdk_port_config config = {.device = device};
    struct pel_error error = {0};
    struct pel_port *port = NULL;
    CHECK_NULL(test_dpdk_start(ret_text));
    CHECK_OK(test_port_open(&config, &port, &error));
    for (uint8_t first = 0; first != STOP;) {
        struct pel_pkt *pkt = receive(port);
        CHECK(pkt != NULL);
        first = pkt->data[0];
        CHECK(transmit(port, pkt));
    }
    CHECK(pkts_in_use(port) == 0);
    char byte;
    CHECK(read(over, &byte, 1) == 0);
    pel_port_close(port);
    pel_dpdk_stop();
    return NULL;
}

static const char *serve(const char *device, char ret_text[TEST_TEXT_LEN])
{
    struct pel_dpdk_port_config config = {.device = device};
    struct pel_error error = {0};
    struct pel_port *port = NULL;
    CHECK_NULL(test_dpdk_start(ret_text));
    CHECK_OK(pel_dpdk_port_open(&config, &port, &error));
    CHECK_NULL(check_frames(port, port, 100, 1514, ret_text));
    CHECK_NULL(check_frames(port, port, STOP + 1, 60, ret_text));
    CHECK(pkts_in_use(port) == 0);
    pel_port_close(port);
    pel_dpdk_stop();
    return NULL;
}

static void name_memif(char ret_server[128], char ret_client[128])
{
    int pid = getpid();
    snprintf(ret_server, 128, "net_memif0,role=server,id=0,socket=/tmp/pel-memif-%d.sock", pid);
    snprintf(ret_client, 128, "net_memif0,role=client,id=0,socket=/tmp/pel-memif-%d.sock", pid);
}

/* The other process's exit status. */
static int told(const char *failure)
{
    if (failure != NULL)
        fprintf(stderr, "the other process: %s\n", failure);
    return failure != NULL;
}

static const char *memif(char ret_text[TEST_TEXT_LEN])
{
    char server[128], client[128];
    int status = 0, over[2];
    name_memif(server, client);
    CHECK(pipe(over) == 0);
    pid_t other = fork();
    if (other == 0) {
        close(over[1]);
        _exit(told(echo(client, over[0], ret_text)));
    }
    close(over[0]);
    const char *failure = serve(server, ret_text);
    close(over[1]); /* lets the other process go */
    CHECK(waitpid(other, &status, 0) == other);
    CHECK_NULL(failure);
    CHECK(status == 0);
    return NULL;
}

PEL_TEST(dpdk_pair, memif_carries_frames_to_another_process_and_back)
{
    IN_CHILD(memif);
}

/* The other process: comes NUM_VISITS times, and goes each time while its frames are still being read. Others
 * keep both cores busy, so that bursts are interrupted. */
#define NUM_VISITS 250
#define VISITS_US  25000000u /* on a busy machine it is fewer visits */
#define VISIT_US   2000u
#define NUM_BUSY   2
static const char *visit(const char *device, uint32_t *num_visits, char ret_text[TEST_TEXT_LEN])
{
    struct pel_clock clock = pel_clock_real();
    struct pel_error error = {0};
    CHECK_NULL(test_dpdk_start(ret_text));
    uint64_t end_us = pel_clock_now_us(&clock) + VISITS_US;
    for (int i = 0; i < NUM_VISITS && pel_clock_now_us(&clock) < end_us; i++) {
        struct pel_dpdk_port_config config = {.device = device};
        struct pel_port *port = NULL;
        CHECK_OK(test_port_open(&config, &port, &error));
        uint64_t until_us = pel_clock_now_us(&clock) + VISIT_US;
        while (pel_clock_now_us(&clock) < until_us) {
            struct pel_pkt *pkt = pel_port_pkt_alloc(port, 0);
            CHECK(pkt != NULL);
            memset(pkt->data, i, 1514);
            pkt->len = 1514;
            if (pel_port_tx(port, 0, &pkt, 1) == 0)
                pel_pkt_free(pkt);
        }
        pel_port_close(port);
        ++*num_visits;
    }
    pel_dpdk_stop();
    return NULL;
}

static const char *serve_visits(const char *device, pid_t visitor, const uint32_t *num_visits,
                                char ret_text[TEST_TEXT_LEN])
{
    struct pel_dpdk_port_config config = {.device = device};
    struct pel_error error = {0};
    struct pel_port *port = NULL;
    struct pel_pkt *pkts[64];
    uint64_t num_read = 0;
    int status = 0;
    CHECK_NULL(test_dpdk_start(ret_text));
    CHECK_OK(pel_dpdk_port_open(&config, &port, &error));
    while (waitpid(visitor, &status, WNOHANG) == 0) {
        uint32_t num = pel_port_rx(port, 0, pkts, 64);
        for (uint32_t i = 0; i < num; i++) {
            CHECK(pkts[i]->len == 1514 && pkts[i]->data[0] < NUM_VISITS);
            pel_pkt_free(pkts[i]);
        }
        num_read += num;
    }
    CHECK(status == 0);
    fprintf(stderr, "    %u visits, %llu frames\n", *num_visits, (unsigned long long)num_read);
    CHECK(*num_visits >= 10 && num_read > *num_visits);
    CHECK(pkts_in_use(port) == 0);
    pel_port_close(port);
    pel_dpdk_stop();
    return NULL;
}

/* Ends with the process that made it. */
static void keep_busy(void)
{
    pid_t parent = getpid();
    if (fork() != 0)
        return;
    while (getppid() == parent)
        continue;
    _exit(0);
}

static const char *memif_visits(char ret_text[TEST_TEXT_LEN])
{
    char server[128], client[128];
    uint32_t *num_visits =
        mmap(NULL, sizeof *num_visits, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(num_visits != MAP_FAILED);
    name_memif(server, client);
    pid_t other = fork();
    if (other == 0) {
        alarm(100);
        _exit(told(visit(client, num_visits, ret_text)));
    }
    for (int i = 0; i < NUM_BUSY; i++)
        keep_busy();
    return serve_visits(server, other, num_visits, ret_text);
}

PEL_TEST(dpdk_pair, memif_outlives_peers_that_leave_while_their_frames_are_read)
{
    IN_CHILD(memif_visits);
}

/* A frame of 60,000 bytes comes over whole, its checksum unfinished but marked as good. */
static const char *check_large(struct pel_port *from, struct pel_port *to, char ret_text[TEST_TEXT_LEN])
{
    struct pel_pkt *pkt = pel_port_pkt_alloc_large(from, 0);
    CHECK(pkt != NULL && pkt->room_len >= 60054);
    test_build_tcp(pkt, true, 60000);
    pkt->flags |= PEL_PKT_TX_TSO;
    pkt->tso_mss = 1460;
    CHECK(transmit(from, pkt));
    CHECK((pkt = receive(to)) != NULL);
    CHECK(pkt->len == 60054);
    CHECK((pkt->flags & PEL_PKT_RX_L4_CSUM_GOOD) != 0 && (pkt->flags & PEL_PKT_RX_CSUM_BAD) == 0);
    for (uint32_t i = 0; i < 60000; i++)
        CHECK(pkt->data[54 + i] == (uint8_t)(i * 7));
    pel_pkt_free(pkt);
    return NULL;
}

static const char *virtio(char ret_text[TEST_TEXT_LEN])
{
    char vhost[128], user[128];
    struct pair pair;
    snprintf(vhost, sizeof vhost, "net_vhost0,iface=/tmp/pel-vhost-%d.sock,queues=1,tso=1", (int)getpid());
    snprintf(user, sizeof user, "virtio_user0,path=/tmp/pel-vhost-%d.sock,queues=1", (int)getpid());
    struct pel_dpdk_port_config a = {.device = vhost,
                                     .num_packets = 512,
                                     .num_tx_packets = 256,
                                     .large_receive = true,
                                     .offloads = TX_OFFLOADS | RX_OFFLOADS};
    struct pel_dpdk_port_config b = a;
    b.device = user;
    CHECK_NULL(open_pair(&pair, &a, &b, ret_text));
    CHECK_NULL(check_frames(pair.b, pair.a, 100, 1514, ret_text));
    CHECK_NULL(check_frames(pair.a, pair.b, 100, 60, ret_text));
    CHECK((pair.b->offloads & (PEL_OFFLOAD_TSO | PEL_OFFLOAD_TX_L4_CSUM)) ==
          (PEL_OFFLOAD_TSO | PEL_OFFLOAD_TX_L4_CSUM));
    CHECK(pair.b->tso_max_len >= 60054);
    CHECK_NULL(check_large(pair.b, pair.a, ret_text));
    if ((pair.a->offloads & PEL_OFFLOAD_TSO) != 0)
        CHECK_NULL(check_large(pair.a, pair.b, ret_text));
    return close_pair(&pair, ret_text);
}

PEL_TEST(dpdk_pair, virtio_carries_large_frames_whole)
{
    IN_CHILD(virtio);
}

/* What a tap's kernel end sees of one TCP frame: every piece with good checksums, in order. */
static const char *check_pieces(int fd, uint32_t payload_len, uint32_t mss, char ret_text[TEST_TEXT_LEN])
{
    uint8_t frame[4096];
    uint32_t done_len = 0;
    while (done_len < payload_len) {
        ssize_t n = recv(fd, frame, sizeof frame, 0);
        CHECK(n > 0);
        if (n < 54 || frame[12] != 8 || frame[13] != 0 || frame[23] != 6)
            continue;
        uint32_t tcp_len = (uint32_t)n - 34;
        CHECK(tcp_len - 20 == (payload_len - done_len < mss ? payload_len - done_len : mss));
        CHECK(test_plain_sum(frame + 14, 20, 0) == 0xffff);
        CHECK(test_plain_sum(frame + 34, tcp_len, test_plain_sum(frame + 26, 8, 6 + tcp_len)) == 0xffff);
        struct pel_reader r = pel_reader_of(frame + 38, 4);
        CHECK(pel_read_u32(&r) == 0xfffffff0 + done_len);
        for (uint32_t i = 54; i < (uint32_t)n; i++, done_len++)
            CHECK(frame[i] == (uint8_t)(done_len * 7));
    }
    return NULL;
}

static int sniff(const char *iface)
{
    struct timeval limit = {.tv_sec = 20};
    struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
    int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
    at.sll_ifindex = (int)if_nametoindex(iface);
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0)
        return -1;
    return fd;
}

static const char *tap_offloads(char ret_text[TEST_TEXT_LEN])
{
    struct pel_dpdk_port_config config = {.device = "net_tap0,iface=pel0",
                                          .offloads = TX_OFFLOADS | RX_OFFLOADS};
    struct pel_error error = {0};
    struct pel_port *port = NULL;
    CHECK_NULL(test_dpdk_start(ret_text));
    CHECK_OK(pel_dpdk_port_open(&config, &port, &error));
    CHECK(port->offloads == (TX_OFFLOADS | RX_OFFLOADS));
    int fd = sniff("pel0");
    CHECK(fd >= 0);
    for (int tso = 0; tso < 2; tso++) {
        uint32_t payload_len = tso ? 20000 : 1001;
        struct pel_pkt *pkt = pel_port_pkt_alloc_large(port, 0);
        CHECK(pkt != NULL);
        test_build_tcp(pkt, true, payload_len);
        pkt->flags |= tso ? PEL_PKT_TX_TSO : 0;
        pkt->tso_mss = 1400;
        CHECK(pel_port_tx(port, 0, &pkt, 1) == 1);
        CHECK_NULL(check_pieces(fd, payload_len, 1400, ret_text));
    }
    close(fd);
    CHECK(pkts_in_use(port) == 0);
    pel_port_close(port);
    pel_dpdk_stop();
    return NULL;
}

PEL_TEST(dpdk_tap, finishes_checksums_and_cuts_segments)
{
    IN_CHILD(tap_offloads);
}

static const char *impossible_offloads(char ret_text[TEST_TEXT_LEN])
{
    struct pel_dpdk_port_config config = {.device = "net_tap0,iface=pel0", .offloads = TX_OFFLOADS};
    struct pel_error error = {0};
    struct pel_port *port = NULL;
    struct pel_port_stats stats;
    CHECK_NULL(test_dpdk_start(ret_text));
    CHECK_OK(pel_dpdk_port_open(&config, &port, &error));
    for (int i = 0; i < 4; i++) {
        struct pel_pkt *pkt = pel_port_pkt_alloc_large(port, 0);
        CHECK(pkt != NULL);
        test_build_tcp(pkt, true, 2000);
        pkt->flags |= PEL_PKT_TX_TSO;
        pkt->tso_mss = i == 0 ? 0 : 1400;  /* nothing to cut to */
        pkt->l4_len = i == 1 ? 8 : 20;     /* no TCP header is so short */
        pkt->l3_len = i == 2 ? 65535 : 20; /* beyond the frame */
        if (i == 3)
            pkt->data[23] = 17; /* UDP is not cut */
        CHECK(pel_port_tx(port, 0, &pkt, 1) == 1);
    }
    port->ops->stats(port, &stats);
    CHECK(stats.tx_errors == 4 && stats.tx_packets == 0 && stats.num_pkts_in_use == 0);
    pel_port_close(port);
    pel_dpdk_stop();
    return NULL;
}

PEL_TEST(dpdk_tap, impossible_offloads_are_errors)
{
    IN_CHILD(impossible_offloads);
}
