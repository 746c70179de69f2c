/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets under load from several threads, many sockets, and the end of the stack. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "stack/socket.h"
#include "stack/socket_fake_engine.h"
#include "stack/socket_table.h"
#include "stack/socket_test_env.h"
#include "tests/harness/harness.h"

#define TRANSFER_LEN (1u << 20)

/* One direction of one connection: the bytes follow from the seed. */
struct flow {
    pthread_t thread;
    int fd;
    uint64_t seed;
    bool is_sender, is_epoll;
    const char *failure; /* NULL: none */
};

static bool wait_for(int set, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events | EPOLLONESHOT};
    return pel_epoll_ctl(set, EPOLL_CTL_MOD, fd, &event) == 0 && pel_epoll_wait(set, &event, 1, 10000) == 1;
}

static void *flow_main(void *arg)
{
    struct flow *flow = arg;
    struct pel_prng prng, sizes;
    uint8_t bytes[9000];
    struct epoll_event event = {.events = 0};
    int set = flow->is_epoll ? pel_epoll_create1(0) : -1, flags = flow->is_epoll ? MSG_DONTWAIT : 0;
    pel_prng_seed(&prng, flow->seed);
    pel_prng_seed(&sizes, flow->seed + 1000 + flow->is_sender);
    if (set >= 0)
        pel_epoll_ctl(set, EPOLL_CTL_ADD, flow->fd, &event);
    for (size_t done_len = 0; done_len < TRANSFER_LEN && flow->failure == NULL;) {
        size_t len = 1 + pel_prng_below(&sizes, sizeof bytes), at = 0;
        len = len < TRANSFER_LEN - done_len ? len : TRANSFER_LEN - done_len;
        for (size_t i = 0; flow->is_sender && i < len; i++)
            bytes[i] = (uint8_t)pel_prng_next(&prng);
        while (at < len && flow->failure == NULL) {
            ssize_t now_len = flow->is_sender ? pel_send(flow->fd, bytes + at, len - at, flags)
                                              : pel_recv(flow->fd, bytes + at, len - at, flags);
            if (now_len > 0)
                at += (size_t)now_len;
            else if (now_len == 0 || errno != EAGAIN ||
                     !wait_for(set, flow->fd, flow->is_sender ? EPOLLOUT : EPOLLIN))
                flow->failure = now_len == 0 ? "early end" : "error or no event";
        }
        for (size_t i = 0; !flow->is_sender && i < at && flow->failure == NULL; i++)
            flow->failure = bytes[i] == (uint8_t)pel_prng_next(&prng) ? NULL : "wrong byte";
        done_len += at;
    }
    if (flow->is_sender)
        pel_shutdown(flow->fd, SHUT_WR);
    else if (flow->failure == NULL && pel_recv(flow->fd, bytes, 1, 0) != 0)
        flow->failure = "no end";
    if (set >= 0)
        pel_close(set);
    return NULL;
}

/* Two connections, both directions at once: eight threads. */
static void transfer(size_t num_engines, bool is_epoll)
{
    struct flow flows[8];
    int client[2], server[2];
    env_start(num_engines, 0);
    int listener = env_listen(TEST_PORT, 4);
    for (int i = 0; i < 2; i++) {
        client[i] = env_connect(TEST_PORT, 0);
        server[i] = pel_accept(listener, NULL, NULL);
        flows[4 * i] = (struct flow){.fd = client[i], .seed = 10u + (unsigned)i, .is_sender = true};
        flows[4 * i + 1] = (struct flow){.fd = server[i], .seed = 10u + (unsigned)i};
        flows[4 * i + 2] = (struct flow){.fd = server[i], .seed = 20u + (unsigned)i, .is_sender = true};
        flows[4 * i + 3] = (struct flow){.fd = client[i], .seed = 20u + (unsigned)i};
    }
    for (int i = 0; i < 8; i++) {
        flows[i].is_epoll = is_epoll;
        PEL_EXPECT_EQ(pthread_create(&flows[i].thread, NULL, flow_main, &flows[i]), 0);
    }
    for (int i = 0; i < 8; i++) {
        pthread_join(flows[i].thread, NULL);
        if (flows[i].failure != NULL)
            pel_test_fail(__FILE__, __LINE__, "flow %d: %s", i, flows[i].failure);
    }
    for (int i = 0; i < 2; i++) {
        pel_close(client[i]);
        pel_close(server[i]);
    }
    pel_close(listener);
    env_stop();
}

PEL_TEST(socket_threads, eight_threads_blocking)
{
    transfer(2, false);
}

PEL_TEST(socket_threads, eight_threads_with_epoll)
{
    transfer(2, true);
}

/* Several threads accept from one listener and serve; several connect. */
PEL_TEST(socket_threads, accept_connect_close_storm)
{
    struct env_worker clients[4], servers[4];
    unsigned num_served = 0;
    env_start(3, 0);
    int listener = env_listen(TEST_PORT, 64);
    for (int i = 0; i < 4; i++) {
        servers[i] = (struct env_worker){.fd = listener};
        clients[i] = (struct env_worker){.fd = -1};
        pthread_create(&servers[i].thread, NULL, env_pong_main, &servers[i]);
        pthread_create(&clients[i].thread, NULL, env_ping_main, &clients[i]);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(clients[i].thread, NULL);
        PEL_EXPECT_EQ(clients[i].num_failed, 0);
    }
    PEL_EXPECT_EQ(pel_shutdown(listener, SHUT_RDWR), 0); /* lets the servers go */
    for (int i = 0; i < 4; i++) {
        pthread_join(servers[i].thread, NULL);
        PEL_EXPECT_EQ(servers[i].num_failed, 0);
        num_served += servers[i].num_done;
    }
    PEL_EXPECT_EQ(num_served, 4 * ENV_NUM_PINGS);
    pel_close(listener);
    env_stop();
}

/* Threads that add, wait, read and close in one epoll set, while descriptors are used again and again. */
struct set_worker {
    pthread_t thread;
    int set, fds[8];
    uint64_t seed;
};

static void *set_worker_main(void *arg)
{
    struct set_worker *worker = arg;
    struct pel_prng prng;
    pel_prng_seed(&prng, worker->seed);
    for (int i = 0; i < 800; i++) {
        int *fd = &worker->fds[pel_prng_below(&prng, 8)];
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT}, events[4];
        char byte = 'q';
        switch (pel_prng_below(&prng, 7)) {
        case 0:
            pel_close(*fd);
            *fd = env_connect(TEST_PORT, SOCK_NONBLOCK);
            break;
        case 1:
            event.events |= pel_prng_below(&prng, 2) ? EPOLLET : EPOLLONESHOT;
            pel_epoll_ctl(worker->set, EPOLL_CTL_ADD, *fd, &event);
            break;
        case 2: pel_epoll_ctl(worker->set, EPOLL_CTL_MOD, *fd, &event); break;
        case 3: pel_epoll_ctl(worker->set, EPOLL_CTL_DEL, *fd, NULL); break;
        case 4: pel_send(*fd, &byte, 1, MSG_DONTWAIT); break;
        case 5: pel_recv(*fd, &byte, 1, MSG_DONTWAIT); break;
        default: PEL_EXPECT(pel_epoll_wait(worker->set, events, 4, (int)pel_prng_below(&prng, 2)) >= 0);
        }
    }
    for (int i = 0; i < 8; i++)
        pel_close(worker->fds[i]);
    return NULL;
}

static void *echo_main(void *arg)
{
    struct env_worker *worker = arg;
    int fd;
    while ((fd = pel_accept(worker->fd, NULL, NULL)) >= 0) {
        char byte;
        if (pel_recv(fd, &byte, 1, MSG_DONTWAIT) == 1)
            pel_send(fd, &byte, 1, MSG_DONTWAIT);
        pel_close(fd);
    }
    return NULL;
}

PEL_TEST(socket_threads, one_set_many_hands)
{
    struct set_worker workers[4];
    env_start(2, 0);
    struct env_worker echo = {.fd = env_listen(TEST_PORT, 64)};
    int set = pel_epoll_create1(0);
    pthread_create(&echo.thread, NULL, echo_main, &echo);
    for (unsigned i = 0; i < 4; i++) {
        workers[i] = (struct set_worker){.set = set, .fds = {-1, -1, -1, -1, -1, -1, -1, -1}, .seed = i + 1};
        pthread_create(&workers[i].thread, NULL, set_worker_main, &workers[i]);
    }
    for (int i = 0; i < 4; i++)
        pthread_join(workers[i].thread, NULL);
    pel_shutdown(echo.fd, SHUT_RD);
    pthread_join(echo.thread, NULL);
    pel_close(echo.fd);
    pel_close(set);
    env_stop();
}

PEL_TEST(socket_threads, ten_thousand_sockets)
{
    enum { NUM = 5000 }; /* connections: two sockets each */
    int *fds = calloc(2 * NUM, sizeof fds[0]);
    struct epoll_event event = {.events = EPOLLIN};
    env_start(1, 0);
    int listener = env_listen(TEST_PORT, 64), set = pel_epoll_create1(0);
    for (int i = 0; i < NUM; i++) {
        fds[2 * i] = env_connect(TEST_PORT, SOCK_NONBLOCK);
        fds[2 * i + 1] = pel_accept(listener, NULL, NULL);
        event.data.u32 = (uint32_t)i;
        PEL_REQUIRE(pel_epoll_ctl(set, EPOLL_CTL_ADD, fds[2 * i + 1], &event) == 0);
    }
    PEL_EXPECT_EQ(env_num_conns(), 2 * NUM);
    for (int i = 0; i < NUM; i += 500) {
        PEL_EXPECT_EQ(env_poll1(fds[2 * i], POLLOUT, 20000), POLLOUT);
        PEL_EXPECT_EQ(pel_write(fds[2 * i], "x", 1), 1);
        PEL_EXPECT_EQ(pel_epoll_wait(set, &event, 1, 20000), 1);
        PEL_EXPECT_EQ(event.data.u32, i);
        PEL_EXPECT_EQ(pel_read(fds[2 * i + 1], &event, 1), 1);
    }
    for (int i = 0; i < 2 * NUM; i++)
        PEL_EXPECT_EQ(pel_close(fds[i]), 0);
    pel_close(listener);
    pel_close(set);
    for (int i = 0; i < 20000 && env_num_conns() > 0; i++)
        env_sleep_ms(1);
    env_stop();
    free(fds);
}
