/* SPDX-License-Identifier: Apache-2.0 */
/* close(): what the peer sees of it, and what stays. */
#include <fcntl.h>
#include <signal.h>

#include "tests/conformance/case.h"
#include "tests/conformance/peer.h"

static void peer_sees_end(int kind)
{
    int fd = pair(kind);
    say_rc("close", close(fd));
    peer_says(CONN, 1);
}

static void unread_resets(int kind)
{
    int fd = pair(kind);
    peer_send(CONN, "unread");
    await_bytes(fd, 6);
    say_rc("close", close(fd));
    peer_says(CONN, 1);
}

static void answered_unread(int kind)
{
    /* An answer given before the question was read: it comes before the reset. */
    int fd = pair(kind);
    peer_send(CONN, "unread");
    await_bytes(fd, 6);
    say_rc("write", write(fd, "answer", 6));
    say_rc("close", close(fd));
    peer_says(CONN, 6);
    peer_says(CONN, 1);
}

static void partly_read_resets(int arg)
{
    char text[4];
    int fd = pair(OUT4);
    peer_send(CONN, "unread");
    await_bytes(fd, 6);
    say_bytes("read", read(fd, text, 4), text);
    say_rc("close", close(fd));
    peer_says(CONN, 1);
}

static void unread_with_bytes_sent(int arg)
{
    int fd = pair(OUT4);
    peer_send(CONN, "unread");
    await_bytes(fd, 6);
    say_rc("write", write(fd, "sent", 4));
    peer_awaits(CONN, POLLIN);
    say_rc("close", close(fd));
    peer_awaits(CONN, 0);
    peer_says(CONN, 100);
}

static void all_read_ends(int arg)
{
    char text[8];
    int fd = pair(OUT4);
    peer_send(CONN, "read");
    say_bytes("read", read(fd, text, sizeof(text)), text);
    say_rc("close", close(fd));
    peer_says(CONN, 1);
}

static void late_bytes_reset(int arg)
{
    int fd = pair(OUT4);
    say_rc("close", close(fd));
    peer_says(CONN, 1);
    peer_send(CONN, "late");
    peer_awaits(CONN, 0);
}

static void twice(int arg)
{
    int fd = pair(OUT4);
    say_rc("close", close(fd));
    say_rc("close", close(fd));
    char byte;
    say_rc("read", read(fd, &byte, 1));
    say_rc("write", write(fd, "x", 1));
    say_rc("fcntl", fcntl(fd, F_GETFL));
    say_rc("shutdown", shutdown(fd, SHUT_WR));
    say_rc("poll", await_for(fd, POLLIN, 0) == POLLNVAL);
}

static void negative(int arg)
{
    say_rc("negative", close(-1));
    say_rc("large", close(1 << 30));
    say_rc("unused", close(150));
}

static void number_is_free(int arg)
{
    int fd = pair(OUT4);
    close(fd);
    int pipes[2];
    must("pipe", pipe(pipes));
    say("pipe-takes-it=%d", pipes[0] == fd || pipes[1] == fd);
    char text[8];
    say_rc("write", write(pipes[1], "pipe", 4));
    say_bytes("read", read(pipes[0], text, sizeof(text)), text);
}

static void bytes_still_leave(int arg)
{
    int fd = nonblocking_pair(OUT4);
    peer_buffer(CONN, 4096);
    size_t len = fill(fd);
    say_rc("close", close(fd));
    peer_has(CONN, (int64_t)len);
    peer_says(CONN, 1);
}

static void end_then_close(int arg)
{
    char byte;
    int fd = pair(OUT4);
    peer_send(CONN, "");
    peer_close(CONN);
    await_end(fd);
    say_rc("read", read(fd, &byte, 1));
    say_rc("close", close(fd));
}

static void reset_then_close(int arg)
{
    int fd = pair(OUT4);
    peer_reset(CONN);
    await_reset(fd);
    say_rc("close", close(fd));
    say_rc("close", close(fd));
}

static void data_then_end(int kind)
{
    char text[16];
    int fd = pair(kind);
    peer_send(CONN, "data");
    peer_close(CONN);
    await_end(fd);
    say_poll("poll", await_for(fd, POLLIN | POLLOUT | POLLRDHUP, 0));
    say_bytes("read", read(fd, text, sizeof(text)), text);
    say_bytes("read", read(fd, text, sizeof(text)), text);
}

static void listener_with_waiting(int arg)
{
    uint16_t port;
    int door = listener(AF_INET, &port);
    peer_connect(CONN, AF_INET, port);
    peer_connect(CONN2, AF_INET, port);
    await(door, POLLIN);
    say_rc("close", close(door));
    peer_says(CONN, 1);
    peer_says(CONN2, 1);
}

static void descriptor_range(int arg)
{
    int first = pair_with(OUT4, CONN), second = pair_with(IN4, CONN2);
    int low = first < second ? first : second, high = first < second ? second : first;
    say_rc("close_range", close_range((unsigned)low, (unsigned)high, 0));
    peer_says(CONN, 1);
    peer_says(CONN2, 1);
    say_rc("close", close(first));
    say_rc("bad", close_range(9, 8, 0));
}

static void descriptor_range_cloexec(int arg)
{
    int fd = pair(OUT4);
    say_rc("close_range", close_range((unsigned)fd, (unsigned)fd, CLOSE_RANGE_CLOEXEC));
    say_rc("F_GETFD", fcntl(fd, F_GETFD));
    say_rc("write", write(fd, "open", 4));
    peer_says(CONN, 4);
}

static void all_from(int arg)
{
    int fd = pair(OUT4);
    /* The words' and the peer's descriptors are above; they go with the rest only if the range is wrong. */
    for (int i = fd; i < 199; i++)
        close(i);
    peer_says(CONN, 1);
}

static void accepted_at_once(int arg)
{
    uint16_t port;
    int door = listener(AF_INET, &port);
    peer_connect(CONN, AF_INET, port);
    int fd = say_fd("accept", accept(door, NULL, NULL));
    say_rc("close", close(fd));
    peer_says(CONN, 1);
}

static void accepted_and_closed(int flags)
{
    /* A server that answers at once and closes, before or after it was asked. */
    uint16_t port;
    char text[8];
    int door = listener(AF_INET, &port);
    peer_connect(CONN, AF_INET, port);
    int fd = say_fd("accept", accept(door, NULL, NULL));
    if (flags != 0) {
        peer_later(1);
        peer_send(CONN, "ask");
        say_bytes("read", read(fd, text, sizeof(text)), text);
    }
    say_rc("write", write(fd, "answer", 6));
    say_rc("close", close(fd));
    peer_says(CONN, 100);
}

static void connecting(int arg)
{
    struct address to = black_hole(AF_INET);
    int fd = tcp_socket(AF_INET);
    set_nonblocking(fd);
    say_rc("connect", connect(fd, SA(to)));
    say_rc("close", close(fd));
    say_rc("again", close(fd));
}

static void exit_ends(int kind)
{
    /* The parent's is not closed by the child's end. */
    int fd = pair(kind);
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    end_child("child", child);
    say_rc("write", write(fd, "mine", 4));
    peer_says(CONN, 4);
}

static void killed_child_ends(int arg)
{
    /* A process that is killed closes as one that exits. */
    struct address to = address_of_peer(AF_INET, peer_listen(LISTENER, AF_INET));
    pid_t child = fork();
    if (child == 0) {
        int fd = tcp_socket(AF_INET);
        must("connect", connect(fd, SA(to)));
        must("write", write(fd, "bye", 3));
        char byte;
        read(fd, &byte, 1);
        _exit(0);
    }
    peer_accept(CONN, LISTENER);
    peer_says(CONN, 3);
    kill(child, SIGKILL);
    end_child("child", child);
    peer_says(CONN, 1);
}

static const struct conf_case cases[] = {
    {"close.peer-sees", peer_sees_end, OUT4},
    {"close.peer-sees.accepted", peer_sees_end, IN4},
    {"close.accepted.at-once", accepted_at_once, 0},
    {"close.unread", unread_resets, OUT4},
    {"close.unread.answered", answered_unread, OUT4},
    {"close.unread.answered.accepted", answered_unread, IN4},
    {"close.unread.accepted", unread_resets, IN4},
    {"close.unread.partly", partly_read_resets, 0},
    {"close.unread.sent", unread_with_bytes_sent, 0},
    {"close.all-read", all_read_ends, 0},
    {"close.late-bytes", late_bytes_reset, 0},
    {"close.twice", twice, 0},
    {"close.descriptor.bad", negative, 0},
    {"close.number-is-free", number_is_free, 0},
    {"close.bytes-still-leave", bytes_still_leave, 0},
    {"close.after-end", end_then_close, 0},
    {"close.after-reset", reset_then_close, 0},
    {"close.data-then-end", data_then_end, OUT4},
    {"close.data-then-end.accepted", data_then_end, IN4},
    {"close.listener-with-waiting", listener_with_waiting, 0},
    {"close.range", descriptor_range, 0},
    {"close.range.cloexec", descriptor_range_cloexec, 0},
    {"close.loop", all_from, 0},
    {"close.accepted.answer", accepted_and_closed, 0},
    {"close.accepted.asked", accepted_and_closed, 1},
    {"close.connecting", connecting, 0},
    {"close.child-exits", exit_ends, OUT4},
    {"close.child-killed", killed_child_ends, 0},
};

CONF_GROUP(close_cases, cases);
