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
struct pel_tls_env;

/* testpeer_key_update appends a KeyUpdate (RFC 8446 section 4.6.3) to a secure session's output. */
bool testpeer_key_update(struct pel_tls *tls, bool request);

/* testpeer_alert appends a fatal alert to the session's output. */
bool testpeer_alert(struct pel_tls *tls, unsigned char description);

/* testpeer_set_tls13_suites changes the suites of the whole environment of a session that shakes
 * hands, behind its back. */
bool testpeer_set_tls13_suites(struct pel_tls *tls, const uint16_t *codes, size_t num);

/* testpeer_judge_certs makes an environment accept, or refuse, every certificate of a peer, whatever its
 * chain, times and names are. */
void testpeer_judge_certs(struct pel_tls_env *env, bool accept);

/* testpeer_set_time stops an environment's clock, which says how old sessions are, at `now_s` seconds since
 * 1970. One time for all environments. */
void testpeer_set_time(struct pel_tls_env *env, int64_t now_s);

/* testpeer_set_ticket_key gives an environment the key of its tickets, 48 bytes in base64, so that a test can
 * change what is in them. False when the text is none. */
bool testpeer_set_ticket_key(struct pel_tls_env *env, const char *text);

/* Keying material of a session (RFC 8446 section 7.5, RFC 5705), which is made from what only the library's
 * object knows. */
struct testpeer_export {
    const char *label, *context;
    bool use_context;
    uint8_t *bytes;
    size_t len;
    bool done;
};

/* testpeer_export_begin makes the material of the next session whose handshake is done, at the moment at
 * which our record layer lets the library's object go. `export` is borrowed until the next call; NULL ends
 * it. One thread. */
void testpeer_export_begin(struct testpeer_export *export);

/* testpeer_export makes the material when the library's object is still there. True when it is made. */
bool testpeer_export(struct pel_tls *tls, struct testpeer_export *export);

/* testpeer_make_old makes the certificate in a file one of X.509 version 1, without extensions, signed again
 * by the key in another. */
bool testpeer_make_old(const char *cert_path, const char *ca_key_path);

/* A PKCS#12 file to make of PEM files. */
struct testpeer_pkcs12 {
    const char *path, *password;
    const char *cert_path, *key_path; /* NULL both: none */
    const char *name;                 /* its friendlyName; NULL: none */
    const char *ca_path;              /* NULL: no authority */
    int iterations;                   /* for each key derived; 0: the usual number */
};

/* testpeer_make_pkcs12 makes it, of mode 0600. */
bool testpeer_make_pkcs12(const struct testpeer_pkcs12 *wanted);

/* testpeer_thread_fini frees what the library keeps for the calling thread's errors. */
void testpeer_thread_fini(void);

#endif
