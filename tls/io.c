/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes in and out of a session, in the order of RFC 8446: header (5.1), the record whole, then the
 * handshake or the record engine (5.2), then what the record was.
 */
#include <assert.h>
#include <string.h>

#include "tls/session.h"

enum { ALERT_UNEXPECTED_MESSAGE = 10, ALERT_RECORD_OVERFLOW = 22, ALERT_DECODE_ERROR = 50 };

/* Verified bytes wait up to this much; then a further record stays sealed. */
#define PLAIN_MAX_LEN (2u * PEL_RECORD_MAX_PLAIN_LEN)

static enum pel_framing_phase phase_of(const struct pel_tls *tls)
{
    if (tls->state.state == PEL_TLS_SECURE)
        return PEL_FRAMING_SECURE;
    if (tls->state.state == PEL_TLS_HANDSHAKE &&
        tls->num_handshake_records > (tls->env->role == PEL_TLS_CLIENT ? 1 : 0))
        return PEL_FRAMING_HANDSHAKE;
    return tls->env->role == PEL_TLS_SERVER ? PEL_FRAMING_FIRST_OF_CLIENT : PEL_FRAMING_FIRST_OF_SERVER;
}

static enum pel_err check_header(struct pel_tls *tls, const uint8_t *bytes, size_t len,
                                 size_t *ret_record_len)
{
    struct pel_error error = {0};
    enum pel_err err = pel_framing_check(bytes, len, phase_of(tls), ret_record_len, &error);
    if (err == PEL_OK)
        return PEL_OK;
    if (err == PEL_E_TLS_RECORD_TOO_LONG)
        pel_session_alert(tls, ALERT_RECORD_OVERFLOW);
    else if (err == PEL_E_TLS_PROTOCOL)
        pel_session_alert(tls, ALERT_UNEXPECTED_MESSAGE);
    else if (err == PEL_E_TLS_RECORD_MALFORMED)
        pel_session_alert(tls, ALERT_DECODE_ERROR);
    /* No alert to a peer that speaks no TLS: it could not read it. */
    return pel_session_fail(tls, err, error.text);
}

static enum pel_err no_progress(struct pel_tls *tls, enum pel_record_kind kind)
{
    if (kind == PEL_RECORD_MESSAGE ? ++tls->num_handshake_records <= PEL_MAX_HANDSHAKE_RECORDS
                                   : ++tls->num_empty <= PEL_MAX_EMPTY_RECORDS)
        return PEL_OK;
    pel_session_alert(tls, ALERT_UNEXPECTED_MESSAGE);
    return pel_session_fail(tls, PEL_E_TLS_TOO_MANY_EMPTY, NULL);
}

/* Opening a record needs so much room. */
static size_t inner_room(size_t record_len)
{
    return record_len < PEL_RECORD_MAX_INNER_LEN ? record_len : PEL_RECORD_MAX_INNER_LEN;
}

/* Opens one whole record into `plain`, with room for it. `ret_len`: of the application's bytes, also after a
 * failure. */
static enum pel_err open_into(struct pel_tls *tls, const struct pel_piece *pieces, size_t num,
                              size_t record_len, uint8_t *plain, size_t *ret_len)
{
    struct pel_error error = {0};
    struct pel_record_opened opened = {0};
    enum pel_err err = tls->ops->open(tls->record_ctx, pieces, num, record_len, plain, inner_room(record_len),
                                      &tls->out, &opened, &error);
    *ret_len = err == PEL_OK && opened.kind == PEL_RECORD_DATA ? opened.len : 0;
    if (err != PEL_OK)
        return pel_session_fail(tls, err, error.text);
    pel_count_stat(tls->counters, PEL_STAT_tls_records_in, 1);
    pel_count_stat(tls->counters, PEL_STAT_tls_bytes_in, opened.len);
    if (opened.kind == PEL_RECORD_CLOSE_NOTIFY)
        pel_sm_move(&tls->reading, PEL_HALF_ENDED);
    else if (opened.len == 0)
        return no_progress(tls, opened.kind);
    else {
        tls->num_empty = tls->num_handshake_records = 0;
        return pel_session_renew(tls);
    }
    return PEL_OK;
}

/* Opens one whole record; there is room for its clear text. */
static enum pel_err open_record(struct pel_tls *tls, const uint8_t *record, size_t len)
{
    const struct pel_piece piece = {record, len};
    uint8_t *plain = NULL;
    size_t plain_len = 0;
    enum pel_err err =
        pel_buffer_reserve(&tls->plain, inner_room(len), PLAIN_MAX_LEN + PEL_RECORD_MAX_INNER_LEN, &plain);
    if (err != PEL_OK)
        return pel_session_fail(tls, err, NULL);
    err = open_into(tls, &piece, 1, len, plain, &plain_len);
    pel_buffer_commit(&tls->plain, plain_len);
    return err;
}

enum pel_err pel_session_renew(struct pel_tls *tls)
{
    if (!tls->renewal_due || tls->writing.state != PEL_HALF_OPEN)
        return PEL_OK;
    tls->renewal_due = false;
    enum pel_err err = tls->ops->update(tls->record_ctx, true, &tls->out);
    return err != PEL_OK ? pel_session_fail(tls, err, NULL) : PEL_OK;
}

static bool can_take(const struct pel_tls *tls)
{
    return tls->plain.len <= PLAIN_MAX_LEN - PEL_RECORD_MAX_PLAIN_LEN;
}

static enum pel_err take_record(struct pel_tls *tls, const uint8_t *record, size_t len)
{
    if (tls->state.state == PEL_TLS_SECURE)
        return open_record(tls, record, len);
    return pel_session_handshake(tls, record, len);
}

/* Opens the record that waits in `in`, if it is whole and its clear text has room. */
static enum pel_err take_staged(struct pel_tls *tls)
{
    size_t record_len = 0;
    if (tls->in.len == 0 || !can_take(tls))
        return PEL_OK;
    PEL_TRY(check_header(tls, pel_buffer_at(&tls->in), tls->in.len, &record_len));
    if (record_len == 0 || tls->in.len < record_len)
        return PEL_OK;
    enum pel_err err = take_record(tls, pel_buffer_at(&tls->in), record_len);
    if (err == PEL_OK)
        pel_buffer_consume(&tls->in, record_len);
    return err;
}

/* Moves bytes of the record that `in` has begun: its header first, then all of it. `ret_used_len` 0: it is
 * whole. */
static enum pel_err stage(struct pel_tls *tls, const uint8_t *bytes, size_t len, size_t *ret_used_len)
{
    size_t record_len = 0;
    *ret_used_len = 0;
    if (tls->in.len > 0)
        PEL_TRY(check_header(tls, pel_buffer_at(&tls->in), tls->in.len, &record_len));
    size_t want_len = record_len > 0 ? record_len : PEL_RECORD_HEADER_LEN;
    size_t part_len = want_len - tls->in.len < len ? want_len - tls->in.len : len;
    enum pel_err err = pel_buffer_append(&tls->in, bytes, part_len, PEL_RECORD_MAX_LEN);
    if (err != PEL_OK)
        return pel_session_fail(tls, err, NULL);
    if (tls->in.len > 0)
        PEL_TRY(check_header(tls, pel_buffer_at(&tls->in), tls->in.len, &record_len));
    *ret_used_len = part_len;
    return PEL_OK;
}

/* Takes one record, or a part of one, from the bytes. `ret_used_len` 0: no room. */
static enum pel_err feed_some(struct pel_tls *tls, const uint8_t *bytes, size_t len, size_t *ret_used_len)
{
    size_t record_len = 0;
    if (tls->in.len == 0 && can_take(tls)) {
        PEL_TRY(check_header(tls, bytes, len, &record_len));
        if (record_len > 0 && record_len <= len) {
            *ret_used_len = record_len;
            return take_record(tls, bytes, record_len); /* whole: no copy */
        }
    }
    PEL_TRY(stage(tls, bytes, len, ret_used_len));
    return take_staged(tls);
}

enum pel_err pel_tls_feed(struct pel_tls *tls, const uint8_t *bytes, size_t len, uint64_t now_us,
                          size_t *ret_used_len)
{
    size_t used_len = 0, part_len = 0;
    if (tls->state.state == PEL_TLS_FAILED)
        return tls->err;
    if (tls->fin)
        return PEL_E_STATE;
    tls->now_us = now_us;
    if (len > 0)
        pel_session_first_byte(tls, now_us);
    while (used_len < len && tls->reading.state != PEL_HALF_ENDED) {
        enum pel_err err = feed_some(tls, bytes + used_len, len - used_len, &part_len);
        assert(pel_session_invariant(tls) || tls->reading.state == PEL_HALF_ENDED);
        if (err != PEL_OK)
            return err;
        if (part_len == 0)
            break;
        used_len += part_len;
    }
    if (tls->reading.state == PEL_HALF_ENDED && !tls->keeps_rest)
        used_len = len; /* RFC 8446 section 6.1: any data after a closure alert is ignored */
    *ret_used_len = used_len;
    return PEL_OK;
}

bool pel_tls_is_straight(const struct pel_tls *tls)
{
    return tls->state.state == PEL_TLS_SECURE && tls->reading.state == PEL_HALF_OPEN && tls->in.len == 0 &&
           tls->plain.len == 0 && !tls->fin;
}

enum pel_err pel_tls_open(struct pel_tls *tls, const struct pel_piece *pieces, size_t num, uint8_t *room,
                          size_t room_len, size_t *ret_used_len, size_t *ret_len)
{
    uint8_t header[PEL_RECORD_HEADER_LEN];
    size_t record_len = 0;
    if (tls->state.state == PEL_TLS_FAILED)
        return tls->err;
    if (!pel_tls_is_straight(tls))
        return PEL_E_STATE;
    size_t header_len = pel_pieces_copy(pieces, num, 0, header, sizeof header);
    if (header_len == 0)
        return PEL_E_AGAIN;
    PEL_TRY(check_header(tls, header, header_len, &record_len));
    if (record_len == 0 || pel_pieces_len(pieces, num) < record_len)
        return PEL_E_AGAIN;
    if (num > PEL_RECORD_MAX_PIECES || room_len < inner_room(record_len))
        return PEL_E_ARG;
    *ret_used_len = record_len;
    enum pel_err err = open_into(tls, pieces, num, record_len, room, ret_len);
    assert(pel_session_invariant(tls) || tls->reading.state == PEL_HALF_ENDED);
    return err;
}

enum pel_err pel_tls_feed_fin(struct pel_tls *tls)
{
    if (tls->state.state == PEL_TLS_FAILED)
        return tls->err;
    tls->fin = true;
    if (tls->state.state != PEL_TLS_SECURE)
        return pel_session_fail(tls, PEL_E_TLS_HANDSHAKE_FAILED,
                                tls->state.state == PEL_TLS_HELLO_WAIT
                                    ? "the peer closed the connection before it sent a byte of TLS (RC 420)"
                                    : "the peer closed the connection during the handshake (RC 420)");
    return PEL_OK;
}

/* No more bytes will come: what is missing decides between a clean end and a cut. */
static enum pel_err read_end(struct pel_tls *tls)
{
    if (tls->reading.state == PEL_HALF_ENDED)
        return PEL_E_EOF;
    if (!tls->fin)
        return PEL_E_AGAIN;
    if (tls->reading.state == PEL_HALF_OPEN)
        pel_sm_move(&tls->reading, PEL_HALF_CUT);
    return pel_session_fail(tls, PEL_E_TLS_TRUNCATED, NULL);
}

enum pel_err pel_tls_read(struct pel_tls *tls, uint8_t *bytes, size_t cap, size_t *ret_len)
{
    if (tls->state.state == PEL_TLS_FAILED)
        return tls->err;
    if (tls->state.state != PEL_TLS_SECURE)
        return PEL_E_AGAIN;
    if (cap == 0)
        return PEL_E_ARG;
    while (tls->plain.len == 0 && tls->reading.state == PEL_HALF_OPEN) {
        size_t before_len = tls->in.len;
        PEL_TRY(take_staged(tls));
        if (tls->in.len == before_len)
            break;
    }
    if (tls->plain.len == 0)
        return read_end(tls);
    size_t len = tls->plain.len < cap ? tls->plain.len : cap;
    memcpy(bytes, pel_buffer_at(&tls->plain), len);
    pel_buffer_consume(&tls->plain, len);
    *ret_len = len;
    return PEL_OK;
}

enum pel_err pel_tls_write(struct pel_tls *tls, const uint8_t *bytes, size_t len, size_t *ret_len)
{
    size_t done_len = 0;
    if (tls->state.state == PEL_TLS_FAILED)
        return tls->err;
    if (tls->writing.state == PEL_HALF_ENDED)
        return PEL_E_STATE;
    if (tls->writing.state != PEL_HALF_OPEN || (tls->out.len >= PEL_OUT_FULL_LEN && len > 0))
        return PEL_E_AGAIN;
    PEL_TRY(pel_session_renew(tls));
    while (done_len < len && tls->out.len < PEL_OUT_FULL_LEN) {
        size_t part_len =
            len - done_len < PEL_RECORD_MAX_PLAIN_LEN ? len - done_len : PEL_RECORD_MAX_PLAIN_LEN;
        enum pel_err err = tls->ops->seal(tls->record_ctx, bytes + done_len, part_len, &tls->out);
        if (err != PEL_OK)
            return pel_session_fail(tls, err, NULL);
        pel_count_stat(tls->counters, PEL_STAT_tls_records_out, 1);
        pel_count_stat(tls->counters, PEL_STAT_tls_bytes_out, part_len);
        done_len += part_len;
    }
    *ret_len = done_len;
    return PEL_OK;
}

size_t pel_tls_sealed_len(const struct pel_tls *tls, size_t len)
{
    bool ready = tls->state.state == PEL_TLS_SECURE && tls->writing.state == PEL_HALF_OPEN &&
                 tls->out.len == 0 && !tls->renewal_due;
    return ready && len <= PEL_RECORD_MAX_PLAIN_LEN ? tls->ops->sealed_len(tls->record_ctx, len) : 0;
}

enum pel_err pel_tls_seal(struct pel_tls *tls, const uint8_t *bytes, size_t len, uint8_t *record)
{
    if (len == 0 || pel_tls_sealed_len(tls, len) == 0)
        return PEL_E_STATE;
    enum pel_err err = tls->ops->seal_at(tls->record_ctx, bytes, len, record);
    if (err != PEL_OK)
        return pel_session_fail(tls, err, NULL);
    pel_count_stat(tls->counters, PEL_STAT_tls_records_out, 1);
    pel_count_stat(tls->counters, PEL_STAT_tls_bytes_out, len);
    return PEL_OK;
}

enum pel_err pel_tls_close(struct pel_tls *tls)
{
    if (tls->state.state == PEL_TLS_FAILED)
        return tls->err;
    if (tls->writing.state == PEL_HALF_ENDED)
        return PEL_OK;
    bool open = tls->writing.state == PEL_HALF_OPEN;
    pel_sm_move(&tls->writing, PEL_HALF_ENDED);
    enum pel_err err = open ? tls->ops->close(tls->record_ctx, &tls->out) : PEL_OK;
    return err != PEL_OK ? pel_session_fail(tls, err, NULL) : PEL_OK;
}

const uint8_t *pel_tls_out_peek(const struct pel_tls *tls, size_t *ret_len)
{
    *ret_len = tls->out.len;
    return pel_buffer_at(&tls->out);
}

void pel_tls_out_consume(struct pel_tls *tls, size_t len)
{
    pel_buffer_consume(&tls->out, len);
}
