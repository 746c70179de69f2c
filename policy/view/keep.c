/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/view/keep.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "policy/view/out.h"
#include "policy/view/write.h"

struct keep {
    const struct pel_model *model;
    void *names;  /* tsearch: of the rules that the files have */
    void *wanted; /* tsearch: the statements of one source that are written */
    struct pel_out out;
    bool failed;
};

/* ---- which statements ---- */

static int compare_names(const void *a, const void *b)
{
    return strcmp(a, b);
}

static int compare_statements(const void *a, const void *b)
{
    return (a > b) - (a < b);
}

static void forget(void *entry)
{
    (void)entry; /* the policy's */
}

static bool is_wanted(struct keep *keep, const struct pel_stmt *stmt)
{
    return tfind(stmt, &keep->wanted, compare_statements) != NULL;
}

static void want_params(struct keep *keep, const struct pel_param *param);

static void want(struct keep *keep, const struct pel_stmt *stmt)
{
    if (is_wanted(keep, stmt))
        return;
    if (tsearch(stmt, &keep->wanted, compare_statements) == NULL)
        keep->failed = true;
    want_params(keep, stmt->params);
    want_params(keep, stmt->items);
}

/* What is inline is written with the statement; what is referred to is wanted too. No deeper than the
 * language nests. */
static void want_params(struct keep *keep, const struct pel_param *param)
{
    for (; param != NULL; param = param->next) {
        if (param->child == NULL)
            continue;
        if (param->row->type == PEL_V_REF) {
            want(keep, param->child);
        } else {
            want_params(keep, param->child->params);
            want_params(keep, param->child->items);
        }
    }
}

/* Whether it is written as part of another one. */
static bool is_written_inline(struct keep *keep, const struct pel_stmt *stmt)
{
    for (; stmt->parent != NULL; stmt = stmt->parent)
        if (stmt->replaced)
            return false;
    return is_wanted(keep, stmt);
}

static bool filter(void *arg, const struct pel_stmt *stmt)
{
    struct keep *keep = arg;
    return is_wanted(keep, stmt) && (stmt->parent == NULL || !is_written_inline(keep, stmt));
}

/* ---- texts ---- */

static enum pel_err take(void *arg, const char *text, size_t text_len)
{
    struct pel_out *out = arg;
    pel_out_add(out, text, text_len);
    return out->failed ? PEL_E_NO_MEMORY : PEL_OK;
}

static bool stays(struct keep *keep, const struct pel_stmt *rule)
{
    return tfind(rule->name, &keep->names, compare_names) == NULL;
}

/* All names of one source mean what is in it, and so do those of all sources that are not apart. */
static size_t group_of(const struct pel_model *model, const struct pel_stmt *stmt)
{
    return model->apart[stmt->pos.file] ? stmt->pos.file + 1u : 0;
}

static enum pel_err write_group(struct keep *keep, const struct pel_policy *before, size_t group,
                                const char *label, struct pel_policy_kept *kept)
{
    size_t num_rules = 0;
    for (size_t i = 0; i < before->num_rules; i++) {
        const struct pel_stmt *rule = keep->model->rules[i];
        if (group_of(keep->model, rule) == group && stays(keep, rule)) {
            want(keep, rule);
            num_rules++;
        }
    }
    if (num_rules == 0)
        return PEL_OK;
    PEL_TRY(pel_write_some(keep->model, filter, keep, take, &keep->out));
    char *file = strdup(group == 0 ? label : keep->model->files[group - 1]);
    if (file == NULL || keep->failed) {
        free(file);
        return PEL_E_NO_MEMORY;
    }
    kept->sources[kept->num_sources++] = (struct pel_policy_source){
        .file = file, .text = keep->out.text, .text_len = keep->out.len, .apart = true};
    kept->num_rules += num_rules;
    keep->out = (struct pel_out){0};
    return PEL_OK;
}

static enum pel_err write_groups(struct keep *keep, const struct pel_policy *before,
                                 const struct pel_policy *now, const char *label,
                                 struct pel_policy_kept *kept)
{
    for (size_t i = 0; i < now->num_rules; i++)
        if (tsearch(now->rules[i].name, &keep->names, compare_names) == NULL)
            return PEL_E_NO_MEMORY;
    kept->sources = calloc(before->model->num_files + 1, sizeof *kept->sources);
    if (kept->sources == NULL)
        return PEL_E_NO_MEMORY;
    enum pel_err err = PEL_OK;
    for (size_t group = 0; group <= before->model->num_files && err == PEL_OK; group++) {
        if (group == 0 || before->model->apart[group - 1])
            err = write_group(keep, before, group, label, kept);
        tdestroy(keep->wanted, forget);
        keep->wanted = NULL;
    }
    return err;
}

enum pel_err pel_policy_keep(const struct pel_policy *before, const struct pel_policy *now, const char *label,
                             struct pel_policy_kept *ret_kept)
{
    struct pel_policy_kept kept = {0};
    struct keep keep = {.model = before->model};
    enum pel_err err = write_groups(&keep, before, now, label, &kept);
    tdestroy(keep.names, forget);
    pel_out_free(&keep.out);
    if (err != PEL_OK) {
        pel_policy_kept_free(&kept);
        return err;
    }
    *ret_kept = kept;
    return PEL_OK;
}

void pel_policy_kept_free(struct pel_policy_kept *kept)
{
    for (size_t i = 0; i < kept->num_sources; i++) {
        /* It may hold a keyring's password. */
        explicit_bzero((char *)(uintptr_t)kept->sources[i].text, kept->sources[i].text_len);
        free((char *)(uintptr_t)kept->sources[i].text);
        free((char *)(uintptr_t)kept->sources[i].file);
    }
    free(kept->sources);
    *kept = (struct pel_policy_kept){0};
}

bool pel_policy_is_kept(const struct pel_policy *policy, size_t index)
{
    return index < policy->num_rules && policy->model->apart[policy->model->rules[index]->pos.file];
}
