/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `pel policy status`: what policy a running stack has, since when and from where, how often each rule was
 * chosen, which rules are stale, which certificates end soon, and which ports have connections without a
 * rule.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "apps/pel/ask.h"
#include "apps/pel/policy/common.h"

enum { KEY_JSON = 256, KEY_SOCKET, KEY_RULES, KEY_STALE, KEY_CERTS, KEY_PORTS, KEY_ALL };

struct options {
    struct ask_options ask;
    bool rules, stale, certs, ports; /* none: all of them */
    bool all;
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct options *options = state->input;
    switch (key) {
    case KEY_JSON: options->ask.json = true; return 0;
    case KEY_SOCKET: options->ask.socket_path = arg; return 0;
    case KEY_RULES: options->rules = true; return 0;
    case KEY_STALE: options->stale = true; return 0;
    case KEY_CERTS: options->certs = true; return 0;
    case KEY_PORTS: options->ports = true; return 0;
    case KEY_ALL: options->all = true; return 0;
    case ARGP_KEY_ARG: argp_error(state, "what is '%s'?", arg); return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL && text[0] != '\0' ? text : "-";
}

static long long number_of(const json_t *object, const char *key)
{
    return (long long)json_integer_value(json_object_get(object, key));
}

static bool is_number(const json_t *object, const char *key)
{
    return json_is_integer(json_object_get(object, key));
}

/* ---- times ---- */

#define TIME_CAP 40

static const char *format_time(const json_t *object, const char *key, const char *format, char *text)
{
    time_t time = (time_t)number_of(object, key);
    struct tm tm;
    if (!is_number(object, key) || gmtime_r(&time, &tm) == NULL || strftime(text, TIME_CAP, format, &tm) == 0)
        snprintf(text, TIME_CAP, "-");
    return text;
}

/* "12 s", "3 min", "5 h", "9 days": the largest unit that there is at least one of. */
static const char *format_age(long long age_s, char *text)
{
    if (age_s < 60)
        snprintf(text, TIME_CAP, "%lld s", age_s);
    else if (age_s < 3600)
        snprintf(text, TIME_CAP, "%lld min", age_s / 60);
    else if (age_s < 2 * 86400)
        snprintf(text, TIME_CAP, "%lld h", age_s / 3600);
    else
        snprintf(text, TIME_CAP, "%lld days", age_s / 86400);
    return text;
}

/* ---- parts ---- */

static void print_files(const json_t *files)
{
    const json_t *file;
    size_t i;
    json_array_foreach(files, i, file) printf("%s%s", i == 0 ? "" : ", ", json_string_value(file));
}

static void print_failure(const json_t *failure)
{
    const json_t *message;
    char when[TIME_CAP];
    size_t i;
    if (!json_is_object(failure))
        return;
    printf("  the last attempt FAILED at %s (%s) with ",
           format_time(failure, "at", "%Y-%m-%d %H:%M:%SZ", when), text_of(failure, "how"));
    print_files(json_object_get(failure, "files"));
    printf(": %s\n", text_of(failure, "error"));
    json_array_foreach(json_object_get(failure, "messages"), i, message)
        printf("    %s\n", json_string_value(message));
}

static void print_head(const json_t *reply)
{
    char when[TIME_CAP], age[TIME_CAP];
    long long num_kept = number_of(reply, "num_kept");
    printf("%s, process %lld: ", text_of(reply, "program"), number_of(reply, "pid"));
    if (number_of(reply, "generation") == 0) {
        printf("no policy is in force; the start gate is %s\n", text_of(reply, "start_gate"));
    } else {
        printf("policy generation %lld, loaded at %s (%s), %s ago\n  from ", number_of(reply, "generation"),
               format_time(reply, "loaded_at", "%Y-%m-%d %H:%M:%SZ", when), text_of(reply, "how"),
               format_age(number_of(reply, "age_s"), age));
        print_files(json_object_get(reply, "files"));
        printf("\n  %lld rules, %lld warnings, %lld rules that cannot be served",
               number_of(reply, "num_rules"), number_of(reply, "num_warnings"),
               number_of(reply, "num_unusable"));
        if (num_kept > 0)
            printf(", %lld rules that are in no file any more", num_kept);
        printf("\n");
    }
    printf("  files are%s watched; connections without a rule are %s\n",
           json_is_true(json_object_get(reply, "watch")) ? "" : " not",
           strcmp(text_of(reply, "no_match"), "refuse") == 0 ? "refused" : "in clear");
    print_failure(json_object_get(reply, "failure"));
}

/* Prints the table, or that there is nothing. */
static void end_table(struct ask_table *table, const char *title)
{
    if (table->num_rows > 1) {
        printf("\n%s\n", title);
        ask_table_print(table);
    }
    ask_table_free(table);
}

static void print_rules(const json_t *rules)
{
    static const char *const heading[] = {"RULE", "PRIORITY", "DIRECTION", "VERDICT",
                                          "HITS", "LAST HIT", "SINCE",     "USABLE"};
    struct ask_table table = {.num_columns = sizeof heading / sizeof *heading};
    const json_t *rule;
    size_t i;
    ask_table_row(&table, heading);
    json_array_foreach(rules, i, rule)
    {
        char priority[24], hits[24], last[TIME_CAP], since[24];
        snprintf(priority, sizeof priority, "%lld", number_of(rule, "priority"));
        snprintf(hits, sizeof hits, "%lld", number_of(rule, "hits"));
        snprintf(since, sizeof since, "%lld", number_of(rule, "since_generation"));
        const char *const cells[] = {text_of(rule, "rule"),
                                     priority,
                                     text_of(rule, "direction"),
                                     text_of(rule, "verdict"),
                                     hits,
                                     format_time(rule, "last_hit", "%Y-%m-%d %H:%M:%SZ", last),
                                     since,
                                     json_is_true(json_object_get(rule, "usable")) ? "yes" : "no"};
        ask_table_row(&table, cells);
    }
    end_table(&table, "Rules, in match order");
    json_array_foreach(rules, i, rule)
    {
        if (!json_is_true(json_object_get(rule, "usable")))
            printf("%s cannot be served, its connections are refused: %s\n", text_of(rule, "rule"),
                   text_of(rule, "problem"));
    }
}

static void print_stale(const json_t *reply)
{
    static const char *const heading[] = {"RULE", "GENERATION", "WHY", "CONNECTIONS", "OLDEST"};
    struct ask_table table = {.num_columns = sizeof heading / sizeof *heading};
    const json_t *row;
    size_t i;
    ask_table_row(&table, heading);
    json_array_foreach(json_object_get(reply, "stale"), i, row)
    {
        char generation[24], num[24], oldest[TIME_CAP];
        snprintf(generation, sizeof generation, "%lld", number_of(row, "generation"));
        snprintf(num, sizeof num, "%lld", number_of(row, "connections"));
        const char *const cells[] = {text_of(row, "rule"), generation, text_of(row, "why"), num,
                                     format_age(number_of(row, "oldest_ms") / 1000, oldest)};
        ask_table_row(&table, cells);
    }
    end_table(&table, "Stale rules that connections still have");
    if (number_of(reply, "stale_connections_more") > 0)
        printf("and %lld connections of more rules\n", number_of(reply, "stale_connections_more"));
}

/* The machine's hundred authorities are of interest when one ends. */
static bool is_shown(const json_t *cert, bool all)
{
    return all || strncmp(text_of(cert, "keyring"), "*AUTH*", 6) != 0 ||
           strcmp(text_of(cert, "state"), "valid") != 0;
}

static void add_cert(struct ask_table *table, const json_t *cert)
{
    static const char *const places[][2] = {{"own", "own"}, {"chain", "sent along"}, {"trust", "authority"}};
    char days[24] = "-", until[TIME_CAP];
    const char *place = text_of(cert, "place");
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (strcmp(place, places[i][0]) == 0)
            place = places[i][1];
    if (is_number(cert, "days"))
        snprintf(days, sizeof days, "%lld", number_of(cert, "days"));
    bool used = json_is_true(json_object_get(cert, "used"));
    const char *const cells[] = {days,
                                 format_time(cert, "not_after", "%Y-%m-%d", until),
                                 used ? text_of(cert, "state") : "not used",
                                 text_of(cert, "keyring"),
                                 text_of(cert, "label"),
                                 place,
                                 text_of(cert, "subject")};
    ask_table_row(table, cells);
}

static void print_certs(const json_t *certs, bool all)
{
    static const char *const heading[] = {"DAYS", "UNTIL", "STATE", "KEYRING", "LABEL", "WHAT", "SUBJECT"};
    struct ask_table table = {.num_columns = sizeof heading / sizeof *heading};
    const json_t *cert;
    size_t i, num_hidden = 0;
    ask_table_row(&table, heading);
    json_array_foreach(certs, i, cert)
    {
        if (is_shown(cert, all))
            add_cert(&table, cert);
        else
            num_hidden++;
    }
    end_table(&table, "Certificates, by the days that they have left");
    if (num_hidden > 0)
        printf("and %zu of the machine's authorities that are valid (--all shows them)\n", num_hidden);
    json_array_foreach(certs, i, cert)
    {
        if (json_is_string(json_object_get(cert, "problem")))
            printf("keyring %s, %s: %s\n", text_of(cert, "keyring"), text_of(cert, "label"),
                   text_of(cert, "problem"));
    }
}

static void print_ports(const json_t *ports)
{
    static const char *const heading[] = {"PORT", "DIRECTION", "CONNECTIONS", "SUCH AS"};
    struct ask_table table = {.num_columns = sizeof heading / sizeof *heading};
    const json_t *row;
    size_t i;
    ask_table_row(&table, heading);
    json_array_foreach(ports, i, row)
    {
        char port[24] = "others", num[24];
        if (number_of(row, "port") != 0)
            snprintf(port, sizeof port, "%lld", number_of(row, "port"));
        snprintf(num, sizeof num, "%lld", number_of(row, "count"));
        const char *const cells[] = {port, text_of(row, "direction"), num, text_of(row, "remote")};
        ask_table_row(&table, cells);
    }
    end_table(&table, "Connections that no rule matched");
    json_array_foreach(ports, i, row)
    {
        if (text_of(row, "command")[0] != '-')
            printf("why: %s\n", text_of(row, "command"));
    }
}

/* ---- the question ---- */

static json_t *request_of(const struct options *options)
{
    const struct {
        bool wanted;
        const char *part;
    } rows[] = {{options->rules, "rules"},
                {options->stale, "stale"},
                {options->certs, "certificates"},
                {options->ports, "no_rule"}};
    json_t *request = json_pack("{s:s}", "verb", "policy-status"), *parts = json_array();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].wanted)
            json_array_append_new(parts, json_string(rows[i].part));
    if (json_array_size(parts) > 0)
        json_object_set(request, "parts", parts);
    json_decref(parts);
    return request;
}

static const struct argp_option options_of_status[] = {
    {"rules", KEY_RULES, NULL, 0, "Only the rules: hits, last hit, whether they can be served", 1},
    {"stale", KEY_STALE, NULL, 0, "Only the stale rules that connections still have", 1},
    {"certs", KEY_CERTS, NULL, 0, "Only the certificates, by the days that they have left", 1},
    {"ports", KEY_PORTS, NULL, 0, "Only the ports with connections that no rule matched", 1},
    {"all", KEY_ALL, NULL, 0, "The machine's authorities that are valid, too", 2},
    {"socket", KEY_SOCKET, "PATH", 0, "The stack's control socket", 2},
    {"json", KEY_JSON, NULL, 0, "Print the stack's whole answer as JSON", 2},
    {0},
};

int policy_status(int argc, char **argv)
{
    static const struct argp argp = {
        .options = options_of_status,
        .parser = parse_option,
        .doc =
            "Shows a running stack's policy: its generation, since when and from where; how often each rule "
            "was chosen; stale rules; certificates; ports with connections that no rule matched."};
    struct options options = {0};
    if (!policy_parse(&argp, argc, argv, &options))
        return POLICY_USAGE;
    json_t *reply = ask_stack(&options.ask, request_of(&options));
    if (reply == NULL)
        return POLICY_FAILED;
    if (options.ask.json) {
        int status = ask_print_json(reply);
        json_decref(reply);
        return status;
    }
    print_head(reply);
    print_rules(json_object_get(reply, "rules"));
    print_stale(reply);
    print_certs(json_object_get(reply, "certificates"), options.all);
    print_ports(json_object_get(reply, "no_rule"));
    json_decref(reply);
    return POLICY_FINE;
}
