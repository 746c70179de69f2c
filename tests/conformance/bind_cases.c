/* SPDX-License-Identifier: Apache-2.0 */
/* bind(): which names a socket can have. Fixed ports are below the range from which the kernel chooses. */
#include "tests/conformance/case.h"
#include "tests/conformance/peer.h"

static int bind_to(const char *what, int fd, struct address address)
{
    return (int)say_rc(what, bind(fd, SA(address)));
}

static void say_name(int fd, uint16_t port)
{
    struct address name = {.len = sizeof(name.sa)};
    say_rc("getsockname", getsockname(fd, (struct sockaddr *)&name.sa, &name.len));
    say_address("name", &name.sa, port);
}

enum { ANY, SELF, FOREIGN, PEERS, BROADCAST, MULTICAST };

static struct address address_at(int where, int family, uint16_t port)
{
    switch (where) {
    case ANY: return address_any(family, port);
    case SELF: return address_of_self(family, port);
    case FOREIGN: return address_of(family == AF_INET ? "192.0.2.77" : "2001:db8::77", port);
    case PEERS: return address_of_peer(family, port);
    case BROADCAST: return address_of("255.255.255.255", port);
    default: return address_of(family == AF_INET ? "224.0.0.77" : "ff02::77", port);
    }
}

static void port_zero_at(int where)
{
    int fd = tcp_socket(AF_INET);
    bind_to("bind", fd, address_at(where, AF_INET, 0));
    say_name(fd, 0);
}

static void datagram_port_zero_at(int where)
{
    int fd = udp_socket(AF_INET);
    bind_to("bind", fd, address_at(where, AF_INET, 0));
    say_name(fd, 0);
}

static void fixed_port_at(int where)
{
    int fd = tcp_socket(AF_INET);
    bind_to("bind", fd, address_at(where, AF_INET, 21001));
    say_name(fd, 21001);
}

static void privileged(int arg)
{
    bind_to("bind", tcp_socket(AF_INET), address_of_self(AF_INET, 81));
}

static void twice(int arg)
{
    int fd = tcp_socket(AF_INET);
    bind_to("first", fd, address_of_self(AF_INET, 0));
    bind_to("second", fd, address_of_self(AF_INET, 0));
}

static void datagram_twice(int arg)
{
    int fd = udp_socket(AF_INET);
    bind_to("first", fd, address_of_self(AF_INET, 0));
    bind_to("second", fd, address_of_self(AF_INET, 0));
}

static void after_connect(int arg)
{
    bind_to("bind", pair(OUT4), address_of_self(AF_INET, 0));
}

static void after_listen(int arg)
{
    uint16_t port;
    bind_to("bind", listener(AF_INET, &port), address_of_self(AF_INET, 0));
}

static void family_wrong(int arg)
{
    bind_to("inet6-on-inet", tcp_socket(AF_INET), address_of_self(AF_INET6, 0));
    bind_to("inet-on-inet6", tcp_socket(AF_INET6), address_of_self(AF_INET, 0));
}

static void family_unspec(int arg)
{
    struct address any = address_any(AF_INET, 0), self = address_of_self(AF_INET, 0);
    any.sa.ss_family = self.sa.ss_family = AF_UNSPEC;
    bind_to("any", tcp_socket(AF_INET), any);
    bind_to("self", tcp_socket(AF_INET), self);
}

static void short_name(int arg)
{
    struct address self = address_of_self(AF_INET, 0);
    int fd = tcp_socket(AF_INET);
    for (int len = 0; len < 16; len += 5) {
        self.len = (socklen_t)len;
        bind_to("bind", fd, self);
    }
    self.len = (socklen_t)-1;
    bind_to("negative", fd, self);
    self.len = sizeof(self.sa);
    bind_to("long", fd, self);
}

static void short_name_inet6(int arg)
{
    struct address self = address_of_self(AF_INET6, 0);
    int fd = tcp_socket(AF_INET6);
    for (int len = 16; len < 28; len += 4) {
        self.len = (socklen_t)len;
        bind_to("bind", fd, self);
    }
}

static void bad_descriptor(int arg)
{
    int pipes[2];
    must("pipe", pipe(pipes));
    bind_to("closed", 150, address_of_self(AF_INET, 0));
    bind_to("negative", -1, address_of_self(AF_INET, 0));
    bind_to("pipe", pipes[0], address_of_self(AF_INET, 0));
    bind_to("stdin", 0, address_of_self(AF_INET, 0));
}

static void no_address(int arg)
{
    say_rc("bind", bind(tcp_socket(AF_INET), NULL, sizeof(struct sockaddr_in)));
}

/* Two sockets with one name: which of them listen and which options they have. */
enum {
    FIRST_LISTENS = 1,
    SECOND_LISTENS = 2,
    REUSE_FIRST = 4,
    REUSE_SECOND = 8,
    PORT_BOTH = 16,
    TO_ANY = 32,
    UDP = 64
};

static void one_name_for_two(int how)
{
    int type = (how & UDP) != 0 ? SOCK_DGRAM : SOCK_STREAM, one = 1;
    int first = (int)must("socket", socket(AF_INET, type, 0));
    int second = (int)must("socket", socket(AF_INET, type, 0));
    if ((how & REUSE_FIRST) != 0)
        setsockopt(first, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if ((how & REUSE_SECOND) != 0)
        setsockopt(second, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if ((how & PORT_BOTH) != 0) {
        setsockopt(first, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
        setsockopt(second, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
    }
    bind_to("first", first, address_of_self(AF_INET, 0));
    if ((how & FIRST_LISTENS) != 0)
        say_rc("listen", listen(first, 4));
    uint16_t port = port_of(first);
    int rc = bind_to("second", second,
                     (how & TO_ANY) != 0 ? address_any(AF_INET, port) : address_of_self(AF_INET, port));
    if (rc == 0 && (how & SECOND_LISTENS) != 0)
        say_rc("listen", listen(second, 4));
}

static void again_after_close(int arg)
{
    uint16_t port;
    int fd = listener(AF_INET, &port);
    close(fd);
    fd = tcp_socket(AF_INET);
    bind_to("bind", fd, address_of_self(AF_INET, port));
    say_rc("listen", listen(fd, 4));
    peer_connects(CONN, AF_INET, port);
}

static void connections_stay(int reuse)
{
    uint16_t port;
    int door = listener(AF_INET, &port);
    peer_connect(CONN, AF_INET, port);
    must("accept", accept(door, NULL, NULL));
    close(door);
    int again = tcp_socket(AF_INET);
    setsockopt(again, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof(reuse));
    bind_to("bind", again, address_of_self(AF_INET, port));
}

static void both_protocols(int arg)
{
    int stream = tcp_socket(AF_INET);
    bind_to("udp", udp_socket(AF_INET), address_of_self(AF_INET, 21002));
    bind_to("tcp", stream, address_of_self(AF_INET, 21002));
    say_rc("listen", listen(stream, 1));
}

static void failed_bind_leaves_nothing(int arg)
{
    int fd = tcp_socket(AF_INET);
    bind_to("foreign", fd, address_at(FOREIGN, AF_INET, 0));
    say_name(fd, 0);
    bind_to("self", fd, address_of_self(AF_INET, 0));
    say_name(fd, 0);
}

static void then_connect(int where)
{
    struct address to = address_of_peer(AF_INET, peer_listen(LISTENER, AF_INET));
    int fd = tcp_socket(AF_INET);
    bind_to("bind", fd, address_at(where, AF_INET, 0));
    uint16_t port = port_of(fd);
    say_rc("connect", connect(fd, SA(to)));
    say_name(fd, port);
}

static const struct conf_case cases[] = {
    {"bind.any.port-zero", port_zero_at, ANY},
    {"bind.self.port-zero", port_zero_at, SELF},
    {"bind.foreign", port_zero_at, FOREIGN},
    {"bind.peers-address", port_zero_at, PEERS},
    {"bind.broadcast", port_zero_at, BROADCAST},
    {"bind.multicast", port_zero_at, MULTICAST},
    {"bind.dgram.any", datagram_port_zero_at, ANY},
    {"bind.dgram.self", datagram_port_zero_at, SELF},
    {"bind.dgram.foreign", datagram_port_zero_at, FOREIGN},
    {"bind.any.port-fixed", fixed_port_at, ANY},
    {"bind.self.port-fixed", fixed_port_at, SELF},
    {"bind.privileged", privileged, 0},
    {"bind.twice", twice, 0},
    {"bind.dgram.twice", datagram_twice, 0},
    {"bind.connected", after_connect, 0},
    {"bind.listening", after_listen, 0},
    {"bind.family.wrong", family_wrong, 0},
    {"bind.family.unspec", family_unspec, 0},
    {"bind.length", short_name, 0},
    {"bind.length.inet6", short_name_inet6, 0},
    {"bind.descriptor.bad", bad_descriptor, 0},
    {"bind.address.null", no_address, 0},
    {"bind.in-use", one_name_for_two, 0},
    {"bind.in-use.listening", one_name_for_two, FIRST_LISTENS},
    {"bind.in-use.listening.any", one_name_for_two, FIRST_LISTENS | TO_ANY},
    {"bind.in-use.reuseaddr", one_name_for_two, REUSE_FIRST | REUSE_SECOND},
    {"bind.in-use.reuseaddr.first", one_name_for_two, REUSE_FIRST},
    {"bind.in-use.reuseaddr.second", one_name_for_two, REUSE_SECOND},
    {"bind.in-use.reuseaddr.listening", one_name_for_two, REUSE_FIRST | REUSE_SECOND | FIRST_LISTENS},
    {"bind.in-use.reuseaddr.both-listen", one_name_for_two, REUSE_FIRST | REUSE_SECOND | SECOND_LISTENS},
    {"bind.in-use.reuseport", one_name_for_two, PORT_BOTH},
    {"bind.in-use.reuseport.both-listen", one_name_for_two, PORT_BOTH | FIRST_LISTENS | SECOND_LISTENS},
    {"bind.in-use.dgram", one_name_for_two, UDP},
    {"bind.in-use.dgram.any", one_name_for_two, UDP | TO_ANY},
    {"bind.in-use.dgram.reuseaddr", one_name_for_two, UDP | REUSE_FIRST | REUSE_SECOND},
    {"bind.in-use.dgram.reuseport", one_name_for_two, UDP | PORT_BOTH},
    {"bind.again-after-close", again_after_close, 0},
    {"bind.connections-stay", connections_stay, 0},
    {"bind.connections-stay.reuseaddr", connections_stay, 1},
    {"bind.both-protocols", both_protocols, 0},
    {"bind.failed-leaves-nothing", failed_bind_leaves_nothing, 0},
    {"bind.then-connect.any", then_connect, ANY},
    {"bind.then-connect.self", then_connect, SELF},
};

CONF_GROUP(bind_cases, cases);
