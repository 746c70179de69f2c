/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program's UDP socket: bound on every engine; what any of them receives goes into the receive ring, one
 * record a datagram, and what finds no room is dropped and counted. The home sends what stands in the send
 * ring. What it hears against a datagram (no route) is the socket's pending error.
 */
#include <stdlib.h>
#include <string.h>

#include "stack/engine.h"
#include "stack/serve/parts.h"
#include "stack/socket_errno.h"

struct dgram_port {
    struct pel_served *served;
    struct pel_udp_socket *socket; /* E of its engine */
};

struct pel_served_dgram {
    pthread_spinlock_t rx_lock; /* engines that write into the ring */
    struct pel_endpoint peer;   /* under rx_lock */
    bool has_peer;
    struct dgram_port ports[];
};

/* ---- to the program ---- */

static bool is_ours(const struct pel_served_dgram *dgram, const struct pel_endpoint *from)
{
    return !dgram->has_peer || (from->port == dgram->peer.port && pel_ip_equal(&from->ip, &dgram->peer.ip));
}

static bool put(struct pel_served *served, const struct pel_endpoint *from, const uint8_t *bytes, size_t len)
{
    struct sockaddr_storage storage = {0};
    struct pel_datagram_header header = {.payload_len = (uint32_t)len};
    uint32_t used_len, record_len = pel_datagram_record_len((uint32_t)len);
    uint32_t tail = __atomic_load_n(&served->slot->rx_tail, __ATOMIC_ACQUIRE);
    if (!pel_ring_used(&served->rx, served->rx_head, tail, &used_len)) {
        pel_count_err(&served->home->engine->counters, PEL_E_RING_CORRUPT);
        return false;
    }
    if (record_len > served->rx.len - used_len)
        return false;
    pel_endpoint_to_sockaddr(from, served->family, &storage);
    memcpy(&header.address, &storage, sizeof header.address);
    pel_ring_copy_in(&served->rx, served->rx_head, &header, sizeof header);
    if (len > 0)
        pel_ring_copy_in(&served->rx, served->rx_head + (uint32_t)sizeof header, bytes, (uint32_t)len);
    served->rx_head += record_len;
    __atomic_store_n(&served->slot->rx_head, served->rx_head, __ATOMIC_RELEASE);
    return true;
}

static void on_datagram(void *arg, const struct sockaddr *from, socklen_t from_len, const uint8_t *bytes,
                        size_t len)
{
    struct dgram_port *port = arg;
    struct pel_served *served = port->served;
    struct pel_endpoint endpoint;
    if (pel_endpoint_from_sockaddr(from, from_len, &endpoint) != PEL_OK)
        return;
    if (served->family == AF_INET6 && served->name.is_v6only && endpoint.ip.version == 4)
        return;
    pthread_spin_lock(&served->dgram->rx_lock);
    bool is_for_us = is_ours(served->dgram, &endpoint);
    bool is_put = is_for_us && put(served, &endpoint, bytes, len);
    pthread_spin_unlock(&served->dgram->rx_lock);
    if (is_put)
        pel_served_wake(served);
    else if (is_for_us)
        __atomic_fetch_add(&served->slot->num_dropped, 1, __ATOMIC_RELAXED);
}

/* ---- from the program ---- */

static enum pel_err send_record(struct pel_served *served, const struct pel_datagram_header *header)
{
    struct pel_serve_engine *here = served->home;
    struct dgram_port *port = &served->dgram->ports[here->index];
    struct sockaddr_storage to = {0};
    memcpy(&to, &header->address, sizeof header->address);
    if (header->address.family == AF_UNSPEC) {
        pthread_spin_lock(&served->dgram->rx_lock);
        struct pel_endpoint peer = served->dgram->peer;
        bool has_peer = served->dgram->has_peer;
        pthread_spin_unlock(&served->dgram->rx_lock);
        if (!has_peer)
            return PEL_E_ARG;
        pel_endpoint_to_sockaddr(&peer, served->family, &to);
    }
    pel_ring_copy_out(&served->tx, served->tx_tail + (uint32_t)sizeof *header, here->scratch,
                      header->payload_len);
    return pel_udp_socket_send(port->socket, (struct sockaddr *)&to, sizeof to, here->scratch,
                               header->payload_len);
}

static void take_error(struct pel_served *served, enum pel_err err)
{
    if (err == PEL_OK)
        return;
    __atomic_store_n(&served->slot->pending_errno, (uint32_t)pel_errno_of_call(err), __ATOMIC_RELEASE);
    pel_served_wake(served);
}

void pel_served_dgram_kick(struct pel_served *served)
{
    struct pel_datagram_header header;
    uint32_t used_len = 0, head = __atomic_load_n(&served->slot->tx_head, __ATOMIC_ACQUIRE);
    __atomic_exchange_n(&served->slot->asked, 0, __ATOMIC_ACQ_REL);
    if (served->dgram == NULL || served->dgram->ports[served->home->index].socket == NULL)
        return;
    bool is_sound = pel_ring_used(&served->tx, head, served->tx_tail, &used_len);
    while (is_sound && used_len > 0) {
        is_sound = used_len >= sizeof header;
        if (!is_sound)
            break;
        pel_ring_copy_out(&served->tx, served->tx_tail, &header, sizeof header);
        is_sound = header.payload_len <= 65507 && pel_datagram_record_len(header.payload_len) <= used_len;
        if (!is_sound)
            break;
        take_error(served, send_record(served, &header));
        served->tx_tail += pel_datagram_record_len(header.payload_len);
        used_len -= pel_datagram_record_len(header.payload_len);
    }
    if (!is_sound) { /* what stands there is lost: there is no telling where a record begins */
        pel_count_err(&served->home->engine->counters, PEL_E_RING_CORRUPT);
        served->tx_tail = head;
    }
    __atomic_store_n(&served->slot->tx_tail, served->tx_tail, __ATOMIC_SEQ_CST);
    if (__atomic_exchange_n(&served->slot->wants_room, 0, __ATOMIC_SEQ_CST))
        pel_served_wake(served);
}

/* ---- open and close ---- */

static void on_refused(void *arg)
{
    struct dgram_port *port = arg;
    take_error(port->served, PEL_E_CONN_REFUSED);
}

struct open_args {
    struct dgram_port *port;
    struct pel_endpoint local;
    enum pel_err err;
};

static void open_here(struct pel_engine *engine, void *arg)
{
    struct open_args *args = arg;
    args->err = pel_engine_udp_open_shared(engine, &args->local, args->port->served->family, on_datagram,
                                           args->port, &args->port->socket);
    if (args->err == PEL_OK)
        pel_udp_socket_set_refused(args->port->socket, on_refused);
}

static void close_here(struct pel_engine *engine, void *arg)
{
    struct dgram_port *port = arg;
    (void)engine;
    pel_udp_socket_close(port->socket);
    port->socket = NULL;
}

enum pel_err pel_served_dgram_open(struct pel_served *served)
{
    struct pel_serve *serve = served->app->serve;
    struct pel_served_dgram *dgram = calloc(1, sizeof *dgram + serve->num_engines * sizeof dgram->ports[0]);
    if (dgram == NULL)
        return PEL_E_NO_MEMORY;
    pthread_spin_init(&dgram->rx_lock, PTHREAD_PROCESS_PRIVATE);
    served->dgram = dgram;
    struct open_args args = {.local = served->name.local};
    if (pel_ip_is_any(&args.local.ip) && served->family == AF_INET6)
        args.local.ip = (struct pel_ip){.version = served->name.is_v6only ? 6 : 0};
    for (size_t i = 0; i < serve->num_engines && args.err == PEL_OK; i++) {
        args.port = &dgram->ports[i];
        args.port->served = served;
        pel_engine_call(serve->engines[i].engine, open_here, &args);
    }
    if (args.err == PEL_OK) {
        pel_served_set_state(served, PEL_SLOT_OPEN);
        return PEL_OK;
    }
    pel_served_dgram_close(served);
    free(dgram);
    served->dgram = NULL;
    return args.err;
}

/* What was written is sent first: the program may write and close. */
static void finish_here(struct pel_engine *engine, void *arg)
{
    (void)engine;
    pel_served_dgram_kick(arg);
}

void pel_served_dgram_close(struct pel_served *served)
{
    struct pel_serve *serve = served->app->serve;
    if (served->dgram == NULL)
        return;
    pel_engine_call(serve->engines[served->home->index].engine, finish_here, served);
    for (size_t i = 0; i < serve->num_engines; i++)
        pel_engine_call(serve->engines[i].engine, close_here, &served->dgram->ports[i]);
}

struct connect_args {
    struct dgram_port *port;
    const struct pel_endpoint *peer;
};

static void connect_here(struct pel_engine *engine, void *arg)
{
    struct connect_args *args = arg;
    (void)engine;
    pel_udp_socket_connect(args->port->socket, args->peer);
}

void pel_served_dgram_connect(struct pel_served *served, const struct pel_endpoint *peer)
{
    struct pel_serve *serve = served->app->serve;
    pthread_spin_lock(&served->dgram->rx_lock);
    served->dgram->has_peer = peer != NULL;
    served->dgram->peer = peer != NULL ? *peer : (struct pel_endpoint){0};
    pthread_spin_unlock(&served->dgram->rx_lock);
    /* Of several sockets with one port the connected one is to be asked first. */
    for (size_t i = 0; i < serve->num_engines; i++) {
        struct connect_args args = {.port = &served->dgram->ports[i], .peer = peer};
        pel_engine_call(serve->engines[i].engine, connect_here, &args);
    }
}
