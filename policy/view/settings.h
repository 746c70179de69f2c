/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every parameter that applies to a rule, with its value and where it comes from: one walk over the schema,
 * for all who show, compare or write rules.
 */
#ifndef PEL_POLICY_VIEW_SETTINGS_H
#define PEL_POLICY_VIEW_SETTINGS_H

#include <pellucid/policy.h>

#include "policy/view/out.h"
#include "policy/view/resolve.h"

/* One parameter on its way. */
struct pel_setting {
    enum pel_stmt_type home; /* the kind of statement that it is shown with */
    const struct pel_row *row;
    struct pel_found found; /* where it is coded */
    bool has_value;
    const char *value; /* NULL: none */
    bool is_default;
    const char *by;          /* the profile that made the value where none is coded: "FIPS140"; NULL: none */
    struct pel_found copied; /* likewise: the parameter whose value it is; none */
    const char *note;        /* NULL: none */
};

typedef void pel_settings_fn(void *arg, const struct pel_setting *setting);

/* Parts of a rule; and whether lists and versions are as coded, with what does not hold. */
enum { PEL_SETTINGS_CONDITIONS = 1, PEL_SETTINGS_ACTIONS = 2, PEL_SETTINGS_CODED = 4 };

/* pel_settings_walk hands every parameter of those parts of the rule to `fn`, values in clear. The pointers
 * are valid during the call. Errors: NO_MEMORY. */
PEL_MUST_USE enum pel_err pel_settings_walk(const struct pel_policy *policy, size_t index, unsigned parts,
                                            pel_settings_fn *fn, void *arg);

/* pel_settings_walk_action does the same for the parameters of one action of the rule, and of what it uses,
 * without what other actions override. */
PEL_MUST_USE enum pel_err pel_settings_walk_action(const struct pel_policy *policy, size_t index,
                                                   enum pel_level level, pel_settings_fn *fn, void *arg);

#endif
