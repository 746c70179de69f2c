/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time and randomness as things that are handed over: the real ones in production, a virtual clock and a
 * seeded generator in tests. No other part of the house asks the system for the time or for random bytes.
 */
#ifndef PEL_BASE_CLOCK_H
#define PEL_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

/* A clock: `now_us` returns microseconds since some fixed moment and never goes back; `wall_s` seconds since
 * 1970 UTC. */
struct pel_clock {
    uint64_t (*now_us)(void *arg);
    int64_t (*wall_s)(void *arg);
    void *arg;
};

/* pel_clock_real returns the system's monotonic and wall clocks. Any thread. */
struct pel_clock pel_clock_real(void);

static inline uint64_t pel_clock_now_us(const struct pel_clock *clock)
{
    return clock->now_us(clock->arg);
}

static inline int64_t pel_clock_wall_s(const struct pel_clock *clock)
{
    return clock->wall_s(clock->arg);
}

/* pel_cycles returns the processor's time stamp counter: a cheap and coarse measure of how long something
 * took, at a rate that is constant and unknown. Reading it waits for nothing, where a clock waits for every
 * load that is under way. Any thread. */
static inline uint64_t pel_cycles(void)
{
    return __builtin_ia32_rdtsc();
}

/* A clock that stands still until it is moved. Owner thread only. */
struct pel_virtual_clock {
    uint64_t now_us;
    int64_t wall_s_at_zero;
};

/* pel_clock_virtual returns a clock that shows `virtual_clock`, which it borrows. */
struct pel_clock pel_clock_virtual(struct pel_virtual_clock *virtual_clock);

/* A seeded generator (xoshiro256**), for simulations and tests: never for keys. */
struct pel_prng {
    uint64_t s[4];
};

/* pel_prng_seed starts the generator; equal seeds give equal sequences. */
void pel_prng_seed(struct pel_prng *prng, uint64_t seed);

/* pel_prng_next returns the next 64 bits. */
uint64_t pel_prng_next(struct pel_prng *prng);

/* pel_prng_below returns a number from 0 to `limit` - 1; `limit` is at least 1. */
uint64_t pel_prng_below(struct pel_prng *prng, uint64_t limit);

/* pel_random_bytes fills `bytes` from the kernel's generator; aborts when the kernel cannot, for no caller
 * could go on safely. Any thread. */
void pel_random_bytes(void *bytes, size_t len);

#endif
