/* SPDX-License-Identifier: Apache-2.0 */
#include "stack/socket_object.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <time.h>

void pel_sock_init(struct pel_sock *sock, const struct pel_sock_ops *ops, enum pel_sock_kind kind, int family,
                   struct pel_homes *homes)
{
    *sock = (struct pel_sock){
        .ops = ops,
        .homes = pel_homes_ref(homes),
        .kind = kind,
        .family = family,
        .refs = 1,
        /* Linux's defaults, except that the engine sends without Nagle's delay. */
        .options = {.is_nodelay = true, .keep_idle_s = 7200, .keep_interval_s = 75, .keep_count = 9},
    };
    pthread_mutex_init(&sock->lock, NULL);
    pel_list_init(&sock->watches);
}

void pel_sock_fini(struct pel_sock *sock)
{
    pthread_mutex_destroy(&sock->lock);
    pel_homes_unref(sock->homes);
}

void pel_sock_ref(struct pel_sock *sock)
{
    __atomic_fetch_add(&sock->refs, 1, __ATOMIC_RELAXED);
}

void pel_sock_unref(struct pel_sock *sock)
{
    if (__atomic_fetch_sub(&sock->refs, 1, __ATOMIC_ACQ_REL) == 1)
        sock->ops->free(sock);
}

bool pel_sock_watch(struct pel_sock *sock, struct pel_watch *watch)
{
    pthread_mutex_lock(&sock->lock);
    bool is_open = !__atomic_load_n(&sock->is_closed, __ATOMIC_RELAXED);
    if (is_open) {
        pel_list_append(&sock->watches, &watch->link);
        __atomic_fetch_add(&sock->num_watches, 1, __ATOMIC_SEQ_CST);
    }
    pthread_mutex_unlock(&sock->lock);
    return is_open;
}

void pel_sock_unwatch(struct pel_sock *sock, struct pel_watch *watch)
{
    pthread_mutex_lock(&sock->lock);
    pel_list_remove(&watch->link);
    __atomic_fetch_sub(&sock->num_watches, 1, __ATOMIC_SEQ_CST);
    pthread_mutex_unlock(&sock->lock);
}

static void wake_locked(struct pel_sock *sock, uint32_t events)
{
    for (struct pel_list *link = sock->watches.next; link != &sock->watches; link = link->next) {
        struct pel_watch *watch = PEL_PART_OF(link, struct pel_watch, link);
        if (watch->events & events)
            watch->wake(watch, events);
    }
}

void pel_sock_wake(struct pel_sock *sock, uint32_t events)
{
    if (__atomic_fetch_add(&sock->num_watches, 0, __ATOMIC_SEQ_CST) == 0)
        return;
    pthread_mutex_lock(&sock->lock);
    wake_locked(sock, events);
    pthread_mutex_unlock(&sock->lock);
}

bool pel_sock_mark_closed(struct pel_sock *sock)
{
    pthread_mutex_lock(&sock->lock);
    bool was_open = !__atomic_exchange_n(&sock->is_closed, 1, __ATOMIC_SEQ_CST);
    if (was_open)
        wake_locked(sock, PEL_EVENTS_ALL);
    pthread_mutex_unlock(&sock->lock);
    return was_open;
}

void pel_waiter_init(struct pel_waiter *waiter)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&waiter->lock, NULL);
    pthread_cond_init(&waiter->changed, &attr);
    pthread_condattr_destroy(&attr);
    waiter->is_woken = false;
}

void pel_waiter_fini(struct pel_waiter *waiter)
{
    pthread_cond_destroy(&waiter->changed);
    pthread_mutex_destroy(&waiter->lock);
}

void pel_waiter_wake(struct pel_watch *watch, uint32_t events)
{
    struct pel_waiter *waiter = watch->owner;
    (void)events;
    pthread_mutex_lock(&waiter->lock);
    waiter->is_woken = true;
    pthread_cond_signal(&waiter->changed);
    pthread_mutex_unlock(&waiter->lock);
}

static struct timespec monotonic_after(uint64_t delay_us)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += (time_t)(delay_us / 1000000);
    at.tv_nsec += (long)(delay_us % 1000000) * 1000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000;
    }
    return at;
}

bool pel_waiter_sleep(struct pel_waiter *waiter, const struct pel_clock *clock, uint64_t deadline_us)
{
    pthread_mutex_lock(&waiter->lock);
    while (!waiter->is_woken) {
        if (deadline_us == PEL_FOREVER) {
            pthread_cond_wait(&waiter->changed, &waiter->lock);
            continue;
        }
        uint64_t now_us = pel_clock_now_us(clock);
        if (now_us >= deadline_us)
            break;
        struct timespec at = monotonic_after(deadline_us - now_us);
        pthread_cond_timedwait(&waiter->changed, &waiter->lock, &at);
    }
    bool is_woken = waiter->is_woken;
    waiter->is_woken = false;
    pthread_mutex_unlock(&waiter->lock);
    return is_woken;
}

uint64_t pel_sock_deadline(const struct pel_sock *sock, uint64_t timeout_us)
{
    return timeout_us == 0 ? PEL_FOREVER : pel_clock_now_us(&sock->homes->clock) + timeout_us;
}

static uint64_t locked_copy(struct pel_sock *sock, const uint64_t *value)
{
    pthread_mutex_lock(&sock->lock);
    uint64_t copy = *value;
    pthread_mutex_unlock(&sock->lock);
    return copy;
}

uint64_t pel_sock_recv_deadline(struct pel_sock *sock)
{
    return pel_sock_deadline(sock, locked_copy(sock, &sock->options.recv_timeout_us));
}

uint64_t pel_sock_send_deadline(struct pel_sock *sock)
{
    return pel_sock_deadline(sock, locked_copy(sock, &sock->options.send_timeout_us));
}

static bool has_events(struct pel_sock *sock, void *arg)
{
    const uint32_t *events = arg;
    return (sock->ops->events(sock) & (*events | PEL_EVENTS_ALWAYS)) != 0;
}

int pel_sock_wait(struct pel_sock *sock, uint32_t events, uint64_t deadline_us,
                  bool (*is_enough)(struct pel_sock *sock, void *arg), void *arg)
{
    struct pel_waiter waiter;
    pel_waiter_init(&waiter);
    struct pel_watch watch = {
        .events = events | PEL_EVENTS_ALWAYS, .wake = pel_waiter_wake, .owner = &waiter};
    if (is_enough == NULL) {
        is_enough = has_events;
        arg = &events;
    }
    int result = EBADF;
    if (pel_sock_watch(sock, &watch)) {
        result = 0;
        while (result == 0 && !__atomic_load_n(&sock->is_closed, __ATOMIC_ACQUIRE) && !is_enough(sock, arg))
            result = pel_waiter_sleep(&waiter, &sock->homes->clock, deadline_us) ? 0 : EAGAIN;
        if (__atomic_load_n(&sock->is_closed, __ATOMIC_ACQUIRE))
            result = EBADF;
        pel_sock_unwatch(sock, &watch);
    }
    pel_waiter_fini(&waiter);
    return result;
}

ssize_t pel_iov_len(const struct iovec *iov, int num_iov)
{
    size_t len = 0;
    for (int i = 0; i < num_iov; i++) {
        if (iov[i].iov_len > (size_t)SSIZE_MAX - len)
            return -1;
        len += iov[i].iov_len;
    }
    return (ssize_t)len;
}
