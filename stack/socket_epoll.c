/* SPDX-License-Identifier: Apache-2.0 */
#include "stack/socket_epoll.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "stack/socket_table.h"
#include <pellucid/socket.h>

#define CTL_FLAGS                                                                                            \
    ((uint32_t)EPOLLET | (uint32_t)EPOLLONESHOT | (uint32_t)EPOLLWAKEUP | (uint32_t)EPOLLEXCLUSIVE)

/* How many items pel_epoll_wait looks at before it lets an engine that waits for the list pass. */
#define NUM_AT_ONCE 16

struct pel_epoll {
    struct pel_sock sock;
    pthread_mutex_t ctl_lock; /* membership */
    struct item **items;      /* by descriptor minus PEL_FD_BASE; under ctl_lock */
    uint32_t items_cap;
    pthread_mutex_t ready_lock;
    struct pel_list ready; /* of struct item.ready_link, under ready_lock */
};

struct item {
    struct pel_watch watch; /* its owner is the set */
    struct pel_list ready_link;
    struct pel_sock *sock; /* borrowed: a socket leaves its sets before it goes */
    struct pel_epoll *set; /* likewise: a set empties itself before it goes */
    uint32_t index;
    uint32_t events; /* asked for, with flags; 0 after a one-shot report. Under ready_lock, like `data` */
    epoll_data_t data;
};

static struct pel_epoll *epoll_of(struct pel_sock *sock)
{
    return PEL_PART_OF(sock, struct pel_epoll, sock);
}

/* What the item has to report. Under ready_lock. */
static uint32_t item_ready(const struct item *item)
{
    if (item->events == 0)
        return 0;
    return item->sock->ops->events(item->sock) & (item->events | PEL_EVENTS_ALWAYS) & PEL_EVENTS_ALL;
}

/* The socket has changed. Under the socket's lock. */
static void wake_item(struct pel_watch *watch, uint32_t events)
{
    struct item *item = PEL_PART_OF(watch, struct item, watch);
    struct pel_epoll *set = item->set;
    pthread_mutex_lock(&set->ready_lock);
    bool is_new = pel_list_is_empty(&item->ready_link) && (events & (item->events | PEL_EVENTS_ALWAYS)) &&
                  item->events != 0;
    if (is_new)
        pel_list_append(&set->ready, &item->ready_link);
    pthread_mutex_unlock(&set->ready_lock);
    if (is_new)
        pel_sock_wake(&set->sock, EPOLLIN);
}

/* Sets what is asked for and enters the item if that is ready. */
static void arm(struct item *item, const struct epoll_event *event)
{
    struct pel_epoll *set = item->set;
    pthread_mutex_lock(&set->ready_lock);
    item->events = event->events | PEL_EVENTS_ALWAYS;
    item->data = event->data;
    bool is_new = item_ready(item) != 0 && pel_list_is_empty(&item->ready_link);
    if (is_new)
        pel_list_append(&set->ready, &item->ready_link);
    pthread_mutex_unlock(&set->ready_lock);
    if (is_new)
        pel_sock_wake(&set->sock, EPOLLIN);
}

/* Takes an item out of the set and frees it. Under ctl_lock. */
static void remove_item(struct pel_epoll *set, struct item *item)
{
    set->items[item->index] = NULL;
    pel_sock_unwatch(item->sock, &item->watch);
    pthread_mutex_lock(&set->ready_lock);
    pel_list_remove(&item->ready_link);
    pthread_mutex_unlock(&set->ready_lock);
    free(item);
}

/* Whether something is ready, for who polls or waits on the set; items with nothing leave the list. */
static uint32_t epoll_events(struct pel_sock *sock)
{
    struct pel_epoll *set = epoll_of(sock);
    bool is_ready = false;
    pthread_mutex_lock(&set->ready_lock);
    while (!is_ready && !pel_list_is_empty(&set->ready)) {
        struct item *item = PEL_PART_OF(set->ready.next, struct item, ready_link);
        is_ready = item_ready(item) != 0;
        if (!is_ready)
            pel_list_remove(&item->ready_link);
    }
    pthread_mutex_unlock(&set->ready_lock);
    return is_ready ? (uint32_t)(EPOLLIN | EPOLLRDNORM) : 0;
}

static void epoll_close(struct pel_sock *sock)
{
    struct pel_epoll *set = epoll_of(sock);
    pthread_mutex_lock(&set->ctl_lock);
    for (uint32_t i = 0; i < set->items_cap; i++) {
        if (set->items[i] != NULL)
            remove_item(set, set->items[i]);
    }
    pthread_mutex_unlock(&set->ctl_lock);
}

static void epoll_free(struct pel_sock *sock)
{
    struct pel_epoll *set = epoll_of(sock);
    pthread_mutex_destroy(&set->ctl_lock);
    pthread_mutex_destroy(&set->ready_lock);
    free(set->items);
    pel_sock_fini(sock);
    free(set);
}

static const struct pel_sock_ops epoll_ops = {
    .events = epoll_events,
    .close = epoll_close,
    .free = epoll_free,
};

struct pel_sock *pel_epoll_new(struct pel_homes *homes)
{
    struct pel_epoll *set = calloc(1, sizeof *set);
    if (set == NULL)
        return NULL;
    pel_sock_init(&set->sock, &epoll_ops, PEL_SOCK_EPOLL, AF_UNSPEC, homes);
    pthread_mutex_init(&set->ctl_lock, NULL);
    pthread_mutex_init(&set->ready_lock, NULL);
    pel_list_init(&set->ready);
    return &set->sock;
}

/* A set that the closed socket is in, with a reference, and the item's place there; or NULL. */
static struct pel_epoll *set_of(struct pel_sock *sock, uint32_t *ret_index)
{
    struct pel_epoll *set = NULL;
    pthread_mutex_lock(&sock->lock);
    for (struct pel_list *link = sock->watches.next; link != &sock->watches && set == NULL;
         link = link->next) {
        struct pel_watch *watch = PEL_PART_OF(link, struct pel_watch, link);
        if (watch->wake != wake_item)
            continue;
        set = watch->owner;
        *ret_index = PEL_PART_OF(watch, struct item, watch)->index;
        pel_sock_ref(&set->sock);
    }
    pthread_mutex_unlock(&sock->lock);
    return set;
}

void pel_epoll_forget(struct pel_sock *sock)
{
    struct pel_epoll *set;
    uint32_t index = 0;
    /* The set's lock comes before the socket's: so found first, then locked, then looked at again. */
    while ((set = set_of(sock, &index)) != NULL) {
        pthread_mutex_lock(&set->ctl_lock);
        struct item *item = set->items[index];
        if (item != NULL && item->sock == sock)
            remove_item(set, item);
        pthread_mutex_unlock(&set->ctl_lock);
        pel_sock_unref(&set->sock);
    }
}

/* Makes place for `index`. Under ctl_lock. */
static bool make_place(struct pel_epoll *set, uint32_t index)
{
    if (index < set->items_cap)
        return true;
    uint32_t cap = set->items_cap == 0 ? 64 : set->items_cap;
    while (cap <= index)
        cap *= 2;
    struct item **items = realloc(set->items, cap * sizeof items[0]);
    if (items == NULL)
        return false;
    memset(items + set->items_cap, 0, (cap - set->items_cap) * sizeof items[0]);
    set->items = items;
    set->items_cap = cap;
    return true;
}

static int add_item(struct pel_epoll *set, struct pel_sock *sock, uint32_t index,
                    const struct epoll_event *event)
{
    struct item *item = make_place(set, index) ? calloc(1, sizeof *item) : NULL;
    if (item == NULL)
        return ENOMEM;
    *item = (struct item){.sock = sock, .set = set, .index = index};
    item->watch = (struct pel_watch){.events = PEL_EVENTS_ALL, .wake = wake_item, .owner = set};
    pel_list_init(&item->ready_link);
    if (!pel_sock_watch(sock, &item->watch)) {
        free(item);
        return EBADF; /* closed in between */
    }
    set->items[index] = item;
    if (sock->ops->touch != NULL)
        sock->ops->touch(sock);
    arm(item, event);
    return 0;
}

/* Under ctl_lock. */
static int change_set(struct pel_epoll *set, int operation, struct pel_sock *sock, uint32_t index,
                      const struct epoll_event *event)
{
    struct item *item = index < set->items_cap ? set->items[index] : NULL;
    if (item != NULL && item->sock != sock)
        return EBADF; /* ours was closed in between, and its number given to another */
    if (operation == EPOLL_CTL_ADD)
        return item != NULL ? EEXIST : add_item(set, sock, index, event);
    if (item == NULL)
        return ENOENT;
    if (operation == EPOLL_CTL_DEL)
        remove_item(set, item);
    else
        arm(item, event);
    return 0;
}

static int check_ctl(struct pel_sock *set, int operation, struct pel_sock *sock,
                     const struct epoll_event *event)
{
    if (set == NULL || sock == NULL)
        return EBADF;
    if (set->kind != PEL_SOCK_EPOLL || sock->kind == PEL_SOCK_EPOLL)
        return EINVAL;
    if (operation != EPOLL_CTL_ADD && operation != EPOLL_CTL_MOD && operation != EPOLL_CTL_DEL)
        return EINVAL;
    if (operation == EPOLL_CTL_DEL)
        return 0;
    if (event == NULL)
        return EFAULT;
    return event->events & ~(PEL_EVENTS_ALL | CTL_FLAGS) ? EINVAL : 0;
}

int pel_epoll_ctl(int epoll_fd, int operation, int fd, struct epoll_event *event)
{
    struct pel_sock *set = pel_fd_get(epoll_fd), *sock = pel_fd_get(fd);
    int error = check_ctl(set, operation, sock, event);
    if (error == 0) {
        struct pel_epoll *epoll = epoll_of(set);
        pthread_mutex_lock(&epoll->ctl_lock);
        error = __atomic_load_n(&set->is_closed, __ATOMIC_ACQUIRE)
                    ? EBADF
                    : change_set(epoll, operation, sock, (uint32_t)(fd - PEL_FD_BASE), event);
        pthread_mutex_unlock(&epoll->ctl_lock);
    }
    if (set != NULL)
        pel_sock_unref(set);
    if (sock != NULL)
        pel_sock_unref(sock);
    return (int)pel_result(-error);
}

/* Reports one item, if it has something; true when it did. Under ready_lock. */
static bool report(struct item *item, struct pel_list *again, struct epoll_event *ret_event)
{
    uint32_t events = item_ready(item);
    pel_list_remove(&item->ready_link);
    if (events == 0)
        return false;
    ret_event->events = events;
    ret_event->data = item->data;
    if (item->events & (uint32_t)EPOLLONESHOT)
        item->events = 0;
    else if (!(item->events & (uint32_t)EPOLLET))
        pel_list_append(again, &item->ready_link); /* level: stays, behind those that wait */
    return true;
}

/* Takes up to `max_events` from the ready list. The lock is given up now and then, for engines wait for it.
 */
static int harvest(struct pel_epoll *set, struct epoll_event *ret_events, int max_events)
{
    struct pel_list again;
    int num_events = 0;
    pel_list_init(&again);
    pthread_mutex_lock(&set->ready_lock);
    for (int num_seen = 1; num_events < max_events && !pel_list_is_empty(&set->ready); num_seen++) {
        struct item *item = PEL_PART_OF(set->ready.next, struct item, ready_link);
        num_events += report(item, &again, &ret_events[num_events]);
        if (num_seen % NUM_AT_ONCE == 0) {
            pthread_mutex_unlock(&set->ready_lock);
            pthread_mutex_lock(&set->ready_lock);
        }
    }
    bool is_rest = !pel_list_is_empty(&again);
    pel_list_move_all(&set->ready, &again);
    pthread_mutex_unlock(&set->ready_lock);
    if (is_rest)
        pel_sock_wake(&set->sock, EPOLLIN); /* others may have found the list empty meanwhile */
    return num_events;
}

static int epoll_wait_on(struct pel_sock *sock, struct epoll_event *ret_events, int max_events,
                         int timeout_ms)
{
    uint64_t deadline_us =
        timeout_ms < 0 ? PEL_FOREVER : pel_clock_now_us(&sock->homes->clock) + (uint64_t)timeout_ms * 1000;
    for (;;) {
        int num_events = harvest(epoll_of(sock), ret_events, max_events);
        if (num_events > 0 || timeout_ms == 0)
            return num_events;
        int error = pel_sock_wait(sock, EPOLLIN, deadline_us, NULL, NULL);
        if (error == EAGAIN)
            return 0;
        if (error != 0)
            return -error;
    }
}

int pel_epoll_wait(int epoll_fd, struct epoll_event *ret_events, int max_events, int timeout_ms)
{
    struct pel_sock *sock = pel_fd_get(epoll_fd);
    if (sock == NULL)
        return (int)pel_result(-EBADF);
    int result = -EINVAL;
    if (sock->kind == PEL_SOCK_EPOLL && max_events > 0)
        result = ret_events == NULL ? -EFAULT : epoll_wait_on(sock, ret_events, max_events, timeout_ms);
    pel_sock_unref(sock);
    return (int)pel_result(result);
}
