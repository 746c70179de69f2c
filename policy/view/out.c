/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/view/out.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_CAP = 256 };

static bool grow(struct pel_out *out, size_t need)
{
    size_t cap = out->cap == 0 ? FIRST_CAP : out->cap;
    while (cap < need)
        cap *= 2;
    char *text = realloc(out->text, cap);
    if (text == NULL) {
        out->failed = true;
        return false;
    }
    out->text = text;
    out->cap = cap;
    return true;
}

void pel_out_add(struct pel_out *out, const char *text, size_t text_len)
{
    if (out->failed || (out->cap - out->len <= text_len && !grow(out, out->len + text_len + 1)))
        return;
    if (text_len > 0)
        memcpy(out->text + out->len, text, text_len);
    out->len += text_len;
    out->text[out->len] = '\0';
}

void pel_out_text(struct pel_out *out, const char *text)
{
    pel_out_add(out, text, strlen(text));
}

void pel_out_format(struct pel_out *out, const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    pel_out_text(out, text);
}

void pel_out_clear(struct pel_out *out)
{
    out->len = 0;
    out->failed = false;
    if (out->text != NULL)
        out->text[0] = '\0';
}

void pel_out_free(struct pel_out *out)
{
    free(out->text);
    *out = (struct pel_out){0};
}
