/* SPDX-License-Identifier: Apache-2.0 */
/* Upwards: what TCP tells, and how received bytes reach the owner. */
#include <stdlib.h>
#include <string.h>

#include "stack/conn.h"

/* A record is opened from so many packets at most, and is so long at most (tls/record.h). */
#define PIECES_MAX     64
#define RECORD_MAX_LEN (5u + 16384u + 2048u)

/* ---- to the owner ---- */

/* Shows `len` bytes of clear text to the owner; returns how many were taken. */
static size_t show(struct pel_conn *conn, const uint8_t *bytes, size_t len)
{
    if (conn->bytes_in == 0)
        pel_conn_look_inside(conn, bytes, len);
    size_t taken_len = conn->events != NULL ? conn->events->on_data(conn->arg, conn, bytes, len) : len;
    conn->bytes_in += taken_len;
    if (conn->tls == NULL)
        pel_count_stat(&conn->engine->counters, PEL_STAT_clear_bytes_in, taken_len);
    if (taken_len < len)
        conn->held = true;
    return taken_len;
}

static bool showing(const struct pel_conn *conn)
{
    bool open = pel_conn_is(conn, PEL_CONN_SECURE) || pel_conn_is(conn, PEL_CONN_CLEAR) ||
                pel_conn_is(conn, PEL_CONN_STOPPING);
    return open && !conn->held;
}

static void show_eof(struct pel_conn *conn)
{
    if (conn->eof_shown || !showing(conn))
        return;
    conn->eof_shown = true;
    if (conn->events != NULL)
        conn->events->on_eof(conn->arg, conn);
    /* TCP is gone already when both sides had finished before the owner read the last byte. */
    if (conn->tcp == NULL)
        pel_conn_finish(conn, PEL_E_EOF);
}

/* ---- in clear ---- */

static void pump_clear(struct pel_conn *conn)
{
    size_t len = 0;
    const uint8_t *bytes = NULL;
    while (showing(conn) && (bytes = pel_conn_waiting(conn, &len)) != NULL) {
        conn->shown_len = len;
        size_t taken_len = show(conn, bytes, len);
        conn->shown_len = 0;
        pel_conn_take(conn, taken_len);
        if (pel_conn_is(conn, PEL_CONN_HANDSHAKE))
            conn->held = false; /* the owner has started TLS: what it left is the peer's handshake */
    }
    if (pel_conn_waiting_len(conn) == 0 && conn->fin_received)
        show_eof(conn);
}

/* ---- under TLS ---- */

/* Keeps opened text that the owner did not take. */
static bool keep(struct pel_conn *conn, const uint8_t *bytes, size_t len)
{
    conn->stash = malloc(len);
    if (conn->stash == NULL)
        return false;
    memcpy(conn->stash, bytes, len);
    conn->stash_at = 0;
    conn->stash_len = (uint32_t)len;
    return true;
}

static void show_stash(struct pel_conn *conn)
{
    if (conn->stash == NULL || !showing(conn))
        return;
    conn->shown_len = conn->stash_len - conn->stash_at;
    conn->stash_at += (uint32_t)show(conn, conn->stash + conn->stash_at, conn->shown_len);
    conn->shown_len = 0;
    if (conn->stash != NULL && conn->stash_at == conn->stash_len) {
        explicit_bzero(conn->stash, conn->stash_len);
        free(conn->stash);
        conn->stash = NULL;
        conn->stash_at = conn->stash_len = 0;
    }
}

/* The engine's scratch is ours while we show from it: an owner may, from within, have another connection
 * show its own bytes, which must not come to lie over them. That one makes do with memory of its own. */
static uint8_t *borrow_scratch(struct pel_engine *engine)
{
    uint8_t *scratch = engine->scratch;
    engine->scratch = NULL;
    return scratch != NULL ? scratch : malloc(PEL_ENGINE_SCRATCH_LEN);
}

static void return_scratch(struct pel_engine *engine, uint8_t *scratch)
{
    if (engine->scratch == NULL) {
        engine->scratch = scratch;
        return;
    }
    explicit_bzero(scratch, PEL_ENGINE_SCRATCH_LEN);
    free(scratch);
}

/* Shows `len` bytes at `bytes`, which are not the connection's to keep. */
static enum pel_err show_or_keep(struct pel_conn *conn, const uint8_t *bytes, size_t len)
{
    size_t taken_len = show(conn, bytes, len);
    if (taken_len < len && conn->events != NULL && !keep(conn, bytes + taken_len, len - taken_len))
        return pel_count_err(&conn->engine->counters, PEL_E_NO_MEMORY);
    return PEL_OK;
}

static enum pel_err show_through(struct pel_conn *conn, uint8_t *scratch)
{
    enum pel_err err = PEL_OK;
    while (err == PEL_OK && showing(conn)) {
        size_t len = 0;
        err = pel_tls_read(conn->tls, scratch, PEL_ENGINE_SCRATCH_LEN, &len);
        if (err == PEL_OK)
            err = show_or_keep(conn, scratch, len);
    }
    return err;
}

/* Shows what the session has opened. Returns AGAIN when it wants more, PEL_OK when the owner holds back. */
static enum pel_err show_opened(struct pel_conn *conn)
{
    struct pel_engine *engine = conn->engine;
    show_stash(conn);
    if (!showing(conn))
        return PEL_OK;
    uint8_t *scratch = borrow_scratch(engine);
    if (scratch == NULL)
        return pel_count_err(&engine->counters, PEL_E_NO_MEMORY);
    enum pel_err err = show_through(conn, scratch);
    return_scratch(engine, scratch);
    return err;
}

static void become_secure(struct pel_conn *conn)
{
    pel_sm_move(&conn->sm, PEL_CONN_SECURE);
    pel_conn_set_deadline(conn, pel_tls_deadline_us(conn->tls)); /* when its keys are old */
    if (conn->events != NULL)
        conn->events->on_open(conn->arg, conn);
    if (conn->shut && pel_conn_is(conn, PEL_CONN_SECURE) && pel_tls_close(conn->tls) != PEL_OK)
        pel_conn_fail(conn, PEL_E_NO_MEMORY);
}

/* Feeds received bytes to the session. Returns whether any went in. */
static bool feed(struct pel_conn *conn)
{
    size_t len = 0, used_len = 0;
    const uint8_t *bytes = pel_conn_waiting(conn, &len);
    if (bytes == NULL)
        return false;
    enum pel_err err = pel_tls_feed(conn->tls, bytes, len, conn->engine->now_us, &used_len);
    pel_conn_take(conn, err == PEL_OK ? used_len : 0);
    if (pel_conn_is(conn, PEL_CONN_HANDSHAKE))
        pel_conn_set_deadline(conn, pel_tls_deadline_us(conn->tls));
    if (err != PEL_OK) {
        pel_conn_fail(conn, err);
        return false;
    }
    if (pel_conn_is(conn, PEL_CONN_HANDSHAKE) && pel_tls_is_secure(conn->tls))
        become_secure(conn);
    return used_len > 0;
}

/* Opens the record that is first in line from where it lies. AGAIN: it is not whole yet. */
static enum pel_err open_first(struct pel_conn *conn, uint8_t *scratch)
{
    struct pel_piece pieces[PIECES_MAX];
    size_t num = pel_conn_waiting_pieces(conn, pieces, PIECES_MAX, RECORD_MAX_LEN), used_len = 0, len = 0;
    uint8_t *room = NULL;
    if (conn->events != NULL && conn->events->on_room != NULL)
        room = conn->events->on_room(conn->arg, conn, PEL_TLS_ROOM_LEN);
    room = room != NULL ? room : scratch;
    enum pel_err err = pel_tls_open(conn->tls, pieces, num, room, PEL_TLS_ROOM_LEN, &used_len, &len);
    if (err != PEL_OK)
        return err;
    pel_conn_take(conn, used_len);
    return len > 0 ? show_or_keep(conn, room, len) : PEL_OK;
}

static bool has_tls_work(const struct pel_conn *conn)
{
    return conn->tls != NULL && (pel_conn_is(conn, PEL_CONN_HANDSHAKE) ||
                                 pel_conn_is(conn, PEL_CONN_SECURE) || pel_conn_is(conn, PEL_CONN_STOPPING));
}

/* Opens what is whole. Returns whether anything was. */
static bool open_straight(struct pel_conn *conn)
{
    struct pel_engine *engine = conn->engine;
    enum pel_err err = PEL_OK;
    bool any = false;
    uint8_t *scratch = borrow_scratch(engine);
    if (scratch == NULL) {
        pel_conn_fail(conn, pel_count_err(&engine->counters, PEL_E_NO_MEMORY));
        return false;
    }
    while (showing(conn) && has_tls_work(conn) && pel_tls_is_straight(conn->tls) &&
           (err = open_first(conn, scratch)) == PEL_OK)
        any = true;
    return_scratch(engine, scratch);
    if (err != PEL_OK && err != PEL_E_AGAIN)
        pel_conn_fail(conn, err);
    return any;
}

/* A part of a record may wait in its packets for the rest, unless the rest could not come: the peer has
 * finished, or the part fills the window, or is in more pieces than a record may be. */
static bool must_stage(const struct pel_conn *conn)
{
    size_t len = pel_conn_waiting_len(conn);
    return conn->fin_received || len >= conn->engine->config.ip.tcp_window_len / 4 ||
           conn->num_waiting >= PIECES_MAX;
}

/* Moves received bytes into TLS, and up. Returns whether any moved. */
static bool take_in(struct pel_conn *conn)
{
    if (pel_conn_is(conn, PEL_CONN_HANDSHAKE) || !pel_tls_is_straight(conn->tls))
        return feed(conn);
    if (open_straight(conn))
        return true;
    return has_tls_work(conn) && showing(conn) && must_stage(conn) && feed(conn);
}

static void feed_fin(struct pel_conn *conn)
{
    if (!conn->fin_received || conn->fin_fed || pel_conn_waiting_len(conn) > 0)
        return;
    conn->fin_fed = true;
    enum pel_err err = pel_tls_feed_fin(conn->tls);
    if (err != PEL_OK)
        pel_conn_fail(conn, err);
}

/* While TLS stops the peer's close_notify is its part of that, not the end of the stream. */
static void show_tls_end(struct pel_conn *conn)
{
    if (!pel_conn_is(conn, PEL_CONN_STOPPING))
        show_eof(conn);
}

static void pump_tls(struct pel_conn *conn)
{
    enum pel_err err;
    do {
        err = show_opened(conn);
    } while (has_tls_work(conn) && !conn->held && (err == PEL_OK || err == PEL_E_AGAIN) && take_in(conn));
    if (has_tls_work(conn))
        feed_fin(conn);
    if (has_tls_work(conn) && !conn->held)
        err = show_opened(conn);
    if (!has_tls_work(conn))
        return;
    if (err == PEL_E_EOF)
        show_tls_end(conn);
    else if (err != PEL_OK && err != PEL_E_AGAIN)
        pel_conn_fail(conn, err);
}

/* Nobody reads any more: what still comes is thrown away, with the window kept open so that the peer can
 * finish. */
static void discard(struct pel_conn *conn)
{
    pel_conn_take(conn, pel_conn_waiting_len(conn));
}

/* From within, the owner may start or stop TLS: what still waits is for the new state. */
static void pump(struct pel_conn *conn)
{
    uint32_t before;
    do {
        before = conn->sm.state;
        if (has_tls_work(conn))
            pump_tls(conn);
        if (pel_conn_is(conn, PEL_CONN_STOPPING))
            pel_conn_settle_stop(conn);
        if (pel_conn_is(conn, PEL_CONN_CLEAR))
            pump_clear(conn);
    } while (conn->sm.state != before);
}

void pel_conn_pump_in(struct pel_conn *conn)
{
    if (conn->pumping)
        return;
    conn->pumping = true;
    pump(conn);
    if (pel_conn_is(conn, PEL_CONN_ENDING) || pel_conn_is(conn, PEL_CONN_FAILING))
        discard(conn);
    conn->pumping = false;
    if (!pel_conn_is(conn, PEL_CONN_CLOSED))
        pel_conn_pump_out(conn);
}

/* ---- TCP's events ---- */

static void on_connected(void *arg)
{
    struct pel_conn *conn = arg;
    pel_conn_enter(conn);
    conn->local = pel_tcp_local(conn->tcp);
    pel_conn_begin(conn);
    if (conn->flush_due)
        pel_conn_pump_out(conn);
    pel_conn_leave(conn);
}

static void on_receive(void *arg, struct pel_buf *buf)
{
    struct pel_conn *conn = arg;
    pel_conn_enter(conn);
    pel_conn_put_waiting(conn, buf);
    pel_conn_pump_in(conn);
    pel_conn_settle_waiting(conn);
    pel_conn_leave(conn);
}

static void on_fin(void *arg)
{
    struct pel_conn *conn = arg;
    pel_conn_enter(conn);
    conn->fin_received = true;
    pel_conn_pump_in(conn);
    pel_conn_leave(conn);
}

static void on_sent(void *arg, size_t len)
{
    struct pel_conn *conn = arg;
    (void)len;
    pel_conn_enter(conn);
    pel_conn_go_on(conn);
    pel_conn_leave(conn);
}

/* TCP is gone. After both sides had finished that is the ordinary end, and the owner may still be reading
 * what came before. */
static void on_error(void *arg, enum pel_err err)
{
    struct pel_conn *conn = arg;
    pel_conn_enter(conn);
    conn->tcp = NULL;
    bool finished = conn->fin_received && conn->fin_sent;
    bool reading = pel_conn_is(conn, PEL_CONN_SECURE) || pel_conn_is(conn, PEL_CONN_CLEAR);
    if (finished && reading) {
        if (conn->eof_shown)
            pel_conn_finish(conn, PEL_E_EOF);
    } else {
        pel_conn_finish(conn, conn->error != PEL_OK ? conn->error : err);
    }
    pel_conn_leave(conn);
}

const struct pel_tcp_events pel_conn_tcp_events = {
    .on_connected = on_connected,
    .on_receive = on_receive,
    .on_fin = on_fin,
    .on_sent = on_sent,
    .on_error = on_error,
};
