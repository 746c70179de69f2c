/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crc32c.h"

#include <string.h>

#include "tests/harness/harness.h"

/* RFC 3720, appendix B.4. */
PEL_TEST(crc32c, known_answers)
{
    unsigned char bytes[32];
    PEL_EXPECT_EQ(pel_crc32c(0, "", 0), 0);
    PEL_EXPECT_EQ(pel_crc32c(0, "123456789", 9), 0xe3069283);
    memset(bytes, 0, sizeof bytes);
    PEL_EXPECT_EQ(pel_crc32c(0, bytes, sizeof bytes), 0x8a9136aa);
    memset(bytes, 0xff, sizeof bytes);
    PEL_EXPECT_EQ(pel_crc32c(0, bytes, sizeof bytes), 0x62a8ab43);
    for (unsigned i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)i;
    PEL_EXPECT_EQ(pel_crc32c(0, bytes, sizeof bytes), 0x46dd794e);
}

PEL_TEST(crc32c, in_parts)
{
    static const char text[] = "a text that is summed in two parts, wherever it is cut";
    const uint32_t whole = pel_crc32c(0, text, sizeof text);
    for (size_t cut = 0; cut <= sizeof text; cut++)
        PEL_EXPECT_EQ(pel_crc32c(pel_crc32c(0, text, cut), text + cut, sizeof text - cut), whole);
}
