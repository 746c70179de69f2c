/* SPDX-License-Identifier: Apache-2.0 */
/* Datagrams. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tests/conformance/case.h"
#include "tests/conformance/peer.h"

static char text[2048];

static void say_recv(const char *what, int fd, size_t len, int flags)
{
    say_bytes(what, recv(fd, text, len, flags), text);
}

static void basic(int family)
{
    uint16_t port, peer_port = peer_datagram(DGRAM, family);
    int fd = udp_bound(family, &port);
    struct address to = address_of_peer(family, peer_port), from = {.len = sizeof(from.sa)};
    say_rc("sendto", sendto(fd, "hello", 5, 0, SA(to)));
    peer_says_datagram(DGRAM);
    peer_send_to(DGRAM, family, port, "world", 5);
    say_bytes("recvfrom", recvfrom(fd, text, 100, 0, (struct sockaddr *)&from.sa, &from.len), text);
    say("length=%u", from.len);
    say_address("from", &from.sa, peer_port);
}

static void borders_kept(int arg)
{
    uint16_t port;
    int fd = udp_bound(AF_INET, &port);
    peer_datagram(DGRAM, AF_INET);
    peer_send_to(DGRAM, AF_INET, port, "one", 3);
    peer_send_to(DGRAM, AF_INET, port, "two", 3);
    peer_send_to(DGRAM, AF_INET, port, "three", 5);
    say_recv("recv", fd, 100, 0);
    say_recv("recv", fd, 100, 0);
    say_recv("recv", fd, 100, 0);
    say_recv("recv", fd, 100, MSG_DONTWAIT);
}

static void rest_is_lost(int arg)
{
    uint16_t port;
    int fd = udp_bound(AF_INET, &port);
    peer_datagram(DGRAM, AF_INET);
    peer_send_to(DGRAM, AF_INET, port, "abcdefgh", 8);
    peer_send_to(DGRAM, AF_INET, port, "next", 4);
    say_recv("recv", fd, 3, 0);
    say_recv("recv", fd, 100, 0);
}

static void truncation(int arg)
{
    uint16_t port;
    int fd = udp_bound(AF_INET, &port);
    peer_datagram(DGRAM, AF_INET);
    peer_send_to(DGRAM, AF_INET, port, "abcdefgh", 8);
    memset(text, '.', sizeof(text));
    say_recv("peek", fd, 3, MSG_TRUNC | MSG_PEEK);
    say_recv("recv", fd, 3, MSG_TRUNC);
    peer_send_to(DGRAM, AF_INET, port, "abcdefgh", 8);
    struct iovec part = {text, 3};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    say_rc("recvmsg", recvmsg(fd, &message, 0));
    say("trunc=%d", (message.msg_flags & MSG_TRUNC) != 0);
}

static void peek(int arg)
{
    uint16_t port;
    int fd = udp_bound(AF_INET, &port);
    peer_datagram(DGRAM, AF_INET);
    peer_send_to(DGRAM, AF_INET, port, "peek", 4);
    peer_send_to(DGRAM, AF_INET, port, "next", 4);
    say_recv("peek", fd, 100, MSG_PEEK);
    say_recv("peek", fd, 2, MSG_PEEK);
    say_recv("recv", fd, 100, 0);
    say_recv("peek", fd, 100, MSG_PEEK);
}

static void empty(int arg)
{
    uint16_t port;
    int fd = udp_bound(AF_INET, &port);
    struct address to = address_of_peer(AF_INET, peer_datagram(DGRAM, AF_INET));
    say_rc("sendto", sendto(fd, NULL, 0, 0, SA(to)));
    peer_says_datagram(DGRAM);
    peer_send_to(DGRAM, AF_INET, port, "", 0);
    say_poll("poll", await(fd, POLLIN));
    int num = -1;
    ioctl(fd, FIONREAD, &num);
    say("fionread=%d", num);
    say_rc("recv", recv(fd, text, 100, 0));
    say_recv("none", fd, 100, MSG_DONTWAIT);
}

static void read_zero(int arg)
{
    /* A read of no bytes takes a datagram. */
    uint16_t port;
    int fd = udp_bound(AF_INET, &port);
    peer_datagram(DGRAM, AF_INET);
    peer_send_to(DGRAM, AF_INET, port, "one", 3);
    peer_send_to(DGRAM, AF_INET, port, "two", 3);
    say_rc("recv", recv(fd, text, 0, 0));
    say_recv("recv", fd, 100, 0);
}

static void connected(int family)
{
    uint16_t peer_port = peer_datagram(DGRAM, family);
    struct address to = address_of_peer(family, peer_port);
    int fd = udp_socket(family);
    say_rc("connect", connect(fd, SA(to)));
    say_rc("send", send(fd, "send", 4, 0));
    peer_says_datagram(DGRAM);
    say_rc("write", write(fd, "write", 5));
    peer_says_datagram(DGRAM);
    say_rc("sendto", sendto(fd, "sendto", 6, 0, SA(to)));
    peer_says_datagram(DGRAM);
    peer_send_to(DGRAM, family, port_of(fd), "answer", 6);
    say_bytes("read", read(fd, text, 100), text);
}

static void connected_filters(int arg)
{
    struct address to = address_of_peer(AF_INET, peer_datagram(DGRAM, AF_INET));
    peer_datagram(DGRAM2, AF_INET);
    int fd = udp_socket(AF_INET);
    say_rc("connect", connect(fd, SA(to)));
    uint16_t port = port_of(fd);
    peer_send_to(DGRAM2, AF_INET, port, "stranger", 8);
    peer_send_to(DGRAM, AF_INET, port, "friend", 6);
    say_recv("recv", fd, 100, 0);
    say_poll("poll", await_for(fd, POLLIN, SKIP_NOTHING_MS));
}

static void connected_elsewhere(int arg)
{
    struct address first = address_of_peer(AF_INET, peer_datagram(DGRAM, AF_INET));
    struct address second = address_of_peer(AF_INET, peer_datagram(DGRAM2, AF_INET));
    int fd = udp_socket(AF_INET);
    say_rc("connect", connect(fd, SA(first)));
    say_rc("sendto", sendto(fd, "second", 6, 0, SA(second)));
    peer_says_datagram(DGRAM2);
    say_rc("connect", connect(fd, SA(second)));
    say_rc("send", send(fd, "default", 7, 0));
    peer_says_datagram(DGRAM2);
}

static void disconnected(int arg)
{
    struct address to = address_of_peer(AF_INET, peer_datagram(DGRAM, AF_INET));
    struct address none = {.sa.ss_family = AF_UNSPEC, .len = sizeof(struct sockaddr_in)};
    int fd = udp_socket(AF_INET);
    say_rc("connect", connect(fd, SA(to)));
    say_rc("unspec", connect(fd, SA(none)));
    say_rc("send", send(fd, "x", 1, 0));
    say_rc("sendto", sendto(fd, "free", 4, 0, SA(to)));
    peer_says_datagram(DGRAM);
}

static void send_errors(int arg)
{
    struct address to = address_of_peer(AF_INET, peer_datagram(DGRAM, AF_INET));
    static char bytes[70000];
    int fd = udp_socket(AF_INET);
    say_rc("no-address", send(fd, "x", 1, 0));
    say_rc("write", write(fd, "x", 1));
    say_rc("too-long", sendto(fd, bytes, sizeof(bytes), 0, SA(to)));
    to.len = 3;
    say_rc("short", sendto(fd, "x", 1, 0, SA(to)));
    to = address_of_peer(AF_INET6, 1);
    say_rc("family", sendto(fd, "x", 1, 0, SA(to)));
    to = address_of_peer(AF_INET, 0);
    say_rc("port-zero", sendto(fd, "x", 1, 0, SA(to)));
}

/* That there is no way is told by the call itself or, when that could not know it yet, as the socket's error.
 */
static void send_without_route(int arg)
{
    static const char *const hosts[] = {"192.0.2.77", "255.255.255.255"};
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        int fd = udp_socket(AF_INET), error = 0;
        socklen_t len = sizeof error;
        struct address to = address_of(hosts[i], 9);
        if (sendto(fd, "x", 1, 0, SA(to)) < 0) {
            error = errno;
        } else {
            struct pollfd pollfd = {.fd = fd};
            poll(&pollfd, 1, PATIENCE_MS);
            getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
        }
        say("%s=%s", i == 0 ? "no-route" : "broadcast", error == ENETUNREACH ? "ENETUNREACH" : "other");
        close(fd);
    }
}

static void send_to_all(int arg)
{
    char ip[64];
    int fd = udp_socket(AF_INET), one = 1;
    snprintf(ip, sizeof(ip), "%s", peer_ip(AF_INET));
    char *last = strrchr(ip, '.');
    snprintf(last, sizeof(ip) - (size_t)(last - ip), ".255");
    struct address to = address_of(ip, 9);
    say_rc("forbidden", sendto(fd, "x", 1, 0, SA(to)));
    say_rc("connect", connect(fd, SA(to)));
    must("setsockopt", setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &one, sizeof(one)));
    say_rc("allowed", sendto(fd, "x", 1, 0, SA(to)));
}

static void receive_errors(int arg)
{
    int fd = udp_socket(AF_INET);
    say_recv("nothing", fd, 10, MSG_DONTWAIT);
    set_timeout(fd, SO_RCVTIMEO, 20);
    say_recv("timeout", fd, 10, 0);
    say_recv("oob", fd, 10, MSG_OOB | MSG_DONTWAIT);
    say_fd("accept", accept(fd, NULL, NULL));
}

static void sizes(int len)
{
    static char bytes[65536];
    uint16_t port, peer_port = peer_datagram(DGRAM, AF_INET);
    int fd = udp_bound(AF_INET, &port);
    struct address to = address_of_peer(AF_INET, peer_port);
    say_rc("sendto", sendto(fd, bytes, (size_t)len, 0, SA(to)));
    peer_says_datagram(DGRAM);
}

static void number_to_read(int arg)
{
    uint16_t port;
    int num = -1, fd = udp_bound(AF_INET, &port);
    peer_datagram(DGRAM, AF_INET);
    say_rc("ioctl", ioctl(fd, FIONREAD, &num));
    say("none=%d", num);
    peer_send_to(DGRAM, AF_INET, port, "four", 4);
    peer_send_to(DGRAM, AF_INET, port, "longer", 6);
    await(fd, POLLIN);
    ioctl(fd, FIONREAD, &num);
    say("first=%d", num);
}

static void readiness(int arg)
{
    uint16_t port;
    int fd = udp_bound(AF_INET, &port);
    peer_datagram(DGRAM, AF_INET);
    say_poll("fresh", await_for(fd, POLLIN | POLLOUT | POLLRDHUP, 0));
    peer_send_to(DGRAM, AF_INET, port, "x", 1);
    say_poll("one", await(fd, POLLIN | POLLRDHUP));
    say_recv("recv", fd, 10, 0);
    say_poll("none", await_for(fd, POLLIN | POLLOUT, 0));
}

static void blocks_until(int arg)
{
    uint16_t port;
    int fd = udp_bound(AF_INET, &port);
    peer_datagram(DGRAM, AF_INET);
    peer_later(30);
    peer_send_to(DGRAM, AF_INET, port, "late", 4);
    say_recv("recv", fd, 10, 0);
}

static void address_lengths(int len)
{
    uint16_t port;
    int fd = udp_bound(AF_INET, &port);
    struct address from;
    memset(&from, 0x5a, sizeof(from));
    from.len = (socklen_t)len;
    peer_datagram(DGRAM, AF_INET);
    peer_send_to(DGRAM, AF_INET, port, "x", 1);
    say_rc("recvfrom", recvfrom(fd, text, 10, 0, (struct sockaddr *)&from.sa, &from.len));
    say("length=%d", (int)from.len);
}

static void from_any(int arg)
{
    uint16_t peer_port = peer_datagram(DGRAM, AF_INET);
    int fd = udp_socket(AF_INET);
    struct address any = address_any(AF_INET, 0), from = {.len = sizeof(from.sa)};
    say_rc("bind", bind(fd, SA(any)));
    peer_send_to(DGRAM, AF_INET, port_of(fd), "to-any", 6);
    say_bytes("recvfrom", recvfrom(fd, text, 10, 0, (struct sockaddr *)&from.sa, &from.len), text);
    say_address("from", &from.sa, peer_port);
    say_rc("sendto", sendto(fd, "back", 4, 0, SA(from)));
    peer_says_datagram(DGRAM);
}

static void send_binds(int arg)
{
    struct address to = address_of_peer(AF_INET, peer_datagram(DGRAM, AF_INET));
    int fd = udp_socket(AF_INET);
    say_rc("sendto", sendto(fd, "x", 1, 0, SA(to)));
    uint16_t port = port_of(fd);
    say_rc("sendto", sendto(fd, "y", 1, 0, SA(to)));
    say("same=%d", port_of(fd) == port);
    peer_says_datagram(DGRAM);
    peer_says_datagram(DGRAM);
    peer_send_to(DGRAM, AF_INET, port, "back", 4);
    say_recv("recv", fd, 10, 0);
}

static void vectors(int arg)
{
    char abc[] = "abc", def[] = "def";
    struct iovec parts[2] = {{abc, 3}, {def, 3}};
    struct address to = address_of_peer(AF_INET, peer_datagram(DGRAM, AF_INET));
    int fd = udp_socket(AF_INET);
    say_rc("connect", connect(fd, SA(to)));
    say_rc("writev", writev(fd, parts, 2));
    peer_says_datagram(DGRAM);
    peer_send_to(DGRAM, AF_INET, port_of(fd), "uvwxyz", 6);
    say_rc("readv", readv(fd, parts, 2));
    say("%s,%s", abc, def);
}

static void queue_overflows(int arg)
{
    /* More than a small queue holds: the first stay, and the socket still works. */
    uint16_t port;
    int fd = udp_bound(AF_INET, &port), len = 4096;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &len, sizeof(len));
    peer_datagram(DGRAM, AF_INET);
    memset(text, 'a', 1000);
    for (int i = 0; i < 100; i++)
        peer_send_to(DGRAM, AF_INET, port, text, 1000);
    there_and_back();
    say_rc("first", recv(fd, text, sizeof(text), 0));
    do { /* what came found the queue full, or has been waiting for room */
        while (recv(fd, text, sizeof(text), MSG_DONTWAIT) > 0)
            ;
        there_and_back();
    } while (await_for(fd, POLLIN, 0) != 0);
    peer_send_to(DGRAM, AF_INET, port, "works", 5);
    say_recv("recv", fd, 10, 0);
}

static const struct conf_case cases[] = {
    {"udp.basic", basic, AF_INET},
    {"udp.basic.inet6", basic, AF_INET6},
    {"udp.borders", borders_kept, 0},
    {"udp.rest-is-lost", rest_is_lost, 0},
    {"udp.trunc", truncation, 0},
    {"udp.peek", peek, 0},
    {"udp.empty", empty, 0},
    {"udp.read-zero", read_zero, 0},
    {"udp.connected", connected, AF_INET},
    {"udp.connected.inet6", connected, AF_INET6},
    {"udp.connected.filters", connected_filters, 0},
    {"udp.connected.elsewhere", connected_elsewhere, 0},
    {"udp.disconnected", disconnected, 0},
    {"udp.send.errors", send_errors, 0},
    {"udp.send.no-route", send_without_route, 0},
    {"udp.send.to-all", send_to_all, 0},
    {"udp.receive.errors", receive_errors, 0},
    {"udp.size.1472", sizes, 1472},
    {"udp.size.4000", sizes, 4000},
    {"udp.size.60000", sizes, 60000},
    {"udp.fionread", number_to_read, 0},
    {"udp.poll", readiness, 0},
    {"udp.blocks", blocks_until, 0},
    {"udp.address.zero", address_lengths, 0},
    {"udp.address.short", address_lengths, 5},
    {"udp.address.long", address_lengths, 100},
    {"udp.any", from_any, 0},
    {"udp.send-binds", send_binds, 0},
    {"udp.vector", vectors, 0},
    {"udp.overflow", queue_overflows, 0},
};

CONF_GROUP(udp_cases, cases);
