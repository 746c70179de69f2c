/* SPDX-License-Identifier: Apache-2.0 */
#include "stack/socket_udp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "stack/socket_address.h"
#include "stack/socket_errno.h"

#define IN_EVENTS  ((uint32_t)(EPOLLIN | EPOLLRDNORM))
#define OUT_EVENTS ((uint32_t)(EPOLLOUT | EPOLLWRNORM))

struct pel_dgram *pel_dgram_of(struct pel_sock *sock)
{
    return PEL_PART_OF(sock, struct pel_dgram, sock);
}

static bool is_set(const uint32_t *flag)
{
    return __atomic_load_n(flag, __ATOMIC_ACQUIRE) != 0;
}

static uint32_t udp_events(struct pel_sock *sock)
{
    struct pel_dgram *udp = pel_dgram_of(sock);
    uint32_t events = 0;
    if (is_set(&udp->num_queued))
        events |= IN_EVENTS;
    if (pel_dgram_has_room(udp))
        events |= OUT_EVENTS;
    if (is_set(&udp->pending_errno) || is_set(&udp->is_stopped))
        events |= (uint32_t)EPOLLERR;
    if (is_set(&udp->is_rd_shut))
        events |= IN_EVENTS | (uint32_t)EPOLLRDHUP;
    if (is_set(&udp->is_rd_shut) && is_set(&udp->is_wr_shut))
        events |= (uint32_t)EPOLLHUP;
    return events;
}

static void close_ports(struct pel_dgram *udp)
{
    for (size_t i = 0; i < udp->num_ports; i++)
        pel_home_call(udp->ports[i].home, pel_dgram_port_close,
                      &udp->ports[i]); /* after the stop: pel_homes_stop does it */
}

static void udp_close(struct pel_sock *sock)
{
    struct pel_dgram *udp = pel_dgram_of(sock);
    pthread_mutex_lock(&udp->setup_lock);
    close_ports(udp);
    pthread_mutex_unlock(&udp->setup_lock);
}

static struct pel_datagram *pop_locked(struct pel_dgram *udp)
{
    struct pel_datagram *first = PEL_PART_OF(udp->queue.next, struct pel_datagram, link);
    pel_list_remove(&first->link);
    udp->queued_len -= first->len;
    __atomic_fetch_sub(&udp->num_queued, 1, __ATOMIC_RELEASE);
    return first;
}

static void udp_free(struct pel_sock *sock)
{
    struct pel_dgram *udp = pel_dgram_of(sock);
    while (!pel_list_is_empty(&udp->queue))
        free(pop_locked(udp));
    pthread_mutex_destroy(&udp->setup_lock);
    pel_sock_fini(sock);
    free(udp);
}

static const struct pel_sock_ops udp_ops = {
    .events = udp_events,
    .close = udp_close,
    .free = udp_free,
};

struct pel_dgram *pel_dgram_new(int family, struct pel_homes *homes)
{
    struct pel_dgram *udp = calloc(1, sizeof *udp + homes->num * sizeof udp->ports[0]);
    if (udp == NULL)
        return NULL;
    pel_sock_init(&udp->sock, &udp_ops, PEL_SOCK_UDP, family, homes);
    pthread_mutex_init(&udp->setup_lock, NULL);
    pel_list_init(&udp->queue);
    udp->num_ports = homes->num;
    udp->send_port = (size_t)(pel_homes_pick(homes) - homes->home);
    for (size_t i = 0; i < homes->num; i++) {
        udp->ports[i].home = &homes->home[i];
        udp->ports[i].udp = udp;
        pel_list_init(&udp->ports[i].attached.link);
    }
    return udp;
}

/* Binds on every engine, or on none. The first one chooses the port, when it is open. Under setup_lock. */
static int bind_locked(struct pel_dgram *udp, struct sockaddr_storage *address)
{
    if (is_set(&udp->is_bound))
        return EINVAL;
    if (is_set(&udp->sock.is_closed))
        return EBADF;
    for (size_t i = 0; i < udp->num_ports; i++) {
        struct pel_dgram_open_args args = {.port = &udp->ports[i], .address = address};
        int error = pel_home_call(udp->ports[i].home, pel_dgram_port_open, &args)
                        ? pel_errno_of_call(args.err)
                        : ENETDOWN;
        if (error != 0) {
            close_ports(udp);
            return error;
        }
    }
    pthread_mutex_lock(&udp->sock.lock);
    udp->sock.local = *address;
    pthread_mutex_unlock(&udp->sock.lock);
    __atomic_store_n(&udp->is_bound, 1, __ATOMIC_RELEASE);
    return 0;
}

int pel_dgram_bind(struct pel_dgram *udp, const struct sockaddr *address, socklen_t address_len)
{
    struct sockaddr_storage local;
    int error = pel_address_take(udp->sock.family, address, address_len, &local);
    if (error != 0)
        return error;
    pthread_mutex_lock(&udp->setup_lock);
    error = bind_locked(udp, &local);
    pthread_mutex_unlock(&udp->setup_lock);
    return error;
}

/* A socket that sends before it was bound gets a port. */
static int bind_if_unbound(struct pel_dgram *udp)
{
    struct sockaddr_storage any;
    if (is_set(&udp->is_bound))
        return 0;
    pel_address_any(udp->sock.family, &any);
    pthread_mutex_lock(&udp->setup_lock);
    int error = is_set(&udp->is_bound) ? 0 : bind_locked(udp, &any);
    pthread_mutex_unlock(&udp->setup_lock);
    return error;
}

static void set_peer(struct pel_dgram *udp, const struct sockaddr_storage *remote,
                     const struct pel_endpoint *peer)
{
    pthread_mutex_lock(&udp->sock.lock);
    udp->sock.remote = *remote;
    udp->has_peer = peer != NULL;
    if (peer != NULL)
        udp->peer = *peer;
    pthread_mutex_unlock(&udp->sock.lock);
}

int pel_dgram_connect(struct pel_dgram *udp, const struct sockaddr *address, socklen_t address_len)
{
    struct sockaddr_storage remote = {.ss_family = AF_UNSPEC};
    struct pel_endpoint peer;
    if (address != NULL && address_len >= sizeof(sa_family_t) && address->sa_family == AF_UNSPEC) {
        set_peer(udp, &remote, NULL);
        return 0;
    }
    int error = pel_address_take(udp->sock.family, address, address_len, &remote);
    if (error != 0)
        return error;
    if (pel_endpoint_from_sockaddr((struct sockaddr *)&remote, pel_address_len(&remote), &peer) != PEL_OK)
        return EINVAL;
    error = bind_if_unbound(udp);
    if (error == 0)
        set_peer(udp, &remote, &peer);
    return error;
}

int pel_dgram_shutdown(struct pel_dgram *udp, int how)
{
    struct sockaddr_storage remote;
    if (how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR)
        return EINVAL;
    if (!pel_address_copy(&udp->sock, &udp->sock.remote, &remote))
        return ENOTCONN;
    if (how != SHUT_WR)
        __atomic_store_n(&udp->is_rd_shut, 1, __ATOMIC_RELEASE);
    if (how != SHUT_RD)
        __atomic_store_n(&udp->is_wr_shut, 1, __ATOMIC_RELEASE);
    pel_sock_wake(&udp->sock, PEL_EVENTS_ALL);
    return 0;
}

static bool is_nonblocking(const struct pel_dgram *udp, int flags)
{
    return (flags & MSG_DONTWAIT) || is_set(&udp->sock.is_nonblock);
}

static int take_pending(struct pel_dgram *udp)
{
    if (is_set(&udp->is_stopped))
        return ECONNRESET;
    return is_set(&udp->pending_errno) ? (int)__atomic_exchange_n(&udp->pending_errno, 0, __ATOMIC_ACQ_REL)
                                       : 0;
}

/* Where a datagram goes; 0 or an errno. */
static int find_target(struct pel_dgram *udp, const struct sockaddr *address, socklen_t address_len,
                       struct sockaddr_storage *ret)
{
    if (address != NULL)
        return pel_address_take(udp->sock.family, address, address_len, ret);
    return pel_address_copy(&udp->sock, &udp->sock.remote, ret) ? 0 : EDESTADDRREQ;
}

static int wait_for_room(struct pel_dgram *udp, int flags)
{
    uint64_t deadline_us = 0;
    while (!pel_dgram_has_room(udp)) {
        if (is_nonblocking(udp, flags))
            return EAGAIN;
        if (deadline_us == 0)
            deadline_us = pel_sock_send_deadline(&udp->sock);
        int error = pel_sock_wait(&udp->sock, OUT_EVENTS, deadline_us, NULL, NULL);
        if (error == 0)
            error = take_pending(udp);
        if (error != 0)
            return error;
    }
    return 0;
}

ssize_t pel_dgram_send(struct pel_dgram *udp, const struct iovec *iov, int num_iov, size_t iov_len, int flags,
                       const struct sockaddr *address, socklen_t address_len)
{
    struct sockaddr_storage to;
    int error = find_target(udp, address, address_len, &to);
    if (error == 0 && iov_len > PEL_DGRAM_MAX_LEN)
        error = EMSGSIZE;
    if (error == 0)
        error = is_set(&udp->is_wr_shut) ? EPIPE : take_pending(udp);
    if (error == 0)
        error = bind_if_unbound(udp);
    if (error == 0)
        error = wait_for_room(udp, flags);
    if (error == 0)
        error = pel_dgram_post_out(udp, &to, iov, num_iov, iov_len);
    return error == 0 ? (ssize_t)iov_len : -error;
}

static void scatter(const struct pel_datagram *datagram, const struct iovec *iov, int num_iov)
{
    size_t done_len = 0;
    for (int i = 0; i < num_iov && done_len < datagram->len; i++) {
        size_t left_len = datagram->len - done_len;
        size_t now_len = iov[i].iov_len < left_len ? iov[i].iov_len : left_len;
        memcpy(iov[i].iov_base, datagram->bytes + done_len, now_len);
        done_len += now_len;
    }
}

/* The first datagram's bytes and sender, if there is one. False: none. */
static bool take_datagram(struct pel_dgram *udp, const struct iovec *iov, int num_iov, bool is_peek,
                          struct sockaddr_storage *ret_from, size_t *ret_len)
{
    struct pel_datagram *datagram = NULL;
    pthread_mutex_lock(&udp->sock.lock);
    if (!pel_list_is_empty(&udp->queue)) {
        datagram = PEL_PART_OF(udp->queue.next, struct pel_datagram, link);
        if (is_peek)
            scatter(datagram, iov, num_iov);
        else
            pop_locked(udp);
        *ret_from = datagram->from;
        *ret_len = datagram->len;
    }
    pthread_mutex_unlock(&udp->sock.lock);
    if (datagram == NULL || is_peek)
        return datagram != NULL;
    scatter(datagram, iov, num_iov);
    free(datagram);
    return true;
}

ssize_t pel_dgram_recv(struct pel_dgram *udp, const struct iovec *iov, int num_iov, int flags,
                       struct sockaddr *ret_address, socklen_t *address_len)
{
    struct sockaddr_storage from;
    uint64_t deadline_us = 0;
    size_t len = 0;
    for (;;) {
        int error = take_pending(udp);
        if (error != 0)
            return -error;
        if (take_datagram(udp, iov, num_iov, flags & MSG_PEEK, &from, &len))
            break;
        if (is_set(&udp->is_rd_shut))
            return 0;
        if (is_nonblocking(udp, flags))
            return -EAGAIN;
        if (deadline_us == 0)
            deadline_us = pel_sock_recv_deadline(&udp->sock);
        error = pel_sock_wait(&udp->sock, IN_EVENTS, deadline_us, NULL, NULL);
        if (error != 0)
            return -error;
    }
    pel_address_give(&from, ret_address, address_len);
    size_t room_len = (size_t)pel_iov_len(iov, num_iov);
    return (ssize_t)(len < room_len || (flags & MSG_TRUNC) ? len : room_len);
}

size_t pel_dgram_next_len(struct pel_dgram *udp)
{
    size_t len = 0;
    pthread_mutex_lock(&udp->sock.lock);
    if (!pel_list_is_empty(&udp->queue))
        len = PEL_PART_OF(udp->queue.next, struct pel_datagram, link)->len;
    pthread_mutex_unlock(&udp->sock.lock);
    return len;
}
