/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fast each AEAD engine seals and opens, by size: what chose the engines of tls/keys.c. Engines take
 * turns, five rounds; medians in GB/s. By hand:
 *
 *     ninja -C build tls/aead_speed && taskset -c 1 build/tls/aead_speed
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "tls/ipsecmb/ipsecmb.h"

enum { ROUNDS = 5, ROUND_US = 60000, MAX_LEN = 16384 };

static const struct row {
    const struct pel_aead_ops *ops;
    size_t key_len;
} rows[] = {
    {&pel_aead_ipsecmb_aes_gcm, 16}, {&pel_aead_library_aes_gcm, 16},  {&pel_aead_ipsecmb_aes_gcm, 32},
    {&pel_aead_library_aes_gcm, 32}, {&pel_aead_ipsecmb_chacha20, 32}, {&pel_aead_library_chacha20, 32},
};

#define NUM_ROWS (sizeof rows / sizeof rows[0])

static uint8_t plain[MAX_LEN], sealed[MAX_LEN + 64];

static double run(const struct row *row, void *ctx, size_t len, bool seal)
{
    static const uint8_t nonce[PEL_AEAD_NONCE_LEN], aad[5], tail = 23;
    struct pel_clock clock = pel_clock_real();
    struct pel_aead_job job = {.nonce = nonce,
                               .aad = aad,
                               .aad_len = 5,
                               .in = plain,
                               .in_len = len,
                               .tail = &tail,
                               .tail_len = 1,
                               .out = sealed};
    enum pel_err err = row->ops->seal(ctx, &job);
    struct pel_aead_job open = job;
    open.in = sealed;
    open.in_len = len + 1 + PEL_AEAD_TAG_LEN;
    static uint8_t out[MAX_LEN + 64];
    open.out = out;
    uint64_t start_us = pel_clock_now_us(&clock), now_us = start_us, num = 0;
    while (now_us - start_us < ROUND_US) {
        for (int i = 0; i < 64 && err == PEL_OK; i++)
            err = seal ? row->ops->seal(ctx, &job) : row->ops->open(ctx, &open);
        num += 64;
        now_us = pel_clock_now_us(&clock);
    }
    return err == PEL_OK ? (double)(num * len) / (double)(now_us - start_us) / 1000.0 : 0;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void measure(void *const ctxs[NUM_ROWS], size_t len, bool seal)
{
    double rates[NUM_ROWS][ROUNDS];
    for (int round = 0; round < ROUNDS; round++)
        for (size_t i = 0; i < NUM_ROWS; i++)
            rates[i][round] = run(&rows[i], ctxs[i], len, seal);
    for (size_t i = 0; i < NUM_ROWS; i++) {
        qsort(rates[i], ROUNDS, sizeof rates[i][0], compare);
        printf("%5zu bytes  %-28s %3zu bits  %s  %6.2f GB/s (%.2f to %.2f)\n", len, rows[i].ops->name,
               rows[i].key_len * 8, seal ? "seal" : "open", rates[i][ROUNDS / 2], rates[i][0],
               rates[i][ROUNDS - 1]);
    }
}

int main(void)
{
    static const size_t lens[] = {64, 1024, 1400, 16384};
    static const uint8_t key[32] = {1};
    struct pel_ipsecmb *lib = NULL;
    void *ctxs[NUM_ROWS];
    if (pel_ipsecmb_new(&lib, NULL) != PEL_OK)
        return 1;
    for (size_t i = 0; i < NUM_ROWS; i++) {
        ctxs[i] = aligned_alloc(PEL_AEAD_CTX_ALIGN, 2048);
        if (ctxs[i] == NULL || rows[i].ops->ctx_len > 2048 ||
            rows[i].ops->key_init(ctxs[i], lib, key, rows[i].key_len) != PEL_OK)
            return 1;
    }
    for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
        measure(ctxs, lens[i], true);
        measure(ctxs, lens[i], false);
    }
    for (size_t i = 0; i < NUM_ROWS; i++) {
        rows[i].ops->key_fini(ctxs[i]);
        free(ctxs[i]);
    }
    pel_ipsecmb_free(lib);
    return 0;
}
