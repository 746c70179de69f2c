/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `pel policy check FILE...`: what a load of these files would say, without a stack; with --keyrings also
 * what the stack would find in the keyrings.
 */
#include <stdio.h>
#include <string.h>

#include "apps/pel/policy/common.h"

enum {
    KEY_JSON = 256,
    KEY_STRICT,
    KEY_KEYRINGS,
    KEY_OWNER,
};

struct options {
    bool json;
    struct pel_policy_options reading;
    const char *keyring_dir, *owner;
    char **files;
    size_t num_files;
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct options *options = state->input;
    switch (key) {
    case KEY_JSON: options->json = true; return 0;
    case KEY_STRICT: options->reading.flags |= PEL_POLICY_CHECK_STRICT; return 0;
    case KEY_KEYRINGS: options->keyring_dir = arg; return 0;
    case KEY_OWNER: options->owner = arg; return 0;
    case ARGP_KEY_INIT: state->child_inputs[0] = &options->reading; return 0;
    case ARGP_KEY_ARGS:
        options->files = state->argv + state->next;
        options->num_files = (size_t)(state->argc - state->next);
        return 0;
    case ARGP_KEY_NO_ARGS: argp_error(state, "name a policy file"); return 0;
    case ARGP_KEY_END:
        if (options->owner != NULL && options->keyring_dir == NULL)
            argp_error(state, "--owner says whose keyrings are meant: give --keyrings DIR, too");
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

/* Messages on their way: to stderr, or into a JSON array. */
struct check {
    const struct options *options;
    json_t *diagnostics; /* NULL: to stderr */
    struct pel_policy_summary summary;
    size_t num_unusable;
    struct pel_error error;
};

static void pass_on(void *arg, const struct pel_policy_message *message)
{
    struct check *check = arg;
    if (check->diagnostics != NULL)
        policy_json_message(check->diagnostics, message);
    else
        policy_print_message(NULL, message);
}

/* Of a keyring; --strict raises a warning here too. */
static void count_and_pass_on(void *arg, const struct pel_policy_message *message)
{
    struct check *check = arg;
    struct pel_policy_message raised = *message;
    if ((check->options->reading.flags & PEL_POLICY_CHECK_STRICT) != 0 &&
        message->severity == PEL_POLICY_WARNING)
        raised.severity = PEL_POLICY_ERROR;
    check->summary.num_errors += raised.severity == PEL_POLICY_ERROR;
    check->summary.num_warnings += raised.severity == PEL_POLICY_WARNING;
    pass_on(check, &raised);
}

static enum pel_err run(struct check *check)
{
    const struct options *options = check->options;
    struct pel_policy *policy = NULL;
    enum pel_err err =
        pel_policy_open((const char *const *)options->files, options->num_files, &options->reading, pass_on,
                        check, &policy, &check->summary, &check->error);
    if (err == PEL_OK && options->keyring_dir != NULL)
        err = pel_policy_check_keyrings(policy, options->keyring_dir, options->owner, count_and_pass_on,
                                        check, &check->num_unusable, &check->error);
    pel_policy_close(policy);
    return err;
}

static int check_as_json(struct check *check)
{
    const struct pel_policy_summary *summary = &check->summary;
    check->diagnostics = json_array();
    enum pel_err err = run(check);
    bool fine = err == PEL_OK && summary->num_errors == 0;
    json_t *reply = json_pack("{s:b, s:o, s:I, s:I, s:I, s:I, s:o}", "ok", fine, "files",
                              policy_json_names(check->options->files, check->options->num_files, false),
                              "rules", (json_int_t)summary->num_rules, "errors",
                              (json_int_t)summary->num_errors, "warnings", (json_int_t)summary->num_warnings,
                              "notes", (json_int_t)summary->num_notes, "diagnostics", check->diagnostics);
    if (err != PEL_OK && err != PEL_E_POLICY_SYNTAX)
        (void)json_object_set_new(reply, "error", policy_json_text(check->error.text));
    if (check->options->keyring_dir != NULL)
        (void)json_object_set_new(reply, "unusable", json_integer((json_int_t)check->num_unusable));
    policy_print_json(reply);
    return fine ? POLICY_FINE : POLICY_FAILED;
}

static void print_counts(const struct pel_policy_summary *summary)
{
    printf(": ok, %zu rule%s, %zu warning%s", summary->num_rules, policy_plural(summary->num_rules),
           summary->num_warnings, policy_plural(summary->num_warnings));
    if (summary->num_notes > 0)
        printf(", %zu note%s", summary->num_notes, policy_plural(summary->num_notes));
    printf("\n");
}

static int check_as_text(struct check *check)
{
    const struct pel_policy_summary *summary = &check->summary;
    enum pel_err err = run(check);
    if (err != PEL_OK && err != PEL_E_POLICY_SYNTAX) {
        fprintf(stderr, "pel: %s\n", check->error.text);
        return POLICY_FAILED;
    }
    fflush(stderr);
    policy_print_paths(check->options->files, check->options->num_files);
    if (err != PEL_OK)
        printf(": %zu error%s, nothing would be installed\n", summary->num_errors,
               policy_plural(summary->num_errors));
    else if (check->num_unusable > 0)
        printf(": %zu of %zu rule%s would refuse their connections\n", check->num_unusable,
               summary->num_rules, policy_plural(summary->num_rules));
    else if (summary->num_errors > 0)
        printf(": %zu error%s of keyrings\n", summary->num_errors, policy_plural(summary->num_errors));
    else
        print_counts(summary);
    return err == PEL_OK && summary->num_errors == 0 ? POLICY_FINE : POLICY_FAILED;
}

static const struct argp_option options_of_check[] = {
    {"strict", KEY_STRICT, NULL, 0, "Warnings are errors", 0},
    {"keyrings", KEY_KEYRINGS, "DIR", 0, "Also open the keyring of each rule, below DIR as the stack would",
     0},
    {"owner", KEY_OWNER, "USER", 0, "Whose rings relative names mean: the stack's user; else yours", 0},
    {"json", KEY_JSON, NULL, 0, "Print one JSON object", 0},
    {0},
};

int policy_check(int argc, char **argv)
{
    static const struct argp argp = {.options = options_of_check,
                                     .parser = parse_option,
                                     .args_doc = "FILE...",
                                     .doc = "Checks policy files as one policy; nothing is installed.",
                                     .children = policy_reading};
    struct options options = {0};
    struct check check = {.options = &options};
    if (!policy_parse(&argp, argc, argv, &options))
        return POLICY_USAGE;
    return options.json ? check_as_json(&check) : check_as_text(&check);
}
