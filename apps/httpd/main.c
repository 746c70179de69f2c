/* SPDX-License-Identifier: Apache-2.0 */
/*
 * httpd: a plain HTTP/1.1 file server on the stack's sockets. The main thread takes the signals (SIGTERM and
 * SIGINT: finish and end; SIGHUP: load the policy again); the workers do everything else.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pellucid/socket.h>
#include <pellucid/stack.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "apps/httpd/options.h"
#include "apps/httpd/server.h"

#define LISTEN_BACKLOG 1024
#define LISTEN_RETRY_MS 100

struct server {
    struct http_options options;
    struct http_settings settings;
    struct pel_stack *stack;
    sigset_t signals;
    int listeners[HTTP_NUM_LISTENERS_MAX];
    size_t num_listeners;
    struct http_worker *workers[HTTP_NUM_WORKERS_MAX];
    size_t num_workers;
    bool is_ended; /* a signal asked for it */
};

static bool open_directory(const char *path, int *ret_fd)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        fprintf(stderr, "httpd: cannot open the directory %s: %s\n", path, strerror(errno));
    *ret_fd = fd;
    return fd >= 0;
}

static void reload(struct server *server)
{
    struct pel_error error;
    if (pel_stack_reload(server->stack, &error) != PEL_OK)
        fprintf(stderr, "httpd: reload: %s\n", error.text);
}

/* Waits for a signal at most `timeout_ms` (-1: for ever). True when the server shall end. */
static bool is_told_to_end(struct server *server, int timeout_ms)
{
    struct timespec timeout = {.tv_sec = timeout_ms / 1000, .tv_nsec = (long)(timeout_ms % 1000) * 1000000};
    int signal =
        timeout_ms < 0 ? sigwaitinfo(&server->signals, NULL) : sigtimedwait(&server->signals, NULL, &timeout);
    if (signal == SIGHUP)
        reload(server);
    server->is_ended |= signal == SIGTERM || signal == SIGINT;
    return server->is_ended;
}

static bool listen_failed(const struct http_listen *listen, const char *what)
{
    fprintf(stderr, "httpd: cannot %s %s: %s\n", what, listen->text, strerror(errno));
    return false;
}

/* Until a policy is loaded, the stack says EAGAIN: wait for it, for the operator may be about to mend it. */
static bool listen_when_possible(struct server *server, int fd, const struct http_listen *listen)
{
    bool has_said_so = false;
    while (pel_listen(fd, LISTEN_BACKLOG) != 0) {
        if (errno != EAGAIN)
            return listen_failed(listen, "listen on");
        if (!has_said_so)
            fprintf(stderr, "httpd: waiting for a policy before listening on %s\n", listen->text);
        has_said_so = true;
        if (is_told_to_end(server, LISTEN_RETRY_MS))
            return false;
    }
    return true;
}

static bool open_listener(struct server *server, const struct http_listen *listen)
{
    int fd = pel_socket(listen->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return listen_failed(listen, "make a socket for");
    server->listeners[server->num_listeners++] = fd;
    if (pel_bind(fd, (const struct sockaddr *)&listen->address, listen->address_len) != 0)
        return listen_failed(listen, "bind to");
    return listen_when_possible(server, fd, listen);
}

static bool start_workers(struct server *server)
{
    while (server->num_workers < server->options.num_workers) {
        struct http_worker **worker = &server->workers[server->num_workers];
        if (!http_worker_start(&server->settings, server->listeners, server->num_listeners, worker)) {
            fprintf(stderr, "httpd: cannot start a worker: %s\n", strerror(errno));
            return false;
        }
        server->num_workers++;
    }
    return true;
}

static void say_ready(const struct server *server)
{
    printf("httpd: serving %s on", server->options.root);
    for (size_t i = 0; i < server->options.num_listens; i++)
        printf(" %s", server->options.listens[i].text);
    printf("\n");
    fflush(stdout);
}

/* Serves until it is told to end; returns earlier when it cannot. */
static void serve(struct server *server)
{
    for (size_t i = 0; i < server->options.num_listens; i++) {
        if (!open_listener(server, &server->options.listens[i]))
            return;
    }
    if (!start_workers(server))
        return;
    say_ready(server);
    while (!is_told_to_end(server, -1))
        continue;
}

static void stop(struct server *server)
{
    for (size_t i = 0; i < server->num_workers; i++)
        http_worker_ask_stop(server->workers[i]);
    for (size_t i = 0; i < server->num_workers; i++)
        http_worker_join(server->workers[i]);
    for (size_t i = 0; i < server->num_listeners; i++)
        pel_close(server->listeners[i]);
    pel_stack_stop(server->stack);
}

/* Blocked before any thread starts, so that they come to the main thread alone. */
static void take_signals(struct server *server)
{
    sigemptyset(&server->signals);
    sigaddset(&server->signals, SIGTERM);
    sigaddset(&server->signals, SIGINT);
    sigaddset(&server->signals, SIGHUP);
    sigprocmask(SIG_BLOCK, &server->signals, NULL);
    signal(SIGPIPE, SIG_IGN);
}

int main(int argc, char **argv)
{
    static struct server server;
    http_options_parse(argc, argv, &server.options);
    server.settings = (struct http_settings){
        .root_fd = -1,
        .upload_fd = -1,
        .upload_max_len = server.options.upload_max_len,
        .idle_timeout_ms = server.options.idle_timeout_ms,
        .num_connections_max = server.options.num_connections_max,
    };
    take_signals(&server);
    if (!open_directory(server.options.root, &server.settings.root_fd))
        return 1;
    if (server.options.upload_dir != NULL &&
        !open_directory(server.options.upload_dir, &server.settings.upload_fd))
        return 1;
    struct pel_error error;
    struct pel_stack_options stack_options = {.config_path = server.options.config_path};
    if (pel_stack_start(&stack_options, &server.stack, &error) != PEL_OK) {
        fprintf(stderr, "httpd: %s\n", error.text);
        return 1;
    }
    serve(&server);
    stop(&server);
    return server.is_ended ? 0 : 1;
}
