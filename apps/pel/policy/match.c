/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `pel policy match FILE...`: which rule would a connection get, and why not another; with --live of the
 * policy that a running stack has in force.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "apps/pel/ask.h"
#include "apps/pel/policy/common.h"
#include "apps/pel/policy/connection.h"

enum {
    KEY_JSON = 256,
    KEY_WHY,
    KEY_DIRECTION,
    KEY_LOCAL,
    KEY_REMOTE,
    KEY_USER,
    KEY_JOB,
    KEY_TIME,
    KEY_LIVE,
    KEY_SOCKET,
};

struct options {
    struct pel_policy_options reading;
    bool json, why, live, has_direction, has_time;
    const char *socket_path;
    const char *local, *remote; /* NULL: not given */
    struct pel_policy_connection connection;
    char **files;
    size_t num_files;
};

static void check_complete(const struct argp_state *state, const struct options *options)
{
    if (options->num_files == 0 && !options->live)
        argp_error(state, "name a policy file, or ask the running stack with --live");
    if (options->live && options->num_files > 0)
        argp_error(state, "--live asks for the policy in force, whatever is in files");
    if (options->socket_path != NULL && !options->live)
        argp_error(state, "--socket goes with --live");
    if (!options->has_direction)
        argp_error(state, "--direction is missing: inbound or outbound");
    if (options->local == NULL)
        argp_error(state, "--local is missing: ADDR:PORT");
    if (options->remote == NULL)
        argp_error(state, "--remote is missing: ADDR:PORT");
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct options *options = state->input;
    struct pel_policy_connection *connection = &options->connection;
    static const char no_endpoint[] = "%s \"%s\" is not ADDR:PORT (an IPv6 address in brackets: [ADDR]:PORT)";
    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = &options->reading; return 0;
    case KEY_JSON: options->json = true; return 0;
    case KEY_WHY: options->why = true; return 0;
    case KEY_USER: connection->user = arg; return 0;
    case KEY_JOB: connection->job = arg; return 0;
    case KEY_DIRECTION:
        options->has_direction = policy_read_direction(arg, &connection->inbound);
        if (!options->has_direction)
            argp_error(state, "--direction \"%s\" is not inbound or outbound", arg);
        return 0;
    case KEY_LOCAL:
        options->local = arg;
        if (!policy_read_endpoint(arg, &connection->local))
            argp_error(state, no_endpoint, "--local", arg);
        return 0;
    case KEY_REMOTE:
        options->remote = arg;
        if (!policy_read_endpoint(arg, &connection->remote))
            argp_error(state, no_endpoint, "--remote", arg);
        return 0;
    case KEY_LIVE: options->live = true; return 0;
    case KEY_SOCKET: options->socket_path = arg; return 0;
    case KEY_TIME:
        options->has_time = true;
        if (!policy_read_time(arg, &connection->wall_s))
            argp_error(state, "--time \"%s\" is not a time such as 2026-03-29T02:30:00Z", arg);
        return 0;
    case ARGP_KEY_ARGS:
        options->files = state->argv + state->next;
        options->num_files = (size_t)(state->argc - state->next);
        return 0;
    case ARGP_KEY_END: check_complete(state, options); return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static void print_trial(void *arg, const struct pel_policy_trial *trial)
{
    (void)arg;
    if (trial->reached)
        printf("  %s: %s\n", trial->rule, trial->matches ? "matches" : trial->reason);
    else
        printf("  %s: not reached (%s)\n", trial->rule, trial->matches ? "would match" : trial->reason);
}

static void add_trial(void *arg, const struct pel_policy_trial *trial)
{
    json_t *entry = json_pack("{s:o, s:b, s:b, s:o}", "rule", policy_json_text(trial->rule), "reached",
                              trial->reached, "matches", trial->matches, "reason",
                              trial->reason == NULL ? json_null() : policy_json_text(trial->reason));
    (void)json_array_append_new(arg, entry);
}

static const char *rule_name(const struct pel_policy *policy, const struct pel_policy_outcome *outcome)
{
    struct pel_policy_info info;
    if (!outcome->has_rule || pel_policy_describe(policy, outcome->index, &info) != PEL_OK)
        return NULL;
    return info.name;
}

static int match(const struct options *options, const struct pel_policy *policy)
{
    struct pel_policy_outcome outcome;
    json_t *rules = options->json ? json_array() : NULL;
    enum pel_err err =
        pel_policy_match(policy, &options->connection, options->json ? add_trial : NULL, rules, &outcome);
    if (err != PEL_OK) {
        fprintf(stderr, "pel: %s\n", pel_err_text(err));
        json_decref(rules);
        return POLICY_FAILED;
    }
    const char *name = rule_name(policy, &outcome), *verdict = pel_policy_verdict_text(outcome.verdict);
    if (options->json) {
        policy_print_json(json_pack("{s:o, s:s, s:o}", "rule",
                                    name == NULL ? json_null() : policy_json_text(name), "verdict", verdict,
                                    "rules", rules));
        return POLICY_FINE;
    }
    printf(name == NULL ? "no rule\n" : "rule %s\n", name);
    printf("%s\n", verdict);
    if (options->why && pel_policy_count(policy) > 0) {
        printf("\nThe rules, in the order in which they are tried:\n");
        if (pel_policy_match(policy, &options->connection, print_trial, NULL, &outcome) != PEL_OK)
            return POLICY_FAILED;
    }
    return POLICY_FINE;
}

/* ---- asking the running stack ---- */

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static json_t *question_of(const struct options *options)
{
    const struct pel_policy_connection *connection = &options->connection;
    json_t *request = json_pack("{s:s, s:s, s:s, s:s, s:b}", "verb", "policy-match", "direction",
                                connection->inbound ? "inbound" : "outbound", "local", options->local,
                                "remote", options->remote, "why", options->why || options->json);
    if (connection->user != NULL)
        json_object_set_new(request, "user", policy_json_text(connection->user));
    if (connection->job != NULL)
        json_object_set_new(request, "job", policy_json_text(connection->job));
    if (options->has_time)
        json_object_set_new(request, "time", json_integer((json_int_t)connection->wall_s));
    return request;
}

static void print_live_trials(const json_t *rules)
{
    const json_t *row;
    size_t i;
    if (json_array_size(rules) > 0)
        printf("\nThe rules, in the order in which they are tried:\n");
    json_array_foreach(rules, i, row)
    {
        char name[200];
        snprintf(name, sizeof name, "%s%s", text_of(row, "rule"),
                 json_is_true(json_object_get(row, "kept")) ? " (in no file any more)" : "");
        const struct pel_policy_trial trial = {.index = i,
                                               .rule = name,
                                               .reached = json_is_true(json_object_get(row, "reached")),
                                               .matches = json_is_true(json_object_get(row, "matches")),
                                               .reason = text_of(row, "reason")};
        print_trial(NULL, &trial);
    }
}

static int match_live(const struct options *options)
{
    const struct ask_options ask = {.socket_path = options->socket_path};
    json_t *reply = ask_stack(&ask, question_of(options));
    if (reply == NULL)
        return POLICY_FAILED;
    if (options->json) {
        json_object_del(reply, "ok");
        policy_print_json(reply);
        return POLICY_FINE;
    }
    const char *name = text_of(reply, "rule"), *problem = text_of(reply, "problem");
    if (name != NULL)
        printf("rule %s%s\n", name,
               json_is_true(json_object_get(reply, "kept")) ? " (in no file any more)" : "");
    else
        printf("no rule\n");
    printf("%s\n", text_of(reply, "verdict"));
    if (problem != NULL)
        printf("cannot be served, its connections are refused: %s\n", problem);
    print_live_trials(json_object_get(reply, "rules"));
    json_decref(reply);
    return POLICY_FINE;
}

static const struct argp_option options_of_match[] = {
    {"direction", KEY_DIRECTION, "inbound|outbound", 0, "inbound: the connection is accepted here", 0},
    {"local", KEY_LOCAL, "ADDR:PORT", 0, "This end; an IPv6 address is written [ADDR]:PORT", 0},
    {"remote", KEY_REMOTE, "ADDR:PORT", 0, "The other end", 0},
    {"user", KEY_USER, "USER", 0, "The socket's owner; without it only rules without Userid match", 0},
    {"job", KEY_JOB, "JOB", 0, "The program's name; without it only rules without Jobname match", 0},
    {"time", KEY_TIME, "RFC3339", 0, "When, 2026-03-29T02:30:00Z; else now", 0},
    {"why", KEY_WHY, NULL, 0,
     "Also list every rule in match order with the first of its conditions that fails; of a rule behind the "
     "match, what it would have said",
     0},
    {"live", KEY_LIVE, NULL, 0,
     "Ask the running stack of the policy that it has in force, with rules that are in no file any more", 0},
    {"socket", KEY_SOCKET, "PATH", 0, "The stack's control socket, with --live", 0},
    {"json", KEY_JSON, NULL, 0, "Print one JSON object: rule, verdict, rules (as --why)", 0},
    {0},
};

int policy_match(int argc, char **argv)
{
    static const struct argp argp = {
        .options = options_of_match,
        .parser = parse_option,
        .args_doc = "FILE...\n--live",
        .doc = "Says which rule of the policy a connection would get, and the verdict: tls, tls when asked, "
               "clear, or clear (no rule).",
        .children = policy_reading};
    struct options options = {.connection = {.wall_s = time(NULL)}};
    struct pel_policy *policy = NULL;
    if (!policy_parse(&argp, argc, argv, &options))
        return POLICY_USAGE;
    if (options.live)
        return match_live(&options);
    if (!policy_open(options.files, options.num_files, &options.reading, options.json, &policy))
        return POLICY_FAILED;
    int status = match(&options, policy);
    pel_policy_close(policy);
    return status;
}
