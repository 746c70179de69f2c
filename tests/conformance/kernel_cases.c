/* SPDX-License-Identifier: Apache-2.0 */
/* What stays with the kernel under the stack: Unix sockets, pipes, loopback; and that all else does what it
 * did. */
#include <fcntl.h>
#include <netdb.h>
#include <sys/eventfd.h>
#include <sys/un.h>

#include "tests/conformance/case.h"
#include "tests/conformance/peer.h"

static char text[64];

static void unix_pair(int type)
{
    int sockets[2];
    say_rc("socketpair", socketpair(AF_UNIX, type, 0, sockets));
    say_rc("write", write(sockets[0], "hello", 5));
    say_bytes("read", read(sockets[1], text, sizeof(text)), text);
    say_rc("send", send(sockets[1], "world", 5, 0));
    say_bytes("recv", recv(sockets[0], text, sizeof(text), 0), text);
    say_rc("shutdown", shutdown(sockets[0], SHUT_WR));
    say_poll("poll", await_for(sockets[1], POLLIN | POLLRDHUP, 0));
}

static void unix_listener(int arg)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    snprintf(name.sun_path + 1, sizeof(name.sun_path) - 1, "pel-conformance-%d", (int)getpid());
    int door = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);
    say_rc("bind", bind(door, (struct sockaddr *)&name, sizeof(name)));
    say_rc("listen", listen(door, 4));
    say_rc("connect", connect(client, (struct sockaddr *)&name, sizeof(name)));
    int fd = say_fd("accept", accept(door, NULL, NULL));
    say_rc("write", write(fd, "unix", 4));
    say_bytes("read", read(client, text, sizeof(text)), text);
}

static void pipes(int arg)
{
    int ends[2];
    say_rc("pipe2", pipe2(ends, O_CLOEXEC | O_NONBLOCK));
    say_rc("read", read(ends[0], text, 1));
    say_rc("write", write(ends[1], "pipe", 4));
    say_bytes("read", read(ends[0], text, sizeof(text)), text);
    close(ends[1]);
    say_rc("end", read(ends[0], text, 1));
    say_rc("recv", recv(ends[0], text, 1, 0));
}

static const char *loopback_of(int family)
{
    return family == AF_INET ? "127.0.0.1" : "::1";
}

static void loopback(int family)
{
    struct address address = address_of(loopback_of(family), 0), name = {.len = sizeof(name.sa)};
    int door = tcp_socket(family), client = tcp_socket(family);
    say_rc("bind", bind(door, SA(address)));
    say_rc("listen", listen(door, 4));
    address = address_of(loopback_of(family), port_of(door));
    say_rc("connect", connect(client, SA(address)));
    int fd = say_fd("accept", accept(door, NULL, NULL));
    getpeername(client, (struct sockaddr *)&name.sa, &name.len);
    say_address("peer", &name.sa, address_port(&address));
    say_rc("write", write(client, "around", 6));
    say_bytes("read", read(fd, text, sizeof(text)), text);
    close(client);
    say_bytes("read", read(fd, text, sizeof(text)), text);
}

static void loopback_refused(int family)
{
    struct address address = address_of(loopback_of(family), 9);
    int fd = tcp_socket(family);
    say_rc("connect", connect(fd, SA(address)));
    set_nonblocking(fd);
    fd = tcp_socket(family);
    set_nonblocking(fd);
    int rc = connect(fd, SA(address));
    say("nonblock=%d", rc == -1 && (errno == EINPROGRESS || errno == ECONNREFUSED));
}

static void loopback_in_a_set(int arg)
{
    /* One set, one socket on the loopback and one to the peer. */
    struct address address = address_of("127.0.0.1", 0);
    int door = tcp_socket(AF_INET), client = tcp_socket(AF_INET), set = epoll_create1(0);
    must("bind", bind(door, SA(address)));
    must("listen", listen(door, 4));
    address = address_of("127.0.0.1", port_of(door));
    int far = pair(OUT4);
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = 1};
    say_rc("add", epoll_ctl(set, EPOLL_CTL_ADD, door, &event));
    event.data.u64 = 2;
    say_rc("add", epoll_ctl(set, EPOLL_CTL_ADD, far, &event));
    say_rc("none", epoll_wait(set, &event, 1, 0));
    say_rc("connect", connect(client, SA(address)));
    say_rc("wait", epoll_wait(set, &event, 1, PATIENCE_MS));
    say("data=%d", (int)event.data.u64);
    say_fd("accept", accept(door, NULL, NULL));
    peer_send(CONN, "x");
    say_rc("wait", epoll_wait(set, &event, 1, PATIENCE_MS));
    say("data=%d", (int)event.data.u64);
}

static void loopback_datagrams(int arg)
{
    struct address address = address_of("127.0.0.1", 0);
    int receiver = udp_socket(AF_INET), sender = udp_socket(AF_INET);
    say_rc("bind", bind(receiver, SA(address)));
    address = address_of("127.0.0.1", port_of(receiver));
    say_rc("sendto", sendto(sender, "around", 6, 0, SA(address)));
    say_bytes("recv", recv(receiver, text, sizeof(text), 0), text);
}

static void loopback_added_before(int arg)
{
    /* Nobody knows where a socket will connect to when it is added. */
    struct address address = address_of("127.0.0.1", 0);
    int door = tcp_socket(AF_INET), client = tcp_socket(AF_INET), set = epoll_create1(0);
    must("bind", bind(door, SA(address)));
    must("listen", listen(door, 4));
    address = address_of("127.0.0.1", port_of(door));
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = 5};
    say_rc("add", epoll_ctl(set, EPOLL_CTL_ADD, client, &event));
    say_rc("connect", connect(client, SA(address)));
    int fd = say_fd("accept", accept(door, NULL, NULL));
    say_rc("write", write(fd, "x", 1));
    say_rc("wait", epoll_wait(set, &event, 1, PATIENCE_MS));
    say_epoll("events", event.events);
    say("data=%d", (int)event.data.u64);
}

static void options_before_loopback(int arg)
{
    struct address address = address_of("127.0.0.1", 0);
    int door = tcp_socket(AF_INET), client = tcp_socket(AF_INET), one = 1, value = 0;
    socklen_t len = sizeof(value);
    must("bind", bind(door, SA(address)));
    must("listen", listen(door, 4));
    address = address_of("127.0.0.1", port_of(door));
    say_rc("set", setsockopt(client, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one)));
    say_rc("fcntl", fcntl(client, F_SETFD, FD_CLOEXEC));
    say_rc("connect", connect(client, SA(address)));
    getsockopt(client, SOL_SOCKET, SO_KEEPALIVE, &value, &len);
    say("keepalive=%d cloexec=%d", value, fcntl(client, F_GETFD));
}

static void resolve_numbers(int arg)
{
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM}, *found;
    int rc = getaddrinfo("10.1.2.3", "80", &hints, &found);
    say("getaddrinfo=%d", rc);
    if (rc == 0) {
        say("family=%d port=%d next=%d", found->ai_family == AF_INET,
            ntohs(((struct sockaddr_in *)found->ai_addr)->sin_port), found->ai_next != NULL);
        freeaddrinfo(found);
    }
    say("bad=%d", getaddrinfo("no number", "80", &hints, &found) == EAI_NONAME);
}

static void files(int arg)
{
    int fd = open("/proc/self/exe", O_RDONLY);
    say_bytes("read", read(fd, text, 4) == 4 ? 3 : -1, text + 1);
    say_rc("lseek", lseek(fd, 10, SEEK_SET));
    say_rc("getsockname", getsockname(fd, (struct sockaddr *)text, &(socklen_t){sizeof(text)}));
    say_rc("close", close(fd));
}

static void event_descriptor(int arg)
{
    eventfd_t value = 0;
    int fd = eventfd(3, EFD_NONBLOCK);
    say_rc("read", eventfd_read(fd, &value));
    say("value=%d", (int)value);
    say_rc("read", eventfd_read(fd, &value));
    say_rc("recv", recv(fd, text, 1, 0));
}

static void netlink(int arg)
{
    say_fd("netlink", socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0));
    say_fd("packet", socket(AF_PACKET, SOCK_DGRAM, 0));
    say_fd("raw", socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
}

static const struct conf_case cases[] = {
    {"kernel.unix.stream", unix_pair, SOCK_STREAM},
    {"kernel.unix.dgram", unix_pair, SOCK_DGRAM},
    {"kernel.unix.seqpacket", unix_pair, SOCK_SEQPACKET},
    {"kernel.unix.listener", unix_listener, 0},
    {"kernel.pipe", pipes, 0},
    {"kernel.loopback", loopback, AF_INET},
    {"kernel.loopback.inet6", loopback, AF_INET6},
    {"kernel.loopback.refused", loopback_refused, AF_INET},
    {"kernel.loopback.dgram", loopback_datagrams, 0},
    {"kernel.loopback.in-a-set", loopback_in_a_set, 0},
    {"kernel.loopback.added-before", loopback_added_before, 0},
    {"kernel.loopback.options", options_before_loopback, 0},
    {"kernel.getaddrinfo", resolve_numbers, 0},
    {"kernel.file", files, 0},
    {"kernel.eventfd", event_descriptor, 0},
    {"kernel.other-families", netlink, 0},
};

CONF_GROUP(kernel_cases, cases);
