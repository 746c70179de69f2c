/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/sim/internal.h"

#include <stdlib.h>

#include "base/bytes.h"
#include "drivers/sim/test_wire.h"
#include "drivers/test_frame.h"

#define ALL_OFFLOADS                                                                                         \
    (PEL_OFFLOAD_RX_IP_CSUM | PEL_OFFLOAD_RX_L4_CSUM | PEL_OFFLOAD_TX_IP_CSUM | PEL_OFFLOAD_TX_L4_CSUM |     \
     PEL_OFFLOAD_TSO)

static void check_whole(struct pel_port *from, struct pel_port *to, bool v4, uint16_t expected_flags)
{
    struct pel_pkt *pkt = pel_port_pkt_alloc(from, 0);
    PEL_REQUIRE(pkt != NULL);
    test_build_tcp(pkt, v4, 101);
    uint32_t tcp_at = v4 ? 34 : 54;
    PEL_REQUIRE(pel_port_tx(from, 0, &pkt, 1) == 1);
    PEL_REQUIRE(pel_port_rx(to, 0, &pkt, 1) == 1);
    const uint8_t *addrs = pkt->data + (v4 ? 26 : 22);
    PEL_EXPECT_EQ(test_plain_sum(pkt->data + tcp_at, 121, test_plain_sum(addrs, v4 ? 8 : 32, 6 + 121)),
                  0xffff);
    if (v4)
        PEL_EXPECT_EQ(test_plain_sum(pkt->data + 14, 20, 0), 0xffff);
    PEL_EXPECT_EQ(pkt->flags, expected_flags);
    pel_pkt_free(pkt);
}

PEL_TEST(sim_offload, a_nic_finishes_and_checks_checksums)
{
    struct pel_sim_wire_config config = {
        .offloads = ALL_OFFLOADS, .real_offloads = true, .exact_buffers = true};
    struct test_wire w;
    PEL_REQUIRE(test_wire_open(&w, &config));
    check_whole(w.a, w.b, true, PEL_PKT_RX_IP_CSUM_GOOD | PEL_PKT_RX_L4_CSUM_GOOD);
    check_whole(w.b, w.a, false, PEL_PKT_RX_L4_CSUM_GOOD);
    test_wire_close(&w);
}

PEL_TEST(sim_offload, a_nic_marks_corruption)
{
    struct pel_sim_wire_config config = {.offloads = ALL_OFFLOADS, .real_offloads = true};
    struct test_wire w;
    PEL_REQUIRE(test_wire_open(&w, &config));
    struct pel_pkt *pkt = pel_port_pkt_alloc(w.a, 0);
    test_build_tcp(pkt, true, 10);
    PEL_REQUIRE(sim_offload_finish(pkt->data, pkt->len, pkt));
    pkt->data[60] ^= 1;
    pkt->flags = 0;
    PEL_REQUIRE(pel_port_tx(w.a, 0, &pkt, 1) == 1 && pel_port_rx(w.b, 0, &pkt, 1) == 1);
    PEL_EXPECT_EQ(pkt->flags, PEL_PKT_RX_IP_CSUM_GOOD | PEL_PKT_RX_CSUM_BAD);
    pel_pkt_free(pkt);
    test_wire_close(&w);
}

/* Puts the pieces of one large frame together again and compares with what was sent. */
static void check_cut(bool v4, uint32_t payload_len, uint16_t mss)
{
    struct pel_sim_wire_config config = {
        .offloads = ALL_OFFLOADS, .real_offloads = true, .exact_buffers = true};
    struct pel_pkt *pkt, *got[64];
    struct test_wire w;
    PEL_REQUIRE(test_wire_open(&w, &config));
    PEL_REQUIRE((pkt = pel_port_pkt_alloc_large(w.a, 0)) != NULL);
    test_build_tcp(pkt, v4, payload_len);
    pkt->flags |= PEL_PKT_TX_TSO;
    pkt->tso_mss = mss;
    PEL_REQUIRE(pel_port_tx(w.a, 0, &pkt, 1) == 1);
    uint32_t num = pel_port_rx(w.b, 0, got, 64), tcp_at = v4 ? 34 : 54, done_len = 0;
    PEL_EXPECT_EQ(num, (payload_len + mss - 1) / mss);
    for (uint32_t i = 0; i < num; i++) {
        bool last = i == num - 1;
        struct pel_reader r = pel_reader_of(got[i]->data + tcp_at + 4, got[i]->len - tcp_at - 4);
        PEL_EXPECT_EQ(pel_read_u32(&r), (uint32_t)(0xfffffff0 + done_len));
        PEL_EXPECT_EQ(got[i]->data[tcp_at + 13], last ? 0x19 : 0x10);
        PEL_EXPECT_EQ(got[i]->flags, PEL_PKT_RX_L4_CSUM_GOOD | (v4 ? PEL_PKT_RX_IP_CSUM_GOOD : 0));
        PEL_EXPECT_EQ(got[i]->len - tcp_at - 20, last ? payload_len - done_len : mss);
        if (v4)
            PEL_EXPECT_EQ(got[i]->data[18] << 8 | got[i]->data[19], 0xff + i);
        for (uint32_t at = tcp_at + 20; at < got[i]->len; at++, done_len++)
            if (got[i]->data[at] != (uint8_t)(done_len * 7))
                pel_test_fail(__FILE__, __LINE__, "payload byte %u is wrong", done_len);
        pel_pkt_free(got[i]);
    }
    PEL_EXPECT_EQ(done_len, payload_len);
    test_wire_close(&w);
}

PEL_TEST(sim_offload, a_nic_cuts_large_segments)
{
    check_cut(true, 14600, 1460);
    check_cut(true, 10001, 1460);
    check_cut(false, 65000 - 74, 1440);
    check_cut(false, 1, 1440);
}

PEL_TEST(sim_offload, virtio_passes_large_frames_as_good)
{
    const bool exact[] = {false, true};
    for (int i = 0; i < 2; i++) {
        struct pel_sim_wire_config config = {.offloads = ALL_OFFLOADS, .exact_buffers = exact[i]};
        struct test_wire w;
        PEL_REQUIRE(test_wire_open(&w, &config));
        PEL_EXPECT_EQ(pel_sim_is_direct(w.a), !exact[i]);
        struct pel_pkt *pkt = pel_port_pkt_alloc_large(w.a, 0);
        PEL_REQUIRE(pkt != NULL && pkt->room_len == 65535);
        test_build_tcp(pkt, true, 60000);
        pkt->flags |= PEL_PKT_TX_TSO;
        pkt->tso_mss = 1460;
        PEL_REQUIRE(pel_port_tx(w.a, 0, &pkt, 1) == 1 && pel_port_rx(w.b, 0, &pkt, 1) == 1);
        PEL_EXPECT_EQ(pkt->len, 60054);
        PEL_EXPECT_EQ(pkt->flags, PEL_PKT_RX_IP_CSUM_GOOD | PEL_PKT_RX_L4_CSUM_GOOD);
        pel_pkt_free(pkt);
        test_wire_close(&w);
    }
}

PEL_TEST(sim_offload, virtio_takes_the_good_mark_from_a_corrupted_frame)
{
    struct pel_sim_wire_config config = {.offloads = ALL_OFFLOADS, .a_to_b.corrupt_ppm = 1000000};
    struct test_wire w;
    PEL_REQUIRE(test_wire_open(&w, &config));
    struct pel_pkt *pkt = pel_port_pkt_alloc(w.a, 0);
    test_build_tcp(pkt, true, 100);
    PEL_REQUIRE(pel_port_tx(w.a, 0, &pkt, 1) == 1 && pel_port_rx(w.b, 0, &pkt, 1) == 1);
    PEL_EXPECT_EQ(pkt->flags, PEL_PKT_RX_CSUM_BAD);
    pel_pkt_free(pkt);
    test_wire_close(&w);
}

static void check_refused(uint32_t offloads, uint16_t flags, uint16_t mss, uint16_t l3_len, uint8_t spoil)
{
    struct pel_sim_wire_config config = {.offloads = offloads, .real_offloads = true};
    struct pel_port_stats stats;
    struct test_wire w;
    PEL_REQUIRE(test_wire_open(&w, &config));
    struct pel_pkt *pkt = pel_port_pkt_alloc(w.a, 0);
    test_build_tcp(pkt, true, 100);
    pkt->flags = flags;
    pkt->tso_mss = mss;
    pkt->l3_len = l3_len;
    pkt->data[51] ^= spoil;
    PEL_REQUIRE(pel_port_tx(w.a, 0, &pkt, 1) == 1);
    PEL_EXPECT_EQ(pel_port_rx(w.b, 0, &pkt, 1), 0);
    w.a->ops->stats(w.a, &stats);
    PEL_EXPECT_EQ(stats.tx_errors, 1);
    test_wire_close(&w);
}

PEL_TEST(sim_offload, wrong_demands_are_errors)
{
    check_refused(0, PEL_PKT_TX_L4_CSUM, 0, 20, 0);                   /* not claimed */
    check_refused(0, PEL_PKT_TX_IP_CSUM, 0, 20, 0);                   /* not claimed */
    check_refused(PEL_OFFLOAD_TX_L4_CSUM, PEL_PKT_TX_TSO, 10, 20, 0); /* not claimed */
    check_refused(ALL_OFFLOADS, PEL_PKT_TX_TSO, 0, 20, 0);            /* no MSS */
    check_refused(ALL_OFFLOADS, PEL_PKT_TX_L4_CSUM, 0, 24, 0); /* header lengths that are not the frame's */
    check_refused(ALL_OFFLOADS, PEL_PKT_TX_L4_CSUM, 0, 20, 1); /* a wrong pseudo header sum */
    check_refused(ALL_OFFLOADS, PEL_PKT_TX_TSO, 50, 20, 1);
}

PEL_TEST(sim_offload, the_check_survives_any_bytes)
{
    struct pel_prng prng;
    pel_prng_seed(&prng, 11);
    for (int i = 0; i < 20000; i++) {
        uint32_t len = 1 + (uint32_t)pel_prng_below(&prng, 90);
        uint8_t *bytes = malloc(len); /* of the exact size: ASan sees an over-read */
        for (uint32_t k = 0; k < len; k++)
            bytes[k] = (uint8_t)pel_prng_next(&prng);
        if (len > 14) {
            bytes[12] = i % 2 ? 0x08 : 0x86;
            bytes[13] = i % 2 ? 0x00 : 0xdd;
            bytes[14] = (uint8_t)((i % 2 ? 0x40 : 0x60) | (bytes[14] & 15));
        }
        sim_offload_check(bytes, len, ALL_OFFLOADS);
        free(bytes);
    }
}
