/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/lex.h"

#include <string.h>

static const char bom[3] = {(char)0xef, (char)0xbb, (char)0xbf};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v';
}

static bool is_brace(char c)
{
    return c == '{' || c == '}';
}

void pel_lex_start(struct pel_lexer *lexer, struct pel_diags *diags, size_t file)
{
    const struct pel_policy_source *source = &diags->sources[file];
    const char *text = source->text_len > 0 ? source->text : ""; /* which may be NULL */
    *lexer = (struct pel_lexer){.diags = diags, .next = text, .end = text + source->text_len};
    lexer->pos = (struct pel_pos){.file = (uint32_t)file, .line = 0, .column = 1};
    if (source->text_len >= sizeof bom && memcmp(text, bom, sizeof bom) == 0)
        lexer->next += sizeof bom;
    lexer->line = lexer->cursor = lexer->line_end = lexer->next;
}

/* The length of the UTF-8 character at `at` (RFC 3629: no overlong forms, no surrogates, at most 10FFFF), or
 * 0. */
static size_t utf8_len(const unsigned char *at, size_t left)
{
    static const struct {
        unsigned char lead_low, lead_high, second_low, second_high, len;
    } forms[] = {{0x00, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
                 {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
                 {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4}};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        if (at[0] < forms[i].lead_low || at[0] > forms[i].lead_high)
            continue;
        if (forms[i].len > left)
            return 0;
        if (forms[i].len > 1 && (at[1] < forms[i].second_low || at[1] > forms[i].second_high))
            return 0;
        for (size_t j = 2; j < forms[i].len; j++) {
            if ((at[j] & 0xc0) != 0x80)
                return 0;
        }
        return forms[i].len;
    }
    return 0;
}

static void bad_character(struct pel_lexer *lexer, const char *at, const char *what)
{
    struct pel_pos pos = lexer->pos;
    pos.column = (uint32_t)(at - lexer->line) + 1;
    pel_diag_error(lexer->diags, pos, "%s", what);
    lexer->line_bad = true;
}

/* A file that was copied from z/OS as it is: its first line is not text, and its blanks are 40. */
static bool looks_like_ebcdic(const struct pel_lexer *lexer)
{
    size_t num_ebcdic = 0, num_ascii = 0;
    if (lexer->pos.line != 1)
        return false;
    for (const char *at = lexer->line; at < lexer->end && at < lexer->line + 1000; at++) {
        num_ebcdic += *at == 0x40 || *at == 0x15;
        num_ascii += *at == ' ' || *at == '\n';
    }
    return num_ebcdic > num_ascii;
}

/* Reports the first character between `from` and `to` that may not stand in a statement. */
static void check_characters(struct pel_lexer *lexer, const char *from, const char *to)
{
    for (const char *at = from; at < to;) {
        unsigned char c = (unsigned char)*at;
        size_t left = (size_t)(to - at);
        size_t len = c < 0x80 ? 1 : utf8_len((const unsigned char *)at, left);
        if (c == 0) {
            bad_character(lexer, at, "a NUL byte");
            return;
        }
        if ((c < 0x20 && !is_blank(*at)) || c == 0x7f) {
            bad_character(lexer, at, "a control character");
            return;
        }
        if (len == 3 && memcmp(at, bom, sizeof bom) == 0) {
            bad_character(lexer, at, "a byte-order mark inside the file");
            return;
        }
        if (len == 0) {
            bad_character(lexer, at,
                          looks_like_ebcdic(lexer)
                              ? "not valid UTF-8; it looks like EBCDIC: convert it, as with "
                                "iconv -f IBM-1047 -t UTF-8"
                              : "not valid UTF-8");
            return;
        }
        at += len;
    }
}

bool pel_lex_line(struct pel_lexer *lexer)
{
    if (lexer->next == lexer->end)
        return false;
    size_t left = (size_t)(lexer->end - lexer->next);
    const char *newline = memchr(lexer->next, '\n', left);
    const char *line_end = newline == NULL ? lexer->end : newline;
    /* The mark that was passed over is not a column. */
    lexer->line = lexer->cursor = lexer->next;
    lexer->next = newline == NULL ? lexer->end : newline + 1;
    lexer->pos.line++;
    lexer->line_bad = false;
    const char *comment = memchr(lexer->line, '#', (size_t)(line_end - lexer->line));
    lexer->line_end = comment == NULL ? line_end : comment;
    check_characters(lexer, lexer->line, lexer->line_end);
    if (!lexer->line_bad && comment != NULL) {
        const char *mark = memmem(comment, (size_t)(line_end - comment), bom, sizeof bom);
        if (mark != NULL)
            bad_character(lexer, mark, "a byte-order mark inside the file");
    }
    if (lexer->line_bad)
        lexer->cursor = lexer->line_end;
    return true;
}

bool pel_lex_alone(struct pel_lexer *lexer, struct pel_diags *diags, const char *text, size_t text_len,
                   struct pel_pos pos)
{
    const char *end = text + text_len;
    *lexer = (struct pel_lexer){.diags = diags, .next = end, .end = end, .line = text, .cursor = text};
    lexer->line_end = end;
    lexer->pos = pos;
    check_characters(lexer, text, end);
    return !lexer->line_bad && memchr(text, '#', text_len) == NULL;
}

static void skip_blanks(struct pel_lexer *lexer)
{
    while (lexer->cursor < lexer->line_end && is_blank(*lexer->cursor))
        lexer->cursor++;
}

static struct pel_word word_at_cursor(const struct pel_lexer *lexer)
{
    struct pel_word word = {.text = lexer->cursor, .len = 0, .pos = lexer->pos};
    word.pos.column = (uint32_t)(lexer->cursor - lexer->line) + 1;
    return word;
}

struct pel_word pel_lex_word(struct pel_lexer *lexer)
{
    skip_blanks(lexer);
    struct pel_word word = word_at_cursor(lexer);
    while (lexer->cursor < lexer->line_end && !is_blank(*lexer->cursor)) {
        if (is_brace(*lexer->cursor) && word.len > 0)
            break;
        lexer->cursor++;
        word.len++;
        if (is_brace(word.text[0]))
            break;
    }
    return word;
}

struct pel_word pel_lex_rest(struct pel_lexer *lexer)
{
    skip_blanks(lexer);
    struct pel_word word = word_at_cursor(lexer);
    word.len = (size_t)(lexer->line_end - lexer->cursor);
    while (word.len > 0 && is_blank(word.text[word.len - 1]))
        word.len--;
    lexer->cursor = lexer->line_end;
    return word;
}
