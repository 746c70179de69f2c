/* SPDX-License-Identifier: Apache-2.0 */
/* Several threads on one socket. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/select.h>

#include "tests/conformance/case.h"
#include "tests/conformance/peer.h"

enum { BULK = 2 << 20 };

/* A thread's one call and what came of it. */
struct call {
    pthread_t thread;
    int fd, set, rc, error, revents, id, is_done;
    bool equal;
    char text[16];
};

static void start(struct call *call, void *(*work)(void *), int fd)
{
    *call = (struct call){.fd = fd};
    if (pthread_create(&call->thread, NULL, work, call) != 0)
        give_up("pthread_create");
}

static void end(const char *what, struct call *call)
{
    pthread_join(call->thread, NULL);
    errno = call->error;
    say_rc(what, call->rc);
}

/* What a thread begins with. */
static struct call *begin(void *arg)
{
    struct call *call = arg;
    __atomic_store_n(&call->id, gettid(), __ATOMIC_RELEASE);
    return call;
}

/* Whether the thread sleeps now. */
static bool is_asleep(const struct call *call)
{
    char path[64], line[512] = "";
    int id = __atomic_load_n(&call->id, __ATOMIC_ACQUIRE);
    snprintf(path, sizeof(path), "/proc/self/task/%d/stat", id);
    FILE *stat = id != 0 ? fopen(path, "r") : NULL;
    if (stat == NULL)
        return false;
    if (fgets(line, sizeof(line), stat) == NULL)
        line[0] = '\0';
    fclose(stat);
    const char *name_end = strrchr(line, ')');
    return name_end != NULL && strncmp(name_end, ") S", 3) == 0;
}

/* Waits until the thread sleeps in its call: until it is seen asleep for a while. */
static void await_asleep(const struct call *call)
{
    int64_t end_ms = now_ms() + PATIENCE_MS;
    for (int num_seen = 0; num_seen < 10 && now_ms() < end_ms; pause_ms(3))
        num_seen = is_asleep(call) ? num_seen + 1 : 0;
    if (!is_asleep(call))
        say("AWAKE");
}

static void *do_read(void *arg)
{
    struct call *call = begin(arg);
    call->rc = (int)read(call->fd, call->text, sizeof(call->text));
    call->error = errno;
    return NULL;
}

static void *do_accept(void *arg)
{
    struct call *call = begin(arg);
    call->rc = accept(call->fd, NULL, NULL) < 0 ? -1 : 0;
    call->error = errno;
    return NULL;
}

static void *do_poll(void *arg)
{
    struct call *call = begin(arg);
    struct pollfd poller = {.fd = call->fd, .events = POLLIN | POLLRDHUP};
    call->rc = poll(&poller, 1, PATIENCE_MS);
    call->error = errno;
    call->revents = poller.revents;
    return NULL;
}

static void *do_epoll(void *arg)
{
    struct call *call = begin(arg);
    struct epoll_event event = {.events = 0};
    call->rc = epoll_wait(call->fd, &event, 1, 2 * PATIENCE_MS);
    call->error = errno;
    call->revents = (int)event.events;
    __atomic_store_n(&call->is_done, 1, __ATOMIC_RELEASE);
    return NULL;
}

static void *do_write(void *arg)
{
    static char bytes[1 << 20];
    struct call *call = begin(arg);
    ssize_t rc = write(call->fd, bytes, sizeof(bytes));
    while (rc > 0)
        rc = write(call->fd, bytes, sizeof(bytes));
    call->rc = (int)rc;
    call->error = errno;
    return NULL;
}

static void *do_write_pattern(void *arg)
{
    struct call *call = arg;
    uint8_t *bytes = malloc(BULK);
    for (int i = 0; i < BULK; i++)
        bytes[i] = peer_pattern(i);
    call->rc = (int)write(call->fd, bytes, BULK);
    call->error = errno;
    free(bytes);
    return NULL;
}

static void *do_read_pattern(void *arg)
{
    struct call *call = arg;
    uint8_t *bytes = malloc(BULK);
    call->rc = (int)recv(call->fd, bytes, BULK, MSG_WAITALL);
    call->error = errno;
    call->equal = true;
    for (int i = 0; i < BULK; i++)
        call->equal = call->equal && bytes[i] == peer_pattern(i);
    free(bytes);
    return NULL;
}

static void both_directions(int kind)
{
    struct call reader, writer;
    int fd = pair(kind);
    start(&reader, do_read_pattern, fd);
    start(&writer, do_write_pattern, fd);
    peer_later(1);
    peer_fill(CONN, BULK);
    peer_has(CONN, BULK);
    end("read", &reader);
    say("equal=%d", reader.equal);
    end("write", &writer);
}

static void read_woken_by_data(int arg)
{
    struct call reader;
    start(&reader, do_read, pair(OUT4));
    await_asleep(&reader);
    peer_send(CONN, "data");
    end("read", &reader);
}

static void read_woken_by_shutdown(int how)
{
    struct call reader;
    int fd = pair(OUT4);
    start(&reader, do_read, fd);
    await_asleep(&reader);
    say_rc("shutdown", shutdown(fd, how));
    end("read", &reader);
}

static void accept_woken_by_shutdown(int arg)
{
    uint16_t port;
    struct call waiter;
    int door = listener(AF_INET, &port);
    start(&waiter, do_accept, door);
    await_asleep(&waiter);
    say_rc("shutdown", shutdown(door, SHUT_RD));
    end("accept", &waiter);
}

static void poll_woken_by_shutdown(int how)
{
    struct call waiter;
    int fd = pair(OUT4);
    start(&waiter, do_poll, fd);
    await_asleep(&waiter);
    say_rc("shutdown", shutdown(fd, how));
    end("poll", &waiter);
    say_poll("events", waiter.revents);
}

static void write_woken_by_shutdown(int arg)
{
    struct call writer;
    int fd = nonblocking_pair(OUT4);
    fill(fd);
    fcntl(fd, F_SETFL, 0);
    signal(SIGPIPE, SIG_IGN);
    start(&writer, do_write, fd);
    await_asleep(&writer);
    say_rc("shutdown", shutdown(fd, SHUT_WR));
    end("write", &writer);
}

static void read_outlives_close(int arg)
{
    /* The call that waits holds the connection: it gets the bytes that come after the close. */
    struct call reader;
    int fd = pair(OUT4);
    start(&reader, do_read, fd);
    await_asleep(&reader);
    say_rc("close", close(fd));
    peer_send(CONN, "late");
    end("read", &reader);
    say("%.4s", reader.rc == 4 ? reader.text : "");
    peer_says(CONN, 1);
}

static void epoll_woken(int arg)
{
    struct call waiter;
    int fd = pair(OUT4), set = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN};
    must("epoll_ctl", epoll_ctl(set, EPOLL_CTL_ADD, fd, &event));
    start(&waiter, do_epoll, set);
    await_asleep(&waiter);
    peer_send(CONN, "x");
    end("epoll_wait", &waiter);
    say_epoll("events", (uint32_t)waiter.revents);
}

static void epoll_woken_by_add(int arg)
{
    /* What is added while another thread waits counts for that wait. */
    struct call waiter;
    int fd = pair(OUT4), set = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLOUT};
    start(&waiter, do_epoll, set);
    await_asleep(&waiter);
    must("epoll_ctl", epoll_ctl(set, EPOLL_CTL_ADD, fd, &event));
    end("epoll_wait", &waiter);
    say_epoll("events", (uint32_t)waiter.revents);
}

static void epoll_woken_by_mod(int arg)
{
    struct call waiter;
    int fd = pair(OUT4), set = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN};
    must("epoll_ctl", epoll_ctl(set, EPOLL_CTL_ADD, fd, &event));
    start(&waiter, do_epoll, set);
    await_asleep(&waiter);
    event.events = EPOLLOUT;
    must("epoll_ctl", epoll_ctl(set, EPOLL_CTL_MOD, fd, &event));
    end("epoll_wait", &waiter);
    say_epoll("events", (uint32_t)waiter.revents);
}

enum { NUM_WAITERS = 3 };

static void await_any_done(const struct call waiters[NUM_WAITERS])
{
    bool is_done = false;
    int64_t end_ms = now_ms() + PATIENCE_MS;
    while (!is_done && now_ms() < end_ms) {
        for (int i = 0; i < NUM_WAITERS; i++)
            is_done |= __atomic_load_n(&waiters[i].is_done, __ATOMIC_ACQUIRE) != 0;
        pause_ms(1);
    }
}

static void epoll_edge_wakes_one(int arg)
{
    struct call waiters[NUM_WAITERS];
    int fd = pair(OUT4), set = epoll_create1(0), woken = 0;
    struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT};
    must("epoll_ctl", epoll_ctl(set, EPOLL_CTL_ADD, fd, &event));
    for (int i = 0; i < NUM_WAITERS; i++)
        start(&waiters[i], do_epoll, set);
    for (int i = 0; i < NUM_WAITERS; i++)
        await_asleep(&waiters[i]);
    peer_send(CONN, "x");
    await_any_done(waiters);
    pause_ms(SKIP_NOTHING_MS);
    /* Those who did not get it are woken by another. */
    int pipes[2];
    must("pipe", pipe(pipes));
    close(pipes[1]);
    event = (struct epoll_event){.events = EPOLLIN};
    must("epoll_ctl", epoll_ctl(set, EPOLL_CTL_ADD, pipes[0], &event));
    for (int i = 0; i < NUM_WAITERS; i++) {
        pthread_join(waiters[i].thread, NULL);
        woken += (waiters[i].revents & EPOLLIN) != 0;
    }
    say("by-socket=%d", woken);
}

static void accepts_share(int arg)
{
    uint16_t port;
    struct call waiters[3];
    int door = listener(AF_INET, &port);
    for (int i = 0; i < 3; i++)
        start(&waiters[i], do_accept, door);
    for (int i = 0; i < 3; i++)
        peer_connect(CONN + i, AF_INET, port);
    for (int i = 0; i < 3; i++)
        end("accept", &waiters[i]);
}

static void reads_share(int arg)
{
    /* Every byte is read once, by whichever thread. */
    struct call readers[3];
    int fd = pair(OUT4);
    int64_t total = 0;
    for (int i = 0; i < 3; i++)
        start(&readers[i], do_read, fd);
    for (int i = 0; i < 3; i++)
        await_asleep(&readers[i]);
    for (int i = 0; i < 3; i++)
        peer_send(CONN, "abcd");
    peer_close(CONN);
    for (int i = 0; i < 3; i++) {
        pthread_join(readers[i].thread, NULL);
        total += readers[i].rc;
    }
    char rest[16];
    ssize_t rc;
    while ((rc = read(fd, rest, sizeof(rest))) > 0)
        total += rc;
    say("total=%lld", (long long)total);
}

static void *do_pair_work(void *arg)
{
    struct call *call = arg;
    for (int i = 0; i < 50; i++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0), set = epoll_create1(0);
        struct epoll_event event = {.events = EPOLLIN};
        if (fd < 0 || epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) != 0)
            call->rc++;
        if (close(fd) != 0 || close(set) != 0)
            call->rc++;
    }
    return NULL;
}

static void make_and_close(int arg)
{
    struct call workers[4];
    for (int i = 0; i < 4; i++)
        start(&workers[i], do_pair_work, -1);
    for (int i = 0; i < 4; i++)
        end("failures", &workers[i]);
}

static void *do_connect(void *arg)
{
    struct call *call = arg;
    struct address to = address_of_peer(AF_INET, (uint16_t)call->fd);
    int fd = tcp_socket(AF_INET);
    call->rc = connect(fd, SA(to));
    call->error = errno;
    return NULL;
}

static void connects_at_once(int arg)
{
    struct call workers[8];
    uint16_t port = peer_listen(LISTENER, AF_INET);
    for (int i = 0; i < 8; i++)
        start(&workers[i], do_connect, port);
    for (int i = 0; i < 8; i++)
        end("connect", &workers[i]);
}

static void *check_errno(void *arg)
{
    struct call *call = arg;
    errno = 0;
    pause_ms(50);
    call->rc = errno;
    return NULL;
}

static void errno_is_a_threads_own(int arg)
{
    char byte;
    struct call other;
    int fd = nonblocking_pair(OUT4);
    start(&other, check_errno, fd);
    for (int i = 0; i < 100; i++)
        if (read(fd, &byte, 1) != -1 || errno != EAGAIN)
            say("errno=%s", error_name(errno));
    end("other", &other);
}

static void *do_epoll_on(void *arg)
{
    struct call *call = begin(arg);
    struct epoll_event event = {.events = EPOLLIN};
    call->set = epoll_create1(0);
    epoll_ctl(call->set, EPOLL_CTL_ADD, call->fd, &event);
    call->rc = epoll_wait(call->set, &event, 1, -1);
    return NULL;
}

static void *do_select(void *arg)
{
    struct call *call = begin(arg);
    fd_set set;
    FD_ZERO(&set);
    FD_SET(call->fd, &set);
    call->rc = select(call->fd + 1, &set, NULL, NULL, NULL);
    return NULL;
}

/* A thread is cancelled in a call on the socket, which stays as it was, and ends with its close. */
static void cancelled(void *(*work)(void *))
{
    struct call call;
    void *result;
    int fd = pair(OUT4);
    start(&call, work, fd);
    await_asleep(&call);
    pthread_cancel(call.thread);
    pthread_join(call.thread, &result);
    say("cancelled=%d", result == PTHREAD_CANCELED);
    peer_send(CONN, "still");
    char text[16];
    say_bytes("read", read(fd, text, sizeof(text)), text);
    say_rc("write", write(fd, "here", 4));
    if (call.set > 0)
        close(call.set);
    say_rc("close", close(fd));
    peer_says(CONN, 100);
}

static void cancelled_in(int which)
{
    void *(*const works[])(void *) = {do_read, do_poll, do_epoll_on, do_select};
    cancelled(works[which]);
}

static void cancelled_in_accept(int arg)
{
    uint16_t port;
    struct call call;
    void *result;
    int fd = listener(AF_INET, &port);
    start(&call, do_accept, fd);
    await_asleep(&call);
    pthread_cancel(call.thread);
    pthread_join(call.thread, &result);
    say("cancelled=%d", result == PTHREAD_CANCELED);
    peer_connects(CONN, AF_INET, port);
    say_fd("accept", accept(fd, NULL, NULL));
    say_rc("close", close(fd));
    peer_connects(CONN2, AF_INET, port);
}

static const struct conf_case cases[] = {
    {"thread.both-directions", both_directions, OUT4},
    {"thread.both-directions.accepted", both_directions, IN4},
    {"thread.read.data", read_woken_by_data, 0},
    {"thread.read.shutdown-rd", read_woken_by_shutdown, SHUT_RD},
    {"thread.read.shutdown-rdwr", read_woken_by_shutdown, SHUT_RDWR},
    {"thread.read.close", read_outlives_close, 0},
    {"thread.accept.shutdown", accept_woken_by_shutdown, 0},
    {"thread.poll.shutdown-rd", poll_woken_by_shutdown, SHUT_RD},
    {"thread.poll.shutdown-rdwr", poll_woken_by_shutdown, SHUT_RDWR},
    {"thread.write.shutdown", write_woken_by_shutdown, 0},
    {"thread.epoll.data", epoll_woken, 0},
    {"thread.epoll.add", epoll_woken_by_add, 0},
    {"thread.epoll.mod", epoll_woken_by_mod, 0},
    {"thread.epoll.one-shot", epoll_edge_wakes_one, 0},
    {"thread.accepts", accepts_share, 0},
    {"thread.reads", reads_share, 0},
    {"thread.make-and-close", make_and_close, 0},
    {"thread.connects", connects_at_once, 0},
    {"thread.errno", errno_is_a_threads_own, 0},
    {"thread.cancel.read", cancelled_in, 0},
    {"thread.cancel.poll", cancelled_in, 1},
    {"thread.cancel.epoll", cancelled_in, 2},
    {"thread.cancel.select", cancelled_in, 3},
    {"thread.cancel.accept", cancelled_in_accept, 0},
};

CONF_GROUP(thread_cases, cases);
