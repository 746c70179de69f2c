/* SPDX-License-Identifier: Apache-2.0 */
#include "base/text.h"

#include "tests/harness/harness.h"

static const char *const words[] = {"Direction", "RemoteAddr", "RemotePortRange", "Priority"};

PEL_TEST(text, nearest_word)
{
    PEL_EXPECT_STR(pel_text_nearest("Drection", words, 4), "Direction");
    PEL_EXPECT_STR(pel_text_nearest("direciton", words, 4), "Direction");
    PEL_EXPECT_STR(pel_text_nearest("REMOTEADR", words, 4), "RemoteAddr");
    PEL_EXPECT_STR(pel_text_nearest("Priority", words, 4), "Priority");
}

PEL_TEST(text, nothing_near)
{
    PEL_EXPECT(pel_text_nearest("Zebra", words, 4) == NULL);
    PEL_EXPECT(pel_text_nearest("", words, 4) == NULL);
    char longer[100];
    memset(longer, 'x', 99);
    longer[99] = '\0';
    PEL_EXPECT(pel_text_nearest(longer, words, 4) == NULL);
}
