/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where control sockets are: choosing a name, taking it without pushing a live process aside, and finding the
 * ones that answer. A socket appears under its name only while it listens (bind beside it, listen, rename),
 * so that "nobody answers" always means that its process is gone. Two processes that take the same explicit
 * path in the same instant are not told apart: the later one has it.
 */
#ifndef PEL_STACK_CONTROL_PATH_H
#define PEL_STACK_CONTROL_PATH_H

#include <stddef.h>
#include <sys/types.h>
#include <sys/un.h>

#include "base/err.h"

/* The longest path: sun_path with its NUL, and room for the name that is used while binding (".~" more). */
#define PEL_CONTROL_PATH_MAX_LEN (sizeof(((struct sockaddr_un *)0)->sun_path) - 3)

/* pel_control_path_choose writes the socket's path into `ret_path` (PEL_CONTROL_PATH_MAX_LEN + 1 bytes):
 * `path_or_dir` itself, or "<program>-<pid>.sock" in it when it is a directory or ends in '/'; NULL:
 * PEL_CONTROL_DIR. Makes the directory (0755) when only its last part is missing. Errors, with text: TOO_BIG,
 * IO. */
PEL_MUST_USE enum pel_err pel_control_path_choose(const char *path_or_dir, const char *program_name,
                                                  char *ret_path, struct pel_error *reterr);

/* pel_control_path_listen listens at `path` with a socket of `type` (SOCK_STREAM, SOCK_SEQPACKET),
 * non-blocking, with the permissions `mode`, replacing a dead socket there. Errors, with text: EXISTS, IO. */
PEL_MUST_USE enum pel_err pel_control_path_listen(const char *path, int type, mode_t mode, int *ret_fd,
                                                  struct pel_error *reterr);

/* pel_control_path_connect connects (blocking socket; connecting itself does not wait). Errors, with text:
 * CONTROL_UNREACHABLE, TOO_BIG, IO. */
PEL_MUST_USE enum pel_err pel_control_path_connect(const char *path, int *ret_fd, struct pel_error *reterr);

/* pel_control_path_find writes the path of the one socket in `dir` that answers. Errors, with text:
 * CONTROL_UNREACHABLE when none or several do; the text lists them. */
PEL_MUST_USE enum pel_err pel_control_path_find(const char *dir, char *ret_path, struct pel_error *reterr);

#endif
