/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/pel/policy/model_names.h"

#include <search.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct written {
    char *key; /* kind, stem and body */
    char name[STATEMENT_NAME_MAX + 1];
};

static int compare_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

static int compare_written(const void *a, const void *b)
{
    return strcmp(((const struct written *)a)->key, ((const struct written *)b)->key);
}

/* FNV-1a. */
static uint32_t sum_of(const char *text)
{
    uint32_t sum = 2166136261u;
    for (; *text != '\0'; text++)
        sum = (sum ^ (unsigned char)*text) * 16777619u;
    return sum;
}

/* At most `max` bytes of the text, blanks as underscores, and not the half of a letter of UTF-8. */
static void cut(const char *text, size_t max, char *ret_name)
{
    size_t len = strlen(text);
    if (len > max) {
        len = max;
        while (len > 0 && ((unsigned char)text[len] & 0xC0) == 0x80)
            len--;
    }
    for (size_t i = 0; i < len; i++)
        ret_name[i] = text[i] == ' ' ? '_' : text[i];
    ret_name[len] = '\0';
}

/* 1: taken now; 0: somebody had it; -1: no memory. */
static int take(struct model_names *names, const char *kind, const char *name)
{
    char *key = NULL;
    if (asprintf(&key, "%s %s", kind, name) < 0)
        return -1;
    char **found = tsearch(key, &names->taken, compare_text);
    if (found != NULL && *found == key)
        return 1;
    free(key);
    return found != NULL ? 0 : -1;
}

bool model_names_new(struct model_names *names, const char *kind, const char *stem,
                     char ret_name[STATEMENT_NAME_MAX + 1])
{
    char base[STATEMENT_NAME_MAX + 1], number[16];
    if (strlen(stem) <= STATEMENT_NAME_MAX) {
        cut(stem, STATEMENT_NAME_MAX, base);
    } else {
        cut(stem, STATEMENT_NAME_MAX - 5, base);
        snprintf(base + strlen(base), 6, "~%04x", sum_of(stem) >> 16 ^ (sum_of(stem) & 0xffff));
    }
    memcpy(ret_name, base, sizeof base);
    for (unsigned i = 2;; i++) {
        int taken = take(names, kind, ret_name);
        if (taken != 0)
            return taken > 0;
        snprintf(number, sizeof number, "~%u", i);
        cut(base, STATEMENT_NAME_MAX - strlen(number), ret_name);
        strcat(ret_name, number);
    }
}

const char *model_names_share(struct model_names *names, const char *kind, const char *stem, const char *body,
                              bool *ret_is_new)
{
    struct written *new = calloc(1, sizeof *new);
    if (new == NULL || asprintf(&new->key, "%s\n%s\n%s", kind, stem, body) < 0) {
        free(new);
        return NULL;
    }
    struct written **found = tsearch(new, &names->written, compare_written);
    *ret_is_new = found != NULL && *found == new;
    if (!*ret_is_new) {
        free(new->key);
        free(new);
        return found != NULL ? (*found)->name : NULL;
    }
    return model_names_new(names, kind, stem, new->name) ? new->name : NULL;
}

static void free_written(void *node)
{
    struct written *written = node;
    free(written->key);
    free(written);
}

void model_names_free(struct model_names *names)
{
    tdestroy(names->taken, free);
    tdestroy(names->written, free_written);
    *names = (struct model_names){0};
}
