/* SPDX-License-Identifier: Apache-2.0 */
/* Ports of several queues: where frames arrive, and that pools and rings stand several threads. */
#include <pthread.h>
#include <sched.h>

#include "drivers/sim/test_wire.h"
#include "drivers/test_frame.h"

#define NUM_QUEUES 4

/* A TCP frame whose source port is `port`, sent from `queue`. */
static bool send_flow(struct pel_port *port, uint16_t queue, bool v4, uint16_t from_port, uint32_t number)
{
    struct pel_pkt *pkt = pel_port_pkt_alloc(port, queue);
    if (pkt == NULL)
        return false;
    test_build_tcp(pkt, v4, 8);
    uint8_t *tcp = pkt->data + (v4 ? 34 : 54);
    tcp[0] = (uint8_t)(from_port >> 8);
    tcp[1] = (uint8_t)from_port;
    memcpy(tcp + 20, &number, sizeof number);
    pkt->flags = 0;
    if (pel_port_tx(port, queue, &pkt, 1) == 1)
        return true;
    pel_pkt_free(pkt);
    return false;
}

/* Where the port says that a frame arrives. */
static uint16_t said_queue(const struct pel_port *port, const struct pel_pkt *pkt)
{
    struct pel_rss_frame frame;
    pel_rss_parse(pkt->data, pkt->len, &frame);
    return pel_rss_frame_queue(port->rss, &frame);
}

static void check_spread(uint64_t seed, bool exact_buffers, bool v4)
{
    struct pel_sim_wire_config config = {
        .seed = seed, .num_queues = NUM_QUEUES, .exact_buffers = exact_buffers};
    uint32_t num[NUM_QUEUES] = {0};
    struct pel_pkt *pkts[64];
    struct test_wire w;
    PEL_REQUIRE(test_wire_open(&w, &config));
    PEL_REQUIRE(w.a->num_queues == NUM_QUEUES && w.b->rss != NULL && (w.b->offloads & PEL_OFFLOAD_RSS) != 0);
    for (uint16_t i = 0; i < 400; i++)
        PEL_REQUIRE(send_flow(w.a, i % NUM_QUEUES, v4, (uint16_t)(40000 + i), i));
    for (uint16_t queue = 0; queue < NUM_QUEUES; queue++) {
        uint32_t got;
        while ((got = pel_port_rx(w.b, queue, pkts, 64)) > 0) {
            for (uint32_t i = 0; i < got; i++) {
                PEL_EXPECT_EQ(said_queue(w.b, pkts[i]), queue);
                PEL_EXPECT_EQ(pkts[i]->queue, queue);
                pel_pkt_free(pkts[i]);
            }
            num[queue] += got;
        }
        PEL_EXPECT(num[queue] > 40 && num[queue] < 200);
    }
    PEL_EXPECT_EQ(num[0] + num[1] + num[2] + num[3], 400);
    test_wire_close(&w);
}

PEL_TEST(sim_queues, flows_are_spread_as_the_port_says)
{
    for (uint64_t seed = 1; seed <= 4; seed++) {
        check_spread(seed, true, seed % 2 == 0);
        check_spread(seed, false, seed % 2 == 0);
    }
}

PEL_TEST(sim_queues, what_is_no_ip_goes_to_the_first)
{
    struct pel_sim_wire_config config = {.num_queues = NUM_QUEUES, .secret_rss = true, .exact_buffers = true};
    struct test_wire w;
    PEL_REQUIRE(test_wire_open(&w, &config));
    PEL_EXPECT(w.b->rss == NULL && (w.b->offloads & PEL_OFFLOAD_RSS) == 0);
    PEL_REQUIRE(test_send(w.a, 4711, 60));
    struct pel_pkt *pkt;
    for (uint16_t queue = NUM_QUEUES - 1; queue > 0; queue--)
        PEL_EXPECT_EQ(pel_port_rx(w.b, queue, &pkt, 1), 0);
    PEL_EXPECT_EQ(w.b->ops->next_event_us(w.b, PEL_ANY_QUEUE), w.time.now_us); /* sorted, and waiting */
    PEL_EXPECT_EQ(test_receive(w.b), 4711);
    test_wire_close(&w);
    config.num_queues = 9;
    PEL_EXPECT(!test_wire_open(&w, &config));
}

/* Two threads a port; each sends, receives and frees, both ways at once. */
struct worker {
    struct pel_port *port;
    uint16_t queue;
    pthread_t thread;
    uint32_t num_sent, num_received;
    uint32_t *num_all; /* received by all, of both ports */
    bool wrong;
};
#define NUM_EACH 20000u

static void *work(void *arg)
{
    struct worker *me = arg;
    struct pel_pkt *pkts[32];
    while (__atomic_load_n(me->num_all, __ATOMIC_ACQUIRE) < 4 * NUM_EACH) {
        if (me->num_sent < NUM_EACH &&
            send_flow(me->port, me->queue, true, (uint16_t)(me->num_sent * 7), me->num_sent))
            me->num_sent++;
        uint32_t got = pel_port_rx(me->port, me->queue, pkts, 32);
        for (uint32_t i = 0; i < got; i++) {
            me->wrong |= said_queue(me->port, pkts[i]) != me->queue;
            pel_pkt_free(pkts[i]);
        }
        me->num_received += got;
        __atomic_fetch_add(me->num_all, got, __ATOMIC_RELEASE);
        if (got == 0)
            sched_yield();
    }
    return NULL;
}

static void check_threads(bool exact_buffers)
{
    struct pel_sim_wire_config config = {.num_queues = 2, .queue_len = 256, .exact_buffers = exact_buffers};
    const struct pel_clock clock = pel_clock_real();
    struct worker workers[4] = {0};
    struct pel_port *ports[2];
    uint32_t num_all = 0;
    PEL_REQUIRE(pel_sim_wire_open(&config, &clock, &ports[0], &ports[1]) == PEL_OK);
    for (uint16_t i = 0; i < 4; i++) {
        workers[i] = (struct worker){.port = ports[i / 2], .queue = i % 2, .num_all = &num_all};
        PEL_REQUIRE(pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(workers[i].thread, NULL);
        PEL_EXPECT(!workers[i].wrong && workers[i].num_received > NUM_EACH / 2);
    }
    PEL_EXPECT_EQ(num_all, 4 * NUM_EACH);
    pel_port_close(ports[0]);
    pel_port_close(ports[1]);
}

PEL_TEST(sim_queues, a_thread_for_each)
{
    check_threads(false);
    check_threads(true);
}
