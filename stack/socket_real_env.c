/* SPDX-License-Identifier: Apache-2.0 */
/* The tests' surroundings with the real engine: side A of a pair, which talks to itself through its TCP/IP
 * layer. */
#include <pellucid/pair.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stack/engine.h"
#include "stack/socket.h"
#include "stack/socket_table.h"
#include "stack/socket_test_env.h"
#include "tests/harness/harness.h"
#include "tests/scenario/rings.h"

static struct pel_pair *pair;

static void start(size_t num_engines, uint32_t max_sockets, const char *policy_file)
{
    struct pel_pair_options options = {.cores = {-1, -1},
                                       .policy_files = {policy_file, NULL},
                                       .keyring_dir = policy_file != NULL ? rings_dir() : NULL,
                                       .num_engines = (int)num_engines,
                                       .more_cores = {{-1, -1, -1}, {-1, -1, -1}},
                                       .mtu = 9000,
                                       .window_len = 1u << 16};
    struct pel_engine *engines[PEL_PAIR_ENGINES_MAX];
    struct pel_sockets_config config = {
        .max_sockets = max_sockets, .buffer_len = TEST_BUFFER_LEN, .clock = pel_clock_real()};
    struct pel_error error = {.text = ""};
    if (pel_pair_start(&options, &pair, &error) != PEL_OK) {
        pel_test_fail(__FILE__, __LINE__, "no engines: %s", error.text);
        return;
    }
    for (size_t i = 0; i < num_engines; i++)
        engines[i] = pel_pair_engine_at(pair, 0, (int)i);
    PEL_EXPECT_EQ(pel_sockets_start(engines, num_engines, &config), PEL_OK);
}

void env_start(size_t num_engines, uint32_t max_sockets)
{
    start(num_engines, max_sockets, NULL);
}

void env_start_policy(const char *policy)
{
    char path[] = "/tmp/pellucid-policy-XXXXXX";
    int fd = mkstemp(path);
    if (fd < 0 || write(fd, policy, strlen(policy)) != (ssize_t)strlen(policy))
        abort();
    close(fd);
    start(1, 0, path);
    unlink(path);
}

void env_stop(void)
{
    uint64_t give_up_ms = env_now_ms() + 20000;
    while (env_num_conns() > 0 && env_now_ms() < give_up_ms)
        env_sleep_ms(1);
    PEL_EXPECT_EQ(env_num_conns(), 0);
    PEL_EXPECT_EQ(pel_fd_num_open(), 0);
    pel_sockets_stop();
    pel_pair_stop(pair);
    pair = NULL;
}

static void count_conns(struct pel_engine *engine, void *arg)
{
    *(size_t *)arg += engine->num_conns;
}

size_t env_num_conns(void)
{
    size_t num = 0;
    for (int i = 0; pel_pair_engine_at(pair, 0, i) != NULL; i++)
        pel_engine_call(pel_pair_engine_at(pair, 0, i), count_conns, &num);
    return num;
}
