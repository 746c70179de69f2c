/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules of a policy that stay although the files do not have them any more (NOFLUSH): as texts that are read
 * beside the files. Names in such a text mean what they meant in the policy that it comes from, whatever the
 * files say now.
 */
#ifndef PEL_POLICY_VIEW_KEEP_H
#define PEL_POLICY_VIEW_KEEP_H

#include "policy/policy.h"

struct pel_policy_kept {
    struct pel_policy_source *sources; /* with `apart` */
    size_t num_sources;
    size_t num_rules;
};

/* pel_policy_keep writes the rules of `before` whose names are not among those of `now`, and what they refer
 * to. Rules that were kept before have a source of their own again. `label` names the files in messages. The
 * caller frees with pel_policy_kept_free. Errors: NO_MEMORY. Any thread. */
PEL_MUST_USE enum pel_err pel_policy_keep(const struct pel_policy *before, const struct pel_policy *now,
                                          const char *label, struct pel_policy_kept *ret_kept);

/* pel_policy_kept_free wipes and frees the texts; harmless when zeroed. */
void pel_policy_kept_free(struct pel_policy_kept *kept);

/* pel_policy_is_kept tells whether the rule at `index` comes from such a text. Any thread. */
bool pel_policy_is_kept(const struct pel_policy *policy, size_t index);

#endif
