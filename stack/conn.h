/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection: where TCP, the policy's verdict and TLS meet. Received bytes go up (TCP -> TLS -> owner),
 * written bytes go down (owner -> TLS -> TCP), each as far as there is room, and nothing passes before the
 * verdict is in.
 *
 * The states and who may follow whom are rows in conn.c. An owner is told of events as pellucid/engine.h
 * says; after it has given the connection up, or the connection has failed, the connection lives on alone
 * until its last bytes (an alert, a close_notify) have left.
 */
#ifndef PEL_STACK_CONN_H
#define PEL_STACK_CONN_H

#include "base/sm.h"
#include "stack/engine.h"

enum pel_conn_state {
    PEL_CONN_OPENING,   /* outbound: TCP is connecting; the verdict is known */
    PEL_CONN_ACCEPTED,  /* inbound: TCP is connected, the policy not asked yet; received bytes wait */
    PEL_CONN_HANDSHAKE, /* TLS is being negotiated; no application byte passes */
    PEL_CONN_SECURE,    /* TLS both ways */
    PEL_CONN_STOPPING, /* the program has stopped TLS: close_notify is under way, and nothing else */
    PEL_CONN_CLEAR,    /* no rule, a rule that says clear, or one that leaves TLS to the program */
    PEL_CONN_ENDING,   /* given up by its owner; written bytes and close_notify are leaving */
    PEL_CONN_FAILING, /* failed, the owner knows; an alert is leaving, then FIN, then a moment's patience,
                           then RST */
    PEL_CONN_CLOSED,
    PEL_CONN_STATES
};

struct pel_conn {
    struct pel_sm sm;
    struct pel_engine *engine;
    struct pel_conn *prev, *next;             /* the engine's list */
    struct pel_conn *timed_prev, *timed_next; /* of those with a deadline */
    struct pel_conn *flush_prev, *flush_next; /* of those with flush_due */
    struct pel_tcp *tcp;                      /* NULL when TCP has let go of it */
    struct pel_tls *tls;                      /* NULL in clear */
    const struct pel_conn_events *events;     /* NULL when it has no owner */
    void *arg;

    struct pel_generation *generation; /* held from mapping to the end */
    const struct pel_rule *rule;       /* NULL: none matched */
    struct pel_primary *primary;       /* as which others can follow it; NULL: they cannot */
    char *server_name;                 /* what the program resolved; may be NULL */

    /* Received from TCP, not fed or shown yet: first what has been copied out of packets, then packets. */
    uint8_t *copy;
    uint32_t copy_at, copy_len, copy_cap;
    uint32_t given_back_len; /* of the copy: for which TCP's window was opened already */
    uint32_t num_waiting;    /* packets in rx */
    struct pel_buf *rx;
    uint8_t *stash; /* opened, but not taken by the owner */
    uint32_t stash_at, stash_len;
    size_t shown_len; /* of these: what on_data is being shown right now */

    uint64_t id, opened_us, deadline_us; /* deadline_us: only pel_conn_set_deadline sets it */
    uint64_t given_up_us;                /* when it became ENDING, or STOPPING */
    uint64_t bytes_in, bytes_out;        /* application bytes */
    uint64_t wrote_us;                   /* when bytes were last sealed */
    uint32_t warm_len;                   /* how many since the connection began or was idle */
    struct pel_endpoint local, remote;
    uint64_t follows_id; /* a secondary: which connection's mapping it has; 0: its own */
    uint32_t follows_engine;
    enum pel_err error;
    uint16_t depth; /* calls into it that are under way: it is freed when the outermost returns */
    bool inbound, mapped;
    bool held;    /* the owner did not take all: show nothing until it resumes */
    bool pumping; /* showing received bytes right now: do not start again from within */
    bool want_write;
    bool flush_due; /* written bytes leave at the end of the event or of the loop, together */
    bool shut;      /* no more from the owner */
    bool own_tls;   /* the first bytes either way are a ClientHello: the program speaks TLS of its own */
    bool fin_sent, fin_received, fin_fed, eof_shown;
    bool start_timeout_allowed; /* a client that does not begin the handshake brings it back to CLEAR */
    bool stopped;               /* the last stop has come to its end */
};

/* pel_conn_set_deadline sets when pel_conn_check_deadline is due; UINT64_MAX: never. */
void pel_conn_set_deadline(struct pel_conn *conn, uint64_t deadline_us);

/* pel_conn_flush_all has what was written to the engine's connections in this loop leave. */
void pel_conn_flush_all(struct pel_engine *engine);

/* pel_conn_check_deadline acts on what is due: TLS timers, the end of patience. May free the connection. */
void pel_conn_check_deadline(struct pel_conn *conn);

/* pel_conn_drop ends it at once; its owner, if any, hears on_closed with `err`. Frees the connection. */
void pel_conn_drop(struct pel_conn *conn, enum pel_err err);

/* pel_conn_fill_report writes what is known of it. */
void pel_conn_fill_report(const struct pel_conn *conn, struct pel_conn_report *ret_report);

/* pel_conn_new makes a connection around `tcp` (may be NULL until it is known), in the first state of its
 * direction. */
struct pel_conn *pel_conn_new(struct pel_engine *engine, struct pel_tcp *tcp, bool inbound);

/* pel_conn_tcp_events are what a connection's TCP layer calls; the argument is the connection. */
extern const struct pel_tcp_events pel_conn_tcp_events;

/* ---- between conn.c, conn_map.c, conn_rx.c and conn_wait.c ---- */

/* pel_conn_enter and pel_conn_leave bracket everything that may end the connection; leave frees it when it is
 * closed and no other call is under way, and returns whether it still exists. */
void pel_conn_enter(struct pel_conn *conn);
bool pel_conn_leave(struct pel_conn *conn);

/* pel_conn_fail ends it because of `err`: tells the owner, lets the alert leave. */
void pel_conn_fail(struct pel_conn *conn, enum pel_err err);

/* pel_conn_finish moves it to CLOSED, whatever TCP still does with what was written; tells the owner `err`.
 */
void pel_conn_finish(struct pel_conn *conn, enum pel_err err);

/* pel_conn_look_inside looks whether the first clear text of a direction begins TLS of the program's own. */
void pel_conn_look_inside(struct pel_conn *conn, const uint8_t *bytes, size_t len);

/* pel_conn_decide asks the policy. PEL_OK: conn->rule and conn->generation say what holds. Errors: refusals,
 * counted. */
PEL_MUST_USE enum pel_err pel_conn_decide(struct pel_conn *conn, const struct pel_identity *identity);

/* pel_conn_begin acts on the verdict once TCP is connected: clear, or starts TLS. */
void pel_conn_begin(struct pel_conn *conn);

/* How long the peer may take to answer our close_notify. */
#define PEL_CONN_STOP_PATIENCE_US 60000000u

/* pel_conn_begin_tls starts the handshake; in CLEAR or before. May end the connection. */
void pel_conn_begin_tls(struct pel_conn *conn);

/* pel_conn_become_clear leaves TLS behind, if any, and tells the owner. */
void pel_conn_become_clear(struct pel_conn *conn);

/* pel_conn_settle_stop brings a STOPPING connection back to clear when both close_notify have passed. For
 * pel_conn_pump_in, when nothing of the session is in use. */
void pel_conn_settle_stop(struct pel_conn *conn);

/* pel_conn_is_controlled tells whether the program starts and stops TLS (ApplicationControlled On). */
bool pel_conn_is_controlled(const struct pel_conn *conn);

/* pel_conn_wants_tls tells whether the verdict is TLS. */
bool pel_conn_wants_tls(const struct pel_conn *conn);

/* pel_conn_pump_in moves received bytes up as far as possible; pel_conn_pump_out moves TLS output down. */
void pel_conn_pump_in(struct pel_conn *conn);
void pel_conn_pump_out(struct pel_conn *conn);

/* conn_wait.c: received bytes that wait. put takes `buf`; waiting shows the first piece (NULL, `ret_len` 0:
 * none); take drops the first `len` and opens TCP's window by as much; settle, once nobody wants more now,
 * copies them out of packets when the engine keeps too many of those; drop_waiting frees them all. */
void pel_conn_put_waiting(struct pel_conn *conn, struct pel_buf *buf);
/* waiting_pieces shows up to `max` pieces, no more than hold `wanted_len` bytes; returns their number. */
size_t pel_conn_waiting_pieces(const struct pel_conn *conn, struct pel_piece *ret_pieces, size_t max,
                               size_t wanted_len);
size_t pel_conn_waiting_len(const struct pel_conn *conn);
const uint8_t *pel_conn_waiting(const struct pel_conn *conn, size_t *ret_len);
void pel_conn_take(struct pel_conn *conn, size_t len);
void pel_conn_settle_waiting(struct pel_conn *conn);
void pel_conn_drop_waiting(struct pel_conn *conn);

/* pel_conn_go_on moves TLS output down, and tells an owner who waits for room. For when TCP has taken
 * bytes. */
void pel_conn_go_on(struct pel_conn *conn);

/* pel_conn_is tells whether it is in `state`. */
static inline bool pel_conn_is(const struct pel_conn *conn, enum pel_conn_state state)
{
    return conn->sm.state == state;
}

#endif
