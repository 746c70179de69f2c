/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "drivers/sim/test_wire.h"

#define NUM_FRAMES 100000u
#define FRAME_LEN  64u

/* What came of NUM_FRAMES frames that were sent 10 us apart. */
struct outcome {
    uint32_t num_received, num_lost, num_double, num_late, num_corrupt, num_wrong;
    uint64_t hash;
};

/* Bytes that differ from the frame that was sent as `number`. */
static uint32_t num_changed(const struct pel_pkt *pkt, uint32_t number)
{
    uint8_t expected[FRAME_LEN];
    memset(expected, (int)(number & 0xff), sizeof expected);
    struct pel_writer writer = pel_writer_of(expected, sizeof expected);
    pel_write_uint(&writer, number, 4);
    uint32_t num = 0;
    for (uint32_t i = 0; i < FRAME_LEN; i++)
        num += pkt->data[i] != expected[i];
    return num;
}

/* The number in a frame may itself be what was corrupted: the nearest candidate explains the frame. */
static uint32_t likely_number(const struct pel_pkt *pkt, uint32_t last_sent)
{
    uint32_t number = test_number_of(pkt);
    if (number <= last_sent && num_changed(pkt, number) <= 1)
        return number;
    for (uint32_t back = 0; back < 256 && back <= last_sent; back++)
        if (num_changed(pkt, last_sent - back) == 1)
            return last_sent - back;
    return UINT32_MAX;
}

static void note(struct outcome *o, const struct pel_pkt *pkt, uint32_t last_sent, uint8_t *times,
                 int64_t *highest)
{
    uint32_t number = likely_number(pkt, last_sent);
    o->num_received++;
    o->hash = o->hash * 0x100000001b3u ^ number;
    if (number == UINT32_MAX || pkt->len != FRAME_LEN) {
        o->num_wrong++;
        return;
    }
    o->num_corrupt += num_changed(pkt, number) == 1;
    o->num_double += times[number]++ > 0;
    o->num_late += (int64_t)number < *highest;
    if ((int64_t)number > *highest)
        *highest = number;
}

static struct outcome run(uint64_t seed, struct pel_sim_impair impair)
{
    struct pel_sim_wire_config config = {
        .seed = seed, .a_to_b = impair, .exact_buffers = true, .latency_us = 20};
    struct outcome o = {0};
    struct test_wire w;
    uint8_t *times = calloc(NUM_FRAMES, 1);
    int64_t highest = -1;
    struct pel_pkt *pkt;
    if (times == NULL || !test_wire_open(&w, &config))
        abort();
    for (uint32_t i = 0; i < NUM_FRAMES + 200; i++) {
        if (i < NUM_FRAMES && !test_send(w.a, i, FRAME_LEN))
            o.num_wrong++;
        w.time.now_us += 10;
        while (pel_port_rx(w.b, 0, &pkt, 1) == 1) {
            note(&o, pkt, i < NUM_FRAMES ? i : NUM_FRAMES - 1, times, &highest);
            pel_pkt_free(pkt);
        }
    }
    for (uint32_t i = 0; i < NUM_FRAMES; i++)
        o.num_lost += times[i] == 0;
    free(times);
    test_wire_close(&w);
    return o;
}

/* Within 10 % of the rate: over four standard deviations at 2 % of 100,000. */
static void expect_near(const char *what, uint32_t num, uint32_t ppm)
{
    uint32_t expected = (uint32_t)((uint64_t)ppm * NUM_FRAMES / 1000000);
    if (num < expected - expected / 10 || num > expected + expected / 10)
        pel_test_fail(__FILE__, __LINE__, "%s: %u frames, expected about %u", what, num, expected);
}

PEL_TEST(sim_impair, nothing_happens_unasked)
{
    struct outcome o = run(1, (struct pel_sim_impair){0});
    PEL_EXPECT_EQ(o.num_received, NUM_FRAMES);
    PEL_EXPECT_EQ(o.num_lost + o.num_double + o.num_late + o.num_corrupt + o.num_wrong, 0);
}

PEL_TEST(sim_impair, loss)
{
    struct outcome o = run(2, (struct pel_sim_impair){.loss_ppm = 20000});
    expect_near("lost", o.num_lost, 20000);
    PEL_EXPECT_EQ(o.num_received, NUM_FRAMES - o.num_lost);
    PEL_EXPECT_EQ(o.num_double + o.num_late + o.num_corrupt + o.num_wrong, 0);
}

PEL_TEST(sim_impair, duplicates)
{
    struct outcome o = run(3, (struct pel_sim_impair){.dup_ppm = 30000});
    expect_near("doubled", o.num_double, 30000);
    PEL_EXPECT_EQ(o.num_received, NUM_FRAMES + o.num_double);
    PEL_EXPECT_EQ(o.num_lost + o.num_late + o.num_corrupt + o.num_wrong, 0);
}

PEL_TEST(sim_impair, reordering)
{
    struct outcome o = run(4, (struct pel_sim_impair){.reorder_ppm = 50000});
    expect_near("late", o.num_late, 50000);
    PEL_EXPECT_EQ(o.num_received, NUM_FRAMES);
    PEL_EXPECT_EQ(o.num_lost + o.num_double + o.num_corrupt + o.num_wrong, 0);
}

PEL_TEST(sim_impair, corruption_changes_exactly_one_byte)
{
    struct outcome o = run(5, (struct pel_sim_impair){.corrupt_ppm = 40000});
    expect_near("corrupted", o.num_corrupt, 40000);
    PEL_EXPECT_EQ(o.num_received, NUM_FRAMES);
    PEL_EXPECT_EQ(o.num_wrong, 0);
}

PEL_TEST(sim_impair, the_seed_decides_everything)
{
    struct pel_sim_impair all = {
        .loss_ppm = 30000, .dup_ppm = 30000, .reorder_ppm = 30000, .corrupt_ppm = 30000};
    struct outcome first = run(7, all), again = run(7, all), other = run(8, all);
    PEL_EXPECT_MEM(&first, &again, sizeof first);
    PEL_EXPECT(first.hash != other.hash);
    PEL_EXPECT(first.num_lost > 0 && first.num_double > 0 && first.num_late > 0 && first.num_corrupt > 0);
}

PEL_TEST(sim_impair, each_direction_has_its_own)
{
    struct pel_sim_wire_config config = {.a_to_b.loss_ppm = 1000000};
    struct test_wire w;
    PEL_REQUIRE(test_wire_open(&w, &config));
    PEL_REQUIRE(test_send(w.a, 1, 60) && test_send(w.b, 2, 60));
    PEL_EXPECT_EQ(test_receive(w.b), -1);
    PEL_EXPECT_EQ(test_receive(w.a), 2);
    PEL_REQUIRE_OK(pel_sim_set_impair(w.a, &(struct pel_sim_impair){0}));
    PEL_REQUIRE(test_send(w.a, 3, 60));
    PEL_EXPECT_EQ(test_receive(w.b), 3);
    PEL_EXPECT_ERR(pel_sim_set_impair(w.a, &(struct pel_sim_impair){.dup_ppm = 1000001}), PEL_E_ARG);
    test_wire_close(&w);
}

PEL_TEST(sim_impair, a_late_frame_comes_by_itself_when_none_follow)
{
    struct pel_sim_wire_config config = {.a_to_b.reorder_ppm = 1000000, .latency_us = 100};
    struct test_wire w;
    PEL_REQUIRE(test_wire_open(&w, &config));
    PEL_REQUIRE(test_send(w.a, 1, 60));
    w.time.now_us = 1099;
    PEL_EXPECT_EQ(test_receive(w.b), -1);
    PEL_EXPECT_EQ(w.b->ops->next_event_us(w.b, PEL_ANY_QUEUE), 1100);
    w.time.now_us = 1100;
    PEL_EXPECT_EQ(test_receive(w.b), 1);
    test_wire_close(&w);
}

PEL_TEST(sim_impair, a_direct_wire_cannot_be_impaired)
{
    struct pel_sim_wire_config config = {.seed = 1};
    struct test_wire w;
    PEL_REQUIRE(test_wire_open(&w, &config));
    PEL_EXPECT_ERR(pel_sim_set_impair(w.a, &(struct pel_sim_impair){.loss_ppm = 1}), PEL_E_STATE);
    test_wire_close(&w);
}
