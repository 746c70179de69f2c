/* SPDX-License-Identifier: Apache-2.0 */
/* The tests' surroundings with fake engines. */
#include "stack/socket.h"
#include "stack/socket_fake_engine.h"
#include "stack/socket_table.h"
#include "stack/socket_test_env.h"
#include "tests/harness/harness.h"

void env_start(size_t num_engines, uint32_t max_sockets)
{
    struct pel_engine *engines[4];
    struct pel_sockets_config config = {
        .max_sockets = max_sockets, .buffer_len = TEST_BUFFER_LEN, .clock = pel_clock_real()};
    pel_fake_start(num_engines, engines);
    PEL_EXPECT_EQ(pel_sockets_start(engines, num_engines, &config), PEL_OK);
}

void env_stop(void)
{
    uint64_t give_up_ms = env_now_ms() + 20000;
    while (env_num_conns() > 0 && env_now_ms() < give_up_ms)
        env_sleep_ms(1);
    PEL_EXPECT_EQ(env_num_conns(), 0);
    PEL_EXPECT_EQ(pel_fd_num_open(), 0);
    pel_sockets_stop();
    pel_fake_stop();
}

size_t env_num_conns(void)
{
    return pel_fake_num_conns();
}
