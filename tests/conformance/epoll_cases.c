/* SPDX-License-Identifier: Apache-2.0 */
/* epoll on sockets: levels and edges, one shot, every state, what epoll_ctl refuses. */
#include <fcntl.h>
#include <time.h>

#include "tests/conformance/case.h"
#include "tests/conformance/peer.h"

enum { NUM_EVENTS = 16 };

static int add(int set, int fd, uint32_t events, uint64_t data)
{
    struct epoll_event event = {.events = events, .data.u64 = data};
    return epoll_ctl(set, EPOLL_CTL_ADD, fd, &event);
}

static int change(int set, int fd, uint32_t events, uint64_t data)
{
    struct epoll_event event = {.events = events, .data.u64 = data};
    return epoll_ctl(set, EPOLL_CTL_MOD, fd, &event);
}

static int new_set(int fd, uint32_t events)
{
    int set = (int)must("epoll_create1", epoll_create1(EPOLL_CLOEXEC));
    must("epoll_ctl", add(set, fd, events, 7));
    return set;
}

/* Waits once more while there is an error and no end yet: the kernel says one a moment before the other. */
static int settled_wait(int set, struct epoll_event *ret_events, int ms)
{
    int64_t end_ms = now_ms() + PATIENCE_MS;
    int num = epoll_wait(set, ret_events, NUM_EVENTS, ms);
    for (;;) {
        struct epoll_event again[NUM_EVENTS];
        bool is_ending = false;
        for (int i = 0; i < num; i++)
            is_ending |= (ret_events[i].events & (EPOLLERR | EPOLLHUP)) == EPOLLERR;
        if (!is_ending || now_ms() >= end_ms)
            return num;
        pause_ms(1);
        int num_again = epoll_wait(set, again, NUM_EVENTS, 0);
        if (num_again <= 0) /* one that says it once has said it */
            return num;
        memcpy(ret_events, again, sizeof(again));
        num = num_again;
    }
}

/* Says how many events there are within `ms` and what each is. */
static int say_wait(const char *what, int set, int ms)
{
    struct epoll_event events[NUM_EVENTS];
    int num = settled_wait(set, events, ms);
    say_rc(what, num);
    for (int i = 0; i < num; i++) {
        char name[32];
        snprintf(name, sizeof(name), "%llu", (unsigned long long)events[i].data.u64);
        say_epoll(name, events[i].events);
    }
    return num;
}

static void level(int kind)
{
    char text[8];
    int fd = pair(kind), set = new_set(fd, EPOLLIN);
    say_wait("none", set, 0);
    peer_send(CONN, "ab");
    await_bytes(fd, 2);
    say_wait("data", set, PATIENCE_MS);
    say_wait("again", set, 0);
    say_rc("read", read(fd, text, 1));
    say_wait("rest", set, 0);
    say_rc("read", read(fd, text, 1));
    say_wait("none", set, 0);
}

static void edge(int kind)
{
    char text[8];
    int fd = pair(kind), set = new_set(fd, EPOLLIN | EPOLLET);
    peer_send(CONN, "ab");
    await_bytes(fd, 2);
    say_wait("data", set, PATIENCE_MS);
    say_wait("again", set, SKIP_NOTHING_MS);
    say_rc("read", read(fd, text, 1));
    say_wait("partial-read", set, SKIP_NOTHING_MS);
    peer_send(CONN, "c");
    await_bytes(fd, 2);
    say_wait("new-data", set, PATIENCE_MS);
    say_wait("again", set, SKIP_NOTHING_MS);
}

static void edge_read_to_the_end(int arg)
{
    char text[8];
    int fd = nonblocking_pair(OUT4), set = new_set(fd, EPOLLIN | EPOLLET);
    for (int i = 0; i < 3; i++) {
        peer_send(CONN, "ab");
        say_wait("data", set, PATIENCE_MS);
        say_bytes("read", read(fd, text, sizeof(text)), text);
        say_rc("read", read(fd, text, sizeof(text)));
    }
}

static void edge_added_when_ready(int arg)
{
    int fd = pair(OUT4);
    peer_send(CONN, "x");
    await_bytes(fd, 1);
    int set = new_set(fd, EPOLLIN | EPOLLET);
    say_wait("first", set, 0);
    say_wait("again", set, 0);
    say_rc("mod", change(set, fd, EPOLLIN | EPOLLET, 8));
    say_wait("re-armed", set, 0);
    say_wait("again", set, 0);
}

static void edge_writable(int arg)
{
    int fd = nonblocking_pair(OUT4), set = new_set(fd, EPOLLOUT | EPOLLET);
    peer_buffer(CONN, 4096);
    say_wait("fresh", set, 0);
    say_wait("again", set, 0);
    size_t len = fill(fd);
    say_wait("full", set, SKIP_NOTHING_MS);
    peer_has(CONN, (int64_t)len);
    say_wait("drained", set, PATIENCE_MS);
}

static void edge_end_after_data(int arg)
{
    char text[8];
    int fd = pair(OUT4), set = new_set(fd, EPOLLIN | EPOLLRDHUP | EPOLLET);
    peer_send(CONN, "ab");
    await_bytes(fd, 2);
    say_wait("data", set, PATIENCE_MS);
    peer_shutdown(CONN, SHUT_WR);
    await_end(fd);
    say_wait("end", set, PATIENCE_MS);
    say_bytes("read", read(fd, text, sizeof(text)), text);
    say_rc("read", read(fd, text, sizeof(text)));
    say_wait("again", set, SKIP_NOTHING_MS);
}

static void edge_reset(int arg)
{
    int fd = pair(OUT4), set = new_set(fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
    say_wait("fresh", set, 0);
    peer_reset(CONN);
    await_reset(fd);
    say_wait("reset", set, PATIENCE_MS);
    say_wait("again", set, SKIP_NOTHING_MS);
}

static void edge_listening(int arg)
{
    uint16_t port;
    int door = listener(AF_INET, &port), set = new_set(door, EPOLLIN | EPOLLET);
    set_nonblocking(door);
    say_wait("nobody", set, 0);
    for (int i = 0; i < 2; i++) {
        peer_connect(CONN + i, AF_INET, port);
        say_wait("one", set, PATIENCE_MS);
        say_wait("again", set, SKIP_NOTHING_MS);
    }
    say_fd("accept", accept(door, NULL, NULL));
    say_wait("one-left", set, SKIP_NOTHING_MS);
    say_fd("accept", accept(door, NULL, NULL));
    say_fd("accept", accept(door, NULL, NULL));
}

static void one_shot(int flags)
{
    int fd = pair(OUT4), set = new_set(fd, EPOLLIN | EPOLLONESHOT | (uint32_t)flags);
    peer_send(CONN, "a");
    await_bytes(fd, 1);
    say_wait("data", set, PATIENCE_MS);
    say_wait("again", set, 0);
    peer_send(CONN, "b");
    await_bytes(fd, 2);
    say_wait("new-data", set, SKIP_NOTHING_MS);
    say_rc("mod", change(set, fd, EPOLLIN | EPOLLONESHOT | (uint32_t)flags, 9));
    say_wait("re-armed", set, 0);
    say_wait("again", set, 0);
}

static void one_shot_hears_no_hangup(int arg)
{
    int fd = pair(OUT4), set = new_set(fd, EPOLLOUT | EPOLLONESHOT);
    say_wait("out", set, 0);
    peer_reset(CONN);
    await_reset(fd);
    say_wait("reset", set, SKIP_NOTHING_MS);
    say_rc("mod", change(set, fd, 0, 9));
    say_wait("re-armed", set, 0);
}

static void modify(int arg)
{
    int fd = pair(OUT4), set = new_set(fd, EPOLLOUT);
    say_wait("out", set, 0);
    say_rc("mod", change(set, fd, EPOLLIN, 8));
    say_wait("in", set, 0);
    peer_send(CONN, "x");
    await_bytes(fd, 1);
    say_wait("data", set, PATIENCE_MS);
    say_rc("mod", change(set, fd, EPOLLIN | EPOLLOUT, 9));
    say_wait("both", set, 0);
    say_rc("mod", change(set, fd, 0, 10));
    say_wait("nothing", set, 0);
}

static void remove_one(int arg)
{
    int fd = pair(OUT4), set = new_set(fd, EPOLLOUT);
    say_rc("del", epoll_ctl(set, EPOLL_CTL_DEL, fd, NULL));
    say_wait("none", set, 0);
    say_rc("del", epoll_ctl(set, EPOLL_CTL_DEL, fd, NULL));
    say_rc("mod", change(set, fd, EPOLLIN, 1));
    say_rc("add", add(set, fd, EPOLLOUT, 8));
    say_wait("again", set, 0);
}

static void control_errors(int arg)
{
    int fd = pair(OUT4), set = new_set(fd, EPOLLIN);
    struct epoll_event event = {.events = EPOLLIN};
    say_rc("twice", add(set, fd, EPOLLOUT, 1));
    say_rc("closed", add(set, 150, EPOLLIN, 1));
    say_rc("negative", add(set, -1, EPOLLIN, 1));
    say_rc("itself", add(set, set, EPOLLIN, 1));
    say_rc("mod.absent", change(set, tcp_socket(AF_INET), EPOLLIN, 1));
    say_rc("del.closed", epoll_ctl(set, EPOLL_CTL_DEL, 150, &event));
    say_rc("operation", epoll_ctl(set, 77, fd, &event));
    say_rc("null", epoll_ctl(set, EPOLL_CTL_MOD, fd, NULL));
    say_rc("no-set", epoll_ctl(150, EPOLL_CTL_ADD, fd, &event));
    say_rc("socket-as-set", epoll_ctl(fd, EPOLL_CTL_ADD, set, &event));
    say_rc("negative-set", epoll_ctl(-1, EPOLL_CTL_ADD, fd, &event));
}

static void wait_errors(int arg)
{
    int fd = pair(OUT4), set = new_set(fd, EPOLLOUT);
    struct epoll_event events[2];
    say_rc("zero", epoll_wait(set, events, 0, 0));
    say_rc("negative", epoll_wait(set, events, -1, 0));
    say_rc("closed", epoll_wait(150, events, 1, 0));
    say_rc("socket", epoll_wait(fd, events, 1, 0));
    say_rc("fine", epoll_wait(set, events, 1, 0));
}

static void create_errors(int arg)
{
    say_rc("create1", epoll_create1(77));
    say_rc("create.zero", epoll_create(0));
    say_rc("create.negative", epoll_create(-1));
    say_fd("create", epoll_create(5));
    int set = epoll_create1(EPOLL_CLOEXEC);
    say("cloexec=%d", fcntl(set, F_GETFD));
    set = epoll_create1(0);
    say("cloexec=%d", fcntl(set, F_GETFD));
    char byte;
    say_rc("read", read(set, &byte, 1));
    say_rc("write", write(set, &byte, 1));
}

static void fresh(int arg)
{
    say_wait("stream", new_set(tcp_socket(AF_INET), EPOLLIN | EPOLLOUT | EPOLLRDHUP), 0);
    say_wait("datagram", new_set(udp_socket(AF_INET), EPOLLIN | EPOLLOUT | EPOLLRDHUP), 0);
}

static void connecting(int is_refused)
{
    uint16_t port = peer_listen(LISTENER, AF_INET);
    if (is_refused)
        peer_close(LISTENER);
    struct address to = address_of_peer(AF_INET, port);
    int fd = tcp_socket(AF_INET);
    set_nonblocking(fd);
    say_rc("connect", connect(fd, SA(to)));
    int set = new_set(fd, EPOLLOUT | EPOLLIN);
    say_wait("wait", set, PATIENCE_MS);
    int error = -1;
    socklen_t len = sizeof(error);
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
    say("so_error=%s", error_name(error));
    say_wait("after", set, 0);
}

static void added_before_connect(int flags)
{
    struct address to = address_of_peer(AF_INET, peer_listen(LISTENER, AF_INET));
    int fd = tcp_socket(AF_INET), set;
    set_nonblocking(fd);
    set = new_set(fd, EPOLLOUT | EPOLLIN | (uint32_t)flags);
    say_wait("before", set, 0);
    say_rc("connect", connect(fd, SA(to)));
    await(fd, POLLOUT);
    there_and_back(); /* who connected it may still be about to tell the set */
    say_wait("after", set, PATIENCE_MS);
    say_wait("again", set, 0);
}

static void never_connects(int arg)
{
    struct address to = black_hole(AF_INET);
    int fd = tcp_socket(AF_INET);
    set_nonblocking(fd);
    say_rc("connect", connect(fd, SA(to)));
    say_wait("wait", new_set(fd, EPOLLOUT | EPOLLIN | EPOLLRDHUP), SKIP_NOTHING_MS);
}

static void listening(int arg)
{
    uint16_t port;
    int door = listener(AF_INET, &port), set = new_set(door, EPOLLIN | EPOLLOUT);
    say_wait("nobody", set, 0);
    peer_connect(CONN, AF_INET, port);
    say_wait("one", set, PATIENCE_MS);
    say_wait("again", set, 0);
    say_fd("accept", accept(door, NULL, NULL));
    say_wait("nobody", set, 0);
}

static void hangups(int events)
{
    int fd = pair(OUT4), set = new_set(fd, (uint32_t)events);
    peer_shutdown(CONN, SHUT_WR);
    await_end(fd);
    say_wait("half", set, 0);
    must("shutdown", shutdown(fd, SHUT_WR));
    await(fd, POLLHUP);
    say_wait("both", set, 0);
}

static void reset(int events)
{
    char byte;
    int fd = pair(OUT4), set = new_set(fd, (uint32_t)events);
    peer_reset(CONN);
    await_reset(fd);
    say_wait("reset", set, 0);
    say_rc("read", read(fd, &byte, 1));
    say_wait("after", set, 0);
}

static void full(int arg)
{
    int fd = nonblocking_pair(OUT4), set = new_set(fd, EPOLLOUT);
    peer_buffer(CONN, 4096);
    size_t len = fill(fd);
    say_wait("full", set, 0);
    peer_has(CONN, (int64_t)len);
    say_wait("drained", set, PATIENCE_MS);
}

static void wakes(int flags)
{
    int fd = pair(OUT4), set = new_set(fd, EPOLLIN | (uint32_t)flags);
    peer_later(30);
    peer_send(CONN, "x");
    say_wait("wait", set, -1);
}

static void timeouts(int arg)
{
    int set = new_set(pair(OUT4), EPOLLIN);
    int64_t start_ms = now_ms();
    say_wait("wait", set, SKIP_NOTHING_MS);
    say("waited=%d", now_ms() - start_ms >= SKIP_NOTHING_MS - 1);
    say_wait("empty", epoll_create1(0), 1);
}

static void data_is_kept(int arg)
{
    int fd = pair(OUT4), set = epoll_create1(0);
    say_rc("add", add(set, fd, EPOLLOUT, 0xfedcba9876543210u));
    say_wait("wait", set, 0);
    say_rc("mod", change(set, fd, EPOLLOUT, 0));
    say_wait("wait", set, 0);
}

static void two_sets(int arg)
{
    int fd = pair(OUT4), first = new_set(fd, EPOLLIN | EPOLLET), second = new_set(fd, EPOLLIN);
    peer_send(CONN, "x");
    await_bytes(fd, 1);
    say_wait("first", first, PATIENCE_MS);
    say_wait("second", second, PATIENCE_MS);
    say_wait("first", first, 0);
    say_wait("second", second, 0);
}

static void with_timespec(int arg)
{
    int fd = pair(OUT4), set = new_set(fd, EPOLLIN);
    struct epoll_event event;
    struct timespec time = {.tv_nsec = 20000000};
    int64_t start_ms = now_ms();
    say_rc("pwait2", epoll_pwait2(set, &event, 1, &time, NULL));
    say("waited=%d", now_ms() - start_ms >= 19);
    peer_send(CONN, "x");
    say_rc("pwait2", epoll_pwait2(set, &event, 1, NULL, NULL));
    say_epoll("events", event.events);
    say_rc("pwait", epoll_pwait(set, &event, 1, -1, NULL));
    time.tv_nsec = -1;
    say_rc("bad-time", epoll_pwait2(set, &event, 1, &time, NULL));
}

static void closed_goes_away(int arg)
{
    int fd = pair(OUT4), set = new_set(fd, EPOLLOUT);
    say_wait("open", set, 0);
    close(fd);
    say_wait("closed", set, 0);
    say_rc("del", epoll_ctl(set, EPOLL_CTL_DEL, fd, NULL));
    int next = pair_with(OUT4, CONN2);
    say("same-number=%d", next == fd);
    say_rc("add", add(set, next, EPOLLOUT, 8));
    say_wait("next", set, 0);
}

static void duplicate_keeps(int arg)
{
    int fd = pair(OUT4), other = dup(fd), set = new_set(fd, EPOLLIN);
    say_rc("add-duplicate", add(set, other, EPOLLIN, 8));
    say_rc("del-duplicate", epoll_ctl(set, EPOLL_CTL_DEL, other, NULL));
    close(fd);
    peer_send(CONN, "x");
    await_bytes(other, 1);
    say_wait("kept", set, PATIENCE_MS);
    close(other);
    say_wait("gone", set, 0);
}

static const struct conf_case cases[] = {
    {"epoll.level", level, OUT4},
    {"epoll.level.accepted", level, IN4},
    {"epoll.edge", edge, OUT4},
    {"epoll.edge.accepted", edge, IN4},
    {"epoll.edge.read-to-the-end", edge_read_to_the_end, 0},
    {"epoll.edge.added-when-ready", edge_added_when_ready, 0},
    {"epoll.edge.writable", edge_writable, 0},
    {"epoll.edge.end-after-data", edge_end_after_data, 0},
    {"epoll.edge.reset", edge_reset, 0},
    {"epoll.edge.listening", edge_listening, 0},
    {"epoll.oneshot", one_shot, 0},
    {"epoll.oneshot.edge", one_shot, (int)EPOLLET},
    {"epoll.oneshot.hangup", one_shot_hears_no_hangup, 0},
    {"epoll.mod", modify, 0},
    {"epoll.del", remove_one, 0},
    {"epoll.ctl.errors", control_errors, 0},
    {"epoll.wait.errors", wait_errors, 0},
    {"epoll.create", create_errors, 0},
    {"epoll.fresh", fresh, 0},
    {"epoll.connecting", connecting, 0},
    {"epoll.connecting.refused", connecting, 1},
    {"epoll.connecting.added-before", added_before_connect, 0},
    {"epoll.connecting.added-before.edge", added_before_connect, (int)EPOLLET},
    {"epoll.connecting.never", never_connects, 0},
    {"epoll.listening", listening, 0},
    {"epoll.hangup", hangups, EPOLLIN | EPOLLOUT | EPOLLRDHUP},
    {"epoll.hangup.in", hangups, EPOLLIN},
    {"epoll.hangup.none", hangups, 0},
    {"epoll.reset", reset, EPOLLIN | EPOLLOUT | EPOLLRDHUP},
    {"epoll.reset.none", reset, 0},
    {"epoll.full", full, 0},
    {"epoll.wakes", wakes, 0},
    {"epoll.wakes.edge", wakes, (int)EPOLLET},
    {"epoll.timeout", timeouts, 0},
    {"epoll.data-kept", data_is_kept, 0},
    {"epoll.two-sets", two_sets, 0},
    {"epoll.pwait2", with_timespec, 0},
    {"epoll.closed-goes", closed_goes_away, 0},
    {"epoll.duplicate-keeps", duplicate_keeps, 0},
};

CONF_GROUP(epoll_cases, cases);
