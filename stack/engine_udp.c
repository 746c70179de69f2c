/* SPDX-License-Identifier: Apache-2.0 */
/* UDP for embedded owners: a thin face over the TCP/IP layer. */
#include <stdlib.h>
#include <string.h>

#include "stack/engine.h"

struct pel_udp_socket {
    struct pel_engine *engine;
    struct pel_udp *udp;
    pel_datagram_fn *on_datagram;
    void (*refused)(void *arg);
    void *arg;
    int family;
};

static void receive(void *arg, const struct pel_endpoint *from, struct pel_buf *buf)
{
    struct pel_udp_socket *socket = arg;
    struct sockaddr_storage address;
    socklen_t address_len = pel_endpoint_to_sockaddr(from, socket->family, &address);
    size_t len = pel_buf_len(buf), at = 0, piece_len = 0;
    uint8_t *flat = NULL;
    const uint8_t *bytes = pel_buf_peek(buf, 0, &piece_len);
    if (piece_len < len) {
        /* A datagram that came in fragments lies in several packets; its owner gets it in one piece. */
        flat = malloc(len);
        for (at = 0; flat != NULL && at < len; at += piece_len) {
            bytes = pel_buf_peek(buf, at, &piece_len);
            memcpy(flat + at, bytes, piece_len);
        }
        bytes = flat;
    }
    if (piece_len == len || flat != NULL)
        socket->on_datagram(socket->arg, (const struct sockaddr *)&address, address_len, bytes, len);
    else
        pel_count_err(&socket->engine->counters, PEL_E_NO_MEMORY);
    free(flat);
    pel_buf_free(buf);
}

enum pel_err pel_engine_udp_open(struct pel_engine *engine, const struct sockaddr *local, socklen_t local_len,
                                 pel_datagram_fn *on_datagram, void *arg, struct pel_udp_socket **ret_udp)
{
    struct pel_endpoint at;
    PEL_TRY(pel_endpoint_from_sockaddr(local, local_len, &at));
    if (pel_ip_is_any(&at.ip) && local->sa_family == AF_INET6)
        at.ip = (struct pel_ip){0};
    struct pel_udp_socket *socket = calloc(1, sizeof *socket);
    if (socket == NULL)
        return PEL_E_NO_MEMORY;
    *socket = (struct pel_udp_socket){
        .engine = engine, .on_datagram = on_datagram, .arg = arg, .family = local->sa_family};
    enum pel_err err = pel_udp_open(engine->ip, &at, receive, socket, &socket->udp);
    if (err != PEL_OK) {
        free(socket);
        return err;
    }
    *ret_udp = socket;
    return PEL_OK;
}

enum pel_err pel_engine_udp_open_shared(struct pel_engine *engine, const struct pel_endpoint *local,
                                        int family, pel_datagram_fn *on_datagram, void *arg,
                                        struct pel_udp_socket **ret_udp)
{
    struct pel_udp_socket *socket = calloc(1, sizeof *socket);
    if (socket == NULL)
        return PEL_E_NO_MEMORY;
    *socket =
        (struct pel_udp_socket){.engine = engine, .on_datagram = on_datagram, .arg = arg, .family = family};
    enum pel_err err = pel_udp_open_shared(engine->ip, local, receive, socket, &socket->udp);
    if (err != PEL_OK) {
        free(socket);
        return err;
    }
    *ret_udp = socket;
    return PEL_OK;
}

static void tell_refused(void *arg)
{
    struct pel_udp_socket *socket = arg;
    socket->refused(socket->arg);
}

void pel_udp_socket_set_refused(struct pel_udp_socket *udp, void (*refused)(void *arg))
{
    udp->refused = refused;
    pel_udp_set_refused(udp->udp, refused != NULL ? tell_refused : NULL);
}

void pel_udp_socket_connect(struct pel_udp_socket *udp, const struct pel_endpoint *remote)
{
    pel_udp_connect(udp->udp, remote);
}

enum pel_err pel_udp_socket_send(struct pel_udp_socket *udp, const struct sockaddr *to, socklen_t to_len,
                                 const uint8_t *bytes, size_t len)
{
    struct pel_endpoint remote;
    PEL_TRY(pel_endpoint_from_sockaddr(to, to_len, &remote));
    return pel_udp_send(udp->udp, &remote, bytes, len);
}

socklen_t pel_udp_socket_address(const struct pel_udp_socket *udp, struct sockaddr_storage *ret_address)
{
    struct pel_endpoint local = pel_udp_local(udp->udp);
    return pel_endpoint_to_sockaddr(&local, udp->family, ret_address);
}

void pel_udp_socket_close(struct pel_udp_socket *udp)
{
    if (udp == NULL)
        return;
    pel_udp_close(udp->udp);
    free(udp);
}
