/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a test plays: a program that is attached, by the messages and the shared memory themselves, so that it
 * may also do what no library would.
 */
#ifndef PEL_STACK_SERVE_TEST_PROGRAM_H
#define PEL_STACK_SERVE_TEST_PROGRAM_H

#include <stdbool.h>

#include "ipc/message.h"
#include "ipc/ring.h"

struct test_program {
    int fd; /* its connection to the service */
    void *base;
    struct pel_segment_header *header; /* in the segment */
    int bells[PEL_SEGMENT_ENGINES_MAX];
    int wake_fd;
    struct pel_ipc_reply reply; /* the last */
    int kept[256];              /* descriptors that a test keeps for a while */
    size_t num_kept;
};

struct test_socket {
    struct test_program *program;
    uint32_t number, serial;
    int channel;
    struct pel_slot *slot;
    struct pel_ring rx, tx;
};

/* test_program_connect connects to the attach socket; -1 on failure. */
int test_program_connect(const char *path);

/* test_program_attach says HELLO and maps what it gets, and makes waker 0; test_program_detach ends it. */
bool test_program_attach(struct test_program *program, const char *path);
void test_program_detach(struct test_program *program);

/* test_program_ask sends a request and takes the reply and up to `max_fds` descriptors into `fds`; returns
 * the reply's error, or EPIPE. */
int test_program_ask(struct test_program *program, struct pel_ipc_request *request, int *fds, size_t max_fds);

/* test_socket_open asks for a socket, bound to `port` of the wildcard when `port` is not negative. Returns 0
 * or the reply's error. */
int test_socket_open(struct test_program *program, int type, int port, struct test_socket *ret_socket);

/* test_socket_ask sends a request about it. */
int test_socket_ask(struct test_socket *socket, enum pel_ipc_op op, uint32_t value, uint16_t port);

/* test_socket_accept takes a connection from a listener's channel; false when none comes. */
bool test_socket_accept(struct test_socket *listener, struct test_socket *ret_socket);

/* test_socket_wait waits until one of the state's bits is set; false after some seconds. */
bool test_socket_wait(struct test_socket *socket, uint32_t bits);

/* test_socket_ask_for sets bits in `asked` and rings; test_socket_ring only rings. */
void test_socket_ask_for(struct test_socket *socket, uint32_t bits);
void test_socket_ring(struct test_socket *socket);

/* test_socket_write puts all bytes into the send ring, and waits for room; test_socket_read takes all. False
 * after some seconds, or when the connection has gone. */
bool test_socket_write(struct test_socket *socket, const void *bytes, uint32_t len);
bool test_socket_read(struct test_socket *socket, void *bytes, uint32_t len);

/* test_socket_close closes it as a program does that has no other copy; test_socket_drop as one that is
 * killed. */
void test_socket_close(struct test_socket *socket);
void test_socket_drop(struct test_socket *socket);

#endif
