/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An engine for tests of sockets: pellucid/engine.h with a thread and a mailbox, and connections that loop
 * back between pel_engine_connect and pel_engine_listen inside one process, through buffers of a few
 * kilobytes, in odd pieces, with delays and errors on demand. No packets, no TLS, no policy; every address is
 * its own, ports alone tell sockets apart.
 *
 * It checks its user: an event after the end, or a use of a connection that has ended, aborts the test.
 */
#ifndef PEL_STACK_SOCKET_FAKE_ENGINE_H
#define PEL_STACK_SOCKET_FAKE_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <pellucid/engine.h>

/* pel_fake_start starts `num` engines (1 to 4) and pel_fake_stop ends them; everything on them must have been
 * closed. */
void pel_fake_start(size_t num, struct pel_engine *ret_engines[]);
void pel_fake_stop(void);

/* pel_fake_num_conns returns how many connections exist on either end. */
size_t pel_fake_num_conns(void);

/* pel_fake_set_open_delay delays the moment at which connections open, also of those that wait already. */
void pel_fake_set_open_delay(uint32_t delay_ms);

/* pel_fake_set_tls makes the connecting end open only when the accepting one has been mapped, as a handshake
 * does. */
void pel_fake_set_tls(bool is_on);

/* pel_fake_fail_map lets the next mapped connection end with `err`, its peer with `peer_err`. */
void pel_fake_fail_map(enum pel_err err, enum pel_err peer_err);

/* pel_fake_fail_call lets the next connect, listen, UDP open or UDP send return `err`. */
void pel_fake_fail_call(enum pel_err err);

/* pel_fake_set_silent lets connects get no answer. */
void pel_fake_set_silent(bool is_on);

/* pel_fake_break ends with `err` every connection whose local port is `port`, after what it has received. */
void pel_fake_break(uint16_t port, enum pel_err err);

/* pel_fake_set_gate opens and closes the start gate. */
void pel_fake_set_gate(bool is_open);

/* pel_fake_num_mapped returns how many accepted connections have been mapped since the start. */
size_t pel_fake_num_mapped(void);

/* pel_fake_last_name returns the server name of the last connect ("" when there was none). */
const char *pel_fake_last_name(void);

/* pel_fake_num_held returns how many calls of listen the start gate has turned away. */
size_t pel_fake_num_held(void);

/* pel_fake_num_option_calls returns how many times nodelay and keepalive have been set. */
size_t pel_fake_num_option_calls(void);

#endif
