/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From statements to a policy, wherever the statements come from.
 */
#ifndef PEL_POLICY_COMPILE_H
#define PEL_POLICY_COMPILE_H

#include "policy/model.h"

struct pel_compile_job {
    const struct pel_policy_source *sources; /* the texts, or the names that places bear */
    size_t num_sources;
    const struct pel_policy_options *options;                      /* may be NULL */
    enum pel_err (*read)(void *read_arg, struct pel_parse *parse); /* makes the statements */
    void *read_arg;
    bool quiet; /* nobody hears warnings: those that cost time are not looked for */
};

/* pel_compile_policy reads statements and makes a generation of them, with one reference. Messages and errors
 * as pel_policy_parse. */
PEL_MUST_USE enum pel_err pel_compile_policy(const struct pel_compile_job *job, pel_policy_diag_fn *diag,
                                             void *diag_arg, struct pel_policy **ret_policy,
                                             size_t *ret_num_warnings);

#endif
