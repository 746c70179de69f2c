/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The settings of a rule kept beside each other, for those who need more than one at a time.
 */
#ifndef PEL_POLICY_VIEW_SETTINGS_LIST_H
#define PEL_POLICY_VIEW_SETTINGS_LIST_H

#include "policy/view/settings.h"

struct pel_kept_setting {
    enum pel_stmt_type home;
    const struct pel_row *row;
    size_t at; /* of the value in `text` */
    bool has_value, is_default;
    bool is_coded; /* in a statement of its own kind, not inherited */
};

/* All zero is empty. */
struct pel_settings_list {
    struct pel_out text; /* the values, each with its NUL */
    struct pel_kept_setting *settings;
    size_t num, cap;
    bool failed; /* out of memory */
};

/* pel_settings_keep adds the setting; a pel_settings_fn whose argument is a struct pel_settings_list. */
void pel_settings_keep(void *list, const struct pel_setting *setting);

/* pel_settings_text returns the setting's value; NULL for none, or for no setting. */
const char *pel_settings_text(const struct pel_settings_list *list, const struct pel_kept_setting *setting);

/* pel_settings_find returns the setting of that name, or NULL; it looks at place `hint` first. */
const struct pel_kept_setting *pel_settings_find(const struct pel_settings_list *list, const char *name,
                                                 size_t hint);

/* pel_settings_clear empties the list and keeps its memory; pel_settings_free gives that back. */
void pel_settings_clear(struct pel_settings_list *list);
void pel_settings_free(struct pel_settings_list *list);

#endif
