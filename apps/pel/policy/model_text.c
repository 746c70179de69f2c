/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/pel/policy/model_text.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static void note_lines(struct build *build, struct section *section, struct yaml_place origin,
                       const char *text)
{
    for (const char *c = strchr(text, '\n'); c != NULL; c = strchr(c + 1, '\n')) {
        if (section->num == section->cap) {
            size_t cap = section->cap * 2 + 64;
            struct yaml_place *more = realloc(section->origins, cap * sizeof *more);
            build->no_memory |= more == NULL;
            if (more == NULL)
                return;
            section->origins = more;
            section->cap = cap;
        }
        section->origins[section->num++] = origin;
    }
}

void model_put(struct build *build, struct section *section, struct yaml_place origin, const char *format,
               ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    int len = vasprintf(&text, format, args);
    va_end(args);
    build->no_memory |= len < 0;
    if (len < 0)
        return;
    build->work += (size_t)len;
    fputs(text, section->out.stream);
    note_lines(build, section, origin, text);
    free(text);
}

bool model_begin(struct build *build, struct section *section)
{
    *section = (struct section){0};
    bool fine = policy_out_begin(&section->out);
    build->no_memory |= !fine;
    return fine;
}

void model_drop(struct section *section)
{
    policy_out_free(&section->out);
    free(section->origins);
    *section = (struct section){0};
}

void model_append(struct build *build, struct section *to, const struct section *from)
{
    fwrite(from->out.text, 1, from->out.len, to->out.stream);
    for (size_t i = 0; i < from->num; i++)
        note_lines(build, to, from->origins[i], "\n");
}

/* ---- shared statements ---- */

const char *model_share(struct build *build, const char *kind, const char *stem, const char *comment,
                        struct yaml_place at, struct section *body)
{
    bool is_new = false;
    const char *name = NULL;
    if (policy_out_end(&body->out))
        name = model_names_share(&build->names, kind, stem, body->out.text, &is_new);
    build->no_memory |= name == NULL;
    if (is_new && name != NULL) {
        model_put(build, &build->shared, at, "\n# %s\n%s %s\n{\n", comment, kind, name);
        model_append(build, &build->shared, body);
        model_put(build, &build->shared, at, "}\n");
    }
    model_drop(body);
    return name != NULL ? name : "";
}

struct sorted_line {
    const char *text;
    unsigned index;
};

static int compare_lines(const void *a, const void *b)
{
    const struct sorted_line *left = a, *right = b;
    size_t left_len = strcspn(left->text, " \t"), right_len = strcspn(right->text, " \t");
    int order = strncasecmp(left->text, right->text, left_len < right_len ? left_len : right_len);
    if (order == 0 && left_len != right_len)
        order = left_len < right_len ? -1 : 1;
    return order != 0 ? order : left->index < right->index ? -1 : 1;
}

void model_put_lines(struct build *build, struct section *section, int indent, const struct line_list *list)
{
    struct sorted_line *sorted = calloc(list->num + 1, sizeof *sorted);
    build->no_memory |= sorted == NULL;
    for (unsigned i = 0; i < list->num && sorted != NULL; i++)
        sorted[i] = (struct sorted_line){list->lines[i], i};
    if (sorted != NULL)
        qsort(sorted, list->num, sizeof *sorted, compare_lines);
    for (unsigned i = 0; i < list->num && sorted != NULL; i++)
        model_put(build, section,
                  yaml_find(&build->file->yaml, "%s.%s.%u", list->path, list->key, sorted[i].index),
                  "%*s%s\n", indent, "", sorted[i].text);
    free(sorted);
}
