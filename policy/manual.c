/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes docs/POLICY.md: policy/manual.md, where the lines @@STATEMENTS@@ and @@SUITES@@ give way to what the
 * tables of the language say.
 *
 *     build/policy/policy_manual policy/manual.md > docs/POLICY.md
 *
 * With --dictionary it writes every word of the language, for the fuzz targets.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "policy/ciphers.h"
#include "policy/policy.h"
#include "policy/schema.h"

/* ---- parameters ---- */

static void print_enum(const struct pel_row *row)
{
    for (size_t i = 0; row->values[i] != NULL; i++)
        printf("%s`%s`", i == 0 ? "" : ", ", row->values[i]);
}

static void print_values(const struct pel_row *row)
{
    static const char *const texts[] = {
        [PEL_V_ADDR] = "an address",
        [PEL_V_PREFIX] = "ADDRESS/LENGTH",
        [PEL_V_RANGE] = "ADDRESS-ADDRESS",
        [PEL_V_ADDRSPEC] = "an address, ADDRESS/LENGTH, ADDRESS-ADDRESS, `All`, `All4`, `All6`",
        [PEL_V_PORTS] = "`n`, `n-m`, `n:m` or `n m`",
        [PEL_V_PATTERN] = "a word, perhaps with `*` at its end",
        [PEL_V_LABEL] = "the rest of the line",
        [PEL_V_WORD] = "a word",
        [PEL_V_TEXT] = "the rest of the line",
        [PEL_V_CIPHERS2] = "a name, or codes of 2 digits",
        [PEL_V_CIPHERS4] = "a name, or codes of 4 digits",
        [PEL_V_GROUPS] = "numbers of 4 digits, or `Any`",
        [PEL_V_SIGNATURES] = "codes of 4 hexadecimal digits, or `Any`",
        [PEL_V_NAME_LABEL] = "a host's name, a blank or `/`, and a label to the end of the line",
        [PEL_V_HOURS] = "`hh:mm-hh:mm`, several with commas",
        [PEL_V_SPAN] = "`yyyymmddhhmmss:yyyymmddhhmmss`",
        [PEL_V_OFFSET] = "`+hh:mm` or `-hh:mm`",
    };
    bool is_text = row->type == PEL_V_PATTERN || row->type == PEL_V_WORD || row->type == PEL_V_TEXT;
    if (row->type == PEL_V_ENUM)
        print_enum(row);
    else if (row->type == PEL_V_UINT)
        printf("%llu to %llu", (unsigned long long)row->min, (unsigned long long)row->max);
    else if (row->type == PEL_V_MASK && row->min == row->max)
        printf("%llu digits", (unsigned long long)row->min);
    else if (row->type == PEL_V_MASK)
        printf("%llu or %llu digits", (unsigned long long)row->min, (unsigned long long)row->max);
    else if (row->type == PEL_V_REF)
        printf("the name of one");
    else if (row->type == PEL_V_BLOCK)
        printf("in braces");
    else if ((size_t)row->type < sizeof texts / sizeof *texts && texts[row->type] != NULL)
        printf("%s", texts[row->type]);
    if (is_text && row->max != 0)
        printf(", of up to %llu bytes", (unsigned long long)row->max);
    if ((row->flags & PEL_ROW_REPEAT) != 0)
        printf("; may be repeated");
}

static bool has_alternative(const struct pel_statement_schema *schema, const struct pel_row *row)
{
    for (size_t i = 0; i < schema->num_rows; i++) {
        const struct pel_row *other = &schema->rows[i];
        bool own_ref = strncmp(other->name, row->name, row->name_len) == 0;
        if (other->slot == row->slot && !own_ref && strncmp(row->name, other->name, other->name_len) != 0)
            return true;
    }
    return false;
}

static void print_default(enum pel_stmt_type type, const struct pel_row *row)
{
    bool inherits = type == PEL_S_CONN_ACTION || type == PEL_S_CONN_ADV;
    bool is_part = row->type == PEL_V_BLOCK || row->type == PEL_V_REF;
    if ((row->flags & PEL_ROW_REQUIRED) != 0)
        printf("%s", has_alternative(pel_schema(type), row) ? "one of these is required" : "required");
    else if (row->default_value != NULL)
        printf("`%s`", row->default_value);
    else
        printf("%s", inherits && !is_part ? "inherited" : "none");
}

/* What single values are not: those with one reason together. */
static void print_remarks(const struct pel_row *row)
{
    for (const struct pel_value_remark *remark = row->remarks; remark != NULL && remark->text != NULL;
         remark++) {
        const bool follows = remark > row->remarks && remark[-1].kind == remark->kind &&
                             strcmp(remark[-1].text, remark->text) == 0;
        const bool goes_on = remark[1].text != NULL && remark[1].kind == remark->kind &&
                             strcmp(remark[1].text, remark->text) == 0;
        printf("%s`%s`", follows ? ", " : ". ", row->values[remark->value]);
        if (!goes_on)
            printf(": *%s%s*",
                   remark->kind == PEL_REMARK_NO_EFFECT ? "no effect here: "
                   : remark->kind == PEL_REMARK_CANNOT  ? "an error: "
                                                        : "",
                   remark->text);
    }
}

static void print_help(enum pel_stmt_type type, const struct pel_row *row)
{
    const char *why = pel_schema_no_effect(type, row);
    for (const char *c = row->help; *c != '\0'; c++)
        printf("%s%c", *c == '|' || *c == '*' ? "\\" : "", *c);
    if (row->no_effect != NULL || (why != NULL && pel_schema(type)->no_effect == NULL))
        printf(". *No effect here: %s.*", why);
    print_remarks(row);
}

/* A statement in braces and its name are one line. Returns how many rows it took. */
static size_t print_row(enum pel_stmt_type type, size_t index)
{
    const struct pel_statement_schema *schema = pel_schema(type);
    const struct pel_row *row = &schema->rows[index], *next = row + 1;
    bool both = row->type == PEL_V_BLOCK && index + 1 < schema->num_rows && next->type == PEL_V_REF &&
                next->slot == row->slot;
    printf("| `%s`%s%s%s | ", row->name, both ? ", `" : "", both ? next->name : "", both ? "`" : "");
    print_values(row);
    printf("%s | ", both ? ", or a name" : "");
    print_default(type, row);
    printf(" | ");
    print_help(type, row);
    printf(" |\n");
    return both ? 2 : 1;
}

/* ---- statements ---- */

static void print_statement(enum pel_stmt_type type)
{
    const struct pel_statement_schema *schema = pel_schema(type);
    char places[256];
    printf("### %s\n\n", schema->name);
    bool is_part = pel_schema_places(schema->name, schema->name_len, places, sizeof places) > 0;
    char first = schema->help[0];
    printf("%c%s. ", first >= 'a' && first <= 'z' ? first - 'a' + 'A' : first, schema->help + 1);
    if (is_part)
        printf("Stands in %s, or by itself with a name.", places);
    else
        printf("Stands by itself, with a name.");
    if (schema->no_effect != NULL)
        printf(" *No effect here: %s.*", schema->no_effect);
    printf("\n\n| parameter | values | default | what it says |\n|---|---|---|---|\n");
    for (size_t i = 0; i < schema->num_rows;)
        i += print_row(type, i);
    printf("\n");
}

static void print_statements(void)
{
    for (int type = PEL_S_RULE; type < PEL_S_NR; type++)
        print_statement((enum pel_stmt_type)type);
}

/* ---- suites ---- */

static void print_suites(void)
{
    size_t num;
    const struct pel_cipher *table = pel_cipher_table(&num);
    printf("| code | name | TLS |\n|---|---|---|\n");
    for (size_t i = 0; i < num; i++) {
        if (!table[i].available)
            continue;
        bool old = (table[i].versions & (PEL_POLICY_TLS1_0 | PEL_POLICY_TLS1_1)) != 0;
        bool new = (table[i].versions & PEL_POLICY_TLS1_3) != 0;
        printf("| `%04X` | `%s` | %s |\n", table[i].code, table[i].name,
               new   ? "1.3"
               : old ? "1.0 to 1.2"
                     : "1.2");
    }
    printf("\nKnown, but not available here, each left out with a warning: ");
    const char *separator = "";
    for (size_t i = 0; i < num; i++) {
        if (table[i].available)
            continue;
        printf("%s%04X %s", separator, table[i].code, table[i].name);
        separator = ", ";
    }
    printf(".\n\n");
}

/* ---- words ---- */

static void print_words(void)
{
    static const char *const others[] = {
        "TcpImage",   "PEPInstance", "CommonTTLSConfig", "TTLSConfig", "LogLevel",
        "Codepage",   "IPSecConfig", "NOFLUSH",          "PURGE",      "All4",
        "Any",        "C02F1301",    "10.0.0.0/8",       "::1-::2",    "\\x0a{\\x0a",
        "\\x0a}\\x0a"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        printf("\"%s\"\n", others[i]);
    for (int type = PEL_S_RULE; type < PEL_S_NR; type++) {
        const struct pel_statement_schema *schema = pel_schema((enum pel_stmt_type)type);
        printf("\"%s\"\n", schema->name);
        for (size_t i = 0; i < schema->num_rows; i++) {
            printf("\"%s\"\n", schema->rows[i].name);
            for (size_t v = 0; schema->rows[i].values != NULL && schema->rows[i].values[v] != NULL; v++)
                printf("\"%s\"\n", schema->rows[i].values[v]);
        }
    }
}

int main(int argc, char **argv)
{
    char line[1000];
    if (argc == 2 && strcmp(argv[1], "--dictionary") == 0) {
        print_words();
        return 0;
    }
    FILE *file = argc == 2 ? fopen(argv[1], "r") : NULL;
    if (file == NULL) {
        fprintf(stderr, "Usage: policy_manual policy/manual.md > docs/POLICY.md\n");
        return 2;
    }
    while (fgets(line, sizeof line, file) != NULL) {
        if (strcmp(line, "@@STATEMENTS@@\n") == 0)
            print_statements();
        else if (strcmp(line, "@@SUITES@@\n") == 0)
            print_suites();
        else
            fputs(line, stdout);
    }
    fclose(file);
    return 0;
}
