/* SPDX-License-Identifier: Apache-2.0 */
/* AF_INET6: the basics again, IPv4 as mapped addresses, and IPV6_V6ONLY. */
#include "tests/conformance/case.h"
#include "tests/conformance/peer.h"

static char text[64];

static struct address mapped(const char *ip, uint16_t port)
{
    char words[80];
    snprintf(words, sizeof(words), "::ffff:%s", ip);
    return address_of(words, port);
}

static void basic(int kind)
{
    int fd = pair(kind);
    say_rc("write", write(fd, "hello", 5));
    peer_says(CONN, 5);
    peer_send(CONN, "world");
    say_bytes("read", read(fd, text, sizeof(text)), text);
    peer_close(CONN);
    say_bytes("read", read(fd, text, sizeof(text)), text);
}

static void shut(int kind)
{
    int fd = pair(kind);
    say_rc("shutdown", shutdown(fd, SHUT_WR));
    peer_says(CONN, 1);
    peer_send(CONN, "after");
    say_bytes("read", read(fd, text, sizeof(text)), text);
}

static void reset(int kind)
{
    int fd = pair(kind);
    peer_reset(CONN);
    await_reset(fd);
    say_rc("read", read(fd, text, 1));
}

static void bulk(int kind)
{
    int fd = pair(kind);
    peer_later(1);
    peer_fill(CONN, 1 << 20);
    peer_later(1);
    peer_shutdown(CONN, SHUT_WR);
    drain("drain", fd);
}

static void refused(int arg)
{
    uint16_t port = peer_listen(LISTENER, AF_INET6);
    peer_close(LISTENER);
    struct address to = address_of_peer(AF_INET6, port);
    say_rc("connect", connect(tcp_socket(AF_INET6), SA(to)));
}

static void nonblocking(int arg)
{
    struct address to = address_of_peer(AF_INET6, peer_listen(LISTENER, AF_INET6));
    int fd = tcp_socket(AF_INET6);
    set_nonblocking(fd);
    say_rc("connect", connect(fd, SA(to)));
    say_poll("poll", await(fd, POLLOUT));
    say_rc("again", connect(fd, SA(to)));
    say_rc("again", connect(fd, SA(to)));
}

static void say_names(int fd, uint16_t self_port, uint16_t peer_port)
{
    struct address name = {.len = sizeof(name.sa)};
    getsockname(fd, (struct sockaddr *)&name.sa, &name.len);
    say_address("self", &name.sa, self_port);
    name.len = sizeof(name.sa);
    if (getpeername(fd, (struct sockaddr *)&name.sa, &name.len) == 0)
        say_address("peer", &name.sa, peer_port);
}

static void connect_mapped(int arg)
{
    uint16_t port = peer_listen(LISTENER, AF_INET);
    struct address to = mapped(peer_ip(AF_INET), port);
    int fd = tcp_socket(AF_INET6);
    say_rc("connect", connect(fd, SA(to)));
    peer_accept(CONN, LISTENER);
    say_names(fd, 0, port);
    say_rc("write", write(fd, "mapped", 6));
    peer_says(CONN, 6);
}

static void accept_mapped(int arg)
{
    struct address any = address_any(AF_INET6, 0), from = {.len = sizeof(from.sa)};
    int door = tcp_socket(AF_INET6);
    must("bind", bind(door, SA(any)));
    must("listen", listen(door, 4));
    uint16_t port = port_of(door);
    peer_connects(CONN, AF_INET, port);
    int fd = say_fd("accept", accept(door, (struct sockaddr *)&from.sa, &from.len));
    say_address("from", &from.sa, 0);
    say_names(fd, port, 0);
    peer_connects(CONN2, AF_INET6, port);
    fd = say_fd("accept", accept(door, NULL, NULL));
    say_names(fd, port, 0);
}

static void bind_mapped(int arg)
{
    struct address self = mapped(self_ip(AF_INET), 0);
    int door = tcp_socket(AF_INET6);
    say_rc("bind", bind(door, SA(self)));
    say_rc("listen", listen(door, 4));
    uint16_t port = port_of(door);
    say_names(door, port, 0);
    peer_connects(CONN, AF_INET, port);
}

static void only(int arg)
{
    struct address any = address_any(AF_INET6, 0);
    int door = tcp_socket(AF_INET6), value = -1, one = 1;
    socklen_t len = sizeof(value);
    getsockopt(door, IPPROTO_IPV6, IPV6_V6ONLY, &value, &len);
    say("fresh=%d", value);
    say_rc("set", setsockopt(door, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)));
    getsockopt(door, IPPROTO_IPV6, IPV6_V6ONLY, &value, &len);
    say("set=%d", value);
    must("bind", bind(door, SA(any)));
    must("listen", listen(door, 4));
    uint16_t port = port_of(door);
    peer_connects(CONN, AF_INET, port);
    peer_connects(CONN2, AF_INET6, port);
    say_rc("late", setsockopt(door, IPPROTO_IPV6, IPV6_V6ONLY, &value, sizeof(value)));
}

static void only_connects_no_mapped(int arg)
{
    struct address to = mapped(peer_ip(AF_INET), peer_listen(LISTENER, AF_INET));
    int fd = tcp_socket(AF_INET6), one = 1;
    must("setsockopt", setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)));
    say_rc("connect", connect(fd, SA(to)));
    struct address self = mapped(self_ip(AF_INET), 0);
    say_rc("bind", bind(fd, SA(self)));
}

/* One that is free in both families: connections of earlier cases still have theirs, in one or the other. */
static uint16_t free_port(void)
{
    struct address any = address_any(AF_INET6, 0);
    int fd = tcp_socket(AF_INET6);
    must("bind", bind(fd, SA(any)));
    uint16_t port = port_of(fd);
    close(fd);
    return port;
}

static void two_families_one_port(int is_only)
{
    uint16_t port = free_port();
    struct address any6 = address_any(AF_INET6, port), any4 = address_any(AF_INET, port);
    int six = tcp_socket(AF_INET6), four = tcp_socket(AF_INET);
    setsockopt(six, IPPROTO_IPV6, IPV6_V6ONLY, &is_only, sizeof(is_only));
    must("bind", bind(six, SA(any6)));
    must("listen", listen(six, 4));
    say_rc("bind", bind(four, SA(any4)));
}

static void datagrams_mapped(int arg)
{
    uint16_t peer_port = peer_datagram(DGRAM, AF_INET);
    struct address any = address_any(AF_INET6, 0), from = {.len = sizeof(from.sa)};
    int fd = udp_socket(AF_INET6);
    must("bind", bind(fd, SA(any)));
    peer_send_to(DGRAM, AF_INET, port_of(fd), "hello", 5);
    say_bytes("recvfrom", recvfrom(fd, text, sizeof(text), 0, (struct sockaddr *)&from.sa, &from.len), text);
    say_address("from", &from.sa, peer_port);
    say_rc("sendto", sendto(fd, "world", 5, 0, SA(from)));
    peer_says_datagram(DGRAM);
}

static void polls(int kind)
{
    int fd = pair(kind), set = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN};
    must("epoll_ctl", epoll_ctl(set, EPOLL_CTL_ADD, fd, &event));
    peer_later(20);
    peer_send(CONN, "x");
    say_rc("epoll_wait", epoll_wait(set, &event, 1, -1));
    say_poll("poll", await_for(fd, POLLIN | POLLOUT, 0));
}

static void ipv4_option(int arg)
{
    int one = 1, value = 0;
    socklen_t len = sizeof(value);
    say_rc("on-inet", setsockopt(tcp_socket(AF_INET), IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)));
    say_rc("unknown", setsockopt(tcp_socket(AF_INET6), IPPROTO_IPV6, 7777, &one, sizeof(one)));
    say_rc("get-unknown", getsockopt(tcp_socket(AF_INET6), IPPROTO_IPV6, 7777, &value, &len));
    say_rc("hops", getsockopt(tcp_socket(AF_INET6), IPPROTO_IPV6, IPV6_UNICAST_HOPS, &value, &len));
    say("hops=%d", value);
}

static const struct conf_case cases[] = {
    {"inet6.basic", basic, OUT6},
    {"inet6.basic.accepted", basic, IN6},
    {"inet6.shutdown", shut, OUT6},
    {"inet6.shutdown.accepted", shut, IN6},
    {"inet6.reset", reset, OUT6},
    {"inet6.reset.accepted", reset, IN6},
    {"inet6.bulk", bulk, OUT6},
    {"inet6.bulk.accepted", bulk, IN6},
    {"inet6.refused", refused, 0},
    {"inet6.nonblock", nonblocking, 0},
    {"inet6.mapped.connect", connect_mapped, 0},
    {"inet6.mapped.accept", accept_mapped, 0},
    {"inet6.mapped.bind", bind_mapped, 0},
    {"inet6.mapped.dgram", datagrams_mapped, 0},
    {"inet6.v6only", only, 0},
    {"inet6.v6only.mapped", only_connects_no_mapped, 0},
    {"inet6.one-port", two_families_one_port, 0},
    {"inet6.one-port.v6only", two_families_one_port, 1},
    {"inet6.polls", polls, OUT6},
    {"inet6.options", ipv4_option, 0},
};

CONF_GROUP(ipv6_cases, cases);
