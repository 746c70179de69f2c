/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Read off a report of z/OS 3.1. Names that the original spells otherwise than its manual are kept so; what
 * it was not seen to print is printed when it is coded, behind the others of its block.
 */
#include "policy/view/pasearch.h"

/* The kinds of value that the original pads, each to its own width. */
#define WORD(text)                                                                                           \
    {                                                                                                        \
        text, NULL, PEL_PA_VALUE, PEL_PA_ALWAYS, 32, 15                                                      \
    }
#define NUMBER(text)                                                                                         \
    {                                                                                                        \
        text, NULL, PEL_PA_VALUE, PEL_PA_ALWAYS, 32, 16                                                      \
    }
#define TEXT(text)                                                                                           \
    {                                                                                                        \
        text, NULL, PEL_PA_VALUE, PEL_PA_ALWAYS, 32, 0                                                       \
    }
#define GSK(text, w)                                                                                         \
    {                                                                                                        \
        text, NULL, PEL_PA_VALUE, PEL_PA_ALWAYS, 48, w                                                       \
    }

#define BLOCK(kind, text, cond, blanks, col, list)                                                           \
    {                                                                                                        \
        .home = PEL_S_##kind, .title = text, .when = PEL_PA_##cond, .indent = blanks, .column = col,         \
        .rows = list, .num_rows = sizeof list / sizeof *list                                                 \
    }

static const struct pel_pasearch_row group[] = {WORD("TTLSEnabled"), WORD("CtraceClearText"), TEXT("Trace"),
                                                WORD("FIPS140")};
static const struct pel_pasearch_row group_adv[] = {WORD("SecondaryMap"), WORD("SyslogFacility")};

static const struct pel_pasearch_row env[] = {
    WORD("HandshakeRole"), {"Trace", NULL, PEL_PA_VALUE, PEL_PA_CODED, 32, 16}, WORD("SuiteBProfile")};
static const struct pel_pasearch_row keyring[] = {TEXT("Keyring")};
static const struct pel_pasearch_row env_adv[] = {WORD("SSLv2"),
                                                  WORD("SSLv3"),
                                                  WORD("TLSv1"),
                                                  WORD("TLSv1.1"),
                                                  WORD("TLSv1.2"),
                                                  WORD("TLSv1.3"),
                                                  WORD("MiddleBoxCompatMode"),
                                                  WORD("ApplicationControlled"),
                                                  NUMBER("HandshakeTimeout"),
                                                  WORD("ClientAuthType"),
                                                  NUMBER("ResetCipherTimer"),
                                                  WORD("TruncatedHMAC"),
                                                  WORD("CertValidationMode"),
                                                  WORD("ServerMaxSSLFragment"),
                                                  WORD("ClientMaxSSLFragment"),
                                                  WORD("ServerHandshakeSNI"),
                                                  WORD("ClientHandshakeSNI"),
                                                  WORD("ClientExtendedMasterSecret"),
                                                  WORD("ServerExtendedMasterSecret"),
                                                  NUMBER("Renegotiation"),
                                                  NUMBER("RenegotiationIndicator"),
                                                  WORD("RenegotiationCertCheck"),
                                                  WORD("3DesKeyCheck"),
                                                  WORD("ClientEDHGroupSize"),
                                                  WORD("ServerEDHGroupSize"),
                                                  WORD("PeerMinCertVersion"),
                                                  NUMBER("PeerMinDHKeySize"),
                                                  NUMBER("PeerMinDsaKeySize"),
                                                  NUMBER("PeerMinECCKeySize"),
                                                  NUMBER("PeerMinRsaKeySize"),
                                                  WORD("ServerScsv")};
static const struct pel_pasearch_row signature[] = {
    {"ClientECurves", NULL, PEL_PA_GROUPS, PEL_PA_ALWAYS, 33, 15},
    {"ClientKeyShareGroups", NULL, PEL_PA_GROUPS, PEL_PA_ALWAYS, 33, 15},
    {"ServerKeyShareGroups", NULL, PEL_PA_GROUPS, PEL_PA_ALWAYS, 33, 15},
    {"ServerKexECurves", NULL, PEL_PA_GROUPS, PEL_PA_ALWAYS, 33, 15},
    {"SignaturePairs", NULL, PEL_PA_PAIRS, PEL_PA_ALWAYS, 33, 15},
    {"SignaturePairsCert", NULL, PEL_PA_PAIRS, PEL_PA_CODED, 33, 15}};
static const struct pel_pasearch_row suites[] = {
    {"V3CipherSuites4Char", "v3CipherSuites", PEL_PA_SUITES, PEL_PA_ALWAYS, 32, 0}};
static const struct pel_pasearch_row gsk[] = {GSK("GSK_V3_SESSION_TIMEOUT", 0),
                                              GSK("GSK_V3_SIDCACHE_SIZE", 0),
                                              GSK("GSK_SESSION_TICKET_CLIENT_ENABLE", 15),
                                              GSK("GSK_SESSION_TICKET_CLIENT_MAXSIZE", 0),
                                              GSK("GSK_SESSION_TICKET_SERVER_ENABLE", 15),
                                              GSK("GSK_SESSION_TICKET_SERVER_ALGORITHM", 0),
                                              GSK("GSK_SESSION_TICKET_SERVER_COUNT", 0),
                                              GSK("GSK_SESSION_TICKET_SERVER_KEY_REFRESH", 0),
                                              GSK("GSK_SESSION_TICKET_SERVER_TIMEOUT", 0)};
static const struct pel_pasearch_row cdp[] = {WORD("HttpCdpEnable"),
                                              NUMBER("HttpCdpProxyServerPort"),
                                              NUMBER("HttpCdpResponseTimeout"),
                                              NUMBER("HttpCdpMaxResponseSize"),
                                              NUMBER("HttpCdpCacheSize"),
                                              NUMBER("HttpCdpCacheEntryMaxsize")};
static const struct pel_pasearch_row ocsp[] = {
    WORD("OcspAiaEnable"),
    NUMBER("OcspProxyServerPort"),
    WORD("OcspRetrieveViaGet"),
    WORD("OcspUrlPriority"),
    {"OcspRequestSigAlg", "OcspRequestSigalg", PEL_PA_PAIRS, PEL_PA_ALWAYS, 33, 15},
    NUMBER("OcspClientCacheSize"),
    NUMBER("OcspCliCacheEntryMaxsize"),
    WORD("OcspNonceGenEnable"),
    WORD("OcspNonceCheckEnable"),
    NUMBER("OcspNonceSize"),
    NUMBER("OcspResponseTimeout"),
    NUMBER("OcspMaxResponseSize"),
    WORD("OcspServerStapling")};
static const struct pel_pasearch_row ldap[] = {{"GSK_LDAP_SERVER", NULL, PEL_PA_VALUE, PEL_PA_CODED, 32, 0}};
static const struct pel_pasearch_row env_instance[] = {
    {"EnvironmentUserInstance", NULL, PEL_PA_VALUE, PEL_PA_CODED, 32, 16}};

/* A connection has what it codes, but of a signature block all that a client uses. */
#define CODED(text, w)                                                                                       \
    {                                                                                                        \
        text, NULL, PEL_PA_VALUE, PEL_PA_CODED, 32, w                                                        \
    }
static const struct pel_pasearch_row conn[] = {CODED("HandshakeRole", 15), CODED("CtraceClearText", 15),
                                               CODED("Trace", 16)};
static const struct pel_pasearch_row conn_adv[] = {CODED("SecondaryMap", 15),
                                                   CODED("SSLv2", 15),
                                                   CODED("SSLv3", 15),
                                                   CODED("TLSv1", 15),
                                                   CODED("TLSv1.1", 15),
                                                   CODED("TLSv1.2", 15),
                                                   CODED("TLSv1.3", 15),
                                                   CODED("MiddleBoxCompatMode", 15),
                                                   CODED("ApplicationControlled", 15),
                                                   CODED("HandshakeTimeout", 16),
                                                   CODED("ResetCipherTimer", 16),
                                                   CODED("CertificateLabel", 0),
                                                   CODED("ServerCertificateLabel", 0)};
static const struct pel_pasearch_row conn_signature[] = {
    {"ClientECurves", NULL, PEL_PA_GROUPS, PEL_PA_ALWAYS, 33, 15},
    {"ClientKeyShareGroups", NULL, PEL_PA_GROUPS, PEL_PA_ALWAYS, 33, 15},
    {"ServerKeyShareGroups", NULL, PEL_PA_GROUPS, PEL_PA_CODED, 33, 15},
    {"ServerKexECurves", NULL, PEL_PA_GROUPS, PEL_PA_CODED, 33, 15},
    {"SignaturePairs", NULL, PEL_PA_PAIRS, PEL_PA_ALWAYS, 33, 15},
    {"SignaturePairsCert", NULL, PEL_PA_PAIRS, PEL_PA_CODED, 33, 15}};
static const struct pel_pasearch_row conn_instance[] = {CODED("ConnectionUserInstance", 16)};
static const struct pel_pasearch_row group_instance[] = {CODED("GroupUserInstance", 16)};

static const struct pel_pasearch_block group_blocks[] = {
    BLOCK(GROUP_ACTION, NULL, ALWAYS, 4, 32, group),
    BLOCK(GROUP_ADV, "    TTLSGroupAdvancedParms:      ", ALWAYS, 5, 32, group_adv),
    BLOCK(GROUP_ACTION, NULL, ALWAYS, 4, 32, group_instance)};
static const struct pel_pasearch_block env_blocks[] = {
    BLOCK(ENV_ACTION, NULL, ALWAYS, 4, 32, env),
    BLOCK(KEYRING, "    TTLSKeyringParms:", ALWAYS, 5, 32, keyring),
    BLOCK(ENV_ADV, "    TTLSEnvironmentAdvancedParms:", ALWAYS, 5, 32, env_adv),
    BLOCK(SIGNATURE, "    TTLSSignatureParms:", ALWAYS, 5, 32, signature),
    BLOCK(CIPHERS, "    TTLSCipherParms:", CODED, 5, 32, suites),
    BLOCK(GSK_ADV, "    TTLSGskAdvancedParms:", ALWAYS, 5, 48, gsk),
    BLOCK(GSK_LDAP, "     TTLSGskLdapParms:", CODED, 6, 32, ldap),
    BLOCK(GSK_CDP, "     TTLSGskHttpCdpParms:", ALWAYS, 6, 32, cdp),
    BLOCK(GSK_OCSP, "     TTLSGskOcspParms:", ALWAYS, 6, 32, ocsp),
    BLOCK(ENV_ACTION, NULL, ALWAYS, 4, 32, env_instance)};
static const struct pel_pasearch_block conn_blocks[] = {
    BLOCK(CONN_ACTION, NULL, ALWAYS, 4, 32, conn),
    BLOCK(CONN_ADV, "    TTLSConnectionAdvancedParms:", CODED, 5, 32, conn_adv),
    BLOCK(SIGNATURE, "    TTLSSignatureParms:", CODED, 5, 32, conn_signature),
    BLOCK(CIPHERS, "    TTLSCipherParms:", CODED, 5, 32, suites),
    BLOCK(CONN_ACTION, NULL, ALWAYS, 4, 32, conn_instance)};

#define ACTION(kind, list)                                                                                   \
    {                                                                                                        \
        kind, list, sizeof list / sizeof *list                                                               \
    }

const struct pel_pasearch_action pel_pasearch_actions[PEL_NUM_LEVELS] = {
    [PEL_LEVEL_GROUP] = ACTION("Group", group_blocks),
    [PEL_LEVEL_ENVIRONMENT] = ACTION("Environment", env_blocks),
    [PEL_LEVEL_CONNECTION] = ACTION("Connection", conn_blocks),
};
