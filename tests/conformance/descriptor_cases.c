/* SPDX-License-Identifier: Apache-2.0 */
/* fcntl(), ioctl(), dup(), dup2() and dup3() on sockets. */
#include <fcntl.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>

#include "tests/conformance/case.h"
#include "tests/conformance/peer.h"

static char text[64];

static int is_nonblocking(int fd)
{
    return (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0;
}

static void status_flags(int kind)
{
    int fd = kind < 0 ? tcp_socket(AF_INET) : pair(kind);
    say("fresh=%d", fcntl(fd, F_GETFL) == O_RDWR);
    say_rc("set", fcntl(fd, F_SETFL, O_NONBLOCK));
    say("set=%d", fcntl(fd, F_GETFL) == (O_RDWR | O_NONBLOCK));
    say_rc("append", fcntl(fd, F_SETFL, O_APPEND));
    say("append=%d", fcntl(fd, F_GETFL) == (O_RDWR | O_APPEND));
    say_rc("clear", fcntl(fd, F_SETFL, 0));
    say("clear=%d", fcntl(fd, F_GETFL) == O_RDWR);
    say_rc("access", fcntl(fd, F_SETFL, O_RDONLY | O_NONBLOCK));
    say("access=%d", fcntl(fd, F_GETFL) == (O_RDWR | O_NONBLOCK));
}

static void descriptor_flags(int arg)
{
    int fd = pair(OUT4);
    say_rc("fresh", fcntl(fd, F_GETFD));
    say_rc("set", fcntl(fd, F_SETFD, FD_CLOEXEC));
    say_rc("get", fcntl(fd, F_GETFD));
    int other = dup(fd);
    say_rc("duplicate", fcntl(other, F_GETFD));
    say_rc("clear", fcntl(fd, F_SETFD, 0));
    say_rc("get", fcntl(fd, F_GETFD));
}

static void fcntl_errors(int arg)
{
    int fd = pair(OUT4);
    struct flock lock = {.l_type = F_RDLCK};
    say_rc("closed", fcntl(150, F_GETFL));
    say_rc("negative", fcntl(-1, F_GETFD));
    say_rc("command", fcntl(fd, 7777, 0));
    say_rc("dup.negative", fcntl(fd, F_DUPFD, -1));
    say_rc("dup.huge", fcntl(fd, F_DUPFD, 1 << 30));
    say_rc("lock", fcntl(fd, F_GETLK, &lock));
    say_rc("owner", fcntl(fd, F_GETOWN));
}

static void nonblocking_by_ioctl(int arg)
{
    int fd = pair(OUT4), on = 1, off = 0;
    say_rc("on", ioctl(fd, FIONBIO, &on));
    say("nonblock=%d", is_nonblocking(fd));
    say_rc("read", read(fd, text, 1));
    say_rc("off", ioctl(fd, FIONBIO, &off));
    say("nonblock=%d", is_nonblocking(fd));
    peer_later(30);
    peer_send(CONN, "x");
    say_rc("read", read(fd, text, 1));
}

static void bytes_to_read(int kind)
{
    int fd = pair(kind), num = -1;
    say_rc("ioctl", ioctl(fd, FIONREAD, &num));
    say("fresh=%d", num);
    peer_send(CONN, "hello");
    await_bytes(fd, 5);
    say_rc("ioctl", ioctl(fd, FIONREAD, &num));
    say("some=%d", num);
    peer_send(CONN, "world");
    await_bytes(fd, 10);
    say_rc("read", read(fd, text, 3));
    ioctl(fd, FIONREAD, &num);
    say("rest=%d", num);
    peer_close(CONN);
    await_end(fd);
    ioctl(fd, FIONREAD, &num);
    say("end=%d", num);
    say_rc("read", read(fd, text, 10));
    ioctl(fd, FIONREAD, &num);
    say("none=%d", num);
}

static void bytes_to_read_states(int arg)
{
    uint16_t port;
    int num = -1;
    say_rc("fresh", ioctl(tcp_socket(AF_INET), FIONREAD, &num));
    say("num=%d", num);
    say_rc("listening", ioctl(listener(AF_INET, &port), FIONREAD, &num));
    say_rc("closed", ioctl(150, FIONREAD, &num));
}

static void bytes_to_leave(int arg)
{
    int fd = nonblocking_pair(OUT4), num = -1;
    say_rc("ioctl", ioctl(fd, TIOCOUTQ, &num));
    say("fresh=%d", num);
    peer_buffer(CONN, 4096);
    fill(fd);
    say_rc("ioctl", ioctl(fd, SIOCOUTQ, &num));
    say("full=%d", num > 0);
}

static void ioctl_errors(int arg)
{
    int fd = pair(OUT4), num = 0;
    struct winsize size;
    say_rc("terminal", ioctl(fd, TIOCGWINSZ, &size));
    say_rc("unknown", ioctl(fd, 0x7777, &num));
    say_rc("closed", ioctl(150, FIONBIO, &num));
    say_rc("at-mark", ioctl(fd, SIOCATMARK, &num));
    say_rc("cloexec", ioctl(fd, FIOCLEX));
    say_rc("F_GETFD", fcntl(fd, F_GETFD));
    say_rc("no-cloexec", ioctl(fd, FIONCLEX));
    say_rc("F_GETFD", fcntl(fd, F_GETFD));
}

static void duplicate_shares(int arg)
{
    int fd = pair(OUT4), other = dup(fd);
    say_fd("dup", other);
    set_nonblocking(fd);
    say("nonblock=%d", is_nonblocking(other));
    say_rc("write", write(other, "by-dup", 6));
    peer_says(CONN, 6);
    peer_send(CONN, "abcd");
    await_bytes(fd, 4);
    say_bytes("read", read(fd, text, 2), text);
    say_bytes("read", read(other, text, 2), text);
    int one = 1, value = 0;
    socklen_t len = sizeof(value);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
    getsockopt(other, SOL_SOCKET, SO_KEEPALIVE, &value, &len);
    say("option=%d", value);
}

static void duplicate_keeps_open(int kind)
{
    int fd = pair(kind), other = dup(fd);
    say_rc("close", close(fd));
    say_rc("write", write(other, "still", 5));
    peer_says(CONN, 5);
    say_rc("closed", write(fd, "x", 1));
    peer_send(CONN, "answer");
    say_bytes("read", read(other, text, sizeof(text)), text);
    say_rc("close", close(other));
    peer_says(CONN, 1);
}

static void duplicate_to(int arg)
{
    int fd = pair(OUT4);
    say("dup2=%d", dup2(fd, 77));
    say("same=%d", dup2(fd, fd) == fd);
    say_rc("write", write(77, "on-77", 5));
    peer_says(CONN, 5);
    say_rc("closed", dup2(150, 78));
    say_rc("negative", dup2(fd, -1));
    say_rc("huge", dup2(fd, 1 << 30));
    say_rc("same-closed", dup2(150, 150));
}

static void duplicate_over_socket(int arg)
{
    /* What the number was before is closed: its peer sees the end. */
    int first = pair_with(OUT4, CONN), second = pair_with(OUT4, CONN2);
    say("dup2=%d", dup2(first, second) == second);
    peer_says(CONN2, 1);
    say_rc("write", write(second, "to-first", 8));
    peer_says(CONN, 8);
}

static void duplicate_over_file(int arg)
{
    int pipes[2], fd = pair(OUT4);
    must("pipe", pipe(pipes));
    say("onto-pipe=%d", dup2(fd, pipes[1]) == pipes[1]);
    say_rc("pipe-end", read(pipes[0], text, 1));
    say_rc("write", write(pipes[1], "socket", 6));
    peer_says(CONN, 6);
    int kept = dup(fd);
    must("pipe", pipe(pipes));
    say("onto-socket=%d", dup2(pipes[1], fd) == fd);
    say_rc("write", write(fd, "pipe", 4));
    say_bytes("read", read(pipes[0], text, sizeof(text)), text);
    close(kept);
}

static void standard_streams(int arg)
{
    /* What a super-server does: the connection as 0, 1 and 2. */
    int fd = pair(IN4);
    say("dup2=%d,%d", dup2(fd, 0), dup2(fd, 1));
    close(fd);
    peer_send(CONN, "hello");
    say_bytes("read", read(0, text, sizeof(text)), text);
    say_rc("write", write(1, "world", 5));
    peer_says(CONN, 5);
    close(0);
    close(1);
    peer_says(CONN, 1);
}

static void duplicate_with_flags(int arg)
{
    int fd = pair(OUT4);
    say("dup3=%d", dup3(fd, 77, O_CLOEXEC));
    say_rc("F_GETFD", fcntl(77, F_GETFD));
    say_rc("same", dup3(fd, fd, 0));
    say_rc("flags", dup3(fd, 78, O_APPEND));
    say("dup3=%d", dup3(fd, 77, 0));
    say_rc("F_GETFD", fcntl(77, F_GETFD));
}

static void duplicate_by_fcntl(int arg)
{
    int fd = pair(OUT4), other = fcntl(fd, F_DUPFD, 60);
    say("at-least=%d", other >= 60 && other < 70);
    say_rc("F_GETFD", fcntl(other, F_GETFD));
    int third = fcntl(fd, F_DUPFD_CLOEXEC, 60);
    say("next=%d", third == other + 1);
    say_rc("F_GETFD", fcntl(third, F_GETFD));
    close(fd);
    close(other);
    say_rc("write", write(third, "third", 5));
    peer_says(CONN, 5);
}

static void duplicate_listener(int arg)
{
    uint16_t port;
    int door = listener(AF_INET, &port), other = dup(door);
    close(door);
    peer_connects(CONN, AF_INET, port);
    say_fd("accept", accept(other, NULL, NULL));
    close(other);
    peer_connects(CONN2, AF_INET, port);
}

static void duplicate_fresh(int arg)
{
    /* Made one before there is a connection, both are the connection. */
    struct address to = address_of_peer(AF_INET, peer_listen(LISTENER, AF_INET));
    int fd = tcp_socket(AF_INET), other = dup(fd);
    say_rc("connect", connect(fd, SA(to)));
    peer_accept(CONN, LISTENER);
    say_rc("write", write(other, "hello", 5));
    peer_says(CONN, 5);
    say_rc("again", connect(other, SA(to)));
}

static void asynchronous(int arg)
{
    int fd = pair(OUT4);
    say_rc("owner", fcntl(fd, F_SETOWN, getpid()));
    say("owner=%d", fcntl(fd, F_GETOWN) == getpid());
}

static const struct conf_case cases[] = {
    {"fcntl.getfl", status_flags, OUT4},
    {"fcntl.getfl.accepted", status_flags, IN4},
    {"fcntl.getfl.fresh", status_flags, -1},
    {"fcntl.getfd", descriptor_flags, 0},
    {"fcntl.errors", fcntl_errors, 0},
    {"fcntl.dupfd", duplicate_by_fcntl, 0},
    {"fcntl.owner", asynchronous, 0},
    {"ioctl.fionbio", nonblocking_by_ioctl, 0},
    {"ioctl.fionread", bytes_to_read, OUT4},
    {"ioctl.fionread.accepted", bytes_to_read, IN4},
    {"ioctl.fionread.states", bytes_to_read_states, 0},
    {"ioctl.tiocoutq", bytes_to_leave, 0},
    {"ioctl.errors", ioctl_errors, 0},
    {"dup.shares", duplicate_shares, 0},
    {"dup.keeps-open", duplicate_keeps_open, OUT4},
    {"dup.keeps-open.accepted", duplicate_keeps_open, IN4},
    {"dup.listener", duplicate_listener, 0},
    {"dup.fresh", duplicate_fresh, 0},
    {"dup2", duplicate_to, 0},
    {"dup2.over-socket", duplicate_over_socket, 0},
    {"dup2.over-file", duplicate_over_file, 0},
    {"dup2.standard-streams", standard_streams, 0},
    {"dup3", duplicate_with_flags, 0},
};

CONF_GROUP(descriptor_cases, cases);
