/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/schema_rows.h"

static const char *const client_auth[] = {"PassThru", "Full", "Required", "SAFCheck", NULL};
static const char *const demand[] = {"Off", "Optional", "Required", NULL};
static const char *const sni_match[] = {"Optional", "Required", NULL};
static const char *const fragments[] = {"512", "1024", "2048", "4096", NULL};
static const char *const renegotiation[] = {"Default", "Disabled", "All", "Abbreviated", NULL};
static const char *const indicator[] = {"Optional", "Client", "Server", "Both", NULL};
static const char *const validation[] = {"Any", "RFC2459", "RFC3280", "RFC5280", NULL};
static const char *const client_edh[] = {"Legacy", "2048", NULL};
static const char *const server_edh[] = {"Legacy", "2048", "Match", NULL};
static const char *const cert_version[] = {"Any", "3", NULL};
static const char *const master_secret[] = {"Off", "On", "Required", NULL};

/* What an environment and a connection both take; a connection has no defaults and inherits. */
#define BOTH_LEVELS                                                                                          \
    ONOFF("SSLv2", "Off", SLOT(SSLV2), .help = "never spoken, whatever is coded"),                           \
        ONOFF("SSLv3", "Off", SLOT(SSLV3), .help = "never spoken, whatever is coded"),                       \
        ONOFF("TLSv1", "Off", SLOT(TLSV1), .help = "TLS 1.0: weak"),                                         \
        ONOFF("TLSv1.1", "Off", SLOT(TLSV1_1), .help = "TLS 1.1: weak"),                                     \
        ONOFF("TLSv1.2", "On", SLOT(TLSV1_2), .help = "TLS 1.2"),                                            \
        ONOFF("TLSv1.3", "On", SLOT(TLSV1_3), .help = "TLS 1.3"),                                            \
        ONOFF("MiddleBoxCompatMode", "Off", NOT_YET),                                                        \
        ONOFF("ApplicationControlled", "Off", SLOT(APPL_CONTROLLED),                                         \
              .help = "TLS when the application asks"),                                                      \
        UINT("HandshakeTimeout", 0, 600, "10", SLOT(HANDSHAKE_TIMEOUT), .help = "seconds; 0: no limit"),     \
        UINT("ResetCipherTimer", 0, 1440, "0", NOT_YET, .help = "minutes; 0: off"),                          \
        ROW("CertificateLabel", LABEL, SLOT(CERT_LABEL), .help = "empty: send no certificate"),              \
        ROW("ServerCertificateLabel", LABEL, SLOT(SERVER_CERT_LABEL), .flags = PEL_ROW_REPEAT,               \
            .help = "one of several, by the client's algorithms"),                                           \
        ONOFF("SecondaryMap", "Off", SLOT(SECONDARY_MAP),                                                    \
              .help = "later connections of the process to the same address follow this one's rule"),        \
        ENUM("TruncatedHMAC", demand, "Off", NOT_YET), ENUM("ClientMaxSSLFragment", demand, "Off", NOT_YET), \
        ENUM("ServerMaxSSLFragment", demand, "Off", NOT_YET),                                                \
        ENUM("ClientMaxSSLFragmentLength", fragments, NULL, NOT_YET),                                        \
        ENUM("ClientHandshakeSNI", demand, "Off", NOT_YET),                                                  \
        ENUM("ServerHandshakeSNI", demand, "Off", NOT_YET),                                                  \
        ENUM("ClientHandshakeSNIMatch", sni_match, NULL, NOT_YET),                                           \
        ENUM("ServerHandshakeSNIMatch", sni_match, NULL, NOT_YET),                                           \
        ROW("ClientHandshakeSNIList", TEXT, .max = 1023, .flags = PEL_ROW_NOT_YET | PEL_ROW_REPEAT),         \
        ROW("ServerHandshakeSNIList", TEXT, .max = 1023, .flags = PEL_ROW_NOT_YET | PEL_ROW_REPEAT),         \
        ROW("HostReferenceIdDNS", WORD, .max = 255, SLOT(REF_DNS), .help = "the server's name, in its SAN"), \
        ROW("HostReferenceIdCN", WORD, .max = 255, SLOT(REF_CN),                                             \
            .help = "the server's name, in its subject"),                                                    \
        ONOFF("HostRefWildcardValidation", "Off", NOT_YET)

static const struct pel_row conn_adv_rows[] = {BOTH_LEVELS};
const struct pel_statement_schema pel_statement_conn_adv =
    STATEMENT("TTLSConnectionAdvancedParms", conn_adv_rows);

static const struct pel_row env_adv_rows[] = {
    BOTH_LEVELS,
    ENUM("ClientAuthType", client_auth, "Required", SLOT(CLIENT_AUTH), .help = "with ServerWithClientAuth"),
    ENUM("Renegotiation", renegotiation, "Default", NOT_YET),
    ENUM("RenegotiationIndicator", indicator, "Optional", NOT_YET),
    ONOFF("RenegotiationCertCheck", "Off", NOT_YET),
    ENUM("CertValidationMode", validation, "Any", NOT_YET),
    ONOFF("3DesKeyCheck", "Off", NOT_YET),
    ENUM("ClientEDHGroupSize", client_edh, "Legacy", NOT_YET),
    ENUM("ServerEDHGroupSize", server_edh, "Legacy", NOT_YET),
    ENUM("PeerMinCertVersion", cert_version, "Any", NOT_YET),
    UINT("PeerMinDHKeySize", 0, 65535, "1024", NOT_YET, .help = "bits"),
    UINT("PeerMinDsaKeySize", 0, 65535, "1024", NOT_YET, .help = "bits"),
    UINT("PeerMinRsaKeySize", 0, 65535, "1024", NOT_YET, .help = "bits"),
    UINT("PeerMinECCKeySize", 0, 65535, "192", NOT_YET, .help = "bits"),
    ONOFF("ServerScsv", "Off", NOT_YET),
    ENUM("ClientExtendedMasterSecret", master_secret, "On", NOT_YET),
    ENUM("ServerExtendedMasterSecret", master_secret, "On", NOT_YET),
};
const struct pel_statement_schema pel_statement_env_adv =
    STATEMENT("TTLSEnvironmentAdvancedParms", env_adv_rows);
