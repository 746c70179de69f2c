/* SPDX-License-Identifier: Apache-2.0 */
#include "stack/no_rule.h"

#include <stdio.h>
#include <string.h>

#include "stack/stack.h"

static bool is_same_port(const struct pel_no_rule_port *a, const struct pel_no_rule_port *b)
{
    return a->port == b->port && a->outbound == b->outbound;
}

static bool is_later(const struct pel_no_rule_port *row, const struct pel_no_rule_port *than)
{
    return than->count == 0 || (row->generation != UINT64_MAX &&
                                (than->generation == UINT64_MAX || row->generation > than->generation));
}

static void add_row(struct pel_no_rule_port *rows, const struct pel_no_rule_port *row)
{
    size_t i = 0;
    while (i < PEL_ENGINE_NO_RULE_PORTS - 1 && rows[i].count > 0 && !is_same_port(&rows[i], row))
        i++;
    uint64_t count = rows[i].count + row->count;
    if (is_later(row, &rows[i]))
        rows[i] = *row;
    if (i == PEL_ENGINE_NO_RULE_PORTS - 1)
        rows[i].port = 0;
    rows[i].count = count;
}

void pel_no_rule_add(struct pel_no_rule_port *into, const struct pel_no_rule_port *from)
{
    for (size_t i = 0; i < PEL_ENGINE_NO_RULE_PORTS; i++)
        if (from[i].count > 0)
            add_row(into, &from[i]);
}

static void add_engine(struct pel_engine *engine, void *arg)
{
    pel_no_rule_add(arg, engine->no_rule);
}

void pel_no_rule_collect(struct pel_stack *stack, struct pel_no_rule_port *ret_rows)
{
    memset(ret_rows, 0, PEL_ENGINE_NO_RULE_PORTS * sizeof *ret_rows);
    for (size_t i = 0; i < stack->num_engines; i++)
        pel_engine_call(stack->engines[i].engine, add_engine, ret_rows);
}

/* ---- the command that tells why ---- */

struct line {
    char *text;
    size_t cap, len;
    bool full;
};

static void put(struct line *line, const char *text)
{
    size_t len = strlen(text);
    if (line->full || len >= line->cap - line->len) {
        line->full = true;
        return;
    }
    memcpy(line->text + line->len, text, len + 1);
    line->len += len;
}

/* As a word of the shell. */
static void put_word(struct line *line, const char *word)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./:-[]@%+,";
    put(line, " ");
    if (word[0] != '\0' && strspn(word, plain) == strlen(word)) {
        put(line, word);
        return;
    }
    put(line, "'");
    for (const char *at = word; *at != '\0'; at++) {
        const char one[2] = {*at, '\0'};
        put(line, *at == '\'' ? "'\\''" : (unsigned char)*at < 0x20 ? "?" : one);
    }
    put(line, "'");
}

static void put_option(struct line *line, const char *option, const char *value)
{
    put(line, option);
    put_word(line, value);
}

/* What is asked: the files in force, or, where there are rules that are in none of them, the stack. */
static void put_policy(struct line *line, struct pel_stack *stack)
{
    pthread_mutex_lock(&stack->live.lock);
    bool must_ask = stack->live.result.num_kept > 0;
    for (size_t i = 0; i < stack->live.num_files && !must_ask; i++)
        put_word(line, stack->live.files[i]);
    pthread_mutex_unlock(&stack->live.lock);
    if (must_ask)
        put(line, " --live");
    const struct pel_control_server *control = __atomic_load_n(&stack->control, __ATOMIC_ACQUIRE);
    if (must_ask && control != NULL)
        put_option(line, " --socket", pel_control_server_path(control));
}

const char *pel_no_rule_command(struct pel_stack *stack, const struct pel_no_rule_port *row, char *text,
                                size_t cap)
{
    struct line line = {.text = text, .cap = cap};
    char endpoint[PEL_ENDPOINT_TEXT_LEN];
    text[0] = '\0';
    if (row->generation == 0 || row->generation == UINT64_MAX)
        return text;
    put(&line, "pel policy match");
    put_policy(&line, stack);
    put_option(&line, " --direction", row->outbound ? "outbound" : "inbound");
    put_option(&line, " --local", pel_endpoint_format(&row->local, endpoint, sizeof endpoint));
    put_option(&line, " --remote", pel_endpoint_format(&row->remote, endpoint, sizeof endpoint));
    if (row->user[0] != '\0')
        put_option(&line, " --user", row->user);
    if (row->job[0] != '\0')
        put_option(&line, " --job", row->job);
    put(&line, " --why");
    if (line.full)
        text[0] = '\0';
    return text;
}

/* ---- the log ---- */

static void log_row(struct pel_stack *stack, const struct pel_no_rule_port *row)
{
    char remote[PEL_ENDPOINT_TEXT_LEN], command[1024];
    bool refused = stack->config.policy.no_match_refuse;
    pel_no_rule_command(stack, row, command, sizeof command);
    pel_stack_log(stack, "no rule matches connections %s port %u, such as one %s %s: they are %s%s%s",
                  row->outbound ? "to remote" : "to local",
                  row->port != 0  ? row->port
                  : row->outbound ? row->remote.port
                                  : row->local.port,
                  row->outbound ? "to" : "from", pel_endpoint_format(&row->remote, remote, sizeof remote),
                  refused ? "refused" : "in clear", command[0] != '\0' ? "; why, says: " : "", command);
}

void pel_no_rule_log(struct pel_stack *stack, struct pel_no_rule_told *told)
{
    struct pel_no_rule_port rows[PEL_ENGINE_NO_RULE_PORTS];
    pel_no_rule_collect(stack, rows);
    for (size_t i = 0; i < PEL_ENGINE_NO_RULE_PORTS && rows[i].count > 0; i++) {
        const struct pel_no_rule_port *row = &rows[i];
        size_t k = 0;
        while (k < PEL_ENGINE_NO_RULE_PORTS - 1 && told->rows[k].count > 0 &&
               !is_same_port(&told->rows[k], row))
            k++;
        if (told->rows[k].count > 0 && told->rows[k].generation == row->generation)
            continue;
        told->rows[k] = *row;
        log_row(stack, row);
    }
}
