/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the reading and writing calls have in common. Results are lengths or negative errnos.
 */
#ifndef PEL_PRELOAD_IO_H
#define PEL_PRELOAD_IO_H

#include <sys/socket.h>
#include <sys/uio.h>

#include "apps/preload/file.h"

/* pel_io_file returns the stack's socket behind `fd` with a reference, or NULL: the kernel's business. */
struct pel_file *pel_io_file(int fd);

/* pel_io_file_to is the same for a send to an address, which may decide an undecided socket; then an errno in
 * `ret_error` if that failed. */
struct pel_file *pel_io_file_to(int fd, const struct sockaddr *address, socklen_t len, int flags,
                                int *ret_error);

/* pel_io_recv and pel_io_send are recvmsg and sendmsg in pieces; ret_address, ret_len and ret_flags may be
 * NULL. */
ssize_t pel_io_recv(struct pel_file *file, const struct iovec *iov, size_t num_iov, int flags,
                    struct sockaddr *ret_address, socklen_t *ret_len, int *ret_flags);
ssize_t pel_io_send(struct pel_file *file, const struct iovec *iov, size_t num_iov, int flags,
                    const struct sockaddr *address, socklen_t address_len);

/* pel_stdio_moved is called when `fd` has come to lead somewhere else: stdin, stdout and stderr follow. */
void pel_stdio_moved(int fd);

/* pel_stdio_forked makes the lock new in a forked child. */
void pel_stdio_forked(void);

/* pel_fd_control is fcntl; result and errno as there. */
int pel_fd_control(int fd, int command, void *arg);

#endif
