/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/value.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"

void pel_value_fail(struct pel_value_ctx *ctx, struct pel_pos pos, const char *format, ...)
{
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    ctx->param->bad = true;
    pel_stmt_fail(ctx->parse, ctx->stmt, pos, "%s: %s", ctx->param->row->name, text);
}

bool pel_value_number(const char *text, size_t text_len, uint64_t *ret_number)
{
    uint64_t number = 0;
    if (text_len == 0)
        return false;
    for (size_t i = 0; i < text_len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        uint64_t digit = (uint64_t)(text[i] - '0');
        number = number > (UINT64_MAX - digit) / 10 ? UINT64_MAX : number * 10 + digit;
    }
    *ret_number = number;
    return true;
}

enum pel_err pel_value_keep(struct pel_value_ctx *ctx)
{
    ctx->param->text = pel_arena_strndup(&ctx->parse->model->arena, ctx->word.text, ctx->word.len);
    ctx->param->text_len = (uint32_t)ctx->word.len;
    return ctx->param->text == NULL ? PEL_E_NO_MEMORY : PEL_OK;
}

static void enum_fail(struct pel_value_ctx *ctx)
{
    const char *const *values = ctx->param->row->values;
    char list[160] = "";
    size_t num = 0, used = 0;
    while (values[num] != NULL)
        num++;
    for (size_t i = 0; i < num && used < sizeof list; i++) {
        const char *separator = i == 0 ? "" : i + 1 == num ? " or " : ", ";
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", separator, values[i]);
    }
    struct pel_shown shown = pel_diag_show(ctx->word.text, ctx->word.len);
    const char *nearest = pel_text_nearest(shown.text, values, num);
    pel_value_fail(ctx, ctx->word.pos, "\"%s\" is not %s%s%s%s", shown.text, list,
                   nearest != NULL ? "; did you mean " : "", nearest != NULL ? nearest : "",
                   nearest != NULL ? "?" : "");
}

static void read_enum(struct pel_value_ctx *ctx)
{
    const char *const *values = ctx->param->row->values;
    for (uint32_t i = 0; values[i] != NULL; i++) {
        if (strlen(values[i]) == ctx->word.len &&
            strncasecmp(values[i], ctx->word.text, ctx->word.len) == 0) {
            ctx->param->number = i;
            return;
        }
    }
    enum_fail(ctx);
}

static void read_uint(struct pel_value_ctx *ctx)
{
    const struct pel_row *row = ctx->param->row;
    struct pel_shown shown = pel_diag_show(ctx->word.text, ctx->word.len);
    uint64_t number;
    if (!pel_value_number(ctx->word.text, ctx->word.len, &number))
        pel_value_fail(ctx, ctx->word.pos, "\"%s\" is not a number", shown.text);
    else if (number < row->min || number > row->max)
        pel_value_fail(ctx, ctx->word.pos, "%s is out of range (%llu to %llu)", shown.text,
                       (unsigned long long)row->min, (unsigned long long)row->max);
    else
        ctx->param->number = (uint32_t)number;
}

void pel_value_no_dash(struct pel_value_ctx *ctx, const char *form)
{
    struct pel_lexer before = *ctx->lexer;
    struct pel_word next = pel_lex_word(ctx->lexer);
    *ctx->lexer = before;
    if (next.len > 0 && (next.text[0] == '-' || next.text[0] == ':'))
        pel_value_fail(ctx, next.pos, "a range has no blanks in it: %s", form);
}

/* Numbers of a port range: n, n-m or n:m in one word, or n m in two. */
static bool read_port_numbers(struct pel_value_ctx *ctx, uint64_t *ret_low, uint64_t *ret_high)
{
    const struct pel_word *word = &ctx->word;
    size_t first_len = 0;
    while (first_len < word->len && word->text[first_len] != '-' && word->text[first_len] != ':')
        first_len++;
    if (!pel_value_number(word->text, first_len, ret_low))
        return false;
    *ret_high = *ret_low;
    if (first_len < word->len)
        return pel_value_number(word->text + first_len + 1, word->len - first_len - 1, ret_high);
    struct pel_lexer before = *ctx->lexer;
    struct pel_word second = pel_lex_word(ctx->lexer);
    if (second.len == 0 || !pel_value_number(second.text, second.len, ret_high))
        *ctx->lexer = before;
    return true;
}

static void read_ports(struct pel_value_ctx *ctx)
{
    uint64_t low, high;
    struct pel_shown shown = pel_diag_show(ctx->word.text, ctx->word.len);
    if (!read_port_numbers(ctx, &low, &high))
        pel_value_fail(ctx, ctx->word.pos, "\"%s\" is not a port or a range of ports", shown.text);
    else if (low == 0 && high == 0)
        ctx->param->number_high = 65535; /* 0 is any port */
    else if (low == 0 || low > 65535 || high > 65535)
        pel_value_fail(ctx, ctx->word.pos,
                       "a port of \"%s\" is out of range (1 to 65535, or 0 alone for any)", shown.text);
    else if (low > high)
        pel_value_fail(ctx, ctx->word.pos, "the range %llu-%llu runs backwards", (unsigned long long)low,
                       (unsigned long long)high);
    else {
        ctx->param->number = (uint32_t)low;
        ctx->param->number_high = (uint32_t)high;
    }
    if (!ctx->param->bad)
        pel_value_no_dash(ctx, "n-m");
}

/* Copies the value, of at most `row->max` bytes, into the policy's arena. */
static enum pel_err read_text(struct pel_value_ctx *ctx)
{
    if (ctx->param->row->max != 0 && ctx->word.len > ctx->param->row->max) {
        pel_value_fail(ctx, ctx->word.pos, "longer than %llu bytes",
                       (unsigned long long)ctx->param->row->max);
        return PEL_OK;
    }
    ctx->param->text = pel_arena_strndup(ctx->parse->kept, ctx->word.text, ctx->word.len);
    ctx->param->text_len = (uint32_t)ctx->word.len;
    return ctx->param->text == NULL ? PEL_E_NO_MEMORY : PEL_OK;
}

/* A name, then a blank or a slash, then the rest of the line. */
static enum pel_err read_name_label(struct pel_value_ctx *ctx)
{
    const struct pel_word *word = &ctx->word;
    size_t name_len = 0;
    PEL_TRY(read_text(ctx));
    while (name_len < word->len && strchr(" \t/", word->text[name_len]) == NULL)
        name_len++;
    size_t at = name_len + (name_len < word->len);
    while (at < word->len && (word->text[at] == ' ' || word->text[at] == '\t'))
        at++;
    if (ctx->param->bad)
        return PEL_OK;
    if (name_len == 0 || at >= word->len) {
        pel_value_fail(ctx, word->pos, "a name and a label are needed, as in \"www.example.com WWWCERT\"");
        return PEL_OK;
    }
    char *pair = pel_arena_alloc(ctx->parse->kept, name_len + 1 + (word->len - at) + 1);
    if (pair == NULL)
        return PEL_E_NO_MEMORY;
    memcpy(pair, word->text, name_len);
    pair[name_len] = '\0';
    memcpy(pair + name_len + 1, word->text + at, word->len - at);
    pair[name_len + 1 + word->len - at] = '\0';
    ctx->param->pair = pair;
    return PEL_OK;
}

static enum pel_err read_pattern(struct pel_value_ctx *ctx)
{
    const char *star = memchr(ctx->word.text, '*', ctx->word.len);
    if (star != NULL && star != ctx->word.text + ctx->word.len - 1) {
        struct pel_shown shown = pel_diag_show(ctx->word.text, ctx->word.len);
        pel_value_fail(ctx, ctx->word.pos, "the * of \"%s\" is not at its end", shown.text);
        return PEL_OK;
    }
    return read_text(ctx);
}

static enum pel_err read_ref(struct pel_value_ctx *ctx)
{
    ctx->param->text = ctx->word.text;
    ctx->param->text_len = (uint32_t)ctx->word.len;
    return PEL_OK;
}

/* "none" is the clear way to say what an empty label says: no certificate. */
static enum pel_err read_label(struct pel_value_ctx *ctx)
{
    bool none = ctx->word.len == 4 && strncasecmp(ctx->word.text, "none", 4) == 0;
    if (none && ctx->param->row->slot == PEL_SLOT_CERT_LABEL)
        ctx->word.len = 0;
    return read_text(ctx);
}

static bool is_rest_of_line(enum pel_value_type type)
{
    return type == PEL_V_LABEL || type == PEL_V_TEXT || type == PEL_V_GROUPS || type == PEL_V_SIGNATURES ||
           type == PEL_V_NAME_LABEL || type == PEL_V_HOURS;
}

/* What the schema says of the value. */
static void remark_by_schema(struct pel_value_ctx *ctx)
{
    const struct pel_param *param = ctx->param;
    const struct pel_value_remark *remark = pel_schema_remark(param->row, param->number);
    if (remark == NULL)
        return;
    const char *name = param->row->name, *value = param->row->values[param->number];
    if (remark->kind == PEL_REMARK_CANNOT)
        pel_value_fail(ctx, param->value_pos, "%s cannot be met: %s", value, remark->text);
    else
        pel_diag_note(&ctx->parse->diags, param->pos, "%s %s: %s%s", name, value,
                      remark->kind == PEL_REMARK_NO_EFFECT ? "accepted, no effect: " : "", remark->text);
}

/* What must be said about a value that is right. */
static void remark(struct pel_value_ctx *ctx)
{
    const struct pel_param *param = ctx->param;
    struct pel_diags *diags = &ctx->parse->diags;
    bool on = param->row->type == PEL_V_ENUM && param->number == PEL_ON;
    if (on && param->row->slot == PEL_SLOT_SSLV2)
        pel_diag_warning(diags, param->pos, "SSLv2 On: no effect, SSL 2.0 is never spoken");
    else if (on && param->row->slot == PEL_SLOT_SSLV3)
        pel_diag_warning(diags, param->pos, "SSLv3 On: no effect, SSL 3.0 is never spoken");
    else if (on && param->row->slot == PEL_SLOT_TLSV1)
        pel_diag_warning(diags, param->pos, "TLSv1 On: TLS 1.0 is weak");
    else if (on && param->row->slot == PEL_SLOT_TLSV1_1)
        pel_diag_warning(diags, param->pos, "TLSv1.1 On: TLS 1.1 is weak");
    else if (on && param->row->slot == PEL_SLOT_APPL_CONTROLLED)
        pel_diag_note(diags, param->pos,
                      "ApplicationControlled On: in clear until the program asks for TLS; one that never "
                      "asks stays in clear");
}

enum pel_err pel_value_read(struct pel_value_ctx *ctx)
{
    enum pel_value_type type = ctx->param->row->type;
    ctx->word = is_rest_of_line(type) ? pel_lex_rest(ctx->lexer) : pel_lex_word(ctx->lexer);
    ctx->param->value_pos = ctx->word.pos;
    bool brace = ctx->word.len == 1 && (ctx->word.text[0] == '{' || ctx->word.text[0] == '}');
    if (type != PEL_V_LABEL && (ctx->word.len == 0 || brace)) {
        if (brace)
            ctx->lexer->cursor = ctx->word.text; /* the parser will look at it */
        ctx->param->bad = true;
        pel_stmt_fail(ctx->parse, ctx->stmt, ctx->param->pos, "%s needs a value", ctx->param->row->name);
        return PEL_OK;
    }
    enum pel_err err = PEL_OK;
    switch (type) {
    case PEL_V_ENUM: read_enum(ctx); break;
    case PEL_V_UINT: read_uint(ctx); break;
    case PEL_V_PORTS: read_ports(ctx); break;
    case PEL_V_PATTERN: err = read_pattern(ctx); break;
    case PEL_V_LABEL: err = read_label(ctx); break;
    case PEL_V_WORD:
    case PEL_V_TEXT: err = read_text(ctx); break;
    case PEL_V_CIPHERS2: err = pel_value_ciphers(ctx, 2); break;
    case PEL_V_CIPHERS4: err = pel_value_ciphers(ctx, 4); break;
    case PEL_V_GROUPS: err = pel_value_groups(ctx); break;
    case PEL_V_SIGNATURES: err = pel_value_signatures(ctx); break;
    case PEL_V_NAME_LABEL: err = read_name_label(ctx); break;
    case PEL_V_MASK:
    case PEL_V_HOURS:
    case PEL_V_SPAN:
    case PEL_V_OFFSET: err = pel_value_time(ctx); break;
    case PEL_V_REF: err = read_ref(ctx); break;
    case PEL_V_ADDR:
    case PEL_V_PREFIX:
    case PEL_V_RANGE:
    case PEL_V_ADDRSPEC: err = pel_value_addr(ctx); break;
    case PEL_V_BLOCK: break; /* has braces, no value */
    }
    if (err == PEL_OK && !ctx->param->bad) {
        remark(ctx);
        remark_by_schema(ctx);
    }
    return err;
}
