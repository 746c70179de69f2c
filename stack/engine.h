/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An engine from the inside: one thread's share of the stack. It owns a queue of the port, a TCP/IP instance,
 * its connections and its counters, and shares nothing but the slot of the current policy generation and its
 * mailbox.
 *
 * One step of the loop: time, policy generation, mailbox, received frames, TCP/IP timers, connections'
 * deadlines, frames out. A test steps an engine by hand in virtual time; the stack runs it on a thread of its
 * own with pel_engine_run.
 */
#ifndef PEL_STACK_ENGINE_H
#define PEL_STACK_ENGINE_H

#include <pellucid/engine.h>
#include <pthread.h>

#include "base/clock.h"
#include "base/counters.h"
#include "stack/generation.h"
#include "stack/lwip/lwip.h"
#include "tls/key_cache.h"

#define PEL_ENGINE_RX_BURST      64
#define PEL_ENGINE_SCRATCH_LEN   PEL_TLS_ROOM_LEN
#define PEL_ENGINE_NO_RULE_PORTS 64
#define PEL_ENGINE_RECENT        64

struct pel_engine_config {
    uint32_t index;
    struct pel_ipstack_config ip;
    struct pel_generation_slot *slot; /* borrowed */
    bool start_gate_open;             /* connections are allowed before a policy is loaded */
    bool no_match_refuse;             /* connections that no rule matches are refused */
    bool busy_poll;                   /* never sleep */
    const char *user;                 /* borrowed: the identity of who hosts the engine */
    const char *job;
    /* Called when a port has a connection without a rule for the first time under a policy generation; may be
     * NULL. On the engine's thread. */
    void (*on_no_rule)(void *arg);
    void *arg;
};

/* Connections that no rule matched, by local port (inbound) or remote port (outbound). */
struct pel_no_rule_port {
    uint16_t port; /* 0: all that have no row of their own */
    bool outbound;
    uint64_t count;
    /* The first of them under the last generation that met one. */
    uint64_t generation; /* 0: there was none yet; UINT64_MAX: none has met one */
    struct pel_endpoint local, remote;
    char user[33], job[33];
};

/* What `pel conns` shows of a connection: a copy, so that it outlives it. */
struct pel_conn_report {
    uint64_t id;
    struct pel_endpoint local, remote;
    bool inbound, mapped;
    char rule[33], group_action[33], environment_action[33], connection_action[33];
    char role[40];
    const char *map; /* "primary": by the rule that it matched; "secondary": by that of an earlier one; "":
                            no rule */
    uint64_t follows_id; /* a secondary: whose, and on which engine that is or was */
    uint32_t follows_engine;
    uint64_t generation;
    char state[16], tls_state[24], version[12], cipher[64];
    uint16_t group;
    char peer_subject[128], client_user[33], server_name[128];
    bool name_checked, resumed, own_tls;
    uint64_t bytes_in, bytes_out, age_ms;
    enum pel_err ended; /* PEL_OK while it lives */
    char failure[512];
    char note[160]; /* what an operator may wonder at, though nothing failed */
};

/* What else an engine looks after on its thread, beside packets and its mailbox: the programs that are
 * attached to the daemon. */
struct pel_engine_duty {
    bool (*poll)(void *arg);        /* once a loop, before frames leave; returns whether there was work */
    bool (*may_sleep)(void *arg);   /* the engine wants to sleep: from now on whoever has work makes `fd`
                                     readable; false when there is work already */
    void (*woke)(void *arg);        /* after a sleep, and after may_sleep */
    bool (*is_dialogue)(void *arg); /* one socket alone has been at work lately: its next word is near, and
                                       waits for this engine */
    int fd;
    void *arg;
};

struct pel_engine {
    /* read-mostly after start */
    struct pel_engine_config config;
    struct pel_ipstack *ip;
    pthread_t thread; /* whoever opened it or runs it now */
    int wake_fd;
    struct pel_engine_duty duty; /* poll NULL: none */

    /* written by the owner every loop */
    uint64_t now_us __attribute__((aligned(64)));
    bool found_work; /* the last loop did */
    uint64_t next_deadline_check_us;
    uint64_t last_work_us;       /* when a loop of pel_engine_run last did something */
    uint64_t no_yield_before_us; /* others want the core: until then it sleeps rather than yields */
    struct pel_generation *generation;
    struct pel_policy_cache policy_cache; /* of its policy */
    struct pel_listener *listeners;       /* all, doubly linked */
    struct pel_conn *conns;               /* all, doubly linked */
    struct pel_conn *timed;               /* those with a deadline */
    struct pel_conn *flush;               /* those with written bytes that have not left */
    struct pel_conn *cursor; /* where the walk over those goes on; moved on when that one leaves meanwhile */
    uint32_t num_conns;
    uint32_t num_waiting; /* packets that connections keep, since nobody has taken their bytes */
    uint64_t next_conn_id;
    struct pel_no_rule_port no_rule[PEL_ENGINE_NO_RULE_PORTS];
    struct pel_conn_report recent[PEL_ENGINE_RECENT]; /* a ring: the last that ended */
    uint64_t num_ended;
    bool closing;           /* no new connections, and no new work for ever */
    bool draining;          /* no new connections; those that live may end by themselves */
    struct pel_clock clock; /* what time it is; config.ip.clock: when the loop began */
    struct pel_key_cache *key_cache;
    uint8_t *scratch; /* PEL_ENGINE_SCRATCH_LEN bytes: opened text on its way to its owner */

    /* written by the owner, read by others */
    struct pel_counters counters __attribute__((aligned(64)));
    uint64_t busy_loops, idle_loops;
    uint64_t busy_cycles; /* from the start of each loop that found work to the start of the next */
    uint64_t step_cycles, clock_cycles; /* when the loop began, when the clock was read (base/clock.h) */
    uint64_t opened_us, opened_cycles;

    /* written by others */
    struct pel_task *mailbox __attribute__((aligned(64)));
    uint32_t sleeping;
    uint32_t stopping;
};

/* pel_engine_open makes an engine and its TCP/IP instance for the calling thread. Borrows what `config`
 * points to. Errors, with text: ARG, NO_MEMORY, IO, and those of pel_ip_open. */
PEL_MUST_USE enum pel_err pel_engine_open(const struct pel_engine_config *config,
                                          struct pel_engine **ret_engine, struct pel_error *reterr);

/* pel_engine_close ends every connection (owners hear on_closed with CONN_ABORTED) and frees the engine. Its
 * thread only. NULL is harmless. */
void pel_engine_close(struct pel_engine *engine);

/* pel_engine_step runs the loop once; returns whether there was work. Its thread only. */
bool pel_engine_step(struct pel_engine *engine);

/* pel_engine_run steps until pel_engine_stop; sleeps when there is nothing to do, unless busy_poll. Its
 * thread only. */
void pel_engine_run(struct pel_engine *engine);

/* pel_engine_stop makes pel_engine_run return. Any thread. */
void pel_engine_stop(struct pel_engine *engine);

/* pel_engine_wake has an engine that sleeps look at its mailbox and its port at once. Any thread. */
void pel_engine_wake(struct pel_engine *engine);

/* pel_engine_udp_open_shared is pel_engine_udp_open at an endpoint, whose ip version is as of
 * pel_engine_listen_at; `family` is that of the addresses that on_datagram is told. Others that are opened so
 * may have the same port (pel_udp_open_shared). pel_udp_socket_connect lets only datagrams from `remote` in;
 * NULL: from everybody. The engine's thread only. */
PEL_MUST_USE enum pel_err pel_engine_udp_open_shared(struct pel_engine *engine,
                                                     const struct pel_endpoint *local, int family,
                                                     pel_datagram_fn *on_datagram, void *arg,
                                                     struct pel_udp_socket **ret_udp);
void pel_udp_socket_connect(struct pel_udp_socket *udp, const struct pel_endpoint *remote);

/* pel_udp_socket_set_refused has `refused` called, with the argument of on_datagram, when the peer that it is
 * connected to does not listen. The engine's thread only. */
void pel_udp_socket_set_refused(struct pel_udp_socket *udp, void (*refused)(void *arg));

/* pel_engine_drain ends every listener (their owners still close them) and refuses new ones and new
 * connections from now on, with STOPPING. Its thread only. */
void pel_engine_drain(struct pel_engine *engine);

/* pel_engine_listen_at is pel_engine_listen for an endpoint: ip version 0 takes both families, the any
 * address of version 6 takes IPv6 alone. Its thread only. */
PEL_MUST_USE enum pel_err pel_engine_listen_at(struct pel_engine *engine, const struct pel_endpoint *local,
                                               uint32_t backlog, pel_accept_fn *on_accept, void *arg,
                                               struct pel_listener **ret_listener);

/* pel_listener_set_owner has `owner` asked whose the listener is, with the argument of on_accept, when the
 * start gate turns a connection to it away. What the answer points to is read at once. Without: the host's
 * own program's. The engine's thread only. */
typedef void pel_listener_owner_fn(void *arg, struct pel_identity *ret_who);
void pel_listener_set_owner(struct pel_listener *listener, pel_listener_owner_fn *owner);

/* pel_engine_set_duty gives the engine a duty (NULL: none any more). Its thread only. */
void pel_engine_set_duty(struct pel_engine *engine, const struct pel_engine_duty *duty);

/* pel_engine_refresh_generation takes over the current policy generation, if it is another than the engine's.
 * Its thread only. */
void pel_engine_refresh_generation(struct pel_engine *engine);

/* pel_engine_note_no_rule counts a connection that no rule matched; `query` is what the policy was asked. Its
 * thread only. */
void pel_engine_note_no_rule(struct pel_engine *engine, const struct pel_policy_query *query);

#endif
