/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/agent.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"
#include "policy/model.h"
#include "policy/value.h"

#define OTHER_POLICY "only AT-TLS policy is read"
#define NO_SERVER    "policy of a policy server is not fetched, and none is served"
#define NO_MONITOR   "pel starts and watches no applications"

enum kind { IMAGE, COMMON, TTLS, LOG_LEVEL, CODEPAGE, OTHER };

/* The statements of agent files; of those that are not followed, why. */
static const struct statement {
    const char *name;
    enum kind kind;
    const char *no_effect;
} statements[] = {
    {"TcpImage", IMAGE, NULL},
    {"PEPInstance", IMAGE, NULL},
    {"CommonTTLSConfig", COMMON, NULL},
    {"TTLSConfig", TTLS, NULL},
    {"LogLevel", LOG_LEVEL, "there is no agent that logs; the stack logs each load, and Trace is a rule's"},
    {"Codepage", CODEPAGE, "files are read as UTF-8"},
    {"AutoMonitorApps", OTHER, NO_MONITOR},
    {"AutoMonitorParms", OTHER, NO_MONITOR},
    {"ClientConnection", OTHER, NO_SERVER},
    {"CommonIDSConfig", OTHER, OTHER_POLICY},
    {"CommonIPSecConfig", OTHER, OTHER_POLICY},
    {"DynamicConfigPolicyLoad", OTHER, NO_SERVER},
    {"IDSConfig", OTHER, OTHER_POLICY},
    {"IPSecConfig", OTHER, OTHER_POLICY},
    {"PolicyAction", OTHER, OTHER_POLICY},
    {"PolicyPerfMonitorForSDR", OTHER, OTHER_POLICY},
    {"PolicyPerformanceCollection", OTHER, OTHER_POLICY},
    {"PolicyRule", OTHER, OTHER_POLICY},
    {"PolicyServer", OTHER, NO_SERVER},
    {"QOSConfig", OTHER, OTHER_POLICY},
    {"ReadFromDirectory", OTHER, "policy is not read from LDAP"},
    {"RoutingConfig", OTHER, OTHER_POLICY},
    {"ServerConnection", OTHER, NO_SERVER},
    {"ServiceCategories", OTHER, OTHER_POLICY},
    {"ServicePolicyRules", OTHER, OTHER_POLICY},
    {"ServicesConnection", OTHER, NO_SERVER},
    {"SetSubnetPrioTosMask", OTHER, OTHER_POLICY},
    {"zERTConfig", OTHER, OTHER_POLICY},
};

#define NUM_STATEMENTS (sizeof statements / sizeof *statements)

struct reader {
    struct pel_diags *diags;
    struct pel_lexer lexer;
    struct pel_agent_file *file;
    bool is_image;
    /* A block that is read over. */
    bool may_skip; /* a "{" would open one */
    size_t skip_depth;
    struct pel_word skipped; /* whose block it is */
};

static bool is_word(const char *name, const char *word, size_t word_len)
{
    return strlen(name) == word_len && strncasecmp(name, word, word_len) == 0;
}

static const struct statement *find(const char *word, size_t word_len)
{
    for (size_t i = 0; i < NUM_STATEMENTS; i++) {
        if (is_word(statements[i].name, word, word_len))
            return &statements[i];
    }
    return NULL;
}

bool pel_agent_is_keyword(const char *word, size_t word_len)
{
    return find(word, word_len) != NULL;
}

/* ---- recognising ---- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v';
}

/* The first word of the line, without its comment; bytes are taken as they come. */
static size_t first_word(const char **line, const char *line_end)
{
    size_t len = 0;
    while (*line < line_end && is_blank(**line))
        (*line)++;
    while (*line + len < line_end && !is_blank((*line)[len]) && (*line)[len] != '#')
        len++;
    return len;
}

bool pel_agent_recognise(const char *text, size_t text_len)
{
    enum { LINES = 200 };
    char places[8];
    const char *end = text + text_len, *next = text;
    if (text_len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        next += 3;
    for (int lines = 0; next < end && lines < LINES;) {
        const char *word = next;
        const char *newline = memchr(next, '\n', (size_t)(end - next));
        size_t len = first_word(&word, newline != NULL ? newline : end);
        next = newline != NULL ? newline + 1 : end;
        if (len == 0)
            continue;
        lines++;
        if (find(word, len) != NULL)
            return true;
        if (pel_schema_find(word, len) != PEL_S_SKIPPED ||
            pel_schema_places(word, len, places, sizeof places) > 0)
            return false;
    }
    return false;
}

/* ---- operands ---- */

static void fail(struct reader *reader, const struct pel_word *word, const char *statement, const char *what)
{
    pel_diag_error(reader->diags, word->pos, "%s: \"%s\" %s", statement,
                   pel_diag_show(word->text, word->len).text, what);
}

/* FLUSH, NOFLUSH, PURGE, NOPURGE. */
static bool read_choice(struct reader *reader, struct pel_agent_path *path, const struct pel_word *word)
{
    if (is_word("FLUSH", word->text, word->len) || is_word("NOFLUSH", word->text, word->len))
        path->flush = word->len == 5 ? PEL_AGENT_YES : PEL_AGENT_NO;
    else if (is_word("PURGE", word->text, word->len) || is_word("NOPURGE", word->text, word->len))
        path->purge = word->len == 5 ? PEL_AGENT_YES : PEL_AGENT_NO;
    else
        return false;
    if (path->purge == PEL_AGENT_YES && is_word("PURGE", word->text, word->len))
        pel_diag_note(reader->diags, word->pos,
                      "PURGE: accepted, no effect: a policy ends with the stack that has it, and is never "
                      "taken from one that runs");
    return true;
}

static void wrong_operand(struct reader *reader, const struct pel_word *word, const char *statement,
                          bool may_be_number)
{
    static const char *const choices[] = {"FLUSH", "NOFLUSH", "PURGE", "NOPURGE"};
    struct pel_shown shown = pel_diag_show(word->text, word->len);
    const char *nearest = pel_text_nearest(shown.text, choices, 4);
    pel_diag_error(reader->diags, word->pos, "%s: \"%s\" is not FLUSH, NOFLUSH, PURGE%s%s%s%s", statement,
                   shown.text, may_be_number ? ", NOPURGE or a number of seconds" : " or NOPURGE",
                   nearest != NULL ? "; did you mean " : "", nearest != NULL ? nearest : "",
                   nearest != NULL ? "?" : "");
}

static void read_refresh(struct reader *reader, const struct pel_word *word, const char *statement,
                         uint32_t *ret_refresh_s)
{
    uint64_t number;
    if (!pel_value_number(word->text, word->len, &number)) {
        wrong_operand(reader, word, statement, true);
    } else if (number == 0 || number > INT32_MAX) {
        fail(reader, word, statement, "is out of range (1 to 2147483647)");
    } else {
        *ret_refresh_s = (uint32_t)number;
        pel_diag_note(reader->diags, word->pos,
                      "%s: %llu seconds: accepted, no effect: files are loaded when they change "
                      "(policy.watch), or by command",
                      statement, (unsigned long long)number);
    }
}

static bool is_number(const struct pel_word *word)
{
    uint64_t number;
    return pel_value_number(word->text, word->len, &number);
}

/* Operands behind the keyword, and an image's name: [PATH] [FLUSH|NOFLUSH] [PURGE|NOPURGE] [SECONDS]. */
static void read_operands(struct reader *reader, struct pel_agent_path *path, uint32_t *refresh_s)
{
    bool first = true;
    for (struct pel_word word = pel_lex_word(&reader->lexer); word.len > 0;
         word = pel_lex_word(&reader->lexer)) {
        bool is_path = first && !(refresh_s != NULL && is_number(&word));
        first = false;
        if (read_choice(reader, path, &word))
            continue;
        path->bad |= !is_path && (refresh_s == NULL || !is_number(&word));
        if (is_path && word.len >= 2 && memcmp(word.text, "//", 2) == 0) {
            path->bad = true;
            fail(reader, &word, path->statement, "is an MVS data set; name a file");
        } else if (is_path) {
            path->path = word;
        } else if (refresh_s != NULL) {
            read_refresh(reader, &word, path->statement, refresh_s);
        } else {
            wrong_operand(reader, &word, path->statement, false);
        }
    }
}

/* ---- statements ---- */

static void read_image(struct reader *reader, const struct statement *statement, struct pel_pos pos)
{
    struct pel_agent_file *file = reader->file;
    struct pel_agent_image image = {.refresh_s = PEL_AGENT_REFRESH_S,
                                    .file = {.is_coded = true, .pos = pos, .statement = statement->name}};
    image.name = pel_lex_word(&reader->lexer);
    if (image.name.len == 0) {
        pel_diag_error(reader->diags, pos, "%s needs a name", statement->name);
        return;
    }
    read_operands(reader, &image.file, &image.refresh_s);
    for (size_t i = 0; i < file->num_images; i++) {
        const struct pel_word *other = &file->images[i].name;
        if (other->len == image.name.len && strncasecmp(other->text, image.name.text, other->len) == 0) {
            pel_diag_error(reader->diags, pos, "%s \"%s\" is given already on line %u", statement->name,
                           pel_diag_show(image.name.text, image.name.len).text, other->pos.line);
            return;
        }
    }
    if (image.name.len > PEL_MAX_NAME_LEN)
        pel_diag_error(reader->diags, image.name.pos, "the name \"%s\" is longer than %d bytes",
                       pel_diag_show(image.name.text, image.name.len).text, PEL_MAX_NAME_LEN);
    else if (file->num_images == PEL_AGENT_MAX_IMAGES)
        pel_diag_error(reader->diags, pos, "more than %d images", PEL_AGENT_MAX_IMAGES);
    else
        file->images[file->num_images++] = image;
}

static void read_config(struct reader *reader, const struct statement *statement, struct pel_pos pos,
                        struct pel_agent_path *path)
{
    if (path->is_coded)
        pel_diag_warning(reader->diags, pos, "%s is given twice; the one on line %u is ignored",
                         statement->name, path->pos.line);
    *path = (struct pel_agent_path){.is_coded = true, .pos = pos, .statement = statement->name};
    read_operands(reader, path, NULL);
    if (statement->kind == COMMON && path->path.len == 0 && !path->bad)
        pel_diag_error(reader->diags, pos, "%s needs a path", statement->name);
}

static void read_log_level(struct reader *reader, const struct statement *statement, struct pel_pos pos)
{
    struct pel_word word = pel_lex_word(&reader->lexer);
    uint64_t number;
    if (word.len == 0)
        pel_diag_error(reader->diags, pos, "%s needs a value", statement->name);
    else if (!pel_value_number(word.text, word.len, &number))
        fail(reader, &word, statement->name, "is not a number");
    else if (number > 511)
        fail(reader, &word, statement->name, "is out of range (0 to 511)");
    else
        pel_diag_note(reader->diags, pos, "%s: accepted, no effect: %s", statement->name,
                      statement->no_effect);
}

/* A text that the agent would convert is converted when it is copied here; what is read is UTF-8. */
static void read_codepage(struct reader *reader, const struct statement *statement, struct pel_pos pos)
{
    static const char *const as_read[] = {"UTF-8", "UTF8", "ASCII", "US-ASCII"};
    struct pel_word word = pel_lex_word(&reader->lexer);
    if (word.len == 0) {
        pel_diag_error(reader->diags, pos, "%s needs a value", statement->name);
        return;
    }
    for (size_t i = 0; i < sizeof as_read / sizeof *as_read; i++) {
        if (is_word(as_read[i], word.text, word.len))
            return;
    }
    pel_diag_note(reader->diags, pos, "%s: accepted, no effect: %s", statement->name, statement->no_effect);
}

static void unknown(struct reader *reader, const struct pel_word *word)
{
    const char *names[NUM_STATEMENTS];
    struct pel_shown shown = pel_diag_show(word->text, word->len);
    char places[8];
    for (size_t i = 0; i < NUM_STATEMENTS; i++)
        names[i] = statements[i].name;
    const char *nearest =
        pel_diag_wants_errors(reader->diags) ? pel_text_nearest(shown.text, names, NUM_STATEMENTS) : NULL;
    if (pel_schema_find(word->text, word->len) != PEL_S_SKIPPED ||
        pel_schema_places(word->text, word->len, places, sizeof places) > 0)
        pel_diag_error(reader->diags, word->pos,
                       "%s belongs in the policy file that TTLSConfig names, not in an agent file",
                       shown.text);
    else
        pel_diag_error(reader->diags, word->pos, "unknown statement \"%s\" in an agent file%s%s%s",
                       shown.text, nearest != NULL ? "; did you mean " : "", nearest != NULL ? nearest : "",
                       nearest != NULL ? "?" : "");
}

static bool is_brace(const struct pel_word *word, char brace)
{
    return word->len == 1 && word->text[0] == brace;
}

/* Passes over words up to a brace, which is left. */
static void pass_operands(struct reader *reader)
{
    for (;;) {
        struct pel_lexer before = reader->lexer;
        struct pel_word word = pel_lex_word(&reader->lexer);
        if (word.len == 0)
            return;
        if (is_brace(&word, '{') || is_brace(&word, '}')) {
            reader->lexer = before;
            return;
        }
    }
}

static void read_statement(struct reader *reader, const struct pel_word *word)
{
    const struct statement *statement = find(word->text, word->len);
    if (statement == NULL || statement->kind == OTHER) {
        if (statement == NULL)
            unknown(reader, word);
        else
            pel_diag_note(reader->diags, word->pos, "%s: accepted, no effect: %s", statement->name,
                          statement->no_effect);
        pass_operands(reader);
        return;
    }
    if (reader->is_image && (statement->kind == IMAGE || statement->kind == COMMON)) {
        pel_diag_error(reader->diags, word->pos, "%s belongs in the agent's main file, not in an image file",
                       statement->name);
        (void)pel_lex_rest(&reader->lexer);
        return;
    }
    switch (statement->kind) {
    case IMAGE: read_image(reader, statement, word->pos); break;
    case COMMON: read_config(reader, statement, word->pos, &reader->file->common); break;
    case TTLS: read_config(reader, statement, word->pos, &reader->file->ttls); break;
    case LOG_LEVEL: read_log_level(reader, statement, word->pos); break;
    case CODEPAGE: read_codepage(reader, statement, word->pos); break;
    case OTHER: break;
    }
    (void)pel_lex_rest(&reader->lexer);
}

/* ---- lines ---- */

static void read_over(struct reader *reader)
{
    for (struct pel_word word = pel_lex_word(&reader->lexer); word.len > 0;
         word = pel_lex_word(&reader->lexer)) {
        if (is_brace(&word, '{'))
            reader->skip_depth++;
        else if (is_brace(&word, '}') && --reader->skip_depth == 0)
            return;
    }
}

static void read_line(struct reader *reader)
{
    if (reader->skip_depth > 0)
        read_over(reader);
    for (struct pel_word word = pel_lex_word(&reader->lexer); word.len > 0;
         word = pel_lex_word(&reader->lexer)) {
        if (is_brace(&word, '{') && reader->may_skip) {
            reader->skip_depth = 1;
            reader->may_skip = false;
            read_over(reader);
        } else if (is_brace(&word, '{') || is_brace(&word, '}')) {
            pel_diag_error(reader->diags, word.pos, "\"%c\" without a statement that takes a block",
                           word.text[0]);
        } else {
            const struct statement *statement = find(word.text, word.len);
            reader->skipped = word;
            read_statement(reader, &word);
            reader->may_skip = statement == NULL || statement->kind == OTHER;
        }
    }
}

void pel_agent_parse(struct pel_diags *diags, size_t file, bool is_image, struct pel_agent_file *ret_file)
{
    struct reader reader = {.diags = diags, .file = ret_file, .is_image = is_image};
    *ret_file = (struct pel_agent_file){0};
    pel_lex_start(&reader.lexer, diags, file);
    while (pel_lex_line(&reader.lexer))
        read_line(&reader);
    if (reader.skip_depth > 0)
        pel_diag_error(diags, reader.skipped.pos, "the \"}\" of this %s is missing",
                       pel_diag_show(reader.skipped.text, reader.skipped.len).text);
}

const struct pel_agent_image *pel_agent_choose(struct pel_diags *diags, const struct pel_agent_file *main,
                                               const char *name)
{
    char names[PEL_AGENT_MAX_IMAGES][PEL_MAX_NAME_LEN + 1];
    const char *list[PEL_AGENT_MAX_IMAGES];
    if (main->num_images == 0)
        return NULL;
    if (name == NULL && main->num_images > 1)
        pel_diag_warning(diags, main->images[1].file.pos,
                         "%zu images: the first, \"%.*s\", is read; name another to choose it",
                         main->num_images, (int)main->images[0].name.len, main->images[0].name.text);
    if (name == NULL)
        return &main->images[0];
    for (size_t i = 0; i < main->num_images; i++) {
        const struct pel_word *word = &main->images[i].name;
        snprintf(names[i], sizeof names[i], "%.*s", (int)word->len, word->text);
        list[i] = names[i];
        if (is_word(name, word->text, word->len))
            return &main->images[i];
    }
    const char *nearest = pel_text_nearest(name, list, main->num_images);
    pel_diag_error(diags, main->images[0].file.pos, "no %s is named \"%s\"%s%s%s",
                   main->images[0].file.statement, pel_diag_show(name, strlen(name)).text,
                   nearest != NULL ? "; did you mean \"" : "", nearest != NULL ? nearest : "",
                   nearest != NULL ? "\"?" : "");
    return NULL;
}
