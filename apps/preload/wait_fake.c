/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/preload/wait_fake.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "apps/preload/daemon.h"
#include "apps/preload/env.h"
#include "apps/preload/table.h"
#include "apps/preload/wait.h"
#include "ipc/raw.h"

#define NUM_APPS    256
#define NUM_SOCKETS 16384
#define NUM_NUMBERS 65536
#define RING_LEN    4096u

/* Not the C library's, which is a point of cancellation. */
static void shut(int fd)
{
    pel_raw(SYS_close, fd, 0, 0, 0, 0, 0);
}

static struct pel_file *table[NUM_NUMBERS];
static int wake_ends[PEL_SEGMENT_WAKERS]; /* the daemon's ends of the wake channels */
static int listener_ends[NUM_NUMBERS];    /* and of listeners' channels, by number */
static uint32_t next_slot, num_hidden, num_hidden_before;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

struct pel_app *pel_fake_start(uint32_t num_wakers)
{
    static struct pel_app apps[NUM_APPS];
    static uint32_t num_apps;
    if (num_apps == NUM_APPS)
        abort();
    struct pel_app *app = &apps[num_apps++];
    app->header = (struct pel_segment_header){
        .num_engines = 1, .num_wakers = num_wakers, .num_sockets = NUM_SOCKETS, .ring_len = RING_LEN};
    pel_segment_lay_out(&app->header);
    /* Shared, as the real one is: a forked child sees the same. */
    app->base = mmap(NULL, app->header.len, PROT_READ | PROT_WRITE,
                     MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    next_slot = 0;
    num_hidden_before = num_hidden; /* threads keep what they had of earlier ones */
    for (uint32_t i = 0; i < PEL_SEGMENT_WAKERS; i++)
        wake_ends[i] = -1;
    return app;
}

struct pel_file *pel_file_get(int fd)
{
    if ((unsigned)fd >= NUM_NUMBERS)
        return NULL;
    struct pel_file *file = __atomic_load_n(&table[fd], __ATOMIC_ACQUIRE);
    if (file != NULL)
        __atomic_fetch_add(&file->refs, 1, __ATOMIC_RELAXED);
    return file;
}

void pel_file_put(struct pel_file *file)
{
    if (__atomic_fetch_sub(&file->refs, 1, __ATOMIC_ACQ_REL) != 1)
        return;
    if (file->epoll != NULL)
        pel_epoll_free(file->epoll);
    if (file->members != NULL)
        abort(); /* a set would keep what is freed */
    pthread_mutex_destroy(&file->lock);
    free(file);
}

struct pel_file *pel_table_make(enum pel_file_kind kind)
{
    struct pel_file *file = calloc(1, sizeof *file);
    file->kind = kind;
    file->refs = 1;
    pthread_mutex_init(&file->lock, NULL);
    return file;
}

int pel_file_install(int fd, struct pel_file *file)
{
    if ((unsigned)fd >= NUM_NUMBERS)
        return ENFILE;
    __atomic_fetch_add(&file->num_fds, 1, __ATOMIC_SEQ_CST);
    __atomic_store_n(&table[fd], file, __ATOMIC_RELEASE);
    return 0;
}

uint32_t pel_file_events(struct pel_file *file, uint32_t wanted)
{
    struct pel_slot *slot = file->slot;
    uint32_t events = 0, state = __atomic_load_n(&slot->state, __ATOMIC_ACQUIRE);
    if (__atomic_load_n(&file->app->is_gone, __ATOMIC_ACQUIRE))
        return POLLIN | POLLERR | POLLHUP;
    if (__atomic_load_n(&slot->rx_head, __ATOMIC_ACQUIRE) !=
        __atomic_load_n(&slot->rx_tail, __ATOMIC_RELAXED))
        events |= POLLIN | POLLRDNORM;
    if (state & PEL_SLOT_EOF)
        events |= POLLIN | POLLRDHUP;
    if (state & PEL_SLOT_GONE)
        events |= POLLIN | POLLHUP | POLLERR;
    bool has_room = !__atomic_load_n(&slot->pending_errno, __ATOMIC_ACQUIRE); /* stands for a full ring */
    if (!has_room && (wanted & POLLOUT)) {
        __atomic_exchange_n(&slot->wants_room, 1, __ATOMIC_SEQ_CST);
        has_room = !__atomic_load_n(&slot->pending_errno, __ATOMIC_ACQUIRE);
    }
    return events | (has_room ? POLLOUT | POLLWRNORM : 0);
}

void pel_file_kick(struct pel_file *file)
{
    (void)file;
}

const struct pel_env *pel_env(void)
{
    static const struct pel_env env = {.is_read = true, .is_active = true};
    return &env;
}

/* --- the daemon's connection --- */

struct pel_app *pel_daemon_app(void)
{
    return NULL;
}

int pel_daemon_hide(int fd)
{
    __atomic_fetch_add(&num_hidden, 1, __ATOMIC_RELAXED);
    return fd;
}

void pel_daemon_unhide(int fd)
{
    __atomic_fetch_sub(&num_hidden, 1, __ATOMIC_RELAXED);
    shut(fd);
}

uint32_t pel_fake_num_hidden(void)
{
    return num_hidden - num_hidden_before;
}

int pel_daemon_ask(struct pel_app *app, struct pel_ipc_request *request, struct pel_ipc_reply *ret_reply,
                   int *ret_fds, size_t max_fds, size_t *ret_num_fds)
{
    int ends[2];
    (void)ret_reply;
    if (request->op != PEL_IPC_WAKER || request->value >= app->header.num_wakers || max_fds < 1)
        return EINVAL;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return errno;
    pthread_mutex_lock(&lock);
    if (wake_ends[request->value] >= 0)
        shut(wake_ends[request->value]);
    wake_ends[request->value] = ends[0];
    pthread_mutex_unlock(&lock);
    ret_fds[0] = pel_daemon_hide(ends[1]);
    *ret_num_fds = 1;
    return 0;
}

void pel_daemon_died(struct pel_app *app)
{
    __atomic_store_n(&app->is_gone, 1, __ATOMIC_RELEASE);
}

void pel_fake_die(struct pel_app *app)
{
    (void)app;
    for (uint32_t i = 0; i < PEL_SEGMENT_WAKERS; i++) {
        if (wake_ends[i] >= 0)
            shut(wake_ends[i]);
        wake_ends[i] = -1;
    }
    for (uint32_t i = 0; i < NUM_NUMBERS; i++) {
        if (listener_ends[i] > 0)
            shut(listener_ends[i]);
        listener_ends[i] = 0;
    }
}

uint32_t pel_fake_num_wakers(const struct pel_app *app)
{
    uint32_t num = 0;
    for (uint32_t i = 0; i < app->header.num_wakers; i++)
        num += pel_segment_waker(app->base, &app->header, i)->owner_pid != 0;
    return num;
}

/* --- the program's side --- */

static void point(struct pel_file *file, struct pel_app *app)
{
    file->app = app;
    file->number = next_slot++;
    file->slot = pel_segment_slot(app->base, &app->header, file->number);
}

static struct pel_file *make_socket(struct pel_app *app, uint32_t kind, int *ret_fd)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        abort();
    struct pel_file *file = pel_table_make(kind);
    point(file, app);
    pel_file_install(ends[0], file);
    if (kind == PEL_FILE_LISTENER)
        listener_ends[ends[0]] = ends[1];
    else
        shut(ends[1]); /* the kernel would say POLLHUP, if it were asked */
    *ret_fd = ends[0];
    return file;
}

struct pel_file *pel_fake_socket(struct pel_app *app, int *ret_fd)
{
    return make_socket(app, PEL_FILE_STREAM, ret_fd);
}

struct pel_file *pel_fake_listener(struct pel_app *app, int *ret_fd)
{
    return make_socket(app, PEL_FILE_LISTENER, ret_fd);
}

struct pel_file *pel_fake_undecided(int *ret_fd)
{
    struct pel_file *file = pel_table_make(PEL_FILE_UNDECIDED);
    *ret_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    pel_file_install(*ret_fd, file);
    return file;
}

void pel_fake_decide(struct pel_file *file, struct pel_app *app, int fd)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        abort();
    point(file, app);
    __atomic_store_n(&file->kind, PEL_FILE_STREAM, __ATOMIC_RELEASE);
    dup3(ends[0], fd, O_CLOEXEC);
    shut(ends[0]);
    shut(ends[1]);
    pel_epoll_decided(file, fd);
}

void pel_fake_connect(struct pel_file *listener)
{
    for (int fd = 0; fd < NUM_NUMBERS; fd++) {
        if (table[fd] == listener && send(listener_ends[fd], "x", 1, 0) == 1)
            return;
    }
}

void pel_fake_close(int fd)
{
    struct pel_file *file = table[fd];
    __atomic_store_n(&table[fd], NULL, __ATOMIC_RELEASE);
    if (file != NULL && __atomic_sub_fetch(&file->num_fds, 1, __ATOMIC_SEQ_CST) == 0)
        pel_epoll_forget(file);
    shut(fd);
    if (file != NULL)
        pel_file_put(file);
}

int pel_fake_dup(int fd)
{
    struct pel_file *file = pel_file_get(fd);
    int copy = dup(fd);
    pel_file_install(copy, file);
    return copy;
}

void pel_fake_read(struct pel_file *file, uint32_t len)
{
    __atomic_fetch_add(&file->slot->rx_tail, len, __ATOMIC_SEQ_CST);
}

/* --- the engine's side, as ipc/segment.h has it --- */

void pel_fake_signal(struct pel_file *file)
{
    struct pel_app *app = file->app;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    for (int i = 0; i < PEL_WATCHERS; i++) {
        uint32_t watcher = __atomic_load_n(&file->slot->watchers[i], __ATOMIC_RELAXED);
        if (watcher == 0 || watcher > app->header.num_wakers)
            continue;
        struct pel_waker *waker = pel_segment_waker(app->base, &app->header, watcher - 1);
        if (!pel_signal_set_add(&waker->ready, file->number))
            continue;
        if (__atomic_load_n(&waker->is_asleep, __ATOMIC_SEQ_CST) != 1 ||
            __atomic_exchange_n(&waker->is_asleep, 0, __ATOMIC_SEQ_CST) != 1)
            continue;
        pthread_mutex_lock(&lock);
        pel_raw(SYS_sendto, wake_ends[watcher - 1], (long)"w", 1, MSG_DONTWAIT | MSG_NOSIGNAL, 0, 0);
        pthread_mutex_unlock(&lock);
    }
}

void pel_fake_receive(struct pel_file *file, uint32_t len)
{
    __atomic_fetch_add(&file->slot->rx_head, len, __ATOMIC_SEQ_CST);
    pel_fake_signal(file);
}

void pel_fake_fill(struct pel_file *file, bool is_full)
{
    __atomic_store_n(&file->slot->pending_errno, is_full, __ATOMIC_SEQ_CST);
    if (!is_full && __atomic_exchange_n(&file->slot->wants_room, 0, __ATOMIC_SEQ_CST))
        pel_fake_signal(file);
}

void pel_fake_state(struct pel_file *file, uint32_t state)
{
    __atomic_fetch_or(&file->slot->state, state, __ATOMIC_SEQ_CST);
    pel_fake_signal(file);
}
