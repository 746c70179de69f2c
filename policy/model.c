/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/model.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const struct pel_param *pel_stmt_get(const struct pel_stmt *stmt, enum pel_slot slot)
{
    if (stmt == NULL)
        return NULL;
    for (const struct pel_param *param = stmt->params; param != NULL; param = param->next) {
        if (param->row->slot == slot)
            return param;
    }
    return NULL;
}

struct pel_stmt *pel_stmt_child(const struct pel_stmt *stmt, enum pel_slot slot)
{
    const struct pel_param *param = pel_stmt_get(stmt, slot);
    return param == NULL ? NULL : param->child;
}

struct pel_title pel_stmt_title(const struct pel_stmt *stmt)
{
    struct pel_title title;
    const char *keyword = pel_schema(stmt->type)->name;
    if (stmt->name[0] == '\0')
        snprintf(title.text, sizeof title.text, "%s", keyword);
    else
        snprintf(title.text, sizeof title.text, "%s \"%s\"", keyword,
                 pel_diag_show(stmt->name, strlen(stmt->name)).text);
    return title;
}

void pel_stmt_fail(struct pel_parse *parse, struct pel_stmt *stmt, struct pel_pos pos, const char *format,
                   ...)
{
    char text[480];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    pel_diag_error(&parse->diags, pos, "%s", text);
    for (; stmt != NULL; stmt = stmt->parent)
        stmt->bad = true;
}
