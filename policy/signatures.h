/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The signature algorithms that the policy language can name: codes of hash and signature as in TLS 1.2 (RFC
 * 5246 section 7.4.1.4.1), and those that TLS 1.3 added (RFC 8446 section 4.2.3). Read-only.
 */
#ifndef PEL_POLICY_SIGNATURES_H
#define PEL_POLICY_SIGNATURES_H

#include <stdbool.h>
#include <stdint.h>

struct pel_signature {
    uint16_t code;
    bool available;
    bool rsa;   /* of an RSA key */
    bool tls13; /* also in TLS 1.3, for the handshake */
    const char *name;
};

/* pel_signature_by_code returns the algorithm, or NULL when the language has no such one. Any thread. */
const struct pel_signature *pel_signature_by_code(unsigned code);

#endif
