/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a hostile or odd peer does and our own sessions never do: test programs link it, nothing else.
 */
#ifndef PEL_TLS_BORINGSSL_TESTPEER_H
#define PEL_TLS_BORINGSSL_TESTPEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pel_tls;

/* testpeer_key_update appends a KeyUpdate (RFC 8446 section 4.6.3) to a secure session's output. */
bool testpeer_key_update(struct pel_tls *tls, bool request);

/* testpeer_alert appends a fatal alert to the session's output. */
bool testpeer_alert(struct pel_tls *tls, unsigned char description);

/* testpeer_set_tls13_suites changes the suites of the whole environment of a session that shakes
 * hands, behind its back. */
bool testpeer_set_tls13_suites(struct pel_tls *tls, const uint16_t *codes, size_t num);

/* testpeer_thread_fini frees what the library keeps for the calling thread's errors. */
void testpeer_thread_fini(void);

#endif
