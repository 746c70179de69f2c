/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The service's thread: who attaches, what they ask for, which sockets have come to their end, what the
 * engines have to say. Everything it waits for stands in one epoll set.
 */
#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "stack/control_path.h"
#include "stack/serve/parts.h"

/* Who connects and says nothing is sent away after this long. */
#define HELLO_TIMEOUT_US 10000000u
#define SWEEP_MS         1000
#define EVENTS_AT_ONCE   128
#define PATIENCE_MS      60000u
#define OVERFLOW         8192
/* Connections of one user: one of each process. */
#define CLIENTS_PER_USER 8192

/* What an event of the epoll set is about: the pointer's lowest bits. */
enum watched { WATCHED_SOCKET, WATCHED_CLIENT, WATCHED_LISTENER, WATCHED_NOTES };

static bool watch(struct pel_serve *serve, int fd, uint32_t events, void *arg, enum watched what)
{
    struct epoll_event event = {.events = events, .data.u64 = (uintptr_t)arg | (uintptr_t)what};
    return epoll_ctl(serve->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0 ||
           (errno == EEXIST && epoll_ctl(serve->epoll_fd, EPOLL_CTL_MOD, fd, &event) == 0);
}

bool pel_serve_watch(struct pel_serve *serve, int fd, uint32_t events, struct pel_served *served)
{
    return watch(serve, fd, events, served, WATCHED_SOCKET);
}

void pel_serve_log(struct pel_serve *serve, const char *format, ...)
{
    char line[512];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    serve->config.log(serve->config.arg, line);
}

/* ---- clients ---- */

static void drop_client(struct pel_serve *serve, struct pel_serve_client *client)
{
    close(client->fd);
    if (client->num_apps == 0)
        serve->num_silent--;
    for (size_t i = 0; i < client->num_apps; i++)
        pel_serve_app_unref(client->apps[i]);
    client->share->num_clients--;
    pel_list_remove(&client->link);
    __atomic_fetch_sub(&serve->report.num_clients, 1, __ATOMIC_RELAXED);
    free(client);
}

static struct pel_serve_client *new_client(struct pel_serve *serve, int fd)
{
    struct ucred cred;
    socklen_t cred_len = sizeof cred;
    struct pel_serve_client *client = calloc(1, sizeof *client);
    if (client == NULL)
        return NULL;
    client->share = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &cred_len) == 0
                        ? pel_serve_user_get(serve, cred.uid)
                        : NULL;
    if (client->share == NULL || client->share->num_clients >= CLIENTS_PER_USER ||
        !watch(serve, fd, EPOLLIN, client, WATCHED_CLIENT)) {
        free(client);
        return NULL;
    }
    client->fd = fd;
    client->uid = cred.uid;
    client->pid = cred.pid;
    client->connected_us = pel_clock_now_us(&serve->clock);
    client->share->num_clients++;
    serve->num_silent++;
    pel_list_append(&serve->clients, &client->link);
    __atomic_fetch_add(&serve->report.num_clients, 1, __ATOMIC_RELAXED);
    return client;
}

static void accept_clients(struct pel_serve *serve)
{
    int fd;
    while ((fd = accept4(serve->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
        if (new_client(serve, fd) == NULL) {
            pel_count_err(&serve->counters, PEL_E_QUOTA);
            close(fd);
        }
    }
}

/* One request; whoever asks much does not keep the others waiting, for the set is level-triggered. */
static void serve_client(struct pel_serve *serve, struct pel_serve_client *client)
{
    struct pel_ipc_request request;
    int fds[1];
    size_t num_fds = 0;
    ssize_t len = pel_ipc_receive(client->fd, &request, sizeof request, fds, 1, &num_fds, MSG_DONTWAIT);
    if (len == -EAGAIN || len == -EINTR)
        return;
    bool is_sound = len == (ssize_t)sizeof request;
    if (!is_sound && len != 0 && len != -ECONNRESET)
        pel_count_err(&serve->counters, PEL_E_SYNTAX);
    size_t num_apps = client->num_apps;
    bool goes_on = is_sound && pel_serve_request(serve, client, &request, fds, num_fds);
    if (num_apps == 0 && client->num_apps > 0)
        serve->num_silent--;
    if (num_fds > 0)
        close(fds[0]);
    if (!goes_on)
        drop_client(serve, client);
}

static void sweep_silent(struct pel_serve *serve)
{
    if (serve->num_silent == 0)
        return;
    uint64_t now_us = pel_clock_now_us(&serve->clock);
    for (struct pel_list *link = serve->clients.next, *next; link != &serve->clients; link = next) {
        struct pel_serve_client *client = PEL_PART_OF(link, struct pel_serve_client, link);
        next = link->next;
        if (client->num_apps == 0 && now_us - client->connected_us > HELLO_TIMEOUT_US)
            drop_client(serve, client);
    }
}

/* A peer that takes nothing must not keep for ever what a program has left behind. */
static void sweep_closing(struct pel_serve *serve)
{
    uint64_t now_us = pel_clock_now_us(&serve->clock);
    while (!pel_list_is_empty(&serve->closing)) {
        struct pel_served *served = PEL_PART_OF(serve->closing.next, struct pel_served, waiting);
        if (now_us - served->over_us <= serve->patience_us)
            return;
        pel_list_remove(&served->waiting);
        pel_served_give_up(served);
    }
}

/* ---- sockets ---- */

static void take_notes(struct pel_serve *serve)
{
    uint64_t count;
    if (read(serve->note_fd, &count, sizeof count) < 0 && errno != EAGAIN)
        abort(); /* an eventfd of our own */
    struct pel_served *served = __atomic_exchange_n(&serve->notes, NULL, __ATOMIC_ACQUIRE), *next,
                      *first = NULL, *ended = NULL;
    for (; served != NULL; served = next) { /* in the order in which they were left */
        next = served->next_note;
        served->next_note = first;
        first = served;
    }
    for (served = first; served != NULL; served = next) {
        next = served->next_note;
        uint32_t bits = __atomic_exchange_n(&served->noted, 0, __ATOMIC_ACQ_REL);
        if (bits & PEL_NOTE_NEW)
            pel_served_new_conn(served);
        if (bits & PEL_NOTE_FULL)
            pel_served_look_again(served);
        if ((bits & PEL_NOTE_GAVE_UP) || ((bits & PEL_NOTE_ENDED) && served->num_posted == 1)) {
            served->next_note = ended;
            ended = served;
        }
    }
    pel_served_free_all(serve, ended);
}

/* Nobody writes to a channel but code that takes it for the socket itself: system calls of a program's own,
 * or of the C library's inside. What it wrote must not be lost in silence. */
static void on_bypass(struct pel_served *served)
{
    struct pel_serve *serve = served->app->serve;
    char byte;
    if (recv(served->channel, &byte, sizeof byte, MSG_DONTWAIT | MSG_PEEK) <= 0)
        return;
    pel_count_err(&serve->counters, PEL_E_PROGRAM_BYPASS);
    if (!served->app->has_bypassed)
        pel_serve_log(
            serve,
            "%s of %s writes to a socket past the preload library, by system calls of its own: nothing of it "
            "is sent, and such sockets are reset",
            served->job, served->user);
    served->app->has_bypassed = true;
    pel_served_over(served);
}

static void on_socket(struct pel_served *served, uint32_t events)
{
    if (events & (EPOLLHUP | EPOLLERR))
        pel_served_over(served);
    else if (events & EPOLLIN)
        on_bypass(served);
    else if (events & EPOLLOUT)
        pel_served_send_waiting(served);
}

/* ---- the loop ---- */

/* Ends of sockets first: what they free may be what a request waits for; and a client that goes may not take
 * with it an application that a later event of this turn is about, which holds a reference of its own. */
static void handle(struct pel_serve *serve, const struct epoll_event *events, int num)
{
    for (int i = 0; i < num; i++)
        if ((events[i].data.u64 & 3) == WATCHED_SOCKET)
            on_socket((struct pel_served *)(uintptr_t)events[i].data.u64, events[i].events);
    for (int i = 0; i < num; i++) {
        void *arg = (void *)(uintptr_t)(events[i].data.u64 & ~(uint64_t)3);
        if ((events[i].data.u64 & 3) == WATCHED_CLIENT)
            serve_client(serve, arg);
    }
    take_notes(serve);
    accept_clients(serve);
}

static void turn(struct pel_serve *serve, int timeout_ms)
{
    struct epoll_event events[EVENTS_AT_ONCE];
    int num = epoll_wait(serve->epoll_fd, events, EVENTS_AT_ONCE, timeout_ms);
    handle(serve, events, num > 0 ? num : 0);
    sweep_silent(serve);
    sweep_closing(serve);
}

void pel_serve_turn(struct pel_serve *serve)
{
    turn(serve, 0);
}

static void *run(void *arg)
{
    struct pel_serve *serve = arg;
    while (!__atomic_load_n(&serve->is_stopping, __ATOMIC_ACQUIRE)) {
        bool must_sweep = serve->num_silent > 0 || !pel_list_is_empty(&serve->closing);
        turn(serve, must_sweep ? SWEEP_MS : -1);
    }
    return NULL;
}

/* ---- start and stop ---- */

static enum pel_err listen_at(struct pel_serve *serve, struct pel_error *reterr)
{
    const struct pel_config *config = serve->config.config;
    char path[PEL_CONTROL_PATH_MAX_LEN + 1];
    PEL_TRY(pel_control_path_choose(config->attach.socket, "attach", path, reterr));
    PEL_TRY(pel_control_path_listen(path, SOCK_SEQPACKET, config->attach.mode, &serve->listen_fd, reterr));
    serve->path = strdup(path);
    if (serve->path == NULL)
        return pel_error_set(reterr, PEL_E_NO_MEMORY, "attach: out of memory");
    const char *group_name = config->attach.group;
    if (group_name == NULL || group_name[0] == '\0')
        return PEL_OK;
    const struct group *group = getgrnam(group_name);
    if (group == NULL)
        return pel_error_set(reterr, PEL_E_NOT_FOUND, "attach.group: there is no group %s", group_name);
    if (chown(path, (uid_t)-1, group->gr_gid) != 0)
        return pel_error_set(reterr, PEL_E_IO, "%s cannot be given to the group %s: %s", path, group_name,
                             strerror(errno));
    return PEL_OK;
}

static enum pel_err start_thread(struct pel_serve *serve, struct pel_error *reterr)
{
    sigset_t all, old;
    sigfillset(&all);
    sigdelset(&all, SIGSYS); /* by which a sandbox speaks to the very thread */
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int error = pthread_create(&serve->thread, NULL, run, serve);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    serve->has_thread = error == 0;
    if (error == 0) /* before anybody can look for it by that name */
        pthread_setname_np(serve->thread, PEL_SERVE_THREAD);
    return error == 0 ? PEL_OK : pel_error_set(reterr, PEL_E_IO, "attach: no thread: %s", strerror(error));
}

static enum pel_err start_parts(struct pel_serve *serve, struct pel_error *reterr)
{
    serve->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    serve->note_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    serve->names = pel_serve_names_new();
    if (serve->epoll_fd < 0 || serve->note_fd < 0 || serve->names == NULL)
        return pel_error_set(reterr, PEL_E_NO_MEMORY, "attach: %s", strerror(errno));
    PEL_TRY(pel_serve_engines_start(serve, reterr));
    PEL_TRY(listen_at(serve, reterr));
    if (!watch(serve, serve->listen_fd, EPOLLIN, NULL, WATCHED_LISTENER) ||
        !watch(serve, serve->note_fd, EPOLLIN, NULL, WATCHED_NOTES))
        return pel_error_set(reterr, PEL_E_IO, "attach: epoll: %s", strerror(errno));
    return serve->config.wait == NULL ? start_thread(serve, reterr) : PEL_OK;
}

enum pel_err pel_serve_start(const struct pel_serve_config *config, struct pel_serve **ret_serve,
                             struct pel_error *reterr)
{
    struct pel_serve *serve = calloc(1, sizeof *serve + config->num_engines * sizeof serve->engines[0]);
    if (serve == NULL)
        return pel_error_set(reterr, PEL_E_NO_MEMORY, "attach: out of memory");
    serve->config = *config;
    serve->clock = config->clock != NULL ? *config->clock : pel_clock_real();
    serve->listen_fd = serve->epoll_fd = serve->note_fd = -1;
    pel_list_init(&serve->apps);
    pel_list_init(&serve->clients);
    pel_list_init(&serve->users);
    pel_list_init(&serve->sockets);
    pel_list_init(&serve->closing);
    serve->num_engines = config->num_engines;
    serve->patience_us = (config->patience_ms != 0 ? config->patience_ms : PATIENCE_MS) * 1000ull;
    serve->overflow = config->overflow != 0 ? config->overflow : OVERFLOW;
    for (uint32_t i = 0; i < config->num_engines; i++) {
        serve->engines[i] = (struct pel_serve_engine){
            .serve = serve, .engine = config->engines[i], .index = i, .bells_fd = -1};
        pel_list_init(&serve->engines[i].awake);
        pel_list_init(&serve->engines[i].asleep);
    }
    enum pel_err err = start_parts(serve, reterr);
    if (err != PEL_OK) {
        pel_serve_stop(serve);
        return err;
    }
    *ret_serve = serve;
    return PEL_OK;
}

static void stop_thread(struct pel_serve *serve)
{
    uint64_t one = 1;
    __atomic_store_n(&serve->is_stopping, 1, __ATOMIC_RELEASE);
    while (write(serve->note_fd, &one, sizeof one) < 0 && errno == EINTR) {
    }
    pthread_join(serve->thread, NULL);
}

/* Ends every socket, and waits until the engines have let go of them. Now this thread is the service's. */
static void end_sockets(struct pel_serve *serve)
{
    take_notes(serve);
    for (struct pel_list *link = serve->sockets.next, *next; link != &serve->sockets; link = next) {
        struct pel_served *served = PEL_PART_OF(link, struct pel_served, link);
        next = link->next;
        if (served->kind == PEL_SERVED_LISTENER)
            pel_served_over(served);
    }
    for (struct pel_list *link = serve->sockets.next, *next; link != &serve->sockets; link = next) {
        struct pel_served *served = PEL_PART_OF(link, struct pel_served, link);
        next = link->next;
        if (served->slot != NULL)
            __atomic_store_n(&served->slot->num_holders, 1, __ATOMIC_RELEASE); /* reset, do not linger */
        pel_served_over(served);
    }
    while (!pel_list_is_empty(&serve->closing)) { /* also those that were over before, and lingered */
        struct pel_served *served = PEL_PART_OF(serve->closing.next, struct pel_served, waiting);
        pel_list_remove(&served->waiting);
        pel_served_give_up(served);
    }
}

static void wait_for_ends(struct pel_serve *serve)
{
    while (__atomic_load_n(&serve->num_served, __ATOMIC_RELAXED) > 0) {
        take_notes(serve);
        if (serve->config.wait != NULL)
            serve->config.wait(serve->config.arg);
        else
            usleep(100);
    }
}

void pel_serve_stop(struct pel_serve *serve)
{
    if (serve == NULL)
        return;
    if (serve->has_thread)
        stop_thread(serve);
    if (serve->note_fd >= 0) {
        end_sockets(serve);
        wait_for_ends(serve);
    }
    while (!pel_list_is_empty(&serve->clients))
        drop_client(serve, PEL_PART_OF(serve->clients.next, struct pel_serve_client, link));
    pel_serve_engines_stop(serve);
    while (!pel_list_is_empty(&serve->users)) {
        struct pel_serve_user *user = PEL_PART_OF(serve->users.next, struct pel_serve_user, link);
        pel_list_remove(&user->link);
        free(user);
    }
    if (serve->path != NULL)
        unlink(serve->path);
    int fds[] = {serve->listen_fd, serve->epoll_fd, serve->note_fd};
    for (size_t i = 0; i < 3; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    free(serve->path);
    free(serve->names);
    free(serve);
}

void pel_serve_get_report(struct pel_serve *serve, struct pel_serve_report *ret_report,
                          struct pel_counters *counters)
{
    *ret_report = (struct pel_serve_report){
        .num_applications = __atomic_load_n(&serve->report.num_applications, __ATOMIC_RELAXED),
        .num_clients = __atomic_load_n(&serve->report.num_clients, __ATOMIC_RELAXED),
        .num_sockets = __atomic_load_n(&serve->report.num_sockets, __ATOMIC_RELAXED),
    };
    pel_counters_add(counters, &serve->counters);
}
