/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/tables/classes.h"

#include <string.h>

#include "policy/view/value_write.h"

/* Texts, each once; a text's number is its place in the order of coming. Open addressing, at most half
 * full. */
struct entry {
    const char *text;
    size_t text_len;
    uint64_t hash;
    uint32_t number;
};

struct texts {
    struct pel_arena *arena;
    struct entry *slots;
    size_t num, num_slots;
    struct pel_out out; /* the one that is being written */
};

static uint64_t hash_text(const char *text, size_t text_len)
{
    uint64_t hash = 0x9e3779b97f4a7c15u ^ text_len;
    for (size_t i = 0; i < text_len; i += 8) {
        uint64_t part = 0;
        memcpy(&part, text + i, text_len - i < 8 ? text_len - i : 8);
        __extension__ unsigned __int128 product = (unsigned __int128)(part ^ hash) * 0xd1b54a32d192ed03u;
        hash = (uint64_t)product ^ (uint64_t)(product >> 64);
    }
    return hash;
}

static struct entry *find_slot(struct entry *slots, size_t num_slots, const struct entry *wanted)
{
    for (size_t i = (size_t)wanted->hash;; i++) {
        struct entry *slot = &slots[i & (num_slots - 1)];
        if (slot->text == NULL || (slot->hash == wanted->hash && slot->text_len == wanted->text_len &&
                                   memcmp(slot->text, wanted->text, wanted->text_len) == 0))
            return slot;
    }
}

static bool make_room(struct texts *texts)
{
    if (texts->num * 2 < texts->num_slots)
        return true;
    size_t num_slots = texts->num_slots == 0 ? 64 : texts->num_slots * 2;
    struct entry *slots = pel_arena_alloc(texts->arena, num_slots * sizeof *slots);
    if (slots == NULL)
        return false;
    for (size_t i = 0; i < texts->num_slots; i++) {
        if (texts->slots[i].text != NULL)
            *find_slot(slots, num_slots, &texts->slots[i]) = texts->slots[i];
    }
    texts->slots = slots;
    texts->num_slots = num_slots;
    return true;
}

/* The number of the text that was written. */
static enum pel_err number_of_text(struct texts *texts, uint32_t *ret_number)
{
    if (texts->out.failed || !make_room(texts))
        return PEL_E_NO_MEMORY;
    struct entry entry = {.text = texts->out.len > 0 ? texts->out.text : "",
                          .text_len = texts->out.len,
                          .hash = hash_text(texts->out.text, texts->out.len),
                          .number = (uint32_t)texts->num};
    struct entry *slot = find_slot(texts->slots, texts->num_slots, &entry);
    if (slot->text == NULL) {
        entry.text = pel_arena_strndup(texts->arena, entry.text, entry.text_len);
        if (entry.text == NULL)
            return PEL_E_NO_MEMORY;
        *slot = entry;
        texts->num++;
    }
    *ret_number = slot->number;
    return PEL_OK;
}

static void write_number(struct pel_out *out, uint32_t number)
{
    pel_out_add(out, (const char *)&number, sizeof number);
}

static void write_stmt(struct pel_out *out, const struct pel_stmt *stmt);

/* The row says which parameter it is, and by its slot that a reference means the same as a block. */
static void write_param(struct pel_out *out, const struct pel_param *param)
{
    if (param->child != NULL) {
        write_number(out, (uint32_t)param->child->type);
        write_stmt(out, param->child);
        return;
    }
    pel_out_text(out, param->row->name);
    pel_out_text(out, " ");
    pel_value_write(out, param);
    pel_out_text(out, "\n");
}

/* The statement without names and places, its parameters in the order of the schema: single ones have one
 * place each, and the order of repeatable ones counts. The schema nests 4 deep, and so does this. */
static void write_stmt(struct pel_out *out, const struct pel_stmt *stmt)
{
    const struct pel_statement_schema *schema = pel_schema(stmt->type);
    pel_out_text(out, "{\n");
    for (size_t i = 0; i < schema->num_rows; i++) {
        for (const struct pel_param *param = stmt->params; param != NULL; param = param->next) {
            if (param->row == &schema->rows[i])
                write_param(out, param);
        }
    }
    for (const struct pel_param *param = stmt->items; param != NULL; param = param->next)
        write_param(out, param);
    pel_out_text(out, "}\n");
}

/* Actions are shared: each is written once. */
static enum pel_err number_of_action(struct texts *texts, struct pel_stmt *action, uint32_t *ret_number)
{
    *ret_number = UINT32_MAX;
    if (action == NULL)
        return PEL_OK;
    if (action->class_number == 0) {
        uint32_t number = 0;
        pel_out_clear(&texts->out);
        write_stmt(&texts->out, action);
        PEL_TRY(number_of_text(texts, &number));
        action->class_number = number + 1;
    }
    *ret_number = action->class_number - 1;
    return PEL_OK;
}

static enum pel_err number_rules(struct texts *actions, struct texts *rules, struct pel_policy *policy,
                                 struct pel_stmt *const *stmts)
{
    static const enum pel_slot slots[] = {PEL_SLOT_GROUP_ACTION, PEL_SLOT_ENV_ACTION, PEL_SLOT_CONN_ACTION};
    for (size_t i = 0; i < policy->num_rules; i++) {
        uint32_t numbers[3];
        for (size_t j = 0; j < 3; j++)
            PEL_TRY(number_of_action(actions, pel_stmt_child(stmts[i], slots[j]), &numbers[j]));
        pel_out_clear(&rules->out);
        pel_out_add(&rules->out, (const char *)numbers, sizeof numbers);
        PEL_TRY(number_of_text(rules, &policy->rules[i].settings));
    }
    return PEL_OK;
}

enum pel_err pel_classes_make(struct pel_parse *parse, struct pel_policy *policy,
                              struct pel_stmt *const *stmts)
{
    struct texts actions = {.arena = &parse->scratch}, rules = {.arena = &parse->scratch};
    enum pel_err err = number_rules(&actions, &rules, policy, stmts);
    pel_out_free(&actions.out);
    pel_out_free(&rules.out);
    policy->num_settings = rules.num;
    return err;
}
