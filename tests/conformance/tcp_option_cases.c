/* SPDX-License-Identifier: Apache-2.0 */
/* Options of IPPROTO_TCP, and the state that TCP_INFO tells. */
#include <linux/tcp.h>

#include "tests/conformance/case.h"
#include "tests/conformance/peer.h"

/* <netinet/tcp.h> has the states, and the options once more. */
enum { ESTABLISHED = 1, SYN_SENT = 2, CLOSE = 7, CLOSE_WAIT = 8, LISTEN = 10 };

static void say_option(const char *what, int fd, int name)
{
    int value = -77;
    socklen_t len = sizeof(value);
    if (say_rc(what, getsockopt(fd, IPPROTO_TCP, name, &value, &len)) == 0)
        say("%d/%u", value, len);
}

static void set_option(const char *what, int fd, int name, int value)
{
    say_rc(what, setsockopt(fd, IPPROTO_TCP, name, &value, sizeof(value)));
}

static void boolean(int name)
{
    int fd = tcp_socket(AF_INET);
    say_option("fresh", fd, name);
    set_option("set", fd, name, 1);
    say_option("get", fd, name);
    set_option("clear", fd, name, 0);
    say_option("get", fd, name);
}

static void boolean_connected(int kind)
{
    int fd = pair(kind);
    say_option("fresh", fd, TCP_NODELAY);
    set_option("set", fd, TCP_NODELAY, 1);
    say_option("get", fd, TCP_NODELAY);
    say_rc("write", write(fd, "a", 1));
    say_rc("write", write(fd, "b", 1));
    peer_says(CONN, 2);
}

static void number(int name)
{
    int fd = tcp_socket(AF_INET);
    say_option("fresh", fd, name);
    set_option("set", fd, name, 12);
    say_option("get", fd, name);
    set_option("zero", fd, name, 0);
    set_option("negative", fd, name, -1);
    set_option("huge", fd, name, 1 << 30);
    say_option("get", fd, name);
}

static void keepalive_connected(int arg)
{
    int fd = pair(OUT4), one = 1;
    must("setsockopt", setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one)));
    set_option("idle", fd, TCP_KEEPIDLE, 1);
    set_option("interval", fd, TCP_KEEPINTVL, 1);
    set_option("count", fd, TCP_KEEPCNT, 9); /* of a peer that may stand still */
    say_option("idle", fd, TCP_KEEPIDLE);
    pause_ms(1300);
    say_poll("alive", await_for(fd, POLLIN | POLLRDHUP, 0));
}

static void segment(int kind)
{
    int fd = pair(kind), value = 0;
    socklen_t len = sizeof(value);
    say_rc("get", getsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &value, &len));
    say("sane=%d length=%u", value >= 500 && value <= 1460, len);
    set_option("set", tcp_socket(AF_INET), TCP_MAXSEG, 1000);
    set_option("zero", tcp_socket(AF_INET), TCP_MAXSEG, 0);
    set_option("small", tcp_socket(AF_INET), TCP_MAXSEG, 1);
}

static void say_state(const char *what, int fd)
{
    struct tcp_info info = {.tcpi_state = 77};
    socklen_t len = sizeof(info);
    if (say_rc(what, getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len)) == 0)
        say("state=%d", info.tcpi_state);
}

static void states(int kind)
{
    int fd = pair(kind);
    say_state("connected", fd);
    peer_shutdown(CONN, SHUT_WR);
    await_end(fd);
    say_state("half-closed", fd);
    peer_reset(CONN);
    await_reset(fd);
    say_state("reset", fd);
}

static void other_states(int arg)
{
    uint16_t port;
    say_state("fresh", tcp_socket(AF_INET));
    say_state("listening", listener(AF_INET, &port));
    struct address to = black_hole(AF_INET);
    int fd = tcp_socket(AF_INET);
    set_nonblocking(fd);
    say_rc("connect", connect(fd, SA(to)));
    say_state("connecting", fd);
}

static void short_info(int arg)
{
    int fd = pair(OUT4);
    uint8_t info[8] = {77};
    socklen_t len = 1;
    say_rc("one", getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, &len));
    say("length=%u state=%u", len, info[0]);
    struct tcp_info all;
    len = sizeof(all);
    memset(&all, 0, sizeof(all));
    must("getsockopt", getsockopt(fd, IPPROTO_TCP, TCP_INFO, &all, &len));
    say("mss=%d", all.tcpi_snd_mss > 0);
}

static void cork(int arg)
{
    int fd = pair(OUT4);
    set_option("cork", fd, TCP_CORK, 1);
    say_rc("write", write(fd, "head", 4));
    say_rc("write", write(fd, "tail", 4));
    set_option("uncork", fd, TCP_CORK, 0);
    peer_says(CONN, 8);
    say_option("get", fd, TCP_CORK);
}

static void quick_ack(int arg)
{
    int fd = pair(OUT4);
    set_option("set", fd, TCP_QUICKACK, 1);
    set_option("clear", fd, TCP_QUICKACK, 0);
    say_option("get", fd, TCP_QUICKACK);
}

static void defer_accept(int arg)
{
    uint16_t port;
    int door = listener(AF_INET, &port);
    set_option("set", door, TCP_DEFER_ACCEPT, 1);
    peer_connect(CONN, AF_INET, port);
    peer_later(1);
    peer_send(CONN, "first");
    char text[8];
    int fd = say_fd("accept", accept(door, NULL, NULL));
    say_bytes("read", read(fd, text, sizeof(text)), text);
}

static void congestion(int arg)
{
    char name[16] = "";
    socklen_t len = sizeof(name);
    int fd = tcp_socket(AF_INET);
    say_rc("get", getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &len));
    say("named=%d", name[0] != '\0');
    say_rc("unknown", setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "nosuch", 6));
}

static void errors(int arg)
{
    int fd = tcp_socket(AF_INET), value = 1;
    socklen_t len = sizeof(value), negative = (socklen_t)-1;
    say_rc("short", setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, 2));
    say_rc("null", setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, NULL, sizeof(value)));
    say_rc("negative", getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, &negative));
    say_rc("dgram", setsockopt(udp_socket(AF_INET), IPPROTO_TCP, TCP_NODELAY, &value, len));
    len = 1;
    value = -1;
    say_rc("one", getsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &value, &len));
    say("length=%u", len);
}

static void user_timeout(int arg)
{
    int fd = tcp_socket(AF_INET);
    say_option("fresh", fd, TCP_USER_TIMEOUT);
    set_option("set", fd, TCP_USER_TIMEOUT, 5000);
    say_option("get", fd, TCP_USER_TIMEOUT);
    set_option("negative", fd, TCP_USER_TIMEOUT, -1);
}

static const struct conf_case cases[] = {
    {"tcp-option.nodelay", boolean, TCP_NODELAY},
    {"tcp-option.nodelay.connected", boolean_connected, OUT4},
    {"tcp-option.nodelay.accepted", boolean_connected, IN4},
    {"tcp-option.keepidle", number, TCP_KEEPIDLE},
    {"tcp-option.keepintvl", number, TCP_KEEPINTVL},
    {"tcp-option.keepcnt", number, TCP_KEEPCNT},
    {"tcp-option.syncnt", number, TCP_SYNCNT},
    {"tcp-option.keepalive.connected", keepalive_connected, 0},
    {"tcp-option.maxseg", segment, OUT4},
    {"tcp-option.maxseg.accepted", segment, IN4},
    {"tcp-option.info", states, OUT4},
    {"tcp-option.info.accepted", states, IN4},
    {"tcp-option.info.others", other_states, 0},
    {"tcp-option.info.short", short_info, 0},
    {"tcp-option.cork", cork, 0},
    {"tcp-option.quickack", quick_ack, 0},
    {"tcp-option.defer-accept", defer_accept, 0},
    {"tcp-option.congestion", congestion, 0},
    {"tcp-option.user-timeout", user_timeout, 0},
    {"tcp-option.errors", errors, 0},
};

CONF_GROUP(tcp_option_cases, cases);
