/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/own_record.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "tls/env.h"
#include "tls/framing.h"
#include "tls/handshake.h"
#include "tls/names.h"

enum {
    CLOSE_NOTIFY = 0,
    UNEXPECTED_MESSAGE = 10,
    BAD_RECORD_MAC = 20,
    RECORD_OVERFLOW = 22,
    ILLEGAL_PARAMETER = 47,
    DECODE_ERROR = 50,
    PROTOCOL_VERSION = 70,
    INTERNAL_ERROR = 80,
    USER_CANCELED = 90,
    NO_RENEGOTIATION = 100,
};
enum { WARNING = 1, FATAL = 2 };
enum { NEW_SESSION_TICKET = 4, KEY_UPDATE = 24 };

#define AAD_MAX_LEN    13u
/* RFC 8446 section 4.6.1: lifetime, age, a nonce, a ticket, extensions; the shortest and the longest. */
#define TICKET_MIN_LEN (4u + 4u + 1u + 2u + 1u + 2u)
#define TICKET_MAX_LEN (4u + 4u + 1u + 255u + 2u + 65535u + 2u + 65534u)
/* The handshake's last flight may wait still; data stops at the session's own limit; a few short records must
 * always fit. */
#define OUT_MAX_LEN    (256u * 1024u + 4u * PEL_RECORD_MAX_LEN)

static bool is_tls13(const struct pel_own_record *own)
{
    return own->in.suite->tls13;
}

/* The additional data: in TLS 1.3 the record's header (RFC 8446 section 5.2), in TLS 1.2 the sequence number
 * and the header with the clear text's length (RFC 5246 section 6.2.3.3). */
static size_t write_aad(const struct pel_keys *keys, const uint8_t *header, size_t plain_len, uint8_t *aad)
{
    struct pel_writer w = pel_writer_of(aad, AAD_MAX_LEN);
    if (!keys->suite->tls13)
        pel_write_uint(&w, keys->sequence, 8);
    pel_write_bytes(&w, header, 3);
    pel_write_uint(&w, plain_len, 2);
    return w.len;
}

static size_t inner_type_len(const struct pel_suite *suite)
{
    return suite->tls13 ? 1 : 0; /* RFC 8446 section 5.2 */
}

static size_t sealed_len(const struct pel_suite *suite, size_t len)
{
    return PEL_RECORD_HEADER_LEN + suite->explicit_len + len + inner_type_len(suite) + PEL_AEAD_TAG_LEN;
}

/* Makes a record of sealed_len bytes at `record`. */
static enum pel_err seal_at(struct pel_own_record *own, uint8_t type, const uint8_t *plain, size_t len,
                            uint8_t *record)
{
    const struct pel_suite *suite = own->out.suite;
    size_t body_len = sealed_len(suite, len) - PEL_RECORD_HEADER_LEN;
    uint8_t aad[AAD_MAX_LEN];
    struct pel_writer w = pel_writer_of(record, PEL_RECORD_HEADER_LEN);
    pel_write_uint(&w, suite->tls13 ? PEL_CONTENT_APPLICATION_DATA : type, 1);
    pel_write_uint(&w, 0x0303, 2);
    pel_write_uint(&w, body_len, 2);
    struct pel_aead_job job = {
        .aad = aad,
        .aad_len = write_aad(&own->out, record, suite->tls13 ? body_len : len, aad),
        .in = plain,
        .in_len = len,
        .tail = &type,
        .tail_len = inner_type_len(suite),
        .out = record + PEL_RECORD_HEADER_LEN + suite->explicit_len,
    };
    return pel_keys_seal(&own->out, &job, record + PEL_RECORD_HEADER_LEN);
}

static enum pel_err seal_record(struct pel_own_record *own, uint8_t type, const uint8_t *plain, size_t len,
                                struct pel_buffer *out)
{
    size_t record_len = sealed_len(own->out.suite, len);
    uint8_t *record = NULL;
    PEL_TRY(pel_buffer_reserve(out, record_len, OUT_MAX_LEN, &record));
    enum pel_err err = seal_at(own, type, plain, len, record);
    pel_buffer_commit(out, err == PEL_OK ? record_len : 0);
    return err;
}

static enum pel_err send_alert(struct pel_own_record *own, uint8_t level, uint8_t description,
                               struct pel_buffer *out)
{
    const uint8_t alert[] = {level, description};
    if (own->ended)
        return PEL_OK;
    own->ended = true;
    return seal_record(own, PEL_CONTENT_ALERT, alert, sizeof alert, out);
}

/* Ends the connection with an alert and an error. Without memory for the alert the reset says the rest. */
static enum pel_err refuse(struct pel_own_record *own, uint8_t description, struct pel_buffer *out,
                           struct pel_error *reterr, enum pel_err err, const char *text)
{
    (void)send_alert(own, FATAL, description, out);
    return pel_error_set(reterr, err, "%s", text);
}

enum pel_err pel_own_update(struct pel_own_record *own, bool request, struct pel_buffer *out)
{
    const uint8_t message[] = {KEY_UPDATE, 0, 0, 1, request};
    own->must_update = false;
    PEL_TRY(seal_record(own, PEL_CONTENT_HANDSHAKE, message, sizeof message, out));
    return pel_keys_update(&own->out);
}

/* From here on tickets are dropped: an idle connection needs no object of the library. */
static void stop_waiting(struct pel_own_record *own)
{
    if (own->hs == NULL)
        return;
    pel_hs_free(own->hs);
    own->hs = NULL;
    pel_buffer_fini(&own->ticket);
}

/* A ticket that finds no room is not kept: a full handshake costs less than a connection. */
static void collect(struct pel_own_record *own, const uint8_t *bytes, size_t len)
{
    if (pel_buffer_append(&own->ticket, bytes, len, PEL_TICKET_MAX_LEN) != PEL_OK)
        stop_waiting(own);
}

static void take_ticket(struct pel_own_record *own)
{
    if (own->hs != NULL)
        pel_hs_take_ticket(own->hs, pel_buffer_at(&own->ticket), own->ticket.len);
    stop_waiting(own);
}

/* One whole post-handshake message has come; `left_len` bytes of its record follow it. */
static enum pel_err take_message(struct pel_own_record *own, size_t left_len, struct pel_buffer *out,
                                 struct pel_error *reterr)
{
    struct pel_post_message message = own->message;
    own->message = (struct pel_post_message){0};
    if (message.header[0] != KEY_UPDATE) {
        take_ticket(own);
        return PEL_OK;
    }
    /* RFC 8446 section 5.1: "Handshake messages MUST NOT span key changes." */
    if (left_len > 0)
        return refuse(own, UNEXPECTED_MESSAGE, out, reterr, PEL_E_TLS_PROTOCOL,
                      "bytes follow a KeyUpdate in its record");
    /* Section 4.6.3: "If an implementation receives any other value, it MUST terminate the connection with an
     * "illegal_parameter" alert." */
    if (message.last > 1)
        return refuse(own, ILLEGAL_PARAMETER, out, reterr, PEL_E_TLS_PROTOCOL,
                      "a KeyUpdate that neither asks nor does not");
    enum pel_err err = pel_keys_update(&own->in);
    if (err != PEL_OK)
        return refuse(own, INTERNAL_ERROR, out, reterr, err, "the next key could not be made");
    /* Section 4.6.3 asks for the answer "prior to sending its next Application Data record", so that an end
     * "which receives multiple KeyUpdates while it is silent" responds "with a single update". */
    own->must_update = own->must_update || message.last == 1;
    own->updated = true;
    return PEL_OK;
}

/* The header of a post-handshake message is whole. */
static enum pel_err take_message_header(struct pel_own_record *own, struct pel_buffer *out,
                                        struct pel_error *reterr)
{
    struct pel_post_message *message = &own->message;
    uint8_t type = message->header[0];
    message->left_len = (uint32_t)(message->header[1] << 16 | message->header[2] << 8 | message->header[3]);
    bool ticket = type == NEW_SESSION_TICKET && !own->server;
    if (!ticket && type != KEY_UPDATE)
        return refuse(own, UNEXPECTED_MESSAGE, out, reterr, PEL_E_TLS_PROTOCOL,
                      "a handshake message that may not come after the handshake");
    bool fits = ticket ? message->left_len >= TICKET_MIN_LEN && message->left_len <= TICKET_MAX_LEN
                       : message->left_len == 1;
    if (!fits)
        return refuse(own, DECODE_ERROR, out, reterr, PEL_E_TLS_PROTOCOL,
                      "a message after the handshake has a length that it cannot have");
    if (ticket && own->hs != NULL)
        collect(own, message->header, sizeof message->header);
    return PEL_OK;
}

/* Messages may share a record and may span records. */
static enum pel_err take_messages(struct pel_own_record *own, const uint8_t *bytes, size_t len,
                                  struct pel_buffer *out, struct pel_error *reterr)
{
    struct pel_post_message *message = &own->message;
    while (len > 0) {
        size_t part_len = 1;
        if (message->header_len < sizeof message->header) {
            message->header[message->header_len++] = *bytes;
            if (message->header_len == sizeof message->header)
                PEL_TRY(take_message_header(own, out, reterr));
        } else {
            part_len = len < message->left_len ? len : message->left_len;
            message->last = bytes[part_len - 1];
            message->left_len -= (uint32_t)part_len;
            if (own->ticket.len > 0)
                collect(own, bytes, part_len);
        }
        bytes += part_len;
        len -= part_len;
        if (message->header_len == sizeof message->header && message->left_len == 0)
            PEL_TRY(take_message(own, len, out, reterr));
    }
    return PEL_OK;
}

static enum pel_err alert_received(struct pel_own_record *own, uint8_t description, struct pel_error *reterr)
{
    const char *name = pel_name_of(PEL_NAME_ALERT, description);
    own->ended = true; /* RFC 8446 section 6.2: "Upon transmission or receipt of a fatal alert message, both
                        * parties MUST immediately close the connection." */
    return pel_error_set(reterr, PEL_E_TLS_ALERT_RECEIVED, "alert %u %s", description,
                         name != NULL ? name : "of unknown meaning");
}

static enum pel_err take_alert(struct pel_own_record *own, const uint8_t *bytes, size_t len,
                               struct pel_buffer *out, struct pel_record_opened *ret_opened,
                               struct pel_error *reterr)
{
    /* RFC 8446 section 5.1: "a record with an Alert type MUST contain exactly one message". */
    if (len != 2)
        return refuse(own, DECODE_ERROR, out, reterr, PEL_E_TLS_RECORD_MALFORMED,
                      "an alert record of other than two bytes (RC 410)");
    uint8_t level = bytes[0], description = bytes[1];
    if (!is_tls13(own) && level != WARNING && level != FATAL)
        return refuse(own, ILLEGAL_PARAMETER, out, reterr, PEL_E_TLS_PROTOCOL, "an alert of unknown level");
    if (description == CLOSE_NOTIFY && (is_tls13(own) || level == WARNING)) {
        *ret_opened = (struct pel_record_opened){.kind = PEL_RECORD_CLOSE_NOTIFY};
        return PEL_OK;
    }
    /* Section 6: "All the alerts listed in Section 6.2 [...] MUST be treated as error alerts when received
     * regardless of the AlertLevel in the message. Unknown Alert types MUST be treated as error alerts." */
    bool harmless = is_tls13(own) ? description == USER_CANCELED : level == WARNING;
    if (!harmless)
        return alert_received(own, description, reterr);
    *ret_opened = (struct pel_record_opened){.kind = PEL_RECORD_HANDLED};
    return PEL_OK;
}

static enum pel_err take_handshake(struct pel_own_record *own, const uint8_t *bytes, size_t len,
                                   struct pel_buffer *out, struct pel_record_opened *ret_opened,
                                   struct pel_error *reterr)
{
    if (!is_tls13(own))
        return refuse(own, NO_RENEGOTIATION, out, reterr, PEL_E_TLS_RENEGOTIATION,
                      pel_err_text(PEL_E_TLS_RENEGOTIATION));
    /* RFC 8446 section 5.4: "Implementations MUST NOT send Handshake and Alert records that have a
     * zero-length TLSInnerPlaintext.content; if such a message is received, the receiving implementation MUST
     * terminate the connection with an "unexpected_message" alert." */
    if (len == 0)
        return refuse(own, UNEXPECTED_MESSAGE, out, reterr, PEL_E_TLS_PROTOCOL, "an empty handshake record");
    own->updated = false;
    PEL_TRY(take_messages(own, bytes, len, out, reterr));
    *ret_opened = (struct pel_record_opened){.kind = own->updated ? PEL_RECORD_HANDLED : PEL_RECORD_MESSAGE};
    return PEL_OK;
}

/* What the clear text of a record is. */
static enum pel_err take_content(struct pel_own_record *own, uint8_t type, const uint8_t *bytes, size_t len,
                                 struct pel_buffer *out, struct pel_record_opened *ret_opened,
                                 struct pel_error *reterr)
{
    /* RFC 8446 section 5.1: "if a handshake message is split over two or more records, there MUST NOT be any
     * other records between them." */
    if (own->message.header_len > 0 && type != PEL_CONTENT_HANDSHAKE)
        return refuse(own, UNEXPECTED_MESSAGE, out, reterr, PEL_E_TLS_PROTOCOL,
                      "another record within a handshake message");
    if (type != PEL_CONTENT_HANDSHAKE)
        stop_waiting(own);
    switch (type) {
    case PEL_CONTENT_APPLICATION_DATA:
        *ret_opened = (struct pel_record_opened){.kind = PEL_RECORD_DATA, .len = len};
        return PEL_OK;
    case PEL_CONTENT_ALERT:
        if (len == 0 && is_tls13(own)) /* section 5.4, as for handshake records */
            return refuse(own, UNEXPECTED_MESSAGE, out, reterr, PEL_E_TLS_PROTOCOL, "an empty alert record");
        return take_alert(own, bytes, len, out, ret_opened, reterr);
    case PEL_CONTENT_HANDSHAKE: return take_handshake(own, bytes, len, out, ret_opened, reterr);
    default: /* also a protected change_cipher_spec, section 5: "unexpected_message" */
        return refuse(own, UNEXPECTED_MESSAGE, out, reterr, PEL_E_TLS_PROTOCOL,
                      "a record of a type that may not come after the handshake");
    }
}

/* A whole record, its beginning copied out of the pieces that it lies in. */
struct record {
    uint8_t header[PEL_RECORD_HEADER_LEN + 8]; /* with the explicit nonce of TLS 1.2 */
    const struct pel_piece *pieces;
    size_t num, len;
};

/* Opens the body of a record. `ret_len`: of the clear text, with the inner type and padding of TLS 1.3. */
static enum pel_err unseal(struct pel_own_record *own, const struct record *record, uint8_t *plain,
                           size_t cap, size_t *ret_len)
{
    const struct pel_suite *suite = own->in.suite;
    size_t body_len = record->len - PEL_RECORD_HEADER_LEN, at = PEL_RECORD_HEADER_LEN + suite->explicit_len;
    struct pel_piece body[PEL_RECORD_MAX_PIECES];
    uint8_t aad[AAD_MAX_LEN], tag[PEL_AEAD_TAG_LEN];
    if (body_len < (size_t)suite->explicit_len + PEL_AEAD_TAG_LEN)
        return PEL_E_TLS_BAD_RECORD_MAC;
    size_t len = body_len - suite->explicit_len - PEL_AEAD_TAG_LEN;
    if (len > cap)
        return PEL_E_TLS_RECORD_TOO_LONG;
    struct pel_aead_job job = {
        .aad = aad,
        .aad_len = write_aad(&own->in, record->header, suite->tls13 ? body_len : len, aad),
        .out = plain,
    };
    if (record->pieces[0].len >= record->len) {
        job.in = record->pieces[0].bytes + at;
        job.in_len = len + PEL_AEAD_TAG_LEN;
    } else {
        pel_pieces_copy(record->pieces, record->num, at + len, tag, sizeof tag);
        job.num_pieces = pel_pieces_cut(record->pieces, record->num, at, len, body);
        job.pieces = body;
        job.tag = tag;
    }
    PEL_TRY(pel_keys_open(&own->in, &job, record->header + PEL_RECORD_HEADER_LEN));
    *ret_len = len;
    return PEL_OK;
}

/* RFC 8446 section 5.4: "the receiving implementation scans the field from the end toward the beginning until
 * it finds a non-zero octet", the type. `len` becomes the content's. False: there is none. */
static bool strip_padding(const uint8_t *plain, size_t *len, uint8_t *ret_type)
{
    while (*len > 0 && plain[*len - 1] == 0)
        --*len;
    if (*len == 0)
        return false;
    *ret_type = plain[--*len];
    return true;
}

static enum pel_err check_outside(struct pel_own_record *own, const uint8_t *record, size_t record_len,
                                  struct pel_buffer *out, struct pel_error *reterr)
{
    size_t max_len = PEL_RECORD_MAX_PLAIN_LEN + (is_tls13(own) ? 256u : 2048u);
    /* RFC 8446 section 5.2: "The outer opaque_type field of a TLSCiphertext record is always set to the value
     * 23"; a change_cipher_spec may be dropped only before the peer's Finished (section 5). */
    if (is_tls13(own) && record[0] != PEL_CONTENT_APPLICATION_DATA)
        return refuse(own, UNEXPECTED_MESSAGE, out, reterr, PEL_E_TLS_PROTOCOL,
                      "a record in clear after the handshake");
    if (record[1] != 3 || record[2] != 3)
        return refuse(own, PROTOCOL_VERSION, out, reterr, PEL_E_TLS_RECORD_MALFORMED,
                      "a record of another version than the one agreed (RC 410)");
    /* Section 5.2: the length "MUST NOT exceed 2^14 + 256 bytes. An endpoint that receives a record that
     * exceeds this length MUST terminate the connection with a "record_overflow" alert." RFC 5246 allows
     * 2^14 + 2048. */
    if (record_len - PEL_RECORD_HEADER_LEN > max_len)
        return refuse(own, RECORD_OVERFLOW, out, reterr, PEL_E_TLS_RECORD_TOO_LONG,
                      pel_err_text(PEL_E_TLS_RECORD_TOO_LONG));
    return PEL_OK;
}

static enum pel_err own_open(void *ctx, const struct pel_piece *pieces, size_t num, size_t record_len,
                             uint8_t *plain, size_t cap, struct pel_buffer *out,
                             struct pel_record_opened *ret_opened, struct pel_error *reterr)
{
    struct pel_own_record *own = ctx;
    struct record record = {.pieces = pieces, .num = num, .len = record_len};
    size_t len = 0, header_len = sizeof record.header < record_len ? sizeof record.header : record_len;
    pel_pieces_copy(pieces, num, 0, record.header, header_len);
    uint8_t type = record.header[0];
    PEL_TRY(check_outside(own, record.header, record_len, out, reterr));
    enum pel_err err = unseal(own, &record, plain, cap, &len);
    if (err == PEL_E_TLS_BAD_RECORD_MAC)
        return refuse(own, BAD_RECORD_MAC, out, reterr, err, pel_err_text(err));
    if (err != PEL_OK)
        return refuse(own, err == PEL_E_TLS_RECORD_TOO_LONG ? RECORD_OVERFLOW : INTERNAL_ERROR, out, reterr,
                      err, pel_err_text(err));
    /* RFC 8446 section 5.4: the whole inner record, with type and padding, has at most 2^14 + 1 bytes. */
    if (len > PEL_RECORD_MAX_PLAIN_LEN + (is_tls13(own) ? 1u : 0u))
        return refuse(own, RECORD_OVERFLOW, out, reterr, PEL_E_TLS_RECORD_TOO_LONG,
                      "the clear text of a record is longer than the protocol allows");
    if (is_tls13(own) && !strip_padding(plain, &len, &type))
        return refuse(own, UNEXPECTED_MESSAGE, out, reterr, PEL_E_TLS_PROTOCOL,
                      "a record of padding alone, without a type");
    return take_content(own, type, plain, len, out, ret_opened, reterr);
}

static enum pel_err own_seal(void *ctx, const uint8_t *plain, size_t len, struct pel_buffer *out)
{
    struct pel_own_record *own = ctx;
    if (own->ended)
        return PEL_E_TLS_INTERNAL;
    if (is_tls13(own) && (own->must_update || own->out.sequence >= own->max_records))
        PEL_TRY(pel_own_update(own, false, out));
    return seal_record(own, PEL_CONTENT_APPLICATION_DATA, plain, len, out);
}

static enum pel_err own_update(void *ctx, bool ask_peer, struct pel_buffer *out)
{
    struct pel_own_record *own = ctx;
    return is_tls13(own) && !own->ended ? pel_own_update(own, ask_peer, out) : PEL_OK;
}

static void own_forget(void *ctx)
{
    stop_waiting(ctx);
}

static size_t own_sealed_len(const void *ctx, size_t len)
{
    const struct pel_own_record *own = ctx;
    bool update_first = is_tls13(own) && (own->must_update || own->out.sequence >= own->max_records);
    return own->ended || update_first ? 0 : sealed_len(own->out.suite, len);
}

static enum pel_err own_seal_at(void *ctx, const uint8_t *plain, size_t len, uint8_t *record)
{
    return seal_at(ctx, PEL_CONTENT_APPLICATION_DATA, plain, len, record);
}

static enum pel_err own_close(void *ctx, struct pel_buffer *out)
{
    return send_alert(ctx, WARNING, CLOSE_NOTIFY, out);
}

static enum pel_err own_alert(void *ctx, uint8_t description, struct pel_buffer *out)
{
    return send_alert(ctx, FATAL, description, out);
}

static void own_fini(void *ctx)
{
    struct pel_own_record *own = ctx;
    stop_waiting(own);
    pel_keys_fini(&own->in);
    pel_keys_fini(&own->out);
}

static enum pel_err make_keys(struct pel_own_record *own, const struct pel_suite *suite,
                              const struct pel_ipsecmb *lib, struct pel_key_cache *cache,
                              const struct pel_handover *handover)
{
    PEL_TRY(pel_keys_init(&own->in, suite, lib, cache, &handover->reading));
    enum pel_err err = pel_keys_init(&own->out, suite, lib, cache, &handover->writing);
    if (err != PEL_OK)
        pel_keys_fini(&own->in);
    return err;
}

static enum pel_err own_init(void *ctx, struct pel_hs *hs, const struct pel_tls_env *env,
                             struct pel_key_cache *cache, uint16_t cipher)
{
    struct pel_own_record *own = ctx;
    struct pel_handover handover;
    const struct pel_suite *suite = pel_suite_find(cipher);
    assert(suite != NULL);
    PEL_TRY(pel_handover_take(hs, suite->secret_len, suite->key_len, suite->iv_len, &handover));
    enum pel_err err = make_keys(own, suite, env->ipsecmb, cache, &handover);
    explicit_bzero(&handover, sizeof handover);
    if (err != PEL_OK)
        return err;
    own->server = env->role == PEL_TLS_SERVER;
    own->max_records = suite->max_records;
    /* From here on nothing else may seal with these keys. */
    if (pel_hs_await_ticket(hs))
        own->hs = hs;
    else
        pel_hs_free(hs);
    return PEL_OK;
}

const struct pel_record_ops pel_record_own = {
    .name = "own",
    .ctx_len = sizeof(struct pel_own_record),
    .init = own_init,
    .fini = own_fini,
    .open = own_open,
    .seal = own_seal,
    .update = own_update,
    .forget = own_forget,
    .sealed_len = own_sealed_len,
    .seal_at = own_seal_at,
    .close = own_close,
    .alert = own_alert,
};
