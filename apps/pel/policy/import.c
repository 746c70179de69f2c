/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `pel policy import FILE -o MODEL.yaml`: a policy as a model. Nothing is lost in silence: the model is built
 * again and compared with the policy, setting by setting, before it is written.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "apps/pel/policy/file.h"
#include "apps/pel/policy/model_build.h"
#include "apps/pel/policy/model_import.h"
#include "apps/pel/policy/common.h"
#include "apps/pel/policy/out.h"

enum { KEY_JSON = 256, KEY_STACK, KEY_FORCE };

struct options {
    struct pel_policy_options reading;
    bool json, force;
    const char *policy, *stack, *file;
};

struct import {
    const struct options *options;
    struct yaml_report report; /* about the policy */
    struct pel_policy *policy;
    struct facts *facts;
    size_t num_facts;
    struct hints hints;
    char *model; /* as YAML */
    bool has_secret;
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct options *options = state->input;
    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = &options->reading; return 0;
    case KEY_JSON: options->json = true; return 0;
    case KEY_STACK: options->stack = arg; return 0;
    case KEY_FORCE: options->force = true; return 0;
    case 'o': options->file = arg; return 0;
    case ARGP_KEY_ARG:
        if (options->policy != NULL)
            argp_error(state, "%s: name one policy", arg);
        options->policy = arg;
        return 0;
    case ARGP_KEY_NO_ARGS: argp_error(state, "name a policy file"); return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

/* ---- the policy ---- */

static void take_message(void *arg, const struct pel_policy_message *message)
{
    struct import *import = arg;
    if (message->severity != PEL_POLICY_ERROR)
        return;
    import->report.num_errors++;
    if (import->options->json)
        policy_json_message(import->report.diagnostics, message);
    else
        policy_print_message(NULL, message);
}

static bool open_policy(struct import *import)
{
    struct pel_error error = {0};
    enum pel_err err = pel_policy_open(&import->options->policy, 1, &import->options->reading, take_message,
                                       import, &import->policy, NULL, &error);
    if (err != PEL_OK && err != PEL_E_POLICY_SYNTAX)
        yaml_say(&import->report, YAML_ERROR, (struct yaml_place){0}, "%s", error.text);
    return err == PEL_OK;
}

static bool read_facts(struct import *import)
{
    size_t num = pel_policy_count(import->policy);
    import->facts = calloc(num + 1, sizeof *import->facts);
    if (import->facts == NULL)
        return false;
    for (size_t i = 0; i < num; i++) {
        import->num_facts++;
        if (!facts_read(import->policy, i, &import->report, &import->facts[i]))
            return false;
    }
    if (num == 0)
        yaml_say(&import->report, YAML_ERROR, (struct yaml_place){0}, "there is no rule to import");
    return num > 0;
}

/* The file was a policy a moment ago; one that is gone now has no comments. */
static bool read_hints(struct import *import)
{
    FILE *from = fopen(import->options->policy, "re");
    char *text = NULL;
    size_t cap = 0;
    ssize_t len = from != NULL ? getdelim(&text, &cap, '\0', from) : -1;
    bool fine = len < 0 || hints_read(text, &import->hints);
    free(text);
    if (from != NULL)
        fclose(from);
    return fine;
}

/* ---- does the model come to the same? ---- */

struct compare {
    struct import *import;
    bool is_last; /* say what differs */
    size_t num;
};

static void take_change(void *arg, const struct pel_policy_change *change)
{
    struct compare *compare = arg;
    struct yaml_report *report = &compare->import->report;
    struct yaml_place place = {0};
    const char *none = "none";
    if (change->kind == PEL_POLICY_CHANGE_SETTING && facts_is_nothing(change->name))
        return;
    compare->num++;
    if (!compare->is_last)
        return;
    if (change->kind != PEL_POLICY_CHANGE_ADDED && change->old_index < compare->import->num_facts)
        place.line = compare->import->facts[change->old_index].info.line;
    if (change->kind == PEL_POLICY_CHANGE_SETTING)
        yaml_say(report, YAML_ERROR, place,
                 "TTLSRule \"%s\": a model cannot express %s of %s: %s would become %s", change->rule,
                 change->name, change->statement, change->old_value != NULL ? change->old_value : none,
                 change->new_value != NULL ? change->new_value : none);
    else
        yaml_say(report, YAML_ERROR, place, "TTLSRule \"%s\": a model cannot express it: it would be %s",
                 change->rule,
                 change->kind == PEL_POLICY_CHANGE_ADDED     ? "new"
                 : change->kind == PEL_POLICY_CHANGE_REMOVED ? "gone"
                                                             : "tried at another place");
}

static void drop_message(void *arg, const struct pel_policy_message *message)
{
    struct compare *compare = arg;
    if (compare->is_last && message->severity == PEL_POLICY_ERROR)
        yaml_say(&compare->import->report, YAML_ERROR, (struct yaml_place){0},
                 "a model cannot express it: its policy would have an error: %s", message->text);
}

/* With the defaults that the policy was read with. */
static enum pel_err open_built(struct compare *compare, const struct model_policy *built,
                               struct pel_policy **ret_policy, struct pel_error *reterr)
{
    const struct pel_policy_options reading = {.flags = compare->import->options->reading.flags &
                                                        PEL_POLICY_COMPAT_ZOS};
    char path[40];
    const char *paths[] = {path};
    int fd = memfd_create("policy", MFD_CLOEXEC);
    enum pel_err err = PEL_E_NO_MEMORY;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (fd >= 0 && policy_write_all(fd, built->text, built->len))
        err = pel_policy_open(paths, 1, &reading, drop_message, compare, ret_policy, NULL, reterr);
    else
        snprintf(reterr->text, sizeof reterr->text, "%s", strerror(errno));
    if (fd >= 0)
        close(fd);
    return err;
}

static bool is_same_policy(struct import *import, const struct model_policy *built, bool is_last)
{
    struct compare compare = {import, is_last, 0};
    struct pel_policy *again = NULL;
    struct pel_error error = {0};
    enum pel_err err = open_built(&compare, built, &again, &error);
    if (err == PEL_OK)
        err = pel_policy_diff(import->policy, again, take_change, &compare, NULL);
    pel_policy_close(again);
    if (err != PEL_OK && is_last && import->report.num_errors == 0)
        yaml_say(&import->report, YAML_ERROR, (struct yaml_place){0}, "%s",
                 error.text[0] != '\0' ? error.text : pel_err_text(err));
    return err == PEL_OK && compare.num == 0;
}

/* Builds what was written. What the model's own checks say is about names and words that it does not take. */
static bool comes_to_the_same(struct import *import, bool is_last)
{
    struct yaml_report report = {.file = "model", .diagnostics = json_array()};
    struct model_policy built = {0};
    struct model_file file;
    bool is_same = false;
    if (model_read_text(&file, import->model, strlen(import->model), &report) &&
        model_build(&file, 0, "model", &report, &built))
        is_same = is_same_policy(import, &built, is_last);
    if (is_last && report.num_errors > 0)
        yaml_say(&import->report, YAML_ERROR, (struct yaml_place){0}, "a model cannot express it: %s",
                 json_string_value(json_object_get(json_array_get(report.diagnostics, 0), "message")));
    json_decref(report.diagnostics);
    model_policy_free(&built);
    model_free(&file);
    return is_same;
}

static bool write_model(struct import *import, bool by_hints)
{
    const char *stack = import->options->stack != NULL            ? import->options->stack
                        : import->hints.stack != NULL && by_hints ? import->hints.stack
                                                                  : "stack";
    free(import->model);
    import->model = model_write(import->facts, import->num_facts, by_hints ? &import->hints : NULL, stack,
                                policy_base_name(import->options->policy), &import->has_secret);
    if (import->model != NULL && strlen(import->model) > YAML_FILE_MAX) {
        yaml_say(&import->report, YAML_ERROR, (struct yaml_place){0}, "its model would be longer than %d MiB",
                 YAML_FILE_MAX >> 20);
        return false;
    }
    if (import->model == NULL)
        yaml_say(&import->report, YAML_ERROR, (struct yaml_place){0}, "out of memory");
    return import->model != NULL && comes_to_the_same(import, !by_hints);
}

/* ---- the verb ---- */

static bool save(const struct import *import)
{
    const struct options *options = import->options;
    if (options->json && (options->file == NULL || strcmp(options->file, "-") == 0))
        return true;
    return (import->has_secret ? policy_save_secret : policy_save)(options->file, import->model,
                                                                   strlen(import->model), !options->force);
}

static void print_reply(const struct import *import, bool ok)
{
    const struct options *options = import->options;
    bool to_file = options->file != NULL && strcmp(options->file, "-") != 0;
    json_t *reply =
        json_pack("{s:b, s:o, s:I, s:I, s:O}", "ok", ok, "policy", policy_json_text(options->policy), "rules",
                  (json_int_t)(ok ? import->num_facts : 0), "errors", (json_int_t)import->report.num_errors,
                  "diagnostics", import->report.diagnostics);
    if (to_file)
        (void)json_object_set_new(reply, "file", policy_json_text(options->file));
    else if (ok)
        (void)json_object_set_new(reply, "model", policy_json_text(import->model));
    policy_print_json(reply);
}

static int finish(const struct import *import, bool ok)
{
    const struct options *options = import->options;
    ok = ok && save(import);
    if (options->json)
        print_reply(import, ok);
    else if (!ok)
        fprintf(stderr, "pel: %s: %zu error%s: nothing is written\n", options->policy,
                import->report.num_errors, policy_plural(import->report.num_errors));
    else if (options->file != NULL && strcmp(options->file, "-") != 0)
        printf("%s: %zu rule%s of %s%s\n", options->file, import->num_facts, policy_plural(import->num_facts),
               options->policy, import->has_secret ? "; it holds a password" : "");
    return ok ? POLICY_FINE : POLICY_FAILED;
}

static int import(const struct options *options)
{
    struct import import = {
        .options = options,
        .report = {.file = options->policy, .diagnostics = options->json ? json_array() : NULL}};
    bool ok = open_policy(&import) && read_facts(&import) && read_hints(&import);
    ok = ok && (write_model(&import, true) || (import.report.num_errors == 0 && write_model(&import, false)));
    if (!ok && import.report.num_errors == 0)
        yaml_say(&import.report, YAML_ERROR, (struct yaml_place){0}, "out of memory");
    int status = finish(&import, ok);
    for (size_t i = 0; i < import.num_facts; i++)
        facts_free(&import.facts[i]);
    free(import.facts);
    free(import.model);
    hints_free(&import.hints);
    pel_policy_close(import.policy);
    json_decref(import.report.diagnostics);
    return status;
}

static const struct argp_option options_of_import[] = {
    {"output", 'o', "MODEL", 0, "Write to MODEL, not to stdout", 0},
    {"stack", KEY_STACK, "NAME", 0, "The stack's name in the model; default what a build's comment says", 0},
    {"force", KEY_FORCE, NULL, 0, "Replace MODEL when it is there", 0},
    {"json", KEY_JSON, NULL, 0, "Print one JSON object", 0},
    {0},
};

int policy_import(int argc, char **argv)
{
    static const struct argp argp = {.options = options_of_import,
                                     .parser = parse_option,
                                     .args_doc = "FILE",
                                     .doc = "Makes a model of reusable objects from a policy.",
                                     .children = policy_reading};
    struct options options = {0};
    if (!policy_parse(&argp, argc, argv, &options))
        return POLICY_USAGE;
    return import(&options);
}
