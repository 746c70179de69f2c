/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of tls/boringssl share. Only they may include this.
 */
#ifndef PEL_TLS_BORINGSSL_VENDOR_H
#define PEL_TLS_BORINGSSL_VENDOR_H

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pool.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "tls/context.h"
#include "tls/env.h"
#include "tls/files.h"
#include "tls/handshake.h"
#include "tls/sessions.h"

#define PEL_CTX_MAX_CHAIN 16

/* A certificate of ours. `buffers` are the chain's DER, leaf first. */
struct pel_ctx_cert {
    CRYPTO_BUFFER *buffers[PEL_CTX_MAX_CHAIN];
    size_t num_buffers;
    EVP_PKEY *key;
    int key_type;   /* EVP_PKEY_EC, EVP_PKEY_RSA, … */
    uint16_t group; /* of an EC key, IANA; else 0 */
    char *host;     /* for clients that ask for this name alone; NULL: for all */
};

struct pel_ctx {
    const struct pel_tls_env *env;
    SSL_CTX *ssl_ctx;
    struct pel_ctx_cert *certs; /* the first ones are for all clients */
    size_t num_certs;
    struct pel_tickets *tickets; /* a server's */
    CRYPTO_BUFFER_POOL *pool;    /* certificates of peers, each once however many sessions know it */
    STACK_OF(X509_NAME) * announced;
    SHA256_CTX digest; /* of everything that a ticket is bound to, besides the binding */
    uint8_t session_id[SHA256_DIGEST_LENGTH]; /* the digest's end */
};

struct pel_hs {
    SSL *ssl;
    const struct pel_tls_env *env;
    uint32_t binding;       /* which user of the environment */
    struct pel_buffer *out; /* where the BIO writes */
    const uint8_t *in;      /* the one record that the BIO reads */
    size_t in_len;
    size_t out_limit;
    enum pel_err out_err;        /* why the BIO could not write */
    enum pel_err rejected;       /* why a callback for the hello refused */
    struct pel_tls_offer *offer; /* server: the client's hello, until the handshake is done */
    uint64_t now_us;
    const char *user; /* server: whom the client's certificate stands for; the environment's, NULL: nobody */
    bool name_checked;
    bool name_acknowledged; /* client: the server knows the name that was asked for */
    bool tls13;             /* server: what is agreed, known from the hello */
    bool done;
    char name[256];         /* client: asked for, or else checked; "": none is known */
    char cert_problem[200]; /* what the policy minds of the peer's certificates; "": nothing */
};

/* pel_library_error empties the error queue: NO_MEMORY when an allocation failed anywhere in it, or when
 * nothing is in it (the library says nothing else of want of memory), else `otherwise`. `ret_reason` is
 * the last reason, static. */
enum pel_err pel_library_error(enum pel_err otherwise, const char **ret_reason);

/* pel_sessions_take takes the newest session of `name` out of the cache, NULL when there is none: the caller
 * frees it. The library itself does not offer one that has ended. Any thread. */
SSL_SESSION *pel_sessions_take(struct pel_sessions *sessions, const char *name);

/* pel_sessions_put keeps a session, or frees one that cannot be resumed; NULL is harmless. Any thread. */
void pel_sessions_put(struct pel_sessions *sessions, const char *name, SSL_SESSION *session);

/* pel_sessions_forget drops all sessions of `name`. Any thread. */
void pel_sessions_forget(struct pel_sessions *sessions, const char *name);

/* pel_pem_certs parses every certificate of `pem`, at least one. The caller frees each and the stack. Errors:
 * KEYRING_CERT_MALFORMED, NO_MEMORY. */
PEL_MUST_USE enum pel_err pel_pem_certs(const struct pel_pem *pem, STACK_OF(X509) * *ret_certs,
                                        struct pel_error *reterr);

/* pel_pem_key parses the private key of `pem`; an encrypted one is refused. Errors:
 * KEYRING_CERT_MALFORMED, NO_MEMORY. */
PEL_MUST_USE enum pel_err pel_pem_key(const struct pel_pem *pem, EVP_PKEY **ret_key,
                                      struct pel_error *reterr);

/* pel_cert_times reads the validity of a certificate in seconds since 1970. Errors:
 * KEYRING_CERT_MALFORMED. */
PEL_MUST_USE enum pel_err pel_cert_times(X509 *cert, int64_t *ret_not_before_s, int64_t *ret_not_after_s);

/* pel_bio_to_file copies what was written into a memory BIO (`written`: without an error). The caller frees
 * the file. Errors: TLS_INTERNAL, NO_MEMORY. */
PEL_MUST_USE enum pel_err pel_bio_to_file(BIO *bio, bool written, struct pel_file *ret_file,
                                          struct pel_error *reterr);

/* pel_x509_name_text writes "CN=…,O=…" of `name` into `text`, cut at `cap`. */
void pel_x509_name_text(X509_NAME *name, char *text, size_t cap);

/* pel_key_group returns the IANA group of an EC key; 0 for any other. */
uint16_t pel_key_group(const EVP_PKEY *key);

/* pel_group_nid and pel_group_of_nid translate IANA groups; 0 when there is none. */
int pel_group_nid(uint16_t group);
uint16_t pel_group_of_nid(int nid);

/* pel_hello_callback is BoringSSL's select_certificate_cb: notes the offer, refuses or picks versions and
 * certificate. */
enum ssl_select_cert_result_t pel_hello_callback(const SSL_CLIENT_HELLO *hello);

/* pel_sni_callback is BoringSSL's servername callback of a server: it refuses, or knows the name. */
int pel_sni_callback(SSL *ssl, int *ret_alert, void *arg);

/* pel_verify_callback is BoringSSL's cert_verify_callback: RFC 5280, and then what the policy wants more. */
int pel_verify_callback(X509_STORE_CTX *store_ctx, void *arg);

/* pel_tickets_new makes the keys that seal a server's tickets; NULL: no memory. pel_tickets_free wipes them;
 * NULL is harmless. pel_tickets_forget makes all tickets worthless that were sealed so far; any thread.
 * pel_ticket_callback is BoringSSL's ticket_key_cb. */
struct pel_tickets *pel_tickets_new(const struct pel_tls_sessions *config);
void pel_tickets_free(struct pel_tickets *tickets);
void pel_tickets_forget(struct pel_tickets *tickets);
int pel_ticket_callback(SSL *ssl, uint8_t *key_name, uint8_t *iv, EVP_CIPHER_CTX *cipher_ctx,
                        HMAC_CTX *hmac_ctx, int encrypt);

/* pel_des_keys_are_weak tells whether one of the two 3DES keys of a key block of TLS 1.2 and older has parts
 * that are equal, parity apart (ANSI X9.52). `mac_len`: of each MAC key before them. */
bool pel_des_keys_are_weak(const uint8_t *block, size_t mac_len);

/* pel_demands_check looks at what was agreed and who the client is, before any byte of the application
 * passes. Errors: TLS_WEAK, TLS_SERVER_NAME, TLS_NO_USER, NO_MEMORY, with `reterr`; the alert is sent. */
PEL_MUST_USE enum pel_err pel_demands_check(struct pel_hs *hs, struct pel_error *reterr);

/* pel_message_callback is BoringSSL's msg_callback of a client that needs to know whether the server
 * acknowledged its name. */
void pel_message_callback(int is_write, int version, int content_type, const void *bytes, size_t len,
                          SSL *ssl, void *arg);

/* pel_ctx_use_cert gives one session a certificate of the context. */
bool pel_ctx_use_cert(SSL *ssl, const struct pel_ctx_cert *cert);

/* pel_hs_error turns BoringSSL's error queue after a call that returned `ret` into an error with its text.
 * PEL_OK when it only wants more bytes. */
PEL_MUST_USE enum pel_err pel_hs_error(struct pel_hs *hs, int ret, struct pel_error *reterr);

#endif
