/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The predefined security levels, as IBM's Configuration Assistant names them. What they hold is Pellucid's
 * own: docs/POLICY-MODEL.md says how and why it differs.
 */
#ifndef PEL_APPS_PEL_POLICY_LEVELS_H
#define PEL_APPS_PEL_POLICY_LEVELS_H

#include <stdbool.h>
#include <stddef.h>

struct level {
    const char *name;
    const char *summary;
    bool is_clear;               /* no TLS on purpose */
    const char *const *versions; /* "1.2", "1.3"; ends with NULL */
    const char *const *ciphers;  /* names in order of preference; ends with NULL; NULL: the product's list */
};

/* levels_table returns the levels, the strictest first, and their number. Static. */
const struct level *levels_table(size_t *ret_num);

/* levels_find returns the level of that name, letters without case, or NULL. */
const struct level *levels_find(const char *name);

#endif
