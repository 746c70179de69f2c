/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way to the attach socket, also for a process that has changed its root directory (servers do, after
 * they have bound their sockets): the socket's directory is kept open from before.
 */
#ifndef PEL_PRELOAD_WAY_H
#define PEL_PRELOAD_WAY_H

/* pel_way_keep opens the directory, if it is not open. Any thread, one at a time. */
void pel_way_keep(void);

/* pel_way_connect returns a new connection to the attach socket, close-on-exec, or a negative errno. Any
 * thread. */
int pel_way_connect(void);

#endif
