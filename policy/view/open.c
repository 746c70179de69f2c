/* SPDX-License-Identifier: Apache-2.0 */
#include <pellucid/policy.h>
#include <stdbool.h>

#include "policy/files.h"
#include "policy/model.h"

struct forward {
    pel_policy_message_fn *fn;
    void *arg;
    bool strict;
    struct pel_policy_summary summary;
};

struct pel_policy_message pel_policy_message_of(const struct pel_policy_diag *diag, bool strict)
{
    static const enum pel_policy_severity severities[] = {[PEL_SEV_NOTE] = PEL_POLICY_NOTE,
                                                          [PEL_SEV_WARNING] = PEL_POLICY_WARNING,
                                                          [PEL_SEV_ERROR] = PEL_POLICY_ERROR};
    bool raised = strict && diag->severity == PEL_SEV_WARNING;
    return (struct pel_policy_message){.severity = raised ? PEL_POLICY_ERROR : severities[diag->severity],
                                       .file = diag->file,
                                       .line = diag->line,
                                       .column = diag->column,
                                       .text = diag->message};
}

static void forward_message(void *arg, const struct pel_policy_diag *diag)
{
    struct forward *forward = arg;
    struct pel_policy_message message = pel_policy_message_of(diag, forward->strict);
    forward->summary.num_errors += message.severity == PEL_POLICY_ERROR;
    forward->summary.num_warnings += message.severity == PEL_POLICY_WARNING;
    forward->summary.num_notes += message.severity == PEL_POLICY_NOTE;
    if (forward->fn != NULL)
        forward->fn(forward->arg, &message);
}

const char *pel_policy_severity_name(enum pel_policy_severity severity)
{
    return severity == PEL_POLICY_ERROR ? "error" : severity == PEL_POLICY_WARNING ? "warning" : "note";
}

enum pel_err pel_policy_open(const char *const *paths, size_t num_paths,
                             const struct pel_policy_options *options, pel_policy_message_fn *fn, void *arg,
                             struct pel_policy **ret_policy, struct pel_policy_summary *ret_summary,
                             struct pel_error *reterr)
{
    bool strict = options != NULL && (options->flags & PEL_POLICY_CHECK_STRICT) != 0;
    struct forward forward = {.fn = fn, .arg = arg, .strict = strict};
    struct pel_policy *policy = NULL;
    enum pel_err err = pel_policy_load_files(paths, num_paths, options, forward_message, &forward, &policy,
                                             NULL, NULL, reterr);
    if (err == PEL_OK && forward.summary.num_errors > 0)
        err = pel_error_set(reterr, PEL_E_POLICY_SYNTAX, "warnings are errors");
    if (err == PEL_OK)
        forward.summary.num_rules = pel_policy_num_rules(policy);
    if (ret_summary != NULL && (err == PEL_OK || err == PEL_E_POLICY_SYNTAX))
        *ret_summary = forward.summary;
    if (err == PEL_OK)
        *ret_policy = policy;
    else
        pel_policy_unref(policy);
    return err;
}

void pel_policy_close(struct pel_policy *policy)
{
    pel_policy_unref(policy);
}

enum pel_err pel_policy_check(const char *const *paths, size_t num_paths,
                              const struct pel_policy_options *options, pel_policy_message_fn *fn, void *arg,
                              struct pel_policy_summary *ret_summary, struct pel_error *reterr)
{
    struct pel_policy *policy = NULL;
    PEL_TRY(pel_policy_open(paths, num_paths, options, fn, arg, &policy, ret_summary, reterr));
    pel_policy_close(policy);
    return PEL_OK;
}

const char *pel_policy_verdict_text(enum pel_policy_verdict verdict)
{
    static const char *const texts[] = {
        [PEL_POLICY_VERDICT_CLEAR_NO_RULE] = "clear (no rule)",
        [PEL_POLICY_VERDICT_CLEAR] = "clear",
        [PEL_POLICY_VERDICT_TLS] = "tls",
        [PEL_POLICY_VERDICT_TLS_WHEN_ASKED] = "tls when asked",
    };
    return (size_t)verdict < sizeof texts / sizeof *texts ? texts[verdict] : "";
}

size_t pel_policy_count(const struct pel_policy *policy)
{
    return policy->num_rules;
}

static enum pel_policy_verdict verdict_of(const struct pel_effective *effective)
{
    if (!effective->ttls_enabled)
        return PEL_POLICY_VERDICT_CLEAR;
    return effective->application_controlled ? PEL_POLICY_VERDICT_TLS_WHEN_ASKED : PEL_POLICY_VERDICT_TLS;
}

enum pel_err pel_policy_describe(const struct pel_policy *policy, size_t index,
                                 struct pel_policy_info *ret_info)
{
    if (index >= policy->num_rules)
        return PEL_E_ARG;
    const struct pel_rule *rule = &policy->rules[index];
    const struct pel_pos *pos = &policy->model->rules[index]->pos;
    *ret_info = (struct pel_policy_info){.name = rule->name,
                                         .priority = rule->priority,
                                         .inbound = (rule->direction & PEL_INBOUND) != 0,
                                         .outbound = (rule->direction & PEL_OUTBOUND) != 0,
                                         .verdict = verdict_of(&rule->effective),
                                         .file = policy->model->files[pos->file],
                                         .line = pos->line,
                                         .column = pos->column,
                                         .group_action = rule->group_action,
                                         .environment_action = rule->environment_action,
                                         .connection_action = rule->connection_action};
    return PEL_OK;
}
