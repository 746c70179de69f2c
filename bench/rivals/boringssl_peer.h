/* SPDX-License-Identifier: Apache-2.0 */
/*
 * BoringSSL in memory: TLS 1.3 endpoints over two buffers, with no record layer of ours and no network. The
 * server is what our handshakes are measured against; the client, which can resume, drives ours too.
 *
 * Failure: the constructors return NULL; a handshake that fails makes boringssl_peer_run return -1.
 */
#ifndef PEL_BENCH_RIVALS_BORINGSSL_PEER_H
#define PEL_BENCH_RIVALS_BORINGSSL_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct boringssl_ctx;
struct boringssl_peer;

/* A server with a certificate chain and key (PEM files), or with NULLs a client that trusts anybody and keeps
 * the last ticket that it got. */
struct boringssl_ctx *boringssl_ctx_new(const char *cert, const char *key);
void boringssl_ctx_free(struct boringssl_ctx *ctx);

/* One endpoint; a client resumes the kept session if `resume`, and there is one. */
struct boringssl_peer *boringssl_peer_new(struct boringssl_ctx *ctx, bool resume);
void boringssl_peer_free(struct boringssl_peer *peer);

/* Gives bytes that came from the other end. */
void boringssl_peer_feed(struct boringssl_peer *peer, const uint8_t *bytes, size_t len);

/* Goes on. A server whose handshake is done sends one byte, and its tickets before it; a client that has got
 * that byte is done. 1: done; 0: needs more; -1: failed. */
int boringssl_peer_run(struct boringssl_peer *peer);

/* Takes up to `cap` bytes that are to go to the other end; returns how many. */
size_t boringssl_peer_take(struct boringssl_peer *peer, uint8_t *bytes, size_t cap);

bool boringssl_peer_resumed(const struct boringssl_peer *peer);

#endif
