/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What tests of sessions share: rings made once a program under a temporary directory, and two sessions
 * joined by memory whose bytes are moved in pieces of a chosen size. For tests only.
 */
#ifndef PEL_TLS_TESTKIT_H
#define PEL_TLS_TESTKIT_H

#include "base/clock.h"
#include "tls/tls.h"

/* Rings under kit_ring(): "ca" and "otherca" (authorities); "server" with labels p256 (default), rsa,
 * expired, future, all for server.test and 192.0.2.1; "brief_server" with label short (an hour left);
 * "client" with label me; "version1" with labels server and client, of X.509 version 1; "stranger" with a
 * client certificate of the other authority; "trusting" with authorities only; "empty". NULL when they cannot
 * be made. */
const char *kit_ring(const char *name);

/* A config for a role with everything allowed that BoringSSL does by default: TLS 1.2 and 1.3. */
struct pel_tls_config kit_config(enum pel_tls_role role, const char *ring, const char *label);

/* How many bytes move at a time. */
enum kit_chunks { KIT_WHOLE, KIT_RANDOM, KIT_SINGLE };

struct kit_pair {
    struct pel_tls_env *client_env, *server_env;
    struct pel_tls *client, *server;
    struct pel_counters client_counters, server_counters;
    enum kit_chunks chunks;
    struct pel_prng prng;
    uint64_t now_us;
    enum pel_err client_err, server_err; /* the first final error of each feed */
};

/* Makes environments and sessions. Errors: of the environments and sessions. */
PEL_MUST_USE enum pel_err kit_pair_init(struct kit_pair *pair, const struct pel_tls_config *client,
                                        const struct pel_tls_config *server, const char *server_name);
void kit_pair_fini(struct kit_pair *pair);

/* Whether a client keeps tickets of TLS 1.3, which needs our record layer; says so when it does not. */
bool kit_takes_tickets(void);

/* Moves one piece from one session to the other; returns how many bytes moved. */
size_t kit_move(struct kit_pair *pair, struct pel_tls *from, struct pel_tls *to, enum pel_err *err);

/* Moves pieces both ways until nothing moves. */
void kit_settle(struct kit_pair *pair);

/* Sends `len` pseudo-random bytes from one session to the other and compares them. True when all arrived. */
bool kit_transfer(struct kit_pair *pair, struct pel_tls *from, struct pel_tls *to, size_t len, uint64_t seed);

#endif
