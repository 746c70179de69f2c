/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/pel/ask.h"

#include <argp.h>
#include <pellucid/control.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_JSON = 256, KEY_SOCKET, KEY_RECENT, KEY_ALL, KEY_ACTIONS, KEY_RULE, KEY_STALE };

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct ask_options *options = state->input;
    switch (key) {
    case KEY_JSON: options->json = true; return 0;
    case KEY_SOCKET: options->socket_path = arg; return 0;
    case KEY_RECENT: options->recent = true; return 0;
    case KEY_ALL: options->all = true; return 0;
    case KEY_ACTIONS: options->actions = true; return 0;
    case KEY_RULE: options->rule = arg; return 0;
    case KEY_STALE: options->stale = true; return 0;
    case ARGP_KEY_ARG: argp_error(state, "what is '%s'?", arg); return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

#define COMMON_OPTIONS                                                                                       \
    {"json", KEY_JSON, NULL, 0, "print the stack's whole answer as JSON", 0},                                \
    {                                                                                                        \
        "socket", KEY_SOCKET, "PATH", 0, "the stack's control socket (the only one in " PEL_CONTROL_DIR ")", \
            0                                                                                                \
    }

void ask_parse(int argc, char **argv, const char *doc, bool of_conns, struct ask_options *ret_options)
{
    static const struct argp_option plain[] = {
        COMMON_OPTIONS, {"all", KEY_ALL, NULL, 0, "the counters that are zero, too", 0}, {0}};
    static const struct argp_option conns[] = {
        COMMON_OPTIONS,
        {"recent", KEY_RECENT, NULL, 0, "the connections that ended lately, too", 0},
        {"actions", KEY_ACTIONS, NULL, 0, "the rule's group, environment and connection actions, too", 0},
        {"rule", KEY_RULE, "NAME", 0, "only connections of that rule; \"\": those without a rule", 0},
        {"stale", KEY_STALE, NULL, 0, "only connections whose rule was deleted or changed since", 0},
        {0}};
    const struct argp argp = {.options = of_conns ? conns : plain, .parser = parse_option, .doc = doc};
    *ret_options = (struct ask_options){0};
    argp_err_exit_status = 2;
    argp_parse(&argp, argc, argv, 0, NULL, ret_options);
}

json_t *ask_call(const char *socket_path, json_t *request, struct pel_error *reterr)
{
    char *reply_text = NULL, *text = request != NULL ? json_dumps(request, JSON_COMPACT) : NULL;
    json_error_t error;
    json_decref(request);
    if (text == NULL) {
        snprintf(reterr->text, sizeof reterr->text, "out of memory");
        return NULL;
    }
    enum pel_err err = pel_control_call(socket_path, text, &reply_text, reterr);
    free(text);
    if (err != PEL_OK) {
        if (reterr->text[0] == '\0')
            snprintf(reterr->text, sizeof reterr->text, "%s", pel_err_text(err));
        return NULL;
    }
    json_t *reply = json_loads(reply_text, 0, &error);
    free(reply_text);
    if (json_is_object(reply))
        return reply;
    snprintf(reterr->text, sizeof reterr->text, "the stack's answer is no JSON object: %.150s", error.text);
    json_decref(reply);
    return NULL;
}

json_t *ask_stack(const struct ask_options *options, json_t *request)
{
    struct pel_error error = {0};
    json_t *reply = ask_call(options->socket_path, request, &error);
    if (reply == NULL) {
        fprintf(stderr, "pel: %s\n", error.text);
        return NULL;
    }
    if (!json_is_true(json_object_get(reply, "ok"))) {
        const char *why = json_string_value(json_object_get(reply, "error"));
        fprintf(stderr, "pel: the stack says: %s\n", why != NULL ? why : "it failed, without a reason");
        json_decref(reply);
        return NULL;
    }
    return reply;
}

int ask_print_json(const json_t *json)
{
    if (json_dumpf(json, stdout, JSON_INDENT(2)) != 0 || putchar('\n') == EOF || fflush(stdout) != 0) {
        fprintf(stderr, "pel: cannot write the answer\n");
        return 1;
    }
    return 0;
}

/* UTF-8 passes; control characters do not, and no character is cut in two. */
static void fill_cell(char *cell, const char *text)
{
    size_t len = 0;
    for (; text[len] != '\0' && len < ASK_CELL_MAX_LEN; len++) {
        unsigned char c = (unsigned char)text[len];
        cell[len] = c < 0x20 || c == 0x7f ? '?' : text[len];
    }
    while (text[len] != '\0' && len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80)
        len--;
    cell[len] = '\0';
}

void ask_table_row(struct ask_table *table, const char *const *texts)
{
    if (table->num_rows == table->cap_rows) {
        size_t cap = table->cap_rows == 0 ? 16 : table->cap_rows * 2;
        char(*cells)[ASK_CELL_MAX_LEN + 1] =
            reallocarray(table->cells, cap * table->num_columns, sizeof *cells);
        if (cells == NULL) {
            fprintf(stderr, "pel: out of memory\n");
            exit(1);
        }
        table->cells = cells;
        table->cap_rows = cap;
    }
    for (size_t i = 0; i < table->num_columns; i++)
        fill_cell(table->cells[table->num_rows * table->num_columns + i], texts[i]);
    table->num_rows++;
}

/* In characters, not bytes. */
static int width_of(const char *text)
{
    int width = 0;
    for (; *text != '\0'; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80 ? 1 : 0;
    return width;
}

void ask_table_print(const struct ask_table *table)
{
    int widths[ASK_NUM_COLUMNS_MAX] = {0};
    for (size_t i = 0; i < table->num_rows * table->num_columns; i++) {
        int width = width_of(table->cells[i]);
        int *widest = &widths[i % table->num_columns];
        *widest = width > *widest ? width : *widest;
    }
    for (size_t row = 0; row < table->num_rows; row++) {
        for (size_t i = 0; i < table->num_columns; i++) {
            const char *cell = table->cells[row * table->num_columns + i];
            int padding = i + 1 < table->num_columns ? widths[i] - width_of(cell) + 2 : 0;
            printf("%s%*s", cell, padding, "");
        }
        printf("\n");
    }
}

void ask_table_free(struct ask_table *table)
{
    free(table->cells);
    *table = (struct ask_table){0};
}
