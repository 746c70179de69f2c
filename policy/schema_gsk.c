/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/schema_rows.h"

static const char *const ticket_algorithms[] = {"AESCBC128", "AESCBC256", NULL};
static const char *const levels[] = {"Low", "Medium", "High", NULL};
static const char *const stapling[] = {"Off", "Any", "EndEntity", NULL};

#define MAX32 UINT32_MAX

#define NO_SYSPLEX    "there is no sysplex; sessions and tickets stay on this machine"
#define NO_SSL2       "SSL 2.0 is never spoken"
#define NO_REVOCATION "certificates are not checked for revocation"

static const struct pel_row gsk_adv_rows[] = {
    BLOCK_OR_REF("TTLSGskLdapParms", GSK_LDAP, LDAP, 0, "revocation lists from an LDAP server"),
    BLOCK_OR_REF("TTLSGskOcspParms", GSK_OCSP, OCSP, 0, "revocation by OCSP"),
    BLOCK_OR_REF("TTLSGskHttpCdpParms", GSK_CDP, CDP, 0, "revocation lists by HTTP"),
    UINT("GSK_V2_SESSION_TIMEOUT", 0, 100, "100", NO_EFFECT(NO_SSL2),
         .help = "seconds a session of SSL 2.0 may be resumed"),
    UINT("GSK_V2_SIDCACHE_SIZE", 0, 32000, "256", NO_EFFECT(NO_SSL2), .help = "sessions of SSL 2.0 kept"),
    UINT("GSK_V3_SESSION_TIMEOUT", 0, 86400, "86400", SLOT(SESSION_TIMEOUT),
         .help = "seconds a session up to TLS 1.2 may be resumed; 0: never"),
    UINT("GSK_V3_SIDCACHE_SIZE", 0, 64000, "512", SLOT(SESSION_CACHE),
         .help =
             "sessions up to TLS 1.2 that a client keeps, 4096 at most; a server keeps none, it seals them "
             "into tickets; 0: none is resumed, in either role"),
    ONOFF("GSK_SYSPLEX_SIDCACHE", "Off", NO_EFFECT(NO_SYSPLEX), .help = "a server's sessions in the sysplex"),
    ONOFF("GSK_SYSPLEX_SESSION_TICKET_CACHE", "Off", NO_EFFECT(NO_SYSPLEX),
          .help = "tickets of TLS 1.3 in the sysplex"),
    ONOFF("GSK_SESSION_TICKET_CLIENT_ENABLE", "On", SLOT(CLIENT_TICKETS),
          .help = "a client resumes TLS 1.3 sessions"),
    UINT("GSK_SESSION_TICKET_CLIENT_MAXSIZE", 0, MAX32, "8192", SLOT(CLIENT_TICKET_LEN),
         .help = "bytes of the longest ticket that a client keeps"),
    UINT("GSK_SESSION_TICKET_CLIENT_MAXCACHED", 0, MAX32, "64", SLOT(CLIENT_TICKETS_KEPT),
         .help = "tickets of TLS 1.3 that a client keeps, 4096 at most"),
    ONOFF("GSK_SESSION_TICKET_SERVER_ENABLE", "On", SLOT(SERVER_TICKETS),
          .help = "a server sends tickets of TLS 1.3, and takes them"),
    ENUM("GSK_SESSION_TICKET_SERVER_ALGORITHM", ticket_algorithms, "AESCBC128", SLOT(SERVER_TICKET_CIPHER),
         .help = "the cipher in which a server's tickets are sealed"),
    UINT("GSK_SESSION_TICKET_SERVER_COUNT", 0, MAX32, "2", SLOT(SERVER_TICKET_COUNT),
         .help = "tickets of TLS 1.3 after a full handshake, 16 at most"),
    UINT("GSK_SESSION_TICKET_SERVER_KEY_REFRESH", 0, MAX32, "300", SLOT(SERVER_TICKET_REFRESH),
         .help = "seconds until a new key seals a server's tickets; 0: never"),
    UINT("GSK_SESSION_TICKET_SERVER_TIMEOUT", 0, MAX32, "300", SLOT(SERVER_TICKET_TIMEOUT),
         .help = "seconds a ticket of TLS 1.3 is good for, seven days at most; 0: none is sent"),
    ONOFF("AIACDPPriority", "On", NO_EFFECT(NO_REVOCATION),
          .help = "OCSP before revocation lists, of what a certificate names"),
    ENUM("RevocationSecurityLevel", levels, "Medium", NO_EFFECT(NO_REVOCATION),
         .help = "what happens when revocation cannot be known"),
    UINT("MaxSrcRevExtLocValues", 0, MAX32, "10", NO_EFFECT(NO_REVOCATION),
         .help = "addresses of one extension that are asked"),
    UINT("MaxValidRevExtLocValues", 0, MAX32, "100", NO_EFFECT(NO_REVOCATION),
         .help = "addresses of one certificate's check that are asked"),
    ROW("CrlSigAlgPairs", TEXT, .max = 4096, NO_EFFECT(NO_REVOCATION),
        .help = "signature algorithms of revocation lists"),
};
const struct pel_statement_schema pel_statement_gsk_adv =
    STATEMENT("TTLSGskAdvancedParms", gsk_adv_rows, .help = "sessions, tickets and revocation");

static const struct pel_row gsk_ldap_rows[] = {
    ROW("GSK_LDAP_SERVER", WORD, .max = 1023, .flags = PEL_ROW_REPEAT, .help = "a server, perhaps :PORT"),
    UINT("GSK_LDAP_SERVER_PORT", 1, 65535, "389", .help = "its port"),
    ROW("GSK_LDAP_USER", TEXT, .max = 1023, .help = "the name to bind with"),
    ROW("GSK_LDAP_USER_PW", TEXT, .max = 1023, .flags = PEL_ROW_SECRET, .help = "the password to bind with"),
    UINT("GSK_CRL_CACHE_TIMEOUT", 0, 720, "24", .help = "hours a list is kept"),
    ENUM("GSK_CRL_SECURITY_LEVEL", levels, "Medium", .help = "what happens when there is no list"),
    UINT("LDAPResponseTimeout", 0, MAX32, "15", .help = "seconds to wait for an answer"),
    UINT("CRLCacheSize", 0, MAX32, NULL, .help = "lists kept"),
    UINT("CRLCacheEntryMaxsize", 0, MAX32, "0", .help = "bytes of a list that is kept; 0: any"),
    ONOFF("CRLCacheExtended", "Off", .help = "lists are kept one by one"),
    ONOFF("CRLCacheTempCRL", "Off", .help = "an empty list stands for one that cannot be had"),
    UINT("CRLCacheTempCRLTimeout", 0, MAX32, "24", .help = "hours that it stands"),
};
const struct pel_statement_schema pel_statement_gsk_ldap =
    STATEMENT("TTLSGskLdapParms", gsk_ldap_rows, .help = "revocation lists from LDAP servers",
              NO_EFFECT("revocation lists are not fetched from LDAP"));

static const struct pel_row gsk_ocsp_rows[] = {
    ROW("OcspUrl", WORD, .max = 2083, .help = "the responder"),
    ONOFF("OcspAiaEnable", "Off", .help = "ask the responder that the certificate names"),
    ROW("OcspProxyServerName", WORD, .max = 1023, .help = "a proxy"),
    UINT("OcspProxyServerPort", 1, 65535, "80", .help = "its port"),
    ONOFF("OcspRetrieveViaGet", "Off", .help = "ask by GET"),
    ONOFF("OcspUrlPriority", "On", .help = "OcspUrl before what the certificate names"),
    ROW("OcspRequestSigKeyLabel", LABEL, .help = "the key that signs requests"),
    ROW("OcspRequestSigAlg", WORD, .max = 4, .default_value = "0401", .help = "how requests are signed"),
    ROW("OcspResponseSigAlgPairs", TEXT, .max = 4096, .help = "how answers may be signed"),
    ENUM("OcspServerStapling", stapling, "Off", .help = "a server sends answers along"),
    UINT("OcspClientCacheSize", 0, MAX32, "256", .help = "answers kept"),
    UINT("OcspCliCacheEntryMaxsize", 0, MAX32, "0", .help = "answers kept of one authority; 0: any"),
    ONOFF("OcspNonceGenEnable", "Off", .help = "requests have a nonce"),
    ONOFF("OcspNonceCheckEnable", "Off", .help = "answers must have it"),
    UINT("OcspNonceSize", 0, MAX32, "8", .help = "bytes of a nonce"),
    UINT("OcspResponseTimeout", 0, MAX32, "15", .help = "seconds to wait for an answer"),
    UINT("OcspMaxResponseSize", 0, MAX32, "20480", .help = "bytes of an answer"),
};
const struct pel_statement_schema pel_statement_gsk_ocsp =
    STATEMENT("TTLSGskOcspParms", gsk_ocsp_rows, .help = "revocation by OCSP",
              NO_EFFECT("revocation is not asked for by OCSP, and answers are not stapled"));

static const struct pel_row gsk_cdp_rows[] = {
    ONOFF("HttpCdpEnable", "Off", .help = "fetch the lists that certificates name"),
    ROW("HttpCdpProxyServerName", WORD, .max = 1023, .help = "a proxy"),
    UINT("HttpCdpProxyServerPort", 1, 65535, "80", .help = "its port"),
    UINT("HttpCdpResponseTimeout", 0, MAX32, "15", .help = "seconds to wait for an answer"),
    UINT("HttpCdpMaxResponseSize", 0, MAX32, "204800", .help = "bytes of a list"),
    UINT("HttpCdpCacheSize", 0, MAX32, "32", .help = "lists kept"),
    UINT("HttpCdpCacheEntryMaxsize", 0, MAX32, "0", .help = "bytes of a list that is kept; 0: any"),
};
const struct pel_statement_schema pel_statement_gsk_cdp =
    STATEMENT("TTLSGskHttpCdpParms", gsk_cdp_rows, .help = "revocation lists by HTTP",
              NO_EFFECT("revocation lists are not fetched by HTTP"));
