/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the verbs that ask a running stack have in common: their options, the question, and tables on a
 * terminal.
 */
#ifndef PEL_APPS_PEL_ASK_H
#define PEL_APPS_PEL_ASK_H

#include <jansson.h>
#include <pellucid/error.h>
#include <stdbool.h>
#include <stddef.h>

struct ask_options {
    const char *socket_path; /* NULL: the only stack that answers */
    bool json;
    bool recent;
    bool all;
    bool actions, stale;
    const char *rule; /* NULL: connections of all rules */
};

/* ask_parse reads --socket, --json, and of connections (`of_conns`) --recent, --actions, --rule and --stale,
 * else --all. Wrong usage exits with 2. */
void ask_parse(int argc, char **argv, const char *doc, bool of_conns, struct ask_options *ret_options);

/* ask_call sends `request` (stolen) to the stack at `socket_path` (NULL: the only one that answers) and
 * returns the reply's object, which the caller owns, also one that says no. NULL: there is none, and
 * `reterr` has the text. */
json_t *ask_call(const char *socket_path, json_t *request, struct pel_error *reterr);

/* ask_stack sends `request` (stolen) and returns the reply's object, which the caller owns. NULL, and the
 * reason on stderr, when nobody answers, or the answer is an error. */
json_t *ask_stack(const struct ask_options *options, json_t *request);

/* ask_print_json prints an object, indented. Returns an exit status. */
int ask_print_json(const json_t *json);

#define ASK_NUM_COLUMNS_MAX 15
#define ASK_CELL_MAX_LEN    64

/* A table whose columns are as wide as what is in them; the first row is the heading. Cells are cut at
 * ASK_CELL_MAX_LEN bytes, and what could steer a terminal becomes "?". */
struct ask_table {
    size_t num_columns, num_rows, cap_rows;
    char (*cells)[ASK_CELL_MAX_LEN + 1];
};

/* ask_table_row appends a row of num_columns texts. Out of memory ends the program with status 1. */
void ask_table_row(struct ask_table *table, const char *const *texts);

/* ask_table_print prints it. */
void ask_table_print(const struct ask_table *table);

/* ask_table_free frees it. */
void ask_table_free(struct ask_table *table);

#endif
