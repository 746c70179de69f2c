/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include "tests/harness/harness.h"

PEL_TEST(clock, virtual_time_moves_only_when_told)
{
    struct pel_virtual_clock virtual_clock = {.now_us = 5, .wall_s_at_zero = 1000};
    struct pel_clock clock = pel_clock_virtual(&virtual_clock);
    PEL_EXPECT_EQ(pel_clock_now_us(&clock), 5);
    virtual_clock.now_us += 2000000;
    PEL_EXPECT_EQ(pel_clock_now_us(&clock), 2000005);
    PEL_EXPECT_EQ(pel_clock_wall_s(&clock), 1002);
}

PEL_TEST(clock, real_time_does_not_go_back)
{
    struct pel_clock clock = pel_clock_real();
    uint64_t before_us = pel_clock_now_us(&clock);
    PEL_EXPECT(pel_clock_now_us(&clock) >= before_us);
    PEL_EXPECT(pel_clock_wall_s(&clock) > 1700000000);
}

PEL_TEST(prng, equal_seeds_equal_sequences)
{
    struct pel_prng a, b, c;
    int num_equal = 0;
    pel_prng_seed(&a, 42);
    pel_prng_seed(&b, 42);
    pel_prng_seed(&c, 43);
    for (int i = 0; i < 100; i++) {
        uint64_t x = pel_prng_next(&a);
        PEL_EXPECT(x == pel_prng_next(&b));
        num_equal += x == pel_prng_next(&c);
    }
    PEL_EXPECT_EQ(num_equal, 0);
}

PEL_TEST(prng, below_covers_its_range)
{
    struct pel_prng prng;
    unsigned seen = 0;
    pel_prng_seed(&prng, 7);
    for (int i = 0; i < 1000; i++) {
        uint64_t x = pel_prng_below(&prng, 10);
        PEL_REQUIRE(x < 10);
        seen |= 1u << x;
    }
    PEL_EXPECT_EQ(seen, 0x3ff);
}

PEL_TEST(random, bytes_differ)
{
    uint8_t a[32] = {0}, b[32] = {0};
    pel_random_bytes(a, sizeof a);
    pel_random_bytes(b, sizeof b);
    PEL_EXPECT(memcmp(a, b, sizeof a) != 0);
}
