/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What leaves the TLS library when a handshake is done: secrets and sequence numbers. Implemented in
 * tls/boringssl/handover.c and handover.cc.
 *
 * The handshake has flushed a server's tickets before it says that it is done (tls/handshake.h): they use up
 * sequence numbers. After pel_handover_take nothing may be read or written through the library, or a nonce
 * would be used twice: the caller frees the handshake at once, or closes it for all but a ticket
 * (pel_hs_await_ticket).
 */
#ifndef PEL_TLS_HANDOVER_H
#define PEL_TLS_HANDOVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define PEL_MAX_SECRET_LEN 48u /* SHA-384 */

struct pel_hs;

/* One direction. */
struct pel_handover_half {
    uint64_t sequence;                  /* of the next record */
    uint8_t secret[PEL_MAX_SECRET_LEN]; /* TLS 1.3: the traffic secret */
    uint8_t key[32];                    /* TLS 1.2 */
    uint8_t iv[12];
};

struct pel_handover {
    struct pel_handover_half reading, writing;
};

/* pel_handover_take fills `ret_handover` from a finished handshake: in TLS 1.3 the secrets, which must be
 * `secret_len` bytes, in TLS 1.2 keys and IVs of these lengths. The caller wipes it. Errors: TLS_INTERNAL
 * (the library's lengths are others). */
PEL_MUST_USE enum pel_err pel_handover_take(const struct pel_hs *hs, size_t secret_len, size_t key_len,
                                            size_t iv_len, struct pel_handover *ret_handover);

/* pel_hkdf_expand is HKDF-Expand of RFC 5869 section 2.3 with SHA-256 (`secret_len` 32) or SHA-384 (48).
 * Errors: NO_MEMORY, TLS_INTERNAL. Any thread. */
PEL_MUST_USE enum pel_err pel_hkdf_expand(const uint8_t *secret, size_t secret_len, const uint8_t *info,
                                          size_t info_len, uint8_t *out, size_t out_len);

#endif
