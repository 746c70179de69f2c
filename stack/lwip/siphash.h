/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SipHash-2-4 (Aumasson and Bernstein, 2012): a keyed hash for short inputs that nobody without the key can
 * predict. For sequence numbers, ports and hash tables; not for messages.
 */
#ifndef PEL_STACK_LWIP_SIPHASH_H
#define PEL_STACK_LWIP_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

/* pel_siphash returns the hash of `len` bytes under a key of 128 bits. Any thread. */
uint64_t pel_siphash(const uint64_t key[2], const void *bytes, size_t len);

#endif
