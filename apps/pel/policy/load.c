/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `pel policy load [FILE...]`: the running stack reads them, or the files of its configuration, and takes
 * them over or keeps what it has; and says what that changes.
 */
#include <stdio.h>

#include "apps/pel/ask.h"
#include "apps/pel/policy/common.h"

enum { KEY_JSON = 256, KEY_SOCKET };

struct options {
    bool json;
    const char *socket_path;
    char **files;
    size_t num_files;
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct options *options = state->input;
    switch (key) {
    case KEY_JSON: options->json = true; return 0;
    case KEY_SOCKET: options->socket_path = arg; return 0;
    case ARGP_KEY_ARGS:
        options->files = state->argv + state->next;
        options->num_files = (size_t)(state->argc - state->next);
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
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

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

static long long number_of(const json_t *object, const char *key)
{
    return (long long)json_integer_value(json_object_get(object, key));
}

/* More are for programs: --json has up to a thousand. */
#define CHANGES_SHOWN 20

/* What the load changed in effect, rule by rule. */
static void print_changes(const json_t *reply)
{
    static const char *const kinds[] = {"added", "removed", "changed", "moved"};
    const json_t *changes = json_object_get(reply, "changes"), *row;
    long long num = 0, num_shown = 0;
    size_t i;
    json_array_foreach(changes, i, row)
    {
        if (num_shown == CHANGES_SHOWN)
            break;
        num_shown++;
        const char *what = text_of(row, "what");
        printf("  rule %s %s%s%s\n", text_of(row, "rule"), text_of(row, "change"),
               what[0] != '\0' ? ": " : "", what);
    }
    for (i = 0; i < sizeof kinds / sizeof *kinds; i++)
        num += number_of(reply, kinds[i]);
    if (num > num_shown)
        printf("  ... and %lld more\n", num - num_shown);
    if (num == 0 && number_of(reply, "generation") > 1)
        printf("  nothing changed in effect; keyrings and authorities were read again\n");
}

static void print_rest(const json_t *reply)
{
    const json_t *row;
    size_t i;
    long long num_certs = number_of(reply, "certificates_replaced"), num_kept = number_of(reply, "kept");
    if (num_certs > 0)
        printf("  %lld certificate%s new\n", num_certs, num_certs == 1 ? " is" : "s are");
    if (num_kept > 0)
        printf("  %lld rule%s in no file any more, and stay%s (flush is off)\n", num_kept,
               num_kept == 1 ? " is" : "s are", num_kept == 1 ? "s" : "");
    fflush(stdout);
    json_array_foreach(json_object_get(reply, "unusable_rules"), i, row)
        fprintf(stderr, "rule %s cannot be served, its connections are refused: %s\n", text_of(row, "rule"),
                text_of(row, "problem"));
}

static int show_load_reply(const struct options *options, const json_t *reply)
{
    long long rules = number_of(reply, "rules"), generation = number_of(reply, "generation");
    print_diagnostics(json_object_get(reply, "diagnostics"));
    if (!json_is_true(json_object_get(reply, "ok"))) {
        const char *error = text_of(reply, "error");
        fprintf(stderr, "pel: not loaded: %s; ", error[0] != '\0' ? error : "the stack gave no reason");
        if (generation > 0)
            fprintf(stderr, "generation %lld stays in force\n", generation);
        else
            fprintf(stderr, "no policy is in force\n");
        return POLICY_FAILED;
    }
    if (options->num_files > 0)
        policy_print_paths(options->files, options->num_files);
    else
        printf("the configured files");
    printf(": loaded, %lld rule%s, generation %lld\n", rules, policy_plural((size_t)rules), generation);
    print_changes(reply);
    print_rest(reply);
    return POLICY_FINE;
}

static int load(const struct options *options)
{
    struct pel_error error = {0};
    json_t *request = json_pack("{s:s, s:o}", "verb", "policy-load", "files",
                                policy_json_names(options->files, options->num_files, true));
    json_t *reply = ask_call(options->socket_path, request, &error);
    if (reply == NULL) {
        fprintf(stderr, "pel: %s\n", error.text);
        return POLICY_FAILED;
    }
    if (!options->json) {
        int status = show_load_reply(options, reply);
        json_decref(reply);
        return status;
    }
    bool ok = json_is_true(json_object_get(reply, "ok"));
    policy_print_json(reply);
    return ok ? POLICY_FINE : POLICY_FAILED;
}

static const struct argp_option options_of_load[] = {
    {"socket", KEY_SOCKET, "PATH", 0, "The stack's control socket", 0},
    {"json", KEY_JSON, NULL, 0, "Print the stack's reply as JSON", 0},
    {0},
};

int policy_load(int argc, char **argv)
{
    static const struct argp argp = {.options = options_of_load,
                                     .parser = parse_option,
                                     .args_doc = "[FILE...]",
                                     .doc = "Has the running stack take over these files as its policy, or "
                                            "those of its configuration again. Keyrings and authorities are "
                                            "read again too. With an error the old policy stays."};
    struct options options = {0};
    if (!policy_parse(&argp, argc, argv, &options))
        return POLICY_USAGE;
    return load(&options);
}
