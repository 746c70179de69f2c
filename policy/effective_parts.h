/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files that work out a rule's effective values share: the rule, the statements that it uses, and
 * the values on their way. Only policy/effective*.c include this.
 */
#ifndef PEL_POLICY_EFFECTIVE_PARTS_H
#define PEL_POLICY_EFFECTIVE_PARTS_H

#include "policy/effective.h"
#include "policy/profiles.h"

struct pel_eff {
    struct pel_parse *parse;
    struct pel_stmt *rule;
    struct pel_stmt *conn, *conn_adv, *env, *env_adv, *group; /* any but the group may be NULL */
    struct pel_stmt *signature, *gsk;                         /* likewise */
    struct pel_effective values;
};

/* pel_eff_get returns what the connection's or else the environment's advanced statement has, or NULL. */
const struct pel_param *pel_eff_get(const struct pel_eff *eff, enum pel_slot slot);

/* pel_eff_number and pel_eff_text do the same with a value for what is not coded. */
uint32_t pel_eff_number(const struct pel_eff *eff, enum pel_slot slot, uint32_t otherwise);
const char *pel_eff_text(const struct pel_eff *eff, enum pel_slot slot);

/* pel_eff_labels takes the labels of certificates, and for which names they are. Errors: NO_MEMORY. */
PEL_MUST_USE enum pel_err pel_eff_labels(struct pel_eff *eff);

/* pel_eff_lists takes suites, groups and signatures, less what the profiles forbid. Errors: NO_MEMORY. */
PEL_MUST_USE enum pel_err pel_eff_lists(struct pel_eff *eff);

/* pel_eff_versions takes the versions that are on and that the lists can serve. */
void pel_eff_versions(struct pel_eff *eff);

/* pel_profiles_apply cuts the lists down, or fills those that are not coded; nothing left of one is an error
 * of the rule. Errors: NO_MEMORY. */
PEL_MUST_USE enum pel_err pel_profiles_apply(struct pel_eff *eff);

#endif
