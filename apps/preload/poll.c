/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/preload/polling.h"

#include <errno.h>
#include <stdlib.h>

#include "apps/preload/epoll_set.h"
#include "apps/preload/real.h"
#include "apps/preload/wait.h"
#include "apps/preload/wake.h"
#include "ipc/raw.h"

#define NUM_ON_STACK    32
#define SPIN_LOOK_TICKS 12500u
#define ALWAYS          ((uint32_t)(POLLERR | POLLHUP))
#define READABLE        ((short)(POLLIN | POLLRDNORM))

struct row {
    struct pel_file *file; /* with a reference; of a stream, a datagram socket or a listener; else NULL */
    struct pel_wake *wake; /* which watches it; the first row of each waker has its channel */
    bool is_listener;      /* the kernel's to look at */
    bool has_channel;
};

struct poll {
    struct pollfd *fds;    /* the program's */
    struct pollfd *kernel; /* the same rows as the kernel is asked: those that are ours have a waker's
                              channel, or nothing */
    struct row *rows;
    nfds_t num_fds;
    nfds_t num_kernels; /* rows that the kernel looks at */
    bool is_unwatched;  /* one of ours has no waker, or no place for it */
    void *block;        /* from malloc, of rows and kernel, when they are many */
    const void *mask;
    int64_t timeout_ns, deadline_ns;
    struct pel_interrupts interrupts;
};

static void put_files(const struct poll *poll)
{
    for (nfds_t i = 0; i < poll->num_fds; i++) {
        if (poll->rows[i].file != NULL)
            pel_file_put(poll->rows[i].file);
    }
}

static void unwatch_all(const struct poll *poll)
{
    for (nfds_t i = 0; i < poll->num_fds; i++) {
        if (poll->rows[i].wake != NULL)
            pel_wake_unwatch(poll->rows[i].wake, poll->rows[i].file->slot);
    }
}

static void rise_all(const struct poll *poll)
{
    for (nfds_t i = 0; i < poll->num_fds; i++) {
        if (poll->rows[i].has_channel)
            pel_wake_rise(poll->rows[i].wake);
    }
}

static void undo_poll(void *arg)
{
    const struct poll *poll = arg;
    rise_all(poll);
    unwatch_all(poll);
    put_files(poll);
    free(poll->block);
}

static bool is_stack_kind(uint32_t kind)
{
    return kind == PEL_FILE_STREAM || kind == PEL_FILE_DGRAM || kind == PEL_FILE_LISTENER;
}

bool pel_poll_concerns_us(struct pollfd *fds, nfds_t num_fds)
{
    bool does_concern = false;
    for (nfds_t i = 0; i < num_fds && !does_concern; i++) {
        struct pel_file *file = fds[i].fd < 0 ? NULL : pel_file_get(fds[i].fd);
        if (file == NULL)
            continue;
        uint32_t kind = __atomic_load_n(&file->kind, __ATOMIC_ACQUIRE);
        does_concern = is_stack_kind(kind);
        if (kind == PEL_FILE_EPOLL)
            pel_set_show(file->epoll);
        pel_file_put(file);
    }
    return does_concern;
}

/* Finds what each row is. */
static void look_up(struct poll *poll)
{
    for (nfds_t i = 0; i < poll->num_fds; i++) {
        struct pel_file *file = poll->fds[i].fd < 0 ? NULL : pel_file_get(poll->fds[i].fd);
        uint32_t kind = file == NULL ? PEL_FILE_UNDECIDED : __atomic_load_n(&file->kind, __ATOMIC_ACQUIRE);
        poll->kernel[i] = (struct pollfd){.fd = poll->fds[i].fd, .events = poll->fds[i].events};
        poll->rows[i] = (struct row){.file = file, .is_listener = kind == PEL_FILE_LISTENER};
        poll->fds[i].revents = 0;
        if (kind == PEL_FILE_EPOLL)
            pel_set_show(file->epoll);
        if (file != NULL && !is_stack_kind(kind)) {
            pel_file_put(file);
            poll->rows[i].file = NULL;
        }
        if (poll->rows[i].is_listener)
            poll->kernel[i].events &= (short)(READABLE | POLLRDHUP);
        else if (poll->rows[i].file != NULL)
            poll->kernel[i].fd = -1;
        poll->num_kernels += poll->kernel[i].fd >= 0;
    }
}

static bool is_ours(const struct row *row)
{
    return row->file != NULL && !row->is_listener;
}

static int look_at_ours(struct poll *poll)
{
    int num_ready = 0;
    for (nfds_t i = 0; i < poll->num_fds; i++) {
        if (!is_ours(&poll->rows[i]))
            continue;
        uint32_t wanted = (uint32_t)(unsigned short)poll->fds[i].events | ALWAYS;
        poll->fds[i].revents = (short)(pel_file_events(poll->rows[i].file, wanted) & wanted);
        num_ready += poll->fds[i].revents != 0;
    }
    return num_ready;
}

/* Takes over what the kernel says of its rows, and the bytes that woke us. A listener whose daemon has died
 * has something to accept: the error. */
static int take_kernels(struct poll *poll)
{
    int num_ready = 0;
    for (nfds_t i = 0; i < poll->num_fds; i++) {
        struct row *row = &poll->rows[i];
        short revents = poll->kernel[i].revents;
        if (row->has_channel && revents != 0 && !pel_wake_drain(row->wake))
            poll->kernel[i].fd = -1; /* the daemon has died: its sockets are ready */
        if (is_ours(row))
            continue;
        bool is_gone = row->is_listener && (revents & (POLLHUP | POLLERR | POLLRDHUP));
        if (is_gone)
            revents = READABLE & poll->fds[i].events ? (short)(READABLE & poll->fds[i].events) : POLLERR;
        poll->fds[i].revents = revents;
        num_ready += poll->fds[i].revents != 0;
    }
    return num_ready;
}

/* The kernel's rows without waiting; the number with something, or a negative errno. */
static long look_at_kernels(struct poll *poll)
{
    struct timespec none = {0};
    if (poll->num_kernels == 0)
        return 0;
    long result = pel_raw(SYS_ppoll, (long)poll->kernel, (long)poll->num_fds, (long)&none, 0, 0, 0);
    return result < 0 ? result : take_kernels(poll);
}

static long look(struct poll *poll)
{
    int num_ours = look_at_ours(poll);
    long num_kernels = look_at_kernels(poll);
    return num_kernels < 0 ? num_kernels : num_ours + num_kernels;
}

static void watch_all(struct poll *poll)
{
    for (nfds_t i = 0; i < poll->num_fds; i++) {
        struct row *row = &poll->rows[i];
        if (!is_ours(row))
            continue;
        row->wake = pel_thread_wake(row->file->app);
        if (row->wake == NULL || !pel_wake_watch(row->wake, row->file->slot)) {
            row->wake = NULL;
            poll->is_unwatched = true;
        }
    }
    for (uint32_t w = 0; w < PEL_THREAD_WAKES; w++) {
        nfds_t i = 0;
        while (i < poll->num_fds && poll->rows[i].wake != &pel_thread.wakes[w])
            i++;
        if (i == poll->num_fds)
            continue;
        poll->rows[i].has_channel = true;
        poll->kernel[i] = (struct pollfd){.fd = pel_thread.wakes[w].channel, .events = POLLIN};
    }
}

static bool has_signals(const struct poll *poll)
{
    bool has = false;
    for (nfds_t i = 0; i < poll->num_fds; i++)
        has |= poll->rows[i].has_channel && !pel_signal_set_is_empty(&poll->rows[i].wake->waker->ready);
    return has;
}

/* Looks for signals, and now and then for the kernel's; true: there may be something. */
static bool spin(struct poll *poll)
{
    uint64_t ticks = pel_spin_ticks(&pel_thread.spin);
    if (ticks == 0 || poll->is_unwatched)
        return false;
    uint64_t begin = pel_ticks(), now = begin, looked_at = begin;
    bool is_worth = false;
    while (!is_worth && now - begin < ticks) {
        __builtin_ia32_pause();
        is_worth = has_signals(poll) || pel_interrupts_any(&poll->interrupts);
        now = pel_ticks();
        if (now - looked_at <= SPIN_LOOK_TICKS)
            continue;
        looked_at = now;
        is_worth |= look_at_kernels(poll) != 0;
        if (poll->deadline_ns != PEL_NEVER && pel_now_ns() >= poll->deadline_ns)
            break;
    }
    pel_spin_learn(&pel_thread.spin, is_worth);
    return is_worth;
}

/* Sleeps once, unless something is ready; what is ready then, or a negative errno. */
static long sleep_once(struct poll *poll)
{
    struct timespec left;
    long result = 0;
    for (nfds_t i = 0; i < poll->num_fds; i++) {
        if (!poll->rows[i].has_channel)
            continue;
        pel_wake_forget_signals(poll->rows[i].wake);
        pel_wake_fall_asleep(poll->rows[i].wake);
    }
    int num_ours = look_at_ours(poll);
    if (num_ours == 0 && !has_signals(poll)) {
        int64_t most_ns = poll->is_unwatched ? PEL_NAP_NS : PEL_NEVER;
        result =
            pel_sleep_poll(poll->kernel, poll->num_fds, pel_timeout_left(&left, poll->deadline_ns, most_ns),
                           poll->mask, &poll->interrupts);
        result = result > 0 ? take_kernels(poll) : result;
        num_ours = look_at_ours(poll);
    } else {
        result = look_at_kernels(poll);
    }
    rise_all(poll);
    return result >= 0 || num_ours > 0 ? num_ours + (result > 0 ? result : 0) : result;
}

static long wait_ready(struct poll *poll)
{
    long num_ready = 0;
    watch_all(poll);
    if (poll->timeout_ns != 0 && spin(poll))
        num_ready = look(poll);
    while (num_ready == 0) {
        num_ready = sleep_once(poll);
        if (num_ready == 0 && poll->deadline_ns != PEL_NEVER && pel_now_ns() >= poll->deadline_ns)
            break;
    }
    unwatch_all(poll);
    return num_ready;
}

static long poll_rows(struct poll *poll)
{
    look_up(poll);
    long num_ready = look(poll);
    /* With a mask a signal that it lets through has its say also when there is no time to wait. */
    if (num_ready == 0 && (poll->timeout_ns != 0 || poll->mask != NULL)) {
        poll->deadline_ns = pel_deadline_ns(poll->timeout_ns);
        num_ready = wait_ready(poll);
    }
    put_files(poll);
    return num_ready;
}

long pel_poll_wait(struct pollfd *fds, nfds_t num_fds, int64_t timeout_ns, const void *mask)
{
    struct {
        struct pollfd kernel[NUM_ON_STACK];
        struct row rows[NUM_ON_STACK];
    } small;
    struct poll poll = {
        .fds = fds,
        .kernel = small.kernel,
        .rows = small.rows,
        .num_fds = num_fds,
        .timeout_ns = timeout_ns,
        .mask = mask,
        .interrupts = pel_interrupts_begin(false, undo_poll, &poll),
    };
    if (num_fds > NUM_ON_STACK) {
        poll.block = malloc(num_fds * (sizeof poll.kernel[0] + sizeof poll.rows[0]));
        if (poll.block == NULL)
            return -ENOMEM;
        poll.rows = poll.block;
        poll.kernel = (struct pollfd *)(poll.rows + num_fds);
    }
    long result = poll_rows(&poll);
    free(poll.block);
    return result;
}

PEL_EXPORT int poll(struct pollfd *fds, nfds_t num_fds, int timeout_ms)
{
    if (fds == NULL || !pel_poll_concerns_us(fds, num_fds))
        return pel_real()->poll(fds, num_fds, timeout_ms);
    return (int)pel_result(pel_poll_wait(fds, num_fds, (int64_t)timeout_ms * 1000000, NULL));
}

PEL_EXPORT int ppoll(struct pollfd *fds, nfds_t num_fds, const struct timespec *timeout, const sigset_t *mask)
{
    if (fds == NULL || !pel_poll_concerns_us(fds, num_fds))
        return pel_real()->ppoll(fds, num_fds, timeout, mask);
    int64_t timeout_ns = pel_timeout_ns(timeout);
    return (int)pel_result(timeout_ns == -EINVAL ? -EINVAL : pel_poll_wait(fds, num_fds, timeout_ns, mask));
}

/* What fortified programs call: `fds_len` is the room behind `fds`. */
int __poll_chk(struct pollfd *fds, nfds_t num_fds, int timeout_ms, size_t fds_len);
int __ppoll_chk(struct pollfd *fds, nfds_t num_fds, const struct timespec *timeout, const sigset_t *mask,
                size_t fds_len);

PEL_EXPORT int __poll_chk(struct pollfd *fds, nfds_t num_fds, int timeout_ms, size_t fds_len)
{
    if (fds_len / sizeof fds[0] < num_fds)
        abort();
    return poll(fds, num_fds, timeout_ms);
}

PEL_EXPORT int __ppoll_chk(struct pollfd *fds, nfds_t num_fds, const struct timespec *timeout,
                           const sigset_t *mask, size_t fds_len)
{
    if (fds_len / sizeof fds[0] < num_fds)
        abort();
    return ppoll(fds, num_fds, timeout, mask);
}
