/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The certificates of the keyrings that a policy names, as they were when it was loaded: what the stack
 * serves and trusts until the next load. For `pel policy status`, and for the warnings of those that end
 * soon.
 *
 * Failure: a keyring or file that cannot be read is a row with its problem.
 */
#ifndef PEL_STACK_POLICY_CERTS_H
#define PEL_STACK_POLICY_CERTS_H

#include <stdbool.h>
#include <stdint.h>

#include "policy/policy.h"
#include "stack/generation.h"
#include "tls/keyring.h"

/* A certificate that ends within so many days is warned of. */
#define PEL_CERT_WARN_DAYS 30

struct pel_policy_cert {
    const char *keyring; /* as the policy names it; the list's */
    char label[PEL_KEYRING_MAX_LABEL_LEN + 1];
    char subject[256];
    enum pel_keyring_place place;
    bool used; /* a rule presents it, or sends it along, or it is an authority that a rule may ask */
    int64_t not_before_s, not_after_s; /* 0: unknown */
    uint8_t sha256[32];                /* of the whole certificate; zeros: unknown */
    enum pel_err problem;
    char *problem_text; /* NULL when none; the list's */
};

struct pel_policy_certs {
    struct pel_policy_cert *rows; /* by not_after_s, those without a date first */
    size_t num, cap;
    char **keyrings; /* distinct names, sorted */
    char **paths;    /* where each is; NULL: a name that cannot be one */
    char **stashes;  /* the file that holds the password of each; NULL: none */
    size_t num_keyrings;
};

/* pel_policy_certs_name lists the keyrings that enabled rules name, and no certificates; otherwise as
 * pel_policy_certs_collect. It reads no file. */
PEL_MUST_USE enum pel_err pel_policy_certs_name(const struct pel_policy *policy,
                                                const struct pel_generation_config *config,
                                                struct pel_policy_certs *ret_certs);

/* pel_policy_certs_collect reads every keyring that an enabled rule names, a PKCS#12 file with the password
 * of the first rule that names it. `config` says where they are. The caller frees with pel_policy_certs_free.
 * Errors: NO_MEMORY. Any thread but an engine's: it reads files. */
PEL_MUST_USE enum pel_err pel_policy_certs_collect(const struct pel_policy *policy,
                                                   const struct pel_generation_config *config,
                                                   struct pel_policy_certs *ret_certs);

/* pel_policy_certs_free frees what a list holds; harmless on a zeroed one. */
void pel_policy_certs_free(struct pel_policy_certs *certs);

enum pel_cert_state { PEL_CERT_FINE, PEL_CERT_SOON, PEL_CERT_EXPIRED, PEL_CERT_NOT_YET, PEL_CERT_BAD };

/* pel_policy_cert_state judges a certificate at `now_s`; `ret_days` is how many whole days are left, or for
 * how many it has been expired (negative). Any thread. */
enum pel_cert_state pel_policy_cert_state(const struct pel_policy_cert *cert, int64_t now_s,
                                          int64_t *ret_days);

/* pel_policy_cert_describe writes one line on a certificate that is not fine; returns `text`. */
const char *pel_policy_cert_describe(const struct pel_policy_cert *cert, int64_t now_s, char *text,
                                     size_t cap);

/* pel_policy_certs_replaced returns how many certificates of `now` were not in `before`. Any thread. */
size_t pel_policy_certs_replaced(const struct pel_policy_certs *before, const struct pel_policy_certs *now);

#endif
