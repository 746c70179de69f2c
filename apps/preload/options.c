/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options as rows: where a value is kept, what it may be, how it is read. What the daemon has to know stands
 * in the slot's options, what only the library has to in its application bytes.
 */
#include "apps/preload/options.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/time.h>

#include "apps/preload/decide.h"
#include "apps/preload/real.h"
#include "apps/preload/stream.h"
#include "apps/preload/table.h"

enum value_kind {
    VALUE_BOOL8,     /* an int that is a bool in uint8_t */
    VALUE_NOT_BOOL8, /* the same, kept the other way round */
    VALUE_UINT32,    /* an int from `min` to `max`, in uint32_t; 0 there: `fixed` is read */
    VALUE_TIME,      /* struct timeval, microseconds in int64_t */
    VALUE_LINGER,    /* struct linger */
    VALUE_BUFFER,    /* doubled when read, as the kernel does; no effect */
    VALUE_IGNORED,   /* accepted when it is what holds anyway, or cannot matter; `fixed` is read */
    VALUE_READ       /* read only, by `read` */
};

struct option {
    int level, name;
    enum value_kind kind;
    size_t offset; /* in struct pel_slot from the start; VALUE_TIME and VALUE_BUFFER: in struct pel_shared */
    int min, max;
    int fixed;
    bool is_tcp, is_v6;
    int (*read)(struct pel_file *file);
};

static int read_error(struct pel_file *file)
{
    return pel_file_kind(file) == PEL_FILE_DGRAM    ? pel_dgram_take_error(file)
           : pel_file_kind(file) == PEL_FILE_STREAM ? pel_file_take_error(file)
                                                    : 0;
}

static int read_type(struct pel_file *file)
{
    return file->slot->type;
}

static int read_domain(struct pel_file *file)
{
    return file->slot->family;
}

static int read_protocol(struct pel_file *file)
{
    return file->slot->type == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP;
}

static int read_acceptconn(struct pel_file *file)
{
    return pel_file_kind(file) == PEL_FILE_LISTENER;
}

#define SLOT(member)   (offsetof(struct pel_slot, options) + offsetof(struct pel_slot_options, member))
#define SHARED(member) (offsetof(struct pel_slot, application) + offsetof(struct pel_shared, member))

static const struct option options[] = {
    {SOL_SOCKET, SO_ERROR, VALUE_READ, .read = read_error},
    {SOL_SOCKET, SO_TYPE, VALUE_READ, .read = read_type},
    {SOL_SOCKET, SO_DOMAIN, VALUE_READ, .read = read_domain},
    {SOL_SOCKET, SO_PROTOCOL, VALUE_READ, .read = read_protocol},
    {SOL_SOCKET, SO_ACCEPTCONN, VALUE_READ, .read = read_acceptconn},
    {SOL_SOCKET, SO_SNDBUF, VALUE_BUFFER, SHARED(sndbuf_len)},
    {SOL_SOCKET, SO_RCVBUF, VALUE_BUFFER, SHARED(rcvbuf_len)},
    {SOL_SOCKET, SO_SNDBUFFORCE, VALUE_BUFFER, SHARED(sndbuf_len)},
    {SOL_SOCKET, SO_RCVBUFFORCE, VALUE_BUFFER, SHARED(rcvbuf_len)},
    {SOL_SOCKET, SO_REUSEADDR, VALUE_BOOL8, SLOT(is_reuseaddr)},
    {SOL_SOCKET, SO_REUSEPORT, VALUE_BOOL8, SLOT(is_reuseport)},
    {SOL_SOCKET, SO_KEEPALIVE, VALUE_BOOL8, SLOT(is_keepalive)},
    {SOL_SOCKET, SO_LINGER, VALUE_LINGER},
    {SOL_SOCKET, SO_RCVTIMEO, VALUE_TIME, SHARED(recv_timeout_us)},
    {SOL_SOCKET, SO_SNDTIMEO, VALUE_TIME, SHARED(send_timeout_us)},
    {SOL_SOCKET, SO_RCVLOWAT, VALUE_UINT32, SHARED(recv_low_water), INT_MIN, INT_MAX, .fixed = 1},
    {SOL_SOCKET, SO_SNDLOWAT, VALUE_IGNORED, .fixed = 1},
    {SOL_SOCKET, SO_BROADCAST, VALUE_BOOL8, SHARED(is_broadcast)},
    {SOL_SOCKET, SO_DONTROUTE, VALUE_IGNORED},
    {SOL_SOCKET, SO_OOBINLINE, VALUE_IGNORED},
    {SOL_SOCKET, SO_PRIORITY, VALUE_UINT32, SHARED(priority), 0, INT_MAX},
    {SOL_SOCKET, SO_MARK, VALUE_UINT32, SHARED(mark), 0, INT_MAX},
    {SOL_SOCKET, SO_BUSY_POLL, VALUE_IGNORED},
    {SOL_SOCKET, SO_TIMESTAMP, VALUE_IGNORED},
    {SOL_SOCKET, SO_INCOMING_CPU, VALUE_IGNORED},
    {SOL_SOCKET, SO_TIMESTAMPNS, VALUE_IGNORED},
    {SOL_SOCKET, SO_RXQ_OVFL, VALUE_IGNORED},
    {IPPROTO_TCP, TCP_NODELAY, VALUE_BOOL8, SLOT(is_nodelay), .is_tcp = true},
    {IPPROTO_TCP, TCP_KEEPIDLE, VALUE_UINT32, SLOT(keep_idle_s), 1, 32767, .is_tcp = true},
    {IPPROTO_TCP, TCP_KEEPINTVL, VALUE_UINT32, SLOT(keep_interval_s), 1, 32767, .is_tcp = true},
    {IPPROTO_TCP, TCP_KEEPCNT, VALUE_UINT32, SLOT(keep_count), 1, 127, .is_tcp = true},
    {IPPROTO_TCP, TCP_USER_TIMEOUT, VALUE_UINT32, SHARED(user_timeout_ms), 0, INT_MAX, .is_tcp = true},
    {IPPROTO_TCP, TCP_CORK, VALUE_IGNORED, .is_tcp = true},
    {IPPROTO_TCP, TCP_QUICKACK, VALUE_NOT_BOOL8, SHARED(is_not_quick), .is_tcp = true},
    {IPPROTO_TCP, TCP_DEFER_ACCEPT, VALUE_IGNORED, .is_tcp = true},
    {IPPROTO_TCP, TCP_FASTOPEN, VALUE_IGNORED, .is_tcp = true},
    {IPPROTO_TCP, TCP_SYNCNT, VALUE_IGNORED, .fixed = 6, .is_tcp = true},
    {IPPROTO_TCP, TCP_LINGER2, VALUE_IGNORED, .fixed = 60, .is_tcp = true},
    {IPPROTO_TCP, TCP_NOTSENT_LOWAT, VALUE_IGNORED, .is_tcp = true},
    {IPPROTO_TCP, TCP_MAXSEG, VALUE_IGNORED, .fixed = 1460, .is_tcp = true},
    {IPPROTO_TCP, TCP_WINDOW_CLAMP, VALUE_IGNORED, .is_tcp = true},
    {IPPROTO_IP, IP_TOS, VALUE_UINT32, SHARED(tos), 0, 255},
    {IPPROTO_IP, IP_TTL, VALUE_IGNORED, .fixed = 64},
    {IPPROTO_IP, IP_MTU_DISCOVER, VALUE_IGNORED, .fixed = IP_PMTUDISC_WANT},
    {IPPROTO_IP, IP_RECVERR, VALUE_IGNORED},
    {IPPROTO_IP, IP_RECVTOS, VALUE_IGNORED},
    {IPPROTO_IP, IP_RECVTTL, VALUE_IGNORED},
    {IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, VALUE_IGNORED},
    {IPPROTO_IPV6, IPV6_V6ONLY, VALUE_BOOL8, SLOT(is_v6only), .is_v6 = true},
    {IPPROTO_IPV6, IPV6_TCLASS, VALUE_UINT32, SHARED(tos), -1, 255, .is_v6 = true},
    {IPPROTO_IPV6, IPV6_UNICAST_HOPS, VALUE_IGNORED, .fixed = 64, .is_v6 = true},
    {IPPROTO_IPV6, IPV6_RECVERR, VALUE_IGNORED, .is_v6 = true},
    {IPPROTO_IPV6, IPV6_RECVTCLASS, VALUE_IGNORED, .is_v6 = true},
    {IPPROTO_IPV6, IPV6_RECVHOPLIMIT, VALUE_IGNORED, .is_v6 = true},
    {IPPROTO_IPV6, IPV6_MTU_DISCOVER, VALUE_IGNORED, .fixed = IPV6_PMTUDISC_WANT, .is_v6 = true},
};

static const struct option *find_option(const struct pel_file *file, int level, int name)
{
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        const struct option *option = &options[i];
        if (option->level != level || option->name != name)
            continue;
        bool is_fit = (!option->is_tcp || file->slot->type == SOCK_STREAM) &&
                      (!option->is_v6 || file->slot->family == AF_INET6);
        return is_fit ? option : NULL;
    }
    return NULL;
}

static void *place_of(const struct pel_file *file, const struct option *option)
{
    return (uint8_t *)file->slot + option->offset;
}

static int set_int(const struct pel_file *file, const struct option *option, const void *value,
                   unsigned value_len)
{
    int number = 0;
    if (value_len < sizeof number)
        return EINVAL;
    memcpy(&number, value, sizeof number);
    void *place = place_of(file, option);
    switch (option->kind) {
    case VALUE_BOOL8: *(uint8_t *)place = number != 0; return 0;
    case VALUE_NOT_BOOL8: *(uint8_t *)place = number == 0; return 0;
    case VALUE_BUFFER:
        *(int32_t *)place = number < 1 ? 2304 : number > INT_MAX / 2 ? INT_MAX : number * 2;
        return 0;
    case VALUE_UINT32:
        if (number < option->min || number > option->max)
            return EINVAL;
        *(uint32_t *)place = (uint32_t)number;
        return 0;
    default: return 0;
    }
}

static int set_time(const struct pel_file *file, const struct option *option, const void *value,
                    unsigned value_len)
{
    struct timeval time;
    if (value_len < sizeof time)
        return EINVAL;
    memcpy(&time, value, sizeof time);
    if (time.tv_usec < 0 || time.tv_usec >= 1000000)
        return EDOM;
    /* A negative time is Linux's "give up at once"; 1 us comes to the same. */
    int64_t time_us = time.tv_sec < 0           ? 1
                      : time.tv_sec > INT32_MAX ? 0
                                                : time.tv_sec * 1000000 + time.tv_usec;
    *(int64_t *)place_of(file, option) = time_us;
    return 0;
}

static int set_linger(const struct pel_file *file, const void *value, unsigned value_len)
{
    struct linger linger;
    if (value_len < sizeof linger)
        return EINVAL;
    memcpy(&linger, value, sizeof linger);
    file->slot->options.linger_s = linger.l_linger < 0            ? 0
                                   : linger.l_linger > UINT16_MAX ? UINT16_MAX
                                                                  : (uint16_t)linger.l_linger;
    file->slot->options.is_linger = linger.l_onoff != 0;
    return 0;
}

/* A socket that has a name already keeps its families. */
static bool is_named(const struct pel_file *file)
{
    return pel_file_kind(file) != PEL_FILE_STREAM ||
           (pel_shared_flags(file) & (PEL_SHARED_BOUND | PEL_SHARED_CONNECTING));
}

static const char congestion_control[] = "newreno";

/* There is one, and the kernel's other name for it. */
static int set_congestion(const void *value, unsigned value_len)
{
    char name[16] = "";
    memcpy(name, value, value_len < sizeof name - 1 ? value_len : sizeof name - 1);
    return strcmp(name, congestion_control) == 0 || strcmp(name, "reno") == 0 ? 0 : ENOENT;
}

int pel_options_set(struct pel_file *file, int fd, int level, int name, const void *value, unsigned value_len)
{
    const struct option *option = find_option(file, level, name);
    int error = 0;
    if (level == IPPROTO_TCP && name == TCP_CONGESTION && file->slot->type == SOCK_STREAM)
        return value == NULL ? EFAULT : set_congestion(value, value_len);
    if (option == NULL || option->kind == VALUE_READ)
        return ENOPROTOOPT;
    if (value == NULL)
        return EFAULT;
    if (name == IPV6_V6ONLY && level == IPPROTO_IPV6 && is_named(file))
        return EINVAL;
    if (option->kind == VALUE_TIME)
        error = set_time(file, option, value, value_len);
    else if (option->kind == VALUE_LINGER)
        error = set_linger(file, value, value_len);
    else
        error = set_int(file, option, value, value_len);
    if (error != 0)
        return error;
    /* A listener's waiting is the kernel's, on its channel. */
    if (option->kind == VALUE_TIME)
        pel_raw(SYS_setsockopt, fd, level, name, (long)value, value_len, 0);
    bool is_daemons = option->kind == VALUE_LINGER || option->offset < offsetof(struct pel_slot, application);
    if (is_daemons && option->kind <= VALUE_LINGER && pel_file_kind(file) == PEL_FILE_STREAM &&
        (pel_shared_flags(file) & PEL_SHARED_CONNECTING))
        pel_file_ask(file, PEL_SLOT_ASK_OPTIONS);
    return 0;
}

union any_value {
    int number;
    struct timeval time;
    struct linger linger;
    struct tcp_info info;
};

/* Writes the option's value; returns its length. */
static unsigned get_value(struct pel_file *file, const struct option *option, union any_value *ret)
{
    const void *place = place_of(file, option);
    ret->number = option->fixed;
    switch (option->kind) {
    case VALUE_BOOL8: ret->number = *(const uint8_t *)place; break;
    case VALUE_NOT_BOOL8: ret->number = !*(const uint8_t *)place; break;
    case VALUE_UINT32:
        if (*(const uint32_t *)place != 0)
            ret->number = (int)*(const uint32_t *)place;
        break;
    case VALUE_BUFFER:
        ret->number = *(const int32_t *)place != 0 ? *(const int32_t *)place : (int)file->rx.len;
        break;
    case VALUE_TIME: {
        int64_t time_us = *(const int64_t *)place;
        ret->time = (struct timeval){.tv_sec = time_us / 1000000, .tv_usec = time_us % 1000000};
        return sizeof ret->time;
    }
    case VALUE_LINGER:
        ret->linger = (struct linger){.l_onoff = file->slot->options.is_linger,
                                      .l_linger = file->slot->options.linger_s};
        return sizeof ret->linger;
    case VALUE_IGNORED: break;
    case VALUE_READ: ret->number = option->read(file); break;
    }
    return sizeof ret->number;
}

/* What the daemon does not know of: before the mapping point and while it connects. */
static uint32_t state_of(const struct pel_file *file, uint32_t state)
{
    uint32_t flags = pel_shared_flags(file);
    if (state != TCP_CLOSE || !(flags & PEL_SHARED_CONNECTING) || (pel_file_state(file) & PEL_SLOT_GONE))
        return state;
    return flags & PEL_SHARED_ACCEPTED ? TCP_ESTABLISHED : TCP_SYN_SENT;
}

static int get_info(struct pel_file *file, struct tcp_info *ret)
{
    struct pel_ipc_info info;
    int error = pel_file_info(file, &info);
    if (error != 0)
        return error;
    memset(ret, 0, sizeof *ret);
    ret->tcpi_state = (uint8_t)state_of(file, info.state);
    ret->tcpi_snd_mss = ret->tcpi_rcv_mss = ret->tcpi_advmss = info.mss;
    ret->tcpi_rtt = info.rtt_us;
    ret->tcpi_rttvar = info.rtt_var_us;
    ret->tcpi_snd_cwnd = info.mss != 0 ? info.congestion_window_len / info.mss : 0;
    ret->tcpi_total_retrans = info.num_retransmits;
    ret->tcpi_unacked = info.mss != 0 ? info.unacked_len / info.mss : 0;
    return 0;
}

int pel_options_get(struct pel_file *file, int level, int name, void *ret_value, unsigned *value_len)
{
    union any_value value = {.number = 0};
    const void *bytes = &value;
    unsigned len = sizeof value.info;
    int error = 0;
    if (ret_value == NULL || value_len == NULL)
        return EFAULT;
    bool is_stream = file->slot->type == SOCK_STREAM;
    if (is_stream && level == IPPROTO_TCP && name == TCP_INFO) {
        error = get_info(file, &value.info);
    } else if (is_stream && level == IPPROTO_TCP && name == TCP_CONGESTION) {
        bytes = congestion_control;
        len = sizeof congestion_control;
    } else {
        const struct option *option = find_option(file, level, name);
        if (option == NULL)
            return ENOPROTOOPT;
        len = get_value(file, option, &value);
    }
    if (error != 0)
        return error;
    *value_len = *value_len < len ? *value_len : len;
    memcpy(ret_value, bytes, *value_len);
    return 0;
}

/* ---- from a kernel socket ---- */

static int kernel_int(int fd, int level, int name)
{
    int value = 0;
    socklen_t len = sizeof value;
    return pel_raw(SYS_getsockopt, fd, level, name, (long)&value, (long)&len, 0) == 0 ? value : 0;
}

static int64_t kernel_time(int fd, int name)
{
    struct timeval time = {0};
    socklen_t len = sizeof time;
    pel_raw(SYS_getsockopt, fd, SOL_SOCKET, name, (long)&time, (long)&len, 0);
    return time.tv_sec * 1000000 + time.tv_usec;
}

void pel_options_of_kernel(int fd, struct pel_slot_options *ret_options)
{
    struct linger linger = {0};
    socklen_t len = sizeof linger;
    pel_raw(SYS_getsockopt, fd, SOL_SOCKET, SO_LINGER, (long)&linger, (long)&len, 0);
    *ret_options = (struct pel_slot_options){
        .is_nodelay = kernel_int(fd, IPPROTO_TCP, TCP_NODELAY) != 0,
        .is_keepalive = kernel_int(fd, SOL_SOCKET, SO_KEEPALIVE) != 0,
        .is_linger = linger.l_onoff != 0,
        .linger_s = linger.l_linger > UINT16_MAX ? UINT16_MAX : (uint16_t)linger.l_linger,
        .is_v6only = kernel_int(fd, IPPROTO_IPV6, IPV6_V6ONLY) != 0,
        .is_reuseaddr = kernel_int(fd, SOL_SOCKET, SO_REUSEADDR) != 0,
        .is_reuseport = kernel_int(fd, SOL_SOCKET, SO_REUSEPORT) != 0,
        .keep_idle_s = (uint32_t)kernel_int(fd, IPPROTO_TCP, TCP_KEEPIDLE),
        .keep_interval_s = (uint32_t)kernel_int(fd, IPPROTO_TCP, TCP_KEEPINTVL),
        .keep_count = (uint32_t)kernel_int(fd, IPPROTO_TCP, TCP_KEEPCNT),
    };
}

void pel_options_carry_over(int fd, struct pel_file *file)
{
    struct pel_shared *shared = pel_shared_of(file);
    shared->sndbuf_len = kernel_int(fd, SOL_SOCKET, SO_SNDBUF);
    shared->rcvbuf_len = kernel_int(fd, SOL_SOCKET, SO_RCVBUF);
    shared->recv_timeout_us = kernel_time(fd, SO_RCVTIMEO);
    shared->send_timeout_us = kernel_time(fd, SO_SNDTIMEO);
    shared->is_broadcast = kernel_int(fd, SOL_SOCKET, SO_BROADCAST) != 0;
    shared->recv_low_water = (uint32_t)kernel_int(fd, SOL_SOCKET, SO_RCVLOWAT);
    shared->priority = (uint32_t)kernel_int(fd, SOL_SOCKET, SO_PRIORITY);
    shared->tos = (uint32_t)kernel_int(fd, IPPROTO_IP, IP_TOS);
    long flags = pel_raw(SYS_fcntl, fd, F_GETFL, 0, 0, 0, 0);
    if (flags > 0 && (flags & O_NONBLOCK))
        pel_shared_set(file, PEL_SHARED_NONBLOCK);
}

void pel_options_of_listener(const struct pel_file *listener, int fd)
{
    int64_t time_us = pel_shared_of(listener)->recv_timeout_us;
    struct timeval time = {.tv_sec = time_us / 1000000, .tv_usec = time_us % 1000000};
    if (time_us > 0)
        pel_raw(SYS_setsockopt, fd, SOL_SOCKET, SO_RCVTIMEO, (long)&time, sizeof time, 0);
}

void pel_options_inherit(struct pel_file *file, const struct pel_file *listener)
{
    struct pel_shared *to = pel_shared_of(file);
    const struct pel_shared *from = pel_shared_of(listener);
    to->recv_timeout_us = from->recv_timeout_us;
    to->send_timeout_us = from->send_timeout_us;
    to->sndbuf_len = from->sndbuf_len;
    to->rcvbuf_len = from->rcvbuf_len;
    to->recv_low_water = from->recv_low_water;
    to->user_timeout_ms = from->user_timeout_ms;
    to->mark = from->mark;
    to->priority = from->priority;
    to->tos = from->tos;
}

/* ---- the calls ---- */

static bool is_kernels(const struct pel_file *file)
{
    enum pel_file_kind kind = pel_file_kind(file);
    return kind == PEL_FILE_UNDECIDED || kind == PEL_FILE_EPOLL;
}

PEL_EXPORT int setsockopt(int fd, int level, int name, const void *value, socklen_t value_len)
{
    struct pel_file *file = pel_file_get(fd);
    if (file == NULL)
        return pel_real()->setsockopt(fd, level, name, value, value_len);
    int result = is_kernels(file)
                     ? pel_real()->setsockopt(fd, level, name, value, value_len)
                     : (int)pel_result(-pel_options_set(file, fd, level, name, value, value_len));
    pel_file_put(file);
    return result;
}

PEL_EXPORT int getsockopt(int fd, int level, int name, void *ret_value, socklen_t *value_len)
{
    struct pel_file *file = pel_file_get(fd);
    if (file == NULL)
        return pel_real()->getsockopt(fd, level, name, ret_value, value_len);
    int result = is_kernels(file)
                     ? pel_real()->getsockopt(fd, level, name, ret_value, value_len)
                     : (int)pel_result(-pel_options_get(file, level, name, ret_value, value_len));
    pel_file_put(file);
    return result;
}
