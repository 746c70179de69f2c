/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting for sockets of the stack, and for kernel descriptors beside them. Who waits spins for a while that
 * adapts to how often that helped, then goes to sleep on a waker (ipc/segment.h): writes the waker's number
 * into the `watchers` of each socket, sets asleep, looks again, and sleeps in the kernel on the waker's
 * channel and on the kernel's descriptors together. A socket that has no free place among its watchers is
 * looked at every millisecond instead.
 *
 * Signals: a handler that runs while a thread waits ends the wait with EINTR as it does in the kernel
 * (signal(7)), also when it ran before the thread was asleep: handlers are wrapped by signals.c, which counts
 * them per thread; the last look at the count happens with signals blocked, and the sleep unblocks them in
 * the same system call.
 */
#ifndef PEL_PRELOAD_WAIT_H
#define PEL_PRELOAD_WAIT_H

#include <signal.h>
#include <stdint.h>

#include "apps/preload/file.h"

#ifndef PEL_EXPORT
#define PEL_EXPORT __attribute__((visibility("default"))) /* a name of the C library's that we take over */
#endif

/* pel_wait_for waits until one of `events` (POLLIN, POLLOUT; POLLERR and POLLHUP always count) is ready on
 * the socket, at most `timeout_us` (-1: for ever). 0: ready; -ETIMEDOUT; -EINTR: a signal handler without
 * SA_RESTART ran (with it the wait goes on, as for read(2); `never_restart`: as for calls that are never
 * restarted). The daemon's death is ready. A point of cancellation while it sleeps: the
 * caller's reference to the file is given up then. Any thread. */
int pel_wait_for(struct pel_file *file, uint32_t events, int64_t timeout_us, bool never_restart);

/* pel_epoll_fork_begins waits until no thread changes a set, before a fork and before any other lock is taken
 * for it; pel_epoll_fork_ends lets them go on, after it, in the parent and in the child. So the child's
 * copies are whole. */
void pel_epoll_fork_begins(void);
void pel_epoll_fork_ends(bool is_child);

/* pel_wait_forked makes the waiting threads' own wakers new in a forked child; sets that came along get
 * wakers of their own at their first use. Called in the child, before anything else of this. */
void pel_wait_forked(void);
void pel_signals_forked(void);

/* pel_epoll_forget takes a file that this process has closed (its last number: num_fds is 0 already) out of
 * all sets; the caller holds no lock. pel_epoll_free frees a set at its last reference. Any thread. */
void pel_epoll_forget(struct pel_file *file);
void pel_epoll_free(struct pel_epoll *epoll);

/* pel_epoll_decided tells sets that an undecided member has become one of the stack's: its registration moves
 * from the kernel's instance to ours; of a stream that has become a listener: the other way. `fd` is the
 * number that has just been replaced; called once for each. Any thread. */
void pel_epoll_decided(struct pel_file *file, int fd);

/* pel_epoll_changed tells sets that the process itself has changed what a socket is ready for (shutdown),
 * before the daemon's signal for it can have come. Any thread; the caller holds no lock. */
void pel_epoll_changed(struct pel_file *file);

/* pel_epoll_deciding is called before that, while `fd` still leads to the old descriptor: the kernel forgets
 * its registration, which would outlive the number where other processes have the descriptor, too. Any
 * thread. */
void pel_epoll_deciding(struct pel_file *file, int fd);

#endif
