/* SPDX-License-Identifier: Apache-2.0 */
/* A case's side of the talk with the peer. */
#include <fcntl.h>
#include <sys/un.h>

#include "tests/conformance/case.h"
#include "tests/conformance/peer.h"

static int control_fd = -1;
static int next_later_ms;
static const char *self_ips[2], *peer_ips[2];
const char *peer_hole_ip;

const char *self_ip(int family)
{
    return self_ips[family == AF_INET6];
}

const char *peer_ip(int family)
{
    return peer_ips[family == AF_INET6];
}

void peer_attach(const char *path, const char *const self[2], const char *const peer[2])
{
    memcpy(self_ips, self, sizeof(self_ips));
    memcpy(peer_ips, peer, sizeof(peer_ips));
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    must("control", connect(fd, (struct sockaddr *)&address, sizeof(address)));
    /* Out of the way of the cases, which count on the lowest numbers. */
    control_fd = (int)must("control", fcntl(fd, F_DUPFD_CLOEXEC, 200));
    close(fd);
}

static struct peer_reply ask(struct peer_request *request)
{
    struct peer_reply reply;
    int error = errno;
    request->later_ms = next_later_ms;
    next_later_ms = 0;
    ssize_t len;
    do
        len = send(control_fd, request, sizeof(*request), MSG_NOSIGNAL);
    while (len < 0 && errno == EINTR);
    if (len != (ssize_t)sizeof(*request))
        give_up("peer: send");
    errno = error;
    if (request->later_ms > 0)
        return (struct peer_reply){.rc = 0};
    do
        len = recv(control_fd, &reply, sizeof(reply), 0);
    while (len < 0 && errno == EINTR);
    if (len != (ssize_t)sizeof(reply))
        give_up("peer: recv");
    errno = error;
    return reply;
}

static struct peer_reply demand(const char *what, struct peer_request *request)
{
    struct peer_reply reply = ask(request);
    if (reply.rc < 0) {
        errno = reply.error;
        give_up(what);
    }
    return reply;
}

static void set_bytes(struct peer_request *request, const char *bytes, size_t len)
{
    request->len = len < sizeof(request->bytes) ? len : sizeof(request->bytes);
    memcpy(request->bytes, bytes, request->len);
}

uint16_t peer_listen_on(int slot, int family, uint16_t port, int backlog)
{
    struct peer_request request = {
        .op = PEER_LISTEN, .slot = slot, .family = family, .port = port, .num = backlog};
    return demand("peer.listen", &request).port;
}

uint16_t peer_listen(int slot, int family)
{
    return peer_listen_on(slot, family, 0, 16);
}

void peer_accept(int slot, int listener_slot)
{
    struct peer_request request = {.op = PEER_ACCEPT, .slot = slot, .other = listener_slot};
    demand("peer.accept", &request);
}

static struct peer_request connect_request(int slot, int family, uint16_t port)
{
    struct peer_request request = {.op = PEER_CONNECT, .slot = slot, .family = family, .port = port};
    snprintf(request.ip, sizeof(request.ip), "%s", self_ip(family));
    return request;
}

void peer_connect(int slot, int family, uint16_t port)
{
    struct peer_request request = connect_request(slot, family, port);
    demand("peer.connect", &request);
}

void peer_connects(int slot, int family, uint16_t port)
{
    struct peer_request request = connect_request(slot, family, port);
    struct peer_reply reply = ask(&request);
    errno = reply.error;
    say_rc("peer.connect", reply.rc);
}

uint16_t peer_datagram(int slot, int family)
{
    struct peer_request request = {.op = PEER_DATAGRAM, .slot = slot, .family = family};
    return demand("peer.datagram", &request).port;
}

void peer_send(int slot, const char *text)
{
    struct peer_request request = {.op = PEER_SEND, .slot = slot};
    set_bytes(&request, text, strlen(text));
    demand("peer.send", &request);
}

void peer_urgent(int slot, const char *text)
{
    struct peer_request request = {.op = PEER_URGENT, .slot = slot};
    set_bytes(&request, text, strlen(text));
    demand("peer.urgent", &request);
}

void peer_send_to(int slot, int family, uint16_t port, const char *text, size_t len)
{
    struct peer_request request = {.op = PEER_SEND_TO, .slot = slot, .family = family, .port = port};
    snprintf(request.ip, sizeof(request.ip), "%s", self_ip(family));
    set_bytes(&request, text, len);
    demand("peer.sendto", &request);
}

static void order(const char *what, enum peer_op op, int slot, int64_t num)
{
    struct peer_request request = {.op = (int)op, .slot = slot, .num = num};
    demand(what, &request);
}

void peer_fill(int slot, int64_t num)
{
    order("peer.fill", PEER_FILL, slot, num);
}

void peer_secured(int slot)
{
    struct peer_request request = {.op = PEER_SECURED, .slot = slot};
    ask(&request);
}

void peer_shutdown(int slot, int how)
{
    order("peer.shutdown", PEER_SHUTDOWN, slot, how);
}

void peer_close(int slot)
{
    order("peer.close", PEER_CLOSE, slot, 0);
}

void peer_reset(int slot)
{
    order("peer.reset", PEER_RESET, slot, 0);
}

void peer_buffer(int slot, int64_t len)
{
    order("peer.buffer", PEER_BUFFER, slot, len);
}

void peer_later(int ms)
{
    next_later_ms = ms;
}

void peer_says(int slot, int64_t num)
{
    struct peer_request request = {.op = PEER_RECV, .slot = slot, .num = num};
    struct peer_reply reply = ask(&request);
    if (reply.rc > 0 && reply.rc <= 64)
        say("peer=%d\"%.*s\"", (int)reply.rc, (int)reply.len, reply.bytes);
    else if (reply.rc > 64)
        say("peer=%s", reply.is_wrong ? "WRONG" : "pattern");
    else
        say("peer=0");
    if (reply.is_end)
        say("peer.EOF");
    if (reply.error != 0)
        say("peer.%s", reply.error == ETIMEDOUT ? "NOTHING" : error_name(reply.error));
}

void peer_says_datagram(int slot)
{
    struct peer_request request = {.op = PEER_RECV_FROM, .slot = slot};
    struct peer_reply reply = ask(&request);
    if (reply.rc < 0)
        say("peer.%s", reply.error == ETIMEDOUT ? "NOTHING" : error_name(reply.error));
    else if (reply.rc <= 64)
        say("peer=%d\"%.*s\"", (int)reply.rc, (int)reply.len, reply.bytes);
    else
        say("peer=%d", (int)reply.rc);
}

void peer_counts(int slot, int64_t num)
{
    struct peer_request request = {.op = PEER_RECV, .slot = slot, .num = num};
    say("peer=%lld", (long long)ask(&request).rc);
}

bool peer_waits(int slot, int events)
{
    struct peer_request request = {.op = PEER_AWAIT, .slot = slot, .num = events};
    return ask(&request).rc != 0;
}

void peer_awaits(int slot, int events)
{
    peer_awaits_for(slot, events, 0);
}

void peer_awaits_for(int slot, int events, int ms)
{
    struct peer_request request = {.op = PEER_AWAIT, .slot = slot, .num = events, .other = ms};
    struct peer_reply reply = ask(&request);
    say_poll("peer.poll", (int)reply.rc);
}

void peer_has(int slot, int64_t num)
{
    struct peer_request request = {.op = PEER_RECV, .slot = slot, .num = num};
    struct peer_reply reply = ask(&request);
    if (reply.rc == num && !reply.is_wrong)
        return;
    errno = reply.error;
    give_up(reply.is_wrong ? "peer: wrong bytes" : "peer: too few bytes");
}
