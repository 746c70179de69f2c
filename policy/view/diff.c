/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What changes in effect from one policy to another. Rules pair by name. The longest run of pairs that are in
 * the same order in both policies has not moved; the others have. Of a pair every setting is compared, by its
 * text, unless the statements say the same to begin with.
 */
#include <pellucid/policy.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "policy/view/settings_list.h"

enum { NONE = UINT32_MAX, MEMO_SIZE = 1024 };

/* Two statements that say the same; both were referred to. */
struct same {
    const struct pel_stmt *before, *after;
};

struct diff {
    const struct pel_policy *before, *after;
    struct pel_arena scratch;
    uint32_t *old_of;  /* by new index: the rule's old one, or NONE */
    bool *kept;        /* by old index: the new policy has it */
    bool *moved;       /* by new index */
    uint32_t *next;    /* by new index: the next one that both have and that has not moved, or NONE */
    struct same *memo; /* MEMO_SIZE of them */
    struct pel_settings_list old_side, new_side;
    pel_policy_change_fn *fn;
    void *arg;
    size_t num_changes;
};

static void tell(struct diff *diff, const struct pel_policy_change *change)
{
    diff->num_changes++;
    if (diff->fn != NULL)
        diff->fn(diff->arg, change);
}

/* ---- Pairs ---- */

static int compare_names(const void *a, const void *b, void *arg)
{
    const struct pel_rule *rules = arg;
    return strcmp(rules[*(const uint32_t *)a].name, rules[*(const uint32_t *)b].name);
}

static uint32_t *by_name(struct diff *diff, const struct pel_policy *policy)
{
    uint32_t *order = pel_arena_alloc(&diff->scratch, (policy->num_rules + 1) * sizeof *order);
    for (uint32_t i = 0; i < policy->num_rules && order != NULL; i++)
        order[i] = i;
    if (order != NULL)
        qsort_r(order, policy->num_rules, sizeof *order, compare_names, policy->rules);
    return order;
}

static enum pel_err find_pairs(struct diff *diff)
{
    size_t num_old = diff->before->num_rules, num_new = diff->after->num_rules;
    uint32_t *olds = by_name(diff, diff->before), *news = by_name(diff, diff->after);
    diff->old_of = pel_arena_alloc(&diff->scratch, (num_new + 1) * sizeof *diff->old_of);
    diff->kept = pel_arena_alloc(&diff->scratch, num_old + 1);
    if (olds == NULL || news == NULL || diff->old_of == NULL || diff->kept == NULL)
        return PEL_E_NO_MEMORY;
    for (size_t i = 0, j = 0; j < num_new; j++) {
        const char *name = diff->after->rules[news[j]].name;
        int order = -1;
        while (i < num_old && (order = strcmp(diff->before->rules[olds[i]].name, name)) < 0)
            i++;
        diff->old_of[news[j]] = i < num_old && order == 0 ? olds[i] : NONE;
        if (diff->old_of[news[j]] != NONE)
            diff->kept[olds[i]] = true;
    }
    return PEL_OK;
}

static enum pel_err find_next(struct diff *diff)
{
    size_t num = diff->after->num_rules;
    uint32_t next = NONE;
    diff->next = pel_arena_alloc(&diff->scratch, (num + 1) * sizeof *diff->next);
    for (size_t i = num; i-- > 0 && diff->next != NULL;) {
        diff->next[i] = next;
        if (diff->old_of[i] != NONE && !diff->moved[i])
            next = (uint32_t)i;
    }
    return diff->next == NULL ? PEL_E_NO_MEMORY : PEL_OK;
}

/* The longest increasing run of old places, in the order of the new ones: `ends[n]` is the new index that
 * ends the best run of n + 1, `before` the one that comes before it. */
static enum pel_err find_moved(struct diff *diff)
{
    size_t num = diff->after->num_rules, longest = 0;
    uint32_t *ends = pel_arena_alloc(&diff->scratch, (num + 1) * sizeof *ends);
    uint32_t *before = pel_arena_alloc(&diff->scratch, (num + 1) * sizeof *before);
    diff->moved = pel_arena_alloc(&diff->scratch, num + 1);
    if (ends == NULL || before == NULL || diff->moved == NULL)
        return PEL_E_NO_MEMORY;
    for (uint32_t i = 0; i < num; i++) {
        size_t low = 0, high = longest;
        if (diff->old_of[i] == NONE)
            continue;
        while (low < high) {
            size_t middle = (low + high) / 2;
            if (diff->old_of[ends[middle]] < diff->old_of[i])
                low = middle + 1;
            else
                high = middle;
        }
        before[i] = low > 0 ? ends[low - 1] : NONE;
        ends[low] = i;
        longest += low == longest;
        diff->moved[i] = true;
    }
    for (uint32_t i = longest > 0 ? ends[longest - 1] : NONE; i != NONE; i = before[i])
        diff->moved[i] = false;
    return find_next(diff);
}

/* ---- Settings ---- */

static enum pel_err read_side(struct pel_settings_list *side, const struct pel_policy *policy, size_t index,
                              unsigned parts)
{
    pel_settings_clear(side);
    PEL_TRY(pel_settings_walk(policy, index, parts, pel_settings_keep, side));
    return side->failed ? PEL_E_NO_MEMORY : PEL_OK;
}

/* Of a setting that applies on one side only the default is no change. */
static bool is_same(const struct diff *diff, const struct pel_kept_setting *old,
                    const struct pel_kept_setting *new)
{
    if (old == NULL || new == NULL)
        return old != NULL ? old->is_default : new->is_default;
    const char *was = pel_settings_text(&diff->old_side, old), *is = pel_settings_text(&diff->new_side, new);
    if (was == NULL || is == NULL)
        return was == is;
    /* Users and jobs compare without case. */
    return (old->row->type == PEL_V_PATTERN ? strcasecmp(was, is) : strcmp(was, is)) == 0;
}

static void compare_value(struct diff *diff, size_t new_index, const struct pel_kept_setting *old,
                          const struct pel_kept_setting *new)
{
    const struct pel_kept_setting *either = new != NULL ? new : old;
    if (is_same(diff, old, new))
        return;
    struct pel_policy_change change = {.kind = PEL_POLICY_CHANGE_SETTING,
                                       .rule = diff->after->rules[new_index].name,
                                       .old_index = diff->old_of[new_index],
                                       .new_index = new_index,
                                       .statement = pel_schema(either->home)->name,
                                       .name = either->row->name,
                                       .old_value = pel_settings_text(&diff->old_side, old),
                                       .new_value = pel_settings_text(&diff->new_side, new)};
    bool secret = (either->row->flags & PEL_ROW_SECRET) != 0;
    if (secret && change.old_value != NULL)
        change.old_value = "(not shown)";
    if (secret && change.new_value != NULL)
        change.new_value = "(not shown)";
    tell(diff, &change);
}

static enum pel_err compare_settings(struct diff *diff, size_t new_index, unsigned parts)
{
    struct pel_settings_list *old = &diff->old_side, *new = &diff->new_side;
    PEL_TRY(read_side(old, diff->before, diff->old_of[new_index], parts));
    PEL_TRY(read_side(new, diff->after, new_index, parts));
    for (size_t i = 0; i < new->num; i++)
        compare_value(diff, new_index, pel_settings_find(old, new->settings[i].row->name, i),
                      &new->settings[i]);
    for (size_t i = 0; i < old->num; i++) {
        if (pel_settings_find(new, old->settings[i].row->name, i) == NULL)
            compare_value(diff, new_index, &old->settings[i], NULL);
    }
    return PEL_OK;
}

/* ---- Statements that say the same ---- */

static struct same *memo_of(struct diff *diff, const struct pel_stmt *before, const struct pel_stmt *after)
{
    uint64_t hash = ((uintptr_t)before ^ (uintptr_t)after << 1) * UINT64_C(0x9e3779b97f4a7c15);
    return &diff->memo[hash >> 54];
}

static bool says_same(struct diff *diff, const struct pel_stmt *before, const struct pel_stmt *after);

static bool is_same_value(struct diff *diff, const struct pel_param *a, const struct pel_param *b)
{
    switch (a->row->type) {
    case PEL_V_ENUM:
    case PEL_V_UINT: return a->number == b->number;
    case PEL_V_PORTS: return a->number == b->number && a->number_high == b->number_high;
    case PEL_V_ADDR:
    case PEL_V_PREFIX:
    case PEL_V_RANGE:
    case PEL_V_ADDRSPEC:
        return a->range == NULL || b->range == NULL ? a->range == b->range
                                                    : memcmp(a->range, b->range, sizeof *a->range) == 0;
    case PEL_V_PATTERN:
    case PEL_V_LABEL:
    case PEL_V_WORD:
    case PEL_V_TEXT:
    case PEL_V_CIPHERS2:
    case PEL_V_CIPHERS4:
    case PEL_V_GROUPS:
    case PEL_V_SIGNATURES:
    case PEL_V_NAME_LABEL:
    case PEL_V_MASK:
    case PEL_V_HOURS:
    case PEL_V_SPAN:
    case PEL_V_OFFSET: return a->text_len == b->text_len && memcmp(a->text, b->text, a->text_len) == 0;
    case PEL_V_REF:
    case PEL_V_BLOCK: return says_same(diff, a->child, b->child);
    }
    return false;
}

/* In the order of the list: what only stands in another order is compared by its settings. */
static bool are_same_params(struct diff *diff, const struct pel_param *a, const struct pel_param *b)
{
    for (; a != NULL && b != NULL; a = a->next, b = b->next) {
        if (a->row != b->row || !is_same_value(diff, a, b))
            return false;
    }
    return a == b;
}

/* The schema nests 4 deep, and so does this. */
static bool says_same(struct diff *diff, const struct pel_stmt *before, const struct pel_stmt *after)
{
    if (before == NULL || after == NULL)
        return before == after;
    struct same *memo = memo_of(diff, before, after);
    if (memo->before == before && memo->after == after)
        return true;
    if (!are_same_params(diff, before->params, after->params) ||
        !are_same_params(diff, before->items, after->items))
        return false;
    if (before->referenced && after->referenced)
        *memo = (struct same){before, after};
    return true;
}

static bool is_action(enum pel_slot slot)
{
    return slot == PEL_SLOT_GROUP_ACTION || slot == PEL_SLOT_ENV_ACTION || slot == PEL_SLOT_CONN_ACTION;
}

/* Which parts of the rule need a closer look. */
static unsigned different_parts(struct diff *diff, const struct pel_stmt *before,
                                const struct pel_stmt *after)
{
    unsigned parts = 0;
    const struct pel_param *a = before->params, *b = after->params;
    for (; a != NULL && b != NULL && a->row->slot == b->row->slot; a = a->next, b = b->next) {
        if (a->row != b->row || !is_same_value(diff, a, b))
            parts |= is_action(a->row->slot) ? PEL_SETTINGS_ACTIONS : PEL_SETTINGS_CONDITIONS;
    }
    return a != NULL || b != NULL ? PEL_SETTINGS_CONDITIONS | PEL_SETTINGS_ACTIONS : parts;
}

static enum pel_err compare_pair(struct diff *diff, size_t new_index)
{
    unsigned parts = PEL_SETTINGS_CONDITIONS | PEL_SETTINGS_ACTIONS;
    if (diff->before->model->compat_zos == diff->after->model->compat_zos)
        parts = different_parts(diff, diff->before->model->rules[diff->old_of[new_index]],
                                diff->after->model->rules[new_index]);
    return parts == 0 ? PEL_OK : compare_settings(diff, new_index, parts);
}

static enum pel_err compare_rules(struct diff *diff)
{
    for (size_t i = 0; i < diff->after->num_rules; i++) {
        struct pel_policy_change change = {.rule = diff->after->rules[i].name, .new_index = i};
        if (diff->old_of[i] == NONE) {
            change.kind = PEL_POLICY_CHANGE_ADDED;
            tell(diff, &change);
            continue;
        }
        change.old_index = diff->old_of[i];
        change.kind = PEL_POLICY_CHANGE_MOVED;
        change.tried_before = diff->next[i] == NONE ? NULL : diff->after->rules[diff->next[i]].name;
        if (diff->moved[i])
            tell(diff, &change);
        PEL_TRY(compare_pair(diff, i));
    }
    for (size_t i = 0; i < diff->before->num_rules; i++) {
        struct pel_policy_change change = {
            .kind = PEL_POLICY_CHANGE_REMOVED, .rule = diff->before->rules[i].name, .old_index = i};
        if (!diff->kept[i])
            tell(diff, &change);
    }
    return PEL_OK;
}

static enum pel_err run(struct diff *diff)
{
    PEL_TRY(find_pairs(diff));
    PEL_TRY(find_moved(diff));
    diff->memo = pel_arena_alloc(&diff->scratch, MEMO_SIZE * sizeof *diff->memo);
    return diff->memo == NULL ? PEL_E_NO_MEMORY : compare_rules(diff);
}

enum pel_err pel_policy_diff(const struct pel_policy *before, const struct pel_policy *after,
                             pel_policy_change_fn *fn, void *arg, size_t *ret_num_changes)
{
    struct diff diff = {.before = before, .after = after, .fn = fn, .arg = arg};
    enum pel_err err = run(&diff);
    if (err == PEL_OK && ret_num_changes != NULL)
        *ret_num_changes = diff.num_changes;
    pel_arena_free(&diff.scratch);
    pel_settings_free(&diff.old_side);
    pel_settings_free(&diff.new_side);
    return err;
}
