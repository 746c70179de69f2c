/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keyring directories: names to paths, and reading. A ring directory holds
 *
 *     LABEL.crt     certificate chain, PEM, leaf first
 *     LABEL.key     its private key, PEM, mode 0600
 *     default       one line: the default label
 *     trust/X.crt   trusted authorities, PEM, one file or several
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

/* pel_keyring_resolve turns a policy's keyring name into what pel_tls_config.keyring_path takes: "ring" is
 * DIR/OWNER/ring, "userid/ring" is DIR/userid/ring, an absolute path is itself, and the virtual ring of
 * all authorities (the word *AUTH*, alone or with a slash and a star behind it) is PEL_KEYRING_AUTH. Looks
 * at no file except that an absolute path to a regular file (PKCS#12, key database) is refused. `cap` is
 * at least 8. Errors: ARG (a name that cannot be one), UNSUPPORTED (tokens, *SITE*, files), TOO_BIG. Any
 * thread. */
PEL_MUST_USE enum pel_err pel_keyring_resolve(const char *keyring_dir, const char *owner_user,
                                              const char *name, char *ret_path, size_t cap,
                                              struct pel_error *reterr);

/* pel_keyring_check_label refuses what cannot be a file's name within the ring. Errors: KEYRING_NO_LABEL. */
PEL_MUST_USE enum pel_err pel_keyring_check_label(const char *label, struct pel_error *reterr);

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

#endif
