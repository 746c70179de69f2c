/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One handshake, driven record by record over memory. Implemented in tls/boringssl/handshake.c.
 *
 * It never sees a byte beyond the record that ends the handshake, so that no application record is ever
 * stranded in the library, and a server's session tickets have left it (in `out`) when it says that it is
 * done: sequence numbers and keys may be taken then. Failure: the fatal alert, when there is one, is in
 * `out`.
 */
#ifndef PEL_TLS_HANDSHAKE_H
#define PEL_TLS_HANDSHAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "tls/buffer.h"

/* A flight of ours may hold the operator's certificate chain; nothing else can make the output grow. */
#define PEL_HS_OUT_MAX_LEN (256u * 1024u)

struct pel_hs;
struct pel_tls_env;

/* pel_hs_new makes a handshake of `env`, which must outlive it; output goes to `out` (borrowed).
 * `server_name` and `binding` as in pel_tls_new_bound. Errors: NO_MEMORY, ARG (a name that cannot be
 * one), TLS_SERVER_NAME. */
PEL_MUST_USE enum pel_err pel_hs_new(const struct pel_tls_env *env, uint32_t binding, const char *server_name,
                                     struct pel_buffer *out, struct pel_hs **ret_hs);

/* pel_hs_free wipes and frees. NULL is harmless. */
void pel_hs_free(struct pel_hs *hs);

/* pel_hs_step goes on with one whole record (none, to begin as a client). Errors: TLS_*, NO_MEMORY, with
 * `reterr`. */
PEL_MUST_USE enum pel_err pel_hs_step(struct pel_hs *hs, const uint8_t *record, size_t len, uint64_t now_us,
                                      bool *ret_done, struct pel_error *reterr);

/* pel_hs_name returns the name that a client asked for, else the one that it checks; "": none is known. */
const char *pel_hs_name(const struct pel_hs *hs);

/* pel_hs_await_ticket keeps a finished handshake of a TLS 1.3 client, whose keys have been taken, for
 * pel_hs_take_ticket alone: the library can write nothing any more, no alert either. False: no ticket can
 * come, the caller frees the handshake. */
bool pel_hs_await_ticket(struct pel_hs *hs);

/* pel_hs_take_ticket keeps the session of a NewSessionTicket (the message with its header) in the
 * environment's cache. One that the library cannot use is dropped: no harm to the connection. */
void pel_hs_take_ticket(struct pel_hs *hs, const uint8_t *message, size_t len);

/* pel_hs_alert appends a fatal alert in the protection of the moment to the output; nothing when it
 * cannot. */
void pel_hs_alert(struct pel_hs *hs, uint8_t description);

/* pel_hs_forget makes worthless what could resume a session of `env` at `binding`: a client's sessions of
 * `name`, all the tickets that a server has given. Any thread. */
void pel_hs_forget(const struct pel_tls_env *env, uint32_t binding, const char *name);

/* The peer's own certificate, shared by all sessions of an environment that were shown the same.
 * pel_hs_peer_cert returns a reference, which pel_peer_cert_free gives up before the environment goes; NULL:
 * the peer has shown none. pel_peer_cert_bytes are its DER. */
struct pel_peer_cert;
struct pel_peer_cert *pel_hs_peer_cert(const struct pel_hs *hs);
const uint8_t *pel_peer_cert_bytes(const struct pel_peer_cert *cert, size_t *ret_len);
void pel_peer_cert_free(struct pel_peer_cert *cert);

struct pel_hs_facts {
    uint16_t version; /* 0x0304; 0 before it is known */
    uint16_t cipher;
    uint16_t group;
    bool resumed;
    bool name_checked;
    char peer_subject[256];
    char server_name[256];
    const char *user; /* whose the client's certificate is, as long as the environment; NULL: nobody's */
};

/* pel_hs_facts fills what is known so far. */
void pel_hs_facts(const struct pel_hs *hs, struct pel_hs_facts *ret_facts);

#endif
