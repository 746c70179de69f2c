/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of a wire that changes what it carries: where the TCP payload of a frame is, and a checksum made
 * right again, so that TCP lets the change through to TLS. IPv4 without fragments; anything else is left
 * alone.
 */
#ifndef PEL_TESTS_TAMPER_H
#define PEL_TESTS_TAMPER_H

#include <stddef.h>
#include <stdint.h>

#define TAMPER_IP  14
#define TAMPER_FIN 1

/* tamper_tcp returns the TCP header of a frame, or NULL when it has none that is whole. */
uint8_t *tamper_tcp(uint8_t *frame, size_t len);

/* tamper_payload returns the TCP payload and its length; NULL when the frame has none. */
uint8_t *tamper_payload(uint8_t *frame, size_t len, size_t *ret_len);

/* tamper_fix makes the TCP checksum right. */
void tamper_fix(uint8_t *frame, size_t len);

/* tamper_cut shortens the payload to `payload_len` bytes and makes the checksums right; returns the frame's
 * new length. */
size_t tamper_cut(uint8_t *frame, size_t len, size_t payload_len);

#endif
