/* SPDX-License-Identifier: Apache-2.0 */
#include <pellucid/policy.h>
#include <stdbool.h>

#include "policy/files.h"

struct forward {
    pel_policy_message_fn *fn;
    void *arg;
    bool strict;
    struct pel_policy_summary summary;
};

static void forward_message(void *arg, const struct pel_policy_diag *diag)
{
    struct forward *forward = arg;
    static const enum pel_policy_severity severities[] = {[PEL_SEV_NOTE] = PEL_POLICY_NOTE,
                                                          [PEL_SEV_WARNING] = PEL_POLICY_WARNING,
                                                          [PEL_SEV_ERROR] = PEL_POLICY_ERROR};
    bool raised = forward->strict && diag->severity == PEL_SEV_WARNING;
    struct pel_policy_message message = {.severity = raised ? PEL_POLICY_ERROR : severities[diag->severity],
                                         .file = diag->file,
                                         .line = diag->line,
                                         .column = diag->column,
                                         .text = diag->message};
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

enum pel_err pel_policy_check(const char *const *paths, size_t num_paths, unsigned flags,
                              pel_policy_message_fn *fn, void *arg, struct pel_policy_summary *ret_summary,
                              struct pel_error *reterr)
{
    struct forward forward = {.fn = fn, .arg = arg, .strict = (flags & PEL_POLICY_CHECK_STRICT) != 0};
    struct pel_policy *policy = NULL;
    enum pel_err err =
        pel_policy_load_files(paths, num_paths, NULL, forward_message, &forward, &policy, NULL, NULL, reterr);
    if (err == PEL_OK && forward.summary.num_errors > 0)
        err = pel_error_set(reterr, PEL_E_POLICY_SYNTAX, "warnings are errors");
    if (err == PEL_OK)
        forward.summary.num_rules = pel_policy_num_rules(policy);
    if (ret_summary != NULL && (err == PEL_OK || err == PEL_E_POLICY_SYNTAX))
        *ret_summary = forward.summary;
    pel_policy_unref(policy);
    return err;
}
