/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fake engine's own state (socket_fake_engine.h), shared by its files.
 */
#ifndef PEL_STACK_SOCKET_FAKE_NET_H
#define PEL_STACK_SOCKET_FAKE_NET_H

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/addr.h"
#include "stack/socket_fake_engine.h"
#include "stack/socket_list.h"

#define MAX_ENGINES 4
#define BUFFER_LEN  5000
#define CHUNK_LEN   1777

#define MUST(condition)                                                                                      \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "fake engine: %s:%d: %s\n", __FILE__, __LINE__, #condition);                     \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

struct pel_engine {
    pthread_t thread;
    pthread_cond_t changed;
    struct pel_task *first, **last;
    struct pel_list conns, stepped, listeners, udps, dead;
    bool is_stopped;
};

struct pel_listener {
    struct pel_list link;
    struct pel_endpoint local;
    pel_accept_fn *on_accept;
    void *arg;
};

struct pel_conn {
    struct pel_list link;
    struct pel_engine *engine;
    struct pel_conn *peer; /* NULL: gone */
    const struct pel_conn_events *events;
    void *arg;
    struct pel_endpoint local, remote;
    struct pel_listener *listener; /* to be offered to it */
    bool is_accepted, is_mapped, is_ready, is_open, is_held, is_blocked, is_shut, is_eof_told, is_dead;
    uint64_t ready_us; /* 0: not yet */
    bool is_fin;
    enum pel_err end; /* PEL_OK: none */
    size_t in_len;
    uint8_t in[BUFFER_LEN];
};

struct pel_fake_datagram {
    struct pel_list link;
    struct pel_endpoint from;
    size_t len;
    uint8_t bytes[];
};

struct pel_udp_socket {
    struct pel_list link;
    struct pel_engine *engine;
    struct pel_endpoint local;
    pel_datagram_fn *on_datagram;
    void *arg;
    struct pel_list queue;
};

/* One lock for all engines: simple, and no callback is called under it. */
struct pel_fake_net {
    pthread_mutex_t lock;
    struct pel_engine engines[MAX_ENGINES];
    size_t num, num_conns, num_mapped, num_option_calls, num_held, turn;
    uint32_t open_delay_ms;
    bool is_tls, is_silent, is_gate_open;
    enum pel_err call_err, map_err, map_peer_err;
    uint16_t next_port;
    char last_name[256];
};
extern struct pel_fake_net pel_fake_net;

/* The engine whose thread this is; NULL on others. */
extern __thread struct pel_engine *pel_fake_here;

/* pel_fake_lock takes the one lock; pel_fake_unlock gives it up and wakes all engines, for every change may
 * matter to any. */
void pel_fake_lock(void);
void pel_fake_unlock(void);

/* pel_fake_take_call_err returns what the next call shall fail with, once; pel_fake_new_port a free port.
 * Under the lock. */
enum pel_err pel_fake_take_call_err(void);
uint16_t pel_fake_new_port(void);

/* pel_fake_step_udp hands over what waits for a UDP socket, on its engine's thread. Under the lock, which it
 * gives up meanwhile. */
void pel_fake_step_udp(struct pel_udp_socket *udp);

#endif
