/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/diag.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct pel_diag_entry {
    struct pel_diag_entry *older;
    size_t number; /* in the order of finding, so that messages about one place stay in it */
    enum pel_severity severity;
    struct pel_pos pos;
    char *message;
};

static void keep(struct pel_diags *diags, enum pel_severity severity, struct pel_pos pos, const char *format,
                 va_list args)
{
    char text[512];
    vsnprintf(text, sizeof text, format, args);
    struct pel_diag_entry *entry = pel_arena_alloc(diags->arena, sizeof *entry);
    char *message = pel_arena_strndup(diags->arena, text, strlen(text));
    if (entry == NULL || message == NULL) {
        diags->failed = true;
        return;
    }
    *entry = (struct pel_diag_entry){.older = diags->newest,
                                     .number = diags->newest == NULL ? 0 : diags->newest->number + 1,
                                     .severity = severity,
                                     .pos = pos,
                                     .message = message};
    diags->newest = entry;
}

const char *pel_severity_name(enum pel_severity severity)
{
    return severity == PEL_SEV_ERROR ? "error" : severity == PEL_SEV_WARNING ? "warning" : "note";
}

/* Counts a message, and tells whether it is still one of those kept. */
static bool count(size_t *num, size_t most, struct pel_pos *first_unkept, struct pel_pos pos)
{
    if (*num == most)
        *first_unkept = pos;
    return (*num)++ < most;
}

void pel_diag_error(struct pel_diags *diags, struct pel_pos pos, const char *format, ...)
{
    va_list args;
    if (!count(&diags->num_errors, PEL_MAX_ERRORS, &diags->first_unkept_error, pos))
        return;
    va_start(args, format);
    keep(diags, PEL_SEV_ERROR, pos, format, args);
    va_end(args);
}

void pel_diag_warning(struct pel_diags *diags, struct pel_pos pos, const char *format, ...)
{
    va_list args;
    if (!count(&diags->num_warnings, PEL_MAX_WARNINGS, &diags->first_unkept_warning, pos))
        return;
    va_start(args, format);
    keep(diags, PEL_SEV_WARNING, pos, format, args);
    va_end(args);
}

void pel_diag_note(struct pel_diags *diags, struct pel_pos pos, const char *format, ...)
{
    va_list args;
    if (!count(&diags->num_notes, PEL_MAX_NOTES, &diags->first_unkept_note, pos))
        return;
    va_start(args, format);
    keep(diags, PEL_SEV_NOTE, pos, format, args);
    va_end(args);
}

bool pel_diag_wants_errors(const struct pel_diags *diags)
{
    return diags->num_errors < PEL_MAX_ERRORS;
}

static int compare(const void *a, const void *b)
{
    const struct pel_diag_entry *x = *(const struct pel_diag_entry *const *)a;
    const struct pel_diag_entry *y = *(const struct pel_diag_entry *const *)b;
    if (x->pos.file != y->pos.file)
        return x->pos.file < y->pos.file ? -1 : 1;
    if (x->pos.line != y->pos.line)
        return x->pos.line < y->pos.line ? -1 : 1;
    if (x->pos.column != y->pos.column)
        return x->pos.column < y->pos.column ? -1 : 1;
    return x->number < y->number ? -1 : 1;
}

static void emit(const struct pel_diags *diags, enum pel_severity severity, struct pel_pos pos,
                 const char *message, pel_policy_diag_fn *fn, void *arg)
{
    struct pel_policy_diag diag = {.severity = severity,
                                   .file = diags->sources[pos.file].file,
                                   .line = pos.line,
                                   .column = pos.column,
                                   .message = message};
    fn(arg, &diag);
}

enum pel_err pel_diag_flush(struct pel_diags *diags, pel_policy_diag_fn *fn, void *arg)
{
    if (diags->failed)
        return PEL_E_NO_MEMORY;
    if (fn == NULL || diags->newest == NULL)
        return PEL_OK;
    size_t num = diags->newest->number + 1;
    struct pel_diag_entry **entries = pel_arena_alloc(diags->arena, num * sizeof *entries);
    if (entries == NULL)
        return PEL_E_NO_MEMORY;
    for (struct pel_diag_entry *entry = diags->newest; entry != NULL; entry = entry->older)
        entries[entry->number] = entry;
    qsort(entries, num, sizeof *entries, compare);
    for (size_t i = 0; i < num; i++)
        emit(diags, entries[i]->severity, entries[i]->pos, entries[i]->message, fn, arg);
    if (diags->num_notes > PEL_MAX_NOTES)
        emit(diags, PEL_SEV_NOTE, diags->first_unkept_note, "further notes not shown", fn, arg);
    if (diags->num_warnings > PEL_MAX_WARNINGS)
        emit(diags, PEL_SEV_WARNING, diags->first_unkept_warning, "further warnings not shown", fn, arg);
    if (diags->num_errors > PEL_MAX_ERRORS)
        emit(diags, PEL_SEV_ERROR, diags->first_unkept_error, "further errors not shown", fn, arg);
    return PEL_OK;
}

struct pel_place pel_diag_place(const struct pel_diags *diags, struct pel_pos place, struct pel_pos seen_from)
{
    struct pel_place shown;
    if (place.file == seen_from.file)
        snprintf(shown.text, sizeof shown.text, "line %u", place.line);
    else
        snprintf(shown.text, sizeof shown.text, "%s:%u",
                 pel_diag_show(diags->sources[place.file].file, strlen(diags->sources[place.file].file)).text,
                 place.line);
    return shown;
}

struct pel_shown pel_diag_show(const char *text, size_t text_len)
{
    struct pel_shown shown;
    size_t len = text_len;
    if (len > 64) {
        len = 64;
        while (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80)
            len--; /* not in the middle of a character */
    }
    if (len > 0)
        memcpy(shown.text, text, len);
    memcpy(shown.text + len, text_len > len ? "..." : "", text_len > len ? 4 : 1);
    return shown;
}
