/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a session moves on one core: bytes written, sealed, moved to the peer's session, opened and read, with
 * our record layer at both ends and with BoringSSL's, in turn, five rounds; medians in GB/s. By hand:
 *
 *     ninja -C build tls/record_speed && taskset -c 1 build/tls/record_speed
 */
#include <stdio.h>
#include <stdlib.h>

#include "tls/env.h"
#include "tls/testkit.h"

enum { ROUNDS = 5, ROUND_US = 200000, MAX_LEN = 65536 };

static bool open_pair(struct kit_pair *pair, uint16_t cipher, bool library)
{
    struct pel_tls_config client = kit_config(PEL_TLS_CLIENT, "trusting", NULL);
    struct pel_tls_config server = kit_config(PEL_TLS_SERVER, "server", NULL);
    client.ciphers = &cipher;
    client.num_ciphers = 1;
    if (kit_pair_init(pair, &client, &server, "server.test") != PEL_OK)
        return false;
    pair->client_env->library_records = pair->server_env->library_records = library;
    kit_settle(pair);
    return pel_tls_is_secure(pair->client) && pel_tls_is_secure(pair->server);
}

/* Bytes a microsecond, in pieces of `len`. */
static double run(struct kit_pair *pair, size_t len)
{
    static uint8_t bytes[MAX_LEN];
    struct pel_clock clock = pel_clock_real();
    uint64_t start_us = pel_clock_now_us(&clock), now_us = start_us, got_len = 0;
    while (now_us - start_us < ROUND_US) {
        for (int i = 0; i < 16; i++) {
            size_t n = 0;
            if (pel_tls_write(pair->server, bytes, len, &n) != PEL_OK)
                return 0;
            while (kit_move(pair, pair->server, pair->client, &pair->client_err) > 0)
                while (pel_tls_read(pair->client, bytes, sizeof bytes, &n) == PEL_OK)
                    got_len += n;
        }
        now_us = pel_clock_now_us(&clock);
    }
    return (double)got_len / (double)(now_us - start_us);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static bool measure(uint16_t cipher, size_t len)
{
    static const char *const names[] = {"ours", "BoringSSL's"};
    struct kit_pair pairs[2];
    double rates[2][ROUNDS];
    for (int i = 0; i < 2; i++)
        if (!open_pair(&pairs[i], cipher, i == 1))
            return false;
    for (int round = 0; round < ROUNDS; round++)
        for (int i = 0; i < 2; i++)
            rates[i][round] = run(&pairs[i], len) / 1000.0;
    for (int i = 0; i < 2; i++) {
        qsort(rates[i], ROUNDS, sizeof rates[i][0], compare);
        printf("suite %04X  %5zu bytes a write  %-12s %6.2f GB/s (%.2f to %.2f)\n", cipher, len, names[i],
               rates[i][ROUNDS / 2], rates[i][0], rates[i][ROUNDS - 1]);
        kit_pair_fini(&pairs[i]);
    }
    return true;
}

int main(void)
{
    static const size_t lens[] = {64, 1024, 16384, 49152};
    static const uint16_t ciphers[] = {0x1301, 0x1302, 0x1303};
    for (size_t i = 0; i < sizeof ciphers / sizeof ciphers[0]; i++)
        for (size_t k = 0; k < sizeof lens / sizeof lens[0]; k++)
            if (!measure(ciphers[i], lens[k]))
                return 1;
    return 0;
}
