/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making, filling and looking at keyrings: the functions behind `pel keyring`. A keyring is a directory:
 *
 *     LABEL.crt     certificate chain, PEM, leaf first
 *     LABEL.key     its private key, PEM, mode 0600
 *     default       one line: the label that is used when a policy names none
 *     trust/X.crt   trusted certificate authorities, PEM
 *     users         whom clients' certificates stand for, a line each: USER sha256:FINGERPRINT, or
 *                   USER subject:CN=…,O=…; of a PKCS#12 file it is FILE.users
 *
 * A newcomer's path: pel_keyring_make_ca in one ring, pel_keyring_make_cert in each user's ring from it,
 * pel_keyring_list to look. Files are written beside their place and renamed, keys with mode 0600,
 * directories with 0700; nothing that exists is replaced unless `force` says so.
 *
 * Failure: every function returns an error and fills `reterr` (may be NULL) with one line that names the file
 * and says what to do. What it does not do: revocation, making PKCS#12 files, renewing by itself. All
 * functions may be called from any thread; two that write to one ring at a time see each other's files whole.
 */
#ifndef PELLUCID_KEYRING_H
#define PELLUCID_KEYRING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <pellucid/error.h>

#ifdef __cplusplus
extern "C" {
#endif

enum pel_key_type { PEL_KEY_P256, PEL_KEY_RSA2048, PEL_KEY_RSA3072 };

/* A certificate to make. All strings are borrowed for the time of the call. */
struct pel_keyring_request {
    const char *dir;     /* the ring's directory; made when missing */
    const char *label;   /* 1 to 127 characters, no slash, no leading dot */
    const char *subject; /* "CN=host.example,O=Example"; CN, O, OU, C, L and ST are known */
    enum pel_key_type key_type;
    int64_t not_before_s; /* seconds since 1970; both 0: from one hour ago ... */
    int64_t not_after_s;  /* ... and 10 years (an authority) or 1 year (a certificate) from now */
    bool force;           /* replace what exists */
    /* of a certificate alone */
    const char *const *dns_names; /* subject alternative names */
    size_t num_dns_names;
    const char *const *ip_addresses; /* text of IPv4 or IPv6 addresses */
    size_t num_ip_addresses;
    const char *ca_dir;   /* the ring of the authority */
    const char *ca_label; /* its label; NULL: that ring's default */
    bool client;          /* for clients (clientAuth); otherwise for servers (serverAuth) */
    bool make_default;    /* write the label into `default`; a ring without one always gets it */
};

/* pel_key_type_parse reads "p256", "rsa2048" or "rsa3072". Errors: ARG. */
PEL_MUST_USE enum pel_err pel_key_type_parse(const char *text, enum pel_key_type *ret_type);

/* pel_keyring_make_ca makes an authority: a key, a certificate signed with it (CA:TRUE, keyCertSign and
 * cRLSign), the ring's `default`, and a copy in trust/. Errors: ARG, EXISTS, IO, KEYRING_NO_LABEL (a label
 * that cannot be one), NO_MEMORY, TLS_INTERNAL. */
PEL_MUST_USE enum pel_err pel_keyring_make_ca(const struct pel_keyring_request *request,
                                              struct pel_error *reterr);

/* pel_keyring_make_cert makes a key and a certificate that the authority signs, and puts the authority's
 * certificate into the ring's trust/, under its label there. Errors: as pel_keyring_make_ca (EXISTS also
 * when another authority has that label in trust/), and KEYRING_* of the authority's ring. */
PEL_MUST_USE enum pel_err pel_keyring_make_cert(const struct pel_keyring_request *request,
                                                struct pel_error *reterr);

/* pel_keyring_trust copies the certificates of the PEM file `cert_path` into the ring's trust/ under `label`.
 * Errors: KEYRING_CERT_MALFORMED, NOT_FOUND, EXISTS, IO. */
PEL_MUST_USE enum pel_err pel_keyring_trust(const char *dir, const char *label, const char *cert_path,
                                            bool force, struct pel_error *reterr);

/* pel_keyring_set_default makes `label`, which must be in the ring, its default. Errors: KEYRING_NO_LABEL,
 * IO. */
PEL_MUST_USE enum pel_err pel_keyring_set_default(const char *dir, const char *label,
                                                  struct pel_error *reterr);

/* pel_keyring_add_user adds to the file of users that a client's certificate stands for `user` (1 to 32
 * characters): the first certificate of the PEM file `cert_path`, or any of the subject `subject` as listings
 * write it; one of both is NULL. Adding the same again does nothing. Errors: ARG, NOT_FOUND,
 * KEYRING_CERT_MALFORMED, KEYRING_USERS (the file has errors, or the certificate is another user's), IO,
 * NO_MEMORY. */
PEL_MUST_USE enum pel_err pel_keyring_add_user(const char *dir, const char *user, const char *cert_path,
                                               const char *subject, struct pel_error *reterr);

/* One certificate of a ring, as a listing shows it. Strings are valid during the visit. */
struct pel_keyring_entry {
    const char *ring; /* the ring's directory */
    const char *label;
    bool trusted; /* it stands in trust/ */
    bool is_default;
    bool has_key;
    bool is_ca;
    const char *subject; /* "CN=…,O=…"; "" when it cannot be read */
    const char *issuer;
    const char *names;    /* "DNS:a.example, IP:192.0.2.1"; "" when none */
    const char *key_type; /* "EC P-256", "RSA 2048", "" */
    int64_t not_before_s;
    int64_t not_after_s;      /* 0 when unknown */
    enum pel_err problem;     /* PEL_OK: usable now */
    const char *problem_text; /* one line; "" when none */
};

typedef void pel_keyring_visit(void *arg, const struct pel_keyring_entry *entry);

/* pel_keyring_list visits every certificate of the ring `dir`, or of all rings up to two levels below it
 * (DIR/USER/RING), in the order of their names. `now_s` decides what is expired. Problems of single files are
 * in the entries. Errors: KEYRING_MISSING (no ring there), KEYRING_UNREADABLE, NO_MEMORY. */
PEL_MUST_USE enum pel_err pel_keyring_list(const char *dir, int64_t now_s, pel_keyring_visit *visit,
                                           void *arg, struct pel_error *reterr);

#ifdef __cplusplus
}
#endif
#endif
