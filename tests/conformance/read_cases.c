/* SPDX-License-Identifier: Apache-2.0 */
/* read(), readv(), recv(), recvfrom() and their flags. */
#include <signal.h>
#include <sys/uio.h>

#include "tests/conformance/case.h"
#include "tests/conformance/peer.h"

static char text[4096];

static void say_read(const char *what, int fd, size_t len)
{
    say_bytes(what, read(fd, text, len), text);
}

static void say_recv(const char *what, int fd, size_t len, int flags)
{
    say_bytes(what, recv(fd, text, len, flags), text);
}

static void basic(int kind)
{
    int fd = pair(kind);
    peer_send(CONN, "hello");
    say_read("read", fd, 100);
    peer_send(CONN, "world");
    say_recv("recv", fd, 100, 0);
}

static void piecewise(int arg)
{
    int fd = pair(OUT4);
    peer_send(CONN, "abcdefgh");
    await_bytes(fd, 8);
    say_read("read", fd, 3);
    say_read("read", fd, 3);
    say_read("read", fd, 3);
}

static void joined(int arg)
{
    int fd = pair(OUT4);
    peer_send(CONN, "one");
    peer_send(CONN, "two");
    peer_send(CONN, "three");
    await_bytes(fd, 11);
    say_read("read", fd, 100);
}

static void blocks_until(int arg)
{
    int fd = pair(OUT4);
    peer_later(30);
    peer_send(CONN, "late");
    say_read("read", fd, 100);
}

static void nonblocking(int kind)
{
    int fd = nonblocking_pair(kind);
    say_read("read", fd, 10);
    say_recv("recv", fd, 10, 0);
    say_recv("peek", fd, 10, MSG_PEEK);
    say_recv("waitall", fd, 10, MSG_WAITALL);
}

static void dontwait(int arg)
{
    int fd = pair(OUT4);
    say_recv("recv", fd, 10, MSG_DONTWAIT);
    peer_send(CONN, "now");
    await(fd, POLLIN);
    say_recv("recv", fd, 10, MSG_DONTWAIT);
}

static void end_of_file(int kind)
{
    int fd = pair(kind);
    peer_send(CONN, "last");
    peer_shutdown(CONN, SHUT_WR);
    await_end(fd);
    say_read("read", fd, 100);
    say_read("read", fd, 100);
    say_read("read", fd, 100);
    say_recv("recv", fd, 100, MSG_DONTWAIT);
    say_recv("peek", fd, 100, MSG_PEEK);
}

static void reset(int kind)
{
    int fd = pair(kind);
    peer_reset(CONN);
    await_reset(fd);
    say_read("read", fd, 100);
    say_read("read", fd, 100);
    say_read("read", fd, 100);
}

static void reset_after_data(int arg)
{
    int fd = pair(OUT4);
    peer_send(CONN, "data");
    await_bytes(fd, 4);
    peer_reset(CONN);
    await_reset(fd);
    say_read("read", fd, 100);
    say_read("read", fd, 100);
    say_read("read", fd, 100);
}

static void reset_while_blocked(int arg)
{
    int fd = pair(OUT4);
    peer_later(30);
    peer_reset(CONN);
    say_read("read", fd, 100);
    say_read("read", fd, 100);
}

static void end_while_blocked(int arg)
{
    int fd = pair(IN4);
    peer_later(30);
    peer_close(CONN);
    say_read("read", fd, 100);
}

static void not_connected(int arg)
{
    uint16_t port;
    int fd = tcp_socket(AF_INET);
    say_read("fresh", fd, 10);
    say_recv("fresh.peek", fd, 10, MSG_PEEK);
    say_read("fresh.zero", fd, 0);
    say_read("listening", listener(AF_INET, &port), 10);
}

static void bad_descriptor(int arg)
{
    int pipes[2];
    must("pipe", pipe(pipes));
    say_read("read.closed", 150, 10);
    say_recv("recv.closed", 150, 10, 0);
    say_recv("recv.negative", -1, 10, 0);
    say_recv("recv.pipe", pipes[0], 10, 0);
}

static void zero_length(int arg)
{
    int fd = pair(OUT4);
    peer_send(CONN, "hello");
    await_bytes(fd, 5);
    say_read("read", fd, 0);
    say_recv("recv", fd, 0, 0);
    say_recv("peek", fd, 0, MSG_PEEK);
    say_read("kept", fd, 10);
}

static void zero_length_without_data(int arg)
{
    int fd = nonblocking_pair(OUT4);
    say_read("read", fd, 0);
    say_recv("recv", fd, 0, 0);
    say_recv("waitall", fd, 0, MSG_WAITALL);
}

static void peek(int arg)
{
    int fd = pair(OUT4);
    peer_send(CONN, "hello");
    await_bytes(fd, 5);
    say_recv("peek", fd, 3, MSG_PEEK);
    say_recv("peek", fd, 100, MSG_PEEK);
    say_read("read", fd, 2);
    say_recv("peek", fd, 100, MSG_PEEK);
    say_read("read", fd, 100);
    say_recv("peek", fd, 100, MSG_PEEK | MSG_DONTWAIT);
}

static void peek_over_writes(int arg)
{
    int fd = pair(OUT4);
    peer_send(CONN, "one");
    peer_send(CONN, "two");
    await_bytes(fd, 6);
    say_recv("peek", fd, 100, MSG_PEEK);
    say_recv("read", fd, 100, 0);
}

static void peek_waitall(int arg)
{
    int fd = pair(OUT4);
    peer_send(CONN, "one");
    await_bytes(fd, 3);
    peer_later(30);
    peer_send(CONN, "two");
    say_recv("peek", fd, 6, MSG_PEEK | MSG_WAITALL);
    say_recv("read", fd, 6, 0);
}

static void waitall(int kind)
{
    int fd = pair(kind);
    peer_send(CONN, "one");
    peer_later(30);
    peer_send(CONN, "two");
    say_recv("recv", fd, 6, MSG_WAITALL);
}

static void waitall_until_end(int arg)
{
    int fd = pair(OUT4);
    peer_send(CONN, "short");
    peer_later(30);
    peer_close(CONN);
    say_recv("recv", fd, 100, MSG_WAITALL);
    say_recv("recv", fd, 100, MSG_WAITALL);
}

static void waitall_nonblocking(int arg)
{
    int fd = nonblocking_pair(OUT4);
    peer_send(CONN, "part");
    await_bytes(fd, 4);
    say_recv("recv", fd, 100, MSG_WAITALL);
    say_recv("recv", fd, 100, MSG_WAITALL);
}

static void waitall_timeout(int arg)
{
    int fd = pair(OUT4);
    set_timeout(fd, SO_RCVTIMEO, SKIP_NOTHING_MS);
    peer_send(CONN, "part");
    await_bytes(fd, 4);
    say_recv("recv", fd, 100, MSG_WAITALL);
    say_recv("recv", fd, 100, MSG_WAITALL);
}

static void waitall_reset(int arg)
{
    int fd = pair(OUT4);
    peer_send(CONN, "part");
    await_bytes(fd, 4);
    peer_later(30);
    peer_reset(CONN);
    say_recv("recv", fd, 100, MSG_WAITALL);
    say_recv("recv", fd, 100, MSG_WAITALL);
}

static void waitall_long(int arg)
{
    int fd = pair(OUT4);
    int64_t len = 1 << 20;
    char *bytes = malloc((size_t)len);
    peer_later(1);
    peer_fill(CONN, len);
    say_rc("recv", recv(fd, bytes, (size_t)len, MSG_WAITALL));
    int64_t i = 0;
    while (i < len && (uint8_t)bytes[i] == peer_pattern(i))
        i++;
    say("equal=%d", i == len);
}

static void truncate_flag(int arg)
{
    /* On a stream MSG_TRUNC throws bytes away. */
    int fd = pair(OUT4);
    peer_send(CONN, "hello");
    await_bytes(fd, 5);
    memset(text, '.', sizeof(text));
    say_recv("recv", fd, 3, MSG_TRUNC);
    say_read("rest", fd, 100);
}

static void timeout(int arg)
{
    int fd = pair(OUT4);
    set_timeout(fd, SO_RCVTIMEO, SKIP_NOTHING_MS);
    int64_t start_ms = now_ms();
    say_read("read", fd, 10);
    say("waited=%d", now_ms() - start_ms >= SKIP_NOTHING_MS - 1);
    peer_send(CONN, "then");
    await_bytes(fd, 4); /* which may take longer than the read waits */
    say_read("read", fd, 10);
}

static void vector(int arg)
{
    int fd = pair(OUT4);
    char a[3], b[1], c[10];
    struct iovec parts[4] = {{a, 3}, {NULL, 0}, {b, 1}, {c, 10}};
    peer_send(CONN, "abcdefg");
    await_bytes(fd, 7);
    say_rc("readv", readv(fd, parts, 4));
    say("%.3s,%.1s,%.3s", a, b, c);
    peer_send(CONN, "xy");
    say_rc("readv", readv(fd, parts, 4));
    say("%.2s", a);
}

static void vector_errors(int arg)
{
    int fd = pair(OUT4);
    struct iovec part = {text, 10};
    peer_send(CONN, "hello");
    await_bytes(fd, 5);
    say_rc("none", readv(fd, &part, 0));
    say_rc("negative", readv(fd, &part, -1));
    say_rc("too-many", readv(fd, &part, 5000));
    part.iov_len = (size_t)-1;
    say_rc("huge", readv(fd, &part, 1));
    say_rc("preadv", preadv(fd, &part, 1, 0));
    say_read("kept", fd, 10);
}

static void address_of_stream(int arg)
{
    int fd = pair(OUT4);
    struct address from;
    memset(&from, 0x5a, sizeof(from));
    from.len = sizeof(from.sa);
    peer_send(CONN, "hello");
    say_bytes("recvfrom", recvfrom(fd, text, 10, 0, (struct sockaddr *)&from.sa, &from.len), text);
    say("length=%u", from.len);
}

static void out_of_band_flag(int arg)
{
    int fd = nonblocking_pair(OUT4);
    say_recv("oob", fd, 10, MSG_OOB);
    peer_send(CONN, "plain");
    await_bytes(fd, 5);
    say_recv("oob", fd, 10, MSG_OOB);
    say_read("read", fd, 10);
}

static void error_queue_flag(int arg)
{
    int fd = nonblocking_pair(OUT4);
    say_recv("errqueue", fd, 10, MSG_ERRQUEUE);
}

static void large(int kind)
{
    int fd = pair(kind);
    peer_later(1);
    peer_fill(CONN, 3 << 20);
    peer_later(1);
    peer_shutdown(CONN, SHUT_WR);
    drain("drain", fd);
}

static void after_own_shutdown(int arg)
{
    int fd = pair(OUT4);
    must("shutdown", shutdown(fd, SHUT_WR));
    peer_says(CONN, 1);
    peer_send(CONN, "answer");
    say_read("read", fd, 100);
    peer_close(CONN);
    say_read("read", fd, 100);
}

static const struct conf_case cases[] = {
    {"read.basic", basic, OUT4},
    {"read.basic.accepted", basic, IN4},
    {"read.piecewise", piecewise, 0},
    {"read.joined", joined, 0},
    {"read.blocks", blocks_until, 0},
    {"read.nonblock", nonblocking, OUT4},
    {"read.nonblock.accepted", nonblocking, IN4},
    {"read.dontwait", dontwait, 0},
    {"read.eof", end_of_file, OUT4},
    {"read.eof.accepted", end_of_file, IN4},
    {"read.eof.while-blocked", end_while_blocked, 0},
    {"read.reset", reset, OUT4},
    {"read.reset.accepted", reset, IN4},
    {"read.reset.after-data", reset_after_data, 0},
    {"read.reset.while-blocked", reset_while_blocked, 0},
    {"read.not-connected", not_connected, 0},
    {"read.descriptor.bad", bad_descriptor, 0},
    {"read.zero", zero_length, 0},
    {"read.zero.without-data", zero_length_without_data, 0},
    {"read.peek", peek, 0},
    {"read.peek.over-writes", peek_over_writes, 0},
    {"read.peek.waitall", peek_waitall, 0},
    {"read.waitall", waitall, OUT4},
    {"read.waitall.accepted", waitall, IN4},
    {"read.waitall.eof", waitall_until_end, 0},
    {"read.waitall.nonblock", waitall_nonblocking, 0},
    {"read.waitall.timeout", waitall_timeout, 0},
    {"read.waitall.reset", waitall_reset, 0},
    {"read.waitall.long", waitall_long, 0},
    {"read.trunc", truncate_flag, 0},
    {"read.timeout", timeout, 0},
    {"read.vector", vector, 0},
    {"read.vector.errors", vector_errors, 0},
    {"read.recvfrom", address_of_stream, 0},
    {"read.oob.none", out_of_band_flag, 0},
    {"read.errqueue.none", error_queue_flag, 0},
    {"read.large", large, OUT4},
    {"read.large.accepted", large, IN4},
    {"read.after-own-shutdown", after_own_shutdown, 0},
};

CONF_GROUP(read_cases, cases);
