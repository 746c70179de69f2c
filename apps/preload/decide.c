/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/preload/decide.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <string.h>

#include "apps/preload/adopt.h"
#include "apps/preload/env.h"
#include "apps/preload/options.h"
#include "apps/preload/real.h"
#include "apps/preload/shared.h"
#include "apps/preload/table.h"
#include "apps/preload/wait.h"

/* One decision at a time. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

enum pel_place pel_decide_place(const union pel_ipc_address *address, bool is_bind)
{
    const struct pel_ipc_network *network = NULL;
    /* To connect to the wildcard is to connect to this host. */
    if (pel_address_is_any(address) && !is_bind)
        return PEL_PLACE_KERNEL;
    if (pel_daemon_app() == NULL)
        return pel_address_is_loopback(address) ? PEL_PLACE_KERNEL : PEL_PLACE_NONE;
    if (pel_address_is_any(address))
        return PEL_PLACE_STACK;
    for (uint32_t i = 0; pel_daemon_network(i, &network); i++) {
        if (pel_address_is_in(address, network))
            return PEL_PLACE_KERNEL;
    }
    return PEL_PLACE_STACK;
}

void pel_decide_for_kernel(struct pel_file *file)
{
    uint32_t num_taken = 0;
    pel_table_lock();
    while (pel_file_kind(file) == PEL_FILE_UNDECIDED && file->fd >= 0) {
        pel_table_set(file->fd, NULL);
        num_taken++;
    }
    pel_table_unlock();
    if (num_taken > 0)
        pel_epoll_forget(file);
    while (num_taken-- > 0)
        pel_file_put(file);
}

void pel_file_point(struct pel_file *file, struct pel_app *app, uint32_t number, uint32_t serial)
{
    file->app = app;
    file->number = number;
    file->serial = serial;
    file->slot = pel_segment_slot(app->base, &app->header, number);
    file->rx = (struct pel_ring){.bytes = pel_slot_rx_ring(file->slot), .len = app->header.ring_len};
    file->tx = (struct pel_ring){.bytes = pel_slot_tx_ring(file->slot, app->header.ring_len),
                                 .len = app->header.ring_len};
}

#define MAX_NUMBERS 64

/* The numbers that lead to the file, up to MAX_NUMBERS: more copies of a socket that is just being made are
 * not to be expected, and would stay what they are. */
static unsigned numbers_of(const struct pel_file *file, int ret_numbers[MAX_NUMBERS])
{
    struct pel_file *found = NULL;
    unsigned num = 0;
    pel_table_lock();
    if (file->num_fds == 1)
        ret_numbers[num++] = file->fd;
    for (int fd = num > 0 ? -1 : pel_table_next(0, &found); fd >= 0 && num < MAX_NUMBERS;
         fd = pel_table_next(fd + 1, &found)) {
        if (found == file)
            ret_numbers[num++] = fd;
    }
    pel_table_unlock();
    return num;
}

int pel_decide_replace(struct pel_file *file, int channel)
{
    int numbers[MAX_NUMBERS];
    unsigned num = numbers_of(file, numbers);
    long result = 0;
    for (unsigned i = 0; i < num; i++)
        pel_epoll_deciding(file, numbers[i]);
    pel_table_lock();
    for (unsigned i = 0; i < num && result >= 0; i++) {
        if (pel_table_peek(numbers[i]) != file)
            continue; /* closed meanwhile */
        long flags = pel_raw(SYS_fcntl, numbers[i], F_GETFD, 0, 0, 0, 0);
        result = pel_raw(SYS_dup3, channel, numbers[i], flags & FD_CLOEXEC ? O_CLOEXEC : 0, 0, 0, 0);
    }
    pel_table_unlock();
    pel_raw(SYS_close, channel, 0, 0, 0, 0, 0);
    for (unsigned i = 0; i < num; i++)
        pel_epoll_decided(file, numbers[i]);
    return result < 0 ? (int)-result : 0;
}

/* Asks for a slot; again at a new daemon when the one that we knew is gone. */
static int ask_socket(struct pel_ipc_request *request, struct pel_ipc_reply *ret_reply,
                      struct pel_app **ret_app, int *ret_channel)
{
    for (int i = 0;; i++) {
        size_t num_fds = 0;
        *ret_app = pel_daemon_app();
        if (*ret_app == NULL)
            return ENETDOWN;
        int error = pel_daemon_ask_low(*ret_app, request, ret_reply, ret_channel, 1, &num_fds);
        if (error == 0 && num_fds != 1)
            return EMFILE; /* there was no number for it to come in by */
        if (error == 0 && ret_reply->slot >= (*ret_app)->header.num_sockets)
            return ENETDOWN;
        if (error != ECONNRESET || i == 1)
            return error == ECONNRESET ? ENETDOWN : error;
    }
}

void pel_decide_forked(void)
{
    pthread_mutex_init(&lock, NULL);
}

static int decide_locked(struct pel_file *file, const union pel_ipc_address *local)
{
    struct pel_ipc_request request = {.op = PEL_IPC_SOCKET, .family = file->family, .type = file->type};
    struct pel_ipc_reply reply;
    struct pel_app *app;
    int channel = -1, fd = file->fd;
    if (fd < 0)
        return EBADF;
    request.local = *local;
    pel_options_of_kernel(fd, &request.options);
    int error = ask_socket(&request, &reply, &app, &channel);
    if (error != 0)
        return error;
    pel_file_point(file, app, reply.slot, reply.serial);
    file->slot->options = request.options;
    pel_options_carry_over(fd, file);
    if (local->family != AF_UNSPEC)
        pel_shared_set(file, PEL_SHARED_BOUND);
    __atomic_store_n(&file->kind, file->type == SOCK_STREAM ? PEL_FILE_STREAM : PEL_FILE_DGRAM,
                     __ATOMIC_SEQ_CST);
    return pel_decide_replace(file, channel);
}

int pel_decide_for_stack(struct pel_file *file, const union pel_ipc_address *local)
{
    int error = local->family != AF_UNSPEC ? EINVAL : 0;
    pthread_mutex_lock(&lock);
    if (pel_file_kind(file) == PEL_FILE_UNDECIDED)
        error = decide_locked(file, local);
    pthread_mutex_unlock(&lock);
    return error;
}

static int option_of(int fd, int name)
{
    int value = -1;
    socklen_t len = sizeof value;
    return pel_raw(SYS_getsockopt, fd, SOL_SOCKET, name, (long)&value, (long)&len, 0) == 0 ? value : -1;
}

struct pel_file *pel_decide_watch(int fd)
{
    union pel_ipc_address local;
    socklen_t len = sizeof local;
    if (!pel_env()->is_active || pel_table_peek(fd) != NULL)
        return NULL;
    int domain = option_of(fd, SO_DOMAIN), type = option_of(fd, SO_TYPE),
        protocol = option_of(fd, SO_PROTOCOL);
    if ((domain != AF_INET && domain != AF_INET6) || (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP))
        return NULL;
    if (pel_raw(SYS_getsockname, fd, (long)&local, (long)&len, 0, 0, 0) < 0 || pel_address_port(&local) != 0)
        return NULL;
    struct pel_file *file = pel_table_make(PEL_FILE_UNDECIDED);
    if (file == NULL)
        return NULL;
    file->family = (uint16_t)domain;
    file->type = (uint16_t)type;
    if (pel_file_install(fd, file) == 0)
        return pel_file_get(fd);
    pel_file_put(file);
    return NULL;
}

int pel_file_info(struct pel_file *file, struct pel_ipc_info *ret_info)
{
    struct pel_ipc_request request = {.op = PEL_IPC_INFO, .slot = file->number, .serial = file->serial};
    struct pel_ipc_reply reply;
    int error = pel_daemon_ask(file->app, &request, &reply, NULL, 0, NULL);
    if (error == 0)
        *ret_info = reply.info;
    return error;
}
