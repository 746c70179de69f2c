/* SPDX-License-Identifier: Apache-2.0 */
#include "ipc/message.h"

#include <errno.h>
#include <string.h>

#include "ipc/raw.h"

union control {
    struct cmsghdr header;
    uint8_t bytes[CMSG_SPACE(sizeof(int) * PEL_IPC_FDS_MAX)];
};

int pel_ipc_send(int fd, const void *message, size_t len, const int *fds, size_t num_fds, int flags)
{
    struct iovec iov = {.iov_base = (void *)message, .iov_len = len};
    struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1};
    union control control;
    if (num_fds > PEL_IPC_FDS_MAX)
        return -EINVAL;
    if (num_fds > 0) {
        memset(&control, 0, sizeof control);
        header.msg_control = &control;
        header.msg_controllen = CMSG_SPACE(sizeof(int) * num_fds);
        struct cmsghdr *rights = CMSG_FIRSTHDR(&header);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(sizeof(int) * num_fds);
        memcpy(CMSG_DATA(rights), fds, sizeof(int) * num_fds);
    }
    long sent;
    do {
        sent = pel_raw(SYS_sendmsg, fd, (long)&header, flags | MSG_NOSIGNAL, 0, 0, 0);
    } while (sent == -EINTR);
    return sent < 0 ? (int)sent : 0;
}

/* Keeps up to `max_fds` of the message's descriptors and closes the others. */
static size_t keep_fds(struct msghdr *header, int *ret_fds, size_t max_fds)
{
    size_t num = 0;
    for (struct cmsghdr *part = CMSG_FIRSTHDR(header); part != NULL; part = CMSG_NXTHDR(header, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
            continue;
        size_t num_here = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < num_here; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(part) + i * sizeof fd, sizeof fd);
            if (num < max_fds)
                ret_fds[num++] = fd;
            else
                pel_raw(SYS_close, fd, 0, 0, 0, 0, 0);
        }
    }
    return num;
}

ssize_t pel_ipc_receive(int fd, void *ret_message, size_t len, int *ret_fds, size_t max_fds,
                        size_t *ret_num_fds, int flags)
{
    struct iovec iov = {.iov_base = ret_message, .iov_len = len};
    union control control;
    struct msghdr header = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    long received = pel_raw(SYS_recvmsg, fd, (long)&header, flags | MSG_CMSG_CLOEXEC, 0, 0, 0);
    if (received < 0)
        return received;
    bool is_cut = (header.msg_flags & MSG_TRUNC) != 0;
    size_t num_fds = keep_fds(&header, ret_fds, is_cut ? 0 : max_fds);
    if (is_cut)
        return -EMSGSIZE;
    if (ret_num_fds != NULL)
        *ret_num_fds = num_fds;
    return received;
}
