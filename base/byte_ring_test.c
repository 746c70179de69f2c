/* SPDX-License-Identifier: Apache-2.0 */
#include "base/byte_ring.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "tests/harness/harness.h"

PEL_TEST(byte_ring, refuses_odd_sizes)
{
    struct pel_byte_ring ring;
    PEL_EXPECT_ERR(pel_byte_ring_init(&ring, 1000), PEL_E_ARG);
    PEL_EXPECT_ERR(pel_byte_ring_init(&ring, 512), PEL_E_ARG);
}

PEL_TEST(byte_ring, full_and_empty_differ)
{
    struct pel_byte_ring ring;
    uint8_t bytes[1500] = {7};
    PEL_REQUIRE_OK(pel_byte_ring_init(&ring, 1024));
    PEL_EXPECT_EQ(pel_byte_ring_write(&ring, bytes, sizeof bytes), 1024);
    PEL_EXPECT_EQ(pel_byte_ring_room(&ring), 0);
    PEL_EXPECT_EQ(pel_byte_ring_write(&ring, bytes, 1), 0);
    pel_byte_ring_consume(&ring, 5000);
    PEL_EXPECT_EQ(pel_byte_ring_used(&ring), 0);
    PEL_EXPECT_EQ(pel_byte_ring_room(&ring), 1024);
    pel_byte_ring_fini(&ring);
}

PEL_TEST(byte_ring, wraps_and_skips)
{
    struct pel_byte_ring ring;
    uint8_t out[600];
    uint32_t len;
    PEL_REQUIRE_OK(pel_byte_ring_init(&ring, 1024));
    ring.head = ring.tail = 0xfffffe00u; /* the free-running indices wrap in the middle of the test */
    uint8_t in[600];
    for (size_t i = 0; i < sizeof in; i++)
        in[i] = (uint8_t)i;
    for (int round = 0; round < 50; round++) {
        PEL_REQUIRE(pel_byte_ring_write(&ring, in, sizeof in) == sizeof in);
        PEL_REQUIRE(pel_byte_ring_copy(&ring, 100, out, 500) == 500);
        PEL_EXPECT_MEM(out, in + 100, 500);
        PEL_EXPECT(*pel_byte_ring_peek(&ring, 0, &len) == in[0] && len > 0);
        pel_byte_ring_consume(&ring, sizeof in);
    }
    pel_byte_ring_fini(&ring);
}

enum { THREAD_BYTES = 4 << 20 };

static void *produce(void *arg)
{
    struct pel_byte_ring *ring = arg;
    struct pel_prng prng;
    uint8_t chunk[3000];
    uint32_t sent_len = 0;
    pel_prng_seed(&prng, 1);
    while (sent_len < THREAD_BYTES) {
        uint32_t len = (uint32_t)pel_prng_below(&prng, sizeof chunk) + 1;
        if (len > THREAD_BYTES - sent_len)
            len = THREAD_BYTES - sent_len;
        for (uint32_t i = 0; i < len; i++)
            chunk[i] = (uint8_t)((sent_len + i) * 7);
        uint32_t done_len = 0;
        while (done_len < len)
            done_len += pel_byte_ring_write(ring, chunk + done_len, len - done_len);
        sent_len += len;
    }
    return NULL;
}

PEL_TEST(byte_ring, two_threads)
{
    struct pel_byte_ring ring;
    pthread_t producer;
    uint32_t got_len = 0, len, num_wrong = 0;
    PEL_REQUIRE_OK(pel_byte_ring_init(&ring, 4096));
    PEL_REQUIRE(pthread_create(&producer, NULL, produce, &ring) == 0);
    while (got_len < THREAD_BYTES) {
        const uint8_t *bytes = pel_byte_ring_peek(&ring, 0, &len);
        for (uint32_t i = 0; i < len; i++)
            num_wrong += bytes[i] != (uint8_t)((got_len + i) * 7);
        pel_byte_ring_consume(&ring, len);
        got_len += len;
    }
    pthread_join(producer, NULL);
    PEL_EXPECT_EQ(num_wrong, 0);
    PEL_EXPECT_EQ(pel_byte_ring_used(&ring), 0);
    pel_byte_ring_fini(&ring);
}
