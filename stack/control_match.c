/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control verb "policy-match": which rule of the policy in force a connection would get. Only the stack
 * can tell where it has rules that are in no file any more, or files that have changed since.
 */
#include <pellucid/policy.h>
#include <string.h>
#include <time.h>

#include "policy/view/keep.h"
#include "stack/control_json.h"
#include "stack/stack.h"

struct trials {
    const struct pel_policy *policy;
    json_t *rows;
};

static bool read_endpoint(const json_t *request, const char *key, struct sockaddr_storage *ret_address)
{
    struct pel_endpoint endpoint;
    const char *text = json_string_value(json_object_get(request, key));
    if (text == NULL || pel_endpoint_parse(text, &endpoint) != PEL_OK || endpoint.ip.version == 0)
        return false;
    pel_endpoint_to_sockaddr(&endpoint, endpoint.ip.version == 4 ? AF_INET : AF_INET6, ret_address);
    return true;
}

/* Returns what is wrong with the request, or NULL. The connection borrows from it. */
static const char *read_connection(const json_t *request, struct pel_policy_connection *ret_connection)
{
    struct pel_policy_connection connection = {.wall_s = (int64_t)time(NULL)};
    const char *direction = json_string_value(json_object_get(request, "direction"));
    const json_t *when = json_object_get(request, "time");
    if (direction == NULL || (strcmp(direction, "inbound") != 0 && strcmp(direction, "outbound") != 0))
        return "\"direction\" must be \"inbound\" or \"outbound\"";
    if (!read_endpoint(request, "local", &connection.local))
        return "\"local\" must be an address and a port";
    if (!read_endpoint(request, "remote", &connection.remote))
        return "\"remote\" must be an address and a port";
    connection.inbound = strcmp(direction, "inbound") == 0;
    connection.user = json_string_value(json_object_get(request, "user"));
    connection.job = json_string_value(json_object_get(request, "job"));
    if (json_is_integer(when))
        connection.wall_s = (int64_t)json_integer_value(when);
    *ret_connection = connection;
    return NULL;
}

static void add_trial(void *arg, const struct pel_policy_trial *trial)
{
    const struct trials *trials = arg;
    json_t *row = json_pack("{s:o, s:b, s:b, s:o}", "rule", pel_json_text(trial->rule), "reached",
                            trial->reached, "matches", trial->matches, "reason",
                            trial->reason != NULL ? pel_json_text(trial->reason) : json_null());
    if (pel_policy_is_kept(trials->policy, trial->index))
        json_object_set_new(row, "kept", json_true());
    json_array_append_new(trials->rows, row);
}

/* The rule, and why it could not be served. */
static void put_rule(json_t *reply, const struct pel_generation *generation, size_t index)
{
    const struct pel_error *problem = &generation->bindings[index].problem;
    json_object_set_new(reply, "rule", pel_json_text(pel_policy_rule(generation->policy, index)->name));
    if (pel_policy_is_kept(generation->policy, index))
        json_object_set_new(reply, "kept", json_true());
    if (problem->code != PEL_OK)
        json_object_set_new(reply, "problem", pel_json_text(problem->text));
}

static json_t *match(const struct pel_stack *stack, const struct pel_generation *generation,
                     const struct pel_policy_connection *connection, bool why)
{
    struct pel_policy_outcome outcome;
    struct trials trials = {.policy = generation->policy, .rows = why ? json_array() : NULL};
    enum pel_err err =
        pel_policy_match(generation->policy, connection, why ? add_trial : NULL, &trials, &outcome);
    if (err != PEL_OK) {
        json_decref(trials.rows);
        return pel_json_refusal(pel_err_text(err));
    }
    bool refused = !outcome.has_rule && stack->config.policy.no_match_refuse;
    json_t *reply =
        json_pack("{s:b, s:I, s:n, s:s}", "ok", 1, "generation", (json_int_t)generation->number, "rule",
                  "verdict", refused ? "refused (no rule)" : pel_policy_verdict_text(outcome.verdict));
    if (outcome.has_rule)
        put_rule(reply, generation, outcome.index);
    if (why)
        json_object_set_new(reply, "rules", trials.rows);
    return reply;
}

json_t *pel_control_policy_match(struct pel_stack *stack, const json_t *request)
{
    struct pel_policy_connection connection;
    const char *wrong = read_connection(request, &connection);
    if (wrong != NULL)
        return pel_json_refusal(wrong);
    struct pel_generation *generation = pel_generation_current(&stack->slot);
    if (generation == NULL)
        return pel_json_refusal("no policy is in force");
    json_t *reply = match(stack, generation, &connection, json_is_true(json_object_get(request, "why")));
    pel_generation_unref(generation);
    return reply;
}
