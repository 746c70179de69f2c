/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whom a client's certificate stands for: the file `users` of a server's keyring, one line a user,
 *
 *     USER sha256:FINGERPRINT     that very certificate; 64 hex digits, colons between them or not
 *     USER subject:CN=a,O=b       every certificate of that subject, as `pel conns` and `pel keyring list`
 *                                 write it
 *
 * with empty lines and lines that begin with # left out. A certificate is looked for by its fingerprint
 * first.
 * ClientAuthType SAFCheck refuses a client whose certificate stands for nobody (RC 5002). The file says who
 * somebody is, not whom to trust: a certificate has been validated before it is looked for.
 */
#ifndef PEL_TLS_USERS_H
#define PEL_TLS_USERS_H

#include "base/err.h"
#include "tls/context.h"

#define PEL_USERS_MAX        100000u
#define PEL_USER_MAX_LEN     32u
#define PEL_USER_SUBJECT_CAP 1024u
#define PEL_USERS_SHA256_LEN 32u

struct pel_users;

/* pel_users_parse reads the text of a file, named in messages as file:line. The caller frees the result with
 * pel_users_free. Errors, with text: KEYRING_USERS (a line that is none, or two users for one certificate),
 * NO_MEMORY. Any thread. */
PEL_MUST_USE enum pel_err pel_users_parse(const struct pel_pem *text, struct pel_users **ret_users,
                                          struct pel_error *reterr);

/* pel_users_free frees them. NULL is harmless. */
void pel_users_free(struct pel_users *users);

/* pel_users_find returns whose certificate it is, valid as long as `users`; NULL: nobody's, or there is no
 * `users`.
 * `subject` is as long as it is: one of PEL_USER_SUBJECT_CAP - 1 characters may have been cut and is
 * nobody's. Any thread. */
const char *pel_users_find(const struct pel_users *users, const uint8_t sha256[PEL_USERS_SHA256_LEN],
                           const char *subject);

#endif
