/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bytes.h"

#include "tests/harness/harness.h"

PEL_TEST(bytes, integers_are_big_endian)
{
    uint8_t bytes[15];
    struct pel_writer w = pel_writer_of(bytes, sizeof bytes);
    pel_write_uint(&w, 0x01, 1);
    pel_write_uint(&w, 0x0203, 2);
    pel_write_uint(&w, 0x04050607, 4);
    pel_write_uint(&w, 0x08090a0b0c0d0e0f, 8);
    PEL_EXPECT(!w.failed && w.len == 15);
    for (size_t i = 0; i < w.len; i++)
        PEL_EXPECT_EQ(bytes[i], i + 1);
    struct pel_reader r = pel_reader_of(bytes, w.len);
    PEL_EXPECT_EQ(pel_read_u8(&r), 0x01);
    PEL_EXPECT_EQ(pel_read_u16(&r), 0x0203);
    PEL_EXPECT_EQ(pel_read_u32(&r), 0x04050607);
    PEL_EXPECT_EQ(pel_read_uint(&r, 8), 0x08090a0b0c0d0e0f);
    PEL_EXPECT(!r.failed && r.left_len == 0);
}

PEL_TEST(bytes, a_failed_reader_stays_failed)
{
    uint8_t bytes[3] = {1, 2, 3};
    struct pel_reader r = pel_reader_of(bytes, sizeof bytes);
    PEL_EXPECT_EQ(pel_read_u32(&r), 0);
    PEL_EXPECT(r.failed);
    PEL_EXPECT_EQ(pel_read_u8(&r), 0);
    PEL_EXPECT(pel_read_bytes(&r, 0) == NULL);
}

PEL_TEST(bytes, a_writer_does_not_overrun)
{
    uint8_t bytes[4] = {0, 0, 0, 0xee};
    struct pel_writer w = pel_writer_of(bytes, 3);
    pel_write_uint(&w, 0xaaaa, 2);
    pel_write_uint(&w, 0xbbbb, 2);
    pel_write_uint(&w, 0xcc, 1);
    PEL_EXPECT(w.failed);
    PEL_EXPECT_EQ(w.len, 2);
    PEL_EXPECT_EQ(bytes[3], 0xee);
}
