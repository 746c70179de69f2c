/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/view/settings_list.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_CAP = 256 };

void pel_settings_keep(void *arg, const struct pel_setting *setting)
{
    struct pel_settings_list *list = arg;
    if (list->num == list->cap) {
        size_t cap = list->cap == 0 ? FIRST_CAP : list->cap * 2;
        struct pel_kept_setting *settings = realloc(list->settings, cap * sizeof *settings);
        if (settings == NULL) {
            list->failed = true;
            return;
        }
        list->settings = settings;
        list->cap = cap;
    }
    list->settings[list->num++] = (struct pel_kept_setting){
        .home = setting->home,
        .row = setting->row,
        .at = list->text.len,
        .has_value = setting->value != NULL,
        .is_default = setting->is_default,
        .is_coded = setting->found.stmt != NULL && setting->found.stmt->type == setting->home};
    if (setting->value != NULL)
        pel_out_add(&list->text, setting->value, strlen(setting->value) + 1);
    list->failed = list->failed || list->text.failed;
}

const char *pel_settings_text(const struct pel_settings_list *list, const struct pel_kept_setting *setting)
{
    return setting != NULL && setting->has_value ? list->text.text + setting->at : NULL;
}

const struct pel_kept_setting *pel_settings_find(const struct pel_settings_list *list, const char *name,
                                                 size_t hint)
{
    if (hint < list->num && strcmp(list->settings[hint].row->name, name) == 0)
        return &list->settings[hint];
    for (size_t i = 0; i < list->num; i++) {
        if (strcmp(list->settings[i].row->name, name) == 0)
            return &list->settings[i];
    }
    return NULL;
}

void pel_settings_clear(struct pel_settings_list *list)
{
    list->num = 0;
    list->failed = false;
    pel_out_clear(&list->text);
}

void pel_settings_free(struct pel_settings_list *list)
{
    pel_out_free(&list->text);
    free(list->settings);
    *list = (struct pel_settings_list){0};
}
