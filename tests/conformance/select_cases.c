/* SPDX-License-Identifier: Apache-2.0 */
/* select() and pselect(). */
#include <sys/select.h>
#include <time.h>

#include "tests/conformance/case.h"
#include "tests/conformance/peer.h"

/* Asks all three sets for one descriptor, without waiting. */
static void say_now(const char *what, int fd)
{
    fd_set in, out, bad;
    struct timeval time = {0};
    FD_ZERO(&in);
    FD_SET(fd, &in);
    out = bad = in;
    int rc = select(fd + 1, &in, &out, &bad, &time);
    if (rc < 0)
        say_rc(what, rc);
    else
        say("%s=%d:%s%s%s", what, rc, FD_ISSET(fd, &in) ? "r" : "", FD_ISSET(fd, &out) ? "w" : "",
            FD_ISSET(fd, &bad) ? "e" : "");
}

static void fresh(int arg)
{
    say_now("stream", tcp_socket(AF_INET));
    say_now("datagram", udp_socket(AF_INET));
}

static void states(int kind)
{
    char text[8];
    int fd = pair(kind);
    say_now("connected", fd);
    peer_send(CONN, "x");
    await_bytes(fd, 1);
    say_now("readable", fd);
    say_rc("read", read(fd, text, sizeof(text)));
    say_now("read", fd);
    peer_shutdown(CONN, SHUT_WR);
    await_end(fd);
    say_now("ended", fd);
    must("shutdown", shutdown(fd, SHUT_WR));
    say_now("shut", fd);
}

static void reset(int arg)
{
    int fd = pair(OUT4);
    peer_reset(CONN);
    await_reset(fd);
    say_now("reset", fd);
}

static void connecting(int arg)
{
    struct address to = black_hole(AF_INET);
    int fd = tcp_socket(AF_INET);
    set_nonblocking(fd);
    say_rc("connect", connect(fd, SA(to)));
    say_now("connecting", fd);
}

static void connects(int is_refused)
{
    uint16_t port = peer_listen(LISTENER, AF_INET);
    if (is_refused)
        peer_close(LISTENER);
    struct address to = address_of_peer(AF_INET, port);
    int fd = tcp_socket(AF_INET), error = -1;
    socklen_t len = sizeof(error);
    set_nonblocking(fd);
    say_rc("connect", connect(fd, SA(to)));
    fd_set out;
    struct timeval time = {.tv_sec = PATIENCE_MS / 1000};
    FD_ZERO(&out);
    FD_SET(fd, &out);
    say_rc("select", select(fd + 1, NULL, &out, NULL, &time));
    say("writable=%d", FD_ISSET(fd, &out) != 0);
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
    say("so_error=%s", error_name(error));
}

static void listening(int arg)
{
    uint16_t port;
    int door = listener(AF_INET, &port);
    say_now("nobody", door);
    peer_connect(CONN, AF_INET, port);
    await(door, POLLIN);
    say_now("one", door);
}

static void full(int arg)
{
    int fd = nonblocking_pair(OUT4);
    fill(fd);
    say_now("full", fd);
}

static void timeouts(int arg)
{
    int fd = pair(OUT4);
    fd_set in;
    struct timeval time = {.tv_usec = 40000};
    FD_ZERO(&in);
    FD_SET(fd, &in);
    int64_t start_ms = now_ms();
    say_rc("select", select(fd + 1, &in, NULL, NULL, &time));
    say("waited=%d cleared=%d", now_ms() - start_ms >= 39, !FD_ISSET(fd, &in));
    say("left=%d", time.tv_sec == 0 && time.tv_usec == 0);
    time = (struct timeval){.tv_sec = -1};
    say_rc("negative", select(fd + 1, &in, NULL, NULL, &time));
    say_rc("negative-num", select(-1, &in, NULL, NULL, &time));
}

static void time_left(int arg)
{
    int fd = pair(OUT4);
    fd_set out;
    struct timeval time = {.tv_sec = 60};
    FD_ZERO(&out);
    FD_SET(fd, &out);
    say_rc("select", select(fd + 1, NULL, &out, NULL, &time));
    say("left=%d", time.tv_sec >= 50 && (time.tv_sec < 60 || time.tv_usec == 0));
}

static void wakes(int arg)
{
    int fd = pair(OUT4);
    fd_set in;
    FD_ZERO(&in);
    FD_SET(fd, &in);
    peer_later(30);
    peer_send(CONN, "x");
    say_rc("select", select(fd + 1, &in, NULL, NULL, NULL));
    say("readable=%d", FD_ISSET(fd, &in) != 0);
}

static void bad_descriptor(int arg)
{
    fd_set in;
    struct timeval time = {0};
    FD_ZERO(&in);
    FD_SET(150, &in);
    say_rc("closed", select(151, &in, NULL, NULL, &time));
    int fd = pair(OUT4);
    FD_SET(fd, &in);
    say_rc("with-open", select(151, &in, NULL, NULL, &time));
    FD_CLR(150, &in);
    say_rc("open", select(151, &in, NULL, NULL, &time));
}

static void beyond_number(int arg)
{
    /* Descriptors from `nfds` on are not looked at. */
    int first = pair_with(OUT4, CONN), second = pair_with(OUT4, CONN2);
    fd_set out;
    struct timeval time = {0};
    FD_ZERO(&out);
    FD_SET(first, &out);
    FD_SET(second, &out);
    say_rc("select", select(first + 1, NULL, &out, NULL, &time));
    say("first=%d", FD_ISSET(first, &out) != 0);
}

static void mixed(int arg)
{
    int pipes[2], fd = pair(OUT4);
    must("pipe", pipe(pipes));
    fd_set in, out;
    struct timeval time = {.tv_sec = PATIENCE_MS / 1000};
    FD_ZERO(&in);
    FD_ZERO(&out);
    FD_SET(fd, &in);
    FD_SET(pipes[0], &in);
    FD_SET(pipes[1], &out);
    int high = pipes[1] > fd ? pipes[1] : fd;
    say_rc("select", select(high + 1, &in, &out, NULL, &time));
    say("socket=%d pipe=%d out=%d", FD_ISSET(fd, &in) != 0, FD_ISSET(pipes[0], &in) != 0,
        FD_ISSET(pipes[1], &out) != 0);
    must("write", write(pipes[1], "x", 1));
    peer_send(CONN, "x");
    await_bytes(fd, 1);
    FD_SET(fd, &in);
    FD_SET(pipes[0], &in);
    say_rc("select", select(high + 1, &in, NULL, NULL, &time));
    say("socket=%d pipe=%d", FD_ISSET(fd, &in) != 0, FD_ISSET(pipes[0], &in) != 0);
}

static void with_timespec(int arg)
{
    int fd = pair(OUT4);
    fd_set in, out;
    FD_ZERO(&in);
    FD_SET(fd, &in);
    out = in;
    struct timespec time = {.tv_nsec = 20000000};
    say_rc("pselect", pselect(fd + 1, &in, NULL, NULL, &time, NULL));
    say("kept=%d", time.tv_nsec == 20000000);
    say_rc("pselect", pselect(fd + 1, NULL, &out, NULL, NULL, NULL));
    say("writable=%d", FD_ISSET(fd, &out) != 0);
}

static void none(int arg)
{
    struct timeval time = {.tv_usec = 1000};
    say_rc("none", select(0, NULL, NULL, NULL, &time));
}

static void urgent(int arg)
{
    int fd = pair(OUT4);
    peer_urgent(CONN, "u");
    fd_set bad;
    struct timeval time = {.tv_sec = PATIENCE_MS / 1000};
    FD_ZERO(&bad);
    FD_SET(fd, &bad);
    say_rc("select", select(fd + 1, NULL, NULL, &bad, &time));
}

static const struct conf_case cases[] = {
    {"select.fresh", fresh, 0},
    {"select.states", states, OUT4},
    {"select.states.accepted", states, IN4},
    {"select.reset", reset, 0},
    {"select.connecting", connecting, 0},
    {"select.connects", connects, 0},
    {"select.refused", connects, 1},
    {"select.listening", listening, 0},
    {"select.full", full, 0},
    {"select.timeout", timeouts, 0},
    {"select.time-left", time_left, 0},
    {"select.wakes", wakes, 0},
    {"select.descriptor.bad", bad_descriptor, 0},
    {"select.beyond-number", beyond_number, 0},
    {"select.mixed", mixed, 0},
    {"select.pselect", with_timespec, 0},
    {"select.none", none, 0},
    {"select.urgent", urgent, 0},
};

CONF_GROUP(select_cases, cases);
