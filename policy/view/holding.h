/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a rule's lists and versions come to where that is not what is coded: profiles leave some out, or fill
 * what is not coded; versions need suites and signatures. As policy/effective.c compiled it, for those who
 * show it.
 */
#ifndef PEL_POLICY_VIEW_HOLDING_H
#define PEL_POLICY_VIEW_HOLDING_H

#include "policy/view/out.h"
#include "policy/view/resolve.h"

/* A rule, and the statements of it that are looked at. */
struct pel_holding {
    const struct pel_rule *rule;
    const struct pel_levels *levels; /* those looked at */
    bool one_action;                 /* they are those of one action only */
};

struct pel_held {
    bool differs;            /* from what is coded, or from the default */
    const char *by;          /* the profile that made it so, where nothing is coded; else NULL */
    struct pel_found copied; /* likewise: what it is the same as; else none */
};

/* pel_holding_apply writes what holds for the parameter in place of `value`, which is what is coded or the
 * default, and appends to `note` why it is less. Where that holds it changes nothing. */
struct pel_held pel_holding_apply(const struct pel_holding *holding, const struct pel_row *row,
                                  struct pel_found found, struct pel_out *value, struct pel_out *note);

#endif
