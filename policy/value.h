/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The values of parameters: words of the line into numbers, addresses, patterns, suites and groups, as the
 * row says.
 */
#ifndef PEL_POLICY_VALUE_H
#define PEL_POLICY_VALUE_H

#include "policy/lex.h"
#include "policy/model.h"

/* One parameter's value on its way. */
struct pel_value_ctx {
    struct pel_parse *parse;
    struct pel_stmt *stmt;
    struct pel_param *param; /* its row and pos are set */
    struct pel_lexer *lexer; /* stands behind the keyword */
    struct pel_word word;    /* the value's first word */
};

/* pel_value_read reads the value into the parameter and leaves the lexer behind it. A wrong value is
 * reported, and the parameter and the statement marked bad. Errors: NO_MEMORY. */
PEL_MUST_USE enum pel_err pel_value_read(struct pel_value_ctx *ctx);

/* pel_value_fail reports "KEYWORD: text" at `pos` and marks the parameter and its statement as bad. */
void pel_value_fail(struct pel_value_ctx *ctx, struct pel_pos pos, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* pel_value_keep keeps the value's text as it stands with the model. Errors: NO_MEMORY. */
PEL_MUST_USE enum pel_err pel_value_keep(struct pel_value_ctx *ctx);

/* pel_value_number reads decimal digits; values over UINT64_MAX stay there. False when there is anything
 * else. */
bool pel_value_number(const char *text, size_t text_len, uint64_t *ret_number);

/* pel_value_no_dash reports a range written with blanks around its dash or colon, of which only the beginning
 * would be taken. `form` is how it is written. */
void pel_value_no_dash(struct pel_value_ctx *ctx, const char *form);

/* The types with files of their own. */
PEL_MUST_USE enum pel_err pel_value_addr(struct pel_value_ctx *ctx);
PEL_MUST_USE enum pel_err pel_value_ciphers(struct pel_value_ctx *ctx, size_t digits);
PEL_MUST_USE enum pel_err pel_value_time(struct pel_value_ctx *ctx);
PEL_MUST_USE enum pel_err pel_value_groups(struct pel_value_ctx *ctx);
PEL_MUST_USE enum pel_err pel_value_signatures(struct pel_value_ctx *ctx);

#endif
