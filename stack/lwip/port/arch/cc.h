/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What lwIP asks of a compiler and a platform: byte order, checksums, random numbers, and what to do when
 * one of its assertions fails. It prints nothing.
 */
#ifndef PEL_STACK_LWIP_PORT_ARCH_CC_H
#define PEL_STACK_LWIP_PORT_ARCH_CC_H

#include <stdint.h>
#include <stdlib.h>

#ifndef BYTE_ORDER
#define BYTE_ORDER LITTLE_ENDIAN
#endif
#define LWIP_DONT_PROVIDE_BYTEORDER_FUNCTIONS 1
#define lwip_htons(x)                         ((u16_t)__builtin_bswap16((u16_t)(x)))
#define lwip_ntohs(x)                         ((u16_t)__builtin_bswap16((u16_t)(x)))
#define lwip_htonl(x)                         ((u32_t)__builtin_bswap32((u32_t)(x)))
#define lwip_ntohl(x)                         ((u32_t)__builtin_bswap32((u32_t)(x)))

/* pel_lwip_rand returns 32 bits that cannot be guessed, from the present instance's key. */
uint32_t pel_lwip_rand(void);
#define LWIP_RAND() pel_lwip_rand()

/* pel_lwip_chksum returns the folded sum of `len` bytes, read as 16-bit words in memory order (RFC 1071),
 * not inverted. */
uint16_t pel_lwip_chksum(const void *bytes, int len);
#define LWIP_CHKSUM pel_lwip_chksum

/* pel_lwip_assert_failed aborts in debug builds; with NDEBUG it counts the failure (PEL_E_STATE) and
 * returns. */
void pel_lwip_assert_failed(const char *what, const char *file, int line);
#define LWIP_PLATFORM_ASSERT(x) pel_lwip_assert_failed((x), __FILE__, __LINE__)
#define LWIP_PLATFORM_DIAG(x)
#define LWIP_PLATFORM_ERROR(x)

#endif
