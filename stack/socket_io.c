/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reading and writing calls of pellucid/socket.h: they check arguments, make one shape of them, and hand
 * them to the kind of socket.
 */
#include <errno.h>
#include <limits.h>

#include "stack/socket_stream.h"
#include "stack/socket_table.h"
#include "stack/socket_udp.h"
#include <pellucid/socket.h>

#define RECV_FLAGS (MSG_DONTWAIT | MSG_PEEK | MSG_WAITALL | MSG_NOSIGNAL | MSG_TRUNC | MSG_CMSG_CLOEXEC)
#define SEND_FLAGS (MSG_DONTWAIT | MSG_NOSIGNAL | MSG_MORE)

/* One receive or send, whichever call it came by. */
struct transfer {
    const struct iovec *iov;
    int num_iov;
    int flags;
    struct sockaddr *ret_address; /* receive */
    socklen_t *ret_address_len;
    const struct sockaddr *address; /* send */
    socklen_t address_len;
};

static ssize_t do_recv(struct pel_sock *sock, const struct transfer *t, size_t iov_len)
{
    if (t->flags & ~RECV_FLAGS)
        return -EOPNOTSUPP;
    if (t->ret_address != NULL && t->ret_address_len == NULL)
        return -EFAULT;
    if (sock->kind == PEL_SOCK_UDP)
        return pel_dgram_recv(pel_dgram_of(sock), t->iov, t->num_iov, t->flags, t->ret_address,
                              t->ret_address_len);
    ssize_t len = pel_stream_recv(pel_stream_of(sock), t->iov, t->num_iov, iov_len, t->flags);
    if (len >= 0 && t->ret_address_len != NULL)
        *t->ret_address_len = 0; /* as Linux: a connection's bytes come without an address */
    return len;
}

static ssize_t do_send(struct pel_sock *sock, const struct transfer *t, size_t iov_len)
{
    if (t->flags & ~SEND_FLAGS)
        return -EOPNOTSUPP;
    if (sock->kind == PEL_SOCK_UDP)
        return pel_dgram_send(pel_dgram_of(sock), t->iov, t->num_iov, iov_len, t->flags, t->address,
                              t->address_len);
    return pel_stream_send(pel_stream_of(sock), t->iov, t->num_iov, iov_len,
                           t->flags); /* Linux ignores the address, too */
}

static ssize_t transfer(int fd, const struct transfer *t,
                        ssize_t (*fn)(struct pel_sock *, const struct transfer *, size_t))
{
    struct pel_sock *sock = pel_fd_get(fd);
    if (sock == NULL)
        return pel_result(-EBADF);
    ssize_t result = -EINVAL;
    if (t->num_iov >= 0 && t->num_iov <= IOV_MAX) {
        ssize_t iov_len = pel_iov_len(t->iov, t->num_iov);
        if (iov_len >= 0)
            result = sock->kind == PEL_SOCK_EPOLL ? -ENOTSOCK : fn(sock, t, (size_t)iov_len);
    }
    pel_sock_unref(sock);
    return pel_result(result);
}

ssize_t pel_recvfrom(int fd, void *bytes, size_t len, int flags, struct sockaddr *ret_address,
                     socklen_t *address_len)
{
    struct iovec iov = {.iov_base = bytes, .iov_len = len};
    struct transfer t = {.iov = &iov,
                         .num_iov = 1,
                         .flags = flags,
                         .ret_address = ret_address,
                         .ret_address_len = address_len};
    return transfer(fd, &t, do_recv);
}

ssize_t pel_recv(int fd, void *bytes, size_t len, int flags)
{
    return pel_recvfrom(fd, bytes, len, flags, NULL, NULL);
}

ssize_t pel_read(int fd, void *bytes, size_t len)
{
    return pel_recvfrom(fd, bytes, len, 0, NULL, NULL);
}

ssize_t pel_readv(int fd, const struct iovec *iov, int num_iov)
{
    struct transfer t = {.iov = iov, .num_iov = num_iov};
    return transfer(fd, &t, do_recv);
}

ssize_t pel_sendto(int fd, const void *bytes, size_t len, int flags, const struct sockaddr *address,
                   socklen_t address_len)
{
    struct iovec iov = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = len};
    struct transfer t = {
        .iov = &iov, .num_iov = 1, .flags = flags, .address = address, .address_len = address_len};
    return transfer(fd, &t, do_send);
}

ssize_t pel_send(int fd, const void *bytes, size_t len, int flags)
{
    return pel_sendto(fd, bytes, len, flags, NULL, 0);
}

ssize_t pel_write(int fd, const void *bytes, size_t len)
{
    return pel_sendto(fd, bytes, len, 0, NULL, 0);
}

ssize_t pel_writev(int fd, const struct iovec *iov, int num_iov)
{
    struct transfer t = {.iov = iov, .num_iov = num_iov};
    return transfer(fd, &t, do_send);
}

int pel_shutdown(int fd, int how)
{
    struct pel_sock *sock = pel_fd_get(fd);
    if (sock == NULL)
        return (int)pel_result(-EBADF);
    int error = ENOTSOCK;
    if (sock->kind == PEL_SOCK_STREAM)
        error = pel_stream_shutdown(pel_stream_of(sock), how);
    else if (sock->kind == PEL_SOCK_UDP)
        error = pel_dgram_shutdown(pel_dgram_of(sock), how);
    pel_sock_unref(sock);
    return (int)pel_result(-error);
}
