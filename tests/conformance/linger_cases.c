/* SPDX-License-Identifier: Apache-2.0 */
/* SO_LINGER, and resets that this end sends. */
#include <fcntl.h>
#include <signal.h>
#include <sys/time.h>

#include "tests/conformance/case.h"
#include "tests/conformance/peer.h"

static void set_linger(int fd, int on, int seconds)
{
    struct linger linger = {.l_onoff = on, .l_linger = seconds};
    must("linger", setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)));
}

static void zero_resets(int kind)
{
    int fd = pair(kind);
    set_linger(fd, 1, 0);
    say_rc("close", close(fd));
    peer_says(CONN, 1);
}

static void zero_after_bytes(int arg)
{
    int fd = pair(OUT4);
    set_linger(fd, 1, 0);
    say_rc("write", write(fd, "lost", 4));
    peer_says(CONN, 4);
    say_rc("close", close(fd));
    peer_says(CONN, 1);
}

static void zero_after_shutdown(int arg)
{
    int fd = pair(OUT4);
    set_linger(fd, 1, 0);
    say_rc("shutdown", shutdown(fd, SHUT_WR));
    peer_says(CONN, 1);
    say_rc("close", close(fd));
    peer_awaits(CONN, 0);
}

static void zero_on_exit(int arg)
{
    struct address to = address_of_peer(AF_INET, peer_listen(LISTENER, AF_INET));
    pid_t child = fork();
    if (child == 0) {
        int fd = tcp_socket(AF_INET);
        must("connect", connect(fd, SA(to)));
        set_linger(fd, 1, 0);
        _exit(0);
    }
    peer_accept(CONN, LISTENER);
    end_child("child", child);
    peer_says(CONN, 1);
}

static void zero_duplicate(int arg)
{
    int fd = pair(OUT4), other = dup(fd);
    set_linger(fd, 1, 0);
    say_rc("close", close(fd));
    say_rc("write", write(other, "alive", 5));
    peer_says(CONN, 5);
    say_rc("close", close(other));
    peer_says(CONN, 1);
}

static void with_time(int arg)
{
    int fd = pair(OUT4);
    set_linger(fd, 1, 5);
    say_rc("write", write(fd, "kept", 4));
    peer_says(CONN, 4);
    int64_t start_ms = now_ms();
    say_rc("close", close(fd));
    say("soon=%d", now_ms() - start_ms < 4500);
    peer_says(CONN, 1);
}

static void with_time_runs_out(int arg)
{
    int fd = nonblocking_pair(OUT4);
    peer_buffer(CONN, 4096);
    fill(fd);
    set_linger(fd, 1, 1);
    int flags = 0;
    say_rc("fcntl", fcntl(fd, F_SETFL, flags));
    int64_t start_ms = now_ms();
    say_rc("close", close(fd));
    int64_t took_ms = now_ms() - start_ms;
    say("waited=%d", took_ms >= 900 && took_ms < PATIENCE_MS);
}

static void on_alarm(int number)
{
}

static void signalled(int flags)
{
    int fd = nonblocking_pair(OUT4);
    struct sigaction action = {.sa_handler = on_alarm, .sa_flags = flags};
    struct itimerval time = {{0, 40000}, {0, 40000}}, none = {{0, 0}, {0, 0}};
    peer_buffer(CONN, 4096);
    fill(fd);
    set_linger(fd, 1, 60);
    say_rc("fcntl", fcntl(fd, F_SETFL, 0));
    must("sigaction", sigaction(SIGALRM, &action, NULL));
    must("setitimer",
         setitimer(ITIMER_REAL, &time, NULL)); /* again and again: the first may come too early */
    int64_t start_ms = now_ms();
    say_rc("close", close(fd));
    must("setitimer", setitimer(ITIMER_REAL, &none, NULL));
    say("soon=%d", now_ms() - start_ms < 10000);
}

static void off(int arg)
{
    int fd = pair(OUT4);
    set_linger(fd, 1, 0);
    set_linger(fd, 0, 0);
    say_rc("close", close(fd));
    peer_says(CONN, 1);
}

static void round_trip(int arg)
{
    int fd = tcp_socket(AF_INET);
    struct linger got = {.l_onoff = 7, .l_linger = 7};
    socklen_t len = sizeof(got);
    say_rc("getsockopt", getsockopt(fd, SOL_SOCKET, SO_LINGER, &got, &len));
    say("fresh=%d,%d", got.l_onoff, got.l_linger);
    set_linger(fd, 5, 30);
    getsockopt(fd, SOL_SOCKET, SO_LINGER, &got, &len);
    say("set=%d,%d length=%u", got.l_onoff, got.l_linger, len);
    say_rc("short", setsockopt(fd, SOL_SOCKET, SO_LINGER, &got, 4));
}

static void on_listener(int arg)
{
    uint16_t port;
    int door = listener(AF_INET, &port);
    set_linger(door, 1, 0);
    peer_connect(CONN, AF_INET, port);
    int fd = say_fd("accept", accept(door, NULL, NULL));
    say_rc("close", close(fd));
    peer_says(CONN, 1);
}

static void while_peer_closed(int arg)
{
    int fd = pair(OUT4);
    peer_shutdown(CONN, SHUT_WR);
    await_end(fd);
    set_linger(fd, 1, 0);
    say_rc("close", close(fd));
    peer_awaits(CONN, 0);
}

static const struct conf_case cases[] = {
    {"linger.zero", zero_resets, OUT4},
    {"linger.zero.accepted", zero_resets, IN4},
    {"linger.zero.bytes", zero_after_bytes, 0},
    {"linger.zero.shutdown", zero_after_shutdown, 0},
    {"linger.zero.exit", zero_on_exit, 0},
    {"linger.zero.duplicate", zero_duplicate, 0},
    {"linger.zero.peer-half-closed", while_peer_closed, 0},
    {"linger.time", with_time, 0},
    {"linger.time.out", with_time_runs_out, 0},
    {"linger.signal", signalled, 0},
    {"linger.signal.restart", signalled, SA_RESTART},
    {"linger.off", off, 0},
    {"linger.round-trip", round_trip, 0},
    {"linger.listener", on_listener, 0},
};

CONF_GROUP(linger_cases, cases);
