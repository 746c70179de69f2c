/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "policy/agent.h"
#include "policy/view/image.h"
#include "policy/lex.h"
#include "policy/model.h"
#include "policy/value.h"

/* The blocks that are open stand in an array, so that no text can make the parser recurse. */
struct parser {
    struct pel_parse *parse;
    struct pel_lexer lexer;
    struct pel_stmt *open[PEL_MAX_DEPTH];
    size_t depth;
    struct pel_stmt *pending; /* its keyword was read, its "{" must follow */
    size_t skip_depth;        /* inside a block that is read over */
    bool may_skip;            /* a "{" now would open such a block: an error was reported about its keyword */
    bool shared_brace;        /* this line's shared brace was reported */
    bool stopped;             /* a limit was passed */
};

static bool is_brace(const struct pel_word *word, char brace)
{
    return word->len == 1 && word->text[0] == brace;
}

static struct pel_stmt *innermost(const struct parser *parser)
{
    return parser->depth == 0 ? NULL : parser->open[parser->depth - 1];
}

static void stop(struct parser *parser, struct pel_pos pos, const char *what, unsigned most)
{
    pel_diag_error(&parser->parse->diags, pos, "too many %s (at most %u)", what, most);
    parser->stopped = true;
}

/* Files the parameter under its statement. The last one of a slot holds; the one before is replaced in its
 * place, so that repeating one takes no memory. */
static enum pel_err add_param(struct parser *parser, struct pel_stmt *stmt, const struct pel_param *param)
{
    const struct pel_row *row = param->row;
    bool repeat = (row->flags & PEL_ROW_REPEAT) != 0;
    for (struct pel_param *old = repeat ? NULL : stmt->params; old != NULL; old = old->next) {
        if (old->row != row && (row->slot == PEL_SLOT_NONE || old->row->slot != row->slot))
            continue;
        struct pel_place place = pel_diag_place(&parser->parse->diags, old->pos, param->pos);
        if (!old->elsewhere && old->row == row)
            pel_diag_warning(&parser->parse->diags, param->pos, "%s is given twice; the one on %s is ignored",
                             row->name, place.text);
        else if (!old->elsewhere)
            pel_diag_warning(&parser->parse->diags, param->pos, "%s replaces the whole %s on %s", row->name,
                             old->row->name, place.text);
        struct pel_param *next = old->next;
        if (old->child != NULL && old->row->type == PEL_V_BLOCK)
            old->child->replaced = true;
        *old = *param;
        old->next = next;
        return PEL_OK;
    }
    if (parser->parse->num_params++ >= PEL_MAX_PARAMS) {
        stop(parser, param->pos, "parameters", PEL_MAX_PARAMS);
        return PEL_OK;
    }
    struct pel_param *copy = pel_arena_alloc(&parser->parse->model->arena, sizeof *copy);
    if (copy == NULL)
        return PEL_E_NO_MEMORY;
    *copy = *param;
    copy->next = repeat ? NULL : stmt->params;
    if (!repeat)
        stmt->params = copy;
    else if (stmt->last_item == NULL)
        stmt->items = stmt->last_item = copy;
    else
        stmt->last_item = stmt->last_item->next = copy;
    return PEL_OK;
}

static enum pel_err begin_statement(struct parser *parser, enum pel_stmt_type type, struct pel_pos pos,
                                    struct pel_word name, struct pel_stmt **ret_stmt)
{
    struct pel_parse *parse = parser->parse;
    if (parse->num_statements++ >= PEL_MAX_STATEMENTS) {
        stop(parser, pos, "statements", PEL_MAX_STATEMENTS);
        return PEL_OK;
    }
    struct pel_stmt *stmt = pel_arena_alloc(&parse->model->arena, sizeof *stmt);
    if (stmt == NULL)
        return PEL_E_NO_MEMORY;
    *stmt = (struct pel_stmt){.type = type, .pos = pos, .parent = innermost(parser), .name = ""};
    if (name.len > 0)
        stmt->name = pel_arena_strndup(parse->kept, name.text, name.len);
    if (stmt->name == NULL)
        return PEL_E_NO_MEMORY;
    if (name.len > PEL_MAX_NAME_LEN)
        pel_stmt_fail(parse, stmt, name.pos, "the name \"%s\" is longer than %d bytes",
                      pel_diag_show(name.text, name.len).text, PEL_MAX_NAME_LEN);
    if (parse->last == NULL)
        parse->model->first = stmt;
    else
        parse->last->next = stmt;
    parse->last = stmt;
    parse->num_rules += type == PEL_S_RULE;
    parser->pending = stmt;
    if (pel_schema(type)->no_effect != NULL)
        pel_diag_note(&parse->diags, pos, "%s: accepted, no effect: %s", pel_schema(type)->name,
                      pel_schema(type)->no_effect);
    *ret_stmt = stmt;
    return PEL_OK;
}

/* A name on the keyword's line; `len` is 0 when there is none, and a brace is left for the caller. */
static struct pel_word read_name(struct parser *parser)
{
    struct pel_lexer before = parser->lexer;
    struct pel_word name = pel_lex_word(&parser->lexer);
    if (is_brace(&name, '{') || is_brace(&name, '}')) {
        parser->lexer = before;
        name.len = 0;
    }
    return name;
}

static void unknown_word(struct parser *parser, const struct pel_word *word, enum pel_stmt_type type)
{
    struct pel_shown shown = pel_diag_show(word->text, word->len);
    const char *nearest =
        pel_diag_wants_errors(&parser->parse->diags) ? pel_schema_nearest(type, shown.text) : NULL;
    const char *ask = nearest != NULL ? "; did you mean " : "", *mark = nearest != NULL ? "?" : "";
    const char *guess = nearest != NULL ? nearest : "";
    if (type == PEL_S_SKIPPED)
        pel_diag_error(&parser->parse->diags, word->pos, "unknown statement \"%s\"%s%s%s", shown.text, ask,
                       guess, mark);
    else
        pel_stmt_fail(parser->parse, innermost(parser), word->pos, "unknown parameter \"%s\" in %s%s%s%s",
                      shown.text, pel_schema(type)->name, ask, guess, mark);
}

static enum pel_err top_level_keyword(struct parser *parser, const struct pel_word *word)
{
    enum pel_stmt_type type = pel_schema_find(word->text, word->len);
    char places[256];
    if (type != PEL_S_SKIPPED) {
        struct pel_stmt *stmt = NULL;
        struct pel_word name = read_name(parser);
        PEL_TRY(begin_statement(parser, type, word->pos, name, &stmt));
        if (name.len == 0 && stmt != NULL)
            pel_stmt_fail(parser->parse, stmt, word->pos, "%s needs a name", pel_schema(type)->name);
        return PEL_OK;
    }
    if (pel_schema_places(word->text, word->len, places, sizeof places) > 0)
        pel_diag_error(&parser->parse->diags, word->pos, "%s belongs in %s",
                       pel_diag_show(word->text, word->len).text, places);
    else if (pel_agent_is_keyword(word->text, word->len))
        pel_diag_error(&parser->parse->diags, word->pos, "%s belongs in an agent file, not among the policy",
                       pel_diag_show(word->text, word->len).text);
    else
        unknown_word(parser, word, PEL_S_SKIPPED);
    parser->may_skip = true;
    parser->lexer.cursor = parser->lexer.line_end;
    return PEL_OK;
}

/* "TTLSGroupAction or TTLSGroupActionRef": the rows that can fill the slot. */
static void required_names(enum pel_stmt_type type, enum pel_slot slot, char *text, size_t cap)
{
    const struct pel_statement_schema *schema = pel_schema(type);
    text[0] = '\0';
    for (size_t i = 0; i < schema->num_rows; i++) {
        if (schema->rows[i].slot != slot)
            continue;
        if (text[0] != '\0')
            strncat(text, " or ", cap - strlen(text) - 1);
        strncat(text, schema->rows[i].name, cap - strlen(text) - 1);
    }
}

static bool has_slot(const struct pel_stmt *stmt, enum pel_slot slot)
{
    return pel_stmt_get(stmt, slot) != NULL || (stmt->items != NULL && stmt->items->row->slot == slot);
}

/* A password opens a PKCS#12 file, which an absolute path alone can name. */
static void check_password(struct parser *parser, struct pel_stmt *stmt)
{
    const struct pel_param *ring = pel_stmt_get(stmt, PEL_SLOT_KEYRING),
                           *password = pel_stmt_get(stmt, PEL_SLOT_KEYRING_PW),
                           *stash = pel_stmt_get(stmt, PEL_SLOT_KEYRING_STASH);
    if (stash != NULL && password != NULL)
        pel_stmt_fail(parser->parse, stmt, stash->pos, "KeyringPw and KeyringStashFile exclude each other");
    const struct pel_param *coded = password != NULL ? password : stash;
    if (coded != NULL && ring != NULL && !ring->bad && ring->text[0] != '/')
        pel_diag_note(&parser->parse->diags, coded->pos,
                      "%s: accepted, no effect: the keyring \"%s\" is a directory, which has no password",
                      coded->row->name, ring->text);
}

static void close_statement(struct parser *parser, struct pel_pos pos)
{
    struct pel_stmt *stmt = parser->open[--parser->depth];
    stmt->end_line = pos.line;
    const struct pel_statement_schema *schema = pel_schema(stmt->type);
    enum pel_slot reported = PEL_SLOT_NONE;
    char names[160];
    for (size_t i = 0; i < schema->num_rows && !stmt->lost_line; i++) {
        const struct pel_row *row = &schema->rows[i];
        if ((row->flags & PEL_ROW_REQUIRED) == 0 || row->slot == reported || has_slot(stmt, row->slot))
            continue;
        reported = row->slot;
        required_names(stmt->type, row->slot, names, sizeof names);
        pel_stmt_fail(parser->parse, stmt, stmt->pos, "%s: %s is required", pel_stmt_title(stmt).text, names);
    }
    if (stmt->type == PEL_S_CIPHERS && stmt->coded_suites && stmt->num_suites == 0 && !stmt->bad)
        pel_stmt_fail(parser->parse, stmt, stmt->pos, "%s: no cipher suite is left",
                      pel_stmt_title(stmt).text);
    const struct pel_param *offset = pel_stmt_get(stmt, PEL_SLOT_TIME_OFFSET);
    if (offset != NULL && pel_stmt_get(stmt, PEL_SLOT_TIME_ZONE) != NULL)
        pel_stmt_fail(parser->parse, stmt, offset->pos, "TimezoneOffset and TimeZone exclude each other");
    check_password(parser, stmt);
}

/* At the end of the text, or where a statement begins that can stand in none of the open ones. What the
 * statement lacks may have been lost with its brace, and is not complained of. */
static void report_missing_braces(struct parser *parser)
{
    while (parser->depth > 0) {
        struct pel_stmt *stmt = parser->open[--parser->depth];
        stmt->lost_line = true;
        pel_stmt_fail(parser->parse, stmt, stmt->pos, "the \"}\" of this %s is missing",
                      pel_stmt_title(stmt).text);
    }
}

/* A parameter that the innermost statement does not take is not missing in the one around it that does. */
static enum pel_err found_inside(struct parser *parser, const struct pel_word *word)
{
    for (size_t i = parser->depth - 1; i-- > 0;) {
        struct pel_stmt *stmt = parser->open[i];
        const struct pel_param meant = {.row = pel_schema_row(stmt->type, word->text, word->len),
                                        .pos = word->pos,
                                        .bad = true,
                                        .elsewhere = true};
        if (meant.row == NULL)
            continue;
        if (meant.row->slot == PEL_SLOT_NONE || has_slot(stmt, meant.row->slot))
            return PEL_OK;
        return add_param(parser, stmt, &meant);
    }
    return PEL_OK;
}

/* A statement's keyword inside a statement that does not take it. */
static enum pel_err misplaced_statement(struct parser *parser, const struct pel_word *word,
                                        enum pel_stmt_type type)
{
    struct pel_lexer before = parser->lexer;
    struct pel_word name = read_name(parser);
    char places[256];
    struct pel_stmt *stmt = NULL;
    if (name.len > 0 || pel_schema_places(word->text, word->len, places, sizeof places) == 0) {
        parser->lexer = before;
        report_missing_braces(parser);
        return top_level_keyword(parser, word);
    }
    pel_stmt_fail(parser->parse, innermost(parser), word->pos, "%s belongs in %s, not in %s",
                  pel_schema(type)->name, places, pel_schema(innermost(parser)->type)->name);
    PEL_TRY(found_inside(parser, word));
    PEL_TRY(begin_statement(parser, type, word->pos, name, &stmt));
    if (stmt != NULL)
        stmt->unattached = true;
    return PEL_OK;
}

static enum pel_err foreign_keyword(struct parser *parser, const struct pel_word *word)
{
    struct pel_stmt *stmt = innermost(parser);
    enum pel_stmt_type type = pel_schema_find(word->text, word->len);
    char places[256];
    if (type != PEL_S_SKIPPED)
        return misplaced_statement(parser, word, type);
    parser->may_skip = true;
    parser->lexer.cursor = parser->lexer.line_end;
    if (pel_schema_places(word->text, word->len, places, sizeof places) > 0) {
        pel_stmt_fail(parser->parse, stmt, word->pos, "%s belongs in %s, not in %s",
                      pel_diag_show(word->text, word->len).text, places, pel_schema(stmt->type)->name);
        return found_inside(parser, word);
    }
    unknown_word(parser, word, stmt->type);
    /* The parameter that was meant is not missing as well. */
    struct pel_shown shown = pel_diag_show(word->text, word->len);
    const char *nearest =
        pel_diag_wants_errors(&parser->parse->diags) ? pel_schema_nearest(stmt->type, shown.text) : NULL;
    if (nearest == NULL) {
        stmt->unknown_line = true;
        return PEL_OK;
    }
    struct pel_param meant = {
        .row = pel_schema_row(stmt->type, nearest, strlen(nearest)), .pos = word->pos, .bad = true};
    if (has_slot(stmt, meant.row->slot))
        return PEL_OK;
    return add_param(parser, stmt, &meant);
}

static enum pel_err read_parameter(struct parser *parser, const struct pel_row *row, struct pel_pos pos)
{
    struct pel_stmt *stmt = innermost(parser);
    struct pel_param param = {.row = row, .pos = pos};
    struct pel_value_ctx ctx = {
        .parse = parser->parse, .stmt = stmt, .param = &param, .lexer = &parser->lexer};
    if (row->type == PEL_V_BLOCK) {
        PEL_TRY(begin_statement(parser, row->target, pos, read_name(parser), &param.child));
        return param.child == NULL ? PEL_OK : add_param(parser, stmt, &param);
    }
    if (row->no_effect != NULL)
        pel_diag_note(&parser->parse->diags, pos, "%s: accepted, no effect: %s", row->name, row->no_effect);
    stmt->coded_suites |= stmt->type == PEL_S_CIPHERS;
    PEL_TRY(pel_value_read(&ctx));
    if (param.bad && parser->lexer.cursor < parser->lexer.line_end && *parser->lexer.cursor != '}')
        (void)pel_lex_rest(&parser->lexer);
    return add_param(parser, stmt, &param);
}

static void open_brace(struct parser *parser, struct pel_pos pos)
{
    if (parser->pending == NULL) {
        if (!parser->may_skip)
            pel_stmt_fail(parser->parse, innermost(parser), pos, "\"{\" without a statement before it");
        parser->skip_depth = 1;
    } else if (parser->depth == PEL_MAX_DEPTH) {
        pel_stmt_fail(parser->parse, parser->pending, pos, "nested more than %d deep", PEL_MAX_DEPTH);
        parser->skip_depth = 1;
    } else {
        parser->open[parser->depth++] = parser->pending;
    }
    parser->pending = NULL;
    parser->may_skip = false;
}

static void no_brace_follows(struct parser *parser, struct pel_pos pos)
{
    pel_stmt_fail(parser->parse, parser->pending, pos, "\"{\" expected after %s",
                  pel_stmt_title(parser->pending).text);
}

static void close_brace(struct parser *parser, struct pel_pos pos)
{
    if (parser->pending != NULL) {
        no_brace_follows(parser, pos);
        parser->pending->lost_line = true;
        parser->pending = NULL; /* this "}" is taken for its own */
    } else if (parser->depth == 0) {
        pel_diag_error(&parser->parse->diags, pos, "\"}\" without an open statement");
    } else {
        close_statement(parser, pos);
    }
    parser->may_skip = false;
}

static void read_over(struct parser *parser)
{
    for (struct pel_word word = pel_lex_word(&parser->lexer); word.len > 0 && parser->skip_depth > 0;
         word = pel_lex_word(&parser->lexer)) {
        if (is_brace(&word, '{'))
            parser->skip_depth++;
        else if (is_brace(&word, '}'))
            parser->skip_depth--;
    }
}

static enum pel_err keyword(struct parser *parser, const struct pel_word *word)
{
    parser->may_skip = false;
    if (parser->pending != NULL) {
        no_brace_follows(parser, word->pos);
        /* A parameter of the statement: only the brace was forgotten. */
        if (parser->depth < PEL_MAX_DEPTH &&
            pel_schema_row(parser->pending->type, word->text, word->len) != NULL)
            parser->open[parser->depth++] = parser->pending;
        else
            parser->pending->lost_line = true;
        parser->pending = NULL;
    }
    if (parser->depth == 0)
        return top_level_keyword(parser, word);
    const struct pel_row *row = pel_schema_row(innermost(parser)->type, word->text, word->len);
    return row == NULL ? foreign_keyword(parser, word) : read_parameter(parser, row, word->pos);
}

static void shared_brace(struct parser *parser, const struct pel_word *word)
{
    if (!parser->shared_brace)
        pel_stmt_fail(parser->parse, innermost(parser), word->pos, "\"%c\" must stand on a line of its own",
                      word->text[0]);
    parser->shared_brace = true;
}

static enum pel_err parse_line(struct parser *parser)
{
    struct pel_word before = {0}; /* the brace or keyword that the line began with */
    const struct pel_row *secret = NULL;
    parser->shared_brace = false;
    while (!parser->stopped) {
        if (parser->skip_depth > 0) {
            read_over(parser);
            return PEL_OK;
        }
        struct pel_word word = pel_lex_word(&parser->lexer);
        bool opens = is_brace(&word, '{'), closes = is_brace(&word, '}');
        bool after_brace = is_brace(&before, '{') || is_brace(&before, '}');
        if (word.len == 0)
            return PEL_OK;
        if (before.len > 0 && (opens || closes || after_brace))
            shared_brace(parser, opens || closes ? &word : &before);
        if (opens) {
            open_brace(parser, word.pos);
        } else if (closes) {
            close_brace(parser, word.pos);
        } else if (before.len > 0 && !after_brace) {
            word.len = (size_t)(parser->lexer.line_end - word.text);
            while (word.len > 0 && (word.text[word.len - 1] == ' ' || word.text[word.len - 1] == '\t' ||
                                    word.text[word.len - 1] == '\r'))
                word.len--;
            pel_diag_warning(&parser->parse->diags, word.pos, "ignored after the value%s%s%s",
                             secret != NULL ? "" : ": \"",
                             secret != NULL ? "" : pel_diag_show(word.text, word.len).text,
                             secret != NULL ? "" : "\"");
            return PEL_OK;
        } else {
            const struct pel_row *row =
                parser->depth == 0 ? NULL : pel_schema_row(innermost(parser)->type, word.text, word.len);
            secret = row != NULL && (row->flags & PEL_ROW_SECRET) != 0 ? row : NULL;
            PEL_TRY(keyword(parser, &word));
        }
        before = word;
    }
    return PEL_OK;
}

/* After a line that could not be read: what it said is unknown. */
static void spoil_open(struct parser *parser)
{
    for (size_t i = 0; i < parser->depth; i++)
        parser->open[i]->bad = true;
    if (parser->depth > 0)
        innermost(parser)->lost_line = true;
    parser->may_skip = true;
}

enum pel_err pel_parse_text(struct pel_parse *parse, size_t file)
{
    struct parser parser = {.parse = parse};
    if (parse->sources[file].text_len > UINT32_MAX / 2) {
        struct pel_pos start = {.file = (uint32_t)file, .line = 1, .column = 1};
        pel_diag_error(&parse->diags, start, "the text is too large");
        return PEL_OK;
    }
    pel_lex_start(&parser.lexer, &parse->diags, file);
    while (!parser.stopped && pel_lex_line(&parser.lexer)) {
        if (parser.lexer.line_bad)
            spoil_open(&parser);
        PEL_TRY(parse_line(&parser));
    }
    parse->cut = parser.stopped;
    if (parser.stopped)
        return PEL_OK;
    if (parser.pending != NULL) {
        parser.pending->lost_line = true;
        pel_stmt_fail(parse, parser.pending, parser.pending->pos, "\"{\" expected after %s",
                      pel_stmt_title(parser.pending).text);
    }
    report_missing_braces(&parser);
    return PEL_OK;
}

/* ---- facts ---- */

static void bad_fact(struct parser *parser, const struct pel_fact_read *fact, const char *what)
{
    pel_diag_error(&parser->parse->diags, fact->pos, "%s", what);
    parser->stopped = true;
}

static void bad_text(struct parser *parser, const struct pel_fact_read *fact)
{
    parser->stopped = true;
    if (!parser->lexer.line_bad) /* else it was reported */
        bad_fact(parser, fact, "a character that no policy has");
}

static enum pel_err open_fact(struct parser *parser, const struct pel_fact_read *fact,
                              enum pel_stmt_type type)
{
    struct pel_stmt *stmt = NULL;
    struct pel_word name = read_name(parser);
    if (parser->depth == PEL_MAX_DEPTH || name.len != fact->text_len ||
        (parser->depth == 0 && name.len == 0)) {
        bad_fact(parser, fact, "a statement without a name, with no name, or nested too deep");
        return PEL_OK;
    }
    PEL_TRY(begin_statement(parser, type, fact->pos, name, &stmt));
    if (stmt == NULL)
        return PEL_OK; /* one too many */
    if (fact->fact == PEL_FACT_BLOCK) {
        const struct pel_row *row = &pel_schema(innermost(parser)->type)->rows[fact->number];
        const struct pel_param param = {.row = row, .pos = fact->pos, .child = stmt};
        PEL_TRY(add_param(parser, innermost(parser), &param));
    }
    parser->open[parser->depth++] = stmt;
    parser->pending = NULL;
    return PEL_OK;
}

static enum pel_err inner_fact(struct parser *parser, const struct pel_fact_read *fact)
{
    const struct pel_statement_schema *schema = pel_schema(innermost(parser)->type);
    const struct pel_row *row = fact->number < schema->num_rows ? &schema->rows[fact->number] : NULL;
    if (row == NULL || (row->type == PEL_V_BLOCK) != (fact->fact == PEL_FACT_BLOCK)) {
        bad_fact(parser, fact, "a parameter that its statement has not");
        return PEL_OK;
    }
    if (row->type == PEL_V_BLOCK)
        return open_fact(parser, fact, row->target);
    PEL_TRY(read_parameter(parser, row, fact->pos));
    if (pel_lex_word(&parser->lexer).len > 0)
        bad_fact(parser, fact, "more than a value");
    return PEL_OK;
}

static enum pel_err take_fact(struct parser *parser, const struct pel_fact_read *fact)
{
    bool top = fact->fact == PEL_FACT_TOP;
    if (top != (parser->depth == 0))
        bad_fact(parser, fact, "a fact out of its place");
    else if (fact->fact == PEL_FACT_CLOSE)
        close_statement(parser, fact->pos);
    else if (!pel_lex_alone(&parser->lexer, &parser->parse->diags, fact->text, fact->text_len, fact->pos))
        bad_text(parser, fact);
    else if (!top)
        return inner_fact(parser, fact);
    else if (fact->number <= PEL_S_SKIPPED || fact->number >= PEL_S_NR)
        bad_fact(parser, fact, "a statement that there is not");
    else
        return open_fact(parser, fact, (enum pel_stmt_type)fact->number);
    return PEL_OK;
}

enum pel_err pel_parse_facts(struct pel_parse *parse, pel_fact_fn *next, void *arg)
{
    struct parser parser = {.parse = parse};
    struct pel_fact_read fact = {.pos = {.line = 1, .column = 1}};
    while (!parser.stopped && next(arg, &fact)) {
        if (fact.fact == PEL_FACT_END && parser.depth == 0)
            return PEL_OK;
        if (fact.fact == PEL_FACT_END)
            break;
        PEL_TRY(take_fact(&parser, &fact));
    }
    parse->cut = true;
    return parser.stopped ? PEL_OK : PEL_E_POLICY_IMAGE;
}
