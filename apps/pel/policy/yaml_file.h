/* SPDX-License-Identifier: Apache-2.0 */
/*
 * YAML that an operator wrote: libcyaml fills structs by a schema, libyaml knows where each value stands, so
 * that what is found out later is said with its line too.
 *
 * The bounds: a regular file of at most 16 MiB, no aliases (so nothing grows), 100 errors.
 */
#ifndef PEL_APPS_PEL_POLICY_YAML_FILE_H
#define PEL_APPS_PEL_POLICY_YAML_FILE_H

#include <cyaml/cyaml.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { YAML_FILE_MAX = 16 << 20 };

/* A place in a file. Lines and columns count from 1; 0: not known. */
struct yaml_place {
    uint32_t line, column;
};

/* Where messages go, and how many there were. */
struct yaml_report {
    const char *file;
    json_t *diagnostics; /* NULL: to stderr */
    size_t num_errors, num_warnings;
};

enum yaml_severity { YAML_WARNING, YAML_ERROR };

/* yaml_say hands one message on: "FILE:LINE:COLUMN: error: TEXT". Errors past the hundredth are counted only.
 * */
void yaml_say(struct yaml_report *report, enum yaml_severity severity, struct yaml_place place,
              const char *format, ...) __attribute__((format(printf, 4, 5)));

struct yaml_file {
    void *data; /* what the schema describes */
    const cyaml_schema_value_t *schema;
    void *document; /* libyaml's, for places */
};

/* yaml_file_read reads the file at `report->file`; false: reported. Free with yaml_file_free, also then. */
bool yaml_file_read(struct yaml_file *file, const cyaml_schema_value_t *schema, struct yaml_report *report);

/* yaml_text_read is the same for a text. `text` is borrowed for the call. */
bool yaml_text_read(struct yaml_file *file, const cyaml_schema_value_t *schema, const char *text, size_t len,
                    struct yaml_report *report);
void yaml_file_free(struct yaml_file *file);

/* yaml_find returns the place of a value by its path: keys, and numbers of items from 0, such as
 * "stacks.0.rules.3.local"; of the nearest thing around it when it is not written. */
struct yaml_place yaml_find(const struct yaml_file *file, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Pieces of schemas: a text, a whole number, a list of texts; all may be left out. */
#define YAML_TEXT(key, type)                                                                                 \
    CYAML_FIELD_STRING_PTR(#key, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, type, key, 0, CYAML_UNLIMITED)
#define YAML_NUMBER(key, type) CYAML_FIELD_UINT_PTR(#key, CYAML_FLAG_OPTIONAL, type, key)
#define YAML_TEXTS(key, type)                                                                                \
    CYAML_FIELD_SEQUENCE_COUNT(#key, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, type, key, num_##key,         \
                               &yaml_text_value, 0, CYAML_UNLIMITED)
#define YAML_LIST(key, type, value)                                                                          \
    CYAML_FIELD_SEQUENCE_COUNT(#key, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, type, key, num_##key, value,  \
                               0, CYAML_UNLIMITED)
extern const cyaml_schema_value_t yaml_text_value;

#endif
