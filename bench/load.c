/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/load.h"

#include <arpa/inet.h>
#include <getopt.h>
#include <netinet/in.h>
#include <pellucid/version.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FIRST_PORT 7000
#define PATIENCE_S 60

static void usage(const char *name)
{
    fprintf(stderr,
            "usage: %s [--seconds S] [--warm-up S] [--connections N] [--in-flight N] [--rounds N] [--engines "
            "N] [--list "
            "N,N,...]\n"
            "       [--up] [--mtu N] [--window N] [--no-segment-offload] [--sleepy] [--keyrings DIR]\n"
            "       [--client-policy FILE] [--server-policy FILE]\n",
            name);
    exit(2);
}

static void read_list(const char *text, struct load_options *options)
{
    char *rest = NULL;
    options->num_list = 0;
    for (const char *at = text; at != NULL && options->num_list < LOAD_MAX_LISTS;
         at = *rest == ',' ? rest + 1 : NULL)
        options->list[options->num_list++] = strtoull(at, &rest, 10);
}

static void read_options(int argc, char **argv, struct load_options *options)
{
    static const struct option longs[] = {
        {"seconds", required_argument, NULL, 's'},       {"warm-up", required_argument, NULL, 'w'},
        {"connections", required_argument, NULL, 'c'},   {"in-flight", required_argument, NULL, 'f'},
        {"rounds", required_argument, NULL, 'r'},        {"engines", required_argument, NULL, 'e'},
        {"list", required_argument, NULL, 'l'},          {"up", no_argument, NULL, 'u'},
        {"mtu", required_argument, NULL, 'm'},           {"window", required_argument, NULL, 'W'},
        {"no-segment-offload", no_argument, NULL, 'o'},  {"sleepy", no_argument, NULL, 'S'},
        {"keyrings", required_argument, NULL, 'k'},      {"client-policy", required_argument, NULL, 'A'},
        {"server-policy", required_argument, NULL, 'B'}, {NULL, 0, NULL, 0},
    };
    int option;
    while ((option = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        switch (option) {
        case 's': options->seconds = atof(optarg); break;
        case 'w': options->warm_up_s = atof(optarg); break;
        case 'c': options->num_conns = (uint32_t)atoi(optarg); break;
        case 'f': options->in_flight = (uint32_t)atoi(optarg); break;
        case 'r': options->num_rounds = (uint32_t)atoi(optarg); break;
        case 'e': options->num_engines = (uint32_t)atoi(optarg); break;
        case 'l': read_list(optarg, options); break;
        case 'u': options->up = true; break;
        case 'm': options->pair.mtu = (uint32_t)atoi(optarg); break;
        case 'W': options->pair.window_len = (uint32_t)atoi(optarg); break;
        case 'o': options->pair.no_segment_offload = 1; break;
        case 'S': options->pair.busy_poll = 0; break;
        case 'k': options->pair.keyring_dir = optarg; break;
        case 'A': options->pair.policy_files[0] = optarg; break;
        case 'B': options->pair.policy_files[1] = optarg; break;
        default: usage(argv[0]);
        }
    }
    if (optind < argc || options->seconds <= 0 || options->num_conns < 1 || options->num_rounds < 1)
        usage(argv[0]);
}

void load_read(struct load *load, int argc, char **argv)
{
    struct load_options *options = &load->options;
    options->pair.cores[0] = 1; /* the client; the server has core 0 */
    options->pair.busy_poll = 1;
    options->seconds = 1;
    options->warm_up_s = 0.3;
    options->num_conns = options->num_conns > 0 ? options->num_conns : 1;
    options->num_rounds = 1;
    read_options(argc, argv, options);
    if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
        options->pair.cores[0] = options->pair.cores[1] = -1;
}

void load_start(struct load *load)
{
    struct pel_error error = {0};
    if (pel_pair_start(&load->options.pair, &load->pair, &error) == PEL_OK)
        return;
    fprintf(stderr, "bench: %s\n", error.text);
    exit(1);
}

void load_open(struct load *load, int argc, char **argv)
{
    load_read(load, argc, argv);
    load_start(load);
}

void load_share(struct load *load, const struct load *first, int engine)
{
    load->options = first->options;
    load->pair = first->pair;
    load->engine = engine;
}

/* ---- connections ---- */

static struct sockaddr_in server_address(uint32_t number)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    address.sin_port = htons((uint16_t)(FIRST_PORT + number % LOAD_PORTS));
    inet_pton(AF_INET, "10.7.0.2", &address.sin_addr);
    return address;
}

static void start_listening(struct pel_engine *engine, void *arg)
{
    struct load *load = arg;
    for (uint32_t i = 0; i < LOAD_PORTS; i++) {
        struct sockaddr_in address = server_address(i);
        enum pel_err err = pel_engine_listen(engine, (struct sockaddr *)&address, sizeof address, 4096,
                                             load->on_accept, load->arg, &load->listeners[i]);
        if (err != PEL_OK) {
            fprintf(stderr, "bench: listen: %s\n", pel_err_text(err));
            exit(1);
        }
    }
}

static void stop_listening(struct pel_engine *engine, void *arg)
{
    struct load *load = arg;
    (void)engine;
    for (uint32_t i = 0; i < LOAD_PORTS; i++)
        pel_listener_close(load->listeners[i]);
}

void load_listen(struct load *load, pel_accept_fn *on_accept, void *arg)
{
    load->on_accept = on_accept;
    load->arg = arg;
    load_call(load, 1, start_listening, load);
}

struct pel_conn *load_connect(struct load *load, struct pel_engine *engine, uint32_t number,
                              const struct pel_conn_events *events, void *arg)
{
    struct sockaddr_in address = server_address(number);
    struct pel_conn *conn = NULL;
    enum pel_err err = pel_engine_connect(engine, NULL, 0, (struct sockaddr *)&address, sizeof address,
                                          "bench.test", NULL, events, arg, &conn);
    if (err == PEL_OK)
        return conn;
    fprintf(stderr, "bench: connect: %s\n", pel_err_text(err));
    __atomic_fetch_add(&load->num_failed, 1, __ATOMIC_RELAXED);
    return NULL;
}

void load_failed(struct load *load, enum pel_err err)
{
    if (err == PEL_E_CONN_ABORTED || __atomic_load_n(&load->over, __ATOMIC_RELAXED))
        return;
    if (__atomic_fetch_add(&load->num_failed, 1, __ATOMIC_RELAXED) < 10)
        fprintf(stderr, "bench: a connection ended: %s\n", pel_err_text(err));
}

struct pel_engine *load_engine(const struct load *load, int side)
{
    return pel_pair_engine_at(load->pair, side, load->engine);
}

void load_call(struct load *load, int side, void (*fn)(struct pel_engine *engine, void *arg), void *arg)
{
    pel_engine_call(load_engine(load, side), fn, arg);
}

bool load_wait(struct load *load, const uint64_t *number, uint64_t goal)
{
    uint64_t before = load_get(number), num_idle = 0;
    while (load_get(number) < goal && load_get(&load->num_failed) == 0 && num_idle < PATIENCE_S * 500) {
        usleep(2000);
        num_idle = load_get(number) == before ? num_idle + 1 : 0;
        before = load_get(number);
    }
    if (load_get(number) >= goal)
        return true;
    fprintf(stderr, "bench: %llu of %llu, then nothing more\n", (unsigned long long)load_get(number),
            (unsigned long long)goal);
    __atomic_fetch_add(&load->num_failed, 1, __ATOMIC_RELAXED);
    return false;
}

void load_stop(struct load *load)
{
    __atomic_store_n(&load->over, true, __ATOMIC_RELAXED);
}

int load_close(struct load *load)
{
    load_stop(load);
    load_call(load, 1, stop_listening, load);
    if (load->engine == 0)
        pel_pair_stop(load->pair);
    return load->num_failed == 0 ? 0 : 1;
}

/* ---- measuring ---- */

uint64_t load_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void load_sleep(double seconds)
{
    usleep((useconds_t)(seconds * 1e6));
}

void load_span_begin(struct load *load, struct load_span *span)
{
    span->begin_us = load_now_ns() / 1000;
    for (int side = 0; side < 2; side++)
        pel_pair_usage(load->pair, side, &span->usage[side]);
}

void load_span_end(struct load *load, struct load_span *span)
{
    struct pel_pair_usage now;
    for (int side = 0; side < 2; side++) {
        pel_pair_usage(load->pair, side, &now);
        span->usage[side].cpu_us = now.cpu_us - span->usage[side].cpu_us;
        span->usage[side].busy_us = now.busy_us - span->usage[side].busy_us;
    }
    span->seconds = (double)(load_now_ns() / 1000 - span->begin_us) / 1e6;
}

json_t *load_span_json(const struct load_span *span)
{
    const struct pel_pair_usage *client = &span->usage[0], *server = &span->usage[1];
    return json_pack("{s:f, s:{s:f, s:f}, s:{s:f, s:f}}", "seconds", span->seconds, "server", "cpu_s",
                     (double)server->cpu_us / 1e6, "busy_s", (double)server->busy_us / 1e6, "client", "cpu_s",
                     (double)client->cpu_us / 1e6, "busy_s", (double)client->busy_us / 1e6);
}

void load_print(json_t *json)
{
    json_object_set_new(json, "version", json_string(pel_version()));
    json_dumpf(json, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(12));
    printf("\n");
    json_decref(json);
}
