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

#define NO_DHE       "no suite with DHE is available here"
#define NO_FRAGMENTS "the handshake library does not negotiate max_fragment_length"

/* What an environment and a connection both take; a connection has no defaults and inherits. */
#define BOTH_LEVELS(default_of)                                                                              \
    ONOFF("SSLv2", default_of("Off"), SLOT(SSLV2), .help = "SSL 2.0: never spoken, whatever is coded"),      \
        ONOFF("SSLv3", default_of("Off"), SLOT(SSLV3), .help = "SSL 3.0: never spoken, whatever is coded"),  \
        ONOFF("TLSv1", default_of("Off"), SLOT(TLSV1), .help = "TLS 1.0: weak"),                             \
        ONOFF("TLSv1.1", default_of("Off"), SLOT(TLSV1_1), .help = "TLS 1.1: weak"),                         \
        ONOFF("TLSv1.2", default_of("On"), SLOT(TLSV1_2), .help = "TLS 1.2"),                                \
        ONOFF("TLSv1.3", default_of("On"), SLOT(TLSV1_3), .help = "TLS 1.3"),                                \
        ONOFF("MiddleBoxCompatMode", default_of("Off"), NOT_YET,                                             \
              .help = "TLS 1.3 looks like 1.2 to what stands between"),                                      \
        ONOFF("ApplicationControlled", default_of("Off"), SLOT(APPL_CONTROLLED),                             \
              .help = "clear until the application asks for TLS"),                                           \
        UINT("HandshakeTimeout", 0, 600, default_of("10"), SLOT(HANDSHAKE_TIMEOUT),                          \
             .help =                                                                                         \
                 "seconds until the handshake must have begun, and again until it is done; 0: no limit"),    \
        UINT("ResetCipherTimer", 0, 1440, default_of("0"), NOT_YET,                                          \
             .help = "minutes until keys are renewed (TLS 1.3); 0: never"),                                  \
        ROW("CertificateLabel", LABEL, SLOT(CERT_LABEL),                                                     \
            .help = "the certificate to send; empty or none: none; uncoded: the ring's default"),            \
        ROW("ServerCertificateLabel", LABEL, SLOT(SERVER_CERT_LABEL), .flags = PEL_ROW_REPEAT,               \
            .help = "one of several certificates of a server, chosen by what the client can check"),         \
        ONOFF("SecondaryMap", default_of("Off"), SLOT(SECONDARY_MAP),                                        \
              .help = "later connections of a program between the same addresses follow its first"),         \
        ENUM("TruncatedHMAC", demand, default_of("Off"),                                                     \
             NO_EFFECT("the handshake library has no truncated HMAC"), .help = "record tags of 80 bits"),    \
        ENUM("ClientMaxSSLFragment", demand, default_of("Off"), NO_EFFECT(NO_FRAGMENTS),                     \
             .help = "a client asks for shorter records"),                                                   \
        ENUM("ServerMaxSSLFragment", demand, default_of("Off"), NO_EFFECT(NO_FRAGMENTS),                     \
             .help = "a server grants shorter records"),                                                     \
        ENUM("ClientMaxSSLFragmentLength", fragments, NULL, NO_EFFECT(NO_FRAGMENTS),                         \
             .help = "bytes of a record that a client asks for"),                                            \
        ENUM("ClientHandshakeSNI", demand, default_of("Off"), NOT_YET,                                       \
             .help = "a client names the server it wants"),                                                  \
        ENUM("ServerHandshakeSNI", demand, default_of("Off"), NOT_YET,                                       \
             .help = "a server looks at the name that the client wants"),                                    \
        ENUM("ClientHandshakeSNIMatch", sni_match, NULL, NOT_YET,                                            \
             .help = "whether the server must know the name"),                                               \
        ENUM("ServerHandshakeSNIMatch", sni_match, NULL, NOT_YET,                                            \
             .help = "whether the client's name must be in the list"),                                       \
        ROW("ClientHandshakeSNIList", TEXT, .max = 1023, .flags = PEL_ROW_NOT_YET | PEL_ROW_REPEAT,          \
            .help = "the name that a client asks for"),                                                      \
        ROW("ServerHandshakeSNIList", TEXT, .max = 1023, .flags = PEL_ROW_NOT_YET | PEL_ROW_REPEAT,          \
            .help = "a name and the label of its certificate"),                                              \
        ROW("HostReferenceIdDNS", WORD, .max = 255, SLOT(REF_DNS),                                           \
            .help = "the name that the server's certificate must have, in its alternative names"),           \
        ROW("HostReferenceIdCN", WORD, .max = 255, SLOT(REF_CN),                                             \
            .help = "the name that the server's certificate must have, in its subject"),                     \
        ONOFF("HostRefWildcardValidation", default_of("Off"), NOT_YET,                                       \
              .help = "a certificate's name may begin with *")

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
                 "Required wants a certificate; SAFCheck wants one of a known user"),
    ENUM("Renegotiation", renegotiation, "Default", NOT_YET, .help = "new handshakes on one connection"),
    ENUM("RenegotiationIndicator", indicator, "Optional", NOT_YET,
         .help = "who must show that it knows RFC 5746"),
    ONOFF("RenegotiationCertCheck", "Off", NOT_YET,
          .help = "the peer's certificate may not change when renegotiating"),
    ENUM("CertValidationMode", validation, "Any", NOT_YET, .help = "by which RFC certificates are checked"),
    ONOFF("3DesKeyCheck", "Off", NOT_YET, .help = "refuse keys of 3DES whose parts are equal"),
    ENUM("ClientEDHGroupSize", client_edh, "Legacy", NO_EFFECT(NO_DHE), .help = "bits that a client wants"),
    ENUM("ServerEDHGroupSize", server_edh, "Legacy", NO_EFFECT(NO_DHE), .help = "bits that a server offers"),
    ENUM("PeerMinCertVersion", cert_version, "Any", NOT_YET, .help = "the oldest X.509 version taken"),
    UINT("PeerMinDHKeySize", 0, 65535, "1024", NOT_YET, .help = "bits of a peer's DH key, at least"),
    UINT("PeerMinDsaKeySize", 0, 65535, "1024", NOT_YET, .help = "bits of a peer's DSA key, at least"),
    UINT("PeerMinRsaKeySize", 0, 65535, "1024", NOT_YET, .help = "bits of a peer's RSA key, at least"),
    UINT("PeerMinECCKeySize", 0, 65535, "192", NOT_YET, .help = "bits of a peer's EC key, at least"),
    ONOFF("ServerScsv", "Off", NOT_YET, .help = "a server refuses clients that fell back to an old version"),
    ENUM("ClientExtendedMasterSecret", master_secret, "On", NOT_YET,
         .help = "RFC 7627, as a client; Required: not without"),
    ENUM("ServerExtendedMasterSecret", master_secret, "On", NOT_YET,
         .help = "RFC 7627, as a server; Required: not without"),
};
const struct pel_statement_schema pel_statement_env_adv = STATEMENT(
    "TTLSEnvironmentAdvancedParms", env_adv_rows, .help = "less usual parameters of an environment");
