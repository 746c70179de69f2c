/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets that parent and child share over fork(), and descriptors sent over Unix sockets. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "tests/conformance/case.h"
#include "tests/conformance/peer.h"

static char text[64];

static void child_reads(int fd)
{
    say_bytes("child", read(fd, text, sizeof(text)), text);
}

static void child_writes(int fd)
{
    say_rc("child", write(fd, "by-child", 8));
}

static void child_closes(int fd)
{
    say_rc("child-close", close(fd));
}

static void reads_what_parent_connected(int kind)
{
    int fd = pair(kind);
    pid_t child = start_child(child_reads, fd);
    peer_send(CONN, "hello");
    end_child("child", child);
    say_rc("write", write(fd, "parent", 6));
    peer_says(CONN, 6);
}

static void writes_to_what_parent_connected(int kind)
{
    int fd = pair(kind);
    end_child("child", start_child(child_writes, fd));
    peer_says(CONN, 8);
    peer_send(CONN, "hello");
    say_bytes("read", read(fd, text, sizeof(text)), text);
}

static void end_after_both_closed(int parent_first)
{
    int pipes[2], fd = pair(OUT4);
    must("pipe", pipe(pipes));
    pid_t child = fork();
    if (child == 0) {
        close(pipes[1]);
        read(pipes[0], text, 1);
        close(fd);
        _exit(0);
    }
    if (parent_first) {
        say_rc("close", close(fd));
        peer_awaits_for(CONN, POLLRDHUP, SKIP_NOTHING_MS);
        close(pipes[1]);
        end_child("child", child);
    } else {
        close(pipes[1]);
        end_child("child", child);
        say_rc("write", write(fd, "open", 4));
        peer_says(CONN, 4);
        say_rc("close", close(fd));
    }
    peer_says(CONN, 1);
}

static void child_closes_first(int arg)
{
    int fd = pair(IN4);
    end_child("child", start_child(child_closes, fd));
    say_rc("write", write(fd, "open", 4));
    peer_says(CONN, 4);
    say_rc("close", close(fd));
    peer_says(CONN, 1);
}

static void child_shuts(int fd)
{
    say_rc("child-shutdown", shutdown(fd, SHUT_WR));
}

static void shutdown_is_for_both(int arg)
{
    int fd = pair(OUT4);
    end_child("child", start_child(child_shuts, fd));
    peer_says(CONN, 1);
    say_rc("write", send(fd, "x", 1, MSG_NOSIGNAL));
}

static void child_sets_flags(int fd)
{
    say_rc("child-fcntl", fcntl(fd, F_SETFL, O_NONBLOCK));
    int one = 1;
    say_rc("child-option", setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one)));
}

static void flags_are_shared(int arg)
{
    int fd = pair(OUT4), value = 0;
    socklen_t len = sizeof(value);
    end_child("child", start_child(child_sets_flags, fd));
    say("nonblock=%d", (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, &len);
    say("keepalive=%d", value);
}

static void child_accepts(int door)
{
    int fd = accept(door, NULL, NULL);
    say_fd("child-accept", fd);
    say_rc("child-write", write(fd, "accepted", 8));
}

static void accepts_for_parent(int arg)
{
    uint16_t port;
    int door = listener(AF_INET, &port);
    pid_t child = start_child(child_accepts, door);
    peer_connect(CONN, AF_INET, port);
    end_child("child", child);
    peer_says(CONN, 100);
}

static void serve_one(int door)
{
    int fd = accept(door, NULL, NULL);
    ssize_t len = read(fd, text, sizeof(text));
    if (fd < 0 || len <= 0 || write(fd, text, (size_t)len) != len)
        _exit(1);
}

static void two_children_accept(int arg)
{
    uint16_t port;
    int door = listener(AF_INET, &port);
    pid_t first = start_child(serve_one, door), second = start_child(serve_one, door);
    close(door);
    peer_connect(CONN, AF_INET, port);
    peer_connect(CONN2, AF_INET, port);
    peer_send(CONN, "first");
    peer_send(CONN2, "second");
    peer_says(CONN, 100);
    peer_says(CONN2, 100);
    end_child("first", first);
    end_child("second", second);
}

static void server_forks(int arg)
{
    /* One child a connection; the parent closes its own. */
    uint16_t port;
    int door = listener(AF_INET, &port);
    for (int i = 0; i < 3; i++) {
        peer_connect(CONN, AF_INET, port);
        int fd = say_fd("accept", accept(door, NULL, NULL));
        pid_t child = fork();
        if (child == 0) {
            close(door);
            ssize_t len = read(fd, text, sizeof(text));
            _exit(len > 0 && write(fd, text, (size_t)len) == len ? 0 : 1);
        }
        close(fd);
        peer_send(CONN, "echo");
        peer_says(CONN, 100);
        end_child("child", child);
        peer_close(CONN);
    }
}

static void parent_closes_at_once(int arg)
{
    /* The parent's close is not the last, however early it is: with this option the last one would reset. */
    struct linger none = {.l_onoff = 1};
    uint16_t port;
    int door = listener(AF_INET, &port), num_served = 0;
    for (int i = 0; i < 20; i++) {
        peer_connect(CONN, AF_INET, port);
        int fd = accept(door, NULL, NULL), status = 1;
        must("linger", setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none)));
        pid_t child = fork();
        if (child == 0) {
            ssize_t len = read(fd, text, sizeof(text));
            _exit(len == 4 && write(fd, text, 4) == 4 && read(fd, text, sizeof(text)) == 0 ? 0 : 1);
        }
        close(fd);
        peer_send(CONN, "echo");
        peer_says(CONN, 4);
        peer_close(CONN);
        waitpid(child, &status, 0);
        num_served += status == 0;
    }
    say("served=%d", num_served);
}

static void may_not_fork(int fd)
{
    const struct rlimit none = {0, 0};
    must("setrlimit", setrlimit(RLIMIT_NPROC, &none));
    must("setuid", setuid(65534)); /* root is not limited */
    errno = ENOTTY;
    say_rc("fork", fork());
    say_rc("close", close(fd));
}

static void fork_fails(int arg)
{
    /* A child that there is not holds nothing: the last close ends the connection well. */
    int fd = pair(OUT4);
    end_child("child", start_child(may_not_fork, fd));
    say_rc("close", close(fd));
    peer_says(CONN, 1);
}

static void listener_outlives_parent(int arg)
{
    uint16_t port;
    int door = listener(AF_INET, &port);
    pid_t child = start_child(serve_one, door);
    say_rc("close", close(door));
    peer_connects(CONN, AF_INET, port);
    peer_send(CONN, "child");
    peer_says(CONN, 100);
    end_child("child", child);
    peer_connects(CONN2, AF_INET, port);
}

static void child_makes_its_own(int port)
{
    struct address to = address_of_peer(AF_INET, (uint16_t)port);
    int fd = tcp_socket(AF_INET);
    say_rc("child-connect", connect(fd, SA(to)));
    say_rc("child-write", write(fd, "own", 3));
}

static void child_connects(int arg)
{
    int fd = pair(OUT4);
    uint16_t port = peer_listen(LISTENER, AF_INET);
    pid_t child = start_child(child_makes_its_own, port);
    peer_accept(CONN2, LISTENER);
    end_child("child", child);
    peer_says(CONN2, 100);
    say_rc("write", write(fd, "mine", 4));
    peer_says(CONN, 4);
}

static void grandchild(int fd)
{
    end_child("grandchild", start_child(child_writes, fd));
}

static void over_two_forks(int arg)
{
    int fd = pair(OUT4);
    pid_t child = start_child(grandchild, fd);
    close(fd);
    end_child("child", child);
    peer_says(CONN, 100);
}

static void parent_is_killed(int arg)
{
    /* The child goes on with the connection that its killed parent made, and ends well. */
    struct address to = address_of_peer(AF_INET, peer_listen(LISTENER, AF_INET));
    int begin[2], stop[2];
    must("pipe", pipe(begin));
    must("pipe", pipe(stop));
    pid_t parent = fork();
    if (parent == 0) {
        int fd = tcp_socket(AF_INET);
        must("connect", connect(fd, SA(to)));
        if (fork() == 0) {
            close(begin[1]);
            close(stop[1]);
            read(begin[0], text, 1);
            if (write(fd, "orphan", 6) != 6)
                _exit(1);
            read(stop[0], text, 1);
            _exit(0);
        }
        raise(SIGKILL);
    }
    end_child("parent", parent);
    peer_accept(CONN, LISTENER);
    close(begin[1]);
    peer_says(CONN, 6);
    close(stop[1]);
    peer_says(CONN, 1);
}

static void both_write(int arg)
{
    enum { NUM = 20000 };
    int fd = pair(OUT4);
    char *bytes = malloc(NUM);
    pid_t child = fork();
    if (child == 0) {
        memset(bytes, 'c', NUM);
        _exit(write(fd, bytes, NUM) == NUM ? 0 : 1);
    }
    memset(bytes, 'p', NUM);
    say("wrote=%d", write(fd, bytes, NUM) == NUM);
    end_child("child", child);
    shutdown(fd, SHUT_WR);
    peer_counts(CONN, 2 * NUM); /* which byte is whose is not defined */
    peer_says(CONN, 1);
}

/* ---- Descriptors over Unix sockets ---- */

static void send_descriptor(int over, int fd)
{
    char control[CMSG_SPACE(sizeof(int))] = {0}, byte = 'f';
    struct iovec part = {&byte, 1};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    *header = (struct cmsghdr){
        .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
    memcpy(CMSG_DATA(header), &fd, sizeof(fd));
    must("sendmsg", sendmsg(over, &message, 0));
}

static int receive_descriptor(int over)
{
    char control[CMSG_SPACE(sizeof(int))] = {0}, byte;
    struct iovec part = {&byte, 1};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
    int fd = -1;
    must("recvmsg", recvmsg(over, &message, 0));
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (header == NULL || header->cmsg_type != SCM_RIGHTS)
        give_up("no descriptor came");
    memcpy(&fd, CMSG_DATA(header), sizeof(fd));
    return fd;
}

static void receive_and_write(int over)
{
    int fd = say_fd("received", receive_descriptor(over));
    say_rc("write", write(fd, "passed", 6));
    peer_awaits(CONN, POLLIN);
}

static void pass_connection(int kind)
{
    int sockets[2];
    must("socketpair", socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
    pid_t child = start_child(receive_and_write, sockets[1]);
    int fd = pair(kind);
    send_descriptor(sockets[0], fd);
    close(fd);
    end_child("child", child);
    peer_says(CONN, 100);
}

static void receive_and_accept(int over)
{
    child_accepts(say_fd("received", receive_descriptor(over)));
}

static void pass_listener(int arg)
{
    int sockets[2];
    uint16_t port;
    must("socketpair", socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
    pid_t child = start_child(receive_and_accept, sockets[1]);
    int door = listener(AF_INET, &port);
    send_descriptor(sockets[0], door);
    close(door);
    peer_connect(CONN, AF_INET, port);
    end_child("child", child);
    peer_says(CONN, 100);
}

static void pass_to_oneself(int arg)
{
    int sockets[2], fd = pair(OUT4);
    must("socketpair", socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
    send_descriptor(sockets[0], fd);
    int other = say_fd("received", receive_descriptor(sockets[1]));
    say("another=%d", other != fd);
    close(fd);
    say_rc("write", write(other, "same", 4));
    peer_says(CONN, 4);
    close(other);
    peer_says(CONN, 1);
}

static const struct conf_case cases[] = {
    {"fork.child-reads", reads_what_parent_connected, OUT4},
    {"fork.child-reads.accepted", reads_what_parent_connected, IN4},
    {"fork.child-writes", writes_to_what_parent_connected, OUT4},
    {"fork.child-writes.accepted", writes_to_what_parent_connected, IN4},
    {"fork.end.parent-first", end_after_both_closed, 1},
    {"fork.end.child-first", end_after_both_closed, 0},
    {"fork.child-closes", child_closes_first, 0},
    {"fork.child-shuts", shutdown_is_for_both, 0},
    {"fork.flags-shared", flags_are_shared, 0},
    {"fork.child-accepts", accepts_for_parent, 0},
    {"fork.two-children-accept", two_children_accept, 0},
    {"fork.server", server_forks, 0},
    {"fork.parent-closes-at-once", parent_closes_at_once, 0},
    {"fork.fails", fork_fails, 0},
    {"fork.listener-outlives", listener_outlives_parent, 0},
    {"fork.child-connects", child_connects, 0},
    {"fork.grandchild", over_two_forks, 0},
    {"fork.parent-killed", parent_is_killed, 0},
    {"fork.both-write", both_write, 0},
    {"rights.connection", pass_connection, OUT4},
    {"rights.connection.accepted", pass_connection, IN4},
    {"rights.listener", pass_listener, 0},
    {"rights.to-oneself", pass_to_oneself, 0},
};

CONF_GROUP(process_cases, cases);
