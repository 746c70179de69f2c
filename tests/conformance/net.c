/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses, sockets and bounded waits of cases. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <time.h>

#include "include/pellucid/ttls.h"
#include "tests/conformance/case.h"
#include "tests/conformance/peer.h"

struct address address_of(const char *text, uint16_t port)
{
    struct address address = {.len = sizeof(struct sockaddr_in)};
    struct sockaddr_in *in = (struct sockaddr_in *)&address.sa;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&address.sa;
    if (inet_pton(AF_INET, text, &in->sin_addr) == 1) {
        in->sin_family = AF_INET;
        in->sin_port = htons(port);
    } else {
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(port);
        inet_pton(AF_INET6, text, &in6->sin6_addr);
        address.len = sizeof(*in6);
    }
    return address;
}

struct address address_of_self(int family, uint16_t port)
{
    return address_of(self_ip(family), port);
}

struct address address_of_peer(int family, uint16_t port)
{
    return address_of(peer_ip(family), port);
}

struct address address_any(int family, uint16_t port)
{
    return address_of(family == AF_INET ? "0.0.0.0" : "::", port);
}

uint16_t address_port(const struct address *address)
{
    if (address->sa.ss_family == AF_INET)
        return ntohs(((const struct sockaddr_in *)&address->sa)->sin_port);
    return ntohs(((const struct sockaddr_in6 *)&address->sa)->sin6_port);
}

uint16_t port_of(int fd)
{
    struct address address = {.len = sizeof(address.sa)};
    must("getsockname", getsockname(fd, (struct sockaddr *)&address.sa, &address.len));
    uint16_t port = address_port(&address);
    if (port == 0)
        give_up("no port");
    return port;
}

int tcp_socket(int family)
{
    return (int)must("socket", socket(family, SOCK_STREAM, 0));
}

int udp_socket(int family)
{
    return (int)must("socket", socket(family, SOCK_DGRAM, 0));
}

int udp_bound(int family, uint16_t *ret_port)
{
    int fd = udp_socket(family);
    struct address self = address_of_self(family, 0);
    must("bind", bind(fd, SA(self)));
    *ret_port = port_of(fd);
    return fd;
}

int listener(int family, uint16_t *ret_port)
{
    int fd = tcp_socket(family);
    struct address self = address_of_self(family, 0);
    must("bind", bind(fd, SA(self)));
    must("listen", listen(fd, 16));
    *ret_port = port_of(fd);
    return fd;
}

int family_of(enum pair_kind kind)
{
    return kind == OUT4 || kind == IN4 ? AF_INET : AF_INET6;
}

static void secure(int fd, int slot)
{
    await(fd, POLLOUT); /* to look at it is to open it, where a policy says TLS */
    await_secured(fd);
    peer_secured(slot);
}

int pair_with(enum pair_kind kind, int slot)
{
    int family = family_of(kind);
    uint16_t port;
    if (kind == OUT4 || kind == OUT6) {
        struct address to = address_of_peer(family, peer_listen(LISTENER, family));
        int fd = tcp_socket(family);
        must("connect", connect(fd, SA(to)));
        peer_accept(slot, LISTENER);
        peer_close(LISTENER);
        secure(fd, slot);
        return fd;
    }
    int door = listener(family, &port);
    peer_connect(slot, family, port);
    int fd = (int)must("accept", accept(door, NULL, NULL));
    close(door);
    secure(fd, slot);
    return fd;
}

int pair(enum pair_kind kind)
{
    return pair_with(kind, CONN);
}

struct address black_hole(int family)
{
    if (peer_hole_ip != NULL)
        return address_of(peer_hole_ip, 4000);
    /* A queue for one, which is full: the peer's kernel drops what asks to come in after it. */
    uint16_t port = peer_listen_on(HOLE, family, 0, 0);
    struct address to = address_of_peer(family, port);
    int first = tcp_socket(family);
    must("connect", connect(first, SA(to)));
    if (!peer_waits(HOLE, POLLIN))
        give_up("no black hole");
    return to; /* `first` stays open as long as the case */
}

void set_nonblocking(int fd)
{
    must("F_SETFL", fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK));
}

int nonblocking_pair(enum pair_kind kind)
{
    int fd = pair(kind);
    set_nonblocking(fd);
    return fd;
}

void set_timeout(int fd, int option, int ms)
{
    struct timeval time = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
    must("timeout", setsockopt(fd, SOL_SOCKET, option, &time, sizeof(time)));
}

int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void pause_ms(int ms)
{
    struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    while (nanosleep(&time, &time) != 0 && errno == EINTR)
        ;
}

/* Returns when the kernel is not at work on the socket: it holds the lock that this takes. */
static void let_finish(int fd)
{
    struct address name = {.len = sizeof(name.sa)};
    int error = errno;
    getsockname(fd, (struct sockaddr *)&name.sa, &name.len);
    errno = error;
}

/* The kernel says that there is an error a moment before it says that the connection has ended. */
int settled(int fd, int events, int revents)
{
    int type = 0, error = errno;
    socklen_t len = sizeof(type);
    int64_t end_ms = now_ms() + PATIENCE_MS;
    struct pollfd poller = {.fd = fd, .events = (short)events, .revents = (short)revents};
    if ((revents & (POLLERR | POLLHUP)) == POLLERR && getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 &&
        type == SOCK_STREAM)
        do {
            let_finish(fd);
            poll(&poller, 1, 0);
        } while ((poller.revents & (POLLERR | POLLHUP)) == POLLERR && now_ms() < end_ms);
    errno = error;
    return poller.revents;
}

int await_for(int fd, int events, int ms)
{
    struct pollfd poller = {.fd = fd, .events = (short)events};
    int64_t end_ms = now_ms() + ms;
    for (;;) {
        int64_t left_ms = end_ms - now_ms();
        int rc = poll(&poller, 1, left_ms > 0 ? (int)left_ms : 0);
        if (rc >= 0 || errno != EINTR)
            return rc > 0 ? settled(fd, events, poller.revents) : 0;
    }
}

int await(int fd, int events)
{
    return await_for(fd, events, PATIENCE_MS);
}

void await_bytes(int fd, size_t len)
{
    char *bytes = malloc(len);
    int64_t end_ms = now_ms() + PATIENCE_MS;
    ssize_t rc = -1;
    while (now_ms() < end_ms) {
        rc = recv(fd, bytes, len, MSG_PEEK | MSG_DONTWAIT);
        if (rc >= (ssize_t)len || rc == 0)
            break;
        pause_ms(1);
    }
    free(bytes);
    if (rc != (ssize_t)len)
        say("LATE");
}

void await_unread(int fd, int len)
{
    int num = 0;
    int64_t end_ms = now_ms() + PATIENCE_MS;
    while (ioctl(fd, FIONREAD, &num) == 0 && num < len && now_ms() < end_ms)
        pause_ms(1);
    if (num != len)
        say("LATE");
}

void await_end(int fd)
{
    if ((await(fd, POLLRDHUP) & (POLLRDHUP | POLLHUP)) == 0)
        say("NO-END");
    let_finish(fd);
}

void await_reset(int fd)
{
    if ((await(fd, 0) & (POLLERR | POLLHUP)) == 0)
        say("NO-RESET");
    let_finish(fd);
}

void await_secured(int fd)
{
    int64_t end_ms = now_ms() + PATIENCE_MS;
    int error = errno; /* cases say what they find there */
    while (now_ms() < end_ms) {
        struct TTLS_IOCTL query = {.TTLSi_Ver = TTLS_VERSION1, .TTLSi_Req_Type = TTLS_QUERY_ONLY};
        if (ioctl(fd, SIOCTTLSCTL, &query) != 0 || query.TTLSi_Stat_Policy != TTLS_POL_ENABLED ||
            query.TTLSi_Stat_Conn == TTLS_CONN_SECURE)
            break;
        pause_ms(1);
    }
    errno = error;
}

void there_and_back(void)
{
    uint16_t port;
    int fd = udp_bound(AF_INET, &port), error = errno;
    struct address to = address_of_peer(AF_INET, peer_datagram(ECHO, AF_INET));
    bool has_come = false;
    for (int i = 0; i < 3 && !has_come; i++) { /* datagrams may be lost */
        must("there and back", sendto(fd, "x", 1, 0, SA(to)));
        if (!peer_waits(ECHO, POLLIN))
            continue;
        peer_send_to(ECHO, AF_INET, port, "x", 1);
        has_come = await(fd, POLLIN) != 0;
    }
    if (!has_come)
        say("NO-WAY-BACK");
    peer_close(ECHO);
    close(fd);
    errno = error;
}

void drain(const char *what, int fd)
{
    static char bytes[65536];
    int64_t got = 0, end_ms = now_ms() + 2 * PATIENCE_MS;
    bool wrong = false;
    ssize_t rc = 1;
    while (rc > 0 && await_for(fd, POLLIN, (int)(end_ms - now_ms())) != 0) {
        rc = read(fd, bytes, sizeof(bytes));
        for (ssize_t i = 0; i < rc; i++)
            if ((uint8_t)bytes[i] != peer_pattern(got++))
                wrong = true;
    }
    say("%s=%lld%s %s", what, (long long)got, wrong ? " WRONG" : "",
        rc == 0 ? "EOF" : (rc < 0 ? error_name(errno) : "NO-END"));
}

/* Whether there is no room for a while in which nobody who might make some has stood still. */
static bool stays_full(int fd)
{
    for (int i = 0; i < 3; i++) {
        if (await_for(fd, POLLOUT, 80) != 0)
            return false;
        there_and_back();
    }
    return await_for(fd, POLLOUT, 0) == 0;
}

size_t fill(int fd)
{
    static char bytes[65536];
    size_t done = 0;
    int64_t end_ms = now_ms() + 2 * PATIENCE_MS;
    /* Full is what stays full: the stack may still be taking bytes over. Room that is too little for POLLOUT
     * is room all the same. */
    bool was_full = false;
    while (now_ms() < end_ms) {
        for (size_t i = 0; i < sizeof(bytes); i++)
            bytes[i] = (char)peer_pattern((int64_t)(done + i));
        ssize_t rc = send(fd, bytes, sizeof(bytes), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (rc > 0)
            done += (size_t)rc;
        else if (errno != EAGAIN)
            give_up("fill");
        else if (was_full)
            return done;
        was_full = rc <= 0 && stays_full(fd);
    }
    give_up("never full");
}
