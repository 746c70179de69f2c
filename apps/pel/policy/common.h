/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the verbs of `pel policy` share. A verb is a file of its own, policy_VERB.c, and a row of the table in
 * policy.c; it parses its own options, prints errors on stderr, and returns an exit status.
 */
#ifndef PEL_APPS_PEL_POLICY_COMMON_H
#define PEL_APPS_PEL_POLICY_COMMON_H

#include <argp.h>
#include <jansson.h>
#include <pellucid/policy.h>
#include <stdbool.h>
#include <stddef.h>

/* Exit statuses. */
enum { POLICY_FINE = 0, POLICY_FAILED = 1, POLICY_USAGE = 2 };

/* The verbs; argv[0] is "pel policy VERB". Each is in the file of its name; policy_test is in run_cases.c. */
int policy_build(int argc, char **argv);
int policy_check(int argc, char **argv);
int policy_compile(int argc, char **argv);
int policy_diff(int argc, char **argv);
int policy_fmt(int argc, char **argv);
int policy_import(int argc, char **argv);
int policy_load(int argc, char **argv);
int policy_match(int argc, char **argv);
int policy_new(int argc, char **argv);
int policy_show(int argc, char **argv);
int policy_status(int argc, char **argv);
int policy_test(int argc, char **argv);

/* policy_parse runs argp over a verb's words; a wrong one has been reported and makes false, with exit status
 * POLICY_USAGE. */
bool policy_parse(const struct argp *argp, int argc, char **argv, void *input);

/* How policy files are read, --image and --compat: the argp children of every verb that reads some. The
 * verb's parser gives its struct pel_policy_options as state->child_inputs[0] at ARGP_KEY_INIT. */
extern const struct argp_child policy_reading[];

/* policy_open opens files as one policy for a verb that asks it. Errors of the policy, but no warnings, are
 * printed on stderr; with `json` as one object {"error", "diagnostics"} on stdout. False: nothing was opened.
 */
bool policy_open(char *const *paths, size_t num_paths, const struct pel_policy_options *reading, bool json,
                 struct pel_policy **ret_policy);

/* policy_json_text makes text from outside a JSON string; what is not UTF-8 (a file's name may be) is shown
 * with question marks. NULL: out of memory. */
json_t *policy_json_text(const char *text);

/* policy_json_names makes an array of paths, as given, or `absolute`, with their links as they are: where one
 * leads may change. */
json_t *policy_json_names(char *const *paths, size_t num_paths, bool absolute);

/* policy_print_json prints the object, indented, and drops the reference. */
void policy_print_json(json_t *value);

/* policy_print_paths prints "A, B" without an end of line. */
void policy_print_paths(char *const *paths, size_t num_paths);

/* policy_print_message prints "FILE:LINE:COLUMN: SEVERITY: TEXT" on stderr; `arg` is not used. */
void policy_print_message(void *arg, const struct pel_policy_message *message);

/* policy_json_message appends the message to `arg`, a JSON array. */
void policy_json_message(void *arg, const struct pel_policy_message *message);

/* policy_plural returns "s", or "" for 1. */
const char *policy_plural(size_t num);

#endif
