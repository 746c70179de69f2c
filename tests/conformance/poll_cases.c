/* SPDX-License-Identifier: Apache-2.0 */
/* poll() and ppoll() in every state of a socket. */
#include <signal.h>
#include <sys/eventfd.h>
#include <time.h>

#include "tests/conformance/case.h"
#include "tests/conformance/peer.h"

enum { ALL = POLLIN | POLLOUT | POLLPRI | POLLRDHUP | POLLRDNORM | POLLWRNORM };

static void say_now(const char *what, int fd)
{
    say_poll(what, await_for(fd, ALL, 0));
}

static void fresh(int family)
{
    say_now("stream", tcp_socket(family));
    say_now("datagram", udp_socket(family));
    int fd = tcp_socket(family);
    struct address self = address_of_self(family, 0);
    must("bind", bind(fd, SA(self)));
    say_now("bound", fd);
}

static void connecting(int arg)
{
    struct address to = black_hole(AF_INET);
    int fd = tcp_socket(AF_INET);
    set_nonblocking(fd);
    say_rc("connect", connect(fd, SA(to)));
    say_now("poll", fd);
    say_poll("waited", await_for(fd, ALL, SKIP_NOTHING_MS));
}

static void connected(int kind)
{
    say_now("poll", pair(kind));
}

static void readable(int kind)
{
    char text[8];
    int fd = pair(kind);
    peer_send(CONN, "ab");
    await_bytes(fd, 2);
    say_now("two", fd);
    say_rc("read", read(fd, text, 1));
    say_now("one", fd);
    say_rc("read", read(fd, text, 1));
    say_now("none", fd);
}

static void only_what_was_asked(int arg)
{
    int fd = pair(OUT4);
    peer_send(CONN, "ab");
    await_bytes(fd, 2);
    say_poll("in", await_for(fd, POLLIN, 0));
    say_poll("out", await_for(fd, POLLOUT, 0));
    say_poll("rdnorm", await_for(fd, POLLRDNORM, 0));
    say_poll("wrnorm", await_for(fd, POLLWRNORM, 0));
    say_poll("pri", await_for(fd, POLLPRI, 0));
    say_poll("rdhup", await_for(fd, POLLRDHUP, 0));
    say_poll("wrband", await_for(fd, POLLWRBAND, 0));
    say_poll("nothing", await_for(fd, 0, 0));
}

static void peer_half_closed(int kind)
{
    char byte;
    int fd = pair(kind);
    peer_shutdown(CONN, SHUT_WR);
    await_end(fd);
    say_now("poll", fd);
    say_poll("in", await_for(fd, POLLIN, 0));
    say_poll("out", await_for(fd, POLLOUT, 0));
    say_rc("read", read(fd, &byte, 1));
    say_now("after", fd);
}

static void data_and_end(int arg)
{
    char text[8];
    int fd = pair(OUT4);
    peer_send(CONN, "last");
    peer_close(CONN);
    await_end(fd);
    say_now("poll", fd);
    say_rc("read", read(fd, text, sizeof(text)));
    say_now("after", fd);
}

static void both_closed(int arg)
{
    int fd = pair(OUT4);
    must("shutdown", shutdown(fd, SHUT_WR));
    peer_says(CONN, 1);
    say_now("ours", fd);
    peer_close(CONN);
    say_poll("both", await(fd, POLLHUP));
    say_now("poll", fd);
}

static void reset(int kind)
{
    char byte;
    int fd = pair(kind);
    peer_reset(CONN);
    await_reset(fd);
    say_now("poll", fd);
    say_poll("nothing", await_for(fd, 0, 0));
    say_rc("read", read(fd, &byte, 1));
    say_now("after", fd);
}

static void reset_over_data(int arg)
{
    char text[8];
    int fd = pair(OUT4);
    peer_send(CONN, "data");
    await_bytes(fd, 4);
    peer_reset(CONN);
    await_reset(fd);
    say_now("poll", fd);
    say_poll("nothing", await_for(fd, 0, 0));
    say_bytes("read", read(fd, text, sizeof(text)), text);
    say_now("data-read", fd);
    say_rc("read", read(fd, text, 1));
    say_now("after", fd);
}

static void refused(int arg)
{
    uint16_t port = peer_listen(LISTENER, AF_INET);
    peer_close(LISTENER);
    struct address to = address_of_peer(AF_INET, port);
    int fd = tcp_socket(AF_INET), error;
    socklen_t len = sizeof(error);
    set_nonblocking(fd);
    say_rc("connect", connect(fd, SA(to)));
    await(fd, POLLOUT);
    say_now("poll", fd);
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
    say_now("after", fd);
}

static void listening(int arg)
{
    uint16_t port;
    int door = listener(AF_INET, &port);
    say_now("nobody", door);
    peer_connect(CONN, AF_INET, port);
    say_poll("one", await(door, ALL));
    peer_connect(CONN2, AF_INET, port);
    say_fd("accept", accept(door, NULL, NULL));
    say_poll("second", await(door, ALL));
    say_fd("accept", accept(door, NULL, NULL));
    say_now("nobody", door);
}

static void write_full(int kind)
{
    int fd = nonblocking_pair(kind);
    peer_buffer(CONN, 4096);
    size_t len = fill(fd);
    say_now("full", fd);
    peer_has(CONN, (int64_t)len);
    say_poll("drained", await(fd, POLLOUT));
}

static void wakes(int arg)
{
    int fd = pair(OUT4);
    peer_later(30);
    peer_send(CONN, "x");
    struct pollfd poller = {.fd = fd, .events = POLLIN};
    say_rc("poll", poll(&poller, 1, -1));
    say_poll("events", poller.revents);
}

static void wakes_at_end(int is_reset)
{
    int fd = pair(OUT4);
    peer_later(30);
    if (is_reset)
        peer_reset(CONN);
    else
        peer_close(CONN);
    struct pollfd poller = {.fd = fd, .events = POLLIN | POLLRDHUP};
    say_rc("poll", poll(&poller, 1, -1));
    say_poll("events", settled(fd, poller.events, poller.revents));
}

static void timeouts(int arg)
{
    struct pollfd poller = {.fd = pair(OUT4), .events = POLLIN, .revents = 77};
    int64_t start_ms = now_ms();
    say_rc("poll", poll(&poller, 1, SKIP_NOTHING_MS));
    say("waited=%d", now_ms() - start_ms >= SKIP_NOTHING_MS - 1);
    say_poll("events", poller.revents);
    say_rc("zero", poll(&poller, 1, 0));
}

static void negative_and_closed(int arg)
{
    int fd = pair(OUT4);
    struct pollfd pollers[4] = {{.fd = -1, .events = POLLIN, .revents = 77},
                                {.fd = 150, .events = POLLIN},
                                {.fd = fd, .events = POLLOUT},
                                {.fd = -7, .events = POLLOUT}};
    say_rc("poll", poll(pollers, 4, -1));
    for (int i = 0; i < 4; i++)
        say_poll("events", pollers[i].revents);
    close(fd);
    say_rc("poll", poll(pollers + 2, 1, -1));
    say_poll("closed", pollers[2].revents);
}

static void none(int arg)
{
    say_rc("none", poll(NULL, 0, 1));
    struct pollfd only_negative = {.fd = -1, .events = POLLIN};
    say_rc("negative", poll(&only_negative, 1, 1));
}

static void same_twice(int arg)
{
    int fd = pair(OUT4);
    struct pollfd pollers[2] = {{.fd = fd, .events = POLLIN}, {.fd = fd, .events = POLLOUT}};
    say_rc("poll", poll(pollers, 2, 0));
    peer_send(CONN, "x");
    await_bytes(fd, 1);
    say_rc("poll", poll(pollers, 2, 0));
}

static void mixed(int arg)
{
    int pipes[2], event = eventfd(0, 0), fd = pair(OUT4);
    must("pipe", pipe(pipes));
    struct pollfd pollers[4] = {{.fd = pipes[0], .events = POLLIN},
                                {.fd = fd, .events = POLLIN},
                                {.fd = event, .events = POLLIN},
                                {.fd = pipes[1], .events = POLLOUT}};
    say_rc("none", poll(pollers, 3, 0));
    peer_send(CONN, "x");
    await_bytes(fd, 1);
    say_rc("socket", poll(pollers, 3, -1));
    eventfd_write(event, 1);
    say_rc("eventfd", poll(pollers, 3, -1));
    must("write", write(pipes[1], "x", 1));
    say_rc("pipe", poll(pollers, 4, -1));
    for (int i = 0; i < 4; i++)
        say_poll("events", pollers[i].revents);
}

static void mixed_wakes_on_pipe(int arg)
{
    int pipes[2], fd = pair(OUT4);
    must("pipe", pipe(pipes));
    struct pollfd pollers[2] = {{.fd = fd, .events = POLLIN}, {.fd = pipes[0], .events = POLLIN}};
    pid_t child = fork();
    if (child == 0) {
        pause_ms(30);
        _exit(write(pipes[1], "x", 1) == 1 ? 0 : 1);
    }
    say_rc("poll", poll(pollers, 2, -1));
    say_poll("socket", pollers[0].revents);
    say_poll("pipe", pollers[1].revents);
    end_child("child", child);
}

static void mixed_wakes_on_socket(int arg)
{
    int pipes[2], fd = pair(OUT4);
    must("pipe", pipe(pipes));
    struct pollfd pollers[2] = {{.fd = pipes[0], .events = POLLIN}, {.fd = fd, .events = POLLIN}};
    peer_later(30);
    peer_send(CONN, "x");
    say_rc("poll", poll(pollers, 2, -1));
    say_poll("pipe", pollers[0].revents);
    say_poll("socket", pollers[1].revents);
}

static void many(int arg)
{
    enum { NUM = 12 };
    struct pollfd pollers[NUM];
    for (int i = 0; i < NUM; i++)
        pollers[i] = (struct pollfd){.fd = pair_with(i % 2 == 0 ? OUT4 : IN4, 10 + i), .events = POLLIN};
    say_rc("none", poll(pollers, NUM, 0));
    peer_send(10 + 3, "x");
    peer_send(10 + 11, "x");
    await_bytes(pollers[3].fd, 1);
    await_bytes(pollers[11].fd, 1);
    say_rc("two", poll(pollers, NUM, -1));
    for (int i = 0; i < NUM; i++)
        if (pollers[i].revents != 0)
            say("%d", i);
}

static void with_timespec(int arg)
{
    struct pollfd poller = {.fd = pair(OUT4), .events = POLLIN};
    struct timespec time = {.tv_nsec = 20000000}, kept = time;
    say_rc("ppoll", ppoll(&poller, 1, &time, NULL));
    say("kept=%d", memcmp(&time, &kept, sizeof(time)) == 0);
    time.tv_nsec = -1;
    say_rc("bad-time", ppoll(&poller, 1, &time, NULL));
    poller.events = POLLOUT;
    say_rc("ever", ppoll(&poller, 1, NULL, NULL));
}

static void duplicate(int arg)
{
    int fd = pair(OUT4), other = dup(fd);
    peer_send(CONN, "x");
    await_bytes(other, 1);
    say_now("first", fd);
    say_now("second", other);
    close(fd);
    say_now("second", other);
}

static void urgent(int arg)
{
    int fd = pair(OUT4);
    peer_urgent(CONN, "u");
    say_poll("poll", await(fd, POLLPRI));
}

static const struct conf_case cases[] = {
    {"poll.fresh", fresh, AF_INET},
    {"poll.fresh.inet6", fresh, AF_INET6},
    {"poll.connecting", connecting, 0},
    {"poll.connected", connected, OUT4},
    {"poll.accepted", connected, IN4},
    {"poll.readable", readable, OUT4},
    {"poll.readable.accepted", readable, IN4},
    {"poll.only-asked", only_what_was_asked, 0},
    {"poll.peer-half-closed", peer_half_closed, OUT4},
    {"poll.peer-half-closed.accepted", peer_half_closed, IN4},
    {"poll.data-and-end", data_and_end, 0},
    {"poll.both-closed", both_closed, 0},
    {"poll.reset", reset, OUT4},
    {"poll.reset.accepted", reset, IN4},
    {"poll.reset.over-data", reset_over_data, 0},
    {"poll.refused", refused, 0},
    {"poll.listening", listening, 0},
    {"poll.full", write_full, OUT4},
    {"poll.full.accepted", write_full, IN4},
    {"poll.wakes.data", wakes, 0},
    {"poll.wakes.end", wakes_at_end, 0},
    {"poll.wakes.reset", wakes_at_end, 1},
    {"poll.timeout", timeouts, 0},
    {"poll.descriptor.bad", negative_and_closed, 0},
    {"poll.none", none, 0},
    {"poll.same-twice", same_twice, 0},
    {"poll.mixed", mixed, 0},
    {"poll.mixed.wakes-on-pipe", mixed_wakes_on_pipe, 0},
    {"poll.mixed.wakes-on-socket", mixed_wakes_on_socket, 0},
    {"poll.many", many, 0},
    {"poll.ppoll", with_timespec, 0},
    {"poll.duplicate", duplicate, 0},
    {"poll.urgent", urgent, 0},
};

CONF_GROUP(poll_cases, cases);
