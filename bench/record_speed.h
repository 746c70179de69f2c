/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fast records are sealed and opened: the loops around any engine, for the programs bench_record (our
 * engines) and bench_record_openssl (a rival), which cannot be one program, for their libraries have names in
 * common.
 *
 *     PROGRAM sizes --seconds S --list N,N,...
 *         for each size: seal and open, on core 0 alone, then with core 1 doing the same
 *     PROGRAM pipeline --seconds S --list N
 *         sealing on core 0 and opening on core 1 at once: each on bytes of its own, then handed over
 */
#ifndef PEL_BENCH_RECORD_SPEED_H
#define PEL_BENCH_RECORD_SPEED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RECORD_MAX_LEN 16384u
#define RECORD_TAG_LEN 16u

/* An engine for AES-128-GCM records as TLS 1.3 makes them: 5 bytes of AAD, a nonce that changes with `seq`,
 * the content type as the last byte of the `len` of clear text. A context belongs to one thread. */
struct record_engine {
    const char *name;
    void *(*open_key)(void);
    void (*close_key)(void *ctx);
    bool (*seal)(void *ctx, uint64_t seq, const uint8_t *text, size_t len, uint8_t *ret_sealed);
    bool (*open)(void *ctx, uint64_t seq, const uint8_t *sealed, size_t len, uint8_t *ret_text);
};

/* record_speed_main runs the program for `num` engines and returns its exit status. */
int record_speed_main(int argc, char **argv, const struct record_engine *engines, size_t num);

#endif
