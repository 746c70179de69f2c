/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The C library's own versions of the waiting calls that we take over: for what is the kernel's alone. They
 * are points of cancellation, which a bare system call is not.
 */
#ifndef PEL_PRELOAD_NEXT_H
#define PEL_PRELOAD_NEXT_H

#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/select.h>

struct pel_next {
    int (*poll)(struct pollfd *, nfds_t, int);
    int (*ppoll)(struct pollfd *, nfds_t, const struct timespec *, const sigset_t *);
    int (*select)(int, fd_set *, fd_set *, fd_set *, struct timeval *);
    int (*pselect)(int, fd_set *, fd_set *, fd_set *, const struct timespec *, const sigset_t *);
    int (*epoll_pwait)(int, struct epoll_event *, int, int, const sigset_t *);
};

/* pel_next returns them; found when the library is loaded. Any thread; async-signal-safe after that. */
const struct pel_next *pel_next(void);

#endif
