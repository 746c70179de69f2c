/* SPDX-License-Identifier: Apache-2.0 */
/* The mapping point: one question to the policy per connection, and acting on the answer. Also how
 * connections come to be. */
#include <stdlib.h>
#include <string.h>

#include "stack/conn.h"
#include "stack/secondary.h"

/* ---- the verdict ---- */

bool pel_conn_wants_tls(const struct pel_conn *conn)
{
    return conn->rule != NULL && conn->rule->effective.ttls_enabled;
}

static struct pel_policy_query query_of(const struct pel_conn *conn, const struct pel_identity *identity)
{
    const struct pel_engine_config *config = &conn->engine->config;
    return (struct pel_policy_query){
        .local = conn->local,
        .remote = conn->remote,
        .direction = conn->inbound ? PEL_INBOUND : PEL_OUTBOUND,
        .user = identity != NULL ? identity->user : config->user,
        .job = identity != NULL ? identity->job : config->job,
        .wall_s = pel_clock_wall_s(&config->ip.clock),
        .cache = &conn->engine->policy_cache,
    };
}

bool pel_conn_is_controlled(const struct pel_conn *conn)
{
    return pel_conn_wants_tls(conn) && conn->rule->effective.application_controlled;
}

static const struct pel_rule *ask(struct pel_conn *conn, const struct pel_policy_query *query)
{
    pel_count_stat(&conn->engine->counters, PEL_STAT_policy_lookups, 1);
    return pel_policy_lookup(conn->generation->policy, query);
}

static void count_hit(const struct pel_conn *conn, int64_t now_s)
{
    if (conn->rule != NULL)
        pel_rule_hits_count(conn->generation->bindings[conn->rule->index].hits, conn->engine->config.index,
                            now_s);
}

static enum pel_err no_rule(struct pel_conn *conn, const struct pel_policy_query *query)
{
    struct pel_engine *engine = conn->engine;
    pel_engine_note_no_rule(engine, query);
    if (engine->config.no_match_refuse)
        return PEL_E_NO_RULE_REFUSED;
    pel_count_err(&engine->counters, PEL_E_NO_RULE_CLEAR);
    return PEL_OK;
}

enum pel_err pel_conn_decide(struct pel_conn *conn, const struct pel_identity *identity)
{
    struct pel_engine *engine = conn->engine;
    const struct pel_policy_query query = query_of(conn, identity);
    conn->mapped = true;
    pel_engine_refresh_generation(engine);
    if (engine->generation == NULL)
        return engine->config.start_gate_open ? no_rule(conn, &query) : PEL_E_START_GATE;
    conn->generation = pel_generation_ref(engine->generation);
    conn->rule = ask(conn, &query);
    pel_secondary_follow(conn, identity);
    count_hit(conn, query.wall_s);
    if (conn->rule == NULL)
        return no_rule(conn, &query);
    if (!conn->rule->effective.ttls_enabled) {
        pel_count_stat(&engine->counters, PEL_STAT_map_clear, 1);
        return PEL_OK;
    }
    pel_count_stat(&engine->counters,
                   pel_conn_is_controlled(conn) ? PEL_STAT_map_when_asked : PEL_STAT_map_tls, 1);
    if (conn->generation->bindings[conn->rule->index].env == NULL)
        return PEL_E_POLICY_UNUSABLE;
    return pel_secondary_lead(conn, identity);
}

/* RFC 8446, 5.1 and 4: a handshake record whose first message is a ClientHello. */
void pel_conn_look_inside(struct pel_conn *conn, const uint8_t *bytes, size_t len)
{
    bool is_hello = len >= 6 && bytes[0] == 0x16 && bytes[1] == 3 && bytes[2] <= 4 && bytes[5] == 1;
    if (!is_hello || conn->own_tls)
        return;
    conn->own_tls = true;
    pel_count_stat(&conn->engine->counters, conn->tls != NULL ? PEL_STAT_double_tls : PEL_STAT_own_tls, 1);
}

void pel_conn_begin(struct pel_conn *conn)
{
    if (pel_conn_wants_tls(conn) && !pel_conn_is_controlled(conn)) {
        pel_conn_begin_tls(conn);
        return;
    }
    pel_conn_become_clear(conn);
    pel_conn_pump_in(conn);
}

void pel_conn_begin_tls(struct pel_conn *conn)
{
    struct pel_engine *engine = conn->engine;
    struct pel_tls_env *env = conn->generation->bindings[conn->rule->index].env;
    /* The name that the program resolved; a policy's own word for it is the environment's. */
    const char *name = conn->rule->effective.role == PEL_ROLE_CLIENT ? conn->server_name : NULL;
    enum pel_err err =
        pel_tls_new_bound(env, conn->rule->index, name, engine->now_us, &engine->counters, &conn->tls);
    if (err != PEL_OK) {
        pel_conn_fail(conn, err);
        return;
    }
    if (pel_conn_is_controlled(conn))
        pel_tls_keep_rest(conn->tls);
    pel_tls_set_key_cache(conn->tls, engine->key_cache);
    pel_tls_set_active(conn->tls, !conn->inbound, engine->now_us);
    pel_sm_move(&conn->sm, PEL_CONN_HANDSHAKE);
    pel_conn_set_deadline(conn, pel_tls_deadline_us(conn->tls));
    pel_conn_pump_in(conn);
}

void pel_conn_map(struct pel_conn *conn, const struct pel_identity *identity)
{
    if (conn->mapped || !pel_conn_is(conn, PEL_CONN_ACCEPTED))
        return;
    pel_conn_enter(conn);
    enum pel_err err = pel_count_err(&conn->engine->counters, pel_conn_decide(conn, identity));
    if (err != PEL_OK)
        pel_conn_fail(conn, err);
    else
        pel_conn_begin(conn);
    pel_conn_leave(conn);
}

/* ---- inbound ---- */

struct pel_listener {
    struct pel_engine *engine;
    struct pel_listener *next, **prev;
    struct pel_tcp_listener *tcp; /* NULL: the engine drains */
    struct pel_endpoint local;
    pel_accept_fn *on_accept;
    pel_listener_owner_fn *owner; /* NULL: the host's own program */
    void *arg;
};

static enum pel_err hold_accept(const struct pel_listener *listener, struct pel_tcp *tcp)
{
    struct pel_identity who;
    const struct pel_endpoint local = pel_tcp_local(tcp);
    if (listener->owner != NULL)
        listener->owner(listener->arg, &who);
    pel_engine_note_held(listener->engine, listener->owner != NULL ? &who : NULL, PEL_HELD_ACCEPT, &local);
    return PEL_E_START_GATE;
}

static enum pel_err accept_conn(void *arg, struct pel_tcp *tcp)
{
    struct pel_listener *listener = arg;
    struct pel_engine *engine = listener->engine;
    if (!pel_engine_gate_open(engine))
        return hold_accept(listener, tcp);
    struct pel_conn *conn = pel_conn_new(engine, tcp, true);
    if (conn == NULL)
        return PEL_E_NO_MEMORY;
    conn->local = pel_tcp_local(tcp);
    conn->remote = pel_tcp_remote(tcp);
    pel_tcp_set_events(tcp, &pel_conn_tcp_events, conn);
    pel_tcp_set_nodelay(tcp, true);
    pel_conn_enter(conn);
    enum pel_err err = listener->on_accept(listener->arg, conn);
    if (err != PEL_OK) {
        /* The layer below aborts what is refused, and counts it. */
        conn->tcp = NULL;
        pel_conn_finish(conn, err);
    }
    bool aborted = err == PEL_OK && conn->tcp == NULL;
    pel_conn_leave(conn);
    /* An owner that aborted the connection from within has freed the TCP side: the layer below must hear it
     * from the events alone. */
    return aborted ? PEL_OK : err;
}

enum pel_err pel_engine_listen(struct pel_engine *engine, const struct sockaddr *address,
                               socklen_t address_len, uint32_t backlog, pel_accept_fn *on_accept, void *arg,
                               struct pel_listener **ret_listener)
{
    struct pel_endpoint local;
    PEL_TRY(pel_endpoint_from_sockaddr(address, address_len, &local));
    if (address->sa_family == AF_INET6 && pel_ip_is_any(&local.ip))
        local.ip = (struct pel_ip){0}; /* :: takes both families */
    return pel_engine_listen_at(engine, &local, backlog, on_accept, arg, ret_listener);
}

enum pel_err pel_engine_listen_at(struct pel_engine *engine, const struct pel_endpoint *local,
                                  uint32_t backlog, pel_accept_fn *on_accept, void *arg,
                                  struct pel_listener **ret_listener)
{
    if (engine->draining)
        return pel_count_err(&engine->counters, PEL_E_STOPPING);
    struct pel_listener *listener = calloc(1, sizeof *listener);
    if (listener == NULL)
        return PEL_E_NO_MEMORY;
    *listener = (struct pel_listener){.engine = engine, .on_accept = on_accept, .arg = arg};
    enum pel_err err = pel_tcp_listen(engine->ip, local, backlog, accept_conn, listener, &listener->tcp);
    if (err != PEL_OK) {
        free(listener);
        return err;
    }
    listener->local = pel_tcp_listener_endpoint(listener->tcp);
    listener->next = engine->listeners;
    listener->prev = &engine->listeners;
    if (listener->next != NULL)
        listener->next->prev = &listener->next;
    engine->listeners = listener;
    *ret_listener = listener;
    return PEL_OK;
}

void pel_listener_set_owner(struct pel_listener *listener, pel_listener_owner_fn *owner)
{
    listener->owner = owner;
}

socklen_t pel_listener_address(const struct pel_listener *listener, struct sockaddr_storage *ret_address)
{
    const struct pel_endpoint *local = &listener->local;
    return pel_endpoint_to_sockaddr(local, local->ip.version == 4 ? AF_INET : AF_INET6, ret_address);
}

void pel_listener_close(struct pel_listener *listener)
{
    if (listener == NULL)
        return;
    *listener->prev = listener->next;
    if (listener->next != NULL)
        listener->next->prev = listener->prev;
    pel_tcp_unlisten(listener->tcp);
    free(listener);
}

void pel_engine_drain(struct pel_engine *engine)
{
    engine->draining = true;
    for (struct pel_listener *listener = engine->listeners; listener != NULL; listener = listener->next) {
        pel_tcp_unlisten(listener->tcp);
        listener->tcp = NULL;
    }
}

/* ---- outbound ---- */

static enum pel_err open_tcp(struct pel_conn *conn, const struct pel_endpoint *local)
{
    PEL_TRY(pel_tcp_connect(conn->engine->ip, local, &conn->remote, &pel_conn_tcp_events, conn, &conn->tcp));
    conn->local = pel_tcp_local(conn->tcp);
    pel_tcp_set_nodelay(conn->tcp, true);
    return PEL_OK;
}

/* The local end is known only once TCP has chosen it, so the first SYN may leave before the verdict; data
 * never does. */
static enum pel_err open_outbound(struct pel_conn *conn, const struct pel_endpoint *local,
                                  const char *server_name, const struct pel_identity *identity)
{
    if (server_name != NULL) {
        conn->server_name = strdup(server_name);
        if (conn->server_name == NULL)
            return pel_count_err(&conn->engine->counters, PEL_E_NO_MEMORY);
    }
    PEL_TRY(open_tcp(conn, local));
    return pel_count_err(&conn->engine->counters, pel_conn_decide(conn, identity));
}

bool pel_engine_is_home(struct pel_engine *engine, const struct sockaddr *local, socklen_t local_len,
                        const struct sockaddr *remote, socklen_t remote_len)
{
    struct pel_endpoint from, to;
    return pel_endpoint_from_sockaddr(local, local_len, &from) == PEL_OK &&
           pel_endpoint_from_sockaddr(remote, remote_len, &to) == PEL_OK &&
           pel_tcp_comes_here(engine->ip, &from, &to);
}

enum pel_err pel_engine_connect(struct pel_engine *engine, const struct sockaddr *local, socklen_t local_len,
                                const struct sockaddr *remote, socklen_t remote_len, const char *server_name,
                                const struct pel_identity *identity, const struct pel_conn_events *events,
                                void *arg, struct pel_conn **ret_conn)
{
    struct pel_endpoint from = {0}, to;
    PEL_TRY(pel_endpoint_from_sockaddr(remote, remote_len, &to));
    if (local != NULL)
        PEL_TRY(pel_endpoint_from_sockaddr(local, local_len, &from));
    if (pel_ip_is_any(&from.ip))
        from.ip = (struct pel_ip){0};
    if (engine->closing)
        return PEL_E_STATE;
    if (engine->draining)
        return pel_count_err(&engine->counters, PEL_E_STOPPING);
    if (!pel_engine_gate_open(engine)) {
        pel_engine_note_held(engine, identity, PEL_HELD_CONNECT, &to);
        return pel_count_err(&engine->counters, PEL_E_START_GATE);
    }
    struct pel_conn *conn = pel_conn_new(engine, NULL, false);
    if (conn == NULL)
        return pel_count_err(&engine->counters, PEL_E_NO_MEMORY);
    conn->remote = to;
    enum pel_err err = open_outbound(conn, &from, server_name, identity);
    if (err != PEL_OK) {
        pel_conn_drop(conn, err);
        return err;
    }
    pel_conn_attach(conn, events, arg);
    *ret_conn = conn;
    return PEL_OK;
}
