/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `pel policy check FILE...`: what a load of these files would say, without a stack.
 */
#include <stdio.h>

#include "apps/pel/policy_common.h"

enum { KEY_JSON = 256, KEY_STRICT, KEY_IMAGE };

struct options {
    bool json;
    struct pel_policy_options how;
    char **files;
    size_t num_files;
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct options *options = state->input;
    switch (key) {
    case KEY_JSON: options->json = true; return 0;
    case KEY_STRICT: options->how.flags |= PEL_POLICY_CHECK_STRICT; return 0;
    case KEY_IMAGE: options->how.image = arg; return 0;
    case ARGP_KEY_ARGS:
        options->files = state->argv + state->next;
        options->num_files = (size_t)(state->argc - state->next);
        return 0;
    case ARGP_KEY_NO_ARGS: argp_error(state, "name a policy file"); return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static int check_as_json(const struct options *options)
{
    struct pel_policy_summary summary = {0};
    struct pel_error error = {0};
    json_t *diagnostics = json_array();
    enum pel_err err = pel_policy_check((const char *const *)options->files, options->num_files,
                                        &options->how, policy_json_message, diagnostics, &summary, &error);
    json_t *reply = json_pack("{s:b, s:o, s:I, s:I, s:I, s:I, s:o}", "ok", err == PEL_OK, "files",
                              policy_json_names(options->files, options->num_files, false), "rules",
                              (json_int_t)summary.num_rules, "errors", (json_int_t)summary.num_errors,
                              "warnings", (json_int_t)summary.num_warnings, "notes",
                              (json_int_t)summary.num_notes, "diagnostics", diagnostics);
    if (err != PEL_OK && err != PEL_E_POLICY_SYNTAX)
        (void)json_object_set_new(reply, "error", policy_json_text(error.text));
    policy_print_json(reply);
    return err == PEL_OK ? POLICY_FINE : POLICY_FAILED;
}

static void print_counts(const struct pel_policy_summary *summary)
{
    printf(": ok, %zu rule%s, %zu warning%s", summary->num_rules, policy_plural(summary->num_rules),
           summary->num_warnings, policy_plural(summary->num_warnings));
    if (summary->num_notes > 0)
        printf(", %zu note%s", summary->num_notes, policy_plural(summary->num_notes));
    printf("\n");
}

static int check(const struct options *options)
{
    struct pel_policy_summary summary = {0};
    struct pel_error error = {0};
    if (options->json)
        return check_as_json(options);
    enum pel_err err = pel_policy_check((const char *const *)options->files, options->num_files,
                                        &options->how, policy_print_message, NULL, &summary, &error);
    if (err != PEL_OK && err != PEL_E_POLICY_SYNTAX) {
        fprintf(stderr, "pel: %s\n", error.text);
        return POLICY_FAILED;
    }
    fflush(stderr);
    policy_print_paths(options->files, options->num_files);
    if (err == PEL_OK)
        print_counts(&summary);
    else
        printf(": %zu error%s, nothing would be installed\n", summary.num_errors,
               policy_plural(summary.num_errors));
    return err == PEL_OK ? POLICY_FINE : POLICY_FAILED;
}

static const struct argp_option options_of_check[] = {
    {"strict", KEY_STRICT, NULL, 0, "Warnings are errors", 0},
    {"image", KEY_IMAGE, "NAME", 0, "Which image of an agent's main file; else its first", 0},
    {"json", KEY_JSON, NULL, 0, "Print one JSON object", 0},
    {0},
};

int policy_check(int argc, char **argv)
{
    static const struct argp argp = {.options = options_of_check,
                                     .parser = parse_option,
                                     .args_doc = "FILE...",
                                     .doc = "Checks policy files as one policy; nothing is installed."};
    struct options options = {0};
    if (!policy_parse(&argp, argc, argv, &options))
        return POLICY_USAGE;
    return check(&options);
}
