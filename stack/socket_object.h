/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every descriptor of the stack is: a counted object with readiness that can be asked for without a
 * lock, and watches that are woken when it may have changed.
 *
 * No event is lost: who waits adds a watch first and asks for readiness afterwards; who changes something
 * publishes it first and looks for watches afterwards; both pass through a read-modify-write of num_watches,
 * so at least one sees the other. When nobody watches, a change costs that one instruction and no lock.
 */
#ifndef PEL_STACK_SOCKET_OBJECT_H
#define PEL_STACK_SOCKET_OBJECT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/clock.h"
#include "stack/socket_home.h"
#include "stack/socket_list.h"

/* No time limit, as a deadline. */
#define PEL_FOREVER UINT64_MAX

/* The events that are reported whether asked for or not. */
#define PEL_EVENTS_ALWAYS ((uint32_t)(EPOLLERR | EPOLLHUP))
#define PEL_EVENTS_ALL                                                                                       \
    ((uint32_t)(EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLERR | EPOLLHUP | EPOLLRDNORM | EPOLLWRNORM |          \
                EPOLLPRI | EPOLLRDBAND | EPOLLWRBAND))

enum pel_sock_kind {
    PEL_SOCK_STREAM,
    PEL_SOCK_UDP,
    PEL_SOCK_EPOLL,
};

struct pel_sock;

struct pel_sock_ops {
    /* What is ready now, EPOLL bits. Without locks; any thread. Not ready for output: arranges that room will
     * wake. */
    uint32_t (*events)(struct pel_sock *sock);
    /* The application looks at the socket for the first time: the mapping point of an accepted connection.
     * May be NULL. */
    void (*touch)(struct pel_sock *sock);
    /* The descriptor is gone; end what the engines hold. */
    void (*close)(struct pel_sock *sock);
    /* The last reference is gone. */
    void (*free)(struct pel_sock *sock);
};

/* One who wants to know of changes. Lives from pel_sock_watch to pel_sock_unwatch. */
struct pel_watch {
    struct pel_list link;
    uint32_t events;                                        /* wakes for these */
    void (*wake)(struct pel_watch *watch, uint32_t events); /* under the socket's lock; must be short */
    void *owner;
};

/* What pel_setsockopt sets. Under the socket's lock. */
struct pel_sock_options {
    bool is_nodelay, is_keepalive, is_linger, is_v6only, is_reuse_address, is_reuse_port;
    uint32_t keep_idle_s, keep_interval_s, keep_count, linger_s;
    uint64_t recv_timeout_us, send_timeout_us; /* 0: none */
};

struct pel_sock {
    const struct pel_sock_ops *ops;
    struct pel_homes *homes;
    enum pel_sock_kind kind;
    int family;
    uint32_t refs;        /* atomic */
    uint32_t is_nonblock; /* atomic */
    uint32_t is_closed;   /* atomic; set under `lock` */
    uint32_t num_watches; /* atomic; changed under `lock` */
    pthread_mutex_t lock;
    struct pel_list watches;
    struct pel_sock_options options;
    struct sockaddr_storage local, remote; /* under `lock`; ss_family AF_UNSPEC: not known */
};

/* pel_sock_init makes an object with one reference. Takes a reference to `homes`. */
void pel_sock_init(struct pel_sock *sock, const struct pel_sock_ops *ops, enum pel_sock_kind kind, int family,
                   struct pel_homes *homes);

/* pel_sock_fini gives back what pel_sock_init took; for ops->free. */
void pel_sock_fini(struct pel_sock *sock);

/* pel_sock_ref and pel_sock_unref count references; the last one calls ops->free. Any thread. */
void pel_sock_ref(struct pel_sock *sock);
void pel_sock_unref(struct pel_sock *sock);

/* pel_sock_watch adds a watch; false when the socket has been closed. pel_sock_unwatch removes it: when it
 * returns, `wake` is not running and will not run. Any thread. */
bool pel_sock_watch(struct pel_sock *sock, struct pel_watch *watch);
void pel_sock_unwatch(struct pel_sock *sock, struct pel_watch *watch);

/* pel_sock_wake wakes the watches that want any of `events`, after the caller has published what changed. Any
 * thread. */
void pel_sock_wake(struct pel_sock *sock, uint32_t events);

/* pel_sock_mark_closed lets every wait end with EBADF; false when it was closed already. */
bool pel_sock_mark_closed(struct pel_sock *sock);

/* A sleeping thread; several watches may point to it. */
struct pel_waiter {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_woken;
};

void pel_waiter_init(struct pel_waiter *waiter);
void pel_waiter_fini(struct pel_waiter *waiter);

/* pel_waiter_wake is a watch's `wake` whose owner is a waiter. */
void pel_waiter_wake(struct pel_watch *watch, uint32_t events);

/* pel_waiter_sleep sleeps until it is woken, or was since the last call; false at the deadline (us of
 * `clock`, or PEL_FOREVER). */
bool pel_waiter_sleep(struct pel_waiter *waiter, const struct pel_clock *clock, uint64_t deadline_us);

/* pel_sock_deadline returns now plus `timeout_us`; PEL_FOREVER for 0. */
uint64_t pel_sock_deadline(const struct pel_sock *sock, uint64_t timeout_us);

/* pel_sock_recv_deadline and pel_sock_send_deadline do so with SO_RCVTIMEO and SO_SNDTIMEO. */
uint64_t pel_sock_recv_deadline(struct pel_sock *sock);
uint64_t pel_sock_send_deadline(struct pel_sock *sock);

/* pel_sock_wait sleeps until one of `events` (or an error or hang-up) is ready; with `is_enough`, until that
 * says so. Returns 0, EBADF when the socket was closed, EAGAIN at the deadline. Any thread but an engine's.
 */
int pel_sock_wait(struct pel_sock *sock, uint32_t events, uint64_t deadline_us,
                  bool (*is_enough)(struct pel_sock *sock, void *arg), void *arg);

/* pel_iov_len adds up the lengths; -1 when they pass SSIZE_MAX. */
ssize_t pel_iov_len(const struct iovec *iov, int num_iov);

#endif
