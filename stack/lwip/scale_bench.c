/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How what one connection costs grows with those that are open beside it: two instances in one thread hold
 * NUM connections, on a wire of 5 us and in virtual time, so that timers run as often as at
 * some 50,000 messages a second. Prints, in microseconds of both ends
 * together, what opening one takes, what a message of 64 bytes to a random one and its echo take, and what
 * the timers of an idle second take. Figures: docs/adr/0006-demultiplexer.md.
 *
 *     scale_bench NUM...
 */
#include "stack/lwip/lab.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define NUM_MESSAGES 50000u
#define SECOND       1000000ull
#define MAX_CONNS    (1u << 17)

/* The laboratory's failures, here without a test. */
void pel_test_fail(const char *file, int line, const char *format, ...)
{
    fprintf(stderr, "%s:%d: failed: %s\n", file, line, format);
    exit(1);
}

static double wall_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static void many(struct pel_ipstack_config *config)
{
    config->max_connections = MAX_CONNS;
    config->tcp_window_len = 64 * 1024;
}

static void echo(struct lab_conn *conn)
{
    conn->to_send_len = conn->received_len;
    lab_conn_pump(conn);
}

struct side {
    struct lab_conn *client, *server;
};

static bool is_open(void *arg)
{
    struct side *side = (struct side *)arg;
    return side->client->connected && side->server->connected;
}

static bool is_echoed(void *arg)
{
    struct side *side = (struct side *)arg;
    return side->client->received_len == side->client->to_send_len;
}

static double open_all(struct lab *lab, struct lab_conn *clients, struct lab_conn *servers, unsigned num)
{
    double start_us = wall_us();
    for (unsigned i = 0; i < num; i++) {
        char to[32];
        snprintf(to, sizeof(to), "10.0.0.2:%u", 1000 + i % 8);
        struct lab_conn *server = &servers[i % 8 * (num / 8 + 1) + i / 8];
        struct side side = {&clients[i], server};
        lab_conn_init(&clients[i], 0, 1, 1);
        lab_conn_init(server, 0, 1, 1);
        server->in_receive = echo;
        if (lab_connect(&lab->a, to, &clients[i]) != PEL_OK || !lab_run_until(lab, SECOND, is_open, &side))
            exit(1);
    }
    return (wall_us() - start_us) / num;
}

static double talk(struct lab *lab, struct lab_conn *clients, unsigned num)
{
    struct pel_prng prng;
    pel_prng_seed(&prng, 1);
    double start_us = wall_us();
    for (unsigned i = 0; i < NUM_MESSAGES; i++) {
        struct side side = {&clients[pel_prng_next(&prng) % num], NULL};
        side.client->to_send_len += 64;
        lab_conn_pump(side.client);
        if (!lab_run_until(lab, SECOND, is_echoed, &side))
            exit(1);
    }
    return (wall_us() - start_us) / NUM_MESSAGES;
}

static void measure(unsigned num)
{
    struct lab lab;
    struct lab_listener listeners[8];
    struct pel_sim_wire_config wire = {.seed = 1, .latency_us = 5};
    struct lab_conn *clients = calloc(num, sizeof(*clients));
    struct lab_conn *servers = calloc(num + 8, sizeof(*servers));
    if (clients == NULL || servers == NULL || !lab_open(&lab, &wire, many))
        exit(1);
    for (unsigned i = 0; i < 8; i++) {
        char at[16];
        snprintf(at, sizeof(at), ":%u", 1000 + i);
        lab_listen(&lab.b, at, &listeners[i], servers + i * (num / 8 + 1), num / 8 + 1);
    }
    double open_us = open_all(&lab, clients, servers, num);
    double talk_us = talk(&lab, clients, num);
    lab_run(&lab, 2 * SECOND);
    double start_us = wall_us();
    lab_run(&lab, 10 * SECOND);
    double idle_us = (wall_us() - start_us) / 10;
    printf("%7u connections: open %8.2f us, message and echo %8.2f us, an idle second %8.0f us\n", num,
           open_us, talk_us, idle_us);
    lab_close(&lab);
    free(clients);
    free(servers);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        measure((unsigned)atoi(argv[i]));
    return 0;
}
