/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A session from the inside. Three machines of rows (base/sm.h), moved only in session.c: the connection
 * (HELLO_WAIT -> HANDSHAKE -> SECURE, FAILED from each), and the two directions, which open with SECURE
 * and close each on its own (half close).
 */
#ifndef PEL_TLS_SESSION_H
#define PEL_TLS_SESSION_H

#include "base/sm.h"
#include "tls/buffer.h"
#include "tls/env.h"
#include "tls/framing.h"
#include "tls/handshake.h"
#include "tls/record.h"
#include "tls/tls.h"

enum pel_tls_state {
    PEL_TLS_HELLO_WAIT,
    PEL_TLS_HANDSHAKE,
    PEL_TLS_SECURE,
    PEL_TLS_FAILED,
    PEL_TLS_STATE_NR
};
extern const struct pel_sm_row pel_tls_rows[PEL_TLS_STATE_NR];

/* One direction. ENDED: by close_notify. CUT: the TCP stream ended without one. */
enum pel_tls_half { PEL_HALF_WAIT, PEL_HALF_OPEN, PEL_HALF_ENDED, PEL_HALF_CUT, PEL_HALF_NR };
extern const struct pel_sm_row pel_half_rows[PEL_HALF_NR];

/* A peer may send this many records in a row that bring the application nothing, and this many records of the
 * handshake before it is done, or of messages after it in a row: they may come in pieces, but not forever. */
#define PEL_MAX_EMPTY_RECORDS     32u
#define PEL_MAX_HANDSHAKE_RECORDS 4096u

/* Application bytes are sealed while less than this waits; the record that crosses the line is the last. */
#define PEL_OUT_FULL_LEN 65536u

struct pel_tls {
    struct pel_sm state;
    struct pel_sm reading;
    struct pel_sm writing;
    enum pel_err err; /* of FAILED */
    bool fin;         /* the peer's TCP stream has ended */
    bool keeps_rest;  /* what follows the peer's close_notify is not ours */
    uint32_t binding;
    struct pel_tls_env *env;
    struct pel_counters *counters;
    struct pel_key_cache *key_cache; /* may be NULL */
    uint64_t deadline_us;
    uint64_t now_us;                /* the last that was said */
    bool renewal_due;               /* the keys are old: new ones with the next read or write (TLS 1.3) */
    uint32_t num_empty;             /* records in a row without progress */
    uint32_t num_handshake_records; /* and of messages after the handshake, in a row */
    struct pel_hs *hs;              /* until the record engine takes it */
    const struct pel_record_ops *ops;
    void *record_ctx;
    struct pel_buffer in;    /* one record, whole or in part */
    struct pel_buffer plain; /* verified clear text that nobody has read yet */
    struct pel_buffer out;
    uint16_t version, cipher, group;
    bool resumed, name_checked;
    char *peer_subject; /* NULL: none */
    struct pel_peer_cert *peer_cert;
    char *server_name;
    const char *user; /* the environment's; NULL: nobody */
    char *failure;
};

/* pel_session_invariant tells whether the parts of a session fit its states; asserted after every public
 * call. */
bool pel_session_invariant(const struct pel_tls *tls);

/* pel_session_fail makes the session FAILED with `err`, once: counts it and keeps `text` (NULL: the
 * sentence of `err`). Returns the session's error. */
enum pel_err pel_session_fail(struct pel_tls *tls, enum pel_err err, const char *text);

/* pel_session_alert sends a fatal alert of RFC 8446 section 6, in whatever protection is in force. */
void pel_session_alert(struct pel_tls *tls, uint8_t description);

/* pel_session_first_byte notes that the peer has begun: HELLO_WAIT ends and the completion interval
 * starts. */
void pel_session_first_byte(struct pel_tls *tls, uint64_t now_us);

/* pel_session_renew makes new keys when that is due, before or after a byte of the application. Errors: the
 * session has failed. */
PEL_MUST_USE enum pel_err pel_session_renew(struct pel_tls *tls);

/* pel_session_handshake goes on with a record (`len` 0: begins). Errors: the session has failed. */
PEL_MUST_USE enum pel_err pel_session_handshake(struct pel_tls *tls, const uint8_t *record, size_t len);

#endif
