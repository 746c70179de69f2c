/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The calls with messages: recvmsg, sendmsg and their plural forms. Descriptors in messages of the kernel's
 * sockets may be sockets of the stack: a channel is sent as what it is, and one that comes is adopted.
 */
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>
#include <time.h>

#include "apps/preload/adopt.h"
#include "apps/preload/close.h"
#include "apps/preload/env.h"
#include "apps/preload/io.h"
#include "apps/preload/real.h"
#include "apps/preload/table.h"

/* Descriptors that came with a message: those that are channels become sockets of the stack. */
static void adopt_rights(const struct msghdr *message)
{
    for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part != NULL;
         part = CMSG_NXTHDR((struct msghdr *)message, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
            continue;
        size_t num = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < num; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(part) + i * sizeof fd, sizeof fd);
            pel_adopt_received(fd);
        }
    }
}

static bool may_bring_rights(const struct msghdr *message)
{
    return message->msg_control != NULL && message->msg_controllen >= CMSG_LEN(sizeof(int)) &&
           pel_env()->is_active;
}

/* A message on a socket of the stack. */
static ssize_t receive(struct pel_file *file, struct msghdr *message, int flags)
{
    int ret_flags = 0;
    if (message == NULL)
        return -EFAULT;
    socklen_t len = message->msg_namelen;
    if (message->msg_iovlen > IOV_MAX)
        return -EMSGSIZE;
    ssize_t result = pel_io_recv(file, message->msg_iov, message->msg_iovlen, flags, message->msg_name,
                                 message->msg_name != NULL ? &len : NULL, &ret_flags);
    if (result < 0)
        return result;
    message->msg_namelen = message->msg_name != NULL ? len : 0;
    message->msg_controllen = 0;
    message->msg_flags = ret_flags;
    return result;
}

PEL_EXPORT ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    struct pel_file *file = pel_io_file(fd);
    if (file != NULL) {
        ssize_t result = receive(file, message, flags);
        pel_file_put(file);
        return pel_result(result);
    }
    ssize_t result = pel_real()->recvmsg(fd, message, flags);
    if (result >= 0 && may_bring_rights(message))
        adopt_rights(message);
    return result;
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* As the kernel has it: the timeout is looked at after each datagram only, and an error after the first is
 * left for the next call. */
static int receive_many(struct pel_file *file, struct mmsghdr *messages, unsigned num, int flags,
                        const struct timespec *timeout)
{
    if (timeout != NULL && (timeout->tv_sec < 0 || timeout->tv_nsec < 0 || timeout->tv_nsec >= 1000000000))
        return -EINVAL;
    int64_t end_ns = timeout != NULL ? now_ns() + timeout->tv_sec * 1000000000 + timeout->tv_nsec : 0;
    for (unsigned i = 0; i < num; i++) {
        bool is_more = i > 0 && (flags & MSG_WAITFORONE);
        ssize_t len =
            receive(file, &messages[i].msg_hdr, (flags & ~MSG_WAITFORONE) | (is_more ? MSG_DONTWAIT : 0));
        if (len < 0)
            return i > 0 ? (int)i : (int)len;
        messages[i].msg_len = (unsigned)len;
        if (timeout != NULL && now_ns() >= end_ns)
            return (int)i + 1;
    }
    return (int)num;
}

PEL_EXPORT int recvmmsg(int fd, struct mmsghdr *messages, unsigned num, int flags, struct timespec *timeout)
{
    struct pel_file *file = pel_io_file(fd);
    if (file != NULL) {
        int result = receive_many(file, messages, num, flags, timeout);
        pel_file_put(file);
        return (int)pel_result(result);
    }
    int result = pel_real()->recvmmsg(fd, messages, num, flags, timeout);
    for (int i = 0; i < result; i++) {
        if (may_bring_rights(&messages[i].msg_hdr))
            adopt_rights(&messages[i].msg_hdr);
    }
    return result;
}

/* What a message asks for beside its bytes; an errno, or 0. Descriptors do not travel over TCP and UDP, which
 * the kernel does not mind either. */
static int judge_control(const struct msghdr *message)
{
    for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part != NULL;
         part = CMSG_NXTHDR((struct msghdr *)message, part)) {
        if (part->cmsg_level == SOL_SOCKET && part->cmsg_type != SCM_RIGHTS &&
            part->cmsg_type != SCM_CREDENTIALS)
            return EINVAL;
        if (part->cmsg_level == SOL_UDP && part->cmsg_type == UDP_SEGMENT)
            return EIO; /* as where no device can cut: programs go on without */
    }
    return 0;
}

static ssize_t transmit(struct pel_file *file, const struct msghdr *message, int flags)
{
    if (message == NULL)
        return -EFAULT;
    if (message->msg_iovlen > IOV_MAX)
        return -EMSGSIZE;
    int error = judge_control(message);
    if (error != 0)
        return -error;
    return pel_io_send(file, message->msg_iov, message->msg_iovlen, flags, message->msg_name,
                       message->msg_namelen);
}

PEL_EXPORT ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    int error;
    struct pel_file *file = message == NULL
                                ? pel_io_file_to(fd, NULL, 0, flags, &error)
                                : pel_io_file_to(fd, message->msg_name, message->msg_namelen, flags, &error);
    if (error != 0)
        return pel_result(-error);
    if (file == NULL)
        return pel_real()->sendmsg(fd, message, flags);
    ssize_t result = transmit(file, message, flags);
    pel_file_put(file);
    return pel_result(result);
}

PEL_EXPORT int sendmmsg(int fd, struct mmsghdr *messages, unsigned num, int flags)
{
    int error = 0;
    struct pel_file *file = num > 0 ? pel_io_file_to(fd, messages[0].msg_hdr.msg_name,
                                                     messages[0].msg_hdr.msg_namelen, flags, &error)
                                    : NULL;
    if (error != 0)
        return (int)pel_result(-error);
    if (file == NULL)
        return pel_real()->sendmmsg(fd, messages, num, flags);
    unsigned i = 0;
    ssize_t len = 0;
    for (; i < num && len >= 0; i++) {
        len = transmit(file, &messages[i].msg_hdr, flags);
        if (len < 0)
            break;
        messages[i].msg_len = (unsigned)len;
    }
    pel_file_put(file);
    return i > 0 ? (int)i : (int)pel_result(len);
}
