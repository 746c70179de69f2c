/* SPDX-License-Identifier: Apache-2.0 */
#include <pellucid/policy.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "policy/view/image.h"
#include "policy/view/image_inside.h"
#include "policy/view/value_write.h"

static void put_fixed(unsigned char *to, uint64_t number, size_t len)
{
    for (size_t i = 0; i < len; i++)
        to[i] = (unsigned char)(number >> (8 * i));
}

static void put_number(struct pel_out *out, uint64_t number)
{
    unsigned char bytes[10];
    size_t len = 0;
    do {
        bytes[len] = (unsigned char)((number & 127) | (number > 127 ? 128 : 0));
        number >>= 7;
    } while (bytes[len++] > 127);
    pel_out_add(out, (const char *)bytes, len);
}

static void put_text(struct pel_out *out, const char *text, size_t text_len)
{
    put_number(out, text_len);
    pel_out_add(out, text, text_len);
}

static void put_pos(struct pel_out *out, const struct pel_pos *pos)
{
    put_number(out, pos->line);
    put_number(out, pos->column);
}

static size_t row_number(const struct pel_stmt *stmt, const struct pel_param *param)
{
    return (size_t)(param->row - pel_schema(stmt->type)->rows);
}

static enum pel_err put_statement(struct pel_out *out, const struct pel_stmt *stmt);

static enum pel_err put_inside(struct pel_out *out, const struct pel_stmt *stmt)
{
    const struct pel_param **params = NULL;
    struct pel_out value = {0};
    size_t num = 0;
    enum pel_err err = pel_stmt_in_order(stmt, &params, &num);
    for (size_t i = 0; i < num && err == PEL_OK; i++) {
        const struct pel_param *param = params[i];
        bool is_block = param->row->type == PEL_V_BLOCK;
        put_number(out, is_block ? PEL_FACT_BLOCK : PEL_FACT_PARAM);
        put_number(out, row_number(stmt, param));
        put_pos(out, &param->pos);
        if (is_block) {
            err = put_statement(out, param->child);
            continue;
        }
        pel_out_clear(&value);
        pel_value_write(&value, param);
        put_text(out, value.text, value.len);
        err = value.failed ? PEL_E_NO_MEMORY : PEL_OK;
    }
    pel_out_free(&value);
    free(params);
    return err;
}

/* The name, what is inside, and the end. The schema nests 4 deep, and so does this. */
static enum pel_err put_statement(struct pel_out *out, const struct pel_stmt *stmt)
{
    put_text(out, stmt->name, strlen(stmt->name));
    PEL_TRY(put_inside(out, stmt));
    put_number(out, PEL_FACT_CLOSE);
    put_number(out, stmt->end_line);
    return PEL_OK;
}

static enum pel_err put_model(struct pel_out *out, const struct pel_model *model)
{
    put_number(out, model->num_warnings);
    put_number(out, model->num_notes);
    put_number(out, model->num_files);
    for (size_t i = 0; i < model->num_files; i++)
        put_text(out, model->files[i], strlen(model->files[i]));
    for (const struct pel_stmt *stmt = model->first; stmt != NULL; stmt = stmt->next) {
        if (!pel_stmt_stands_alone(stmt))
            continue;
        put_number(out, PEL_FACT_TOP);
        put_number(out, stmt->type);
        put_number(out, stmt->pos.file);
        put_pos(out, &stmt->pos);
        PEL_TRY(put_statement(out, stmt));
    }
    put_number(out, PEL_FACT_END);
    return out->failed ? PEL_E_NO_MEMORY : PEL_OK;
}

uint32_t pel_image_checksum(const unsigned char *bytes, size_t len)
{
    uint32_t crc = pel_crc32c(0, bytes, PEL_IMAGE_AT_CHECKSUM);
    return pel_crc32c(crc, bytes + PEL_IMAGE_AT_LENGTH, len - PEL_IMAGE_AT_LENGTH);
}

/* Of everything that the numbers of types and rows depend on. */
uint32_t pel_image_schema_mark(void)
{
    uint32_t mark = 0;
    for (int type = PEL_S_RULE; type < PEL_S_NR; type++) {
        const struct pel_statement_schema *schema = pel_schema((enum pel_stmt_type)type);
        mark = pel_crc32c(mark, schema->name, schema->name_len + 1);
        for (size_t i = 0; i < schema->num_rows; i++)
            mark = pel_crc32c(mark, schema->rows[i].name, schema->rows[i].name_len + 1);
    }
    return mark;
}

enum pel_err pel_policy_write_image(const struct pel_policy *policy, pel_policy_write_fn *fn, void *arg)
{
    static const unsigned char blank[PEL_IMAGE_HEADER];
    struct pel_out out = {0};
    pel_out_add(&out, (const char *)blank, sizeof blank);
    enum pel_err err = put_model(&out, policy->model);
    if (err == PEL_OK) {
        unsigned char *bytes = (unsigned char *)out.text;
        memcpy(bytes, pel_image_magic, PEL_IMAGE_MAGIC_LEN);
        put_fixed(bytes + PEL_IMAGE_AT_VERSION, PEL_IMAGE_VERSION, 4);
        put_fixed(bytes + PEL_IMAGE_AT_LENGTH, out.len, 8);
        put_fixed(bytes + PEL_IMAGE_AT_SCHEMA, pel_image_schema_mark(), 4);
        put_fixed(bytes + PEL_IMAGE_AT_CHECKSUM, pel_image_checksum(bytes, out.len), 4);
        err = fn(arg, out.text, out.len);
    }
    pel_out_free(&out);
    return err;
}

int pel_policy_has_secrets(const struct pel_policy *policy)
{
    for (const struct pel_stmt *stmt = policy->model->first; stmt != NULL; stmt = stmt->next) {
        for (const struct pel_param *param = stmt->params; param != NULL; param = param->next) {
            if ((param->row->flags & PEL_ROW_SECRET) != 0)
                return 1;
        }
    }
    return 0;
}
