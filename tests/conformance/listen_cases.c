/* SPDX-License-Identifier: Apache-2.0 */
/* listen(), accept() and accept4(). */
#include <fcntl.h>

#include "tests/conformance/case.h"
#include "tests/conformance/peer.h"

static void unbound(int arg)
{
    int fd = tcp_socket(AF_INET);
    say_rc("listen", listen(fd, 4));
    peer_connects(CONN, AF_INET, port_of(fd));
    say_fd("accept", accept(fd, NULL, NULL));
}

static void twice(int arg)
{
    uint16_t port;
    int fd = listener(AF_INET, &port);
    say_rc("again", listen(fd, 1));
    peer_connects(CONN, AF_INET, port);
    say_rc("with-one-waiting", listen(fd, 8));
    say_fd("accept", accept(fd, NULL, NULL));
}

static void with_backlog(int backlog)
{
    int fd = tcp_socket(AF_INET);
    struct address self = address_of_self(AF_INET, 0);
    must("bind", bind(fd, SA(self)));
    say_rc("listen", listen(fd, backlog));
    peer_connects(CONN, AF_INET, port_of(fd));
    say_fd("accept", accept(fd, NULL, NULL));
}

static void on_connected(int kind)
{
    say_rc("listen", listen(pair(kind), 4));
}

static void on_connecting(int arg)
{
    struct address to = black_hole(AF_INET);
    int fd = tcp_socket(AF_INET);
    set_nonblocking(fd);
    say_rc("connect", connect(fd, SA(to)));
    say_rc("listen", listen(fd, 4));
}

static void on_datagram(int arg)
{
    say_rc("listen", listen(udp_socket(AF_INET), 4));
    say_fd("accept", accept(udp_socket(AF_INET), NULL, NULL));
}

static void bad_descriptor(int arg)
{
    int pipes[2];
    must("pipe", pipe(pipes));
    say_rc("listen.closed", listen(150, 1));
    say_rc("listen.pipe", listen(pipes[0], 1));
    say_fd("accept.closed", accept(150, NULL, NULL));
    say_fd("accept.negative", accept(-1, NULL, NULL));
    say_fd("accept.pipe", accept(pipes[0], NULL, NULL));
}

static void accept_not_listening(int arg)
{
    say_fd("fresh", accept(tcp_socket(AF_INET), NULL, NULL));
    int fd = tcp_socket(AF_INET);
    struct address self = address_of_self(AF_INET, 0);
    must("bind", bind(fd, SA(self)));
    say_fd("bound", accept(fd, NULL, NULL));
    say_fd("connected", accept(pair(OUT4), NULL, NULL));
}

static void accept_nothing(int arg)
{
    uint16_t port;
    int door = listener(AF_INET, &port);
    set_nonblocking(door);
    say_fd("accept", accept(door, NULL, NULL));
    peer_connect(CONN, AF_INET, port);
    await(door, POLLIN);
    say_fd("accept", accept(door, NULL, NULL));
    say_fd("accept", accept(door, NULL, NULL));
}

static void accept_waits(int arg)
{
    uint16_t port;
    int door = listener(AF_INET, &port);
    peer_later(30);
    peer_connect(CONN, AF_INET, port);
    int fd = say_fd("accept", accept(door, NULL, NULL));
    say_rc("write", write(fd, "hello", 5));
    peer_says(CONN, 5);
}

static void accept_timeout(int arg)
{
    uint16_t port;
    int door = listener(AF_INET, &port);
    set_timeout(door, SO_RCVTIMEO, SKIP_NOTHING_MS);
    int64_t start_ms = now_ms();
    say_fd("accept", accept(door, NULL, NULL));
    say("waited=%d", now_ms() - start_ms >= SKIP_NOTHING_MS - 1);
}

static void accept_flags(int flags)
{
    uint16_t port;
    int door = listener(AF_INET, &port);
    peer_connect(CONN, AF_INET, port);
    int fd = say_fd("accept4", accept4(door, NULL, NULL, flags));
    if (fd >= 0)
        say("nonblock=%d cloexec=%d", (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0, fcntl(fd, F_GETFD));
}

static void flags_not_inherited(int arg)
{
    uint16_t port;
    int door = listener(AF_INET, &port);
    set_nonblocking(door);
    fcntl(door, F_SETFD, FD_CLOEXEC);
    peer_connect(CONN, AF_INET, port);
    await(door, POLLIN);
    int fd = say_fd("accept", accept(door, NULL, NULL));
    say("nonblock=%d cloexec=%d", (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0, fcntl(fd, F_GETFD));
}

static void returns_address(int family)
{
    uint16_t port;
    int door = listener(family, &port);
    peer_connect(CONN, family, port);
    struct address from = {.len = sizeof(from.sa)};
    int fd = say_fd("accept", accept(door, (struct sockaddr *)&from.sa, &from.len));
    say("length=%u", from.len);
    say_address("from", &from.sa, 0);
    struct address peer = {.len = sizeof(peer.sa)};
    say_rc("getpeername", getpeername(fd, (struct sockaddr *)&peer.sa, &peer.len));
    say("equal=%d", peer.len == from.len && memcmp(&peer.sa, &from.sa, peer.len) == 0);
    struct address name = {.len = sizeof(name.sa)};
    say_rc("getsockname", getsockname(fd, (struct sockaddr *)&name.sa, &name.len));
    say_address("name", &name.sa, port);
}

static void short_address(int len)
{
    uint16_t port;
    int door = listener(AF_INET, &port);
    peer_connect(CONN, AF_INET, port);
    struct address from;
    memset(&from, 0x5a, sizeof(from));
    from.len = (socklen_t)len;
    say_fd("accept", accept(door, (struct sockaddr *)&from.sa, &from.len));
    say("length=%d", (int)from.len);
    const uint8_t *bytes = (const uint8_t *)&from.sa;
    int untouched = 0;
    for (size_t i = sizeof(from.sa); i > 0 && bytes[i - 1] == 0x5a; i--)
        untouched++;
    say("written=%d", (int)sizeof(from.sa) - untouched);
}

static void address_without_length(int arg)
{
    uint16_t port;
    int door = listener(AF_INET, &port);
    struct address from;
    peer_connect(CONN, AF_INET, port);
    say_fd("accept", accept(door, (struct sockaddr *)&from.sa, NULL));
}

static void length_without_address(int arg)
{
    uint16_t port;
    int door = listener(AF_INET, &port);
    socklen_t len = 77;
    peer_connect(CONN, AF_INET, port);
    say_fd("accept", accept(door, NULL, &len));
    say("length=%u", len);
}

static void in_order(int arg)
{
    uint16_t port;
    int door = listener(AF_INET, &port);
    static const char *const texts[] = {"one", "two", "three"};
    for (int i = 0; i < 3; i++)
        peer_connect(CONN + i, AF_INET, port);
    for (int i = 0; i < 3; i++) {
        peer_later(1);
        peer_send(CONN + i, texts[i]);
    }
    for (int i = 0; i < 3; i++) {
        char text[8];
        int fd = say_fd("accept", accept(door, NULL, NULL));
        say_bytes("read", read(fd, text, sizeof(text)), text);
    }
}

static void peer_gone_before(int is_reset)
{
    uint16_t port;
    int door = listener(AF_INET, &port);
    peer_connect(CONN, AF_INET, port);
    peer_later(1);
    peer_send(CONN, "hello");
    peer_later(1);
    if (is_reset)
        peer_reset(CONN);
    else
        peer_close(CONN);
    if (peer_hole_ip == NULL)
        there_and_back();
    else /* where a policy says TLS the peer does all that after the accept */
        pause_ms(40);
    char text[8];
    int fd = say_fd("accept", accept(door, NULL, NULL));
    struct address from = {.len = sizeof(from.sa)};
    if (is_reset)
        await_reset(fd);
    else
        await_end(fd);
    say_bytes("read", read(fd, text, sizeof(text)), text);
    say_bytes("read", read(fd, text, sizeof(text)), text);
    say_rc("getpeername", getpeername(fd, (struct sockaddr *)&from.sa, &from.len));
}

static void listener_is_no_stream(int arg)
{
    uint16_t port;
    int door = listener(AF_INET, &port);
    char byte;
    struct address to = address_of_peer(AF_INET, peer_listen(LISTENER, AF_INET));
    say_rc("read", read(door, &byte, 1));
    say_rc("recv", recv(door, &byte, 1, MSG_DONTWAIT));
    say_rc("write", send(door, "x", 1, MSG_NOSIGNAL));
    say_rc("connect", connect(door, SA(to)));
    struct address from = {.len = sizeof(from.sa)};
    say_rc("getpeername", getpeername(door, (struct sockaddr *)&from.sa, &from.len));
}

static void closed_refuses(int arg)
{
    uint16_t port;
    int door = listener(AF_INET, &port);
    peer_connects(CONN, AF_INET, port);
    close(door);
    peer_connects(CONN2, AF_INET, port);
    peer_says(CONN, 1);
}

static void connection_outlives(int arg)
{
    uint16_t port;
    int door = listener(AF_INET, &port);
    peer_connect(CONN, AF_INET, port);
    int fd = say_fd("accept", accept(door, NULL, NULL));
    close(door);
    say_rc("write", write(fd, "still", 5));
    peer_says(CONN, 5);
}

static void bound_is_closed(int arg)
{
    int fd = tcp_socket(AF_INET);
    struct address self = address_of_self(AF_INET, 0);
    must("bind", bind(fd, SA(self)));
    peer_connects(CONN, AF_INET, port_of(fd));
}

static void on_any(int family)
{
    int fd = tcp_socket(family);
    struct address any = address_any(family, 0), name = {.len = sizeof(name.sa)};
    must("bind", bind(fd, SA(any)));
    must("listen", listen(fd, 4));
    uint16_t port = port_of(fd);
    peer_connect(CONN, family, port);
    int accepted = say_fd("accept", accept(fd, NULL, NULL));
    say_rc("getsockname", getsockname(accepted, (struct sockaddr *)&name.sa, &name.len));
    say_address("name", &name.sa, port);
    say_rc("write", write(accepted, "any", 3));
    peer_says(CONN, 3);
}

static void options_inherited(int arg)
{
    uint16_t port;
    int door = listener(AF_INET, &port), one = 1, value = 0;
    socklen_t len = sizeof(value);
    must("setsockopt", setsockopt(door, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one)));
    struct linger linger = {.l_onoff = 1, .l_linger = 3}, got = {.l_onoff = 0};
    must("setsockopt", setsockopt(door, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)));
    peer_connect(CONN, AF_INET, port);
    int fd = say_fd("accept", accept(door, NULL, NULL));
    getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, &len);
    say("keepalive=%d", value);
    len = sizeof(got);
    getsockopt(fd, SOL_SOCKET, SO_LINGER, &got, &len);
    say("linger=%d,%d", got.l_onoff, got.l_linger);
    len = sizeof(value);
    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &len);
    say("acceptconn=%d", value);
}

static const struct conf_case cases[] = {
    {"listen.unbound", unbound, 0},
    {"listen.twice", twice, 0},
    {"listen.backlog.zero", with_backlog, 0},
    {"listen.backlog.negative", with_backlog, -1},
    {"listen.backlog.huge", with_backlog, 1000000},
    {"listen.connected", on_connected, OUT4},
    {"listen.accepted", on_connected, IN4},
    {"listen.connecting", on_connecting, 0},
    {"listen.dgram", on_datagram, 0},
    {"listen.descriptor.bad", bad_descriptor, 0},
    {"listen.is-no-stream", listener_is_no_stream, 0},
    {"listen.closed-refuses", closed_refuses, 0},
    {"listen.connection-outlives", connection_outlives, 0},
    {"listen.bound-only-refuses", bound_is_closed, 0},
    {"listen.any", on_any, AF_INET},
    {"listen.any.inet6", on_any, AF_INET6},
    {"accept.not-listening", accept_not_listening, 0},
    {"accept.nonblock", accept_nothing, 0},
    {"accept.waits", accept_waits, 0},
    {"accept.timeout", accept_timeout, 0},
    {"accept4.flags.none", accept_flags, 0},
    {"accept4.flags.nonblock", accept_flags, SOCK_NONBLOCK},
    {"accept4.flags.cloexec", accept_flags, SOCK_CLOEXEC},
    {"accept4.flags.both", accept_flags, SOCK_NONBLOCK | SOCK_CLOEXEC},
    {"accept4.flags.unknown", accept_flags, 0x10},
    {"accept.flags-not-inherited", flags_not_inherited, 0},
    {"accept.options-inherited", options_inherited, 0},
    {"accept.address", returns_address, AF_INET},
    {"accept.address.inet6", returns_address, AF_INET6},
    {"accept.address.short", short_address, 7},
    {"accept.address.zero", short_address, 0},
    {"accept.address.long", short_address, 100},
    {"accept.address.negative", short_address, -1},
    {"accept.address.no-length", address_without_length, 0},
    {"accept.address.length-only", length_without_address, 0},
    {"accept.in-order", in_order, 0},
    {"accept.peer-closed-before", peer_gone_before, 0},
    {"accept.peer-reset-before", peer_gone_before, 1},
};

CONF_GROUP(listen_cases, cases);
