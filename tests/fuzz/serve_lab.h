/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon's service for programs, its engines and programs, all on one thread in virtual time. The engines
 * talk to themselves. An honest program has a connection to itself, over which bytes go as long as the lab
 * lives; what the others do is the input's business, and must do it no harm.
 *
 * The programs are played by the messages and the shared memory themselves (ipc/), without a library that
 * would keep them from anything.
 */
#ifndef PEL_TESTS_FUZZ_SERVE_LAB_H
#define PEL_TESTS_FUZZ_SERVE_LAB_H

#include "drivers/sim/sim.h"
#include "ipc/message.h"
#include "ipc/ring.h"
#include "stack/engine.h"
#include "stack/serve/serve.h"

#define LAB_ENGINES 2
#define LAB_APPS    6
#define LAB_CLIENTS 5
#define LAB_SOCKETS 24
#define LAB_WAKERS  4

/* The first of each is the honest program's. */
enum { HONEST };

struct lab_app {
    void *base; /* NULL: none */
    struct pel_segment_header header;
    int bells[LAB_ENGINES];
};

struct lab_socket {
    struct lab_app *app; /* NULL: none */
    struct pel_slot *slot;
    uint32_t number, serial;
    int channel;
    struct pel_ring rx, tx;
};

struct lab {
    struct pel_virtual_clock time;
    struct pel_clock clock;
    struct pel_port *port, *far; /* `far`: where the wire leads; nobody answers there */
    uint16_t num_engines;
    struct pel_engine *engines[LAB_ENGINES];
    struct pel_generation_slot slot;
    struct pel_config config;
    struct pel_serve *serve;
    int num_descriptors; /* that the process had before */

    struct lab_app apps[LAB_APPS];
    int clients[LAB_CLIENTS]; /* connections to the service; -1: none */
    struct lab_socket sockets[LAB_SOCKETS];
    int wakers[LAB_WAKERS]; /* wake channels */
    size_t num_wakers;

    struct lab_socket sender, receiver; /* the honest program's */
    uint32_t num_sent, num_received;
};

/* lab_must ends the run as a failure unless the condition holds. */
void lab_must(bool condition);

/* lab_open starts it with 1 or 2 engines, and connects the honest program. lab_close ends all programs, looks
 * that nothing of theirs is left and that the honest one's bytes still flow until its turn comes, and ends
 * all. */
void lab_open(struct lab *lab, uint16_t num_engines);
void lab_close(struct lab *lab);

/* lab_turn lets the service do what there is to do. lab_step lets time pass, each engine whose bit is set run
 * once, and the honest program go on. */
void lab_turn(struct lab *lab);
void lab_step(struct lab *lab, unsigned engines, uint64_t us);

/* lab_connect has a client connect to the service, which then takes it. */
void lab_connect(struct lab *lab, int client);

/* lab_send sends `len` bytes to the service as the client, with a descriptor (-1: none). lab_receive takes
 * what came back, checks it and keeps what it brings; returns the reply's error, -1: nothing came, or the
 * client is gone. `request` is what was asked. */
void lab_send(struct lab *lab, int client, const void *bytes, size_t len, int fd);
int lab_receive(struct lab *lab, int client, const struct pel_ipc_request *request,
                struct pel_ipc_reply *ret_reply);

/* lab_accept takes a connection from a listener's channel and keeps it; false: there is none. */
bool lab_accept(struct lab *lab, struct lab_socket *listener);

/* lab_ring rings for the socket as a program does. lab_end closes the channel, `in_order` or as a process
 * that is killed. */
void lab_ring(struct lab *lab, struct lab_socket *socket);
void lab_end(struct lab_socket *socket, bool in_order);

#endif
