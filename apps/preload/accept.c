/* SPDX-License-Identifier: Apache-2.0 */
/*
 * accept: a listener's channel brings each connection as a message with its channel, so that waiting,
 * timeouts and signals are the kernel's business.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>

#include "apps/preload/accept.h"
#include "apps/preload/adopt.h"
#include "apps/preload/decide.h"
#include "apps/preload/env.h"
#include "apps/preload/options.h"
#include "apps/preload/real.h"
#include "apps/preload/stream.h"
#include "apps/preload/table.h"

/* A connection whose channel finds no number is lost: near the limit it is tried first whether there is one.
 */
static bool has_free_number(int fd)
{
    static int last_fd; /* a hint */
    static int limit;
    int seen_fd = __atomic_load_n(&last_fd, __ATOMIC_RELAXED);
    if (__atomic_load_n(&limit, __ATOMIC_RELAXED) > seen_fd + 4096)
        return true;
    long free_fd = pel_raw(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 0, 0, 0, 0);
    if (free_fd < 0)
        return false;
    pel_raw(SYS_close, free_fd, 0, 0, 0, 0, 0);
    struct rlimit now = {.rlim_cur = 0};
    getrlimit(RLIMIT_NOFILE, &now);
    __atomic_store_n(&limit, now.rlim_cur > PEL_TABLE_MAX ? PEL_TABLE_MAX : (int)now.rlim_cur,
                     __ATOMIC_RELAXED);
    __atomic_store_n(&last_fd, (int)free_fd, __ATOMIC_RELAXED);
    return true;
}

union control {
    struct cmsghdr header;
    uint8_t bytes[CMSG_SPACE(sizeof(int))];
};

static void put_listener(void *arg)
{
    pel_file_put(arg);
}

/* Waits in the kernel; a thread that is cancelled there gives the call's reference back. */
static ssize_t wait_message(struct pel_file *listener, int fd, struct msghdr *message, int flags)
{
    ssize_t len;
    pthread_cleanup_push(put_listener, listener);
    len = pel_real()->recvmsg(fd, message, flags);
    pthread_cleanup_pop(0);
    return len < 0 ? -errno : len;
}

/* Takes a message from the channel; 0, or a negative errno; -ECONNRESET: the daemon is no more. */
static int take_message(struct pel_file *listener, int fd, int flags, struct pel_accepted *ret, int *ret_fd)
{
    union control control;
    struct iovec iov = {.iov_base = ret, .iov_len = sizeof *ret};
    struct msghdr message = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t len = flags & MSG_DONTWAIT ? pel_raw(SYS_recvmsg, fd, (long)&message, flags, 0, 0, 0)
                                       : wait_message(listener, fd, &message, flags);
    if (len < 0)
        return (int)len;
    if (len == 0)
        return -ECONNRESET;
    struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
    if (len != sizeof *ret || rights == NULL || rights->cmsg_type != SCM_RIGHTS)
        return message.msg_flags & MSG_CTRUNC ? -EMFILE : -EPROTO;
    memcpy(ret_fd, CMSG_DATA(rights), sizeof *ret_fd);
    return 0;
}

static int install(struct pel_file *listener, const struct pel_accepted *accepted, int fd, int flags)
{
    struct pel_file *file = pel_table_make(PEL_FILE_STREAM);
    if (file == NULL)
        return -ENOMEM;
    pel_file_point(file, listener->app, accepted->slot, accepted->serial);
    pel_shared_of(file)->remote = accepted->remote;
    pel_options_inherit(file, listener);
    pel_shared_set(file, PEL_SHARED_ACCEPTED | PEL_SHARED_CONNECTING | PEL_SHARED_CONNECT_TOLD |
                             PEL_SHARED_BOUND | (flags & SOCK_NONBLOCK ? PEL_SHARED_NONBLOCK : 0));
    if (pel_file_install(fd, file) == 0)
        return 0;
    file->is_left = 1;
    pel_file_put(file);
    return -ENFILE;
}

/* The next connection's number, or a negative errno. */
static int next(struct pel_file *listener, int fd, int flags, struct pel_accepted *ret)
{
    bool is_nonblock = pel_shared_flags(listener) & PEL_SHARED_NONBLOCK;
    int message_flags = (is_nonblock ? MSG_DONTWAIT : 0) | (flags & SOCK_CLOEXEC ? MSG_CMSG_CLOEXEC : 0);
    for (;;) {
        const struct pel_slot *slot = listener->slot;
        int accepted_fd = -1;
        if (pel_shared_flags(listener) & PEL_SHARED_RD_SHUT)
            return -EINVAL;
        if (!has_free_number(fd))
            return -EMFILE;
        int error = take_message(listener, fd, message_flags, ret, &accepted_fd);
        if (error == -ECONNRESET && !(pel_shared_flags(listener) & PEL_SHARED_RD_SHUT)) {
            error = pel_listen_again(listener, slot);
            if (error == 0 || (error == -EAGAIN && !is_nonblock))
                continue;
            return error;
        }
        if (error == -ECONNRESET)
            continue; /* shut down while it waited */
        if (error != 0)
            return error;
        __atomic_fetch_add(&listener->slot->rx_tail, 1, __ATOMIC_RELEASE);
        error = ret->slot < listener->app->header.num_sockets ? install(listener, ret, accepted_fd, flags)
                                                              : -EPROTO;
        if (error == 0)
            return accepted_fd;
        pel_raw(SYS_close, accepted_fd, 0, 0, 0, 0, 0);
        return error;
    }
}

static int accept_on(struct pel_file *listener, int fd, struct sockaddr *ret_address, socklen_t *len,
                     int flags)
{
    struct pel_accepted accepted;
    if (flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC))
        return -EINVAL;
    if (pel_file_kind(listener) != PEL_FILE_LISTENER)
        return pel_file_kind(listener) == PEL_FILE_DGRAM ? -EOPNOTSUPP : -EINVAL;
    if (ret_address != NULL && len == NULL)
        return -EFAULT;
    if (ret_address != NULL && (int)*len < 0)
        return -EINVAL;
    int accepted_fd = next(listener, fd, flags, &accepted);
    if (accepted_fd >= 0)
        pel_address_give(listener->slot->family, &accepted.remote, ret_address, len);
    return accepted_fd;
}

PEL_EXPORT int accept4(int fd, struct sockaddr *ret_address, socklen_t *len, int flags)
{
    struct pel_file *file = pel_file_get(fd);
    if (file == NULL)
        return pel_real()->accept4(fd, ret_address, len, flags);
    enum pel_file_kind kind = pel_file_kind(file);
    int result = kind == PEL_FILE_UNDECIDED || kind == PEL_FILE_EPOLL
                     ? pel_real()->accept4(fd, ret_address, len, flags)
                     : (int)pel_result(accept_on(file, fd, ret_address, len, flags));
    pel_file_put(file);
    return result;
}

PEL_EXPORT int accept(int fd, struct sockaddr *ret_address, socklen_t *len)
{
    return pel_table_peek(fd) == NULL ? pel_real()->accept(fd, ret_address, len)
                                      : accept4(fd, ret_address, len, 0);
}
