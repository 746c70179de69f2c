/* SPDX-License-Identifier: Apache-2.0 */
/* Options of SOL_SOCKET: round trips, effects and errors. */
#include <netinet/tcp.h>
#include <sys/time.h>

#include "tests/conformance/case.h"
#include "tests/conformance/peer.h"

static void say_option(const char *what, int fd, int level, int name)
{
    int value = -77;
    socklen_t len = sizeof(value);
    if (say_rc(what, getsockopt(fd, level, name, &value, &len)) == 0)
        say("%d/%u", value, len);
}

static void set_option(const char *what, int fd, int name, int value)
{
    say_rc(what, setsockopt(fd, SOL_SOCKET, name, &value, sizeof(value)));
}

/* A boolean option: fresh, set, set with an odd value, cleared. */
static void boolean(int name)
{
    int fd = tcp_socket(AF_INET);
    say_option("fresh", fd, SOL_SOCKET, name);
    set_option("set", fd, name, 1);
    say_option("get", fd, SOL_SOCKET, name);
    set_option("set", fd, name, 42);
    say_option("get", fd, SOL_SOCKET, name);
    set_option("clear", fd, name, 0);
    say_option("get", fd, SOL_SOCKET, name);
}

static void what_it_is(int kind)
{
    int fd = kind < 0 ? udp_socket(AF_INET) : pair(kind);
    say_option("type", fd, SOL_SOCKET, SO_TYPE);
    say_option("domain", fd, SOL_SOCKET, SO_DOMAIN);
    say_option("protocol", fd, SOL_SOCKET, SO_PROTOCOL);
    say_option("listens", fd, SOL_SOCKET, SO_ACCEPTCONN);
    say_option("error", fd, SOL_SOCKET, SO_ERROR);
}

static void read_only(int arg)
{
    int fd = tcp_socket(AF_INET);
    set_option("type", fd, SO_TYPE, 1);
    set_option("domain", fd, SO_DOMAIN, 1);
    set_option("protocol", fd, SO_PROTOCOL, 1);
    set_option("error", fd, SO_ERROR, 1);
    set_option("acceptconn", fd, SO_ACCEPTCONN, 1);
}

static void accepts_connections(int arg)
{
    uint16_t port;
    say_option("fresh", tcp_socket(AF_INET), SOL_SOCKET, SO_ACCEPTCONN);
    say_option("listening", listener(AF_INET, &port), SOL_SOCKET, SO_ACCEPTCONN);
}

static void error_is_taken(int arg)
{
    int fd = pair(OUT4);
    say_option("none", fd, SOL_SOCKET, SO_ERROR);
    peer_reset(CONN);
    await_reset(fd);
    say_option("reset", fd, SOL_SOCKET, SO_ERROR);
    say_option("again", fd, SOL_SOCKET, SO_ERROR);
    char byte;
    say_rc("read", read(fd, &byte, 1));
}

static void error_is_taken_by_read(int arg)
{
    char byte;
    int fd = pair(OUT4);
    peer_reset(CONN);
    await_reset(fd);
    say_rc("read", read(fd, &byte, 1));
    say_option("after", fd, SOL_SOCKET, SO_ERROR);
}

static void buffers(int name)
{
    int fd = tcp_socket(AF_INET), value = 0;
    socklen_t len = sizeof(value);
    say_rc("fresh", getsockopt(fd, SOL_SOCKET, name, &value, &len));
    say("some=%d", value > 0);
    set_option("set", fd, name, 65536);
    getsockopt(fd, SOL_SOCKET, name, &value, &len);
    say("at-least=%d", value >= 65536);
    set_option("zero", fd, name, 0);
    getsockopt(fd, SOL_SOCKET, name, &value, &len);
    say("some=%d", value > 0);
    set_option("negative", fd, name, -1);
    getsockopt(fd, SOL_SOCKET, name, &value, &len);
    say("some=%d", value > 0);
}

static void buffers_connected(int name)
{
    int fd = pair(OUT4);
    set_option("set", fd, name, 262144);
    say_rc("write", write(fd, "fine", 4));
    peer_says(CONN, 4);
}

static void timeouts(int name)
{
    int fd = tcp_socket(AF_INET);
    struct timeval time = {7, 7};
    socklen_t len = sizeof(time);
    say_rc("fresh", getsockopt(fd, SOL_SOCKET, name, &time, &len));
    say("%ld.%06ld/%u", (long)time.tv_sec, (long)time.tv_usec, len);
    time = (struct timeval){3, 500000};
    say_rc("set", setsockopt(fd, SOL_SOCKET, name, &time, sizeof(time)));
    time = (struct timeval){0};
    getsockopt(fd, SOL_SOCKET, name, &time, &len);
    say("%ld.%06ld", (long)time.tv_sec, (long)time.tv_usec);
    time = (struct timeval){0, 1000000};
    say_rc("too-much", setsockopt(fd, SOL_SOCKET, name, &time, sizeof(time)));
    time = (struct timeval){0, -1};
    say_rc("too-little", setsockopt(fd, SOL_SOCKET, name, &time, sizeof(time)));
    time = (struct timeval){-1, 0};
    say_rc("negative", setsockopt(fd, SOL_SOCKET, name, &time, sizeof(time)));
    say_rc("short", setsockopt(fd, SOL_SOCKET, name, &time, 4));
}

static void timeout_then_none(int arg)
{
    char byte;
    int fd = pair(OUT4);
    set_timeout(fd, SO_RCVTIMEO, 20);
    say_rc("read", read(fd, &byte, 1));
    set_timeout(fd, SO_RCVTIMEO, 0);
    peer_later(60);
    peer_send(CONN, "x");
    say_rc("read", read(fd, &byte, 1));
}

static void get_errors(int arg)
{
    int fd = tcp_socket(AF_INET), value = 0;
    socklen_t len = sizeof(value), zero = 0, negative = (socklen_t)-1;
    say_rc("closed", getsockopt(150, SOL_SOCKET, SO_TYPE, &value, &len));
    say_rc("stdin", getsockopt(0, SOL_SOCKET, SO_TYPE, &value, &len));
    say_rc("name", getsockopt(fd, SOL_SOCKET, 7777, &value, &len));
    say_rc("level", getsockopt(fd, 7777, SO_TYPE, &value, &len));
    say_rc("tcp", getsockopt(fd, IPPROTO_TCP, 7777, &value, &len));
    say_rc("ip", getsockopt(fd, IPPROTO_IP, 7777, &value, &len));
    say_rc("no-length", getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, NULL));
    say_rc("no-value", getsockopt(fd, SOL_SOCKET, SO_TYPE, NULL, &len));
    say_rc("negative", getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &negative));
    say_rc("zero", getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &zero));
    say("length=%u", zero);
}

static void get_lengths(int arg)
{
    int fd = tcp_socket(AF_INET);
    struct {
        int value, beyond;
    } long_value = {-1, -1};
    socklen_t len = sizeof(long_value);
    say_rc("long", getsockopt(fd, SOL_SOCKET, SO_TYPE, &long_value, &len));
    say("length=%u value=%d beyond=%d", len, long_value.value, long_value.beyond);
    uint8_t bytes[4] = {0x5a, 0x5a, 0x5a, 0x5a};
    len = 1;
    say_rc("short", getsockopt(fd, SOL_SOCKET, SO_TYPE, bytes, &len));
    say("length=%u bytes=%02x%02x", len, bytes[0], bytes[1]);
}

static void set_errors(int arg)
{
    int fd = tcp_socket(AF_INET), one = 1;
    say_rc("closed", setsockopt(150, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one)));
    say_rc("stdin", setsockopt(0, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one)));
    say_rc("name", setsockopt(fd, SOL_SOCKET, 7777, &one, sizeof(one)));
    say_rc("level", setsockopt(fd, 7777, 1, &one, sizeof(one)));
    say_rc("tcp", setsockopt(fd, IPPROTO_TCP, 7777, &one, sizeof(one)));
    say_rc("ip", setsockopt(fd, IPPROTO_IP, 7777, &one, sizeof(one)));
    say_rc("short", setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, 2));
    say_rc("zero", setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, 0));
    say_rc("long", setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, (int[4]){1}, 16));
    say_rc("no-value", setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, NULL, sizeof(one)));
    say_rc("negative", setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, (socklen_t)-1));
}

static void on_datagram(int arg)
{
    int fd = udp_socket(AF_INET), value = 0;
    socklen_t len = sizeof(value);
    say_option("fresh", fd, SOL_SOCKET, SO_BROADCAST);
    set_option("broadcast", fd, SO_BROADCAST, 1);
    say_option("get", fd, SOL_SOCKET, SO_BROADCAST);
    say_rc("tcp", getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, &len));
    set_option("reuse", fd, SO_REUSEADDR, 1);
    say_option("get", fd, SOL_SOCKET, SO_REUSEADDR);
}

static void after_close_of_peer(int arg)
{
    int fd = pair(OUT4);
    peer_close(CONN);
    await_end(fd);
    set_option("set", fd, SO_KEEPALIVE, 1);
    say_option("get", fd, SOL_SOCKET, SO_KEEPALIVE);
    say_option("error", fd, SOL_SOCKET, SO_ERROR);
}

static void low_water(int arg)
{
    int fd = pair(OUT4);
    say_option("fresh", fd, SOL_SOCKET, SO_RCVLOWAT);
    set_option("set", fd, SO_RCVLOWAT, 3);
    say_option("get", fd, SOL_SOCKET, SO_RCVLOWAT);
    peer_send(CONN, "ab");
    await_bytes(fd, 2);
    say_poll("two", await_for(fd, POLLIN, SKIP_NOTHING_MS));
    peer_send(CONN, "c");
    say_poll("three", await(fd, POLLIN));
    say_option("send", fd, SOL_SOCKET, SO_SNDLOWAT);
}

static void to_device(int arg)
{
    char name[32] = "-";
    socklen_t len = sizeof(name);
    int fd = tcp_socket(AF_INET);
    say_rc("get", getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, &len));
    say("length=%u", len);
    say_rc("set", setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "none77", 7));
}

static void ip_options(int arg)
{
    int fd = tcp_socket(AF_INET), value = 0x10;
    say_option("tos", fd, IPPROTO_IP, IP_TOS);
    say_rc("set", setsockopt(fd, IPPROTO_IP, IP_TOS, &value, sizeof(value)));
    say_option("tos", fd, IPPROTO_IP, IP_TOS);
    say_option("ttl", fd, IPPROTO_IP, IP_TTL);
    value = 17;
    say_rc("set", setsockopt(fd, IPPROTO_IP, IP_TTL, &value, sizeof(value)));
    say_option("ttl", fd, IPPROTO_IP, IP_TTL);
    value = 0;
    say_rc("zero", setsockopt(fd, IPPROTO_IP, IP_TTL, &value, sizeof(value)));
}

static const struct conf_case cases[] = {
    {"option.reuseaddr", boolean, SO_REUSEADDR},
    {"option.reuseport", boolean, SO_REUSEPORT},
    {"option.keepalive", boolean, SO_KEEPALIVE},
    {"option.oobinline", boolean, SO_OOBINLINE},
    {"option.dontroute", boolean, SO_DONTROUTE},
    {"option.broadcast", boolean, SO_BROADCAST},
    {"option.timestamp", boolean, SO_TIMESTAMP},
    {"option.priority", boolean, SO_PRIORITY},
    {"option.kind", what_it_is, OUT4},
    {"option.kind.accepted", what_it_is, IN4},
    {"option.kind.inet6", what_it_is, OUT6},
    {"option.kind.dgram", what_it_is, -1},
    {"option.read-only", read_only, 0},
    {"option.acceptconn", accepts_connections, 0},
    {"option.error.taken", error_is_taken, 0},
    {"option.error.taken-by-read", error_is_taken_by_read, 0},
    {"option.sndbuf", buffers, SO_SNDBUF},
    {"option.rcvbuf", buffers, SO_RCVBUF},
    {"option.sndbuf.connected", buffers_connected, SO_SNDBUF},
    {"option.rcvbuf.connected", buffers_connected, SO_RCVBUF},
    {"option.rcvtimeo", timeouts, SO_RCVTIMEO},
    {"option.sndtimeo", timeouts, SO_SNDTIMEO},
    {"option.rcvtimeo.cleared", timeout_then_none, 0},
    {"option.rcvlowat", low_water, 0},
    {"option.get.errors", get_errors, 0},
    {"option.get.lengths", get_lengths, 0},
    {"option.set.errors", set_errors, 0},
    {"option.dgram", on_datagram, 0},
    {"option.peer-closed", after_close_of_peer, 0},
    {"option.bindtodevice", to_device, 0},
    {"option.ip", ip_options, 0},
};

CONF_GROUP(option_cases, cases);
