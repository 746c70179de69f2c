/* SPDX-License-Identifier: Apache-2.0 */
#include "stack/policy_changes.h"

#include <pellucid/policy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *pel_load_change_name(enum pel_load_change_kind kind)
{
    static const char *const names[] = {
        [PEL_CHANGE_ADDED] = "added",
        [PEL_CHANGE_REMOVED] = "removed",
        [PEL_CHANGE_CHANGED] = "changed",
        [PEL_CHANGE_MOVED] = "moved",
    };
    return names[kind];
}

bool pel_load_changes_any(const struct pel_load_changes *changes)
{
    for (int i = 0; i < PEL_CHANGE_KINDS; i++)
        if (changes->num_of[i] > 0)
            return true;
    return false;
}

void pel_load_changes_free(struct pel_load_changes *changes)
{
    for (size_t i = 0; i < changes->num; i++)
        free(changes->rows[i].detail);
    free(changes->rows);
    free(changes->before);
    free(changes->same);
    *changes = (struct pel_load_changes){0};
}

/* ---- finding them ---- */

#define DETAIL_MAX 1000

struct finding {
    struct pel_load_changes changes;
    char rule[33]; /* whose settings are being told */
    char detail[DETAIL_MAX + 1];
    size_t detail_len;
    enum pel_err err;
};

static void add_row(struct finding *finding, enum pel_load_change_kind kind, const char *rule)
{
    struct pel_load_changes *changes = &finding->changes;
    changes->num_of[kind]++;
    if (changes->num == PEL_LOAD_CHANGES_LISTED)
        return;
    if (changes->num == changes->cap) {
        size_t cap = changes->cap == 0 ? 16 : changes->cap * 2;
        struct pel_load_change *rows = reallocarray(changes->rows, cap, sizeof *rows);
        if (rows == NULL) {
            finding->err = PEL_E_NO_MEMORY;
            return;
        }
        changes->rows = rows;
        changes->cap = cap;
    }
    struct pel_load_change *row = &changes->rows[changes->num++];
    *row = (struct pel_load_change){.kind = kind};
    snprintf(row->rule, sizeof row->rule, "%s", rule);
}

/* Ends the row of the rule whose settings were told. */
static void end_detail(struct finding *finding)
{
    struct pel_load_changes *changes = &finding->changes;
    struct pel_load_change *row = changes->num > 0 ? &changes->rows[changes->num - 1] : NULL;
    if (finding->detail_len > 0 && row != NULL && row->kind == PEL_CHANGE_CHANGED &&
        strcmp(row->rule, finding->rule) == 0) {
        row->detail = strdup(finding->detail);
        if (row->detail == NULL)
            finding->err = PEL_E_NO_MEMORY;
    }
    finding->rule[0] = '\0';
    finding->detail_len = 0;
}

/* Several values have newlines between them. */
static void put_value(struct finding *finding, const char *value)
{
    value = value != NULL ? value : "none";
    for (; *value != '\0' && finding->detail_len < DETAIL_MAX; value++)
        finding->detail[finding->detail_len++] = *value == '\n' ? ' ' : *value;
    finding->detail[finding->detail_len] = '\0';
}

static void on_setting(struct finding *finding, const struct pel_policy_change *change)
{
    if (strcmp(finding->rule, change->rule) != 0) {
        end_detail(finding);
        add_row(finding, PEL_CHANGE_CHANGED, change->rule);
        snprintf(finding->rule, sizeof finding->rule, "%s", change->rule);
        finding->changes.same[change->new_index] = false;
    } else {
        put_value(finding, "; ");
    }
    put_value(finding, change->name);
    put_value(finding, ": ");
    put_value(finding, change->old_value);
    put_value(finding, " -> ");
    put_value(finding, change->new_value);
}

static void on_change(void *arg, const struct pel_policy_change *change)
{
    struct finding *finding = arg;
    if (change->kind == PEL_POLICY_CHANGE_SETTING) {
        on_setting(finding, change);
        return;
    }
    end_detail(finding);
    if (change->kind == PEL_POLICY_CHANGE_ADDED)
        add_row(finding, PEL_CHANGE_ADDED, change->rule);
    else if (change->kind == PEL_POLICY_CHANGE_REMOVED)
        add_row(finding, PEL_CHANGE_REMOVED, change->rule);
    else
        add_row(finding, PEL_CHANGE_MOVED, change->rule);
}

struct named {
    const char *name;
    uint32_t index;
};

static int compare_named(const void *a, const void *b)
{
    return strcmp(((const struct named *)a)->name, ((const struct named *)b)->name);
}

/* Which rule of the old policy has the name of each of the new. */
static enum pel_err find_names(const struct pel_policy *before, const struct pel_policy *now,
                               struct pel_load_changes *changes)
{
    size_t num = pel_policy_num_rules(before);
    struct named *rows = calloc(num + 1, sizeof *rows);
    if (rows == NULL)
        return PEL_E_NO_MEMORY;
    for (size_t i = 0; i < num; i++)
        rows[i] = (struct named){pel_policy_rule(before, i)->name, (uint32_t)i};
    qsort(rows, num, sizeof *rows, compare_named);
    for (size_t i = 0; i < pel_policy_num_rules(now); i++) {
        const struct named key = {pel_policy_rule(now, i)->name, 0};
        const struct named *found = bsearch(&key, rows, num, sizeof key, compare_named);
        changes->before[i] = found != NULL ? found->index : PEL_POLICY_NO_RULE;
        changes->same[i] = found != NULL;
    }
    free(rows);
    return PEL_OK;
}

static enum pel_err find(struct finding *finding, const struct pel_policy *before,
                         const struct pel_policy *now)
{
    struct pel_load_changes *changes = &finding->changes;
    size_t num = pel_policy_num_rules(now);
    changes->before = calloc(num + 1, sizeof *changes->before);
    changes->same = calloc(num + 1, sizeof *changes->same);
    if (changes->before == NULL || changes->same == NULL)
        return PEL_E_NO_MEMORY;
    for (size_t i = 0; i < num; i++)
        changes->before[i] = PEL_POLICY_NO_RULE;
    if (before == NULL)
        return PEL_OK;
    PEL_TRY(find_names(before, now, changes));
    PEL_TRY(pel_policy_diff(before, now, on_change, finding, NULL));
    end_detail(finding);
    return finding->err;
}

enum pel_err pel_load_changes_find(const struct pel_policy *before, const struct pel_policy *now,
                                   struct pel_load_changes *ret_changes)
{
    struct finding finding = {.err = PEL_OK};
    enum pel_err err = find(&finding, before, now);
    if (err != PEL_OK) {
        pel_load_changes_free(&finding.changes);
        return err;
    }
    *ret_changes = finding.changes;
    return PEL_OK;
}
