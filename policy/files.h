/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Policy files from disk: regular files of at most 128 MiB, read whole before anything is parsed. A
 * directory, a FIFO or a missing file is an error that names the path; reading never blocks on one. A file of
 * z/OS's Policy Agent is recognised by its first statements and followed to the policy files that it names.
 */
#ifndef PEL_POLICY_FILES_H
#define PEL_POLICY_FILES_H

#include <pellucid/policy.h>
#include <stdbool.h>

#include "policy/policy.h"

#define PEL_POLICY_FILE_MAX_BYTES (128u << 20)

/* pel_policy_message_of is a message as the public header has it; `strict`: a warning is an error. It borrows
 * the strings. */
struct pel_policy_message pel_policy_message_of(const struct pel_policy_diag *diag, bool strict);

/* pel_policy_read_file reads the file into memory of its own, to be freed with free(); a NUL stands behind
 * the text. `reterr` (may be NULL) says what is wrong. Errors: NOT_FOUND, IO (also when it changes while it
 * is read, or is another file by then), ARG (not a regular file), TOO_BIG, NO_MEMORY. Any thread. */
PEL_MUST_USE enum pel_err pel_policy_read_file(const char *path, char **ret_text, size_t *ret_text_len,
                                               struct pel_error *reterr);

/* What the agent's files say of how their policy is installed. */
struct pel_agent_settings {
    bool is_agent;      /* one of the files was an agent's; else all is zero */
    bool flush;         /* FLUSH, the default: what the files do not say any more goes; NOFLUSH: it stays */
    bool purge;         /* PURGE: the policy goes when the agent ends; NOPURGE, the default: it stays */
    uint32_t refresh_s; /* how often the files are looked at */
    char image[33];     /* the image that was chosen; "" when the main file has none */
};

/* Which files were read, in order, those that could not be too: what must be watched for changes. */
struct pel_policy_files {
    char **paths;
    size_t num_paths;
    struct pel_agent_settings agent;
};

/* pel_policy_files_free frees the paths and leaves zeros. */
void pel_policy_files_free(struct pel_policy_files *files);

/* pel_policy_load_files_beside is pel_policy_load_files with more texts beside the files'
 * (policy/view/keep.h). */
PEL_MUST_USE enum pel_err
pel_policy_load_files_beside(const char *const *paths, size_t num_paths, const struct pel_policy_source *more,
                             size_t num_more, const struct pel_policy_options *options,
                             pel_policy_diag_fn *diag, void *diag_arg, struct pel_policy **ret_policy,
                             size_t *ret_num_warnings, struct pel_policy_files *ret_files,
                             struct pel_error *reterr);

/* pel_policy_load_files reads the files, and those that agent files among them name, and makes one policy of
 * them; messages name the paths as given. Nothing is parsed when one of `paths` cannot be read; a file that
 * an agent file names is an error of the statement there. `ret_files` (may be NULL) is written in any case
 * and is the caller's to free. `reterr` (may be NULL) says in one line what failed. Errors: those of
 * pel_policy_read_file and pel_policy_parse. Any thread. */
PEL_MUST_USE enum pel_err pel_policy_load_files(const char *const *paths, size_t num_paths,
                                                const struct pel_policy_options *options,
                                                pel_policy_diag_fn *diag, void *diag_arg,
                                                struct pel_policy **ret_policy, size_t *ret_num_warnings,
                                                struct pel_policy_files *ret_files, struct pel_error *reterr);

#endif
