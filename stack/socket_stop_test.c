/* SPDX-License-Identifier: Apache-2.0 */
/* The end of the stack under sockets that are in use: with fake engines, which notice every touch after the
 * end. */
#include <errno.h>
#include <pthread.h>

#include "base/clock.h"
#include "stack/socket.h"
#include "stack/socket_fake_engine.h"
#include "stack/socket_table.h"
#include "stack/socket_test_env.h"
#include "tests/harness/harness.h"

static void stop_sockets(void *arg)
{
    (void)arg;
    pel_sockets_stop();
}

/* Everything that can be open when the stack stops, with a thread that waits on a part of it. */
PEL_TEST(socket_stop, stop_resets_everything)
{
    struct pel_engine *engines[2];
    struct pel_sockets_config config = {.buffer_len = TEST_BUFFER_LEN, .clock = pel_clock_real()};
    struct sockaddr_in address = env_address(5300);
    struct epoll_event event = {.events = EPOLLIN};
    struct env_later later;
    struct env_pair pair;
    char byte = 0;
    pel_fake_start(2, engines);
    PEL_EXPECT_EQ(pel_sockets_start(engines, 2, &config), PEL_OK);
    PEL_EXPECT_EQ(pel_sockets_start(engines, 2, &config), PEL_E_STATE);
    PEL_REQUIRE(env_pair_open(&pair));
    int unaccepted = env_connect(TEST_PORT, 0), fresh = pel_socket(AF_INET, SOCK_STREAM, 0);
    int udp = pel_socket(AF_INET, SOCK_DGRAM, 0), set = pel_epoll_create1(0);
    PEL_EXPECT_EQ(pel_bind(udp, (struct sockaddr *)&address, sizeof address), 0);
    PEL_EXPECT_EQ(pel_epoll_ctl(set, EPOLL_CTL_ADD, pair.client, &event), 0);
    env_later_start(&later, 30, stop_sockets, NULL);
    EXPECT_FAIL(pel_read(pair.server, &byte, 1), ECONNRESET);
    env_later_join(&later);
    pel_fake_stop(); /* from here on nothing may touch an engine */
    PEL_EXPECT_EQ(pel_epoll_wait(set, &event, 1, 20000), 1);
    EXPECT_FAIL(pel_write(pair.client, "x", 1), ECONNRESET);
    EXPECT_FAIL(pel_write(pair.client, "x", 1), EPIPE);
    EXPECT_FAIL(pel_accept(pair.listener, NULL, NULL), ECONNRESET);
    EXPECT_FAIL(pel_read(udp, &byte, 1), ECONNRESET);
    EXPECT_FAIL(pel_sendto(udp, "x", 1, 0, (struct sockaddr *)&address, sizeof address), ECONNRESET);
    EXPECT_FAIL(pel_connect(fresh, (struct sockaddr *)&address, sizeof address), ENETDOWN);
    EXPECT_FAIL(pel_listen(fresh, 1), ENETDOWN);
    EXPECT_FAIL(pel_socket(AF_INET, SOCK_STREAM, 0), ENETDOWN);
    PEL_EXPECT(env_poll1(pair.listener, POLLIN, 20000) & POLLERR);
    env_pair_close(&pair);
    pel_close(unaccepted);
    pel_close(fresh);
    pel_close(udp);
    pel_close(set);
    PEL_EXPECT_EQ(pel_fd_num_open(), 0);
    pel_sockets_stop(); /* harmless */
    env_start(1, 0);    /* and again */
    PEL_EXPECT(env_pair_open(&pair));
    env_pair_close(&pair);
    env_stop();
}

/* A stop while threads connect, accept, write and close. */
PEL_TEST(socket_stop, stop_under_load)
{
    for (unsigned round = 0; round < 10; round++) {
        struct pel_engine *engines[3];
        struct pel_sockets_config config = {.buffer_len = TEST_BUFFER_LEN, .clock = pel_clock_real()};
        struct env_worker clients[3], servers[2];
        pel_fake_start(3, engines);
        PEL_EXPECT_EQ(pel_sockets_start(engines, 3, &config), PEL_OK);
        int listener = env_listen(TEST_PORT, 64);
        for (int i = 0; i < 3; i++) {
            clients[i] = (struct env_worker){.fd = -1};
            pthread_create(&clients[i].thread, NULL, env_ping_main, &clients[i]);
        }
        for (int i = 0; i < 2; i++) {
            servers[i] = (struct env_worker){.fd = listener};
            pthread_create(&servers[i].thread, NULL, env_pong_main, &servers[i]);
        }
        env_sleep_ms(round);
        pel_sockets_stop();
        pel_fake_stop();
        for (int i = 0; i < 3; i++)
            pthread_join(clients[i].thread, NULL);
        for (int i = 0; i < 2; i++)
            pthread_join(servers[i].thread, NULL);
        pel_close(listener);
        PEL_EXPECT_EQ(pel_fd_num_open(), 0);
    }
}
