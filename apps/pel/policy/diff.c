/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `pel policy diff A B`: what changes in effect from one policy to another.
 */
#include <stdio.h>
#include <string.h>

#include "apps/pel/policy/common.h"

enum { KEY_JSON = 256, KEY_EXIT_CODE };

struct options {
    struct pel_policy_options reading;
    bool json, exit_code;
    char **files;
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct options *options = state->input;
    (void)arg;
    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = &options->reading; return 0;
    case KEY_JSON: options->json = true; return 0;
    case KEY_EXIT_CODE: options->exit_code = true; return 0;
    case ARGP_KEY_ARGS:
        options->files = state->argv + state->next;
        if (state->argc - state->next != 2)
            argp_error(state, "name two policy files, the old one and the new one");
        return 0;
    case ARGP_KEY_NO_ARGS: argp_error(state, "name two policy files, the old one and the new one"); return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

/* Several values in one line. */
static void print_values(const char *value)
{
    for (; value != NULL && *value != '\0'; value++) {
        if (*value == '\n')
            printf(", ");
        else
            putchar(*value);
    }
}

/* The rule whose changes are being printed. */
struct printing {
    size_t new_index;
    bool any;
};

static void print_heading(struct printing *printing, const struct pel_policy_change *change)
{
    bool same = printing->any && printing->new_index == change->new_index;
    printing->any = true;
    printing->new_index = change->new_index;
    if (!same)
        printf("~ rule %s\n", change->rule);
}

static void print_change(void *arg, const struct pel_policy_change *change)
{
    switch (change->kind) {
    case PEL_POLICY_CHANGE_ADDED: printf("+ rule %s\n", change->rule); return;
    case PEL_POLICY_CHANGE_REMOVED: printf("- rule %s\n", change->rule); return;
    case PEL_POLICY_CHANGE_MOVED:
        print_heading(arg, change);
        printf("    moved: now tried %s %s\n", change->tried_before != NULL ? "before" : "behind",
               change->tried_before != NULL ? change->tried_before : "all others that were there");
        return;
    case PEL_POLICY_CHANGE_SETTING: break;
    }
    print_heading(arg, change);
    printf("    %s: ", change->name);
    print_values(change->old_value != NULL ? change->old_value : "-");
    printf(" -> ");
    print_values(change->new_value != NULL ? change->new_value : "-");
    printf("%s\n", change->old_value != NULL && change->new_value != NULL &&
                           strcmp(change->old_value, change->new_value) == 0
                       ? " (changed)"
                       : "");
}

static json_t *text_or_null(const char *text)
{
    return text == NULL ? json_null() : policy_json_text(text);
}

static void add_change(void *arg, const struct pel_policy_change *change)
{
    static const char *const kinds[] = {[PEL_POLICY_CHANGE_ADDED] = "added",
                                        [PEL_POLICY_CHANGE_REMOVED] = "removed",
                                        [PEL_POLICY_CHANGE_MOVED] = "moved",
                                        [PEL_POLICY_CHANGE_SETTING] = "changed"};
    bool has_old = change->kind != PEL_POLICY_CHANGE_ADDED;
    bool has_new = change->kind != PEL_POLICY_CHANGE_REMOVED;
    json_t *entry = json_pack(
        "{s:s, s:o, s:o, s:o}", "change", kinds[change->kind], "rule", policy_json_text(change->rule),
        "old_index", has_old ? json_integer((json_int_t)change->old_index) : json_null(), "new_index",
        has_new ? json_integer((json_int_t)change->new_index) : json_null());
    if (change->kind == PEL_POLICY_CHANGE_MOVED)
        (void)json_object_set_new(entry, "tried_before", text_or_null(change->tried_before));
    if (change->kind == PEL_POLICY_CHANGE_SETTING) {
        (void)json_object_set_new(entry, "statement", policy_json_text(change->statement));
        (void)json_object_set_new(entry, "name", policy_json_text(change->name));
        (void)json_object_set_new(entry, "old", text_or_null(change->old_value));
        (void)json_object_set_new(entry, "new", text_or_null(change->new_value));
    }
    (void)json_array_append_new(arg, entry);
}

static int diff(const struct options *options, const struct pel_policy *before,
                const struct pel_policy *after)
{
    struct printing printing = {0};
    size_t num_changes = 0;
    json_t *changes = options->json ? json_array() : NULL;
    enum pel_err err = pel_policy_diff(before, after, options->json ? add_change : print_change,
                                       options->json ? (void *)changes : &printing, &num_changes);
    if (err != PEL_OK)
        fprintf(stderr, "pel: %s\n", pel_err_text(err));
    else if (options->json)
        policy_print_json(json_pack("{s:b, s:O}", "equal", num_changes == 0, "changes", changes));
    json_decref(changes);
    return err != PEL_OK || (options->exit_code && num_changes > 0) ? POLICY_FAILED : POLICY_FINE;
}

static const struct argp_option options_of_diff[] = {
    {"exit-code", KEY_EXIT_CODE, NULL, 0, "Exit with status 1 when something changes", 0},
    {"json", KEY_JSON, NULL, 0, "Print one JSON object", 0},
    {0},
};

int policy_diff(int argc, char **argv)
{
    static const struct argp argp = {
        .options = options_of_diff,
        .parser = parse_option,
        .args_doc = "OLD NEW",
        .doc =
            "Tells what changes in effect from one policy to another, rule by rule: rules that come (+), go "
            "(-), move, or get other values (~); not how the text differs. A rule is the same when its name "
            "is. Exit status: 0, also when something changes, unless --exit-code is given; 1 when a policy "
            "has errors.",
        .children = policy_reading};
    struct options options = {0};
    struct pel_policy *before = NULL, *after = NULL;
    if (!policy_parse(&argp, argc, argv, &options))
        return POLICY_USAGE;
    bool opened = policy_open(&options.files[0], 1, &options.reading, options.json, &before) &&
                  policy_open(&options.files[1], 1, &options.reading, options.json, &after);
    int status = opened ? diff(&options, before, after) : POLICY_FAILED;
    pel_policy_close(before);
    pel_policy_close(after);
    return status;
}
