/* SPDX-License-Identifier: Apache-2.0 */
/* What the control socket answers: "ping", "conns", "stats", and the verbs of control_policy.c,
 * control_match.c and control_keyring.c. Runs on the control thread; what engines own is copied on their own
 * threads. */
#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "drivers/steer.h"
#include "stack/conn.h"
#include "stack/control_json.h"
#include "stack/no_rule.h"
#include "stack/stack.h"
#include "stack/stale.h"

json_t *pel_json_refusal(const char *why)
{
    return json_pack("{s:b, s:s}", "ok", 0, "error", why);
}

json_t *pel_json_text(const char *text)
{
    json_t *value = json_string(text);
    return value != NULL ? value : json_string("?");
}

json_t *pel_json_endpoint(const struct pel_endpoint *endpoint)
{
    char text[PEL_ENDPOINT_TEXT_LEN];
    return json_string(pel_endpoint_format(endpoint, text, sizeof text));
}

static const char *group_name(uint16_t group)
{
    static const struct {
        uint16_t group;
        const char *name;
    } rows[] = {{19, "secp192r1"}, {21, "secp224r1"}, {23, "secp256r1"}, {24, "secp384r1"},
                {25, "secp521r1"}, {29, "x25519"},    {30, "x448"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (rows[i].group == group)
            return rows[i].name;
    }
    return "";
}

/* ---- conns ---- */

struct snapshot {
    struct pel_conn_report *reports;
    size_t num, cap;
    struct pel_conn_report *recent;
    size_t num_recent;
    bool failed;
};

/* On the engine's thread: copies, nothing more. */
static void take_snapshot(struct pel_engine *engine, void *arg)
{
    struct snapshot *snapshot = arg;
    snapshot->reports = calloc(engine->num_conns + 1, sizeof *snapshot->reports);
    snapshot->recent = calloc(PEL_ENGINE_RECENT, sizeof *snapshot->recent);
    snapshot->failed = snapshot->reports == NULL || snapshot->recent == NULL;
    if (snapshot->failed)
        return;
    for (const struct pel_conn *conn = engine->conns; conn != NULL; conn = conn->next)
        pel_conn_fill_report(conn, &snapshot->reports[snapshot->num++]);
    snapshot->num_recent =
        engine->num_ended < PEL_ENGINE_RECENT ? (size_t)engine->num_ended : PEL_ENGINE_RECENT;
    for (size_t i = 0; i < snapshot->num_recent; i++)
        snapshot->recent[i] = engine->recent[(engine->num_ended - 1 - i) % PEL_ENGINE_RECENT];
}

static json_t *id_of(size_t engine, uint64_t number)
{
    return json_sprintf("%zu.%llu", engine, (unsigned long long)number);
}

static json_t *report_to_json(const struct pel_conn_report *report, size_t engine)
{
    json_t *json =
        json_pack("{s:o, s:I, s:s, s:o, s:o, s:b, s:I, s:I, s:I, s:I}", "id", id_of(engine, report->id),
                  "engine", (json_int_t)engine, "direction", report->inbound ? "inbound" : "outbound",
                  "local", pel_json_endpoint(&report->local), "remote", pel_json_endpoint(&report->remote),
                  "mapped", (int)report->mapped, "generation", (json_int_t)report->generation, "bytes_in",
                  (json_int_t)report->bytes_in, "bytes_out", (json_int_t)report->bytes_out, "age_ms",
                  (json_int_t)report->age_ms);
    if (json == NULL)
        return NULL;
    const struct {
        const char *key, *value;
    } texts[] = {
        {"role", report->role},
        {"map", report->map},
        {"rule", report->rule},
        {"group_action", report->group_action},
        {"environment_action", report->environment_action},
        {"connection_action", report->connection_action},
        {"state", report->state},
        {"tls_state", report->tls_state},
        {"version", report->version},
        {"cipher", report->cipher},
        {"group", group_name(report->group)},
        {"peer_subject", report->peer_subject},
        {"client_user", report->client_user},
        {"server_name", report->server_name},
        {"failure", report->failure},
        {"note", report->note},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        json_object_set_new(json, texts[i].key, pel_json_text(texts[i].value));
    if (report->follows_id != 0)
        json_object_set_new(json, "follows", id_of(report->follows_engine, report->follows_id));
    json_object_set_new(json, "name_checked", json_boolean(report->name_checked));
    json_object_set_new(json, "resumed", json_boolean(report->resumed));
    json_object_set_new(json, "own_tls", json_boolean(report->own_tls));
    if (report->ended != PEL_OK)
        json_object_set_new(json, "ended", json_string(pel_err_name(report->ended)));
    return json;
}

/* What lives: with the rule's staleness, which the engine does not know. */
static json_t *alive_to_json(const struct pel_conn_report *report, size_t engine,
                             const struct pel_rule_names *names)
{
    json_t *json = report_to_json(report, engine);
    const char *why = report->rule[0] != '\0' ? pel_stale_why(names, report->rule, report->generation) : NULL;
    json_object_set_new(json, "stale", why != NULL ? json_string(why) : json_null());
    return json;
}

static json_t *conns(struct pel_stack *stack)
{
    struct pel_rule_names names;
    if (pel_rule_names_take(&stack->slot, &names) != PEL_OK)
        return NULL;
    json_t *alive = json_array(), *recent = json_array();
    for (size_t e = 0; e < stack->num_engines; e++) {
        struct snapshot snapshot = {0};
        pel_engine_call(stack->engines[e].engine, take_snapshot, &snapshot);
        for (size_t i = 0; !snapshot.failed && i < snapshot.num; i++)
            json_array_append_new(alive, alive_to_json(&snapshot.reports[i], e, &names));
        for (size_t i = 0; !snapshot.failed && i < snapshot.num_recent; i++)
            json_array_append_new(recent, report_to_json(&snapshot.recent[i], e));
        free(snapshot.reports);
        free(snapshot.recent);
    }
    pel_rule_names_free(&names);
    return json_pack("{s:b, s:s, s:I, s:I, s:o, s:o}", "ok", 1, "program", stack->job, "pid",
                     (json_int_t)getpid(), "generation", (json_int_t)pel_generation_number(&stack->slot),
                     "connections", alive, "recent", recent);
}

/* ---- stats ---- */

struct figures {
    struct pel_counters counters;
    struct pel_no_rule_port no_rule[PEL_ENGINE_NO_RULE_PORTS];
    uint32_t num_conns;
    size_t num_time_wait;
};

static void take_figures(struct pel_engine *engine, void *arg)
{
    struct figures *figures = arg;
    pel_counters_add(&figures->counters, &engine->counters);
    pel_no_rule_add(figures->no_rule, engine->no_rule);
    figures->num_conns += engine->num_conns;
    figures->num_time_wait += pel_ip_num_time_wait(engine->ip);
}

static const char *category_name(enum pel_err err)
{
    static const char *const names[] = {
        [PEL_CAT_NONE] = "none",     [PEL_CAT_BLOCKED] = "blocked", [PEL_CAT_PEER] = "peer",
        [PEL_CAT_LIMIT] = "limit",   [PEL_CAT_CONFIG] = "config",   [PEL_CAT_POLICY] = "policy",
        [PEL_CAT_CALLER] = "caller",
    };
    return names[pel_err_category(err)];
}

static json_t *errors_of(const struct pel_counters *counters, bool all)
{
    json_t *errors = json_array();
    for (int i = 1; i < PEL_ERR_NR; i++) {
        enum pel_err err = (enum pel_err)i;
        if (counters->err[i] > 0 || all)
            json_array_append_new(errors, json_pack("{s:s, s:I, s:s, s:s}", "name", pel_err_name(err),
                                                    "value", (json_int_t)counters->err[i], "category",
                                                    category_name(err), "text", pel_err_text(err)));
    }
    return errors;
}

static json_t *stats_of(const struct pel_counters *counters)
{
    json_t *stats = json_array();
    for (int i = 0; i < PEL_STAT_NR; i++) {
        enum pel_stat stat = (enum pel_stat)i;
        json_array_append_new(stats, json_pack("{s:s, s:I, s:s}", "name", pel_stat_name(stat), "value",
                                               (json_int_t)counters->stat[i], "text", pel_stat_text(stat)));
    }
    return stats;
}

static json_t *port_of(struct pel_stack *stack)
{
    struct pel_port_stats stats = {0};
    struct pel_steer_counts steer;
    stack->port->ops->stats(stack->port, &stats);
    pel_steer_counts(stack->port, &steer);
    return json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "name", stack->port->name,
                     "driver", stack->port->ops->driver, "mtu", (json_int_t)stack->port->mtu, "offloads",
                     (json_int_t)stack->port->offloads, "rx_missed", (json_int_t)stats.rx_missed,
                     "rx_no_buffers", (json_int_t)stats.rx_no_buffers, "tx_errors",
                     (json_int_t)stats.tx_errors, "packets_in_use", (json_int_t)stats.num_pkts_in_use,
                     "handed_over", (json_int_t)steer.handed_over, "handed_over_lost",
                     (json_int_t)steer.lost);
}

static json_t *no_rule_of(const struct figures *figures)
{
    json_t *no_rule = json_array();
    for (size_t i = 0; i < PEL_ENGINE_NO_RULE_PORTS; i++) {
        const struct pel_no_rule_port *row = &figures->no_rule[i];
        if (row->count > 0)
            json_array_append_new(no_rule, json_pack("{s:I, s:s, s:I}", "port", (json_int_t)row->port,
                                                     "direction", row->outbound ? "outbound" : "inbound",
                                                     "count", (json_int_t)row->count));
    }
    return no_rule;
}

/* An engine's own share, as the difference that it made. */
static json_t *engine_of(const struct pel_stack *stack, size_t index, const struct figures *before,
                         const struct figures *after)
{
    static const enum pel_stat shown[] = {PEL_STAT_rx_packets, PEL_STAT_tx_packets, PEL_STAT_tcp_opened_in,
                                          PEL_STAT_tcp_opened_out};
    json_t *json = json_pack("{s:I, s:I, s:I}", "engine", (json_int_t)index, "core",
                             (json_int_t)stack->engines[index].core, "connections",
                             (json_int_t)(after->num_conns - before->num_conns));
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++)
        json_object_set_new(
            json, pel_stat_name(shown[i]),
            json_integer((json_int_t)(after->counters.stat[shown[i]] - before->counters.stat[shown[i]])));
    return json;
}

/* What attached programs have; null when none can attach. */
static json_t *programs_of(const struct pel_stack *stack, struct figures *figures)
{
    struct pel_serve_report report;
    if (stack->serve == NULL)
        return json_null();
    pel_serve_get_report(stack->serve, &report, &figures->counters);
    return json_pack("{s:I, s:I, s:I}", "applications", (json_int_t)report.num_applications, "processes",
                     (json_int_t)report.num_clients, "sockets", (json_int_t)report.num_sockets);
}

static json_t *time_of(int64_t wall_s)
{
    char text[32] = "";
    time_t time = (time_t)wall_s;
    struct tm tm;
    if (gmtime_r(&time, &tm) != NULL)
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
    return json_string(text);
}

/* Whether connections are made and accepted, and whom it was not done for. */
static json_t *start_gate_of(struct pel_stack *stack)
{
    struct pel_held_row rows[PEL_HELD_ROWS];
    uint64_t num_others;
    size_t num = pel_held_copy(&stack->slot.held, rows, &num_others);
    bool is_closed = !stack->config.policy.start_gate_open && pel_generation_number(&stack->slot) == 0;
    json_t *held = json_array();
    for (size_t i = 0; i < num; i++) {
        const struct pel_held_row *row = &rows[i];
        json_array_append_new(held,
                              json_pack("{s:o, s:o, s:i, s:s, s:o, s:I, s:o, s:o}", "user",
                                        pel_json_text(row->user), "job", pel_json_text(row->job), "pid",
                                        row->pid, "what", pel_held_what_name(row->what), "endpoint",
                                        pel_json_endpoint(&row->endpoint), "count", (json_int_t)row->count,
                                        "first", time_of(row->first_s), "last", time_of(row->last_s)));
    }
    return json_pack("{s:b, s:o, s:I}", "closed", (int)is_closed, "held", held, "others",
                     (json_int_t)num_others);
}

static json_t *stats(struct pel_stack *stack, const json_t *request)
{
    struct figures figures = {0};
    json_t *engines = json_array();
    for (size_t e = 0; e < stack->num_engines; e++) {
        struct figures before = figures;
        pel_engine_call(stack->engines[e].engine, take_figures, &figures);
        json_array_append_new(engines, engine_of(stack, e, &before, &figures));
    }
    json_t *programs = programs_of(stack, &figures);
    return json_pack("{s:b, s:s, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "ok", 1, "program",
                     stack->job, "pid", (json_int_t)getpid(), "generation",
                     (json_int_t)pel_generation_number(&stack->slot), "connections",
                     (json_int_t)figures.num_conns, "time_wait", (json_int_t)figures.num_time_wait, "stats",
                     stats_of(&figures.counters), "errors",
                     errors_of(&figures.counters, json_is_true(json_object_get(request, "all"))), "no_rule",
                     no_rule_of(&figures), "engines", engines, "port", port_of(stack), "programs", programs,
                     "start_gate", start_gate_of(stack));
}

/* ---- dispatch ---- */

static json_t *answer(struct pel_stack *stack, const json_t *request)
{
    const char *verb = json_string_value(json_object_get(request, "verb"));
    if (verb == NULL)
        return pel_json_refusal("the request has no \"verb\"");
    if (strcmp(verb, "ping") == 0)
        return json_pack("{s:b, s:s, s:I}", "ok", 1, "program", stack->job, "pid", (json_int_t)getpid());
    if (strcmp(verb, "conns") == 0)
        return conns(stack);
    if (strcmp(verb, "stats") == 0)
        return stats(stack, request);
    if (strcmp(verb, "policy-load") == 0)
        return pel_control_policy_load(stack, request);
    if (strcmp(verb, "policy-status") == 0)
        return pel_control_policy_status(stack, request);
    if (strcmp(verb, "policy-match") == 0)
        return pel_control_policy_match(stack, request);
    if (strcmp(verb, "keyring-changed") == 0)
        return pel_control_keyring_changed(stack, request);
    return pel_json_refusal(
        "unknown verb; known: ping, conns, stats, policy-load, policy-status, policy-match, "
        "keyring-changed");
}

void pel_stack_control(void *arg, const char *request_json, char **ret_reply_json)
{
    json_error_t error;
    pel_generation_reap(&((struct pel_stack *)arg)->slot);
    json_t *request = json_loads(request_json, JSON_REJECT_DUPLICATES, &error);
    json_t *reply = request != NULL ? answer(arg, request) : pel_json_refusal(error.text);
    *ret_reply_json = reply != NULL ? json_dumps(reply, JSON_COMPACT) : NULL;
    json_decref(reply);
    json_decref(request);
}
