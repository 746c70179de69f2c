/* SPDX-License-Identifier: Apache-2.0 */
/* Pointers that point nowhere: EFAULT, and nothing is lost. */
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

#include "tests/conformance/case.h"
#include "tests/conformance/peer.h"

static void *nowhere(void)
{
    return (void *)(uintptr_t)16;
}

static char text[16];

static int readable(void)
{
    int fd = pair(OUT4);
    peer_send(CONN, "hello");
    await_bytes(fd, 5);
    return fd;
}

static void say_kept(int fd)
{
    say_bytes("kept", read(fd, text, sizeof(text)), text);
}

static void in_read(int arg)
{
    int fd = readable();
    say_rc("read", read(fd, nowhere(), 5));
    say_kept(fd);
}

static void in_recv(int flags)
{
    int fd = readable();
    say_rc("recv", recv(fd, nowhere(), 5, flags));
    say_kept(fd);
}

static void in_readv(int arg)
{
    int fd = readable();
    say_rc("readv", readv(fd, NULL, 1));
    say_kept(fd);
}

static void in_recvmsg(int arg)
{
    int fd = readable();
    say_rc("recvmsg", recvmsg(fd, NULL, 0));
    say_kept(fd);
}

static void say_unspoiled(int fd)
{
    say_rc("write", write(fd, "fine", 4));
    peer_says(CONN, 4);
}

static void in_write(int arg)
{
    int fd = pair(OUT4);
    say_rc("write", write(fd, nowhere(), 5));
    say_unspoiled(fd);
}

static void in_send(int arg)
{
    int fd = pair(OUT4);
    say_rc("send", send(fd, nowhere(), 5, 0));
    say_unspoiled(fd);
}

static void in_writev(int arg)
{
    int fd = pair(OUT4);
    struct iovec part = {nowhere(), 3};
    say_rc("null", writev(fd, NULL, 1));
    say_rc("part", writev(fd, &part, 1));
    say_unspoiled(fd);
}

static void in_sendmsg(int arg)
{
    int fd = pair(OUT4);
    say_rc("sendmsg", sendmsg(fd, NULL, 0));
    say_unspoiled(fd);
}

static void in_poll(int arg)
{
    pair(OUT4);
    say_rc("poll", poll(NULL, 1, 0));
}

static void in_epoll_wait(int arg)
{
    struct epoll_event event = {.events = EPOLLOUT};
    int fd = pair(OUT4), set = epoll_create1(0);
    must("epoll_ctl", epoll_ctl(set, EPOLL_CTL_ADD, fd, &event));
    say_rc("epoll_wait", epoll_wait(set, NULL, 1, 0));
    say_rc("fine", epoll_wait(set, &event, 1, 0));
}

static void in_ioctl(int arg)
{
    int fd = pair(OUT4);
    say_rc("fionread", ioctl(fd, FIONREAD, NULL));
    say_rc("fionbio", ioctl(fd, FIONBIO, NULL));
}

static const struct conf_case cases[] = {
    {"fault.read", in_read, 0},
    {"fault.recv", in_recv, 0},
    {"fault.recv.peek", in_recv, MSG_PEEK},
    {"fault.readv", in_readv, 0},
    {"fault.recvmsg", in_recvmsg, 0},
    {"fault.write", in_write, 0},
    {"fault.send", in_send, 0},
    {"fault.writev", in_writev, 0},
    {"fault.sendmsg", in_sendmsg, 0},
    {"fault.poll", in_poll, 0},
    {"fault.epoll-wait", in_epoll_wait, 0},
    {"fault.ioctl", in_ioctl, 0},
};

CONF_GROUP(fault_cases, cases);
