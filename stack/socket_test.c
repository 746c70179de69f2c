/* SPDX-License-Identifier: Apache-2.0 */
/* TCP sockets: descriptors, bytes, ends, options. */
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

PEL_TEST(socket, every_error_has_a_row)
{
    for (int err = 0; err < PEL_ERR_NR; err++) {
        if (!pel_errno_has_row((enum pel_err)err))
            pel_test_fail(__FILE__, __LINE__, "no errno for %s", pel_err_name((enum pel_err)err));
    }
    PEL_EXPECT_EQ(pel_errno_of_call(PEL_E_CONN_REFUSED), ECONNREFUSED);
    PEL_EXPECT_EQ(pel_errno_of_end(PEL_E_TLS_TRUNCATED), ECONNRESET);
    PEL_EXPECT_EQ(pel_errno_of_end(PEL_E_EOF), 0);
    PEL_EXPECT_EQ(pel_errno_of_call(PEL_ERR_NR), EIO);
}

PEL_TEST(socket, arguments_of_socket)
{
    static const struct {
        int domain, type, protocol, error;
    } rows[] = {
        {AF_INET, SOCK_STREAM, 0, 0},
        {AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP, 0},
        {AF_INET, SOCK_DGRAM, IPPROTO_UDP, 0},
        {AF_UNIX, SOCK_STREAM, 0, EAFNOSUPPORT},
        {AF_INET, SOCK_STREAM, IPPROTO_UDP, EPROTONOSUPPORT},
        {AF_INET, SOCK_DGRAM, IPPROTO_TCP, EPROTONOSUPPORT},
        {AF_INET, SOCK_RAW, 0, EPROTONOSUPPORT},
    };
    env_start(1, 0);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        errno = 0;
        int fd = pel_socket(rows[i].domain, rows[i].type, rows[i].protocol);
        PEL_EXPECT_EQ(fd >= PEL_FD_BASE ? 0 : errno, rows[i].error);
        if (fd >= 0)
            PEL_EXPECT_EQ(pel_close(fd), 0);
    }
    env_stop();
    EXPECT_FAIL(pel_socket(AF_INET, SOCK_STREAM, 0), ENETDOWN);
    EXPECT_FAIL(pel_epoll_create1(0), ENETDOWN);
}

PEL_TEST(socket, bad_descriptors)
{
    struct sockaddr_in address = env_address(1);
    socklen_t len = sizeof address;
    char byte = 0;
    static const int fds[] = {-1, 0, 1, PEL_FD_BASE, PEL_FD_BASE + 5000, INT32_MAX};
    env_start(1, 0);
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++) {
        int fd = fds[i];
        EXPECT_FAIL(pel_read(fd, &byte, 1), EBADF);
        EXPECT_FAIL(pel_write(fd, &byte, 1), EBADF);
        EXPECT_FAIL(pel_close(fd), EBADF);
        EXPECT_FAIL(pel_listen(fd, 1), EBADF);
        EXPECT_FAIL(pel_accept(fd, NULL, NULL), EBADF);
        EXPECT_FAIL(pel_bind(fd, (struct sockaddr *)&address, len), EBADF);
        EXPECT_FAIL(pel_connect(fd, (struct sockaddr *)&address, len), EBADF);
        EXPECT_FAIL(pel_getsockname(fd, (struct sockaddr *)&address, &len), EBADF);
        EXPECT_FAIL(pel_shutdown(fd, SHUT_WR), EBADF);
        EXPECT_FAIL(pel_fcntl(fd, F_GETFL, 0), EBADF);
        EXPECT_FAIL(pel_set_server_name(fd, "a"), EBADF);
    }
    env_stop();
}

PEL_TEST(socket, descriptors_run_out_and_come_back)
{
    int fds[8], extra = 0;
    env_start(1, 8);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 8; i++)
            PEL_EXPECT((fds[i] = pel_socket(AF_INET, SOCK_STREAM, 0)) >= PEL_FD_BASE);
        EXPECT_FAIL(pel_socket(AF_INET, SOCK_STREAM, 0), EMFILE);
        EXPECT_FAIL(pel_epoll_create1(0), EMFILE);
        PEL_EXPECT_EQ(pel_close(fds[3]), 0);
        PEL_EXPECT_EQ(extra = pel_socket(AF_INET, SOCK_DGRAM, 0), fds[3]);
        for (int i = 0; i < 8; i++)
            PEL_EXPECT_EQ(pel_close(fds[i]), 0);
    }
    EXPECT_FAIL(pel_close(extra), EBADF);
    env_stop();
}

PEL_TEST(socket, read_blocks_until_bytes_come)
{
    struct env_pair pair;
    struct env_later later;
    char bytes[10];
    env_start(1, 0);
    PEL_REQUIRE(env_pair_open(&pair));
    env_later_start(&later, 20, env_write_x, &pair.client);
    PEL_EXPECT_EQ(pel_read(pair.server, bytes, sizeof bytes), 1);
    PEL_EXPECT_EQ(bytes[0], 'x');
    env_later_join(&later);
    EXPECT_FAIL(pel_recv(pair.server, bytes, 1, MSG_DONTWAIT), EAGAIN);
    PEL_EXPECT_EQ(pel_read(pair.server, bytes, 0), 0);
    PEL_EXPECT_EQ(pel_write(pair.server, bytes, 0), 0);
    env_pair_close(&pair);
    env_stop();
}

PEL_TEST(socket, receive_timeout)
{
    struct env_pair pair;
    char byte = 0;
    env_start(1, 0);
    PEL_REQUIRE(env_pair_open(&pair));
    env_set_timeout(pair.server, SO_RCVTIMEO, 40);
    uint64_t start_ms = env_now_ms();
    EXPECT_FAIL(pel_read(pair.server, &byte, 1), EAGAIN);
    PEL_EXPECT(env_now_ms() - start_ms >= 39);
    env_pair_close(&pair);
    env_stop();
}

PEL_TEST(socket, send_timeout_after_what_fitted)
{
    struct env_pair pair;
    static char bytes[100 * TEST_BUFFER_LEN]; /* more than all buffers on the way hold */
    env_start(1, 0);
    PEL_REQUIRE(env_pair_open(&pair));
    PEL_EXPECT_EQ(env_poll1(pair.server, POLLIN, 0), 0); /* mapped, and never read */
    env_set_timeout(pair.client, SO_SNDTIMEO, 40);
    ssize_t len = pel_write(pair.client, bytes, sizeof bytes);
    PEL_EXPECT(len >= TEST_BUFFER_LEN && len < (ssize_t)sizeof bytes);
    errno = 0;
    while ((len = pel_write(pair.client, bytes, sizeof bytes)) > 0)
        continue;
    PEL_EXPECT_EQ(errno, EAGAIN);
    env_pair_close(&pair);
    env_stop();
}

PEL_TEST(socket, peek_sees_the_whole_ring)
{
    struct env_pair pair;
    static uint8_t sent[TEST_BUFFER_LEN], peeked[TEST_BUFFER_LEN], got[TEST_BUFFER_LEN];
    for (size_t i = 0; i < sizeof sent; i++)
        sent[i] = (uint8_t)(i * 31 + i / 256);
    env_start(1, 0);
    PEL_REQUIRE(env_pair_open(&pair));
    for (int round = 0; round < 3; round++) { /* the ring wraps at different places */
        PEL_EXPECT(env_write_all(pair.client, sent, 10000));
        PEL_EXPECT_EQ(pel_recv(pair.server, peeked, 10000, MSG_PEEK | MSG_WAITALL), 10000);
        PEL_EXPECT_MEM(peeked, sent, 10000);
        PEL_EXPECT_EQ(pel_recv(pair.server, peeked, 3, MSG_PEEK), 3);
        PEL_EXPECT(env_read_all(pair.server, got, 10000));
        PEL_EXPECT_MEM(got, sent, 10000);
    }
    /* More than the ring holds: as much as it holds, whatever was held back. */
    PEL_EXPECT(env_write_all(pair.client, sent, 6000));
    PEL_EXPECT_EQ(pel_recv(pair.server, got, 6000, MSG_WAITALL), 6000);
    PEL_EXPECT(env_write_all(pair.client, sent, sizeof sent));
    PEL_EXPECT_EQ(pel_recv(pair.server, peeked, 2 * sizeof sent, MSG_PEEK | MSG_WAITALL), sizeof sent);
    PEL_EXPECT_MEM(peeked, sent, sizeof sent);
    env_pair_close(&pair);
    env_stop();
}

PEL_TEST(socket, waitall_waits_and_ends_early)
{
    struct env_pair pair;
    struct env_later later;
    char bytes[10] = "";
    env_start(1, 0);
    PEL_REQUIRE(env_pair_open(&pair));
    PEL_EXPECT_EQ(pel_write(pair.client, "12", 2), 2);
    env_later_start(&later, 20, env_write_x, &pair.client);
    PEL_EXPECT_EQ(pel_recv(pair.server, bytes, 3, MSG_WAITALL), 3);
    PEL_EXPECT_STR(bytes, "12x");
    env_later_join(&later);
    PEL_EXPECT_EQ(pel_write(pair.client, "34", 2), 2);
    env_later_start(&later, 20, env_shut_it, &pair.client);
    PEL_EXPECT_EQ(pel_recv(pair.server, bytes, 9, MSG_WAITALL), 2);
    PEL_EXPECT_EQ(pel_recv(pair.server, bytes, 9, MSG_WAITALL), 0);
    env_later_join(&later);
    env_pair_close(&pair);
    env_stop();
}

PEL_TEST(socket, vectors)
{
    struct env_pair pair;
    char a[3], b[5], c[4];
    struct iovec out[] = {{(void *)(uintptr_t) "one", 3}, {NULL, 0}, {(void *)(uintptr_t) "twotwo", 6}};
    struct iovec in[] = {{a, 3}, {b, 5}, {NULL, 0}, {c, 4}};
    struct iovec huge[] = {{a, SIZE_MAX / 2}, {b, SIZE_MAX / 2}};
    env_start(1, 0);
    PEL_REQUIRE(env_pair_open(&pair));
    PEL_EXPECT_EQ(pel_writev(pair.client, out, 3), 9);
    PEL_EXPECT_EQ(pel_recv(pair.server, (char[9]){0}, 9, MSG_PEEK | MSG_WAITALL), 9);
    PEL_EXPECT_EQ(pel_readv(pair.server, in, 4), 9);
    PEL_EXPECT_MEM(a, "one", 3);
    PEL_EXPECT_MEM(b, "twotw", 5);
    PEL_EXPECT_EQ(c[0], 'o');
    EXPECT_FAIL(pel_writev(pair.client, huge, 2), EINVAL);
    EXPECT_FAIL(pel_writev(pair.client, out, -1), EINVAL);
    EXPECT_FAIL(pel_readv(pair.server, in, 1025), EINVAL);
    EXPECT_FAIL(pel_send(pair.client, a, 1, MSG_OOB), EOPNOTSUPP);
    EXPECT_FAIL(pel_recv(pair.client, a, 1, MSG_OOB), EOPNOTSUPP);
    env_pair_close(&pair);
    env_stop();
}

PEL_TEST(socket, half_close)
{
    struct env_pair pair;
    char bytes[8] = "";
    env_start(1, 0);
    PEL_REQUIRE(env_pair_open(&pair));
    PEL_EXPECT_EQ(pel_write(pair.client, "ask", 3), 3);
    PEL_EXPECT_EQ(pel_shutdown(pair.client, SHUT_WR), 0);
    EXPECT_FAIL(pel_write(pair.client, "x", 1), EPIPE);
    PEL_EXPECT(env_read_all(pair.server, bytes, 3));
    PEL_EXPECT_EQ(pel_read(pair.server, bytes, 8), 0);
    PEL_EXPECT_EQ(env_poll1(pair.server, POLLIN | POLLOUT | POLLRDHUP, 0), POLLIN | POLLOUT | POLLRDHUP);
    PEL_EXPECT_EQ(pel_write(pair.server, "answer", 6), 6);
    PEL_EXPECT_EQ(pel_shutdown(pair.server, SHUT_WR), 0);
    PEL_EXPECT(env_read_all(pair.client, bytes, 6));
    PEL_EXPECT_EQ(pel_read(pair.client, bytes, 8), 0);
    PEL_EXPECT_EQ(env_poll1(pair.client, POLLIN, 20000) & POLLIN, POLLIN);
    for (int i = 0; i < 20000 && !(env_poll1(pair.server, 0, 0) & POLLHUP); i++)
        env_sleep_ms(1);
    PEL_EXPECT_EQ(env_poll1(pair.server, 0, 0), POLLHUP);
    EXPECT_FAIL(pel_write(pair.server, "x", 1), EPIPE);
    PEL_EXPECT_EQ(pel_read(pair.server, bytes, 1), 0);
    EXPECT_FAIL(pel_shutdown(pair.server, 7), EINVAL);
    env_pair_close(&pair);
    env_stop();
}

PEL_TEST(socket, shutdown_of_reading)
{
    struct env_pair pair;
    char bytes[4] = "";
    env_start(1, 0);
    PEL_REQUIRE(env_pair_open(&pair));
    PEL_EXPECT_EQ(pel_write(pair.client, "ab", 2), 2);
    PEL_EXPECT_EQ(env_poll1(pair.server, POLLIN, 20000), POLLIN);
    PEL_EXPECT_EQ(pel_shutdown(pair.server, SHUT_RD), 0);
    PEL_EXPECT_EQ(pel_read(pair.server, bytes, 4), 2);
    PEL_EXPECT_EQ(pel_read(pair.server, bytes, 4), 0);
    PEL_EXPECT_EQ(pel_write(pair.server, "cd", 2), 2);
    PEL_EXPECT(env_read_all(pair.client, bytes, 2));
    env_pair_close(&pair);
    env_stop();
}

PEL_TEST(socket, linger_zero_resets)
{
    struct env_pair pair;
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    char byte = 0;
    env_start(1, 0);
    PEL_REQUIRE(env_pair_open(&pair));
    PEL_EXPECT_EQ(pel_setsockopt(pair.client, SOL_SOCKET, SO_LINGER, &linger, sizeof linger), 0);
    PEL_EXPECT_EQ(env_poll1(pair.server, POLLIN, 0), 0);
    PEL_EXPECT_EQ(pel_close(pair.client), 0);
    EXPECT_FAIL(pel_read(pair.server, &byte, 1), ECONNRESET);
    pair.client = -1;
    env_pair_close(&pair);
    env_stop();
}

PEL_TEST(socket, close_delivers_what_was_written)
{
    struct env_pair pair;
    static uint8_t sent[TEST_BUFFER_LEN], got[TEST_BUFFER_LEN];
    for (size_t i = 0; i < sizeof sent; i++)
        sent[i] = (uint8_t)(i * 7);
    env_start(1, 0);
    PEL_REQUIRE(env_pair_open(&pair));
    /* The other side writes, too, and is not read: it must not keep ours from getting out. */
    PEL_EXPECT_EQ(pel_send(pair.server, sent, sizeof sent, MSG_DONTWAIT), sizeof sent);
    PEL_EXPECT(env_write_all(pair.client, sent, sizeof sent));
    PEL_EXPECT_EQ(pel_close(pair.client), 0);
    pair.client = -1;
    PEL_EXPECT(env_read_all(pair.server, got, sizeof got));
    PEL_EXPECT_MEM(got, sent, sizeof got);
    env_pair_close(&pair);
    env_stop();
}

PEL_TEST(socket, close_while_another_thread_waits)
{
    static char bytes[100 * TEST_BUFFER_LEN]; /* more than all buffers on the way hold */
    for (int is_write = 0; is_write < 2; is_write++) {
        struct env_pair pair;
        struct env_later later;
        env_start(1, 0);
        PEL_REQUIRE(env_pair_open(&pair));
        env_poll1(pair.server, POLLIN, 0);
        int fd = is_write ? pair.client : pair.server;
        env_later_start(&later, 30, env_close_it, &fd);
        if (is_write)
            EXPECT_FAIL(pel_write(fd, bytes, sizeof bytes), EBADF);
        else
            EXPECT_FAIL(pel_read(fd, bytes, 1), EBADF);
        env_later_join(&later);
        EXPECT_FAIL(pel_close(fd), EBADF);
        pel_close(is_write ? pair.server : pair.client);
        pel_close(pair.listener);
        env_stop();
    }
}

PEL_TEST(socket, options)
{
    static const struct {
        int level, name, value, set_error, read_back;
    } rows[] = {
        {SOL_SOCKET, SO_REUSEADDR, 1, 0, 1},
        {SOL_SOCKET, SO_REUSEPORT, 5, 0, 1},
        {SOL_SOCKET, SO_KEEPALIVE, 1, 0, 1},
        {SOL_SOCKET, SO_SNDBUF, 5, 0, TEST_BUFFER_LEN},
        {SOL_SOCKET, SO_RCVBUF, 5, 0, TEST_BUFFER_LEN},
        {SOL_SOCKET, SO_TYPE, 1, ENOPROTOOPT, SOCK_STREAM},
        {SOL_SOCKET, SO_DOMAIN, 1, ENOPROTOOPT, AF_INET},
        {SOL_SOCKET, SO_PROTOCOL, 1, ENOPROTOOPT, IPPROTO_TCP},
        {SOL_SOCKET, SO_ERROR, 1, ENOPROTOOPT, 0},
        {SOL_SOCKET, SO_ACCEPTCONN, 1, ENOPROTOOPT, 0},
        {IPPROTO_TCP, TCP_NODELAY, 0, 0, 0},
        {IPPROTO_TCP, TCP_KEEPIDLE, 60, 0, 60},
        {IPPROTO_TCP, TCP_KEEPIDLE, 0, EINVAL, 60},
        {IPPROTO_TCP, TCP_KEEPINTVL, 40000, EINVAL, 75},
        {IPPROTO_TCP, TCP_KEEPCNT, 127, 0, 127},
        {IPPROTO_TCP, TCP_KEEPCNT, 128, EINVAL, 127},
    };
    env_start(1, 0);
    int fd = pel_socket(AF_INET, SOCK_STREAM, 0), value = 1;
    socklen_t len = sizeof value;
    PEL_EXPECT_EQ(pel_getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, &len), 0);
    PEL_EXPECT_EQ(value, 1);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        errno = 0;
        pel_setsockopt(fd, rows[i].level, rows[i].name, &rows[i].value, sizeof(int));
        PEL_EXPECT_EQ(errno, rows[i].set_error);
        PEL_EXPECT_EQ(pel_getsockopt(fd, rows[i].level, rows[i].name, &value, &len), 0);
        PEL_EXPECT_EQ(value, rows[i].read_back);
    }
    EXPECT_FAIL(pel_setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &value, len), ENOPROTOOPT);
    EXPECT_FAIL(pel_setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &value, len), ENOPROTOOPT);
    EXPECT_FAIL(pel_setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, 2), EINVAL);
    EXPECT_FAIL(pel_setsockopt(fd, SOL_SOCKET, SO_LINGER, &value, len), EINVAL);
    struct timeval time = {.tv_sec = 1, .tv_usec = 1000000};
    EXPECT_FAIL(pel_setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time), EDOM);
    env_set_timeout(fd, SO_RCVTIMEO, 1500);
    len = sizeof time;
    PEL_EXPECT_EQ(pel_getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, &len), 0);
    PEL_EXPECT_EQ(time.tv_sec * 1000000 + time.tv_usec, 1500000);
    pel_close(fd);
    env_stop();
}

PEL_TEST(socket, ioctl_and_fcntl)
{
    struct env_pair pair;
    int on = 1, num = -1;
    env_start(1, 0);
    PEL_REQUIRE(env_pair_open(&pair));
    PEL_EXPECT_EQ(pel_ioctl(pair.server, FIONBIO, &on), 0);
    PEL_EXPECT_EQ(pel_fcntl(pair.server, F_GETFL, 0), O_RDWR | O_NONBLOCK);
    PEL_EXPECT_EQ(pel_ioctl(pair.server, FIONREAD, &num), 0);
    PEL_EXPECT_EQ(num, 0);
    PEL_EXPECT_EQ(pel_write(pair.client, "12345", 5), 5);
    PEL_EXPECT_EQ(env_poll1(pair.server, POLLIN, 20000), POLLIN);
    PEL_EXPECT_EQ(pel_ioctl(pair.server, FIONREAD, &num), 0);
    PEL_EXPECT_EQ(num, 5);
    EXPECT_FAIL(pel_ioctl(pair.listener, FIONREAD, &num), EINVAL);
    EXPECT_FAIL(pel_ioctl(pair.server, 0x1234, &num), ENOTTY);
    EXPECT_FAIL(pel_fcntl(pair.server, F_DUPFD, 0), EINVAL);
    env_pair_close(&pair);
    env_stop();
}
