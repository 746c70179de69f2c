/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crc32c.h"

#include <nmmintrin.h>
#include <string.h>

uint32_t pel_crc32c(uint32_t crc, const void *bytes, size_t len)
{
    const unsigned char *at = bytes;
    uint64_t state = crc ^ UINT32_MAX;
    for (; len >= 8; len -= 8, at += 8) {
        uint64_t word;
        memcpy(&word, at, sizeof word);
        state = _mm_crc32_u64(state, word);
    }
    for (; len > 0; len--)
        state = _mm_crc32_u8((uint32_t)state, *at++);
    return (uint32_t)state ^ UINT32_MAX;
}
