/* SPDX-License-Identifier: Apache-2.0 */
/* UDP sockets. */
#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "stack/socket.h"
#include "stack/socket_table.h"
#include "stack/socket_test_env.h"
#include "stack/socket_udp.h"
#include "tests/harness/harness.h"

PEL_TEST(socket_udp, there_and_back)
{
    struct sockaddr_in from;
    socklen_t len = sizeof from;
    char bytes[8] = "";
    env_start(2, 0);
    int server = env_bound(5300), client = pel_socket(AF_INET, SOCK_DGRAM, 0);
    PEL_EXPECT_EQ(env_poll1(client, POLLIN | POLLOUT, 0), POLLOUT);
    PEL_EXPECT_EQ(env_send_to(client, 5300, "ask", 3), 3);
    PEL_EXPECT_EQ(pel_recvfrom(server, bytes, sizeof bytes, 0, (struct sockaddr *)&from, &len), 3);
    PEL_EXPECT_STR(bytes, "ask");
    PEL_EXPECT_EQ(pel_sendto(server, "reply", 5, 0, (struct sockaddr *)&from, len), 5);
    PEL_EXPECT_EQ(pel_recv(client, bytes, sizeof bytes, 0), 5);
    PEL_EXPECT_EQ(pel_getsockname(client, (struct sockaddr *)&from, &len), 0);
    PEL_EXPECT(from.sin_port != 0);
    pel_close(client);
    pel_close(server);
    env_stop();
}

PEL_TEST(socket_udp, datagrams_keep_their_borders)
{
    char bytes[8];
    env_start(1, 0);
    int server = env_bound(5300), client = pel_socket(AF_INET, SOCK_DGRAM, 0), num = -1;
    PEL_EXPECT_EQ(env_send_to(client, 5300, "one", 3), 3);
    PEL_EXPECT_EQ(env_send_to(client, 5300, "", 0), 0);
    PEL_EXPECT_EQ(env_send_to(client, 5300, "three", 5), 5);
    PEL_EXPECT_EQ(pel_recv(server, bytes, 8, MSG_PEEK), 3);
    PEL_EXPECT_EQ(pel_ioctl(server, FIONREAD, &num), 0);
    PEL_EXPECT_EQ(num, 3);
    PEL_EXPECT_EQ(pel_recv(server, bytes, 2, 0), 2); /* cut; the rest is gone */
    PEL_EXPECT_EQ(pel_recv(server, bytes, 8, 0), 0);
    PEL_EXPECT_EQ(pel_recv(server, bytes, 2, MSG_TRUNC), 5);
    EXPECT_FAIL(pel_recv(server, bytes, 8, MSG_DONTWAIT), EAGAIN);
    pel_close(client);
    pel_close(server);
    env_stop();
}

PEL_TEST(socket_udp, vectors)
{
    char a[2], b[8] = "";
    struct iovec out[] = {{(void *)(uintptr_t) "ab", 2}, {NULL, 0}, {(void *)(uintptr_t) "cdef", 4}};
    struct iovec in[] = {{a, 2}, {b, 8}};
    env_start(1, 0);
    int server = env_bound(5300), client = pel_socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in address = env_address(5300);
    PEL_EXPECT_EQ(pel_connect(client, (struct sockaddr *)&address, sizeof address), 0);
    PEL_EXPECT_EQ(pel_writev(client, out, 3), 6);
    PEL_EXPECT_EQ(pel_readv(server, in, 2), 6);
    PEL_EXPECT_MEM(a, "ab", 2);
    PEL_EXPECT_STR(b, "cdef");
    pel_close(client);
    pel_close(server);
    env_stop();
}

PEL_TEST(socket_udp, connected_hears_its_peer_only)
{
    char bytes[8] = "";
    struct sockaddr_in address = env_address(5301), name;
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    socklen_t len = sizeof name;
    env_start(1, 0);
    int fd = env_bound(5300), peer = env_bound(5301), other = env_bound(5302);
    EXPECT_FAIL(pel_send(fd, "x", 1, 0), EDESTADDRREQ);
    EXPECT_FAIL(pel_getpeername(fd, (struct sockaddr *)&name, &len), ENOTCONN);
    EXPECT_FAIL(pel_shutdown(fd, SHUT_RD), ENOTCONN);
    PEL_EXPECT_EQ(pel_connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    PEL_EXPECT_EQ(pel_getpeername(fd, (struct sockaddr *)&name, &len), 0);
    PEL_EXPECT_EQ(ntohs(name.sin_port), 5301);
    PEL_EXPECT_EQ(env_send_to(other, 5300, "bad", 3), 3);
    PEL_EXPECT_EQ(env_send_to(peer, 5300, "good", 4), 4);
    PEL_EXPECT_EQ(pel_recv(fd, bytes, 8, 0), 4);
    PEL_EXPECT_STR(bytes, "good");
    PEL_EXPECT_EQ(pel_write(fd, "to peer", 7), 7);
    PEL_EXPECT_EQ(pel_recv(peer, bytes, 8, 0), 7);
    PEL_EXPECT_EQ(pel_connect(fd, &none, sizeof none), 0);
    PEL_EXPECT_EQ(env_send_to(other, 5300, "heard", 5), 5);
    PEL_EXPECT_EQ(pel_recv(fd, bytes, 8, 0), 5);
    pel_close(fd);
    pel_close(peer);
    pel_close(other);
    env_stop();
}

PEL_TEST(socket_udp, queue_is_a_bound_and_drops_are_counted)
{
    static char bytes[1000];
    env_start(1, 0);
    int server = env_bound(5300), client = pel_socket(AF_INET, SOCK_DGRAM, 0);
    struct pel_sock *sock = pel_fd_get(server);
    struct pel_dgram *udp = pel_dgram_of(sock);
    for (int i = 0; i < 40; i++)
        PEL_EXPECT_EQ(env_send_to(client, 5300, bytes, sizeof bytes), sizeof bytes);
    uint32_t num_kept = TEST_BUFFER_LEN / sizeof bytes;
    for (int i = 0; i < 20000 && __atomic_load_n(&udp->num_dropped, __ATOMIC_ACQUIRE) < 40 - num_kept; i++)
        env_sleep_ms(1);
    PEL_EXPECT_EQ(__atomic_load_n(&udp->num_dropped, __ATOMIC_ACQUIRE), 40 - num_kept);
    for (uint32_t i = 0; i < num_kept; i++)
        PEL_EXPECT_EQ(pel_recv(server, bytes, sizeof bytes, MSG_DONTWAIT), sizeof bytes);
    EXPECT_FAIL(pel_recv(server, bytes, sizeof bytes, MSG_DONTWAIT), EAGAIN);
    pel_sock_unref(sock);
    pel_close(client);
    pel_close(server);
    env_stop();
}

PEL_TEST(socket_udp, waits_and_ends)
{
    char byte = 0;
    struct env_later later;
    struct sockaddr_in address = env_address(5300);
    env_start(1, 0);
    int fd = env_bound(5300);
    env_set_timeout(fd, SO_RCVTIMEO, 30);
    EXPECT_FAIL(pel_read(fd, &byte, 1), EAGAIN);
    env_set_timeout(fd, SO_RCVTIMEO, 0);
    PEL_EXPECT_EQ(pel_connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    PEL_EXPECT_EQ(pel_shutdown(fd, SHUT_RDWR), 0);
    PEL_EXPECT_EQ(pel_read(fd, &byte, 1), 0);
    EXPECT_FAIL(pel_write(fd, &byte, 1), EPIPE);
    PEL_EXPECT_EQ(env_poll1(fd, POLLIN, 0), POLLIN | POLLHUP);
    pel_close(fd);
    fd = env_bound(5300);
    int number = fd;
    env_later_start(&later, 20, env_close_it, &number);
    EXPECT_FAIL(pel_read(fd, &byte, 1), EBADF);
    env_later_join(&later);
    env_stop();
}

PEL_TEST(socket_udp, poll_and_epoll)
{
    char byte = 0;
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    env_start(2, 0);
    int fd = env_bound(5300), other = env_bound(5301), set = pel_epoll_create1(0);
    PEL_EXPECT_EQ(pel_epoll_ctl(set, EPOLL_CTL_ADD, fd, &event), 0);
    PEL_EXPECT_EQ(pel_epoll_wait(set, &event, 1, 10), 0);
    for (int i = 0; i < 20; i++) {
        PEL_EXPECT_EQ(env_send_to(other, 5300, "x", 1), 1);
        PEL_EXPECT_EQ(pel_epoll_wait(set, &event, 1, 20000), 1);
        PEL_EXPECT_EQ(env_poll1(fd, POLLIN, 0), POLLIN);
        PEL_EXPECT_EQ(pel_recv(fd, &byte, 1, MSG_DONTWAIT), 1);
    }
    pel_close(fd);
    pel_close(other);
    pel_close(set);
    env_stop();
}
