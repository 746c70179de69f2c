/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program's own word on TLS, where the policy leaves it to the program (pellucid/ttls.h): a connection
 * goes from clear to TLS and back, as often as it likes. What was written in one state leaves in that state:
 * TCP has it, or the session's output, before the state changes.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <pellucid/ttls.h>

#include "stack/conn.h"
#include "stack/conn_control.h"

#define NEW_KEYS (TTLS_RESET_CIPHER | TTLS_RESET_WRITE_CIPHER)

/* ---- what is known ---- */

static uint8_t stat_policy(const struct pel_conn *conn)
{
    if (conn->rule == NULL)
        return TTLS_POL_NO_POLICY;
    if (!pel_conn_wants_tls(conn))
        return TTLS_POL_NOT_ENABLED;
    return pel_conn_is_controlled(conn) ? TTLS_POL_APPLCNTRL : TTLS_POL_ENABLED;
}

static uint8_t stat_conn(const struct pel_conn *conn)
{
    switch ((enum pel_conn_state)conn->sm.state) {
    case PEL_CONN_HANDSHAKE:
    case PEL_CONN_STOPPING: return TTLS_CONN_HS_INPROGRESS;
    case PEL_CONN_SECURE: return TTLS_CONN_SECURE;
    default: return TTLS_CONN_NOTSECURE;
    }
}

static uint8_t sec_type(const struct pel_effective *effective)
{
    static const uint8_t types[] = {
        [PEL_CLIENT_AUTH_PASSTHRU] = TTLS_SEC_SRV_CA_PASS,
        [PEL_CLIENT_AUTH_FULL] = TTLS_SEC_SRV_CA_FULL,
        [PEL_CLIENT_AUTH_REQUIRED] = TTLS_SEC_SRV_CA_REQD,
        [PEL_CLIENT_AUTH_SAFCHECK] = TTLS_SEC_SRV_CA_SAFCHK,
    };
    if (effective->role == PEL_ROLE_CLIENT)
        return TTLS_SEC_CLIENT;
    return effective->role == PEL_ROLE_SERVER ? TTLS_SEC_SERVER : types[effective->client_auth];
}

#define COPY(to, from) snprintf((to), sizeof(to), "%s", (from) != NULL ? (from) : "")

static void fill_rule(const struct pel_rule *rule, struct pel_ttls_facts *facts)
{
    COPY(facts->rule, rule->name);
    COPY(facts->group_action, rule->group_action);
    COPY(facts->environment_action, rule->environment_action);
    COPY(facts->connection_action, rule->connection_action);
    if (!rule->effective.ttls_enabled)
        return;
    facts->sec_type = sec_type(&rule->effective);
    facts->is_fips = rule->effective.fips;
}

const uint8_t *pel_conn_facts(const struct pel_conn *conn, struct pel_ttls_facts *ret_facts)
{
    size_t cert_len = 0;
    *ret_facts = (struct pel_ttls_facts){.stat_policy = stat_policy(conn), .stat_conn = stat_conn(conn)};
    if (conn->rule != NULL)
        fill_rule(conn->rule, ret_facts);
    if (ret_facts->stat_conn != TTLS_CONN_SECURE)
        return NULL;
    struct pel_tls_info info;
    pel_tls_info(conn->tls, &info);
    ret_facts->version = info.version_number;
    ret_facts->cipher = info.cipher;
    ret_facts->group = info.group;
    ret_facts->is_name_checked = info.name_checked;
    COPY(ret_facts->user, info.user);
    const uint8_t *cert = pel_tls_peer_cert(conn->tls, &cert_len);
    ret_facts->cert_len = (uint32_t)cert_len;
    return cert;
}

/* ---- what may be asked ---- */

static int check_init(const struct pel_conn *conn, uint32_t request)
{
    const struct pel_effective *effective = &conn->rule->effective;
    if (pel_conn_is(conn, PEL_CONN_SECURE))
        return EALREADY;
    if ((request & TTLS_ALLOW_HSTIMEOUT) &&
        (effective->role == PEL_ROLE_CLIENT || effective->handshake_timeout_s == 0))
        return EPROTO;
    return conn->shut || conn->fin_received ? EPIPE : 0;
}

static int check_stop(const struct pel_conn *conn)
{
    if (!pel_conn_is(conn, PEL_CONN_SECURE))
        return conn->stopped ? EALREADY : EPROTO;
    if (conn->stash_len > conn->stash_at)
        return EPROTO;
    return conn->shut || conn->fin_received ? EPIPE : 0;
}

static int check_reset(const struct pel_conn *conn, uint32_t request)
{
    struct pel_tls_info info;
    if (!pel_conn_is(conn, PEL_CONN_SECURE))
        return EPROTO;
    pel_tls_info(conn->tls, &info);
    if ((request & TTLS_SEND_SESSION_TICKET) || ((request & NEW_KEYS) && info.version_number != 0x0304))
        return EOPNOTSUPP;
    return (request & NEW_KEYS) && conn->shut ? EPIPE : 0;
}

int pel_conn_may_control(const struct pel_conn *conn, uint32_t request)
{
    if (pel_conn_is(conn, PEL_CONN_OPENING))
        return ENOTCONN;
    if (conn->sm.state >= PEL_CONN_ENDING || conn->tcp == NULL)
        return EPIPE;
    if (pel_ttls_only_asks(request))
        return 0;
    if (!pel_conn_wants_tls(conn))
        return EOPNOTSUPP;
    if (!pel_conn_is_controlled(conn))
        return EACCES;
    if (stat_conn(conn) == TTLS_CONN_HS_INPROGRESS)
        return EWOULDBLOCK;
    if (request & TTLS_INIT_CONNECTION)
        return check_init(conn, request);
    return request & TTLS_STOP_CONNECTION ? check_stop(conn) : check_reset(conn, request);
}

/* ---- doing it ---- */

void pel_conn_become_clear(struct pel_conn *conn)
{
    pel_tls_free(conn->tls);
    conn->tls = NULL;
    pel_conn_set_deadline(conn, UINT64_MAX);
    pel_sm_move(&conn->sm, PEL_CONN_CLEAR);
    if (conn->events != NULL)
        conn->events->on_open(conn->arg, conn);
}

void pel_conn_start_tls(struct pel_conn *conn, bool allow_start_timeout)
{
    pel_conn_enter(conn);
    pel_count_stat(&conn->engine->counters, PEL_STAT_ttls_starts, 1);
    conn->start_timeout_allowed = allow_start_timeout;
    conn->stopped = false;
    conn->fin_fed = conn->eof_shown = conn->held = false;
    pel_conn_begin_tls(conn);
    pel_conn_leave(conn);
}

void pel_conn_settle_stop(struct pel_conn *conn)
{
    size_t len = 0;
    pel_tls_out_peek(conn->tls, &len);
    if (len > 0 || conn->stash != NULL || !pel_tls_has_ended(conn->tls))
        return;
    conn->stopped = true;
    conn->fin_fed = conn->eof_shown = false;
    pel_count_stat(&conn->engine->counters, PEL_STAT_ttls_stops, 1);
    pel_conn_become_clear(conn);
}

void pel_conn_stop_tls(struct pel_conn *conn)
{
    pel_conn_enter(conn);
    pel_sm_move(&conn->sm, PEL_CONN_STOPPING);
    conn->given_up_us = conn->engine->now_us;
    pel_conn_set_deadline(conn, conn->engine->now_us + PEL_CONN_STOP_PATIENCE_US);
    if (pel_tls_close(conn->tls) != PEL_OK) {
        pel_conn_fail(conn, PEL_E_NO_MEMORY);
    } else {
        pel_conn_go_on(conn);
    }
    pel_conn_leave(conn);
}

int pel_conn_reset_tls(struct pel_conn *conn, uint32_t request)
{
    enum pel_err err = PEL_OK;
    pel_conn_enter(conn);
    if (request & TTLS_RESET_SESSION)
        pel_tls_forget_session(conn->tls);
    if (request & NEW_KEYS)
        err = pel_tls_renew_keys(conn->tls, request & TTLS_RESET_CIPHER);
    if (err != PEL_OK)
        pel_conn_fail(conn, err);
    else
        pel_conn_pump_out(conn);
    pel_conn_leave(conn);
    return err != PEL_OK ? ECONNRESET : 0;
}

/* Of what has just been begun. */
static int outcome(const struct pel_conn *conn)
{
    if (conn->sm.state >= PEL_CONN_ENDING)
        return ECONNRESET;
    return stat_conn(conn) == TTLS_CONN_HS_INPROGRESS ? EINPROGRESS : 0;
}

int pel_conn_ttls(struct pel_conn *conn, const struct pel_identity *identity, struct TTLS_IOCTL *ioctl)
{
    struct pel_ttls_facts facts;
    uint32_t request = ioctl->TTLSi_Req_Type;
    int error = pel_ttls_check(ioctl);
    if (error != 0)
        return error;
    pel_conn_enter(conn);
    pel_conn_map(conn, identity);
    error = pel_conn_may_control(conn, request);
    if (error == 0 && (request & PEL_TTLS_RESETS))
        error = pel_conn_reset_tls(conn, request);
    if (error == 0 && (request & TTLS_INIT_CONNECTION))
        pel_conn_start_tls(conn, request & TTLS_ALLOW_HSTIMEOUT);
    if (error == 0 && (request & TTLS_STOP_CONNECTION))
        pel_conn_stop_tls(conn);
    if (error == 0 && (request & (TTLS_INIT_CONNECTION | TTLS_STOP_CONNECTION)))
        error = outcome(conn);
    const uint8_t *cert = pel_conn_facts(conn, &facts);
    int fill_error = pel_ttls_fill(ioctl, &facts, cert);
    pel_conn_leave(conn);
    return error != 0 ? error : fill_error;
}
