/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options as rows: where a value is kept, what it may be, how it is read. A change of a TCP option is carried
 * to the engine by the kick.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/time.h>

#include "stack/socket_stream.h"
#include "stack/socket_table.h"
#include "stack/socket_udp.h"
#include <pellucid/socket.h>

enum value_kind {
    VALUE_BOOL,    /* an int that is a bool in struct pel_sock_options */
    VALUE_UINT32,  /* an int from 1 to `max` that is a uint32_t there */
    VALUE_TIME,    /* a struct timeval that is microseconds there */
    VALUE_LINGER,  /* struct linger */
    VALUE_IGNORED, /* settable without effect; `read` says what is read */
    VALUE_READ,    /* read only */
};

struct option {
    int level, name;
    enum value_kind kind;
    size_t offset; /* in struct pel_sock_options */
    uint32_t max;
    bool is_engines; /* the engine has to know */
    bool is_tcp;     /* streams only */
    int (*read)(struct pel_sock *sock);
};

static int read_error(struct pel_sock *sock)
{
    if (sock->kind == PEL_SOCK_STREAM)
        return pel_stream_phase(pel_stream_of(sock)) == PEL_PHASE_CONN
                   ? pel_stream_take_error(pel_stream_of(sock))
                   : 0;
    return (int)__atomic_exchange_n(&pel_dgram_of(sock)->pending_errno, 0, __ATOMIC_ACQ_REL);
}

static int read_type(struct pel_sock *sock)
{
    return sock->kind == PEL_SOCK_STREAM ? SOCK_STREAM : SOCK_DGRAM;
}

static int read_domain(struct pel_sock *sock)
{
    return sock->family;
}

static int read_protocol(struct pel_sock *sock)
{
    return sock->kind == PEL_SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP;
}

static int read_acceptconn(struct pel_sock *sock)
{
    return sock->kind == PEL_SOCK_STREAM && pel_stream_phase(pel_stream_of(sock)) == PEL_PHASE_LISTEN;
}

static int read_buffer(struct pel_sock *sock)
{
    return (int)sock->homes->buffer_len;
}

#define AT(member) offsetof(struct pel_sock_options, member)

static const struct option options[] = {
    {SOL_SOCKET, SO_ERROR, VALUE_READ, .read = read_error},
    {SOL_SOCKET, SO_TYPE, VALUE_READ, .read = read_type},
    {SOL_SOCKET, SO_DOMAIN, VALUE_READ, .read = read_domain},
    {SOL_SOCKET, SO_PROTOCOL, VALUE_READ, .read = read_protocol},
    {SOL_SOCKET, SO_ACCEPTCONN, VALUE_READ, .read = read_acceptconn},
    {SOL_SOCKET, SO_SNDBUF, VALUE_IGNORED, .read = read_buffer},
    {SOL_SOCKET, SO_RCVBUF, VALUE_IGNORED, .read = read_buffer},
    {SOL_SOCKET, SO_REUSEADDR, VALUE_BOOL, AT(is_reuse_address)},
    {SOL_SOCKET, SO_REUSEPORT, VALUE_BOOL, AT(is_reuse_port)},
    {SOL_SOCKET, SO_KEEPALIVE, VALUE_BOOL, AT(is_keepalive), .is_engines = true},
    {SOL_SOCKET, SO_LINGER, VALUE_LINGER},
    {SOL_SOCKET, SO_RCVTIMEO, VALUE_TIME, AT(recv_timeout_us)},
    {SOL_SOCKET, SO_SNDTIMEO, VALUE_TIME, AT(send_timeout_us)},
    {IPPROTO_TCP, TCP_NODELAY, VALUE_BOOL, AT(is_nodelay), .is_engines = true, .is_tcp = true},
    {IPPROTO_TCP, TCP_KEEPIDLE, VALUE_UINT32, AT(keep_idle_s), 32767, .is_engines = true, .is_tcp = true},
    {IPPROTO_TCP, TCP_KEEPINTVL, VALUE_UINT32, AT(keep_interval_s), 32767, .is_engines = true,
     .is_tcp = true},
    {IPPROTO_TCP, TCP_KEEPCNT, VALUE_UINT32, AT(keep_count), 127, .is_engines = true, .is_tcp = true},
    {IPPROTO_IPV6, IPV6_V6ONLY, VALUE_BOOL, AT(is_v6only)},
};

static const struct option *find_option(const struct pel_sock *sock, int level, int name)
{
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        const struct option *option = &options[i];
        if (option->level != level || option->name != name)
            continue;
        bool is_fit = (!option->is_tcp || sock->kind == PEL_SOCK_STREAM) &&
                      (level != IPPROTO_IPV6 || sock->family == AF_INET6);
        return is_fit ? option : NULL;
    }
    return NULL;
}

static int set_int(struct pel_sock_options *values, const struct option *option, const void *value,
                   socklen_t value_len)
{
    int number = 0;
    if (value_len < sizeof number)
        return EINVAL;
    memcpy(&number, value, sizeof number);
    void *place = (uint8_t *)values + option->offset;
    if (option->kind == VALUE_BOOL) {
        *(bool *)place = number != 0;
        return 0;
    }
    if (number < 1 || (uint32_t)number > option->max)
        return EINVAL;
    *(uint32_t *)place = (uint32_t)number;
    return 0;
}

static int set_time(struct pel_sock_options *values, const struct option *option, const void *value,
                    socklen_t value_len)
{
    struct timeval time;
    if (value_len < sizeof time)
        return EINVAL;
    memcpy(&time, value, sizeof time);
    if (time.tv_usec < 0 || time.tv_usec >= 1000000)
        return EDOM;
    /* A negative time is Linux's "give up at once"; 1 us comes to the same. */
    uint64_t time_us = time.tv_sec < 0 ? 1 : (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_usec;
    if (time.tv_sec > INT32_MAX)
        time_us = 0;
    memcpy((uint8_t *)values + option->offset, &time_us, sizeof time_us);
    return 0;
}

static int set_linger(struct pel_sock_options *values, const void *value, socklen_t value_len)
{
    struct linger linger;
    if (value_len < sizeof linger)
        return EINVAL;
    memcpy(&linger, value, sizeof linger);
    values->is_linger = linger.l_onoff != 0;
    values->linger_s = linger.l_linger < 0 ? 0 : (uint32_t)linger.l_linger;
    return 0;
}

static int set_value(struct pel_sock_options *values, const struct option *option, const void *value,
                     socklen_t value_len)
{
    switch (option->kind) {
    case VALUE_BOOL:
    case VALUE_UINT32: return set_int(values, option, value, value_len);
    case VALUE_TIME: return set_time(values, option, value, value_len);
    case VALUE_LINGER: return set_linger(values, value, value_len);
    case VALUE_IGNORED: return value_len < sizeof(int) ? EINVAL : 0;
    case VALUE_READ: break;
    }
    return ENOPROTOOPT;
}

static int set_option(struct pel_sock *sock, int level, int name, const void *value, socklen_t value_len)
{
    if (sock->kind == PEL_SOCK_EPOLL)
        return ENOTSOCK;
    const struct option *option = find_option(sock, level, name);
    if (option == NULL)
        return ENOPROTOOPT;
    if (value == NULL)
        return EFAULT;
    pthread_mutex_lock(&sock->lock);
    int error = set_value(&sock->options, option, value, value_len);
    pthread_mutex_unlock(&sock->lock);
    if (error == 0 && option->is_engines && sock->kind == PEL_SOCK_STREAM &&
        pel_stream_phase(pel_stream_of(sock)) == PEL_PHASE_CONN)
        pel_stream_ask(pel_stream_of(sock), PEL_ASK_OPTIONS);
    return error;
}

int pel_setsockopt(int fd, int level, int name, const void *value, socklen_t value_len)
{
    struct pel_sock *sock = pel_fd_get(fd);
    if (sock == NULL)
        return (int)pel_result(-EBADF);
    int error = set_option(sock, level, name, value, value_len);
    pel_sock_unref(sock);
    return (int)pel_result(-error);
}

union any_value {
    int number;
    struct timeval time;
    struct linger linger;
};

/* Writes the option's value; returns its length. */
static socklen_t get_value(const struct pel_sock_options *values, const struct option *option,
                           union any_value *ret)
{
    const void *place = (const uint8_t *)values + option->offset;
    uint64_t time_us = 0;
    switch (option->kind) {
    case VALUE_BOOL: ret->number = *(const bool *)place; break;
    case VALUE_UINT32: ret->number = (int)*(const uint32_t *)place; break;
    case VALUE_TIME:
        memcpy(&time_us, place, sizeof time_us);
        ret->time = (struct timeval){.tv_sec = (time_t)(time_us / 1000000),
                                     .tv_usec = (suseconds_t)(time_us % 1000000)};
        return sizeof ret->time;
    case VALUE_LINGER:
        ret->linger = (struct linger){.l_onoff = values->is_linger, .l_linger = (int)values->linger_s};
        return sizeof ret->linger;
    case VALUE_IGNORED:
    case VALUE_READ: break; /* option->read */
    }
    return sizeof ret->number;
}

static int get_option(struct pel_sock *sock, int level, int name, void *ret_value, socklen_t *value_len)
{
    if (sock->kind == PEL_SOCK_EPOLL)
        return ENOTSOCK;
    const struct option *option = find_option(sock, level, name);
    if (option == NULL)
        return ENOPROTOOPT;
    if (ret_value == NULL || value_len == NULL)
        return EFAULT;
    union any_value value = {.number = 0};
    pthread_mutex_lock(&sock->lock);
    socklen_t len = get_value(&sock->options, option, &value);
    pthread_mutex_unlock(&sock->lock);
    if (option->read != NULL)
        value.number = option->read(sock);
    *value_len = *value_len < len ? *value_len : len;
    memcpy(ret_value, &value, *value_len);
    return 0;
}

int pel_getsockopt(int fd, int level, int name, void *ret_value, socklen_t *value_len)
{
    struct pel_sock *sock = pel_fd_get(fd);
    if (sock == NULL)
        return (int)pel_result(-EBADF);
    int error = get_option(sock, level, name, ret_value, value_len);
    pel_sock_unref(sock);
    return (int)pel_result(-error);
}

static int control_flags(struct pel_sock *sock, int command, int arg)
{
    if (command == F_GETFL)
        return O_RDWR | (__atomic_load_n(&sock->is_nonblock, __ATOMIC_ACQUIRE) ? O_NONBLOCK : 0);
    if (command != F_SETFL)
        return -EINVAL;
    __atomic_store_n(&sock->is_nonblock, (arg & O_NONBLOCK) != 0, __ATOMIC_RELEASE);
    return 0;
}

int pel_fcntl(int fd, int command, int arg)
{
    struct pel_sock *sock = pel_fd_get(fd);
    if (sock == NULL)
        return (int)pel_result(-EBADF);
    int result = control_flags(sock, command, arg);
    pel_sock_unref(sock);
    return (int)pel_result(result);
}

static int num_readable(struct pel_sock *sock, int *ret_num)
{
    if (sock->kind == PEL_SOCK_UDP) {
        *ret_num = (int)pel_dgram_next_len(pel_dgram_of(sock));
        return 0;
    }
    struct pel_stream *stream = pel_stream_of(sock);
    enum pel_phase phase = pel_stream_phase(stream);
    if (phase == PEL_PHASE_LISTEN)
        return EINVAL;
    *ret_num = phase == PEL_PHASE_CONN ? (int)pel_byte_ring_used(&stream->rx) : 0;
    return 0;
}

static int control(struct pel_sock *sock, unsigned long request, void *arg)
{
    if (request != FIONBIO && request != FIONREAD && request != SIOCTTLSCTL)
        return ENOTTY;
    if (arg == NULL)
        return EFAULT;
    if (request == SIOCTTLSCTL)
        return sock->kind == PEL_SOCK_STREAM ? pel_stream_ttls(pel_stream_of(sock), arg) : EPROTOTYPE;
    if (request == FIONBIO) {
        __atomic_store_n(&sock->is_nonblock, *(int *)arg != 0, __ATOMIC_RELEASE);
        return 0;
    }
    return sock->kind == PEL_SOCK_EPOLL ? ENOTTY : num_readable(sock, arg);
}

int pel_ioctl(int fd, unsigned long request, void *arg)
{
    struct pel_sock *sock = pel_fd_get(fd);
    if (sock == NULL)
        return (int)pel_result(-EBADF);
    int error = control(sock, request, arg);
    pel_sock_unref(sock);
    return (int)pel_result(-error);
}
