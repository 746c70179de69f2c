/* SPDX-License-Identifier: Apache-2.0 */
#include "stack/socket_table.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>

#include "stack/socket.h"
#include "stack/socket_epoll.h"
#include "stack/socket_stream.h"
#include "stack/socket_udp.h"
#include <pellucid/socket.h>

#define SLOTS_PER_CHUNK 1024u
#define NO_SLOT         UINT32_MAX

struct slot {
    uint32_t is_locked; /* atomic: guards `sock` for the few instructions of a look-up */
    uint32_t next_free; /* under pel_sockets.lock */
    struct pel_sock *sock;
};

/* The process's default stack: the one writable global of the sockets. Slots, once made, stay: a look-up
 * needs no lock to find one. */
static struct {
    pthread_mutex_t lock;
    struct pel_homes *homes; /* NULL: not started */
    uint32_t max_open, num_open, num_made, first_free;
    struct slot *chunks[PEL_SOCKETS_LIMIT / SLOTS_PER_CHUNK]; /* atomic pointers */
} pel_sockets = {.lock = PTHREAD_MUTEX_INITIALIZER, .first_free = NO_SLOT};

static struct slot *slot_at(uint32_t index)
{
    if (index >= PEL_SOCKETS_LIMIT)
        return NULL;
    struct slot *chunk = __atomic_load_n(&pel_sockets.chunks[index / SLOTS_PER_CHUNK], __ATOMIC_ACQUIRE);
    return chunk == NULL ? NULL : &chunk[index % SLOTS_PER_CHUNK];
}

static struct slot *slot_of(int fd)
{
    return fd < PEL_FD_BASE ? NULL : slot_at((uint32_t)(fd - PEL_FD_BASE));
}

static void slot_lock(struct slot *slot)
{
    while (__atomic_exchange_n(&slot->is_locked, 1, __ATOMIC_ACQUIRE))
        sched_yield();
}

static void slot_unlock(struct slot *slot)
{
    __atomic_store_n(&slot->is_locked, 0, __ATOMIC_RELEASE);
}

/* A number that was never used. Under the lock. */
static int make_slot(uint32_t *ret_index)
{
    uint32_t index = pel_sockets.num_made;
    if (index >= PEL_SOCKETS_LIMIT)
        return EMFILE;
    if (slot_at(index) == NULL) {
        struct slot *chunk = calloc(SLOTS_PER_CHUNK, sizeof *chunk);
        if (chunk == NULL)
            return ENOMEM;
        __atomic_store_n(&pel_sockets.chunks[index / SLOTS_PER_CHUNK], chunk, __ATOMIC_RELEASE);
    }
    pel_sockets.num_made++;
    *ret_index = index;
    return 0;
}

static int reserve_locked(uint32_t *ret_index)
{
    if (pel_sockets.num_open >= pel_sockets.max_open)
        return EMFILE;
    if (pel_sockets.first_free == NO_SLOT)
        return make_slot(ret_index);
    *ret_index = pel_sockets.first_free;
    pel_sockets.first_free = slot_at(*ret_index)->next_free;
    return 0;
}

int pel_fd_reserve(void)
{
    uint32_t index = 0;
    pthread_mutex_lock(&pel_sockets.lock);
    int error = reserve_locked(&index);
    if (error == 0)
        pel_sockets.num_open++;
    pthread_mutex_unlock(&pel_sockets.lock);
    return error == 0 ? PEL_FD_BASE + (int)index : -error;
}

void pel_fd_release(int fd)
{
    uint32_t index = (uint32_t)(fd - PEL_FD_BASE);
    pthread_mutex_lock(&pel_sockets.lock);
    slot_at(index)->next_free = pel_sockets.first_free;
    pel_sockets.first_free = index;
    pel_sockets.num_open--;
    pthread_mutex_unlock(&pel_sockets.lock);
}

void pel_fd_install(int fd, struct pel_sock *sock)
{
    struct slot *slot = slot_of(fd);
    slot_lock(slot);
    slot->sock = sock;
    slot_unlock(slot);
}

struct pel_sock *pel_fd_get(int fd)
{
    struct slot *slot = slot_of(fd);
    if (slot == NULL)
        return NULL;
    slot_lock(slot);
    struct pel_sock *sock = slot->sock;
    if (sock != NULL)
        pel_sock_ref(sock);
    slot_unlock(slot);
    return sock;
}

struct pel_sock *pel_fd_take(int fd)
{
    struct slot *slot = slot_of(fd);
    if (slot == NULL)
        return NULL;
    slot_lock(slot);
    struct pel_sock *sock = slot->sock;
    slot->sock = NULL;
    slot_unlock(slot);
    return sock;
}

uint32_t pel_fd_num_open(void)
{
    pthread_mutex_lock(&pel_sockets.lock);
    uint32_t num_open = pel_sockets.num_open;
    pthread_mutex_unlock(&pel_sockets.lock);
    return num_open;
}

struct pel_homes *pel_sockets_homes(void)
{
    pthread_mutex_lock(&pel_sockets.lock);
    struct pel_homes *homes = pel_sockets.homes == NULL ? NULL : pel_homes_ref(pel_sockets.homes);
    pthread_mutex_unlock(&pel_sockets.lock);
    return homes;
}

static bool is_good_config(const struct pel_sockets_config *config, uint32_t buffer_len)
{
    return config->max_sockets <= PEL_SOCKETS_LIMIT && buffer_len >= (1u << 10) && buffer_len <= (1u << 30) &&
           (buffer_len & (buffer_len - 1)) == 0;
}

enum pel_err pel_sockets_start(struct pel_engine *const *engines, size_t num_engines,
                               const struct pel_sockets_config *config)
{
    uint32_t buffer_len = config->buffer_len == 0 ? PEL_SOCKETS_BUFFER_LEN : config->buffer_len;
    struct pel_homes *homes = NULL;
    if (num_engines == 0 || !is_good_config(config, buffer_len))
        return PEL_E_ARG;
    PEL_TRY(pel_homes_new(engines, num_engines, buffer_len, config->clock, &homes));
    pthread_mutex_lock(&pel_sockets.lock);
    bool is_first = pel_sockets.homes == NULL;
    if (is_first) {
        pel_sockets.homes = homes;
        pel_sockets.max_open = config->max_sockets == 0 ? PEL_SOCKETS_LIMIT : config->max_sockets;
    }
    pthread_mutex_unlock(&pel_sockets.lock);
    if (is_first)
        return PEL_OK;
    pel_homes_unref(homes);
    return PEL_E_STATE;
}

void pel_sockets_stop(void)
{
    pthread_mutex_lock(&pel_sockets.lock);
    struct pel_homes *homes = pel_sockets.homes;
    pel_sockets.homes = NULL;
    pthread_mutex_unlock(&pel_sockets.lock);
    if (homes == NULL)
        return;
    pel_homes_stop(homes);
    pel_homes_unref(homes);
}

ssize_t pel_result(ssize_t result)
{
    if (result >= 0)
        return result;
    errno = (int)-result;
    return -1;
}

/* What kind of socket the arguments of pel_socket ask for; errno or 0. */
static int check_kind(int domain, int type, int protocol)
{
    if (domain != AF_INET && domain != AF_INET6)
        return EAFNOSUPPORT;
    if (type == SOCK_STREAM)
        return protocol == 0 || protocol == IPPROTO_TCP ? 0 : EPROTONOSUPPORT;
    if (type == SOCK_DGRAM)
        return protocol == 0 || protocol == IPPROTO_UDP ? 0 : EPROTONOSUPPORT;
    return EPROTONOSUPPORT;
}

static struct pel_sock *make_sock(int domain, int type, struct pel_homes *homes)
{
    if (type == SOCK_STREAM) {
        struct pel_stream *stream = pel_stream_new(domain, homes);
        return stream == NULL ? NULL : &stream->sock;
    }
    struct pel_dgram *udp = pel_dgram_new(domain, homes);
    return udp == NULL ? NULL : &udp->sock;
}

/* Puts a new object behind a new number. */
static int install_new(struct pel_sock *sock, bool is_nonblock)
{
    if (sock == NULL)
        return -ENOMEM;
    sock->is_nonblock = is_nonblock;
    int fd = pel_fd_reserve();
    if (fd < 0)
        pel_sock_unref(sock);
    else
        pel_fd_install(fd, sock);
    return fd;
}

int pel_socket(int domain, int type, int protocol)
{
    int flags = type & (SOCK_NONBLOCK | SOCK_CLOEXEC);
    int error = check_kind(domain, type & ~flags, protocol);
    if (error != 0)
        return (int)pel_result(-error);
    struct pel_homes *homes = pel_sockets_homes();
    if (homes == NULL)
        return (int)pel_result(-ENETDOWN);
    int fd = install_new(make_sock(domain, type & ~flags, homes), (flags & SOCK_NONBLOCK) != 0);
    pel_homes_unref(homes);
    return (int)pel_result(fd);
}

int pel_epoll_create1(int flags)
{
    if (flags & ~EPOLL_CLOEXEC)
        return (int)pel_result(-EINVAL);
    struct pel_homes *homes = pel_sockets_homes();
    if (homes == NULL)
        return (int)pel_result(-ENETDOWN);
    int fd = install_new(pel_epoll_new(homes), false);
    pel_homes_unref(homes);
    return (int)pel_result(fd);
}

int pel_close(int fd)
{
    struct pel_sock *sock = pel_fd_take(fd);
    if (sock == NULL)
        return (int)pel_result(-EBADF);
    pel_sock_mark_closed(sock);
    pel_epoll_forget(sock);
    sock->ops->close(sock);
    pel_sock_unref(sock);
    pel_fd_release(fd);
    return 0;
}
