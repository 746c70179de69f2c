/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tests' laboratory: two instances at the ends of a simulated wire, both in the test's thread and in
 * virtual time, and connections that count what happens to them. `lab_run` moves the time on to the next
 * thing that is due, so that an hour of timers is a moment, and every run is the same.
 */
#ifndef PEL_STACK_LWIP_LAB_H
#define PEL_STACK_LWIP_LAB_H

#include "base/clock.h"
#include "drivers/sim/sim.h"
#include "stack/lwip/lwip.h"
#include "tests/harness/harness.h"

#define LAB_BURST 32

struct lab_host {
    struct pel_port *port;
    struct pel_ipstack *ip;
    struct pel_counters counters;
};

struct lab {
    struct pel_virtual_clock time;
    struct lab_host a, b; /* 10.0.0.1 and fd00::1, 10.0.0.2 and fd00::2 */
};

/* One end of a connection: what it shall send and what it has seen. */
struct lab_conn {
    struct pel_tcp *tcp; /* NULL when it is gone */
    size_t to_send_len, sent_len, acked_len, received_len;
    uint64_t seed;      /* of the bytes that it sends */
    uint64_t peer_seed; /* of the bytes that it expects */
    size_t wrong_at;    /* SIZE_MAX while all was as expected */
    size_t write_len;   /* bytes a write; 0: as many as fit */
    bool shutdown_when_sent;
    bool hold; /* does not take received bytes, so that the window closes */
    struct pel_buf *held;
    bool connected, fin, shut;
    enum pel_err error; /* of on_error */
    int num_errors;
    void (*in_receive)(struct lab_conn *conn); /* what else to do within on_receive */
    void (*in_sent)(struct lab_conn *conn);
};

/* A listener that gives what it accepts to `conns`, in order. */
struct lab_listener {
    struct pel_tcp_listener *listener;
    struct lab_conn *conns;
    size_t num, max;
    enum pel_err answer; /* what the accept function returns */
};

extern const struct pel_tcp_events lab_events;

/* lab_open makes the wire and both instances; `wire` and `change` (of both configurations) may be NULL. */
bool lab_open(struct lab *lab, const struct pel_sim_wire_config *wire,
              void (*change)(struct pel_ipstack_config *config));

/* lab_open_host makes one instance on an open port. */
bool lab_open_host(struct lab *lab, struct lab_host *host, int number,
                   void (*change)(struct pel_ipstack_config *config));

/* lab_close closes all and expects every packet to be back. */
void lab_close(struct lab *lab);

/* lab_step lets both ends work and moves the time to the next event, at most to `until_us`; false when the
 * time is up. */
bool lab_step(struct lab *lab, uint64_t until_us);

/* lab_run lets `us` of virtual time pass. */
void lab_run(struct lab *lab, uint64_t us);

/* lab_run_until runs until `done` says so, for at most `us`; returns whether it did. */
bool lab_run_until(struct lab *lab, uint64_t us, bool (*done)(void *arg), void *arg);

/* lab_endpoint reads "10.0.0.1:80". */
struct pel_endpoint lab_endpoint(const char *text);

/* lab_conn_init prepares a side that sends `len` bytes of `seed` and expects those of `peer_seed`. */
void lab_conn_init(struct lab_conn *conn, size_t len, uint64_t seed, uint64_t peer_seed);

/* lab_conn_pump writes what fits. */
void lab_conn_pump(struct lab_conn *conn);

/* lab_listen listens on `text` of a host; accepted connections take `conns` in order. */
bool lab_listen(struct lab_host *host, const char *text, struct lab_listener *listener,
                struct lab_conn *conns, size_t max);

/* lab_connect opens a connection to `text`. */
enum pel_err lab_connect(struct lab_host *host, const char *text, struct lab_conn *conn);

/* lab_byte returns byte `at` of the stream of `seed`. */
uint8_t lab_byte(uint64_t seed, size_t at);

#endif
