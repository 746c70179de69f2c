/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What tests of sockets share: engines under the sockets, addresses, and a connected pair. The engines are
 * fake ones (socket_fake_env.c) or real ones (socket_real_env.c): the same tests, except those of faults, run
 * on both.
 */
#ifndef PEL_STACK_SOCKET_TEST_ENV_H
#define PEL_STACK_SOCKET_TEST_ENV_H

#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include <pellucid/socket.h>

#define TEST_PORT       7000
#define TEST_BUFFER_LEN 16384

/* That a call fails with an errno. Needs errno.h and the harness. */
#define EXPECT_FAIL(call, error)                                                                             \
    do {                                                                                                     \
        errno = 0;                                                                                           \
        PEL_EXPECT_EQ(call, -1);                                                                             \
        PEL_EXPECT_EQ(errno, error);                                                                         \
    } while (0)

/* env_start starts `num_engines` engines and the sockets upon them; env_stop ends both and checks that
 * nothing is left over. env_num_conns returns how many connections the engines have. In socket_fake_env.c or
 * socket_real_env.c. */
void env_start(size_t num_engines, uint32_t max_sockets);
void env_stop(void);

/* env_start_policy starts one engine with a policy and the keyrings of tests/scenario/rings.h; real engines
 * alone. */
void env_start_policy(const char *policy);
size_t env_num_conns(void);

/* env_address returns 10.7.0.1 with `port`; env_address6 fd07::1. */
struct sockaddr_in env_address(uint16_t port);
struct sockaddr_in6 env_address6(uint16_t port);

/* env_listen makes a listener at `port`; env_connect a socket that connects to it (and, with `flags`, may not
 * wait). -1 on failure. */
int env_listen(uint16_t port, int backlog);
int env_connect(uint16_t port, int flags);

/* A connection with both ends, and its listener. */
struct env_pair {
    int listener, client, server;
};
bool env_pair_open(struct env_pair *pair);
void env_pair_close(struct env_pair *pair);

/* env_write_all and env_read_all pass exactly `len` bytes; false on any failure. */
bool env_write_all(int fd, const void *bytes, size_t len);
bool env_read_all(int fd, void *bytes, size_t len);

/* env_poll1 returns what pel_poll says of one descriptor, 0 at the timeout. */
int env_poll1(int fd, int events, int timeout_ms);

/* env_so_error reads SO_ERROR. */
int env_so_error(int fd);

/* env_set_timeout sets SO_RCVTIMEO or SO_SNDTIMEO. */
void env_set_timeout(int fd, int name, uint32_t timeout_ms);

/* env_now_ms is the time of the tests' clock; env_sleep_ms waits. */
uint64_t env_now_ms(void);
void env_sleep_ms(uint32_t ms);

/* env_add and env_modify put a descriptor into an epoll set and change it; env_wait1 returns the events of
 * the one descriptor that a wait reports, 0 at the timeout, UINT32_MAX when there are several. */
int env_add(int set, int fd, uint32_t events);
int env_modify(int set, int fd, uint32_t events);
uint32_t env_wait1(int set, int timeout_ms);

/* env_bound makes a UDP socket at `port`; env_send_to sends to it. */
int env_bound(uint16_t port);
ssize_t env_send_to(int fd, uint16_t port, const void *bytes, size_t len);

/* A thread that does one thing after a delay. */
struct env_later {
    pthread_t thread;
    uint32_t delay_ms;
    void (*fn)(void *arg);
    void *arg;
};
void env_later_start(struct env_later *later, uint32_t delay_ms, void (*fn)(void *arg), void *arg);
void env_later_join(struct env_later *later);

/* For env_later: closes the descriptor at `arg`; writes "x" to it; shuts down its sending side. */
void env_close_it(void *arg);
void env_write_x(void *arg);
void env_shut_it(void *arg);

/* Threads' mains: env_ping_main connects ENV_NUM_PINGS times and asks; env_pong_main accepts from `fd` and
 * answers until the listener is shut. `arg` is a struct env_worker. */
#define ENV_NUM_PINGS 100u
struct env_worker {
    pthread_t thread;
    int fd;
    unsigned num_done, num_failed;
};
void *env_ping_main(void *arg);
void *env_pong_main(void *arg);

#endif
