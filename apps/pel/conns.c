/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `pel conns`: the connections of a running stack, and what policy made of each.
 */
#include <stdio.h>

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

/* What there is to say of one that ended: the reason's name, and TLS's own words; of any, what may surprise. */
static void describe_end(const json_t *conn, char *text, size_t cap)
{
    const char *note = json_string_value(json_object_get(conn, "note"));
    if (json_object_get(conn, "ended") == NULL && note != NULL) {
        snprintf(text, cap, "%s", note);
        return;
    }
    const char *failure = json_string_value(json_object_get(conn, "failure"));
    bool has_failure = failure != NULL && *failure != '\0';
    snprintf(text, cap, "%s%s%s", text_of(conn, "ended"), has_failure ? ": " : "",
             has_failure ? failure : "");
}

static void add_row(struct ask_table *table, const json_t *conn, bool has_ended)
{
    char bytes[64], end[600];
    snprintf(bytes, sizeof bytes, "%lld/%lld", number_of(conn, "bytes_in"), number_of(conn, "bytes_out"));
    describe_end(conn, end, sizeof end);
    const char *const texts[] = {
        text_of(conn, "direction"),
        text_of(conn, "local"),
        text_of(conn, "remote"),
        text_of(conn, "role"),
        text_of(conn, "rule"),
        text_of(conn, "map"),
        text_of(conn, "state"),
        text_of(conn, "version"),
        text_of(conn, "cipher"),
        text_of(conn, "peer_subject"),
        bytes,
        end,
    };
    ask_table_row(table, texts);
}

static void add_rows(struct ask_table *table, const json_t *list, bool has_ended)
{
    size_t i;
    const json_t *conn;
    json_array_foreach(list, i, conn) add_row(table, conn, has_ended);
}

static void print_table(const json_t *reply, bool with_recent)
{
    static const char *const heading[] = {
        "DIRECTION", "LOCAL",   "REMOTE", "ROLE", "RULE",         "MAP",
        "STATE",     "VERSION", "CIPHER", "PEER", "BYTES IN/OUT", "ENDED",
    };
    struct ask_table table = {.num_columns = sizeof heading / sizeof heading[0] - (with_recent ? 0 : 1)};
    const json_t *connections = json_object_get(reply, "connections");
    printf("%s, process %lld, policy generation %lld: %zu connections\n", text_of(reply, "program"),
           number_of(reply, "pid"), number_of(reply, "generation"), json_array_size(connections));
    ask_table_row(&table, heading);
    add_rows(&table, connections, false);
    if (with_recent)
        add_rows(&table, json_object_get(reply, "recent"), true);
    if (table.num_rows > 1)
        ask_table_print(&table);
    ask_table_free(&table);
}

int verb_conns(int argc, char **argv)
{
    struct ask_options options;
    ask_parse(argc, argv,
              "Shows the connections of a running stack: addresses, role, rule, mapped by it or after "
              "another connection (secondary), state, version, cipher "
              "suite, the peer's certificate and "
              "bytes of clear text. With --json also actions, policy generation, ages and what ended lately.",
              true, &options);
    json_t *reply = ask_stack(&options, json_pack("{s:s}", "verb", "conns"));
    if (reply == NULL)
        return 1;
    int status = 0;
    if (options.json)
        status = ask_print_json(reply);
    else
        print_table(reply, options.recent);
    json_decref(reply);
    return status;
}
