/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `pel conns`: the connections of a running stack, and what policy made of each.
 */
#include <stdio.h>
#include <string.h>

#include "apps/pel/ask.h"
#include "apps/pel/verb.h"

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL && *text != '\0' ? text : "-";
}

static long long number_of(const json_t *object, const char *key)
{
    return (long long)json_integer_value(json_object_get(object, key));
}

/* What there is to say of one that ended: the reason's name, and TLS's own words. */
static void describe_end(const json_t *conn, char *text, size_t cap)
{
    const char *failure = json_string_value(json_object_get(conn, "failure"));
    bool has_failure = failure != NULL && *failure != '\0';
    snprintf(text, cap, "%s%s%s", text_of(conn, "ended"), has_failure ? ": " : "",
             has_failure ? failure : "");
}

/* A program's own TLS is told, since under a rule it is encrypted twice. */
static void describe_state(const json_t *conn, char *text, size_t cap)
{
    const char *stale = json_string_value(json_object_get(conn, "stale"));
    bool own = json_is_true(json_object_get(conn, "own_tls"));
    const char *version = json_string_value(json_object_get(conn, "version"));
    bool secure = version != NULL && version[0] != '\0';
    snprintf(text, cap, "%s%s%s%s", text_of(conn, "state"),
             own && secure ? ", double TLS"
             : own         ? ", its own TLS"
                           : "",
             stale != NULL ? ", rule " : "", stale != NULL ? stale : "");
}

static void add_row(struct ask_table *table, const json_t *conn, const struct ask_options *options,
                    bool has_ended)
{
    char bytes[64], end[256], state[64];
    const char *texts[ASK_NUM_COLUMNS_MAX];
    size_t num = 0;
    snprintf(bytes, sizeof bytes, "%lld/%lld", number_of(conn, "bytes_in"), number_of(conn, "bytes_out"));
    describe_end(conn, end, sizeof end);
    describe_state(conn, state, sizeof state);
    for (const char *const *key =
             (const char *const[]){"direction", "local", "remote", "role", "rule", "map", NULL};
         *key != NULL; key++)
        texts[num++] = text_of(conn, *key);
    for (const char *const *key =
             (const char *const[]){"group_action", "environment_action", "connection_action", NULL};
         options->actions && *key != NULL; key++)
        texts[num++] = text_of(conn, *key);
    texts[num++] = state;
    for (const char *const *key = (const char *const[]){"version", "cipher", "peer_subject", NULL};
         *key != NULL; key++)
        texts[num++] = text_of(conn, *key);
    texts[num++] = bytes;
    texts[num++] = has_ended ? end : "";
    ask_table_row(table, texts);
}

static bool is_wanted(const json_t *conn, const struct ask_options *options)
{
    const char *rule = json_string_value(json_object_get(conn, "rule"));
    if (options->rule != NULL && (rule == NULL || strcmp(rule, options->rule) != 0))
        return false;
    return !options->stale || json_is_string(json_object_get(conn, "stale"));
}

/* Leaves in the list what was asked for. */
static void filter(json_t *list, const struct ask_options *options)
{
    for (size_t i = json_array_size(list); i > 0; i--)
        if (!is_wanted(json_array_get(list, i - 1), options))
            json_array_remove(list, i - 1);
}

static void add_rows(struct ask_table *table, const json_t *list, const struct ask_options *options,
                     bool has_ended)
{
    size_t i;
    const json_t *conn;
    json_array_foreach(list, i, conn) add_row(table, conn, options, has_ended);
}

static void add_heading(struct ask_table *table, const struct ask_options *options)
{
    static const char *const plain[] = {"DIRECTION", "LOCAL",   "REMOTE", "ROLE", "RULE",         "MAP",
                                        "STATE",     "VERSION", "CIPHER", "PEER", "BYTES IN/OUT", "ENDED"};
    static const char *const actions[] = {"DIRECTION", "LOCAL",  "REMOTE",      "ROLE",         "RULE",
                                          "MAP",       "GROUP",  "ENVIRONMENT", "CONNECTION",   "STATE",
                                          "VERSION",   "CIPHER", "PEER",        "BYTES IN/OUT", "ENDED"};
    table->num_columns = options->actions ? sizeof actions / sizeof *actions : sizeof plain / sizeof *plain;
    if (!options->recent)
        table->num_columns--;
    ask_table_row(table, options->actions ? actions : plain);
}

static void print_table(const json_t *reply, const struct ask_options *options)
{
    struct ask_table table = {0};
    const json_t *connections = json_object_get(reply, "connections");
    printf("%s, process %lld, policy generation %lld: %zu connections\n", text_of(reply, "program"),
           number_of(reply, "pid"), number_of(reply, "generation"), json_array_size(connections));
    add_heading(&table, options);
    add_rows(&table, connections, options, false);
    if (options->recent)
        add_rows(&table, json_object_get(reply, "recent"), options, true);
    if (table.num_rows > 1)
        ask_table_print(&table);
    ask_table_free(&table);
}

int verb_conns(int argc, char **argv)
{
    struct ask_options options;
    ask_parse(
        argc, argv,
        "Shows the connections of a running stack: addresses, role, rule, mapped by it or after "
        "another connection (secondary), state, version, cipher "
        "suite, the peer's certificate and "
        "bytes of clear text; whether the program speaks TLS of its own, and whether the rule is stale. "
        "With --json also policy generation, ages and what ended lately.",
        true, &options);
    json_t *reply = ask_stack(&options, json_pack("{s:s}", "verb", "conns"));
    if (reply == NULL)
        return 1;
    int status = 0;
    filter(json_object_get(reply, "connections"), &options);
    filter(json_object_get(reply, "recent"), &options);
    if (options.json)
        status = ask_print_json(reply);
    else
        print_table(reply, &options);
    json_decref(reply);
    return status;
}
