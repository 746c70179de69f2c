/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The C library's own functions behind the names that this library takes over. They are called for everything
 * that is the kernel's, and not raw system calls, so that cancellation points stay cancellation points and
 * other preloaded libraries keep their turn.
 */
#ifndef PEL_PRELOAD_REAL_H
#define PEL_PRELOAD_REAL_H

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#include "ipc/raw.h"

#ifndef PEL_EXPORT
#define PEL_EXPORT __attribute__((visibility("default")))
#endif

#define PEL_REAL_LIST(X)                                                                                     \
    X(int, socket, (int, int, int))                                                                          \
    X(int, bind, (int, const struct sockaddr *, socklen_t))                                                  \
    X(int, connect, (int, const struct sockaddr *, socklen_t))                                               \
    X(int, listen, (int, int))                                                                               \
    X(int, accept, (int, struct sockaddr *, socklen_t *))                                                    \
    X(int, accept4, (int, struct sockaddr *, socklen_t *, int))                                              \
    X(int, shutdown, (int, int))                                                                             \
    X(int, getsockname, (int, struct sockaddr *, socklen_t *))                                               \
    X(int, getpeername, (int, struct sockaddr *, socklen_t *))                                               \
    X(int, getsockopt, (int, int, int, void *, socklen_t *))                                                 \
    X(int, setsockopt, (int, int, int, const void *, socklen_t))                                             \
    X(ssize_t, read, (int, void *, size_t))                                                                  \
    X(ssize_t, readv, (int, const struct iovec *, int))                                                      \
    X(ssize_t, recv, (int, void *, size_t, int))                                                             \
    X(ssize_t, recvfrom, (int, void *, size_t, int, struct sockaddr *, socklen_t *))                         \
    X(ssize_t, recvmsg, (int, struct msghdr *, int))                                                         \
    X(int, recvmmsg, (int, struct mmsghdr *, unsigned, int, struct timespec *))                              \
    X(ssize_t, write, (int, const void *, size_t))                                                           \
    X(ssize_t, writev, (int, const struct iovec *, int))                                                     \
    X(ssize_t, send, (int, const void *, size_t, int))                                                       \
    X(ssize_t, sendto, (int, const void *, size_t, int, const struct sockaddr *, socklen_t))                 \
    X(ssize_t, sendmsg, (int, const struct msghdr *, int))                                                   \
    X(int, sendmmsg, (int, struct mmsghdr *, unsigned, int))                                                 \
    X(ssize_t, preadv2, (int, const struct iovec *, int, off_t, int))                                        \
    X(ssize_t, pwritev2, (int, const struct iovec *, int, off_t, int))                                       \
    X(ssize_t, sendfile, (int, int, off_t *, size_t))                                                        \
    X(ssize_t, splice, (int, loff_t *, int, loff_t *, size_t, unsigned))                                     \
    X(ssize_t, tee, (int, int, size_t, unsigned))                                                            \
    X(int, close, (int))                                                                                     \
    X(int, close_range, (unsigned, unsigned, int))                                                           \
    X(int, dup, (int))                                                                                       \
    X(int, dup2, (int, int))                                                                                 \
    X(int, dup3, (int, int, int))                                                                            \
    X(int, fcntl, (int, int, ...))                                                                           \
    X(int, ioctl, (int, unsigned long, ...))                                                                 \
    X(int, sockatmark, (int))                                                                                \
    X(int, poll, (struct pollfd *, nfds_t, int))                                                             \
    X(int, ppoll, (struct pollfd *, nfds_t, const struct timespec *, const sigset_t *))                      \
    X(int, select, (int, fd_set *, fd_set *, fd_set *, struct timeval *))                                    \
    X(int, pselect, (int, fd_set *, fd_set *, fd_set *, const struct timespec *, const sigset_t *))          \
    X(int, epoll_pwait, (int, struct epoll_event *, int, int, const sigset_t *))                             \
    X(FILE *, fdopen, (int, const char *))                                                                   \
    X(int, getaddrinfo, (const char *, const char *, const struct addrinfo *, struct addrinfo **))           \
    X(struct hostent *, gethostbyname, (const char *))                                                       \
    X(struct hostent *, gethostbyname2, (const char *, int))                                                 \
    X(int, gethostbyname_r, (const char *, struct hostent *, char *, size_t, struct hostent **, int *))      \
    X(int, gethostbyname2_r,                                                                                 \
      (const char *, int, struct hostent *, char *, size_t, struct hostent **, int *))                       \
    X(int, execve, (const char *, char *const *, char *const *))                                             \
    X(int, execvpe, (const char *, char *const *, char *const *))                                            \
    X(int, fexecve, (int, char *const *, char *const *))                                                     \
    X(int, posix_spawn,                                                                                      \
      (pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *, char *const *,  \
       char *const *))                                                                                       \
    X(int, posix_spawnp,                                                                                     \
      (pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *, char *const *,  \
       char *const *))                                                                                       \
    X(int, chroot, (const char *))                                                                           \
    X(int, system, (const char *))                                                                           \
    X(FILE *, popen, (const char *, const char *))                                                           \
    X(int, vdprintf, (int, const char *, va_list))                                                           \
    X(int, __vdprintf_chk, (int, int, const char *, va_list))                                                \
    X(void, _exit, (int))                                                                                    \
    X(long, syscall, (long, ...))

struct pel_real {
#define PEL_REAL_MEMBER(type, name, args) type(*name) args;
    PEL_REAL_LIST(PEL_REAL_MEMBER)
#undef PEL_REAL_MEMBER
    bool is_ready;
};

extern struct pel_real pel_real_functions;

/* pel_real_find finds them all. Any thread, also before the constructor has run; does not allocate. */
void pel_real_find(void);

/* pel_real returns the table, filled. */
static inline const struct pel_real *pel_real(void)
{
    if (__builtin_expect(!__atomic_load_n(&pel_real_functions.is_ready, __ATOMIC_ACQUIRE), 0))
        pel_real_find();
    return &pel_real_functions;
}

/* pel_real_next finds another name's next function; NULL: there is none. For what is rarely called. */
void *pel_real_next(const char *name);

/* pel_result makes a call's result of a value or a negative errno. */
static inline ssize_t pel_result(ssize_t value)
{
    if (value >= 0)
        return value;
    errno = (int)-value;
    return -1;
}

#endif
