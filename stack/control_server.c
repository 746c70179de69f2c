/* SPDX-License-Identifier: Apache-2.0 */
#include "stack/control_server.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "stack/control_client_slot.h"
#include "stack/control_path.h"

struct pel_control_server {
    char path[PEL_CONTROL_PATH_MAX_LEN + 1];
    int listen_fd;
    int stop_fd; /* an eventfd: readable when the thread shall end */
    pthread_t thread;
    struct pel_control_slot slots[PEL_CONTROL_NUM_CLIENTS_MAX];
    size_t num_slots;
    struct pel_clock clock;
};

static uint64_t now_ms(const struct pel_control_server *server)
{
    return pel_clock_now_us(&server->clock) / 1000;
}

/* Takes one connection; what fails here concerns nobody but that client. */
static void accept_client(struct pel_control_server *server)
{
    int fd = accept4(server->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    pel_control_slot_open(&server->slots[server->num_slots++], fd, now_ms(server));
}

/* Removes the slots that are done; order does not matter. */
static void sweep(struct pel_control_server *server)
{
    for (size_t i = 0; i < server->num_slots;) {
        if (!pel_control_slot_is_done(&server->slots[i], now_ms(server))) {
            i++;
            continue;
        }
        pel_control_slot_close(&server->slots[i]);
        server->slots[i] = server->slots[--server->num_slots];
    }
}

struct thread_start {
    struct pel_control_server *server;
    pel_control_handler_fn *handler;
    void *arg;
};

static bool wait_for_events(struct pel_control_server *server, struct pollfd *fds)
{
    fds[0] = (struct pollfd){.fd = server->stop_fd, .events = POLLIN};
    fds[1] = (struct pollfd){
        .fd = server->num_slots < PEL_CONTROL_NUM_CLIENTS_MAX ? server->listen_fd : -1,
        .events = POLLIN,
    };
    for (size_t i = 0; i < server->num_slots; i++)
        fds[2 + i] =
            (struct pollfd){.fd = server->slots[i].fd, .events = pel_control_slot_events(&server->slots[i])};
    int num_ready = poll(fds, (nfds_t)(2 + server->num_slots), server->num_slots > 0 ? 250 : -1);
    return num_ready > 0;
}

static void *control_thread(void *arg)
{
    struct thread_start *start = arg;
    struct pel_control_server *server = start->server;
    struct pollfd fds[2 + PEL_CONTROL_NUM_CLIENTS_MAX];
    for (;;) {
        bool has_events = wait_for_events(server, fds);
        if (has_events && fds[0].revents != 0)
            break;
        size_t num_polled = server->num_slots;
        for (size_t i = 0; has_events && i < num_polled; i++) {
            if (fds[2 + i].revents != 0)
                pel_control_slot_run(&server->slots[i], start->handler, start->arg, &server->clock);
        }
        if (has_events && fds[1].revents != 0)
            accept_client(server);
        sweep(server);
    }
    free(start);
    return NULL;
}

/* Starts the thread with every signal blocked: they are the program's business, but the one by which a
 * sandbox speaks to the very thread. */
static enum pel_err start_thread(struct pel_control_server *server, pel_control_handler_fn *handler,
                                 void *arg, struct pel_error *reterr)
{
    struct thread_start *start = malloc(sizeof *start);
    if (start == NULL)
        return pel_error_set(reterr, PEL_E_NO_MEMORY, "out of memory for the control socket's thread");
    *start = (struct thread_start){server, handler, arg};
    sigset_t all, old;
    sigfillset(&all);
    sigdelset(&all, SIGSYS);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int error = pthread_create(&server->thread, NULL, control_thread, start);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (error == 0)
        return PEL_OK;
    free(start);
    return pel_error_set(reterr, PEL_E_IO, "cannot start the control socket's thread: %s", strerror(error));
}

static void free_server(struct pel_control_server *server)
{
    if (server->listen_fd >= 0) {
        unlink(server->path);
        close(server->listen_fd);
    }
    if (server->stop_fd >= 0)
        close(server->stop_fd);
    free(server);
}

enum pel_err pel_control_server_start(const char *path_or_dir, const char *program_name,
                                      pel_control_handler_fn *handler, void *arg,
                                      struct pel_control_server **ret_server, struct pel_error *reterr)
{
    struct pel_control_server *server = calloc(1, sizeof *server);
    if (server == NULL)
        return pel_error_set(reterr, PEL_E_NO_MEMORY, "out of memory for the control socket");
    server->listen_fd = -1;
    server->clock = pel_clock_real();
    server->stop_fd = eventfd(0, EFD_CLOEXEC);
    enum pel_err err = PEL_OK;
    if (server->stop_fd < 0)
        err = pel_error_set(reterr, PEL_E_IO, "cannot make an eventfd for the control socket: %s",
                            strerror(errno));
    if (err == PEL_OK)
        err = pel_control_path_choose(path_or_dir, program_name, server->path, reterr);
    if (err == PEL_OK)
        err = pel_control_path_listen(server->path, SOCK_STREAM, 0600, &server->listen_fd, reterr);
    if (err == PEL_OK)
        err = start_thread(server, handler, arg, reterr);
    if (err != PEL_OK) {
        free_server(server);
        return err;
    }
    *ret_server = server;
    return PEL_OK;
}

const char *pel_control_server_path(const struct pel_control_server *server)
{
    return server->path;
}

void pel_control_server_stop(struct pel_control_server *server)
{
    if (server == NULL)
        return;
    uint64_t one = 1;
    while (write(server->stop_fd, &one, sizeof one) < 0 && errno == EINTR)
        continue;
    pthread_join(server->thread, NULL);
    for (size_t i = 0; i < server->num_slots; i++)
        pel_control_slot_close(&server->slots[i]);
    free_server(server);
}
