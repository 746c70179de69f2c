/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stack's side of the first two questions of the bench: two engines on two cores with a wire in memory
 * between them.
 *
 *     bench_engines bulk --seconds S ...    one connection, B sends as fast as A takes
 *     bench_engines rps  --seconds S ...    N connections, A asks for 1 KB again and again, B answers
 *
 * Prints one JSON object: what was moved in the measured time, and the CPU time of the serving engine (B).
 */
#include <getopt.h>
#include <jansson.h>
#include <netinet/in.h>
#include <pellucid/pair.h>
#include <pellucid/version.h>
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PORT        7000
#define CONNS_MAX   1024
#define REQUEST_LEN 100
#define REPLY_LEN   1024
#define CHUNK_LEN   65536
#define WARM_UP_US  500000

struct options {
    bool bulk;
    double seconds;
    int num_conns;
    struct pel_pair_options pair;
};

/* What both sides share; each number is written by one engine and read by the main thread. */
struct run {
    const struct options *options;
    uint64_t bytes;    /* A received */
    uint64_t requests; /* A got answered */
    uint64_t opened, failed;
    bool over; /* measured: what ends now, ends because we stop */
    struct pel_listener *listener;
    uint8_t chunk[CHUNK_LEN];
};

struct end {
    struct run *run;
    size_t got_len;  /* of the request or reply that is coming in */
    size_t left_len; /* of the reply that is going out */
};

static void add(uint64_t *number, uint64_t n)
{
    __atomic_store_n(number, *number + n, __ATOMIC_RELAXED);
}

static uint64_t get(const uint64_t *number)
{
    return __atomic_load_n(number, __ATOMIC_RELAXED);
}

/* ---- both ---- */

static void on_eof(void *arg, struct pel_conn *conn)
{
    pel_conn_close(conn);
    free(arg);
}

static void on_closed(void *arg, struct pel_conn *conn, enum pel_err err)
{
    struct end *end = arg;
    (void)conn;
    if (err != PEL_E_CONN_ABORTED && !__atomic_load_n(&end->run->over, __ATOMIC_RELAXED)) {
        add(&end->run->failed, 1);
        fprintf(stderr, "bench_engines: a connection ended: %s\n", pel_err_text(err));
    }
    free(end);
}

/* ---- B, the server ---- */

static void server_send(struct end *end, struct pel_conn *conn)
{
    size_t taken_len = 0;
    while (end->left_len > 0) {
        size_t len = end->left_len < CHUNK_LEN ? end->left_len : CHUNK_LEN;
        if (pel_conn_write(conn, end->run->chunk, len, &taken_len) != PEL_OK)
            return;
        end->left_len -= taken_len;
        if (taken_len < len)
            return;
    }
}

static void server_open(void *arg, struct pel_conn *conn)
{
    struct end *end = arg;
    if (!end->run->options->bulk)
        return;
    end->left_len = SIZE_MAX;
    server_send(end, conn);
}

static size_t server_data(void *arg, struct pel_conn *conn, const uint8_t *bytes, size_t len)
{
    struct end *end = arg;
    (void)bytes;
    end->got_len += len;
    for (; end->got_len >= REQUEST_LEN; end->got_len -= REQUEST_LEN)
        end->left_len += REPLY_LEN;
    server_send(end, conn);
    return len;
}

static void server_writable(void *arg, struct pel_conn *conn)
{
    server_send(arg, conn);
}

static const struct pel_conn_events server_events = {.on_open = server_open,
                                                     .on_data = server_data,
                                                     .on_eof = on_eof,
                                                     .on_writable = server_writable,
                                                     .on_closed = on_closed};

static enum pel_err on_accept(void *arg, struct pel_conn *conn)
{
    struct end *end = calloc(1, sizeof *end);
    if (end == NULL)
        return PEL_E_NO_MEMORY;
    end->run = arg;
    pel_conn_attach(conn, &server_events, end);
    pel_conn_map(conn, NULL);
    return PEL_OK;
}

static struct sockaddr_in address_of_b(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    inet_pton(AF_INET, "10.7.0.2", &address.sin_addr);
    return address;
}

static void start_server(struct pel_engine *engine, void *arg)
{
    struct run *run = arg;
    struct sockaddr_in address = address_of_b();
    if (pel_engine_listen(engine, (struct sockaddr *)&address, sizeof address, 1024, on_accept, run,
                          &run->listener) != PEL_OK)
        abort();
}

/* ---- A, the client ---- */

static void ask(struct end *end, struct pel_conn *conn)
{
    size_t taken_len = 0;
    if (pel_conn_write(conn, end->run->chunk, REQUEST_LEN, &taken_len) != PEL_OK || taken_len != REQUEST_LEN)
        add(&end->run->failed, 1); /* one small request at a time always fits */
}

static void client_open(void *arg, struct pel_conn *conn)
{
    struct end *end = arg;
    add(&end->run->opened, 1);
    if (!end->run->options->bulk)
        ask(end, conn);
}

static size_t client_data(void *arg, struct pel_conn *conn, const uint8_t *bytes, size_t len)
{
    struct end *end = arg;
    (void)bytes;
    add(&end->run->bytes, len);
    end->got_len += len;
    if (!end->run->options->bulk && end->got_len >= REPLY_LEN) {
        end->got_len -= REPLY_LEN;
        add(&end->run->requests, 1);
        ask(end, conn);
    }
    return len;
}

static void client_writable(void *arg, struct pel_conn *conn)
{
    (void)arg;
    (void)conn;
}

static const struct pel_conn_events client_events = {.on_open = client_open,
                                                     .on_data = client_data,
                                                     .on_eof = on_eof,
                                                     .on_writable = client_writable,
                                                     .on_closed = on_closed};

static void start_clients(struct pel_engine *engine, void *arg)
{
    struct run *run = arg;
    struct sockaddr_in address = address_of_b();
    for (int i = 0; i < run->options->num_conns; i++) {
        struct end *end = calloc(1, sizeof *end);
        struct pel_conn *conn;
        if (end == NULL)
            abort();
        end->run = run;
        enum pel_err err = pel_engine_connect(engine, NULL, 0, (struct sockaddr *)&address, sizeof address,
                                              "bench.test", NULL, &client_events, end, &conn);
        if (err != PEL_OK) {
            fprintf(stderr, "bench_engines: connect: %s\n", pel_err_text(err));
            add(&run->failed, 1);
            free(end);
        }
    }
}

static void stop_server(struct pel_engine *engine, void *arg)
{
    (void)engine;
    pel_listener_close(((struct run *)arg)->listener);
}

/* ---- measuring ---- */

static uint64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

static int measure(struct run *run, struct pel_pair *pair)
{
    const struct options *options = run->options;
    struct pel_pair_usage before, after;
    pel_engine_call(pel_pair_engine(pair, 1), start_server, run);
    pel_engine_call(pel_pair_engine(pair, 0), start_clients, run);
    for (int i = 0; i < 1000 && get(&run->opened) + get(&run->failed) < (uint64_t)options->num_conns; i++)
        usleep(10000);
    usleep(WARM_UP_US);
    uint64_t bytes = get(&run->bytes), requests = get(&run->requests), begin_us = now_us();
    pel_pair_usage(pair, 1, &before);
    usleep((useconds_t)(options->seconds * 1e6));
    pel_pair_usage(pair, 1, &after);
    double elapsed_s = (double)(now_us() - begin_us) / 1e6;
    bytes = get(&run->bytes) - bytes;
    requests = get(&run->requests) - requests;
    pel_engine_call(pel_pair_engine(pair, 1), stop_server, run);
    json_t *json = json_pack(
        "{s:s, s:f, s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:f}", "version", pel_version(), "seconds", elapsed_s,
        "connections", (json_int_t)get(&run->opened), "failed", (json_int_t)get(&run->failed), "bytes",
        (json_int_t)bytes, "requests", (json_int_t)requests, "gbytes_per_s", (double)bytes / elapsed_s / 1e9,
        "requests_per_s", (double)requests / elapsed_s, "server_cpu_s",
        (double)(after.cpu_us - before.cpu_us) / 1e6, "server_busy_share",
        (double)(after.busy_loops - before.busy_loops) /
            (double)(after.busy_loops - before.busy_loops + after.idle_loops - before.idle_loops + 1));
    json_dumpf(json, stdout, JSON_INDENT(1));
    printf("\n");
    json_decref(json);
    return get(&run->failed) == 0 && get(&run->opened) == (uint64_t)options->num_conns ? 0 : 1;
}

static int usage(void)
{
    fprintf(stderr,
            "usage: bench_engines bulk|rps [--seconds S] [--connections N] [--mtu N] [--keyrings DIR]\n"
            "                     [--client-policy FILE] [--server-policy FILE]\n");
    return 2;
}

static bool read_options(int argc, char **argv, struct options *options)
{
    static const struct option longs[] = {
        {"seconds", required_argument, NULL, 's'},
        {"connections", required_argument, NULL, 'c'},
        {"mtu", required_argument, NULL, 'm'},
        {"keyrings", required_argument, NULL, 'k'},
        {"client-policy", required_argument, NULL, 'A'},
        {"server-policy", required_argument, NULL, 'B'},
        {NULL, 0, NULL, 0},
    };
    int option;
    if (argc < 2 || (strcmp(argv[1], "bulk") != 0 && strcmp(argv[1], "rps") != 0))
        return false;
    options->bulk = strcmp(argv[1], "bulk") == 0;
    options->num_conns = options->bulk ? 1 : 64;
    while ((option = getopt_long(argc - 1, argv + 1, "", longs, NULL)) != -1) {
        switch (option) {
        case 's': options->seconds = atof(optarg); break;
        case 'c': options->num_conns = atoi(optarg); break;
        case 'm': options->pair.mtu = (uint32_t)atoi(optarg); break;
        case 'k': options->pair.keyring_dir = optarg; break;
        case 'A': options->pair.policy_files[0] = optarg; break;
        case 'B': options->pair.policy_files[1] = optarg; break;
        default: return false;
        }
    }
    return options->seconds > 0 && options->num_conns > 0 && options->num_conns <= CONNS_MAX;
}

int main(int argc, char **argv)
{
    struct options options = {.seconds = 3, .pair = {.cores = {1, 0}, .busy_poll = 1, .window_len = 1 << 20}};
    struct pel_error error = {0};
    struct pel_pair *pair = NULL;
    if (!read_options(argc, argv, &options))
        return usage();
    struct run *run = calloc(1, sizeof *run);
    if (run == NULL || pel_pair_start(&options.pair, &pair, &error) != PEL_OK) {
        fprintf(stderr, "bench_engines: %s\n", error.text);
        free(run);
        return 1;
    }
    run->options = &options;
    int status = measure(run, pair);
    __atomic_store_n(&run->over, true, __ATOMIC_RELAXED);
    pel_pair_stop(pair);
    free(run);
    return status;
}
