/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Short forms for the rows of the schema table; only the files of that table include them.
 */
#ifndef PEL_POLICY_SCHEMA_ROWS_H
#define PEL_POLICY_SCHEMA_ROWS_H

#include "policy/schema.h"

#define ROW(text, kind, ...)                                                                                 \
    {                                                                                                        \
        .name = text, .name_len = sizeof text - 1, .type = PEL_V_##kind, __VA_ARGS__                         \
    }
#define ONOFF(text, def, ...) ROW(text, ENUM, .values = pel_values_on_off, .default_value = def, __VA_ARGS__)
#define UINT(text, low, high, def, ...)                                                                      \
    ROW(text, UINT, .min = low, .max = high, .default_value = def, __VA_ARGS__)
#define ENUM(text, list, def, ...) ROW(text, ENUM, .values = list, .default_value = def, __VA_ARGS__)
#define REF(text, kind, ...)       ROW(text, REF, .target = PEL_S_##kind, __VA_ARGS__)
#define BLOCK(text, kind, ...)     ROW(text, BLOCK, .target = PEL_S_##kind, __VA_ARGS__)
#define SLOT(id)                   .slot = PEL_SLOT_##id
#define NO_EFFECT(why)             .no_effect = why

#define REMARKS(list) .remarks = list

/* A statement that may stand in its own braces or be named. */
#define BLOCK_OR_REF(text, kind, id, bits, what)                                                             \
    BLOCK(text, kind, SLOT(id), .flags = (bits), .help = what),                                              \
        REF(text "Ref", kind, SLOT(id), .flags = (bits), .help = "the same by its name")

extern const char *const pel_values_on_off[];

#define STATEMENT(text, list, ...)                                                                           \
    {                                                                                                        \
        .name = text, .name_len = sizeof text - 1, .rows = list, .num_rows = sizeof list / sizeof *list,     \
        __VA_ARGS__                                                                                          \
    }

/* Statements in files of their own, for length. */
extern const struct pel_statement_schema pel_statement_gsk_adv, pel_statement_gsk_ldap,
    pel_statement_gsk_ocsp, pel_statement_gsk_cdp, pel_statement_env_adv, pel_statement_conn_adv;

#endif
