/* SPDX-License-Identifier: Apache-2.0 */
#include "stack/conn.h"

#include <stdlib.h>
#include <string.h>

#include "stack/secondary.h"

/* A failed connection whose alert has left waits this long for the peer to close first: a reset right behind
 * an alert would make the peer's system throw the alert away unread. */
#define FAIL_PATIENCE_US 1000000

/* How long bytes of a connection that was given up may take to leave, and then, how long the peer may take to
 * finish in its turn: a close_notify of its own that met a closed connection would be answered by a reset. */
#define END_PATIENCE_US 60000000
#define END_MAX_US      600000000
#define FIN_PATIENCE_US 3000000

/* Without memory to hand bytes over, and with nothing under way whose acknowledgement would call us again. */
#define RETRY_US 20000

/* The first WARM_LEN bytes go in records of one segment, again after COLD_AFTER_US without any. */
#define WARM_LEN      65536u
#define COLD_AFTER_US 1000000u

#define ROW(state, to, row_flags)                                                                            \
    [PEL_CONN_##state] = {.name = #state, .successors = (to), .flags = (row_flags)}
#define TO(state) PEL_SM_TO(PEL_CONN_##state)

static const struct pel_sm_row conn_rows[PEL_CONN_STATES] = {
    ROW(OPENING, TO(HANDSHAKE) | TO(CLEAR) | TO(FAILING) | TO(CLOSED), PEL_SM_INITIAL),
    ROW(ACCEPTED, TO(HANDSHAKE) | TO(CLEAR) | TO(FAILING) | TO(CLOSED), PEL_SM_INITIAL),
    ROW(HANDSHAKE, TO(SECURE) | TO(CLEAR) | TO(FAILING) | TO(CLOSED), 0),
    ROW(SECURE, TO(STOPPING) | TO(ENDING) | TO(FAILING) | TO(CLOSED), 0),
    ROW(STOPPING, TO(CLEAR) | TO(ENDING) | TO(FAILING) | TO(CLOSED), 0),
    ROW(CLEAR, TO(HANDSHAKE) | TO(ENDING) | TO(FAILING) | TO(CLOSED), 0),
    ROW(ENDING, TO(FAILING) | TO(CLOSED), 0),
    ROW(FAILING, TO(CLOSED), 0),
    ROW(CLOSED, 0, PEL_SM_FINAL),
};

/* ---- life ---- */

struct pel_conn *pel_conn_new(struct pel_engine *engine, struct pel_tcp *tcp, bool inbound)
{
    struct pel_conn *conn = calloc(1, sizeof *conn);
    if (conn == NULL)
        return NULL;
    pel_sm_init(&conn->sm, conn_rows, PEL_CONN_STATES, inbound ? PEL_CONN_ACCEPTED : PEL_CONN_OPENING);
    conn->engine = engine;
    conn->tcp = tcp;
    conn->inbound = inbound;
    conn->id = engine->next_conn_id++;
    conn->opened_us = engine->now_us;
    conn->deadline_us = UINT64_MAX;
    conn->next = engine->conns;
    if (conn->next != NULL)
        conn->next->prev = conn;
    engine->conns = conn;
    engine->num_conns++;
    return conn;
}

static void unlink_from_engine(struct pel_conn *conn)
{
    struct pel_engine *engine = conn->engine;
    if (conn->prev != NULL)
        conn->prev->next = conn->next;
    else
        engine->conns = conn->next;
    if (conn->next != NULL)
        conn->next->prev = conn->prev;
    engine->num_conns--;
}

/* Most connections have none: the engine looks only at those that do. */
void pel_conn_set_deadline(struct pel_conn *conn, uint64_t deadline_us)
{
    struct pel_engine *engine = conn->engine;
    bool had = conn->deadline_us != UINT64_MAX, has = deadline_us != UINT64_MAX;
    conn->deadline_us = deadline_us;
    if (has && !had) {
        conn->timed_prev = NULL;
        conn->timed_next = engine->timed;
        if (conn->timed_next != NULL)
            conn->timed_next->timed_prev = conn;
        engine->timed = conn;
    } else if (had && !has) {
        if (engine->cursor == conn)
            engine->cursor = conn->timed_next;
        if (conn->timed_prev != NULL)
            conn->timed_prev->timed_next = conn->timed_next;
        else
            engine->timed = conn->timed_next;
        if (conn->timed_next != NULL)
            conn->timed_next->timed_prev = conn->timed_prev;
    }
}

static void flush_later(struct pel_conn *conn)
{
    struct pel_engine *engine = conn->engine;
    if (conn->flush_due)
        return;
    conn->flush_due = true;
    conn->flush_prev = NULL;
    conn->flush_next = engine->flush;
    if (conn->flush_next != NULL)
        conn->flush_next->flush_prev = conn;
    engine->flush = conn;
}

static void no_flush(struct pel_conn *conn)
{
    if (!conn->flush_due)
        return;
    conn->flush_due = false;
    if (conn->flush_prev != NULL)
        conn->flush_prev->flush_next = conn->flush_next;
    else
        conn->engine->flush = conn->flush_next;
    if (conn->flush_next != NULL)
        conn->flush_next->flush_prev = conn->flush_prev;
}

void pel_conn_flush_all(struct pel_engine *engine)
{
    while (engine->flush != NULL) {
        struct pel_conn *conn = engine->flush;
        no_flush(conn);
        pel_conn_enter(conn);
        pel_conn_pump_out(conn);
        pel_conn_leave(conn);
    }
}

static void wipe_stash(struct pel_conn *conn)
{
    if (conn->stash != NULL)
        explicit_bzero(conn->stash, conn->stash_len);
    free(conn->stash);
    conn->stash = NULL;
    conn->stash_at = conn->stash_len = 0;
}

static void destroy(struct pel_conn *conn)
{
    struct pel_engine *engine = conn->engine;
    struct pel_conn_report *report = &engine->recent[engine->num_ended++ % PEL_ENGINE_RECENT];
    pel_conn_fill_report(conn, report);
    report->ended = conn->error;
    pel_conn_set_deadline(conn, UINT64_MAX);
    no_flush(conn);
    unlink_from_engine(conn);
    pel_tls_free(conn->tls);
    pel_conn_drop_waiting(conn);
    wipe_stash(conn);
    pel_generation_unref(conn->generation);
    free(conn->server_name);
    free(conn);
}

void pel_conn_enter(struct pel_conn *conn)
{
    conn->depth++;
}

bool pel_conn_leave(struct pel_conn *conn)
{
    if (--conn->depth > 0 || !pel_conn_is(conn, PEL_CONN_CLOSED))
        return true;
    destroy(conn);
    return false;
}

/* ---- ends ---- */

static void tell_closed(struct pel_conn *conn, enum pel_err err)
{
    const struct pel_conn_events *events = conn->events;
    conn->error = conn->error == PEL_OK ? err : conn->error;
    conn->events = NULL;
    if (events != NULL)
        events->on_closed(conn->arg, conn, err);
}

void pel_conn_finish(struct pel_conn *conn, enum pel_err err)
{
    if (pel_conn_is(conn, PEL_CONN_CLOSED))
        return;
    pel_sm_move(&conn->sm, PEL_CONN_CLOSED);
    pel_secondary_end(conn);
    if (conn->tcp != NULL)
        pel_tcp_abort(conn->tcp);
    conn->tcp = NULL;
    tell_closed(conn, err);
}

void pel_conn_drop(struct pel_conn *conn, enum pel_err err)
{
    pel_conn_enter(conn);
    pel_conn_finish(conn, err);
    pel_conn_leave(conn);
}

/* With everything written gone to TCP: lets TCP deliver it and close by itself. */
static void close_gently(struct pel_conn *conn)
{
    struct pel_tcp *tcp = conn->tcp;
    conn->tcp = NULL;
    if (tcp != NULL)
        pel_tcp_close(tcp);
    pel_conn_finish(conn, PEL_E_EOF);
}

static bool is_open(const struct pel_conn *conn)
{
    return pel_conn_is(conn, PEL_CONN_SECURE) || pel_conn_is(conn, PEL_CONN_CLEAR);
}

static bool output_waits(const struct pel_conn *conn)
{
    size_t len = 0;
    if (conn->tls != NULL && conn->tcp != NULL)
        pel_tls_out_peek(conn->tls, &len);
    return len > 0;
}

void pel_conn_fail(struct pel_conn *conn, enum pel_err err)
{
    if (pel_conn_is(conn, PEL_CONN_CLOSED) || pel_conn_is(conn, PEL_CONN_FAILING))
        return;
    if (conn->tls == NULL || conn->tcp == NULL || pel_conn_is(conn, PEL_CONN_ACCEPTED)) {
        pel_conn_finish(conn, err);
        return;
    }
    pel_sm_move(&conn->sm, PEL_CONN_FAILING);
    pel_secondary_end(conn);
    pel_conn_set_deadline(conn, conn->engine->now_us + FAIL_PATIENCE_US);
    conn->error = err;
    pel_conn_drop_waiting(conn);
    if (conn->shown_len == 0) /* else the owner is looking at it */
        wipe_stash(conn);
    tell_closed(conn, err);
    pel_conn_pump_out(conn);
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* After output has moved: what waited for it to be gone. */
static void after_output(struct pel_conn *conn)
{
    if (conn->tcp == NULL || output_waits(conn))
        return;
    bool ending = pel_conn_is(conn, PEL_CONN_ENDING), failing = pel_conn_is(conn, PEL_CONN_FAILING);
    bool fin_due = ending || failing || (conn->shut && is_open(conn));
    if (fin_due && !conn->fin_sent)
        conn->fin_sent = pel_tcp_shutdown(conn->tcp) == PEL_OK;
    bool delivered = conn->fin_sent && pel_tcp_unacked_len(conn->tcp) == 0;
    if (ending && delivered)
        pel_conn_set_deadline(conn, least(conn->deadline_us, conn->engine->now_us + FIN_PATIENCE_US));
    if (delivered && ((ending && conn->tls == NULL) || (conn->fin_received && (ending || failing))))
        close_gently(conn);
}

/* Hands over what fits, piece by piece; what TCP does not take waits for on_sent. */
void pel_conn_pump_out(struct pel_conn *conn)
{
    size_t len = 0, taken_len = 0;
    enum pel_err err = PEL_OK;
    no_flush(conn);
    if (conn->tls != NULL && conn->tcp != NULL) {
        const uint8_t *bytes = pel_tls_out_peek(conn->tls, &len);
        while (len > 0 && (err = pel_tcp_write(conn->tcp, bytes, len, false, &taken_len)) == PEL_OK) {
            pel_tls_out_consume(conn->tls, taken_len);
            bytes = pel_tls_out_peek(conn->tls, &len);
        }
    }
    if (err == PEL_E_NO_MEMORY && conn->sm.state < PEL_CONN_ENDING)
        pel_conn_set_deadline(conn, least(conn->deadline_us, conn->engine->now_us + RETRY_US));
    if (conn->tcp != NULL)
        (void)pel_tcp_flush(conn->tcp); /* TCP tries again by itself */
    after_output(conn);
}

void pel_conn_go_on(struct pel_conn *conn)
{
    bool ending = pel_conn_is(conn, PEL_CONN_ENDING);
    if (ending) /* the peer takes what was written: as long as it does, and not for ever */
        pel_conn_set_deadline(conn,
                              least(conn->engine->now_us + END_PATIENCE_US, conn->given_up_us + END_MAX_US));
    pel_conn_pump_out(conn);
    if (pel_conn_is(conn, PEL_CONN_STOPPING))
        pel_conn_pump_in(conn); /* what was written has left: perhaps it has stopped */
    if (is_open(conn) && conn->want_write && conn->events != NULL) {
        conn->want_write = false;
        conn->events->on_writable(conn->arg, conn);
        if (conn->flush_due)
            pel_conn_pump_out(conn);
    }
}

/* ---- deadlines ---- */

/* The program wanted to know whether its client begins TLS; it does not. */
static void give_up_start(struct pel_conn *conn)
{
    pel_count_stat(&conn->engine->counters, PEL_STAT_ttls_start_timeouts, 1);
    pel_conn_become_clear(conn);
    pel_conn_pump_in(conn);
}

static void tick_tls(struct pel_conn *conn)
{
    enum pel_err err = pel_tls_tick(conn->tls, conn->engine->now_us);
    if (err == PEL_E_TLS_HANDSHAKE_START_TIMEOUT && conn->start_timeout_allowed) {
        give_up_start(conn);
        return;
    }
    if (err != PEL_OK) {
        pel_conn_fail(conn, err);
        return;
    }
    pel_conn_set_deadline(conn, pel_tls_deadline_us(conn->tls));
}

/* What TCP has delivered may close by itself. What it has not is given up: a peer that keeps its window
 * shut could have TCP keep it for ever. */
static void check_end(struct pel_conn *conn)
{
    if (conn->fin_sent && pel_tcp_unacked_len(conn->tcp) == 0)
        close_gently(conn);
    else
        pel_conn_finish(conn, pel_count_err(&conn->engine->counters, PEL_E_CONN_TIMEOUT));
}

/* Also when there was no memory, and output or room is to be tried again. */
static void check_open(struct pel_conn *conn)
{
    uint64_t stop_us = conn->given_up_us + PEL_CONN_STOP_PATIENCE_US;
    bool stopping = pel_conn_is(conn, PEL_CONN_STOPPING);
    if (stopping && conn->engine->now_us >= stop_us) {
        pel_conn_fail(conn, pel_count_err(&conn->engine->counters, PEL_E_CONN_TIMEOUT));
        return;
    }
    pel_conn_set_deadline(conn, stopping ? stop_us : UINT64_MAX);
    if (pel_conn_is(conn, PEL_CONN_SECURE))
        tick_tls(conn);
    pel_conn_go_on(conn);
}

void pel_conn_check_deadline(struct pel_conn *conn)
{
    pel_conn_enter(conn);
    if (pel_conn_is(conn, PEL_CONN_HANDSHAKE)) {
        tick_tls(conn);
        pel_conn_pump_out(conn);
    } else if (pel_conn_is(conn, PEL_CONN_FAILING)) {
        pel_conn_finish(conn, conn->error);
    } else if (pel_conn_is(conn, PEL_CONN_ENDING)) {
        check_end(conn);
    } else {
        check_open(conn);
    }
    pel_conn_leave(conn);
}

/* ---- the owner's calls ---- */

void pel_conn_attach(struct pel_conn *conn, const struct pel_conn_events *events, void *arg)
{
    /* Who attaches in on_closed, or after it, would hear of an end that was told already. */
    if (conn->sm.state >= PEL_CONN_ENDING)
        return;
    conn->events = events;
    conn->arg = arg;
}

bool pel_conn_is_mapped(const struct pel_conn *conn)
{
    return conn->mapped;
}

/* How many bytes the next record shall hold: what fits one segment at the beginning and after a pause, so
 * that the peer can open it as soon as that has come; as many as a record can hold once the stream flows. */
static size_t record_len(struct pel_conn *conn, size_t len)
{
    uint64_t now_us = conn->engine->now_us;
    size_t around_len = pel_tls_sealed_len(conn->tls, 1) - 1, mss = pel_tcp_mss(conn->tcp);
    size_t max_len = conn->engine->config.ip.tcp_window_len / 4; /* several fit a small send buffer */
    if (max_len > PEL_TLS_RECORD_LEN)
        max_len = PEL_TLS_RECORD_LEN;
    if (now_us - conn->wrote_us > COLD_AFTER_US)
        conn->warm_len = 0;
    conn->wrote_us = now_us;
    if (conn->warm_len < WARM_LEN && mss > around_len)
        max_len = mss - around_len < max_len ? mss - around_len : max_len;
    return len < max_len ? len : max_len;
}

/* Without memory the owner waits as if there were no room, and is told after a while: nothing may be under
 * way whose acknowledgement would. */
static enum pel_err or_later(struct pel_conn *conn, enum pel_err err)
{
    if (err != PEL_E_NO_MEMORY)
        return err;
    pel_conn_set_deadline(conn, least(conn->deadline_us, conn->engine->now_us + RETRY_US));
    return PEL_E_AGAIN;
}

/* Seals one record straight into what TCP will send. */
static enum pel_err seal_down(struct pel_conn *conn, const uint8_t *bytes, size_t len, size_t *ret_len)
{
    size_t part_len = record_len(conn, len), room_len = pel_tcp_send_room(conn->tcp);
    size_t sealed_len = pel_tls_sealed_len(conn->tls, part_len), around_len = sealed_len - part_len;
    uint8_t *record = NULL;
    if (sealed_len > room_len) {
        /* What is under way makes room for a whole record; a shorter one now would cost as much as that. */
        if (room_len <= around_len || pel_tcp_unacked_len(conn->tcp) > 0)
            return PEL_E_AGAIN;
        part_len = room_len - around_len;
        sealed_len = room_len;
    }
    PEL_TRY(or_later(conn, pel_tcp_reserve(conn->tcp, sealed_len, &record)));
    PEL_TRY(pel_tls_seal(conn->tls, bytes, part_len, record));
    pel_tcp_commit(conn->tcp, sealed_len);
    conn->warm_len += conn->warm_len < WARM_LEN ? (uint32_t)part_len : 0;
    *ret_len = part_len;
    return PEL_OK;
}

static enum pel_err write_down(struct pel_conn *conn, const uint8_t *bytes, size_t len, size_t *ret_len)
{
    if (conn->tls == NULL)
        return or_later(conn, pel_tcp_write(conn->tcp, bytes, len, true, ret_len));
    if (pel_tls_sealed_len(conn->tls, 1) > 0)
        return seal_down(conn, bytes, len, ret_len);
    PEL_TRY(pel_tls_write(conn->tls, bytes, len, ret_len));
    pel_conn_pump_out(conn);
    return PEL_OK;
}

enum pel_err pel_conn_write(struct pel_conn *conn, const uint8_t *bytes, size_t len, size_t *ret_len)
{
    size_t total_len = 0, taken_len = 0;
    enum pel_err err = PEL_OK;
    if (conn->shut || conn->tcp == NULL)
        return PEL_E_STATE;
    if (!is_open(conn))
        return PEL_E_AGAIN;
    if (len == 0) {
        *ret_len = 0;
        return PEL_OK;
    }
    pel_conn_enter(conn);
    if (conn->bytes_out == 0)
        pel_conn_look_inside(conn, bytes, len);
    while (err == PEL_OK && total_len < len && conn->tcp != NULL) {
        err = write_down(conn, bytes + total_len, len - total_len, &taken_len);
        if (err != PEL_OK)
            break;
        total_len += taken_len;
    }
    flush_later(conn);
    conn->bytes_out += total_len;
    if (conn->tls == NULL)
        pel_count_stat(&conn->engine->counters, PEL_STAT_clear_bytes_out, total_len);
    conn->want_write |= total_len < len; /* a short write that fits does not end the wait for a long one */
    if (total_len > 0)
        err = PEL_OK;
    else if (err != PEL_OK && err != PEL_E_AGAIN)
        pel_conn_fail(conn, err);
    pel_conn_leave(conn);
    if (err == PEL_OK)
        *ret_len = total_len;
    return err;
}

void pel_conn_shutdown(struct pel_conn *conn)
{
    if (conn->shut)
        return;
    pel_conn_enter(conn);
    conn->shut = true;
    if (is_open(conn)) {
        if (conn->tls != NULL && pel_tls_close(conn->tls) != PEL_OK)
            pel_conn_fail(conn, PEL_E_NO_MEMORY);
        pel_conn_pump_out(conn);
    }
    pel_conn_leave(conn);
}

void pel_conn_resume(struct pel_conn *conn)
{
    pel_conn_enter(conn);
    conn->held = false;
    pel_conn_pump_in(conn);
    pel_conn_leave(conn);
}

/* Bytes that arrived and that nobody will read: as with BSD sockets the peer learns of the loss by a reset.
 */
static bool unread(const struct pel_conn *conn)
{
    size_t stashed_len = conn->stash_len - conn->stash_at;
    return stashed_len + pel_conn_waiting_len(conn) > conn->shown_len;
}

/* What the owner is being shown while it closes counts as read. It goes with the connection: until on_data
 * returns the owner may look at it. */
static void close_read(struct pel_conn *conn)
{
    pel_tcp_received(conn->tcp, pel_conn_waiting_len(conn));
    close_gently(conn);
}

/* Lives on alone until what was written has been delivered. */
static void end_alone(struct pel_conn *conn)
{
    pel_sm_move(&conn->sm, PEL_CONN_ENDING);
    pel_secondary_end(conn);
    conn->given_up_us = conn->engine->now_us;
    pel_conn_set_deadline(conn, conn->engine->now_us + END_PATIENCE_US);
    if (conn->tls != NULL && !conn->shut && pel_tls_close(conn->tls) != PEL_OK)
        pel_conn_finish(conn, PEL_E_NO_MEMORY);
    conn->shut = true;
    pel_conn_pump_out(conn);
}

void pel_conn_close(struct pel_conn *conn)
{
    bool open = is_open(conn) || pel_conn_is(conn, PEL_CONN_STOPPING);
    bool gently = open && conn->tcp != NULL && !unread(conn);
    /* Accepted and closed without a look: nothing was written, so that FIN says nothing in clear. */
    bool unlooked = pel_conn_is(conn, PEL_CONN_ACCEPTED) && conn->tcp != NULL && !unread(conn);
    pel_conn_enter(conn);
    conn->events = NULL;
    if (unlooked || (gently && conn->tls == NULL && pel_tcp_unacked_len(conn->tcp) == 0))
        close_read(conn);
    else if (gently)
        end_alone(conn);
    else if (!pel_conn_is(conn, PEL_CONN_FAILING)) /* there the alert is still to leave */
        pel_conn_finish(conn, PEL_E_CONN_ABORTED);
    pel_conn_leave(conn);
}

void pel_conn_abort(struct pel_conn *conn)
{
    pel_conn_enter(conn);
    conn->events = NULL;
    pel_conn_finish(conn, PEL_E_CONN_ABORTED);
    pel_conn_leave(conn);
}

socklen_t pel_conn_local(const struct pel_conn *conn, int family, struct sockaddr_storage *ret_address)
{
    return pel_endpoint_to_sockaddr(&conn->local, family, ret_address);
}

socklen_t pel_conn_remote(const struct pel_conn *conn, int family, struct sockaddr_storage *ret_address)
{
    return pel_endpoint_to_sockaddr(&conn->remote, family, ret_address);
}

void pel_conn_set_nodelay(struct pel_conn *conn, bool on)
{
    if (conn->tcp != NULL)
        pel_tcp_set_nodelay(conn->tcp, on);
}

void pel_conn_set_keepalive(struct pel_conn *conn, uint32_t idle_ms, uint32_t interval_ms, uint32_t num)
{
    if (conn->tcp != NULL)
        pel_tcp_set_keepalive(conn->tcp, idle_ms, interval_ms, num);
}
