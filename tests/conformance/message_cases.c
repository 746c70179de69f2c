/* SPDX-License-Identifier: Apache-2.0 */
/* sendmsg(), recvmsg(), sendmmsg() and recvmmsg(). */
#include <fcntl.h>
#include <sys/uio.h>
#include <time.h>

#include "tests/conformance/case.h"
#include "tests/conformance/peer.h"

static char first[8], second[64];

/* A message of two parts over `first` and `second`. */
static struct msghdr two_parts(struct iovec parts[2])
{
    memset(first, 0, sizeof(first));
    memset(second, 0, sizeof(second));
    parts[0] = (struct iovec){first, 3};
    parts[1] = (struct iovec){second, sizeof(second) - 1};
    return (struct msghdr){.msg_iov = parts, .msg_iovlen = 2};
}

static void say_flags(int flags)
{
    say("flags=%s%s%s%s", (flags & MSG_TRUNC) != 0 ? "TRUNC " : "",
        (flags & MSG_CTRUNC) != 0 ? "CTRUNC " : "", (flags & MSG_EOR) != 0 ? "EOR " : "",
        (flags & ~(MSG_TRUNC | MSG_CTRUNC | MSG_EOR)) != 0 ? "MORE" : "");
}

static void receive(int kind)
{
    struct iovec parts[2];
    struct msghdr message = two_parts(parts);
    int fd = pair(kind);
    peer_send(CONN, "abcdefg");
    await_bytes(fd, 7);
    say_rc("recvmsg", recvmsg(fd, &message, 0));
    say("%s,%s", first, second);
    say_flags(message.msg_flags);
}

static void receive_lengths(int arg)
{
    struct iovec parts[2];
    struct msghdr message = two_parts(parts);
    struct address from;
    char control[64];
    int fd = pair(OUT4);
    peer_send(CONN, "abcdefg");
    await_bytes(fd, 7);
    message.msg_name = &from.sa;
    message.msg_namelen = sizeof(from.sa);
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    message.msg_flags = 0x7777;
    say_rc("recvmsg", recvmsg(fd, &message, 0));
    say("namelen=%u controllen=%zu", message.msg_namelen, message.msg_controllen);
    say_flags(message.msg_flags);
}

static void receive_peek_and_wait(int arg)
{
    struct iovec parts[2];
    struct msghdr message = two_parts(parts);
    int fd = pair(OUT4);
    parts[1].iov_len = 4;
    peer_send(CONN, "abcd");
    await_bytes(fd, 4);
    say_rc("peek", recvmsg(fd, &message, MSG_PEEK));
    say("%s,%s", first, second);
    peer_later(30);
    peer_send(CONN, "efg");
    say_rc("waitall", recvmsg(fd, &message, MSG_WAITALL));
    say("%s,%s", first, second);
    say_rc("dontwait", recvmsg(fd, &message, MSG_DONTWAIT));
}

static void receive_end(int is_reset)
{
    struct iovec parts[2];
    struct msghdr message = two_parts(parts);
    int fd = pair(IN4);
    if (is_reset)
        peer_reset(CONN);
    else
        peer_close(CONN);
    is_reset ? await_reset(fd) : await_end(fd);
    say_rc("recvmsg", recvmsg(fd, &message, 0));
    say_rc("recvmsg", recvmsg(fd, &message, 0));
}

static void receive_errors(int arg)
{
    struct iovec parts[2];
    struct msghdr message = two_parts(parts);
    int fd = nonblocking_pair(OUT4);
    say_rc("closed", recvmsg(150, &message, 0));
    say_rc("stdin", recvmsg(0, &message, 0));
    say_rc("fresh", recvmsg(tcp_socket(AF_INET), &message, 0));
    say_rc("nothing", recvmsg(fd, &message, 0));
    message.msg_iovlen = 5000;
    say_rc("too-many", recvmsg(fd, &message, 0));
    message.msg_iovlen = 0;
    say_rc("none", recvmsg(fd, &message, 0));
}

static void send_parts(int kind)
{
    struct iovec parts[2];
    struct msghdr message = two_parts(parts);
    int fd = pair(kind);
    memcpy(first, "abc", 3);
    memcpy(second, "defgh", 5);
    parts[1].iov_len = 5;
    say_rc("sendmsg", sendmsg(fd, &message, 0));
    peer_says(CONN, 8);
    say_rc("nosignal", sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT));
    peer_says(CONN, 8);
}

static void send_with_name(int arg)
{
    struct iovec parts[2];
    struct msghdr message = two_parts(parts);
    struct address other = address_of_peer(AF_INET, 9);
    int fd = pair(OUT4);
    memcpy(first, "abc", 3);
    message.msg_iovlen = 1;
    message.msg_name = &other.sa;
    message.msg_namelen = other.len;
    say_rc("sendmsg", sendmsg(fd, &message, 0));
    peer_says(CONN, 3);
}

static void send_errors(int arg)
{
    struct iovec parts[2];
    struct msghdr message = two_parts(parts);
    int fd = pair(OUT4);
    message.msg_iovlen = 1;
    say_rc("closed", sendmsg(150, &message, MSG_NOSIGNAL));
    say_rc("stdin", sendmsg(0, &message, MSG_NOSIGNAL));
    say_rc("fresh", sendmsg(tcp_socket(AF_INET), &message, MSG_NOSIGNAL));
    message.msg_iovlen = 5000;
    say_rc("too-many", sendmsg(fd, &message, 0));
    message.msg_iovlen = 0;
    say_rc("none", sendmsg(fd, &message, 0));
    must("shutdown", shutdown(fd, SHUT_WR));
    message.msg_iovlen = 1;
    say_rc("shut", sendmsg(fd, &message, MSG_NOSIGNAL));
}

static void send_rights(int arg)
{
    /* A stream of TCP carries no descriptors. */
    char control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec parts[2];
    struct msghdr message = two_parts(parts);
    int fd = pair(OUT4);
    message.msg_iovlen = 1;
    memcpy(first, "abc", 3);
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    *header = (struct cmsghdr){
        .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
    ssize_t rc = sendmsg(fd, &message, MSG_NOSIGNAL);
    say_rc("rights", rc);
    header->cmsg_type = 7777;
    say_rc("unknown", sendmsg(fd, &message, MSG_NOSIGNAL));
}

static void send_several(int arg)
{
    static char texts[3][8] = {"one", "two", "three"};
    struct iovec parts[3];
    struct mmsghdr messages[3];
    memset(messages, 0, sizeof(messages));
    for (int i = 0; i < 3; i++) {
        parts[i] = (struct iovec){texts[i], strlen(texts[i])};
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
    }
    int fd = pair(OUT4);
    say_rc("sendmmsg", sendmmsg(fd, messages, 3, 0));
    say("lengths=%u,%u,%u", messages[0].msg_len, messages[1].msg_len, messages[2].msg_len);
    peer_says(CONN, 11);
    say_rc("none", sendmmsg(fd, messages, 0, 0));
    must("shutdown", shutdown(fd, SHUT_WR));
    say_rc("shut", sendmmsg(fd, messages, 3, MSG_NOSIGNAL));
    say_rc("closed", sendmmsg(150, messages, 3, MSG_NOSIGNAL));
}

static void receive_several(int arg)
{
    static char texts[3][4];
    struct iovec parts[3];
    struct mmsghdr messages[3];
    memset(messages, 0, sizeof(messages));
    for (int i = 0; i < 3; i++) {
        parts[i] = (struct iovec){texts[i], 3};
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
    }
    int fd = nonblocking_pair(OUT4);
    say_rc("nothing", recvmmsg(fd, messages, 3, 0, NULL));
    peer_send(CONN, "abcdefg");
    await_bytes(fd, 7);
    say_rc("recvmmsg", recvmmsg(fd, messages, 3, 0, NULL));
    say("%s,%s,%s", texts[0], texts[1], texts[2]);
    say("lengths=%u,%u,%u", messages[0].msg_len, messages[1].msg_len, messages[2].msg_len);
    say_rc("nothing", recvmmsg(fd, messages, 3, MSG_DONTWAIT, NULL));
}

static void receive_several_in_time(int arg)
{
    static char texts[2][4];
    struct iovec parts[2];
    struct mmsghdr messages[2];
    struct timespec time = {.tv_sec = 5};
    memset(messages, 0, sizeof(messages));
    for (int i = 0; i < 2; i++) {
        parts[i] = (struct iovec){texts[i], 3};
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
    }
    int fd = pair(OUT4);
    peer_send(CONN, "abcdef");
    await_bytes(fd, 6);
    say_rc("recvmmsg", recvmmsg(fd, messages, 2, MSG_WAITFORONE, &time));
    say("%s,%s", texts[0], texts[1]);
    time.tv_nsec = -1;
    say_rc("bad-time", recvmmsg(fd, messages, 2, 0, &time));
}

static void datagrams_several(int arg)
{
    static char texts[3][8] = {"one", "two", "three"};
    struct iovec parts[3];
    struct mmsghdr messages[3];
    uint16_t port;
    memset(messages, 0, sizeof(messages));
    int fd = udp_bound(AF_INET, &port);
    struct address to = address_of_peer(AF_INET, peer_datagram(DGRAM, AF_INET)), from[3];
    for (int i = 0; i < 3; i++) {
        parts[i] = (struct iovec){texts[i], strlen(texts[i])};
        messages[i].msg_hdr =
            (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1, .msg_name = &to.sa, .msg_namelen = to.len};
    }
    say_rc("sendmmsg", sendmmsg(fd, messages, 3, 0));
    for (int i = 0; i < 3; i++) {
        peer_says_datagram(DGRAM);
        peer_send_to(DGRAM, AF_INET, port, texts[i], strlen(texts[i]));
        messages[i].msg_hdr.msg_name = &from[i].sa;
        messages[i].msg_hdr.msg_namelen = sizeof(from[i].sa);
    }
    there_and_back();
    memset(texts, 0, sizeof(texts));
    say_rc("recvmmsg", recvmmsg(fd, messages, 3, MSG_DONTWAIT, NULL));
    say("%s,%s,%s", texts[0], texts[1], texts[2]);
    say_address("from", &from[2].sa, address_port(&to));
}

static void datagram_message(int arg)
{
    struct iovec parts[2];
    struct msghdr message = two_parts(parts);
    uint16_t port;
    int fd = udp_bound(AF_INET, &port);
    struct address from = {.len = sizeof(from.sa)};
    uint16_t peer_port = peer_datagram(DGRAM, AF_INET);
    peer_send_to(DGRAM, AF_INET, port, "abcdefg", 7);
    parts[1].iov_len = 2;
    message.msg_name = &from.sa;
    message.msg_namelen = sizeof(from.sa);
    say_rc("recvmsg", recvmsg(fd, &message, 0));
    say("%s,%s", first, second);
    say_flags(message.msg_flags);
    say("namelen=%u", message.msg_namelen);
    say_address("from", &from.sa, peer_port);
    say_rc("sendmsg", sendmsg(fd, &message, 0));
    peer_says_datagram(DGRAM);
}

static const struct conf_case cases[] = {
    {"message.receive", receive, OUT4},
    {"message.receive.accepted", receive, IN4},
    {"message.receive.lengths", receive_lengths, 0},
    {"message.receive.flags", receive_peek_and_wait, 0},
    {"message.receive.eof", receive_end, 0},
    {"message.receive.reset", receive_end, 1},
    {"message.receive.errors", receive_errors, 0},
    {"message.send", send_parts, OUT4},
    {"message.send.accepted", send_parts, IN4},
    {"message.send.name", send_with_name, 0},
    {"message.send.errors", send_errors, 0},
    {"message.send.rights", send_rights, 0},
    {"message.sendmmsg", send_several, 0},
    {"message.recvmmsg", receive_several, 0},
    {"message.recvmmsg.time", receive_several_in_time, 0},
    {"message.dgram.several", datagrams_several, 0},
    {"message.dgram", datagram_message, 0},
};

CONF_GROUP(message_cases, cases);
