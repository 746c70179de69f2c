/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/httpd/server.h"

#include <errno.h>
#include <pellucid/socket.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "apps/httpd/conn.h"

#define SCRATCH_LEN ((size_t)256 << 10)
#define NUM_EVENTS 128
#define TICK_MS 200
#define ACCEPT_PAUSE_MS 1000
#define STOP_MAX_MS 5000

/* A socket of a worker: a listening one, or a connection. In the worker's list when it is a connection. */
struct source {
    int fd;
    struct http_conn *conn; /* NULL: listening */
    uint32_t events;        /* as epoll knows them */
    bool needs_turn;
    struct source *prev, *next;
};

struct http_worker {
    pthread_t thread;
    atomic_bool is_asked_to_stop;
    struct http_conn_env env;
    int epoll_fd;
    struct source listeners[HTTP_NUM_LISTENERS_MAX];
    size_t num_listeners;
    bool is_accepting;
    uint64_t accept_again_ms;
    uint64_t stop_by_ms;
    struct source *sources; /* connections */
    size_t num_sources, num_turns;
};

static void read_clocks(struct http_worker *worker)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    worker->env.now_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    worker->env.wall_s = (int64_t)time(NULL);
}

static bool watch(struct http_worker *worker, struct source *source, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = source};
    source->events = events;
    return pel_epoll_ctl(worker->epoll_fd, operation, source->fd, &event) == 0;
}

static void set_accepting(struct http_worker *worker, bool is_accepting)
{
    if (worker->is_accepting == is_accepting)
        return;
    worker->is_accepting = is_accepting;
    for (size_t i = 0; i < worker->num_listeners; i++)
        (void)watch(worker, &worker->listeners[i], is_accepting ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, EPOLLIN);
}

static void remove_source(struct http_worker *worker, struct source *source)
{
    if (source->prev != NULL)
        source->prev->next = source->next;
    else
        worker->sources = source->next;
    if (source->next != NULL)
        source->next->prev = source->prev;
    worker->num_sources--;
    worker->num_turns -= source->needs_turn ? 1 : 0;
    http_conn_free(source->conn);
    free(source);
}

/* Does what the connection's last run asks for. */
static void settle(struct http_worker *worker, struct source *source, enum http_wait wait)
{
    bool needs_turn = wait == HTTP_WAIT_TURN;
    worker->num_turns += (needs_turn ? 1u : 0u) - (source->needs_turn ? 1u : 0u);
    source->needs_turn = needs_turn;
    uint32_t events = wait == HTTP_WAIT_READ ? EPOLLIN : wait == HTTP_WAIT_WRITE ? EPOLLOUT : source->events;
    if (wait == HTTP_WAIT_CLOSED ||
        (events != source->events && !watch(worker, source, EPOLL_CTL_MOD, events)))
        remove_source(worker, source);
}

/* Takes over the accepted socket. */
static void add_connection(struct http_worker *worker, int fd)
{
    struct source *source = calloc(1, sizeof *source);
    struct http_conn *conn = source != NULL ? http_conn_new(fd, &worker->env) : NULL;
    if (conn == NULL) {
        free(source);
        pel_close(fd);
        return;
    }
    *source = (struct source){.fd = fd, .conn = conn, .next = worker->sources};
    if (source->next != NULL)
        source->next->prev = source;
    worker->sources = source;
    worker->num_sources++;
    if (!watch(worker, source, EPOLL_CTL_ADD, EPOLLIN))
        remove_source(worker, source);
}

static void accept_some(struct http_worker *worker, const struct source *listener)
{
    for (int i = 0; i < 64; i++) {
        int fd = -1;
        if (worker->num_sources < worker->env.settings->num_connections_max)
            fd = pel_accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK);
        else
            errno = EMFILE;
        if (fd < 0 && (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED))
            return;
        if (fd < 0) { /* out of something: let connections end first */
            set_accepting(worker, false);
            worker->accept_again_ms = worker->env.now_ms + ACCEPT_PAUSE_MS;
            return;
        }
        add_connection(worker, fd);
    }
}

/* Connections that had their share in the last round and have more to do. */
static void run_turns(struct http_worker *worker)
{
    struct source *next;
    for (struct source *source = worker->sources; source != NULL && worker->num_turns > 0; source = next) {
        next = source->next;
        if (source->needs_turn)
            settle(worker, source, http_conn_run(source->conn, &worker->env));
    }
}

static void tick(struct http_worker *worker)
{
    struct source *next;
    for (struct source *source = worker->sources; source != NULL; source = next) {
        next = source->next;
        if (worker->env.is_stopping && http_conn_is_idle(source->conn))
            remove_source(worker, source);
        else if (http_conn_is_late(source->conn, worker->env.now_ms))
            settle(worker, source, http_conn_timeout(source->conn, &worker->env));
    }
    if (!worker->is_accepting && !worker->env.is_stopping && worker->env.now_ms >= worker->accept_again_ms)
        set_accepting(worker, true);
}

static void begin_stop(struct http_worker *worker)
{
    worker->env.is_stopping = true;
    worker->stop_by_ms = worker->env.now_ms + STOP_MAX_MS;
    set_accepting(worker, false);
}

static bool is_finished(const struct http_worker *worker)
{
    return worker->env.is_stopping && (worker->num_sources == 0 || worker->env.now_ms >= worker->stop_by_ms);
}

static void *run_worker(void *arg)
{
    struct http_worker *worker = arg;
    struct epoll_event events[NUM_EVENTS];
    uint64_t next_tick_ms = 0;
    while (!is_finished(worker)) {
        int num = pel_epoll_wait(worker->epoll_fd, events, NUM_EVENTS, worker->num_turns > 0 ? 0 : TICK_MS);
        read_clocks(worker);
        for (int i = 0; i < num; i++) {
            struct source *source = events[i].data.ptr;
            if (source->conn == NULL)
                accept_some(worker, source);
            else if (!source->needs_turn)
                settle(worker, source, http_conn_run(source->conn, &worker->env));
        }
        run_turns(worker); /* after the events, which may point to connections that end here */
        if (atomic_load(&worker->is_asked_to_stop) && !worker->env.is_stopping)
            begin_stop(worker);
        if (worker->env.now_ms >= next_tick_ms) {
            tick(worker);
            next_tick_ms = worker->env.now_ms + TICK_MS;
        }
    }
    while (worker->sources != NULL)
        remove_source(worker, worker->sources);
    return NULL;
}

static void free_worker(struct http_worker *worker)
{
    if (worker->epoll_fd >= 0)
        pel_close(worker->epoll_fd);
    free(worker->env.scratch);
    free(worker);
}

bool http_worker_start(const struct http_settings *settings, const int *listeners, size_t num_listeners,
                       struct http_worker **ret_worker)
{
    struct http_worker *worker = calloc(1, sizeof *worker);
    if (worker == NULL)
        return false;
    worker->env = (struct http_conn_env){
        .settings = settings, .scratch = malloc(SCRATCH_LEN), .scratch_len = SCRATCH_LEN};
    worker->epoll_fd = pel_epoll_create1(0);
    worker->num_listeners = num_listeners;
    for (size_t i = 0; i < num_listeners; i++)
        worker->listeners[i].fd = listeners[i];
    if (worker->env.scratch == NULL || worker->epoll_fd < 0) {
        free_worker(worker);
        return false;
    }
    read_clocks(worker);
    set_accepting(worker, true);
    int error = pthread_create(&worker->thread, NULL, run_worker, worker);
    if (error != 0) {
        free_worker(worker);
        errno = error;
        return false;
    }
    *ret_worker = worker;
    return true;
}

void http_worker_ask_stop(struct http_worker *worker)
{
    atomic_store(&worker->is_asked_to_stop, true);
}

void http_worker_join(struct http_worker *worker)
{
    pthread_join(worker->thread, NULL);
    free_worker(worker);
}
