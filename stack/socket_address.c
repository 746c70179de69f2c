/* SPDX-License-Identifier: Apache-2.0 */
#include "stack/socket_address.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "stack/socket_stream.h"
#include "stack/socket_table.h"
#include <pellucid/socket.h>

int pel_address_take(int family, const struct sockaddr *address, socklen_t address_len,
                     struct sockaddr_storage *ret)
{
    socklen_t need_len = family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    if (address == NULL)
        return EFAULT;
    if (address_len < sizeof(sa_family_t))
        return EINVAL;
    if (address->sa_family != family)
        return EAFNOSUPPORT;
    if (address_len < need_len)
        return EINVAL;
    memset(ret, 0, sizeof *ret);
    memcpy(ret, address, need_len);
    return 0;
}

void pel_address_give(const struct sockaddr_storage *address, struct sockaddr *ret_address,
                      socklen_t *address_len)
{
    if (ret_address == NULL || address_len == NULL)
        return;
    socklen_t full_len = pel_address_len(address);
    memcpy(ret_address, address, *address_len < full_len ? *address_len : full_len);
    *address_len = full_len;
}

socklen_t pel_address_len(const struct sockaddr_storage *address)
{
    return address->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

void pel_address_any(int family, struct sockaddr_storage *ret)
{
    memset(ret, 0, sizeof *ret);
    ret->ss_family = (sa_family_t)family;
}

uint16_t pel_address_port(const struct sockaddr_storage *address)
{
    return ntohs(address->ss_family == AF_INET ? ((const struct sockaddr_in *)address)->sin_port
                                               : ((const struct sockaddr_in6 *)address)->sin6_port);
}

void pel_address_set_port(struct sockaddr_storage *address, uint16_t port)
{
    if (address->ss_family == AF_INET)
        ((struct sockaddr_in *)address)->sin_port = htons(port);
    else
        ((struct sockaddr_in6 *)address)->sin6_port = htons(port);
}

bool pel_address_is_v4_mapped(const struct sockaddr_storage *address)
{
    return address->ss_family == AF_INET6 &&
           IN6_IS_ADDR_V4MAPPED(&((const struct sockaddr_in6 *)address)->sin6_addr);
}

bool pel_address_copy(struct pel_sock *sock, const struct sockaddr_storage *address,
                      struct sockaddr_storage *ret)
{
    pthread_mutex_lock(&sock->lock);
    *ret = *address;
    pthread_mutex_unlock(&sock->lock);
    return ret->ss_family != AF_UNSPEC;
}

/* Gives one of the socket's addresses to the caller; 0 or an errno. */
static int name_of(struct pel_sock *sock, bool is_peer, struct sockaddr *ret_address, socklen_t *address_len)
{
    struct sockaddr_storage address;
    if (sock->kind == PEL_SOCK_EPOLL)
        return ENOTSOCK;
    if (ret_address == NULL || address_len == NULL)
        return EFAULT;
    bool is_stream = sock->kind == PEL_SOCK_STREAM;
    struct pel_stream *stream = is_stream ? pel_stream_of(sock) : NULL;
    if (is_stream && is_peer) {
        uint32_t state = pel_stream_state(stream);
        bool is_connected = stream->is_accepted || (state & PEL_STREAM_OPEN);
        if (pel_stream_phase(stream) != PEL_PHASE_CONN || !is_connected || (state & PEL_STREAM_GONE))
            return ENOTCONN;
    }
    if (is_stream && !is_peer)
        pel_stream_local(stream);
    if (!pel_address_copy(sock, is_peer ? &sock->remote : &sock->local, &address)) {
        if (is_peer)
            return ENOTCONN;
        pel_address_any(sock->family, &address);
    }
    pel_address_give(&address, ret_address, address_len);
    return 0;
}

static int name_of_fd(int fd, bool is_peer, struct sockaddr *ret_address, socklen_t *address_len)
{
    struct pel_sock *sock = pel_fd_get(fd);
    if (sock == NULL)
        return (int)pel_result(-EBADF);
    int error = name_of(sock, is_peer, ret_address, address_len);
    pel_sock_unref(sock);
    return (int)pel_result(-error);
}

int pel_getsockname(int fd, struct sockaddr *ret_address, socklen_t *address_len)
{
    return name_of_fd(fd, false, ret_address, address_len);
}

int pel_getpeername(int fd, struct sockaddr *ret_address, socklen_t *address_len)
{
    return name_of_fd(fd, true, ret_address, address_len);
}
