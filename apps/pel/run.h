/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `pel run`, in parts: run.c judges the program and puts the library under it; run_private.c starts a daemon
 * for it alone; run_child.c starts processes and waits for them.
 */
#ifndef PEL_APPS_PEL_RUN_H
#define PEL_APPS_PEL_RUN_H

#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* What pel run itself ends with, as env(1), nice(1) and the shells do; else it is the program's status. */
enum { RUN_FAILED = 125, RUN_REFUSED = 126, RUN_NOT_FOUND = 127 };

struct run_options {
    const char *attach; /* the daemon's socket; "" with a private one until it runs */
    const char *policy; /* of a private daemon; NULL: there is none */
    const char *config; /* of a private daemon; NULL: the one that is made */
    const char *job;    /* NULL: the program's own name */
    bool allow_kernel, verbose;
    char **program; /* its arguments, the name first; ends with NULL */
};

/* run_exec becomes the program: sets its environment and filter and executes `path`. Returns only when that
 * fails, after a message, the exit status. */
int run_exec(const struct run_options *options, const char *path, const char *library);

/* run_private runs the program under a daemon that is started for it and ended after it. Returns the exit
 * status. */
int run_private(const struct run_options *options, const char *path, const char *library);

/* A daemon of one's own. */
struct run_daemon {
    pid_t pid;
    char dir[64]; /* 0700, of which everything goes in the end */
    char attach[96], config[PATH_MAX];
    char device[16]; /* the interface whose kernel side is ours to set up; "": none */
    unsigned number; /* of the device and its network */
    int notify_fd;
};

/* run_write_config writes a configuration for the daemon: a tap port, with the kernel's end at 10.7.N.2. On
 * failure says why. */
bool run_write_config(const struct run_options *options, struct run_daemon *daemon);

/* run_set_kernel_side gives the kernel's end of the device its address and takes it up. On failure says why.
 */
bool run_set_kernel_side(const struct run_daemon *daemon);

/* run_wait_ready waits until the daemon says that it is ready. On failure says why, with the daemon's log. */
bool run_wait_ready(struct run_daemon *daemon);

/* run_child_wait waits until `program` ends, and passes on signals that were sent to us meanwhile; `signals`
 * are blocked. Returns its exit status, 128 and more for a signal. */
int run_child_wait(pid_t program, const sigset_t *signals);

#endif
