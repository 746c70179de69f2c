/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/compile.h"

#include <stdlib.h>
#include <string.h>

#include "policy/tables/classes.h"
#include "policy/conditions.h"
#include "policy/effective.h"
#include "policy/tables/tables.h"

static bool is_spoilt(struct pel_stmt *stmt);

static bool has_spoilt_child(const struct pel_param *params)
{
    for (const struct pel_param *param = params; param != NULL; param = param->next) {
        if (param->child != NULL && is_spoilt(param->child))
            return true;
    }
    return false;
}

/* Whether the statement or anything that it uses had an error. The schema nests 4 deep, and references never
 * go back up. Looked at once, however many rules share it. */
static bool is_spoilt(struct pel_stmt *stmt)
{
    if (!stmt->judged) {
        stmt->bad = stmt->bad || has_spoilt_child(stmt->params) || has_spoilt_child(stmt->items);
        stmt->judged = true;
    }
    return stmt->bad;
}

static int compare_rules(const void *a, const void *b)
{
    const struct pel_stmt *x = *(struct pel_stmt *const *)a, *y = *(struct pel_stmt *const *)b;
    const struct pel_param *px = pel_stmt_get(x, PEL_SLOT_PRIORITY), *py = pel_stmt_get(y, PEL_SLOT_PRIORITY);
    uint32_t priority_x = px != NULL ? px->number : 1, priority_y = py != NULL ? py->number : 1;
    if (priority_x != priority_y)
        return priority_x > priority_y ? -1 : 1;
    return strcmp(x->name, y->name);
}

static const char *child_name(const struct pel_stmt *rule, enum pel_slot slot)
{
    const struct pel_stmt *child = pel_stmt_child(rule, slot);
    return child == NULL ? "" : child->name;
}

/* What the schema cannot say is required. What is coded and faulty is not missing as well. */
static void check_required(struct pel_parse *parse, struct pel_stmt *rule)
{
    const struct pel_param *enabled =
        pel_stmt_get(pel_stmt_child(rule, PEL_SLOT_GROUP_ACTION), PEL_SLOT_ENABLED);
    if (rule->lost_line || rule->unknown_line)
        return;
    if (!pel_conditions_coded(rule))
        pel_stmt_fail(parse, rule, rule->pos, "%s: a condition besides Direction is required",
                      pel_stmt_title(rule).text);
    if (enabled != NULL && !enabled->bad && enabled->number == PEL_ON &&
        pel_stmt_get(rule, PEL_SLOT_ENV_ACTION) == NULL)
        pel_stmt_fail(parse, rule, rule->pos,
                      "%s: TTLSEnvironmentAction or TTLSEnvironmentActionRef is required, since its "
                      "TTLSGroupAction has TTLSEnabled On",
                      pel_stmt_title(rule).text);
}

/* Whether what the rule does can be worked out, whatever is wrong with its conditions. */
static bool has_sound_actions(const struct pel_stmt *rule)
{
    static const enum pel_slot slots[] = {PEL_SLOT_GROUP_ACTION, PEL_SLOT_ENV_ACTION, PEL_SLOT_CONN_ACTION};
    for (size_t i = 0; i < sizeof slots / sizeof *slots; i++) {
        const struct pel_param *param = pel_stmt_get(rule, slots[i]);
        bool sound = param == NULL ? slots[i] != PEL_SLOT_GROUP_ACTION
                                   : !param->bad && param->child != NULL && !is_spoilt(param->child);
        if (!sound)
            return false;
    }
    return true;
}

/* A rule with an error makes none, but the others of its errors are reported too. */
static enum pel_err check_spoilt_rule(struct pel_parse *parse, struct pel_stmt *rule)
{
    struct pel_effective unused = {0};
    check_required(parse, rule);
    if (!has_sound_actions(rule))
        return PEL_OK;
    rule->bad = false; /* as if it were right: what is worked out stops at an error of its own */
    enum pel_err err = pel_effective_compile(parse, rule, &unused);
    rule->bad = true;
    return err;
}

static enum pel_err compile_rule(struct pel_parse *parse, struct pel_stmt *stmt, struct pel_rule *rule,
                                 struct pel_conditions *conditions)
{
    const struct pel_param *priority = pel_stmt_get(stmt, PEL_SLOT_PRIORITY);
    PEL_TRY(pel_conditions_compile(parse, stmt, conditions));
    PEL_TRY(pel_effective_compile(parse, stmt, &rule->effective));
    check_required(parse, stmt); /* last: nothing else is worked out for a rule with an error */
    rule->name = stmt->name;
    rule->priority = priority != NULL ? priority->number : 1;
    rule->direction = conditions->direction;
    rule->group_action = child_name(stmt, PEL_SLOT_GROUP_ACTION);
    rule->environment_action = child_name(stmt, PEL_SLOT_ENV_ACTION);
    rule->connection_action = child_name(stmt, PEL_SLOT_CONN_ACTION);
    bool any_remote = conditions->remote_ips == NULL && conditions->remote_ports == NULL &&
                      conditions->remote_port_hull.low == 0 && conditions->remote_port_hull.high == 65535;
    if (conditions->direction == PEL_OUTBOUND && any_remote)
        pel_diag_warning(&parse->diags, stmt->pos,
                         "%s: outbound without a remote address or port: it takes every "
                         "connection that its other conditions allow",
                         pel_stmt_title(stmt).text);
    return PEL_OK;
}

/* The rules without errors, in match order. */
static enum pel_err collect_rules(struct pel_parse *parse, struct pel_stmt ***ret_rules, size_t *ret_num)
{
    struct pel_stmt **rules = pel_arena_alloc(&parse->model->arena, (parse->num_rules + 1) * sizeof *rules);
    size_t num = 0;
    if (rules == NULL)
        return PEL_E_NO_MEMORY;
    for (struct pel_stmt *stmt = parse->model->first; stmt != NULL; stmt = stmt->next) {
        if (stmt->type != PEL_S_RULE)
            continue;
        if (is_spoilt(stmt))
            PEL_TRY(check_spoilt_rule(parse, stmt));
        else
            rules[num++] = stmt;
    }
    qsort(rules, num, sizeof(struct pel_stmt *), compare_rules);
    *ret_rules = rules;
    *ret_num = num;
    return PEL_OK;
}

enum pel_err pel_compile(struct pel_parse *parse, struct pel_policy *policy, struct pel_pos **ret_positions)
{
    struct pel_stmt **rules = NULL;
    size_t num = 0;
    PEL_TRY(collect_rules(parse, &rules, &num));
    policy->rules = pel_arena_alloc(parse->kept, (num + 1) * sizeof *policy->rules);
    policy->conditions = pel_arena_alloc(parse->kept, (num + 1) * sizeof *policy->conditions);
    struct pel_pos *positions = pel_arena_alloc(&parse->scratch, (num + 1) * sizeof *positions);
    if (policy->rules == NULL || policy->conditions == NULL || positions == NULL)
        return PEL_E_NO_MEMORY;
    for (size_t i = 0; i < num; i++) {
        policy->rules[i].index = (uint32_t)i;
        positions[i] = rules[i]->pos;
        PEL_TRY(compile_rule(parse, rules[i], &policy->rules[i], &policy->conditions[i]));
    }
    policy->num_rules = num;
    parse->model->rules = rules;
    *ret_positions = positions;
    return PEL_OK;
}

static enum pel_err keep_file_names(struct pel_parse *parse)
{
    struct pel_model *model = parse->model;
    model->files = pel_arena_alloc(&model->arena, (parse->num_sources + 1) * sizeof *model->files);
    model->apart = pel_arena_alloc(&model->arena, (parse->num_sources + 1) * sizeof *model->apart);
    if (model->files == NULL || model->apart == NULL)
        return PEL_E_NO_MEMORY;
    for (size_t i = 0; i < parse->num_sources; i++) {
        const char *file = parse->sources[i].file;
        model->files[i] = pel_arena_strndup(&model->arena, file, strlen(file));
        if (model->files[i] == NULL)
            return PEL_E_NO_MEMORY;
        model->apart[i] = parse->sources[i].apart;
    }
    model->num_files = parse->num_sources;
    return PEL_OK;
}

static enum pel_err read_texts(void *arg, struct pel_parse *parse)
{
    for (size_t i = 0; i < parse->num_sources && !parse->cut; i++)
        PEL_TRY(pel_parse_text(parse, i));
    return PEL_OK;
}

static enum pel_err run(struct pel_parse *parse, const struct pel_compile_job *job, struct pel_policy *policy)
{
    struct pel_pos *positions = NULL;
    PEL_TRY(job->read(job->read_arg, parse));
    if (parse->cut)
        return PEL_OK; /* what the rest would say is unknown */
    PEL_TRY(keep_file_names(parse));
    PEL_TRY(pel_link(parse));
    PEL_TRY(pel_compile(parse, policy, &positions));
    if (parse->diags.num_errors > 0)
        return PEL_OK;
    if (!job->quiet)
        PEL_TRY(pel_overlaps(parse, policy, positions));
    PEL_TRY(pel_classes_make(parse, policy, parse->model->rules));
    return pel_tables_make(policy);
}

enum pel_err pel_compile_policy(const struct pel_compile_job *job, pel_policy_diag_fn *diag, void *diag_arg,
                                struct pel_policy **ret_policy, size_t *ret_num_warnings)
{
    struct pel_policy *policy = calloc(1, sizeof *policy);
    struct pel_model *model = calloc(1, sizeof *model);
    if (policy == NULL || model == NULL) {
        free(policy);
        free(model);
        return PEL_E_NO_MEMORY;
    }
    policy->model = model;
    atomic_init(&policy->num_refs, 1);
    struct pel_parse parse = {
        .kept = &policy->arena, .model = model, .sources = job->sources, .num_sources = job->num_sources};
    if (job->options != NULL)
        parse.options = *job->options;
    model->compat_zos = (parse.options.flags & PEL_POLICY_COMPAT_ZOS) != 0;
    parse.diags = (struct pel_diags){.arena = &parse.scratch, .sources = job->sources};
    enum pel_err err = run(&parse, job, policy);
    if (err == PEL_OK)
        err = pel_diag_flush(&parse.diags, diag, diag_arg);
    if (err == PEL_OK && parse.diags.num_errors > 0)
        err = PEL_E_POLICY_SYNTAX;
    if (err == PEL_OK) {
        *ret_policy = policy;
        model->num_warnings = parse.diags.num_warnings;
        model->num_notes = parse.diags.num_notes;
        if (ret_num_warnings != NULL)
            *ret_num_warnings = parse.diags.num_warnings;
    } else {
        pel_policy_unref(policy);
    }
    pel_arena_free(&parse.scratch);
    return err;
}

enum pel_err pel_policy_parse(const struct pel_policy_source *sources, size_t num_sources,
                              const struct pel_policy_options *options, pel_policy_diag_fn *diag,
                              void *diag_arg, struct pel_policy **ret_policy, size_t *ret_num_warnings)
{
    const struct pel_compile_job job = {
        .sources = sources, .num_sources = num_sources, .options = options, .read = read_texts};
    return pel_compile_policy(&job, diag, diag_arg, ret_policy, ret_num_warnings);
}
