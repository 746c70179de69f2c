/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/view/write.h"

#include <stdlib.h>
#include <string.h>

#include "policy/view/value_write.h"

enum { FLUSH_AT = 64 << 10 };

struct writer {
    struct pel_out out;
    const struct pel_comments *comments;
    size_t next_comment; /* those before it are written */
    bool any;            /* something was written: a blank line goes before the next statement */
    uint32_t last_line;  /* of the text, written last; 0: no blank line may follow */
    pel_policy_write_fn *fn;
    void *arg;
};

static enum pel_err flush(struct writer *writer, size_t at)
{
    if (writer->out.failed)
        return PEL_E_NO_MEMORY;
    if (writer->out.len <= at)
        return PEL_OK;
    PEL_TRY(writer->fn(writer->arg, writer->out.text, writer->out.len));
    pel_out_clear(&writer->out);
    return PEL_OK;
}

static void indent(struct writer *writer, unsigned depth)
{
    static const char blanks[] = "                ";
    pel_out_add(&writer->out, blanks, depth * 2 < sizeof blanks - 1 ? depth * 2 : sizeof blanks - 1);
}

static const struct pel_comment *pending(const struct writer *writer)
{
    if (writer->comments == NULL || writer->next_comment == writer->comments->num)
        return NULL;
    return &writer->comments->comments[writer->next_comment];
}

static bool stands_before(const struct pel_comment *comment, uint32_t file, uint32_t line)
{
    return comment->file < file || (comment->file == file && comment->line < line);
}

/* One blank line where the text has any, for those who divide a statement with them. */
static void keep_gap(struct writer *writer, uint32_t line)
{
    if (writer->comments != NULL && writer->last_line != 0 && line > writer->last_line + 1)
        pel_out_text(&writer->out, "\n");
    writer->last_line = line;
}

/* What stands in the text before the line, and was not written yet, on lines of its own. */
static void comments_before(struct writer *writer, uint32_t file, uint32_t line, unsigned depth)
{
    for (const struct pel_comment *comment = pending(writer);
         comment != NULL && stands_before(comment, file, line); comment = pending(writer)) {
        keep_gap(writer, comment->line);
        indent(writer, depth);
        pel_out_add(&writer->out, comment->text, comment->text_len);
        pel_out_text(&writer->out, "\n");
        writer->next_comment++;
    }
}

/* Ends a line that came from `line`; the comment on it follows. */
static void end_line(struct writer *writer, uint32_t file, uint32_t line)
{
    const struct pel_comment *comment = pending(writer);
    if (comment != NULL && comment->file == file && comment->line == line && !comment->alone) {
        pel_out_text(&writer->out, "  ");
        pel_out_add(&writer->out, comment->text, comment->text_len);
        writer->next_comment++;
    }
    pel_out_text(&writer->out, "\n");
}

static enum pel_err write_stmt(struct writer *writer, const struct pel_stmt *stmt, unsigned depth);

static enum pel_err write_param(struct writer *writer, const struct pel_param *param, unsigned depth)
{
    if (param->row->type == PEL_V_BLOCK)
        return write_stmt(writer, param->child, depth);
    comments_before(writer, param->pos.file, param->pos.line, depth);
    keep_gap(writer, param->pos.line);
    indent(writer, depth);
    pel_out_text(&writer->out, param->row->name);
    size_t before = writer->out.len;
    pel_out_text(&writer->out, " ");
    pel_value_write(&writer->out, param);
    if (writer->out.len == before + 1 && !writer->out.failed)
        writer->out.len = before; /* an empty label */
    end_line(writer, param->pos.file, param->pos.line);
    return flush(writer, FLUSH_AT);
}

/* The schema nests 4 deep, and so does this. */
static enum pel_err write_stmt(struct writer *writer, const struct pel_stmt *stmt, unsigned depth)
{
    const struct pel_param **params = NULL;
    size_t num = 0;
    if (depth == 0) {
        pel_out_text(&writer->out, writer->any ? "\n" : "");
        writer->last_line = 0;
    }
    writer->any = true;
    comments_before(writer, stmt->pos.file, stmt->pos.line, depth);
    keep_gap(writer, stmt->pos.line);
    indent(writer, depth);
    pel_out_text(&writer->out, pel_schema(stmt->type)->name);
    if (stmt->name[0] != '\0') {
        pel_out_text(&writer->out, " ");
        pel_out_text(&writer->out, stmt->name);
    }
    end_line(writer, stmt->pos.file, stmt->pos.line);
    indent(writer, depth);
    pel_out_text(&writer->out, "{\n");
    writer->last_line = 0;
    PEL_TRY(pel_stmt_in_order(stmt, &params, &num));
    enum pel_err err = PEL_OK;
    for (size_t i = 0; i < num && err == PEL_OK; i++)
        err = write_param(writer, params[i], depth + 1);
    free(params);
    if (err != PEL_OK)
        return err;
    comments_before(writer, stmt->pos.file, stmt->end_line, depth + 1);
    indent(writer, depth);
    pel_out_text(&writer->out, "}");
    end_line(writer, stmt->pos.file, stmt->end_line);
    writer->last_line = stmt->end_line;
    return flush(writer, FLUSH_AT);
}

static enum pel_err write_all(struct writer *writer, const struct pel_model *model)
{
    for (const struct pel_stmt *stmt = model->first; stmt != NULL; stmt = stmt->next) {
        if (pel_stmt_stands_alone(stmt))
            PEL_TRY(write_stmt(writer, stmt, 0));
    }
    if (pending(writer) != NULL && writer->any)
        pel_out_text(&writer->out, "\n");
    writer->last_line = 0;
    comments_before(writer, UINT32_MAX, UINT32_MAX, 0);
    return flush(writer, 0);
}

enum pel_err pel_write_model(const struct pel_model *model, const struct pel_comments *comments,
                             pel_policy_write_fn *fn, void *arg)
{
    struct writer writer = {.comments = comments, .fn = fn, .arg = arg};
    enum pel_err err = write_all(&writer, model);
    pel_out_free(&writer.out);
    return err;
}

enum pel_err pel_write_some(const struct pel_model *model,
                            bool (*wanted)(void *arg, const struct pel_stmt *stmt), void *wanted_arg,
                            pel_policy_write_fn *fn, void *arg)
{
    struct writer writer = {.fn = fn, .arg = arg};
    enum pel_err err = PEL_OK;
    for (const struct pel_stmt *stmt = model->first; stmt != NULL && err == PEL_OK; stmt = stmt->next)
        if (wanted(wanted_arg, stmt))
            err = write_stmt(&writer, stmt, 0);
    if (err == PEL_OK)
        err = flush(&writer, 0);
    pel_out_free(&writer.out);
    return err;
}

enum pel_err pel_policy_write(const struct pel_policy *policy, pel_policy_write_fn *fn, void *arg)
{
    return pel_write_model(policy->model, NULL, fn, arg);
}
