/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptors: numbers from PEL_FD_BASE up to objects. A descriptor holds one reference; a call that uses it
 * takes another for as long as it runs, so that pel_close and a new socket with the same number disturb
 * nobody.
 */
#ifndef PEL_STACK_SOCKET_TABLE_H
#define PEL_STACK_SOCKET_TABLE_H

#include <sys/types.h>

#include "stack/socket_object.h"

/* pel_fd_reserve takes a free number, with nothing behind it yet. Returns it or -EMFILE, -ENOMEM. */
int pel_fd_reserve(void);

/* pel_fd_install puts `sock` behind a reserved number and takes over the caller's reference. pel_fd_release
 * gives a reserved number back. */
void pel_fd_install(int fd, struct pel_sock *sock);
void pel_fd_release(int fd);

/* pel_fd_get returns what is behind `fd` with a reference for the caller, or NULL (EBADF). */
struct pel_sock *pel_fd_get(int fd);

/* pel_fd_take empties the number, which stays reserved, and hands its reference over; NULL when there is
 * nothing. */
struct pel_sock *pel_fd_take(int fd);

/* pel_fd_num_open returns how many descriptors are reserved or open. */
uint32_t pel_fd_num_open(void);

/* pel_sockets_homes returns the engines with a reference, or NULL when no stack was started. */
struct pel_homes *pel_sockets_homes(void);

/* pel_result turns a length, or a negative errno, into what a POSIX call returns. */
ssize_t pel_result(ssize_t result);

#endif
