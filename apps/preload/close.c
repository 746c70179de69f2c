/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/preload/close.h"

#include <errno.h>
#include <fcntl.h>
#include <time.h>
#include <sys/socket.h>

#include "apps/preload/daemon.h"
#include "apps/preload/real.h"
#include "apps/preload/stream.h"
#include "apps/preload/table.h"
#include "apps/preload/wait.h"
#include "apps/preload/wake.h"

static long own_pid; /* the process that the table belongs to */

void pel_close_forked(void)
{
    own_pid = pel_raw(SYS_getpid, 0, 0, 0, 0, 0, 0);
}

bool pel_close_is_borrowed(void)
{
    return own_pid != 0 && own_pid != pel_raw(SYS_getpid, 0, 0, 0, 0, 0, 0);
}

static bool is_of_stack(const struct pel_file *file)
{
    enum pel_file_kind kind = pel_file_kind(file);
    return kind == PEL_FILE_STREAM || kind == PEL_FILE_LISTENER || kind == PEL_FILE_DGRAM;
}

static bool is_valid(const struct pel_file *file)
{
    return !pel_file_is_dead(file) && __atomic_load_n(&file->slot->serial, __ATOMIC_RELAXED) == file->serial;
}

/* SO_LINGER with a time: what was written gets it to be sent. A signal's handler ends that, as in the kernel.
 */
static void linger(struct pel_file *file, uint32_t time_s)
{
    struct timespec pause = {.tv_nsec = 1000000};
    int64_t end_ns = pel_deadline_ns((int64_t)time_s * 1000000000);
    while (pel_stream_unsent(file) > 0 && pel_now_ns() < end_ns) {
        if ((pel_file_state(file) & PEL_SLOT_GONE) || pel_file_is_dead(file))
            return;
        if (pel_raw(SYS_nanosleep, (long)&pause, 0, 0, 0, 0, 0) == -EINTR)
            return;
    }
}

/* This process holds the socket no longer. The channel is closed after that. */
static void leave(struct pel_file *file, bool may_wait)
{
    if (!is_of_stack(file) || __atomic_exchange_n(&file->is_left, 1, __ATOMIC_ACQ_REL) || !is_valid(file))
        return;
    struct pel_slot *slot = file->slot;
    bool is_last = __atomic_load_n(&slot->num_holders, __ATOMIC_ACQUIRE) == 1;
    if (is_last && pel_file_kind(file) == PEL_FILE_STREAM)
        pel_file_map(file); /* the end is sent as policy says */
    if (is_last && pel_file_kind(file) == PEL_FILE_STREAM && slot->options.is_linger) {
        if (slot->options.linger_s == 0)
            pel_file_ask(file, PEL_SLOT_ASK_ABORT);
        else if (may_wait)
            linger(file, slot->options.linger_s);
    }
    uint32_t flags = pel_shared_flags(file);
    bool has_name = pel_file_kind(file) != PEL_FILE_STREAM ||
                    (flags & (PEL_SHARED_BOUND | PEL_SHARED_CONNECTING)) == PEL_SHARED_BOUND;
    if (__atomic_fetch_sub(&slot->num_holders, 1, __ATOMIC_ACQ_REL) == 1)
        file->is_name_free = has_name;
}

/* The last holder has closed what has a name but is no connection: when close returns nobody can connect to
 * it any more, and its name can be bound again. The daemon looks whether it was indeed the last copy. */
static void give_name_back(struct pel_file *file)
{
    struct pel_ipc_request request = {.op = PEL_IPC_CLOSE, .slot = file->number, .serial = file->serial};
    struct pel_ipc_reply reply;
    if (!file->is_name_free)
        return;
    file->is_name_free = false;
    pel_daemon_ask(file->app, &request, &reply, NULL, 0, NULL);
}

void pel_close_done(struct pel_file *file)
{
    give_name_back(file);
    pel_file_put(file);
}

void pel_close_last(struct pel_file *file)
{
    leave(file, false);
    if (file->parked_fd >= 0)
        pel_daemon_unhide(file->parked_fd);
    file->parked_fd = -1;
    give_name_back(file);
}

struct pel_file *pel_close_number(int fd)
{
    pel_table_lock();
    struct pel_file *file = pel_table_peek(fd);
    bool is_hidden = file == PEL_TABLE_HIDDEN;
    if (file != NULL && !is_hidden)
        pel_table_set(fd, NULL);
    bool is_last = file != NULL && !is_hidden && file->num_fds == 0;
    pel_table_unlock();
    if (file == NULL || is_hidden)
        return NULL;
    if (!is_last)
        return file;
    pel_epoll_forget(file);
    if (!is_of_stack(file))
        return file;
    /* Calls under way keep the socket, as they do in the kernel. */
    if (__atomic_load_n(&file->refs, __ATOMIC_ACQUIRE) == 1) {
        leave(file, true);
    } else {
        long parked_fd = pel_raw(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 3, 0, 0, 0);
        if (parked_fd >= 0)
            file->parked_fd = pel_daemon_hide((int)parked_fd);
    }
    return file;
}

PEL_EXPORT int close(int fd)
{
    struct pel_file *file = pel_table_peek(fd);
    if (__builtin_expect(file == NULL, 1))
        return pel_real()->close(fd);
    if (pel_close_is_borrowed())
        return (int)pel_result(pel_raw(SYS_close, fd, 0, 0, 0, 0, 0));
    if (file == PEL_TABLE_HIDDEN)
        return (int)pel_result(-EBADF);
    file = pel_close_number(fd);
    int result = pel_real()->close(fd);
    if (file != NULL)
        pel_close_done(file);
    return result;
}

typedef void each_fn(struct pel_file *file);

/* Each socket of the stack once, by the number that it has in the file. */
static void for_each(each_fn *fn)
{
    struct pel_file *file = NULL;
    for (int fd = pel_table_next(0, &file); fd >= 0; fd = pel_table_next(fd + 1, &file)) {
        if (file != PEL_TABLE_HIDDEN && file->fd == fd && is_of_stack(file) && is_valid(file))
            fn(file);
    }
}

static void enter(struct pel_file *file)
{
    if (__atomic_exchange_n(&file->is_left, 0, __ATOMIC_ACQ_REL))
        __atomic_fetch_add(&file->slot->num_holders, 1, __ATOMIC_ACQ_REL);
}

static void leave_at_end(struct pel_file *file)
{
    leave(file, false);
    /* Who starts the program again finds its names free. */
    if (file->is_name_free && file->num_fds == 1) {
        pel_raw(SYS_close, file->fd, 0, 0, 0, 0, 0);
        give_name_back(file);
    }
}

static void leave_for_exec(struct pel_file *file)
{
    if (!__atomic_exchange_n(&file->is_left, 1, __ATOMIC_ACQ_REL))
        __atomic_fetch_sub(&file->slot->num_holders, 1, __ATOMIC_ACQ_REL);
}

void pel_close_leave_all(bool is_end)
{
    if (pel_table_num_files() > 0)
        for_each(is_end ? leave_at_end : leave_for_exec);
}

void pel_close_enter_all(void)
{
    if (pel_table_num_files() > 0)
        for_each(enter);
}

static void count(struct pel_file *file)
{
    file->is_counted = !file->is_left;
    if (file->is_counted)
        __atomic_fetch_add(&file->slot->num_holders, 1, __ATOMIC_ACQ_REL);
}

static void uncount(struct pel_file *file)
{
    if (file->is_counted)
        __atomic_fetch_sub(&file->slot->num_holders, 1, __ATOMIC_ACQ_REL);
    file->is_counted = false;
}

void pel_close_count_child(void)
{
    if (pel_table_num_files() > 0)
        for_each(count);
}

void pel_close_uncount_child(void)
{
    if (pel_table_num_files() > 0)
        for_each(uncount);
}
