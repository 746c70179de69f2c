/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting: pel_poll and epoll sets. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>

#include "stack/socket_test_env.h"
#include "tests/harness/harness.h"

PEL_TEST(socket_poll, of_a_fresh_socket)
{
    env_start(1, 0);
    int fd = pel_socket(AF_INET, SOCK_STREAM, 0);
    PEL_EXPECT_EQ(env_poll1(fd, POLLIN | POLLOUT, 0), POLLOUT | POLLHUP);
    pel_close(fd);
    env_stop();
}

PEL_TEST(socket_poll, of_no_socket)
{
    struct pollfd rows[] = {{.fd = -1, .events = POLLIN, .revents = 99}, {.fd = 3, .events = POLLIN}};
    env_start(1, 0);
    PEL_EXPECT_EQ(pel_poll(rows, 2, 20000), 1);
    PEL_EXPECT_EQ(rows[0].revents, 0);
    PEL_EXPECT_EQ(rows[1].revents, POLLNVAL);
    uint64_t start_ms = env_now_ms();
    PEL_EXPECT_EQ(pel_poll(rows, 1, 20), 0);
    PEL_EXPECT_EQ(pel_poll(NULL, 0, 20), 0);
    PEL_EXPECT(env_now_ms() - start_ms >= 39);
    EXPECT_FAIL(pel_poll(NULL, 1, 0), EFAULT);
    env_stop();
}

PEL_TEST(socket_poll, many_rows_one_ready)
{
    enum { NUM = 50 };
    struct pollfd rows[NUM];
    int clients[NUM], servers[NUM];
    env_start(2, 0);
    int listener = env_listen(TEST_PORT, NUM);
    for (int i = 0; i < NUM; i++) {
        clients[i] = env_connect(TEST_PORT, 0);
        servers[i] = pel_accept(listener, NULL, NULL);
        rows[i] = (struct pollfd){.fd = servers[i], .events = POLLIN};
    }
    PEL_EXPECT_EQ(pel_poll(rows, NUM, 0), 0);
    struct env_later later;
    env_later_start(&later, 20, env_write_x, &clients[37]);
    PEL_EXPECT_EQ(pel_poll(rows, NUM, 20000), 1);
    int num_ready = 0, ready_fd = -1;
    for (int i = 0; i < NUM; i++) {
        num_ready += rows[i].revents != 0;
        ready_fd = rows[i].revents == POLLIN ? rows[i].fd : ready_fd;
    }
    PEL_EXPECT_EQ(num_ready, 1);
    char byte = 0;
    PEL_EXPECT_EQ(pel_recv(ready_fd, &byte, 1, MSG_DONTWAIT), 1);
    env_later_join(&later);
    for (int i = 0; i < NUM; i++) {
        pel_close(clients[i]);
        pel_close(servers[i]);
    }
    pel_close(listener);
    env_stop();
}

PEL_TEST(socket_poll, same_descriptor_twice)
{
    struct env_pair pair;
    env_start(1, 0);
    PEL_REQUIRE(env_pair_open(&pair));
    struct pollfd rows[] = {{.fd = pair.server, .events = POLLIN}, {.fd = pair.server, .events = POLLIN}};
    struct env_later later;
    env_later_start(&later, 20, env_write_x, &pair.client);
    PEL_EXPECT_EQ(pel_poll(rows, 2, 20000), 2);
    env_later_join(&later);
    env_pair_close(&pair);
    env_stop();
}

PEL_TEST(socket_poll, close_while_polled)
{
    struct env_pair pair;
    struct env_later later;
    env_start(1, 0);
    PEL_REQUIRE(env_pair_open(&pair));
    int server = pair.server;
    env_later_start(&later, 20, env_close_it, &server);
    PEL_EXPECT_EQ(env_poll1(server, POLLIN, 20000), POLLNVAL);
    env_later_join(&later);
    pair.server = -1;
    env_pair_close(&pair);
    env_stop();
}

PEL_TEST(socket_poll, listener_becomes_readable)
{
    env_start(1, 0);
    int listener = env_listen(TEST_PORT, 4);
    PEL_EXPECT_EQ(env_poll1(listener, POLLIN | POLLOUT, 0), 0);
    int client = env_connect(TEST_PORT, SOCK_NONBLOCK);
    PEL_EXPECT_EQ(env_poll1(listener, POLLIN | POLLOUT, 20000), POLLIN);
    pel_close(client);
    pel_close(listener);
    env_stop();
}

/* Whether the socket takes more: if not, for a while in which the engine has had its turns. */
static bool has_room(int fd)
{
    for (int i = 0; i < 10; i++) {
        if (env_poll1(fd, POLLOUT, 5) == POLLOUT)
            return true;
        (void)env_num_conns(); /* asks the engine */
    }
    return env_poll1(fd, POLLOUT, 50) == POLLOUT;
}

PEL_TEST(socket_poll, full_ring_is_not_writable_until_read)
{
    struct env_pair pair;
    static char bytes[TEST_BUFFER_LEN];
    env_start(1, 0);
    PEL_REQUIRE(env_pair_open(&pair));
    env_poll1(pair.server, POLLIN, 0);
    pel_fcntl(pair.client, F_SETFL, O_NONBLOCK);
    while (has_room(pair.client))
        PEL_EXPECT(pel_write(pair.client, bytes, sizeof bytes) > 0);
    PEL_EXPECT(pel_write(pair.client, bytes, sizeof bytes) <= TEST_BUFFER_LEN / 4);
    PEL_EXPECT_EQ(env_poll1(pair.client, POLLOUT, 0), 0);
    struct pollfd row = {.fd = pair.client, .events = POLLOUT};
    /* What the engine has not brought yet cannot be had; and it need not have all to make room. */
    uint64_t end_ms = env_now_ms() + 20000;
    while (pel_poll(&row, 1, 20) == 0 && env_now_ms() < end_ms)
        PEL_EXPECT(pel_recv(pair.server, bytes, sizeof bytes, MSG_DONTWAIT) > 0 || errno == EAGAIN);
    PEL_EXPECT_EQ(row.revents, POLLOUT);
    env_pair_close(&pair);
    env_stop();
}

PEL_TEST(socket_epoll, control_errors)
{
    struct epoll_event event = {.events = EPOLLIN};
    env_start(1, 0);
    int set = pel_epoll_create1(EPOLL_CLOEXEC), other = pel_epoll_create1(0),
        fd = pel_socket(AF_INET, SOCK_STREAM, 0);
    EXPECT_FAIL(pel_epoll_create1(1), EINVAL);
    EXPECT_FAIL(pel_epoll_ctl(set, EPOLL_CTL_ADD, 3, &event), EBADF);
    EXPECT_FAIL(pel_epoll_ctl(3, EPOLL_CTL_ADD, fd, &event), EBADF);
    EXPECT_FAIL(pel_epoll_ctl(fd, EPOLL_CTL_ADD, fd, &event), EINVAL);
    EXPECT_FAIL(pel_epoll_ctl(set, EPOLL_CTL_ADD, set, &event), EINVAL);
    EXPECT_FAIL(pel_epoll_ctl(set, EPOLL_CTL_ADD, other, &event), EINVAL);
    EXPECT_FAIL(pel_epoll_ctl(set, 77, fd, &event), EINVAL);
    EXPECT_FAIL(pel_epoll_ctl(set, EPOLL_CTL_ADD, fd, NULL), EFAULT);
    EXPECT_FAIL(pel_epoll_ctl(set, EPOLL_CTL_MOD, fd, &event), ENOENT);
    EXPECT_FAIL(pel_epoll_ctl(set, EPOLL_CTL_DEL, fd, NULL), ENOENT);
    PEL_EXPECT_EQ(env_add(set, fd, EPOLLIN), 0);
    EXPECT_FAIL(env_add(set, fd, EPOLLIN), EEXIST);
    PEL_EXPECT_EQ(pel_epoll_ctl(set, EPOLL_CTL_DEL, fd, NULL), 0);
    EXPECT_FAIL(pel_epoll_wait(set, &event, 0, 0), EINVAL);
    EXPECT_FAIL(pel_epoll_wait(fd, &event, 1, 0), EINVAL);
    EXPECT_FAIL(pel_epoll_wait(set, NULL, 1, 0), EFAULT);
    EXPECT_FAIL(pel_epoll_wait(4, &event, 1, 0), EBADF);
    EXPECT_FAIL(pel_read(set, &event, 1), ENOTSOCK);
    pel_close(fd);
    pel_close(set);
    pel_close(other);
    env_stop();
}

PEL_TEST(socket_epoll, level)
{
    struct env_pair pair;
    char bytes[4];
    env_start(1, 0);
    PEL_REQUIRE(env_pair_open(&pair));
    int set = pel_epoll_create1(0);
    PEL_EXPECT_EQ(env_add(set, pair.server, EPOLLIN), 0);
    PEL_EXPECT_EQ(env_wait1(set, 0), 0);
    PEL_EXPECT_EQ(pel_write(pair.client, "ab", 2), 2);
    PEL_EXPECT_EQ(env_wait1(set, 20000), EPOLLIN);
    PEL_EXPECT_EQ(pel_read(pair.server, bytes, 1), 1);
    PEL_EXPECT_EQ(env_wait1(set, 0), EPOLLIN); /* again, as one byte is left */
    PEL_EXPECT_EQ(pel_read(pair.server, bytes, 1), 1);
    PEL_EXPECT_EQ(env_wait1(set, 10), 0);
    PEL_EXPECT_EQ(env_modify(set, pair.server, EPOLLIN | EPOLLOUT), 0);
    PEL_EXPECT_EQ(env_wait1(set, 0), EPOLLOUT);
    PEL_EXPECT_EQ(env_wait1(set, 0), EPOLLOUT);
    PEL_EXPECT_EQ(pel_shutdown(pair.client, SHUT_WR), 0);
    PEL_EXPECT_EQ(env_modify(set, pair.server, EPOLLRDHUP), 0);
    PEL_EXPECT_EQ(env_wait1(set, 20000), EPOLLRDHUP);
    pel_close(set);
    env_pair_close(&pair);
    env_stop();
}

PEL_TEST(socket_epoll, edge)
{
    struct env_pair pair;
    char bytes[4];
    env_start(1, 0);
    PEL_REQUIRE(env_pair_open(&pair));
    int set = pel_epoll_create1(0);
    PEL_EXPECT_EQ(env_add(set, pair.server, EPOLLIN | EPOLLET), 0);
    PEL_EXPECT_EQ(pel_write(pair.client, "a", 1), 1);
    PEL_EXPECT_EQ(env_wait1(set, 20000), EPOLLIN);
    PEL_EXPECT_EQ(env_wait1(set, 20), 0); /* not read, nothing new */
    PEL_EXPECT_EQ(pel_write(pair.client, "b", 1), 1);
    PEL_EXPECT_EQ(env_wait1(set, 20000), EPOLLIN);
    PEL_EXPECT_EQ(pel_recv(pair.server, bytes, 2, MSG_WAITALL), 2);
    PEL_EXPECT_EQ(env_modify(set, pair.server, EPOLLIN | EPOLLOUT | EPOLLET), 0);
    PEL_EXPECT_EQ(env_wait1(set, 0), EPOLLOUT);
    PEL_EXPECT_EQ(env_wait1(set, 10), 0);
    PEL_EXPECT_EQ(pel_shutdown(pair.client, SHUT_WR), 0);
    PEL_EXPECT_EQ(env_wait1(set, 20000) & EPOLLIN, EPOLLIN);
    PEL_EXPECT_EQ(pel_read(pair.server, bytes, 1), 0);
    pel_close(set);
    env_pair_close(&pair);
    env_stop();
}

PEL_TEST(socket_epoll, edge_of_room)
{
    struct env_pair pair;
    static char bytes[TEST_BUFFER_LEN];
    env_start(1, 0);
    PEL_REQUIRE(env_pair_open(&pair));
    env_poll1(pair.server, POLLIN, 0);
    int set = pel_epoll_create1(0);
    PEL_EXPECT_EQ(env_add(set, pair.client, EPOLLOUT | EPOLLET), 0);
    PEL_EXPECT_EQ(env_wait1(set, 0), EPOLLOUT);
    size_t sent_len = 0, got_len = 0;
    ssize_t len;
    /* Written until there is no room, then told of room, again and again, until the other side holds all it
     * can. */
    do {
        while ((len = pel_send(pair.client, bytes, 3000, MSG_DONTWAIT)) > 0)
            sent_len += (size_t)len;
    } while (env_wait1(set, sent_len < 2 * TEST_BUFFER_LEN ? 20000 : 50) != 0);
    PEL_EXPECT(sent_len >= 2 * TEST_BUFFER_LEN);
    uint64_t end_ms = env_now_ms() + 20000;
    for (int round = 0; round < 50 || (sent_len <= 10 * TEST_BUFFER_LEN && env_now_ms() < end_ms); round++) {
        while ((len = pel_recv(pair.server, bytes, sizeof bytes, MSG_DONTWAIT)) > 0)
            got_len += (size_t)len;
        if (env_wait1(set, 20) == 0)
            continue;
        while ((len = pel_send(pair.client, bytes, 3000, MSG_DONTWAIT)) > 0)
            sent_len += (size_t)len;
    }
    PEL_EXPECT(sent_len > 10 * TEST_BUFFER_LEN);
    while (got_len < sent_len && env_poll1(pair.server, POLLIN, 20000))
        got_len += (size_t)pel_recv(pair.server, bytes, sizeof bytes, MSG_DONTWAIT);
    PEL_EXPECT_EQ(got_len, sent_len);
    pel_close(set);
    env_pair_close(&pair);
    env_stop();
}

PEL_TEST(socket_epoll, wakes_for_each_kind_of_event)
{
    struct env_pair pair;
    struct env_later later;
    char byte = 0;
    env_start(1, 0);
    PEL_REQUIRE(env_pair_open(&pair));
    int set = pel_epoll_create1(0);
    PEL_EXPECT_EQ(env_add(set, pair.server, EPOLLIN | EPOLLRDHUP), 0);
    env_later_start(&later, 20, env_write_x, &pair.client);
    PEL_EXPECT_EQ(env_wait1(set, -1), EPOLLIN);
    env_later_join(&later);
    PEL_EXPECT_EQ(pel_read(pair.server, &byte, 1), 1);
    env_later_start(&later, 20, env_shut_it, &pair.client);
    PEL_EXPECT_EQ(env_wait1(set, -1), EPOLLIN | EPOLLRDHUP);
    env_later_join(&later);
    PEL_EXPECT_EQ(pel_shutdown(pair.server, SHUT_WR), 0);
    PEL_EXPECT_EQ(env_modify(set, pair.server, 0), 0);
    PEL_EXPECT_EQ(env_wait1(set, -1), EPOLLHUP);
    pel_close(set);
    env_pair_close(&pair);
    env_stop();
}

PEL_TEST(socket_epoll, closed_sockets_leave_their_sets)
{
    struct env_pair pair;
    env_start(1, 0);
    PEL_REQUIRE(env_pair_open(&pair));
    int set = pel_epoll_create1(0), other = pel_epoll_create1(0);
    PEL_EXPECT_EQ(env_add(set, pair.server, EPOLLIN | EPOLLOUT), 0);
    PEL_EXPECT_EQ(env_add(other, pair.server, EPOLLIN | EPOLLOUT), 0);
    PEL_EXPECT_EQ(env_wait1(set, 0), EPOLLOUT);
    int number = pair.server;
    PEL_EXPECT_EQ(pel_close(pair.server), 0);
    PEL_EXPECT_EQ(env_wait1(set, 10), 0);
    PEL_EXPECT_EQ(env_wait1(other, 10), 0);
    pair.server = pel_socket(AF_INET, SOCK_STREAM, 0); /* the same number, another socket: not in the sets */
    PEL_EXPECT_EQ(pair.server, number);
    PEL_EXPECT_EQ(env_wait1(set, 10), 0);
    EXPECT_FAIL(env_modify(set, number, EPOLLIN), ENOENT);
    PEL_EXPECT_EQ(env_add(set, number, EPOLLIN), 0);
    PEL_EXPECT_EQ(env_wait1(set, 0), EPOLLHUP);
    pel_close(set); /* with a member */
    pel_close(other);
    env_pair_close(&pair);
    env_stop();
}

PEL_TEST(socket_epoll, a_set_can_be_polled)
{
    struct env_pair pair;
    struct env_later later;
    char byte = 0;
    env_start(1, 0);
    PEL_REQUIRE(env_pair_open(&pair));
    int set = pel_epoll_create1(0);
    PEL_EXPECT_EQ(env_add(set, pair.server, EPOLLIN), 0);
    PEL_EXPECT_EQ(env_poll1(set, POLLIN, 0), 0);
    env_later_start(&later, 20, env_write_x, &pair.client);
    PEL_EXPECT_EQ(env_poll1(set, POLLIN, 20000), POLLIN);
    env_later_join(&later);
    PEL_EXPECT_EQ(pel_read(pair.server, &byte, 1), 1);
    PEL_EXPECT_EQ(env_poll1(set, POLLIN, 0), 0);
    pel_close(set);
    env_pair_close(&pair);
    env_stop();
}

PEL_TEST(socket_epoll, close_while_waiting)
{
    struct epoll_event event;
    struct env_later later;
    env_start(1, 0);
    int set = pel_epoll_create1(0), number = set;
    env_later_start(&later, 20, env_close_it, &number);
    EXPECT_FAIL(pel_epoll_wait(set, &event, 1, -1), EBADF);
    env_later_join(&later);
    env_stop();
}

PEL_TEST(socket_epoll, many_ready_take_turns)
{
    enum { NUM = 40 };
    int clients[NUM], servers[NUM], seen[NUM] = {0};
    struct epoll_event events[7];
    env_start(2, 0);
    int listener = env_listen(TEST_PORT, NUM), set = pel_epoll_create1(0);
    for (int i = 0; i < NUM; i++) {
        clients[i] = env_connect(TEST_PORT, 0);
        servers[i] = pel_accept(listener, NULL, NULL);
        struct epoll_event event = {.events = EPOLLIN, .data = {.u32 = (uint32_t)i}};
        PEL_EXPECT_EQ(pel_epoll_ctl(set, EPOLL_CTL_ADD, servers[i], &event), 0);
        PEL_EXPECT_EQ(pel_write(clients[i], "z", 1), 1);
    }
    for (int i = 0; i < NUM; i++)
        PEL_EXPECT_EQ(env_poll1(servers[i], POLLIN, 20000), POLLIN);
    /* A socket may be readable a moment before its set has heard of it. */
    for (int i = 0; i < NUM; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data = {.u32 = (uint32_t)i}};
        PEL_EXPECT_EQ(pel_epoll_ctl(set, EPOLL_CTL_MOD, servers[i], &event), 0);
    }
    /* Level, nothing read: every one comes once before any comes a second time. */
    for (int num_seen = 0; num_seen < NUM;) {
        int num = pel_epoll_wait(set, events, NUM - num_seen < 7 ? NUM - num_seen : 7, 20000);
        PEL_REQUIRE(num > 0);
        for (int i = 0; i < num; i++)
            seen[events[i].data.u32]++;
        num_seen += num;
    }
    for (int i = 0; i < NUM; i++)
        PEL_EXPECT_EQ(seen[i], 1);
    for (int i = 0; i < NUM; i++) {
        pel_close(clients[i]);
        pel_close(servers[i]);
    }
    pel_close(set);
    pel_close(listener);
    env_stop();
}
