/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Visitors of a memif server: that are gone before it has answered them, that come when it is closed, or that
 * it does not accept.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <rte_alarm.h>
#include <semaphore.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "drivers/dpdk/test_child.h"

#define NUM_VISITORS 5

/* DPDK's interrupt thread, which accepts them, waits while it is held. */
struct hold {
    sem_t begun, end, over;
};

static void await(sem_t *event)
{
    while (sem_wait(event) != 0)
        continue;
}

static void hold_now(void *arg)
{
    struct hold *hold = arg;
    sem_post(&hold->begun);
    await(&hold->end);
    sem_post(&hold->over);
}

/* An abstract name: a zero before it, none behind. */
static socklen_t fill_address(struct sockaddr_un *ret_address, const char *name)
{
    *ret_address = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(ret_address->sun_path + 1, sizeof ret_address->sun_path - 1, "%s", name);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name));
}

/* Comes, and stays; -1: errno, EAGAIN when others who came before still wait. */
static int come(const char *name)
{
    struct sockaddr_un address;
    socklen_t len = fill_address(&address, name);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0);
    if (connect(fd, (const struct sockaddr *)&address, len) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

/* Comes, and goes; returns an errno. */
static int visit(const char *name)
{
    int fd = come(name);
    if (fd < 0)
        return errno;
    close(fd);
    return 0;
}

static bool begin(struct hold *hold, uint64_t in_us)
{
    sem_init(&hold->begun, 0, 0);
    sem_init(&hold->end, 0, 0);
    sem_init(&hold->over, 0, 0);
    if (rte_eal_alarm_set(in_us, hold_now, hold) != 0)
        return false;
    await(&hold->begun);
    return true;
}

static void end(struct hold *hold)
{
    sem_post(&hold->end);
    await(&hold->over);
}

static int num_open(void)
{
    int num = 0;
    for (int fd = 0; fd < 256; fd++)
        num += fcntl(fd, F_GETFD) >= 0;
    return num;
}

/* The thread gets to accept who waited, to read that he is gone, and to let him go: a hold that is not due
 * yet sends it round. */
static bool is_let_go(int num_before)
{
    struct hold hold;
    for (int i = 0; i < 10000; i++) {
        if (!begin(&hold, 1000))
            return false;
        end(&hold);
        if (i >= 10 && num_open() == num_before)
            return true;
    }
    return false;
}

/* The name of this process's socket: each test has a network namespace, and with it all names, of its own. */
#define NAME "/tmp/pel-memif-test.sock"

static const char *open_server(struct pel_port **ret_port, char ret_text[TEST_TEXT_LEN])
{
    struct pel_dpdk_port_config config = {.device = "net_memif0,role=server,id=0,socket=" NAME};
    struct pel_error error = {0};
    CHECK_OK(pel_dpdk_port_open(&config, ret_port, &error));
    return NULL;
}

static const char *hasty(char ret_text[TEST_TEXT_LEN])
{
    struct pel_port *port = NULL;
    CHECK_NULL(test_dpdk_start(ret_text));
    CHECK_NULL(open_server(&port, ret_text));
    int before = num_open();
    for (int i = 0; i < NUM_VISITORS; i++) {
        struct hold hold;
        CHECK(begin(&hold, 1));
        int refused = visit(NAME);
        end(&hold);
        CHECK(refused == 0 || refused == EAGAIN);
        CHECK(is_let_go(before));
    }
    pel_port_close(port);
    pel_dpdk_stop();
    return NULL;
}

/* Waits for a message, at most 20 s; its length, 0 at the end. */
static ssize_t hear(int fd)
{
    char text[512];
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    return poll(&poll_fd, 1, 20000) == 1 ? recv(fd, text, sizeof text, 0) : -1;
}

/* One is gone, the next gets the number of his socket: it must be known once only, or the thread reads twice
 * what has come once, and waits, and the port cannot be closed. */
static const char *next_in_line(char ret_text[TEST_TEXT_LEN])
{
    struct pel_port *port = NULL;
    struct hold hold;
    CHECK_NULL(test_dpdk_start(ret_text));
    CHECK_NULL(open_server(&port, ret_text));
    CHECK(begin(&hold, 1));
    int gone = visit(NAME), fd = come(NAME);
    end(&hold);
    CHECK(gone == 0 && fd >= 0);
    CHECK(hear(fd) > 1);
    CHECK(send(fd, "x", 1, 0) == 1); /* no message: it is told so, and that is the end */
    CHECK(hear(fd) > 1);
    CHECK(hear(fd) == 0);
    pel_port_close(port);
    close(fd);
    pel_dpdk_stop();
    return NULL;
}

PEL_TEST(dpdk_memif, the_next_in_line_after_one_that_is_gone)
{
    IN_CHILD(next_in_line);
}

/* Its socket goes with a server: who comes later is refused, and nobody is left to answer. */
static const char *closed(char ret_text[TEST_TEXT_LEN])
{
    struct pel_port *port = NULL;
    CHECK_NULL(test_dpdk_start(ret_text));
    CHECK_NULL(open_server(&port, ret_text));
    pel_port_close(port);
    int before = num_open();
    for (int i = 0; i < 3; i++) {
        CHECK_NULL(open_server(&port, ret_text));
        int open_before = num_open();
        CHECK(visit(NAME) == 0);
        CHECK(is_let_go(open_before));
        pel_port_close(port);
        CHECK(visit(NAME) == ECONNREFUSED);
        CHECK(num_open() == before);
    }
    pel_dpdk_stop();
    return NULL;
}

PEL_TEST(dpdk_memif, a_server_that_is_closed_listens_no_more)
{
    IN_CHILD(closed);
}

PEL_TEST(dpdk_memif, visitors_that_are_gone_before_they_are_answered)
{
    IN_CHILD(hasty);
}

/* A client whose server is there and accepts nobody gives up and says what to do. */
static const char *full(char ret_text[TEST_TEXT_LEN])
{
    struct pel_dpdk_port_config config = {.device = "net_memif0,role=client,id=0,socket=" NAME};
    struct pel_error error = {0};
    struct pel_port *port = NULL;
    struct sockaddr_un address;
    socklen_t len = fill_address(&address, NAME);
    int server = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    CHECK(bind(server, (const struct sockaddr *)&address, len) == 0 && listen(server, 1) == 0);
    while (come(NAME) >= 0)
        continue;
    CHECK(errno == EAGAIN);
    CHECK_NULL(test_dpdk_start(ret_text));
    CHECK(pel_dpdk_port_open(&config, &port, &error) == PEL_E_PORT_OPEN);
    CHECK(strstr(error.text, "socket=" NAME ": cannot reach the server at the other end") != NULL);
    CHECK(strstr(error.text, "start the server's side first") != NULL);
    pel_dpdk_stop();
    return NULL;
}

PEL_TEST(dpdk_memif, a_client_whose_server_accepts_nobody)
{
    IN_CHILD(full);
}
