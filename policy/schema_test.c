/* SPDX-License-Identifier: Apache-2.0 */
/* The table itself: what the parser, the messages and the manual take for granted of every row. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "policy/schema.h"
#include "tests/harness/harness.h"

static bool default_is_valid(const struct pel_row *row)
{
    if (row->default_value == NULL)
        return true;
    if (row->type == PEL_V_UINT) {
        char *end = NULL;
        unsigned long long number = strtoull(row->default_value, &end, 10);
        return *end == '\0' && number >= row->min && number <= row->max;
    }
    for (size_t i = 0; row->type == PEL_V_ENUM && row->values[i] != NULL; i++) {
        if (strcmp(row->values[i], row->default_value) == 0)
            return true;
    }
    return row->type != PEL_V_ENUM;
}

static void check_row(const struct pel_statement_schema *schema, const struct pel_row *row)
{
    const char *wrong = NULL;
    bool takes_statement = row->type == PEL_V_REF || row->type == PEL_V_BLOCK;
    if (row->name_len != strlen(row->name))
        wrong = "name_len";
    else if (row->help == NULL || row->help[0] == '\0')
        wrong = "help";
    else if (!default_is_valid(row))
        wrong = "default_value";
    else if (takes_statement == (row->target == PEL_S_SKIPPED))
        wrong = "target";
    else if ((row->type == PEL_V_ENUM) != (row->values != NULL))
        wrong = "values";
    else if (row->no_effect != NULL && (row->flags & PEL_ROW_REQUIRED) != 0)
        wrong = "no_effect of what is required";
    if (wrong != NULL)
        pel_test_fail(__FILE__, __LINE__, "%s %s: %s", schema->name, row->name, wrong);
}

PEL_TEST(schema, every_row_is_whole)
{
    size_t num_rows = 0;
    for (int type = PEL_S_RULE; type < PEL_S_NR; type++) {
        const struct pel_statement_schema *schema = pel_schema((enum pel_stmt_type)type);
        PEL_EXPECT(schema->name_len == strlen(schema->name) && schema->help != NULL);
        PEL_EXPECT_EQ(pel_schema_find(schema->name, schema->name_len), type);
        PEL_EXPECT(schema->num_rows <= 64); /* as pel_schema_nearest takes for granted */
        for (size_t i = 0; i < schema->num_rows; i++) {
            const struct pel_row *row = &schema->rows[i];
            check_row(schema, row);
            /* The keyword leads to this very row: no two have one name. */
            PEL_EXPECT(pel_schema_row((enum pel_stmt_type)type, row->name, row->name_len) == row);
        }
        num_rows += schema->num_rows;
    }
    PEL_EXPECT(num_rows > 150);
}

PEL_TEST(schema, a_connection_has_no_defaults)
{
    static const enum pel_stmt_type types[] = {PEL_S_CONN_ACTION, PEL_S_CONN_ADV};
    for (size_t t = 0; t < 2; t++) {
        const struct pel_statement_schema *schema = pel_schema(types[t]);
        for (size_t i = 0; i < schema->num_rows; i++)
            PEL_EXPECT(schema->rows[i].default_value == NULL);
    }
}

PEL_TEST(schema, why_a_row_has_no_effect)
{
    const struct pel_row *row = pel_schema_row(PEL_S_GROUP_ADV, "envfile", 7);
    PEL_REQUIRE(row != NULL);
    PEL_EXPECT_STR(pel_schema_no_effect(PEL_S_GROUP_ADV, row),
                   "one process serves all groups; none has an environment of its own");
    row = pel_schema_row(PEL_S_GSK_CDP, "HttpCdpEnable", 13);
    PEL_REQUIRE(row != NULL && row->no_effect == NULL);
    PEL_EXPECT_STR(pel_schema_no_effect(PEL_S_GSK_CDP, row), "revocation lists are not fetched by HTTP");
    row = pel_schema_row(PEL_S_GSK_ADV, "TTLSGskHttpCdpParmsRef", 22);
    PEL_REQUIRE(row != NULL);
    PEL_EXPECT_STR(pel_schema_no_effect(PEL_S_GSK_ADV, row), "revocation lists are not fetched by HTTP");
    row = pel_schema_row(PEL_S_GROUP_ACTION, "TTLSEnabled", 11);
    PEL_REQUIRE(row != NULL);
    PEL_EXPECT(pel_schema_no_effect(PEL_S_GROUP_ACTION, row) == NULL);
}
