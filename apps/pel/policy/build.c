/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `pel policy build MODEL.yaml -o FILE`: the policy of one stack of a model. What is written was checked as a
 * policy first; what the check says is said of the line of the model that it comes from.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apps/pel/policy/model_build.h"
#include "apps/pel/policy/nearest.h"
#include "apps/pel/policy/common.h"
#include "apps/pel/policy/out.h"

enum { KEY_JSON = 256, KEY_STACK, KEY_STRICT };

struct options {
    bool json, strict;
    const char *model, *stack, *file;
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct options *options = state->input;
    switch (key) {
    case KEY_JSON: options->json = true; return 0;
    case KEY_STRICT: options->strict = true; return 0;
    case KEY_STACK: options->stack = arg; return 0;
    case 'o': options->file = arg; return 0;
    case ARGP_KEY_ARG:
        if (options->model != NULL)
            argp_error(state, "%s: name one model", arg);
        options->model = arg;
        return 0;
    case ARGP_KEY_NO_ARGS: argp_error(state, "name a model's file"); return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

/* The only stack, or the one that was asked for; -1: reported. */
static int choose_stack(const struct options *options, const struct model_file *file,
                        struct yaml_report *report)
{
    const struct model *model = file->model;
    const char *names[1000];
    for (unsigned i = 0; i < model->num_stacks; i++) {
        names[i] = model->stacks[i].name;
        if (options->stack != NULL && strcmp(names[i], options->stack) == 0)
            return (int)i;
    }
    if (options->stack == NULL && model->num_stacks == 1)
        return 0;
    struct yaml_place place = yaml_find(&file->yaml, "stacks");
    if (options->stack == NULL) {
        yaml_say(report, YAML_ERROR, place, "the model has %u stacks: choose one with --stack NAME",
                 model->num_stacks);
        return -1;
    }
    const char *nearest = nearest_word(options->stack, names, model->num_stacks);
    yaml_say(report, YAML_ERROR, place, "there is no stack \"%s\"%s%s%s", options->stack,
             nearest != NULL ? "; did you mean \"" : "", nearest != NULL ? nearest : "",
             nearest != NULL ? "\"?" : "");
    return -1;
}

struct forward {
    const struct model_policy *policy;
    struct yaml_report *report;
};

static struct yaml_place origin_of(const struct model_policy *policy, unsigned long line)
{
    return line >= 1 && line <= policy->num_lines ? policy->origins[line - 1] : (struct yaml_place){0};
}

/* "on line 42" is a line of the policy as well. */
static const char *with_origins(const struct model_policy *policy, const char *text, char *buffer, size_t cap)
{
    static const char on_line[] = "on line ";
    const char *at = strstr(text, on_line);
    char *end = NULL;
    if (at == NULL)
        return text;
    unsigned long line = strtoul(at + strlen(on_line), &end, 10);
    snprintf(buffer, cap, "%.*s%u%s", (int)(at - text) + (int)strlen(on_line), text,
             origin_of(policy, line).line, end);
    return buffer;
}

static void forward(void *arg, const struct pel_policy_message *message)
{
    struct forward *forward = arg;
    char buffer[1000];
    struct yaml_place place = origin_of(forward->policy, message->line);
    const char *text = with_origins(forward->policy, message->text, buffer, sizeof buffer);
    if (message->severity != PEL_POLICY_NOTE)
        yaml_say(forward->report, message->severity == PEL_POLICY_ERROR ? YAML_ERROR : YAML_WARNING, place,
                 "%s", text);
}

/* What a check of the text says; returns whether it holds a password. */
static bool check_policy(const struct model_policy *policy, struct yaml_report *report)
{
    struct forward target = {policy, report};
    struct pel_policy *opened = NULL;
    struct pel_error error = {0};
    enum pel_err err = policy_open_text(policy->text, policy->len, forward, &target, &opened, &error);
    if (err != PEL_OK && err != PEL_E_POLICY_SYNTAX)
        yaml_say(report, YAML_ERROR, (struct yaml_place){0}, "the policy cannot be checked: %s", error.text);
    bool has_secrets = opened != NULL && pel_policy_has_secrets(opened) != 0;
    pel_policy_close(opened);
    return has_secrets;
}

static void print_reply(const struct options *options, const struct yaml_report *report, const char *stack,
                        const struct model_policy *policy, bool ok)
{
    bool to_file = options->file != NULL && strcmp(options->file, "-") != 0;
    json_t *reply =
        json_pack("{s:b, s:o, s:I, s:I, s:I, s:O}", "ok", ok, "model", policy_json_text(options->model),
                  "rules", (json_int_t)(ok ? policy->num_rules : 0), "errors", (json_int_t)report->num_errors,
                  "warnings", (json_int_t)report->num_warnings, "diagnostics", report->diagnostics);
    if (stack != NULL)
        (void)json_object_set_new(reply, "stack", policy_json_text(stack));
    if (to_file)
        (void)json_object_set_new(reply, "file", policy_json_text(options->file));
    else if (ok)
        (void)json_object_set_new(reply, "policy", policy_json_text(policy->text));
    policy_print_json(reply);
}

static int finish(const struct options *options, struct yaml_report *report, const char *stack,
                  const struct model_policy *policy, bool has_secrets)
{
    bool to_file = options->file != NULL && strcmp(options->file, "-") != 0;
    bool ok = report->num_errors == 0 && (!options->strict || report->num_warnings == 0);
    if (ok && (to_file || !options->json))
        ok =
            (has_secrets ? policy_save_secret : policy_save)(options->file, policy->text, policy->len, false);
    if (options->json)
        print_reply(options, report, stack, policy, ok);
    else if (!ok)
        fprintf(stderr, "pel: %s: %zu error%s, %zu warning%s: nothing is written\n", options->model,
                report->num_errors, policy_plural(report->num_errors), report->num_warnings,
                policy_plural(report->num_warnings));
    else if (to_file)
        printf("%s: %zu rule%s of stack \"%s\", %zu warning%s\n", options->file, policy->num_rules,
               policy_plural(policy->num_rules), stack, report->num_warnings,
               policy_plural(report->num_warnings));
    return ok ? POLICY_FINE : POLICY_FAILED;
}

static int build(const struct options *options)
{
    struct yaml_report report = {.file = options->model, .diagnostics = options->json ? json_array() : NULL};
    struct model_policy policy = {0};
    struct model_file file;
    const char *stack_name = NULL;
    bool has_secrets = false;
    if (model_read(&file, &report)) {
        int stack = choose_stack(options, &file, &report);
        stack_name = stack >= 0 ? file.model->stacks[stack].name : NULL;
        if (stack >= 0 &&
            model_build(&file, (unsigned)stack, policy_base_name(options->model), &report, &policy))
            has_secrets = check_policy(&policy, &report);
    }
    int status = finish(options, &report, stack_name, &policy, has_secrets);
    model_policy_free(&policy);
    model_free(&file);
    json_decref(report.diagnostics);
    return status;
}

static const struct argp_option options_of_build[] = {
    {"output", 'o', "FILE", 0, "Write to FILE, not to stdout", 0},
    {"stack", KEY_STACK, "NAME", 0, "The stack, when the model has several", 0},
    {"strict", KEY_STRICT, NULL, 0, "Warnings are errors", 0},
    {"json", KEY_JSON, NULL, 0, "Print one JSON object", 0},
    {0},
};

int policy_build(int argc, char **argv)
{
    static const struct argp argp = {.options = options_of_build,
                                     .parser = parse_option,
                                     .args_doc = "MODEL.yaml",
                                     .doc = "Makes a policy from a model of reusable objects."};
    struct options options = {0};
    if (!policy_parse(&argp, argc, argv, &options))
        return POLICY_USAGE;
    return policy_is_apart(options.file, &options.model, 1) ? build(&options) : POLICY_FAILED;
}
