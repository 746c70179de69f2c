/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A PKCS#12 file as a keyring: one certificate with its key, those that are sent along with it, and
 * authorities; or authorities alone. Reading it (RFC 7292) is in tls/boringssl/pkcs12.c; what it holds goes
 * on as PEM, as if it had stood in a ring's directory.
 *
 * Failure: every error names the file and what to do.
 */
#ifndef PEL_TLS_PKCS12_H
#define PEL_TLS_PKCS12_H

#include "tls/context.h"
#include "tls/files.h"
#include "tls/keyring.h"

/* What a file holds. A text that is empty has no bytes. */
struct pel_pkcs12 {
    char label[PEL_KEYRING_MAX_LABEL_LEN + 1]; /* the certificate's friendlyName; "" when it has none */
    struct pel_file chain; /* PEM: the key's certificate, then those that issued it, in that order */
    struct pel_file key;   /* PEM */
    struct pel_file trust; /* PEM: all others */
};

/* pel_keyring_is_file tells whether a keyring's path is a PKCS#12 file's, and no directory's. Any thread. */
bool pel_keyring_is_file(const char *path);

/* pel_pkcs12_read reads a file with the password, or with the one that stands on the first line of the stash
 * file, of mode 0600; without either the password is empty, and the file itself must be of mode 0600. The
 * caller frees with pel_pkcs12_free. Errors: KEYRING_MISSING, KEYRING_UNREADABLE, KEYRING_MODE, TOO_BIG,
 * KEYRING_CERT_MALFORMED (a wrong password too), NO_MEMORY. Any thread. */
PEL_MUST_USE enum pel_err pel_pkcs12_read(const char *path, const struct pel_keyring_secret *secret,
                                          struct pel_pkcs12 *ret_pkcs12, struct pel_error *reterr);

/* pel_pkcs12_free wipes and frees; harmless on a zeroed one. */
void pel_pkcs12_free(struct pel_pkcs12 *pkcs12);

/* pel_pkcs12_parse is pel_pkcs12_read of bytes, with `der->path` for messages. Errors:
 * KEYRING_CERT_MALFORMED, NO_MEMORY. */
PEL_MUST_USE enum pel_err pel_pkcs12_parse(const struct pel_pem *der, const char *password,
                                           struct pel_pkcs12 *ret_pkcs12, struct pel_error *reterr);

#endif
