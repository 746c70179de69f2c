/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Policy files from disk: regular files of at most 128 MiB, read whole before anything is parsed. A
 * directory, a FIFO or a missing file is an error that names the path; reading never blocks on one.
 */
#ifndef PEL_POLICY_FILES_H
#define PEL_POLICY_FILES_H

#include "policy/policy.h"

#define PEL_POLICY_FILE_MAX_BYTES (128u << 20)

/* pel_policy_read_file reads the file into memory of its own, to be freed with free(); a NUL stands behind
 * the text. `reterr` (may be NULL) says what is wrong. Errors: NOT_FOUND, IO, ARG (not a regular file),
 * TOO_BIG, NO_MEMORY. Any thread. */
PEL_MUST_USE enum pel_err pel_policy_read_file(const char *path, char **ret_text, size_t *ret_text_len,
                                               struct pel_error *reterr);

/* pel_policy_load_files reads the files and makes one policy of them; messages name the paths as given.
 * Nothing is parsed when one cannot be read. `reterr` (may be NULL) says in one line what failed. Errors:
 * those of pel_policy_read_file and pel_policy_parse. Any thread. */
PEL_MUST_USE enum pel_err pel_policy_load_files(const char *const *paths, size_t num_paths,
                                                const struct pel_policy_options *options,
                                                pel_policy_diag_fn *diag, void *diag_arg,
                                                struct pel_policy **ret_policy, size_t *ret_num_warnings,
                                                struct pel_error *reterr);

#endif
