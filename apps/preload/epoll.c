/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The epoll calls, as the program sees them.
 */
#include <errno.h>
#include <sys/epoll.h>

#include "apps/preload/env.h"
#include "apps/preload/epoll_set.h"
#include "apps/preload/real.h"
#include "apps/preload/table.h"
#include "apps/preload/wait.h"
#include "ipc/raw.h"

/* What may stand beside EPOLLEXCLUSIVE. */
#define EXCLUSIVE_EVENTS                                                                                     \
    ((uint32_t)(EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP) | (uint32_t)EPOLLWAKEUP | (uint32_t)EPOLLET |      \
     (uint32_t)EPOLLEXCLUSIVE)
#define EVENTS_MAX (INT32_MAX / (int)sizeof(struct epoll_event))

/* Makes the new instance `fd` one of ours. */
static int install(int fd)
{
    struct pel_file *file = pel_table_make(PEL_FILE_EPOLL);
    int error = ENOMEM;
    if (file != NULL) {
        file->epoll = pel_set_new();
        error = file->epoll == NULL ? ENOMEM : pel_file_install(fd, file);
    }
    if (error == 0)
        return fd;
    if (file != NULL)
        pel_file_put(file);
    pel_raw(SYS_close, fd, 0, 0, 0, 0, 0);
    return -error;
}

PEL_EXPORT int epoll_create1(int flags)
{
    long fd = pel_raw(SYS_epoll_create1, flags, 0, 0, 0, 0, 0);
    return (int)pel_result(fd < 0 || !pel_env()->is_active ? fd : install((int)fd));
}

PEL_EXPORT int epoll_create(int size)
{
    return size > 0 ? epoll_create1(0) : (int)pel_result(-EINVAL);
}

static long kernel_ctl(int epoll_fd, int operation, int fd, struct epoll_event *event)
{
    return pel_raw(SYS_epoll_ctl, epoll_fd, operation, fd, (long)event, 0, 0);
}

/* A member that is the kernel's alone. */
static long change_kernels(struct pel_epoll *set, int epoll_fd, int operation, int fd,
                           struct epoll_event *event)
{
    long result = kernel_ctl(epoll_fd, operation, fd, event);
    if (result != 0)
        return result;
    pel_set_lock(set);
    set->num_looks_due = PEL_SET_LOOKS_DUE;
    if (operation == EPOLL_CTL_ADD)
        set->num_kernels++;
    else if (operation == EPOLL_CTL_DEL && set->num_kernels > 0)
        set->num_kernels--;
    pel_set_unlock(set);
    return result;
}

static int change_locked(struct pel_epoll *set, struct pel_file *file, int operation, int fd,
                         const struct epoll_event *event)
{
    struct pel_member *member = pel_set_find(set, file, fd);
    if (operation == EPOLL_CTL_ADD)
        return member != NULL ? EEXIST : pel_set_add(set, file, fd, event);
    if (member == NULL)
        return ENOENT;
    if (operation == EPOLL_CTL_DEL)
        return pel_set_remove(set, member, true);
    return member->events & (uint32_t)EPOLLEXCLUSIVE ? EINVAL : pel_set_change(set, member, event);
}

/* A socket of the stack, or one that may become one; or another set. */
static int change_ours(struct pel_epoll *set, struct pel_file *file, int epoll_fd, int operation, int fd,
                       const struct epoll_event *event)
{
    bool is_set = file->kind == PEL_FILE_EPOLL;
    if ((operation != EPOLL_CTL_ADD && operation != EPOLL_CTL_MOD && operation != EPOLL_CTL_DEL) ||
        file->epoll == set)
        return EINVAL;
    if (operation != EPOLL_CTL_DEL) {
        if (event == NULL)
            return EFAULT;
        if ((event->events & (uint32_t)EPOLLEXCLUSIVE) &&
            (operation == EPOLL_CTL_MOD || is_set || (event->events & ~EXCLUSIVE_EVENTS)))
            return EINVAL;
    }
    pel_set_lock(set);
    int error = pel_set_mix(set, epoll_fd);
    if (error == 0)
        error = change_locked(set, file, operation, fd, event);
    pel_set_settle(set);
    pel_set_unlock(set);
    if (error == 0 && is_set && operation == EPOLL_CTL_ADD)
        pel_set_show(file->epoll);
    return error;
}

PEL_EXPORT int epoll_ctl(int epoll_fd, int operation, int fd, struct epoll_event *event)
{
    struct pel_file *set_file = pel_file_get(epoll_fd), *file = pel_file_get(fd);
    struct pel_epoll *set = set_file != NULL && set_file->kind == PEL_FILE_EPOLL ? set_file->epoll : NULL;
    long result;
    if (set == NULL)
        result = set_file != NULL ? -EINVAL : kernel_ctl(epoll_fd, operation, fd, event);
    else if (file == NULL)
        result = change_kernels(set, epoll_fd, operation, fd, event);
    else
        result = -change_ours(set, file, epoll_fd, operation, fd, event);
    if (file != NULL)
        pel_file_put(file);
    if (set_file != NULL)
        pel_file_put(set_file);
    return (int)pel_result(result);
}

static int wait_on(int epoll_fd, struct epoll_event *ret_events, int max_events, int64_t timeout_ns,
                   const void *mask)
{
    if (max_events <= 0 || max_events > EVENTS_MAX)
        return -EINVAL;
    if (ret_events == NULL)
        return -EFAULT;
    struct pel_file *file = pel_file_get(epoll_fd);
    if (file == NULL || file->kind != PEL_FILE_EPOLL) {
        if (file != NULL)
            pel_file_put(file);
        return file != NULL ? -EINVAL
                            : pel_set_wait_plain(epoll_fd, ret_events, max_events, timeout_ns, mask);
    }
    int result = pel_set_wait(file, epoll_fd, ret_events, max_events, timeout_ns, mask);
    pel_file_put(file);
    return result;
}

PEL_EXPORT int epoll_wait(int epoll_fd, struct epoll_event *ret_events, int max_events, int timeout_ms)
{
    return (int)pel_result(wait_on(epoll_fd, ret_events, max_events, (int64_t)timeout_ms * 1000000, NULL));
}

PEL_EXPORT int epoll_pwait(int epoll_fd, struct epoll_event *ret_events, int max_events, int timeout_ms,
                           const sigset_t *mask)
{
    return (int)pel_result(wait_on(epoll_fd, ret_events, max_events, (int64_t)timeout_ms * 1000000, mask));
}

PEL_EXPORT int epoll_pwait2(int epoll_fd, struct epoll_event *ret_events, int max_events,
                            const struct timespec *timeout, const sigset_t *mask)
{
    int64_t timeout_ns = pel_timeout_ns(timeout);
    if (timeout_ns == -EINVAL)
        return (int)pel_result(-EINVAL);
    return (int)pel_result(wait_on(epoll_fd, ret_events, max_events, timeout_ns, mask));
}
