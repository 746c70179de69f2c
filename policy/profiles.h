/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What limits a rule's lists and versions: SuiteBProfile, FIPS140.
 */
#ifndef PEL_POLICY_PROFILES_H
#define PEL_POLICY_PROFILES_H

#include "policy/model.h"

struct pel_profile {
    const char *name; /* "SuiteBProfile 128" */
    uint32_t versions;
    const uint16_t *ciphers, *groups, *signatures; /* those allowed, most wanted first */
    size_t num_ciphers, num_groups, num_signatures;
    size_t num_default_ciphers; /* the first so many are the list of a rule that codes none */
    uint32_t min_rsa_bits, min_ecc_bits;
};

/* pel_profiles_of returns the profiles of a rule with that environment action (NULL: none) and that FIPS140,
 * up to two, and their number. */
size_t pel_profiles_of(const struct pel_stmt *env, bool fips, const struct pel_profile *ret_profiles[2]);

/* pel_profile_has tells whether the list has the code. */
bool pel_profile_has(const uint16_t *codes, size_t num, uint16_t code);

#endif
