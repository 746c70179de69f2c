/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The embedded way in: an application that runs on the engine's own thread, run to completion, told of
 * everything by callbacks. It sees clear text only; whether a connection is TLS, and how, is the policy's
 * business.
 *
 * Life of an inbound connection: pel_engine_listen -> on_accept (attach events) -> pel_conn_map, the mapping
 * point, at which the policy is consulted -> on_open -> on_data, pel_conn_write ... -> on_eof ->
 * pel_conn_close. Outbound: pel_engine_connect maps by itself; the rest is the same.
 *
 * Failure: on_closed with the reason, once, as the last event. No clear text passes in either direction where
 * the policy asked for TLS: before the handshake is done nothing is shown and nothing is taken.
 *
 * Threads: every function belongs to the engine's thread, except pel_engine_post and pel_engine_call, which
 * bring work there from anywhere.
 */
#ifndef PELLUCID_ENGINE_H
#define PELLUCID_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include <pellucid/error.h>
#include <pellucid/ttls.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

struct pel_engine;
struct pel_conn;
struct pel_listener;

/* What the owner of a connection is told, on the engine's thread. `arg` is the owner's. Every member but
 * on_room must be set. In each of them the owner may call any function on the connection, pel_conn_close and
 * pel_conn_abort included (after which no event comes any more and the connection may not be used). */
struct pel_conn_events {
    /* Application bytes may pass now: connected, mapped, and secure where the policy says TLS. Again after
     * pel_conn_ttls has started or stopped TLS, when that is done. */
    void (*on_open)(void *arg, struct pel_conn *conn);
    /* Received clear text, 1 byte or more. Returns how many bytes were taken, 0 to `len`. What is not taken
     * is kept, and the peer is held back, until pel_conn_resume. */
    size_t (*on_data)(void *arg, struct pel_conn *conn, const uint8_t *bytes, size_t len);
    /* The peer has finished sending, cleanly; everything before it has been taken. Writing goes on. */
    void (*on_eof)(void *arg, struct pel_conn *conn);
    /* There is room again after pel_conn_write took less than it was given. */
    void (*on_writable)(void *arg, struct pel_conn *conn);
    /* Asks where to put clear text of up to `len` bytes that is about to be opened; NULL as the member or as
     * the answer: in memory of the engine. The `len` bytes there are written to before anything is known to
     * be right. on_data follows, with bytes at this very place, or nothing does. It may call no function on
     * the connection. */
    uint8_t *(*on_room)(void *arg, struct pel_conn *conn, size_t len);
    /* The connection is gone: the last event; `conn` may not be used after it returns. `err` says why;
     * PEL_E_EOF when both sides had finished cleanly. */
    void (*on_closed)(void *arg, struct pel_conn *conn, enum pel_err err);
};

/* Whose socket it is, for the policy's Userid and Jobname conditions and its SecondaryMap. Borrowed for the
 * call. */
struct pel_identity {
    const char *user; /* Linux user name; NULL: unknown */
    const char *job;  /* the program's name; NULL: unknown */
    int pid;          /* whose, for people; 0: unknown */
    /* Which process's, in numbers of the owner's own making; 0: the one that hosts the engine. Under a rule
     * with SecondaryMap On later connections of the same process may follow an earlier one's mapping. `also`:
     * other numbers that it had before. */
    uint64_t process;
    const uint64_t *also;
    size_t num_also;
};

/* A new inbound connection, not mapped yet. The callee takes it with pel_conn_attach and returns PEL_OK, or
 * returns an error and it is reset and the error counted. */
typedef enum pel_err pel_accept_fn(void *arg, struct pel_conn *conn);

/* pel_engine_listen accepts connections to `address` (AF_INET, AF_INET6; AF_INET6 :: takes both families),
 * with up to `backlog` (1 to 65535) that are not complete yet. Errors: ADDRESS_IN_USE, ADDRESS_NOT_OURS,
 * NO_MEMORY, ARG. Connections that arrive before a policy is loaded are reset and counted (START_GATE). */
PEL_MUST_USE enum pel_err pel_engine_listen(struct pel_engine *engine, const struct sockaddr *address,
                                            socklen_t address_len, uint32_t backlog, pel_accept_fn *on_accept,
                                            void *arg, struct pel_listener **ret_listener);

/* pel_listener_address writes where it listens (with the port that was chosen, when 0 was asked for); returns
 * its length. */
socklen_t pel_listener_address(const struct pel_listener *listener, struct sockaddr_storage *ret_address);

/* pel_listener_close stops listening; accepted connections stay. Not after the engine is gone. NULL is
 * harmless. */
void pel_listener_close(struct pel_listener *listener);

/* pel_engine_connect opens a connection to `remote`, from `local` (NULL: chosen), and maps it.
 * `server_name` (may be NULL) is the name that the application resolved: for SNI and the name check if
 * policy says TLS. `identity` NULL: the stack's own. The outcome comes as on_open or on_closed, never
 * from within this call. Errors: START_GATE (no policy yet), NO_RULE_REFUSED, POLICY_UNUSABLE, NO_ROUTE,
 * NO_LOCAL_PORT, OTHER_ENGINE (a local port was asked for whose answers come to another of the stack's
 * engines), ADDRESS_IN_USE, ADDRESS_NOT_OURS, TOO_MANY_CONNECTIONS, NO_MEMORY, ARG, STATE (the engine is
 * closing). */
PEL_MUST_USE enum pel_err pel_engine_connect(struct pel_engine *engine, const struct sockaddr *local,
                                             socklen_t local_len, const struct sockaddr *remote,
                                             socklen_t remote_len, const char *server_name,
                                             const struct pel_identity *identity,
                                             const struct pel_conn_events *events, void *arg,
                                             struct pel_conn **ret_conn);

/* pel_engine_is_home tells whether a connection from `local` (with a port) to `remote` can be made on
 * this engine. Always, on a stack of one engine; of several, which share an address, exactly one is it.
 * False for what is no address. */
bool pel_engine_is_home(struct pel_engine *engine, const struct sockaddr *local, socklen_t local_len,
                        const struct sockaddr *remote, socklen_t remote_len);

/* pel_conn_attach makes the caller the connection's owner, or changes the owner. Borrows `events`, which must
 * outlive it. */
void pel_conn_attach(struct pel_conn *conn, const struct pel_conn_events *events, void *arg);

/* pel_conn_map consults the policy for an inbound connection: the mapping point (IBM IP Programmer's Guide:
 * the first poll, read or write after accept). Once; later calls do nothing. on_open or on_closed comes from
 * within this call or later. `identity` NULL: the stack's own. */
void pel_conn_map(struct pel_conn *conn, const struct pel_identity *identity);

/* pel_conn_is_mapped tells whether the policy has been consulted. */
bool pel_conn_is_mapped(const struct pel_conn *conn);

/* pel_conn_ttls asks about TLS and controls it (pellucid/ttls.h); maps the connection if need be. Returns 0
 * or an errno. TTLS_INIT_CONNECTION and TTLS_STOP_CONNECTION return EINPROGRESS, unless they are done at
 * once: on_open follows, or on_closed. Bytes that on_data has not taken count as the peer's handshake then.
 * It may end the connection: on_closed comes from within. */
int pel_conn_ttls(struct pel_conn *conn, const struct pel_identity *identity, struct TTLS_IOCTL *ioctl);

/* pel_conn_write takes up to `len` bytes; `ret_len` says how many. What is written within one callback, or
 * one turn of the engine's loop, leaves together at its end. AGAIN when none fit (on_writable follows) or
 * when the connection is not open yet (on_open follows); STATE after pel_conn_shutdown. */
PEL_MUST_USE enum pel_err pel_conn_write(struct pel_conn *conn, const uint8_t *bytes, size_t len,
                                         size_t *ret_len);

/* pel_conn_resume shows again what on_data left, and what came since. May call on_data, on_eof. */
void pel_conn_resume(struct pel_conn *conn);

/* pel_conn_shutdown finishes sending: after what was written come close_notify (with TLS) and FIN. Reading
 * goes on. */
void pel_conn_shutdown(struct pel_conn *conn);

/* pel_conn_close gives the connection up; what was written is still delivered. No event comes any more. */
void pel_conn_close(struct pel_conn *conn);

/* pel_conn_abort resets the connection at once. No event comes any more. */
void pel_conn_abort(struct pel_conn *conn);

/* pel_conn_local and pel_conn_remote write the endpoint in the form of `family` and return its length. */
socklen_t pel_conn_local(const struct pel_conn *conn, int family, struct sockaddr_storage *ret_address);
socklen_t pel_conn_remote(const struct pel_conn *conn, int family, struct sockaddr_storage *ret_address);

/* pel_conn_set_nodelay switches Nagle's algorithm off (true; the default) or on. */
void pel_conn_set_nodelay(struct pel_conn *conn, bool on);

/* pel_conn_set_keepalive sends keep-alive probes after `idle_ms` without traffic (0: none), then every
 * `interval_ms`, `num` times. */
void pel_conn_set_keepalive(struct pel_conn *conn, uint32_t idle_ms, uint32_t interval_ms, uint32_t num);

struct pel_udp_socket;

/* Takes one datagram; `bytes` is valid during the call. */
typedef void pel_datagram_fn(void *arg, const struct sockaddr *from, socklen_t from_len, const uint8_t *bytes,
                             size_t len);

/* pel_engine_udp_open binds a UDP socket to `local` (port 0: chosen). Errors as pel_engine_listen. UDP is
 * never TLS: no policy. */
PEL_MUST_USE enum pel_err pel_engine_udp_open(struct pel_engine *engine, const struct sockaddr *local,
                                              socklen_t local_len, pel_datagram_fn *on_datagram, void *arg,
                                              struct pel_udp_socket **ret_udp);

/* pel_udp_socket_send sends one datagram of 0 to 65507 bytes. Errors: NO_ROUTE, TOO_BIG, NO_MEMORY, ARG. */
PEL_MUST_USE enum pel_err pel_udp_socket_send(struct pel_udp_socket *udp, const struct sockaddr *to,
                                              socklen_t to_len, const uint8_t *bytes, size_t len);

/* pel_udp_socket_address writes where it is bound and returns the length. */
socklen_t pel_udp_socket_address(const struct pel_udp_socket *udp, struct sockaddr_storage *ret_address);

/* pel_udp_socket_close unbinds it. NULL is harmless. */
void pel_udp_socket_close(struct pel_udp_socket *udp);

/* A piece of work for an engine's thread. Owned by the poster; must stay until `run` is called; may be posted
 * again from within `run`. */
struct pel_task {
    struct pel_task *next; /* the mailbox's */
    void (*run)(struct pel_engine *engine, struct pel_task *task);
};

/* pel_engine_post has the engine run `task` soon, in the order of posting per poster, and wakes it if it
 * sleeps. Any thread; never blocks. */
void pel_engine_post(struct pel_engine *engine, struct pel_task *task);

/* pel_engine_call runs `fn` on the engine's thread and waits until it has returned. Any thread but the
 * engine's own, on which it runs `fn` at once. */
void pel_engine_call(struct pel_engine *engine, void (*fn)(struct pel_engine *engine, void *arg), void *arg);

/* pel_engine_now_us returns the engine's time, read once per loop: microseconds that never go back. */
uint64_t pel_engine_now_us(const struct pel_engine *engine);

/* pel_engine_gate_open tells whether connections may be made and accepted (a policy is loaded, or the start
 * gate is off). Any thread. */
bool pel_engine_gate_open(const struct pel_engine *engine);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif
#endif
