/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates from bytes to bytes: issuing, and reading what listings show. Implemented in
 * tls/boringssl/issue.c and tls/boringssl/facts.c. No files here.
 */
#ifndef PEL_TLS_ISSUE_H
#define PEL_TLS_ISSUE_H

#include <pellucid/keyring.h>

#include "tls/context.h"
#include "tls/files.h"

/* pel_cert_issue makes a key and a certificate for `request`, signed by the authority, or by the new key
 * itself where `ca_cert` is NULL (an authority). The times in `request` are set. The caller frees both
 * files. Errors: ARG (subject, name or address that cannot be one), KEYRING_CERT_MALFORMED,
 * KEYRING_KEY_MISMATCH (the authority), NO_MEMORY, TLS_INTERNAL. */
PEL_MUST_USE enum pel_err pel_cert_issue(const struct pel_keyring_request *request,
                                         const struct pel_pem *ca_cert, const struct pel_pem *ca_key,
                                         struct pel_file *ret_cert, struct pel_file *ret_key,
                                         struct pel_error *reterr);

struct pel_cert_facts {
    char subject[256];
    char issuer[256];
    char names[1024];
    char key_type[32];
    int64_t not_before_s, not_after_s;
    bool is_ca;
};

/* pel_cert_facts reads the first certificate of a PEM text. Errors: KEYRING_CERT_MALFORMED, NO_MEMORY. */
PEL_MUST_USE enum pel_err pel_cert_facts(const struct pel_pem *pem, struct pel_cert_facts *ret_facts,
                                         struct pel_error *reterr);

/* What there is to say of one certificate of several: whose it is, and from when to when. */
struct pel_cert_dates {
    char subject[256];
    int64_t not_before_s, not_after_s;
    uint8_t sha256[32]; /* of the whole certificate */
};

typedef void pel_cert_dates_fn(void *arg, size_t index, const struct pel_cert_dates *dates);

/* pel_cert_dates_each visits every certificate of a PEM text in its order; `index` counts from 0. Errors:
 * KEYRING_CERT_MALFORMED (a date that is none; those before it have been visited), NO_MEMORY. */
PEL_MUST_USE enum pel_err pel_cert_dates_each(const struct pel_pem *pem, pel_cert_dates_fn *fn, void *arg,
                                              struct pel_error *reterr);

/* pel_cert_check_key tells whether `key` belongs to the first certificate. Errors: KEYRING_KEY_MISMATCH,
 * KEYRING_CERT_MALFORMED, NO_MEMORY. */
PEL_MUST_USE enum pel_err pel_cert_check_key(const struct pel_pem *cert, const struct pel_pem *key,
                                             struct pel_error *reterr);

#endif
