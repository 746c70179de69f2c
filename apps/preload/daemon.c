/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/preload/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "apps/preload/adopt.h"
#include "apps/preload/env.h"
#include "apps/preload/table.h"
#include "apps/preload/way.h"
#include "ipc/raw.h"

#define MAX_APPS        64
#define REPLY_WAIT_MS   30000
#define NUM_HIDDEN_ROOM 512

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int conn = -1;
static uint32_t daemon_pid;            /* of `conn`'s other end */
static struct pel_app *apps[MAX_APPS]; /* [0 .. num_apps); atomic */
static uint32_t joined[MAX_APPS];      /* by `conn` */
static uint32_t num_apps;
static struct pel_app *own_app; /* atomic */
static struct pel_ipc_network networks[PEL_IPC_NETWORKS_MAX];
static uint32_t num_networks;
static bool is_complained;

static void complain(const char *what, int error)
{
    char line[512];
    if (is_complained)
        return;
    is_complained = true;
    int len = snprintf(line, sizeof line,
                       "pellucid: %s (%s): %s. Sockets stay unconnected (ENETDOWN) and nothing leaves by the "
                       "kernel; is `pel stack` running with this attach socket?\n",
                       what, pel_env()->attach.sun_path, strerror(error));
    pel_raw(SYS_write, 2, (long)line, len < (int)sizeof line ? len : (long)sizeof line - 1, 0, 0, 0);
}

static int high_number(void)
{
    struct rlimit limit = {.rlim_cur = 1024};
    getrlimit(RLIMIT_NOFILE, &limit);
    rlim_t cur = limit.rlim_cur < 16384 ? limit.rlim_cur : 16384;
    return cur > 4 * NUM_HIDDEN_ROOM ? (int)cur - NUM_HIDDEN_ROOM : (int)(cur / 4 * 3);
}

static void mark_hidden(int fd, struct pel_file *mark)
{
    if (!pel_table_reserve(fd))
        return;
    pel_table_lock();
    pel_table_set(fd, mark);
    pel_table_unlock();
}

int pel_daemon_hide(int fd)
{
    long high_fd = pel_raw(SYS_fcntl, fd, F_DUPFD_CLOEXEC, high_number(), 0, 0, 0);
    if (high_fd < 0)
        high_fd = pel_raw(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 3, 0, 0, 0);
    if (high_fd >= 0) {
        pel_raw(SYS_close, fd, 0, 0, 0, 0, 0);
        fd = (int)high_fd;
    }
    mark_hidden(fd, PEL_TABLE_HIDDEN);
    return fd;
}

bool pel_daemon_is_hidden(int fd)
{
    return pel_table_peek(fd) == PEL_TABLE_HIDDEN;
}

void pel_daemon_unhide(int fd)
{
    mark_hidden(fd, NULL);
    pel_raw(SYS_close, fd, 0, 0, 0, 0, 0);
}

void pel_daemon_died(struct pel_app *app)
{
    __atomic_store_n(&app->is_gone, 1, __ATOMIC_SEQ_CST);
}

static void hang_up_locked(void)
{
    if (conn >= 0)
        pel_daemon_unhide(conn);
    conn = -1;
}

/* The daemon's end is gone: so are all applications that it served. Under the lock. */
static void lost_locked(void)
{
    hang_up_locked();
    for (uint32_t i = 0; i < num_apps; i++)
        pel_daemon_died(apps[i]);
}

/* Waits for a reply no longer than a daemon may take that is alive at all. */
static bool is_answering(int fd)
{
    struct pollfd pfd = {.fd = fd, .events = POLLIN};
    for (;;) {
        long num = pel_raw(SYS_poll, (long)&pfd, 1, REPLY_WAIT_MS, 0, 0, 0);
        if (num != -EINTR)
            return num > 0;
    }
}

/* One request and its reply on `conn`; 0, the reply's errno, or ECONNRESET. */
static int exchange_locked(struct pel_ipc_request *request, struct pel_ipc_reply *ret_reply, int *ret_fds,
                           size_t max_fds, size_t *ret_num_fds)
{
    ssize_t len;
    size_t num_fds = 0;
    request->version = PEL_IPC_VERSION;
    if (pel_ipc_send(conn, request, sizeof *request, request->op == PEL_IPC_WHO ? ret_fds : NULL,
                     request->op == PEL_IPC_WHO ? 1 : 0, 0) != 0)
        return ECONNRESET;
    do {
        if (!is_answering(conn))
            return ECONNRESET;
        len = pel_ipc_receive(conn, ret_reply, sizeof *ret_reply, ret_fds, max_fds, &num_fds, 0);
    } while (len == -EINTR);
    if (ret_num_fds != NULL)
        *ret_num_fds = num_fds;
    if (len == sizeof *ret_reply && ret_reply->op == request->op)
        return (int)ret_reply->error;
    for (size_t i = 0; i < num_fds; i++)
        pel_raw(SYS_close, ret_fds[i], 0, 0, 0, 0, 0);
    return ECONNRESET;
}

/* Maps what HELLO or WHO brought: the segment and the bells. Takes over the descriptors. */
static struct pel_app *map_app(int *fds, size_t num_fds)
{
    static struct pel_app pool[MAX_APPS];
    struct pel_segment_header header;
    struct pel_app *app = num_apps < MAX_APPS ? &pool[num_apps] : NULL;
    void *base = MAP_FAILED;
    if (app != NULL && num_fds > 1 &&
        pel_raw(SYS_pread64, fds[0], (long)&header, sizeof header, 0, 0, 0) == (long)sizeof header &&
        header.magic == PEL_SEGMENT_MAGIC && header.version == PEL_SEGMENT_VERSION &&
        header.num_engines == num_fds - 1)
        base = mmap(NULL, header.len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fds[0], 0);
    for (size_t i = base == MAP_FAILED ? 0 : 1; i < num_fds; i++) {
        if (base == MAP_FAILED)
            pel_raw(SYS_close, fds[i], 0, 0, 0, 0, 0);
        else
            app->bells[i - 1] = pel_daemon_hide(fds[i]);
    }
    if (base == MAP_FAILED)
        return NULL;
    pel_raw(SYS_close, fds[0], 0, 0, 0, 0, 0);
    app->base = base;
    app->header = header;
    apps[num_apps] = app;
    joined[num_apps] = 0;
    __atomic_store_n(&num_apps, num_apps + 1, __ATOMIC_RELEASE);
    return app;
}

static int dial(void)
{
    int fd = pel_way_connect();
    if (fd < 0)
        return -fd;
    struct ucred peer = {.pid = 0};
    socklen_t len = sizeof peer;
    pel_raw(SYS_getsockopt, fd, SOL_SOCKET, SO_PEERCRED, (long)&peer, (long)&len, 0);
    daemon_pid = (uint32_t)peer.pid;
    pel_way_keep();
    conn = pel_daemon_hide(fd);
    memset(joined, 0, sizeof joined);
    return 0;
}

/* Makes an application of our own on a fresh connection. */
static int hello_locked(void)
{
    struct pel_ipc_request request = {.op = PEL_IPC_HELLO};
    struct pel_ipc_reply reply;
    int fds[PEL_IPC_FDS_MAX];
    size_t num_fds = 0;
    snprintf(request.name, sizeof request.name, "%s", pel_env()->job);
    int error = exchange_locked(&request, &reply, fds, PEL_IPC_FDS_MAX, &num_fds);
    if (error != 0)
        return error;
    num_networks = reply.num_networks < PEL_IPC_NETWORKS_MAX ? reply.num_networks : PEL_IPC_NETWORKS_MAX;
    memcpy(networks, reply.networks, num_networks * sizeof networks[0]);
    struct pel_app *app = map_app(fds, num_fds);
    if (app == NULL)
        return ENOMEM;
    joined[num_apps - 1] = 1;
    __atomic_store_n(&own_app, app, __ATOMIC_RELEASE);
    return 0;
}

static int join_locked(const struct pel_app *app)
{
    struct pel_ipc_request request = {.op = PEL_IPC_JOIN, .app = app->header.app};
    struct pel_ipc_reply reply;
    memcpy(request.token, app->header.token, sizeof request.token);
    return exchange_locked(&request, &reply, NULL, 0, NULL);
}

static bool is_gone(const struct pel_app *app)
{
    return __atomic_load_n(&app->is_gone, __ATOMIC_ACQUIRE) != 0;
}

/* A connection on which requests about `app` may be made. */
static int ready_locked(const struct pel_app *app)
{
    int error = conn >= 0 ? 0 : dial();
    for (uint32_t i = 0; error == 0 && i < num_apps; i++) {
        if (apps[i] != app || joined[i])
            continue;
        error = join_locked(app);
        joined[i] = error == 0;
    }
    return error;
}

static int attach_locked(void)
{
    struct pel_app *app = own_app;
    if (app != NULL && !is_gone(app)) {
        int error = ready_locked(app);
        if (error == 0)
            return 0;
        if (conn >= 0 && error != ECONNRESET) {
            /* It lives and has forgotten this one: without sockets, its last process executed another program
             * before its child, which we are, had joined. Others that came by inheritance are as they were.
             */
            pel_daemon_died(app);
            hang_up_locked();
        } else {
            lost_locked();
        }
    }
    for (int i = 0; i < 2; i++) {
        int error = conn >= 0 ? 0 : dial();
        if (error != 0)
            return error;
        error = hello_locked();
        if (error == 0)
            return 0;
        /* An old connection, to a daemon that died meanwhile, or on which it has refused something: anew. */
        if (error == ECONNRESET)
            lost_locked();
        else
            hang_up_locked();
        if (i == 1)
            return error;
    }
    return ECONNRESET;
}

struct pel_app *pel_daemon_app(void)
{
    struct pel_app *app = __atomic_load_n(&own_app, __ATOMIC_ACQUIRE);
    if (app != NULL && !is_gone(app))
        return app;
    pthread_mutex_lock(&lock);
    int error = attach_locked();
    app = own_app;
    pthread_mutex_unlock(&lock);
    if (error == 0)
        return app;
    complain("the stack cannot be reached", error);
    errno = ENETDOWN;
    return NULL;
}

int pel_daemon_ask_low(struct pel_app *app, struct pel_ipc_request *request, struct pel_ipc_reply *ret_reply,
                       int *ret_fds, size_t max_fds, size_t *ret_num_fds)
{
    if (is_gone(app))
        return ECONNRESET;
    pthread_mutex_lock(&lock);
    ret_reply->error = 0;
    int error = ready_locked(app);
    if (error != 0 && error != ECONNRESET) {
        pel_daemon_died(app); /* there is a daemon, but it knows nothing of this application */
        error = ECONNRESET;
    } else if (error == 0) {
        request->app = app->header.app;
        error = exchange_locked(request, ret_reply, ret_fds, max_fds, ret_num_fds);
        if (error == ECONNRESET && ret_reply->error != ECONNRESET)
            lost_locked();
    } else {
        lost_locked();
    }
    pthread_mutex_unlock(&lock);
    return error;
}

int pel_daemon_ask(struct pel_app *app, struct pel_ipc_request *request, struct pel_ipc_reply *ret_reply,
                   int *ret_fds, size_t max_fds, size_t *ret_num_fds)
{
    size_t num_fds = 0;
    int error = pel_daemon_ask_low(app, request, ret_reply, ret_fds, max_fds, &num_fds);
    for (size_t i = 0; i < num_fds; i++)
        ret_fds[i] = pel_daemon_hide(ret_fds[i]);
    if (ret_num_fds != NULL)
        *ret_num_fds = num_fds;
    return error;
}

static struct pel_app *find_app(uint32_t number)
{
    for (uint32_t i = 0; i < num_apps; i++) {
        if (apps[i]->header.app == number && !is_gone(apps[i]))
            return apps[i];
    }
    return NULL;
}

struct pel_app *pel_daemon_who(int fd, uint32_t *ret_slot, uint32_t *ret_serial, int *ret_error)
{
    struct pel_ipc_request request = {.op = PEL_IPC_WHO};
    struct pel_ipc_reply reply = {.error = 0};
    int fds[PEL_IPC_FDS_MAX] = {fd};
    size_t num_fds = 0;
    struct pel_app *app = pel_daemon_app();
    *ret_error = ENETDOWN;
    if (app == NULL)
        return NULL;
    pthread_mutex_lock(&lock);
    int error = ready_locked(app);
    if (error == 0)
        error = exchange_locked(&request, &reply, fds, PEL_IPC_FDS_MAX, &num_fds);
    app = NULL;
    if (error == 0) {
        app = find_app(reply.app);
        if (app == NULL) {
            app = map_app(fds, num_fds);
            num_fds = 0;
        }
        error = app == NULL ? ENOMEM : 0;
    }
    for (size_t i = 0; i < num_fds; i++)
        pel_raw(SYS_close, fds[i], 0, 0, 0, 0, 0);
    pthread_mutex_unlock(&lock);
    *ret_error = error;
    if (app == NULL)
        return NULL;
    *ret_slot = reply.slot;
    *ret_serial = reply.serial;
    return app;
}

uint32_t pel_daemon_pid(void)
{
    return __atomic_load_n(&daemon_pid, __ATOMIC_RELAXED);
}

void pel_daemon_look(void)
{
    struct pollfd pfd = {.fd = __atomic_load_n(&conn, __ATOMIC_RELAXED), .events = POLLIN};
    if (pfd.fd < 0 || pel_raw(SYS_poll, (long)&pfd, 1, 0, 0, 0, 0) <= 0 || !(pfd.revents & POLLHUP))
        return;
    if (pthread_mutex_trylock(&lock) != 0)
        return;
    if (conn == pfd.fd)
        lost_locked();
    pthread_mutex_unlock(&lock);
}

bool pel_daemon_network(uint32_t number, const struct pel_ipc_network **ret_network)
{
    if (number >= num_networks)
        return false;
    *ret_network = &networks[number];
    return true;
}

void pel_daemon_fork_begins(void)
{
    pthread_mutex_lock(&lock);
}

void pel_daemon_fork_ends(bool is_child)
{
    if (!is_child) {
        pthread_mutex_unlock(&lock);
        return;
    }
    pthread_mutex_init(&lock, NULL);
    if (conn >= 0)
        pel_daemon_unhide(conn);
    conn = -1;
}
