/* SPDX-License-Identifier: Apache-2.0 */
/* connect(): blocking and not, refused, timed out, repeated, undone. */
#include <fcntl.h>

#include "tests/conformance/case.h"
#include "tests/conformance/peer.h"

static int connect_to(const char *what, int fd, struct address to)
{
    return (int)say_rc(what, connect(fd, SA(to)));
}

static struct address listening(int family)
{
    return address_of_peer(family, peer_listen(LISTENER, family));
}

/* A port of the peer's on which nobody listens. */
static struct address refusing(int family)
{
    uint16_t port = peer_listen(LISTENER, family);
    peer_close(LISTENER);
    return address_of_peer(family, port);
}

static void say_so_error(int fd)
{
    int error = -1;
    socklen_t len = sizeof(error);
    must("getsockopt", getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len));
    say("so_error=%s", error_name(error));
}

static void blocking(int family)
{
    int fd = tcp_socket(family);
    connect_to("connect", fd, listening(family));
    peer_accept(CONN, LISTENER);
    peer_send(CONN, "hello");
    char text[8];
    say_bytes("read", read(fd, text, sizeof(text)), text);
}

static void nonblocking(int family)
{
    int fd = tcp_socket(family);
    set_nonblocking(fd);
    connect_to("connect", fd, listening(family));
    say_poll("poll", await(fd, POLLOUT));
    say_so_error(fd);
    connect_to("again", fd, address_of_peer(family, 1));
}

static void refused(int family)
{
    int fd = tcp_socket(family);
    connect_to("connect", fd, refusing(family));
    say_so_error(fd);
    say_rc("write", send(fd, "x", 1, MSG_NOSIGNAL));
    char byte;
    say_rc("read", recv(fd, &byte, 1, MSG_DONTWAIT));
}

static void refused_nonblocking(int family)
{
    int fd = tcp_socket(family);
    set_nonblocking(fd);
    connect_to("connect", fd, refusing(family));
    say_poll("poll", await(fd, POLLOUT));
    say_so_error(fd);
    say_so_error(fd);
}

static void refused_told_by_connect(int arg)
{
    int fd = tcp_socket(AF_INET);
    struct address to = refusing(AF_INET);
    set_nonblocking(fd);
    connect_to("connect", fd, to);
    await(fd, POLLOUT);
    connect_to("again", fd, to);
}

static void refused_told_by_read(int arg)
{
    int fd = tcp_socket(AF_INET);
    set_nonblocking(fd);
    connect_to("connect", fd, refusing(AF_INET));
    await(fd, POLLOUT);
    char byte;
    say_rc("read", read(fd, &byte, 1));
    say_rc("read", read(fd, &byte, 1));
    say_so_error(fd);
}

static void refused_told_by_write(int arg)
{
    int fd = tcp_socket(AF_INET);
    set_nonblocking(fd);
    connect_to("connect", fd, refusing(AF_INET));
    await(fd, POLLOUT);
    say_rc("write", send(fd, "x", 1, MSG_NOSIGNAL));
    say_rc("write", send(fd, "x", 1, MSG_NOSIGNAL));
}

static void refused_then_again(int arg)
{
    int fd = tcp_socket(AF_INET);
    connect_to("connect", fd, refusing(AF_INET));
    connect_to("again", fd, listening(AF_INET));
    peer_accept(CONN, LISTENER);
    say_rc("write", write(fd, "again", 5));
    peer_says(CONN, 5);
}

static void already(int arg)
{
    struct address to = black_hole(AF_INET);
    int fd = tcp_socket(AF_INET);
    set_nonblocking(fd);
    connect_to("connect", fd, to);
    connect_to("again", fd, to);
    connect_to("elsewhere", fd, address_of_peer(AF_INET, 1));
    say_so_error(fd);
}

static void connecting_is_not_connected(int arg)
{
    struct address to = black_hole(AF_INET), name = {.len = sizeof(name.sa)};
    int fd = tcp_socket(AF_INET);
    char byte;
    set_nonblocking(fd);
    connect_to("connect", fd, to);
    say_rc("read", read(fd, &byte, 1));
    say_rc("write", send(fd, "x", 1, MSG_NOSIGNAL));
    say_rc("getpeername", getpeername(fd, (struct sockaddr *)&name.sa, &name.len));
    name.len = sizeof(name.sa);
    say_rc("getsockname", getsockname(fd, (struct sockaddr *)&name.sa, &name.len));
    say_address("name", &name.sa, 0);
    say_poll("poll", await_for(fd, POLLIN | POLLOUT, 0));
    say_rc("close", close(fd));
}

static void timeout(int arg)
{
    struct address to = black_hole(AF_INET);
    int fd = tcp_socket(AF_INET);
    set_timeout(fd, SO_SNDTIMEO, SKIP_NOTHING_MS);
    int64_t start_ms = now_ms();
    connect_to("connect", fd, to);
    int64_t took_ms = now_ms() - start_ms;
    say("in-time=%d", took_ms >= SKIP_NOTHING_MS - 1 && took_ms < PATIENCE_MS);
    connect_to("again", fd, to);
}

static void receive_timeout_has_no_say(int arg)
{
    int fd = tcp_socket(AF_INET);
    set_timeout(fd, SO_RCVTIMEO, 1);
    set_timeout(fd, SO_SNDTIMEO, PATIENCE_MS);
    connect_to("connect", fd, listening(AF_INET));
}

static void twice(int kind)
{
    int fd = pair(kind);
    connect_to("again", fd, listening(AF_INET));
    say_rc("write", write(fd, "same", 4));
    peer_says(CONN, 4);
}

static void first_success_again(int arg)
{
    struct address to = listening(AF_INET);
    int fd = tcp_socket(AF_INET);
    connect_to("connect", fd, to);
    set_nonblocking(fd);
    connect_to("again", fd, to);
}

static void unspec(int kind)
{
    struct address none = address_any(AF_INET, 0), name = {.len = sizeof(name.sa)};
    none.sa.ss_family = AF_UNSPEC;
    int fd = kind < 0 ? tcp_socket(AF_INET) : pair(kind);
    connect_to("unspec", fd, none);
    say_rc("getpeername", getpeername(fd, (struct sockaddr *)&name.sa, &name.len));
    say_rc("write", send(fd, "x", 1, MSG_NOSIGNAL));
    if (kind >= 0)
        peer_says(CONN, 1);
}

static void unspec_then_again(int arg)
{
    struct address none = address_any(AF_INET, 0);
    none.sa.ss_family = AF_UNSPEC;
    int fd = pair(OUT4);
    connect_to("unspec", fd, none);
    connect_to("again", fd, listening(AF_INET));
    peer_accept(CONN2, LISTENER);
    say_rc("write", write(fd, "new", 3));
    peer_says(CONN2, 3);
}

static void family_wrong(int arg)
{
    connect_to("inet6-on-inet", tcp_socket(AF_INET), address_of_peer(AF_INET6, 1));
    struct address unix_name = {.sa.ss_family = AF_UNIX, .len = 16};
    connect_to("unix-on-inet", tcp_socket(AF_INET), unix_name);
    connect_to("inet-on-inet6", tcp_socket(AF_INET6), address_of_peer(AF_INET, 1));
}

static void bad_length(int arg)
{
    struct address to = listening(AF_INET);
    int fd = tcp_socket(AF_INET);
    for (int len = 0; len < 16; len += 5) {
        to.len = (socklen_t)len;
        connect_to("connect", fd, to);
    }
    to.len = (socklen_t)-1;
    connect_to("negative", fd, to);
    to.len = sizeof(to.sa);
    connect_to("long", fd, to);
}

static void bad_descriptor(int arg)
{
    int pipes[2];
    must("pipe", pipe(pipes));
    connect_to("closed", 150, address_of_peer(AF_INET, 1));
    connect_to("negative", -1, address_of_peer(AF_INET, 1));
    connect_to("pipe", pipes[1], address_of_peer(AF_INET, 1));
    say_rc("null", connect(tcp_socket(AF_INET), NULL, sizeof(struct sockaddr_in)));
}

static void to_strange_address(int which)
{
    static const char *const texts[] = {"255.255.255.255", "224.0.0.77", "192.0.2.77", "2001:db8::77",
                                        "ff02::77"};
    struct address to = address_of(texts[which], 4000);
    int fd = tcp_socket(to.sa.ss_family);
    set_timeout(fd, SO_SNDTIMEO, 1000);
    connect_to("connect", fd, to);
}

static void to_no_neighbour(int arg)
{
    char text[64];
    snprintf(text, sizeof(text), "%s", peer_ip(AF_INET));
    char *end = strrchr(text, '.');
    snprintf(end, sizeof(text) - (size_t)(end - text), ".199");
    int fd = tcp_socket(AF_INET);
    set_timeout(fd, SO_SNDTIMEO, 8000); /* the kernel asks for 3 s */
    connect_to("connect", fd, address_of(text, 4000));
}

static void to_port_zero(int arg)
{
    connect_to("connect", tcp_socket(AF_INET), address_of_peer(AF_INET, 0));
}

static void binds_by_itself(int family)
{
    struct address name = {.len = sizeof(name.sa)}, to = listening(family);
    int fd = tcp_socket(family);
    connect_to("connect", fd, to);
    getsockname(fd, (struct sockaddr *)&name.sa, &name.len);
    say_address("self", &name.sa, 0);
    name.len = sizeof(name.sa);
    getpeername(fd, (struct sockaddr *)&name.sa, &name.len);
    say_address("peer", &name.sa, address_port(&to));
}

static void same_port_for_two(int arg)
{
    struct address first_to = listening(AF_INET);
    int first = tcp_socket(AF_INET), second = tcp_socket(AF_INET), one = 1;
    setsockopt(first, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    setsockopt(second, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    struct address self = address_of_self(AF_INET, 0);
    must("bind", bind(first, SA(self)));
    self = address_of_self(AF_INET, port_of(first));
    say_rc("bind", bind(second, SA(self)));
    connect_to("first", first, first_to);
    connect_to("second", second, first_to);
}

static void bytes_wait_for_nobody(int arg)
{
    /* Established at both kernels before the peer's program accepts. */
    int fd = tcp_socket(AF_INET);
    connect_to("connect", fd, listening(AF_INET));
    say_rc("write", write(fd, "early", 5));
    peer_accept(CONN, LISTENER);
    peer_says(CONN, 5);
}

static void peer_stops_listening(int arg)
{
    int fd = tcp_socket(AF_INET);
    connect_to("connect", fd, listening(AF_INET));
    peer_close(LISTENER); /* with our connection in its queue */
    say_poll("poll", await(fd, 0));
    char byte;
    say_rc("read", read(fd, &byte, 1));
}

static void many_at_once(int arg)
{
    struct address to = address_of_peer(AF_INET, peer_listen_on(LISTENER, AF_INET, 0, 128));
    int fds[32], connected = 0;
    for (int i = 0; i < 32; i++) {
        fds[i] = tcp_socket(AF_INET);
        set_nonblocking(fds[i]);
        if (connect(fds[i], SA(to)) != 0 && errno != EINPROGRESS)
            say_rc("connect", -1);
    }
    for (int i = 0; i < 32; i++)
        connected += await(fds[i], POLLOUT) == POLLOUT;
    say("connected=%d", connected);
}

static void close_while_connecting(int arg)
{
    struct address to = black_hole(AF_INET);
    for (int i = 0; i < 8; i++) {
        int fd = tcp_socket(AF_INET);
        set_nonblocking(fd);
        if (connect(fd, SA(to)) == -1 && errno != EINPROGRESS)
            say_rc("connect", -1);
        if (close(fd) != 0)
            say_rc("close", -1);
    }
    say("closed");
}

static const struct conf_case cases[] = {
    {"connect.blocking", blocking, AF_INET},
    {"connect.nonblock", nonblocking, AF_INET},
    {"connect.refused.blocking", refused, AF_INET},
    {"connect.refused.nonblock", refused_nonblocking, AF_INET},
    {"connect.refused.told-by-connect", refused_told_by_connect, 0},
    {"connect.refused.told-by-read", refused_told_by_read, 0},
    {"connect.refused.told-by-write", refused_told_by_write, 0},
    {"connect.refused.then-again", refused_then_again, 0},
    {"connect.already", already, 0},
    {"connect.connecting", connecting_is_not_connected, 0},
    {"connect.timeout", timeout, 0},
    {"connect.timeout.receive", receive_timeout_has_no_say, 0},
    {"connect.twice", twice, OUT4},
    {"connect.accepted", twice, IN4},
    {"connect.same-again", first_success_again, 0},
    {"connect.unspec.fresh", unspec, -1},
    {"connect.unspec.connected", unspec, OUT4},
    {"connect.unspec.accepted", unspec, IN4},
    {"connect.unspec.then-again", unspec_then_again, 0},
    {"connect.family.wrong", family_wrong, 0},
    {"connect.length", bad_length, 0},
    {"connect.descriptor.bad", bad_descriptor, 0},
    {"connect.broadcast", to_strange_address, 0},
    {"connect.multicast", to_strange_address, 1},
    {"connect.no-route", to_strange_address, 2},
    {"connect.no-route.inet6", to_strange_address, 3},
    {"connect.no-neighbour", to_no_neighbour, 0},
    {"connect.port-zero", to_port_zero, 0},
    {"connect.binds-by-itself", binds_by_itself, AF_INET},
    {"connect.same-port-for-two", same_port_for_two, 0},
    {"connect.before-accept", bytes_wait_for_nobody, 0},
    {"connect.peer-stops-listening", peer_stops_listening, 0},
    {"connect.many-at-once", many_at_once, 0},
    {"connect.close-while-connecting", close_while_connecting, 0},
};

CONF_GROUP(connect_cases, cases);
