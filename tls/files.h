/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small files, whole: read with a limit and a look at who else may read them, written so that a reader
 * sees the old or the new and never a half. Every error names the path and what to do.
 */
#ifndef PEL_TLS_FILES_H
#define PEL_TLS_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define PEL_FILE_MAX_LEN (4u * 1024u * 1024u)
#define PEL_PATH_CAP     4096

/* A file's bytes, with a NUL behind them that `len` does not count. */
struct pel_file {
    uint8_t *bytes;
    size_t len;
};

/* pel_file_read reads a regular file of at most PEL_FILE_MAX_LEN bytes. `secret`: one that group or others
 * may touch is refused. Errors: NOT_FOUND, KEYRING_UNREADABLE, KEYRING_MODE, TOO_BIG, NO_MEMORY. Any
 * thread. */
PEL_MUST_USE enum pel_err pel_file_read(const char *path, bool secret, struct pel_file *ret_file,
                                        struct pel_error *reterr);

/* pel_file_free wipes and frees. Harmless on a zeroed file. */
void pel_file_free(struct pel_file *file);

/* pel_file_write writes beside `path` and renames, with `mode` (0600 for secrets). Without `replace` an
 * existing file is left alone. Errors: EXISTS, IO. Any thread. */
PEL_MUST_USE enum pel_err pel_file_write(const char *path, const uint8_t *bytes, size_t len, unsigned mode,
                                         bool replace, struct pel_error *reterr);

/* pel_dir_make makes a directory of mode 0700 with its parents; one that exists is fine. Errors: IO,
 * TOO_BIG. */
PEL_MUST_USE enum pel_err pel_dir_make(const char *path, struct pel_error *reterr);

/* pel_path_join writes "DIR/NAME SUFFIX" (without the blank). Errors: TOO_BIG. */
PEL_MUST_USE enum pel_err pel_path_join(const char *dir, const char *name, const char *suffix, char *ret_path,
                                        size_t cap, struct pel_error *reterr);

/* pel_dir_list returns the names in `dir` that end in `suffix`, without it, sorted; hidden ones are left
 * out. At most `max` names. The caller frees them with pel_names_free. Errors: KEYRING_MISSING,
 * KEYRING_UNREADABLE, TOO_BIG, NO_MEMORY. */
struct pel_names {
    char **names;
    size_t num;
};
PEL_MUST_USE enum pel_err pel_dir_list(const char *dir, const char *suffix, size_t max,
                                       struct pel_names *ret_names, struct pel_error *reterr);
void pel_names_free(struct pel_names *names);

#endif
