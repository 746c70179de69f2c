/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cipher suites that the policy language can name: IANA code points, the original's names and IANA's, the
 * oldest protocol that may use each, and whether Pellucid's TLS library has it. Read-only.
 */
#ifndef PEL_POLICY_CIPHERS_H
#define PEL_POLICY_CIPHERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pel_cipher {
    uint16_t code;
    const char *name;
    uint8_t versions; /* enum pel_policy_version: those that may use the suite */
    bool available;
};

/* pel_cipher_by_code and pel_cipher_by_name (letters without case) return the suite, or NULL when the
 * language has no such one. Any thread. */
const struct pel_cipher *pel_cipher_by_code(uint16_t code);
const struct pel_cipher *pel_cipher_by_name(const char *name, size_t name_len);

/* pel_cipher_nearest returns the name nearest to a mistyped one, or NULL. Any thread. */
const char *pel_cipher_nearest(const char *name);

/* pel_cipher_table returns all suites and their number. Any thread. */
const struct pel_cipher *pel_cipher_table(size_t *ret_num);

#endif
