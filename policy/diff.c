/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What changes in effect from one policy to another. Rules pair by name. The longest run of pairs that are in
 * the same order in both policies has not moved; the others have. Of a pair every setting is compared, by its
 * text; rules that share actions with one compared already, and found equal, are not compared in them again.
 */
#include <pellucid/policy.h>
#include <stdlib.h>
#include <string.h>

#include "policy/settings_list.h"

enum { NONE = UINT32_MAX, MEMO_SIZE = 1024 };

/* Actions of a rule before and after that come to the same. */
struct same_actions {
    const struct pel_stmt *before[3], *after[3];
};

struct diff {
    const struct pel_policy *before, *after;
    struct pel_arena scratch;
    uint32_t *old_of; /* by new index: the rule's old one, or NONE */
    bool *kept;       /* by old index: the new policy has it */
    bool *moved;      /* by new index */
    struct same_actions *memo;
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
    return PEL_OK;
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
    return was == NULL || is == NULL ? was == is : strcmp(was, is) == 0;
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

static struct same_actions actions_of(const struct diff *diff, size_t new_index)
{
    static const enum pel_slot slots[] = {PEL_SLOT_GROUP_ACTION, PEL_SLOT_ENV_ACTION, PEL_SLOT_CONN_ACTION};
    struct same_actions actions = {0};
    for (size_t i = 0; i < sizeof slots / sizeof *slots; i++) {
        actions.before[i] = pel_stmt_child(diff->before->model->rules[diff->old_of[new_index]], slots[i]);
        actions.after[i] = pel_stmt_child(diff->after->model->rules[new_index], slots[i]);
    }
    return actions;
}

static struct same_actions *memo_of(struct diff *diff, const struct same_actions *actions)
{
    uint64_t hash = 0;
    for (size_t i = 0; i < 3; i++)
        hash = (hash ^ (uintptr_t)actions->before[i] ^ (uintptr_t)actions->after[i] << 1) *
               UINT64_C(0x9e3779b97f4a7c15);
    return &diff->memo[hash >> 54];
}

static enum pel_err compare_pair(struct diff *diff, size_t new_index)
{
    struct same_actions actions = actions_of(diff, new_index);
    struct same_actions *memo = memo_of(diff, &actions);
    PEL_TRY(compare_settings(diff, new_index, PEL_SETTINGS_CONDITIONS));
    if (memcmp(memo, &actions, sizeof actions) == 0)
        return PEL_OK;
    size_t num_before = diff->num_changes;
    PEL_TRY(compare_settings(diff, new_index, PEL_SETTINGS_ACTIONS));
    if (diff->num_changes == num_before)
        *memo = actions;
    return PEL_OK;
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
