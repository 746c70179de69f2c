/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dup, fcntl, ioctl and the calls that close many.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sockios.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "apps/preload/close.h"
#include "apps/preload/daemon.h"
#include "apps/preload/io.h"
#include "apps/preload/real.h"
#include "apps/preload/stream.h"
#include "apps/preload/table.h"
#include "apps/preload/ttls.h"

/* `new_fd` is a fresh number of what `fd` leads to. */
static int install_dup(int fd, int new_fd)
{
    if (new_fd < 0 || pel_table_peek(fd) == NULL || pel_close_is_borrowed())
        return new_fd;
    struct pel_file *file = pel_file_get(fd);
    if (file == NULL)
        return new_fd;
    /* The reference becomes the new number's. */
    if (pel_file_install(new_fd, file) == 0) {
        pel_stdio_moved(new_fd);
        return new_fd;
    }
    pel_file_put(file);
    pel_real()->close(new_fd);
    return (int)pel_result(-EMFILE);
}

PEL_EXPORT int dup(int fd)
{
    if (pel_daemon_is_hidden(fd))
        return (int)pel_result(-EBADF);
    return install_dup(fd, pel_real()->dup(fd));
}

/* dup2 and dup3, of which at least one number is in the table. */
static int replace(int fd, int new_fd, int flags)
{
    if (pel_close_is_borrowed())
        return (int)pel_result(pel_raw(SYS_dup3, fd, new_fd, flags, 0, 0, 0));
    if (pel_daemon_is_hidden(fd))
        return (int)pel_result(-EBADF);
    if (pel_daemon_is_hidden(new_fd))
        return (int)pel_result(-EBUSY);
    struct pel_file *file = pel_file_get(fd);
    if (file == NULL && pel_raw(SYS_fcntl, fd, F_GETFD, 0, 0, 0, 0) < 0)
        return (int)pel_result(-EBADF);
    if (file != NULL && !pel_table_reserve(new_fd)) {
        pel_file_put(file);
        return (int)pel_result(-EBADF);
    }
    struct pel_file *before = pel_close_number(new_fd);
    long result = pel_raw(SYS_dup3, fd, new_fd, flags, 0, 0, 0);
    if (before != NULL)
        pel_close_done(before);
    if (file != NULL && result >= 0)
        pel_file_install(new_fd, file);
    else if (file != NULL)
        pel_file_put(file);
    if (result >= 0)
        pel_stdio_moved(new_fd);
    return (int)pel_result(result);
}

PEL_EXPORT int dup2(int fd, int new_fd)
{
    if (fd == new_fd || (pel_table_peek(fd) == NULL && pel_table_peek(new_fd) == NULL))
        return pel_real()->dup2(fd, new_fd);
    return replace(fd, new_fd, 0);
}

PEL_EXPORT int dup3(int fd, int new_fd, int flags)
{
    if (fd == new_fd || (flags & ~O_CLOEXEC) ||
        (pel_table_peek(fd) == NULL && pel_table_peek(new_fd) == NULL))
        return pel_real()->dup3(fd, new_fd, flags);
    return replace(fd, new_fd, flags);
}

static int control(struct pel_file *file, int fd, int command, void *arg)
{
    uint32_t flags = pel_shared_flags(file);
    if (command == F_GETFL)
        return O_RDWR | (flags & PEL_SHARED_NONBLOCK ? O_NONBLOCK : 0) |
               (flags & PEL_SHARED_APPEND ? O_APPEND : 0);
    if (command != F_SETFL)
        return pel_real()->fcntl(fd, command, arg);
    uint32_t wanted = ((intptr_t)arg & O_NONBLOCK ? PEL_SHARED_NONBLOCK : 0) |
                      ((intptr_t)arg & O_APPEND ? PEL_SHARED_APPEND : 0);
    pel_shared_set(file, wanted);
    pel_shared_clear(file, (PEL_SHARED_NONBLOCK | PEL_SHARED_APPEND) & ~wanted);
    return 0;
}

int pel_fd_control(int fd, int command, void *arg)
{
    if (__builtin_expect(pel_table_peek(fd) == NULL, 1))
        return pel_real()->fcntl(fd, command, arg);
    if (pel_daemon_is_hidden(fd))
        return (int)pel_result(-EBADF);
    if (command == F_DUPFD || command == F_DUPFD_CLOEXEC)
        return install_dup(fd, pel_real()->fcntl(fd, command, arg));
    struct pel_file *file = pel_io_file(fd);
    if (file == NULL)
        return pel_real()->fcntl(fd, command, arg);
    int result = control(file, fd, command, arg);
    pel_file_put(file);
    return result;
}

PEL_EXPORT int fcntl(int fd, int command, ...)
{
    va_list list;
    va_start(list, command);
    void *arg = va_arg(list, void *);
    va_end(list);
    return pel_fd_control(fd, command, arg);
}

PEL_EXPORT int fcntl64(int fd, int command, ...)
{
    va_list list;
    va_start(list, command);
    void *arg = va_arg(list, void *);
    va_end(list);
    return pel_fd_control(fd, command, arg);
}

static int num_readable(struct pel_file *file, int *ret_num)
{
    switch (pel_file_kind(file)) {
    case PEL_FILE_DGRAM: *ret_num = (int)pel_dgram_next_len(file); return 0;
    case PEL_FILE_STREAM: *ret_num = (int)pel_stream_used(file); return 0;
    default: return -EINVAL;
    }
}

/* The numbers of requests that are about interfaces, routes and neighbours. */
#define SIOC_FAMILY 0x89

/* Questions about interfaces are the kernel's to answer, by any socket but a channel. */
static int ask_kernel(const struct pel_file *file, unsigned long request, void *arg)
{
    long fd = pel_raw(SYS_socket, file->slot->family, SOCK_DGRAM | SOCK_CLOEXEC, 0, 0, 0, 0);
    if (fd < 0)
        return (int)pel_result(fd);
    long result = pel_raw(SYS_ioctl, fd, (long)request, (long)arg, 0, 0, 0);
    pel_raw(SYS_close, fd, 0, 0, 0, 0, 0);
    return (int)pel_result(result);
}

static int request_of(struct pel_file *file, int fd, unsigned long request, void *arg)
{
    if (request == FIOCLEX || request == FIONCLEX)
        return pel_real()->ioctl(fd, request, arg);
    if (arg == NULL && (request == FIONBIO || request == FIONREAD || request == TIOCOUTQ))
        return (int)pel_result(-EFAULT);
    switch (request) {
    case FIONBIO:
        if (*(int *)arg != 0)
            pel_shared_set(file, PEL_SHARED_NONBLOCK);
        else
            pel_shared_clear(file, PEL_SHARED_NONBLOCK);
        return 0;
    case FIONREAD: return (int)pel_result(num_readable(file, arg));
    case TIOCOUTQ: *(int *)arg = (int)pel_stream_unsent(file); return 0;
    case SIOCATMARK:
        if (arg == NULL)
            return (int)pel_result(-EFAULT);
        *(int *)arg = 0;
        return 0;
    case FIOASYNC: return 0;
    default: return request >> 8 == SIOC_FAMILY ? ask_kernel(file, request, arg) : (int)pel_result(-ENOTTY);
    }
}

/* Of a socket, too, of which it is not decided yet where it belongs: it is not connected. */
static int ttls(int fd, void *arg)
{
    struct pel_file *file = pel_file_get(fd);
    if (file == NULL)
        return pel_real()->ioctl(fd, SIOCTTLSCTL, arg);
    int error = arg == NULL ? EFAULT : pel_file_ttls(file, arg);
    pel_file_put(file);
    return (int)pel_result(-error);
}

PEL_EXPORT int ioctl(int fd, unsigned long request, ...)
{
    va_list list;
    va_start(list, request);
    void *arg = va_arg(list, void *);
    va_end(list);
    if (request == SIOCTTLSCTL)
        return ttls(fd, arg);
    struct pel_file *file = pel_io_file(fd);
    if (file == NULL)
        return pel_real()->ioctl(fd, request, arg);
    int result = request_of(file, fd, request, arg);
    pel_file_put(file);
    return result;
}

PEL_EXPORT int sockatmark(int fd)
{
    struct pel_file *file = pel_io_file(fd);
    if (file == NULL)
        return pel_real()->sockatmark(fd);
    pel_file_put(file);
    return 0;
}

/* The next number from `from` on that is in the table; those of the library are passed over by the caller. */
static int next_number(int from, bool *ret_is_hidden)
{
    struct pel_file *file = NULL;
    pel_table_lock();
    int fd = pel_table_next(from, &file);
    pel_table_unlock();
    *ret_is_hidden = file == PEL_TABLE_HIDDEN;
    return fd;
}

/* Closes or marks what is the kernel's alone between the numbers of the table, and those one by one. */
static int close_between(unsigned first, unsigned last, int flags)
{
    bool is_hidden = false;
    for (unsigned from = first;;) {
        int fd = next_number(from < PEL_TABLE_MAX ? (int)from : PEL_TABLE_MAX, &is_hidden);
        bool is_end = fd < 0 || (unsigned)fd > last;
        unsigned to = is_end ? last : (unsigned)fd - 1;
        if (is_end || (unsigned)fd > from) {
            long error = pel_raw(SYS_close_range, from, to, flags, 0, 0, 0);
            if (error < 0)
                return (int)error;
        }
        if (is_end)
            return 0;
        if (!is_hidden && (flags & CLOSE_RANGE_CLOEXEC))
            pel_raw(SYS_fcntl, fd, F_SETFD, FD_CLOEXEC, 0, 0, 0);
        else if (!is_hidden)
            close(fd);
        from = (unsigned)fd + 1;
        if (from > last || from == 0)
            return 0;
    }
}

PEL_EXPORT int close_range(unsigned first, unsigned last, int flags)
{
    if (first > last || (flags & ~(int)(CLOSE_RANGE_CLOEXEC | CLOSE_RANGE_UNSHARE)))
        return (int)pel_result(-EINVAL);
    return (int)pel_result(close_between(first, last, flags));
}

PEL_EXPORT void closefrom(int first)
{
    close_between(first < 0 ? 0 : (unsigned)first, ~0u, 0);
}
