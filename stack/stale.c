/* SPDX-License-Identifier: Apache-2.0 */
#include "stack/stale.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stack/conn.h"
#include "stack/stack.h"

/* ---- the rules in force ---- */

static int compare_rules(const void *a, const void *b)
{
    return strcmp((*(const struct pel_rule *const *)a)->name, (*(const struct pel_rule *const *)b)->name);
}

enum pel_err pel_rule_names_take(struct pel_generation_slot *slot, struct pel_rule_names *ret_names)
{
    struct pel_rule_names names = {.generation = pel_generation_current(slot)};
    if (names.generation != NULL)
        names.num = pel_policy_num_rules(names.generation->policy);
    names.rules = calloc(names.num + 1, sizeof *names.rules);
    if (names.rules == NULL) {
        pel_generation_unref(names.generation);
        return PEL_E_NO_MEMORY;
    }
    for (size_t i = 0; i < names.num; i++)
        names.rules[i] = pel_policy_rule(names.generation->policy, i);
    qsort(names.rules, names.num, sizeof *names.rules, compare_rules);
    *ret_names = names;
    return PEL_OK;
}

void pel_rule_names_free(struct pel_rule_names *names)
{
    pel_generation_unref(names->generation);
    free(names->rules);
    *names = (struct pel_rule_names){0};
}

const char *pel_stale_why(const struct pel_rule_names *names, const char *name, uint64_t generation)
{
    const struct pel_rule wanted = {.name = name}, *key = &wanted;
    const struct pel_rule *const *found =
        bsearch(&key, names->rules, names->num, sizeof *names->rules, compare_rules);
    if (found == NULL)
        return "deleted";
    return names->generation->bindings[(*found)->index].since > generation ? "changed" : NULL;
}

/* ---- on an engine's thread: connections by rule, of other generations than the engine's ---- */

struct tally {
    struct tally_row {
        const struct pel_rule *rule; /* NULL: free. Not looked into later: it may be gone */
        struct pel_stale_rule of;
    } rows[2 * PEL_STALE_LISTED];
    size_t num, num_conns_more;
};

static struct tally_row *row_of(struct tally *tally, const struct pel_rule *rule)
{
    size_t at = ((uintptr_t)rule >> 4) * 0x9e3779b97f4a7c15u >> 40;
    for (size_t i = 0; i < 2 * PEL_STALE_LISTED; i++) {
        struct tally_row *row = &tally->rows[(at + i) % (2 * (size_t)PEL_STALE_LISTED)];
        if (row->rule == rule || row->rule == NULL)
            return row;
    }
    return NULL;
}

static void tally_conn(struct tally *tally, const struct pel_conn *conn, uint64_t age_ms)
{
    struct tally_row *row = row_of(tally, conn->rule);
    if (row == NULL || (row->rule == NULL && tally->num == PEL_STALE_LISTED)) {
        tally->num_conns_more++;
        return;
    }
    if (row->rule == NULL) {
        tally->num++;
        row->rule = conn->rule;
        row->of = (struct pel_stale_rule){.generation = conn->generation->number};
        snprintf(row->of.rule, sizeof row->of.rule, "%s", conn->rule->name);
    }
    row->of.num_conns++;
    row->of.oldest_ms = age_ms > row->of.oldest_ms ? age_ms : row->of.oldest_ms;
}

static void tally_engine(struct pel_engine *engine, void *arg)
{
    for (const struct pel_conn *conn = engine->conns; conn != NULL; conn = conn->next)
        if (conn->rule != NULL && conn->generation != engine->generation)
            tally_conn(arg, conn, (engine->now_us - conn->opened_us) / 1000);
}

/* ---- together ---- */

static void add_row(struct pel_stale_rules *rules, const struct pel_stale_rule *row)
{
    for (size_t i = 0; i < rules->num; i++) {
        struct pel_stale_rule *have = &rules->rows[i];
        if (have->generation != row->generation || strcmp(have->rule, row->rule) != 0)
            continue;
        have->num_conns += row->num_conns;
        have->oldest_ms = row->oldest_ms > have->oldest_ms ? row->oldest_ms : have->oldest_ms;
        return;
    }
    if (rules->num == PEL_STALE_LISTED)
        rules->num_conns_more += row->num_conns;
    else
        rules->rows[rules->num++] = *row;
}

static int compare_stale(const void *a, const void *b)
{
    const struct pel_stale_rule *left = a, *right = b;
    if (left->generation != right->generation)
        return left->generation < right->generation ? -1 : 1;
    return strcmp(left->rule, right->rule);
}

enum pel_err pel_stale_collect(struct pel_stack *stack, struct pel_stale_rules *ret_rules)
{
    struct pel_rule_names names;
    memset(ret_rules, 0, sizeof *ret_rules);
    struct tally *tally = malloc(sizeof *tally);
    if (tally == NULL || pel_rule_names_take(&stack->slot, &names) != PEL_OK) {
        free(tally);
        return PEL_E_NO_MEMORY;
    }
    for (size_t e = 0; e < stack->num_engines; e++) {
        memset(tally, 0, sizeof *tally);
        pel_engine_call(stack->engines[e].engine, tally_engine, tally);
        ret_rules->num_conns_more += tally->num_conns_more;
        for (size_t i = 0; i < 2 * PEL_STALE_LISTED; i++) {
            struct tally_row *row = &tally->rows[i];
            if (row->rule == NULL)
                continue;
            row->of.why = pel_stale_why(&names, row->of.rule, row->of.generation);
            if (row->of.why != NULL)
                add_row(ret_rules, &row->of);
        }
    }
    qsort(ret_rules->rows, ret_rules->num, sizeof *ret_rules->rows, compare_stale);
    pel_rule_names_free(&names);
    free(tally);
    return PEL_OK;
}
