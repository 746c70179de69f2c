/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The comments that a build leaves, read back. They only propose names: what a rule does is read from the
 * policy, and a model that would not come to the same is made again without them.
 */
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apps/pel/policy/model_import.h"

enum { MAX_LINE = 1000 };

/* A statement, and the comment above it. */
struct said {
    char *statement; /* "TTLSRule name" */
    char *comment;
};

static int compare(const void *a, const void *b)
{
    return strcmp(((const struct said *)a)->statement, ((const struct said *)b)->statement);
}

static void free_entry(void *node)
{
    struct said *entry = node;
    free(entry->statement);
    free(entry->comment);
    free(entry);
}

/* The text in quotes behind `before`, as a copy; NULL: there is none. */
static char *quoted(const char *comment, const char *before)
{
    const char *start = strstr(comment, before);
    const char *end = start != NULL ? strchr(start + strlen(before), '"') : NULL;
    return end != NULL ? strndup(start + strlen(before), (size_t)(end - start) - strlen(before)) : NULL;
}

static bool add(struct hints *hints, const char *statement, const char *comment)
{
    struct said *entry = calloc(1, sizeof *entry);
    if (entry == NULL)
        return false;
    entry->statement = strdup(statement);
    entry->comment = strdup(comment);
    struct said **found =
        entry->statement != NULL && entry->comment != NULL ? tsearch(entry, &hints->tree, compare) : NULL;
    if (found == NULL || *found != entry)
        free_entry(entry);
    return found != NULL;
}

static bool is_ours(const char *line)
{
    return strncmp(line, "# Connectivity rule \"", 21) == 0 || strncmp(line, "# Address group \"", 17) == 0 ||
           strncmp(line, "# Time condition \"", 18) == 0;
}

bool hints_read(const char *text, struct hints *ret_hints)
{
    char line[MAX_LINE], above[MAX_LINE] = "";
    *ret_hints = (struct hints){0};
    while (*text != '\0') {
        size_t len = strcspn(text, "\n");
        snprintf(line, sizeof line, "%.*s", len < sizeof line ? (int)len : 0, text);
        text += len + (text[len] == '\n');
        if (strncmp(line, "# Built by pel policy build from ", 33) == 0 && ret_hints->stack == NULL)
            ret_hints->stack = quoted(line, ", stack \"");
        if (above[0] != '\0' && strncmp(line, "# ", 2) != 0 && !add(ret_hints, line, above))
            return false;
        snprintf(above, sizeof above, "%s", is_ours(line) ? line : "");
    }
    return true;
}

void hints_free(struct hints *hints)
{
    tdestroy(hints->tree, free_entry);
    free(hints->stack);
    *hints = (struct hints){0};
}

static const char *comment_of(const struct hints *hints, const char *kind, const char *name)
{
    char statement[200];
    struct said key = {.statement = statement};
    snprintf(statement, sizeof statement, "%s %s", kind, name);
    struct said **found = tfind(&key, &hints->tree, compare);
    return found != NULL ? (*found)->comment : NULL;
}

const char *hints_object(const struct hints *hints, const char *kind, const char *name)
{
    static _Thread_local char object[MAX_LINE];
    const char *comment = comment_of(hints, kind, name);
    const char *start = comment != NULL ? strchr(comment, '"') : NULL;
    const char *end = start != NULL ? strchr(start + 1, '"') : NULL;
    if (end == NULL)
        return NULL;
    snprintf(object, sizeof object, "%.*s", (int)(end - start - 1), start + 1);
    return object;
}

bool hints_rule(const struct hints *hints, const char *name, struct hint *ret_hint)
{
    const char *comment = comment_of(hints, "TTLSRule", name);
    if (comment == NULL)
        return false;
    *ret_hint = (struct hint){.rule = quoted(comment, "# Connectivity rule \""),
                              .map = quoted(comment, ", requirement map \""),
                              .traffic = quoted(comment, ": traffic \""),
                              .level = quoted(comment, ", security level \"")};
    return ret_hint->rule != NULL && ret_hint->traffic != NULL && ret_hint->level != NULL;
}
