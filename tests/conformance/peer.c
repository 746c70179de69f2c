/* SPDX-License-Identifier: Apache-2.0 */
/* The peer's process: one child for each case that calls, whose end closes whatever the case left open. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <time.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/conformance/case.h"
#include "tests/conformance/peer.h"

enum { PEER_PATIENCE_MS = 6000, PEER_QUEUE = 64 };

/* An eager peer accepts at once, and does not wait for its own connections: where a policy says TLS, a
 * connection is open when both programs have come near it, which the case may mean to do later. */
struct peer {
    const char *const *ips;
    bool is_eager;
    int fds[PEER_SLOTS];
    bool is_door[PEER_SLOTS], is_connecting[PEER_SLOTS];
    struct {
        int door, fd;
    } queue[PEER_QUEUE];
    int num_queued;
    int64_t sent[PEER_SLOTS], received[PEER_SLOTS]; /* bytes of the pattern */
};

static struct address local_address(const struct peer *peer, int family, uint16_t port)
{
    return address_of(peer->ips[family == AF_INET6], port);
}

static int64_t put(struct peer *peer, const struct peer_request *request, int fd)
{
    if (fd >= 0)
        peer->fds[request->slot] = fd;
    peer->is_door[request->slot] = peer->is_eager && request->op == PEER_LISTEN && request->num > 0;
    peer->is_connecting[request->slot] = false;
    peer->sent[request->slot] = peer->received[request->slot] = 0;
    return fd < 0 ? -1 : 0;
}

static uint16_t bound_port(int fd)
{
    struct address address = {.len = sizeof(address.sa)};
    if (getsockname(fd, (struct sockaddr *)&address.sa, &address.len) != 0)
        return 0;
    return address_port(&address);
}

static int64_t do_listen(struct peer *peer, const struct peer_request *request, struct peer_reply *reply)
{
    int fd = socket(request->family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    struct address address = local_address(peer, request->family, request->port);
    if (bind(fd, SA(address)) != 0 || listen(fd, (int)request->num) != 0)
        return -1;
    reply->port = bound_port(fd);
    return put(peer, request, fd);
}

/* Takes a connection that waits at a listener; to look at it is to open it. */
static void accept_eagerly(struct peer *peer, int door)
{
    int fd = accept4(peer->fds[door], NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0 || peer->num_queued == PEER_QUEUE)
        return;
    await_for(fd, POLLIN, 0);
    peer->queue[peer->num_queued].door = door;
    peer->queue[peer->num_queued++].fd = fd;
}

/* The next order, accepting meanwhile. */
static bool next_order(struct peer *peer, int control, struct peer_request *ret_request)
{
    for (;;) {
        struct pollfd pollers[PEER_SLOTS + 1];
        for (int i = 0; i < PEER_SLOTS; i++)
            pollers[i] = (struct pollfd){.fd = peer->is_door[i] ? peer->fds[i] : -1, .events = POLLIN};
        pollers[PEER_SLOTS] = (struct pollfd){.fd = control, .events = POLLIN};
        if (poll(pollers, PEER_SLOTS + 1, -1) < 0)
            return false;
        for (int i = 0; i < PEER_SLOTS; i++)
            if (pollers[i].revents != 0)
                accept_eagerly(peer, i);
        if (pollers[PEER_SLOTS].revents != 0)
            return recv(control, ret_request, sizeof(*ret_request), 0) == (ssize_t)sizeof(*ret_request);
    }
}

static int64_t do_accept(struct peer *peer, const struct peer_request *request)
{
    for (int i = 0; i < peer->num_queued; i++)
        if (peer->queue[i].door == request->other) {
            int fd = peer->queue[i].fd;
            memmove(&peer->queue[i], &peer->queue[i + 1],
                    sizeof(peer->queue[0]) * (size_t)(--peer->num_queued - i));
            return put(peer, request, fd);
        }
    struct pollfd poller = {.fd = peer->fds[request->other], .events = POLLIN};
    if (poll(&poller, 1, PEER_PATIENCE_MS) != 1) {
        errno = ETIMEDOUT;
        return -1;
    }
    int fd = accept4(poller.fd, NULL, NULL, SOCK_CLOEXEC);
    await_for(fd, POLLIN, 0);
    return put(peer, request, fd);
}

/* Waits for the end of a connect that was left to go on. */
static void end_connect(struct peer *peer, int slot)
{
    if (!peer->is_connecting[slot])
        return;
    peer->is_connecting[slot] = false;
    await_for(peer->fds[slot], POLLOUT, PEER_PATIENCE_MS);
    fcntl(peer->fds[slot], F_SETFL, 0);
}

/* Waits until TCP has connected, or has not: TLS comes when our program has come near the connection. */
static void await_connected(int fd)
{
    int64_t end_ms = now_ms() + PEER_PATIENCE_MS;
    struct tcp_info info = {.tcpi_state = TCP_SYN_SENT};
    socklen_t len = sizeof(info);
    while (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 && info.tcpi_state == TCP_SYN_SENT &&
           now_ms() < end_ms)
        pause_ms(1);
}

static int64_t connect_eagerly(struct peer *peer, const struct peer_request *request, int fd)
{
    int error = 0;
    socklen_t len = sizeof(error);
    struct address remote = address_of(request->ip, request->port);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    int rc = connect(fd, SA(remote));
    if (rc != 0 && errno == EINPROGRESS) {
        await_connected(fd);
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
    } else if (rc != 0) {
        error = errno;
    }
    if (error != 0) {
        close(fd);
        errno = error;
        return -1;
    }
    int64_t done = put(peer, request, fd);
    peer->is_connecting[request->slot] = true;
    return done;
}

static int64_t do_connect(struct peer *peer, const struct peer_request *request)
{
    int fd = socket(request->family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    set_timeout(fd, SO_SNDTIMEO, PEER_PATIENCE_MS);
    struct address local = local_address(peer, request->family, 0);
    struct address remote = address_of(request->ip, request->port);
    bool is_bound = bind(fd, SA(local)) == 0;
    if (is_bound && peer->is_eager)
        return connect_eagerly(peer, request, fd);
    if (!is_bound || connect(fd, SA(remote)) != 0) {
        int error = errno == EINPROGRESS ? ETIMEDOUT : errno;
        close(fd);
        errno = error;
        return -1;
    }
    return put(peer, request, fd);
}

static int64_t do_datagram(struct peer *peer, const struct peer_request *request, struct peer_reply *reply)
{
    int fd = socket(request->family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct address local = local_address(peer, request->family, 0);
    if (bind(fd, SA(local)) != 0)
        return -1;
    reply->port = bound_port(fd);
    return put(peer, request, fd);
}

static int64_t send_all(int fd, const char *bytes, size_t len, int flags)
{
    for (size_t done = 0; done < len;) {
        ssize_t rc = send(fd, bytes + done, len - done, MSG_NOSIGNAL | flags);
        if (rc <= 0)
            return -1;
        done += (size_t)rc;
    }
    return (int64_t)len;
}

static int64_t do_fill(struct peer *peer, const struct peer_request *request)
{
    static char bytes[65536];
    int64_t left = request->num;
    set_timeout(peer->fds[request->slot], SO_SNDTIMEO, 8000);
    while (left > 0) {
        size_t len = left < (int64_t)sizeof(bytes) ? (size_t)left : sizeof(bytes);
        for (size_t i = 0; i < len; i++)
            bytes[i] = (char)peer_pattern(peer->sent[request->slot] + (int64_t)i);
        if (send_all(peer->fds[request->slot], bytes, len, 0) < 0)
            return -1;
        peer->sent[request->slot] += (int64_t)len;
        left -= (int64_t)len;
    }
    return request->num;
}

/* Keeps the first bytes for the reply and compares all with the pattern. */
static void look_at(struct peer *peer, int slot, const char *bytes, size_t len, struct peer_reply *reply)
{
    size_t room = sizeof(reply->bytes) - reply->len;
    size_t kept = len < room ? len : room;
    memcpy(reply->bytes + reply->len, bytes, kept);
    reply->len += kept;
    for (size_t i = 0; i < len; i++)
        if ((uint8_t)bytes[i] != peer_pattern(peer->received[slot]++))
            reply->is_wrong = 1;
}

static int64_t do_recv(struct peer *peer, const struct peer_request *request, struct peer_reply *reply)
{
    static char bytes[65536];
    int64_t got = 0;
    while (got < request->num) {
        struct pollfd poller = {.fd = peer->fds[request->slot], .events = POLLIN};
        if (poll(&poller, 1, PEER_PATIENCE_MS) == 0) {
            reply->error = ETIMEDOUT;
            break;
        }
        int64_t want = request->num - got;
        ssize_t rc = recv(poller.fd, bytes, want < (int64_t)sizeof(bytes) ? (size_t)want : sizeof(bytes), 0);
        if (rc <= 0) {
            reply->is_end = rc == 0;
            reply->error = rc < 0 ? errno : 0;
            break;
        }
        look_at(peer, request->slot, bytes, (size_t)rc, reply);
        got += rc;
    }
    return got;
}

static int64_t do_recv_from(struct peer *peer, const struct peer_request *request, struct peer_reply *reply)
{
    struct pollfd poller = {.fd = peer->fds[request->slot], .events = POLLIN};
    if (poll(&poller, 1, request->num > 0 ? (int)request->num : PEER_PATIENCE_MS) != 1) {
        errno = ETIMEDOUT;
        return -1;
    }
    ssize_t rc = recv(poller.fd, reply->bytes, sizeof(reply->bytes), MSG_TRUNC);
    reply->len = rc < 0 ? 0 : (size_t)rc < sizeof(reply->bytes) ? (size_t)rc : sizeof(reply->bytes);
    return rc;
}

static int64_t do_close(struct peer *peer, const struct peer_request *request, bool reset)
{
    int fd = peer->fds[request->slot];
    struct linger linger = {.l_onoff = 1};
    if (reset)
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    peer->fds[request->slot] = -1;
    peer->is_door[request->slot] = false;
    return close(fd);
}

static int64_t do_await(const struct peer *peer, const struct peer_request *request)
{
    int ms = request->other > 0 ? request->other : PEER_PATIENCE_MS, fd = peer->fds[request->slot];
    return await_for(fd, (int)request->num, ms);
}

static int64_t do_order(struct peer *peer, const struct peer_request *request, struct peer_reply *reply)
{
    end_connect(peer, request->slot);
    int fd = peer->fds[request->slot];
    int num = (int)request->num;
    struct address to = address_of(request->ip[0] != '\0' ? request->ip : peer->ips[0], request->port);
    switch ((enum peer_op)request->op) {
    case PEER_LISTEN: return do_listen(peer, request, reply);
    case PEER_ACCEPT: return do_accept(peer, request);
    case PEER_CONNECT: return do_connect(peer, request);
    case PEER_DATAGRAM: return do_datagram(peer, request, reply);
    case PEER_SEND: return send_all(fd, request->bytes, request->len, 0);
    case PEER_URGENT: return send_all(fd, request->bytes, request->len, MSG_OOB);
    case PEER_FILL: return do_fill(peer, request);
    case PEER_RECV: return do_recv(peer, request, reply);
    case PEER_SEND_TO: return sendto(fd, request->bytes, request->len, 0, SA(to));
    case PEER_RECV_FROM: return do_recv_from(peer, request, reply);
    case PEER_SHUTDOWN: return shutdown(fd, num);
    case PEER_CLOSE: return do_close(peer, request, false);
    case PEER_RESET: return do_close(peer, request, true);
    case PEER_AWAIT: return do_await(peer, request);
    case PEER_SECURED: await_secured(fd); return 0;
    case PEER_BUFFER: return setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &num, sizeof(num));
    }
    errno = ENOSYS;
    return -1;
}

/* One case: orders until it hangs up. */
static void serve_case(int control, const char *const ips[2], bool is_eager)
{
    static struct peer peer;
    struct peer_request request;
    peer.ips = ips;
    peer.is_eager = is_eager;
    for (int i = 0; i < PEER_SLOTS; i++)
        peer.fds[i] = -1;
    while (next_order(&peer, control, &request)) {
        struct peer_reply reply = {.rc = 0};
        if (request.later_ms > 0) {
            pause_ms(request.later_ms);
            do_order(&peer, &request, &reply);
            continue;
        }
        reply.rc = do_order(&peer, &request, &reply);
        if (reply.rc < 0)
            reply.error = errno;
        send(control, &reply, sizeof(reply), MSG_NOSIGNAL);
    }
}

int peer_serve(const char *path, const char *const ips[2], bool is_eager)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    int door = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    unlink(path);
    if (door < 0 || bind(door, (struct sockaddr *)&address, sizeof(address)) != 0 || listen(door, 64) != 0) {
        perror(path);
        return 1;
    }
    signal(SIGCHLD, SIG_IGN);
    for (;;) {
        int control = accept4(door, NULL, NULL, SOCK_CLOEXEC);
        if (control < 0)
            return 1;
        if (fork() == 0) {
            close(door);
            serve_case(control, ips, is_eager);
            _exit(0);
        }
        close(control);
    }
}
