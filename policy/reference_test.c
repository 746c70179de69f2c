/* SPDX-License-Identifier: Apache-2.0 */
/* What operators of the original get wrong, and what its rules of text forbid: one case a mistake, with its
 * exact messages. errors_test.c has the rest. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/testing.h"
#include "tests/harness/harness.h"

static struct pel_parsed parsed;

struct mistake {
    int line; /* of this file */
    const char *what;
    const char *text;
    const char *said;
};

static void expect_all(const struct mistake *mistakes, size_t num)
{
    for (size_t i = 0; i < num; i++) {
        pel_test_parse(&parsed, mistakes[i].text);
        if (strcmp(parsed.said, mistakes[i].said) != 0)
            pel_test_fail(__FILE__, mistakes[i].line, "%s: got:\n%sexpected:\n%s", mistakes[i].what,
                          parsed.said, mistakes[i].said);
        PEL_EXPECT_ERR(parsed.err, parsed.num_errors > 0 ? PEL_E_POLICY_SYNTAX : PEL_OK);
        PEL_EXPECT((parsed.policy == NULL) == (parsed.num_errors > 0));
        pel_test_drop(&parsed);
    }
}

#define EXPECT_ALL(...)                                                                                      \
    expect_all((const struct mistake[]){__VA_ARGS__},                                                        \
               sizeof((const struct mistake[]){__VA_ARGS__}) / sizeof(struct mistake))

/* A good rule with `lines` in it, the first of them on line 15, behind the actions that it names. */
#define IN_RULE(lines)                                                                                       \
    PEL_TEST_ACTIONS "TTLSRule R\n{\n" lines "LocalPortRange 1\nDirection Inbound\nTTLSGroupActionRef G\n"   \
                     "TTLSEnvironmentActionRef E\n}\n"
/* `lines` in an environment's advanced parameters, from line 3. */
#define IN_ADV(lines) "TTLSEnvironmentAdvancedParms A\n{\n" lines "}\n"
#define IN_SIG(lines) "TTLSSignatureParms S\n{\n" lines "}\n"
#define OFF           "TTLSGroupAction G\n{\nTTLSEnabled Off\n}\n"

PEL_TEST(reference, ipv4_as_ipv6)
{
    EXPECT_ALL(
        {__LINE__, "IPv4 as mapped IPv6", IN_RULE("RemoteAddr ::ffff:10.0.0.1\n"),
         "15:12: error: RemoteAddr: \"::ffff:10.0.0.1\" is an IPv4-mapped IPv6 address; write it as IPv4\n"},
        {__LINE__, "IPv4 as mapped IPv6, a prefix", IN_RULE("RemoteAddr ::ffff:0:0/96\n"),
         "15:12: error: RemoteAddr: \"::ffff:0:0/96\" is an IPv4-mapped IPv6 address; write it as IPv4\n"},
        {__LINE__, "IPv4 as compatible IPv6", IN_RULE("RemoteAddr ::10.0.0.1\n"),
         "15:12: error: RemoteAddr: \"::10.0.0.1\" is an IPv4-compatible IPv6 address; write it as IPv4\n"},
        {__LINE__, "all of compatible IPv6", IN_RULE("RemoteAddr ::/96\n"),
         "15:12: error: RemoteAddr: \"::/96\" is IPv4-compatible IPv6 (::/96); write it as IPv4\n"},
        {__LINE__, "a part of it", IN_RULE("RemoteAddr ::/112\n"),
         "15:12: error: RemoteAddr: \"::/112\" is IPv4-compatible IPv6 (::/96); write it as IPv4\n"},
        {__LINE__, "a range in it", IN_RULE("RemoteAddr ::-::1\n"),
         "15:12: error: RemoteAddr: \"::-::1\" is IPv4-compatible IPv6 (::/96); write it as IPv4\n"},
        {__LINE__, "more than it", IN_RULE("RemoteAddr ::/64\n"), ""},
        {__LINE__, "all of IPv6", IN_RULE("RemoteAddr ::/0\n"), ""},
        {__LINE__, "the unspecified address", IN_RULE("RemoteAddr ::\n"), ""},
        {__LINE__, "the loopback is none of these", IN_RULE("RemoteAddr ::1\n"), ""}, );
}

PEL_TEST(reference, numbers_and_addresses)
{
    EXPECT_ALL(
        {__LINE__, "a port put into an address", IN_RULE("RemoteAddr 6793\n"),
         "15:12: error: RemoteAddr: \"6793\" is a number, not an IP address; a port goes into "
         "RemotePortRange\n"},
        {__LINE__, "a port put into the own address", IN_RULE("LocalAddr 443\n"),
         "15:11: error: LocalAddr: \"443\" is a number, not an IP address; a port goes into "
         "LocalPortRange\n"},
        {__LINE__, "three numbers of four", IN_RULE("RemoteAddr 10.1.2\n"),
         "15:12: error: RemoteAddr: \"10.1.2\" is not an IP address, ADDRESS/LENGTH, ADDRESS-ADDRESS or "
         "All\n"},
        {__LINE__, "a hexadecimal address", IN_RULE("RemoteAddr 0x0a000001\n"),
         "15:12: error: RemoteAddr: \"0x0a000001\" is not an IP address, ADDRESS/LENGTH, ADDRESS-ADDRESS or "
         "All\n"},
        {__LINE__, "leading zeros", IN_RULE("RemoteAddr 010.000.000.001\n"),
         "15:12: error: RemoteAddr: \"010.000.000.001\" is not an IP address, ADDRESS/LENGTH, "
         "ADDRESS-ADDRESS or All\n"},
        {__LINE__, "a host name", IN_RULE("RemoteAddr db.example.com\n"),
         "15:12: error: RemoteAddr: \"db.example.com\" is not an IP address, ADDRESS/LENGTH, ADDRESS-ADDRESS "
         "or All\n"},
        {__LINE__, "a range of addresses with a colon", IN_RULE("RemoteAddr 10.0.0.1:10.0.0.9\n"),
         "15:12: error: RemoteAddr: \"10.0.0.1:10.0.0.9\" is not an IP address, ADDRESS/LENGTH, "
         "ADDRESS-ADDRESS or All\n"},
        {__LINE__, "a range of addresses with blanks", IN_RULE("RemoteAddr 10.0.0.1 - 10.0.0.9\n"),
         "15:21: error: RemoteAddr: a range has no blanks in it: ADDRESS-ADDRESS\n"},
        {__LINE__, "a range of addresses as two words", IN_RULE("RemoteAddr 10.0.0.1 10.0.0.9\n"),
         "15:21: warning: ignored after the value: \"10.0.0.9\"\n"},
        {__LINE__, "a mask for a length", IN_RULE("RemoteAddr 10.0.0.0/255.0.0.0\n"),
         "15:12: error: RemoteAddr: \"10.0.0.0/255.0.0.0\" is not an IP address, ADDRESS/LENGTH, "
         "ADDRESS-ADDRESS or All\n"},
        {__LINE__, "a zone", IN_RULE("RemoteAddr fe80::1%eth0\n"),
         "15:12: error: RemoteAddr: \"fe80::1%eth0\" is not an IP address, ADDRESS/LENGTH, ADDRESS-ADDRESS "
         "or All\n"},
        {__LINE__, "several addresses", IN_RULE("RemoteAddr 10.0.0.1,10.0.0.2\n"),
         "15:12: error: RemoteAddr: \"10.0.0.1,10.0.0.2\" is not an IP address, ADDRESS/LENGTH, "
         "ADDRESS-ADDRESS or All\n"},
        {__LINE__, "a range of ports with blanks", IN_RULE("RemotePortRange 10 -20\n"),
         "15:20: error: RemotePortRange: a range has no blanks in it: n-m\n"},
        {__LINE__, "a range of ports with blanks all around", IN_RULE("RemotePortRange 10 - 20\n"),
         "15:20: error: RemotePortRange: a range has no blanks in it: n-m\n"},
        {__LINE__, "two kinds of range", IN_RULE("RemotePortRange 10-20:30\n"),
         "15:17: error: RemotePortRange: \"10-20:30\" is not a port or a range of ports\n"},
        {__LINE__, "two ranges", IN_RULE("RemotePortRange 10-20 30\n"),
         "15:23: warning: ignored after the value: \"30\"\n"},
        {__LINE__, "a third number", IN_RULE("RemotePortRange 10 20 30\n"),
         "15:23: warning: ignored after the value: \"30\"\n"},
        {__LINE__, "ports with a comma", IN_RULE("RemotePortRange 80,443\n"),
         "15:17: error: RemotePortRange: \"80,443\" is not a port or a range of ports\n"},
        {__LINE__, "a port over 65535", IN_RULE("RemotePortRange 70000\n"),
         "15:17: error: RemotePortRange: a port of \"70000\" is out of range (1 to 65535, or 0 alone for "
         "any)\n"},
        {__LINE__, "a number over 32 bits", IN_RULE("Priority 4294967297\n"),
         "15:10: error: Priority: 4294967297 is out of range (1 to 2000000000)\n"},
        {__LINE__, "a number with a fraction", IN_RULE("Priority 1.5\n"),
         "15:10: error: Priority: \"1.5\" is not a number\n"},
        {__LINE__, "a port range in place of its name", IN_RULE("RemotePortRangeRef 80-90\n"),
         "15:20: error: RemotePortRangeRef: no PortRange is named \"80-90\"\n"}, );
}

PEL_TEST(reference, words)
{
    EXPECT_ALL(
        {__LINE__, "a statement misspelt", "TTLSRlue R\n{\nDirection Both\n}\n",
         "1:1: error: unknown statement \"TTLSRlue\"; did you mean TTLSRule?\n"},
        {__LINE__, "a parameter misspelt", IN_RULE("Jobnam A\n"),
         "15:1: error: unknown parameter \"Jobnam\" in TTLSRule; did you mean Jobname?\n"},
        {__LINE__, "a required parameter misspelt", "TTLSGroupAction G\n{\nTTLSEnabeld On\n}\n",
         "3:1: error: unknown parameter \"TTLSEnabeld\" in TTLSGroupAction; did you mean TTLSEnabled?\n"},
        {__LINE__, "a value misspelt", IN_ADV("TLSv1.2 Yes\n"),
         "3:9: error: TLSv1.2: \"Yes\" is not Off or On\n"},
        {__LINE__, "a version that is not there", IN_ADV("TLSv1.4 On\n"),
         "3:1: error: unknown parameter \"TLSv1.4\" in TTLSEnvironmentAdvancedParms; did you mean "
         "TLSv1.1?\n"},
        {__LINE__, "a dot forgotten", IN_ADV("TLSv12 On\n"),
         "3:1: error: unknown parameter \"TLSv12\" in TTLSEnvironmentAdvancedParms; did you mean TLSv1.2?\n"},
        {__LINE__, "a direction misspelt",
         "TTLSRule R\n{\nDirection In\nJobname A\nTTLSGroupAction\n{\nTTLSEnabled "
         "Off\n}\n}\n",
         "3:11: error: Direction: \"In\" is not Inbound, Outbound or Both\n"},
        {__LINE__, "a suite misspelt",
         "TTLSCipherParms C\n{\nV3CipherSuites TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA265\n}\n",
         "3:16: error: V3CipherSuites: unknown cipher suite \"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA265\"; did "
         "you mean TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256?\n"},
        {__LINE__, "a value forgotten", IN_ADV("HandshakeTimeout\n"),
         "3:1: error: HandshakeTimeout needs a value\n"},
        {__LINE__, "an equals sign", IN_ADV("HandshakeTimeout = 5\n"),
         "3:18: error: HandshakeTimeout: \"=\" is not a number\n"},
        {__LINE__, "quotes", IN_RULE("Jobname \"nginx\"\n"), ""},
        {__LINE__, "any letters will do in keywords and values",
         "ttlsgroupACTION G\n{\nTtlsENABLED oFf\n}\nTTLSRULE r\n{\nJOBNAME a\ndirection INBOUND\n"
         "ttlsgroupactionREF G\n}\n",
         ""},
        {__LINE__, "but not in names",
         IN_RULE("TTLSConnectionActionRef c\n") "TTLSConnectionAction C\n{\n}\n",
         "15:25: error: TTLSConnectionActionRef: no TTLSConnectionAction is named \"c\"; did you mean "
         "\"C\"?\n"},
        {__LINE__, "a name over 32 characters",
         "TTLSConnectionAction A123456789B123456789C123456789D12\n{\n}\n",
         "1:22: error: the name \"A123456789B123456789C123456789D12\" is longer than 32 bytes\n"},
        {__LINE__, "a label with blanks is whole", IN_ADV("CertificateLabel My server key # it\n"), ""}, );
}

PEL_TEST(reference, contexts)
{
    EXPECT_ALL(
        {__LINE__, "a label in a connection action", "TTLSConnectionAction C\n{\nCertificateLabel x\n}\n",
         "3:1: error: CertificateLabel belongs in TTLSEnvironmentAdvancedParms or "
         "TTLSConnectionAdvancedParms, not in TTLSConnectionAction\n"},
        {__LINE__, "a version in an environment action",
         "TTLSEnvironmentAdvancedParms A\n{\nHandshakeRole Client\n}\n",
         "3:1: error: HandshakeRole belongs in TTLSEnvironmentAction or TTLSConnectionAction, not in "
         "TTLSEnvironmentAdvancedParms\n"},
        {__LINE__, "an environment's parameter in a connection's",
         "TTLSConnectionAdvancedParms A\n{\nClientAuthType Full\n}\n",
         "3:1: error: ClientAuthType belongs in TTLSEnvironmentAdvancedParms, not in "
         "TTLSConnectionAdvancedParms\n"},
        {__LINE__, "a keyring in a connection action",
         "TTLSConnectionAction C\n{\nTTLSKeyringParmsRef k\n}\n",
         "3:1: error: TTLSKeyringParmsRef belongs in TTLSEnvironmentAction, not in TTLSConnectionAction\n"},
        {__LINE__, "a keyring without its statement",
         "TTLSEnvironmentAction E\n{\nHandshakeRole Client\nKeyring a\n"
         "TTLSKeyringParms\n{\nKeyring b\n}\n}\n",
         "4:1: error: Keyring belongs in TTLSKeyringParms, not in TTLSEnvironmentAction\n"},
        {__LINE__, "a condition in an action", "TTLSGroupAction G\n{\nTTLSEnabled On\nDirection Both\n}\n",
         "4:1: error: Direction belongs in TTLSRule, not in TTLSGroupAction\n"},
        {__LINE__, "a parameter outside all statements", "TTLSEnabled On\n",
         "1:1: error: TTLSEnabled belongs in TTLSGroupAction\n"},
        {__LINE__, "a rule in a rule", IN_RULE("TTLSRule S\n{\nJobname A\n}\n"),
         "13:1: error: the \"}\" of this TTLSRule \"R\" is missing\n"
         "15:1: error: TTLSRule \"S\": Direction is required\n"
         "15:1: error: TTLSRule \"S\": TTLSGroupAction or TTLSGroupActionRef is required\n"
         "19:1: error: LocalPortRange belongs in TTLSRule\n"
         "20:1: error: Direction belongs in TTLSRule\n"
         "21:1: error: TTLSGroupActionRef belongs in TTLSRule\n"
         "22:1: error: TTLSEnvironmentActionRef belongs in TTLSRule\n"
         "23:1: error: \"}\" without an open statement\n"},
        {__LINE__, "an agent's statement", "TTLSConfig /etc/policy\nTTLSRule R\n{\n",
         "1:1: error: TTLSConfig belongs in an agent file, not among the policy\n"
         "2:1: error: the \"}\" of this TTLSRule \"R\" is missing\n"}, );
}

PEL_TEST(reference, names)
{
    EXPECT_ALL(
        {__LINE__, "a dangling reference", IN_RULE("TTLSConnectionActionRef none\n"),
         "15:25: error: TTLSConnectionActionRef: no TTLSConnectionAction is named \"none\"\n"},
        {__LINE__, "a dangling reference, nearly right",
         IN_RULE("TTLSConnectionActionRef ConAct1\n") "TTLSConnectionAction ConnAct1\n{\n}\n",
         "15:25: error: TTLSConnectionActionRef: no TTLSConnectionAction is named \"ConAct1\"; did you mean "
         "\"ConnAct1\"?\n"},
        {__LINE__, "a reference to another kind", IN_RULE("TTLSConnectionActionRef E\n"),
         "15:25: error: TTLSConnectionActionRef: no TTLSConnectionAction is named \"E\"\n"},
        {__LINE__, "a reference within what is referred to",
         "TTLSConnectionAction C\n{\nTTLSCipherParmsRef none\n}\n",
         "3:20: error: TTLSCipherParmsRef: no TTLSCipherParms is named \"none\"\n"},
        {__LINE__, "a name twice", OFF OFF,
         "5:1: error: TTLSGroupAction \"G\" is defined already on line 1\n"},
        {__LINE__, "a name twice, inline",
         "TTLSConnectionAction A\n{\nTTLSCipherParms C\n{\nV3CipherSuites4Char C02F\n}\n}\n"
         "TTLSConnectionAction B\n{\nTTLSCipherParms C\n{\nV3CipherSuites4Char C030\n}\n}\n",
         "10:1: warning: TTLSCipherParms \"C\" is defined already on line 3; references mean that one\n"},
        {__LINE__, "a statement without a name", "TTLSGroupAction\n{\nTTLSEnabled Off\n}\n",
         "1:1: error: TTLSGroupAction needs a name\n"},
        {__LINE__, "a reference without a name", IN_RULE("TTLSConnectionActionRef\n"),
         "15:1: error: TTLSConnectionActionRef needs a value\n"}, );
}

PEL_TEST(reference, twice)
{
    EXPECT_ALL(
        {__LINE__, "a parameter", IN_ADV("TLSv1.2 On\nTLSv1.2 Off\n"),
         "4:1: warning: TLSv1.2 is given twice; the one on line 3 is ignored\n"},
        {__LINE__, "a reference, then a block",
         "TTLSConnectionAction A\n{\nTTLSCipherParmsRef C\nTTLSCipherParms\n{\nV3CipherSuites4Char "
         "C030\n}\n}\n"
         "TTLSCipherParms C\n{\nV3CipherSuites4Char C02F\n}\n",
         "4:1: warning: TTLSCipherParms replaces the whole TTLSCipherParmsRef on line 3\n"},
        {__LINE__, "a block, then a reference",
         "TTLSConnectionAction A\n{\nTTLSCipherParms\n{\nV3CipherSuites4Char C030\n}\nTTLSCipherParmsRef "
         "C\n}\n"
         "TTLSCipherParms C\n{\nV3CipherSuites4Char C02F\n}\n",
         "7:1: warning: TTLSCipherParmsRef replaces the whole TTLSCipherParms on line 3\n"},
        {__LINE__, "an address and a group of them",
         IN_RULE("RemoteAddr 10.0.0.1\nRemoteAddrGroupRef A\n") "IpAddrGroup A\n{\nIpAddr\n{\nAddr "
                                                                "10.0.0.2\n}\n}\n",
         "16:1: warning: RemoteAddrGroupRef replaces the whole RemoteAddr on line 15\n"},
        {__LINE__, "a prefix and a range", "IpAddrSet S\n{\nPrefix 10.0.0.0/8\nRange 10.0.0.1-10.0.0.2\n}\n",
         "4:1: warning: Range replaces the whole Prefix on line 3\n"},
        {__LINE__, "a suite is no mistake", "TTLSCipherParms C\n{\nV3CipherSuites4Char C02FC02F\n}\n", ""},
        {__LINE__, "a password and its file",
         "TTLSKeyringParms K\n{\nKeyring /k\nKeyringPw x\nKeyringStashFile /s\n}\n",
         "5:1: error: KeyringPw and KeyringStashFile exclude each other\n"}, );
}

PEL_TEST(reference, missing)
{
    EXPECT_ALL(
        {__LINE__, "the last brace", "TTLSGroupAction G\n{\nTTLSEnabled Off\n",
         "1:1: error: the \"}\" of this TTLSGroupAction \"G\" is missing\n"},
        {__LINE__, "a brace, found at the next statement",
         "TTLSGroupAction G\n{\nTTLSEnabled Off\nTTLSGroupAction H\n{\nTTLSEnabled Off\n}\n",
         "1:1: error: the \"}\" of this TTLSGroupAction \"G\" is missing\n"},
        {__LINE__, "an inner brace",
         "TTLSEnvironmentAction E\n{\nHandshakeRole Client\nTTLSKeyringParms\n{\nKeyring b\n}\n",
         "1:1: error: the \"}\" of this TTLSEnvironmentAction \"E\" is missing\n"},
        {__LINE__, "an opening brace", "TTLSGroupAction G\nTTLSEnabled Off\n}\n",
         "2:1: error: \"{\" expected after TTLSGroupAction \"G\"\n"},
        {__LINE__, "a brace too many", OFF "}\n", "5:1: error: \"}\" without an open statement\n"},
        {__LINE__, "a line for the brace", "TTLSGroupAction G {\nTTLSEnabled Off\n}\n",
         "1:19: error: \"{\" must stand on a line of its own\n"},
        {__LINE__, "the direction", "TTLSRule R\n{\nJobname A\nTTLSGroupActionRef G\n}\n" OFF,
         "1:1: error: TTLSRule \"R\": Direction is required\n"},
        {__LINE__, "a condition", "TTLSRule R\n{\nDirection Both\nTTLSGroupActionRef G\n}\n" OFF,
         "1:1: error: TTLSRule \"R\": a condition besides Direction is required\n"},
        {__LINE__, "a group", "TTLSRule R\n{\nJobname A\nDirection Both\n}\n",
         "1:1: error: TTLSRule \"R\": TTLSGroupAction or TTLSGroupActionRef is required\n"},
        {__LINE__, "an environment, with TTLSEnabled On",
         "TTLSRule R\n{\nJobname A\nDirection Both\nTTLSGroupActionRef G\n}\nTTLSGroupAction "
         "G\n{\nTTLSEnabled On\n}\n",
         "1:1: error: TTLSRule \"R\": TTLSEnvironmentAction or TTLSEnvironmentActionRef is required, since "
         "its TTLSGroupAction has TTLSEnabled On\n"},
        {__LINE__, "a role and a keyring", "TTLSEnvironmentAction E\n{\n}\n",
         "1:1: error: TTLSEnvironmentAction \"E\": HandshakeRole is required\n"
         "1:1: error: TTLSEnvironmentAction \"E\": TTLSKeyringParms or TTLSKeyringParmsRef is required\n"},
        {__LINE__, "the ring of a keyring", "TTLSKeyringParms K\n{\n}\n",
         "1:1: error: TTLSKeyringParms \"K\": Keyring is required\n"}, );
}

PEL_TEST(reference, suites_and_groups)
{
    EXPECT_ALL({__LINE__, "Any, then a list", IN_SIG("ClientECurves Any 0023\n"),
                "3:15: error: ClientECurves: Any cannot be combined with a list\n"},
               {__LINE__, "a list, then Any", IN_SIG("ClientECurves 0023 any\n"),
                "3:20: error: ClientECurves: Any cannot be combined with a list\n"},
               {__LINE__, "a group in hexadecimal", IN_SIG("ServerKexECurves 001D\n"),
                "3:18: error: ServerKexECurves: \"001D\" is not a named group; write its number in 4 decimal "
                "digits, as 0023\n"},
               {__LINE__, "a group by its name", IN_SIG("ServerKexECurves secp256r1\n"),
                "3:18: error: ServerKexECurves: \"secp256r1\" is not a named group; write its number in 4 "
                "decimal digits, as 0023\n"},
               {__LINE__, "a code of TLS 1.3 among codes of two digits",
                "TTLSCipherParms C\n{\nV3CipherSuites 1301\n}\n",
                "1:1: error: TTLSCipherParms \"C\": no cipher suite is left\n"
                "3:16: warning: V3CipherSuites: TLS_DHE_DSS_WITH_3DES_EDE_CBC_SHA (0013) is not available "
                "here and is left out\n"
                "3:18: warning: V3CipherSuites: TLS_RSA_WITH_NULL_MD5 (0001) is not available here and is "
                "left out\n"},
               {__LINE__, "codes of two digits among those of four",
                "TTLSCipherParms C\n{\nV3CipherSuites4Char 2F3\n}\n",
                "3:21: error: V3CipherSuites4Char: \"2F3\" is not made of codes of 4 digits\n"},
               {__LINE__, "none left", "TTLSCipherParms C\n{\nV3CipherSuites4Char 00050033\n}\n",
                "1:1: error: TTLSCipherParms \"C\": no cipher suite is left\n"
                "3:21: warning: V3CipherSuites4Char: TLS_RSA_WITH_RC4_128_SHA (0005) is not available here "
                "and is left out\n"
                "3:25: warning: V3CipherSuites4Char: TLS_DHE_RSA_WITH_AES_128_CBC_SHA (0033) is not "
                "available here and is left out\n"}, );
}

PEL_TEST(reference, unsafe)
{
    EXPECT_ALL(
        {__LINE__, "old versions", IN_ADV("SSLv2 On\nSSLv3 On\nTLSv1 On\nTLSv1.1 On\n"),
         "3:1: warning: SSLv2 On: no effect, SSL 2.0 is never spoken\n"
         "4:1: warning: SSLv3 On: no effect, SSL 3.0 is never spoken\n"
         "5:1: warning: TLSv1 On: TLS 1.0 is weak\n"
         "6:1: warning: TLSv1.1 On: TLS 1.1 is weak\n"},
        {__LINE__, "old versions that are off", IN_ADV("SSLv2 Off\nSSLv3 Off\nTLSv1 Off\nTLSv1.1 Off\n"), ""},
        {__LINE__, "an outbound rule for everything",
         OFF "TTLSRule R\n{\nUserid *\nDirection Outbound\nTTLSGroupActionRef G\n}\n",
         "5:1: warning: TTLSRule \"R\": outbound without a remote address or port: it takes every connection "
         "that its other conditions allow\n"},
        {__LINE__, "order by name",
         OFF "TTLSRule Web\n{\nLocalPortRange 443\nDirection Inbound\nTTLSGroupActionRef G\n}\n"
             "TTLSRule All\n{\nJobname *\nDirection Inbound\nTTLSGroupActionRef G\n}\n",
         "5:1: warning: TTLSRule \"Web\" overlaps TTLSRule \"All\" on line 11 at the same priority; \"All\" "
         "is tried first, for its name\n"},
        {__LINE__, "what has no effect", "TTLSGroupAdvancedParms A\n{\nEnvfile /etc/env\n}\n",
         "3:1: note: Envfile: accepted, no effect: one process serves all groups; none has an environment of "
         "its own\n"}, );
}

PEL_TEST(reference, marks_and_bytes)
{
    EXPECT_ALL(
        {__LINE__, "a mark at the start", "\xef\xbb\xbf" OFF, ""},
        {__LINE__, "a mark further on", OFF "\xef\xbb\xbf" OFF,
         "5:1: error: a byte-order mark inside the file\n"},
        {__LINE__, "two marks", "\xef\xbb\xbf\xef\xbb\xbf" OFF,
         "1:1: error: a byte-order mark inside the file\n"},
        {__LINE__, "lines that end as on other systems", "TTLSGroupAction G\r\n{\r\nTTLSEnabled Off\r\n}\r\n",
         ""},
        {__LINE__, "a hard blank", "TTLSGroupAction G\n{\nTTLSEnabled\xc2\xa0Off\n}\n",
         "3:1: error: unknown parameter \"TTLSEnabled Off\" in TTLSGroupAction; did you mean TTLSEnabled?\n"},
        {__LINE__, "a text in Latin-1", "TTLSGroupAction G\xe9\n{\nTTLSEnabled Off\n}\n",
         "1:18: error: not valid UTF-8\n"},
        {__LINE__, "a text in EBCDIC", "\xe3\xe3\xd3\xe2\xd9\xa4\x93\x85\x40\xd9\x15\xc0\x15",
         "1:1: error: not valid UTF-8; it looks like EBCDIC: convert it, as with iconv -f IBM-1047 -t "
         "UTF-8\n"}, );
}
