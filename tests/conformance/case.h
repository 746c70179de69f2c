/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a conformance case is made of: a row in its group's table, words of outcome, sockets that are
 * connected with the peer, and waits with a bound. A case prints only what POSIX and Linux define: never a
 * number that the kernel chose. Whatever the set-up needs and does not get ends the case with that as its
 * outcome.
 */
#ifndef PEL_TESTS_CONFORMANCE_CASE_H
#define PEL_TESTS_CONFORMANCE_CASE_H

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>
#include <netinet/in.h>

#define SKIP_NOTHING_MS 60   /* how long is waited for what must not come */
#define PATIENCE_MS     6000 /* how long is waited for what must come, on a machine that stalls at times */

struct conf_case {
    const char *name;
    void (*run)(int arg);
    int arg;
};

struct conf_group {
    const struct conf_case *cases;
    size_t num_cases;
};

#define CONF_GROUP(group, table)                                                                             \
    const struct conf_group group = {.cases = table, .num_cases = sizeof(table) / sizeof(table[0])}

extern const struct conf_group bind_cases, close_cases, connect_cases, descriptor_cases, epoll_cases,
    epoll_mix_cases, exec_cases, fault_cases, file_cases, ipv6_cases, kernel_cases, linger_cases,
    listen_cases, message_cases, name_cases, option_cases, poll_cases, process_cases, read_cases,
    select_cases, shutdown_cases, signal_cases, socket_cases, tcp_option_cases, thread_cases, udp_cases,
    udp_error_cases, write_cases;

/* ---- Words of outcome (say.c); errno is kept by all ---- */

/* say adds words, after a blank. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* say_rc adds "what=rc", and errno's name when rc is -1; returns rc. */
long say_rc(const char *what, long rc);

/* say_fd is say_rc for what returns a descriptor, whose number is no outcome: "what=fd". */
int say_fd(const char *what, int fd);

/* say_bytes adds "what=rc" and, when rc is above 0, the bytes as text. */
void say_bytes(const char *what, ssize_t rc, const void *bytes);

/* say_poll and say_epoll add "what=NAME|NAME" for poll's and epoll's bits; "0" for none. */
void say_poll(const char *what, int events);
void say_epoll(const char *what, uint32_t events);

/* say_address adds "what=family/ADDRESS:PORT": "self", "peer", "any" or "other", and whether the port is 0,
 * `port` ("same") or another ("other"). */
void say_address(const char *what, const struct sockaddr_storage *address, uint16_t port);

/* error_name returns errno's name, never NULL. */
const char *error_name(int error);

/* give_up ends the case with `what` and errno as its outcome. */
_Noreturn void give_up(const char *what);

/* must gives up when rc is -1; returns rc. */
long must(const char *what, long rc);

/* ---- Addresses (net.c) ---- */

struct address {
    struct sockaddr_storage sa;
    socklen_t len;
};

struct address address_of_self(int family, uint16_t port);
struct address address_of_peer(int family, uint16_t port);
struct address address_any(int family, uint16_t port);
struct address address_of(const char *text, uint16_t port);
uint16_t address_port(const struct address *address);

#define SA(address) ((struct sockaddr *)&(address).sa), (address).len

/* The port of a socket's own end; gives up without one. */
uint16_t port_of(int fd);

/* ---- Sockets of this program (net.c) ---- */

int tcp_socket(int family); /* a fresh stream */
int udp_socket(int family); /* a fresh datagram socket, connected with nothing, bound to nothing */
int udp_bound(int family, uint16_t *ret_port); /* bound to our address */
int listener(int family, uint16_t *ret_port);  /* listens on our address, any port */

/* Which end opened, and the family: what a row can pass to its case. */
enum pair_kind { OUT4, IN4, OUT6, IN6 };
int family_of(enum pair_kind kind);

/* pair makes a connection with the peer: ours is returned, the peer's is its slot CONN (pair_with: `slot`).
 */
int pair(enum pair_kind kind);
int pair_with(enum pair_kind kind, int slot);

/* A port of the peer's that never answers. */
struct address black_hole(int family);

void set_nonblocking(int fd);
int nonblocking_pair(enum pair_kind kind);
void set_timeout(int fd, int option, int ms);

/* ---- Waits (net.c) ---- */

/* await polls one descriptor for one of `events`, PATIENCE_MS; returns revents, 0 when they did not come. */
int await(int fd, int events);

/* await_for is await with a bound of its own. */
int await_for(int fd, int events, int ms);

/* settled is for who polls by himself: revents once the kernel is done with saying how a stream has ended. */
int settled(int fd, int events, int revents);

/* await_bytes waits until `len` bytes can be read at once; says so when they do not come. */
void await_bytes(int fd, size_t len);

/* await_unread is await_bytes for a socket whose reads find an end whatever comes. */
void await_unread(int fd, int len);

/* await_end waits until the peer's FIN has come, await_reset until its RST. */
void await_end(int fd);
void await_reset(int fd);

/* await_secured waits until a connection that policy puts under TLS has it: until then it cannot end well,
 * and a case that ends it would tell who was faster. Does nothing to other sockets. */
void await_secured(int fd);

/* there_and_back sends a datagram to the peer and waits for one from it: what was sent either way before has
 * come, and both systems have worked on it. */
void there_and_back(void);

/* drain reads to the end, says how much and how it ended. */
void drain(const char *what, int fd);

/* fill writes until the socket would block; returns how much it took. The socket must not block. */
size_t fill(int fd);

int64_t now_ms(void);
void pause_ms(int ms);

/* ---- The program itself (main.c) ---- */

/* Runs this program again as `conformance --child VERB ARGUMENT`; for execs. */
_Noreturn void exec_child(const char *verb, int fd);
int child_main(const char *verb, int fd);

/* One child, whose work is `work(arg)`: start_child returns its pid, end_child how it ended ("exit 3"). */
pid_t start_child(void (*work)(int arg), int arg);
void end_child(const char *what, pid_t pid);

#endif
