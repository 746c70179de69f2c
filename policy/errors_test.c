/* SPDX-License-Identifier: Apache-2.0 */
/* Every message of the parser and checker, word for word. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/testing.h"
#include "tests/harness/harness.h"

static struct pel_parsed parsed;

/* A rule with `lines` in it, whose first line is line 15, behind the actions. */
#define IN_RULE(lines)                                                                                       \
    PEL_TEST_ACTIONS "TTLSRule R\n{\n" lines "LocalPortRange 1\nDirection Inbound\nTTLSGroupActionRef G\n"   \
                     "TTLSEnvironmentActionRef E\n}\n"

static void expect(int line, const char *text, const char *said)
{
    pel_test_parse(&parsed, text);
    if (strcmp(parsed.said, said) != 0)
        pel_test_fail(__FILE__, line, "got:\n%sexpected:\n%s", parsed.said, said);
    PEL_EXPECT_ERR(parsed.err, parsed.num_errors > 0 ? PEL_E_POLICY_SYNTAX : PEL_OK);
    pel_test_drop(&parsed);
}

#define EXPECT(text, said) expect(__LINE__, text, said)

PEL_TEST(errors, unknown_words_and_their_nearest)
{
    EXPECT("TTLSRul R\n{\nDirection Both\n}\n",
           "1:1: error: unknown statement \"TTLSRul\"; did you mean TTLSRule?\n");
    EXPECT("Bicycle R\n{\n{\n}\n}\n", "1:1: error: unknown statement \"Bicycle\"\n");
    EXPECT("TTLSGroupAction G\n{\nTTLSEnable On\n}\n",
           "3:1: error: unknown parameter \"TTLSEnable\" in TTLSGroupAction; did you mean TTLSEnabled?\n");
    EXPECT("TTLSGroupAction G\n{\nTTLSEnabled Onn\n}\n",
           "3:13: error: TTLSEnabled: \"Onn\" is not Off or On; did you mean On?\n");
    EXPECT(IN_RULE("Jobname A\nRemoteAddr localhost\n"),
           "16:12: error: RemoteAddr: \"localhost\" is not an IP address, "
           "ADDRESS/LENGTH, ADDRESS-ADDRESS or All\n");
    EXPECT("TTLSRule R\n{\nDirection Inbond\nJobname A\nTTLSGroupAction\n{\nTTLSEnabled Off\n}\n}\n",
           "3:11: error: Direction: \"Inbond\" is not Inbound, Outbound or Both; did you mean Inbound?\n");
    EXPECT("TTLSCipherParms C\n{\nV3CipherSuites TLS_AES_128_GCM_SHA25\n}\n",
           "3:16: error: V3CipherSuites: unknown cipher suite \"TLS_AES_128_GCM_SHA25\"; did you mean "
           "TLS_AES_128_GCM_SHA256?\n");
}

PEL_TEST(errors, parameters_in_the_wrong_place)
{
    EXPECT("TTLSConnectionAction C\n{\nCertificateLabel x\n}\n",
           "3:1: error: CertificateLabel belongs in TTLSEnvironmentAdvancedParms or "
           "TTLSConnectionAdvancedParms, not in "
           "TTLSConnectionAction\n");
    EXPECT("HandshakeRole Client\n", "1:1: error: HandshakeRole belongs in TTLSEnvironmentAction or "
                                     "TTLSConnectionAction\n");
    EXPECT("TTLSConnectionAction C\n{\nTTLSKeyringParms\n{\nKeyring x\n}\n}\n",
           "3:1: error: TTLSKeyringParms belongs in TTLSEnvironmentAction, not in TTLSConnectionAction\n");
}

PEL_TEST(errors, missing_things)
{
    EXPECT("TTLSGroupAction G\n{\n}\n", "1:1: error: TTLSGroupAction \"G\": TTLSEnabled is required\n");
    EXPECT("TTLSRule R\n{\nJobname A\n}\n",
           "1:1: error: TTLSRule \"R\": Direction is required\n"
           "1:1: error: TTLSRule \"R\": TTLSGroupAction or TTLSGroupActionRef is required\n");
    EXPECT("TTLSEnvironmentAction E\n{\n}\n",
           "1:1: error: TTLSEnvironmentAction \"E\": HandshakeRole is required\n"
           "1:1: error: TTLSEnvironmentAction \"E\": TTLSKeyringParms or TTLSKeyringParmsRef is required\n");
    EXPECT("IpAddrSet S\n{\n}\n", "1:1: error: IpAddrSet \"S\": Prefix or Range is required\n");
    EXPECT("IpAddrGroup S\n{\n}\n",
           "1:1: error: IpAddrGroup \"S\": IpAddr or IpAddrRef or IpAddrSet or IpAddrSetRef is required\n");
    EXPECT("TTLSRule\n{\nDirection Both\nJobname A\nTTLSGroupAction\n{\nTTLSEnabled Off\n}\n}\n",
           "1:1: error: TTLSRule needs a name\n");
    EXPECT("TTLSGroupAction G\n{\nTTLSEnabled\n}\n", "3:1: error: TTLSEnabled needs a value\n");
    EXPECT(PEL_TEST_ACTIONS
           "TTLSRule R\n{\nDirection Both\nTTLSGroupActionRef G\nTTLSEnvironmentActionRef E\n}\n",
           "13:1: error: TTLSRule \"R\": a condition besides Direction is required\n");
    EXPECT("TTLSRule R\n{\nJobname A\nDirection Both\nTTLSGroupAction\n{\nTTLSEnabled On\n}\n}\n",
           "1:1: error: TTLSRule \"R\": TTLSEnvironmentAction or TTLSEnvironmentActionRef is required, since "
           "its "
           "TTLSGroupAction has TTLSEnabled On\n");
}

PEL_TEST(errors, braces)
{
    EXPECT("TTLSGroupAction G\n", "1:1: error: \"{\" expected after TTLSGroupAction \"G\"\n");
    EXPECT("TTLSGroupAction G\nTTLSEnabled On\n}\n",
           "2:1: error: \"{\" expected after TTLSGroupAction \"G\"\n");
    EXPECT("TTLSGroupAction G\n{\nTTLSEnabled On\n",
           "1:1: error: the \"}\" of this TTLSGroupAction \"G\" is missing\n");
    EXPECT("TTLSGroupAction G\n{\nTTLSEnabled On\nTTLSGroupAction H\n{\nTTLSEnabled On\n}\n",
           "1:1: error: the \"}\" of this TTLSGroupAction \"G\" is missing\n");
    EXPECT("}\n", "1:1: error: \"}\" without an open statement\n");
    EXPECT("{\n}\n", "1:1: error: \"{\" without a statement before it\n");
}

PEL_TEST(errors, nesting_is_bounded)
{
    char text[4000] = "";
    for (int i = 0; i < 100; i++)
        strcat(text, "TTLSKeyringParms\n{\n");
    pel_test_parse(&parsed, text);
    PEL_EXPECT_HAS(parsed.said, "error: nested more than 8 deep\n");
    pel_test_drop(&parsed);
}

PEL_TEST(errors, names_and_references)
{
    EXPECT("TTLSGroupAction G\n{\nTTLSEnabled On\n}\nTTLSGroupAction G\n{\nTTLSEnabled Off\n}\n",
           "5:1: error: TTLSGroupAction \"G\" is defined already on line 1\n");
    EXPECT("TTLSGroupAction g\n{\nTTLSEnabled On\n}\nTTLSGroupAction G\n{\nTTLSEnabled Off\n}\n", "");
    EXPECT("TTLSGroupAction ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEF\n{\nTTLSEnabled On\n}\n", "");
    EXPECT("TTLSGroupAction ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG\n{\nTTLSEnabled On\n}\n",
           "1:17: error: the name \"ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG\" is longer than 32 bytes\n");
    EXPECT(IN_RULE("TTLSConnectionActionRef C1\n") "TTLSConnectionAction Con1\n{\n}\nTTLSConnectionAction "
                                                   "C12\n{\n}\n",
           "15:25: error: TTLSConnectionActionRef: no TTLSConnectionAction is named \"C1\"\n");
    EXPECT(
        IN_RULE("TTLSConnectionActionRef ConnAct\n") "TTLSConnectionAction ConnActn\n{\n}\n",
        "15:25: error: TTLSConnectionActionRef: no TTLSConnectionAction is named \"ConnAct\"; did you mean "
        "\"ConnActn\"?\n");
    EXPECT(IN_RULE("TTLSConnectionActionRef E\n"),
           "15:25: error: TTLSConnectionActionRef: no TTLSConnectionAction is named \"E\"\n");
}

PEL_TEST(errors, inline_names)
{
    /* A name given inline may be referred to; a top-level one goes before it. */
    EXPECT("TTLSConnectionAction A\n{\nTTLSCipherParms C\n{\nV3CipherSuites4Char C02F\n}\n}\n"
           "TTLSConnectionAction B\n{\nTTLSCipherParmsRef C\n}\n",
           "");
    EXPECT("TTLSConnectionAction A\n{\nTTLSCipherParms C\n{\nV3CipherSuites4Char C02F\n}\n}\n"
           "TTLSConnectionAction B\n{\nTTLSCipherParms C\n{\nV3CipherSuites4Char C030\n}\n}\n",
           "10:1: warning: TTLSCipherParms \"C\" is defined already on line 3; references mean that one\n");
}

PEL_TEST(errors, numbers)
{
    EXPECT(IN_RULE("Priority 0\n"), "15:10: error: Priority: 0 is out of range (1 to 2000000000)\n");
    EXPECT(IN_RULE("Priority 2000000001\n"),
           "15:10: error: Priority: 2000000001 is out of range (1 to 2000000000)\n");
    EXPECT(IN_RULE("Priority 99999999999999999999999\n"),
           "15:10: error: Priority: 99999999999999999999999 is out of range (1 to 2000000000)\n");
    EXPECT(IN_RULE("Priority -1\n"), "15:10: error: Priority: \"-1\" is not a number\n");
    EXPECT(IN_RULE("RemotePortRange 65536\n"), "15:17: error: RemotePortRange: a port of \"65536\" is out of "
                                               "range (1 to 65535, or 0 alone for any)\n");
    EXPECT(IN_RULE("RemotePortRange 9-8\n"), "15:17: error: RemotePortRange: the range 9-8 runs backwards\n");
    EXPECT(IN_RULE("RemotePortRange 9-\n"),
           "15:17: error: RemotePortRange: \"9-\" is not a port or a range of ports\n");
    EXPECT(IN_RULE("RemotePortRange http\n"),
           "15:17: error: RemotePortRange: \"http\" is not a port or a range of ports\n");
    EXPECT(IN_RULE("RemotePortRange 0\n"), "");
    EXPECT(IN_RULE("RemotePortRange 0-9\n"), "15:17: error: RemotePortRange: a port of \"0-9\" is out of "
                                             "range (1 to 65535, or 0 alone for any)\n");
    EXPECT("TTLSEnvironmentAdvancedParms A\n{\nHandshakeTimeout 601\n}\n",
           "3:18: error: HandshakeTimeout: 601 is out of range (0 to 600)\n");
}

PEL_TEST(errors, addresses)
{
    EXPECT(IN_RULE("RemoteAddr 6793\n"),
           "15:12: error: RemoteAddr: \"6793\" is a number, not an IP address; a port goes into "
           "RemotePortRange\n");
    EXPECT(
        IN_RULE("RemoteAddr ::ffff:10.0.0.1\n"),
        "15:12: error: RemoteAddr: \"::ffff:10.0.0.1\" is an IPv4-mapped IPv6 address; write it as IPv4\n");
    EXPECT(IN_RULE("RemoteAddr 10.0.0.0/33\n"),
           "15:12: error: RemoteAddr: the prefix length 33 is out of range (0 to 32)\n");
    EXPECT(IN_RULE("RemoteAddr fe80::/129\n"),
           "15:12: error: RemoteAddr: the prefix length 129 is out of range (0 to 128)\n");
    EXPECT(IN_RULE("RemoteAddr 10.0.0.2-10.0.0.1\n"),
           "15:12: error: RemoteAddr: the range \"10.0.0.2-10.0.0.1\" runs backwards\n");
    EXPECT(IN_RULE("RemoteAddr 10.0.0.2-::1\n"),
           "15:12: error: RemoteAddr: a range of IPv4 and IPv6 together\n");
    EXPECT("IpAddr A\n{\nAddr 10.0.0.0/8\n}\n", "3:6: error: Addr: \"10.0.0.0/8\" is not an IP address\n");
    EXPECT("IpAddrSet A\n{\nPrefix 10.0.0.0\n}\n",
           "3:8: error: Prefix: \"10.0.0.0\" is not ADDRESS/LENGTH\n");
    EXPECT("IpAddrSet A\n{\nRange 10.0.0.0\n}\n", "3:7: error: Range: \"10.0.0.0\" is not ADDRESS-ADDRESS\n");
}

PEL_TEST(errors, names_of_users_and_jobs)
{
    EXPECT(IN_RULE("Jobname A*B\n"), "15:9: error: Jobname: the * of \"A*B\" is not at its end\n");
    EXPECT(IN_RULE("Userid ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG\n"),
           "15:8: error: Userid: longer than 32 bytes\n");
}

PEL_TEST(errors, keyrings)
{
    EXPECT("TTLSKeyringParms K\n{\nKeyring /k\nKeyringPw x\nKeyringStashFile /s\n}\n",
           "5:1: error: KeyringPw and KeyringStashFile exclude each other\n");
    EXPECT("TTLSKeyringParms K\n{\nKeyring k\nKeyringPw x\n}\n",
           "4:1: note: KeyringPw: accepted, no effect: the keyring \"k\" is a directory, which has no "
           "password\n");
    EXPECT(
        "TTLSKeyringParms K\n{\nKeyringStashFile /s\nKeyring u/k\n}\n",
        "3:1: note: KeyringStashFile: accepted, no effect: the keyring \"u/k\" is a directory, which has no "
        "password\n");
    EXPECT("TTLSKeyringParms K\n{\nKeyring /k.p12\nKeyringPw x\n}\n", "");
}

PEL_TEST(errors, suites)
{
    EXPECT("TTLSCipherParms C\n{\nV3CipherSuites 35Z\n}\n",
           "3:16: error: V3CipherSuites: unknown cipher suite \"35Z\"\n");
    EXPECT("TTLSCipherParms C\n{\nV3CipherSuites 352\n}\n",
           "3:16: error: V3CipherSuites: \"352\" is not made of codes of 2 digits\n");
    EXPECT("TTLSCipherParms C\n{\nV3CipherSuites4Char 1301C0\n}\n",
           "3:21: error: V3CipherSuites4Char: \"1301C0\" is not made of codes of 4 digits\n");
    EXPECT("TTLSCipherParms C\n{\nV3CipherSuites4Char 1301FFFF\n}\n",
           "3:25: error: V3CipherSuites4Char: no cipher suite has the code FFFF\n");
    EXPECT("TTLSCipherParms C\n{\nV3CipherSuites 0509\n}\n",
           "1:1: error: TTLSCipherParms \"C\": no cipher suite is left\n"
           "3:16: warning: V3CipherSuites: TLS_RSA_WITH_RC4_128_SHA (0005) is not available here and is left "
           "out\n"
           "3:18: warning: V3CipherSuites: TLS_RSA_WITH_DES_CBC_SHA (0009) is not available here and is left "
           "out\n");
    EXPECT("TTLSSignatureParms S\n{\nClientECurves 0023 0099\n}\n",
           "3:20: error: ClientECurves: \"0099\" is not a named group; write its number in 4 decimal digits, "
           "as 0023\n");
    EXPECT("TTLSSignatureParms S\n{\nClientECurves 0030\n}\n",
           "3:15: warning: ClientECurves: x448 (0030) is not available here and is left out\n"
           "3:15: error: ClientECurves: no group is left\n");
}

PEL_TEST(errors, versions)
{
#define CONN(lines) IN_RULE("TTLSConnectionAction\n{\nTTLSConnectionAdvancedParms\n{\n" lines "}\n}\n")
    EXPECT(CONN("TLSv1.2 Off\nTLSv1.3 Off\n"), "13:1: error: TTLSRule \"R\": no TLS version is on\n");
    EXPECT(CONN("TLSv1.1 On\nTLSv1.2 Off\n"),
           "13:1: error: TTLSRule \"R\": TLSv1.3 and an older version are on without TLSv1.2 between them\n"
           "19:1: warning: TLSv1.1 On: TLS 1.1 is weak\n");
    EXPECT(CONN("TLSv1 On\nTLSv1.1 On\n"), "19:1: warning: TLSv1 On: TLS 1.0 is weak\n"
                                           "20:1: warning: TLSv1.1 On: TLS 1.1 is weak\n");
    EXPECT(CONN("TLSv1 On\nTLSv1.1 Off\n"),
           "13:1: warning: TTLSRule \"R\": TLSv1 is on without TLSv1.1 above it: not offered\n"
           "19:1: warning: TLSv1 On: TLS 1.0 is weak\n");
    EXPECT(CONN("ApplicationControlled On\n"),
           "19:1: note: ApplicationControlled On: in clear until the program asks for TLS; one that never "
           "asks stays in clear\n");
    EXPECT(CONN("ApplicationControlled Off\n"), "");
    EXPECT(CONN("SSLv2 On\nSSLv3 On\n"), "19:1: warning: SSLv2 On: no effect, SSL 2.0 is never spoken\n"
                                         "20:1: warning: SSLv3 On: no effect, SSL 3.0 is never spoken\n");
}

PEL_TEST(errors, duplicates_and_slots)
{
    EXPECT(IN_RULE("Priority 1\nPriority 2\n"),
           "16:1: warning: Priority is given twice; the one on line 15 is ignored\n");
    EXPECT(IN_RULE("RemoteAddr All\nRemoteAddrRef A\n") "IpAddr A\n{\nAddr 10.0.0.1\n}\n",
           "16:1: warning: RemoteAddrRef replaces the whole RemoteAddr on line 15\n");
}

PEL_TEST(errors, what_has_no_effect_yet)
{
    EXPECT(IN_RULE("IpTimeCondition\n{\nTimeZone UTC\n}\n"), "");
    EXPECT(IN_RULE("IpTimeConditionRef T\n") "IpTimeCondition T\n{\n}\n", "");
    EXPECT(
        "TTLSGskAdvancedParms A\n{\nGSK_V3_SESSION_TIMEOUT 0\nTTLSGskOcspParms\n{\nOcspUrl http://x/\n}\n}\n",
        "4:1: note: TTLSGskOcspParms: accepted, no effect: revocation is not asked for by OCSP, and answers "
        "are not stapled\n");
    EXPECT("TTLSGskAdvancedParms A\n{\nGSK_V3_SESSION_TIMEOUT 86401\n}\n",
           "3:24: error: GSK_V3_SESSION_TIMEOUT: 86401 is out of range (0 to 86400)\n");
    EXPECT("TTLSGroupAction G\n{\nTTLSEnabled On\nFIPS140 On\n}\n",
           "4:1: note: FIPS140 On: approved algorithms; the module is not validated\n");
    EXPECT("TTLSCipherParms C\n{\nV2CipherSuites 12\nV3CipherSuites 35\n}\n",
           "3:1: note: V2CipherSuites: accepted, no effect: SSL 2.0 is never spoken\n");
}

#define NO_CONDITION ": error: TTLSRule \"R\": a condition besides Direction is required\n"
#define NO_ENVIRONMENT                                                                                       \
    ": error: TTLSRule \"R\": TTLSEnvironmentAction or TTLSEnvironmentActionRef is required, since its "     \
    "TTLSGroupAction has TTLSEnabled On\n"

/* One error does not hide the next, and makes none of what it is itself the fault. */
PEL_TEST(errors, all_of_a_rule_at_once)
{
    EXPECT("TTLSRule R\n{\nDirection Both\nTTLSGroupActionRef X\n}\n",
           "1:1" NO_CONDITION "4:20: error: TTLSGroupActionRef: no TTLSGroupAction is named \"X\"\n");
    EXPECT(PEL_TEST_ACTIONS "TTLSRule R\n{\nDirection Both\nLocalPortRangeRef X\nTTLSGroupActionRef G\n}\n",
           "13:1" NO_ENVIRONMENT "16:19: error: LocalPortRangeRef: no PortRange is named \"X\"\n");
    EXPECT(PEL_TEST_ACTIONS
           "TTLSRule R\n{\nDirection Both\nTTLSGroupActionRef G\nTTLSEnvironmentActionRef EE\n}\n",
           "13:1" NO_CONDITION
           "17:26: error: TTLSEnvironmentActionRef: no TTLSEnvironmentAction is named \"EE\"\n");
    EXPECT(PEL_TEST_ACTIONS "TTLSRule R\n{\nTTLSGroupActionRef G\n}\n",
           "13:1: error: TTLSRule \"R\": Direction is required\n"
           "13:1" NO_CONDITION "13:1" NO_ENVIRONMENT);
    EXPECT(PEL_TEST_ACTIONS "TTLSRule R\n{\nDirection Both\nLocalPortRange x\nTTLSGroupActionRef G\n}\n",
           "13:1" NO_ENVIRONMENT "16:16: error: LocalPortRange: \"x\" is not a port or a range of ports\n");
    EXPECT(PEL_TEST_ACTIONS "TTLSRule R\n{\nDirection Both\nBicycle x\nTTLSGroupActionRef G\n}\n",
           "16:1: error: unknown parameter \"Bicycle\" in TTLSRule\n");
    EXPECT("TTLSGroupAction G\n{\nTTLSEnabled On\n}\nTTLSRule R\n{\nJobname A\nTTLSGroupActionRef G\n"
           "TTLSEnvironmentAction\n{\nHandshakeRole Server\nSuiteBProfile 128\nTTLSKeyringParms\n{\nKeyring "
           "r\n}\n"
           "TTLSCipherParms\n{\nV3CipherSuites4Char 002F\n}\n}\n}\n",
           "5:1: error: TTLSRule \"R\": Direction is required\n"
           "5:1: error: TTLSRule \"R\": SuiteBProfile 128 leaves nothing of its suites\n");
    EXPECT("TTLSRule R\n", "1:1: error: \"{\" expected after TTLSRule \"R\"\n");
}

/* What stands a brace too deep is not missing above. */
PEL_TEST(errors, misplaced_is_not_missing)
{
    EXPECT("TTLSRule R\n{\nDirection Both\nTTLSGroupAction\n{\nTTLSEnabled On\nLocalPortRange 443\n"
           "TTLSEnvironmentAction\n{\nHandshakeRole Server\nTTLSKeyringParms\n{\nKeyring r\n}\n}\n}\n}\n",
           "7:1: error: LocalPortRange belongs in TTLSRule, not in TTLSGroupAction\n"
           "8:1: error: TTLSEnvironmentAction belongs in TTLSRule, not in TTLSGroupAction\n");
    EXPECT("TTLSRule R\n{\nTTLSGroupAction\n{\nTTLSEnabled Off\nDirection Both\nLocalPortRange 443\n}\n}\n",
           "6:1: error: Direction belongs in TTLSRule, not in TTLSGroupAction\n"
           "7:1: error: LocalPortRange belongs in TTLSRule, not in TTLSGroupAction\n");
    /* What is missing all the same is said, */
    EXPECT("TTLSRule R\n{\nTTLSGroupAction\n{\nTTLSEnabled On\nLocalPortRange 443\n}\n}\n",
           "1:1: error: TTLSRule \"R\": Direction is required\n"
           "1:1" NO_ENVIRONMENT "6:1: error: LocalPortRange belongs in TTLSRule, not in TTLSGroupAction\n");
    /* and what stands in its place as well is not given twice. */
    EXPECT("TTLSRule R\n{\nTTLSGroupAction\n{\nTTLSEnabled Off\nLocalPortRange 443\n}\nDirection Both\n"
           "LocalPortRange 443\n}\n",
           "6:1: error: LocalPortRange belongs in TTLSRule, not in TTLSGroupAction\n");
}

PEL_TEST(errors, rules_that_meet)
{
#define PLAIN(name, lines) "TTLSRule " name "\n{\n" lines "Direction Inbound\nTTLSGroupActionRef G\n}\n"
#define OFF                "TTLSGroupAction G\n{\nTTLSEnabled Off\n}\n"
    EXPECT(OFF PLAIN("B", "LocalPortRange 1-10\n") PLAIN("A", "LocalPortRange 10-20\n"),
           "5:1: warning: TTLSRule \"B\" overlaps TTLSRule \"A\" on line 11 at the same priority; \"A\" is "
           "tried first, "
           "for its name\n");
    EXPECT(OFF PLAIN("B", "LocalPortRange 1-10\n") PLAIN("A", "LocalPortRange 11-20\n"), "");
    EXPECT(OFF PLAIN("B", "LocalPortRange 1-10\n") PLAIN("A", "LocalPortRange 10-20\nPriority 2\n"), "");
    EXPECT(OFF PLAIN("B", "LocalPortRange 5\n") PLAIN("A", "LocalPortRange 1-20\nPriority 2\n"),
           "5:1: warning: TTLSRule \"B\" never matches: TTLSRule \"A\" on line 11 is tried first and takes "
           "all that it "
           "would\n");
    EXPECT(OFF PLAIN("B", "Jobname ab*\n") PLAIN("A", "Jobname ABC*\n"),
           "5:1: warning: TTLSRule \"B\" overlaps TTLSRule \"A\" on line 11 at the same priority; \"A\" is "
           "tried first, "
           "for its name\n");
    EXPECT(OFF PLAIN("B", "Jobname root*\n") PLAIN("A", "Jobname ROOT\n"),
           "5:1: warning: TTLSRule \"B\" overlaps TTLSRule \"A\" on line 11 at the same priority; \"A\" is "
           "tried first, for its name\n");
    EXPECT(OFF PLAIN("B", "Userid root\n") PLAIN("A", "Userid root*\n"),
           "5:1: warning: TTLSRule \"B\" never matches: TTLSRule \"A\" on line 11 is tried first and takes "
           "all that it would\n");
    EXPECT(OFF PLAIN("B", "Userid roo*\nJobname a\n") PLAIN("A", "Userid root\n"),
           "5:1: warning: TTLSRule \"B\" overlaps TTLSRule \"A\" on line 12 at the same priority; \"A\" is "
           "tried first, for its name\n");
    EXPECT(OFF PLAIN("B", "Userid root\n") PLAIN("A", "Userid roots*\n"), "");
    EXPECT(OFF PLAIN("B", "Userid roots\n") PLAIN("A", "Userid root\n"), "");
    EXPECT(OFF PLAIN("B", "Jobname ab\n") PLAIN("A", "Jobname abc\n") PLAIN("C", "Jobname b*\n"), "");
    EXPECT(OFF "TTLSRule R\n{\nJobname A\nDirection Outbound\nTTLSGroupActionRef G\n}\n",
           "5:1: warning: TTLSRule \"R\": outbound without a remote address or port: it takes every "
           "connection that its "
           "other conditions allow\n");
}

PEL_TEST(errors, at_most_a_hundred_are_shown)
{
    char *text = calloc(1, 200 * 4 + 1);
    PEL_REQUIRE(text != NULL);
    for (int i = 0; i < 100; i++)
        strcat(text, "x\n");
    pel_test_parse(&parsed, text);
    PEL_EXPECT_EQ(parsed.num_errors, 100);
    strcat(text, "x\nx\n");
    pel_test_parse(&parsed, text);
    free(text);
    PEL_EXPECT_EQ(parsed.num_errors, 101);
    PEL_EXPECT_HAS(parsed.said,
                   "100:1: error: unknown statement \"x\"\n101:1: error: further errors not shown\n");
}

PEL_TEST(errors, two_texts_name_the_other_file)
{
    static const char text[] = "TTLSGroupAction G\n{\nTTLSEnabled On\n}\n";
    struct pel_policy_source sources[] = {{"a.policy", text, sizeof text - 1},
                                          {"b.policy", text, sizeof text - 1}};
    memset(&parsed, 0, sizeof parsed);
    PEL_EXPECT_ERR(pel_policy_parse(sources, 2, NULL, pel_test_note, &parsed, &parsed.policy, NULL),
                   PEL_E_POLICY_SYNTAX);
    PEL_EXPECT_STR(parsed.said, "1:1: error: TTLSGroupAction \"G\" is defined already on a.policy:1\n");
}
