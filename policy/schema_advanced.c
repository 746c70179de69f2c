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

#define NO_RENEGOTIATION "renegotiation is refused (RC 432)"
#define NO_DSA           "no suite with DSA certificates is available here"
#define NO_DHE           "no suite with DHE is available here"
#define NO_FRAGMENTS     "the handshake library does not negotiate max_fragment_length"

/* In the order of each list of values above; 0 is Off, or the first. */
static const struct pel_value_remark compat_mode[] = {
    {PEL_OFF, PEL_REMARK_NO_EFFECT, "TLS 1.3 always looks like TLS 1.2 to what stands between"},
    {0},
};
static const struct pel_value_remark no_hmac[] = {
    {1, PEL_REMARK_NO_EFFECT, "the handshake library has no truncated HMAC"},
    {2, PEL_REMARK_CANNOT, "the handshake library has no truncated HMAC"},
    {0},
};
static const struct pel_value_remark no_fragments[] = {
    {1, PEL_REMARK_NO_EFFECT, NO_FRAGMENTS},
    {2, PEL_REMARK_CANNOT, NO_FRAGMENTS},
    {0},
};
static const struct pel_value_remark no_renegotiation[] = {
    {0, PEL_REMARK_NO_EFFECT, NO_RENEGOTIATION},
    {2, PEL_REMARK_NO_EFFECT, NO_RENEGOTIATION},
    {3, PEL_REMARK_NO_EFFECT, NO_RENEGOTIATION},
    {0},
};
static const struct pel_value_remark no_new_cert[] = {
    {PEL_ON, PEL_REMARK_NO_EFFECT, NO_RENEGOTIATION},
    {0},
};
static const struct pel_value_remark always_rfc5280[] = {
    {1, PEL_REMARK_NO_EFFECT, "certificates are checked by RFC 5280"},
    {2, PEL_REMARK_NO_EFFECT, "certificates are checked by RFC 5280"},
    {0},
};
static const struct pel_value_remark always_scsv[] = {
    {PEL_OFF, PEL_REMARK_NO_EFFECT, "a client that fell back is always refused"},
    {0},
};
static const struct pel_value_remark always_secret[] = {
    {PEL_OFF, PEL_REMARK_NO_EFFECT, "it is always offered and taken"},
    {0},
};

/* What an environment and a connection both take; a connection has no defaults and inherits. */
#define BOTH_LEVELS(default_of)                                                                              \
    ONOFF("SSLv2", default_of("Off"), SLOT(SSLV2), .help = "SSL 2.0: never spoken, whatever is coded"),      \
        ONOFF("SSLv3", default_of("Off"), SLOT(SSLV3), .help = "SSL 3.0: never spoken, whatever is coded"),  \
        ONOFF("TLSv1", default_of("Off"), SLOT(TLSV1), .help = "TLS 1.0: weak"),                             \
        ONOFF("TLSv1.1", default_of("Off"), SLOT(TLSV1_1), .help = "TLS 1.1: weak"),                         \
        ONOFF("TLSv1.2", default_of("On"), SLOT(TLSV1_2), .help = "TLS 1.2"),                                \
        ONOFF("TLSv1.3", default_of("On"), SLOT(TLSV1_3), .help = "TLS 1.3"),                                \
        ONOFF("MiddleBoxCompatMode", default_of("Off"), REMARKS(compat_mode),                                \
              .help = "TLS 1.3 looks like 1.2 to what stands between"),                                      \
        ONOFF("ApplicationControlled", default_of("Off"), SLOT(APPL_CONTROLLED),                             \
              .help = "clear until the application asks for TLS"),                                           \
        UINT("HandshakeTimeout", 0, 600, default_of("10"), SLOT(HANDSHAKE_TIMEOUT),                          \
             .help =                                                                                         \
                 "seconds until the handshake must have begun, and again until it is done; 0: no limit"),    \
        UINT("ResetCipherTimer", 0, 1440, default_of("0"), SLOT(RESET_CIPHER),                               \
             .help = "minutes after which the next read or write of the program renews the keys of a "       \
                     "connection of TLS 1.3; no effect in older versions; 0: never"),                        \
        ROW("CertificateLabel", LABEL, SLOT(CERT_LABEL),                                                     \
            .help = "the certificate to send; empty or none: none; uncoded: the ring's default"),            \
        ROW("ServerCertificateLabel", LABEL, SLOT(SERVER_CERT_LABEL), .flags = PEL_ROW_REPEAT,               \
            .help = "one of several certificates of a server, chosen by what the client can check"),         \
        ONOFF("SecondaryMap", default_of("Off"), SLOT(SECONDARY_MAP),                                        \
              .help = "later connections of a program between the same addresses follow its first"),         \
        ENUM("TruncatedHMAC", demand, default_of("Off"), REMARKS(no_hmac),                                   \
             .help = "record tags of 80 bits; there are none here, and Required is an error"),               \
        ENUM("ClientMaxSSLFragment", demand, default_of("Off"), REMARKS(no_fragments),                       \
             .help = "a client asks for shorter records; it cannot here, and Required is an error"),         \
        ENUM("ServerMaxSSLFragment", demand, default_of("Off"), REMARKS(no_fragments),                       \
             .help = "a server grants shorter records; it cannot here, and Required is an error"),           \
        ENUM("ClientMaxSSLFragmentLength", fragments, NULL, NO_EFFECT(NO_FRAGMENTS),                         \
             .help = "bytes of a record that a client asks for"),                                            \
        ENUM("ClientHandshakeSNI", demand, default_of("Optional"), SLOT(CLIENT_SNI),                         \
             .help =                                                                                         \
                 "a client names the server it wants: Optional: when it knows a name; Required: refused "    \
                 "without a name, or when the server does not acknowledge it"),                              \
        ENUM(                                                                                                \
            "ServerHandshakeSNI", demand, default_of("Off"), SLOT(SERVER_SNI),                               \
            .help =                                                                                          \
                "a server looks at the name that the client wants; Required: refuses a client without one"), \
        ENUM("ClientHandshakeSNIMatch", sni_match, default_of("Optional"), SLOT(CLIENT_SNI_MATCH),           \
             .help = "Required: refused when the server does not acknowledge the name"),                     \
        ENUM("ServerHandshakeSNIMatch", sni_match, default_of("Optional"), SLOT(SERVER_SNI_MATCH),           \
             .help =                                                                                         \
                 "Required: a name that is not in the list is refused; else it gets the usual certificate"), \
        ROW("ClientHandshakeSNIList", WORD, SLOT(CLIENT_SNI_NAME), .max = 255,                               \
            .help = "the name that a client asks for; uncoded: the one that it checks"),                     \
        ROW("ServerHandshakeSNIList", NAME_LABEL, SLOT(SERVER_SNI_NAME), .max = 1023,                        \
            .flags = PEL_ROW_REPEAT,                                                                         \
            .help =                                                                                          \
                "a name, and the label of the certificate for it; several labels for one name are chosen "   \
                "among by what the client can check"),                                                       \
        ROW("HostReferenceIdDNS", WORD, .max = 255, SLOT(REF_DNS),                                           \
            .help = "the name that the server's certificate must have, among its alternative names; it is "  \
                    "checked instead of the name that the program resolved"),                                \
        ROW("HostReferenceIdCN", WORD, .max = 255, SLOT(REF_CN),                                             \
            .help = "the name that the server's certificate must have, as the common name of its subject; "  \
                    "with both HostReferenceId, either is enough"),                                          \
        ONOFF("HostRefWildcardValidation", default_of("Off"), SLOT(REF_WILDCARDS),                           \
              .help =                                                                                        \
                  "a name of a certificate that begins with *. matches a HostReferenceId; it always does a " \
                  "name that the program resolved")

#define AS_CODED(value)  value
#define INHERITED(value) NULL

static const struct pel_row conn_adv_rows[] = {BOTH_LEVELS(INHERITED)};
const struct pel_statement_schema pel_statement_conn_adv =
    STATEMENT("TTLSConnectionAdvancedParms", conn_adv_rows,
              .help = "less usual parameters of a connection; uncoded: the environment's");

static const struct pel_row env_adv_rows[] = {
    BOTH_LEVELS(AS_CODED),
    ENUM("ClientAuthType", client_auth, "Required", SLOT(CLIENT_AUTH),
         .help = "with ServerWithClientAuth: PassThru asks and checks nothing; Full checks what is sent; "
                 "Required wants a certificate; SAFCheck wants one that stands for a user (the ring's file "
                 "users)"),
    ENUM("Renegotiation", renegotiation, "Default", REMARKS(no_renegotiation),
         .help = "new handshakes on one connection: refused, whatever is coded"),
    ENUM("RenegotiationIndicator", indicator, "Optional", SLOT(RENEGOTIATION_INDICATOR),
         .help = "which peer is refused up to TLS 1.2 unless it shows that it knows RFC 5746"),
    ONOFF("RenegotiationCertCheck", "Off", REMARKS(no_new_cert),
          .help = "the peer's certificate may not change when renegotiating"),
    ENUM("CertValidationMode", validation, "Any", REMARKS(always_rfc5280),
         .help = "by which RFC certificates are checked: RFC 5280, whatever is coded"),
    ONOFF("3DesKeyCheck", "Off", SLOT(DES_KEY_CHECK),
          .help = "a connection whose keys of 3DES have equal parts is refused"),
    ENUM("ClientEDHGroupSize", client_edh, "Legacy", NO_EFFECT(NO_DHE), .help = "bits that a client wants"),
    ENUM("ServerEDHGroupSize", server_edh, "Legacy", NO_EFFECT(NO_DHE), .help = "bits that a server offers"),
    ENUM("PeerMinCertVersion", cert_version, "Any", SLOT(MIN_CERT_VERSION),
         .help = "3: certificates of the peer's chain of an older X.509 version are refused"),
    UINT("PeerMinDHKeySize", 0, 65535, "1024", NO_EFFECT(NO_DHE),
         .help = "bits of a peer's DH key, at least"),
    UINT("PeerMinDsaKeySize", 0, 65535, "1024", NO_EFFECT(NO_DSA),
         .help = "bits of a peer's DSA key, at least"),
    UINT("PeerMinRsaKeySize", 0, 65535, "1024", SLOT(MIN_RSA),
         .help = "bits of each RSA key of the peer's chain, the trusted authority's apart, at least"),
    UINT("PeerMinECCKeySize", 0, 65535, "192", SLOT(MIN_ECC),
         .help = "bits of each EC key of the peer's chain, the trusted authority's apart, at least"),
    ONOFF("ServerScsv", "Off", REMARKS(always_scsv),
          .help = "a server refuses clients that fell back to an old version (RFC 7507)"),
    ENUM("ClientExtendedMasterSecret", master_secret, "On", SLOT(CLIENT_MASTER_SECRET),
         REMARKS(always_secret), .help = "RFC 7627, as a client up to TLS 1.2; Required: refused without"),
    ENUM("ServerExtendedMasterSecret", master_secret, "On", SLOT(SERVER_MASTER_SECRET),
         REMARKS(always_secret), .help = "RFC 7627, as a server up to TLS 1.2; Required: refused without"),
};
const struct pel_statement_schema pel_statement_env_adv = STATEMENT(
    "TTLSEnvironmentAdvancedParms", env_adv_rows, .help = "less usual parameters of an environment");
