/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <poll.h>
#include <time.h>

#include "apps/preload/real.h"
#include "apps/preload/wait.h"

int pel_wait_for(struct pel_file *file, uint32_t events, int64_t timeout_us, bool never_restart)
{
    for (;;) {
        if (pel_file_events(file, events) & (events | POLLERR | POLLHUP))
            return 0;
        struct timespec t = {.tv_nsec = 100000};
        if (timeout_us >= 0) {
            if (timeout_us < 100)
                return -ETIMEDOUT;
            timeout_us -= 100;
        }
        if (pel_raw(SYS_nanosleep, (long)&t, 0, 0, 0, 0, 0) == -EINTR)
            return -EINTR;
    }
}
void pel_wait_forked(void)
{
}
void pel_epoll_forget(struct pel_file *file)
{
}
void pel_epoll_free(struct pel_epoll *epoll)
{
}
void pel_epoll_decided(struct pel_file *file, int fd)
{
}
PEL_EXPORT int poll(struct pollfd *fds, nfds_t num, int timeout)
{
    struct pollfd copy[1024];
    if (num > 1024)
        return (int)pel_result(-EINVAL);
    for (int64_t left = (int64_t)timeout * 1000;; left -= 200) {
        int ready = 0;
        for (nfds_t i = 0; i < num; i++) {
            copy[i] = fds[i];
            struct pel_file *f = fds[i].fd < 0 ? NULL : pel_file_get(fds[i].fd);
            if (f && f->kind != PEL_FILE_UNDECIDED && f->kind != PEL_FILE_EPOLL) {
                copy[i].fd = -1;
                fds[i].revents = (short)(pel_file_events(f, (uint32_t)fds[i].events) &
                                         ((uint32_t)fds[i].events | POLLERR | POLLHUP));
                ready += fds[i].revents != 0;
            }
            if (f)
                pel_file_put(f);
        }
        long r = pel_raw(SYS_poll, (long)copy, num, 0, 0, 0, 0);
        if (r < 0)
            return (int)pel_result(r);
        for (nfds_t i = 0; i < num; i++)
            if (copy[i].fd >= 0)
                fds[i].revents = copy[i].revents;
        if (ready + r > 0 || (timeout >= 0 && left <= 0))
            return ready + (int)r;
        struct timespec t = {.tv_nsec = 200000};
        pel_raw(SYS_nanosleep, (long)&t, 0, 0, 0, 0, 0);
    }
}
