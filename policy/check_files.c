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
    struct pel_policy_message message = {.is_error = forward->strict || diag->severity == PEL_SEV_ERROR,
                                         .file = diag->file,
                                         .line = diag->line,
                                         .column = diag->column,
                                         .text = diag->message};
    forward->summary.num_errors += message.is_error != 0;
    forward->summary.num_warnings += message.is_error == 0;
    if (forward->fn != NULL)
        forward->fn(forward->arg, &message);
}

enum pel_err pel_policy_check(const char *const *paths, size_t num_paths, unsigned flags,
                              pel_policy_message_fn *fn, void *arg, struct pel_policy_summary *ret_summary,
                              struct pel_error *reterr)
{
    struct forward forward = {.fn = fn, .arg = arg, .strict = (flags & PEL_POLICY_CHECK_STRICT) != 0};
    struct pel_policy *policy = NULL;
    enum pel_err err =
        pel_policy_load_files(paths, num_paths, forward_message, &forward, &policy, NULL, reterr);
    if (err == PEL_OK && forward.summary.num_errors > 0)
        err = pel_error_set(reterr, PEL_E_POLICY_SYNTAX, "warnings are errors");
    if (err == PEL_OK)
        forward.summary.num_rules = pel_policy_num_rules(policy);
    if (ret_summary != NULL && (err == PEL_OK || err == PEL_E_POLICY_SYNTAX))
        *ret_summary = forward.summary;
    pel_policy_unref(policy);
    return err;
}
