/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What tests of sockets share: engines under the sockets (fake ones; another set of engines needs another
 * socket_test_env.c), addresses, and a connected pair.
 */
#ifndef PEL_STACK_SOCKET_TEST_ENV_H
#define PEL_STACK_SOCKET_TEST_ENV_H

#include <netinet/in.h>
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
 * nothing is left over. */
void env_start(size_t num_engines, uint32_t max_sockets);
void env_stop(void);

/* env_address writes 10.0.0.1 with `port`; env_address6 fd00::1. */
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

#endif
