/* SPDX-License-Identifier: Apache-2.0 */
/* TCP sockets: binding, connecting, listening, accepting, the mapping point. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "stack/socket.h"
#include "stack/socket_errno.h"
#include "stack/socket_fake_engine.h"
#include "stack/socket_table.h"
#include "stack/socket_test_env.h"
#include "tests/harness/harness.h"

PEL_TEST(socket_connect, accept_without_a_number_keeps_the_connection)
{
    env_start(1, 3);
    int listener = env_listen(TEST_PORT, 4), client = env_connect(TEST_PORT, 0);
    int third = pel_socket(AF_INET, SOCK_STREAM, 0);
    PEL_EXPECT_EQ(env_poll1(listener, POLLIN, 2000), POLLIN);
    EXPECT_FAIL(pel_accept(listener, NULL, NULL), EMFILE);
    pel_close(third);
    int server = pel_accept(listener, NULL, NULL);
    PEL_EXPECT(server >= PEL_FD_BASE);
    pel_close(server);
    pel_close(client);
    pel_close(listener);
    env_stop();
}

PEL_TEST(socket_connect, bind_errors_and_names)
{
    struct sockaddr_in address = env_address(0), name;
    struct sockaddr_in6 address6 = env_address6(1);
    socklen_t len = sizeof name;
    env_start(1, 0);
    int fd = pel_socket(AF_INET, SOCK_STREAM, 0);
    PEL_EXPECT_EQ(pel_getsockname(fd, (struct sockaddr *)&name, &len), 0);
    PEL_EXPECT_EQ(name.sin_port, 0);
    EXPECT_FAIL(pel_bind(fd, NULL, 16), EFAULT);
    EXPECT_FAIL(pel_bind(fd, (struct sockaddr *)&address, 3), EINVAL);
    EXPECT_FAIL(pel_bind(fd, (struct sockaddr *)&address6, sizeof address6), EAFNOSUPPORT);
    PEL_EXPECT_EQ(pel_bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    EXPECT_FAIL(pel_bind(fd, (struct sockaddr *)&address, sizeof address), EINVAL);
    PEL_EXPECT_EQ(pel_getsockname(fd, (struct sockaddr *)&name, &len), 0);
    uint16_t port = ntohs(name.sin_port);
    PEL_EXPECT(port >= 49152);
    PEL_EXPECT_EQ(pel_listen(fd, 4), 0);
    PEL_EXPECT_EQ(pel_getsockname(fd, (struct sockaddr *)&name, &len), 0);
    PEL_EXPECT_EQ(ntohs(name.sin_port), port);
    len = 4;
    PEL_EXPECT_EQ(pel_getsockname(fd, (struct sockaddr *)&name, &len), 0);
    PEL_EXPECT_EQ(len, sizeof name);
    EXPECT_FAIL(pel_getpeername(fd, (struct sockaddr *)&name, &len), ENOTCONN);
    int client = env_connect(port, 0);
    PEL_EXPECT(client >= 0);
    pel_close(client);
    pel_close(fd);
    env_stop();
}

PEL_TEST(socket_connect, listen_without_bind_gets_a_port_on_all_engines)
{
    struct sockaddr_in name;
    socklen_t len = sizeof name;
    env_start(3, 0);
    int fd = pel_socket(AF_INET, SOCK_STREAM, 0);
    PEL_EXPECT_EQ(pel_listen(fd, 8), 0);
    PEL_EXPECT_EQ(pel_getsockname(fd, (struct sockaddr *)&name, &len), 0);
    for (int i = 0; i < 6; i++) {
        int client = env_connect(ntohs(name.sin_port), 0), server = pel_accept(fd, NULL, NULL);
        char byte = 0;
        PEL_EXPECT_EQ(pel_write(client, "y", 1), 1);
        PEL_EXPECT_EQ(pel_read(server, &byte, 1), 1);
        pel_close(client);
        pel_close(server);
    }
    pel_close(fd);
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

PEL_TEST(socket_connect, accept_gives_addresses_and_flags)
{
    struct sockaddr_in peer, name;
    socklen_t len = sizeof peer, name_len = sizeof name;
    env_start(1, 0);
    int listener = env_listen(TEST_PORT, 1), client = env_connect(TEST_PORT, 0);
    int server = pel_accept4(listener, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK);
    PEL_EXPECT_EQ(len, sizeof peer);
    PEL_EXPECT_EQ(pel_getsockname(client, (struct sockaddr *)&name, &name_len), 0);
    PEL_EXPECT_EQ(name.sin_port, peer.sin_port);
    PEL_EXPECT_EQ(pel_getpeername(server, (struct sockaddr *)&name, &name_len), 0);
    PEL_EXPECT_EQ(name.sin_port, peer.sin_port);
    PEL_EXPECT_EQ(pel_getpeername(client, (struct sockaddr *)&name, &name_len), 0);
    PEL_EXPECT_EQ(ntohs(name.sin_port), TEST_PORT);
    PEL_EXPECT_EQ(pel_fcntl(server, F_GETFL, 0), O_RDWR | O_NONBLOCK);
    PEL_EXPECT_EQ(pel_fcntl(client, F_GETFL, 0), O_RDWR);
    EXPECT_FAIL(pel_accept4(listener, NULL, NULL, 1 << 30), EINVAL);
    pel_close(server);
    pel_close(client);
    pel_close(listener);
    env_stop();
}

PEL_TEST(socket_connect, ipv6_and_v6only)
{
    struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(TEST_PORT)}, peer,
                        remote = env_address6(TEST_PORT);
    socklen_t len = sizeof peer;
    int on = 1;
    char byte = 0;
    env_start(1, 0);
    int listener = pel_socket(AF_INET6, SOCK_STREAM, 0), client6 = pel_socket(AF_INET6, SOCK_STREAM, 0);
    PEL_EXPECT_EQ(pel_bind(listener, (struct sockaddr *)&any, sizeof any), 0);
    PEL_EXPECT_EQ(pel_listen(listener, 4), 0);
    int client4 = env_connect(TEST_PORT, 0);
    int server = pel_accept(listener, (struct sockaddr *)&peer, &len);
    PEL_EXPECT(server >= 0 && IN6_IS_ADDR_V4MAPPED(&peer.sin6_addr));
    pel_close(server);
    pel_close(client4);
    PEL_EXPECT_EQ(pel_setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on), 0);
    client4 = env_connect(TEST_PORT, SOCK_NONBLOCK);
    PEL_EXPECT(env_poll1(client4, POLLIN, 2000) & (POLLERR | POLLHUP));
    PEL_EXPECT_EQ(pel_connect(client6, (struct sockaddr *)&remote, sizeof remote), 0);
    server = pel_accept(listener, (struct sockaddr *)&peer, &len);
    PEL_EXPECT_EQ(pel_write(client6, "6", 1), 1);
    PEL_EXPECT_EQ(pel_read(server, &byte, 1), 1);
    pel_close(server);
    pel_close(client4);
    pel_close(client6);
    pel_close(listener);
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

PEL_TEST(socket_connect, connect_refused_then_again)
{
    struct sockaddr_in address = env_address(TEST_PORT);
    env_start(1, 0);
    int fd = pel_socket(AF_INET, SOCK_STREAM, 0);
    EXPECT_FAIL(pel_connect(fd, (struct sockaddr *)&address, sizeof address), ECONNREFUSED);
    PEL_EXPECT_EQ(env_so_error(fd), 0); /* told already */
    int listener = env_listen(TEST_PORT, 1);
    PEL_EXPECT_EQ(pel_connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    EXPECT_FAIL(pel_connect(fd, (struct sockaddr *)&address, sizeof address), EISCONN);
    pel_close(fd);
    pel_close(listener);
    env_stop();
}

PEL_TEST(socket_connect, connect_without_waiting)
{
    struct sockaddr_in address = env_address(TEST_PORT);
    env_start(1, 0);
    pel_fake_set_open_delay(30);
    int listener = env_listen(TEST_PORT, 1), fd = pel_socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    EXPECT_FAIL(pel_connect(fd, (struct sockaddr *)&address, sizeof address), EINPROGRESS);
    EXPECT_FAIL(pel_connect(fd, (struct sockaddr *)&address, sizeof address), EALREADY);
    EXPECT_FAIL(pel_write(fd, "x", 1), EAGAIN);
    EXPECT_FAIL(pel_recv(fd, &address, 1, 0), EAGAIN);
    EXPECT_FAIL(pel_shutdown(fd, SHUT_WR), ENOTCONN);
    PEL_EXPECT_EQ(env_poll1(fd, POLLIN | POLLOUT, 0), 0);
    PEL_EXPECT_EQ(env_poll1(fd, POLLIN | POLLOUT, 3000), POLLOUT);
    PEL_EXPECT_EQ(env_so_error(fd), 0);
    PEL_EXPECT_EQ(pel_connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    EXPECT_FAIL(pel_connect(fd, (struct sockaddr *)&address, sizeof address), EISCONN);
    pel_close(fd);
    pel_close(listener);
    env_stop();
}

PEL_TEST(socket_connect, connect_refused_without_waiting)
{
    env_start(1, 0);
    int fd = env_connect(TEST_PORT, SOCK_NONBLOCK);
    int all = POLLIN | POLLOUT | POLLERR | POLLHUP | POLLRDHUP;
    PEL_EXPECT_EQ(env_poll1(fd, all, 3000), all);
    PEL_EXPECT_EQ(env_so_error(fd), ECONNREFUSED);
    PEL_EXPECT_EQ(env_so_error(fd), 0);
    PEL_EXPECT_EQ(env_poll1(fd, all, 0), all & ~POLLERR);
    pel_close(fd);
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
    PEL_EXPECT(env_poll1(fd, POLLOUT, 3000) & POLLERR);
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

PEL_TEST(socket_connect, accept_waits_and_times_out)
{
    env_start(1, 0);
    int listener = env_listen(TEST_PORT, 1);
    env_set_timeout(listener, SO_RCVTIMEO, 30);
    uint64_t start_ms = env_now_ms();
    EXPECT_FAIL(pel_accept(listener, NULL, NULL), EAGAIN);
    PEL_EXPECT(env_now_ms() - start_ms >= 29);
    PEL_EXPECT_EQ(pel_fcntl(listener, F_SETFL, O_NONBLOCK), 0);
    EXPECT_FAIL(pel_accept(listener, NULL, NULL), EAGAIN);
    PEL_EXPECT_EQ(pel_fcntl(listener, F_SETFL, 0), 0);
    env_set_timeout(listener, SO_RCVTIMEO, 0);
    struct env_later later;
    env_later_start(&later, 20, env_close_it, &listener);
    EXPECT_FAIL(pel_accept(listener, NULL, NULL), EBADF);
    env_later_join(&later);
    env_stop();
}

PEL_TEST(socket_connect, backlog_is_a_bound)
{
    int clients[5], num_open = 0;
    env_start(1, 0);
    int listener = env_listen(TEST_PORT, 2);
    for (int i = 0; i < 5; i++) {
        clients[i] = env_connect(TEST_PORT, 0);
        num_open += clients[i] >= 0;
    }
    PEL_EXPECT_EQ(num_open, 2);
    for (int i = 0; i < 5; i++)
        pel_close(clients[i]);
    pel_close(listener); /* with two in its queue */
    env_stop();
}

PEL_TEST(socket_connect, listener_shutdown_wakes_accept)
{
    env_start(2, 0);
    int listener = env_listen(TEST_PORT, 2);
    EXPECT_FAIL(pel_shutdown(listener, SHUT_WR), ENOTCONN);
    PEL_EXPECT_EQ(pel_shutdown(listener, SHUT_RD), 0);
    EXPECT_FAIL(pel_accept(listener, NULL, NULL), EINVAL);
    EXPECT_FAIL(env_connect(TEST_PORT, 0), ECONNREFUSED);
    pel_close(listener);
    env_stop();
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
        if (pel_fake_num_mapped() != rows[i].num_mapped)
            pel_test_fail(__FILE__, __LINE__, "%s: mapped %zu times", rows[i].what, pel_fake_num_mapped());
        env_poll1(pair.server, POLLIN, 0);
        env_sleep_ms(5);
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
        PEL_EXPECT(env_poll1(client, POLLOUT, 3000) & POLLERR);
        PEL_EXPECT_EQ(env_so_error(client), rows[i].client_error);
        pel_close(server);
        pel_close(client);
        pel_close(listener);
        env_stop();
    }
}
