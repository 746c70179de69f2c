/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/view/testing_random.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "policy/schema.h"

enum { NAMED_EACH = 3 };

struct drawing {
    struct pel_random *random;
    struct pel_out *out;
    bool comments;
};

static uint64_t next(struct pel_random *random)
{
    uint64_t x = random->state += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

uint32_t pel_random_below(struct pel_random *random, uint32_t limit)
{
    return (uint32_t)(next(random) >> 32) % limit;
}

static uint32_t below(const struct drawing *drawing, uint32_t limit)
{
    return pel_random_below(drawing->random, limit);
}

#define PICK(drawing, list) ((list)[below(drawing, sizeof(list) / sizeof *(list))])

/* ---- Style ---- */

static void end_line(const struct drawing *drawing)
{
    static const char *const ends[] = {"", "", "", " ", "\t", "\r", " # beside", "  # {", "#}"};
    static const char *const between[] = {"", "", "", "", "\n", "# a line\n", "\n\n  # apart\n\n", "\t#\n"};
    pel_out_text(drawing->out, drawing->comments ? PICK(drawing, ends) : "");
    pel_out_text(drawing->out, "\n");
    pel_out_text(drawing->out, drawing->comments ? PICK(drawing, between) : "");
}

static void keyword(const struct drawing *drawing, const char *name)
{
    static const char *const blanks[] = {"", " ", "    ", "\t"};
    uint32_t style = drawing->comments ? below(drawing, 3) : 0;
    pel_out_text(drawing->out, drawing->comments ? PICK(drawing, blanks) : "");
    for (; *name != '\0'; name++) {
        char c = (char)(style == 1   ? toupper((unsigned char)*name)
                        : style == 2 ? tolower((unsigned char)*name)
                                     : *name);
        pel_out_add(drawing->out, &c, 1);
    }
    pel_out_text(drawing->out, drawing->comments && below(drawing, 2) == 0 ? "  \t" : " ");
}

static void brace(const struct drawing *drawing, const char *text)
{
    pel_out_text(drawing->out, text);
    end_line(drawing);
}

/* ---- Values ---- */

static void draw_address(const struct drawing *drawing, enum pel_value_type type)
{
    static const char *const singles[] = {"10.0.0.1", "10.1.2.3", "192.0.2.7", "2001:db8::1", "::1"};
    static const char *const prefixes[] = {"10.0.0.0/8",    "10.1.2.3/24", "0.0.0.0/0",
                                           "2001:db8::/32", "::/0",        "192.0.2.7/32"};
    static const char *const ranges[] = {"10.0.0.1-10.0.0.9", "10.0.0.0-10.255.255.255",
                                         "2001:db8::1-2001:db8::ff", "10.1.2.3-10.1.2.3"};
    static const char *const any[] = {"All", "All4", "all6", "ALL"};
    if (type == PEL_V_ADDRSPEC) {
        static const enum pel_value_type types[] = {PEL_V_ADDR, PEL_V_PREFIX, PEL_V_RANGE, PEL_V_ADDRSPEC};
        type = PICK(drawing, types);
    }
    pel_out_text(drawing->out, type == PEL_V_ADDR     ? PICK(drawing, singles)
                               : type == PEL_V_PREFIX ? PICK(drawing, prefixes)
                               : type == PEL_V_RANGE  ? PICK(drawing, ranges)
                                                      : PICK(drawing, any));
}

static void draw_ports(const struct drawing *drawing)
{
    static const char *const ports[] = {"443", "80-81", "80:443", "1024 65535", "0", "1-65535", "8443"};
    pel_out_text(drawing->out, PICK(drawing, ports));
}

/* Words that mean something to those who compile them. */
static const char *known_word(const struct drawing *drawing, const char *name)
{
    static const struct {
        const char *name, *values[3];
    } known[] = {
        {"DayOfMonthMask",
         {"1111111111111111111111111111111", "1000000000000000000000000000001",
          "11111111111111111111111111111110000000000000000000000000000001"}},
        {"MonthOfYearMask", {"111111111111", "100000000001", "010101010101"}},
        {"DayOfWeekMask", {"1111111", "0111110", "1000001"}},
        {"TimeOfDayRange", {"00:00-24:00", "08:00-17:30", "08:00-12:00,13:00-17:00"}},
        {"ConditionTimeRange",
         {"20240101000000:20251231235959", "20200101000000:20300101000000", "20250601120000:20250601130000"}},
        {"TimezoneOffset", {"+01:00", "-05:00", "+00:00"}},
        {"CrlSigAlgPairs", {"0401", "0403", "0601"}},
        {"OcspRequestSigAlg", {"0401", "0601", "0403"}},
        {"OcspResponseSigAlgPairs", {"0401", "0403", "0601"}},
        {"Keyring", {"web", "user1/ring", "*AUTH*/*"}},
        {"OcspUrl", {"http://ocsp.example/", "http://a.example/b", "http://192.0.2.1/"}},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(known[i].name, name) == 0)
            return known[i].values[below(drawing, 3)];
    }
    return NULL;
}

/* A suite that is there leads, so that one is left. */
static void draw_suites(const struct drawing *drawing, size_t digits)
{
    static const char *const names[] = {"TLS_AES_128_GCM_SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
                                        "TLS_RSA_WITH_AES_128_CBC_SHA", "TLS_RSA_WITH_RC4_128_SHA"};
    static const char *const two[] = {"2F", "352f05", "0A2F"}, *const four[] = {"1301C02F", "c02b1302",
                                                                                "C02F0005"};
    if (below(drawing, 2) == 0)
        pel_out_text(drawing->out, PICK(drawing, names));
    else
        pel_out_text(drawing->out, digits == 2 ? PICK(drawing, two) : PICK(drawing, four));
}

static void draw_value(const struct drawing *drawing, const struct pel_row *row)
{
    static const char *const patterns[] = {"web", "WEB*", "*", "srv1", "bob"};
    static const char *const labels[] = {"", "a label", "RSA  2048", "ec", "{odd}"};
    static const char *const words[] = {"word", "a.example", "x-1"};
    static const char *const texts[] = {"some text", "a", "a,b  c"};
    static const char *const signatures[] = {"0403 0804", "080404030401", "0804 0503 0402", "Any", "any"};
    static const char *const pairs[] = {"a.example web", "b.example/RSA  2048", "a.example \t ec"};
    static const char *const groups[] = {"0023", "00230024", "0023 0025 0029", "0023 0019", "Any", "any"};
    const char *known = known_word(drawing, row->name);
    size_t num = 0;
    uint32_t at = 0;
    switch (row->type) {
    case PEL_V_ENUM:
        while (row->values[num] != NULL)
            num++;
        do
            at = below(drawing, (uint32_t)num);
        while (pel_schema_remark(row, at) != NULL && pel_schema_remark(row, at)->kind == PEL_REMARK_CANNOT);
        pel_out_text(drawing->out, row->values[at]);
        break;
    case PEL_V_UINT: {
        uint64_t span = row->max - row->min;
        pel_out_format(
            drawing->out, "%llu",
            (unsigned long long)(row->min + below(drawing, span < 100000 ? (uint32_t)span + 1 : 100000)));
        break;
    }
    case PEL_V_ADDR:
    case PEL_V_PREFIX:
    case PEL_V_RANGE:
    case PEL_V_ADDRSPEC: draw_address(drawing, row->type); break;
    case PEL_V_PORTS: draw_ports(drawing); break;
    case PEL_V_PATTERN: pel_out_text(drawing->out, PICK(drawing, patterns)); break;
    case PEL_V_LABEL: pel_out_text(drawing->out, PICK(drawing, labels)); break;
    case PEL_V_CIPHERS2: draw_suites(drawing, 2); break;
    case PEL_V_CIPHERS4: draw_suites(drawing, 4); break;
    case PEL_V_GROUPS: pel_out_text(drawing->out, PICK(drawing, groups)); break;
    case PEL_V_SIGNATURES: pel_out_text(drawing->out, PICK(drawing, signatures)); break;
    case PEL_V_NAME_LABEL: pel_out_text(drawing->out, PICK(drawing, pairs)); break;
    default:
        pel_out_text(drawing->out, known != NULL             ? known
                                   : row->type == PEL_V_TEXT ? PICK(drawing, texts)
                                                             : PICK(drawing, words));
        break;
    }
}

/* ---- Statements ---- */

static void draw_inside(const struct drawing *drawing, enum pel_stmt_type type);

static void draw_row(const struct drawing *drawing, const struct pel_row *row)
{
    keyword(drawing, row->name);
    if (row->type == PEL_V_REF) {
        pel_out_format(drawing->out, "N%d.%u", (int)row->target, below(drawing, NAMED_EACH));
    } else if (row->type == PEL_V_BLOCK) {
        if (below(drawing, 3) == 0)
            pel_out_format(drawing->out, "inline%u", below(drawing, 1000000));
        end_line(drawing);
        draw_inside(drawing, row->target);
        return;
    } else {
        draw_value(drawing, row);
    }
    end_line(drawing);
}

/* Versions go together or not at all, and what excludes each other must not meet. */
static bool is_left_out(const struct drawing *drawing, const struct pel_row *row)
{
    bool version = row->slot >= PEL_SLOT_TLSV1 && row->slot <= PEL_SLOT_TLSV1_3;
    bool limits = strcmp(row->name, "FIPS140") == 0 || strcmp(row->name, "SuiteBProfile") == 0;
    return version || row->slot == PEL_SLOT_KEYRING_STASH || (limits && below(drawing, 4) != 0);
}

static void draw_versions(const struct drawing *drawing)
{
    static const char *const versions[] = {"",
                                           "",
                                           "TLSv1.3 Off\n",
                                           "TLSv1.2 On\nTLSv1.3 On\n",
                                           "TLSv1.1 On\n",
                                           "TLSv1 On\nTLSv1.1 On\nTLSv1.2 On\n"};
    pel_out_text(drawing->out, PICK(drawing, versions));
}

/* Whether a row of the slot is required, and this is the one that was chosen for it. */
static bool is_due(const struct pel_statement_schema *schema, size_t chosen, size_t at)
{
    const struct pel_row *row = &schema->rows[at];
    if ((row->flags & PEL_ROW_REQUIRED) == 0)
        return false;
    size_t num = 0, own = 0;
    for (size_t i = 0; i < schema->num_rows; i++) {
        if (schema->rows[i].slot != row->slot)
            continue;
        own = i == at ? num : own;
        num++;
    }
    return chosen % num == own;
}

static void draw_inside(const struct drawing *drawing, enum pel_stmt_type type)
{
    const struct pel_statement_schema *schema = pel_schema(type);
    uint32_t chosen = below(drawing, 1000), often = 2 + below(drawing, 12);
    brace(drawing, "{");
    if (type == PEL_S_RULE)
        pel_out_text(drawing->out, "TTLSEnvironmentActionRef N3.0\nJobname web*\n");
    if (type == PEL_S_CIPHERS)
        pel_out_text(drawing->out, "V3CipherSuites4Char 1301C02BC030\n");
    if (type == PEL_S_ENV_ADV || type == PEL_S_CONN_ADV)
        draw_versions(drawing);
    for (size_t i = 0; i < schema->num_rows; i++) {
        const struct pel_row *row = &schema->rows[i];
        bool due = is_due(schema, chosen, i);
        if (!due && (is_left_out(drawing, row) || below(drawing, often) != 0))
            continue;
        uint32_t times = (row->flags & PEL_ROW_REPEAT) != 0 ? 1 + below(drawing, 3) : 1;
        for (uint32_t n = 0; n < times; n++)
            draw_row(drawing, row);
    }
    brace(drawing, "}");
}

static void draw_top(const struct drawing *drawing, enum pel_stmt_type type, const char *name)
{
    keyword(drawing, pel_schema(type)->name);
    pel_out_text(drawing->out, name);
    end_line(drawing);
    draw_inside(drawing, type);
}

void pel_random_policy(struct pel_random *random, struct pel_out *out, bool comments)
{
    struct drawing drawing = {.random = random, .out = out, .comments = comments};
    uint32_t num_rules = 1 + below(&drawing, 5);
    char name[32];
    for (uint32_t i = 0; i < num_rules; i++) {
        snprintf(name, sizeof name, "Rule%u", i);
        draw_top(&drawing, PEL_S_RULE, name);
    }
    for (int type = PEL_S_RULE + 1; type < PEL_S_NR; type++) {
        for (unsigned i = 0; i < NAMED_EACH; i++) {
            snprintf(name, sizeof name, "N%d.%u", type, i);
            draw_top(&drawing, (enum pel_stmt_type)type, name);
        }
    }
}

struct pel_policy_query pel_random_query(struct pel_random *random)
{
    static const char *const names[] = {NULL, "web", "WEB1", "srv1", "bob", "x"};
    static const char *const ips[] = {"10.0.0.1",    "10.1.2.3", "192.0.2.7",
                                      "2001:db8::1", "::1",      "10.0.0.200"};
    static const uint16_t ports[] = {80, 81, 443, 8443, 1024, 5000, 65535, 1};
    const struct drawing drawing = {.random = random};
    struct pel_policy_query query = {.direction = below(&drawing, 2) == 0 ? PEL_INBOUND : PEL_OUTBOUND,
                                     .user = PICK(&drawing, names),
                                     .job = PICK(&drawing, names),
                                     .wall_s = 1700000000 + below(&drawing, 100000000)};
    if (pel_ip_parse(PICK(&drawing, ips), &query.local.ip) != PEL_OK ||
        pel_ip_parse(PICK(&drawing, ips), &query.remote.ip) != PEL_OK)
        query.direction = PEL_INBOUND;
    query.local.port = PICK(&drawing, ports);
    query.remote.port = PICK(&drawing, ports);
    return query;
}
