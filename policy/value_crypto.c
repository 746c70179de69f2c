/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <strings.h>

#include "policy/ciphers.h"
#include "policy/signatures.h"
#include "policy/value.h"

/* Adds a suite to the statement's list, unless it is there; the first place counts. */
static enum pel_err add_suite(struct pel_value_ctx *ctx, const struct pel_cipher *cipher, struct pel_pos pos)
{
    struct pel_stmt *stmt = ctx->stmt;
    stmt->coded_suites = true;
    if (!cipher->available) {
        pel_diag_warning(&ctx->parse->diags, pos, "%s: %s (%04X) is not available here and is left out",
                         ctx->param->row->name, cipher->name, cipher->code);
        return PEL_OK;
    }
    if (stmt->suites == NULL)
        stmt->suites = pel_arena_alloc(ctx->parse->kept, PEL_MAX_SUITES * sizeof *stmt->suites);
    if (stmt->suites == NULL)
        return PEL_E_NO_MEMORY;
    for (size_t i = 0; i < stmt->num_suites; i++) {
        if (stmt->suites[i] == cipher->code)
            return PEL_OK;
    }
    if (stmt->num_suites < PEL_MAX_SUITES)
        stmt->suites[stmt->num_suites++] = cipher->code;
    return PEL_OK;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool is_hex(const struct pel_word *word)
{
    for (size_t i = 0; i < word->len; i++) {
        if (hex_digit(word->text[i]) < 0)
            return false;
    }
    return true;
}

static enum pel_err read_codes(struct pel_value_ctx *ctx, size_t digits)
{
    for (size_t at = 0; at < ctx->word.len; at += digits) {
        unsigned code = 0;
        for (size_t i = 0; i < digits; i++)
            code = code * 16 + (unsigned)hex_digit(ctx->word.text[at + i]);
        struct pel_pos pos = ctx->word.pos;
        pos.column += (uint32_t)at;
        const struct pel_cipher *cipher = pel_cipher_by_code((uint16_t)code);
        if (cipher == NULL)
            pel_value_fail(ctx, pos, "no cipher suite has the code %.*s", (int)digits, ctx->word.text + at);
        else
            PEL_TRY(add_suite(ctx, cipher, pos));
    }
    return PEL_OK;
}

enum pel_err pel_value_ciphers(struct pel_value_ctx *ctx, size_t digits)
{
    const struct pel_word *word = &ctx->word;
    struct pel_shown shown = pel_diag_show(word->text, word->len);
    PEL_TRY(pel_value_keep(ctx));
    if (is_hex(word)) {
        if (word->len % digits == 0)
            return read_codes(ctx, digits);
        pel_value_fail(ctx, word->pos, "\"%s\" is not made of codes of %zu digits", shown.text, digits);
        return PEL_OK;
    }
    const struct pel_cipher *cipher = pel_cipher_by_name(word->text, word->len);
    if (cipher != NULL)
        return add_suite(ctx, cipher, word->pos);
    const char *nearest = pel_diag_wants_errors(&ctx->parse->diags) ? pel_cipher_nearest(shown.text) : NULL;
    pel_value_fail(ctx, word->pos, "unknown cipher suite \"%s\"%s%s%s", shown.text,
                   nearest != NULL ? "; did you mean " : "", nearest != NULL ? nearest : "",
                   nearest != NULL ? "?" : "");
    return PEL_OK;
}

struct group {
    uint16_t number;
    bool known, available;
    const char *name;
};

static struct group find_group(unsigned number)
{
    static const struct group groups[] = {
        {19, true, false, "secp192r1"}, {21, true, false, "secp224r1"}, {23, true, true, "secp256r1"},
        {24, true, true, "secp384r1"},  {25, true, true, "secp521r1"},  {29, true, true, "x25519"},
        {30, true, false, "x448"},
    };
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        if (groups[i].number == number)
            return groups[i];
    }
    return (struct group){0};
}

/* Four characters, or the whole word when it is not made of digits. */
static struct pel_shown shown_code(const struct pel_value_ctx *ctx, const char *at)
{
    size_t len = 0, left = (size_t)(ctx->word.text + ctx->word.len - at);
    bool digits = true;
    for (; len < left && at[len] != ' ' && at[len] != '\t'; len++)
        digits = digits && hex_digit(at[len]) >= 0;
    return pel_diag_show(at, digits && len > 4 ? 4 : len);
}

/* What a code of a list is. */
struct code {
    bool known, available;
    const char *name;
};

/* Reads the four digits of a code. */
typedef bool read_code_fn(const char *digits, unsigned *ret_code, struct code *ret_is);

static bool read_group(const char *digits, unsigned *ret_code, struct code *ret_is)
{
    uint64_t number = 0;
    if (!pel_value_number(digits, 4, &number))
        return false;
    struct group group = find_group((unsigned)number);
    *ret_is = (struct code){group.known, group.available, group.name};
    *ret_code = (unsigned)number;
    return true;
}

static bool read_signature(const char *digits, unsigned *ret_code, struct code *ret_is)
{
    unsigned code = 0;
    for (size_t i = 0; i < 4; i++) {
        if (hex_digit(digits[i]) < 0)
            return false;
        code = code * 16 + (unsigned)hex_digit(digits[i]);
    }
    const struct pel_signature *signature = pel_signature_by_code(code);
    *ret_is = (struct code){0};
    if (signature != NULL)
        *ret_is = (struct code){true, signature->available, signature->name};
    *ret_code = code;
    return true;
}

/* A list of such codes. */
struct code_list {
    read_code_fn *read;
    const char *one, *many; /* "a named group; write its number in 4 decimal digits, as 0023", "group" */
    uint32_t max;
};

static bool add_code(struct pel_value_ctx *ctx, const struct code_list *list, const char *digits,
                     uint16_t *codes, uint32_t *num)
{
    unsigned number = 0;
    struct code is = {0};
    struct pel_pos pos = ctx->word.pos;
    pos.column += (uint32_t)(digits - ctx->word.text);
    if (!list->read(digits, &number, &is) || !is.known) {
        pel_value_fail(ctx, pos, "\"%s\" is not %s", shown_code(ctx, digits).text, list->one);
        return false;
    }
    if (!is.available) {
        pel_diag_warning(&ctx->parse->diags, pos, "%s: %s (%.4s) is not available here and is left out",
                         ctx->param->row->name, is.name, digits);
        return true;
    }
    for (uint32_t i = 0; i < *num; i++) {
        if (codes[i] == number)
            return true;
    }
    if (*num < list->max)
        codes[(*num)++] = (uint16_t)number;
    return true;
}

static bool is_any(const char *text, size_t left)
{
    return left >= 3 && strncasecmp(text, "Any", 3) == 0 && (left == 3 || text[3] == ' ' || text[3] == '\t');
}

/* Four digits a code, with or without blanks between them. */
static enum pel_err read_code_list(struct pel_value_ctx *ctx, const struct code_list *list)
{
    const struct pel_word *word = &ctx->word;
    uint32_t num = 0;
    PEL_TRY(pel_value_keep(ctx));
    if (is_any(word->text, word->len) && word->len == 3)
        return PEL_OK;
    uint16_t *codes = pel_arena_alloc(ctx->parse->kept, list->max * sizeof *codes);
    if (codes == NULL)
        return PEL_E_NO_MEMORY;
    for (size_t at = 0; at < word->len;) {
        if (word->text[at] == ' ' || word->text[at] == '\t') {
            at++;
            continue;
        }
        if (is_any(word->text + at, word->len - at)) {
            struct pel_pos pos = word->pos;
            pos.column += (uint32_t)at;
            pel_value_fail(ctx, pos, "Any cannot be combined with a list");
            return PEL_OK;
        }
        if (word->len - at < 4) {
            pel_value_fail(ctx, word->pos, "not made of %ss of 4 digits", list->many);
            return PEL_OK;
        }
        if (!add_code(ctx, list, word->text + at, codes, &num))
            return PEL_OK;
        at += 4;
    }
    if (num == 0)
        pel_value_fail(ctx, word->pos, "no %s is left", list->many);
    ctx->param->groups = codes;
    ctx->param->number = num;
    return PEL_OK;
}

enum pel_err pel_value_groups(struct pel_value_ctx *ctx)
{
    static const char one[] = "a named group; write its number in 4 decimal digits, as 0023";
    static const struct code_list groups = {read_group, one, "group", PEL_MAX_GROUPS};
    return read_code_list(ctx, &groups);
}

enum pel_err pel_value_signatures(struct pel_value_ctx *ctx)
{
    static const char one[] = "a signature algorithm; write its code in 4 hexadecimal digits, as 0403";
    static const struct code_list signatures = {read_signature, one, "signature", PEL_MAX_SIGNATURES};
    return read_code_list(ctx, &signatures);
}
