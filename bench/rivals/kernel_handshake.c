/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client of nginx that does nothing but handshakes: TCP, TLS, the server's first ticket (which shows that
 * it has done all of its work), a reset. With --resume every one of them offers the first one's ticket.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/rivals/kernel.h"

#define FIRST_NS 10000000000u /* for the first ticket */

struct attempt {
    SSL *ssl;
    int fd;
    bool ticket;
};

static struct client {
    const struct kernel_options *options;
    SSL_CTX *ctx;
    SSL_SESSION *session; /* to resume */
    int epoll;
    uint64_t num_done, num_resumed;
} client;

static int on_ticket(SSL *ssl, SSL_SESSION *session)
{
    struct attempt *attempt = SSL_get_app_data(ssl);
    attempt->ticket = true;
    if (client.options->resume && client.session == NULL) {
        client.session = session;
        return 1; /* kept */
    }
    return 0;
}

static void start(struct attempt *attempt)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = attempt};
    attempt->ticket = false;
    attempt->fd = kernel_connect(client.options, true);
    attempt->ssl = SSL_new(client.ctx);
    if (attempt->ssl == NULL || SSL_set_fd(attempt->ssl, attempt->fd) != 1 ||
        SSL_set_app_data(attempt->ssl, attempt) != 1)
        kernel_die("session");
    SSL_set_tlsext_host_name(attempt->ssl, "bench.test");
    /* A copy: OpenSSL lets a TLS 1.3 session be offered once. */
    SSL_SESSION *session = client.session != NULL ? SSL_SESSION_dup(client.session) : NULL;
    if (session != NULL && SSL_set_session(attempt->ssl, session) != 1)
        kernel_die("session to resume");
    SSL_SESSION_free(session);
    SSL_set_connect_state(attempt->ssl);
    if (epoll_ctl(client.epoll, EPOLL_CTL_ADD, attempt->fd, &event) != 0)
        kernel_die("epoll");
}

static void end(struct attempt *attempt)
{
    /* A reset leaves no connection behind in TIME-WAIT, of which the ports would run out. */
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    setsockopt(attempt->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    close(attempt->fd);
    SSL_set_quiet_shutdown(attempt->ssl, 1);
    SSL_shutdown(attempt->ssl); /* else OpenSSL would not resume its session */
    SSL_free(attempt->ssl);
}

/* True: the attempt is over. */
static bool go_on(struct attempt *attempt)
{
    uint8_t byte;
    int n = SSL_read(attempt->ssl, &byte, 1); /* shakes hands, and takes tickets */
    if (!attempt->ticket && n <= 0 && SSL_get_error(attempt->ssl, n) != SSL_ERROR_WANT_READ &&
        SSL_get_error(attempt->ssl, n) != SSL_ERROR_WANT_WRITE)
        kernel_die("handshake with nginx");
    return attempt->ticket;
}

/* To resume, the first one alone brings the ticket. */
static bool lacks_ticket(void)
{
    return client.options->resume && client.session == NULL;
}

static void run_until(uint64_t until_ns, bool or_ticket)
{
    struct epoll_event events[64];
    while (kernel_now_ns() < until_ns && (!or_ticket || lacks_ticket())) {
        int num = epoll_wait(client.epoll, events, 64, 100);
        if (num < 0 && errno != EINTR)
            kernel_die("epoll");
        for (int i = 0; i < num; i++) {
            struct attempt *attempt = events[i].data.ptr;
            if (!go_on(attempt))
                continue;
            client.num_done++;
            client.num_resumed += SSL_session_reused(attempt->ssl) == 1;
            end(attempt);
            start(attempt);
        }
    }
}

int kernel_handshake(const struct kernel_options *options)
{
    struct attempt *attempts = calloc(options->in_flight, sizeof *attempts);
    client.options = options;
    client.ctx = kernel_tls(options, false);
    client.epoll = epoll_create1(0);
    if (attempts == NULL || client.ctx == NULL || client.epoll < 0)
        kernel_die("handshake needs --tls, and memory");
    SSL_CTX_set_session_cache_mode(client.ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(client.ctx, on_ticket);
    kernel_bind_core(1);
    start(&attempts[0]);
    run_until(kernel_now_ns() + FIRST_NS, true);
    if (lacks_ticket())
        kernel_die("no ticket from nginx");
    for (uint32_t i = 1; i < options->in_flight; i++)
        start(&attempts[i]);
    run_until(kernel_now_ns() + (uint64_t)(options->warm_up_s * 1e9), false);
    client.num_done = client.num_resumed = 0;
    double cpu_s = kernel_process_cpu_s(options->server_pid);
    uint64_t begin_ns = kernel_now_ns();
    run_until(begin_ns + (uint64_t)(options->seconds * 1e9), false);
    double seconds = (double)(kernel_now_ns() - begin_ns) / 1e9;
    cpu_s = kernel_process_cpu_s(options->server_pid) - cpu_s;
    for (uint32_t i = 0; i < options->in_flight; i++)
        end(&attempts[i]);
    printf("{\"seconds\": %f, \"handshakes\": %llu, \"resumed\": %llu, \"handshakes_per_s\": %f, "
           "\"server\": {\"cpu_s\": %f}}\n",
           seconds, (unsigned long long)client.num_done, (unsigned long long)client.num_resumed,
           (double)client.num_done / seconds, cpu_s);
    SSL_SESSION_free(client.session);
    SSL_CTX_free(client.ctx);
    close(client.epoll);
    free(attempts);
    return client.num_done > 0 ? 0 : 1;
}
