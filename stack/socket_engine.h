/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine's side of TCP sockets: callbacks of connections, the kick, listeners. Everything here runs on
 * the engine's thread, is short and waits for nothing. It touches only the shared and the engine's fields of
 * struct pel_stream.
 */
#ifndef PEL_STACK_SOCKET_ENGINE_H
#define PEL_STACK_SOCKET_ENGINE_H

#include "ipc/ttls.h"
#include "stack/socket_stream.h"

/* pel_stream_kick is the kick's `run`. */
void pel_stream_kick(struct pel_engine *engine, struct pel_task *task);

/* What pel_stream_open needs; for pel_home_call. */
struct pel_stream_open_args {
    struct pel_stream *stream;
    struct pel_home *home;
    const struct sockaddr_storage *local; /* ss_family AF_UNSPEC: chosen */
    socklen_t local_len;
    const struct sockaddr_storage *remote;
    socklen_t remote_len;
    const char *server_name;
    enum pel_err err; /* the result */
};

/* pel_stream_open opens the connection: pel_engine_connect. `arg` is a struct pel_stream_open_args. */
void pel_stream_open(struct pel_engine *engine, void *arg);

/* What pel_stream_control needs; for pel_home_call, by a thread that holds rx_lock. */
struct pel_stream_control_args {
    struct pel_stream *stream;
    uint32_t request; /* TTLS_* */
    bool wants_cert;
    struct pel_ttls_facts facts; /* the result */
    uint8_t *cert;               /* facts.cert_len bytes for the caller to free; NULL: none */
    int error;
};

/* pel_stream_control does what a program asks of TLS. What begins is not done when it returns. `arg` is a
 * struct pel_stream_control_args. */
void pel_stream_control(struct pel_engine *engine, void *arg);

/* One listener on one engine. */
struct pel_listen_port {
    struct pel_attached attached;
    struct pel_home *home;
    struct pel_stream *listener_sock; /* with a reference while it listens */
    struct pel_acceptor *acceptor;
    struct pel_listener *listener; /* NULL: not listening */
};

/* What a listening socket has beyond others. */
struct pel_acceptor {
    struct pel_list queue; /* of struct pel_stream.queued, under the listener's sock.lock */
    uint32_t num_queued;   /* atomic, changed under that lock */
    uint32_t backlog;      /* atomic */
    uint32_t is_stopped;   /* atomic: the stack has stopped */
    uint32_t is_shut;      /* atomic: pel_shutdown */
    size_t num_ports;
    struct pel_listen_port ports[];
};

/* pel_listen_port_open and _close start and stop listening; for pel_home_call. */
struct pel_listen_port_args {
    struct pel_listen_port *port;
    struct sockaddr_storage *address; /* in: where; out: with the port that was chosen */
    socklen_t address_len;
    uint32_t backlog;
    enum pel_err err; /* the result */
};
void pel_listen_port_open(struct pel_engine *engine, void *arg);  /* struct pel_listen_port_args */
void pel_listen_port_close(struct pel_engine *engine, void *arg); /* struct pel_listen_port */

#endif
