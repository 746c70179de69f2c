/* SPDX-License-Identifier: Apache-2.0 */
/*
 * BSD-like sockets over the process's stack (pellucid/stack.h): for programs that are written as for the
 * kernel's sockets. Names, arguments, results and errno are those of POSIX and Linux; what differs is said at
 * each function.
 *
 * Descriptors are the stack's own numbers, from PEL_FD_BASE up, and mean nothing to the kernel; a kernel
 * descriptor given here is EBADF. Any thread may use any socket, several at once; a socket's bytes keep their
 * order per direction.
 *
 * TLS: nothing to do. The policy decides at connect, or at the first poll, read or write after accept. A
 * connection that policy or the peer ended during the handshake is ECONNRESET; an end of the peer's stream
 * without close_notify under TLS is ECONNRESET, never end of file. Until a policy is loaded, connect, listen
 * and accept fail with EAGAIN.
 */
#ifndef PELLUCID_SOCKET_H
#define PELLUCID_SOCKET_H

#include <poll.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

#define PEL_FD_BASE (1 << 20)

/* pel_socket makes a socket: domain AF_INET or AF_INET6, type SOCK_STREAM or SOCK_DGRAM, with SOCK_NONBLOCK
 * (SOCK_CLOEXEC is accepted and has no effect). An AF_INET6 socket also takes IPv4 as mapped addresses unless
 * IPV6_V6ONLY. errno: EAFNOSUPPORT, EPROTONOSUPPORT, EMFILE, ENOMEM, ENETDOWN (no stack was started). */
int pel_socket(int domain, int type, int protocol);

/* pel_bind names the socket's local end. errno: EADDRNOTAVAIL, EADDRINUSE (for streams reported by pel_listen
 * or pel_connect when another socket took it in between), EINVAL, EBADF. */
int pel_bind(int fd, const struct sockaddr *address, socklen_t address_len);

/* pel_listen makes it accept connections, on every engine. errno: EADDRINUSE, EAGAIN (no policy yet), EBADF,
 * EOPNOTSUPP. */
int pel_listen(int fd, int backlog);

/* pel_accept and pel_accept4 return a connection's socket. errno: EAGAIN, EINVAL (not listening), EMFILE,
 * ENOMEM. */
int pel_accept(int fd, struct sockaddr *ret_address, socklen_t *address_len);
int pel_accept4(int fd, struct sockaddr *ret_address, socklen_t *address_len, int flags);

/* pel_connect opens the connection; under TLS it succeeds when the handshake is done. errno: EINPROGRESS,
 * ECONNREFUSED, ETIMEDOUT, ECONNRESET (also: TLS failed), EACCES (refused by policy), EAGAIN (no policy yet),
 * ENETUNREACH, EADDRNOTAVAIL, EISCONN, EALREADY. */
int pel_connect(int fd, const struct sockaddr *address, socklen_t address_len);

/* pel_set_server_name tells the name that the program resolved for its next pel_connect: SNI and name check,
 * if policy says TLS. errno: EBADF, EINVAL, ENOMEM. */
int pel_set_server_name(int fd, const char *server_name);

/* Reading and writing, as in POSIX. Flags: MSG_DONTWAIT, MSG_PEEK, MSG_WAITALL, MSG_NOSIGNAL (SIGPIPE is
 * never raised: EPIPE only), MSG_MORE (no effect). */
ssize_t pel_read(int fd, void *bytes, size_t len);
ssize_t pel_readv(int fd, const struct iovec *iov, int num_iov);
ssize_t pel_recv(int fd, void *bytes, size_t len, int flags);
ssize_t pel_recvfrom(int fd, void *bytes, size_t len, int flags, struct sockaddr *ret_address,
                     socklen_t *address_len);
ssize_t pel_write(int fd, const void *bytes, size_t len);
ssize_t pel_writev(int fd, const struct iovec *iov, int num_iov);
ssize_t pel_send(int fd, const void *bytes, size_t len, int flags);
ssize_t pel_sendto(int fd, const void *bytes, size_t len, int flags, const struct sockaddr *address,
                   socklen_t address_len);

/* pel_shutdown ends one or both directions (SHUT_RD, SHUT_WR, SHUT_RDWR). errno: ENOTCONN, EINVAL, EBADF. */
int pel_shutdown(int fd, int how);

/* pel_close releases the descriptor; what was written is still delivered, unless SO_LINGER with 0 s asks for
 * a reset. A thread that waits on the socket gets EBADF. */
int pel_close(int fd);

int pel_getsockname(int fd, struct sockaddr *ret_address, socklen_t *address_len);
int pel_getpeername(int fd, struct sockaddr *ret_address, socklen_t *address_len);

/* Options: SOL_SOCKET SO_ERROR, SO_TYPE, SO_DOMAIN, SO_PROTOCOL, SO_ACCEPTCONN, SO_REUSEADDR and SO_REUSEPORT
 * (accepted), SO_KEEPALIVE, SO_LINGER, SO_RCVTIMEO, SO_SNDTIMEO, SO_SNDBUF and SO_RCVBUF (read; setting is
 * accepted without effect); IPPROTO_TCP TCP_NODELAY, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT; IPPROTO_IPV6
 * IPV6_V6ONLY. Others: ENOPROTOOPT. */
int pel_setsockopt(int fd, int level, int name, const void *value, socklen_t value_len);
int pel_getsockopt(int fd, int level, int name, void *ret_value, socklen_t *value_len);

/* pel_fcntl: F_GETFL and F_SETFL with O_NONBLOCK. pel_ioctl: FIONBIO, FIONREAD, and SIOCTTLSCTL, what a
 * program asks of TLS (pellucid/ttls.h). Others: EINVAL, ENOTTY. */
int pel_fcntl(int fd, int command, int arg);
int pel_ioctl(int fd, unsigned long request, void *arg);

/* pel_poll waits on sockets of the stack; `timeout_ms` -1: for ever. A negative fd is skipped; one that is no
 * socket of the stack gets POLLNVAL. Polling an accepted socket is a mapping point. */
int pel_poll(struct pollfd *fds, nfds_t num_fds, int timeout_ms);

/* pel_epoll_create1 makes an epoll set (closed with pel_close); pel_epoll_ctl adds, changes and removes
 * sockets; pel_epoll_wait waits. Level-triggered, EPOLLET and EPOLLONESHOT. Adding an accepted socket is a
 * mapping point. errno as for epoll(7). */
int pel_epoll_create1(int flags);
int pel_epoll_ctl(int epoll_fd, int operation, int fd, struct epoll_event *event);
int pel_epoll_wait(int epoll_fd, struct epoll_event *ret_events, int max_events, int timeout_ms);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif
#endif
