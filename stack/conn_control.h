/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program's own word on TLS, for what stands between a program and its connection: sockets whose bytes
 * wait in rings. They ask whether it may be, let the bytes that were written before leave, give back those
 * that were not read, and then start or stop. On the engine's thread; each of the last four may end the
 * connection.
 */
#ifndef PEL_STACK_CONN_CONTROL_H
#define PEL_STACK_CONN_CONTROL_H

#include "base/pieces.h"
#include "ipc/ttls.h"
#include <pellucid/engine.h>

/* pel_conn_may_control tells whether `request` (TTLS_*) fits policy and state: 0 or an errno of
 * pellucid/ttls.h. The connection is mapped. */
int pel_conn_may_control(const struct pel_conn *conn, uint32_t request);

/* pel_conn_facts writes what is known, and returns the peer's certificate, valid as long as the connection;
 * NULL: none. */
const uint8_t *pel_conn_facts(const struct pel_conn *conn, struct pel_ttls_facts *ret_facts);

/* pel_conn_give_back puts bytes that the owner was shown, and whose reader has not had them, before those
 * that wait: they are read again, as TLS. Errors: NO_MEMORY. */
PEL_MUST_USE enum pel_err pel_conn_give_back(struct pel_conn *conn, const struct pel_piece *pieces,
                                             size_t num);

/* pel_conn_start_tls starts the handshake; on_open follows, or on_closed. With `allow_start_timeout` a peer
 * that does not begin brings on_open, too, in clear. */
void pel_conn_start_tls(struct pel_conn *conn, bool allow_start_timeout);

/* pel_conn_stop_tls sends close_notify; on_open follows when the peer's has come, or on_closed. */
void pel_conn_stop_tls(struct pel_conn *conn);

/* pel_conn_reset_tls does what the TTLS_RESET_* in `request` say. Returns 0 or ECONNRESET. */
int pel_conn_reset_tls(struct pel_conn *conn, uint32_t request);

#endif
