/* SPDX-License-Identifier: Apache-2.0 */
/* Signals that come while a call waits: EINTR, restarts, masks. */
#include <fcntl.h>
#include <signal.h>
#include <sys/select.h>
#include <sys/time.h>
#include <time.h>

#include "tests/conformance/case.h"
#include "tests/conformance/peer.h"

static volatile sig_atomic_t num_signals;

static void (*on_first_signal)(void); /* orders what shall come after it */

static void on_signal(int number)
{
    if (num_signals++ == 0 && on_first_signal != NULL)
        on_first_signal();
}

/* SIGALRM comes `ms` from now and then ten times a second, so that one that came too early is no hang. */
static void alarm_in(int ms, int flags)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = flags};
    struct itimerval time = {.it_value.tv_usec = ms * 1000, .it_interval.tv_usec = 100000};
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &time, NULL);
}

static void no_more_alarms(void)
{
    struct itimerval none = {0};
    setitimer(ITIMER_REAL, &none, NULL);
    say("signals=%d", num_signals > 0);
}

static void read_interrupted(int kind)
{
    char byte;
    int fd = pair(kind);
    alarm_in(40, 0);
    say_rc("read", read(fd, &byte, 1));
    no_more_alarms();
}

static void send_soon(void)
{
    peer_later(80);
    peer_send(CONN, "x");
}

static void read_restarts(int arg)
{
    char byte;
    int fd = pair(OUT4);
    on_first_signal = send_soon;
    alarm_in(40, SA_RESTART);
    say_rc("read", read(fd, &byte, 1));
    no_more_alarms();
}

static void read_with_timeout_never_restarts(int arg)
{
    char byte;
    int fd = pair(OUT4);
    set_timeout(fd, SO_RCVTIMEO, PATIENCE_MS);
    alarm_in(40, SA_RESTART);
    say_rc("read", read(fd, &byte, 1));
    no_more_alarms();
}

static void recvmsg_interrupted(int arg)
{
    char text[8];
    struct iovec part = {text, 8};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    int fd = pair(OUT4);
    alarm_in(40, 0);
    say_rc("recvmsg", recvmsg(fd, &message, 0));
    no_more_alarms();
}

static void waitall_interrupted(int arg)
{
    char text[8];
    int fd = pair(OUT4);
    peer_send(CONN, "part");
    await_bytes(fd, 4);
    alarm_in(40, 0);
    say_bytes("recv", recv(fd, text, 8, MSG_WAITALL), text);
    no_more_alarms();
}

static void waitall_goes_on(int arg)
{
    /* A handler with SA_RESTART ends a read that has some bytes, too. */
    char text[8];
    int fd = pair(OUT4);
    peer_send(CONN, "part");
    await_bytes(fd, 4);
    alarm_in(40, SA_RESTART);
    say_bytes("recv", recv(fd, text, 8, MSG_WAITALL), text);
    no_more_alarms();
}

static void write_interrupted(int arg)
{
    static char bytes[1 << 20];
    int fd = nonblocking_pair(OUT4);
    fill(fd);
    must("fcntl", fcntl(fd, F_SETFL, 0));
    alarm_in(40, 0);
    /* What was left of the room may be taken first; then there is none. */
    ssize_t rc = write(fd, bytes, sizeof(bytes));
    while (rc > 0 && rc < (ssize_t)sizeof(bytes))
        rc = write(fd, bytes, sizeof(bytes));
    say_rc("write", rc);
    no_more_alarms();
}

static void accept_interrupted(int arg)
{
    uint16_t port;
    int door = listener(AF_INET, &port);
    alarm_in(40, 0);
    say_fd("accept", accept(door, NULL, NULL));
    no_more_alarms();
}

static uint16_t port_to_connect;

static void connect_soon(void)
{
    peer_later(80);
    peer_connect(CONN, AF_INET, port_to_connect);
}

static void accept_restarts(int arg)
{
    int door = listener(AF_INET, &port_to_connect);
    on_first_signal = connect_soon;
    alarm_in(40, SA_RESTART);
    say_fd("accept", accept(door, NULL, NULL));
    no_more_alarms();
}

static void connect_interrupted(int arg)
{
    struct address to = black_hole(AF_INET);
    int fd = tcp_socket(AF_INET);
    alarm_in(40, 0);
    say_rc("connect", connect(fd, SA(to)));
    no_more_alarms();
    set_nonblocking(fd);
    say_rc("again", connect(fd, SA(to)));
}

static void poll_interrupted(int flags)
{
    struct pollfd poller = {.fd = pair(OUT4), .events = POLLIN};
    alarm_in(40, flags);
    say_rc("poll", poll(&poller, 1, PATIENCE_MS));
    no_more_alarms();
}

static void select_interrupted(int flags)
{
    int fd = pair(OUT4);
    fd_set in;
    FD_ZERO(&in);
    FD_SET(fd, &in);
    alarm_in(40, flags);
    say_rc("select", select(fd + 1, &in, NULL, NULL, NULL));
    no_more_alarms();
}

static void epoll_interrupted(int flags)
{
    struct epoll_event event = {.events = EPOLLIN};
    int set = epoll_create1(0);
    must("epoll_ctl", epoll_ctl(set, EPOLL_CTL_ADD, pair(OUT4), &event));
    alarm_in(40, flags);
    say_rc("epoll_wait", epoll_wait(set, &event, 1, PATIENCE_MS));
    no_more_alarms();
}

static void block(int number, sigset_t *ret_unblocked)
{
    sigset_t set;
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(number, &action, NULL);
    sigemptyset(&set);
    sigaddset(&set, number);
    sigprocmask(SIG_BLOCK, &set, NULL);
    sigemptyset(ret_unblocked);
}

static void ppoll_mask(int arg)
{
    sigset_t unblocked;
    struct pollfd poller = {.fd = pair(OUT4), .events = POLLIN};
    block(SIGUSR1, &unblocked);
    kill(getpid(), SIGUSR1);
    say("before=%d", (int)num_signals);
    struct timespec time = {.tv_nsec = 10000000};
    say_rc("blocked", ppoll(&poller, 1, &time, NULL));
    say("signals=%d", (int)num_signals);
    say_rc("unblocked", ppoll(&poller, 1, NULL, &unblocked));
    say("signals=%d", (int)num_signals);
    kill(getpid(), SIGUSR1);
    say("blocked-again=%d", (int)num_signals);
}

static void ppoll_mask_when_ready(int arg)
{
    /* A pending signal that the mask lets in does not hide what is ready. */
    sigset_t unblocked;
    struct pollfd poller = {.fd = pair(OUT4), .events = POLLOUT};
    block(SIGUSR1, &unblocked);
    kill(getpid(), SIGUSR1);
    say_rc("ppoll", ppoll(&poller, 1, NULL, &unblocked));
    say("signals=%d", (int)num_signals);
    kill(getpid(), SIGUSR1);
    say("signals=%d", (int)num_signals);
}

static void epoll_mask(int arg)
{
    sigset_t unblocked;
    struct epoll_event event = {.events = EPOLLIN};
    int set = epoll_create1(0);
    must("epoll_ctl", epoll_ctl(set, EPOLL_CTL_ADD, pair(OUT4), &event));
    block(SIGUSR1, &unblocked);
    kill(getpid(), SIGUSR1);
    say_rc("blocked", epoll_pwait(set, &event, 1, 10, NULL));
    say_rc("unblocked", epoll_pwait(set, &event, 1, -1, &unblocked));
    say("signals=%d", (int)num_signals);
}

static void pselect_mask(int arg)
{
    sigset_t unblocked;
    int fd = pair(OUT4);
    fd_set in;
    FD_ZERO(&in);
    FD_SET(fd, &in);
    block(SIGUSR1, &unblocked);
    kill(getpid(), SIGUSR1);
    say_rc("pselect", pselect(fd + 1, &in, NULL, NULL, NULL, &unblocked));
    say("signals=%d", (int)num_signals);
}

static void masked_call_waits(int arg)
{
    /* The mask blocks what the thread lets in: the signal waits for the end of the call. */
    struct sigaction action = {.sa_handler = on_signal};
    sigset_t blocked;
    struct pollfd poller = {.fd = pair(OUT4), .events = POLLIN};
    struct timespec time = {.tv_nsec = 80000000};
    sigaction(SIGALRM, &action, NULL);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGALRM);
    struct itimerval once = {.it_value.tv_usec = 20000};
    setitimer(ITIMER_REAL, &once, NULL);
    int rc, error = 0;
    int64_t end_ms = now_ms() + PATIENCE_MS;
    do { /* the timer of the signal may be later than that of the call */
        rc = ppoll(&poller, 1, &time, &blocked);
        error = errno;
    } while (rc == 0 && num_signals == 0 && now_ms() < end_ms);
    errno = error;
    say_rc("ppoll", rc);
    say("signals=%d", (int)num_signals);
}

static int handler_fd;

static void write_in_handler(int number)
{
    if (write(handler_fd, "signal", 6) == 6)
        num_signals++;
    peer_later(70);
    peer_send(CONN, "data");
}

static void handler_uses_socket(int arg)
{
    char text[8];
    struct sigaction action = {.sa_handler = write_in_handler, .sa_flags = SA_RESTART};
    handler_fd = pair(OUT4);
    sigaction(SIGALRM, &action, NULL);
    struct itimerval once = {.it_value.tv_usec = 30000};
    setitimer(ITIMER_REAL, &once, NULL);
    say_bytes("read", read(handler_fd, text, sizeof(text)), text);
    say("signals=%d", (int)num_signals);
    peer_says(CONN, 6);
}

static void ignored_does_not_interrupt(int arg)
{
    char byte;
    int fd = pair(OUT4);
    signal(SIGALRM, SIG_IGN);
    struct itimerval once = {.it_value.tv_usec = 20000};
    setitimer(ITIMER_REAL, &once, NULL);
    peer_later(80);
    peer_send(CONN, "x");
    say_rc("read", read(fd, &byte, 1));
}

static void kills_while_blocked(int arg)
{
    struct address to = address_of_peer(AF_INET, peer_listen(LISTENER, AF_INET));
    pid_t child = fork();
    if (child == 0) {
        char byte;
        int fd = tcp_socket(AF_INET);
        must("connect", connect(fd, SA(to)));
        struct itimerval once = {.it_value.tv_usec = 30000};
        setitimer(ITIMER_REAL, &once, NULL);
        read(fd, &byte, 1);
        _exit(0);
    }
    peer_accept(CONN, LISTENER);
    end_child("child", child);
    peer_says(CONN, 1);
}

static const struct conf_case cases[] = {
    {"signal.read", read_interrupted, OUT4},
    {"signal.read.accepted", read_interrupted, IN4},
    {"signal.read.restart", read_restarts, 0},
    {"signal.read.timeout", read_with_timeout_never_restarts, 0},
    {"signal.recvmsg", recvmsg_interrupted, 0},
    {"signal.waitall", waitall_interrupted, 0},
    {"signal.waitall.restart", waitall_goes_on, 0},
    {"signal.write", write_interrupted, 0},
    {"signal.accept", accept_interrupted, 0},
    {"signal.accept.restart", accept_restarts, 0},
    {"signal.connect", connect_interrupted, 0},
    {"signal.poll", poll_interrupted, 0},
    {"signal.poll.restart", poll_interrupted, SA_RESTART},
    {"signal.select", select_interrupted, 0},
    {"signal.select.restart", select_interrupted, SA_RESTART},
    {"signal.epoll", epoll_interrupted, 0},
    {"signal.epoll.restart", epoll_interrupted, SA_RESTART},
    {"signal.ppoll.mask", ppoll_mask, 0},
    {"signal.ppoll.mask.ready", ppoll_mask_when_ready, 0},
    {"signal.epoll-pwait.mask", epoll_mask, 0},
    {"signal.pselect.mask", pselect_mask, 0},
    {"signal.ppoll.blocks", masked_call_waits, 0},
    {"signal.handler-uses-socket", handler_uses_socket, 0},
    {"signal.ignored", ignored_does_not_interrupt, 0},
    {"signal.kills", kills_while_blocked, 0},
};

CONF_GROUP(signal_cases, cases);
