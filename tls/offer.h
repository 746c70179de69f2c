/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the two sides of a handshake bring: the peer's hello, bounded, and the environment's own lists, so
 * that a failure can say what the peer offered beside what is configured here. A server keeps the client's
 * offer until the handshake is done.
 */
#ifndef PEL_TLS_OFFER_H
#define PEL_TLS_OFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum {
    PEL_OFFER_MAX_VERSIONS = 8,
    PEL_OFFER_MAX_CIPHERS = 64,
    PEL_OFFER_MAX_GROUPS = 24,
    PEL_OFFER_MAX_SIGALGS = 32
};

struct pel_tls_offer {
    uint16_t versions[PEL_OFFER_MAX_VERSIONS];
    uint16_t ciphers[PEL_OFFER_MAX_CIPHERS];
    uint16_t groups[PEL_OFFER_MAX_GROUPS];
    uint16_t sigalgs[PEL_OFFER_MAX_SIGALGS];
    uint8_t num_versions, num_ciphers, num_groups, num_sigalgs;
};

/* pel_offer_has_version, _cipher, _sigalg tell whether the list has `code`. */
bool pel_offer_has_version(const struct pel_tls_offer *offer, uint16_t code);
bool pel_offer_has_cipher(const struct pel_tls_offer *offer, uint16_t code);
bool pel_offer_has_group(const struct pel_tls_offer *offer, uint16_t code);
bool pel_offer_has_sigalg(const struct pel_tls_offer *offer, uint16_t code);

/* pel_offer_explain fills `reterr` for a failure `err` with `reason` (the library's word) and, where it is
 * one of "nothing in common", with both sides' lists. `peer` may be NULL (a client does not know its
 * server's). Returns `err`. */
enum pel_err pel_offer_explain(enum pel_err err, const char *reason, const struct pel_tls_offer *peer,
                               const struct pel_tls_offer *ours, struct pel_error *reterr);

#endif
