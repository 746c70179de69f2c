/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `pel policy compile FILE... -o IMAGE`: a checked policy in one file that loads without its text.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apps/pel/policy/common.h"
#include "apps/pel/policy/file.h"
#include "apps/pel/policy/out.h"

enum { KEY_JSON = 256 };

struct options {
    struct pel_policy_options reading;
    bool json;
    const char *output;
    char **files;
    size_t num_files;
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct options *options = state->input;
    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = &options->reading; return 0;
    case KEY_JSON: options->json = true; return 0;
    case 'o': options->output = arg; return 0;
    case ARGP_KEY_ARGS:
        options->files = state->argv + state->next;
        options->num_files = (size_t)(state->argc - state->next);
        return 0;
    case ARGP_KEY_NO_ARGS: argp_error(state, "name a policy file"); return 0;
    case ARGP_KEY_END:
        if (options->output == NULL)
            argp_error(state, "-o IMAGE is missing");
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

struct image {
    char *bytes;
    size_t len;
};

static enum pel_err take_bytes(void *arg, const char *bytes, size_t len)
{
    struct image *image = arg;
    char *grown = realloc(image->bytes, image->len + len);
    if (grown == NULL)
        return PEL_E_NO_MEMORY;
    memcpy(grown + image->len, bytes, len);
    image->bytes = grown;
    image->len += len;
    return PEL_OK;
}

/* As policy_open, but warnings and notes are said too: nobody will hear them of the image. */
static bool open_saying_all(const struct options *options, json_t *diagnostics,
                            struct pel_policy **ret_policy)
{
    struct pel_error error = {0};
    enum pel_err err = pel_policy_open(
        (const char *const *)options->files, options->num_files, &options->reading,
        options->json ? policy_json_message : policy_print_message, diagnostics, ret_policy, NULL, &error);
    if (err == PEL_OK)
        return true;
    if (options->json)
        policy_print_json(
            json_pack("{s:o, s:O}", "error", policy_json_text(error.text), "diagnostics", diagnostics));
    else if (err != PEL_E_POLICY_SYNTAX)
        fprintf(stderr, "pel: %s\n", error.text);
    return false;
}

/* An agent's file names others. */
static bool is_apart_from_rules(const char *output, const struct pel_policy *policy)
{
    const char *last = NULL;
    for (size_t i = 0; i < pel_policy_count(policy); i++) {
        struct pel_policy_info rule;
        if (pel_policy_describe(policy, i, &rule) != PEL_OK || rule.file == NULL || rule.file == last)
            continue;
        last = rule.file;
        if (!policy_is_apart(output, &last, 1))
            return false;
    }
    return true;
}

static int compile(const struct options *options, const struct pel_policy *policy, json_t *diagnostics)
{
    if (!is_apart_from_rules(options->output, policy))
        return POLICY_FAILED;
    struct image image = {0};
    bool secret = pel_policy_has_secrets(policy) != 0;
    enum pel_err err = pel_policy_write_image(policy, take_bytes, &image);
    bool written =
        err == PEL_OK && policy_write_file(options->output, secret ? 0600 : 0644, image.bytes, image.len);
    free(image.bytes);
    if (err != PEL_OK)
        fprintf(stderr, "pel: %s\n", pel_err_text(err));
    if (!written)
        return POLICY_FAILED;
    size_t num_rules = pel_policy_count(policy);
    if (options->json)
        policy_print_json(json_pack("{s:o, s:I, s:I, s:b, s:O}", "image", policy_json_text(options->output),
                                    "rules", (json_int_t)num_rules, "bytes", (json_int_t)image.len, "secret",
                                    secret, "diagnostics", diagnostics));
    else
        printf("%s: %zu rule%s, %zu bytes%s\n", options->output, num_rules, policy_plural(num_rules),
               image.len, secret ? ", with passwords: for its owner's eyes only" : "");
    return POLICY_FINE;
}

static const struct argp_option options_of_compile[] = {
    {NULL, 'o', "IMAGE", 0, "The file to write; it appears whole or not at all", 0},
    {"json", KEY_JSON, NULL, 0, "Print one JSON object", 0},
    {0},
};

int policy_compile(int argc, char **argv)
{
    static const struct argp argp = {
        .options = options_of_compile,
        .parser = parse_option,
        .args_doc = "FILE...",
        .doc = "Writes a policy as one image, which pel stack, check, match, show, diff and load take in the "
               "place of its files: it loads to the same policy. Its checksum finds damage, not forgery. An "
               "image that holds passwords is readable by its owner alone.\vAn image is read by the release "
               "that wrote it; keep the text. Warnings and notes are said now; of an image it is only said "
               "how many there were.",
        .children = policy_reading};
    struct options options = {0};
    struct pel_policy *policy = NULL;
    if (!policy_parse(&argp, argc, argv, &options))
        return POLICY_USAGE;
    if (!policy_is_apart(options.output, (const char *const *)options.files, options.num_files))
        return POLICY_FAILED;
    json_t *diagnostics = options.json ? json_array() : NULL;
    int status = POLICY_FAILED;
    if (open_saying_all(&options, diagnostics, &policy))
        status = compile(&options, policy, diagnostics);
    pel_policy_close(policy);
    json_decref(diagnostics);
    return status;
}
