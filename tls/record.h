/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The record layer as a seam. Once the handshake is done a session opens and seals records through one of
 * these engines, chosen by pel_record_choose: our own (tls/own_record.h), which takes the keys out of the
 * handshake object and lets it go, or for suites that it does not have BoringSSL's (tls/boringssl/record.c),
 * which keeps that object.
 *
 * The session hands whole records over, header included and its lengths checked; an engine answers with
 * clear text that has been verified, with what else the record was, or with a final error. Engines have no
 * buffers of their own that grow, no clock and no sockets. One thread a context.
 */
#ifndef PEL_TLS_RECORD_H
#define PEL_TLS_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/pieces.h"
#include "tls/buffer.h"

#define PEL_RECORD_HEADER_LEN     5u
#define PEL_RECORD_MAX_PLAIN_LEN  16384u /* RFC 8446 section 5.1 */
/* RFC 5246 section 6.2.3; TLS 1.3 allows less. */
#define PEL_RECORD_MAX_CIPHER_LEN (PEL_RECORD_MAX_PLAIN_LEN + 2048u)
#define PEL_RECORD_MAX_LEN        (PEL_RECORD_HEADER_LEN + PEL_RECORD_MAX_CIPHER_LEN)
/* What a record decrypts to before the inner type and padding of TLS 1.3 are cut off (RFC 8446 section 5.2),
 * so the room that opening needs. */
#define PEL_RECORD_MAX_INNER_LEN  (PEL_RECORD_MAX_PLAIN_LEN + 256u)
/* A record may lie in so many pieces. */
#define PEL_RECORD_MAX_PIECES     64u

struct pel_hs;
struct pel_key_cache;
struct pel_tls_env;

/* What a record was. */
enum pel_record_kind {
    PEL_RECORD_DATA,         /* `len` bytes of clear text, may be 0 */
    PEL_RECORD_HANDLED,      /* a KeyUpdate, a warning: nothing for the application */
    PEL_RECORD_MESSAGE,      /* tickets, or a part of a message: the same, but more of them are harmless */
    PEL_RECORD_CLOSE_NOTIFY, /* the peer will send no more */
};

struct pel_record_opened {
    enum pel_record_kind kind;
    size_t len;
};

struct pel_record_ops {
    const char *name; /* "boringssl" */
    size_t ctx_len;   /* bytes of context that the session allocates, zeroed */

    /* init takes over from a finished handshake of `env` (borrowed for the context's life, as `cache`, which
     * may be NULL) that agreed on the suite `cipher`. On success the engine owns `hs`; on failure the session
     * still does. Errors: NO_MEMORY, TLS_INTERNAL. */
    enum pel_err (*init)(void *ctx, struct pel_hs *hs, const struct pel_tls_env *env,
                         struct pel_key_cache *cache, uint16_t cipher);

    /* fini wipes the keys and frees what the context owns. */
    void (*fini)(void *ctx);

    /* open verifies and decrypts one whole record of at most PEL_RECORD_MAX_LEN bytes, the first of 1 to
     * PEL_RECORD_MAX_PIECES pieces that may show more, into `plain`, whose `cap` is the record's length or
     * PEL_RECORD_MAX_INNER_LEN, the lesser. May append to `out` (an alert, a KeyUpdate). `reterr` is filled
     * on failure. Errors: TLS_*, NO_MEMORY. */
    enum pel_err (*open)(void *ctx, const struct pel_piece *pieces, size_t num, size_t record_len,
                         uint8_t *plain, size_t cap, struct pel_buffer *out,
                         struct pel_record_opened *ret_opened, struct pel_error *reterr);

    /* seal appends one application data record of 1 to PEL_RECORD_MAX_PLAIN_LEN bytes to `out`; the caller
     * has seen to room. Errors: NO_MEMORY, TLS_INTERNAL. */
    enum pel_err (*seal)(void *ctx, const uint8_t *plain, size_t len, struct pel_buffer *out);

    /* update renews the keys of what we send; with `ask_peer` it asks the peer to renew its own. In TLS 1.2
     * and older it does nothing. Errors: NO_MEMORY, TLS_INTERNAL. */
    enum pel_err (*update)(void *ctx, bool ask_peer, struct pel_buffer *out);

    /* forget drops what waits for tickets: no session of this connection is kept any more. */
    void (*forget)(void *ctx);

    /* sealed_len returns how long the next application data record of `len` bytes is, when seal_at can make
     * it; 0 when it can't now (something else must go first), or never. seal_at makes it at `record`. Errors:
     * TLS_INTERNAL. */
    size_t (*sealed_len)(const void *ctx, size_t len);
    enum pel_err (*seal_at)(void *ctx, const uint8_t *plain, size_t len, uint8_t *record);

    /* close appends a close_notify; alert appends a fatal alert of RFC 8446 section 6. Errors: NO_MEMORY,
     * TLS_INTERNAL. */
    enum pel_err (*close)(void *ctx, struct pel_buffer *out);
    enum pel_err (*alert)(void *ctx, uint8_t description, struct pel_buffer *out);
};

/* pel_record_choose returns the engine for the suite that a handshake of `env` has agreed on; never NULL. */
const struct pel_record_ops *pel_record_choose(const struct pel_tls_env *env, uint16_t cipher);

/* BoringSSL's record layer: all suites. */
extern const struct pel_record_ops pel_record_library;

#endif
