/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 64 bytes there and back, one at a time, as any program would write it: blocking sockets of the C library,
 * and no word of TLS. Under `pel run` it measures what unmodified programs get.
 *
 *     bench_ping server PORT               answers one connection after another, until it is killed
 *     bench_ping client ADDRESS PORT SECONDS   prints JSON
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PING_LEN    64
#define MAX_SAMPLES (1u << 22)
#define WARM_UP_NS  300000000ull

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static bool read_all(int fd, uint8_t *bytes)
{
    for (size_t got_len = 0; got_len < PING_LEN;) {
        ssize_t len = read(fd, bytes + got_len, PING_LEN - got_len);
        if (len <= 0)
            return false;
        got_len += (size_t)len;
    }
    return true;
}

static struct sockaddr_in address_of(const char *ip, const char *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)strtoul(port, NULL, 10))};
    if (inet_pton(AF_INET, ip, &address.sin_addr) != 1) {
        fprintf(stderr, "bench_ping: %s is no IPv4 address\n", ip);
        exit(2);
    }
    return address;
}

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void serve(const char *port)
{
    const struct sockaddr_in address = address_of("0.0.0.0", port);
    int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (const struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 16) != 0)
        fail("bench_ping: listen");
    printf("listening\n");
    fflush(stdout);
    for (;;) {
        uint8_t bytes[PING_LEN];
        int fd = accept(listener, NULL, NULL);
        if (fd < 0)
            fail("bench_ping: accept");
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        while (read_all(fd, bytes) && write(fd, bytes, PING_LEN) == PING_LEN) {
        }
        close(fd);
    }
}

static int by_size(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return left < right ? -1 : left > right;
}

static int ask(const char *ip, const char *port, double seconds)
{
    const struct sockaddr_in address = address_of(ip, port);
    uint32_t *samples_ns = malloc(MAX_SAMPLES * sizeof *samples_ns), num = 0;
    uint8_t bytes[PING_LEN] = "ping";
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    if (samples_ns == NULL || connect(fd, (const struct sockaddr *)&address, sizeof address) != 0)
        fail("bench_ping: connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    uint64_t begin_ns = now_ns(), end_ns = begin_ns + WARM_UP_NS + (uint64_t)(seconds * 1e9);
    while ((now_ns() < end_ns || num == 0) && num < MAX_SAMPLES) {
        uint64_t sent_ns = now_ns();
        if (write(fd, bytes, PING_LEN) != PING_LEN || !read_all(fd, bytes))
            fail("bench_ping: the connection ended");
        if (sent_ns - begin_ns > WARM_UP_NS)
            samples_ns[num++] = (uint32_t)(now_ns() - sent_ns);
    }
    close(fd);
    qsort(samples_ns, num, sizeof *samples_ns, by_size);
    printf("{\"round_trips\": %u, \"p50_us\": %.3f, \"p99_us\": %.3f, \"p999_us\": %.3f}\n", num,
           samples_ns[num / 2] / 1e3, samples_ns[(uint64_t)num * 99 / 100] / 1e3,
           samples_ns[(uint64_t)num * 999 / 1000] / 1e3);
    free(samples_ns);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "server") == 0)
        serve(argv[2]); /* does not return */
    if (argc == 5 && strcmp(argv[1], "client") == 0)
        return ask(argv[2], argv[3], strtod(argv[4], NULL));
    fprintf(stderr, "usage: bench_ping server PORT | bench_ping client ADDRESS PORT SECONDS\n");
    return 2;
}
