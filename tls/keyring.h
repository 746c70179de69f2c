/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keyring directories: names to paths, and reading. A ring directory holds
 *
 *     LABEL.crt     certificate chain, PEM, leaf first
 *     LABEL.key     its private key, PEM, mode 0600
 *     default       one line: the default label
 *     trust/X.crt   trusted authorities, PEM, one file or several
 *     users         whom clients' certificates stand for: tls/users.h; of a PKCS#12 file FILE.users
 *
 * Failure: every error names the path and what to do. Nothing is cached. Making and listing rings is in
 * <pellucid/keyring.h>.
 */
#ifndef PEL_TLS_KEYRING_H
#define PEL_TLS_KEYRING_H

#include "base/err.h"
#include "tls/files.h"

/* What an environment's keyring_path may be instead of a directory: the machine's authorities, no
 * certificate. */
#define PEL_KEYRING_AUTH          "*AUTH*"
#define PEL_KEYRING_MACHINE_CAS   "/etc/ssl/certs/ca-certificates.crt"
#define PEL_KEYRING_MAX_LABEL_LEN 127u
#define PEL_KEYRING_MAX_FILES     1024u

/* What opens a PKCS#12 file. Both NULL: an empty password. Borrowed. */
struct pel_keyring_secret {
    const char *password;
    const char *stash_file; /* that holds it; not with a password */
};

/* pel_keyring_resolve turns a policy's keyring name into what pel_tls_config.keyring_path takes: "ring" is
 * DIR/OWNER/ring, "userid/ring" is DIR/userid/ring, an absolute path is itself, and the virtual ring of
 * all authorities (the word *AUTH*, alone or with a slash and a star behind it) is PEL_KEYRING_AUTH. Looks
 * at no file: an absolute path is a directory's or a PKCS#12 file's (tls/pkcs12.h). `cap` is at least 8.
 * Errors: ARG (a name that cannot be one), UNSUPPORTED (tokens, *SITE*), TOO_BIG. Any thread. */
PEL_MUST_USE enum pel_err pel_keyring_resolve(const char *keyring_dir, const char *owner_user,
                                              const char *name, char *ret_path, size_t cap,
                                              struct pel_error *reterr);

/* pel_keyring_check_label refuses what cannot be a file's name within the ring. Errors: KEYRING_NO_LABEL. */
PEL_MUST_USE enum pel_err pel_keyring_check_label(const char *label, struct pel_error *reterr);

/* pel_keyring_users_path writes where the ring's file of users is. Errors: TOO_BIG. */
PEL_MUST_USE enum pel_err pel_keyring_users_path(const char *ring, char *ret_path, size_t cap,
                                                 struct pel_error *reterr);

/* pel_keyring_default_label reads the ring's default label. Errors: KEYRING_MISSING, KEYRING_NO_LABEL (no
 * default, or not one that can be), KEYRING_UNREADABLE. */
PEL_MUST_USE enum pel_err pel_keyring_default_label(const char *ring, char *ret_label, size_t cap,
                                                    struct pel_error *reterr);

/* pel_keyring_check_times tells whether a certificate (named `path` in messages) is in force at `now_s`.
 * Errors: KEYRING_CERT_EXPIRED. */
PEL_MUST_USE enum pel_err pel_keyring_check_times(const char *path, int64_t not_before_s, int64_t not_after_s,
                                                  int64_t now_s, struct pel_error *reterr);

/* pel_keyring_read_cert and pel_keyring_read_key read LABEL.crt and LABEL.key. The caller frees the file.
 * Errors: KEYRING_MISSING, KEYRING_NO_LABEL (with the nearest there is), KEYRING_NO_KEY, KEYRING_MODE,
 * KEYRING_UNREADABLE. */
PEL_MUST_USE enum pel_err pel_keyring_read_cert(const char *ring, const char *label,
                                                struct pel_file *ret_file, char *ret_path, size_t cap,
                                                struct pel_error *reterr);
PEL_MUST_USE enum pel_err pel_keyring_read_key(const char *ring, const char *label, struct pel_file *ret_file,
                                               char *ret_path, size_t cap, struct pel_error *reterr);

/* One certificate of a ring, for a look at its dates. Strings are valid during the visit. */
enum pel_keyring_place {
    PEL_KEYRING_OWN,   /* the first of LABEL.crt */
    PEL_KEYRING_CHAIN, /* one behind it, which is sent along */
    PEL_KEYRING_TRUST, /* of an authority, in trust/ or the machine's */
};
struct pel_keyring_cert {
    const char *label; /* LABEL of LABEL.crt or trust/LABEL.crt */
    enum pel_keyring_place place;
    bool is_default;                   /* its label is the ring's default; not of PEL_KEYRING_TRUST */
    const char *subject;               /* "" when it cannot be read */
    int64_t not_before_s, not_after_s; /* 0 when they cannot be read */
    const uint8_t *sha256;             /* 32 bytes of the whole certificate; NULL when it cannot be read */
    enum pel_err problem;     /* of the file, or of the key beside it; dates are the caller's matter */
    const char *problem_text; /* "" when none */
};
typedef void pel_keyring_certs_fn(void *arg, const struct pel_keyring_cert *cert);

/* pel_keyring_certs visits every certificate of the ring at `path` (as pel_keyring_resolve writes it),
 * authorities and those behind the first too; a file that cannot be used is visited once, with its problem.
 * `secret` opens a PKCS#12 file; its label is its certificate's friendlyName, and the file's name for
 * authorities, or where there is none. Errors: KEYRING_MISSING, KEYRING_UNREADABLE, NO_MEMORY, TOO_BIG; and
 * those of pel_pkcs12_read. Any thread. */
PEL_MUST_USE enum pel_err pel_keyring_certs(const char *path, const struct pel_keyring_secret *secret,
                                            pel_keyring_certs_fn *fn, void *arg, struct pel_error *reterr);

#endif
