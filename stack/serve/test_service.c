/* SPDX-License-Identifier: Apache-2.0 */
#include "stack/serve/test_service.h"

#include <pellucid/pair.h>
#include <stdio.h>
#include <unistd.h>

#include "stack/engine.h"
#include "stack/serve/parts.h"
#include "tests/harness/harness.h"

static struct pel_pair *pair;
struct pel_serve *service;
static struct pel_config config;
char path[64];
uint32_t service_patience_ms = SERVICE_PATIENCE_MS;

static void on_log(void *arg, const char *line)
{
    (void)arg;
    fprintf(stderr, "# %s\n", line);
}

enum pel_err service_start_another(struct pel_serve **ret_serve, struct pel_error *reterr)
{
    struct pel_engine *engines[PEL_PAIR_ENGINES_MAX];
    size_t num = 0;
    for (; pel_pair_engine_at(pair, 0, (int)num) != NULL; num++)
        engines[num] = pel_pair_engine_at(pair, 0, (int)num);
    const struct pel_serve_config serve_config = {.config = &config,
                                                  .engines = engines,
                                                  .num_engines = num,
                                                  .overflow = 1024,
                                                  .patience_ms = service_patience_ms,
                                                  .log = on_log};
    return pel_serve_start(&serve_config, ret_serve, reterr);
}

void service_start(int num_engines, uint32_t max_sockets)
{
    service_start_under(NULL, NULL, num_engines, max_sockets);
}

void service_start_under(const char *policy_file, const char *keyring_dir, int num_engines,
                         uint32_t max_sockets)
{
    struct pel_pair_options options = {.cores = {-1, -1},
                                       .num_engines = num_engines,
                                       .more_cores = {{-1, -1, -1}, {-1, -1, -1}},
                                       .mtu = 9000,
                                       .window_len = 1u << 16,
                                       .policy_files = {policy_file},
                                       .keyring_dir = keyring_dir};
    struct pel_error error = {.text = ""};
    snprintf(path, sizeof path, "/tmp/pel-serve-test-%d.sock", (int)getpid());
    config = (struct pel_config){0};
    config.attach.socket = path;
    config.attach.mode = 0600;
    config.attach.max_sockets = max_sockets;
    config.attach.max_sockets_per_user = max_sockets * 2;
    config.attach.max_applications = 3;
    config.attach.buffer_len = 16384;
    config.port.mtu = 9000;
    if (pel_pair_start(&options, &pair, &error) != PEL_OK ||
        service_start_another(&service, &error) != PEL_OK)
        pel_test_fail(__FILE__, __LINE__, "%s", error.text);
}

static void count_conns(struct pel_engine *engine, void *arg)
{
    *(size_t *)arg += engine->num_conns;
}

size_t service_num_conns(void)
{
    size_t num = 0;
    for (int i = 0; pel_pair_engine_at(pair, 0, i) != NULL; i++)
        pel_engine_call(pel_pair_engine_at(pair, 0, i), count_conns, &num);
    return num;
}

struct pel_serve_report service_report(void)
{
    struct pel_serve_report now;
    struct pel_counters counters = {0};
    pel_serve_get_report(service, &now, &counters);
    return now;
}

static void add_err(struct pel_engine *engine, void *arg)
{
    uint64_t *args = arg;
    args[1] += engine->counters.err[args[0]];
}

uint64_t service_num_errs(enum pel_err err)
{
    uint64_t args[2] = {err, 0};
    for (int i = 0; pel_pair_engine_at(pair, 0, i) != NULL; i++)
        pel_engine_call(pel_pair_engine_at(pair, 0, i), add_err, args);
    return args[1];
}

static void add_stat(struct pel_engine *engine, void *arg)
{
    uint64_t *args = arg;
    args[1] += engine->counters.stat[args[0]];
}

uint64_t service_num_stats(enum pel_stat stat)
{
    uint64_t args[2] = {stat, 0};
    for (int i = 0; pel_pair_engine_at(pair, 0, i) != NULL; i++)
        pel_engine_call(pel_pair_engine_at(pair, 0, i), add_stat, args);
    return args[1];
}

/* All that programs had comes back: waited for, since ends are noticed by other threads. */
static void expect_nothing_left(void)
{
    for (int i = 0; i < 20000 && (service_report().num_sockets > 0 || service_report().num_applications > 0 ||
                                  service_report().num_clients > 0 || service_num_conns() > 0);
         i++)
        usleep(1000);
    PEL_EXPECT_EQ(service_report().num_sockets, 0);
    PEL_EXPECT_EQ(service_report().num_applications, 0);
    PEL_EXPECT_EQ(service_report().num_clients, 0);
    PEL_EXPECT_EQ(service_num_conns(), 0);
}

void service_stop(void)
{
    expect_nothing_left();
    pel_serve_stop(service);
    PEL_EXPECT_EQ(access(path, F_OK), -1);
    pel_pair_stop(pair);
    service_patience_ms = SERVICE_PATIENCE_MS;
}

bool ends_open_at(struct test_program *program, uint16_t port, struct ends *ends)
{
    if (test_socket_open(program, SOCK_STREAM, port, &ends->listener) != 0 ||
        test_socket_ask(&ends->listener, PEL_IPC_LISTEN, 8, 0) != 0 ||
        test_socket_open(program, SOCK_STREAM, -1, &ends->client) != 0 ||
        test_socket_ask(&ends->client, PEL_IPC_CONNECT, 0, port) != 0)
        return false;
    if (!test_socket_accept(&ends->listener, &ends->server))
        return false;
    test_socket_ask_for(&ends->server, PEL_SLOT_ASK_MAP);
    return test_socket_wait(&ends->client, PEL_SLOT_OPEN) && test_socket_wait(&ends->server, PEL_SLOT_OPEN);
}

bool ends_open(struct test_program *program, struct ends *ends)
{
    return ends_open_at(program, PORT, ends);
}

void ends_close(struct ends *ends)
{
    test_socket_close(&ends->client);
    test_socket_close(&ends->server);
    test_socket_close(&ends->listener);
}

static void take_is_dialogue(struct pel_engine *engine, void *arg)
{
    *(bool *)arg = engine->duty.is_dialogue(engine->duty.arg);
}

bool service_is_dialogue(void)
{
    bool is_dialogue = false;
    pel_engine_call(service->engines[0].engine, take_is_dialogue, &is_dialogue);
    return is_dialogue;
}
