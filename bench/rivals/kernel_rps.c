/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client of nginx that keeps many connections and asks for /1k on some of them at a time, over all of them
 * in turn: the counterpart of bench/ask.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/rivals/kernel.h"

#define BODY_LEN 1024

static const char request[] = "GET /1k HTTP/1.1\r\nHost: bench.test\r\n\r\n";

struct asker {
    SSL *ssl; /* NULL: clear */
    int fd;
    bool asking;
    size_t got_len;   /* of the reply */
    size_t reply_len; /* 0: its head is not there yet */
    char head[512];
};

static struct client {
    const struct kernel_options *options;
    SSL_CTX *ctx;
    int epoll;
    struct asker *row;
    uint32_t num, active, next, num_asking;
    uint64_t num_answered;
    bool running;
} client;

/* ---- bytes ---- */

static size_t receive(struct asker *asker, char *bytes, size_t cap)
{
    int n = asker->ssl != NULL ? SSL_read(asker->ssl, bytes, (int)cap) : (int)recv(asker->fd, bytes, cap, 0);
    bool again = asker->ssl != NULL ? n <= 0 && SSL_get_error(asker->ssl, n) == SSL_ERROR_WANT_READ
                                    : n < 0 && (errno == EAGAIN || errno == EINTR);
    if (n <= 0 && !again)
        kernel_die("nginx ended a connection");
    return n > 0 ? (size_t)n : 0;
}

static void ask(struct asker *asker)
{
    int len = (int)(sizeof request - 1);
    asker->asking = true;
    client.num_asking++;
    int n = asker->ssl != NULL ? SSL_write(asker->ssl, request, len)
                               : (int)send(asker->fd, request, (size_t)len, 0);
    if (n != len)
        kernel_die("a request did not fit");
}

static void ask_next(void)
{
    struct asker *asker;
    do {
        asker = &client.row[client.next];
        client.next = client.next + 1 < client.active ? client.next + 1 : 0;
    } while (asker->asking);
    ask(asker);
}

/* True: the reply is whole. */
static bool take(struct asker *asker, const char *bytes, size_t len)
{
    if (asker->reply_len == 0) {
        size_t part_len = sizeof asker->head - 1 - asker->got_len;
        part_len = len < part_len ? len : part_len;
        memcpy(asker->head + asker->got_len, bytes, part_len);
        asker->head[asker->got_len + part_len] = '\0';
        const char *body = strstr(asker->head, "\r\n\r\n");
        if (body != NULL)
            asker->reply_len = (size_t)(body + 4 - asker->head) + BODY_LEN;
    }
    asker->got_len += len;
    if (asker->reply_len == 0 || asker->got_len < asker->reply_len)
        return false;
    asker->got_len = asker->reply_len = 0;
    return true;
}

static void on_readable(struct asker *asker)
{
    char bytes[4096];
    size_t len;
    while ((len = receive(asker, bytes, sizeof bytes)) > 0) {
        if (!take(asker, bytes, len))
            continue;
        asker->asking = false;
        client.num_asking--;
        client.num_answered++;
        if (client.running)
            ask_next();
    }
}

static void wait_once(void)
{
    struct epoll_event events[64];
    int num = epoll_wait(client.epoll, events, 64, 100);
    if (num < 0 && errno != EINTR)
        kernel_die("epoll");
    for (int i = 0; i < num; i++)
        on_readable(events[i].data.ptr);
}

/* ---- connections ---- */

static void open_one(void)
{
    struct asker *asker = &client.row[client.num++];
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = asker};
    asker->fd = kernel_connect(client.options, false);
    asker->ssl = kernel_secure(client.ctx, asker->fd, false);
    if (fcntl(asker->fd, F_SETFL, O_NONBLOCK) != 0 ||
        epoll_ctl(client.epoll, EPOLL_CTL_ADD, asker->fd, &event) != 0)
        kernel_die("epoll");
}

static void open_all(uint32_t num)
{
    while (client.num < num)
        open_one();
}

static void run_until(uint64_t until_ns)
{
    while (kernel_now_ns() < until_ns)
        wait_once();
}

static void start_client(const struct kernel_options *options, uint32_t max_num)
{
    struct rlimit limit = {.rlim_cur = max_num + 64, .rlim_max = max_num + 64};
    client.options = options;
    client.ctx = kernel_tls(options, false);
    client.epoll = epoll_create1(0);
    client.row = calloc(max_num, sizeof *client.row);
    if (client.epoll < 0 || client.row == NULL || setrlimit(RLIMIT_NOFILE, &limit) != 0)
        kernel_die("room for connections");
    kernel_bind_core(1);
}

static void end_client(void)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    for (uint32_t i = 0; i < client.num; i++) {
        setsockopt(client.row[i].fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
        SSL_free(client.row[i].ssl);
        close(client.row[i].fd);
    }
    SSL_CTX_free(client.ctx);
    close(client.epoll);
    free(client.row);
}

/* ---- rps ---- */

static void measure(uint32_t active)
{
    const struct kernel_options *options = client.options;
    static bool first = true;
    client.active = active;
    client.next = 0;
    client.running = true;
    for (uint32_t i = 0; i < options->in_flight && i < active; i++)
        ask_next();
    run_until(kernel_now_ns() + (uint64_t)(options->warm_up_s * 1e9));
    uint64_t begin_ns = kernel_now_ns(), answered = client.num_answered;
    double cpu_s = kernel_process_cpu_s(options->server_pid);
    run_until(begin_ns + (uint64_t)(options->seconds * 1e9));
    double seconds = (double)(kernel_now_ns() - begin_ns) / 1e9;
    cpu_s = kernel_process_cpu_s(options->server_pid) - cpu_s;
    answered = client.num_answered - answered;
    client.running = false;
    while (client.num_asking > 0)
        wait_once();
    printf("%s{\"open\": %u, \"seconds\": %f, \"requests\": %llu, \"requests_per_s\": %f, "
           "\"server\": {\"cpu_s\": %f}}\n",
           first ? "" : ",", client.num, seconds, (unsigned long long)answered, (double)answered / seconds,
           cpu_s);
    first = false;
}

int kernel_rps(const struct kernel_options *options)
{
    uint32_t max_num = 1;
    for (uint32_t i = 0; i < options->num_list; i++)
        max_num = options->list[i] > max_num ? options->list[i] : max_num;
    start_client(options, max_num);
    printf("{\"results\": [\n");
    for (uint32_t i = 0; i < options->num_list; i++) {
        open_all(options->list[i]);
        for (uint32_t round = 0; round < options->num_rounds; round++)
            measure(client.num);
    }
    printf("]}\n");
    end_client();
    return client.num_answered > 0 ? 0 : 1;
}

/* ---- hold ---- */

int kernel_hold(const struct kernel_options *options)
{
    start_client(options, options->num_conns);
    open_all(options->num_conns);
    for (uint32_t i = 0; i < client.num; i++) {
        ask(&client.row[i]);
        while (client.num_asking > 0)
            wait_once();
    }
    printf("{\"open\": %u}\n", client.num);
    fflush(stdout);
    while (getchar() != EOF) {
    }
    end_client();
    return 0;
}
