/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "stack/socket_address.h"
#include "stack/socket_errno.h"
#include "stack/socket_udp.h"

#define IN_EVENTS  ((uint32_t)(EPOLLIN | EPOLLRDNORM))
#define OUT_EVENTS ((uint32_t)(EPOLLOUT | EPOLLWRNORM))

/* A datagram on its way out. */
struct outgoing {
    struct pel_task task;
    struct pel_dgram *udp; /* with a reference */
    struct sockaddr_storage to;
    uint32_t charged_len; /* what it counts in sending_len */
    size_t len;
    uint8_t bytes[];
};

/* Takes the datagram, if it is for us and there is place. */
static bool enqueue(struct pel_dgram *udp, struct pel_datagram *datagram)
{
    bool is_taken = false, is_ours = true;
    struct pel_endpoint from;
    pthread_mutex_lock(&udp->sock.lock);
    if (udp->has_peer)
        is_ours = pel_endpoint_from_sockaddr((struct sockaddr *)&datagram->from, sizeof datagram->from,
                                             &from) == PEL_OK &&
                  from.port == udp->peer.port && pel_ip_equal(&from.ip, &udp->peer.ip);
    if (is_ours && udp->num_queued < PEL_DGRAM_MAX_QUEUED &&
        udp->queued_len + datagram->len <= udp->sock.homes->buffer_len) {
        pel_list_append(&udp->queue, &datagram->link);
        udp->queued_len += datagram->len;
        __atomic_fetch_add(&udp->num_queued, 1, __ATOMIC_RELEASE);
        is_taken = true;
    }
    pthread_mutex_unlock(&udp->sock.lock);
    return is_taken;
}

static void on_datagram(void *arg, const struct sockaddr *from, socklen_t from_len, const uint8_t *bytes,
                        size_t len)
{
    struct pel_dgram_port *port = arg;
    struct pel_dgram *udp = port->udp;
    struct pel_endpoint endpoint;
    struct pel_datagram *datagram = malloc(sizeof *datagram + len);
    if (datagram == NULL || pel_endpoint_from_sockaddr(from, from_len, &endpoint) != PEL_OK) {
        free(datagram);
        __atomic_fetch_add(&udp->num_dropped, 1, __ATOMIC_RELAXED);
        return;
    }
    pel_list_init(&datagram->link);
    memset(&datagram->from, 0, sizeof datagram->from);
    pel_endpoint_to_sockaddr(&endpoint, udp->sock.family, &datagram->from);
    datagram->len = len;
    if (len > 0)
        memcpy(datagram->bytes, bytes, len);
    if (enqueue(udp, datagram)) {
        pel_sock_wake(&udp->sock, IN_EVENTS);
        return;
    }
    __atomic_fetch_add(&udp->num_dropped, 1, __ATOMIC_RELAXED);
    free(datagram);
}

static void stop_port(struct pel_attached *attached)
{
    struct pel_dgram_port *port = PEL_PART_OF(attached, struct pel_dgram_port, attached);
    __atomic_store_n(&port->udp->is_stopped, 1, __ATOMIC_RELEASE);
    pel_sock_wake(&port->udp->sock, PEL_EVENTS_ALL);
    pel_dgram_port_close(NULL, port);
}

void pel_dgram_port_open(struct pel_engine *engine, void *arg)
{
    struct pel_dgram_open_args *args = arg;
    struct pel_dgram_port *port = args->port;
    args->err = pel_engine_udp_open(engine, (const struct sockaddr *)args->address,
                                    pel_address_len(args->address), on_datagram, port, &port->engine_socket);
    if (args->err != PEL_OK)
        return;
    port->attached.stop = stop_port;
    pel_sock_ref(&port->udp->sock);
    pel_list_append(&port->home->attached, &port->attached.link);
    pel_udp_socket_address(port->engine_socket, args->address);
}

void pel_dgram_port_close(struct pel_engine *engine, void *arg)
{
    struct pel_dgram_port *port = arg;
    (void)engine;
    if (port->engine_socket == NULL)
        return;
    pel_udp_socket_close(port->engine_socket);
    port->engine_socket = NULL;
    pel_list_remove(&port->attached.link);
    pel_sock_unref(&port->udp->sock); /* may free the port */
}

static uint32_t send_limit(const struct pel_dgram *udp)
{
    return udp->sock.homes->buffer_len;
}

bool pel_dgram_has_room(struct pel_dgram *udp)
{
    if (__atomic_load_n(&udp->sending_len, __ATOMIC_ACQUIRE) < send_limit(udp))
        return true;
    __atomic_exchange_n(&udp->wants_room, 1, __ATOMIC_SEQ_CST);
    return __atomic_fetch_add(&udp->sending_len, 0, __ATOMIC_SEQ_CST) < send_limit(udp);
}

static void send_out(struct pel_engine *engine, struct pel_task *task)
{
    struct outgoing *out = PEL_PART_OF(task, struct outgoing, task);
    struct pel_dgram *udp = out->udp;
    struct pel_dgram_port *port = &udp->ports[udp->send_port];
    (void)engine;
    enum pel_err err = port->engine_socket == NULL
                           ? PEL_OK /* closed or stopped in between */
                           : pel_udp_socket_send(port->engine_socket, (struct sockaddr *)&out->to,
                                                 pel_address_len(&out->to), out->bytes, out->len);
    if (err != PEL_OK) {
        __atomic_store_n(&udp->pending_errno, (uint32_t)pel_errno_of_call(err), __ATOMIC_RELEASE);
        pel_sock_wake(&udp->sock, (uint32_t)EPOLLERR);
    }
    __atomic_fetch_sub(&udp->sending_len, out->charged_len, __ATOMIC_SEQ_CST);
    if (__atomic_exchange_n(&udp->wants_room, 0, __ATOMIC_SEQ_CST))
        pel_sock_wake(&udp->sock, OUT_EVENTS);
    struct pel_home *home = port->home;
    free(out);
    pel_home_done(home);
    pel_sock_unref(&udp->sock);
}

static void gather(uint8_t *bytes, const struct iovec *iov, int num_iov)
{
    for (int i = 0; i < num_iov; i++) {
        if (iov[i].iov_len == 0)
            continue;
        memcpy(bytes, iov[i].iov_base, iov[i].iov_len);
        bytes += iov[i].iov_len;
    }
}

int pel_dgram_post_out(struct pel_dgram *udp, const struct sockaddr_storage *to, const struct iovec *iov,
                       int num_iov, size_t iov_len)
{
    struct outgoing *out = malloc(sizeof *out + iov_len);
    if (out == NULL)
        return ENOMEM;
    *out = (struct outgoing){.task = {.run = send_out}, .udp = udp, .to = *to, .len = iov_len};
    out->charged_len = (uint32_t)(sizeof *out + iov_len);
    gather(out->bytes, iov, num_iov);
    pel_sock_ref(&udp->sock);
    __atomic_fetch_add(&udp->sending_len, out->charged_len, __ATOMIC_SEQ_CST);
    if (pel_home_post(udp->ports[udp->send_port].home, &out->task))
        return 0;
    __atomic_fetch_sub(&udp->sending_len, out->charged_len, __ATOMIC_SEQ_CST);
    pel_sock_unref(&udp->sock);
    free(out);
    return ENETDOWN;
}
