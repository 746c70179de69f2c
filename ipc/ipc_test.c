/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "ipc/message.h"
#include "ipc/ring.h"
#include "tests/harness/harness.h"

static void collect(void *arg, uint32_t number)
{
    uint32_t *seen = arg;
    seen[number]++;
}

PEL_TEST(ipc, a_signal_set_gives_each_number_once)
{
    static struct pel_signal_set set;
    static uint32_t seen[PEL_SIGNAL_SET_NUMBERS];
    const uint32_t numbers[] = {0, 63, 64, 4095, 4096, 16384, PEL_SIGNAL_SET_NUMBERS - 1};
    PEL_EXPECT(pel_signal_set_is_empty(&set));
    for (size_t i = 0; i < 7; i++) {
        PEL_EXPECT(pel_signal_set_add(&set, numbers[i]));
        PEL_EXPECT(!pel_signal_set_add(&set, numbers[i]));
    }
    PEL_EXPECT(!pel_signal_set_is_empty(&set));
    PEL_EXPECT_EQ(pel_signal_set_take(&set, PEL_SIGNAL_SET_NUMBERS, collect, seen), 7);
    for (size_t i = 0; i < 7; i++)
        PEL_EXPECT_EQ(seen[numbers[i]], 1);
    PEL_EXPECT(pel_signal_set_is_empty(&set));
    PEL_EXPECT_EQ(pel_signal_set_take(&set, PEL_SIGNAL_SET_NUMBERS, collect, seen), 0);
}

PEL_TEST(ipc, garbage_in_a_signal_set_stays_within_the_bound)
{
    static struct pel_signal_set set;
    static uint32_t seen[100];
    memset(&set, 0xff, sizeof set);
    PEL_EXPECT_EQ(pel_signal_set_take(&set, 100, collect, seen), 100);
    PEL_EXPECT(pel_signal_set_is_empty(&set));
}

#define NUM_ADDED 200000u
static void *add_many(void *arg)
{
    struct pel_signal_set *set = arg;
    for (uint32_t i = 0; i < NUM_ADDED; i++)
        pel_signal_set_add(set, i * 7919u % 16384u);
    return NULL;
}

/* What was added before the last look is there at it, however the two threads meet. */
PEL_TEST(ipc, nothing_is_lost_between_writer_and_reader)
{
    static struct pel_signal_set set;
    static uint32_t seen[16384];
    pthread_t thread;
    PEL_EXPECT_EQ(pthread_create(&thread, NULL, add_many, &set), 0);
    for (int i = 0; i < 20000; i++)
        pel_signal_set_take(&set, 16384, collect, seen);
    pthread_join(thread, NULL);
    pel_signal_set_take(&set, 16384, collect, seen);
    for (uint32_t i = 0; i < 16384; i++)
        PEL_EXPECT(seen[i] > 0);
    for (size_t i = 0; i < PEL_SIGNAL_GROUPS * 64; i++)
        PEL_EXPECT_EQ(set.words[i], 0);
}

PEL_TEST(ipc, a_ring_goes_round_and_refuses_what_cannot_be)
{
    uint8_t bytes[16];
    struct pel_ring ring = {.bytes = bytes, .len = sizeof bytes};
    char out[8];
    uint32_t len = 99;
    pel_ring_copy_in(&ring, 0xfffffffcu, "abcdefgh", 8);
    pel_ring_copy_out(&ring, 0xfffffffcu, out, 8);
    PEL_EXPECT_EQ(memcmp(out, "abcdefgh", 8), 0);
    PEL_EXPECT(pel_ring_used(&ring, 4, 0xfffffffcu, &len));
    PEL_EXPECT_EQ(len, 8);
    PEL_EXPECT(!pel_ring_used(&ring, 17, 0, &len));
    PEL_EXPECT(!pel_ring_used(&ring, 0, 1, &len));
    PEL_EXPECT_EQ(len, 8);
    PEL_EXPECT_EQ(pel_ring_at(&ring, 14, 8, &len) - bytes, 14);
    PEL_EXPECT_EQ(len, 2);
}

PEL_TEST(ipc, the_parts_of_a_segment_do_not_overlap)
{
    struct pel_segment_header header = {
        .num_engines = 3, .num_wakers = 5, .num_sockets = 7, .ring_len = 4096};
    pel_segment_lay_out(&header);
    PEL_EXPECT(header.doorbells_at >= sizeof header);
    PEL_EXPECT(header.wakers_at >= header.doorbells_at + 3 * sizeof(struct pel_doorbell));
    PEL_EXPECT(header.sockets_at >= header.wakers_at + 5 * sizeof(struct pel_waker));
    PEL_EXPECT_EQ(header.len, header.sockets_at + 7ull * (4096 + 2 * 4096));
    uint8_t *base = (uint8_t *)0x100000; /* of nothing: only the distance counts */
    struct pel_slot *slot = pel_segment_slot(base, &header, 6);
    PEL_EXPECT_EQ((uint64_t)(pel_slot_tx_ring(slot, 4096) + 4096 - base), header.len);
}

PEL_TEST(ipc, messages_carry_descriptors_and_close_what_is_too_much)
{
    int ends[2], pipes[2], got[2] = {-1, -1};
    char text[8] = "";
    size_t num = 9;
    PEL_EXPECT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    PEL_EXPECT_EQ(pipe(pipes), 0);
    PEL_EXPECT_EQ(pel_ipc_send(ends[0], "hello", 6, pipes, 2, 0), 0);
    PEL_EXPECT_EQ(pel_ipc_receive(ends[1], text, sizeof text, got, 1, &num, 0), 6);
    PEL_EXPECT_EQ(num, 1);
    PEL_EXPECT_STR(text, "hello");
    PEL_EXPECT_EQ(fcntl(got[0], F_GETFD), FD_CLOEXEC);
    close(got[0]);
    /* Of both copies of the pipe's writing end none is left: its reader sees the end. */
    close(pipes[1]);
    PEL_EXPECT_EQ(read(pipes[0], text, 1), 0);
    PEL_EXPECT_EQ(pel_ipc_send(ends[0], "longer than 8", 14, &pipes[0], 1, 0), 0);
    PEL_EXPECT_EQ(pel_ipc_receive(ends[1], text, sizeof text, got, 1, &num, 0), -EMSGSIZE);
    PEL_EXPECT_EQ(pel_ipc_receive(ends[1], text, sizeof text, got, 1, &num, MSG_DONTWAIT), -EAGAIN);
    close(ends[0]);
    PEL_EXPECT_EQ(pel_ipc_receive(ends[1], text, sizeof text, got, 1, &num, 0), 0);
    PEL_EXPECT_EQ(pel_ipc_send(ends[1], "x", 1, NULL, 0, 0), -EPIPE);
    close(ends[1]);
    close(pipes[0]);
}
