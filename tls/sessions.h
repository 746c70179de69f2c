/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sessions that a client may resume (RFC 8446 section 2.2, RFC 5077), by the name that the server's
 * certificate was checked against. Implemented in tls/boringssl/sessions.c; the functions that take and put
 * them are in tls/boringssl/vendor.h.
 *
 * The cache belongs to one environment, and a session in it to one binding, so to one rule of one policy:
 * no session crosses rules, and a new policy begins without any. A session is taken out when it is offered,
 * and comes back only by a handshake that has succeeded: a ticket of TLS 1.3 is used once (RFC 8446
 * appendix C.4), and a session of a failed connection is forgotten (RFC 5246 section 7.2.2). It ends with
 * the server's certificate at the latest.
 *
 * Failure: a session that finds no memory or no place is not kept; the next handshake is a full one.
 */
#ifndef PEL_TLS_SESSIONS_H
#define PEL_TLS_SESSIONS_H

#define PEL_SESSIONS_MAX         4096u /* of each kind; the least recently kept one goes */
#define PEL_SESSIONS_MAX_OF_NAME 8u    /* for connections that begin at the same time */

struct pel_sessions;
struct pel_tls_sessions;

/* pel_sessions_new makes an empty cache for what `config` (borrowed for the cache's life, its defaults filled
 * in) allows; NULL: no memory. Any thread, as all that is done with a cache. */
struct pel_sessions *pel_sessions_new(const struct pel_tls_sessions *config);

/* pel_sessions_free frees it with its sessions, their secrets wiped; nobody may use it any more. NULL is
 * harmless. */
void pel_sessions_free(struct pel_sessions *sessions);

#endif
