/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `pel policy check FILE...`: what a load of these files would say, without a stack. `pel policy load
 * FILE...`: the running stack reads them, and takes them over or keeps what it has.
 */
#include "apps/pel/verb.h"

#include <argp.h>
#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <pellucid/control.h>
#include <pellucid/policy.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXIT_FINE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, KEY_JSON = 256, KEY_STRICT, KEY_SOCKET };

struct options {
    bool json, strict;
    const char *socket_path;
    char **files;
    size_t num_files;
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct options *options = state->input;
    switch (key) {
    case KEY_JSON: options->json = true; return 0;
    case KEY_STRICT: options->strict = true; return 0;
    case KEY_SOCKET: options->socket_path = arg; return 0;
    case ARGP_KEY_ARGS:
        options->files = state->argv + state->next;
        options->num_files = (size_t)(state->argc - state->next);
        return 0;
    case ARGP_KEY_NO_ARGS: argp_error(state, "name a policy file"); return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

/* Text from outside as JSON; what is not UTF-8 (a file's name may be) is shown with question marks. */
static json_t *json_text(const char *text)
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

static void print_json(json_t *value)
{
    if (value == NULL || json_dumpf(value, stdout, JSON_INDENT(2)) != 0)
        fprintf(stderr, "pel: out of memory\n");
    putchar('\n');
    json_decref(value);
}

static void print_names(const struct options *options)
{
    for (size_t i = 0; i < options->num_files; i++)
        printf("%s%s", i == 0 ? "" : ", ", options->files[i]);
}

static const char *plural(size_t num)
{
    return num == 1 ? "" : "s";
}

static void print_message(void *arg, const struct pel_policy_message *message)
{
    (void)arg;
    fprintf(stderr, "%s:%u:%u: %s: %s\n", message->file, message->line, message->column,
            message->is_error ? "error" : "warning", message->text);
}

static void add_message(void *arg, const struct pel_policy_message *message)
{
    json_t *diagnostics = arg;
    json_t *entry = json_pack("{s:o, s:I, s:I, s:s, s:o}", "file", json_text(message->file), "line",
                              (json_int_t)message->line, "column", (json_int_t)message->column, "severity",
                              message->is_error ? "error" : "warning", "message", json_text(message->text));
    (void)json_array_append_new(diagnostics, entry);
}

static json_t *names_as_json(const struct options *options, bool absolute)
{
    json_t *names = json_array();
    for (size_t i = 0; i < options->num_files; i++) {
        char path[PATH_MAX];
        /* A file that is not there keeps its name: the stack says what is wrong with it. */
        bool resolved = absolute && realpath(options->files[i], path) != NULL;
        (void)json_array_append_new(names, json_text(resolved ? path : options->files[i]));
    }
    return names;
}

static int check_as_json(const struct options *options, unsigned flags)
{
    struct pel_policy_summary summary = {0};
    struct pel_error error = {0};
    json_t *diagnostics = json_array();
    enum pel_err err = pel_policy_check((const char *const *)options->files, options->num_files, flags,
                                        add_message, diagnostics, &summary, &error);
    json_t *reply = json_pack("{s:b, s:o, s:I, s:I, s:I, s:o}", "ok", err == PEL_OK, "files",
                              names_as_json(options, false), "rules", (json_int_t)summary.num_rules, "errors",
                              (json_int_t)summary.num_errors, "warnings", (json_int_t)summary.num_warnings,
                              "diagnostics", diagnostics);
    if (err != PEL_OK && err != PEL_E_POLICY_SYNTAX)
        (void)json_object_set_new(reply, "error", json_text(error.text));
    print_json(reply);
    return err == PEL_OK ? EXIT_FINE : EXIT_FAILED;
}

static int check(const struct options *options)
{
    unsigned flags = options->strict ? PEL_POLICY_CHECK_STRICT : 0;
    struct pel_policy_summary summary = {0};
    struct pel_error error = {0};
    if (options->json)
        return check_as_json(options, flags);
    enum pel_err err = pel_policy_check((const char *const *)options->files, options->num_files, flags,
                                        print_message, NULL, &summary, &error);
    if (err != PEL_OK && err != PEL_E_POLICY_SYNTAX) {
        fprintf(stderr, "pel: %s\n", error.text);
        return EXIT_FAILED;
    }
    fflush(stderr);
    print_names(options);
    if (err == PEL_OK)
        printf(": ok, %zu rule%s, %zu warning%s\n", summary.num_rules, plural(summary.num_rules),
               summary.num_warnings, plural(summary.num_warnings));
    else
        printf(": %zu error%s, nothing would be installed\n", summary.num_errors, plural(summary.num_errors));
    return err == PEL_OK ? EXIT_FINE : EXIT_FAILED;
}

static void print_diagnostics(const json_t *diagnostics)
{
    size_t i;
    json_t *entry;
    json_array_foreach(diagnostics, i, entry)
    {
        const char *file = "", *severity = "", *message = "";
        json_int_t line = 0, column = 0;
        if (json_unpack(entry, "{s:s, s:I, s:I, s:s, s:s}", "file", &file, "line", &line, "column", &column,
                        "severity", &severity, "message", &message) == 0)
            fprintf(stderr, "%s:%lld:%lld: %s: %s\n", file, (long long)line, (long long)column, severity,
                    message);
    }
}

static int show_load_reply(const struct options *options, const json_t *reply)
{
    bool ok = json_is_true(json_object_get(reply, "ok"));
    const char *error = json_string_value(json_object_get(reply, "error"));
    json_int_t rules = json_integer_value(json_object_get(reply, "rules"));
    json_int_t generation = json_integer_value(json_object_get(reply, "generation"));
    print_diagnostics(json_object_get(reply, "diagnostics"));
    if (!ok) {
        fprintf(stderr, "pel: not loaded: %s\n", error != NULL ? error : "the stack gave no reason");
        return EXIT_FAILED;
    }
    print_names(options);
    printf(": loaded, %lld rule%s, generation %lld\n", (long long)rules, plural((size_t)rules),
           (long long)generation);
    return EXIT_FINE;
}

static int load(const struct options *options)
{
    struct pel_error error = {0};
    char *reply_text = NULL;
    json_t *request = json_pack("{s:s, s:o}", "verb", "policy-load", "files", names_as_json(options, true));
    char *request_text = request == NULL ? NULL : json_dumps(request, JSON_COMPACT);
    json_decref(request);
    int err = request_text == NULL
                  ? PEL_E_NO_MEMORY
                  : (int)pel_control_call(options->socket_path, request_text, &reply_text, &error);
    free(request_text);
    if (err != PEL_OK) {
        fprintf(stderr, "pel: %s\n", error.text[0] != '\0' ? error.text : pel_err_text((enum pel_err)err));
        return EXIT_FAILED;
    }
    json_t *reply = json_loads(reply_text, 0, NULL);
    free(reply_text);
    if (!json_is_object(reply)) {
        fprintf(stderr, "pel: the stack's reply is not JSON\n");
        json_decref(reply);
        return EXIT_FAILED;
    }
    if (!options->json) {
        int status = show_load_reply(options, reply);
        json_decref(reply);
        return status;
    }
    bool ok = json_is_true(json_object_get(reply, "ok"));
    print_json(reply);
    return ok ? EXIT_FINE : EXIT_FAILED;
}

static const struct argp_option check_options[] = {
    {"strict", KEY_STRICT, NULL, 0, "Warnings are errors", 0},
    {"json", KEY_JSON, NULL, 0, "Print one JSON object", 0},
    {0},
};

static const struct argp_option load_options[] = {
    {"socket", KEY_SOCKET, "PATH", 0, "The stack's control socket", 0},
    {"json", KEY_JSON, NULL, 0, "Print the stack's reply as JSON", 0},
    {0},
};

static const struct {
    const char *name;
    char full_name[20]; /* argv[0] must be writable */
    struct argp argp;
    int (*run)(const struct options *options);
} verbs[] = {
    {"check",
     "pel policy check",
     {check_options, parse_option, "FILE...", "Checks policy files as one policy; nothing is installed.",
      NULL, NULL, NULL},
     check},
    {"load",
     "pel policy load",
     {load_options, parse_option, "FILE...", "Has the running stack take over these files as its policy.",
      NULL, NULL, NULL},
     load},
};

int verb_policy(int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && i < sizeof verbs / sizeof *verbs; i++) {
        struct options options = {0};
        char full_name[sizeof verbs[i].full_name];
        if (strcmp(argv[1], verbs[i].name) != 0)
            continue;
        memcpy(full_name, verbs[i].full_name, sizeof full_name);
        argv[1] = full_name;
        argp_err_exit_status = EXIT_USAGE;
        error_t bad = argp_parse(&verbs[i].argp, argc - 1, argv + 1, 0, NULL, &options);
        return bad != 0 ? EXIT_USAGE : verbs[i].run(&options);
    }
    bool help = argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-?") == 0);
    fprintf(help ? stdout : stderr, "Usage: pel policy check [--strict] [--json] FILE...\n"
                                    "       pel policy load [--socket PATH] [--json] FILE...\n");
    return help ? EXIT_FINE : EXIT_USAGE;
}
