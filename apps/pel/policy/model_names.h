/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of statements from names of objects: at most 32 bytes, no blanks, none twice for a kind of statement.
 * And the statements that were written already, by their content.
 */
#ifndef PEL_APPS_PEL_POLICY_MODEL_NAMES_H
#define PEL_APPS_PEL_POLICY_MODEL_NAMES_H

#include <stdbool.h>
#include <stddef.h>

enum { STATEMENT_NAME_MAX = 32 };

struct model_names {
    void *taken; /* trees of tsearch */
    void *written;
};

/* model_names_new makes a name for a statement of the kind from `stem`, cut with a check sum where it is too
 * long, and with a number behind it where it is taken. False: no memory. */
bool model_names_new(struct model_names *names, const char *kind, const char *stem,
                     char ret_name[STATEMENT_NAME_MAX + 1]);

/* model_names_share returns the name of the statement of that kind, stem and body, and whether it is new,
 * that is, has yet to be written. NULL: no memory. The name belongs to `names`. */
const char *model_names_share(struct model_names *names, const char *kind, const char *stem, const char *body,
                              bool *ret_is_new);

void model_names_free(struct model_names *names);

#endif
