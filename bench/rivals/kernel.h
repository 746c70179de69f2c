/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel at its best, and the kernel's client of nginx: one program over plain sockets with OpenSSL. It
 * is a rival, or a rival's client, and no part of Pellucid.
 *
 * kernel.c reads the options; each mode is a function that prints one JSON object and returns the exit
 * status.
 */
#ifndef PEL_BENCH_RIVALS_KERNEL_H
#define PEL_BENCH_RIVALS_KERNEL_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KERNEL_MAX_LIST 16

struct kernel_options {
    double seconds, warm_up_s;
    bool tls, up, spin, resume;
    bool sendfile;    /* plain: from a file in memory, which saves the copy into the socket */
    size_t chunk_len; /* of a write, or of a sendfile */
    size_t
        batch_len; /* TLS: sealed records are gathered to this before they are written; 0: each by itself */
    size_t ahead_len;   /* TLS: bytes read ahead; 0: header and body of each record by themselves */
    size_t read_len;    /* plain: of a read */
    int socket_buf_len; /* 0: the kernel's own growth */
    const char *cert, *key;
    const char *connect; /* ADDRESS:PORT of nginx */
    uint32_t num_conns, in_flight, num_rounds;
    uint32_t list[KERNEL_MAX_LIST], num_list;
    int server_pid; /* nginx's worker: whose CPU time is read from /proc */
};

/* bulk: two threads, a connection between them, one sends as fast as the other takes. */
int kernel_bulk(const struct kernel_options *options);

/* ping: 64 bytes there and back, both threads spinning. */
int kernel_ping(const struct kernel_options *options);

/* handshake: one connection after another to nginx, some at a time. */
int kernel_handshake(const struct kernel_options *options);

/* rps: requests to nginx over the connections of each stage in turn. hold: opens connections, asks once on
 * each, says so, and keeps them until its input ends. */
int kernel_rps(const struct kernel_options *options);
int kernel_hold(const struct kernel_options *options);

/* ---- what the modes share (kernel_net.c) ---- */

/* All of these end the program with a text when they fail. */
void kernel_die(const char *what);
void kernel_bind_core(int core);
void kernel_set_buffers(int fd, const struct kernel_options *options);
/* A connection over loopback: ret_fds[0] the client's end, [1] the server's. */
void kernel_connect_pair(const struct kernel_options *options, int ret_fds[2]);
int kernel_connect(const struct kernel_options *options, bool nonblocking);
SSL_CTX *kernel_tls(const struct kernel_options *options, bool server);
/* The handshake over a blocking socket; NULL without options->tls. */
SSL *kernel_secure(SSL_CTX *ctx, int fd, bool server);
void kernel_sleep(double seconds);
uint64_t kernel_now_ns(void);
/* CPU time of a thread, and of a process by /proc (0 without one), in seconds. */
double kernel_thread_cpu_s(unsigned long thread);
double kernel_process_cpu_s(int pid);

#endif
