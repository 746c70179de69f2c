/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/schema_rows.h"

static const char *const ticket_algorithms[] = {"AESCBC128", "AESCBC256", NULL};
static const char *const levels[] = {"Low", "Medium", "High", NULL};
static const char *const stapling[] = {"Off", "Any", "EndEntity", NULL};

#define MAX32 UINT32_MAX

static const struct pel_row gsk_adv_rows[] = {
    BLOCK_OR_REF("TTLSGskLdapParms", GSK_LDAP, LDAP, PEL_ROW_NOT_YET),
    BLOCK_OR_REF("TTLSGskOcspParms", GSK_OCSP, OCSP, PEL_ROW_NOT_YET),
    BLOCK_OR_REF("TTLSGskHttpCdpParms", GSK_CDP, CDP, PEL_ROW_NOT_YET),
    UINT("GSK_V2_SESSION_TIMEOUT", 0, 100, "100", NOT_YET, .help = "seconds"),
    UINT("GSK_V2_SIDCACHE_SIZE", 0, 32000, "256", NOT_YET),
    UINT("GSK_V3_SESSION_TIMEOUT", 0, 86400, "86400", NOT_YET,
         .help = "seconds a session may be resumed; 0: never"),
    UINT("GSK_V3_SIDCACHE_SIZE", 0, 64000, "512", NOT_YET, .help = "sessions kept"),
    ONOFF("GSK_SYSPLEX_SIDCACHE", "Off", NOT_YET),
    ONOFF("GSK_SYSPLEX_SESSION_TICKET_CACHE", "Off", NOT_YET),
    ONOFF("GSK_SESSION_TICKET_CLIENT_ENABLE", "On", SLOT(CLIENT_TICKETS),
          .help = "a client resumes TLS 1.3 sessions"),
    UINT("GSK_SESSION_TICKET_CLIENT_MAXSIZE", 0, MAX32, "8192", NOT_YET, .help = "bytes"),
    UINT("GSK_SESSION_TICKET_CLIENT_MAXCACHED", 0, MAX32, NULL, NOT_YET),
    ONOFF("GSK_SESSION_TICKET_SERVER_ENABLE", "On", NOT_YET),
    ENUM("GSK_SESSION_TICKET_SERVER_ALGORITHM", ticket_algorithms, "AESCBC128", NOT_YET),
    UINT("GSK_SESSION_TICKET_SERVER_COUNT", 0, MAX32, "2", NOT_YET, .help = "tickets after a full handshake"),
    UINT("GSK_SESSION_TICKET_SERVER_KEY_REFRESH", 0, MAX32, "300", NOT_YET, .help = "seconds"),
    UINT("GSK_SESSION_TICKET_SERVER_TIMEOUT", 0, MAX32, "300", NOT_YET, .help = "seconds"),
    ONOFF("AIACDPPriority", "On", NOT_YET),
    ENUM("RevocationSecurityLevel", levels, "Medium", NOT_YET),
    UINT("MaxSrcRevExtLocValues", 0, MAX32, "10", NOT_YET),
    UINT("MaxValidRevExtLocValues", 0, MAX32, "100", NOT_YET),
    ROW("CrlSigAlgPairs", TEXT, .max = 4096, NOT_YET),
};
const struct pel_statement_schema pel_statement_gsk_adv = STATEMENT("TTLSGskAdvancedParms", gsk_adv_rows);

static const struct pel_row gsk_ldap_rows[] = {
    ROW("GSK_LDAP_SERVER", WORD, .max = 1023, .flags = PEL_ROW_NOT_YET | PEL_ROW_REPEAT),
    UINT("GSK_LDAP_SERVER_PORT", 1, 65535, "389", NOT_YET),
    ROW("GSK_LDAP_USER", TEXT, .max = 1023, NOT_YET),
    ROW("GSK_LDAP_USER_PW", TEXT, .max = 1023, .flags = PEL_ROW_NOT_YET | PEL_ROW_SECRET),
    UINT("GSK_CRL_CACHE_TIMEOUT", 0, 720, "24", NOT_YET, .help = "hours"),
    ENUM("GSK_CRL_SECURITY_LEVEL", levels, "Medium", NOT_YET),
    UINT("LDAPResponseTimeout", 0, MAX32, "15", NOT_YET, .help = "seconds"),
    UINT("CRLCacheSize", 0, MAX32, NULL, NOT_YET),
    UINT("CRLCacheEntryMaxsize", 0, MAX32, "0", NOT_YET, .help = "bytes"),
    ONOFF("CRLCacheExtended", "Off", NOT_YET),
    ONOFF("CRLCacheTempCRL", "Off", NOT_YET),
    UINT("CRLCacheTempCRLTimeout", 0, MAX32, "24", NOT_YET, .help = "hours"),
};
const struct pel_statement_schema pel_statement_gsk_ldap =
    STATEMENT("TTLSGskLdapParms", gsk_ldap_rows, .not_yet = true);

static const struct pel_row gsk_ocsp_rows[] = {
    ROW("OcspUrl", WORD, .max = 2083, NOT_YET),
    ONOFF("OcspAiaEnable", "Off", NOT_YET),
    ROW("OcspProxyServerName", WORD, .max = 1023, NOT_YET),
    UINT("OcspProxyServerPort", 1, 65535, "80", NOT_YET),
    ONOFF("OcspRetrieveViaGet", "Off", NOT_YET),
    ONOFF("OcspUrlPriority", "On", NOT_YET),
    ROW("OcspRequestSigKeyLabel", LABEL, NOT_YET),
    ROW("OcspRequestSigAlg", WORD, .max = 4, .default_value = "0401", NOT_YET),
    ROW("OcspResponseSigAlgPairs", TEXT, .max = 4096, NOT_YET),
    ENUM("OcspServerStapling", stapling, "Off", NOT_YET),
    UINT("OcspClientCacheSize", 0, MAX32, "256", NOT_YET),
    UINT("OcspCliCacheEntryMaxsize", 0, MAX32, "0", NOT_YET),
    ONOFF("OcspNonceGenEnable", "Off", NOT_YET),
    ONOFF("OcspNonceCheckEnable", "Off", NOT_YET),
    UINT("OcspNonceSize", 0, MAX32, "8", NOT_YET, .help = "bytes"),
    UINT("OcspResponseTimeout", 0, MAX32, "15", NOT_YET, .help = "seconds"),
    UINT("OcspMaxResponseSize", 0, MAX32, "20480", NOT_YET, .help = "bytes"),
};
const struct pel_statement_schema pel_statement_gsk_ocsp =
    STATEMENT("TTLSGskOcspParms", gsk_ocsp_rows, .not_yet = true);

static const struct pel_row gsk_cdp_rows[] = {
    ONOFF("HttpCdpEnable", "Off", NOT_YET),
    ROW("HttpCdpProxyServerName", WORD, .max = 1023, NOT_YET),
    UINT("HttpCdpProxyServerPort", 1, 65535, "80", NOT_YET),
    UINT("HttpCdpResponseTimeout", 0, MAX32, "15", NOT_YET, .help = "seconds"),
    UINT("HttpCdpMaxResponseSize", 0, MAX32, "204800", NOT_YET, .help = "bytes"),
    UINT("HttpCdpCacheSize", 0, MAX32, "32", NOT_YET),
    UINT("HttpCdpCacheEntryMaxsize", 0, MAX32, "0", NOT_YET, .help = "bytes"),
};
const struct pel_statement_schema pel_statement_gsk_cdp =
    STATEMENT("TTLSGskHttpCdpParms", gsk_cdp_rows, .not_yet = true);
