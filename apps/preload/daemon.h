/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process's connection to the daemon: made at the first call that needs one, anew after a fork, and again
 * after the daemon has died and come back. Its descriptors stand high and are hidden from the program: close,
 * dup2 and close_range leave them alone.
 */
#ifndef PEL_PRELOAD_DAEMON_H
#define PEL_PRELOAD_DAEMON_H

#include "apps/preload/file.h"
#include "ipc/message.h"

/* pel_daemon_app returns the process's own application, attached if it was not; NULL with errno set when no
 * daemon answers (ENETDOWN; said once on stderr). Any thread. */
struct pel_app *pel_daemon_app(void);

/* pel_daemon_ask sends a request about `app` (its number is filled in) and takes the reply with up to
 * `max_fds` descriptors, which are the caller's and stand high already. Returns 0 or the reply's errno;
 * ECONNRESET when the daemon died (then app->is_gone is set). One request at a time in a process; waits for
 * the reply, which comes in microseconds. Any thread. */
int pel_daemon_ask(struct pel_app *app, struct pel_ipc_request *request, struct pel_ipc_reply *ret_reply,
                   int *ret_fds, size_t max_fds, size_t *ret_num_fds);

/* pel_daemon_hide moves a descriptor to a high number, marks it as the library's own and returns the number.
 * pel_daemon_is_hidden tells whether a number is one of those. */
int pel_daemon_hide(int fd);
bool pel_daemon_is_hidden(int fd);

/* pel_daemon_unhide closes one of the library's own descriptors. */
void pel_daemon_unhide(int fd);

/* pel_daemon_died marks `app` as gone: its channel or a waker's has ended. Any thread; async-signal-safe. */
void pel_daemon_died(struct pel_app *app);

#endif
