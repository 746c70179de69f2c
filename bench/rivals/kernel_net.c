/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/rivals/kernel.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

void kernel_die(const char *what)
{
    fprintf(stderr, "bench_kernel: %s: %m\n", what);
    ERR_print_errors_fp(stderr);
    exit(1);
}

void kernel_bind_core(int core)
{
    cpu_set_t cores;
    CPU_ZERO(&cores);
    CPU_SET((unsigned)core, &cores);
    pthread_setaffinity_np(pthread_self(), sizeof cores, &cores); /* with one core: it stays where it is */
}

void kernel_set_buffers(int fd, const struct kernel_options *options)
{
    int one = 1, len = options->socket_buf_len;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    /* FORCE: beyond the system's limit, for root. */
    if (len > 0 && (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &len, sizeof len) != 0 ||
                    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &len, sizeof len) != 0))
        kernel_die("socket buffers");
}

void kernel_connect_pair(const struct kernel_options *options, int ret_fds[2])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    ret_fds[0] = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0 || ret_fds[0] < 0)
        kernel_die("socket");
    kernel_set_buffers(listener, options);
    kernel_set_buffers(ret_fds[0], options);
    if (bind(listener, (struct sockaddr *)&address, len) != 0 || listen(listener, 1) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &len) != 0 ||
        connect(ret_fds[0], (struct sockaddr *)&address, len) != 0)
        kernel_die("connect over loopback");
    ret_fds[1] = accept(listener, NULL, NULL);
    if (ret_fds[1] < 0)
        kernel_die("accept");
    kernel_set_buffers(ret_fds[1], options);
    close(listener);
}

int kernel_connect(const struct kernel_options *options, bool nonblocking)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    char host[64];
    unsigned port = 0;
    int one = 1;
    if (options->connect == NULL || sscanf(options->connect, "%63[^:]:%u", host, &port) != 2 ||
        inet_pton(AF_INET, host, &address.sin_addr) != 1)
        kernel_die("--connect ADDRESS:PORT");
    address.sin_port = htons((uint16_t)port);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    /* Over loopback connecting is done at once, so that it may block. */
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
        kernel_die("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (nonblocking && fcntl(fd, F_SETFL, O_NONBLOCK) != 0)
        kernel_die("O_NONBLOCK");
    return fd;
}

SSL_CTX *kernel_tls(const struct kernel_options *options, bool server)
{
    if (!options->tls)
        return NULL;
    SSL_CTX *ctx = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
    if (ctx == NULL || SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) != 1 ||
        SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256") != 1)
        kernel_die("TLS context");
    if (server && (SSL_CTX_use_certificate_chain_file(ctx, options->cert) != 1 ||
                   SSL_CTX_use_PrivateKey_file(ctx, options->key, SSL_FILETYPE_PEM) != 1))
        kernel_die("certificate");
    SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (options->ahead_len > 0) {
        SSL_CTX_set_read_ahead(ctx, 1);
        SSL_CTX_set_default_read_buffer_len(ctx, options->ahead_len);
    }
    return ctx;
}

SSL *kernel_secure(SSL_CTX *ctx, int fd, bool server)
{
    if (ctx == NULL)
        return NULL;
    SSL *ssl = SSL_new(ctx);
    if (ssl == NULL || SSL_set_fd(ssl, fd) != 1 || (server ? SSL_accept(ssl) : SSL_connect(ssl)) != 1)
        kernel_die("handshake");
    return ssl;
}

void kernel_sleep(double seconds)
{
    usleep((useconds_t)(seconds * 1e6));
}

uint64_t kernel_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

double kernel_thread_cpu_s(unsigned long thread)
{
    struct timespec used = {0};
    clockid_t clock;
    if (pthread_getcpuclockid((pthread_t)thread, &clock) == 0)
        clock_gettime(clock, &used);
    return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

double kernel_process_cpu_s(int pid)
{
    char path[64];
    unsigned long long ns = 0;
    if (pid <= 0)
        return 0;
    snprintf(path, sizeof path, "/proc/%d/schedstat", pid);
    FILE *file = fopen(path, "r");
    if (file == NULL || fscanf(file, "%llu", &ns) != 1)
        kernel_die(path);
    fclose(file);
    return (double)ns / 1e9;
}
