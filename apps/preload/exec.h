/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PEL_PRELOAD_EXEC_H
#define PEL_PRELOAD_EXEC_H

enum pel_exec_kind {
    PEL_EXEC_PATH,
    PEL_EXEC_SEARCH, /* in PATH */
    PEL_EXEC_FD
};

/* pel_exec replaces the program, with the library's variables in its environment; -1 and errno: it did not,
 * EACCES (and a line on stderr) when the library cannot reach that program. Also in a vfork child. */
int pel_exec(const char *path, char *const *argv, char *const *env, enum pel_exec_kind kind, int fd);

#endif
