/* SPDX-License-Identifier: Apache-2.0 */
/* Frames by hand: what is malformed is dropped by name, what is good is answered, and nothing is read past
 * its end. */
#include "stack/lwip/hand.h"

#include <stdlib.h>

#define SECOND 1000000ull

/* ---- malformed ---- */

enum base { ARP, TCP4, UDP4, PING4, TCP6, UDP6, PING6, SOLICIT6 };

static const struct malformed_row {
    const char *what;
    enum base base;
    uint16_t at[2]; /* bytes to change; 0: none */
    uint8_t value[2];
    uint16_t len;   /* cut to this; 0: not */
    bool keep_sums; /* the checksums stay as they were */
    enum pel_err expected;
} malformed[] = {
    {"only half an Ethernet header", TCP4, {0}, {0}, 9, true, PEL_E_FRAME_TOO_SHORT},
    {"only an Ethernet header", TCP4, {0}, {0}, 14, true, PEL_E_FRAME_TOO_SHORT},
    {"for another station", TCP4, {5}, {0x99}, 0, true, PEL_E_FRAME_OTHER_MAC},
    {"VLAN", TCP4, {12, 13}, {0x81, 0x00}, 0, true, PEL_E_FRAME_ETHERTYPE},
    {"unknown type", TCP4, {12, 13}, {0x88, 0xcc}, 0, true, PEL_E_FRAME_ETHERTYPE},
    {"ARP of 16 bytes", ARP, {0}, {0}, 16, true, PEL_E_ARP_MALFORMED},
    {"ARP one byte short", ARP, {0}, {0}, 41, true, PEL_E_ARP_MALFORMED},
    {"ARP of other hardware", ARP, {15}, {6}, 0, true, PEL_E_ARP_MALFORMED},
    {"ARP with long addresses", ARP, {18}, {200}, 0, true, PEL_E_ARP_MALFORMED},
    {"ARP operation", ARP, {21}, {9}, 0, true, PEL_E_ARP_MALFORMED},
    {"IPv4 header cut", TCP4, {0}, {0}, 33, true, PEL_E_FRAME_TOO_SHORT},
    {"IPv4 version", TCP4, {14}, {0x55}, 0, false, PEL_E_IP_MALFORMED},
    {"IPv4 options", TCP4, {14}, {0x46}, 0, false, PEL_E_IP_MALFORMED},
    {"IPv4 header of 4 words", TCP4, {14}, {0x44}, 0, false, PEL_E_IP_MALFORMED},
    {"IPv4 longer than the frame", TCP4, {17}, {200}, 0, false, PEL_E_IP_MALFORMED},
    {"IPv4 shorter than its header", TCP4, {17}, {19}, 0, false, PEL_E_IP_MALFORMED},
    {"IPv4 header checksum", TCP4, {24}, {0x55}, 0, true, PEL_E_FRAME_CHECKSUM},
    {"IPv4 from loopback", TCP4, {26}, {127}, 0, false, PEL_E_IP_MALFORMED},
    {"IPv4 empty fragment", TCP4, {17, 20}, {20, 0x20}, 0, false, PEL_E_IP_MALFORMED},
    {"IPv4 fragment past 64 KiB", TCP4, {20, 21}, {0x1f, 0xff}, 0, false, PEL_E_IP_MALFORMED},
    {"IPv4 fragment of odd length", TCP4, {17, 20}, {29, 0x20}, 0, false, PEL_E_IP_MALFORMED},
    {"IPv4 unknown protocol", TCP4, {23}, {99}, 0, false, PEL_E_FRAME_ETHERTYPE},
    {"TCP header cut", TCP4, {17}, {39}, 53, false, PEL_E_TCP_MALFORMED},
    {"TCP offset too small", TCP4, {46}, {0x40}, 0, false, PEL_E_TCP_MALFORMED},
    {"TCP offset past the end", TCP4, {46}, {0xf0}, 0, false, PEL_E_TCP_MALFORMED},
    {"TCP SYN and FIN", TCP4, {47}, {3}, 0, false, PEL_E_TCP_MALFORMED},
    {"TCP SYN and RST", TCP4, {47}, {6}, 0, false, PEL_E_TCP_MALFORMED},
    {"TCP without flags", TCP4, {47}, {0}, 0, false, PEL_E_TCP_MALFORMED},
    {"TCP port 0", TCP4, {36, 37}, {0, 0}, 0, false, PEL_E_TCP_MALFORMED},
    {"TCP checksum", TCP4, {50}, {0x55}, 0, true, PEL_E_FRAME_CHECKSUM},
    {"TCP option of length 0", TCP4, {46, 54}, {0x60, 2}, 0, false, PEL_E_TCP_MALFORMED},
    {"UDP header cut", UDP4, {17}, {27}, 41, false, PEL_E_UDP_MALFORMED},
    {"UDP longer than the packet", UDP4, {39}, {200}, 0, false, PEL_E_UDP_MALFORMED},
    {"UDP shorter than its header", UDP4, {39}, {7}, 0, false, PEL_E_UDP_MALFORMED},
    {"UDP checksum", UDP4, {40}, {0x55}, 0, true, PEL_E_FRAME_CHECKSUM},
    {"ICMP cut", PING4, {17}, {27}, 41, false, PEL_E_IP_MALFORMED},
    {"ICMP checksum", PING4, {36}, {0x55}, 0, true, PEL_E_FRAME_CHECKSUM},
    {"IPv6 header cut", TCP6, {0}, {0}, 53, true, PEL_E_FRAME_TOO_SHORT},
    {"IPv6 version", TCP6, {14}, {0x40}, 0, true, PEL_E_IP_MALFORMED},
    {"IPv6 longer than the frame", TCP6, {19}, {200}, 0, true, PEL_E_IP_MALFORMED},
    {"IPv6 without payload", TCP6, {18, 19}, {0, 0}, 0, true, PEL_E_IP_MALFORMED},
    {"IPv6 from multicast", TCP6, {22}, {0xff}, 0, true, PEL_E_IP_MALFORMED},
    {"IPv6 routing header", TCP6, {20}, {43}, 0, true, PEL_E_IP_MALFORMED},
    {"IPv6 options past the end", TCP6, {20, 55}, {60, 9}, 0, true, PEL_E_IP_MALFORMED},
    {"IPv6 without a next header", TCP6, {20}, {59}, 0, true, PEL_E_FRAME_ETHERTYPE},
    {"TCP over IPv6, checksum", TCP6, {70}, {0x55}, 0, true, PEL_E_FRAME_CHECKSUM},
    {"UDP over IPv6 without checksum", UDP6, {60, 61}, {0, 0}, 0, true, PEL_E_FRAME_CHECKSUM},
    {"ICMPv6 cut", PING6, {19}, {7}, 61, false, PEL_E_IP_MALFORMED},
    {"ICMPv6 checksum", PING6, {56}, {0x55}, 0, true, PEL_E_FRAME_CHECKSUM},
    {"solicitation from afar", SOLICIT6, {21}, {64}, 0, false, PEL_E_IP_MALFORMED},
    {"solicitation's option of length 0", SOLICIT6, {79}, {0}, 0, false, PEL_E_IP_MALFORMED},
    {"solicitation's option past the end", SOLICIT6, {79}, {2}, 0, false, PEL_E_IP_MALFORMED},
    {"router advertisement, not wanted", SOLICIT6, {54}, {134}, 0, false, PEL_E_IP_MALFORMED},
    {"redirect cut", SOLICIT6, {54}, {137}, 0, false, PEL_E_IP_MALFORMED},
};

static void make_base(struct frame *f, const uint8_t *mac, enum base base)
{
    struct segment syn = {.seq = 1,
                          .flags = SEG_SYN,
                          .window = 1000,
                          .data = (const uint8_t *)"\2\0\0\0\0\0\0\0",
                          .data_len = 8};
    switch (base) {
    case ARP: frame_arp(f, mac, 1); break;
    case TCP4: frame_tcp4(f, mac, &syn); break;
    case UDP4: frame_udp4(f, mac, 7, syn.data, 8); break;
    case PING4: frame_ping4(f, mac); break;
    case TCP6: frame_tcp6(f, mac, &syn); break;
    case UDP6: frame_udp6(f, mac, 7, syn.data, 8); break;
    case PING6: frame_ping6(f, mac); break;
    case SOLICIT6: frame_solicit6(f, mac); break;
    }
}

PEL_TEST(lwip_frames, malformed_ones_are_dropped_by_name)
{
    struct lab lab;
    PEL_REQUIRE(hand_open(&lab));
    lab_run(&lab, SECOND);
    for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) {
        const struct malformed_row *row = &malformed[i];
        struct frame f;
        make_base(&f, lab.a.port->mac, row->base);
        for (int j = 0; j < 2; j++)
            if (row->at[j] != 0)
                f.bytes[row->at[j]] = row->value[j];
        f.len = row->len != 0 ? row->len : f.len;
        if (!row->keep_sums)
            frame_sums(&f);
        uint64_t before[PEL_ERR_NR];
        memcpy(before, lab.a.counters.err, sizeof(before));
        hand_give(&lab, &f);
        for (int err = 0; err < PEL_ERR_NR; err++)
            if (lab.a.counters.err[err] != before[err] + (err == (int)row->expected))
                pel_test_fail(__FILE__, __LINE__, "%s: %s counted %d times, expected %s", row->what,
                              pel_err_name((enum pel_err)err), (int)(lab.a.counters.err[err] - before[err]),
                              pel_err_name(row->expected));
    }
    lab_close(&lab);
}

/* ---- good ones ---- */

PEL_TEST(lwip_frames, answers_arp_ping_and_solicitations)
{
    struct lab lab;
    static struct hand_seen seen;
    struct frame f;
    PEL_REQUIRE(hand_open(&lab));
    const uint8_t *mac = lab.a.port->mac;
    static const uint8_t broadcast[6] = {255, 255, 255, 255, 255, 255};
    lab_run(&lab, SECOND);
    seen.num = 0;
    pel_sim_tap(lab.a.port, hand_see, &seen);
    frame_arp(&f, broadcast, 1);
    hand_give(&lab, &f);
    PEL_REQUIRE(seen.num == 1 && seen.frames[0].bytes[21] == 2);
    frame_ping4(&f, mac);
    hand_give(&lab, &f);
    PEL_REQUIRE(seen.num == 2);
    PEL_EXPECT_EQ(seen.frames[1].bytes[FRAME_L4], 0);
    PEL_EXPECT_MEM(seen.frames[1].bytes + FRAME_L4 + 4, f.bytes + FRAME_L4 + 4, 44);
    frame_solicit6(&f, mac);
    hand_give(&lab, &f);
    PEL_REQUIRE(seen.num == 3 && seen.frames[2].bytes[FRAME6_L4] == 136);
    frame_ping6(&f, mac);
    hand_give(&lab, &f);
    PEL_REQUIRE(seen.num >= 4);
    PEL_EXPECT_EQ(seen.frames[3].bytes[FRAME6_L4], 129);
    PEL_EXPECT_MEM(seen.frames[3].bytes + FRAME6_L4 + 4, f.bytes + FRAME6_L4 + 4, 44);
    PEL_EXPECT_EQ(lab.a.counters.stat[PEL_STAT_icmp_echo_in], 2);
    /* Ours are good by our own rules: what we sent comes back and is counted as no error but its address. */
    for (size_t i = 0; i < 4; i++) {
        memcpy(seen.frames[i].bytes, mac, 6);
        hand_give(&lab, &seen.frames[i]);
    }
    PEL_EXPECT_EQ(lab.a.counters.err[PEL_E_FRAME_CHECKSUM], 0);
    PEL_EXPECT_EQ(lab.a.counters.err[PEL_E_IP_MALFORMED], 0);
    lab_close(&lab);
}

/* RFC 5961: a RST that is not exact, a SYN, and an acknowledgement from nowhere get a challenge, and change
 * nothing. */
PEL_TEST(lwip_frames, blind_attacks_get_challenges)
{
    struct lab lab;
    static struct hand_seen seen;
    struct lab_listener listener;
    struct lab_conn server;
    struct frame f;
    lab_conn_init(&server, 0, 0, 0);
    PEL_REQUIRE(hand_open(&lab));
    PEL_REQUIRE(lab_listen(&lab.a, ":80", &listener, &server, 1));
    uint32_t ack = hand_connect(&lab, &seen);
    PEL_REQUIRE(server.connected);
    const struct segment attacks[] = {
        {.seq = 1002, .ack = ack, .flags = SEG_RST | SEG_ACK, .window = 60000},
        {.seq = 1001, .flags = SEG_SYN, .window = 60000},
        {.seq = 1001,
         .ack = ack + 100,
         .flags = SEG_ACK,
         .window = 60000,
         .data = (const uint8_t *)"evil",
         .data_len = 4},
        {.seq = 1001,
         .ack = ack - 100000,
         .flags = SEG_ACK,
         .window = 60000,
         .data = (const uint8_t *)"evil",
         .data_len = 4},
    };
    for (size_t i = 0; i < 4; i++) {
        seen.num = 0;
        frame_tcp4(&f, lab.a.port->mac, &attacks[i]);
        hand_give(&lab, &f);
        PEL_EXPECT_EQ(lab.a.counters.stat[PEL_STAT_tcp_challenge_acks], i + 1);
        PEL_EXPECT_EQ(seen.num, 1);
        PEL_EXPECT_EQ(seen.frames[0].bytes[FRAME_L4 + 13], SEG_ACK);
    }
    /* A RST outside of the window is not even challenged. */
    frame_tcp4(&f, lab.a.port->mac, &(struct segment){.seq = 999, .ack = ack, .flags = SEG_RST | SEG_ACK});
    hand_give(&lab, &f);
    PEL_EXPECT_EQ(lab.a.counters.stat[PEL_STAT_tcp_challenge_acks], 4);
    /* They are limited. */
    frame_tcp4(&f, lab.a.port->mac, &attacks[1]);
    for (int i = 0; i < 1000; i++) {
        PEL_REQUIRE_OK(pel_sim_inject(lab.a.port, f.bytes, f.len));
        if (i % 100 == 99)
            lab_run(&lab, 10);
    }
    PEL_EXPECT(lab.a.counters.stat[PEL_STAT_tcp_challenge_acks] < 200);
    PEL_EXPECT_EQ(server.received_len, 0);
    PEL_EXPECT_EQ(server.num_errors, 0);
    /* The exact one is obeyed. */
    frame_tcp4(&f, lab.a.port->mac, &(struct segment){.seq = 1001, .flags = SEG_RST});
    hand_give(&lab, &f);
    PEL_EXPECT_ERR(server.error, PEL_E_CONN_RESET);
    lab_close(&lab);
}

/* Bytes out of order are bounded, and each packet of them is given back. */
PEL_TEST(lwip_frames, out_of_order_bytes_are_bounded)
{
    struct lab lab;
    static struct hand_seen seen;
    struct lab_listener listener;
    struct lab_conn server;
    struct frame f;
    lab_conn_init(&server, 0, 0, 0);
    PEL_REQUIRE(hand_open(&lab));
    PEL_REQUIRE(lab_listen(&lab.a, ":80", &listener, &server, 1));
    uint32_t ack = hand_connect(&lab, &seen);
    for (uint32_t i = 0; i < 2000; i++) {
        struct segment one = {.seq = 1003 + 2 * i,
                              .ack = ack,
                              .flags = SEG_ACK,
                              .window = 60000,
                              .data = &f.bytes[0],
                              .data_len = 1};
        uint8_t byte = lab_byte(0, 0);
        one.data = &byte;
        frame_tcp4(&f, lab.a.port->mac, &one);
        PEL_REQUIRE_OK(pel_sim_inject(lab.a.port, f.bytes, f.len));
        if (i % 100 == 99)
            lab_run(&lab, 10);
    }
    struct pel_port_stats stats;
    lab.a.port->ops->stats(lab.a.port, &stats);
    PEL_EXPECT(stats.num_pkts_in_use <= 64 + 256 + 1);
    PEL_EXPECT(stats.num_pkts_in_use >= 64);
    pel_tcp_abort(server.tcp);
    lab.a.port->ops->stats(lab.a.port, &stats);
    PEL_EXPECT(stats.num_pkts_in_use <= 1); /* the RST that waits for the next poll */
    lab_close(&lab);
}

/* Fragments that never become whole are given up, and their number is bounded. */
PEL_TEST(lwip_frames, reassembly_is_bounded)
{
    struct lab lab;
    struct frame f;
    uint8_t data[64] = {0};
    PEL_REQUIRE(hand_open(&lab));
    lab_run(&lab, SECOND);
    for (int i = 0; i < 1500; i++) {
        frame_udp4(&f, lab.a.port->mac, 7, data, 64);
        f.bytes[18] = (uint8_t)(i >> 8);
        f.bytes[19] = (uint8_t)i;
        f.bytes[20] = 0x20;
        frame_sums(&f);
        PEL_REQUIRE_OK(pel_sim_inject(lab.a.port, f.bytes, f.len));
        if (i % 100 == 99)
            lab_run(&lab, 10);
    }
    struct pel_port_stats stats;
    lab.a.port->ops->stats(lab.a.port, &stats);
    PEL_EXPECT(stats.num_pkts_in_use <= 512);
    lab_run(&lab, 100 * SECOND);
    lab.a.port->ops->stats(lab.a.port, &stats);
    PEL_EXPECT_EQ(stats.num_pkts_in_use, 0);
    lab_close(&lab);
}

/* Initial sequence numbers differ by the four-tuple and the secret. */
PEL_TEST(lwip_frames, sequence_numbers_cannot_be_guessed)
{
    struct lab lab;
    static struct hand_seen seen;
    struct lab_listener listener;
    struct frame f;
    static struct lab_conn servers[40];
    PEL_REQUIRE(hand_open(&lab));
    PEL_REQUIRE(lab_listen(&lab.a, ":80", &listener, servers, 40));
    frame_arp(&f, lab.a.port->mac, 1);
    hand_give(&lab, &f);
    pel_sim_tap(lab.a.port, hand_see, &seen);
    seen.num = 0;
    for (uint16_t i = 0; i < 20; i++) {
        struct segment syn = {.seq = 1, .flags = SEG_SYN, .window = 1000, .from_port = (uint16_t)(2000 + i)};
        frame_tcp4(&f, lab.a.port->mac, &syn);
        hand_give(&lab, &f);
    }
    PEL_REQUIRE(seen.num == 20);
    int near = 0;
    for (int i = 1; i < 20; i++)
        near += hand_seq(&seen.frames[i]) - hand_seq(&seen.frames[i - 1]) <
                1u << 24;
    PEL_EXPECT(near <= 2);
    lab_close(&lab);
}

/* A short deterministic run of what tests/fuzz does for longer: good frames with some bytes changed or cut
 * off. */
PEL_TEST(lwip_frames, random_changes)
{
    struct lab lab;
    static struct hand_seen seen;
    struct lab_listener listener;
    struct lab_conn server;
    struct pel_prng prng;
    pel_prng_seed(&prng, 4711);
    lab_conn_init(&server, 5000, 1, 2);
    PEL_REQUIRE(hand_open(&lab));
    PEL_REQUIRE(lab_listen(&lab.a, ":80", &listener, &server, 1));
    hand_connect(&lab, &seen);
    for (int i = 0; i < 20000; i++) {
        struct frame f;
        make_base(&f, lab.a.port->mac, (enum base)pel_prng_below(&prng, 8));
        for (uint64_t n = pel_prng_below(&prng, 4); n > 0; n--)
            f.bytes[pel_prng_below(&prng, f.len)] = (uint8_t)pel_prng_next(&prng);
        if (pel_prng_below(&prng, 4) == 0)
            f.len = 1 + pel_prng_below(&prng, f.len);
        if (pel_prng_below(&prng, 4) != 0)
            frame_sums(&f);
        PEL_REQUIRE_OK(pel_sim_inject(lab.a.port, f.bytes, f.len));
        lab_run(&lab, pel_prng_below(&prng, 100) == 0 ? 300000 : 10);
    }
    PEL_EXPECT_EQ(lab.a.counters.stat[PEL_STAT_rx_packets], 20003);
    lab_close(&lab);
}
