/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

static uint64_t real_now_us(void *arg)
{
    struct timespec now;
    (void)arg;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

static int64_t real_wall_s(void *arg)
{
    (void)arg;
    return (int64_t)time(NULL);
}

struct pel_clock pel_clock_real(void)
{
    return (struct pel_clock){.now_us = real_now_us, .wall_s = real_wall_s, .arg = NULL};
}

static uint64_t virtual_now_us(void *arg)
{
    return ((const struct pel_virtual_clock *)arg)->now_us;
}

static int64_t virtual_wall_s(void *arg)
{
    const struct pel_virtual_clock *virtual_clock = arg;
    return virtual_clock->wall_s_at_zero + (int64_t)(virtual_clock->now_us / 1000000u);
}

struct pel_clock pel_clock_virtual(struct pel_virtual_clock *virtual_clock)
{
    return (struct pel_clock){.now_us = virtual_now_us, .wall_s = virtual_wall_s, .arg = virtual_clock};
}

/* splitmix64, which the generator's authors recommend for spreading one seed over the state. */
static uint64_t spread(uint64_t *x)
{
    uint64_t z = (*x += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

void pel_prng_seed(struct pel_prng *prng, uint64_t seed)
{
    for (int i = 0; i < 4; i++)
        prng->s[i] = spread(&seed);
}

static uint64_t rotate_left(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

uint64_t pel_prng_next(struct pel_prng *prng)
{
    uint64_t *s = prng->s;
    uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return result;
}

uint64_t pel_prng_below(struct pel_prng *prng, uint64_t limit)
{
    return (uint64_t)(((unsigned __int128)pel_prng_next(prng) * limit) >> 64);
}

void pel_random_bytes(void *bytes, size_t len)
{
    size_t done_len = 0;
    while (done_len < len) {
        ssize_t n = getrandom((char *)bytes + done_len, len - done_len, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            perror("pellucid: the kernel gives no random bytes (getrandom)");
            abort();
        }
        done_len += (size_t)n;
    }
}
