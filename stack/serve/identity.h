/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is at the other end of a Unix socket, in the kernel's words: the user of SO_PEERCRED, and as job the
 * name of the file that the process executes. A process can change what it calls itself (its comm, its
 * arguments), so those are never looked at. A script's job is its interpreter's name.
 *
 * The kernel's word says which file runs, not that the file is the one that an operator thinks of: whoever
 * may run programs may give a file any name. A policy that restricts names the user too.
 */
#ifndef PEL_STACK_SERVE_IDENTITY_H
#define PEL_STACK_SERVE_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

#define PEL_CLIENT_NAME_LEN 64 /* room for a user or a job, with its NUL */
#define PEL_CLIENT_JOB_MAX  32 /* bytes of a job that was asked for, as in a policy's Jobname */

struct pel_client_identity {
    uid_t uid;
    pid_t pid;
    char user[PEL_CLIENT_NAME_LEN];
    char job[PEL_CLIENT_NAME_LEN];
};

/* pel_client_identify says who connected to the Unix stream or sequenced-packet socket `fd`. `wanted_job`
 * (NULL or "": none) replaces the program's name for root and for the users that `jobs_named` lists ("*":
 * everybody). Errors, with a text that can be shown to the client: ARG (the wanted name cannot be one),
 * NOT_ALLOWED (this user may not choose), NOT_FOUND (the process is gone, or of another pid namespace, or its
 * program cannot be told). Reading the program of another user's process takes CAP_SYS_PTRACE. Any thread but
 * an engine's: it reads files. */
PEL_MUST_USE enum pel_err pel_client_identify(int fd, const char *wanted_job, char *const *jobs_named,
                                              size_t num_jobs_named, struct pel_client_identity *ret,
                                              struct pel_error *reterr);

/* pel_client_may_bind tells whether the process `pid` of `uid` may listen on `port` by the kernel's own rule:
 * ports from net.ipv4.ip_unprivileged_port_start on are everybody's, those below are for root and for
 * CAP_NET_BIND_SERVICE. 0 is everybody's: any free port. Any thread but an engine's: it reads files. */
bool pel_client_may_bind(pid_t pid, uid_t uid, uint16_t port);

/* pel_client_user_name writes the name of user `uid`, its number in digits when it has none. Any thread but
 * an engine's. */
void pel_client_user_name(uid_t uid, char ret_name[PEL_CLIENT_NAME_LEN]);

#endif
