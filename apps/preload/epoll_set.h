/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An epoll set of the program: the kernel's instance behind the program's number, and beside it our members.
 *
 * The kernel's instance has the kernel's own members with the program's data, and ours with a marker as data:
 * for each application whose sockets are members its waker's channel, and a bell, an eventfd by which one
 * thread of the process tells others, or who watches the set from outside, that something is ready.
 *
 * Streams and datagram sockets are ours alone. A member that may have something to report stands on the ready
 * list: after it was added or changed, after its socket was signalled, and, level-triggered, after it was
 * reported. Who gathers looks at it, and takes it off when it has nothing. Listeners and undecided sockets
 * are the kernel's members, and remembered here so that they can become ours.
 *
 * A forked child has a copy of all this, and shares the kernel's instance and the wakers' memory. Its first
 * use of the set opens wakers of its own, watches with them, and adds their channels to the shared instance;
 * it knows foreign markers and passes them by. So two processes that wait on one inherited set both hear of
 * their sockets, but the kernel's instance remains one: what one adds or removes there the other sees too.
 */
#ifndef PEL_PRELOAD_EPOLL_SET_H
#define PEL_PRELOAD_EPOLL_SET_H

#include <sys/epoll.h>

#include "apps/preload/wake.h"

#define PEL_SET_APPS      4 /* applications whose sockets are in one set */
/* After a sleep, and after a kernel's member had something, so many calls look at those whatever ours have.
 */
#define PEL_SET_LOOKS_DUE 4

struct pel_member {
    struct pel_epoll *set;
    struct pel_file *file; /* borrowed: a file leaves its sets before it goes */
    int fd;
    uint32_t events; /* as asked for, with flags */
    epoll_data_t data;
    bool is_kernels;                              /* the kernel's instance reports it */
    bool is_off;                                  /* a one-shot that has been reported */
    bool is_watched;                              /* its socket signals to the set's waker */
    bool is_ready;                                /* on the ready list */
    uint32_t app;                                 /* which of the set's, of ours */
    struct pel_member *next_of_file;              /* under the file's lock */
    struct pel_member *next_of_fd, *next_of_slot; /* the latter also of the sets in the set */
    struct pel_member *ready_next, *ready_prev;
};

struct pel_set_app {
    struct pel_app *app;
    uint32_t num_members;
    bool has_wake;
    bool is_asleep; /* as we left the wake */
    bool has_byte;  /* on the wake's channel, or it is on its way */
    struct pel_wake wake;
    struct pel_member **by_slot; /* chains, by the socket's number */
};

struct pel_epoll {
    pthread_mutex_t lock; /* over all that follows, but for `refs` and what says so */
    uint32_t refs;        /* atomic */
    uint32_t generation;  /* of the process that the wakers belong to */
    int kernel;           /* hidden: the kernel's instance; -1 until a socket of the stack comes near */
    struct pel_member **by_fd;
    uint32_t num_fds;
    struct pel_set_app apps[PEL_SET_APPS];
    uint32_t num_apps;
    struct pel_member *ready_first, *ready_last; /* the first read without the lock too, as a hint */
    uint32_t num_ours, num_unwatched; /* members of ours; of them without a waker or a watcher's place */
    uint32_t num_kernels;             /* of the kernel's, at most: the kernel forgets what is closed */
    uint32_t num_looks_due;           /* how many calls more look at the kernel's in any case */
    struct pel_member *nested;        /* those that are sets; each locks after this one, and none holds it */
    uint32_t num_sleepers;
    bool is_outside; /* somebody polls the set, or has it in another: it must be readable when ready */
    bool is_bell_rung;
    int bell;                   /* hidden eventfd; -1 */
    uint64_t marker;            /* the upper 48 bits of the data of our channels */
    uint64_t kernel_seen_ticks; /* when the kernel's members were looked at last */
    int64_t sweep_at_ns;        /* when unwatched members are due */
    struct pel_spin spin;
    struct pel_epoll *next, **link; /* all sets of the process */
};

/* The lower 16 bits of a marker: which of the set's applications, and the waker's number; or the bell. */
#define PEL_MARKER_MASK  0xffffull
#define PEL_MARKER_BELL  0xffffull
#define PEL_MARKER_SHIFT 12
static_assert(PEL_SEGMENT_WAKERS <= 1 << PEL_MARKER_SHIFT, "a marker has place for a waker's number");

/* pel_set_new makes an empty set; NULL: no memory. pel_set_ref and pel_set_unref count who looks at it. */
struct pel_epoll *pel_set_new(void);
void pel_set_ref(struct pel_epoll *set);
void pel_set_unref(struct pel_epoll *set);

/* pel_set_lock locks, and in a forked child makes the set its own first. */
void pel_set_lock(struct pel_epoll *set);
void pel_set_unlock(struct pel_epoll *set);

/* What follows is called with the set locked. */

/* pel_set_mix has the set know its kernel's instance, by the program's number. 0 or an errno. */
int pel_set_mix(struct pel_epoll *set, int epoll_fd);

/* pel_set_add makes `file` at `fd` a member; it is not one. pel_set_change gives it other events and data.
 * pel_set_remove takes it out; `is_kernel_told`: the kernel's instance must forget it too. 0 or an errno. */
int pel_set_add(struct pel_epoll *set, struct pel_file *file, int fd, const struct epoll_event *event);
int pel_set_change(struct pel_epoll *set, struct pel_member *member, const struct epoll_event *event);
int pel_set_remove(struct pel_epoll *set, struct pel_member *member, bool is_kernel_told);

/* pel_set_find returns the member, or NULL. */
struct pel_member *pel_set_find(struct pel_epoll *set, const struct pel_file *file, int fd);

/* pel_set_enter puts a member of ours at the end of the ready list, pel_set_leave takes it off. */
void pel_set_enter(struct pel_epoll *set, struct pel_member *member);
void pel_set_leave(struct pel_epoll *set, struct pel_member *member);

/* pel_set_take_signals enters all members whose sockets were signalled, and those that are due unwatched. */
void pel_set_take_signals(struct pel_epoll *set);

/* pel_set_has_signals tells whether somebody has signalled; also without the lock, as a hint. */
bool pel_set_has_signals(const struct pel_epoll *set);

/* pel_set_has_ready takes members that have nothing off the ready list until one has something. */
bool pel_set_has_ready(struct pel_epoll *set);

/* pel_member_events is what the member has to report now. */
uint32_t pel_member_events(const struct pel_member *member);

/* pel_set_settle leaves the set so that nobody who sleeps on it, or watches it from outside, misses what is
 * ready: at the end of every call that changed or gathered something. */
void pel_set_settle(struct pel_epoll *set);

/* pel_set_settle_nested does so for the sets in it, so that the kernel reports no more of them than there is.
 */
void pel_set_settle_nested(struct pel_epoll *set);

/* pel_set_fall_asleep asks all wakers for a byte. pel_set_rise takes that back unless others need it. */
void pel_set_fall_asleep(struct pel_epoll *set);
void pel_set_rise(struct pel_epoll *set);

/* pel_set_sort takes our markers out of what the kernel reported, does what they ask for, and returns how
 * many events of the program's are left, in front. */
int pel_set_sort(struct pel_epoll *set, struct epoll_event *events, int num_events);

/* pel_set_ring makes the kernel's instance readable until the bell's marker comes by. */
void pel_set_ring(struct pel_epoll *set);

/* pel_set_show makes the set readable from outside whenever it has something, from now on. Without the lock.
 */
void pel_set_show(struct pel_epoll *set);

/* pel_set_wait waits as epoll_pwait2 does, on the set `file`, of which the caller has a reference, at the
 * program's number `epoll_fd`: a number of events, or a negative errno. `timeout_ns` negative: for ever.
 * Without the lock. A point of cancellation while it sleeps: the reference is given up then. */
int pel_set_wait(struct pel_file *file, int epoll_fd, struct epoll_event *ret_events, int max_events,
                 int64_t timeout_ns, const void *mask);

/* pel_set_wait_plain waits for what is the kernel's alone, also on an instance that is not ours. */
int pel_set_wait_plain(int epoll_fd, struct epoll_event *ret_events, int max_events, int64_t timeout_ns,
                       const void *mask);

#endif
