/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/buffer.h"

#include <stdlib.h>

#include "base/clock.h"
#include "tests/harness/harness.h"

PEL_TEST(buffer, keeps_order_and_owns_nothing_when_empty)
{
    struct pel_buffer buffer = {0};
    struct pel_prng prng;
    uint8_t next_in = 0, next_out = 0;
    pel_prng_seed(&prng, 5);
    for (int round = 0; round < 20000; round++) {
        uint8_t bytes[700];
        size_t len = pel_prng_below(&prng, sizeof bytes);
        for (size_t i = 0; i < len; i++)
            bytes[i] = (uint8_t)(next_in + i);
        if (pel_buffer_append(&buffer, bytes, len, 5000) == PEL_OK)
            next_in = (uint8_t)(next_in + len);
        PEL_EXPECT(buffer.len <= 5000 && buffer.cap <= 8192);
        size_t take = pel_prng_below(&prng, 800);
        take = take < buffer.len ? take : buffer.len;
        for (size_t i = 0; i < take; i++)
            PEL_REQUIRE(pel_buffer_at(&buffer)[i] == (uint8_t)(next_out + i));
        next_out = (uint8_t)(next_out + take);
        pel_buffer_consume(&buffer, take);
        PEL_EXPECT((buffer.len == 0) == (buffer.bytes == NULL));
    }
    pel_buffer_fini(&buffer);
    PEL_EXPECT(buffer.bytes == NULL && pel_buffer_at(&buffer) == NULL);
}

PEL_TEST(buffer, limits)
{
    struct pel_buffer buffer = {0};
    uint8_t bytes[100] = {0}, *at = NULL;
    PEL_EXPECT_ERR(pel_buffer_append(&buffer, bytes, 100, 99), PEL_E_TOO_BIG);
    PEL_EXPECT_ERR(pel_buffer_append(&buffer, bytes, 99, 99), PEL_OK);
    PEL_EXPECT_ERR(pel_buffer_append(&buffer, bytes, 1, 99), PEL_E_TOO_BIG);
    PEL_EXPECT_ERR(pel_buffer_append(&buffer, bytes, 1, 10), PEL_E_TOO_BIG);
    pel_buffer_consume(&buffer, 1000);
    PEL_EXPECT_ERR(pel_buffer_reserve(&buffer, 10, 10, &at), PEL_OK);
    pel_buffer_commit(&buffer, 0);
    PEL_EXPECT(buffer.bytes == NULL);
}
