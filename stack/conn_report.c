/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of a connection, copied out for people. */
#include <stdio.h>
#include <string.h>

#include "stack/conn.h"

#define COPY(to, from) snprintf((to), sizeof(to), "%s", (from) != NULL ? (from) : "")

static const char *role_name(const struct pel_rule *rule)
{
    static const char *const names[] = {
        [PEL_ROLE_CLIENT] = "client",
        [PEL_ROLE_SERVER] = "server",
        [PEL_ROLE_SERVER_WITH_CLIENT_AUTH] = "server with client authentication",
    };
    return rule->effective.ttls_enabled ? names[rule->effective.role] : "";
}

static void fill_rule(const struct pel_conn *conn, struct pel_conn_report *report)
{
    report->generation = conn->generation != NULL ? conn->generation->number : 0;
    report->map = "";
    if (conn->rule == NULL)
        return;
    report->map = conn->follows_id != 0 ? "secondary" : "primary";
    report->follows_id = conn->follows_id;
    report->follows_engine = conn->follows_engine;
    COPY(report->rule, conn->rule->name);
    COPY(report->group_action, conn->rule->group_action);
    COPY(report->environment_action, conn->rule->environment_action);
    COPY(report->connection_action, conn->rule->connection_action);
    COPY(report->role, role_name(conn->rule));
}

static void fill_tls(const struct pel_conn *conn, struct pel_conn_report *report)
{
    struct pel_tls_info info;
    if (conn->tls == NULL)
        return;
    pel_tls_info(conn->tls, &info);
    COPY(report->tls_state, info.state);
    COPY(report->version, info.version);
    COPY(report->cipher, info.cipher_name);
    COPY(report->peer_subject, info.peer_subject);
    COPY(report->client_user, info.user);
    COPY(report->server_name, info.server_name);
    COPY(report->failure, info.failure);
    report->group = info.group;
    report->name_checked = info.name_checked;
    report->resumed = info.resumed;
}

/* A ClientHello in what passes: the program does TLS itself, or one end is mistaken. */
static void fill_note(const struct pel_conn *conn, struct pel_conn_report *report)
{
    if (pel_conn_is_controlled(conn) && conn->tls == NULL)
        COPY(report->note, "in clear until the program asks for TLS (ApplicationControlled On)");
    if (!conn->own_tls)
        return;
    if (conn->tls != NULL)
        COPY(report->note, "TLS inside TLS: the data begins with a ClientHello; is the program's own on?");
    else
        snprintf(report->note, sizeof report->note,
                 "TLS is spoken where policy leaves the connection clear (%s); fine only if the program "
                 "does TLS itself",
                 conn->rule == NULL             ? "no rule matched"
                 : pel_conn_is_controlled(conn) ? "ApplicationControlled On"
                                                : "TTLSEnabled Off");
}

void pel_conn_fill_report(const struct pel_conn *conn, struct pel_conn_report *ret_report)
{
    memset(ret_report, 0, sizeof *ret_report);
    ret_report->id = conn->id;
    ret_report->local = conn->local;
    ret_report->remote = conn->remote;
    ret_report->inbound = conn->inbound;
    ret_report->mapped = conn->mapped;
    ret_report->bytes_in = conn->bytes_in;
    ret_report->bytes_out = conn->bytes_out;
    ret_report->age_ms = (conn->engine->now_us - conn->opened_us) / 1000;
    ret_report->own_tls = conn->own_tls;
    COPY(ret_report->state, pel_sm_name(&conn->sm));
    fill_rule(conn, ret_report);
    fill_tls(conn, ret_report);
    fill_note(conn, ret_report);
    /* A rule that cannot be served says why at load; the connection repeats it where the operator looks. */
    if (conn->error == PEL_E_POLICY_UNUSABLE && conn->rule != NULL)
        COPY(ret_report->failure, conn->generation->bindings[conn->rule->index].problem.text);
}
