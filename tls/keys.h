/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys of one direction of a connection: the key schedule after the handshake, and the nonces.
 *
 *     pel_keys_init -> pel_keys_seal or pel_keys_open, pel_keys_update -> pel_keys_fini
 *
 * A nonce is made of the sequence number, which only these functions move. It is asserted never to repeat
 * under one key, and it never wraps: after 2^64 - 1 records sealing and opening are TLS_INTERNAL.
 *
 * What it does not do: records, alerts, limits on how much a key may seal (tls/own_record.h).
 */
#ifndef PEL_TLS_KEYS_H
#define PEL_TLS_KEYS_H

#include <stdbool.h>

#include "tls/aead.h"
#include "tls/handover.h"
#include "tls/key_cache.h"

/* A suite whose records are ours to seal. */
struct pel_suite {
    uint16_t code; /* IANA */
    bool tls13;
    uint8_t key_len, secret_len; /* secret_len 0 before TLS 1.3 */
    uint8_t iv_len;              /* of the fixed part: 4 for AES-GCM of TLS 1.2 (RFC 5288), else 12 */
    uint8_t explicit_len;        /* of the nonce that stands in the record: 8 or 0 */
    const struct pel_aead_ops *aead;
    uint64_t max_records; /* under one key of TLS 1.3, before it must be updated; UINT64_MAX: no limit */
};

/* pel_suite_find returns the suite; NULL when it is not one of ours. Any thread. */
const struct pel_suite *pel_suite_find(uint16_t code);

struct pel_keys {
    const struct pel_suite *suite;
    const struct pel_ipsecmb *lib;
    struct pel_key_cache *cache; /* NULL: the expanded key is its own, in ctx */
    struct pel_key_place place;
    void *memory; /* of ctx */
    void *ctx;    /* the AEAD's, aligned */
    uint64_t sequence;
    uint64_t used; /* the last sequence used under this key; UINT64_MAX: none */
    uint8_t secret[PEL_MAX_SECRET_LEN];
    uint8_t iv[PEL_AEAD_NONCE_LEN];
    uint8_t key[PEL_AEAD_MAX_KEY_LEN]; /* with a cache */
};

/* pel_keys_init makes a direction's keys from what the handshake left. `lib` and `cache` (NULL: the expanded
 * key is the direction's own) are borrowed; `keys` stays where it is. On failure there is nothing to free.
 * Errors: NO_MEMORY, TLS_INTERNAL. */
PEL_MUST_USE enum pel_err pel_keys_init(struct pel_keys *keys, const struct pel_suite *suite,
                                        const struct pel_ipsecmb *lib, struct pel_key_cache *cache,
                                        const struct pel_handover_half *half);

/* pel_keys_fini wipes and frees. Harmless on a zeroed one, and leaves a zeroed one. */
void pel_keys_fini(struct pel_keys *keys);

/* pel_keys_update goes on to the next generation of TLS 1.3 (RFC 8446 section 7.2); the old key is wiped and
 * the sequence begins at 0. Errors: NO_MEMORY, TLS_INTERNAL: then the keys are unusable, and only
 * pel_keys_fini may follow. */
PEL_MUST_USE enum pel_err pel_keys_update(struct pel_keys *keys);

/* pel_keys_seal and pel_keys_open run `job` with the next sequence number: they set its nonce; the explicit
 * part of a nonce of TLS 1.2 goes to, or comes from, `explicit_nonce` (8 bytes; unused elsewhere). Errors: as
 * the AEAD's. Sealing uses up its number whatever comes; opening only when it succeeds. */
PEL_MUST_USE enum pel_err pel_keys_seal(struct pel_keys *keys, struct pel_aead_job *job,
                                        uint8_t *explicit_nonce);
PEL_MUST_USE enum pel_err pel_keys_open(struct pel_keys *keys, struct pel_aead_job *job,
                                        const uint8_t *explicit_nonce);

/* pel_expand_label is HKDF-Expand-Label with an empty context (RFC 8446 section 7.1), with the hash of the
 * secret's length. Errors: as pel_hkdf_expand. Any thread. */
PEL_MUST_USE enum pel_err pel_expand_label(const uint8_t *secret, size_t secret_len, const char *label,
                                           uint8_t *out, size_t out_len);

#endif
