/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>

#include "apps/preload/epoll_set.h"
#include "apps/preload/real.h"
#include "apps/preload/wait.h"
#include "ipc/raw.h"

/* While ours are always ready, the kernel's members are looked at after 12 to 25 us. */
#define KERNEL_LOOK_TICKS 50000u
/* A spin looks at the kernel's members now and then; and who only looks, and never sleeps, hears of the
 * daemon's death by a look at its channel. */
#define SPIN_LOOK_TICKS   12500u
#define DEATH_LOOK_TICKS  2500000u

#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441
#endif

struct wait {
    struct pel_file *file; /* the caller has a reference */
    struct pel_epoll *set;
    struct epoll_event *events; /* the program's */
    int max_events;
    int64_t timeout_ns, deadline_ns; /* the latter known when there is something to wait for */
    const void *mask;
    struct pel_interrupts interrupts;
};

/* Reports what members of ours have, each at most once. Who was reported and stays goes to the end of the
 * list, behind those that still wait for their turn. */
static int gather(struct pel_epoll *set, struct epoll_event *ret_events, int max_events)
{
    struct pel_member *last = set->ready_last;
    bool is_end = last == NULL;
    int num_events = 0;
    while (!is_end && num_events < max_events) {
        struct pel_member *member = set->ready_first;
        is_end = member == last;
        pel_set_leave(set, member);
        uint32_t events = pel_member_events(member);
        if (events == 0)
            continue;
        ret_events[num_events].events = events;
        ret_events[num_events++].data = member->data;
        if (member->events & (uint32_t)EPOLLONESHOT)
            member->is_off = true;
        else if (!(member->events & (uint32_t)EPOLLET))
            pel_set_enter(set, member);
    }
    return num_events;
}

static int look_at_kernels(struct pel_epoll *set, struct epoll_event *ret_events, int max_events)
{
    pel_set_settle_nested(set);
    long num_events = pel_raw(SYS_epoll_wait, set->kernel, (long)ret_events, max_events, 0, 0, 0);
    set->kernel_seen_ticks = pel_ticks();
    set->num_looks_due -= set->num_looks_due > 0;
    if (num_events <= 0)
        return (int)num_events;
    set->num_looks_due = PEL_SET_LOOKS_DUE;
    return pel_set_sort(set, ret_events, (int)num_events);
}

/* What is ready, without waiting: ours, and the kernel's when it is their turn. Who will sleep if there is
 * nothing need not ask for the kernel's before. */
static int look(const struct wait *wait, bool will_sleep)
{
    struct pel_epoll *set = wait->set;
    uint64_t unseen_ticks = pel_ticks() - set->kernel_seen_ticks;
    bool has_looked = false;
    int num_events = 0;
    pel_set_take_signals(set);
    if (set->ready_first != NULL && set->num_kernels > 0 &&
        (unseen_ticks > KERNEL_LOOK_TICKS || (set->num_looks_due > 0 && wait->max_events > 1))) {
        num_events = look_at_kernels(set, wait->events, (wait->max_events + 1) / 2);
        has_looked = true;
    }
    if (num_events < 0)
        return num_events;
    num_events += gather(set, wait->events + num_events, wait->max_events - num_events);
    if (num_events == 0 && !has_looked && !will_sleep &&
        (set->num_kernels > 0 || set->is_outside || unseen_ticks > DEATH_LOOK_TICKS))
        num_events = look_at_kernels(set, wait->events, wait->max_events);
    return num_events;
}

static bool is_kernel_readable(int kernel)
{
    struct pollfd poll_fd = {.fd = kernel, .events = POLLIN};
    struct timespec none = {0};
    return pel_raw(SYS_ppoll, (long)&poll_fd, 1, (long)&none, 0, 0, 0) != 0;
}

/* Looks for signals for a while, without the lock; true: it was worth it. */
static bool spin(const struct wait *wait)
{
    struct pel_epoll *set = wait->set;
    struct pel_waker *wakers[PEL_SET_APPS];
    uint32_t num_wakers = 0;
    uint64_t ticks = set->num_ours == 0 ? 0 : pel_spin_ticks(&set->spin);
    if (ticks == 0)
        return false;
    for (uint32_t i = 0; i < set->num_apps; i++) {
        if (set->apps[i].has_wake)
            wakers[num_wakers++] = set->apps[i].wake.waker;
    }
    const bool has_kernels = set->num_kernels > 0;
    const int kernel = set->kernel;
    pel_set_unlock(set);
    uint64_t begin = pel_ticks(), now = begin, looked_at = begin - SPIN_LOOK_TICKS;
    bool is_worth = false, is_late = false;
    while (!is_worth && !is_late && now - begin < ticks) {
        __builtin_ia32_pause();
        for (uint32_t i = 0; i < num_wakers; i++)
            is_worth |= !pel_signal_set_is_empty(&wakers[i]->ready);
        is_worth |= __atomic_load_n(&set->ready_first, __ATOMIC_RELAXED) != NULL ||
                    pel_interrupts_any(&wait->interrupts);
        now = pel_ticks();
        if (now - looked_at >= SPIN_LOOK_TICKS) {
            looked_at = now;
            is_worth |= has_kernels && is_kernel_readable(kernel);
            is_late = wait->deadline_ns != PEL_NEVER && pel_now_ns() >= wait->deadline_ns;
        }
    }
    pel_set_lock(set);
    pel_spin_learn(&set->spin, is_worth);
    return is_worth;
}

/* The thread is cancelled while it sleeps: who else sleeps may have to do with what woke it. */
static void undo_wait(void *arg)
{
    const struct wait *wait = arg;
    pel_set_lock(wait->set);
    wait->set->num_sleepers--;
    pel_set_rise(wait->set);
    pel_set_settle(wait->set);
    pel_set_unlock(wait->set);
    pel_file_put(wait->file);
}

/* epoll_pwait2, or where the kernel is older its sister, whose milliseconds are rounded up. */
static long kernel_wait(const struct wait *wait, int kernel, const struct timespec *timeout)
{
    struct pel_sleep sleep = {
        .number = SYS_epoll_pwait2,
        .args = {kernel, (long)wait->events, wait->max_events, (long)timeout},
        .mask_at = 4,
    };
    long result = pel_sleep(&sleep, wait->mask, &wait->interrupts);
    if (result != -ENOSYS)
        return result;
    int64_t ms = timeout == NULL ? -1 : timeout->tv_sec * 1000 + (timeout->tv_nsec + 999999) / 1000000;
    sleep.number = SYS_epoll_pwait;
    sleep.args[3] = ms > INT32_MAX ? INT32_MAX : ms;
    return pel_sleep(&sleep, wait->mask, &wait->interrupts);
}

/* Sleeps, unless something is ready. A number of events, all that there are now, or a negative errno. */
static int sleep_once(const struct wait *wait)
{
    struct pel_epoll *set = wait->set;
    struct timespec left;
    long num_events = 0;
    set->num_sleepers++;
    pel_set_settle_nested(set);
    pel_set_fall_asleep(set);
    pel_set_take_signals(set);
    if (!pel_set_has_ready(set)) {
        int64_t most_ns = set->num_unwatched > 0 ? PEL_NAP_NS : PEL_NEVER;
        pel_set_unlock(set);
        num_events = kernel_wait(wait, set->kernel, pel_timeout_left(&left, wait->deadline_ns, most_ns));
        pel_set_lock(set);
    }
    set->num_sleepers--;
    set->kernel_seen_ticks = pel_ticks();
    set->num_looks_due = PEL_SET_LOOKS_DUE;
    int num_kept = num_events > 0 ? pel_set_sort(set, wait->events, (int)num_events) : 0;
    pel_set_rise(set);
    pel_set_take_signals(set);
    num_kept += gather(set, wait->events + num_kept, wait->max_events - num_kept);
    return num_kept == 0 && num_events < 0 ? (int)num_events : num_kept;
}

static bool is_over(const struct wait *wait)
{
    return wait->deadline_ns != PEL_NEVER && pel_now_ns() >= wait->deadline_ns;
}

static int wait_mixed(struct wait *wait)
{
    struct pel_epoll *set = wait->set;
    pel_set_lock(set);
    int num_events = look(wait, wait->timeout_ns != 0);
    if (num_events == 0 && wait->timeout_ns != 0) {
        if (spin(wait))
            num_events = look(wait, false);
        while (num_events == 0 && !is_over(wait))
            num_events = sleep_once(wait);
    }
    pel_set_settle(set);
    pel_set_unlock(set);
    return num_events;
}

/* The C library's epoll_pwait where milliseconds do: it is a point of cancellation. */
int pel_set_wait_plain(int epoll_fd, struct epoll_event *ret_events, int max_events, int64_t timeout_ns,
                       const void *mask)
{
    int64_t ms = timeout_ns < 0 ? -1 : timeout_ns / 1000000;
    if (ms <= INT32_MAX && (timeout_ns < 0 || timeout_ns % 1000000 == 0)) {
        int result = pel_real()->epoll_pwait(epoll_fd, ret_events, max_events, (int)ms, mask);
        return result < 0 ? -errno : result;
    }
    struct timespec left = {.tv_sec = timeout_ns / 1000000000, .tv_nsec = timeout_ns % 1000000000};
    long result =
        pel_raw(SYS_epoll_pwait2, epoll_fd, (long)ret_events, max_events, (long)&left, (long)mask, 8);
    if (result == -ENOSYS)
        result = pel_raw(SYS_epoll_pwait, epoll_fd, (long)ret_events, max_events, ms + 1, (long)mask, 8);
    return (int)result;
}

static int sleep_plain(struct wait *wait, int epoll_fd)
{
    int num_events;
    pthread_cleanup_push(undo_wait, wait);
    num_events = pel_set_wait_plain(epoll_fd, wait->events, wait->max_events, wait->timeout_ns, wait->mask);
    pthread_cleanup_pop(0);
    return num_events;
}

/* A set that no socket of the stack has come near is the kernel's to wait for. One may come near meanwhile:
 * then there are markers to be taken out, and if nothing else was there the wait goes on. */
int pel_set_wait(struct pel_file *file, int epoll_fd, struct epoll_event *ret_events, int max_events,
                 int64_t timeout_ns, const void *mask)
{
    struct pel_epoll *set = file->epoll;
    struct wait wait = {
        .file = file,
        .set = set,
        .events = ret_events,
        .max_events = max_events,
        .timeout_ns = timeout_ns,
        .deadline_ns = timeout_ns == 0 ? 0 : pel_deadline_ns(timeout_ns),
        .mask = mask,
        .interrupts = pel_interrupts_begin(false, undo_wait, &wait),
    };
    pel_set_lock(set);
    bool is_mixed = set->num_ours > 0;
    pel_set_settle_nested(set);
    set->num_sleepers += !is_mixed;
    pel_set_unlock(set);
    if (is_mixed)
        return wait_mixed(&wait);
    int num_events = sleep_plain(&wait, epoll_fd);
    pel_set_lock(set);
    set->num_sleepers--;
    is_mixed = set->kernel >= 0;
    if (num_events > 0)
        num_events = pel_set_sort(set, ret_events, num_events);
    pel_set_rise(set);
    pel_set_settle(set);
    pel_set_unlock(set);
    if (num_events != 0 || timeout_ns == 0 || !is_mixed || is_over(&wait))
        return num_events;
    return wait_mixed(&wait);
}
