/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `pel policy fmt FILE...`: policy files in the one canonical form.
 */
#include <stdio.h>
#include <stdlib.h>

#include "apps/pel/policy/common.h"
#include "apps/pel/policy/file.h"

enum { KEY_JSON = 256, KEY_CHECK };

struct options {
    bool json, check, write;
    char **files;
    size_t num_files;
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct options *options = state->input;
    (void)arg;
    switch (key) {
    case KEY_JSON: options->json = true; return 0;
    case KEY_CHECK: options->check = true; return 0;
    case 'w': options->write = true; return 0;
    case ARGP_KEY_ARGS:
        options->files = state->argv + state->next;
        options->num_files = (size_t)(state->argc - state->next);
        return 0;
    case ARGP_KEY_NO_ARGS: argp_error(state, "name a policy file"); return 0;
    case ARGP_KEY_END:
        if (options->check && options->write)
            argp_error(state, "--check and -w exclude each other");
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

/* What became of one file. */
struct formatted {
    char *text;
    size_t text_len;
    int is_same;
    bool ok;
    struct pel_error error;
    json_t *diagnostics;
};

static void take_message(void *arg, const struct pel_policy_message *message)
{
    if (message->severity == PEL_POLICY_ERROR && arg != NULL)
        policy_json_message(arg, message);
    else if (message->severity == PEL_POLICY_ERROR)
        policy_print_message(NULL, message);
}

static struct formatted format_file(const struct options *options, const char *path)
{
    struct formatted formatted = {.diagnostics = options->json ? json_array() : NULL};
    enum pel_err err = pel_policy_format(path, take_message, formatted.diagnostics, &formatted.text,
                                         &formatted.text_len, &formatted.is_same, &formatted.error);
    formatted.ok = err == PEL_OK;
    if (err != PEL_OK && err != PEL_E_POLICY_SYNTAX && !options->json)
        fprintf(stderr, "pel: %s\n", formatted.error.text);
    if (formatted.ok && options->write && !formatted.is_same)
        formatted.ok = policy_write_file(path, 0, formatted.text, formatted.text_len);
    return formatted;
}

static json_t *as_json(const struct options *options, const char *path, struct formatted *formatted)
{
    json_t *entry = json_pack("{s:o, s:b, s:b, s:O}", "file", policy_json_text(path), "ok", formatted->ok,
                              "formatted", formatted->is_same, "diagnostics", formatted->diagnostics);
    if (formatted->error.text[0] != '\0')
        (void)json_object_set_new(entry, "error", policy_json_text(formatted->error.text));
    if (formatted->text != NULL && !options->check && !options->write)
        (void)json_object_set_new(entry, "text", policy_json_text(formatted->text));
    return entry;
}

static int fmt(const struct options *options)
{
    json_t *files = options->json ? json_array() : NULL;
    bool fine = true;
    for (size_t i = 0; i < options->num_files; i++) {
        struct formatted formatted = format_file(options, options->files[i]);
        fine = fine && formatted.ok && (!options->check || formatted.is_same);
        if (options->json)
            (void)json_array_append_new(files, as_json(options, options->files[i], &formatted));
        else if (formatted.ok && !options->check && !options->write)
            fwrite(formatted.text, 1, formatted.text_len, stdout);
        else if (formatted.ok && !formatted.is_same)
            printf("%s\n", options->files[i]);
        json_decref(formatted.diagnostics);
        free(formatted.text);
    }
    if (options->json)
        policy_print_json(json_pack("{s:o}", "files", files));
    return fine ? POLICY_FINE : POLICY_FAILED;
}

static const struct argp_option options_of_fmt[] = {
    {"check", KEY_CHECK, NULL, 0,
     "Print the names of files that would change, exit with status 1 if any does", 0},
    {NULL, 'w', NULL, 0, "Write each file anew, whole or not at all; print the names of those that changed",
     0},
    {"json", KEY_JSON, NULL, 0, "Print one JSON object", 0},
    {0},
};

int policy_fmt(int argc, char **argv)
{
    static const struct argp argp = {
        .options = options_of_fmt,
        .parser = parse_option,
        .args_doc = "FILE...",
        .doc =
            "Prints policy files in canonical form: one parameter a line, braces on lines of their own, two "
            "blanks a level, keywords and values as the manual spells them; they load to the same "
            "policy.\vEach file is a policy of its own and must load. Comments before a line and at its end "
            "stay where they are, those beside a brace move into the braces; blank lines inside a statement "
            "stay, one for several. What has no effect goes: a parameter that a later one replaces, words "
            "behind a value, a byte-order mark."};
    struct options options = {0};
    if (!policy_parse(&argp, argc, argv, &options))
        return POLICY_USAGE;
    return fmt(&options);
}
