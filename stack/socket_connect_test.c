/* SPDX-License-Identifier: Apache-2.0 */
/* TCP sockets: binding, connecting, listening, accepting, the mapping point. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "stack/socket.h"
#include "stack/socket_errno.h"
#include "stack/socket_table.h"
#include "stack/socket_test_env.h"
#include "tests/harness/harness.h"

PEL_TEST(socket_connect, accept_without_a_number_keeps_the_connection)
{
    env_start(1, 3);
    int listener = env_listen(TEST_PORT, 4), client = env_connect(TEST_PORT, 0);
    int third = pel_socket(AF_INET, SOCK_STREAM, 0);
    PEL_EXPECT_EQ(env_poll1(listener, POLLIN, 20000), POLLIN);
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
    PEL_EXPECT(env_poll1(client4, POLLIN, 20000) & (POLLERR | POLLHUP));
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

PEL_TEST(socket_connect, connect_refused_without_waiting)
{
    env_start(1, 0);
    int fd = env_connect(TEST_PORT, SOCK_NONBLOCK);
    int all = POLLIN | POLLOUT | POLLERR | POLLHUP | POLLRDHUP;
    PEL_EXPECT_EQ(env_poll1(fd, all, 20000), all);
    PEL_EXPECT_EQ(env_so_error(fd), ECONNREFUSED);
    PEL_EXPECT_EQ(env_so_error(fd), 0);
    PEL_EXPECT_EQ(env_poll1(fd, all, 0), all & ~POLLERR);
    pel_close(fd);
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

/* What the queue has no place for is reset: in the connect, or just after it. */
PEL_TEST(socket_connect, backlog_is_a_bound)
{
    int clients[5], num_ended = 0, accepted;
    env_start(1, 0);
    int listener = env_listen(TEST_PORT, 2);
    for (int i = 0; i < 5; i++)
        clients[i] = env_connect(TEST_PORT, 0);
    for (uint64_t end_ms = env_now_ms() + 20000; num_ended < 3 && env_now_ms() < end_ms; env_sleep_ms(1)) {
        num_ended = 0;
        for (int i = 0; i < 5; i++)
            num_ended += clients[i] < 0 || (env_poll1(clients[i], POLLIN, 0) & POLLERR);
    }
    PEL_EXPECT_EQ(num_ended, 3);
    pel_fcntl(listener, F_SETFL, O_NONBLOCK);
    PEL_EXPECT((accepted = pel_accept(listener, NULL, NULL)) >= 0);
    PEL_EXPECT_EQ(env_poll1(listener, POLLIN, 0), POLLIN); /* left in the queue when the listener is closed */
    for (int i = 0; i < 5; i++)
        pel_close(clients[i]);
    pel_close(accepted);
    pel_close(listener);
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
