/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "policy/testing.h"
#include "tests/harness/harness.h"

static struct pel_parsed parsed;

#define RULE                                                                                                 \
    "TTLSRule R\n{\nLocalPortRange 443\nDirection Inbound\nTTLSGroupActionRef G\nTTLSEnvironmentActionRef "  \
    "E\n}\n"

static void expect(const char *text, size_t text_len, const char *said)
{
    pel_test_parse_len(&parsed, text, text_len);
    PEL_EXPECT_STR(parsed.said, said);
    PEL_EXPECT_ERR(parsed.err, parsed.num_errors > 0 ? PEL_E_POLICY_SYNTAX : PEL_OK);
    PEL_EXPECT((parsed.policy == NULL) == (parsed.num_errors > 0));
    pel_test_drop(&parsed);
}

#define EXPECT(text, said) expect("" text, sizeof text - 1, said)

PEL_TEST(lex, an_empty_text_is_a_policy)
{
    EXPECT("", "");
    EXPECT("\n \t\r\n# only a comment", "");
    EXPECT("\xef\xbb\xbf", "");
}

PEL_TEST(lex, mark_at_the_start_crlf_case_and_comments)
{
    EXPECT("\xef\xbb\xbf" PEL_TEST_ACTIONS RULE, "");
    EXPECT("ttlsGROUPaction G\r\n{\r\n  \ttlSEnabled\tON # yes\r\n}\r\n",
           "3:4: error: unknown parameter \"tlSEnabled\" in "
           "TTLSGroupAction; did you mean TTLSEnabled?\n");
    EXPECT("ttlsGROUPaction G#name\r\n# between\r\n\r\n{\r\n  \ttTLSEnabled\toN# yes\r\n}# end", "");
}

PEL_TEST(lex, marks_nul_and_bytes_that_are_no_text)
{
    EXPECT("\n\xef\xbb\xbfTTLSRule R\n", "2:1: error: a byte-order mark inside the file\n");
    EXPECT("# joined \xef\xbb\xbf here\n", "1:10: error: a byte-order mark inside the file\n");
    EXPECT("TTLSGroupAction G\0\n", "1:18: error: a NUL byte\n");
    EXPECT("TTLSGroupAction G\x01\n", "1:18: error: a control character\n");
    EXPECT("TTLSGroupAction G\xff\n{\nTTLSEnabled On\n}\n", "1:18: error: not valid UTF-8\n");
}

PEL_TEST(lex, a_line_that_cannot_be_read_is_one_error)
{
    EXPECT("TTLSGroupAction G\n{\nTTLSEnabled\0On\n}\n", "3:12: error: a NUL byte\n");
}

PEL_TEST(lex, utf8_forms)
{
    static const char *const bad[] = {"\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                                      "\xe2\x82", "\x80",         "\xf0\x80\x80\x80"};
    static const char *const good[] = {"\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf"};
    char text[200];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(text, sizeof text, "TTLSConnectionAdvancedParms A\n{\nCertificateLabel %s\n}\n", bad[i]);
        expect(text, strlen(text), "3:18: error: not valid UTF-8\n");
    }
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        snprintf(text, sizeof text, "TTLSConnectionAdvancedParms A\n{\nCertificateLabel %s\n}\n", good[i]);
        expect(text, strlen(text), "");
    }
}

PEL_TEST(lex, a_comment_may_hold_any_bytes)
{
    EXPECT("# \xff\xfe \0 \x01\n" PEL_TEST_ACTIONS RULE, "");
}

PEL_TEST(lex, what_follows_a_value_is_said_to_be_ignored)
{
    EXPECT("TTLSGroupAction G\n{\nTTLSEnabled On really yes  \n}\n",
           "3:16: warning: ignored after the value: \"really yes\"\n");
    EXPECT("TTLSKeyringParms K\n{\nKeyring /k.p12\nKeyringPw pass word\n}\n",
           "4:16: warning: ignored after the value\n");
    EXPECT("TTLSGroupAction G more\n{\nTTLSEnabled On\n}\n",
           "1:19: warning: ignored after the value: \"more\"\n");
}

PEL_TEST(lex, braces_on_shared_lines)
{
    EXPECT("TTLSGroupAction G {\nTTLSEnabled On\n}\n",
           "1:19: error: \"{\" must stand on a line of its own\n");
    EXPECT("TTLSGroupAction G\n{ TTLSEnabled On\n}\n", "2:1: error: \"{\" must stand on a line of its own\n");
    EXPECT("TTLSGroupAction G\n{\nTTLSEnabled On }\n",
           "3:16: error: \"}\" must stand on a line of its own\n");
    EXPECT("TTLSGroupAction G{TTLSEnabled On}\n", "1:18: error: \"{\" must stand on a line of its own\n");
    EXPECT("TTLSGroupAction G\n{\nTTLSEnabled On\n} TTLSGroupAction H\n{\nTTLSEnabled On\n}\n",
           "4:1: error: \"}\" must stand on a line of its own\n");
}
