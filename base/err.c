/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

struct err_row {
    const char *name;
    const char *text;
    enum pel_err_category category;
};

static const struct err_row err_rows[PEL_ERR_NR] = {
#define ERR_ROW(name, category, sentence) [PEL_E_##name] = {#name, sentence, PEL_CAT_##category},
    PEL_ERR_LIST(ERR_ROW)
#undef ERR_ROW
};

static const struct err_row *row_of(enum pel_err err)
{
    static const struct err_row unknown = {"UNKNOWN", "unknown error", PEL_CAT_CALLER};
    return (unsigned)err < PEL_ERR_NR ? &err_rows[err] : &unknown;
}

const char *pel_err_name(enum pel_err err)
{
    return row_of(err)->name;
}

const char *pel_err_text(enum pel_err err)
{
    return row_of(err)->text;
}

enum pel_err_category pel_err_category(enum pel_err err)
{
    return row_of(err)->category;
}

enum pel_err pel_error_set(struct pel_error *reterr, enum pel_err code, const char *format, ...)
{
    if (reterr != NULL) {
        va_list args;
        reterr->code = code;
        va_start(args, format);
        vsnprintf(reterr->text, sizeof reterr->text, format, args);
        va_end(args);
    }
    return code;
}
