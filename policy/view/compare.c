/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A setting beside a line of a policy: the line is read as the parser reads it, and written as settings are.
 */
#include <pellucid/policy.h>
#include <string.h>
#include <strings.h>

#include "policy/ciphers.h"
#include "policy/value.h"
#include "policy/view/out.h"
#include "policy/view/value_write.h"

/* Values being read, without a policy around them. */
struct reading {
    struct pel_model model;
    struct pel_parse parse;
    struct pel_policy_source source;
    struct pel_stmt stmt;
    struct pel_lexer lexer;
    const struct pel_row *row;
    struct pel_out canonical;
};

static void begin(struct reading *reading, const struct pel_row *row, enum pel_stmt_type type,
                  const char *text, size_t text_len)
{
    const struct pel_pos pos = {.line = 1, .column = 1};
    *reading = (struct reading){.source = {.file = ""}, .stmt = {.type = type, .name = ""}, .row = row};
    reading->parse = (struct pel_parse){.kept = &reading->model.arena,
                                        .model = &reading->model,
                                        .sources = &reading->source,
                                        .num_sources = 1};
    reading->parse.diags = (struct pel_diags){.arena = &reading->parse.scratch, .sources = &reading->source};
    if (!pel_lex_alone(&reading->lexer, &reading->parse.diags, text, text_len, pos))
        reading->stmt.bad = true;
}

static void end(struct reading *reading)
{
    pel_out_free(&reading->canonical);
    pel_arena_free(&reading->parse.scratch);
    pel_arena_free(&reading->model.arena);
}

/* Whether something is left to read; an empty label is read once. */
static bool has_more(const struct reading *reading, size_t num_read)
{
    struct pel_lexer lexer = reading->lexer;
    return pel_lex_word(&lexer).len > 0 || num_read == 0;
}

static enum pel_err read_one(struct reading *reading, struct pel_param *ret_param)
{
    *ret_param = (struct pel_param){.row = reading->row, .pos = {.line = 1, .column = 1}};
    struct pel_value_ctx ctx = {
        .parse = &reading->parse, .stmt = &reading->stmt, .param = ret_param, .lexer = &reading->lexer};
    return pel_value_read(&ctx);
}

/* ---- kinds of value ---- */

enum { MOST_VALUES = 256 };

static enum pel_err write_ranges(struct reading *reading)
{
    struct pel_ip_range list[MOST_VALUES];
    struct pel_ip_ranges ranges = {.ranges = list};
    struct pel_param param;
    bool all = false;
    while (has_more(reading, ranges.num + all) && ranges.num < MOST_VALUES && !reading->stmt.bad) {
        PEL_TRY(read_one(reading, &param));
        if (param.range != NULL && !param.bad)
            list[ranges.num++] = *param.range;
        all = all || param.range == NULL;
    }
    reading->stmt.bad = reading->stmt.bad || has_more(reading, 1);
    pel_ip_ranges_normalize(&ranges);
    if (all)
        pel_out_text(&reading->canonical, "All");
    for (size_t i = 0; i < ranges.num && !all; i++) {
        pel_out_text(&reading->canonical, i > 0 ? "\n" : "");
        pel_value_write_range(&reading->canonical, &ranges.ranges[i]);
    }
    return PEL_OK;
}

/* A policy takes "80 90" for a range; as a list of values it is two ports. */
static enum pel_err write_ports(struct reading *reading, bool apart)
{
    struct pel_port_range list[MOST_VALUES];
    struct pel_port_ranges ports = {.ranges = list};
    struct pel_param param;
    while (has_more(reading, ports.num) && ports.num < MOST_VALUES && !reading->stmt.bad) {
        const struct pel_lexer whole = reading->lexer;
        if (apart) {
            (void)pel_lex_word(&reading->lexer);
            const char *word_end = reading->lexer.cursor;
            reading->lexer = whole;
            reading->lexer.line_end = word_end;
        }
        PEL_TRY(read_one(reading, &param));
        reading->lexer.line_end = whole.line_end;
        list[ports.num++] = (struct pel_port_range){(uint16_t)param.number, (uint16_t)param.number_high};
    }
    reading->stmt.bad = reading->stmt.bad || has_more(reading, 1);
    pel_port_ranges_normalize(&ports);
    for (size_t i = 0; i < ports.num; i++) {
        pel_out_text(&reading->canonical, i > 0 ? "\n" : "");
        pel_value_write_ports(&reading->canonical, ports.ranges[i]);
    }
    return PEL_OK;
}

/* What is not available here is in no setting. */
static enum pel_err write_suites(struct reading *reading)
{
    struct pel_param param;
    for (size_t num = 0; has_more(reading, num) && !reading->stmt.bad; num++)
        PEL_TRY(read_one(reading, &param));
    reading->stmt.bad = reading->stmt.bad || reading->parse.diags.num_warnings > 0;
    for (size_t i = 0; i < reading->stmt.num_suites; i++) {
        pel_out_text(&reading->canonical, i > 0 ? "\n" : "");
        pel_out_text(&reading->canonical, pel_cipher_by_code(reading->stmt.suites[i])->name);
    }
    return PEL_OK;
}

static enum pel_err write_single(struct reading *reading)
{
    struct pel_param param;
    const struct pel_row *row = reading->row;
    PEL_TRY(read_one(reading, &param));
    if (reading->stmt.bad)
        return PEL_OK;
    bool is_list = (row->type == PEL_V_GROUPS || row->type == PEL_V_SIGNATURES) && row->slot != PEL_SLOT_NONE;
    if (is_list && param.groups != NULL) {
        reading->stmt.bad = reading->parse.diags.num_warnings > 0;
        for (uint32_t i = 0; i < param.number; i++)
            pel_out_format(&reading->canonical, row->type == PEL_V_GROUPS ? "%s%04u" : "%s%04X",
                           i > 0 ? " " : "", param.groups[i]);
    } else {
        PEL_TRY(pel_value_write_canonical(&reading->canonical, &reading->parse.scratch, &param));
    }
    if (has_more(reading, 1))
        reading->stmt.bad = true;
    return PEL_OK;
}

static enum pel_err write_canonical(struct reading *reading, bool apart)
{
    switch (reading->row->type) {
    case PEL_V_ADDR:
    case PEL_V_PREFIX:
    case PEL_V_RANGE:
    case PEL_V_ADDRSPEC: return write_ranges(reading);
    case PEL_V_PORTS: return write_ports(reading, apart);
    case PEL_V_CIPHERS2:
    case PEL_V_CIPHERS4: return write_suites(reading);
    default: return write_single(reading);
    }
}

/* ---- comparing ---- */

static const char *text_of(const struct pel_out *out)
{
    return out->text != NULL ? out->text : "";
}

/* Users' and jobs' names are the only ones without case. */
static bool is_same(const struct pel_row *row, const char *a, const char *b)
{
    return row->type == PEL_V_PATTERN ? strcasecmp(a, b) == 0 : strcmp(a, b) == 0;
}

static enum pel_err reads_as(const struct pel_row *row, enum pel_stmt_type type, const char *value,
                             const char *wanted, bool apart, bool *ret_same)
{
    struct reading reading;
    begin(&reading, row, type, wanted, strlen(wanted));
    enum pel_err err = reading.stmt.bad ? PEL_OK : write_canonical(&reading, apart);
    if (err == PEL_OK && (reading.parse.diags.failed || reading.canonical.failed))
        err = PEL_E_NO_MEMORY;
    *ret_same = err == PEL_OK && !reading.stmt.bad && is_same(row, value, text_of(&reading.canonical));
    end(&reading);
    return err;
}

/* Several texts with blanks between, which may have blanks in them. */
static bool reads_in_one_row(const char *value, const char *wanted)
{
    size_t len = strlen(value);
    for (size_t i = 0; i < len; i++) {
        if ((value[i] == '\n' ? ' ' : value[i]) != wanted[i])
            return false;
    }
    return wanted[len] == '\0';
}

static bool is_list_of_texts(const struct pel_row *row, const char *value)
{
    return (row->flags & PEL_ROW_REPEAT) != 0 && strchr(value, '\n') != NULL &&
           (row->type == PEL_V_LABEL || row->type == PEL_V_WORD || row->type == PEL_V_TEXT ||
            row->type == PEL_V_NAME_LABEL);
}

static enum pel_err has_value(const struct pel_policy_setting *setting, const struct pel_row *row,
                              enum pel_stmt_type type, const char *wanted, bool *ret_same)
{
    const char *value = setting->value;
    if (value == NULL) {
        /* A label that is not coded is the ring's default one, and not none. */
        *ret_same = row->slot != PEL_SLOT_CERT_LABEL && strcasecmp(wanted, "none") == 0;
        return PEL_OK;
    }
    *ret_same = is_list_of_texts(row, value) && reads_in_one_row(value, wanted);
    if (!*ret_same)
        PEL_TRY(reads_as(row, type, value, wanted, false, ret_same));
    if (!*ret_same && row->type == PEL_V_PORTS)
        PEL_TRY(reads_as(row, type, value, wanted, true, ret_same));
    return PEL_OK;
}

enum pel_err pel_policy_setting_is(const struct pel_policy_setting *setting, const char *line,
                                   enum pel_policy_answer *ret_answer)
{
    size_t name_len = strcspn(line, " \t");
    enum pel_stmt_type type = pel_schema_find(setting->statement, strlen(setting->statement));
    const struct pel_row *row = pel_schema_row(type, line, name_len);
    const char *wanted = line + name_len + strspn(line + name_len, " \t");
    bool same = false;
    *ret_answer = PEL_POLICY_ANSWER_OTHER;
    if (row == NULL)
        return PEL_OK;
    /* Both kinds of suites make one list, which is shown as that of four characters. */
    bool suites = row->slot == PEL_SLOT_CIPHERS && strcmp(setting->name, "V3CipherSuites4Char") == 0;
    if (!suites && strcmp(row->name, setting->name) != 0)
        return PEL_OK;
    PEL_TRY(has_value(setting, row, type, wanted, &same));
    *ret_answer = same ? PEL_POLICY_ANSWER_YES : PEL_POLICY_ANSWER_NO;
    return PEL_OK;
}
