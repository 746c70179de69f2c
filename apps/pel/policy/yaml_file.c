/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/pel/policy/yaml_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yaml.h>

#include "apps/pel/policy/common.h"

enum { MAX_ERRORS = 100 };

const cyaml_schema_value_t yaml_text_value = {
    CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 0, CYAML_UNLIMITED),
};

/* ---- messages ---- */

static void hand_on(struct yaml_report *report, enum yaml_severity severity, struct yaml_place place,
                    const char *text)
{
    struct pel_policy_message message = {.severity =
                                             severity == YAML_ERROR ? PEL_POLICY_ERROR : PEL_POLICY_WARNING,
                                         .file = report->file,
                                         .line = place.line > 0 ? place.line : 1,
                                         .column = place.column > 0 ? place.column : 1,
                                         .text = text};
    if (report->diagnostics != NULL)
        policy_json_message(report->diagnostics, &message);
    else
        policy_print_message(NULL, &message);
}

void yaml_say(struct yaml_report *report, enum yaml_severity severity, struct yaml_place place,
              const char *format, ...)
{
    char text[1000];
    va_list args;
    size_t *num = severity == YAML_ERROR ? &report->num_errors : &report->num_warnings;
    if (++*num > MAX_ERRORS)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    hand_on(report, severity, place, text);
    if (*num == MAX_ERRORS)
        hand_on(report, severity, place, "that is the hundredth of its kind: no more are shown");
}

/* ---- libcyaml: the first message says what, the first line of the back-trace behind it says where ---- */

struct messages {
    char what[300];
    struct yaml_place place;
};

static void collect(cyaml_log_t level, void *ctx, const char *format, va_list args)
{
    struct messages *messages = ctx;
    char text[400];
    (void)level;
    vsnprintf(text, sizeof text, format, args);
    text[strcspn(text, "\n")] = '\0';
    const char *at = strstr(text, "(line: ");
    if (at != NULL && messages->place.line == 0)
        sscanf(at, "(line: %u, column: %u", &messages->place.line, &messages->place.column);
    if (messages->what[0] == '\0' && at == NULL && strstr(text, "Backtrace") == NULL)
        snprintf(messages->what, sizeof messages->what, "%s",
                 strncmp(text, "Load: ", 6) == 0 ? text + 6 : text);
}

static cyaml_config_t config_of(struct messages *messages)
{
    return (cyaml_config_t){
        .log_fn = collect,
        .log_ctx = messages,
        .log_level = CYAML_LOG_ERROR,
        .mem_fn = cyaml_mem,
        .flags = CYAML_CFG_NO_ALIAS,
    };
}

/* ---- libyaml: the same text again, for places; what libcyaml took is sound ---- */

static bool is_at_end(yaml_parser_t *parser)
{
    yaml_document_t next;
    if (yaml_parser_load(parser, &next) == 0)
        return false;
    bool is_end = yaml_document_get_root_node(&next) == NULL;
    yaml_document_delete(&next);
    return is_end;
}

/* What libyaml does not take, and where: libcyaml does not always say. */
static struct yaml_place place_of_error(const char *text, size_t len)
{
    yaml_parser_t parser;
    yaml_event_t event;
    struct yaml_place place = {0};
    bool is_end = false;
    if (yaml_parser_initialize(&parser) == 0)
        return place;
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
    while (!is_end && yaml_parser_parse(&parser, &event) != 0) {
        is_end = event.type == YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
    }
    if (parser.error == YAML_READER_ERROR) {
        place = (struct yaml_place){1, 1};
        for (size_t i = 0; i < parser.problem_offset && i < len; i++) {
            place.column = text[i] == '\n' ? 1 : place.column + 1;
            place.line += text[i] == '\n';
        }
    } else if (!is_end) {
        place = (struct yaml_place){(uint32_t)parser.problem_mark.line + 1,
                                    (uint32_t)parser.problem_mark.column + 1};
    }
    yaml_parser_delete(&parser);
    return place;
}

static yaml_document_t *load_document(const char *text, size_t len, bool *ret_is_alone)
{
    yaml_parser_t parser;
    yaml_document_t *document = calloc(1, sizeof *document);
    if (document == NULL || yaml_parser_initialize(&parser) == 0) {
        free(document);
        return NULL;
    }
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
    bool loaded = yaml_parser_load(&parser, document) != 0;
    *ret_is_alone = !loaded || is_at_end(&parser);
    yaml_parser_delete(&parser);
    if (loaded)
        return document;
    free(document);
    return NULL;
}

/* libcyaml speaks of its own types; what to write instead. */
static const char *plain_words(const char *what, char *buffer, size_t cap)
{
    static const struct {
        const char *begin, *plain;
    } rows[] = {
        {"Expecting SEQUENCE", "a list is expected here: [ ONE, TWO ], or lines that begin with \"- \""},
        {"Expecting MAPPING", "keys with their values are expected here: KEY: VALUE"},
        {"Expecting STRING", "one word or text is expected here, no list and no keys"},
        {"Expecting ENUM", "one word is expected here, no list and no keys"},
        {"Expecting BOOL", "true or false is expected here"},
        {"Expecting UINT", "a number is expected here"},
        {"Expecting INT", "a number is expected here"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (strncmp(what, rows[i].begin, strlen(rows[i].begin)) == 0)
            return rows[i].plain;
    const char *value = strchr(what, '\'');
    if (strncmp(what, "Invalid ", 8) != 0 || value == NULL)
        return what;
    snprintf(buffer, cap, "a number is expected here, not %s", value);
    return buffer;
}

static bool refuse(struct yaml_report *report, cyaml_err_t loaded, const struct messages *messages)
{
    const char *what = messages->what + (strncmp(messages->what, "libyaml: ", 9) == 0 ? 9 : 0);
    char buffer[400];
    if (what[0] != '\0')
        yaml_say(report, YAML_ERROR, messages->place, "%s", plain_words(what, buffer, sizeof buffer));
    else
        yaml_say(report, YAML_ERROR, messages->place, "%s",
                 loaded == CYAML_OK ? "the file is empty" : cyaml_strerror(loaded));
    return false;
}

bool yaml_text_read(struct yaml_file *file, const cyaml_schema_value_t *schema, const char *text, size_t len,
                    struct yaml_report *report)
{
    struct messages messages = {0};
    cyaml_config_t config = config_of(&messages);
    *file = (struct yaml_file){.schema = schema};
    cyaml_err_t loaded =
        cyaml_load_data((const uint8_t *)text, len, &config, schema, (cyaml_data_t **)&file->data, NULL);
    if (loaded != CYAML_OK || file->data == NULL) {
        file->data = NULL;
        if (strncmp(messages.what, "libyaml: ", 9) == 0)
            messages.place = place_of_error(text, len);
        return refuse(report, loaded, &messages);
    }
    bool is_alone = true;
    file->document = load_document(text, len, &is_alone);
    if (file->document == NULL)
        yaml_say(report, YAML_ERROR, (struct yaml_place){0}, "out of memory");
    else if (!is_alone)
        yaml_say(report, YAML_ERROR, (struct yaml_place){0}, "there is more behind the end of its document");
    return file->document != NULL && is_alone;
}

/* Without O_NONBLOCK, opening a FIFO would wait for its writer. */
static char *read_whole(const char *path, size_t *ret_len, char *why, size_t why_cap)
{
    struct stat status;
    char *text = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || fstat(fd, &status) != 0)
        snprintf(why, why_cap, "%s", strerror(errno));
    else if (!S_ISREG(status.st_mode))
        snprintf(why, why_cap, "not a regular file");
    else if (status.st_size > YAML_FILE_MAX)
        snprintf(why, why_cap, "longer than %d MiB", YAML_FILE_MAX >> 20);
    else
        text = malloc((size_t)status.st_size + 1);
    ssize_t len = text != NULL ? pread(fd, text, (size_t)status.st_size + 1, 0) : -1;
    if (text != NULL && len != status.st_size) {
        snprintf(why, why_cap, len < 0 ? "cannot be read" : "it changed while it was read");
        free(text);
        text = NULL;
    }
    if (fd >= 0)
        close(fd);
    *ret_len = (size_t)len;
    return text;
}

bool yaml_file_read(struct yaml_file *file, const cyaml_schema_value_t *schema, struct yaml_report *report)
{
    char why[100] = "out of memory";
    size_t len = 0;
    char *text = read_whole(report->file, &len, why, sizeof why);
    *file = (struct yaml_file){.schema = schema};
    if (text == NULL) {
        yaml_say(report, YAML_ERROR, (struct yaml_place){0}, "%s", why);
        return false;
    }
    bool fine = yaml_text_read(file, schema, text, len, report);
    free(text);
    return fine;
}

void yaml_file_free(struct yaml_file *file)
{
    struct messages messages = {0};
    cyaml_config_t config = config_of(&messages);
    if (file->data != NULL)
        (void)cyaml_free(&config, file->schema, file->data, 0);
    if (file->document != NULL)
        yaml_document_delete(file->document);
    free(file->document);
    *file = (struct yaml_file){0};
}

/* ---- places ---- */

static yaml_node_t *child_of(yaml_document_t *document, const yaml_node_t *node, const char *step)
{
    if (node->type == YAML_SEQUENCE_NODE) {
        size_t index = strtoul(step, NULL, 10);
        size_t num = (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);
        return index < num ? yaml_document_get_node(document, node->data.sequence.items.start[index]) : NULL;
    }
    if (node->type != YAML_MAPPING_NODE)
        return NULL;
    for (yaml_node_pair_t *pair = node->data.mapping.pairs.start; pair < node->data.mapping.pairs.top;
         pair++) {
        const yaml_node_t *key = yaml_document_get_node(document, pair->key);
        if (key != NULL && key->type == YAML_SCALAR_NODE &&
            strcmp((const char *)key->data.scalar.value, step) == 0)
            return yaml_document_get_node(document, pair->value);
    }
    return NULL;
}

struct yaml_place yaml_find(const struct yaml_file *file, const char *format, ...)
{
    char path[200], *rest = NULL;
    va_list args;
    va_start(args, format);
    vsnprintf(path, sizeof path, format, args);
    va_end(args);
    yaml_node_t *node = file->document != NULL ? yaml_document_get_root_node(file->document) : NULL;
    yaml_node_t *found = node;
    for (char *step = strtok_r(path, ".", &rest); step != NULL && node != NULL;
         step = strtok_r(NULL, ".", &rest)) {
        node = child_of(file->document, node, step);
        found = node != NULL ? node : found;
    }
    if (found == NULL)
        return (struct yaml_place){0};
    return (struct yaml_place){.line = (uint32_t)found->start_mark.line + 1,
                               .column = (uint32_t)found->start_mark.column + 1};
}
