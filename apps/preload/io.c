/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reading and writing calls: each looks up whose the descriptor is, makes one shape of its arguments, and
 * hands them to the kind of socket, or to the C library.
 */
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <string.h>

#include "apps/preload/address.h"
#include "apps/preload/adopt.h"
#include "apps/preload/decide.h"
#include "apps/preload/env.h"
#include "apps/preload/io.h"
#include "apps/preload/real.h"
#include "apps/preload/stream.h"
#include "apps/preload/table.h"

struct pel_file *pel_io_file(int fd)
{
    struct pel_file *file = pel_file_get(fd);
    if (file == NULL)
        return NULL;
    enum pel_file_kind kind = pel_file_kind(file);
    if (__builtin_expect(kind != PEL_FILE_UNDECIDED && kind != PEL_FILE_EPOLL, 1))
        return file;
    pel_file_put(file);
    return NULL;
}

struct pel_file *pel_io_file_to(int fd, const struct sockaddr *address, socklen_t len, int flags,
                                int *ret_error)
{
    struct pel_file *file = pel_file_get(fd);
    *ret_error = 0;
    if (file == NULL)
        return NULL;
    enum pel_file_kind kind = pel_file_kind(file);
    if (kind == PEL_FILE_UNDECIDED && (flags & MSG_FASTOPEN)) {
        *ret_error = EOPNOTSUPP; /* the kernel would connect */
    } else if (kind == PEL_FILE_UNDECIDED && address != NULL) {
        int error = pel_send_decides(file, address, len);
        if (error > 0)
            *ret_error = error;
        if (error == 0)
            return file;
    } else if (kind != PEL_FILE_UNDECIDED && kind != PEL_FILE_EPOLL) {
        return file;
    }
    pel_file_put(file);
    return NULL;
}

static void give_remote(struct pel_file *file, const union pel_ipc_address *remote,
                        struct sockaddr *ret_address, socklen_t *ret_len)
{
    if (remote->family != AF_UNSPEC)
        pel_address_give(file->slot->family, remote, ret_address, ret_len);
    else if (ret_len != NULL)
        *ret_len = 0; /* as Linux: a connection's bytes come without an address */
}

/* Addresses that no program has: the kernel would say EFAULT where a copy of ours ends in SIGSEGV. What is
 * unmapped in between stays a crash. */
#define LOWEST_ADDRESS  65536ull
#define HIGHEST_ADDRESS 0x7fffffffffffull

static bool is_bad(const void *bytes, size_t len)
{
    uintptr_t at = (uintptr_t)bytes;
    return len > 0 && (at < LOWEST_ADDRESS || at > HIGHEST_ADDRESS || len > HIGHEST_ADDRESS - at);
}

ssize_t pel_iov_len(const struct iovec *iov, size_t num_iov)
{
    size_t len = 0;
    if (num_iov > IOV_MAX)
        return -EINVAL;
    if (is_bad(iov, num_iov * sizeof *iov))
        return -EFAULT;
    for (size_t i = 0; i < num_iov; i++) {
        if (iov[i].iov_len > SSIZE_MAX - len)
            return -EINVAL;
        len += iov[i].iov_len;
    }
    for (size_t i = 0; i < num_iov; i++) {
        if (is_bad(iov[i].iov_base, iov[i].iov_len))
            return -EFAULT;
    }
    return (ssize_t)len;
}

ssize_t pel_io_recv(struct pel_file *file, const struct iovec *iov, size_t num_iov, int flags,
                    struct sockaddr *ret_address, socklen_t *ret_len, int *ret_flags)
{
    ssize_t iov_len = pel_iov_len(iov, num_iov);
    if (iov_len < 0)
        return iov_len;
    if (ret_address != NULL && ret_len == NULL)
        return -EFAULT;
    if (ret_address != NULL && (int)*ret_len < 0)
        return -EINVAL;
    union pel_ipc_address remote = {.family = AF_UNSPEC};
    ssize_t len = -ENOTCONN;
    if (pel_file_kind(file) == PEL_FILE_STREAM)
        len = pel_stream_recv(file, iov, num_iov, (size_t)iov_len, flags);
    else if (pel_file_kind(file) == PEL_FILE_DGRAM)
        len = pel_dgram_recv(file, iov, num_iov, flags, &remote, ret_flags);
    if (len >= 0 && ret_len != NULL)
        give_remote(file, &remote, ret_address, ret_len);
    return len;
}

ssize_t pel_io_send(struct pel_file *file, const struct iovec *iov, size_t num_iov, int flags,
                    const struct sockaddr *address, socklen_t address_len)
{
    ssize_t iov_len = pel_iov_len(iov, num_iov);
    union pel_ipc_address remote;
    if (iov_len < 0)
        return iov_len;
    if (pel_file_kind(file) != PEL_FILE_DGRAM) /* Linux ignores the address, too */
        return pel_file_kind(file) == PEL_FILE_STREAM
                   ? pel_stream_send(file, iov, num_iov, (size_t)iov_len, flags)
                   : pel_stream_broken(EPIPE, flags);
    if (address == NULL)
        return pel_dgram_send(file, iov, num_iov, (size_t)iov_len, flags, NULL);
    int error = pel_address_take(file->slot->family, address, address_len, &remote);
    if (error == 0 && pel_address_port(&remote) == 0)
        error = EINVAL;
    if (error == 0 && pel_decide_place(&remote, false) != PEL_PLACE_STACK)
        error = ENETUNREACH;
    return error != 0 ? -error : pel_dgram_send(file, iov, num_iov, (size_t)iov_len, flags, &remote);
}

/* ---- receive ---- */

PEL_EXPORT ssize_t read(int fd, void *bytes, size_t len)
{
    struct pel_file *file = pel_io_file(fd);
    if (file == NULL)
        return pel_real()->read(fd, bytes, len);
    struct iovec iov = {.iov_base = bytes, .iov_len = len};
    ssize_t result = len == 0 ? 0 : pel_io_recv(file, &iov, 1, 0, NULL, NULL, NULL);
    pel_file_put(file);
    return pel_result(result);
}

PEL_EXPORT ssize_t recvfrom(int fd, void *restrict bytes, size_t len, int flags,
                            struct sockaddr *restrict ret_address, socklen_t *restrict ret_len)
{
    struct pel_file *file = pel_io_file(fd);
    if (file == NULL)
        return pel_real()->recvfrom(fd, bytes, len, flags, ret_address, ret_len);
    struct iovec iov = {.iov_base = bytes, .iov_len = len};
    ssize_t result = pel_io_recv(file, &iov, 1, flags, ret_address, ret_len, NULL);
    pel_file_put(file);
    return pel_result(result);
}

PEL_EXPORT ssize_t recv(int fd, void *bytes, size_t len, int flags)
{
    struct pel_file *file = pel_io_file(fd);
    if (file == NULL)
        return pel_real()->recv(fd, bytes, len, flags);
    struct iovec iov = {.iov_base = bytes, .iov_len = len};
    ssize_t result = pel_io_recv(file, &iov, 1, flags, NULL, NULL, NULL);
    pel_file_put(file);
    return pel_result(result);
}

PEL_EXPORT ssize_t readv(int fd, const struct iovec *iov, int num_iov)
{
    struct pel_file *file = pel_io_file(fd);
    if (file == NULL)
        return pel_real()->readv(fd, iov, num_iov);
    ssize_t result = num_iov < 0 ? -EINVAL : pel_iov_len(iov, (size_t)num_iov);
    if (result > 0) /* to read nothing waits for nothing */
        result = pel_io_recv(file, iov, (size_t)num_iov, 0, NULL, NULL, NULL);
    pel_file_put(file);
    return pel_result(result);
}

PEL_EXPORT ssize_t preadv2(int fd, const struct iovec *iov, int num_iov, off_t offset, int flags)
{
    if (offset != -1 || pel_table_peek(fd) == NULL)
        return pel_real()->preadv2(fd, iov, num_iov, offset,
                                   flags); /* the kernel's word for a channel: ESPIPE */
    return readv(fd, iov, num_iov);
}

PEL_EXPORT ssize_t preadv64v2(int fd, const struct iovec *iov, int num_iov, off64_t offset, int flags)
{
    return preadv2(fd, iov, num_iov, offset, flags);
}

/* ---- send ---- */

PEL_EXPORT ssize_t write(int fd, const void *bytes, size_t len)
{
    struct pel_file *file = pel_io_file(fd);
    if (file == NULL)
        return pel_real()->write(fd, bytes, len);
    struct iovec iov = {.iov_base = (void *)bytes, .iov_len = len};
    ssize_t result = pel_io_send(file, &iov, 1, 0, NULL, 0);
    pel_file_put(file);
    return pel_result(result);
}

PEL_EXPORT ssize_t send(int fd, const void *bytes, size_t len, int flags)
{
    struct pel_file *file = pel_io_file(fd);
    if (file == NULL)
        return pel_real()->send(fd, bytes, len, flags);
    struct iovec iov = {.iov_base = (void *)bytes, .iov_len = len};
    ssize_t result = pel_io_send(file, &iov, 1, flags, NULL, 0);
    pel_file_put(file);
    return pel_result(result);
}

PEL_EXPORT ssize_t sendto(int fd, const void *bytes, size_t len, int flags, const struct sockaddr *address,
                          socklen_t address_len)
{
    int error;
    struct pel_file *file = pel_io_file_to(fd, address, address_len, flags, &error);
    if (error != 0)
        return pel_result(-error);
    if (file == NULL)
        return pel_real()->sendto(fd, bytes, len, flags, address, address_len);
    struct iovec iov = {.iov_base = (void *)bytes, .iov_len = len};
    ssize_t result = pel_io_send(file, &iov, 1, flags, address, address_len);
    pel_file_put(file);
    return pel_result(result);
}

PEL_EXPORT ssize_t writev(int fd, const struct iovec *iov, int num_iov)
{
    struct pel_file *file = pel_io_file(fd);
    if (file == NULL)
        return pel_real()->writev(fd, iov, num_iov);
    ssize_t result = num_iov < 0 ? -EINVAL : pel_io_send(file, iov, (size_t)num_iov, 0, NULL, 0);
    pel_file_put(file);
    return pel_result(result);
}

PEL_EXPORT ssize_t pwritev2(int fd, const struct iovec *iov, int num_iov, off_t offset, int flags)
{
    if (offset != -1 || pel_table_peek(fd) == NULL)
        return pel_real()->pwritev2(fd, iov, num_iov, offset, flags);
    return writev(fd, iov, num_iov);
}

PEL_EXPORT ssize_t pwritev64v2(int fd, const struct iovec *iov, int num_iov, off64_t offset, int flags)
{
    return pwritev2(fd, iov, num_iov, offset, flags);
}
