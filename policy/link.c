/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/text.h"
#include "policy/model.h"

/* Named statements by kind and name: open addressing, at most half full. The hash is seeded with an address
 * that a text's author cannot know, so that names cannot be chosen to collide. */
struct names {
    const struct pel_policy_source *sources;
    struct pel_stmt **slots;
    size_t mask;
    uint64_t seed;
};

static uint64_t mix(uint64_t a, uint64_t b)
{
    __extension__ unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Which names meet: those of the source, when it is apart, else of all that are not. Rules' names all do. */
static uint32_t scope_of(const struct names *names, enum pel_stmt_type type, uint32_t file)
{
    return type != PEL_S_RULE && names->sources[file].apart ? file + 1 : 0;
}

static uint64_t hash_name(const struct names *names, enum pel_stmt_type type, uint32_t scope,
                          const char *name, size_t name_len)
{
    uint64_t hash = names->seed ^ ((uint64_t)type << 56) ^ ((uint64_t)scope << 24) ^ name_len;
    for (size_t i = 0; i < name_len; i += 8) {
        uint64_t part = 0;
        memcpy(&part, name + i, name_len - i < 8 ? name_len - i : 8);
        hash = mix(part ^ hash, 0x9e3779b97f4a7c15u ^ names->seed);
    }
    return mix(hash, 0xd1b54a32d192ed03u);
}

/* `file` is where the name is given, or referred to. */
static struct pel_stmt **find_slot(const struct names *names, enum pel_stmt_type type, uint32_t file,
                                   const char *name, size_t name_len)
{
    uint32_t scope = scope_of(names, type, file);
    for (size_t i = (size_t)hash_name(names, type, scope, name, name_len);; i++) {
        struct pel_stmt **slot = &names->slots[i & names->mask];
        if (*slot == NULL ||
            ((*slot)->type == type && scope_of(names, type, (*slot)->pos.file) == scope &&
             strlen((*slot)->name) == name_len && memcmp((*slot)->name, name, name_len) == 0))
            return slot;
    }
}

static enum pel_err make_names(struct pel_parse *parse, struct names *ret_names)
{
    size_t cap = 16;
    while (cap < parse->num_statements * 2)
        cap *= 2;
    struct names names = {.sources = parse->sources,
                          .mask = cap - 1,
                          .seed = (uint64_t)(uintptr_t)parse->model->first * 0x9e3779b97f4a7c15u | 1};
    names.slots = pel_arena_alloc(&parse->scratch, cap * sizeof *names.slots);
    if (names.slots == NULL)
        return PEL_E_NO_MEMORY;
    *ret_names = names;
    return PEL_OK;
}

static void enter(struct pel_parse *parse, const struct names *names, struct pel_stmt *stmt)
{
    struct pel_stmt **slot = find_slot(names, stmt->type, stmt->pos.file, stmt->name, strlen(stmt->name));
    if (*slot == NULL) {
        *slot = stmt;
        return;
    }
    struct pel_place place = pel_diag_place(&parse->diags, (*slot)->pos, stmt->pos);
    if (stmt->parent == NULL)
        pel_stmt_fail(parse, stmt, stmt->pos, "%s is defined already on %s", pel_stmt_title(stmt).text,
                      place.text);
    else
        pel_diag_warning(&parse->diags, stmt->pos, "%s is defined already on %s; references mean that one",
                         pel_stmt_title(stmt).text, place.text);
}

/* Top-level names come first: an inline statement's name never takes a reference from one. */
static void enter_all(struct pel_parse *parse, const struct names *names)
{
    for (struct pel_stmt *stmt = parse->model->first; stmt != NULL; stmt = stmt->next) {
        if (stmt->parent == NULL && stmt->name[0] != '\0')
            enter(parse, names, stmt);
    }
    for (struct pel_stmt *stmt = parse->model->first; stmt != NULL; stmt = stmt->next) {
        if (stmt->parent != NULL && stmt->name[0] != '\0' && !stmt->unattached)
            enter(parse, names, stmt);
    }
}

/* The defined name of the kind nearest to `word`. Looks at a bounded number of names: it is for a person to
 * read. */
static const char *nearest_name(const struct pel_parse *parse, enum pel_stmt_type type, const char *word)
{
    enum { AT_MOST = 1000 };
    const char *names[AT_MOST];
    size_t num = 0;
    for (const struct pel_stmt *stmt = parse->model->first; stmt != NULL && num < AT_MOST;
         stmt = stmt->next) {
        if (stmt->type == type && stmt->name[0] != '\0')
            names[num++] = stmt->name;
    }
    return pel_text_nearest(word, names, num);
}

static void link_param(struct pel_parse *parse, const struct names *names, struct pel_stmt *stmt,
                       struct pel_param *param)
{
    if (param->row->type != PEL_V_REF || param->bad)
        return;
    enum pel_stmt_type type = param->row->target;
    param->child = *find_slot(names, type, param->pos.file, param->text, param->text_len);
    if (param->child != NULL) {
        param->child->referenced = true;
        param->text = param->child->name; /* the text is not kept */
        return;
    }
    struct pel_shown shown = pel_diag_show(param->text, param->text_len);
    const char *nearest = pel_diag_wants_errors(&parse->diags) ? nearest_name(parse, type, shown.text) : NULL;
    param->bad = true;
    pel_stmt_fail(parse, stmt, param->value_pos, "%s: no %s is named \"%s\"%s%s%s", param->row->name,
                  pel_schema(type)->name, shown.text, nearest != NULL ? "; did you mean \"" : "",
                  nearest != NULL ? pel_diag_show(nearest, strlen(nearest)).text : "",
                  nearest != NULL ? "\"?" : "");
}

enum pel_err pel_link(struct pel_parse *parse)
{
    struct names names = {0};
    PEL_TRY(make_names(parse, &names));
    enter_all(parse, &names);
    for (struct pel_stmt *stmt = parse->model->first; stmt != NULL; stmt = stmt->next) {
        for (struct pel_param *param = stmt->params; param != NULL; param = param->next)
            link_param(parse, &names, stmt, param);
        for (struct pel_param *param = stmt->items; param != NULL; param = param->next)
            link_param(parse, &names, stmt, param);
    }
    return PEL_OK;
}
