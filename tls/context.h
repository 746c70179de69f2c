/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The library's part of an environment: certificates, keys, trust, and what BoringSSL is told once for all
 * sessions. Implemented in tls/boringssl/context.c.
 *
 *     pel_ctx_new -> pel_ctx_add_cert*, pel_ctx_add_trust* -> pel_ctx_finish
 *                 -> pel_hs_new (many, any thread) -> pel_ctx_free
 *
 * Failure: every function fills `reterr` with a text that names the file. Nothing here reads files.
 */
#ifndef PEL_TLS_CONTEXT_H
#define PEL_TLS_CONTEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define PEL_CTX_MAX_CERTS 64

struct pel_ctx;
struct pel_tls_env;

/* A text of PEM with the place it came from, for messages. Borrowed. */
struct pel_pem {
    const uint8_t *bytes;
    size_t len;
    const char *path;
};

/* pel_ctx_new makes a context for `env`, whose role, client_auth and lists are set, and which must outlive
 * it. Errors: NO_MEMORY, TLS_CONFIG. */
PEL_MUST_USE enum pel_err pel_ctx_new(const struct pel_tls_env *env, struct pel_ctx **ret_ctx,
                                      struct pel_error *reterr);

/* pel_ctx_free wipes the keys and frees. NULL is harmless. */
void pel_ctx_free(struct pel_ctx *ctx);

/* A certificate chain and its key; `host`: for clients that ask for that name alone, NULL for all. */
struct pel_ctx_identity {
    struct pel_pem chain, key;
    const char *host;
};

/* pel_ctx_add_cert adds a certificate chain with its key; the first is the preferred one. `ret_expiry_s`
 * is when the leaf ends. Errors: KEYRING_CERT_MALFORMED, KEYRING_CERT_EXPIRED, KEYRING_KEY_MISMATCH,
 * TLS_CONFIG (too many, or a key too short), NO_MEMORY. */
PEL_MUST_USE enum pel_err pel_ctx_add_cert(struct pel_ctx *ctx, const struct pel_ctx_identity *identity,
                                           int64_t now_s, int64_t *ret_expiry_s, struct pel_error *reterr);

/* pel_ctx_add_trust adds every certificate of a PEM file as a trusted authority and returns their number
 * in `ret_num`. `announce`: a server names them to its clients. Errors: KEYRING_CERT_MALFORMED, NO_MEMORY. */
PEL_MUST_USE enum pel_err pel_ctx_add_trust(struct pel_ctx *ctx, const struct pel_pem *pem, bool announce,
                                            size_t *ret_num, struct pel_error *reterr);

/* pel_ctx_finish hands everything to BoringSSL; afterwards the context is read-only. Errors: NO_MEMORY,
 * TLS_CONFIG. */
PEL_MUST_USE enum pel_err pel_ctx_finish(struct pel_ctx *ctx, struct pel_error *reterr);

/* pel_ctx_has_cipher, pel_ctx_has_group tell whether the library knows an IANA number, and
 * pel_ctx_aes_is_fast whether the machine has AES instructions. Any thread. */
bool pel_ctx_has_cipher(uint16_t code);
bool pel_ctx_has_group(uint16_t code);
bool pel_ctx_aes_is_fast(void);

#endif
