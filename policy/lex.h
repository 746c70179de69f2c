/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines and words of a policy text. A line is what stands before its comment, checked: no NUL, no control
 * character, no byte-order mark, valid UTF-8; comments may hold any bytes but a byte-order mark. A word is a
 * run without blanks and braces, or a single brace. Everything is a slice of the text; nothing is copied.
 */
#ifndef PEL_POLICY_LEX_H
#define PEL_POLICY_LEX_H

#include <stdbool.h>
#include <stddef.h>

#include "policy/diag.h"

struct pel_word {
    const char *text; /* not NUL-terminated */
    size_t len;       /* 0: none left */
    struct pel_pos pos;
};

struct pel_lexer {
    struct pel_diags *diags;
    const char *next; /* the text not read yet */
    const char *end;
    const char *line; /* the current line, where columns count from */
    const char *cursor;
    const char *line_end; /* the end of what stands before the comment */
    struct pel_pos pos;   /* of the current line */
    bool line_bad;        /* the current line had a character error, reported already */
};

/* pel_lex_start begins with text number `file` of diags->sources; a byte-order mark at its start is passed
 * over. */
void pel_lex_start(struct pel_lexer *lexer, struct pel_diags *diags, size_t file);

/* pel_lex_line goes to the next line; false at the end of the text. A bad character is reported here, and the
 * line then has no words. */
bool pel_lex_line(struct pel_lexer *lexer);

/* pel_lex_alone begins with `text` as one line that stands in no text, at `pos`; false: it holds a character
 * that none may have, which was reported, or a "#". */
bool pel_lex_alone(struct pel_lexer *lexer, struct pel_diags *diags, const char *text, size_t text_len,
                   struct pel_pos pos);

/* pel_lex_word takes the next word of the line; its `len` is 0 when there is none. */
struct pel_word pel_lex_word(struct pel_lexer *lexer);

/* pel_lex_rest takes the rest of the line without blanks at either end; `len` may be 0. */
struct pel_word pel_lex_rest(struct pel_lexer *lexer);

#endif
