/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A world of two hosts on one thread: two engines on a simulated wire, in virtual time, with keyrings and
 * policies of their own. A scenario opens it, starts a server on host B and a client on host A, and runs
 * until something holds or virtual time is up. The same seed gives the same run to the byte of the wire
 * (TLS's own random bytes apart).
 */
#ifndef PEL_TESTS_WORLD_H
#define PEL_TESTS_WORLD_H

#include <pellucid/engine.h>

#include "drivers/sim/sim.h"
#include "stack/conn.h"

enum { HOST_A, HOST_B, NUM_HOSTS };

#define WORLD_PORT   4433
#define WORLD_MARKER "PLAIN-TEXT-MARKER"

/* Rules for host B's port and host A's way there, one line each: what most scenarios want. */
extern const char world_server_policy[];
extern const char world_client_policy[];

struct world_config {
    uint64_t seed;
    struct pel_sim_impair impair;    /* both ways */
    const char *policies[NUM_HOSTS]; /* NULL: none is loaded */
    bool exact_buffers, ipv6, no_match_refuse, start_gate_open;
    uint32_t offloads;
    bool real_offloads; /* the wire cuts and checks as a NIC does */
    uint32_t max_packets;
    uint64_t latency_us;
};

struct world {
    struct world_config config;
    struct pel_virtual_clock time;
    struct pel_clock clock;
    struct pel_port *ports[NUM_HOSTS];
    struct pel_engine *engines[NUM_HOSTS];
    struct pel_generation_slot slots[NUM_HOSTS];
    char keyring_dir[64];
    uint64_t num_frames[NUM_HOSTS];  /* sent by each host */
    uint64_t num_markers[NUM_HOSTS]; /* those in which the marker was seen: clear text on the wire */
    uint64_t cut_after[NUM_HOSTS];   /* frames of that host after this many are lost; 0: none */
};

/* world_open makes the hosts; keyrings are made once per process in a directory that is removed at exit.
 * Returns whether it could. */
bool world_open(struct world *world, const struct world_config *config);

/* world_close ends it; returns whether every packet came back to its pool. */
bool world_close(struct world *world);

/* world_load gives `host` a new policy; returns the number of rules that cannot be served, or -1 when the
 * text has errors. */
int world_load(struct world *world, int host, const char *policy);

/* world_step runs each host once and, when neither had work, moves time to the next event. */
void world_step(struct world *world);

/* world_run steps until `done` returns true or `max_us` of virtual time have passed; returns whether it was
 * done. */
bool world_run(struct world *world, bool (*done)(void *arg), void *arg, uint64_t max_us);

/* world_pass lets `us` of virtual time pass. */
void world_pass(struct world *world, uint64_t us);

/* world_address writes the address of `host` with `port`; returns its length. */
socklen_t world_address(const struct world *world, int host, uint16_t port, struct sockaddr_storage *ret);

uint64_t world_err(const struct world *world, int host, enum pel_err err);
uint64_t world_stat(const struct world *world, int host, enum pel_stat stat);

/* ---- two applications: each sends `send_len` bytes made from `salt`, checks what it receives, then finishes
 * ---- */

struct peer {
    struct world *world;
    struct pel_conn *conn;
    uint64_t send_len, sent_len, receive_len, received_len;
    uint8_t send_salt, receive_salt;
    bool marker;        /* send the marker over and over instead of made bytes */
    bool deaf;          /* take nothing of what is shown */
    bool slow;          /* take at most 100 bytes of what is shown, then resume later */
    bool slowest;       /* one byte */
    uint32_t write_len; /* at most so many bytes a write; 0: as many as there are */
    bool keep_open;     /* do not close at the end of file */
    bool hold_mapping;  /* an inbound connection is not mapped by itself */
    bool opened, eof, closed, wrong, shut;
    enum pel_err error;
    struct pel_task resume;
    bool resume_posted;
};

extern const struct pel_conn_events peer_events;

/* peer_listen makes `peer` accept one connection on host B's WORLD_PORT. */
bool peer_listen(struct peer *peer, struct pel_listener **ret_listener);

/* peer_connect opens a connection from host A to `server_name` (may be NULL) at host B's WORLD_PORT. */
enum pel_err peer_connect(struct peer *peer, const char *server_name);

/* peers_done tells whether both of an array of two peers are closed. */
bool peers_done(void *arg);

/* peers_transfer sets both up to exchange `len` bytes each way. */
void peers_transfer(struct world *world, struct peer peers[NUM_HOSTS], uint64_t len);

#endif
