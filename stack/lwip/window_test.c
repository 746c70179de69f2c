/* SPDX-License-Identifier: Apache-2.0 */
/* What the peer's window lets through, and what comes again: segments that do not fit it, windows that
 * shrink, and timeouts. */
#include "stack/lwip/hand.h"

#define SECOND 1000000ull

/* A segment that is longer than the window is cut when nothing is on its way; what is written then, and the
 * FIN, come behind the rest of it. */
PEL_TEST(lwip_window, a_segment_is_cut_to_the_window)
{
    struct lab lab;
    static struct hand_seen seen;
    struct lab_listener listener;
    struct lab_conn server;
    uint8_t stream[1000];
    lab_conn_init(&server, 0, 7, 0);
    PEL_REQUIRE(hand_open(&lab));
    PEL_REQUIRE(lab_listen(&lab.a, ":80", &listener, &server, 1));
    uint32_t first = hand_connect(&lab, &seen);
    server.to_send_len = 10;
    lab_conn_pump(&server);
    lab_run(&lab, 1000);
    hand_acknowledge(&lab, first + 10, 100);
    server.to_send_len += 500;
    lab_conn_pump(&server);
    lab_run(&lab, 1000);
    PEL_EXPECT_EQ(hand_read_stream(&seen, first, stream, sizeof(stream)), 10);
    lab_run(&lab, SECOND);
    PEL_EXPECT_EQ(hand_read_stream(&seen, first, stream, sizeof(stream)), 110);
    server.to_send_len += 50;
    server.shutdown_when_sent = true;
    lab_conn_pump(&server);
    hand_acknowledge(&lab, first + 110, 1000);
    lab_run(&lab, 1000);
    PEL_EXPECT_EQ(hand_read_stream(&seen, first, stream, sizeof(stream)), 560);
    for (size_t i = 0; i < 560; i++)
        PEL_REQUIRE(stream[i] == lab_byte(7, i));
    PEL_REQUIRE(seen.num > 0);
    PEL_EXPECT((seen.frames[seen.num - 1].bytes[FRAME_L4 + 13] & SEG_FIN) != 0);
    lab_close(&lab);
}

/* The first segment is sent again after three acknowledgements, then all are by timeout; what is written then
 * comes behind them. */
PEL_TEST(lwip_window, what_is_written_after_a_timeout_comes_last)
{
    struct lab lab;
    static struct hand_seen seen;
    struct lab_listener listener;
    struct lab_conn server;
    static uint8_t stream[4000];
    lab_conn_init(&server, 2680, 7, 0);
    PEL_REQUIRE(hand_open(&lab));
    PEL_REQUIRE(lab_listen(&lab.a, ":80", &listener, &server, 1));
    uint32_t first = hand_connect(&lab, &seen);
    lab_run(&lab, 1000);
    PEL_EXPECT_EQ(hand_read_stream(&seen, first, stream, sizeof(stream)), 2680);
    size_t num_sent = seen.num;
    for (int i = 0; i < 3; i++)
        hand_acknowledge(&lab, first, 60000);
    PEL_EXPECT_EQ(seen.num, num_sent + 1);
    lab_run(&lab, 2 * SECOND);
    PEL_EXPECT(seen.num > num_sent + 1);
    server.to_send_len += 900;
    lab_conn_pump(&server);
    for (int i = 0; i < 20; i++) {
        uint32_t end = hand_read_stream(&seen, first, stream, sizeof(stream));
        hand_acknowledge(&lab, first + end, 60000);
        lab_run(&lab, 1000);
    }
    PEL_EXPECT_EQ(hand_read_stream(&seen, first, stream, sizeof(stream)), 3580);
    PEL_EXPECT_EQ(server.acked_len, 3580);
    for (size_t i = 0; i < 3580; i++)
        PEL_REQUIRE(stream[i] == lab_byte(7, i));
    PEL_EXPECT(seen.num < 64); /* nothing was overwritten */
    lab_close(&lab);
}

/* Opens a connection, has `num` bytes sent, and acknowledges `acked` of them with a window of `window`, which
 * ends before what was sent. The peer is taken not to have what lies behind it. */
static uint32_t shrink(struct lab *lab, struct lab_listener *listener, struct lab_conn *server,
                       struct hand_seen *seen, size_t num, uint32_t acked, uint16_t window)
{
    lab_conn_init(server, num, 7, lab_byte(0, 0));
    if (!hand_open(lab) || !lab_listen(&lab->a, ":80", listener, server, 1))
        pel_test_fail(__FILE__, __LINE__, "no listener");
    uint32_t first = hand_connect(lab, seen);
    lab_run(lab, 1000);
    hand_acknowledge(lab, first + acked, window);
    return first;
}

/* What comes back for one byte of data: its sequence number, from the stream's first on. */
static uint32_t seq_of_answer(struct lab *lab, struct hand_seen *seen, uint32_t first, uint32_t acked,
                              uint16_t window)
{
    uint8_t byte = lab_byte(lab_byte(0, 0), 0);
    struct frame f;
    seen->num = 0;
    frame_tcp4(&f, lab->a.port->mac,
               &(struct segment){.seq = 1001,
                                 .ack = first + acked,
                                 .flags = SEG_ACK,
                                 .window = window,
                                 .data = &byte,
                                 .data_len = 1});
    hand_give(lab, &f);
    lab_run(lab, SECOND / 4);
    for (size_t i = 0; i < seen->num; i++)
        if (seen->frames[i].len <= 60)
            return hand_seq(&seen->frames[i]) - first;
    return UINT32_MAX;
}

/* A segment outside of the peer's window is dropped there, with the acknowledgement in it. */
PEL_TEST(lwip_window, acknowledgements_lie_within_a_window_that_has_shrunk)
{
    static const struct row {
        uint16_t window;
        uint32_t expected;
    } rows[] = {{100, 600}, {0, 500}, {1500, 2000}, {1499, 1999}, {60000, 2000}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct lab lab;
        static struct hand_seen seen;
        struct lab_listener listener;
        struct lab_conn server;
        uint32_t first = shrink(&lab, &listener, &server, &seen, 2000, 500, rows[i].window);
        PEL_EXPECT_EQ(seq_of_answer(&lab, &seen, first, 500, rows[i].window), rows[i].expected);
        PEL_EXPECT_EQ(server.received_len, 1);
        seen.num = 0;
        pel_tcp_abort(server.tcp);
        lab_run(&lab, 1000);
        PEL_REQUIRE(seen.num > 0);
        PEL_EXPECT(seen.frames[seen.num - 1].bytes[FRAME_L4 + 13] & SEG_RST);
        PEL_EXPECT_EQ(hand_seq(&seen.frames[seen.num - 1]) - first, rows[i].expected);
        lab_close(&lab);
    }
}

/* The window ends within the segment that was acknowledged in part, or in the next: what is missing comes
 * again, as far as the window reaches, and at most a segment of it. */
PEL_TEST(lwip_window, what_a_window_that_has_shrunk_lets_through_is_sent_again)
{
    static const uint32_t acked[] = {1, 200, 536, 700, 1999, 3000};
    static const uint16_t windows[] = {1, 100, 300, 600};
    for (size_t i = 0; i < sizeof(acked) / sizeof(acked[0]); i++) {
        for (size_t k = 0; k < sizeof(windows) / sizeof(windows[0]); k++) {
            struct lab lab;
            static struct hand_seen seen;
            struct lab_listener listener;
            struct lab_conn server;
            static uint8_t stream[4000];
            uint32_t first = shrink(&lab, &listener, &server, &seen, 4000, acked[i], windows[k]);
            pel_test_say("%u acknowledged, window %u", acked[i], windows[k]);
            seen.num = 0;
            lab_run(&lab, 8 * SECOND);
            uint32_t end = hand_read_stream(&seen, first, stream, sizeof(stream));
            PEL_EXPECT_EQ(end, acked[i] + (windows[k] < 536 ? windows[k] : 536));
            for (uint32_t at = acked[i]; at < end; at++)
                PEL_REQUIRE(stream[at] == lab_byte(7, at));
            for (int round = 0; round < 200 && end < 4000; round++) {
                hand_acknowledge(&lab, first + end, 60000);
                lab_run(&lab, SECOND / 2);
                end = hand_read_stream(&seen, first, stream, sizeof(stream));
            }
            hand_acknowledge(&lab, first + end, 60000);
            PEL_EXPECT_EQ(server.acked_len, 4000);
            lab_close(&lab);
        }
    }
}

/* A long segment that was acknowledged in part: only the rest of it is sent again, and all is counted. */
PEL_TEST(lwip_window, what_was_acknowledged_before_a_loss_is_counted)
{
    for (uint32_t acked = 100; acked < 4000; acked += 300) {
        struct lab lab;
        static struct hand_seen seen;
        struct lab_listener listener;
        struct lab_conn server;
        static uint8_t stream[4000];
        uint32_t first = shrink(&lab, &listener, &server, &seen, 4000, acked, 60000);
        seen.num = 0;
        for (int i = 0; i < 3; i++)
            hand_acknowledge(&lab, first + acked, 60000);
        PEL_REQUIRE(seen.num == 1);
        PEL_EXPECT_EQ(hand_seq(&seen.frames[0]) - first, acked);
        uint32_t end = hand_read_stream(&seen, first, stream, sizeof(stream));
        PEL_EXPECT(end > acked && end <= acked + 536);
        hand_acknowledge(&lab, first + 4000, 60000);
        PEL_EXPECT_EQ(server.acked_len, 4000);
        server.to_send_len += 1000;
        lab_conn_pump(&server);
        hand_acknowledge(&lab, first + 5000, 60000);
        PEL_EXPECT_EQ(server.acked_len, 5000);
        lab_close(&lab);
    }
}

/* A peer that keeps what comes in order and within its window, the FIN as one more byte, and acknowledges;
 * returns how much it has. */
static uint32_t keep(struct lab *lab, struct hand_seen *seen, uint32_t first, uint32_t have, uint32_t window,
                     uint8_t *stream)
{
    uint32_t limit = have + window;
    for (size_t i = 0; i < seen->num; i++) {
        const uint8_t *bytes = seen->frames[i].bytes;
        uint32_t at = hand_seq(&seen->frames[i]) - first;
        uint32_t len = (uint32_t)(bytes[FRAME_IP + 2] << 8 | bytes[FRAME_IP + 3]) - 40;
        uint32_t end = at + len + ((bytes[FRAME_L4 + 13] & SEG_FIN) != 0);
        if (at > have || end <= have || end > limit)
            continue;
        memcpy(stream + at, bytes + FRAME_L4 + 20, len);
        have = end;
    }
    seen->num = 0;
    hand_acknowledge(lab, first + have, (uint16_t)window);
    return have;
}

/* The first segment was to be sent again, but no window let it through; then came the timeout. The window
 * opens before or after that, for less than what is on its way: what is missing first comes first. */
PEL_TEST(lwip_window, a_loss_that_no_window_let_through_comes_first_after_a_timeout)
{
    static const uint32_t waits_ms[] = {100, 3000, 9000};
    static const uint16_t windows[] = {400, 536, 1000, 1072, 60000};
    for (size_t i = 0; i < sizeof(waits_ms) / sizeof(waits_ms[0]); i++) {
        for (size_t k = 0; k < sizeof(windows) / sizeof(windows[0]); k++) {
            struct lab lab;
            static struct hand_seen seen;
            struct lab_listener listener;
            struct lab_conn server;
            static uint8_t stream[5000];
            uint32_t first = shrink(&lab, &listener, &server, &seen, 3000, 536, 0), have = 536;
            for (int dup = 0; dup < 4; dup++)
                hand_acknowledge(&lab, first + have, 0);
            server.to_send_len = 5000;
            lab_conn_pump(&server);
            lab_run(&lab, waits_ms[i] * 1000ull);
            seen.num = 0;
            hand_acknowledge(&lab, first + have, windows[k]);
            for (int round = 0; round < 60 && have < 5000; round++) {
                lab_run(&lab, SECOND);
                have = keep(&lab, &seen, first, have, windows[k], stream);
            }
            pel_test_say("waited %u ms, window %u", waits_ms[i], windows[k]);
            PEL_EXPECT_EQ(have, 5000);
            PEL_EXPECT_EQ(server.acked_len, have);
            for (uint32_t at = 536; at < have; at++)
                PEL_REQUIRE(stream[at] == lab_byte(7, at));
            lab_close(&lab);
        }
    }
}

/* What waits to be sent again is not the end of the stream: what is written then, and the FIN, come behind
 * what is on its way. */
PEL_TEST(lwip_window, what_is_written_while_a_loss_waits_for_window_comes_last)
{
    static const struct row {
        size_t more_len;
        bool is_shut;
    } rows[] = {{40, false}, {700, false}, {0, true}, {40, true}, {700, true}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct lab lab;
        static struct hand_seen seen;
        struct lab_listener listener;
        struct lab_conn server;
        static uint8_t stream[6000];
        uint32_t first = shrink(&lab, &listener, &server, &seen, 3000, 0, 60000), have = 2950;
        server.to_send_len += 2000;
        lab_conn_pump(&server);
        lab_run(&lab, 1000);
        for (int dup = 0; dup < 5; dup++)
            hand_acknowledge(&lab, first + have, 0);
        server.to_send_len += rows[i].more_len;
        server.shutdown_when_sent = rows[i].is_shut;
        lab_conn_pump(&server);
        lab_run(&lab, SECOND / 10);
        seen.num = 0;
        hand_acknowledge(&lab, first + have, 60000);
        uint32_t end = (uint32_t)server.to_send_len + rows[i].is_shut;
        for (int round = 0; round < 60 && have < end; round++) {
            lab_run(&lab, SECOND);
            have = keep(&lab, &seen, first, have, 60000, stream);
        }
        pel_test_say("%zu bytes more%s", rows[i].more_len, rows[i].is_shut ? ", and the end" : "");
        PEL_EXPECT_EQ(have, end);
        for (uint32_t at = 2950; at < server.to_send_len; at++)
            PEL_REQUIRE(stream[at] == lab_byte(7, at));
        lab_close(&lab);
    }
}

/* A byte that a probe has brought over leaves nothing to probe with. */
PEL_TEST(lwip_window, probing_ends_when_all_has_been_taken)
{
    struct lab lab;
    static struct hand_seen seen;
    struct lab_listener listener;
    struct lab_conn server;
    uint8_t stream[10];
    uint32_t first = shrink(&lab, &listener, &server, &seen, 1, 1, 0);
    server.to_send_len++;
    lab_conn_pump(&server);
    lab_run(&lab, 4 * SECOND);
    PEL_EXPECT_EQ(hand_read_stream(&seen, first, stream, sizeof(stream)), 2);
    hand_acknowledge(&lab, first + 2, 60000);
    PEL_EXPECT_EQ(server.acked_len, 2);
    seen.num = 0;
    lab_run(&lab, 20 * SECOND);
    PEL_EXPECT_EQ(seen.num, 0);
    PEL_EXPECT_EQ(lab.a.counters.err[PEL_E_STATE], 0); /* of an assertion, where they do not abort */
    lab_close(&lab);
}
