/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of the waiting part: a table of files, a segment in memory, and an engine that the test plays by
 * hand. A socket's readiness is plain: bytes in the receive ring, room in the send ring, EOF and GONE.
 */
#ifndef PEL_PRELOAD_WAIT_FAKE_H
#define PEL_PRELOAD_WAIT_FAKE_H

#include "apps/preload/file.h"

/* pel_fake_start makes an application with `num_wakers` and room for 16,384 sockets; the one before is left
 * behind. */
struct pel_app *pel_fake_start(uint32_t num_wakers);

/* pel_fake_socket makes a socket of the stack, with a number. pel_fake_listener's channel is fed with
 * pel_fake_connect. pel_fake_undecided is a socket of the kernel's as yet. */
struct pel_file *pel_fake_socket(struct pel_app *app, int *ret_fd);
struct pel_file *pel_fake_listener(struct pel_app *app, int *ret_fd);
struct pel_file *pel_fake_undecided(int *ret_fd);
void pel_fake_connect(struct pel_file *listener);

/* pel_fake_decide makes an undecided socket one of the stack's. */
void pel_fake_decide(struct pel_file *file, struct pel_app *app, int fd);

/* What the library's core does for the program. */
void pel_fake_close(int fd);
int pel_fake_dup(int fd);
void pel_fake_read(struct pel_file *file, uint32_t len); /* len bytes less in the receive ring */

/* What the engine does. pel_fake_signal tells all watchers. pel_fake_fill makes the send ring full or not. */
void pel_fake_receive(struct pel_file *file, uint32_t len);
void pel_fake_fill(struct pel_file *file, bool is_full);
void pel_fake_state(struct pel_file *file, uint32_t state);
void pel_fake_signal(struct pel_file *file);

/* pel_fake_die ends the daemon: all channels end. */
void pel_fake_die(struct pel_app *app);

/* How many wakers have an owner; how many descriptors the library has hidden since pel_fake_start, less
 * than none when a thread has let go of what it had of an earlier one. */
uint32_t pel_fake_num_wakers(const struct pel_app *app);
uint32_t pel_fake_num_hidden(void);

#endif
