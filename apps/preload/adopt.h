/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the core's own files know of the daemon beyond daemon.h, and sockets that came from another process:
 * by exec, or in a message (SCM_RIGHTS).
 */
#ifndef PEL_PRELOAD_ADOPT_H
#define PEL_PRELOAD_ADOPT_H

#include "apps/preload/daemon.h"

/* pel_daemon_ask_low is pel_daemon_ask, whose descriptors stand at the lowest numbers and are not hidden. */
int pel_daemon_ask_low(struct pel_app *app, struct pel_ipc_request *request, struct pel_ipc_reply *ret_reply,
                       int *ret_fds, size_t max_fds, size_t *ret_num_fds);

/* pel_daemon_who asks whose channel `fd` is, and maps that application; NULL with an errno: nobody's. */
struct pel_app *pel_daemon_who(int fd, uint32_t *ret_slot, uint32_t *ret_serial, int *ret_error);

/* pel_daemon_pid returns the daemon's process number; 0: not attached. */
uint32_t pel_daemon_pid(void);

/* pel_daemon_look notices when the daemon has died; a system call. */
void pel_daemon_look(void);

/* pel_daemon_network gives the networks that the kernel serves, one by one; false: there is none with that
 * number. Before it is attached there are none. */
bool pel_daemon_network(uint32_t number, const struct pel_ipc_network **ret_network);

/* Around fork, in the parent and in the child. */
void pel_daemon_fork_begins(void);
void pel_daemon_fork_ends(bool is_child);

/* pel_adopt_received makes `fd`, which came from elsewhere, a socket of the stack if it is one's channel.
 * 0: it is now, or it is the kernel's; or an errno: it is a channel of which the daemon does not know. */
int pel_adopt_received(int fd);

/* pel_adopt_inherited adopts what an exec left open. */
void pel_adopt_inherited(void);

#endif
