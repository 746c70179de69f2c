/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Can the preload library reach a program? It cannot where the dynamic loader does not run (static programs),
 * does not listen to LD_PRELOAD (programs that gain rights when they start), is of another kind of machine,
 * or where the program makes its system calls without libc (Go). Such a program would go to the kernel's
 * network in clear, so it is found out before it starts.
 *
 * No function here allocates, locks or uses stdio: each may be called between vfork and exec, and in a signal
 * handler. Everything is read from the file with bounds; a file that changes between the look and the exec is
 * not this check's matter: it keeps honest programs from surprises, not their owner from harm.
 */
#ifndef PEL_IPC_PROGRAM_H
#define PEL_IPC_PROGRAM_H

#include <stddef.h>

enum pel_program_reach {
    PEL_REACH_OK,
    PEL_REACH_STATIC,      /* no dynamic loader */
    PEL_REACH_PRIVILEGED,  /* setuid, setgid or file capabilities: the loader ignores LD_PRELOAD */
    PEL_REACH_GO,          /* makes raw system calls */
    PEL_REACH_OTHER_CLASS, /* another machine or word size */
    PEL_REACH_UNREADABLE,  /* cannot be opened, read or understood */
    PEL_REACH_NR
};

/* pel_program_judge looks at the file that `path` names: at its ELF headers, or, for a script, at its
 * interpreter ("#!", up to 4 levels; `env NAME` is looked for in PATH of the environment). Writes one
 * sentence that names the file and the reason into `ret_why` (cut at why_len; empty for PEL_REACH_OK). What
 * an unprivileged user starts is PRIVILEGED also when the rights that it would gain are the user's own. Any
 * thread, any moment. */
enum pel_program_reach pel_program_judge(const char *path, char *ret_why, size_t why_len);

/* pel_program_find resolves `name` as execvp does: with a slash as it is, else in PATH. Writes the path and
 * returns 0; else ENOENT, EACCES or ENAMETOOLONG. Any thread, any moment. */
int pel_program_find(const char *name, char *ret_path, size_t path_len);

#endif
