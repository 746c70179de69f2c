/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/model.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
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

static int compare_params(const void *a, const void *b)
{
    const struct pel_param *x = *(const struct pel_param *const *)a;
    const struct pel_param *y = *(const struct pel_param *const *)b;
    if (x->pos.line != y->pos.line)
        return x->pos.line < y->pos.line ? -1 : 1;
    return x->pos.column < y->pos.column ? -1 : x->pos.column > y->pos.column;
}

enum pel_err pel_stmt_in_order(const struct pel_stmt *stmt, const struct pel_param ***ret_params,
                               size_t *ret_num)
{
    size_t num = 0;
    for (const struct pel_param *param = stmt->params; param != NULL; param = param->next)
        num++;
    for (const struct pel_param *param = stmt->items; param != NULL; param = param->next)
        num++;
    const struct pel_param **params = malloc((num + 1) * sizeof *params);
    if (params == NULL)
        return PEL_E_NO_MEMORY;
    num = 0;
    for (const struct pel_param *param = stmt->params; param != NULL; param = param->next)
        params[num++] = param;
    for (const struct pel_param *param = stmt->items; param != NULL; param = param->next)
        params[num++] = param;
    qsort(params, num, sizeof *params, compare_params);
    *ret_params = params;
    *ret_num = num;
    return PEL_OK;
}

bool pel_stmt_stands_alone(const struct pel_stmt *stmt)
{
    return stmt->parent == NULL || (stmt->replaced && stmt->referenced);
}
