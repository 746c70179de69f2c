/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as lines and words: each word lies in its line, where its position says, and is one brace or has
 * neither blanks nor braces in it; lines are counted right; a bad character is one message and a line without
 * words. */
#include <stdlib.h>
#include <string.h>

#include "policy/lex.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void check_word(const struct pel_lexer *lexer, const struct pel_word *word)
{
    bool brace = word->len == 1 && (word->text[0] == '{' || word->text[0] == '}');
    require(word->text >= lexer->line && word->text + word->len <= lexer->line_end);
    require(word->pos.line == lexer->pos.line && word->text == lexer->line + word->pos.column - 1);
    for (size_t i = 0; i < word->len && !brace; i++)
        require(strchr(" \t\r\f\v\n{}#", word->text[i]) == NULL);
}

/* `rest`: behind the first word the rest of the line is taken at once. */
static void check_line(struct pel_lexer *lexer, bool rest)
{
    size_t num_words = 0;
    for (struct pel_word word = pel_lex_word(lexer); word.len > 0; word = pel_lex_word(lexer)) {
        check_word(lexer, &word);
        num_words++;
        if (!rest)
            continue;
        struct pel_word more = pel_lex_rest(lexer);
        require(more.text >= word.text + word.len && more.text + more.len <= lexer->line_end);
        require(more.len == 0 || (strchr(" \t\r\f\v", more.text[0]) == NULL &&
                                  strchr(" \t\r\f\v", more.text[more.len - 1]) == NULL));
        require(lexer->cursor == lexer->line_end);
    }
    require(num_words == 0 || !lexer->line_bad);
}

static void run(struct pel_diags *diags, const char *text, size_t len, bool rest)
{
    struct pel_lexer lexer;
    uint32_t lines = 0;
    size_t num_bad = 0, most = 0;
    for (size_t i = 0; i < len; i++)
        most += text[i] == '\n';
    pel_lex_start(&lexer, diags, 0);
    while (pel_lex_line(&lexer)) {
        require(lexer.pos.line == ++lines && lexer.line_end >= lexer.line);
        num_bad += lexer.line_bad;
        check_line(&lexer, rest);
    }
    require(lines <= most + 1 && lines >= most);
    require(diags->num_errors == num_bad);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char *text = malloc(len > 0 ? len : 1); /* of its exact size, for the sanitizer */
    if (text == NULL)
        return 0;
    if (len > 0)
        memcpy(text, data, len);
    struct pel_policy_source source = {.file = "fuzz", .text = text, .text_len = len};
    for (int rest = 0; rest < 2; rest++) {
        struct pel_arena arena = {0};
        struct pel_diags diags = {.arena = &arena, .sources = &source};
        run(&diags, text, len, rest != 0);
        pel_arena_free(&arena);
    }
    free(text);
    return 0;
}
