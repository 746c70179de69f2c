/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `pel stats`: what a running stack has counted, every drop and error by name.
 */
#include <stdio.h>

#include "apps/pel/ask.h"
#include "apps/pel/gate.h"
#include "apps/pel/verb.h"

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

static json_int_t number_of(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

/* A list of {"name","value","text"} and perhaps "category". */
static void print_counters(const char *title, const json_t *list, bool all)
{
    struct ask_table table = {.num_columns = 4};
    const char *const heading[] = {title, "VALUE", "", ""};
    size_t i;
    const json_t *counter;
    ask_table_row(&table, heading);
    json_array_foreach(list, i, counter)
    {
        char value[32];
        snprintf(value, sizeof value, "%" JSON_INTEGER_FORMAT, number_of(counter, "value"));
        const char *const texts[] = {text_of(counter, "name"), value, text_of(counter, "category"),
                                     text_of(counter, "text")};
        if (all || number_of(counter, "value") != 0)
            ask_table_row(&table, texts);
    }
    if (table.num_rows > 1) {
        ask_table_print(&table);
        printf("\n");
    }
    ask_table_free(&table);
}

static void print_no_rule(const json_t *list)
{
    size_t i;
    const json_t *row;
    json_array_foreach(list, i, row) printf(
        "port %" JSON_INTEGER_FORMAT " %s: %" JSON_INTEGER_FORMAT " connections that no rule matched\n",
        number_of(row, "port"), text_of(row, "direction"), number_of(row, "count"));
}

static void print_gate(const json_t *start_gate)
{
    if (json_is_true(json_object_get(start_gate, "closed")))
        printf("start gate: closed, since no policy is loaded\n");
    gate_print_held(start_gate, "start gate held: ");
}

/* One line for each engine, where there are several. */
static void print_engines(const json_t *list)
{
    for (size_t i = 0; json_array_size(list) > 1 && i < json_array_size(list); i++) {
        const json_t *row = json_array_get(list, i);
        printf("engine %" JSON_INTEGER_FORMAT " on core %" JSON_INTEGER_FORMAT ": %" JSON_INTEGER_FORMAT
               " connections, %" JSON_INTEGER_FORMAT " frames in, %" JSON_INTEGER_FORMAT " out\n",
               number_of(row, "engine"), number_of(row, "core"), number_of(row, "connections"),
               number_of(row, "rx_packets"), number_of(row, "tx_packets"));
    }
}

static void print_port(const json_t *port)
{
    const char *key;
    json_t *value;
    printf("port:");
    json_object_foreach((json_t *)port, key, value)
    {
        if (json_is_integer(value))
            printf(" %s=%" JSON_INTEGER_FORMAT, key, json_integer_value(value));
        else if (json_is_string(value))
            printf(" %s=%s", key, json_string_value(value));
    }
    printf("\n");
}

int verb_stats(int argc, char **argv)
{
    struct ask_options options;
    ask_parse(argc, argv,
              "Shows what a running stack has counted: traffic, and every drop and error by its name, with "
              "whom it concerns.",
              false, &options);
    json_t *reply = ask_stack(&options, json_pack("{s:s, s:b}", "verb", "stats", "all", options.all));
    if (reply == NULL)
        return 1;
    int status = 0;
    if (options.json) {
        status = ask_print_json(reply);
    } else {
        printf("%s, process %" JSON_INTEGER_FORMAT "\n\n", text_of(reply, "program"),
               number_of(reply, "pid"));
        print_counters("COUNTER", json_object_get(reply, "stats"), options.all);
        print_counters("ERROR", json_object_get(reply, "errors"), options.all);
        print_no_rule(json_object_get(reply, "no_rule"));
        print_gate(json_object_get(reply, "start_gate"));
        print_engines(json_object_get(reply, "engines"));
        print_port(json_object_get(reply, "port"));
    }
    json_decref(reply);
    return status;
}
