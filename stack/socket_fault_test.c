/* SPDX-License-Identifier: Apache-2.0 */
/* What sockets do when engines refuse, delay or break something: with the fake engine only. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>

#include "stack/socket_fake_engine.h"
#include "stack/socket_test_env.h"
#include "tests/harness/harness.h"

PEL_TEST(socket, ends_by_error)
{
    static const struct {
        enum pel_err err;
        int error;
    } rows[] = {
        {PEL_E_CONN_RESET, ECONNRESET},         {PEL_E_TLS_TRUNCATED, ECONNRESET},
        {PEL_E_TLS_BAD_RECORD_MAC, ECONNRESET}, {PEL_E_CONN_TIMEOUT, ETIMEDOUT},
        {PEL_E_CONN_ABORTED, ECONNRESET},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct env_pair pair;
        char bytes[8] = "";
        struct sockaddr_in name;
        socklen_t len = sizeof name;
        env_start(1, 0);
        PEL_REQUIRE(env_pair_open(&pair));
        PEL_EXPECT_EQ(pel_write(pair.client, "last", 4), 4);
        PEL_EXPECT_EQ(env_poll1(pair.server, POLLIN, 20000), POLLIN);
        pel_fake_break(TEST_PORT, rows[i].err);
        PEL_EXPECT_EQ(pel_recv(pair.server, bytes, 4, MSG_WAITALL), 4); /* what came before */
        PEL_EXPECT_EQ(env_poll1(pair.server, POLLOUT, 20000) & POLLOUT, POLLOUT);
        EXPECT_FAIL(pel_read(pair.server, bytes, 1), rows[i].error);
        EXPECT_FAIL(pel_read(pair.server, bytes, 1), rows[i].error); /* and stays */
        EXPECT_FAIL(pel_write(pair.server, "x", 1), EPIPE);
        EXPECT_FAIL(pel_getpeername(pair.server, (struct sockaddr *)&name, &len), ENOTCONN);
        EXPECT_FAIL(pel_shutdown(pair.server, SHUT_WR), ENOTCONN);
        PEL_EXPECT_EQ(env_so_error(pair.server), 0);
        env_pair_close(&pair);
        env_stop();
    }
}

PEL_TEST(socket, error_wakes_a_reader_and_is_told_to_a_writer_once)
{
    struct env_pair pair;
    env_start(1, 0);
    PEL_REQUIRE(env_pair_open(&pair));
    PEL_EXPECT_EQ(env_poll1(pair.server, POLLIN, 0), 0);
    pel_fake_break(TEST_PORT, PEL_E_CONN_RESET);
    PEL_EXPECT_EQ(env_poll1(pair.server, POLLIN | POLLRDHUP, 20000), POLLIN | POLLRDHUP | POLLERR | POLLHUP);
    EXPECT_FAIL(pel_write(pair.server, "x", 1), ECONNRESET);
    EXPECT_FAIL(pel_write(pair.server, "x", 1), EPIPE);
    PEL_EXPECT_EQ(env_poll1(pair.server, POLLIN, 0), POLLIN | POLLHUP);
    env_pair_close(&pair);
    env_stop();
}

PEL_TEST(socket, options_reach_the_engine_and_are_inherited)
{
    env_start(1, 0);
    int listener = env_listen(TEST_PORT, 1), off = 0, value = 1;
    socklen_t len = sizeof value;
    PEL_EXPECT_EQ(pel_setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &off, sizeof off), 0);
    int client = env_connect(TEST_PORT, 0), server = pel_accept(listener, NULL, NULL);
    PEL_EXPECT_EQ(pel_getsockopt(server, IPPROTO_TCP, TCP_NODELAY, &value, &len), 0);
    PEL_EXPECT_EQ(value, 0);
    size_t before = pel_fake_num_option_calls();
    PEL_EXPECT_EQ(pel_setsockopt(client, SOL_SOCKET, SO_KEEPALIVE, &len, sizeof(int)), 0);
    for (int i = 0; i < 20000 && pel_fake_num_option_calls() < before + 2; i++)
        env_sleep_ms(1);
    PEL_EXPECT_EQ(pel_fake_num_option_calls(), before + 2);
    pel_close(client);
    pel_close(server);
    pel_close(listener);
    env_stop();
}

PEL_TEST(socket_connect, listen_errors)
{
    env_start(2, 0);
    int first = env_listen(TEST_PORT, 1), fd = pel_socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = env_address(TEST_PORT);
    PEL_EXPECT_EQ(pel_bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    EXPECT_FAIL(pel_listen(fd, 1), EADDRINUSE);
    EXPECT_FAIL(pel_accept(fd, NULL, NULL), EINVAL);
    pel_close(first);
    pel_fake_set_gate(false);
    EXPECT_FAIL(pel_listen(fd, 1), EAGAIN);
    PEL_EXPECT_EQ(pel_fake_num_held(), 1);
    pel_fake_set_gate(true);
    pel_fake_fail_call(PEL_E_ADDRESS_NOT_OURS);
    EXPECT_FAIL(pel_listen(fd, 1), EADDRNOTAVAIL);
    PEL_EXPECT_EQ(pel_listen(fd, 1), 0);
    PEL_EXPECT_EQ(pel_listen(fd, 5), 0); /* again: another backlog */
    EXPECT_FAIL(pel_connect(fd, (struct sockaddr *)&address, sizeof address), EISCONN);
    EXPECT_FAIL(pel_write(fd, "x", 1), EPIPE);
    EXPECT_FAIL(pel_recv(fd, &address, 1, 0), ENOTCONN);
    pel_close(fd);
    env_stop();
}

PEL_TEST(socket_connect, connect_that_fails_in_the_call)
{
    static const struct {
        enum pel_err err;
        int error;
    } rows[] = {
        {PEL_E_START_GATE, EAGAIN},
        {PEL_E_NO_RULE_REFUSED, EACCES},
        {PEL_E_POLICY_UNUSABLE, EACCES},
        {PEL_E_NO_ROUTE, ENETUNREACH},
        {PEL_E_NO_LOCAL_PORT, EADDRNOTAVAIL},
        {PEL_E_ADDRESS_IN_USE, EADDRINUSE},
        {PEL_E_ADDRESS_NOT_OURS, EADDRNOTAVAIL},
        {PEL_E_NO_MEMORY, ENOMEM},
    };
    env_start(1, 0);
    int listener = env_listen(TEST_PORT, 8);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct sockaddr_in address = env_address(TEST_PORT);
        int fd = pel_socket(AF_INET, SOCK_STREAM, 0);
        pel_fake_fail_call(rows[i].err);
        EXPECT_FAIL(pel_connect(fd, (struct sockaddr *)&address, sizeof address), rows[i].error);
        PEL_EXPECT_EQ(env_poll1(fd, POLLIN, 0), POLLHUP);
        PEL_EXPECT_EQ(pel_connect(fd, (struct sockaddr *)&address, sizeof address), 0);
        pel_close(fd);
    }
    pel_close(listener);
    env_stop();
}

PEL_TEST(socket_connect, connect_without_waiting)
{
    struct sockaddr_in address = env_address(TEST_PORT);
    env_start(1, 0);
    pel_fake_set_open_delay(60000); /* until we say */
    int listener = env_listen(TEST_PORT, 1), fd = pel_socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    EXPECT_FAIL(pel_connect(fd, (struct sockaddr *)&address, sizeof address), EINPROGRESS);
    EXPECT_FAIL(pel_connect(fd, (struct sockaddr *)&address, sizeof address), EALREADY);
    EXPECT_FAIL(pel_write(fd, "x", 1), EAGAIN);
    EXPECT_FAIL(pel_recv(fd, &address, 1, 0), EAGAIN);
    EXPECT_FAIL(pel_shutdown(fd, SHUT_WR), ENOTCONN);
    PEL_EXPECT_EQ(env_poll1(fd, POLLIN | POLLOUT, 0), 0);
    pel_fake_set_open_delay(30);
    PEL_EXPECT_EQ(env_poll1(fd, POLLIN | POLLOUT, 20000), POLLOUT);
    PEL_EXPECT_EQ(env_so_error(fd), 0);
    PEL_EXPECT_EQ(pel_connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    EXPECT_FAIL(pel_connect(fd, (struct sockaddr *)&address, sizeof address), EISCONN);
    pel_close(fd);
    pel_close(listener);
    env_stop();
}

PEL_TEST(socket_connect, connect_times_out)
{
    struct sockaddr_in address = env_address(TEST_PORT);
    env_start(1, 0);
    pel_fake_set_silent(true);
    int fd = pel_socket(AF_INET, SOCK_STREAM, 0);
    env_set_timeout(fd, SO_SNDTIMEO, 30);
    EXPECT_FAIL(pel_connect(fd, (struct sockaddr *)&address, sizeof address), EINPROGRESS);
    env_set_timeout(fd, SO_SNDTIMEO, 0);
    socklen_t len = sizeof address;
    PEL_EXPECT_EQ(pel_getsockname(fd, (struct sockaddr *)&address, &len), 0);
    pel_fake_break(ntohs(address.sin_port), PEL_E_CONN_TIMEOUT);
    PEL_EXPECT(env_poll1(fd, POLLOUT, 20000) & POLLERR);
    PEL_EXPECT_EQ(env_so_error(fd), ETIMEDOUT);
    pel_close(fd);
    env_stop();
}

PEL_TEST(socket_connect, close_while_connecting)
{
    env_start(1, 0);
    pel_fake_set_silent(true);
    struct sockaddr_in address = env_address(TEST_PORT);
    int fd = pel_socket(AF_INET, SOCK_STREAM, 0);
    struct env_later later;
    env_later_start(&later, 30, env_close_it, &fd);
    EXPECT_FAIL(pel_connect(fd, (struct sockaddr *)&address, sizeof address), EBADF);
    env_later_join(&later);
    env_stop();
}

PEL_TEST(socket_connect, server_name_travels_once)
{
    char long_name[300];
    memset(long_name, 'a', sizeof long_name);
    long_name[256] = '\0';
    env_start(1, 0);
    int listener = env_listen(TEST_PORT, 4), fd = pel_socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = env_address(TEST_PORT);
    EXPECT_FAIL(pel_set_server_name(fd, ""), EINVAL);
    EXPECT_FAIL(pel_set_server_name(fd, NULL), EINVAL);
    EXPECT_FAIL(pel_set_server_name(fd, long_name), EINVAL);
    PEL_EXPECT_EQ(pel_set_server_name(fd, "x.example"), 0);
    PEL_EXPECT_EQ(pel_set_server_name(fd, "www.example"), 0);
    PEL_EXPECT_EQ(pel_connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    PEL_EXPECT_STR(pel_fake_last_name(), "www.example");
    int other = env_connect(TEST_PORT, 0);
    PEL_EXPECT_STR(pel_fake_last_name(), "");
    pel_close(other);
    pel_close(fd);
    pel_close(listener);
    env_stop();
}

static void await_mapped(size_t num)
{
    for (int i = 0; i < 20000 && pel_fake_num_mapped() < num; i++)
        env_sleep_ms(1);
}

PEL_TEST(socket_connect, mapping_is_asked_for_by_the_first_use)
{
    /* What counts as a use, and what does not. */
    static const struct {
        const char *what;
        size_t num_mapped;
    } rows[] = {{"nothing", 0}, {"getsockopt", 0}, {"poll", 1}, {"epoll", 1},
                {"read", 1},    {"write", 1},      {"recv", 1}, {"shutdown", 1}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct env_pair pair;
        char byte = 0;
        env_start(1, 0);
        PEL_EXPECT(env_pair_open(&pair));
        int set = pel_epoll_create1(0);
        struct epoll_event event = {.events = EPOLLIN};
        pel_fcntl(pair.server, F_SETFL, O_NONBLOCK);
        if (i == 1)
            PEL_EXPECT_EQ(env_so_error(pair.server), 0);
        if (i == 2)
            PEL_EXPECT_EQ(env_poll1(pair.server, POLLIN, 0), 0);
        if (i == 3)
            PEL_EXPECT_EQ(pel_epoll_ctl(set, EPOLL_CTL_ADD, pair.server, &event), 0);
        if (i == 4)
            EXPECT_FAIL(pel_read(pair.server, &byte, 1), EAGAIN);
        if (i == 5)
            PEL_EXPECT_EQ(pel_write(pair.server, "x", 1), 1);
        if (i == 6)
            PEL_EXPECT_EQ(pel_recv(pair.server, &byte, 0, 0), 0);
        if (i == 7)
            PEL_EXPECT_EQ(pel_shutdown(pair.server, SHUT_WR), 0);
        env_sleep_ms(10);
        await_mapped(rows[i].num_mapped);
        if (pel_fake_num_mapped() != rows[i].num_mapped)
            pel_test_fail(__FILE__, __LINE__, "%s: mapped %zu times", rows[i].what, pel_fake_num_mapped());
        env_poll1(pair.server, POLLIN, 0);
        env_sleep_ms(5);
        await_mapped(1);
        PEL_EXPECT_EQ(pel_fake_num_mapped(), 1);
        pel_close(set);
        env_pair_close(&pair);
        env_stop();
    }
}

PEL_TEST(socket_connect, write_before_the_handshake_is_kept)
{
    env_start(1, 0);
    pel_fake_set_tls(true);
    pel_fake_set_open_delay(30);
    char bytes[6] = "";
    int listener = env_listen(TEST_PORT, 1), client = env_connect(TEST_PORT, SOCK_NONBLOCK);
    int server = pel_accept(listener, NULL, NULL);
    PEL_EXPECT_EQ(env_poll1(client, POLLOUT, 50), 0); /* nobody has mapped yet */
    PEL_EXPECT_EQ(pel_write(server, "hello", 5), 5);
    PEL_EXPECT_EQ(pel_close(server), 0); /* and even the close comes before the handshake */
    pel_fcntl(client, F_SETFL, 0);
    PEL_EXPECT(env_read_all(client, bytes, 5));
    PEL_EXPECT_STR(bytes, "hello");
    PEL_EXPECT_EQ(pel_read(client, bytes, 1), 0);
    pel_close(client);
    pel_close(listener);
    env_stop();
}

PEL_TEST(socket_connect, refused_by_policy_or_tls)
{
    static const struct {
        enum pel_err server_err, client_err;
        int server_error, client_error;
    } rows[] = {
        {PEL_E_NO_RULE_REFUSED, PEL_E_CONN_RESET, ECONNRESET, ECONNRESET},
        {PEL_E_POLICY_UNUSABLE, PEL_E_NO_RULE_REFUSED, ECONNRESET, EACCES},
        {PEL_E_TLS_CERT_UNTRUSTED, PEL_E_TLS_ALERT_RECEIVED, ECONNRESET, ECONNRESET},
        {PEL_E_TLS_HANDSHAKE_TIMEOUT, PEL_E_CONN_TIMEOUT, ECONNRESET, ETIMEDOUT},
        {PEL_E_EOF, PEL_E_EOF, 0, ECONNRESET},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char byte = 0;
        env_start(1, 0);
        pel_fake_set_tls(true);
        pel_fake_fail_map(rows[i].server_err, rows[i].client_err);
        int listener = env_listen(TEST_PORT, 1), client = env_connect(TEST_PORT, SOCK_NONBLOCK);
        int server = pel_accept(listener, NULL, NULL);
        errno = 0;
        PEL_EXPECT_EQ(pel_read(server, &byte, 1), rows[i].server_error == 0 ? 0 : -1);
        PEL_EXPECT_EQ(errno, rows[i].server_error);
        PEL_EXPECT(env_poll1(client, POLLOUT, 20000) & POLLERR);
        PEL_EXPECT_EQ(env_so_error(client), rows[i].client_error);
        pel_close(server);
        pel_close(client);
        pel_close(listener);
        env_stop();
    }
}

PEL_TEST(socket_epoll, oneshot)
{
    struct env_pair pair;
    env_start(1, 0);
    PEL_REQUIRE(env_pair_open(&pair));
    int set = pel_epoll_create1(0);
    PEL_EXPECT_EQ(env_add(set, pair.server, EPOLLIN | EPOLLONESHOT), 0);
    PEL_EXPECT_EQ(pel_write(pair.client, "a", 1), 1);
    PEL_EXPECT_EQ(env_wait1(set, 20000), EPOLLIN);
    PEL_EXPECT_EQ(pel_write(pair.client, "b", 1), 1);
    PEL_EXPECT_EQ(env_wait1(set, 20), 0);
    PEL_EXPECT_EQ(env_modify(set, pair.server, EPOLLIN | EPOLLONESHOT), 0);
    PEL_EXPECT_EQ(env_wait1(set, 0), EPOLLIN);
    PEL_EXPECT_EQ(env_wait1(set, 0), 0);
    pel_fake_break(TEST_PORT, PEL_E_CONN_RESET);
    PEL_EXPECT_EQ(env_wait1(set, 30), 0); /* not even the end, until asked for again */
    PEL_EXPECT_EQ(env_modify(set, pair.server, 0), 0);
    PEL_EXPECT_EQ(env_wait1(set, 20000), EPOLLERR | EPOLLHUP);
    pel_close(set);
    env_pair_close(&pair);
    env_stop();
}

PEL_TEST(socket_epoll, connect_and_accept)
{
    env_start(1, 0);
    pel_fake_set_open_delay(10);
    int set = pel_epoll_create1(0), listener = env_listen(TEST_PORT, 4);
    PEL_EXPECT_EQ(env_add(set, listener, EPOLLIN), 0);
    int client = env_connect(TEST_PORT, SOCK_NONBLOCK);
    PEL_EXPECT_EQ(env_add(set, client, EPOLLOUT | EPOLLET), 0);
    uint32_t seen = 0;
    for (uint64_t end_ms = env_now_ms() + 20000; seen != 3 && env_now_ms() < end_ms;) {
        struct epoll_event events[1]; /* one at a time: they take turns */
        if (pel_epoll_wait(set, events, 1, 1000) == 1)
            seen |= events[0].data.fd == listener ? 1u : events[0].events == EPOLLOUT ? 2u : 4u;
    }
    PEL_EXPECT_EQ(seen, 3);
    int server = pel_accept(listener, NULL, NULL);
    PEL_EXPECT_EQ(env_wait1(set, 10), 0);
    pel_close(server);
    pel_close(client);
    pel_close(listener);
    pel_close(set);
    env_stop();
}

PEL_TEST(socket_udp, errors)
{
    static char bytes[65508];
    struct sockaddr_in address = env_address(5300);
    struct sockaddr_in6 address6 = env_address6(5300);
    env_start(2, 0);
    int first = env_bound(5300), fd = pel_socket(AF_INET, SOCK_DGRAM, 0), on = 1;
    EXPECT_FAIL(pel_bind(fd, (struct sockaddr *)&address, sizeof address), EADDRINUSE);
    EXPECT_FAIL(pel_bind(first, (struct sockaddr *)&address, sizeof address), EINVAL);
    EXPECT_FAIL(pel_listen(fd, 1), EOPNOTSUPP);
    EXPECT_FAIL(pel_accept(fd, NULL, NULL), EOPNOTSUPP);
    EXPECT_FAIL(env_send_to(fd, 5300, bytes, sizeof bytes), EMSGSIZE);
    EXPECT_FAIL(pel_sendto(fd, bytes, 1, 0, (struct sockaddr *)&address6, sizeof address6), EAFNOSUPPORT);
    EXPECT_FAIL(pel_setsockopt(fd, IPPROTO_TCP, 1, &on, sizeof on), ENOPROTOOPT);
    PEL_EXPECT_EQ(env_send_to(fd, 5300, bytes, 1), 1);
    PEL_EXPECT_EQ(pel_recv(first, bytes, 1, 0), 1); /* it has left: the next call is the next datagram's */
    pel_fake_fail_call(PEL_E_NO_ROUTE);
    PEL_EXPECT_EQ(env_send_to(fd, 5300, bytes, 1), 1);
    PEL_EXPECT_EQ(env_poll1(fd, POLLIN, 20000), POLLERR);
    EXPECT_FAIL(env_send_to(fd, 5300, bytes, 1), ENETUNREACH); /* what the engine said of the one before */
    PEL_EXPECT_EQ(env_send_to(fd, 5300, bytes, 1), 1);
    PEL_EXPECT_EQ(pel_recv(first, bytes, 1, 0), 1); /* it has left: the next call is the next datagram's */
    pel_fake_fail_call(PEL_E_NO_ROUTE);
    PEL_EXPECT_EQ(env_send_to(fd, 5300, bytes, 1), 1);
    PEL_EXPECT_EQ(env_poll1(fd, POLLIN, 20000), POLLERR);
    PEL_EXPECT_EQ(env_so_error(fd), ENETUNREACH);
    PEL_EXPECT_EQ(env_so_error(fd), 0);
    pel_close(fd);
    pel_close(first);
    env_stop();
}
