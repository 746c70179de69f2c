/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Our record layer: TLS 1.3 and TLS 1.2 records of AEAD suites, with keys that have left the TLS library.
 * It checks in the order of RFC 8446 sections 5.1 to 5.4: type, version, length, protection, padding, inner
 * type; then takes alerts and post-handshake messages: KeyUpdate (answered), NewSessionTicket, all others
 * refused; renegotiation is refused. A client keeps the session of its first ticket (tls/sessions.h), if it
 * comes before any data and has at most PEL_TICKET_MAX_LEN bytes; for that it holds the handshake object.
 * From then on it holds no object of the library and drops tickets.
 *
 * Failure: the fatal alert is in the output, sealed, and the error says what the record was. It seals nothing
 * after a close_notify or a fatal alert. It holds no clear text and no part of a record: of a message that
 * comes in pieces only its header, and the ticket that is to be kept.
 */
#ifndef PEL_TLS_OWN_RECORD_H
#define PEL_TLS_OWN_RECORD_H

#include "tls/handshake.h"
#include "tls/keys.h"
#include "tls/record.h"

#define PEL_TICKET_MAX_LEN 16384u /* of the message, with its header */

/* A handshake message after the handshake, as far as it has come. */
struct pel_post_message {
    uint8_t header[4];
    uint8_t header_len;
    uint8_t last;      /* its last byte so far */
    uint32_t left_len; /* of its body */
};

struct pel_own_record {
    bool server;
    bool ended;           /* we have sent close_notify or a fatal alert */
    bool must_update;     /* the peer has asked for our next key */
    bool updated;         /* the last handshake record ended a KeyUpdate */
    uint64_t max_records; /* under one key of ours; the suite's, but for tests */
    struct pel_post_message message;
    struct pel_hs *hs;        /* a client that waits for its first ticket; else NULL */
    struct pel_buffer ticket; /* that ticket, as far as it has come */
    struct pel_keys in, out;
};

/* The engine; its context is a struct pel_own_record. */
extern const struct pel_record_ops pel_record_own;

/* pel_own_update appends a KeyUpdate (RFC 8446 section 4.6.3) and goes on to the next key. TLS 1.3 only.
 * Errors: NO_MEMORY, TLS_INTERNAL. */
PEL_MUST_USE enum pel_err pel_own_update(struct pel_own_record *own, bool request, struct pel_buffer *out);

#endif
