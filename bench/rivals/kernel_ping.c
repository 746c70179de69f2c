/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 64 bytes there and back over loopback, one at a time. Both threads spin on sockets that do not block: on
 * this way nobody is ever woken.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/rivals/kernel.h"

#define PING_LEN    64u
#define MAX_SAMPLES (1u << 22)

struct end {
    const struct kernel_options *options;
    int core, fd;
    SSL_CTX *ctx;
    bool server;
    pthread_t thread;
    uint32_t num_samples;
    uint32_t *samples_ns; /* the client's */
};

static bool measuring;

/* False: the connection has ended. */
static bool receive(const struct end *end, SSL *ssl, uint8_t *bytes)
{
    size_t got_len = 0;
    while (got_len < PING_LEN) {
        if (ssl != NULL) {
            int n = SSL_read(ssl, bytes + got_len, (int)(PING_LEN - got_len));
            if (n <= 0 && SSL_get_error(ssl, n) != SSL_ERROR_WANT_READ)
                return false;
            got_len += n > 0 ? (size_t)n : 0;
        } else {
            ssize_t n = recv(end->fd, bytes + got_len, PING_LEN - got_len, 0);
            if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
                return false;
            got_len += n > 0 ? (size_t)n : 0;
        }
    }
    return true;
}

/* 64 bytes always fit. */
static bool transmit(const struct end *end, SSL *ssl, const uint8_t *bytes)
{
    if (ssl != NULL)
        return SSL_write(ssl, bytes, PING_LEN) == PING_LEN;
    return send(end->fd, bytes, PING_LEN, MSG_NOSIGNAL) == PING_LEN;
}

static void ask(struct end *end, SSL *ssl)
{
    uint8_t bytes[PING_LEN] = {0};
    uint64_t asked_ns = kernel_now_ns();
    while (transmit(end, ssl, bytes) && receive(end, ssl, bytes)) {
        uint64_t now_ns = kernel_now_ns();
        if (__atomic_load_n(&measuring, __ATOMIC_RELAXED) && end->num_samples < MAX_SAMPLES)
            end->samples_ns[end->num_samples++] = (uint32_t)(now_ns - asked_ns);
        asked_ns = now_ns;
    }
}

static void answer(const struct end *end, SSL *ssl)
{
    uint8_t bytes[PING_LEN];
    while (receive(end, ssl, bytes) && transmit(end, ssl, bytes)) {
    }
}

static void *run(void *arg)
{
    struct end *end = arg;
    kernel_bind_core(end->core);
    SSL *ssl = kernel_secure(end->ctx, end->fd, end->server);
    if (end->options->spin && fcntl(end->fd, F_SETFL, O_NONBLOCK) != 0)
        kernel_die("O_NONBLOCK");
    if (end->server)
        answer(end, ssl);
    else
        ask(end, ssl);
    shutdown(end->fd, SHUT_RDWR);
    SSL_free(ssl);
    return NULL;
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static double share_us(const struct end *end, double share)
{
    return end->num_samples == 0 ? 0 : end->samples_ns[(size_t)((end->num_samples - 1) * share)] / 1e3;
}

int kernel_ping(const struct kernel_options *options)
{
    int fds[2];
    struct end ends[2];
    kernel_connect_pair(options, fds);
    for (int i = 0; i < 2; i++) {
        ends[i] = (struct end){.options = options, .core = 1 - i, .fd = fds[i], .server = i == 1};
        ends[i].ctx = kernel_tls(options, ends[i].server);
        ends[i].samples_ns = calloc(MAX_SAMPLES, sizeof *ends[i].samples_ns);
        if (ends[i].samples_ns == NULL || pthread_create(&ends[i].thread, NULL, run, &ends[i]) != 0)
            kernel_die("thread");
    }
    kernel_sleep(options->warm_up_s);
    __atomic_store_n(&measuring, true, __ATOMIC_RELAXED);
    kernel_sleep(options->seconds);
    __atomic_store_n(&measuring, false, __ATOMIC_RELAXED);
    shutdown(fds[0], SHUT_RDWR);
    for (int i = 0; i < 2; i++) {
        pthread_join(ends[i].thread, NULL);
        close(fds[i]);
        SSL_CTX_free(ends[i].ctx);
    }
    qsort(ends[0].samples_ns, ends[0].num_samples, sizeof *ends[0].samples_ns, compare);
    printf("{\"round_trips\": %u, \"p50_us\": %f, \"p99_us\": %f, \"p999_us\": %f}\n", ends[0].num_samples,
           share_us(&ends[0], 0.5), share_us(&ends[0], 0.99), share_us(&ends[0], 0.999));
    int status = ends[0].num_samples > 0 ? 0 : 1;
    free(ends[0].samples_ns);
    free(ends[1].samples_ns);
    return status;
}
