/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Telling the service manager how the daemon is, as sd_notify does: a datagram to $NOTIFY_SOCKET.
 */
#ifndef PEL_APPS_PEL_NOTIFY_H
#define PEL_APPS_PEL_NOTIFY_H

/* notify_manager sends `state`, lines such as "READY=1" (sd_notify(3) has them), to the service manager. Does
 * nothing without one, and never waits. Any thread. */
void notify_manager(const char *state);

/* notify_reloading says that the daemon reloads, from now until the next READY=1. Any thread. */
void notify_reloading(void);

#endif
