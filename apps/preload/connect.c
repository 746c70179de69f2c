/* SPDX-License-Identifier: Apache-2.0 */
/*
 * socket, bind, connect, listen, shutdown and the names of a socket's ends.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>

#include "apps/preload/accept.h"
#include "apps/preload/daemon.h"
#include "apps/preload/decide.h"
#include "apps/preload/env.h"
#include "apps/preload/names.h"
#include "apps/preload/options.h"
#include "apps/preload/real.h"
#include "apps/preload/stream.h"
#include "apps/preload/table.h"
#include "apps/preload/wait.h"

#define IPPROTO_MPTCP_NUMBER 262

/* Whether the stack has such sockets at all. */
static bool is_ours(int domain, int type, int protocol)
{
    int kind = type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (domain != AF_INET && domain != AF_INET6)
        return false;
    return (kind == SOCK_STREAM && (protocol == 0 || protocol == IPPROTO_TCP)) ||
           (kind == SOCK_DGRAM && (protocol == 0 || protocol == IPPROTO_UDP));
}

PEL_EXPORT int socket(int domain, int type, int protocol)
{
    if (!pel_env()->is_active)
        return pel_real()->socket(domain, type, protocol);
    /* Of several paths the policy would see one: programs that ask for it go on with TCP. */
    if ((domain == AF_INET || domain == AF_INET6) && protocol == IPPROTO_MPTCP_NUMBER)
        return (int)pel_result(-EPROTONOSUPPORT);
    int fd = pel_real()->socket(domain, type, protocol);
    if (fd < 0 || !is_ours(domain, type, protocol))
        return fd;
    struct pel_file *file = pel_table_make(PEL_FILE_UNDECIDED);
    if (file != NULL) {
        file->family = (uint16_t)domain;
        file->type = (uint16_t)(type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC));
        if (pel_file_install(fd, file) == 0)
            return fd;
        pel_file_put(file);
    }
    pel_real()->close(fd);
    return (int)pel_result(-ENFILE);
}

/* A request about the socket as it is; 0 or an errno. */
static int ask(struct pel_file *file, struct pel_ipc_request *request)
{
    struct pel_ipc_reply reply;
    request->slot = file->number;
    request->serial = file->serial;
    request->options = file->slot->options;
    return pel_daemon_ask(file->app, request, &reply, NULL, 0, NULL);
}

static bool is_mapped(const union pel_ipc_address *address)
{
    return address->family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&address->in6.sin6_addr);
}

static int bind_decided(struct pel_file *file, const union pel_ipc_address *local)
{
    struct pel_ipc_request request = {.op = PEL_IPC_BIND};
    enum pel_file_kind kind = pel_file_kind(file);
    uint32_t flags = pel_shared_flags(file);
    if (kind == PEL_FILE_LISTENER || (flags & (PEL_SHARED_BOUND | PEL_SHARED_CONNECTING)))
        return EINVAL;
    if (file->slot->options.is_v6only && is_mapped(local))
        return EINVAL;
    if (pel_decide_place(local, true) != PEL_PLACE_STACK)
        return EADDRNOTAVAIL;
    request.local = *local;
    int error = ask(file, &request);
    if (error == 0)
        pel_shared_set(file, PEL_SHARED_BOUND);
    return error;
}

static bool is_v6only(int fd)
{
    int value = 0;
    socklen_t len = sizeof value;
    return pel_real()->getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &value, &len) == 0 && value != 0;
}

static int bind_undecided(struct pel_file *file, int fd, const struct sockaddr *address, socklen_t len,
                          const union pel_ipc_address *local)
{
    switch (pel_decide_place(local, true)) {
    case PEL_PLACE_NONE: return ENETDOWN;
    case PEL_PLACE_STACK:
        if (is_mapped(local) && is_v6only(fd))
            return EINVAL;
        return pel_decide_for_stack(file, local);
    case PEL_PLACE_KERNEL: break;
    }
    if (pel_real()->bind(fd, address, len) != 0)
        return errno;
    pel_decide_for_kernel(file);
    return 0;
}

static struct pel_file *file_or_watched(int fd)
{
    struct pel_file *file = pel_file_get(fd);
    return file != NULL ? file : pel_decide_watch(fd);
}

PEL_EXPORT int bind(int fd, const struct sockaddr *address, socklen_t len)
{
    struct pel_file *file = pel_env()->is_active ? file_or_watched(fd) : NULL;
    if (file == NULL)
        return pel_real()->bind(fd, address, len);
    enum pel_file_kind kind = pel_file_kind(file);
    union pel_ipc_address local;
    int error = ENOTSOCK;
    if (kind != PEL_FILE_EPOLL)
        error = pel_address_take(kind == PEL_FILE_UNDECIDED ? file->family : file->slot->family, address, len,
                                 &local);
    if (error == 0)
        error = kind == PEL_FILE_UNDECIDED ? bind_undecided(file, fd, address, len, &local)
                                           : bind_decided(file, &local);
    pel_file_put(file);
    return (int)pel_result(-error);
}

/* ---- connect ---- */

/* Begins a connection; 0: it is under way. Under setup_lock. */
static int begin(struct pel_file *file, const union pel_ipc_address *remote)
{
    struct pel_ipc_request request = {.op = PEL_IPC_CONNECT};
    struct pel_shared *shared = pel_shared_of(file);
    struct pel_slot *slot = file->slot;
    if (pel_decide_place(remote, false) != PEL_PLACE_STACK)
        return ENETUNREACH;
    if (slot->options.is_v6only && is_mapped(remote))
        return ENETUNREACH;
    request.remote = *remote;
    pel_names_find(remote, request.name, sizeof request.name);
    shared->remote = *remote;
    __atomic_store_n(&slot->rx_tail, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&slot->tx_head, 0, __ATOMIC_SEQ_CST);
    pel_shared_clear(file, PEL_SHARED_ERROR_TOLD | PEL_SHARED_RD_SHUT | PEL_SHARED_WR_SHUT | PEL_SHARED_CUT);
    pel_file_sign(file);
    int error = ask(file, &request);
    if (error == 0)
        pel_shared_set(file, PEL_SHARED_CONNECTING);
    return error;
}

/* What a connect finds: EINPROGRESS, begun now or under way; 0, done; or an errno. Under setup_lock. */
static int begin_or_look(struct pel_file *file, const union pel_ipc_address *remote, bool is_nonblock)
{
    uint32_t flags = pel_shared_flags(file), state = pel_file_state(file);
    if (pel_file_is_dead(file))
        return ENETDOWN;
    if (!(flags & PEL_SHARED_CONNECTING)) {
        int error = begin(file, remote);
        return error != 0 ? error : EINPROGRESS;
    }
    if (flags & (PEL_SHARED_ACCEPTED | PEL_SHARED_CONNECT_TOLD))
        return EISCONN;
    if (state & PEL_SLOT_OPEN)
        return 0;
    if (!(state & PEL_SLOT_GONE))
        return is_nonblock ? EALREADY : EINPROGRESS;
    int error = pel_file_take_error(file);
    if (error != 0)
        pel_shared_clear(file, PEL_SHARED_CONNECTING);
    else /* it failed, that was told: a new attempt */
        error = begin(file, remote);
    return error != 0 ? error : EINPROGRESS;
}

/* How a connect that was under way ended. */
static int end(struct pel_file *file)
{
    if (pel_file_state(file) & PEL_SLOT_OPEN)
        return 0;
    int error = pel_file_take_error(file);
    if (error == 0)
        return ECONNABORTED; /* another thread was told the reason */
    pel_shared_clear(file, PEL_SHARED_CONNECTING);
    return error;
}

static int connect_stream(struct pel_file *file, const union pel_ipc_address *remote)
{
    struct pel_shared *shared = pel_shared_of(file);
    bool is_nonblock = pel_shared_flags(file) & PEL_SHARED_NONBLOCK;
    if (!pel_lock_take(&shared->setup_lock))
        return EALREADY;
    bool is_under_way = pel_shared_flags(file) & PEL_SHARED_CONNECTING;
    int error = begin_or_look(file, remote, is_nonblock);
    pel_lock_give(&shared->setup_lock);
    int64_t deadline_us = 0;
    if (error == EINPROGRESS && !is_nonblock) {
        while (!(pel_file_state(file) & (PEL_SLOT_OPEN | PEL_SLOT_GONE)) && !pel_file_is_dead(file)) {
            int waited = pel_wait_until(file, PEL_OUT_EVENTS, shared->send_timeout_us, false, &deadline_us);
            if (waited != 0)
                return waited != -EAGAIN ? -waited : is_under_way ? EALREADY : EINPROGRESS;
        }
        error = end(file);
    }
    if (error == 0)
        pel_shared_set(file, PEL_SHARED_CONNECT_TOLD);
    return error;
}

static int connect_dgram(struct pel_file *file, const union pel_ipc_address *remote)
{
    struct pel_ipc_request request = {.op = PEL_IPC_CONNECT};
    if (remote->family != AF_UNSPEC && pel_decide_place(remote, false) != PEL_PLACE_STACK)
        return ENETUNREACH;
    request.remote = *remote;
    int error = ask(file, &request);
    if (error == 0)
        pel_shared_of(file)->remote = *remote;
    return error;
}

/* Ends a connection and returns when it has ended: at the engine's next look. */
static void abort_now(struct pel_file *file)
{
    struct timespec pause = {.tv_nsec = 50000};
    pel_file_ask(file, PEL_SLOT_ASK_ABORT);
    while (!(pel_file_state(file) & PEL_SLOT_GONE) && !pel_file_is_dead(file))
        pel_raw(SYS_nanosleep, (long)&pause, 0, 0, 0, 0, 0);
}

static void cut(struct pel_file *file)
{
    uint32_t error = pel_file_state(file) & PEL_SLOT_GONE ? 0 : PEL_SHARED_CUT;
    abort_now(file);
    pel_shared_of(file)->remote.family = AF_UNSPEC;
    pel_shared_set(file, error);
    pel_shared_clear(file, PEL_SHARED_CONNECTING | PEL_SHARED_CONNECT_TOLD | PEL_SHARED_ACCEPTED |
                               PEL_SHARED_MAPPED | PEL_SHARED_ERROR_TOLD | PEL_SHARED_RD_SHUT |
                               PEL_SHARED_WR_SHUT);
}

/* Resets the connection, after which the socket may be connected anew. */
static int dissolve_stream(struct pel_file *file)
{
    uint32_t flags = pel_shared_flags(file);
    if (pel_file_kind(file) == PEL_FILE_LISTENER)
        return EOPNOTSUPP;
    if (!(flags & PEL_SHARED_CONNECTING))
        return 0;
    cut(file);
    return 0;
}

static int dissolve(struct pel_file *file)
{
    const union pel_ipc_address none = {.family = AF_UNSPEC};
    return pel_file_kind(file) == PEL_FILE_DGRAM ? connect_dgram(file, &none) : dissolve_stream(file);
}

static int connect_decided(struct pel_file *file, const struct sockaddr *address, socklen_t len)
{
    union pel_ipc_address remote;
    if (address != NULL && len >= sizeof(sa_family_t) && address->sa_family == AF_UNSPEC)
        return dissolve(file);
    int error = pel_address_take(file->slot->family, address, len, &remote);
    if (error != 0)
        return error;
    switch (pel_file_kind(file)) {
    case PEL_FILE_STREAM: return connect_stream(file, &remote);
    case PEL_FILE_DGRAM: return connect_dgram(file, &remote);
    default: return EISCONN;
    }
}

/* -1: the kernel's from now on. */
static int connect_undecided(struct pel_file *file, const struct sockaddr *address, socklen_t len)
{
    union pel_ipc_address remote, local = {.family = AF_UNSPEC};
    if (address != NULL && len >= sizeof(sa_family_t) && address->sa_family == AF_UNSPEC)
        return 0;
    int error = pel_address_take(file->family, address, len, &remote);
    if (error != 0)
        return error;
    switch (pel_decide_place(&remote, false)) {
    case PEL_PLACE_NONE: return ENETDOWN;
    case PEL_PLACE_KERNEL: pel_decide_for_kernel(file); return -1;
    case PEL_PLACE_STACK: break;
    }
    if (file->type == SOCK_DGRAM)
        local.family = file->family;
    error = pel_decide_for_stack(file, &local);
    return error != 0 ? error : connect_decided(file, address, len);
}

PEL_EXPORT int connect(int fd, const struct sockaddr *address, socklen_t len)
{
    struct pel_file *file = pel_env()->is_active ? pel_file_get(fd) : NULL;
    /* Only Internet addresses can be the stack's; of a Unix socket no question is asked. */
    if (file == NULL && pel_env()->is_active && address != NULL && len >= sizeof(sa_family_t) &&
        (address->sa_family == AF_INET || address->sa_family == AF_INET6))
        file = pel_decide_watch(fd);
    if (file == NULL || pel_file_kind(file) == PEL_FILE_EPOLL) {
        if (file != NULL)
            pel_file_put(file);
        return pel_real()->connect(fd, address, len);
    }
    int error = pel_file_kind(file) == PEL_FILE_UNDECIDED ? connect_undecided(file, address, len)
                                                          : connect_decided(file, address, len);
    pel_file_put(file);
    return error < 0 ? pel_real()->connect(fd, address, len) : (int)pel_result(-error);
}

int pel_send_decides(struct pel_file *file, const struct sockaddr *address, socklen_t len)
{
    union pel_ipc_address remote, local = {.family = file->family};
    if (file->type != SOCK_DGRAM || address == NULL ||
        pel_address_take(file->family, address, len, &remote) != 0)
        return -1; /* the kernel's socket knows the right error */
    switch (pel_decide_place(&remote, false)) {
    case PEL_PLACE_NONE: return ENETDOWN;
    case PEL_PLACE_KERNEL: pel_decide_for_kernel(file); return -1;
    case PEL_PLACE_STACK: break;
    }
    return pel_decide_for_stack(file, &local);
}

/* ---- listen ---- */

static int listen_stream(struct pel_file *file, int fd, int backlog)
{
    struct pel_ipc_request request = {.op = PEL_IPC_LISTEN, .value = backlog < 1 ? 1u : (uint32_t)backlog};
    struct pel_shared *shared = pel_shared_of(file);
    if (pel_shared_flags(file) & PEL_SHARED_CONNECTING)
        return EINVAL;
    if (!pel_lock_take(&shared->setup_lock))
        return EINVAL;
    bool is_first = pel_file_kind(file) != PEL_FILE_LISTENER;
    bool is_shut = pel_shared_flags(file) & PEL_SHARED_RD_SHUT;
    int error = is_shut ? pel_listen_anew(file) : ask(file, &request);
    if (error == 0) {
        pel_shared_of(file)->backlog = request.value;
        pel_options_of_listener(file, fd);
        pel_shared_set(file, PEL_SHARED_BOUND);
        pel_shared_clear(file, PEL_SHARED_RD_SHUT);
        __atomic_store_n(&file->kind, PEL_FILE_LISTENER, __ATOMIC_SEQ_CST);
    }
    pel_lock_give(&shared->setup_lock);
    if (error == 0 && is_first)
        pel_epoll_decided(file, fd);
    return error;
}

PEL_EXPORT int listen(int fd, int backlog)
{
    const union pel_ipc_address none = {.family = AF_UNSPEC};
    struct pel_file *file = pel_env()->is_active ? file_or_watched(fd) : NULL;
    int error = 0;
    if (file == NULL)
        return pel_real()->listen(fd, backlog);
    if (pel_file_kind(file) == PEL_FILE_UNDECIDED && file->type == SOCK_STREAM)
        error = pel_decide_for_stack(file, &none);
    enum pel_file_kind kind = pel_file_kind(file);
    if (error == 0)
        error = kind == PEL_FILE_EPOLL                                 ? ENOTSOCK
                : kind == PEL_FILE_STREAM || kind == PEL_FILE_LISTENER ? listen_stream(file, fd, backlog)
                                                                       : EOPNOTSUPP;
    pel_file_put(file);
    return (int)pel_result(-error);
}

/* ---- shutdown ---- */

static int shutdown_stream(struct pel_file *file, int how)
{
    uint32_t state = pel_file_state(file), flags = pel_shared_flags(file);
    if (!(flags & PEL_SHARED_CONNECTING) || (state & PEL_SLOT_GONE) || pel_file_is_dead(file))
        return ENOTCONN;
    if (!((flags & PEL_SHARED_ACCEPTED) || (state & PEL_SLOT_OPEN))) {
        cut(file); /* as Linux: the attempt ends */
        return 0;
    }
    if (how != SHUT_WR)
        pel_shared_set(file, PEL_SHARED_RD_SHUT);
    if (how != SHUT_RD && !(pel_shared_set(file, PEL_SHARED_WR_SHUT) & PEL_SHARED_WR_SHUT)) {
        pel_file_map(file); /* the end is sent as policy says: close_notify and FIN, or FIN */
        pel_file_ask(file, PEL_SLOT_ASK_SHUT_WR);
    }
    pel_epoll_changed(file);
    pel_wake_watchers(file);
    return 0;
}

static int shutdown_dgram(struct pel_file *file, int how)
{
    if (how != SHUT_WR)
        pel_shared_set(file, PEL_SHARED_RD_SHUT);
    if (how != SHUT_RD)
        pel_shared_set(file, PEL_SHARED_WR_SHUT);
    pel_epoll_changed(file);
    pel_wake_watchers(file);
    return pel_shared_of(file)->remote.family == AF_UNSPEC ? ENOTCONN : 0;
}

static int shutdown_listener(struct pel_file *file, int fd, int how)
{
    if (how == SHUT_WR)
        return 0; /* as Linux: it never sends */
    pel_shared_set(file, PEL_SHARED_RD_SHUT);
    struct pel_ipc_request request = {.op = PEL_IPC_UNLISTEN};
    ask(file, &request);
    pel_raw(SYS_shutdown, fd, SHUT_RD, 0, 0, 0, 0); /* who waits in accept is woken by the kernel */
    return 0;
}

PEL_EXPORT int shutdown(int fd, int how)
{
    struct pel_file *file = pel_file_get(fd);
    int error = how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR ? EINVAL : 0;
    if (file == NULL)
        return pel_real()->shutdown(fd, how);
    if (error == 0) {
        switch (pel_file_kind(file)) {
        case PEL_FILE_UNDECIDED:
        case PEL_FILE_EPOLL: error = pel_real()->shutdown(fd, how) != 0 ? errno : 0; break;
        case PEL_FILE_STREAM: error = shutdown_stream(file, how); break;
        case PEL_FILE_DGRAM: error = shutdown_dgram(file, how); break;
        case PEL_FILE_LISTENER: error = shutdown_listener(file, fd, how); break;
        }
    }
    pel_file_put(file);
    return (int)pel_result(-error);
}

/* ---- names ---- */

static int name_of(struct pel_file *file, bool is_peer, struct sockaddr *ret_address, socklen_t *len)
{
    const struct pel_slot *slot = file->slot;
    if (len == NULL)
        return EFAULT;
    if ((int)*len < 0)
        return EINVAL;
    if (ret_address == NULL && *len > 0)
        return EFAULT;
    if (!is_peer) {
        pel_address_give(slot->family, &slot->local, ret_address, len);
        return 0;
    }
    uint32_t state = pel_file_state(file), flags = pel_shared_flags(file);
    union pel_ipc_address remote = pel_shared_of(file)->remote;
    bool is_connected = pel_file_kind(file) == PEL_FILE_DGRAM
                            ? remote.family != AF_UNSPEC
                            : ((flags & PEL_SHARED_ACCEPTED) || (state & PEL_SLOT_OPEN)) &&
                                  !(state & PEL_SLOT_GONE) && !pel_file_is_dead(file);
    if (!is_connected || pel_file_kind(file) == PEL_FILE_LISTENER)
        return ENOTCONN;
    pel_address_give(slot->family, flags & PEL_SHARED_ACCEPTED ? &slot->remote : &remote, ret_address, len);
    return 0;
}

/* 1: it is the kernel's to say. */
static int name_of_fd(int fd, bool is_peer, struct sockaddr *ret_address, socklen_t *len)
{
    struct pel_file *file = pel_file_get(fd);
    if (file == NULL)
        return 1;
    enum pel_file_kind kind = pel_file_kind(file);
    bool is_kernels = kind == PEL_FILE_UNDECIDED || kind == PEL_FILE_EPOLL;
    int error = is_kernels ? 0 : name_of(file, is_peer, ret_address, len);
    pel_file_put(file);
    return is_kernels ? 1 : (int)pel_result(-error);
}

PEL_EXPORT int getsockname(int fd, struct sockaddr *ret_address, socklen_t *len)
{
    int result = name_of_fd(fd, false, ret_address, len);
    return result == 1 ? pel_real()->getsockname(fd, ret_address, len) : result;
}

PEL_EXPORT int getpeername(int fd, struct sockaddr *ret_address, socklen_t *len)
{
    int result = name_of_fd(fd, true, ret_address, len);
    return result == 1 ? pel_real()->getpeername(fd, ret_address, len) : result;
}
