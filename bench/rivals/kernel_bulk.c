/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bulk: the sender writes the same chunk again and again (or sends it from a file in memory), the receiver
 * reads into one buffer. What made it fast is said in bench/NOTES.md; each is an option, so that it can be
 * tried.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/rivals/kernel.h"

struct end {
    const struct kernel_options *options;
    int core, fd;
    SSL_CTX *ctx;
    bool server, sends;
    pthread_t thread;
    uint64_t bytes; /* received */
};

static bool again(int n)
{
    return n < 0 && (errno == EAGAIN || errno == EINTR);
}

/* ---- sending; each returns when the receiver has gone ---- */

static void send_tls(const struct end *end, SSL *ssl)
{
    size_t chunk_len = end->options->chunk_len, written_len;
    uint8_t *chunk = calloc(1, chunk_len);
    if (chunk == NULL)
        kernel_die("memory");
    if (end->options->batch_len > 0) {
        /* Gathers records in front of the socket; SSL_write itself never flushes it. */
        BIO *buffer = BIO_new(BIO_f_buffer()), *out = BIO_new_socket(end->fd, BIO_NOCLOSE);
        if (buffer == NULL || out == NULL ||
            BIO_set_write_buffer_size(buffer, (long)end->options->batch_len) != 1)
            kernel_die("buffer");
        SSL_set0_wbio(ssl, BIO_push(buffer, out));
    }
    int err = SSL_ERROR_NONE;
    while (err == SSL_ERROR_NONE || err == SSL_ERROR_WANT_WRITE)
        err = SSL_get_error(ssl, SSL_write_ex(ssl, chunk, chunk_len, &written_len));
    free(chunk);
}

static void send_file(const struct end *end)
{
    size_t chunk_len = end->options->chunk_len;
    int file = memfd_create("chunk", 0);
    ssize_t n = 1;
    if (file < 0 || ftruncate(file, (off_t)chunk_len) != 0 || fallocate(file, 0, 0, (off_t)chunk_len) != 0)
        kernel_die("file in memory");
    while (n > 0 || again((int)n)) {
        off_t at = 0;
        n = sendfile(end->fd, file, &at, chunk_len);
    }
    close(file);
}

static void send_plain(const struct end *end)
{
    size_t chunk_len = end->options->chunk_len;
    uint8_t *chunk = aligned_alloc(4096, chunk_len);
    ssize_t n = 1;
    if (chunk == NULL)
        kernel_die("memory");
    memset(chunk, 1, chunk_len);
    while (n > 0 || again((int)n))
        n = send(end->fd, chunk, chunk_len, MSG_NOSIGNAL);
    free(chunk);
}

/* ---- receiving ---- */

static void receive(struct end *end, SSL *ssl)
{
    size_t cap = ssl != NULL ? 16384 : end->options->read_len, len = 0;
    uint8_t *bytes = aligned_alloc(4096, cap);
    int err = SSL_ERROR_NONE;
    if (bytes == NULL)
        kernel_die("memory");
    for (;;) {
        if (ssl != NULL) {
            err = SSL_get_error(ssl, SSL_read_ex(ssl, bytes, cap, &len));
            if (err != SSL_ERROR_NONE && err != SSL_ERROR_WANT_READ)
                break;
            len = err == SSL_ERROR_NONE ? len : 0;
        } else {
            ssize_t n = recv(end->fd, bytes, cap, 0);
            if (n <= 0 && !again((int)n))
                break;
            len = n > 0 ? (size_t)n : 0;
        }
        __atomic_store_n(&end->bytes, end->bytes + len, __ATOMIC_RELAXED);
    }
    free(bytes);
}

static void *run(void *arg)
{
    struct end *end = arg;
    kernel_bind_core(end->core);
    SSL *ssl = kernel_secure(end->ctx, end->fd, end->server);
    if (end->options->spin && fcntl(end->fd, F_SETFL, O_NONBLOCK) != 0)
        kernel_die("O_NONBLOCK");
    if (!end->sends)
        receive(end, ssl);
    else if (ssl != NULL)
        send_tls(end, ssl);
    else if (end->options->sendfile)
        send_file(end);
    else
        send_plain(end);
    shutdown(end->fd, SHUT_RDWR);
    SSL_free(ssl);
    return NULL;
}

int kernel_bulk(const struct kernel_options *options)
{
    int fds[2];
    struct end ends[2]; /* 0: client, core 1; 1: server, core 0 */
    kernel_connect_pair(options, fds);
    for (int i = 0; i < 2; i++) {
        ends[i] = (struct end){.options = options, .core = 1 - i, .fd = fds[i], .server = i == 1};
        ends[i].sends = ends[i].server != options->up;
        ends[i].ctx = kernel_tls(options, ends[i].server);
    }
    for (int i = 0; i < 2; i++)
        if (pthread_create(&ends[i].thread, NULL, run, &ends[i]) != 0)
            kernel_die("thread");
    const struct end *receiver = &ends[options->up ? 1 : 0];
    kernel_sleep(options->warm_up_s);
    uint64_t bytes = __atomic_load_n(&receiver->bytes, __ATOMIC_RELAXED), begin_ns = kernel_now_ns();
    double cpu_s = kernel_thread_cpu_s(ends[1].thread);
    kernel_sleep(options->seconds);
    bytes = __atomic_load_n(&receiver->bytes, __ATOMIC_RELAXED) - bytes;
    double seconds = (double)(kernel_now_ns() - begin_ns) / 1e9;
    cpu_s = kernel_thread_cpu_s(ends[1].thread) - cpu_s;
    for (int i = 0; i < 2; i++) /* both: a writer that waits for room would wait on */
        shutdown(fds[i], SHUT_RDWR);
    for (int i = 0; i < 2; i++) {
        pthread_join(ends[i].thread, NULL);
        close(fds[i]);
        SSL_CTX_free(ends[i].ctx);
    }
    printf("{\"seconds\": %f, \"bytes\": %llu, \"gbytes_per_s\": %f, \"server\": {\"cpu_s\": %f}}\n", seconds,
           (unsigned long long)bytes, (double)bytes / seconds / 1e9, cpu_s);
    return bytes > 0 ? 0 : 1;
}
