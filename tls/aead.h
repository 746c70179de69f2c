/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AEAD engines as a seam: a constant object of functions and a context of declared size that holds one
 * expanded key. tls/ipsecmb implements it with Intel IPsec-MB's direct calls, tls/boringssl/aead.c with
 * BoringSSL's EVP_AEAD (the oracle of the tests).
 *
 *     key_init -> seal or open, any number -> key_fini
 *
 * Failure: open says TLS_BAD_RECORD_MAC and leaves no clear text behind. Engines know nothing of records,
 * sequences or nonces: the caller never uses a nonce twice with one key (tls/keys.h). One thread a context.
 */
#ifndef PEL_TLS_AEAD_H
#define PEL_TLS_AEAD_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/pieces.h"

#define PEL_AEAD_TAG_LEN     16u
#define PEL_AEAD_NONCE_LEN   12u
#define PEL_AEAD_MAX_KEY_LEN 32u
#define PEL_AEAD_CTX_ALIGN   64u /* of every context */

struct pel_ipsecmb;

/* One message. `in` and `out` are the same or do not overlap. */
struct pel_aead_job {
    const uint8_t *nonce; /* PEL_AEAD_NONCE_LEN bytes */
    const uint8_t *aad;
    size_t aad_len;
    const uint8_t *in; /* to open: with the tag at its end */
    size_t in_len;
    /* To open what does not lie in one piece: with `tag` set, `pieces` are the sealed bytes without it, and
     * take the place of `in`. */
    const struct pel_piece *pieces;
    size_t num_pieces;
    const uint8_t *tag;  /* PEL_AEAD_TAG_LEN bytes; NULL: at the end of `in` */
    const uint8_t *tail; /* to seal: follows `in` in the clear text; not in place */
    size_t tail_len;
    uint8_t *out; /* to seal: in_len + tail_len + tag; to open: what was sealed, without the tag */
};

struct pel_aead_ops {
    const char *name; /* "ipsecmb-aes-gcm" */
    size_t ctx_len;

    /* key_init expands `key` (its length chooses AES-128 or AES-256) into `ctx`. `lib` is borrowed for the
     * context's life; an engine without need of it ignores it. Errors: NO_MEMORY, TLS_INTERNAL. */
    enum pel_err (*key_init)(void *ctx, const struct pel_ipsecmb *lib, const uint8_t *key, size_t key_len);

    /* key_fini wipes the key and frees what the context owns. Harmless on a zeroed context. */
    void (*key_fini)(void *ctx);

    /* seal cannot fail but by a fault of the library: TLS_INTERNAL. */
    enum pel_err (*seal)(void *ctx, const struct pel_aead_job *job);

    /* open verifies: TLS_BAD_RECORD_MAC, also for an `in` shorter than a tag. `out` is then all zeros. */
    enum pel_err (*open)(void *ctx, const struct pel_aead_job *job);
};

/* BoringSSL's AEADs. */
extern const struct pel_aead_ops pel_aead_library_aes_gcm;
extern const struct pel_aead_ops pel_aead_library_chacha20;

#endif
