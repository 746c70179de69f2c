/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/preload/wait.h"

#include <errno.h>
#include <poll.h>
#include <sys/syscall.h>

#include "apps/preload/wake.h"
#include "ipc/raw.h"

struct waiting {
    struct pel_file *file;
    uint32_t events;
    struct pel_wake *wake; /* while it watches the socket */
    struct pel_interrupts interrupts;
    int64_t deadline_ns;
};

/* The thread is cancelled: its wake watches no more, and the caller of pel_wait_for has no more use for the
 * file. */
static void undo_wait(void *arg)
{
    const struct waiting *waiting = arg;
    if (waiting->wake != NULL) {
        pel_wake_rise(waiting->wake);
        pel_wake_unwatch(waiting->wake, waiting->file->slot);
    }
    pel_file_put(waiting->file);
}

static bool is_ready(const struct waiting *waiting)
{
    return (pel_file_events(waiting->file, waiting->events) & (waiting->events | POLLERR | POLLHUP)) != 0;
}

/* Looks for a while; true when it was worth it: the socket is ready, or a signal came. */
static bool spin(const struct waiting *waiting)
{
    struct pel_spin *learned = &pel_thread.spin;
    uint64_t ticks = pel_spin_ticks(learned);
    if (ticks == 0)
        return false;
    uint64_t begin = pel_ticks();
    bool is_done = false;
    while (!is_done && pel_ticks() - begin < ticks) {
        /* The engine may wait for this very core. */
        pel_raw(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
        is_done = is_ready(waiting) || pel_interrupts_any(&waiting->interrupts);
    }
    pel_spin_learn(learned, is_done);
    return is_done;
}

/* Sleeps until the socket's next change, or not at all when it is ready; a negative errno of ppoll. Without a
 * waker, or a place among the socket's watchers, sleeps for a nap. */
static long sleep_once(struct waiting *waiting)
{
    struct pel_wake *wake =
        waiting->file->kind == PEL_FILE_LISTENER ? NULL : pel_thread_wake(waiting->file->app);
    struct timespec left;
    if (wake == NULL || !pel_wake_watch(wake, waiting->file->slot))
        return pel_sleep_poll(NULL, 0, pel_timeout_left(&left, waiting->deadline_ns, PEL_NAP_NS), NULL,
                              &waiting->interrupts);
    struct pollfd channel = {.fd = wake->channel, .events = POLLIN};
    long result = 0;
    waiting->wake = wake;
    pel_wake_forget_signals(wake);
    pel_wake_fall_asleep(wake);
    if (!is_ready(waiting) && pel_signal_set_is_empty(&wake->waker->ready))
        result = pel_sleep_poll(&channel, 1, pel_timeout_left(&left, waiting->deadline_ns, PEL_NEVER), NULL,
                                &waiting->interrupts);
    if (!pel_wake_rise(wake) || result > 0)
        pel_wake_drain(wake); /* at its end the socket is ready */
    pel_wake_unwatch(wake, waiting->file->slot);
    waiting->wake = NULL;
    return result;
}

int pel_wait_for(struct pel_file *file, uint32_t events, int64_t timeout_us, bool never_restart)
{
    struct waiting waiting = {
        .file = file,
        .events = events,
        .interrupts = pel_interrupts_begin(!never_restart, undo_wait, &waiting),
    };
    if (is_ready(&waiting))
        return 0;
    if (timeout_us == 0)
        return -ETIMEDOUT;
    waiting.deadline_ns = pel_deadline_ns(timeout_us > INT64_MAX / 1000 ? -1 : timeout_us * 1000);
    if (spin(&waiting) && is_ready(&waiting))
        return 0;
    for (;;) {
        /* A handler that has run already ends the wait before the sleep, which says so. */
        long result = sleep_once(&waiting);
        if (is_ready(&waiting))
            return 0;
        if (result == -EINTR && (never_restart || pel_interrupts_any(&waiting.interrupts)))
            return -EINTR;
        if (waiting.deadline_ns != PEL_NEVER && pel_now_ns() >= waiting.deadline_ns)
            return -ETIMEDOUT;
    }
}
