/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/pel/policy/cases.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "apps/pel/policy/nearest.h"
#include "apps/pel/policy/connection.h"
#include "apps/pel/policy/out.h"

#define NO_RULE "none" /* in place of a rule's name */

/* ---- the file ---- */

#define T struct case_row
static const cyaml_schema_field_t case_fields[] = {
    YAML_TEXT(name, T),    YAML_TEXT(direction, T), YAML_TEXT(local, T), YAML_TEXT(remote, T),
    YAML_TEXT(user, T),    YAML_TEXT(job, T),       YAML_TEXT(time, T),  YAML_TEXT(rule, T),
    YAML_TEXT(verdict, T), YAML_TEXTS(settings, T), CYAML_FIELD_END,
};
#undef T
static const cyaml_schema_value_t case_value = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct case_row, case_fields),
};
static const cyaml_schema_field_t list_fields[] = {
    YAML_LIST(cases, struct case_list, &case_value),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t cases_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct case_list, list_fields),
};

static const enum pel_policy_verdict verdicts[] = {
    PEL_POLICY_VERDICT_CLEAR_NO_RULE,
    PEL_POLICY_VERDICT_CLEAR,
    PEL_POLICY_VERDICT_TLS,
    PEL_POLICY_VERDICT_TLS_WHEN_ASKED,
};

enum { NUM_VERDICTS = sizeof verdicts / sizeof *verdicts };

static bool is_verdict(const char *text)
{
    for (size_t i = 0; i < NUM_VERDICTS; i++) {
        if (strcmp(pel_policy_verdict_text(verdicts[i]), text) == 0)
            return true;
    }
    return false;
}

struct check {
    struct cases_file *file;
    struct yaml_report *report;
    unsigned index;
};

static void fail(struct check *check, const char *key, const char *text, const char *why)
{
    struct yaml_place place = yaml_find(&check->file->yaml, "cases.%u.%s", check->index, key);
    if (text == NULL)
        yaml_say(check->report, YAML_ERROR, place, "%s is missing", key);
    else
        yaml_say(check->report, YAML_ERROR, place, "%s: \"%s\" is not %s", key, text, why);
}

static void check_case(struct check *check)
{
    static const char endpoint[] = "ADDR:PORT (an IPv6 address in brackets: [ADDR]:PORT)";
    const struct case_row *row = &check->file->list->cases[check->index];
    struct pel_policy_connection *connection = &check->file->connections[check->index];
    if (row->name == NULL || row->name[0] == '\0')
        fail(check, "name", NULL, NULL);
    if (row->direction == NULL || !policy_read_direction(row->direction, &connection->inbound))
        fail(check, "direction", row->direction, "inbound or outbound");
    if (row->local == NULL || !policy_read_endpoint(row->local, &connection->local))
        fail(check, "local", row->local, endpoint);
    if (row->remote == NULL || !policy_read_endpoint(row->remote, &connection->remote))
        fail(check, "remote", row->remote, endpoint);
    connection->wall_s = (int64_t)time(NULL);
    if (row->time != NULL && !policy_read_time(row->time, &connection->wall_s))
        fail(check, "time", row->time, "a time such as 2026-03-29T02:30:00Z");
    connection->user = row->user;
    connection->job = row->job;
    if (row->verdict != NULL && !is_verdict(row->verdict))
        fail(check, "verdict", row->verdict, "tls, tls when asked, clear or clear (no rule)");
    if (row->rule == NULL && row->verdict == NULL && row->num_settings == 0)
        yaml_say(check->report, YAML_ERROR, yaml_find(&check->file->yaml, "cases.%u", check->index),
                 "nothing is expected: write rule, verdict or settings");
    for (unsigned i = 0; i < row->num_settings; i++) {
        /* A label may be empty, which is none. */
        if (strchr(row->settings[i], ' ') == NULL && strcasecmp(row->settings[i], "CertificateLabel") != 0)
            fail(check, "settings", row->settings[i], "a parameter and its value, such as \"TLSv1.3 On\"");
    }
}

static bool check_all(struct cases_file *file, struct yaml_report *report)
{
    struct check check = {.file = file, .report = report};
    file->list = file->yaml.data;
    file->connections = calloc(file->list->num_cases + 1, sizeof *file->connections);
    if (file->connections == NULL)
        yaml_say(report, YAML_ERROR, (struct yaml_place){0}, "out of memory");
    else if (file->list->num_cases == 0)
        yaml_say(report, YAML_ERROR, yaml_find(&file->yaml, "cases"), "cases: write at least one");
    else
        for (; check.index < file->list->num_cases; check.index++)
            check_case(&check);
    return report->num_errors == 0;
}

bool cases_read(struct cases_file *file, struct yaml_report *report)
{
    *file = (struct cases_file){0};
    return yaml_file_read(&file->yaml, &cases_schema, report) && check_all(file, report);
}

bool cases_read_text(struct cases_file *file, const char *text, size_t len, struct yaml_report *report)
{
    *file = (struct cases_file){0};
    return yaml_text_read(&file->yaml, &cases_schema, text, len, report) && check_all(file, report);
}

void cases_free(struct cases_file *file)
{
    free(file->connections);
    yaml_file_free(&file->yaml);
    *file = (struct cases_file){0};
}

/* ---- running one ---- */

struct run {
    const struct case_row *row;
    const struct pel_policy *policy;
    struct case_result *result;
    FILE *expected, *got, *why;
    bool is_known; /* the policy has the rule that was expected */
    bool failed;
};

/* Begins a reason; the first counts. */
static bool begin_why(struct run *run)
{
    run->failed = true;
    if (ftell(run->why) > 0)
        fputs("; ", run->why);
    return true;
}

static void hear_trial(void *arg, const struct pel_policy_trial *trial)
{
    struct run *run = arg;
    if (strcmp(trial->rule, run->row->rule) != 0)
        return;
    run->is_known = true;
    if (trial->reached && trial->matches)
        return;
    (void)begin_why(run);
    if (trial->matches)
        fprintf(run->why, "%s matches too, but is tried behind it", trial->rule);
    else
        fprintf(run->why, "%s: %s", trial->rule, trial->reason);
}

/* The expected rule is not in the policy: is there one of nearly that name? */
static void say_unknown(struct run *run)
{
    size_t num = pel_policy_count(run->policy), num_names = 0;
    const char **names = calloc(num + 1, sizeof *names);
    struct pel_policy_info info;
    for (size_t i = 0; i < num && names != NULL; i++) {
        if (pel_policy_describe(run->policy, i, &info) == PEL_OK)
            names[num_names++] = info.name;
    }
    const char *nearest = names != NULL ? nearest_word(run->row->rule, names, num_names) : NULL;
    (void)begin_why(run);
    fprintf(run->why, "the policy has no rule %s", run->row->rule);
    if (nearest != NULL)
        fprintf(run->why, "; did you mean %s?", nearest);
    free(names);
}

struct wanted {
    const char *text; /* "TLSv1.3 On" */
    size_t name_len;
    bool is_found;
    enum pel_err err;
    struct run *run;
};

/* A value as a case writes it: several with blanks between. */
static void print_value(FILE *to, const struct pel_policy_setting *setting)
{
    const char *value = setting->value;
    bool label = strcmp(setting->name, "CertificateLabel") == 0;
    if (value == NULL || value[0] == '\0') {
        fputs(label && value == NULL ? "the ring's default" : "none", to);
        return;
    }
    for (; *value != '\0'; value++)
        fputc(*value == '\n' ? ' ' : *value, to);
}

static void hear_setting(void *arg, const struct pel_policy_setting *setting)
{
    struct wanted *wanted = arg;
    enum pel_policy_answer answer = PEL_POLICY_ANSWER_OTHER;
    enum pel_err err = pel_policy_setting_is(setting, wanted->text, &answer);
    if (err != PEL_OK)
        wanted->err = err;
    if (answer == PEL_POLICY_ANSWER_OTHER)
        return;
    wanted->is_found = true;
    if (answer == PEL_POLICY_ANSWER_YES)
        return;
    (void)begin_why(wanted->run);
    fprintf(wanted->run->why, "%s is ", setting->name);
    print_value(wanted->run->why, setting);
    fprintf(wanted->run->why, ", from %s", setting->from);
}

static enum pel_err check_settings(struct run *run, const struct pel_policy_outcome *outcome)
{
    for (unsigned i = 0; i < run->row->num_settings; i++) {
        const char *text = run->row->settings[i];
        struct wanted wanted = {.text = text, .name_len = strcspn(text, " "), .run = run};
        if (!outcome->has_rule) {
            (void)begin_why(run);
            fprintf(run->why, "no rule, no settings");
            return PEL_OK;
        }
        enum pel_err err =
            pel_policy_settings(run->policy, outcome->index, PEL_POLICY_SETTINGS_ALL, hear_setting, &wanted);
        if (err != PEL_OK || wanted.err != PEL_OK)
            return err != PEL_OK ? err : wanted.err;
        if (wanted.is_found)
            continue;
        (void)begin_why(run);
        fprintf(run->why, "%s has no setting %.*s", run->result->rule, (int)wanted.name_len, text);
    }
    return PEL_OK;
}

static void check_rule(struct run *run, const struct pel_policy_connection *connection)
{
    struct pel_policy_outcome outcome;
    const char *rule = run->row->rule, *got = run->result->rule;
    if (rule == NULL || (got != NULL && strcmp(rule, got) == 0))
        return;
    if (strcmp(rule, NO_RULE) == 0) {
        if (got == NULL)
            return;
        (void)begin_why(run);
        fprintf(run->why, "%s matches", got);
        return;
    }
    if (pel_policy_match(run->policy, connection, hear_trial, run, &outcome) == PEL_OK && !run->is_known)
        say_unknown(run);
    run->failed = true;
}

static void check_verdict(struct run *run)
{
    const char *verdict = pel_policy_verdict_text(run->result->verdict);
    if (run->row->verdict == NULL || strcmp(run->row->verdict, verdict) == 0)
        return;
    bool is_explained = run->failed;
    run->failed = true;
    if (is_explained)
        return;
    (void)begin_why(run);
    if (run->result->rule != NULL)
        fprintf(run->why, "that is what rule %s says", run->result->rule);
    else
        fprintf(run->why, "no rule matches");
}

static void print_expected(FILE *to, const struct case_row *row)
{
    const char *separator = "";
    if (row->rule != NULL) {
        if (strcmp(row->rule, NO_RULE) == 0)
            fputs("no rule", to);
        else
            fprintf(to, "rule %s", row->rule);
        separator = ", ";
    }
    if (row->verdict != NULL)
        fprintf(to, "%s%s", separator, row->verdict);
    separator = row->rule != NULL || row->verdict != NULL ? ", " : "";
    for (unsigned i = 0; i < row->num_settings; i++)
        fprintf(to, "%s%s", i == 0 ? separator : ", ", row->settings[i]);
}

static enum pel_err run_case(struct run *run, const struct pel_policy_connection *connection)
{
    struct pel_policy_outcome outcome;
    struct pel_policy_info info;
    enum pel_err err = pel_policy_match(run->policy, connection, NULL, NULL, &outcome);
    if (err == PEL_OK && outcome.has_rule)
        err = pel_policy_describe(run->policy, outcome.index, &info);
    if (err != PEL_OK)
        return err;
    run->result->verdict = outcome.verdict;
    run->result->rule = outcome.has_rule ? info.name : NULL;
    print_expected(run->expected, run->row);
    fprintf(run->got, "%s%s, %s", outcome.has_rule ? "rule " : "no rule", outcome.has_rule ? info.name : "",
            pel_policy_verdict_text(outcome.verdict));
    check_rule(run, connection);
    check_verdict(run);
    /* Settings of another rule than the one that was expected say nothing. */
    return run->failed ? PEL_OK : check_settings(run, &outcome);
}

enum pel_err case_run(const struct cases_file *file, unsigned index, const struct pel_policy *policy,
                      struct case_result *ret_result)
{
    struct policy_out expected, got, why;
    *ret_result = (struct case_result){0};
    bool has_memory = policy_out_begin(&expected);
    has_memory = policy_out_begin(&got) && has_memory;
    has_memory = policy_out_begin(&why) && has_memory;
    struct run run = {.row = &file->list->cases[index],
                      .policy = policy,
                      .result = ret_result,
                      .expected = expected.stream,
                      .got = got.stream,
                      .why = why.stream};
    enum pel_err err = has_memory ? run_case(&run, &file->connections[index]) : PEL_E_NO_MEMORY;
    has_memory = policy_out_end(&expected) && has_memory;
    has_memory = policy_out_end(&got) && has_memory;
    has_memory = policy_out_end(&why) && has_memory;
    ret_result->passed = !run.failed;
    ret_result->expected = expected.text;
    ret_result->got = got.text;
    ret_result->why = why.text;
    return err == PEL_OK && !has_memory ? PEL_E_NO_MEMORY : err;
}

void case_result_free(struct case_result *result)
{
    free(result->expected);
    free(result->got);
    free(result->why);
    *result = (struct case_result){0};
}
