/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/pel/policy/common.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool policy_parse(const struct argp *argp, int argc, char **argv, void *input)
{
    argp_err_exit_status = POLICY_USAGE;
    return argp_parse(argp, argc, argv, 0, NULL, input) == 0;
}

enum { KEY_IMAGE = 0x200, KEY_COMPAT };

static error_t parse_reading(int key, char *arg, struct argp_state *state)
{
    struct pel_policy_options *reading = state->input;
    switch (key) {
    case KEY_IMAGE: reading->image = arg; return 0;
    case KEY_COMPAT:
        if (strcmp(arg, "zos") == 0)
            reading->flags |= PEL_POLICY_COMPAT_ZOS;
        else if (strcmp(arg, "pellucid") != 0)
            argp_error(state, "--compat \"%s\" is not pellucid or zos", arg);
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option options_of_reading[] = {
    {"image", KEY_IMAGE, "NAME", 0, "Which image of an agent's main file; else its first", 0},
    {"compat", KEY_COMPAT, "pellucid|zos", 0, "Whose defaults hold, as policy.compat of the configuration",
     0},
    {0},
};

static const struct argp argp_of_reading = {.options = options_of_reading, .parser = parse_reading};

const struct argp_child policy_reading[] = {{&argp_of_reading, 0, "How policy files are read:", 0}, {0}};

static void print_error(void *arg, const struct pel_policy_message *message)
{
    if (message->severity == PEL_POLICY_ERROR)
        policy_print_message(arg, message);
}

static void add_error(void *arg, const struct pel_policy_message *message)
{
    if (message->severity == PEL_POLICY_ERROR)
        policy_json_message(arg, message);
}

bool policy_open(char *const *paths, size_t num_paths, const struct pel_policy_options *options, bool json,
                 struct pel_policy **ret_policy)
{
    struct pel_error error = {0};
    json_t *diagnostics = json ? json_array() : NULL;
    enum pel_err err = pel_policy_open((const char *const *)paths, num_paths, options,
                                       json ? add_error : print_error, diagnostics, ret_policy, NULL, &error);
    if (err == PEL_OK) {
        json_decref(diagnostics);
        return true;
    }
    if (json)
        policy_print_json(
            json_pack("{s:o, s:o}", "error", policy_json_text(error.text), "diagnostics", diagnostics));
    else if (err != PEL_E_POLICY_SYNTAX)
        fprintf(stderr, "pel: %s\n", error.text);
    return false;
}

json_t *policy_json_text(const char *text)
{
    json_t *value = json_string(text);
    char *copy = value == NULL ? strdup(text) : NULL;
    if (copy == NULL)
        return value;
    for (char *c = copy; *c != '\0'; c++) {
        if ((unsigned char)*c >= 0x80)
            *c = '?';
    }
    value = json_string(copy);
    free(copy);
    return value;
}

json_t *policy_json_names(char *const *paths, size_t num_paths, bool absolute)
{
    char here[PATH_MAX], path[2 * PATH_MAX];
    json_t *names = json_array();
    absolute = absolute && getcwd(here, sizeof here) != NULL;
    for (size_t i = 0; i < num_paths; i++) {
        bool put_here = absolute && paths[i][0] != '/';
        if (put_here)
            snprintf(path, sizeof path, "%s/%s", here, paths[i]);
        (void)json_array_append_new(names, policy_json_text(put_here ? path : paths[i]));
    }
    return names;
}

void policy_print_json(json_t *value)
{
    char *text = value != NULL ? json_dumps(value, JSON_INDENT(2)) : NULL;
    if (text == NULL)
        fprintf(stderr, "pel: out of memory\n");
    else
        fputs(text, stdout); /* whether that went well is looked at when the program ends */
    free(text);
    putchar('\n');
    json_decref(value);
}

void policy_print_paths(char *const *paths, size_t num_paths)
{
    for (size_t i = 0; i < num_paths; i++)
        printf("%s%s", i == 0 ? "" : ", ", paths[i]);
}

const char *policy_plural(size_t num)
{
    return num == 1 ? "" : "s";
}

void policy_print_message(void *arg, const struct pel_policy_message *message)
{
    (void)arg;
    fprintf(stderr, "%s:%u:%u: %s: %s\n", message->file, message->line, message->column,
            pel_policy_severity_name(message->severity), message->text);
}

void policy_json_message(void *arg, const struct pel_policy_message *message)
{
    json_t *diagnostics = arg;
    json_t *entry =
        json_pack("{s:o, s:I, s:I, s:s, s:o}", "file", policy_json_text(message->file), "line",
                  (json_int_t)message->line, "column", (json_int_t)message->column, "severity",
                  pel_policy_severity_name(message->severity), "message", policy_json_text(message->text));
    (void)json_array_append_new(diagnostics, entry);
}
