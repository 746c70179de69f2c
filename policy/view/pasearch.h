/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lines of the original's report, as data: which parameters it prints in which order, and how wide.
 */
#ifndef PEL_POLICY_VIEW_PASEARCH_H
#define PEL_POLICY_VIEW_PASEARCH_H

#include "policy/view/settings.h"

enum pel_pasearch_form {
    PEL_PA_VALUE,  /* behind its name, padded to `width` */
    PEL_PA_GROUPS, /* named groups, one a line; or Any behind its name */
    PEL_PA_PAIRS,  /* signature pairs, likewise */
    PEL_PA_SUITES, /* suites with their codes */
};

enum pel_pasearch_when {
    PEL_PA_ALWAYS,
    PEL_PA_CODED, /* if it is coded here, not inherited */
};

struct pel_pasearch_row {
    const char *name;    /* the schema's */
    const char *printed; /* the report's; NULL: the same */
    enum pel_pasearch_form form;
    enum pel_pasearch_when when;
    int column; /* where the value begins */
    int width;
};

/* A block of the report: a statement's parameters below its name. */
struct pel_pasearch_block {
    enum pel_stmt_type home;
    const char *title;           /* with blanks before and behind; NULL: the action itself */
    enum pel_pasearch_when when; /* ALWAYS, or CODED: if any parameter of it is */
    int indent, column;          /* of rows that are printed when coded and are not listed */
    const struct pel_pasearch_row *rows;
    size_t num_rows;
};

/* The blocks of an action in order. */
struct pel_pasearch_action {
    const char *scope;
    const struct pel_pasearch_block *blocks;
    size_t num_blocks;
};

extern const struct pel_pasearch_action pel_pasearch_actions[PEL_NUM_LEVELS];

#endif
