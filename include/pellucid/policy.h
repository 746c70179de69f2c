/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checking policy files without a stack: what would a load of these files say? Every error and warning of all
 * files comes in one pass, in the order of the text. Nothing is installed anywhere.
 *
 * Failure: a file that cannot be read is an error in `reterr` and nothing is checked; a policy with errors is
 * PEL_E_POLICY_SYNTAX, after its messages.
 */
#ifndef PELLUCID_POLICY_H
#define PELLUCID_POLICY_H

#include <stddef.h>
#include <stdint.h>

#include <pellucid/error.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

/* A note is about what is accepted and has no effect here, with the reason; nothing makes it an error. */
enum pel_policy_severity { PEL_POLICY_NOTE, PEL_POLICY_WARNING, PEL_POLICY_ERROR };

/* pel_policy_severity_name returns "note", "warning" or "error". Any thread. */
const char *pel_policy_severity_name(enum pel_policy_severity severity);

/* One message about a policy file. `line` and `column` count from 1; columns are bytes. The strings are valid
 * during the call only. */
struct pel_policy_message {
    enum pel_policy_severity severity;
    const char *file;
    uint32_t line;
    uint32_t column;
    const char *text;
};

typedef void pel_policy_message_fn(void *arg, const struct pel_policy_message *message);

/* What a policy holds, once checked. */
struct pel_policy_summary {
    size_t num_rules;
    size_t num_errors; /* as reported: at most 100 and the note that there are more */
    size_t num_warnings;
    size_t num_notes;
};

enum {
    PEL_POLICY_CHECK_STRICT = 1, /* every warning is an error */
    PEL_POLICY_COMPAT_ZOS = 2,   /* defaults are the original's */
};

/* How policy files are read. Zeros are the defaults. */
struct pel_policy_options {
    unsigned flags;    /* PEL_POLICY_CHECK_STRICT, PEL_POLICY_COMPAT_ZOS */
    const char *image; /* which image of a Policy Agent's main file; NULL: its first */
};

/* pel_policy_check reads `num_paths` files as one policy and hands each message to `fn` (may be NULL).
 * `flags` is 0 or PEL_POLICY_CHECK_STRICT. `ret_summary` (may be NULL) is also written for
 * PEL_E_POLICY_SYNTAX; `num_rules` is then 0. `reterr` (may be NULL) says what failed. Borrows everything;
 * any thread. Errors: POLICY_SYNTAX; NOT_FOUND, IO, ARG (not a regular file), TOO_BIG (over 128 MiB);
 * NO_MEMORY. */
PEL_MUST_USE enum pel_err pel_policy_check(const char *const *paths, size_t num_paths, unsigned flags,
                                           pel_policy_message_fn *fn, void *arg,
                                           struct pel_policy_summary *ret_summary, struct pel_error *reterr);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif
#endif
