/* SPDX-License-Identifier: Apache-2.0 */
#include "stack/lwip/siphash.h"

#include "tests/harness/harness.h"

/* The vectors of the paper's reference: key 00 01 … 0f, messages 00 01 … of growing length. */
PEL_TEST(lwip_siphash, published_vectors)
{
    static const uint64_t expected[] = {0x726fdb47dd0e0e31u, 0x74f839c593dc67fdu, 0x0d6c8009d9a94f5au,
                                        0x85676696d7fb7e2du, 0xcf2794e0277187b7u, 0x18765564cd99a68du,
                                        0xcbc9466e58fee3ceu, 0xab0200f58b01d137u, 0x93f5f5799a932462u};
    const uint64_t key[2] = {0x0706050403020100u, 0x0f0e0d0c0b0a0908u};
    uint8_t message[16];
    for (size_t i = 0; i < 16; i++)
        message[i] = (uint8_t)i;
    for (size_t len = 0; len < sizeof(expected) / sizeof(expected[0]); len++)
        PEL_EXPECT(pel_siphash(key, message, len) == expected[len]);
    PEL_EXPECT(pel_siphash(key, message, 15) == 0xa129ca6149be45e5u);
}
