/* SPDX-License-Identifier: Apache-2.0 */
/* shutdown() of each direction, what every call says after it, and half-closed connections. */
#include <sys/ioctl.h>

#include "tests/conformance/case.h"
#include "tests/conformance/peer.h"

static char text[64];

static void say_read(const char *what, int fd)
{
    say_bytes(what, recv(fd, text, sizeof(text), MSG_DONTWAIT), text);
}

static void say_write(const char *what, int fd)
{
    say_rc(what, send(fd, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT));
}

/* What every call says once `how` is shut; `arg`: pair kind * 4 + how. */
static void then_everything(int arg)
{
    int fd = pair(arg / 4), error = -1;
    struct address name = {.len = sizeof(name.sa)};
    socklen_t len = sizeof(error);
    say_rc("shutdown", shutdown(fd, arg % 4));
    say_read("recv", fd);
    say_bytes("peek", recv(fd, text, 1, MSG_PEEK | MSG_DONTWAIT), text);
    say_write("send", fd);
    say_rc("zero", send(fd, "", 0, MSG_NOSIGNAL));
    say_poll("poll", await_for(fd, POLLIN | POLLOUT | POLLRDHUP, 0));
    say_rc("getpeername", getpeername(fd, (struct sockaddr *)&name.sa, &name.len));
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
    say("so_error=%s", error_name(error));
    say_rc("again", shutdown(fd, arg % 4));
    say_rc("close", close(fd));
}

static void peer_sees(int arg)
{
    int fd = pair(arg / 4);
    must("write", write(fd, "last", 4));
    say_rc("shutdown", shutdown(fd, arg % 4));
    if (arg % 4 != SHUT_RD)
        peer_says(CONN, 100);
    else
        peer_says(CONN, 4);
    peer_send(CONN, "reply");
    if (arg % 4 == SHUT_WR) {
        await_bytes(fd, 5);
        say_read("recv", fd);
    }
}

static void read_shut_keeps_data(int arg)
{
    int fd = pair(OUT4);
    peer_send(CONN, "before");
    await_bytes(fd, 6);
    say_rc("shutdown", shutdown(fd, SHUT_RD));
    say_read("recv", fd);
    say_read("recv", fd);
}

static void read_shut_takes_data(int arg)
{
    /* Linux goes on receiving after SHUT_RD. */
    int fd = pair(OUT4);
    say_rc("shutdown", shutdown(fd, SHUT_RD));
    say_read("recv", fd);
    peer_send(CONN, "after");
    await_unread(fd, 5);
    say_read("recv", fd);
    say_read("recv", fd);
}

static void write_shut_flushes(int arg)
{
    int fd = nonblocking_pair(OUT4);
    peer_buffer(CONN, 4096);
    size_t len = fill(fd);
    say_rc("shutdown", shutdown(fd, SHUT_WR));
    say_write("send", fd);
    peer_has(CONN, (int64_t)len);
    peer_says(CONN, 1);
}

static void both_halves(int we_first)
{
    int fd = pair(we_first ? OUT4 : IN4);
    if (we_first) {
        say_rc("shutdown", shutdown(fd, SHUT_WR));
        peer_says(CONN, 1);
        peer_send(CONN, "after");
        await_bytes(fd, 5);
        say_read("recv", fd);
        peer_shutdown(CONN, SHUT_WR);
        await_end(fd);
        say_read("recv", fd);
    } else {
        peer_shutdown(CONN, SHUT_WR);
        await_end(fd);
        say_read("recv", fd);
        say_rc("send", send(fd, "after", 5, MSG_NOSIGNAL));
        peer_says(CONN, 5);
        say_rc("shutdown", shutdown(fd, SHUT_WR));
        peer_says(CONN, 1);
    }
    say_poll("poll", await(fd, POLLIN | POLLOUT | POLLRDHUP));
    say_rc("close", close(fd));
}

static void peer_shut_for_reading(int arg)
{
    int fd = pair(OUT4);
    peer_shutdown(CONN, SHUT_RD);
    say_rc("send", send(fd, "taken", 5, MSG_NOSIGNAL));
    say_poll("poll", await_for(fd, POLLIN | POLLOUT | POLLRDHUP, SKIP_NOTHING_MS));
    peer_send(CONN, "hello");
    await_bytes(fd, 5);
    say_read("recv", fd);
}

static void fresh(int how)
{
    int fd = tcp_socket(AF_INET);
    say_rc("shutdown", shutdown(fd, how));
    say_read("recv", fd);
    say_write("send", fd);
    say_poll("poll", await_for(fd, POLLIN | POLLOUT | POLLRDHUP, 0));
}

static void bad_how(int arg)
{
    int fd = pair(OUT4);
    say_rc("three", shutdown(fd, 3));
    say_rc("negative", shutdown(fd, -1));
    say_rc("fresh", shutdown(tcp_socket(AF_INET), 77));
    say_write("send", fd);
    peer_says(CONN, 1);
}

static void bad_descriptor(int arg)
{
    int pipes[2];
    must("pipe", pipe(pipes));
    say_rc("closed", shutdown(150, SHUT_WR));
    say_rc("negative", shutdown(-1, SHUT_WR));
    say_rc("pipe", shutdown(pipes[0], SHUT_WR));
}

static void listening(int how)
{
    uint16_t port;
    int door = listener(AF_INET, &port);
    say_rc("shutdown", shutdown(door, how));
    set_nonblocking(door);
    say_fd("accept", accept(door, NULL, NULL));
    peer_connects(CONN, AF_INET, port);
    if (how == SHUT_WR)
        await(door, POLLIN);
    say_fd("accept", accept(door, NULL, NULL));
}

static void listening_again(int arg)
{
    uint16_t port;
    int door = listener(AF_INET, &port);
    say_rc("shutdown", shutdown(door, SHUT_RDWR));
    say_rc("listen", listen(door, 4));
    peer_connects(CONN, AF_INET, port_of(door));
}

static void connecting(int how)
{
    struct address to = black_hole(AF_INET);
    int fd = tcp_socket(AF_INET);
    set_nonblocking(fd);
    say_rc("connect", connect(fd, SA(to)));
    say_rc("shutdown", shutdown(fd, how));
    say_poll("poll", await_for(fd, POLLIN | POLLOUT | POLLRDHUP, 0));
}

static void after_peer_closed(int how)
{
    int fd = pair(OUT4);
    peer_close(CONN);
    await_end(fd);
    say_rc("shutdown", shutdown(fd, how));
    say_read("recv", fd);
    say_write("send", fd);
}

static void after_reset(int how)
{
    int fd = pair(OUT4);
    peer_reset(CONN);
    await_reset(fd);
    say_rc("shutdown", shutdown(fd, how));
    say_read("recv", fd);
}

static void datagram(int how)
{
    struct address to = address_of_peer(AF_INET, peer_datagram(DGRAM, AF_INET));
    int fd = udp_socket(AF_INET);
    say_rc("unconnected", shutdown(fd, how));
    must("connect", connect(fd, SA(to)));
    say_rc("shutdown", shutdown(fd, how));
    say_write("send", fd);
    say_read("recv", fd);
}

static void write_then_read_shut(int arg)
{
    int fd = pair(OUT4);
    say_rc("wr", shutdown(fd, SHUT_WR));
    say_rc("rd", shutdown(fd, SHUT_RD));
    say_read("recv", fd);
    say_poll("poll", await_for(fd, POLLIN | POLLOUT | POLLRDHUP, 0));
    peer_says(CONN, 1);
}

static void duplicate_shuts_all(int arg)
{
    int fd = pair(OUT4), other = dup(fd);
    say_rc("shutdown", shutdown(other, SHUT_WR));
    say_write("send", fd);
    peer_says(CONN, 1);
}

static void pending_bytes(int arg)
{
    int fd = pair(OUT4), num = -1;
    peer_send(CONN, "hello");
    await_bytes(fd, 5);
    say_rc("shutdown", shutdown(fd, SHUT_RDWR));
    say_rc("ioctl", ioctl(fd, FIONREAD, &num));
    say("pending=%d", num);
    say_read("recv", fd);
}

#define BY_KIND(name, kind)                                                                                  \
    {"shutdown.rd.then" name, then_everything, kind * 4 + SHUT_RD},                                          \
        {"shutdown.wr.then" name, then_everything, kind * 4 + SHUT_WR},                                      \
        {"shutdown.rdwr.then" name, then_everything, kind * 4 + SHUT_RDWR},                                  \
        {"shutdown.rd.peer-sees" name, peer_sees, kind * 4 + SHUT_RD},                                       \
        {"shutdown.wr.peer-sees" name, peer_sees, kind * 4 + SHUT_WR},                                       \
    {                                                                                                        \
        "shutdown.rdwr.peer-sees" name, peer_sees, kind * 4 + SHUT_RDWR                                      \
    }

static const struct conf_case cases[] = {
    BY_KIND("", OUT4),
    BY_KIND(".accepted", IN4),
    {"shutdown.rd.keeps-data", read_shut_keeps_data, 0},
    {"shutdown.rd.takes-data", read_shut_takes_data, 0},
    {"shutdown.wr.flushes", write_shut_flushes, 0},
    {"shutdown.halves.we-first", both_halves, 1},
    {"shutdown.halves.peer-first", both_halves, 0},
    {"shutdown.peer-rd", peer_shut_for_reading, 0},
    {"shutdown.fresh.rd", fresh, SHUT_RD},
    {"shutdown.fresh.wr", fresh, SHUT_WR},
    {"shutdown.fresh.rdwr", fresh, SHUT_RDWR},
    {"shutdown.how.bad", bad_how, 0},
    {"shutdown.descriptor.bad", bad_descriptor, 0},
    {"shutdown.listening.rd", listening, SHUT_RD},
    {"shutdown.listening.wr", listening, SHUT_WR},
    {"shutdown.listening.rdwr", listening, SHUT_RDWR},
    {"shutdown.listening.again", listening_again, 0},
    {"shutdown.connecting.rd", connecting, SHUT_RD},
    {"shutdown.connecting.wr", connecting, SHUT_WR},
    {"shutdown.connecting.rdwr", connecting, SHUT_RDWR},
    {"shutdown.peer-closed.wr", after_peer_closed, SHUT_WR},
    {"shutdown.peer-closed.rd", after_peer_closed, SHUT_RD},
    {"shutdown.reset", after_reset, SHUT_RDWR},
    {"shutdown.dgram.rd", datagram, SHUT_RD},
    {"shutdown.dgram.wr", datagram, SHUT_WR},
    {"shutdown.dgram.rdwr", datagram, SHUT_RDWR},
    {"shutdown.wr.rd", write_then_read_shut, 0},
    {"shutdown.duplicate", duplicate_shuts_all, 0},
    {"shutdown.pending", pending_bytes, 0},
};

CONF_GROUP(shutdown_cases, cases);
