/* SPDX-License-Identifier: Apache-2.0 */
#include "stack/socket_fake_net.h"

#include <netinet/in.h>
#include <string.h>

static struct pel_udp_socket *find_udp(uint16_t port)
{
    for (size_t i = 0; i < pel_fake_net.num; i++) {
        for (struct pel_list *link = pel_fake_net.engines[i].udps.next; link != &pel_fake_net.engines[i].udps;
             link = link->next) {
            if (PEL_PART_OF(link, struct pel_udp_socket, link)->local.port == port)
                return PEL_PART_OF(link, struct pel_udp_socket, link);
        }
    }
    return NULL;
}

enum pel_err pel_engine_udp_open(struct pel_engine *engine, const struct sockaddr *local, socklen_t local_len,
                                 pel_datagram_fn *on_datagram, void *arg, struct pel_udp_socket **ret_udp)
{
    struct pel_endpoint endpoint;
    MUST(pel_fake_here == engine);
    PEL_TRY(pel_endpoint_from_sockaddr(local, local_len, &endpoint));
    pel_fake_lock();
    enum pel_err err = pel_fake_take_call_err();
    struct pel_udp_socket *other = find_udp(endpoint.port);
    if (err == PEL_OK && endpoint.port != 0 && other != NULL && other->engine == engine)
        err = PEL_E_ADDRESS_IN_USE;
    if (err == PEL_OK) {
        struct pel_udp_socket *udp = calloc(1, sizeof *udp);
        MUST(udp != NULL);
        *udp = (struct pel_udp_socket){
            .engine = engine, .local = endpoint, .on_datagram = on_datagram, .arg = arg};
        if (endpoint.port == 0)
            udp->local.port = pel_fake_new_port();
        pel_list_init(&udp->queue);
        pel_list_append(&engine->udps, &udp->link);
        *ret_udp = udp;
    }
    pel_fake_unlock();
    return err;
}

enum pel_err pel_udp_socket_send(struct pel_udp_socket *udp, const struct sockaddr *to, socklen_t to_len,
                                 const uint8_t *bytes, size_t len)
{
    struct pel_endpoint target;
    MUST(pel_fake_here == udp->engine && len <= 65507);
    PEL_TRY(pel_endpoint_from_sockaddr(to, to_len, &target));
    struct pel_fake_datagram *queued = malloc(sizeof *queued + len);
    MUST(queued != NULL);
    *queued = (struct pel_fake_datagram){.from = {.ip = target.ip, .port = udp->local.port}, .len = len};
    memcpy(queued->bytes, bytes, len);
    pel_fake_lock();
    enum pel_err err = pel_fake_take_call_err();
    struct pel_udp_socket *other = err == PEL_OK ? find_udp(target.port) : NULL;
    if (other != NULL)
        pel_list_append(&other->queue, &queued->link);
    else
        free(queued);
    pel_fake_unlock();
    return err;
}

socklen_t pel_udp_socket_address(const struct pel_udp_socket *udp, struct sockaddr_storage *ret_address)
{
    return pel_endpoint_to_sockaddr(&udp->local, udp->local.ip.version == 4 ? AF_INET : AF_INET6,
                                    ret_address);
}

void pel_udp_socket_close(struct pel_udp_socket *udp)
{
    if (udp == NULL)
        return;
    pel_fake_lock();
    while (!pel_list_is_empty(&udp->queue)) {
        struct pel_fake_datagram *queued = PEL_PART_OF(udp->queue.next, struct pel_fake_datagram, link);
        pel_list_remove(&queued->link);
        free(queued);
    }
    pel_list_remove(&udp->link);
    pel_fake_unlock();
    free(udp);
}

void pel_fake_step_udp(struct pel_udp_socket *udp)
{
    while (!pel_list_is_empty(&udp->queue)) {
        struct pel_fake_datagram *queued = PEL_PART_OF(udp->queue.next, struct pel_fake_datagram, link);
        struct sockaddr_storage from;
        pel_list_remove(&queued->link);
        socklen_t from_len =
            pel_endpoint_to_sockaddr(&queued->from, queued->from.ip.version == 4 ? AF_INET : AF_INET6, &from);
        pel_fake_unlock();
        udp->on_datagram(udp->arg, (struct sockaddr *)&from, from_len, queued->bytes, queued->len);
        free(queued);
        pel_fake_lock();
    }
}
