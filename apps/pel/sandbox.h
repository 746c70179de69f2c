/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon's rights, given up when they are not needed any more. A system call that is refused fails with
 * EPERM and is named in the log: the daemon goes on, and what it should never do is not done. It is not
 * killed, since one unforeseen call of a library would otherwise end every program's connections.
 *
 *     sandbox_begin -> threads start; each engine's thread calls sandbox_engine -> sandbox_all
 *
 * From begin on, for every thread: no new rights by exec, an empty bounding set, and no exec, fork, ptrace,
 * mount, kernel module or the like. Then: capabilities are reduced to two, to read keyrings and to tell which
 * program attaches, and the file system is read-only but for the sockets' directories. An engine's thread,
 * the one that reads what strangers send, keeps no capability at all, no file, and about thirty system calls.
 */
#ifndef PEL_APPS_PEL_SANDBOX_H
#define PEL_APPS_PEL_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>

/* The threads of this name stay outside of the file system's sandbox, which would also hide other processes'
 * programs from them. */
#define SANDBOX_LOOKS_AT_PROCESSES "pel-serve"

/* sandbox_begin takes from the process what the daemon never needs. Once, before any other thread runs. On
 * failure writes what failed. */
bool sandbox_begin(char *ret_why, size_t why_len);

/* sandbox_engine takes from the calling thread what an engine never needs; a failure is sandbox_all's. */
void sandbox_engine(void);

/* sandbox_all takes from all threads that run now what they need no more, engines' excepted. `dirs` are the
 * directories where files may still be made and removed. Once, after the start. On failure writes what
 * failed; on success what is in force, in one line. */
bool sandbox_all(const char *const *dirs, size_t num_dirs, char *ret_text, size_t text_len);

/* sandbox_num_refused returns how many system calls were refused. Any thread. */
unsigned long sandbox_num_refused(void);

#endif
