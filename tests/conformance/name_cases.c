/* SPDX-License-Identifier: Apache-2.0 */
/* getsockname() and getpeername() in every state. */
#include "tests/conformance/case.h"
#include "tests/conformance/peer.h"

static void say_names(int fd, uint16_t self_port, uint16_t peer_port)
{
    struct address name = {.len = sizeof(name.sa)};
    if (say_rc("getsockname", getsockname(fd, (struct sockaddr *)&name.sa, &name.len)) == 0) {
        say_address("self", &name.sa, self_port);
        say("length=%u", name.len);
    }
    name.len = sizeof(name.sa);
    if (say_rc("getpeername", getpeername(fd, (struct sockaddr *)&name.sa, &name.len)) == 0) {
        say_address("peer", &name.sa, peer_port);
        say("length=%u", name.len);
    }
}

static void fresh(int family)
{
    say_names(tcp_socket(family), 0, 0);
}

static void fresh_datagram(int family)
{
    say_names(udp_socket(family), 0, 0);
}

static void bound(int family)
{
    int fd = tcp_socket(family);
    struct address self = address_of_self(family, 0);
    must("bind", bind(fd, SA(self)));
    say_names(fd, port_of(fd), 0);
}

static void listening(int family)
{
    uint16_t port;
    int fd = listener(family, &port);
    say_names(fd, port, 0);
}

static void connected(int kind)
{
    int fd = pair(kind);
    say_names(fd, port_of(fd), 0);
}

static void peer_closed(int kind)
{
    int fd = pair(kind);
    peer_close(CONN);
    await_end(fd);
    say_names(fd, 0, 0);
}

static void peer_reset_it(int kind)
{
    int fd = pair(kind);
    peer_reset(CONN);
    await_reset(fd);
    say_names(fd, 0, 0);
}

static void shut_for_writing(int kind)
{
    int fd = pair(kind);
    must("shutdown", shutdown(fd, SHUT_WR));
    say_names(fd, 0, 0);
}

static void shut_and_peer_closed(int kind)
{
    int fd = pair(kind);
    must("shutdown", shutdown(fd, SHUT_RDWR));
    peer_close(CONN);
    await(fd, POLLRDHUP);
    /* Whether the last acknowledgement has come is nobody's to know, but an end that both saw is one. */
    char byte;
    say_rc("read", read(fd, &byte, 1));
}

static void both_ends_agree(int kind)
{
    struct address name = {.len = sizeof(name.sa)};
    int fd = pair(kind);
    must("getsockname", getsockname(fd, (struct sockaddr *)&name.sa, &name.len));
    uint16_t port = port_of(fd);
    say("port=%d", address_port(&name) == port);
    int duplicate = dup(fd);
    say_names(duplicate, port, 0);
}

static void refused(int arg)
{
    uint16_t port = peer_listen(LISTENER, AF_INET);
    peer_close(LISTENER);
    struct address to = address_of_peer(AF_INET, port), name = {.len = sizeof(name.sa)};
    int fd = tcp_socket(AF_INET);
    say_rc("connect", connect(fd, SA(to)));
    say_rc("getpeername", getpeername(fd, (struct sockaddr *)&name.sa, &name.len));
}

static void datagram_connected(int family)
{
    struct address to = address_of_peer(family, peer_datagram(DGRAM, family));
    int fd = udp_socket(family);
    must("connect", connect(fd, SA(to)));
    say_names(fd, 0, address_port(&to));
    struct address none = {.sa.ss_family = AF_UNSPEC, .len = sizeof(struct sockaddr_in)};
    say_rc("unspec", connect(fd, SA(none)));
    struct address name = {.len = sizeof(name.sa)};
    say_rc("getpeername", getpeername(fd, (struct sockaddr *)&name.sa, &name.len));
}

static void datagram_sent(int arg)
{
    struct address to = address_of_peer(AF_INET, peer_datagram(DGRAM, AF_INET));
    int fd = udp_socket(AF_INET);
    say_rc("sendto", sendto(fd, "x", 1, 0, SA(to)));
    say_names(fd, 0, 0);
}

static void lengths(int arg)
{
    int fd = pair(OUT4);
    for (int len = 0; len <= 128; len = len == 0 ? 3 : len * 3) {
        struct address name;
        memset(&name, 0x5a, sizeof(name));
        name.len = (socklen_t)len;
        say_rc("getsockname", getsockname(fd, (struct sockaddr *)&name.sa, &name.len));
        const uint8_t *bytes = (const uint8_t *)&name.sa;
        int written = (int)sizeof(name.sa);
        while (written > 0 && bytes[written - 1] == 0x5a)
            written--;
        say("%d:length=%u,over=%d", len, name.len, written > len);
    }
    struct address name = {.len = (socklen_t)-4};
    say_rc("negative", getsockname(fd, (struct sockaddr *)&name.sa, &name.len));
    name.len = (socklen_t)-4;
    say_rc("negative", getpeername(fd, (struct sockaddr *)&name.sa, &name.len));
}

static void nulls(int arg)
{
    int fd = pair(OUT4);
    struct address name = {.len = sizeof(name.sa)};
    socklen_t zero = 0;
    say_rc("no-length", getsockname(fd, (struct sockaddr *)&name.sa, NULL));
    say_rc("no-address", getsockname(fd, NULL, &name.len));
    say_rc("no-address-zero", getsockname(fd, NULL, &zero));
    say_rc("peer-no-length", getpeername(fd, (struct sockaddr *)&name.sa, NULL));
}

static void bad_descriptor(int arg)
{
    int pipes[2];
    struct address name = {.len = sizeof(name.sa)};
    must("pipe", pipe(pipes));
    say_rc("sock.closed", getsockname(150, (struct sockaddr *)&name.sa, &name.len));
    say_rc("sock.pipe", getsockname(pipes[0], (struct sockaddr *)&name.sa, &name.len));
    say_rc("peer.closed", getpeername(150, (struct sockaddr *)&name.sa, &name.len));
    say_rc("peer.pipe", getpeername(pipes[0], (struct sockaddr *)&name.sa, &name.len));
}

static const struct conf_case cases[] = {
    {"name.fresh", fresh, AF_INET},
    {"name.fresh.inet6", fresh, AF_INET6},
    {"name.fresh.dgram", fresh_datagram, AF_INET},
    {"name.bound", bound, AF_INET},
    {"name.bound.inet6", bound, AF_INET6},
    {"name.listening", listening, AF_INET},
    {"name.connected", connected, OUT4},
    {"name.accepted", connected, IN4},
    {"name.connected.inet6", connected, OUT6},
    {"name.accepted.inet6", connected, IN6},
    {"name.peer-closed", peer_closed, OUT4},
    {"name.peer-reset", peer_reset_it, OUT4},
    {"name.peer-reset.accepted", peer_reset_it, IN4},
    {"name.shut", shut_for_writing, OUT4},
    {"name.both-closed", shut_and_peer_closed, IN4},
    {"name.duplicate", both_ends_agree, OUT4},
    {"name.refused", refused, 0},
    {"name.dgram.connected", datagram_connected, AF_INET},
    {"name.dgram.connected.inet6", datagram_connected, AF_INET6},
    {"name.dgram.sent", datagram_sent, 0},
    {"name.lengths", lengths, 0},
    {"name.null", nulls, 0},
    {"name.descriptor.bad", bad_descriptor, 0},
};

CONF_GROUP(name_cases, cases);
