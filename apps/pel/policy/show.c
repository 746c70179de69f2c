/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `pel policy show FILE [RULE...]`: what holds for each rule, whichever statement it comes from.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "apps/pel/policy/common.h"

enum {
    KEY_JSON = 256,
    KEY_ALL,
    KEY_FORMAT,
};

struct options {
    bool json, all, pasearch;
    char **files; /* one, then the rules */
    size_t num_words;
    int64_t loaded_s;
    struct pel_policy_options reading;
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct options *options = state->input;
    switch (key) {
    case KEY_JSON: options->json = true; return 0;
    case KEY_ALL: options->all = true; return 0;
    case KEY_FORMAT:
        options->pasearch = strcmp(arg, "pasearch") == 0;
        if (!options->pasearch && strcmp(arg, "text") != 0)
            argp_error(state, "--format \"%s\" is not text or pasearch", arg);
        return 0;
    case ARGP_KEY_INIT: state->child_inputs[0] = &options->reading; return 0;
    case ARGP_KEY_ARGS:
        options->files = state->argv + state->next;
        options->num_words = (size_t)(state->argc - state->next);
        return 0;
    case ARGP_KEY_NO_ARGS: argp_error(state, "name a policy file"); return 0;
    case ARGP_KEY_END:
        if (options->json && options->pasearch)
            argp_error(state, "--json and --format pasearch exclude each other");
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

/* Values that take several lines stand below each other; where they come from stands beside the first. */
static void print_setting(void *arg, const struct pel_policy_setting *setting)
{
    const char *value = setting->value != NULL ? setting->value : "-";
    const char *name = setting->name;
    (void)arg;
    for (bool first = true; value != NULL; first = false) {
        const char *newline = strchr(value, '\n');
        int len = newline != NULL ? (int)(newline - value) : (int)strlen(value);
        if (first)
            printf("  %-30s  %-32.*s  %s\n", name, len, value, setting->from);
        else
            printf("  %-30s  %.*s\n", "", len, value);
        value = newline != NULL ? newline + 1 : NULL;
    }
    if (setting->note != NULL)
        printf("  %-30s    %s\n", "", setting->note);
}

static const char *direction_of(const struct pel_policy_info *info)
{
    if (info->inbound)
        return info->outbound ? "both" : "inbound";
    return "outbound";
}

static enum pel_err print_text(void *arg, const char *text, size_t text_len)
{
    (void)arg;
    return fwrite(text, 1, text_len, stdout) == text_len ? PEL_OK : PEL_E_IO;
}

static enum pel_err print_rule(const struct options *options, const struct pel_policy *policy, size_t index,
                               bool first)
{
    struct pel_policy_info info;
    enum pel_err err = pel_policy_describe(policy, index, &info);
    if (err != PEL_OK)
        return err;
    if (options->pasearch)
        return pel_policy_pasearch_rule(policy, index, options->loaded_s, print_text, NULL);
    printf("%srule %s: %s (%s:%u)\n", first ? "" : "\n", info.name, pel_policy_verdict_text(info.verdict),
           info.file, info.line);
    return pel_policy_settings(policy, index, options->all ? PEL_POLICY_SETTINGS_ALL : 0, print_setting,
                               NULL);
}

/* The values of a parameter, which are several only for some. */
static json_t *values_as_json(const char *value)
{
    json_t *values = json_array();
    while (value != NULL) {
        const char *newline = strchr(value, '\n');
        char *one = newline != NULL ? strndup(value, (size_t)(newline - value)) : strdup(value);
        (void)json_array_append_new(values, one == NULL ? NULL : policy_json_text(one));
        free(one);
        value = newline != NULL ? newline + 1 : NULL;
    }
    return values;
}

static void add_setting(void *arg, const struct pel_policy_setting *setting)
{
    json_t *entry = json_pack("{s:s, s:s, s:o, s:o, s:o, s:I, s:b, s:o}", "statement", setting->statement,
                              "name", setting->name, "values", values_as_json(setting->value), "from",
                              policy_json_text(setting->from), "file",
                              setting->file == NULL ? json_null() : policy_json_text(setting->file), "line",
                              (json_int_t)setting->line, "default", setting->is_default, "note",
                              setting->note == NULL ? json_null() : policy_json_text(setting->note));
    (void)json_array_append_new(arg, entry);
}

static enum pel_err add_rule(const struct options *options, const struct pel_policy *policy, size_t index,
                             json_t *rules)
{
    struct pel_policy_info info;
    enum pel_err err = pel_policy_describe(policy, index, &info);
    if (err != PEL_OK)
        return err;
    json_t *settings = json_array();
    err =
        pel_policy_settings(policy, index, options->all ? PEL_POLICY_SETTINGS_ALL : 0, add_setting, settings);
    json_t *entry =
        json_pack("{s:o, s:I, s:s, s:s, s:o, s:I, s:o, s:o, s:o, s:o}", "rule", policy_json_text(info.name),
                  "priority", (json_int_t)info.priority, "direction", direction_of(&info), "verdict",
                  pel_policy_verdict_text(info.verdict), "file", policy_json_text(info.file), "line",
                  (json_int_t)info.line, "group_action", policy_json_text(info.group_action),
                  "environment_action", policy_json_text(info.environment_action), "connection_action",
                  policy_json_text(info.connection_action), "settings", settings);
    (void)json_array_append_new(rules, entry);
    return err;
}

/* Which rules the words after the file name; false when one names none. */
static bool choose(const struct options *options, const struct pel_policy *policy, bool *chosen)
{
    struct pel_policy_info info;
    for (size_t i = 1; i < options->num_words; i++) {
        bool found = false;
        for (size_t j = 0; j < pel_policy_count(policy); j++) {
            if (pel_policy_describe(policy, j, &info) != PEL_OK || strcmp(info.name, options->files[i]) != 0)
                continue;
            chosen[j] = found = true;
        }
        if (!found) {
            fprintf(stderr, "pel: %s: no rule is named \"%s\"\n", options->files[0], options->files[i]);
            return false;
        }
    }
    return true;
}

static int show(const struct options *options, const struct pel_policy *policy)
{
    size_t num = pel_policy_count(policy), num_shown = 0;
    bool *chosen = calloc(num + 1, sizeof *chosen);
    json_t *rules = options->json ? json_array() : NULL;
    enum pel_err err = chosen == NULL ? PEL_E_NO_MEMORY : PEL_OK;
    if (err == PEL_OK && !choose(options, policy, chosen)) {
        free(chosen);
        json_decref(rules);
        return POLICY_FAILED;
    }
    if (options->pasearch && err == PEL_OK)
        err = pel_policy_pasearch_head(time(NULL), options->loaded_s, print_text, NULL);
    for (size_t i = 0; i < num && err == PEL_OK; i++) {
        if (options->num_words > 1 && !chosen[i])
            continue;
        err = options->json ? add_rule(options, policy, i, rules)
                            : print_rule(options, policy, i, num_shown == 0);
        num_shown++;
    }
    free(chosen);
    if (err != PEL_OK)
        fprintf(stderr, "pel: %s\n", pel_err_text(err));
    else if (options->json)
        policy_print_json(json_pack("{s:O}", "rules", rules));
    json_decref(rules);
    return err == PEL_OK ? POLICY_FINE : POLICY_FAILED;
}

static const struct argp_option options_of_show[] = {
    {"all", KEY_ALL, NULL, 0, "Also what has its default value", 0},
    {"format", KEY_FORMAT, "text|pasearch", 0,
     "pasearch: as the report of the original's pasearch -t (docs/PASEARCH.md)", 0},
    {"json", KEY_JSON, NULL, 0, "Print one JSON object", 0},
    {0},
};

int policy_show(int argc, char **argv)
{
    static const struct argp argp = {
        .options = options_of_show,
        .parser = parse_option,
        .args_doc = "FILE [RULE...]",
        .doc =
            "Shows what holds for the rules of a policy, in match order: the value of each parameter, after "
            "what the connection action overrides and the group action hands down, and the statement that "
            "it comes from. Without --all only what differs from its default. Passwords are not shown.",
        .children = policy_reading};
    struct options options = {0};
    struct pel_policy *policy = NULL;
    if (!policy_parse(&argp, argc, argv, &options))
        return POLICY_USAGE;
    if (!policy_open(options.files, 1, &options.reading, options.json, &policy))
        return POLICY_FAILED;
    struct stat status_of_file;
    if (stat(options.files[0], &status_of_file) == 0)
        options.loaded_s = status_of_file.st_mtime;
    int status = show(&options, policy);
    pel_policy_close(policy);
    return status;
}
