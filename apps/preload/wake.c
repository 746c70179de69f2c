/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/preload/wake.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "apps/preload/daemon.h"
#include "apps/preload/wait.h"
#include "ipc/raw.h"

#define BACKOFF_MAX  255u
#define SIGNALS_LEN  8 /* bytes of the kernel's set of signals */
#define CHANNELS_MAX 4096

__thread struct pel_thread pel_thread __attribute__((tls_model("initial-exec")));
uint32_t pel_fork_generation;

/* Channels of the threads' own wakers, each plus 1: a forked child closes its copies. */
static int thread_channels[CHANNELS_MAX];

static void note_channel(int from, int to)
{
    for (uint32_t i = 0; i < CHANNELS_MAX; i++) {
        int expected = from;
        if (__atomic_load_n(&thread_channels[i], __ATOMIC_RELAXED) == from &&
            __atomic_compare_exchange_n(&thread_channels[i], &expected, to, false, __ATOMIC_SEQ_CST,
                                        __ATOMIC_SEQ_CST))
            return;
    }
}

static bool is_dead(uint32_t pid)
{
    return pel_raw(SYS_kill, (int)pid, 0, 0, 0, 0, 0) == -ESRCH;
}

static bool claim(struct pel_waker *waker, uint32_t pid, bool may_steal)
{
    uint32_t owner = __atomic_load_n(&waker->owner_pid, __ATOMIC_RELAXED);
    if (owner != 0 && (!may_steal || owner == pid || !is_dead(owner)))
        return false;
    return __atomic_compare_exchange_n(&waker->owner_pid, &owner, pid, false, __ATOMIC_SEQ_CST,
                                       __ATOMIC_RELAXED);
}

/* Finds the lowest free waker, or one whose owner has died. The daemon keeps its end of a waker's channel
 * until the number is used again: threads that come and go shall use few. */
static bool claim_any(struct pel_wake *wake)
{
    const struct pel_segment_header *header = &wake->app->header;
    uint32_t pid = (uint32_t)getpid(), num_wakers = header->num_wakers;
    for (int may_steal = 0; may_steal <= 1; may_steal++) {
        for (wake->number = 0; wake->number < num_wakers; wake->number++) {
            wake->waker = pel_segment_waker(wake->app->base, header, wake->number);
            if (claim(wake->waker, pid, may_steal))
                return true;
        }
    }
    return false;
}

int pel_wake_open(struct pel_wake *ret_wake, struct pel_app *app)
{
    struct pel_wake wake = {.app = app, .channel = -1};
    if (!claim_any(&wake))
        return ENOSPC;
    __atomic_store_n(&wake.waker->is_asleep, 0, __ATOMIC_SEQ_CST);
    pel_wake_forget_signals(&wake);
    struct pel_ipc_request request = {.version = PEL_IPC_VERSION, .op = PEL_IPC_WAKER, .value = wake.number};
    struct pel_ipc_reply reply;
    size_t num_fds = 0;
    int error = pel_daemon_ask(app, &request, &reply, &wake.channel, 1, &num_fds);
    if (error == 0 && num_fds != 1)
        error = EPROTO;
    if (error != 0) {
        __atomic_store_n(&wake.waker->owner_pid, 0, __ATOMIC_RELEASE);
        return error;
    }
    *ret_wake = wake;
    return 0;
}

void pel_wake_drop(struct pel_wake *wake)
{
    if (wake->channel >= 0)
        pel_daemon_unhide(wake->channel);
    wake->channel = -1;
}

void pel_wake_close(struct pel_wake *wake)
{
    pel_wake_drop(wake);
    __atomic_store_n(&wake->waker->is_asleep, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&wake->waker->owner_pid, 0, __ATOMIC_RELEASE);
}

/* Whether a socket's watcher is one that nobody waits on any more. */
static bool is_stale(const struct pel_wake *wake, uint32_t watcher)
{
    if (watcher == 0 || watcher > wake->app->header.num_wakers)
        return true;
    struct pel_waker *other = pel_segment_waker(wake->app->base, &wake->app->header, watcher - 1);
    uint32_t owner = __atomic_load_n(&other->owner_pid, __ATOMIC_RELAXED);
    return owner == 0 || is_dead(owner);
}

bool pel_wake_watch(const struct pel_wake *wake, struct pel_slot *slot)
{
    const uint32_t mine = wake->number + 1;
    for (int i = 0; i < PEL_WATCHERS; i++) {
        if (__atomic_load_n(&slot->watchers[i], __ATOMIC_RELAXED) == mine)
            return true;
    }
    for (int may_steal = 0; may_steal <= 1; may_steal++) {
        for (int i = 0; i < PEL_WATCHERS; i++) {
            uint32_t watcher = __atomic_load_n(&slot->watchers[i], __ATOMIC_RELAXED);
            if ((watcher == 0 || (may_steal && is_stale(wake, watcher))) &&
                __atomic_compare_exchange_n(&slot->watchers[i], &watcher, mine, false, __ATOMIC_SEQ_CST,
                                            __ATOMIC_RELAXED))
                return true;
        }
    }
    return false;
}

void pel_wake_unwatch(const struct pel_wake *wake, struct pel_slot *slot)
{
    for (int i = 0; i < PEL_WATCHERS; i++) {
        uint32_t mine = wake->number + 1;
        if (__atomic_load_n(&slot->watchers[i], __ATOMIC_RELAXED) == mine)
            __atomic_compare_exchange_n(&slot->watchers[i], &mine, 0, false, __ATOMIC_SEQ_CST,
                                        __ATOMIC_RELAXED);
    }
}

static void ignore_signal(void *arg, uint32_t number)
{
    (void)arg;
    (void)number;
}

void pel_wake_forget_signals(const struct pel_wake *wake)
{
    pel_signal_set_take(&wake->waker->ready, PEL_SIGNAL_SET_NUMBERS, ignore_signal, NULL);
}

void pel_wake_fall_asleep(const struct pel_wake *wake)
{
    __atomic_exchange_n(&wake->waker->is_asleep, 1, __ATOMIC_SEQ_CST);
}

bool pel_wake_rise(const struct pel_wake *wake)
{
    return __atomic_exchange_n(&wake->waker->is_asleep, 0, __ATOMIC_SEQ_CST) != 0;
}

bool pel_wake_drain(struct pel_wake *wake)
{
    char bytes[64];
    if (wake->channel < 0)
        return false;
    for (;;) {
        long len = pel_raw(SYS_recvfrom, wake->channel, (long)bytes, sizeof bytes, MSG_DONTWAIT, 0, 0);
        if (len == sizeof bytes || len == -EINTR)
            continue;
        if (len > 0 || len == -EAGAIN)
            return true;
        pel_daemon_died(wake->app);
        return false;
    }
}

/* A machine of one processor: who spins keeps the engine from it. Pinned to one of several is no reason. */
static bool is_alone(void)
{
    static int answer; /* 0: not asked yet */
    int known = __atomic_load_n(&answer, __ATOMIC_RELAXED);
    if (known != 0)
        return known > 1;
    char text[64];
    int result = 1;
    long fd =
        pel_raw(SYS_openat, AT_FDCWD, (long)"/sys/devices/system/cpu/online", O_RDONLY | O_CLOEXEC, 0, 0, 0);
    if (fd >= 0) {
        long len = pel_raw(SYS_read, fd, (long)text, sizeof text - 1, 0, 0, 0);
        pel_raw(SYS_close, fd, 0, 0, 0, 0, 0);
        text[len > 0 ? len : 0] = '\0';
        if (len > 0 && strpbrk(text, "-,") == NULL)
            result = 2;
    }
    __atomic_store_n(&answer, result, __ATOMIC_RELAXED);
    return result > 1;
}

uint64_t pel_spin_ticks(struct pel_spin *spin)
{
    if (spin->num_skipped > 0) {
        spin->num_skipped--;
        return 0;
    }
    return is_alone() ? 0 : PEL_SPIN_TICKS;
}

void pel_spin_learn(struct pel_spin *spin, bool has_helped)
{
    if (has_helped)
        spin->backoff = 0;
    else if (spin->backoff < BACKOFF_MAX)
        spin->backoff = (uint16_t)(spin->backoff * 2u + 1);
    spin->num_skipped = spin->backoff;
}

/* --- the thread's own wakers --- */

static pthread_key_t thread_key;
static pthread_once_t thread_key_once = PTHREAD_ONCE_INIT;

static void close_thread_wake(struct pel_wake *wake)
{
    if (wake->channel >= 0)
        note_channel(wake->channel + 1, 0);
    pel_wake_close(wake);
    *wake = (struct pel_wake){.channel = -1};
}

static void close_thread_wakes(void *arg)
{
    struct pel_thread *thread = arg;
    for (uint32_t i = 0; i < PEL_THREAD_WAKES; i++) {
        if (thread->wakes[i].app != NULL)
            close_thread_wake(&thread->wakes[i]);
    }
}

static void make_thread_key(void)
{
    pthread_key_create(&thread_key, close_thread_wakes);
}

/* A place for a waker; wakers of applications whose daemon has died make place. NULL: all are in use. */
static struct pel_wake *find_place(struct pel_thread *thread)
{
    struct pel_wake *place = NULL;
    for (uint32_t i = 0; i < PEL_THREAD_WAKES; i++) {
        struct pel_wake *wake = &thread->wakes[i];
        if (wake->app == NULL)
            return wake;
        if (__atomic_load_n(&wake->app->is_gone, __ATOMIC_RELAXED))
            place = wake;
    }
    if (place != NULL)
        close_thread_wake(place);
    return place;
}

struct pel_wake *pel_thread_wake(struct pel_app *app)
{
    struct pel_thread *thread = &pel_thread;
    if (__atomic_load_n(&app->is_gone, __ATOMIC_RELAXED))
        return NULL;
    for (uint32_t i = 0; i < PEL_THREAD_WAKES; i++) {
        if (thread->wakes[i].app == app)
            return &thread->wakes[i];
    }
    pthread_once(&thread_key_once, make_thread_key);
    struct pel_wake wake, *place = find_place(thread);
    if (place == NULL || pthread_setspecific(thread_key, thread) != 0 || pel_wake_open(&wake, app) != 0)
        return NULL;
    note_channel(0, wake.channel + 1);
    *place = wake;
    return place;
}

void pel_wait_forked(void)
{
    pel_fork_generation++;
    for (uint32_t i = 0; i < CHANNELS_MAX; i++) {
        if (thread_channels[i] != 0)
            pel_daemon_unhide(thread_channels[i] - 1);
        thread_channels[i] = 0;
    }
    memset(pel_thread.wakes, 0, sizeof pel_thread.wakes);
    pel_signals_forked();
}

/* --- time --- */

int64_t pel_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t pel_deadline_ns(int64_t timeout_ns)
{
    int64_t now_ns = timeout_ns < 0 ? 0 : pel_now_ns();
    return timeout_ns < 0 || timeout_ns > PEL_NEVER - now_ns ? PEL_NEVER : now_ns + timeout_ns;
}

struct timespec *pel_timeout_left(struct timespec *ret_left, int64_t deadline_ns, int64_t most_ns)
{
    int64_t left_ns = PEL_NEVER;
    if (deadline_ns != PEL_NEVER) {
        left_ns = deadline_ns - pel_now_ns();
        left_ns = left_ns < 0 ? 0 : left_ns;
    }
    left_ns = left_ns < most_ns ? left_ns : most_ns;
    if (left_ns == PEL_NEVER)
        return NULL;
    *ret_left = (struct timespec){.tv_sec = left_ns / 1000000000, .tv_nsec = left_ns % 1000000000};
    return ret_left;
}

int64_t pel_timeout_ns(const struct timespec *timeout)
{
    if (timeout == NULL)
        return -1;
    if (timeout->tv_sec < 0 || timeout->tv_nsec < 0 || timeout->tv_nsec >= 1000000000)
        return -EINVAL;
    if (timeout->tv_sec > PEL_NEVER / 1000000000 - 1)
        return PEL_NEVER;
    return (int64_t)timeout->tv_sec * 1000000000 + timeout->tv_nsec;
}

/* --- signals and sleep --- */

struct pel_interrupts pel_interrupts_begin(bool is_final_only, void (*undo)(void *arg), void *undo_arg)
{
    return (struct pel_interrupts){
        .num_before = is_final_only ? pel_thread.num_final_handlers : pel_thread.num_handlers,
        .is_final_only = is_final_only,
        .undo = undo,
        .undo_arg = undo_arg,
    };
}

bool pel_interrupts_any(const struct pel_interrupts *interrupts)
{
    return (interrupts->is_final_only ? pel_thread.num_final_handlers : pel_thread.num_handlers) !=
           interrupts->num_before;
}

static void set_mask(uint64_t mask, uint64_t *ret_before)
{
    pel_raw(SYS_rt_sigprocmask, SIG_SETMASK, (long)&mask, (long)ret_before, SIGNALS_LEN, 0, 0);
}

struct cancelled {
    uint64_t mask;
    const struct pel_interrupts *interrupts;
};

static void be_cancelled(void *arg)
{
    const struct cancelled *cancelled = arg;
    set_mask(cancelled->mask, NULL);
    cancelled->interrupts->undo(cancelled->interrupts->undo_arg);
}

/* As the C library makes its own calls points of cancellation. */
static long call(const struct pel_sleep *sleep, struct cancelled *cancelled)
{
    const long *args = sleep->args;
    long result;
    int type;
    pthread_cleanup_push(be_cancelled, cancelled);
    pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &type);
    result = pel_raw(sleep->number, args[0], args[1], args[2], args[3], args[4], args[5]);
    pthread_setcanceltype(type, NULL);
    pthread_cleanup_pop(0);
    return result;
}

long pel_sleep(struct pel_sleep *sleep, const void *mask, const struct pel_interrupts *interrupts)
{
    struct cancelled cancelled = {.interrupts = interrupts};
    long result = -EINTR;
    set_mask(~0ull, &cancelled.mask);
    if (!pel_interrupts_any(interrupts)) {
        sleep->args[sleep->mask_at] = mask != NULL ? (long)mask : (long)&cancelled.mask;
        sleep->args[sleep->mask_at + 1] = SIGNALS_LEN;
        result = call(sleep, &cancelled);
    }
    set_mask(cancelled.mask, NULL);
    return result;
}

long pel_sleep_poll(struct pollfd *fds, nfds_t num_fds, const struct timespec *timeout, const void *mask,
                    const struct pel_interrupts *interrupts)
{
    struct timespec left; /* the kernel writes what is left of it */
    if (timeout != NULL)
        left = *timeout;
    struct pel_sleep sleep = {
        .number = SYS_ppoll,
        .args = {(long)fds, (long)num_fds, timeout != NULL ? (long)&left : 0},
        .mask_at = 3,
    };
    return pel_sleep(&sleep, mask, interrupts);
}
