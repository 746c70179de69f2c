/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/steer.h"

#include <pthread.h>
#include <sched.h>

#include "drivers/sim/test_wire.h"
#include "drivers/test_frame.h"

#define NUM 3

/* Side b of a wire is steered for NUM engines. */
struct bench {
    struct test_wire wire;
    struct pel_port *b;
    uint32_t num_woken[NUM];
};

static bool bench_open(struct bench *bench, const struct pel_sim_wire_config *config)
{
    if (!test_wire_open(&bench->wire, config))
        return false;
    return pel_steer_open(bench->wire.b, NUM, pel_rss_symmetric_key, &bench->b) == PEL_OK;
}

static void bench_close(struct bench *bench)
{
    pel_port_close(bench->wire.a);
    pel_port_close(bench->b);
}

static void send_bytes(struct bench *bench, const void *bytes, uint32_t len)
{
    struct pel_pkt *pkt = pel_port_pkt_alloc(bench->wire.a, 0);
    PEL_REQUIRE(pkt != NULL);
    memcpy(pkt->data, bytes, len);
    pkt->len = len;
    PEL_REQUIRE(pel_port_tx(bench->wire.a, 0, &pkt, 1) == 1);
}

/* The answer of side a to a flow from `port` of b. */
static uint32_t make_flow(uint8_t *frame, uint16_t port, bool v4)
{
    struct pel_pkt pkt = {.data = frame, .room_len = 200};
    test_build_tcp(&pkt, v4, 4);
    uint8_t *tcp = frame + (v4 ? 34 : 54);
    tcp[2] = (uint8_t)(port >> 8);
    tcp[3] = (uint8_t)port;
    return pkt.len;
}

/* Receives on each queue in turn until none has more; counts by queue, and those that were not its. */
static void receive_all(struct bench *bench, uint32_t ret_num[NUM], uint32_t *ret_wrong)
{
    struct pel_pkt *pkts[16];
    for (int idle = 0; idle < 2; idle++) {
        for (uint16_t queue = 0; queue < NUM; queue++) {
            uint32_t got = pel_port_rx(bench->b, queue, pkts, 16);
            for (uint32_t i = 0; i < got; i++) {
                struct pel_rss_frame frame;
                pel_rss_parse(pkts[i]->data, pkts[i]->len, &frame);
                *ret_wrong += frame.tuple_len > 0 && pel_rss_frame_queue(bench->b->rss, &frame) != queue;
                pel_pkt_free(pkts[i]);
            }
            ret_num[queue] += got;
            idle = got > 0 ? -1 : idle;
        }
    }
}

static void check_flows(struct bench *bench, bool expect_handed_over)
{
    struct pel_steer_counts counts;
    uint32_t num[NUM] = {0}, wrong = 0;
    uint8_t frame[200];
    for (uint16_t i = 0; i < 300; i++) {
        uint32_t len = make_flow(frame, (uint16_t)(50000 + i), i % 2 == 0);
        send_bytes(bench, frame, len);
    }
    receive_all(bench, num, &wrong);
    PEL_EXPECT_EQ(num[0] + num[1] + num[2], 300);
    PEL_EXPECT_EQ(wrong, 0);
    for (int i = 0; i < NUM; i++)
        PEL_EXPECT(num[i] > 40);
    pel_steer_counts(bench->b, &counts);
    PEL_EXPECT_EQ(counts.handed_over > 0, expect_handed_over);
    PEL_EXPECT_EQ(counts.lost, 0);
}

PEL_TEST(steer, a_port_that_spreads_as_it_says_needs_no_hand_over)
{
    struct pel_sim_wire_config config = {.seed = 7, .num_queues = NUM, .exact_buffers = true};
    struct bench bench = {0};
    PEL_REQUIRE(bench_open(&bench, &config));
    check_flows(&bench, false);
    bench_close(&bench);
}

PEL_TEST(steer, a_port_that_spreads_in_secret_is_corrected)
{
    struct pel_sim_wire_config config = {
        .seed = 7, .num_queues = NUM, .secret_rss = true, .exact_buffers = true};
    struct bench bench = {0};
    PEL_REQUIRE(bench_open(&bench, &config));
    check_flows(&bench, true);
    bench_close(&bench);
}

/* One queue for all: the packets must be for every thread, which the wire's are not but on one thread. */
PEL_TEST(steer, a_single_queue_serves_all)
{
    struct pel_sim_wire_config config = {.seed = 7, .exact_buffers = true};
    struct bench bench = {0};
    PEL_REQUIRE(test_wire_open(&bench.wire, &config));
    PEL_EXPECT_EQ(pel_steer_open(bench.wire.b, NUM, NULL, &bench.b), PEL_E_ARG);
    bench.wire.b->any_thread_alloc = true;
    PEL_REQUIRE(pel_steer_open(bench.wire.b, NUM, pel_rss_symmetric_key, &bench.b) == PEL_OK);
    check_flows(&bench, true);
    for (uint16_t queue = 0; queue < NUM; queue++) {
        struct pel_pkt *pkt = pel_port_pkt_alloc(bench.b, queue);
        PEL_REQUIRE(pkt != NULL);
        memset(pkt->data, queue, 60);
        pkt->len = 60;
        PEL_EXPECT_EQ(pel_port_tx(bench.b, queue, &pkt, 1), 1);
    }
    for (uint16_t queue = 0; queue < NUM; queue++)
        PEL_EXPECT_EQ(test_receive(bench.wire.a), 0x01010101 * queue);
    bench_close(&bench);
}

/* A port that says one thing and does another is found out, and its frames go to their engines all the
 * same. */
PEL_TEST(steer, a_port_that_does_not_do_as_it_says)
{
    uint8_t key[PEL_RSS_KEY_LEN];
    struct pel_sim_wire_config config = {
        .num_queues = NUM, .secret_rss = true, .rss_key = key, .queue_len = 8192, .exact_buffers = true};
    struct bench bench = {0};
    struct pel_rss said;
    uint32_t num[NUM] = {0}, wrong = 0;
    uint8_t frame[200];
    for (size_t i = 0; i < sizeof key; i++)
        key[i] = (uint8_t)(i * i * 41 + 7);
    pel_rss_init(&said, pel_rss_symmetric_key, NUM, 128);
    said.types = PEL_RSS_TCP4 | PEL_RSS_TCP6;
    PEL_REQUIRE(test_wire_open(&bench.wire, &config));
    bench.wire.b->rss = &said;
    PEL_REQUIRE(pel_steer_open(bench.wire.b, NUM, NULL, &bench.b) == PEL_OK);
    for (int i = 0; i < 5000; i++) {
        uint32_t len = make_flow(frame, (uint16_t)(50000 + i % 500), i % 2 == 0);
        send_bytes(&bench, frame, len);
        if (i % 500 == 499)
            receive_all(&bench, num, &wrong);
    }
    PEL_EXPECT_EQ(num[0] + num[1] + num[2], 5000);
    PEL_EXPECT_EQ(wrong, 0);
    bench_close(&bench);
}

/* One that does is believed after a while, and not asked any more. */
PEL_TEST(steer, a_port_that_does_as_it_says_is_believed)
{
    struct pel_sim_wire_config config = {
        .seed = 3, .num_queues = NUM, .queue_len = 8192, .exact_buffers = true};
    struct bench bench = {0};
    struct pel_rss *said;
    uint32_t num[NUM] = {0}, wrong = 0;
    uint8_t frame[200];
    PEL_REQUIRE(bench_open(&bench, &config));
    for (int i = 0; i < 8000; i++) {
        uint32_t len = make_flow(frame, (uint16_t)(50000 + i % 500), true);
        send_bytes(&bench, frame, len);
        if (i % 500 == 499)
            receive_all(&bench, num, &wrong);
    }
    PEL_EXPECT(num[0] > 1000 && num[1] > 1000 && num[2] > 1000 && wrong == 0);
    /* Another table now, of which the port knows nothing: only who still looks would hand over. */
    said = (struct pel_rss *)(uintptr_t)bench.b->rss;
    for (uint32_t i = 0; i < said->reta_len; i++)
        said->reta[i] = (uint16_t)((said->reta[i] + 1) % NUM);
    uint32_t len = make_flow(frame, 50000, true);
    send_bytes(&bench, frame, len);
    len = make_flow(frame, 50000, false); /* IPv6 has not shown yet that it is right */
    send_bytes(&bench, frame, len);
    memset(num, 0, sizeof num);
    receive_all(&bench, num, &wrong);
    PEL_EXPECT_EQ(wrong, 1);
    bench_close(&bench);
}

static void note_wake(void *arg)
{
    ++*(uint32_t *)arg;
}

PEL_TEST(steer, who_has_no_queue_of_the_port_is_woken)
{
    struct pel_sim_wire_config config = {.exact_buffers = true};
    struct bench bench = {0};
    PEL_REQUIRE(test_wire_open(&bench.wire, &config));
    bench.wire.b->any_thread_alloc = true;
    PEL_REQUIRE(pel_steer_open(bench.wire.b, NUM, pel_rss_symmetric_key, &bench.b) == PEL_OK);
    PEL_EXPECT_EQ(pel_port_rx_wait_fd(bench.b, 0), PEL_RX_WAIT_LOOK); /* as the wire's */
    PEL_EXPECT_EQ(pel_port_rx_wait_fd(bench.b, 1), PEL_RX_WAIT_LOOK);
    pel_steer_on_frame(bench.b, 1, note_wake, &bench.num_woken[1]);
    PEL_EXPECT_EQ(pel_port_rx_wait_fd(bench.b, 1), PEL_RX_WAIT_WOKEN);
    PEL_EXPECT_EQ(pel_port_rx_wait_fd(bench.b, 2), PEL_RX_WAIT_LOOK);
    bench_close(&bench);
}

PEL_TEST(steer, answers_are_for_everyone_and_questions_for_the_first)
{
    struct pel_sim_wire_config config = {.seed = 7, .num_queues = NUM, .exact_buffers = true};
    uint8_t arp[42] = {[12] = 0x08, [13] = 0x06, [21] = 2, [31] = 1, [41] = 2};
    struct bench bench = {0};
    uint32_t num[NUM] = {0}, wrong = 0;
    PEL_REQUIRE(bench_open(&bench, &config));
    for (uint16_t i = 0; i < NUM; i++)
        pel_steer_on_frame(bench.b, i, note_wake, &bench.num_woken[i]);
    send_bytes(&bench, arp, sizeof arp);
    receive_all(&bench, num, &wrong);
    PEL_EXPECT(num[0] == 1 && num[1] == 1 && num[2] == 1);
    PEL_EXPECT(bench.num_woken[0] == 0 && bench.num_woken[1] == 1 && bench.num_woken[2] == 1);
    arp[21] = 1;
    send_bytes(&bench, arp, sizeof arp);
    receive_all(&bench, num, &wrong);
    PEL_EXPECT(num[0] == 2 && num[1] == 1 && num[2] == 1);
    struct pel_steer_counts counts;
    pel_steer_counts(bench.b, &counts);
    PEL_EXPECT_EQ(counts.copied, 2);
    bench_close(&bench);
}

/* Looks for a port of b whose flow comes to real queue 0 and belongs to another engine. */
static uint16_t stray_port(struct bench *bench, const struct pel_rss *secret)
{
    uint8_t frame[200];
    for (uint16_t port = 50000;; port++) {
        struct pel_rss_frame parsed;
        uint32_t len = make_flow(frame, port, true);
        pel_rss_parse(frame, len, &parsed);
        if (pel_rss_frame_queue(secret, &parsed) == 0 && pel_rss_frame_queue(bench->b->rss, &parsed) == 1)
            return port;
    }
}

/* An engine that does not come to its frames loses what its ring cannot hold, and only that. */
PEL_TEST(steer, a_full_ring_loses_and_counts)
{
    uint8_t key[PEL_RSS_KEY_LEN];
    struct pel_sim_wire_config config = {
        .num_queues = NUM, .secret_rss = true, .rss_key = key, .queue_len = 4096, .exact_buffers = true};
    struct bench bench = {0};
    struct pel_rss secret;
    struct pel_port_stats stats;
    struct pel_steer_counts counts;
    struct pel_pkt *pkts[64];
    uint32_t num[NUM] = {0}, wrong = 0;
    uint8_t frame[200];
    for (size_t i = 0; i < sizeof key; i++)
        key[i] = (uint8_t)(i * i * 41 + 7);
    PEL_REQUIRE(bench_open(&bench, &config));
    pel_rss_init(&secret, key, NUM, 128);
    uint32_t len = make_flow(frame, stray_port(&bench, &secret), true);
    for (uint32_t i = 0; i < 1500; i++)
        send_bytes(&bench, frame, len);
    for (uint32_t i = 0; i < 1500 / 64 + 1; i++)
        PEL_EXPECT_EQ(pel_port_rx(bench.b, 0, pkts, 64), 0);
    PEL_EXPECT_EQ(bench.b->ops->next_event_us(bench.b, PEL_ANY_QUEUE), 0);
    receive_all(&bench, num, &wrong);
    pel_steer_counts(bench.b, &counts);
    bench.b->ops->stats(bench.b, &stats);
    PEL_EXPECT(wrong == 0 && num[0] == 0 && num[1] == 1024 && num[2] == 0);
    PEL_EXPECT(counts.handed_over == 1024 && counts.lost == 476 && stats.rx_missed == 476);
    PEL_EXPECT_EQ(stats.num_pkts_in_use, 0);
    /* Those that still lie in a ring go back when the port closes. */
    send_bytes(&bench, frame, len);
    PEL_EXPECT_EQ(pel_port_rx(bench.b, 0, pkts, 64), 0);
    bench_close(&bench);
}

/* Two threads send, two receive from a port that spreads in secret: most frames change hands. Every
 * flow's frames come to one engine, in their order. */
#define NUM_FLOWS 64u
#define NUM_EACH  20000u

struct thread {
    struct bench *bench;
    pthread_t thread;
    uint16_t queue;
    uint32_t num, num_wrong, next[NUM_FLOWS];
    uint32_t *num_all;
};

/* Each sender has every second flow. */
static void *send_all(void *arg)
{
    struct thread *me = arg;
    uint8_t frame[200];
    while (me->num < NUM_EACH) {
        struct pel_pkt *pkt = pel_port_pkt_alloc(me->bench->wire.a, me->queue);
        uint32_t flow = 2 * (me->num % (NUM_FLOWS / 2)) + me->queue, number = me->num / (NUM_FLOWS / 2);
        if (pkt == NULL) {
            sched_yield();
            continue;
        }
        pkt->len = make_flow(frame, (uint16_t)(50000 + flow), true);
        memcpy(pkt->data, frame, pkt->len);
        memcpy(pkt->data + 54, &number, sizeof number);
        while (pel_port_tx(me->bench->wire.a, me->queue, &pkt, 1) == 0)
            sched_yield();
        me->num++;
    }
    return NULL;
}

static void *receive_some(void *arg)
{
    struct thread *me = arg;
    struct pel_pkt *pkts[32];
    struct pel_steer_counts counts;
    do {
        uint32_t got = pel_port_rx(me->bench->b, me->queue, pkts, 32);
        for (uint32_t i = 0; i < got; i++) {
            struct pel_rss_frame frame;
            uint32_t number, flow = ((uint32_t)pkts[i]->data[36] << 8 | pkts[i]->data[37]) - 50000;
            pel_rss_parse(pkts[i]->data, pkts[i]->len, &frame);
            memcpy(&number, pkts[i]->data + 54, sizeof number);
            me->num_wrong += pel_rss_frame_queue(me->bench->b->rss, &frame) != me->queue ||
                             number < me->next[flow % NUM_FLOWS];
            me->next[flow % NUM_FLOWS] = number + 1;
            pel_pkt_free(pkts[i]);
        }
        me->num += got;
        __atomic_fetch_add(me->num_all, got, __ATOMIC_RELAXED);
        if (got == 0)
            sched_yield();
        pel_steer_counts(me->bench->b, &counts);
    } while (__atomic_load_n(me->num_all, __ATOMIC_RELAXED) + counts.lost < 2 * NUM_EACH);
    return NULL;
}

PEL_TEST(steer, threads)
{
    struct pel_sim_wire_config config = {.seed = 5, .num_queues = 2, .secret_rss = true, .queue_len = 256};
    const struct pel_clock clock = pel_clock_real();
    struct bench bench = {0};
    struct thread threads[4];
    uint32_t num_all = 0;
    PEL_REQUIRE(pel_sim_wire_open(&config, &clock, &bench.wire.a, &bench.wire.b) == PEL_OK);
    PEL_REQUIRE(pel_steer_open(bench.wire.b, 2, pel_rss_symmetric_key, &bench.b) == PEL_OK);
    for (uint16_t i = 0; i < 4; i++) {
        threads[i] = (struct thread){.bench = &bench, .queue = i % 2, .num_all = &num_all};
        PEL_REQUIRE(pthread_create(&threads[i].thread, NULL, i < 2 ? send_all : receive_some, &threads[i]) ==
                    0);
    }
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i].thread, NULL);
    struct pel_steer_counts counts;
    pel_steer_counts(bench.b, &counts);
    PEL_EXPECT_EQ(num_all + counts.lost, 2 * NUM_EACH);
    PEL_EXPECT_EQ(threads[2].num_wrong + threads[3].num_wrong, 0);
    PEL_EXPECT(threads[2].num > NUM_EACH / 4 && threads[3].num > NUM_EACH / 4);
    PEL_EXPECT(counts.handed_over > NUM_EACH / 4);
    bench_close(&bench);
}
