/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "stack/socket_table.h"
#include <pellucid/socket.h>

#define NUM_ON_STACK 16

/* One row of a pel_poll that waits. */
struct polled {
    struct pel_sock *sock; /* with a reference; NULL: skipped */
    struct pel_watch watch;
    bool is_watched;
};

/* What to report of one row: the events asked for, errors and hang-ups always; POLLNVAL when it was closed.
 */
static short revents_of(struct pel_sock *sock, short events)
{
    if (__atomic_load_n(&sock->is_closed, __ATOMIC_ACQUIRE))
        return POLLNVAL;
    return (short)(sock->ops->events(sock) & ((uint32_t)(unsigned short)events | PEL_EVENTS_ALWAYS));
}

/* Finds the sockets, tells them that they are looked at, and what is ready already. Returns the number of
 * rows with something. */
static int look_up(struct pollfd *fds, nfds_t num_fds, struct polled *rows)
{
    int num_ready = 0;
    for (nfds_t i = 0; i < num_fds; i++) {
        rows[i] = (struct polled){.sock = fds[i].fd < 0 ? NULL : pel_fd_get(fds[i].fd)};
        struct pel_sock *sock = rows[i].sock;
        fds[i].revents = fds[i].fd >= 0 && sock == NULL ? POLLNVAL : 0;
        if (sock != NULL) {
            if (sock->ops->touch != NULL)
                sock->ops->touch(sock);
            fds[i].revents = revents_of(sock, fds[i].events);
        }
        num_ready += fds[i].revents != 0;
    }
    return num_ready;
}

static void watch_all(struct pollfd *fds, nfds_t num_fds, struct polled *rows, struct pel_waiter *waiter)
{
    for (nfds_t i = 0; i < num_fds; i++) {
        if (rows[i].sock == NULL)
            continue;
        rows[i].watch =
            (struct pel_watch){.events = (uint32_t)(unsigned short)fds[i].events | PEL_EVENTS_ALWAYS,
                               .wake = pel_waiter_wake,
                               .owner = waiter};
        rows[i].is_watched = pel_sock_watch(rows[i].sock, &rows[i].watch);
    }
}

static int look_again(struct pollfd *fds, nfds_t num_fds, const struct polled *rows)
{
    int num_ready = 0;
    for (nfds_t i = 0; i < num_fds; i++) {
        if (rows[i].sock != NULL)
            fds[i].revents = revents_of(rows[i].sock, fds[i].events);
        num_ready += fds[i].revents != 0;
    }
    return num_ready;
}

static void forget_all(nfds_t num_fds, struct polled *rows)
{
    for (nfds_t i = 0; i < num_fds; i++) {
        if (rows[i].is_watched)
            pel_sock_unwatch(rows[i].sock, &rows[i].watch);
        if (rows[i].sock != NULL)
            pel_sock_unref(rows[i].sock);
    }
}

static int wait_ready(struct pollfd *fds, nfds_t num_fds, struct polled *rows, const struct pel_clock *clock,
                      uint64_t deadline_us)
{
    struct pel_waiter waiter;
    pel_waiter_init(&waiter);
    watch_all(fds, num_fds, rows, &waiter);
    int num_ready = look_again(fds, num_fds, rows);
    while (num_ready == 0 && pel_waiter_sleep(&waiter, clock, deadline_us))
        num_ready = look_again(fds, num_fds, rows);
    forget_all(num_fds, rows);
    pel_waiter_fini(&waiter);
    return num_ready;
}

static int poll_rows(struct pollfd *fds, nfds_t num_fds, int timeout_ms, struct polled *rows)
{
    struct pel_homes *homes = pel_sockets_homes();
    struct pel_clock clock = homes != NULL ? homes->clock : pel_clock_real();
    uint64_t deadline_us =
        timeout_ms < 0 ? PEL_FOREVER : pel_clock_now_us(&clock) + (uint64_t)timeout_ms * 1000;
    int num_ready = look_up(fds, num_fds, rows);
    if (num_ready > 0 || timeout_ms == 0)
        forget_all(num_fds, rows);
    else
        num_ready = wait_ready(fds, num_fds, rows, &clock, deadline_us);
    if (homes != NULL)
        pel_homes_unref(homes);
    return num_ready;
}

int pel_poll(struct pollfd *fds, nfds_t num_fds, int timeout_ms)
{
    struct polled on_stack[NUM_ON_STACK];
    if (fds == NULL && num_fds > 0)
        return (int)pel_result(-EFAULT);
    if (num_fds > INT32_MAX)
        return (int)pel_result(-EINVAL);
    struct polled *rows = num_fds <= NUM_ON_STACK ? on_stack : calloc(num_fds, sizeof *rows);
    if (rows == NULL)
        return (int)pel_result(-ENOMEM);
    int num_ready = poll_rows(fds, num_fds, timeout_ms, rows);
    if (rows != on_stack)
        free(rows);
    return num_ready;
}
