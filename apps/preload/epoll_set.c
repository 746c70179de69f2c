/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/preload/epoll_set.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "apps/preload/daemon.h"
#include "apps/preload/wait.h"
#include "ipc/raw.h"

#define NO_APP         UINT32_MAX
#define NUM_LOCK_LOOKS 2000
#define NUM_FORK_TRIES 1000 /* of a millisecond each, and none is needed nearly always */

static pthread_mutex_t all_lock = PTHREAD_MUTEX_INITIALIZER;
static struct pel_epoll *all_sets;
static __thread bool are_all_locked __attribute__((tls_model("initial-exec"))); /* for the thread's fork */

static long kernel_ctl(const struct pel_epoll *set, int operation, int fd, uint32_t events, uint64_t data)
{
    struct epoll_event event = {.events = events, .data.u64 = data};
    return pel_raw(SYS_epoll_ctl, set->kernel, operation, fd, (long)&event, 0, 0);
}

struct pel_epoll *pel_set_new(void)
{
    struct pel_epoll *set = calloc(1, sizeof *set);
    if (set == NULL)
        return NULL;
    set->refs = 1;
    set->kernel = set->bell = -1;
    set->generation = pel_fork_generation;
    pthread_mutex_init(&set->lock, NULL);
    pthread_mutex_lock(&all_lock);
    set->next = all_sets;
    set->link = &all_sets;
    if (set->next != NULL)
        set->next->link = &set->next;
    all_sets = set;
    pthread_mutex_unlock(&all_lock);
    return set;
}

void pel_set_ref(struct pel_epoll *set)
{
    __atomic_fetch_add(&set->refs, 1, __ATOMIC_RELAXED);
}

void pel_set_unref(struct pel_epoll *set)
{
    if (__atomic_fetch_sub(&set->refs, 1, __ATOMIC_ACQ_REL) != 1)
        return;
    pthread_mutex_lock(&all_lock);
    *set->link = set->next;
    if (set->next != NULL)
        set->next->link = set->link;
    pthread_mutex_unlock(&all_lock);
    pthread_mutex_destroy(&set->lock);
    for (uint32_t i = 0; i < set->num_apps; i++)
        free(set->apps[i].by_slot);
    free(set->by_fd);
    free(set);
}

static bool lock_soon(pthread_mutex_t *lock)
{
    for (int i = 0; i < NUM_LOCK_LOOKS; i++) {
        if (pthread_mutex_trylock(lock) == 0)
            return true;
        __builtin_ia32_pause();
    }
    return false;
}

/* All locks, of whatever sets lock after which: whoever finds one taken for long lets go of the others. */
static bool lock_all(void)
{
    struct pel_epoll *set = all_sets;
    while (set != NULL && lock_soon(&set->lock))
        set = set->next;
    for (struct pel_epoll *locked = all_sets; set != NULL && locked != set; locked = locked->next)
        pthread_mutex_unlock(&locked->lock);
    return set == NULL;
}

/* A handler that forks may have interrupted who has a lock: it is not waited for without end. */
void pel_epoll_fork_begins(void)
{
    struct timespec pause = {.tv_nsec = PEL_NAP_NS};
    bool is_locked = false;
    for (int i = 0; i < NUM_FORK_TRIES && !is_locked; i++) {
        if (i > 0)
            pel_raw(SYS_nanosleep, (long)&pause, 0, 0, 0, 0, 0);
        if (pthread_mutex_trylock(&all_lock) != 0)
            continue;
        is_locked = lock_all();
        if (is_locked)
            are_all_locked = true;
        else
            pthread_mutex_unlock(&all_lock);
    }
}

void pel_epoll_fork_ends(bool is_child)
{
    for (struct pel_epoll *set = all_sets; set != NULL && (is_child || are_all_locked); set = set->next) {
        if (is_child)
            pthread_mutex_init(&set->lock, NULL);
        else
            pthread_mutex_unlock(&set->lock);
    }
    bool was_locked = are_all_locked;
    are_all_locked = false;
    if (is_child)
        pthread_mutex_init(&all_lock, NULL);
    else if (was_locked)
        pthread_mutex_unlock(&all_lock);
}

int pel_set_mix(struct pel_epoll *set, int epoll_fd)
{
    uint64_t random = 0;
    if (set->kernel >= 0)
        return 0;
    long fd = pel_raw(SYS_fcntl, epoll_fd, F_DUPFD_CLOEXEC, 0, 0, 0, 0);
    if (fd < 0)
        return (int)-fd;
    if (pel_raw(SYS_getrandom, (long)&random, sizeof random, 0, 0, 0, 0) != sizeof random)
        random = pel_ticks() * 0x9e3779b97f4a7c15ull;
    set->marker = random & ~PEL_MARKER_MASK;
    __atomic_store_n(&set->kernel, pel_daemon_hide((int)fd), __ATOMIC_RELEASE);
    return 0;
}

/* --- the ready list --- */

void pel_set_enter(struct pel_epoll *set, struct pel_member *member)
{
    if (member->is_ready)
        return;
    member->is_ready = true;
    member->ready_next = NULL;
    member->ready_prev = set->ready_last;
    if (set->ready_last != NULL)
        set->ready_last->ready_next = member;
    else
        __atomic_store_n(&set->ready_first, member, __ATOMIC_RELAXED);
    set->ready_last = member;
}

void pel_set_leave(struct pel_epoll *set, struct pel_member *member)
{
    if (!member->is_ready)
        return;
    member->is_ready = false;
    if (member->ready_prev != NULL)
        member->ready_prev->ready_next = member->ready_next;
    else
        __atomic_store_n(&set->ready_first, member->ready_next, __ATOMIC_RELAXED);
    if (member->ready_next != NULL)
        member->ready_next->ready_prev = member->ready_prev;
    else
        set->ready_last = member->ready_prev;
}

uint32_t pel_member_events(const struct pel_member *member)
{
    if (member->is_off)
        return 0;
    uint32_t wanted = (member->events & 0xffffu) | POLLERR | POLLHUP;
    return pel_file_events(member->file, wanted) & wanted;
}

bool pel_set_has_ready(struct pel_epoll *set)
{
    while (set->ready_first != NULL) {
        if (pel_member_events(set->ready_first) != 0)
            return true;
        pel_set_leave(set, set->ready_first);
    }
    return false;
}

/* --- applications and their wakers --- */

static uint64_t marker_of(const struct pel_epoll *set, uint32_t app)
{
    return set->marker | (uint64_t)app << PEL_MARKER_SHIFT | set->apps[app].wake.number;
}

static void open_wake(struct pel_epoll *set, uint32_t app)
{
    struct pel_set_app *row = &set->apps[app];
    if (pel_wake_open(&row->wake, row->app) != 0)
        return;
    row->has_wake = kernel_ctl(set, EPOLL_CTL_ADD, row->wake.channel, EPOLLIN, marker_of(set, app)) == 0;
    if (!row->has_wake)
        pel_wake_close(&row->wake);
}

static void close_wake(struct pel_epoll *set, uint32_t app)
{
    struct pel_set_app *row = &set->apps[app];
    if (!row->has_wake)
        return;
    row->has_wake = false;
    kernel_ctl(set, EPOLL_CTL_DEL, row->wake.channel, 0, 0);
    pel_wake_close(&row->wake);
}

/* Whether the row's application has ended and left nothing behind. */
static bool is_vacant(const struct pel_set_app *row)
{
    return row->num_members == 0 && __atomic_load_n(&row->app->is_gone, __ATOMIC_RELAXED);
}

/* Which of the set's applications it is; a new one gets a waker. NO_APP: no memory, or too many. */
static uint32_t find_app(struct pel_epoll *set, struct pel_app *app)
{
    uint32_t at = set->num_apps;
    for (uint32_t i = 0; i < set->num_apps; i++) {
        if (set->apps[i].app == app)
            return i;
        if (is_vacant(&set->apps[i]))
            at = i;
    }
    if (at == PEL_SET_APPS)
        return NO_APP;
    struct pel_member **by_slot = calloc(app->header.num_sockets, sizeof by_slot[0]);
    if (by_slot == NULL)
        return NO_APP;
    if (at == set->num_apps) {
        set->num_apps++;
    } else {
        close_wake(set, at);
        free(set->apps[at].by_slot);
    }
    set->apps[at] = (struct pel_set_app){.app = app, .by_slot = by_slot};
    open_wake(set, at);
    return at;
}

/* Watches the member's socket; without a waker or a place it is looked at now and then. */
static void watch(struct pel_epoll *set, struct pel_member *member)
{
    struct pel_set_app *row = member->app == NO_APP ? NULL : &set->apps[member->app];
    member->is_watched = row != NULL && row->has_wake && pel_wake_watch(&row->wake, member->file->slot);
    set->num_unwatched += !member->is_watched;
}

static void make_ours(struct pel_epoll *set, struct pel_member *member)
{
    member->is_kernels = false;
    member->app = find_app(set, member->file->app);
    if (member->app != NO_APP) {
        struct pel_set_app *row = &set->apps[member->app];
        row->num_members++;
        member->next_of_slot = row->by_slot[member->file->number];
        row->by_slot[member->file->number] = member;
    }
    set->num_ours++;
    watch(set, member);
    pel_set_enter(set, member);
}

/* The reverse. The socket's signals end with the last member that it has here. */
static void unmake_ours(struct pel_epoll *set, struct pel_member *member)
{
    pel_set_leave(set, member);
    set->num_ours--;
    set->num_unwatched -= !member->is_watched;
    if (member->app == NO_APP)
        return;
    struct pel_set_app *row = &set->apps[member->app];
    struct pel_member **link = &row->by_slot[member->file->number];
    bool is_last = *link == member && member->next_of_slot == NULL;
    while (*link != member)
        link = &(*link)->next_of_slot;
    *link = member->next_of_slot;
    row->num_members--;
    if (is_last && row->has_wake && set->generation == pel_fork_generation)
        pel_wake_unwatch(&row->wake, member->file->slot);
}

static int tell_kernel(struct pel_epoll *set, const struct pel_member *member, int operation)
{
    uint32_t events = member->events;
    /* A listener's channel is always writable, which means nothing. */
    if (__atomic_load_n(&member->file->kind, __ATOMIC_ACQUIRE) == PEL_FILE_LISTENER)
        events &= ~(uint32_t)(EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND);
    set->num_looks_due = PEL_SET_LOOKS_DUE;
    return (int)-kernel_ctl(set, operation, member->fd, events, member->data.u64);
}

static int make_kernels(struct pel_epoll *set, struct pel_member *member)
{
    member->is_kernels = true;
    set->num_kernels++;
    if (member->file->epoll != NULL) {
        member->next_of_slot = set->nested;
        set->nested = member;
    }
    return tell_kernel(set, member, EPOLL_CTL_ADD);
}

static void unmake_kernels(struct pel_epoll *set, struct pel_member *member)
{
    struct pel_member **link = &set->nested;
    set->num_kernels--;
    if (member->file->epoll == NULL)
        return;
    while (*link != member)
        link = &(*link)->next_of_slot;
    *link = member->next_of_slot;
}

/* In a forked child: wakers, bell and what they watch become its own; the copies of the parent's are closed.
 */
static void adopt(struct pel_epoll *set)
{
    set->generation = pel_fork_generation;
    set->num_sleepers = 0;
    if (set->bell >= 0)
        pel_daemon_unhide(set->bell);
    set->bell = -1;
    set->is_bell_rung = false;
    for (uint32_t i = 0; i < set->num_apps; i++) {
        if (set->apps[i].has_wake)
            pel_wake_drop(&set->apps[i].wake);
        set->apps[i].has_wake = false;
        open_wake(set, i);
    }
    set->num_unwatched = 0;
    for (uint32_t fd = 0; fd < set->num_fds; fd++) {
        for (struct pel_member *member = set->by_fd[fd]; member != NULL; member = member->next_of_fd) {
            if (member->is_kernels)
                continue;
            watch(set, member);
            pel_set_enter(set, member);
        }
    }
}

void pel_set_lock(struct pel_epoll *set)
{
    pthread_mutex_lock(&set->lock);
    if (set->generation != pel_fork_generation)
        adopt(set);
}

void pel_set_unlock(struct pel_epoll *set)
{
    pthread_mutex_unlock(&set->lock);
}

/* --- members --- */

struct pel_member *pel_set_find(struct pel_epoll *set, const struct pel_file *file, int fd)
{
    struct pel_member *member = (uint32_t)fd < set->num_fds ? set->by_fd[fd] : NULL;
    while (member != NULL && member->file != file)
        member = member->next_of_fd;
    return member;
}

static bool make_place(struct pel_epoll *set, uint32_t fd)
{
    uint32_t num_fds = set->num_fds == 0 ? 64 : set->num_fds;
    if (fd < set->num_fds)
        return true;
    while (num_fds <= fd)
        num_fds *= 2;
    struct pel_member **by_fd = realloc(set->by_fd, num_fds * sizeof by_fd[0]);
    if (by_fd == NULL)
        return false;
    memset(by_fd + set->num_fds, 0, (num_fds - set->num_fds) * sizeof by_fd[0]);
    set->by_fd = by_fd;
    set->num_fds = num_fds;
    return true;
}

/* Links the member to its file; false: the file's last number has been closed meanwhile. */
static bool link_file(struct pel_member *member)
{
    struct pel_file *file = member->file;
    pthread_mutex_lock(&file->lock);
    member->next_of_file = file->members;
    file->members = member;
    pthread_mutex_unlock(&file->lock);
    return __atomic_load_n(&file->num_fds, __ATOMIC_SEQ_CST) != 0;
}

static void unlink_file(struct pel_member *member)
{
    struct pel_file *file = member->file;
    pthread_mutex_lock(&file->lock);
    struct pel_member **link = &file->members;
    while (*link != member)
        link = &(*link)->next_of_file;
    *link = member->next_of_file;
    pthread_mutex_unlock(&file->lock);
}

static bool is_kernels_kind(const struct pel_file *file)
{
    uint32_t kind = __atomic_load_n(&file->kind, __ATOMIC_ACQUIRE);
    return kind == PEL_FILE_UNDECIDED || kind == PEL_FILE_LISTENER || kind == PEL_FILE_EPOLL;
}

int pel_set_add(struct pel_epoll *set, struct pel_file *file, int fd, const struct epoll_event *event)
{
    struct pel_member *member = make_place(set, (uint32_t)fd) ? calloc(1, sizeof *member) : NULL;
    int error = 0;
    if (member == NULL)
        return ENOMEM;
    *member = (struct pel_member){.set = set, .file = file, .fd = fd, .app = NO_APP};
    member->events = event->events;
    member->data = event->data;
    if (is_kernels_kind(file))
        error = make_kernels(set, member);
    else
        make_ours(set, member);
    member->next_of_fd = set->by_fd[fd];
    set->by_fd[fd] = member;
    if (!link_file(member) && error == 0)
        error = EBADF;
    if (error != 0)
        pel_set_remove(set, member, true);
    return error;
}

int pel_set_change(struct pel_epoll *set, struct pel_member *member, const struct epoll_event *event)
{
    member->events = event->events;
    member->data = event->data;
    member->is_off = false;
    if (!member->is_kernels) {
        pel_set_enter(set, member);
        return 0;
    }
    return tell_kernel(set, member, EPOLL_CTL_MOD);
}

int pel_set_remove(struct pel_epoll *set, struct pel_member *member, bool is_kernel_told)
{
    long result = 0;
    if (member->is_kernels && is_kernel_told)
        result = kernel_ctl(set, EPOLL_CTL_DEL, member->fd, 0, 0);
    /* An undecided socket that is forgotten may be the kernel's from now on, and remain its member. */
    bool is_left_over = !is_kernel_told && member->file->kind == PEL_FILE_UNDECIDED;
    if (!member->is_kernels)
        unmake_ours(set, member);
    else if (!is_left_over)
        unmake_kernels(set, member);
    struct pel_member **link = &set->by_fd[member->fd];
    while (*link != member)
        link = &(*link)->next_of_fd;
    *link = member->next_of_fd;
    unlink_file(member);
    free(member);
    return (int)-result;
}

/* The set of the file's member number `number`, with a reference; NULL: it has not so many. */
static struct pel_epoll *nth_set(struct pel_file *file, uint32_t number)
{
    pthread_mutex_lock(&file->lock);
    struct pel_member *member = file->members;
    for (uint32_t i = 0; i < number && member != NULL; i++)
        member = member->next_of_file;
    struct pel_epoll *set = member != NULL ? member->set : NULL;
    if (set != NULL)
        pel_set_ref(set);
    pthread_mutex_unlock(&file->lock);
    return set;
}

/* A member that the file has in `set`, which is locked; `is_wrong_only`: one that is reported by the wrong
 * side, now that the file is of another kind. NULL: none. */
static struct pel_member *member_in(struct pel_epoll *set, struct pel_file *file, bool is_wrong_only)
{
    bool is_kernels = is_kernels_kind(file);
    pthread_mutex_lock(&file->lock);
    struct pel_member *member = file->members;
    while (member != NULL && (member->set != set || (is_wrong_only && member->is_kernels == is_kernels)))
        member = member->next_of_file;
    pthread_mutex_unlock(&file->lock);
    return member;
}

void pel_epoll_forget(struct pel_file *file)
{
    struct pel_epoll *set;
    struct pel_member *member;
    /* A set's lock comes before the file's: so found first, then locked, then looked at again. A child that
     * closes what it inherited makes no set its own by that. */
    while ((set = nth_set(file, 0)) != NULL) {
        pthread_mutex_lock(&set->lock);
        while ((member = member_in(set, file, false)) != NULL)
            pel_set_remove(set, member, false);
        if (set->generation == pel_fork_generation)
            pel_set_settle(set);
        pthread_mutex_unlock(&set->lock);
        pel_set_unref(set);
    }
}

void pel_epoll_deciding(struct pel_file *file, int fd)
{
    struct pel_epoll *set;
    for (uint32_t i = 0; (set = nth_set(file, i)) != NULL; i++) {
        pel_set_lock(set);
        struct pel_member *member = pel_set_find(set, file, fd);
        if (member != NULL && member->is_kernels)
            kernel_ctl(set, EPOLL_CTL_DEL, fd, 0, 0);
        pel_set_unlock(set);
        pel_set_unref(set);
    }
}

void pel_epoll_decided(struct pel_file *file, int fd)
{
    struct pel_epoll *set;
    struct pel_member *member;
    for (uint32_t i = 0; (set = nth_set(file, i)) != NULL; i++) {
        pel_set_lock(set);
        while ((member = member_in(set, file, true)) != NULL) {
            if (member->is_kernels) {
                unmake_kernels(set, member);
                kernel_ctl(set, EPOLL_CTL_DEL, member->fd, 0, 0); /* of a listener's channel, or of nothing */
                make_ours(set, member);
            } else {
                unmake_ours(set, member);
                make_kernels(set, member);
            }
        }
        /* From undecided to listening at once: the number leads to a channel that the kernel has not seen. */
        member = is_kernels_kind(file) ? pel_set_find(set, file, fd) : NULL;
        if (member != NULL && tell_kernel(set, member, EPOLL_CTL_ADD) == EEXIST)
            tell_kernel(set, member, EPOLL_CTL_MOD);
        pel_set_settle(set);
        pel_set_unlock(set);
        pel_set_unref(set);
    }
}

void pel_epoll_free(struct pel_epoll *set)
{
    pthread_mutex_lock(&set->lock);
    bool is_own = set->generation == pel_fork_generation;
    for (uint32_t fd = 0; fd < set->num_fds; fd++) {
        while (set->by_fd[fd] != NULL)
            pel_set_remove(set, set->by_fd[fd], false);
    }
    for (uint32_t i = 0; i < set->num_apps; i++) {
        if (is_own)
            close_wake(set, i);
        else if (set->apps[i].has_wake)
            pel_wake_drop(&set->apps[i].wake);
        set->apps[i].has_wake = false;
    }
    if (set->bell >= 0)
        pel_daemon_unhide(set->bell);
    if (set->kernel >= 0)
        pel_daemon_unhide(set->kernel);
    set->bell = set->kernel = -1;
    pthread_mutex_unlock(&set->lock);
    pel_set_unref(set);
}

/* --- signals, and who sleeps --- */

struct taking {
    struct pel_epoll *set;
    struct pel_member **by_slot;
};

static void take_signal(void *arg, uint32_t number)
{
    struct taking *taking = arg;
    for (struct pel_member *member = taking->by_slot[number]; member != NULL; member = member->next_of_slot)
        pel_set_enter(taking->set, member);
}

/* Members without a waker or a place: whether there is one now; and they have their turn. */
static void sweep_unwatched(struct pel_epoll *set)
{
    int64_t now_ns = pel_now_ns();
    if (now_ns < set->sweep_at_ns)
        return;
    set->sweep_at_ns = now_ns + PEL_NAP_NS;
    for (uint32_t fd = 0; fd < set->num_fds; fd++) {
        for (struct pel_member *member = set->by_fd[fd]; member != NULL; member = member->next_of_fd) {
            if (member->is_kernels || member->is_watched)
                continue;
            set->num_unwatched--;
            watch(set, member);
            pel_set_enter(set, member);
        }
    }
}

void pel_set_take_signals(struct pel_epoll *set)
{
    for (uint32_t i = 0; i < set->num_apps; i++) {
        struct pel_set_app *row = &set->apps[i];
        struct taking taking = {.set = set, .by_slot = row->by_slot};
        if (row->has_wake && !pel_signal_set_is_empty(&row->wake.waker->ready))
            pel_signal_set_take(&row->wake.waker->ready, row->app->header.num_sockets, take_signal, &taking);
    }
    if (set->num_unwatched > 0)
        sweep_unwatched(set);
}

static void fall_asleep(struct pel_set_app *row)
{
    row->is_asleep = true;
    pel_wake_fall_asleep(&row->wake);
}

/* Who has been signalled since it fell asleep has a byte, or will have one in a moment. */
static void rise(struct pel_set_app *row)
{
    row->has_byte |= !pel_wake_rise(&row->wake) && row->is_asleep;
    row->is_asleep = false;
}

void pel_set_fall_asleep(struct pel_epoll *set)
{
    for (uint32_t i = 0; i < set->num_apps; i++) {
        if (set->apps[i].has_wake) {
            rise(&set->apps[i]);
            fall_asleep(&set->apps[i]);
        }
    }
}

void pel_set_rise(struct pel_epoll *set)
{
    for (uint32_t i = 0; i < set->num_apps && set->num_sleepers == 0 && !set->is_outside; i++) {
        if (set->apps[i].has_wake)
            rise(&set->apps[i]);
    }
}

void pel_set_ring(struct pel_epoll *set)
{
    uint64_t one = 1;
    if (set->is_bell_rung || set->kernel < 0)
        return;
    if (set->bell < 0) {
        long fd = pel_raw(SYS_eventfd2, 0, EFD_CLOEXEC | EFD_NONBLOCK, 0, 0, 0, 0);
        if (fd < 0)
            return;
        set->bell = pel_daemon_hide((int)fd);
        kernel_ctl(set, EPOLL_CTL_ADD, set->bell, EPOLLIN, set->marker | PEL_MARKER_BELL);
    }
    pel_raw(SYS_write, set->bell, (long)&one, sizeof one, 0, 0, 0);
    set->is_bell_rung = true;
}

static void silence(struct pel_epoll *set)
{
    uint64_t count;
    if (!set->is_bell_rung)
        return;
    pel_raw(SYS_read, set->bell, (long)&count, sizeof count, 0, 0, 0);
    set->is_bell_rung = false;
}

/* The daemon behind a waker has died: its sockets have their end to report. */
static void bury(struct pel_epoll *set, uint32_t app)
{
    struct pel_set_app *row = &set->apps[app];
    close_wake(set, app);
    for (uint32_t number = 0; number < row->app->header.num_sockets; number++) {
        for (struct pel_member *member = row->by_slot[number]; member != NULL; member = member->next_of_slot)
            pel_set_enter(set, member);
    }
    if (set->num_sleepers > 0 || set->is_outside)
        pel_set_ring(set);
}

/* Leaves the wake awake: the byte that is taken is that of its last sleep. */
static void drain(struct pel_epoll *set, uint32_t app)
{
    rise(&set->apps[app]);
    set->apps[app].has_byte = false;
    if (!pel_wake_drain(&set->apps[app].wake))
        bury(set, app);
}

/* Nothing is ready: nothing may say so. */
static void hush(struct pel_epoll *set)
{
    silence(set);
    for (uint32_t i = 0; i < set->num_apps; i++) {
        if (set->apps[i].has_wake && set->apps[i].has_byte)
            drain(set, i);
    }
}

void pel_set_settle(struct pel_epoll *set)
{
    bool has_byte = false;
    if (set->num_sleepers == 0 && !set->is_outside)
        return;
    pel_set_settle_nested(set);
    for (uint32_t i = 0; i < set->num_apps; i++) {
        if (set->apps[i].has_wake)
            rise(&set->apps[i]);
    }
    pel_set_take_signals(set);
    if (!pel_set_has_ready(set))
        hush(set);
    /* What is signalled from here on brings a byte; what was in between, the bell tells. */
    for (uint32_t i = 0; i < set->num_apps; i++) {
        if (set->apps[i].has_wake)
            fall_asleep(&set->apps[i]);
        has_byte |= set->apps[i].has_wake && set->apps[i].has_byte;
    }
    pel_set_take_signals(set);
    /* A byte says it as well as the bell, and both would be two edges for one event. */
    if (!has_byte && pel_set_has_ready(set))
        pel_set_ring(set);
}

void pel_set_settle_nested(struct pel_epoll *set)
{
    for (struct pel_member *member = set->nested; member != NULL; member = member->next_of_slot) {
        pel_set_lock(member->file->epoll);
        pel_set_settle(member->file->epoll);
        pel_set_unlock(member->file->epoll);
    }
}

static void sort_marker(struct pel_epoll *set, uint64_t data)
{
    uint32_t low = (uint32_t)(data & PEL_MARKER_MASK), app = low >> PEL_MARKER_SHIFT;
    if (low == PEL_MARKER_BELL)
        silence(set);
    else if (app < set->num_apps && set->apps[app].has_wake && marker_of(set, app) == data)
        drain(set, app);
    /* Else it is another process's, which has the set by inheritance, and who takes it itself. */
}

int pel_set_sort(struct pel_epoll *set, struct epoll_event *events, int num_events)
{
    int num_kept = 0;
    for (int i = 0; i < num_events; i++) {
        if (set->kernel >= 0 && (events[i].data.u64 & ~PEL_MARKER_MASK) == set->marker)
            sort_marker(set, events[i].data.u64);
        else
            events[num_kept++] = events[i];
    }
    return num_kept;
}

void pel_set_show(struct pel_epoll *set)
{
    pel_set_lock(set);
    set->is_outside = true;
    pel_set_settle(set);
    pel_set_unlock(set);
}

void pel_epoll_changed(struct pel_file *file)
{
    struct pel_epoll *set;
    struct pel_member *member;
    for (uint32_t i = 0; (set = nth_set(file, i)) != NULL; i++) {
        pel_set_lock(set);
        pthread_mutex_lock(&file->lock);
        for (member = file->members; member != NULL; member = member->next_of_file) {
            if (member->set == set && !member->is_kernels)
                pel_set_enter(set, member);
        }
        pthread_mutex_unlock(&file->lock);
        pel_set_settle(set);
        pel_set_unlock(set);
        pel_set_unref(set);
    }
}
