/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System-call filters, written as BPF by hand: three lists of numbers need no library. x86-64 only; calls by
 * another machine's numbering are refused. Each returns 0 or an errno, and lasts for the thread and whatever
 * it starts. They need no_new_privs, or rights over the whole machine.
 */
#ifndef PEL_APPS_PEL_SECCOMP_H
#define PEL_APPS_PEL_SECCOMP_H

/* seccomp_process refuses, with SIGSYS, what the daemon never does: to become or start another program, to
 * look into others, to change the machine. */
int seccomp_process(void);

/* seccomp_engine refuses, with SIGSYS, all but what an engine does. The calling thread only. */
int seccomp_engine(void);

/* seccomp_no_io_uring lets io_uring's calls fail with ENOSYS, as on a kernel without it: programs then use
 * epoll, which the preload library sees. */
int seccomp_no_io_uring(void);

#endif
