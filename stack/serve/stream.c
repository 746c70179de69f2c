/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program's TCP connection on its engine: between the rings and the connection. All but give_slot runs on
 * the home's thread. Nothing here waits, and nothing that stands in the slot is believed without a check.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "stack/conn.h"
#include "stack/conn_control.h"
#include "stack/engine.h"
#include "stack/serve/parts.h"
#include "stack/socket_errno.h"

/* ---- whose it is ---- */

struct owner {
    struct pel_identity identity;
    uint64_t also[PEL_CLIENT_APPS_MAX];
};

/* A process is its application and, within that, what it says of itself: in that one's segment it may harm
 * only itself. One that has executed another program is another application's, with the pid that it had. */
static void fill_owner(const struct pel_served *served, struct owner *ret_owner)
{
    const struct pel_serve_app *app = served->app;
    uint32_t pid = served->slot != NULL ? __atomic_load_n(&served->slot->process, __ATOMIC_RELAXED) : 0;
    size_t num_kin = __atomic_load_n(&app->num_kin, __ATOMIC_ACQUIRE);
    for (size_t i = 0; i < num_kin; i++)
        ret_owner->also[i] = (uint64_t)app->kin[i] << 32 | pid;
    ret_owner->identity = (struct pel_identity){.user = served->user,
                                                .job = served->job,
                                                .pid = served->pid,
                                                .process = (uint64_t)app->number << 32 | pid,
                                                .also = ret_owner->also,
                                                .num_also = num_kin};
}

/* ---- ends ---- */

/* Nothing of it is on the engine any more, as far as the tasks that have run know. Once for each of them at
 * most, and nothing is noted after the last. */
static void note_ended(struct pel_served *served)
{
    pel_served_note(served, served->num_run == 1 ? PEL_NOTE_ENDED : PEL_NOTE_GAVE_UP);
}

/* The connection is with us no more. A program that has been told may still read what is in the ring. */
static void detach(struct pel_served *served, enum pel_err err)
{
    served->conn = NULL;
    __atomic_store_n(&served->gone_err, (uint32_t)err + 1, __ATOMIC_SEQ_CST);
    struct pel_slot *slot = __atomic_load_n(&served->slot, __ATOMIC_SEQ_CST);
    if (slot != NULL) {
        bool is_connect = !served->is_accepted && !served->is_open;
        int gone_errno = is_connect ? pel_errno_of_call(err) : pel_errno_of_end(err);
        if (is_connect && gone_errno == 0)
            gone_errno = ECONNRESET; /* ended before it was open: not a clean end for who waits to connect */
        __atomic_store_n(&slot->gone_errno, (uint32_t)gone_errno, __ATOMIC_RELEASE);
        pel_served_set_state(served, PEL_SLOT_GONE);
    }
    if (served->is_close_asked)
        note_ended(served);
}

static void abort_conn(struct pel_served *served, enum pel_err err)
{
    pel_conn_abort(served->conn);
    detach(served, err);
}

/* The program wrote what cannot be. */
static void reset_corrupt(struct pel_served *served)
{
    pel_count_err(&served->home->engine->counters, PEL_E_RING_CORRUPT);
    abort_conn(served, PEL_E_RING_CORRUPT);
}

void pel_served_give_slot(struct pel_served *served)
{
    /* The engine may have seen the end before there was a slot to say it in. */
    uint32_t gone_err = __atomic_load_n(&served->gone_err, __ATOMIC_SEQ_CST);
    if (gone_err == 0)
        return;
    __atomic_store_n(&served->slot->gone_errno, (uint32_t)pel_errno_of_end((enum pel_err)(gone_err - 1)),
                     __ATOMIC_RELEASE);
    pel_served_set_state(served, PEL_SLOT_GONE);
}

/* ---- what the program wrote ---- */

/* Wakes writers when there is room that they asked for: a quarter of the ring, so that they do not come for
 * every segment. */
static void tell_room(struct pel_served *served, uint32_t used_len)
{
    if (__atomic_load_n(&served->slot->wants_room, __ATOMIC_SEQ_CST) == 0)
        return;
    if (used_len > served->tx.len - served->tx.len / 4)
        return; /* it stays asked for; only this thread makes room, and it comes by here again */
    __atomic_store_n(&served->slot->wants_room, 0, __ATOMIC_SEQ_CST);
    pel_served_wake(served);
}

/* Hands `used_len` bytes of the ring to the connection, as far as it takes them; returns how many are left.
 */
static uint32_t send_ring(struct pel_served *served, uint32_t used_len)
{
    while (used_len > 0) {
        uint32_t here_len;
        size_t taken_len = 0;
        const uint8_t *here = pel_ring_at(&served->tx, served->tx_tail, used_len, &here_len);
        enum pel_err err = pel_conn_write(served->conn, here, here_len, &taken_len);
        if (served->conn == NULL || err == PEL_E_AGAIN || (err == PEL_OK && taken_len == 0))
            break;
        /* Any other error: the connection takes no more, and on_closed says why if it was not us who
         * finished. */
        uint32_t gone_len = err == PEL_OK ? (uint32_t)taken_len : here_len;
        served->tx_tail += gone_len;
        used_len -= gone_len;
    }
    __atomic_store_n(&served->slot->tx_tail, served->tx_tail, __ATOMIC_SEQ_CST);
    return used_len;
}

static void close_conn(struct pel_served *served)
{
    pel_conn_close(served->conn);
    detach(served, PEL_E_EOF);
}

/* How much of what waits may leave now. What was written behind a wish for TLS waits until that is granted.
 */
static uint32_t may_send(const struct pel_served *served, uint32_t used_len)
{
    if (!served->is_open)
        return 0;
    uint32_t before_len = served->wish_at - served->tx_tail;
    return served->wish != 0 && before_len < used_len ? before_len : used_len;
}

/* What was written before has left: TLS starts, or stops. What comes of it is on_open, or on_closed. */
static void grant(struct pel_served *served)
{
    uint32_t wish = served->wish;
    if (wish == 0 || served->tx_tail != served->wish_at)
        return;
    served->wish = 0;
    if (wish == TTLS_INIT_CONNECTION)
        pel_conn_start_tls(served->conn, served->is_start_timeout_allowed);
    else
        pel_conn_stop_tls(served->conn);
}

/* Moves bytes, then does what waited for them. */
static void progress(struct pel_served *served)
{
    if (served->conn == NULL || served->slot == NULL)
        return;
    uint32_t used_len = 0, head = __atomic_load_n(&served->slot->tx_head, __ATOMIC_ACQUIRE);
    if (!pel_ring_used(&served->tx, head, served->tx_tail, &used_len)) {
        reset_corrupt(served);
        return;
    }
    uint32_t now_len = may_send(served, used_len);
    if (now_len > 0)
        used_len -= now_len - send_ring(served, now_len);
    if (served->conn == NULL)
        return;
    tell_room(served, used_len);
    grant(served);
    if (used_len > 0 || served->conn == NULL || served->wish != 0)
        return;
    if (served->is_close_asked) {
        close_conn(served);
    } else if (served->is_shut_asked && !served->is_shut_done && served->is_open) {
        served->is_shut_done = true;
        pel_conn_shutdown(served->conn);
    }
}

/* ---- what the connection says ---- */

static void on_open(void *arg, struct pel_conn *conn)
{
    struct pel_served *served = arg;
    struct sockaddr_storage local = {0};
    socklen_t len = pel_conn_local(conn, served->family, &local);
    served->conn = conn;
    served->is_open = true;
    if (served->slot != NULL)
        memcpy(&served->slot->local, &local, len);
    /* Who waits to write hears of the room with this: a second signal for it would be an edge of its own. */
    if (served->slot != NULL)
        __atomic_store_n(&served->slot->wants_room, 0, __ATOMIC_SEQ_CST);
    /* After TLS has started, or stopped, the stream goes on. */
    if (served->slot != NULL)
        __atomic_fetch_and(&served->slot->state, ~(PEL_SLOT_BUSY | PEL_SLOT_EOF), __ATOMIC_SEQ_CST);
    pel_served_set_state(served, PEL_SLOT_OPEN);
    progress(served);
}

static uint32_t room_of(struct pel_served *served, uint32_t *ret_used_len)
{
    uint32_t tail = __atomic_load_n(&served->slot->rx_tail, __ATOMIC_SEQ_CST);
    return pel_ring_used(&served->rx, served->rx_head, tail, ret_used_len) ? served->rx.len - *ret_used_len
                                                                           : UINT32_MAX;
}

static uint32_t put(struct pel_served *served, const uint8_t *bytes, size_t len, uint32_t room_len)
{
    uint32_t put_len = len < room_len ? (uint32_t)len : room_len;
    pel_ring_copy_in(&served->rx, served->rx_head, bytes, put_len);
    served->rx_head += put_len;
    __atomic_store_n(&served->slot->rx_head, served->rx_head, __ATOMIC_RELEASE);
    return put_len;
}

static size_t on_data(void *arg, struct pel_conn *conn, const uint8_t *bytes, size_t len)
{
    struct pel_served *served = arg;
    size_t taken_len = 0;
    (void)conn;
    if (served->is_close_asked)
        return len; /* nobody will read it; it must not hold back what we still send */
    if (served->wish == TTLS_INIT_CONNECTION)
        return 0; /* it is the peer's handshake */
    for (;;) {
        uint32_t used_len, room_len = room_of(served, &used_len);
        if (room_len == UINT32_MAX) {
            reset_corrupt(served);
            return 0;
        }
        bool is_held = (served->slot->state & PEL_SLOT_HELD) != 0;
        if (taken_len == 0 || room_len >= served->rx.len / 2)
            taken_len += put(served, bytes + taken_len, len - taken_len, room_len);
        if (taken_len == len || is_held)
            break;
        /* Held first, looked again afterwards: a program that reads in between either is seen here or sees
         * the mark. */
        __atomic_fetch_or(&served->slot->state, PEL_SLOT_HELD, __ATOMIC_SEQ_CST);
    }
    if (taken_len == len)
        __atomic_fetch_and(&served->slot->state, ~PEL_SLOT_HELD, __ATOMIC_SEQ_CST);
    if (taken_len > 0)
        pel_served_wake(served);
    return taken_len;
}

static void on_eof(void *arg, struct pel_conn *conn)
{
    (void)conn;
    pel_served_set_state(arg, PEL_SLOT_EOF);
}

static void on_writable(void *arg, struct pel_conn *conn)
{
    (void)conn;
    progress(arg);
}

static void on_closed(void *arg, struct pel_conn *conn, enum pel_err err)
{
    (void)conn;
    detach(arg, err);
}

static const struct pel_conn_events conn_events = {
    .on_open = on_open,
    .on_data = on_data,
    .on_eof = on_eof,
    .on_writable = on_writable,
    .on_closed = on_closed,
};

/* ---- what the program asks for ---- */

static void map(struct pel_served *served)
{
    struct owner owner;
    fill_owner(served, &owner);
    pel_conn_map(served->conn, &owner.identity);
}

/* ---- what the program asks of TLS ---- */

/* What the program has not read is the peer's handshake. It moves its own tail when it hears of this. */
static int take_back(struct pel_served_control_args *args)
{
    struct pel_served *served = args->served;
    struct pel_piece pieces[2] = {{0}};
    uint32_t used_len = 0, tail = __atomic_load_n(&served->slot->rx_tail, __ATOMIC_SEQ_CST), first_len = 0;
    if (!pel_ring_used(&served->rx, served->rx_head, tail, &used_len)) {
        reset_corrupt(served);
        return ECONNRESET;
    }
    pieces[0].bytes = pel_ring_at(&served->rx, tail, used_len, &first_len);
    pieces[0].len = first_len;
    pieces[1] = (struct pel_piece){served->rx.bytes, used_len - first_len};
    if (pel_conn_give_back(served->conn, pieces, 2) != PEL_OK)
        return ENOMEM;
    __atomic_fetch_and(&served->slot->state, ~PEL_SLOT_HELD, __ATOMIC_SEQ_CST);
    args->is_taken_back = true;
    args->rx_tail = served->rx_head;
    return 0;
}

static int begin_wish(struct pel_served_control_args *args)
{
    struct pel_served *served = args->served;
    bool is_init = args->request & TTLS_INIT_CONNECTION;
    uint32_t unread_len = 0, head = __atomic_load_n(&served->slot->tx_head, __ATOMIC_ACQUIRE);
    bool is_unread = room_of(served, &unread_len) == UINT32_MAX || unread_len > 0;
    int error = is_init ? take_back(args) : is_unread ? EPROTO : 0;
    if (error != 0)
        return error;
    served->wish = is_init ? TTLS_INIT_CONNECTION : TTLS_STOP_CONNECTION;
    served->wish_at = head;
    served->is_start_timeout_allowed = args->request & TTLS_ALLOW_HSTIMEOUT;
    __atomic_fetch_or(&served->slot->state, PEL_SLOT_BUSY, __ATOMIC_SEQ_CST);
    progress(served);
    if (served->conn == NULL)
        return ECONNRESET;
    return served->slot->state & PEL_SLOT_BUSY ? EINPROGRESS : 0;
}

static int control(struct pel_served_control_args *args)
{
    struct pel_served *served = args->served;
    bool asks_only = pel_ttls_only_asks(args->request);
    if (!asks_only && served->is_shut_asked)
        return EPIPE;
    if (!asks_only && served->wish != 0)
        return EWOULDBLOCK;
    int error = pel_conn_may_control(served->conn, args->request);
    if (error != 0 || asks_only)
        return error;
    if (args->request & (TTLS_INIT_CONNECTION | TTLS_STOP_CONNECTION))
        return begin_wish(args);
    return pel_conn_reset_tls(served->conn, args->request);
}

static void fill_answer(struct pel_served_control_args *args)
{
    const uint8_t *cert = pel_conn_facts(args->served->conn, &args->facts);
    if (args->served->wish != 0)
        args->facts.stat_conn = TTLS_CONN_HS_INPROGRESS;
    if (cert == NULL || !(args->request & TTLS_RETURN_CERTIFICATE))
        return;
    args->cert = malloc(args->facts.cert_len);
    if (args->cert == NULL)
        args->error = ENOMEM;
    else
        memcpy(args->cert, cert, args->facts.cert_len);
}

void pel_served_stream_control(struct pel_engine *engine, void *arg)
{
    struct pel_served_control_args *args = arg;
    struct pel_served *served = args->served;
    (void)engine;
    args->error = served->is_open || served->is_accepted ? EPIPE : ENOTCONN;
    if (served->conn == NULL || served->slot == NULL || served->is_close_asked)
        return;
    if (served->is_accepted)
        map(served);
    if (served->conn != NULL)
        args->error = control(args);
    if (served->conn != NULL)
        fill_answer(args);
}

static uint32_t s_to_ms(uint32_t seconds)
{
    return seconds > UINT32_MAX / 1000 ? UINT32_MAX : seconds * 1000;
}

static void apply_options(struct pel_served *served)
{
    struct pel_slot_options options = served->slot->options; /* once; every value of every byte is harmless */
    pel_conn_set_nodelay(served->conn, options.is_nodelay != 0);
    pel_conn_set_keepalive(served->conn, options.is_keepalive != 0 ? s_to_ms(options.keep_idle_s) : 0,
                           s_to_ms(options.keep_interval_s), options.keep_count);
}

static void resume(struct pel_served *served)
{
    __atomic_fetch_and(&served->slot->state, ~PEL_SLOT_HELD, __ATOMIC_SEQ_CST);
    pel_conn_resume(served->conn);
}

/* Each step may end the connection from within. */
void pel_served_stream_kick(struct pel_served *served)
{
    uint32_t bits = 0;
    if (__atomic_load_n(&served->slot->asked, __ATOMIC_RELAXED) != 0)
        bits = __atomic_exchange_n(&served->slot->asked, 0, __ATOMIC_ACQ_REL);
    if (bits & PEL_SLOT_ASK_WAKE)
        pel_served_wake(served);
    if (served->conn != NULL && (bits & PEL_SLOT_ASK_ABORT))
        abort_conn(served, PEL_E_CONN_ABORTED);
    if (served->conn != NULL && (bits & PEL_SLOT_ASK_OPTIONS))
        apply_options(served);
    served->is_shut_asked |= (bits & PEL_SLOT_ASK_SHUT_WR) != 0;
    if (served->conn != NULL && (bits & PEL_SLOT_ASK_MAP))
        map(served);
    if (served->conn != NULL && (bits & PEL_SLOT_ASK_RESUME))
        resume(served);
    progress(served);
}

/* What the program wrote before it closed leaves before the reset that its unread bytes ask for: an answer
 * given early, to a request that nobody wants to read to its end. */
static void send_rest(struct pel_served *served)
{
    uint32_t used_len = 0, head = __atomic_load_n(&served->slot->tx_head, __ATOMIC_ACQUIRE);
    if (served->is_open && pel_ring_used(&served->tx, head, served->tx_tail, &used_len) && used_len > 0)
        send_ring(served, used_len);
    pel_conn_flush_all(served->home->engine);
}

/* The end of the channel may be heard of before the last ring at the door: a mapping that was asked for. */
static void map_late(struct pel_served *served)
{
    if (served->slot == NULL || served->conn == NULL || served->is_open || !served->is_accepted)
        return;
    if (__atomic_fetch_and(&served->slot->asked, ~PEL_SLOT_ASK_MAP, __ATOMIC_ACQ_REL) & PEL_SLOT_ASK_MAP)
        map(served);
}

void pel_served_stream_over(struct pel_served *served)
{
    map_late(served);
    served->is_close_asked = true;
    served->num_run++;
    if (served->conn == NULL) {
        note_ended(served);
        return;
    }
    /* Unread bytes: the peer must not believe that they were taken (RFC 1122, 4.2.2.13). */
    uint32_t used_len = 0;
    bool is_unread = served->slot != NULL && (room_of(served, &used_len) == UINT32_MAX || used_len > 0 ||
                                              (served->slot->state & PEL_SLOT_HELD) != 0);
    struct pel_slot_options options = {0};
    if (served->slot != NULL)
        options = served->slot->options;
    if (options.is_linger != 0 && options.linger_s == 0) {
        abort_conn(served, PEL_E_CONN_ABORTED); /* as SO_LINGER asks for */
    } else if (served->is_abort) {
        pel_count_err(&served->home->engine->counters, PEL_E_PROGRAM_GONE);
        abort_conn(served, PEL_E_PROGRAM_GONE);
    } else if (is_unread) {
        send_rest(served);
        if (served->conn != NULL)
            abort_conn(served, PEL_E_CONN_ABORTED);
    } else {
        progress(served);
    }
}

static void reset_stream(struct pel_served *served)
{
    served->is_open = served->is_shut_asked = served->is_shut_done = false;
    served->wish = 0;
    served->rx_head = served->tx_tail = 0;
    __atomic_store_n(&served->gone_err, 0, __ATOMIC_SEQ_CST);
    struct pel_slot *slot = served->slot;
    __atomic_store_n(&slot->rx_head, 0, __ATOMIC_RELEASE);
    __atomic_store_n(&slot->tx_tail, 0, __ATOMIC_RELEASE);
    __atomic_store_n(&slot->gone_errno, 0, __ATOMIC_RELEASE);
    __atomic_store_n(&slot->state, 0, __ATOMIC_SEQ_CST);
}

void pel_served_stream_connect(struct pel_engine *engine, void *arg)
{
    struct pel_served_connect_args *args = arg;
    struct pel_served *served = args->served;
    struct owner owner;
    const struct sockaddr *local =
        args->local.ss_family == AF_UNSPEC ? NULL : (const struct sockaddr *)&args->local;
    args->err = PEL_E_STATE;
    if (served->conn != NULL)
        return;
    reset_stream(served);
    fill_owner(served, &owner);
    args->err = pel_engine_connect(engine, local, sizeof args->local, (const struct sockaddr *)&args->remote,
                                   sizeof args->remote, args->server_name, &owner.identity, &conn_events,
                                   served, &served->conn);
    if (args->err != PEL_OK)
        return;
    pel_conn_local(served->conn, served->family, &args->local);
    apply_options(served);
}

void pel_served_stream_accept(struct pel_served *served, struct pel_conn *conn)
{
    served->conn = conn;
    served->is_accepted = true;
    pel_conn_attach(conn, &conn_events, served);
}
