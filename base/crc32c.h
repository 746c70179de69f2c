/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CRC-32C (Castagnoli, RFC 3720 appendix B.4): finds every flipped bit and every burst of up to 32 bits for
 * certain, other damage but once in four thousand million times. It is no protection against forgery.
 */
#ifndef PEL_BASE_CRC32C_H
#define PEL_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* pel_crc32c continues the checksum `crc` (0 at the start) with `len` bytes. Any thread. */
uint32_t pel_crc32c(uint32_t crc, const void *bytes, size_t len);

#endif
