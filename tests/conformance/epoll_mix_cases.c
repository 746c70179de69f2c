/* SPDX-License-Identifier: Apache-2.0 */
/* epoll sets that hold sockets beside pipes, eventfds, timers, signals and other sets; fairness; exclusive
 * waits. */
#include <fcntl.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

#include "tests/conformance/case.h"
#include "tests/conformance/peer.h"

static void add(int set, int fd, uint32_t events, uint64_t data)
{
    struct epoll_event event = {.events = events, .data.u64 = data};
    must("epoll_ctl", epoll_ctl(set, EPOLL_CTL_ADD, fd, &event));
}

/* Says the events in the order of their data, which is defined; that of the array is not. */
static int say_wait(const char *what, int set, int ms)
{
    struct epoll_event events[16];
    int num = epoll_wait(set, events, 16, ms);
    say_rc(what, num);
    for (uint64_t data = 0; data < 64; data++)
        for (int i = 0; i < num; i++)
            if (events[i].data.u64 == data) {
                char name[8];
                snprintf(name, sizeof(name), "%d", (int)data);
                say_epoll(name, events[i].events);
            }
    return num;
}

/* Waits until each of the `num` members that are ready was reported, by one wait or by several: a wait may
 * leave some for the next. Says each once. */
static void say_all(const char *what, int set, int num)
{
    uint32_t heard[8] = {0};
    int64_t end_ms = now_ms() + PATIENCE_MS;
    int num_heard = 0;
    while (num_heard < num && now_ms() < end_ms) {
        struct epoll_event events[8];
        int got = epoll_wait(set, events, 8, PATIENCE_MS);
        for (int i = 0; i < got; i++) {
            num_heard += heard[events[i].data.u64] == 0;
            heard[events[i].data.u64] = events[i].events;
        }
    }
    say_rc(what, num_heard);
    for (int i = 0; i < 8; i++)
        if (heard[i] != 0) {
            char name[16];
            snprintf(name, sizeof(name), "%d", i);
            say_epoll(name, heard[i]);
        }
}

static int new_set(void)
{
    return (int)must("epoll_create1", epoll_create1(EPOLL_CLOEXEC));
}

static void with_pipe(int arg)
{
    int pipes[2], fd = pair(OUT4), set = new_set();
    must("pipe", pipe(pipes));
    add(set, fd, EPOLLIN, 1);
    add(set, pipes[0], EPOLLIN, 2);
    say_wait("none", set, 0);
    must("write", write(pipes[1], "x", 1));
    say_wait("pipe", set, -1);
    peer_send(CONN, "x");
    await_bytes(fd, 1);
    say_all("both", set, 2);
    char byte;
    say_rc("read", read(pipes[0], &byte, 1));
    say_wait("socket", set, -1);
    close(pipes[1]);
    say_all("hangup", set, 2);
}

static void with_eventfd(int flags)
{
    int event = eventfd(0, EFD_NONBLOCK), fd = pair(IN4), set = new_set();
    add(set, event, EPOLLIN | (uint32_t)flags, 1);
    add(set, fd, EPOLLIN | (uint32_t)flags, 2);
    eventfd_write(event, 1);
    say_wait("eventfd", set, -1);
    say_wait("again", set, 0);
    peer_send(CONN, "x");
    await_bytes(fd, 1);
    say_all("both", set, flags == 0 ? 2 : 1);
    eventfd_t value;
    eventfd_read(event, &value);
    say_wait("after", set, 0);
    eventfd_write(event, 1);
    say_all("written", set, flags == 0 ? 2 : 1);
}

static void with_timer(int arg)
{
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK), fd = pair(OUT4), set = new_set();
    struct itimerspec time = {.it_value.tv_nsec = 30000000};
    add(set, timer, EPOLLIN, 1);
    add(set, fd, EPOLLIN, 2);
    must("timerfd_settime", timerfd_settime(timer, 0, &time, NULL));
    say_wait("timer", set, -1);
    uint64_t num;
    say_rc("read", read(timer, &num, sizeof(num)));
    say_wait("none", set, 0);
}

static void with_signals(int arg)
{
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR1);
    sigprocmask(SIG_BLOCK, &mask, NULL);
    int signals = signalfd(-1, &mask, SFD_NONBLOCK), fd = pair(OUT4), set = new_set();
    add(set, signals, EPOLLIN, 1);
    add(set, fd, EPOLLIN, 2);
    kill(getpid(), SIGUSR1);
    say_wait("signal", set, -1);
    struct signalfd_siginfo info;
    say_rc("read", read(signals, &info, sizeof(info)) == sizeof(info));
    say("number=%d", info.ssi_signo == SIGUSR1);
    say_wait("none", set, 0);
}

static void with_unix_socket(int arg)
{
    int sockets[2], fd = pair(OUT4), set = new_set();
    must("socketpair", socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
    add(set, sockets[0], EPOLLIN | EPOLLRDHUP, 1);
    add(set, fd, EPOLLIN | EPOLLRDHUP, 2);
    must("write", write(sockets[1], "x", 1));
    say_wait("unix", set, -1);
    close(sockets[1]);
    say_wait("closed", set, -1);
}

static void with_file(int arg)
{
    int set = new_set(), file = open("/proc/self/exe", O_RDONLY);
    struct epoll_event event = {.events = EPOLLIN};
    say_rc("file", epoll_ctl(set, EPOLL_CTL_ADD, file, &event));
    add(set, pair(OUT4), EPOLLOUT, 1);
    say_rc("file", epoll_ctl(set, EPOLL_CTL_ADD, file, &event));
}

static void wakes_on_kernel_end(int arg)
{
    int pipes[2], set = new_set();
    must("pipe", pipe(pipes));
    add(set, pair(OUT4), EPOLLIN, 1);
    add(set, pipes[0], EPOLLIN, 2);
    pid_t child = fork();
    if (child == 0) {
        pause_ms(30);
        _exit(write(pipes[1], "x", 1) == 1 ? 0 : 1);
    }
    say_wait("wait", set, -1);
    end_child("child", child);
}

static void wakes_on_socket(int arg)
{
    int pipes[2], set = new_set();
    must("pipe", pipe(pipes));
    add(set, pipes[0], EPOLLIN, 1);
    add(set, pair(OUT4), EPOLLIN, 2);
    peer_later(30);
    peer_send(CONN, "x");
    say_wait("wait", set, -1);
}

static void nested(int flags)
{
    int fd = pair(OUT4), inner = new_set(), outer = new_set();
    add(inner, fd, EPOLLIN, 1);
    add(outer, inner, EPOLLIN | (uint32_t)flags, 2);
    say_wait("none", outer, 0);
    peer_send(CONN, "x");
    await_bytes(fd, 1);
    say_wait("outer", outer, PATIENCE_MS);
    say_wait("inner", inner, PATIENCE_MS);
    say_poll("poll-inner", await_for(inner, POLLIN, 0));
    say_poll("poll-outer", await_for(outer, POLLIN, 0) & (flags == 0 ? POLLIN : 0));
    char byte;
    say_rc("read", read(fd, &byte, 1));
    say_wait("none", outer, 0);
}

static void nested_wakes(int arg)
{
    int inner = new_set(), outer = new_set();
    add(inner, pair(OUT4), EPOLLIN, 1);
    add(outer, inner, EPOLLIN, 2);
    peer_later(30);
    peer_send(CONN, "x");
    say_wait("outer", outer, -1);
}

static void nested_loop(int arg)
{
    int first = new_set(), second = new_set();
    struct epoll_event event = {.events = EPOLLIN};
    add(first, second, EPOLLIN, 1);
    say_rc("loop", epoll_ctl(second, EPOLL_CTL_ADD, first, &event));
}

static void polled_set(int arg)
{
    int fd = pair(OUT4), set = new_set();
    add(set, fd, EPOLLIN, 1);
    say_poll("none", await_for(set, POLLIN | POLLOUT, 0));
    peer_later(30);
    peer_send(CONN, "x");
    say_poll("data", await(set, POLLIN | POLLOUT));
    say_wait("wait", set, 0);
}

static void fair(int arg)
{
    /* Twelve ready, three at a time: each is heard once before any is heard again. */
    enum { NUM = 12 };
    int set = new_set(), heard[NUM] = {0};
    for (int i = 0; i < NUM; i++)
        add(set, pair_with(i % 2 == 0 ? OUT4 : IN4, 10 + i), EPOLLOUT, (uint64_t)i);
    struct epoll_event events[3];
    for (int round = 0; round < NUM / 3; round++) {
        int num = epoll_wait(set, events, 3, PATIENCE_MS);
        if (num != 3)
            say_rc("wait", num);
        for (int i = 0; i < num; i++)
            heard[events[i].data.u64]++;
    }
    for (int i = 0; i < NUM; i++)
        if (heard[i] != 1)
            say("%d:%d", i, heard[i]);
    say("done");
}

static void fair_among_kinds(int arg)
{
    /* One at a time: a ready pipe does not hide a ready socket, nor the other way about. */
    int pipes[2], set = new_set(), heard[3] = {0};
    must("pipe", pipe(pipes));
    add(set, pair_with(OUT4, CONN), EPOLLOUT, 0);
    add(set, pipes[1], EPOLLOUT, 1);
    add(set, pair_with(OUT4, CONN2), EPOLLOUT, 2);
    struct epoll_event event;
    for (int round = 0; round < 30; round++)
        if (epoll_wait(set, &event, 1, PATIENCE_MS) == 1)
            heard[event.data.u64]++;
    say("heard=%d,%d,%d", heard[0] > 0, heard[1] > 0, heard[2] > 0);
}

static void exclusive(int arg)
{
    int fd = pair(OUT4), set = new_set();
    struct epoll_event event = {.events = EPOLLIN | EPOLLEXCLUSIVE, .data.u64 = 1};
    say_rc("add", epoll_ctl(set, EPOLL_CTL_ADD, fd, &event));
    peer_send(CONN, "x");
    await_bytes(fd, 1);
    say_wait("wait", set, PATIENCE_MS);
    say_rc("mod", epoll_ctl(set, EPOLL_CTL_MOD, fd, &event));
    event.events = EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT;
    say_rc("oneshot", epoll_ctl(set, EPOLL_CTL_ADD, tcp_socket(AF_INET), &event));
    event.events = EPOLLIN | EPOLLEXCLUSIVE;
    say_rc("nested", epoll_ctl(set, EPOLL_CTL_ADD, new_set(), &event));
}

static void accept_exclusively(int door, int end_of_waiting)
{
    int set = new_set();
    struct epoll_event event;
    add(set, door, EPOLLIN | EPOLLEXCLUSIVE, 1);
    add(set, end_of_waiting, EPOLLIN, 2);
    if (epoll_wait(set, &event, 1, PATIENCE_MS) != 1 || event.data.u64 != 1)
        _exit(2);
    char byte;
    int fd = accept(door, NULL, NULL);
    _exit(fd >= 0 && read(fd, &byte, 1) == 0 ? 0 : 3);
}

static void exclusive_listeners(int arg)
{
    /* Two processes wait exclusively for one listener: a connection is accepted by one of them. The other
     * waits until that one has it. */
    uint16_t port;
    int door = listener(AF_INET, &port), pipes[2], status, accepted = 0;
    must("pipe", pipe(pipes));
    set_nonblocking(door);
    for (int i = 0; i < 2; i++)
        if (fork() == 0) {
            close(pipes[1]);
            accept_exclusively(door, pipes[0]);
        }
    pause_ms(60);
    peer_connect(CONN, AF_INET, port);
    peer_close(CONN);
    for (int i = 0; i < 2; i++) {
        must("waitpid", waitpid(-1, &status, 0));
        accepted += WIFEXITED(status) && WEXITSTATUS(status) == 0;
        if (accepted == 1)
            close(pipes[1]);
    }
    say("accepted=%d", accepted);
}

static void closed_set(int arg)
{
    int fd = pair(OUT4), set = new_set();
    add(set, fd, EPOLLOUT, 1);
    say_rc("close", close(set));
    struct epoll_event event;
    say_rc("wait", epoll_wait(set, &event, 1, 0));
    say_rc("write", write(fd, "fine", 4));
    peer_says(CONN, 4);
}

static void duplicated_set(int arg)
{
    int fd = pair(OUT4), set = new_set(), other = dup(set);
    add(set, fd, EPOLLOUT, 1);
    say_wait("duplicate", other, 0);
    close(set);
    say_wait("duplicate", other, 0);
    struct epoll_event event = {.events = EPOLLIN};
    say_rc("mod", epoll_ctl(other, EPOLL_CTL_MOD, fd, &event));
    say_wait("duplicate", other, 0);
}

static void set_over_fork(int arg)
{
    int fd = pair(OUT4), set = new_set();
    add(set, fd, EPOLLIN, 1);
    peer_send(CONN, "x");
    await_bytes(fd, 1);
    pid_t child = fork();
    if (child == 0) {
        say_wait("child", set, PATIENCE_MS);
        char byte;
        say_rc("child-read", read(fd, &byte, 1));
        _exit(0);
    }
    end_child("child", child);
    say_wait("parent", set, 0);
}

static void closed_in_parent_only(int arg)
{
    /* An entry lives as long as what is open of its file, here in the child. */
    int fd = pair(OUT4), set = new_set(), pipes[2];
    must("pipe", pipe(pipes));
    add(set, fd, EPOLLIN, 1);
    pid_t child = fork();
    if (child == 0) {
        char byte;
        close(pipes[1]);
        read(pipes[0], &byte, 1);
        _exit(0);
    }
    close(fd);
    peer_send(CONN, "x");
    say_wait("kept", set, PATIENCE_MS);
    close(pipes[1]);
    end_child("child", child);
    say_wait("gone", set, 0);
}

static void datagrams(int flags)
{
    uint16_t port;
    char text[8];
    int fd = udp_bound(AF_INET, &port), set = new_set();
    add(set, fd, EPOLLIN | (uint32_t)flags, 1);
    peer_datagram(DGRAM, AF_INET);
    say_wait("none", set, 0);
    peer_send_to(DGRAM, AF_INET, port, "a", 1);
    await(fd, POLLIN);
    say_wait("one", set, PATIENCE_MS);
    say_wait("again", set, 0);
    say_rc("recv", recv(fd, text, sizeof(text), 0));
    say_wait("none", set, 0);
    peer_send_to(DGRAM, AF_INET, port, "b", 1);
    say_wait("next", set, PATIENCE_MS);
}

static const struct conf_case cases[] = {
    {"epoll.mixed.pipe", with_pipe, 0},
    {"epoll.mixed.eventfd", with_eventfd, 0},
    {"epoll.mixed.eventfd.edge", with_eventfd, (int)EPOLLET},
    {"epoll.mixed.timerfd", with_timer, 0},
    {"epoll.mixed.signalfd", with_signals, 0},
    {"epoll.mixed.unix", with_unix_socket, 0},
    {"epoll.mixed.file", with_file, 0},
    {"epoll.mixed.wakes-on-pipe", wakes_on_kernel_end, 0},
    {"epoll.mixed.wakes-on-socket", wakes_on_socket, 0},
    {"epoll.nested", nested, 0},
    {"epoll.nested.edge", nested, (int)EPOLLET},
    {"epoll.nested.wakes", nested_wakes, 0},
    {"epoll.nested.loop", nested_loop, 0},
    {"epoll.polled", polled_set, 0},
    {"epoll.fair", fair, 0},
    {"epoll.fair.kinds", fair_among_kinds, 0},
    {"epoll.exclusive", exclusive, 0},
    {"epoll.exclusive.listeners", exclusive_listeners, 0},
    {"epoll.closed-set", closed_set, 0},
    {"epoll.duplicated-set", duplicated_set, 0},
    {"epoll.over-fork", set_over_fork, 0},
    {"epoll.closed-in-parent", closed_in_parent_only, 0},
    {"epoll.dgram", datagrams, 0},
    {"epoll.dgram.edge", datagrams, (int)EPOLLET},
};

CONF_GROUP(epoll_mix_cases, cases);
