/* SPDX-License-Identifier: Apache-2.0 */
/* A policy as text: canonical, and the same policy again. */
#include <pellucid/policy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/view/out.h"
#include "policy/testing.h"
#include "tests/harness/harness.h"

static struct pel_parsed parsed;

static enum pel_err add_text(void *arg, const char *text, size_t text_len)
{
    pel_out_add(arg, text, text_len);
    return PEL_OK;
}

static enum pel_err refuse_text(void *arg, const char *text, size_t text_len)
{
    return PEL_E_IO;
}

PEL_TEST(write, canonical_text)
{
    static const char canonical[] =
        "TTLSRule R\n{\n  LocalPortRange 443-444\n  RemoteAddr 10.0.0.0/8\n  Jobname x\n  Direction Inbound\n"
        "  TTLSGroupActionRef G\n}\n\nTTLSGroupAction G\n{\n  TTLSEnabled Off\n}\n\n"
        "TTLSEnvironmentAction E\n{\n  HandshakeRole ServerWithClientAuth\n  TTLSKeyringParms\n  {\n"
        "    Keyring a/b\n  }\n  TTLSEnvironmentAdvancedParms X\n  {\n    CertificateLabel\n"
        "    ServerCertificateLabel a  label\n    ServerCertificateLabel b\n  }\n  TTLSCipherParms\n  {\n"
        "    V3CipherSuites 352F\n    V3CipherSuites4Char TLS_AES_128_GCM_SHA256\n"
        "    V3CipherSuites4Char C02FC030\n  }\n  TTLSSignatureParms\n  {\n    ClientECurves 0023 0024\n"
        "    ServerKexECurves Any\n  }\n}\n\nIpAddrSet S\n{\n  Range 10.0.0.0-10.0.0.255\n}\n";
    static const char odd[] =
        "ttlsrule R\n{\nLocalPortRange 443:444\nREMOTEADDR 10.0.0.0-10.255.255.255 # here\nJobname y\n"
        "Jobname x rest\nDirection INBOUND\nttlsgroupactionref G\n}\r\nTTLSGroupAction G\n{ \n\nTTLSEnabled "
        "OFF\n}\n"
        "TTLSEnvironmentAction E\n{\nHandshakeRole serverwithclientauth\nTTLSKeyringParms\n{\nKeyring "
        "a/b\n}\n"
        "TTLSEnvironmentAdvancedParms X\n{\nCertificateLabel  \t\nServerCertificateLabel a  label \n"
        "ServerCertificateLabel b\n}\nTTLSCipherParms\n{\nV3CipherSuites 352f\n"
        "V3CipherSuites4Char tls_aes_128_gcm_sha256\nV3CipherSuites4Char c02fC030\n}\nTTLSSignatureParms\n{\n"
        "ClientECurves 00230024\nServerKexECurves any\n}\n}\nIpAddrSet S\n{\nRange 10.0.0.0-10.0.0.255\n}\n";
    struct pel_out out = {0}, again = {0};
    pel_test_parse(&parsed, odd);
    PEL_EXPECT_STR(parsed.said, "6:1: warning: Jobname is given twice; the one on line 5 is ignored\n"
                                "6:11: warning: ignored after the value: \"rest\"\n");
    PEL_REQUIRE(parsed.policy != NULL);
    PEL_EXPECT_ERR(pel_policy_write(parsed.policy, add_text, &out), PEL_OK);
    PEL_EXPECT_STR(out.text, canonical);
    PEL_EXPECT_ERR(pel_policy_write(parsed.policy, refuse_text, NULL), PEL_E_IO);
    pel_test_drop(&parsed);
    pel_test_parse(&parsed, out.text);
    PEL_EXPECT_STR(parsed.said, "");
    PEL_REQUIRE(parsed.policy != NULL);
    PEL_EXPECT_ERR(pel_policy_write(parsed.policy, add_text, &again), PEL_OK);
    PEL_EXPECT_STR(again.text, canonical);
    pel_out_free(&out);
    pel_out_free(&again);
    pel_test_drop(&parsed);
}

PEL_TEST(write, a_replaced_statement_that_is_referred_to_stays)
{
    struct pel_out out = {0};
    pel_test_parse(&parsed, "TTLSRule R\n{\nJobname j\nDirection Both\nTTLSGroupActionRef G\n"
                            "TTLSEnvironmentAction\n{\nHandshakeRole Client\n"
                            "TTLSKeyringParms A\n{\nKeyring a\n}\nTTLSKeyringParms B\n{\nKeyring b\n}\n}\n}\n"
                            "TTLSEnvironmentAction X\n{\nHandshakeRole Client\nTTLSKeyringParmsRef A\n}\n"
                            "TTLSGroupAction G\n{\nTTLSEnabled On\n}\n");
    PEL_REQUIRE(parsed.policy != NULL);
    PEL_EXPECT_ERR(pel_policy_write(parsed.policy, add_text, &out), PEL_OK);
    PEL_EXPECT_HAS(out.text, "    TTLSKeyringParms B\n    {\n      Keyring b\n    }\n  }\n}\n\n"
                             "TTLSKeyringParms A\n{\n  Keyring a\n}\n\n");
    pel_test_drop(&parsed);
    pel_test_parse(&parsed, out.text);
    PEL_EXPECT_ERR(parsed.err, PEL_OK);
    pel_out_free(&out);
    pel_test_drop(&parsed);
}
