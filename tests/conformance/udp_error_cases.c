/* SPDX-License-Identifier: Apache-2.0 */
/* What comes back when nobody takes a datagram, and who may share a port. */
#include "tests/conformance/case.h"
#include "tests/conformance/peer.h"

static struct address nobody(int family)
{
    uint16_t port = peer_datagram(DGRAM, family);
    peer_close(DGRAM);
    return address_of_peer(family, port);
}

static void refused_told_by_recv(int family)
{
    char byte;
    struct address to = nobody(family);
    int fd = udp_socket(family);
    say_rc("connect", connect(fd, SA(to)));
    say_rc("send", send(fd, "x", 1, 0));
    say_poll("poll", await(fd, 0));
    say_rc("recv", recv(fd, &byte, 1, MSG_DONTWAIT));
    say_rc("recv", recv(fd, &byte, 1, MSG_DONTWAIT));
}

static void refused_told_by_send(int arg)
{
    struct address to = nobody(AF_INET);
    int fd = udp_socket(AF_INET);
    say_rc("connect", connect(fd, SA(to)));
    say_rc("send", send(fd, "x", 1, 0));
    await(fd, 0);
    say_rc("send", send(fd, "x", 1, 0));
}

static void refused_told_by_option(int arg)
{
    int error = -1;
    socklen_t len = sizeof(error);
    struct address to = nobody(AF_INET);
    int fd = udp_socket(AF_INET);
    say_rc("connect", connect(fd, SA(to)));
    say_rc("send", send(fd, "x", 1, 0));
    await(fd, 0);
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
    say("so_error=%s", error_name(error));
    say_poll("after", await_for(fd, POLLIN | POLLOUT, 0));
}

static void refused_wakes(int arg)
{
    char byte;
    struct address to = nobody(AF_INET);
    int fd = udp_socket(AF_INET);
    say_rc("connect", connect(fd, SA(to)));
    say_rc("send", send(fd, "x", 1, 0));
    say_rc("recv", recv(fd, &byte, 1, 0));
}

static void connect_without_route(int family)
{
    struct address to = address_of(family == AF_INET ? "192.0.2.77" : "2001:db8::77", 53);
    int fd = udp_socket(family);
    say_rc("connect", connect(fd, SA(to)));
    say_rc("send", send(fd, "x", 1, 0));
}

static void unconnected_hears_nothing(int arg)
{
    char byte;
    struct address to = nobody(AF_INET);
    int fd = udp_socket(AF_INET);
    say_rc("sendto", sendto(fd, "x", 1, 0, SA(to)));
    say_poll("poll", await_for(fd, POLLIN, SKIP_NOTHING_MS));
    say_rc("recv", recv(fd, &byte, 1, MSG_DONTWAIT));
}

static void closed_is_gone(int arg)
{
    uint16_t port;
    int fd = udp_bound(AF_INET, &port);
    peer_datagram(DGRAM, AF_INET);
    say_rc("close", close(fd));
    peer_send_to(DGRAM, AF_INET, port, "nobody", 6);
    there_and_back(); /* it must have come before there is another socket at the port */
    fd = udp_socket(AF_INET);
    struct address self = address_of_self(AF_INET, port);
    say_rc("bind", bind(fd, SA(self)));
    say_poll("poll", await_for(fd, POLLIN, SKIP_NOTHING_MS));
}

static void connected_wins(int arg)
{
    /* Two on one port: what the connected one's peer sends is the connected one's. */
    uint16_t port;
    int one = 1, any = udp_socket(AF_INET);
    setsockopt(any, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    struct address self = address_of_self(AF_INET, 0);
    must("bind", bind(any, SA(self)));
    port = port_of(any);
    int fd = udp_socket(AF_INET);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    self = address_of_self(AF_INET, port);
    say_rc("bind", bind(fd, SA(self)));
    struct address to = address_of_peer(AF_INET, peer_datagram(DGRAM, AF_INET));
    say_rc("connect", connect(fd, SA(to)));
    peer_datagram(DGRAM2, AF_INET);
    peer_send_to(DGRAM, AF_INET, port, "friend", 6);
    peer_send_to(DGRAM2, AF_INET, port, "stranger", 8);
    char text[16];
    await(fd, POLLIN);
    await(any, POLLIN);
    say_bytes("connected", recv(fd, text, sizeof(text), MSG_DONTWAIT), text);
    say_bytes("other", recv(any, text, sizeof(text), MSG_DONTWAIT), text);
}

static void over_fork(int arg)
{
    uint16_t port;
    char text[16];
    int fd = udp_bound(AF_INET, &port);
    struct address to = address_of_peer(AF_INET, peer_datagram(DGRAM, AF_INET));
    pid_t child = fork();
    if (child == 0)
        _exit(sendto(fd, "child", 5, 0, SA(to)) == 5 ? 0 : 1);
    end_child("child", child);
    peer_says_datagram(DGRAM);
    peer_send_to(DGRAM, AF_INET, port, "parent", 6);
    say_bytes("recv", recv(fd, text, sizeof(text), 0), text);
}

static const struct conf_case cases[] = {
    {"udp.refused.recv", refused_told_by_recv, AF_INET},
    {"udp.refused.recv.inet6", refused_told_by_recv, AF_INET6},
    {"udp.refused.send", refused_told_by_send, 0},
    {"udp.refused.option", refused_told_by_option, 0},
    {"udp.refused.wakes", refused_wakes, 0},
    {"udp.refused.unconnected", unconnected_hears_nothing, 0},
    {"udp.no-route", connect_without_route, AF_INET},
    {"udp.no-route.inet6", connect_without_route, AF_INET6},
    {"udp.closed", closed_is_gone, 0},
    {"udp.connected.wins", connected_wins, 0},
    {"udp.fork", over_fork, 0},
};

CONF_GROUP(udp_error_cases, cases);
