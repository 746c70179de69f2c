/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text that a verb makes: it grows in memory, and goes to stdout or replaces a file at once, so that no
 * reader ever sees half of it. And the pieces of a policy that more than one verb writes.
 */
#ifndef PEL_APPS_PEL_POLICY_OUT_H
#define PEL_APPS_PEL_POLICY_OUT_H

#include <pellucid/policy.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct policy_out {
    FILE *stream; /* print here; errors stay in it until policy_out_end */
    char *text;
    size_t len;
};

/* policy_out_begin makes an empty text. False: no memory. */
bool policy_out_begin(struct policy_out *out);

/* policy_out_end closes the stream and fills `text` and `len`. False: no memory. Free with policy_out_free.
 * */
bool policy_out_end(struct policy_out *out);
void policy_out_free(struct policy_out *out);

/* policy_is_apart tells whether the file at `output` (NULL and "-": stdout) is none of those that are read;
 * says so where it is one. */
bool policy_is_apart(const char *output, const char *const *inputs, size_t num_inputs);

/* policy_save writes to stdout when `path` is NULL or "-"; else it replaces the file at `path`, or with
 * `keep` makes it and refuses when something is there. False: reported on stderr. */
bool policy_save(const char *path, const char *text, size_t len, bool keep);

/* policy_save_secret is the same for a text with a password: what it makes is for its owner alone. */
bool policy_save_secret(const char *path, const char *text, size_t len, bool keep);

/* policy_open_text is pel_policy_open for a text in memory. `reterr` says what failed. */
enum pel_err policy_open_text(const char *text, size_t len, pel_policy_message_fn *fn, void *arg,
                              struct pel_policy **ret_policy, struct pel_error *reterr);

/* policy_base_name returns what follows the last slash. */
const char *policy_base_name(const char *path);

/* policy_out_versions prints the four TLSv lines of advanced parameters: each of `versions` ("1.0" to "1.3",
 * ends with NULL) is On, the others are Off. */
void policy_out_versions(FILE *to, unsigned indent, const char *const *versions);

#endif
