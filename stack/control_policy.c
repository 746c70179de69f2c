/* SPDX-License-Identifier: Apache-2.0 */
/* The control verbs "policy-load" and "policy-status". */
#include <pellucid/policy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "policy/view/keep.h"
#include "stack/control_json.h"
#include "stack/no_rule.h"
#include "stack/stack.h"
#include "stack/stale.h"

/* ---- policy-load ---- */

static void append_diag(void *arg, const struct pel_policy_diag *diag)
{
    json_t *json = json_pack("{s:I, s:I, s:s}", "line", (json_int_t)diag->line, "column",
                             (json_int_t)diag->column, "severity", pel_severity_name(diag->severity));
    json_object_set_new(json, "file", pel_json_text(diag->file));
    json_object_set_new(json, "message", pel_json_text(diag->message));
    json_array_append_new(arg, json);
}

/* The files that the request names, or the configured ones when it names none. Returns their number, or -1.
 */
static int files_of(struct pel_stack *stack, const json_t *request, const char **files)
{
    const json_t *list = json_object_get(request, "files"), *file;
    size_t i, num = json_array_size(list);
    if (list != NULL && !json_is_array(list))
        return -1;
    if (num == 0) {
        memcpy(files, stack->config.policy.files, sizeof *files * stack->config.policy.num_files);
        return (int)stack->config.policy.num_files;
    }
    if (num > PEL_CONFIG_POLICY_FILES_MAX)
        return -1;
    json_array_foreach(list, i, file)
    {
        files[i] = json_string_value(file);
        if (files[i] == NULL)
            return -1;
    }
    return (int)num;
}

/* The rules' names are a policy's: they are UTF-8 or "?". */
static json_t *changes_of(const struct pel_load_changes *changes)
{
    json_t *list = json_array();
    for (size_t i = 0; i < changes->num; i++) {
        const struct pel_load_change *row = &changes->rows[i];
        json_t *json = json_pack("{s:s}", "change", pel_load_change_name(row->kind));
        json_object_set_new(json, "rule", pel_json_text(row->rule));
        if (row->detail != NULL)
            json_object_set_new(json, "what", pel_json_text(row->detail));
        json_array_append_new(list, json);
    }
    return list;
}

static void put_changes(json_t *reply, const struct pel_load_changes *changes)
{
    for (int i = 0; i < PEL_CHANGE_KINDS; i++)
        json_object_set_new(reply, pel_load_change_name((enum pel_load_change_kind)i),
                            json_integer((json_int_t)changes->num_of[i]));
    json_object_set_new(reply, "changes", changes_of(changes));
}

/* Rules that cannot be served, and why, from the generation that the load made. */
static json_t *unusable_of(struct pel_stack *stack)
{
    json_t *list = json_array();
    struct pel_generation *generation = pel_generation_current(&stack->slot);
    size_t num = generation != NULL ? pel_policy_num_rules(generation->policy) : 0;
    for (size_t i = 0; i < num && json_array_size(list) < PEL_LOAD_CHANGES_LISTED; i++) {
        if (generation->bindings[i].problem.code == PEL_OK)
            continue;
        json_t *json = json_object();
        json_object_set_new(json, "rule", pel_json_text(pel_policy_rule(generation->policy, i)->name));
        json_object_set_new(json, "problem", pel_json_text(generation->bindings[i].problem.text));
        json_array_append_new(list, json);
    }
    pel_generation_unref(generation);
    return list;
}

json_t *pel_control_policy_load(struct pel_stack *stack, const json_t *request)
{
    const char *files[PEL_CONFIG_POLICY_FILES_MAX];
    struct pel_load_result result = {0};
    struct pel_error error = {0};
    int num_files = files_of(stack, request, files);
    if (num_files < 0)
        return pel_json_refusal("\"files\" must be a list of at most 16 paths");
    const struct pel_load_request asked = {
        .files = files, .num_files = (size_t)num_files, .how = PEL_LOAD_ASKED};
    json_t *diagnostics = json_array();
    enum pel_err err = pel_stack_load_policy(stack, &asked, append_diag, diagnostics, &result, &error);
    json_t *reply =
        json_pack("{s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "ok", err == PEL_OK, "generation",
                  (json_int_t)result.generation, "rules", (json_int_t)result.num_rules, "warnings",
                  (json_int_t)result.num_warnings, "unusable", (json_int_t)result.num_unusable, "kept",
                  (json_int_t)result.num_kept, "certificates_replaced", (json_int_t)result.num_certs_replaced,
                  "diagnostics", diagnostics);
    if (err == PEL_OK) {
        put_changes(reply, &result.changes);
        json_object_set_new(reply, "unusable_rules", unusable_of(stack));
    } else {
        json_object_set_new(reply, "error", pel_json_text(error.text));
    }
    pel_load_result_free(&result);
    return reply;
}

/* ---- policy-status: rules ---- */

static json_t *time_of(int64_t time_s)
{
    return time_s != 0 ? json_integer((json_int_t)time_s) : json_null();
}

static json_t *rule_of(const struct pel_generation *generation, size_t i)
{
    const struct pel_binding *binding = &generation->bindings[i];
    struct pel_policy_info info;
    uint64_t hits;
    int64_t last_s;
    if (pel_policy_describe(generation->policy, i, &info) != PEL_OK)
        return json_null();
    pel_rule_hits_sum(binding->hits, &hits, &last_s);
    json_t *json = json_pack("{s:I, s:s, s:s, s:I, s:I, s:o, s:I, s:b}", "priority",
                             (json_int_t)info.priority, "direction",
                             info.inbound && info.outbound ? "both"
                             : info.inbound                ? "inbound"
                                                           : "outbound",
                             "verdict", pel_policy_verdict_text(info.verdict), "line", (json_int_t)info.line,
                             "hits", (json_int_t)hits, "last_hit", time_of(last_s), "since_generation",
                             (json_int_t)binding->since, "usable", binding->problem.code == PEL_OK);
    json_object_set_new(json, "rule", pel_json_text(info.name));
    json_object_set_new(json, "file", pel_json_text(info.file));
    if (pel_policy_is_kept(generation->policy, i))
        json_object_set_new(json, "kept", json_true());
    if (binding->problem.code != PEL_OK)
        json_object_set_new(json, "problem", pel_json_text(binding->problem.text));
    return json;
}

static json_t *rules_of(struct pel_stack *stack)
{
    json_t *list = json_array();
    struct pel_generation *generation = pel_generation_current(&stack->slot);
    size_t num = generation != NULL ? pel_policy_num_rules(generation->policy) : 0;
    for (size_t i = 0; i < num; i++)
        json_array_append_new(list, rule_of(generation, i));
    pel_generation_unref(generation);
    return list;
}

/* ---- policy-status: the rest ---- */

/* NULL: out of memory. */
static json_t *stale_of(struct pel_stack *stack, json_int_t *ret_num_more)
{
    struct pel_stale_rules *rules = malloc(sizeof *rules);
    if (rules == NULL || pel_stale_collect(stack, rules) != PEL_OK) {
        free(rules);
        return NULL;
    }
    json_t *list = json_array();
    for (size_t i = 0; i < rules->num; i++) {
        const struct pel_stale_rule *row = &rules->rows[i];
        json_t *json =
            json_pack("{s:I, s:s, s:I, s:I}", "generation", (json_int_t)row->generation, "why", row->why,
                      "connections", (json_int_t)row->num_conns, "oldest_ms", (json_int_t)row->oldest_ms);
        json_object_set_new(json, "rule", pel_json_text(row->rule));
        json_array_append_new(list, json);
    }
    *ret_num_more = (json_int_t)rules->num_conns_more;
    free(rules);
    return list;
}

static json_t *cert_of(const struct pel_policy_cert *cert, int64_t now_s)
{
    static const char *const states[] = {
        [PEL_CERT_FINE] = "valid",         [PEL_CERT_SOON] = "expires soon",
        [PEL_CERT_EXPIRED] = "expired",    [PEL_CERT_NOT_YET] = "not valid yet",
        [PEL_CERT_BAD] = "cannot be used",
    };
    static const char *const places[] = {
        [PEL_KEYRING_OWN] = "own", [PEL_KEYRING_CHAIN] = "chain", [PEL_KEYRING_TRUST] = "trust"};
    char sha256[2 * sizeof cert->sha256 + 1];
    int64_t days;
    enum pel_cert_state state = pel_policy_cert_state(cert, now_s, &days);
    for (size_t i = 0; i < sizeof cert->sha256; i++)
        snprintf(sha256 + 2 * i, 3, "%02x", cert->sha256[i]);
    json_t *json = json_pack("{s:s, s:s, s:b, s:o, s:o, s:o}", "state", states[state], "place",
                             places[cert->place], "used", cert->used, "not_before",
                             time_of(cert->not_before_s), "not_after", time_of(cert->not_after_s), "days",
                             cert->not_after_s != 0 ? json_integer((json_int_t)days) : json_null());
    json_object_set_new(json, "sha256", cert->not_after_s != 0 ? json_string(sha256) : json_null());
    json_object_set_new(json, "keyring", pel_json_text(cert->keyring));
    json_object_set_new(json, "label", pel_json_text(cert->label));
    json_object_set_new(json, "subject", pel_json_text(cert->subject));
    if (cert->problem != PEL_OK) {
        json_object_set_new(json, "problem", pel_json_text(cert->problem_text));
        json_object_set_new(json, "error", json_string(pel_err_name(cert->problem)));
    }
    return json;
}

static json_t *certs_of(struct pel_stack *stack, int64_t now_s)
{
    json_t *list = json_array();
    pthread_mutex_lock(&stack->live.lock);
    for (size_t i = 0; i < stack->live.certs.num; i++)
        json_array_append_new(list, cert_of(&stack->live.certs.rows[i], now_s));
    pthread_mutex_unlock(&stack->live.lock);
    return list;
}

static json_t *no_rule_of(struct pel_stack *stack)
{
    char command[1024];
    json_t *list = json_array();
    struct pel_no_rule_port rows[PEL_ENGINE_NO_RULE_PORTS];
    pel_no_rule_collect(stack, rows);
    for (size_t i = 0; i < PEL_ENGINE_NO_RULE_PORTS; i++) {
        const struct pel_no_rule_port *row = &rows[i];
        if (row->count == 0)
            continue;
        json_t *json =
            json_pack("{s:I, s:s, s:I, s:o, s:o}", "port", (json_int_t)row->port, "direction",
                      row->outbound ? "outbound" : "inbound", "count", (json_int_t)row->count, "local",
                      pel_json_endpoint(&row->local), "remote", pel_json_endpoint(&row->remote));
        json_object_set_new(json, "command",
                            pel_json_text(pel_no_rule_command(stack, row, command, sizeof command)));
        json_array_append_new(list, json);
    }
    return list;
}

static json_t *names_of(char *const *names, size_t num)
{
    json_t *list = json_array();
    for (size_t i = 0; i < num; i++)
        json_array_append_new(list, pel_json_text(names[i]));
    return list;
}

static json_t *failure_of(const struct pel_policy_live *live)
{
    if (!live->failure.is_last)
        return json_null();
    json_t *json = json_pack("{s:I, s:s, s:o, s:o}", "at", (json_int_t)live->failure.at_s, "how",
                             pel_load_how_name(live->failure.how), "files",
                             names_of(live->failure.files, live->failure.num_files), "messages",
                             names_of(live->failure.messages, live->failure.num_messages));
    json_object_set_new(json, "error", pel_json_text(live->failure.text));
    return json;
}

/* What is in force, and since when. */
static json_t *head_of(struct pel_stack *stack, int64_t now_s)
{
    struct pel_policy_live *live = &stack->live;
    const struct pel_config *config = &stack->config;
    pthread_mutex_lock(&live->lock);
    json_t *reply =
        json_pack("{s:b, s:s, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:o}", "ok", 1,
                  "program", stack->job, "pid", (json_int_t)getpid(), "now", (json_int_t)now_s, "generation",
                  (json_int_t)live->generation, "loaded_at", time_of(live->loaded_s), "age_s",
                  live->generation > 0 ? json_integer((json_int_t)(now_s - live->loaded_s)) : json_null(),
                  "how", live->generation > 0 ? json_string(pel_load_how_name(live->how)) : json_null(),
                  "files", names_of(live->files, live->num_files), "num_rules",
                  (json_int_t)live->result.num_rules, "num_warnings", (json_int_t)live->result.num_warnings,
                  "num_unusable", (json_int_t)live->result.num_unusable, "num_kept",
                  (json_int_t)live->result.num_kept, "failure", failure_of(live));
    bool flush = live->read.agent.is_agent ? live->read.agent.flush : !config->policy.no_flush;
    json_object_set_new(reply, "files_read", names_of(live->read.paths, live->read.num_paths));
    pthread_mutex_unlock(&live->lock);
    json_object_set_new(reply, "flush", json_boolean(flush));
    json_object_set_new(reply, "watch", json_boolean(config->policy.watch));
    json_object_set_new(reply, "no_match", json_string(config->policy.no_match_refuse ? "refuse" : "clear"));
    json_object_set_new(reply, "keyring_dir", pel_json_text(config->policy.keyring_dir));
    json_object_set_new(reply, "start_gate", json_string(config->policy.start_gate_open ? "open" : "closed"));
    return reply;
}

/* Whether the request wants that part: all, unless it lists some. */
static bool wants(const json_t *request, const char *part)
{
    const json_t *parts = json_object_get(request, "parts"), *wanted;
    size_t i;
    if (parts == NULL)
        return true;
    json_array_foreach(parts, i, wanted)
    {
        if (json_is_string(wanted) && strcmp(json_string_value(wanted), part) == 0)
            return true;
    }
    return false;
}

json_t *pel_control_policy_status(struct pel_stack *stack, const json_t *request)
{
    int64_t now_s = (int64_t)time(NULL);
    json_int_t num_more = 0;
    json_t *reply = head_of(stack, now_s);
    if (wants(request, "rules"))
        json_object_set_new(reply, "rules", rules_of(stack));
    if (wants(request, "stale")) {
        json_t *stale = stale_of(stack, &num_more);
        if (stale == NULL) {
            json_decref(reply);
            return NULL;
        }
        json_object_set_new(reply, "stale", stale);
        json_object_set_new(reply, "stale_connections_more", json_integer(num_more));
    }
    if (wants(request, "certificates"))
        json_object_set_new(reply, "certificates", certs_of(stack, now_s));
    if (wants(request, "no_rule"))
        json_object_set_new(reply, "no_rule", no_rule_of(stack));
    return reply;
}
