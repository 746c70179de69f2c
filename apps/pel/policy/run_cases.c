/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `pel policy test FILE... CASES.yaml`: does the policy say of these connections what it should?
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apps/pel/policy/cases.h"
#include "apps/pel/policy/common.h"
#include "apps/pel/policy/out.h"

enum { KEY_JSON = 256, KEY_JUNIT };

struct options {
    struct pel_policy_options reading;
    bool json;
    const char *junit, *cases;
    char **files;
    size_t num_files;
};

struct tally {
    const struct options *options;
    const struct cases_file *file;
    json_t *rows;            /* NULL: in words */
    struct policy_out junit; /* its stream is NULL when none was asked for */
    size_t num_failed;
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct options *options = state->input;
    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = &options->reading; return 0;
    case KEY_JSON: options->json = true; return 0;
    case KEY_JUNIT: options->junit = arg; return 0;
    case ARGP_KEY_ARGS:
        options->files = state->argv + state->next;
        options->num_files = (size_t)(state->argc - state->next) - 1;
        options->cases = options->files[options->num_files];
        if (options->num_files == 0)
            argp_error(state, "name a policy file and a file of cases");
        return 0;
    case ARGP_KEY_NO_ARGS: argp_error(state, "name a policy file and a file of cases"); return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static void print_row(const struct tally *tally, unsigned index, const struct case_result *result)
{
    const char *name = tally->file->list->cases[index].name;
    if (!result->passed)
        printf("%s:%u: %s: expected %s; got %s%s%s\n", tally->options->cases,
               yaml_find(&tally->file->yaml, "cases.%u", index).line, name, result->expected, result->got,
               result->why[0] != '\0' ? ": " : "", result->why);
}

static void add_row(const struct tally *tally, unsigned index, const struct case_result *result)
{
    json_t *row = json_pack(
        "{s:o, s:I, s:b, s:o, s:o, s:o, s:s}", "name", policy_json_text(tally->file->list->cases[index].name),
        "line", (json_int_t)yaml_find(&tally->file->yaml, "cases.%u", index).line, "ok", result->passed,
        "expected", policy_json_text(result->expected), "why", policy_json_text(result->why), "rule",
        result->rule != NULL ? policy_json_text(result->rule) : json_null(), "verdict",
        pel_policy_verdict_text(result->verdict));
    (void)json_array_append_new(tally->rows, row);
}

/* Text as XML has it; what XML cannot hold at all is a question mark. */
static void put_xml(FILE *to, const char *text)
{
    for (; *text != '\0'; text++) {
        switch (*text) {
        case '<': fputs("&lt;", to); break;
        case '>': fputs("&gt;", to); break;
        case '&': fputs("&amp;", to); break;
        case '"': fputs("&quot;", to); break;
        case '\n': fputs("&#10;", to); break;
        default: fputc(*text >= 0 && *text < ' ' ? '?' : *text, to);
        }
    }
}

static void put_junit_row(FILE *to, const struct case_row *row, const struct case_result *result)
{
    fputs("  <testcase classname=\"policy\" name=\"", to);
    put_xml(to, row->name);
    if (result->passed) {
        fputs("\"/>\n", to);
        return;
    }
    fputs("\">\n    <failure message=\"expected ", to);
    put_xml(to, result->expected);
    fputs("; got ", to);
    put_xml(to, result->got);
    fputs("\">", to);
    put_xml(to, result->why);
    fputs("</failure>\n  </testcase>\n", to);
}

static bool run_cases(struct tally *tally, const struct pel_policy *policy)
{
    for (unsigned i = 0; i < tally->file->list->num_cases; i++) {
        struct case_result result;
        enum pel_err err = case_run(tally->file, i, policy, &result);
        if (err != PEL_OK) {
            fprintf(stderr, "pel: %s\n", pel_err_text(err));
            case_result_free(&result);
            return false;
        }
        tally->num_failed += !result.passed;
        if (tally->rows != NULL)
            add_row(tally, i, &result);
        else
            print_row(tally, i, &result);
        if (tally->junit.stream != NULL)
            put_junit_row(tally->junit.stream, &tally->file->list->cases[i], &result);
        case_result_free(&result);
    }
    return true;
}

static bool save_junit(struct tally *tally)
{
    struct policy_out whole;
    bool fine = policy_out_end(&tally->junit) && policy_out_begin(&whole);
    if (fine) {
        fprintf(
            whole.stream,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"pel policy test\" tests=\"%u\" "
            "failures=\"%zu\">\n%s</testsuite>\n",
            tally->file->list->num_cases, tally->num_failed, tally->junit.text);
        fine = policy_out_end(&whole) && policy_save(tally->options->junit, whole.text, whole.len, false);
        policy_out_free(&whole);
    }
    return fine;
}

static int finish(struct tally *tally)
{
    unsigned num = tally->file->list->num_cases;
    bool fine = tally->options->junit == NULL || save_junit(tally);
    if (tally->rows != NULL)
        policy_print_json(json_pack("{s:b, s:I, s:I, s:O}", "ok", tally->num_failed == 0, "passed",
                                    (json_int_t)(num - tally->num_failed), "failed",
                                    (json_int_t)tally->num_failed, "cases", tally->rows));
    else
        printf("%s: %u case%s, %zu failed\n", tally->options->cases, num, policy_plural(num),
               tally->num_failed);
    return fine && tally->num_failed == 0 ? POLICY_FINE : POLICY_FAILED;
}

static int run_all(const struct options *options, const struct cases_file *file,
                   const struct pel_policy *policy)
{
    struct tally tally = {.options = options, .file = file, .rows = options->json ? json_array() : NULL};
    int status = POLICY_FAILED;
    if (options->junit != NULL && !policy_out_begin(&tally.junit))
        fprintf(stderr, "pel: out of memory\n");
    else if (run_cases(&tally, policy))
        status = finish(&tally);
    policy_out_free(&tally.junit);
    json_decref(tally.rows);
    return status;
}

static int test(const struct options *options)
{
    struct yaml_report report = {.file = options->cases, .diagnostics = options->json ? json_array() : NULL};
    struct pel_policy *policy = NULL;
    struct cases_file file;
    int status = POLICY_FAILED;
    bool is_read = cases_read(&file, &report);
    if (!is_read && options->json)
        policy_print_json(json_pack("{s:b, s:O}", "ok", 0, "diagnostics", report.diagnostics));
    if (is_read && policy_open(options->files, options->num_files, &options->reading, options->json, &policy))
        status = run_all(options, &file, policy);
    pel_policy_close(policy);
    cases_free(&file);
    json_decref(report.diagnostics);
    return status;
}

static const struct argp_option options_of_test[] = {
    {"junit", KEY_JUNIT, "FILE", 0, "Also write the results as JUnit's XML", 0},
    {"json", KEY_JSON, NULL, 0, "Print one JSON object", 0},
    {0},
};

int policy_test(int argc, char **argv)
{
    static const struct argp argp = {
        .options = options_of_test,
        .parser = parse_option,
        .args_doc = "FILE... CASES.yaml",
        .doc = "Compares what a policy says of connections with what it should. One line for each case that "
               "fails: "
               "what was expected, what came, and why. Exit status 1 when one fails or a file has errors.",
        .children = policy_reading};
    struct options options = {0};
    if (!policy_parse(&argp, argc, argv, &options))
        return POLICY_USAGE;
    if (!policy_is_apart(options.junit, (const char *const *)options.files, options.num_files) ||
        !policy_is_apart(options.junit, &options.cases, 1))
        return POLICY_FAILED;
    return test(&options);
}
