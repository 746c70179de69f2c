/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one error type of Pellucid. A row of PEL_ERR_LIST is at once the value that a function returns, the
 * name of the counter that `pel stats` shows, and the sentence that a person reads: no drop and no refusal
 * can happen without a name. The category tells a caller whom to blame, and so what to do.
 *
 * Nothing here allocates or locks; every function may be called from any thread.
 */
#ifndef PELLUCID_ERROR_H
#define PELLUCID_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

/* Whom an error concerns: NONE success; BLOCKED not now, try again after progress; PEER the other end or the
 * network sent what it should not; LIMIT a local resource ran out; CONFIG the operator's files; POLICY the
 * policy says no; CALLER wrong use of the API. */
enum pel_err_category {
    PEL_CAT_NONE,
    PEL_CAT_BLOCKED,
    PEL_CAT_PEER,
    PEL_CAT_LIMIT,
    PEL_CAT_CONFIG,
    PEL_CAT_POLICY,
    PEL_CAT_CALLER,
};

/* X(NAME, CATEGORY, "sentence") */
#define PEL_ERR_LIST(X)                                                                                      \
    X(OK, NONE, "no error")                                                                                  \
    X(AGAIN, BLOCKED, "not possible now; try again after progress")                                          \
    X(EOF, NONE, "the peer has finished sending, cleanly")                                                   \
    /* general */                                                                                            \
    X(ARG, CALLER, "an argument is out of range")                                                            \
    X(STATE, CALLER, "the call does not fit the object's state")                                             \
    X(UNSUPPORTED, CALLER, "not supported here")                                                             \
    X(NO_MEMORY, LIMIT, "out of memory")                                                                     \
    X(TOO_BIG, LIMIT, "a length is over its limit")                                                          \
    X(SYNTAX, PEER, "a message is malformed")                                                                \
    X(IO, CONFIG, "an operating-system call failed")                                                         \
    X(NOT_FOUND, CONFIG, "no such object")                                                                   \
    X(EXISTS, CONFIG, "the object exists already")                                                           \
    X(NOT_ALLOWED, POLICY, "the user may not do that")                                                       \
    /* drivers and frames */                                                                                 \
    X(PORT_OPEN, CONFIG, "a port cannot be opened")                                                          \
    X(PORT_START, CONFIG, "the packet layer cannot be started")                                              \
    X(NO_PACKET_BUFFERS, LIMIT, "out of packet buffers")                                                     \
    X(TX_QUEUE_FULL, LIMIT, "a transmit queue was full; the frame was dropped")                              \
    X(FRAME_TOO_LONG, LIMIT, "a frame is longer than the port's MTU allows")                                 \
    X(FRAME_TOO_SHORT, PEER, "a frame ends before its headers do")                                           \
    X(FRAME_ETHERTYPE, PEER, "a frame of a protocol that is not served")                                     \
    X(FRAME_OTHER_MAC, PEER, "a frame that is addressed to another station")                                 \
    X(FRAME_CHECKSUM, PEER, "a packet with a wrong checksum")                                                \
    X(ARP_MALFORMED, PEER, "a malformed ARP packet")                                                         \
    X(IP_MALFORMED, PEER, "a malformed IP packet")                                                           \
    X(TCP_MALFORMED, PEER, "a malformed TCP segment")                                                        \
    X(UDP_MALFORMED, PEER, "a malformed UDP datagram")                                                       \
    /* TCP */                                                                                                \
    X(ADDRESS_IN_USE, CONFIG, "the address and port are in use already")                                     \
    X(ADDRESS_NOT_OURS, CONFIG, "the address is not one of this stack's")                                    \
    X(NO_ROUTE, CONFIG, "no route to the address")                                                           \
    X(NO_LOCAL_PORT, LIMIT, "no free local port")                                                            \
    X(OTHER_ENGINE, CALLER, "answers to that local port come to another engine; connect from there")         \
    X(TOO_MANY_CONNECTIONS, LIMIT, "the limit of connections is reached")                                    \
    X(BACKLOG_FULL, LIMIT, "a listener's backlog is full; the connection was refused")                       \
    X(CONN_REFUSED, PEER, "the peer refused the connection")                                                 \
    X(CONN_RESET, PEER, "the peer reset the connection")                                                     \
    X(CONN_ABORTED, PEER, "the connection was aborted")                                                      \
    X(CONN_TIMEOUT, PEER, "the peer did not answer in time")                                                 \
    X(STOPPING, LIMIT, "the stack is stopping: it takes no new connection")                                  \
    /* policy and mapping */                                                                                 \
    X(POLICY_SYNTAX, CONFIG, "the policy has errors; the old one stays in force")                            \
    X(POLICY_IMAGE, CONFIG, "a compiled policy cannot be read; compile it again")                            \
    X(POLICY_EMPTY, CONFIG, "the policy has no rule left; the old one stays in force")                       \
    X(START_GATE, POLICY, "no policy is loaded yet: the start gate is closed")                               \
    X(NO_RULE_CLEAR, POLICY, "a connection that no rule matched went on in clear")                           \
    X(NO_RULE_REFUSED, POLICY, "a connection that no rule matched was refused")                              \
    X(POLICY_UNUSABLE, POLICY, "the matched rule cannot be served; the connection was refused")              \
    /* keyrings */                                                                                           \
    X(KEYRING_MISSING, CONFIG, "the keyring does not exist")                                                 \
    X(KEYRING_UNREADABLE, CONFIG, "the keyring cannot be read")                                              \
    X(KEYRING_MODE, CONFIG, "a key file may be read by others; its mode must be 0600")                       \
    X(KEYRING_NO_LABEL, CONFIG, "the keyring has no certificate of that label")                              \
    X(KEYRING_NO_KEY, CONFIG, "the certificate has no private key in the keyring")                           \
    X(KEYRING_KEY_MISMATCH, CONFIG, "the private key does not belong to the certificate")                    \
    X(KEYRING_CERT_MALFORMED, CONFIG, "a certificate or key file cannot be parsed")                          \
    X(KEYRING_CERT_EXPIRED, CONFIG, "the certificate is expired or not yet valid")                           \
    X(KEYRING_NO_TRUST, CONFIG, "the keyring trusts no certificate authority")                               \
    X(KEYRING_USERS, CONFIG, "the keyring's file of users is missing or cannot be used")                     \
    /* TLS */                                                                                                \
    X(TLS_CONFIG, CONFIG, "the TLS parameters cannot be used together")                                      \
    X(TLS_CLEARTEXT_RECEIVED, PEER, "clear text came where a TLS record was expected (RC 5003)")             \
    X(TLS_RECORD_MALFORMED, PEER, "a TLS record is malformed (RC 410)")                                      \
    X(TLS_RECORD_TOO_LONG, PEER, "a TLS record is longer than the protocol allows")                          \
    X(TLS_BAD_RECORD_MAC, PEER, "a TLS record failed its integrity check")                                   \
    X(TLS_NO_COMMON_CIPHER, PEER, "no cipher suite in common (RC 402)")                                      \
    X(TLS_NO_COMMON_VERSION, PEER, "no protocol version in common (RC 412)")                                 \
    X(TLS_NO_COMMON_GROUP, PEER, "no key exchange group in common")                                          \
    X(TLS_NO_COMMON_SIGNATURE, PEER, "no signature algorithm in common")                                     \
    X(TLS_NO_CLIENT_CERT, PEER, "the client sent no certificate (RC 5001)")                                  \
    X(TLS_CERT_UNTRUSTED, PEER, "the peer's certificate is not trusted (RC 8)")                              \
    X(TLS_CERT_EXPIRED, PEER, "the peer's certificate is expired or not yet valid (RC 401)")                 \
    X(TLS_CERT_NAME, PEER, "the peer's certificate is for another name")                                     \
    X(TLS_SERVER_NAME, PEER, "the server name (SNI) is missing or not known, and the policy requires it")    \
    X(TLS_WEAK, PEER, "the peer lacks a protection that the policy requires")                                \
    X(TLS_CERT_BAD, PEER, "the peer's certificate cannot be used")                                           \
    X(TLS_NO_USER, PEER, "the client's certificate stands for no user (RC 5002)")                            \
    X(TLS_ALERT_RECEIVED, PEER, "the peer ended TLS with an alert (RC 438)")                                 \
    X(TLS_HANDSHAKE_FAILED, PEER, "the TLS handshake failed")                                                \
    X(TLS_HANDSHAKE_START_TIMEOUT, PEER, "the TLS handshake did not start in time (RC 5004)")                \
    X(TLS_HANDSHAKE_TIMEOUT, PEER, "the TLS handshake did not complete in time (RC 5005)")                   \
    X(TLS_TRUNCATED, PEER, "the connection ended without close_notify: data may be missing")                 \
    X(TLS_RENEGOTIATION, PEER, "the peer asked for renegotiation, which is refused (RC 432)")                \
    X(TLS_TOO_MANY_EMPTY, PEER, "the peer sends records or messages that make no progress")                  \
    X(TLS_PROTOCOL, PEER, "the peer broke the TLS protocol")                                                 \
    X(TLS_INTERNAL, LIMIT, "the TLS library failed internally")                                              \
    /* configuration and control */                                                                          \
    X(CONFIG_SYNTAX, CONFIG, "the configuration file has errors")                                            \
    X(CONTROL_SYNTAX, CALLER, "a control request is malformed")                                              \
    X(CONTROL_UNREACHABLE, CONFIG, "no process answers on the control socket")                               \
    /* programs that are attached */                                                                         \
    X(QUOTA, LIMIT, "a program or a user has as many sockets as it may")                                     \
    X(RING_CORRUPT, CALLER, "a program wrote what cannot be into its shared memory; its socket was reset")   \
    X(PROGRAM_GONE, CALLER, "a program ended without closing the connection; it was reset")                  \
    X(PROGRAM_BYPASS, CALLER, "a program wrote to a socket past the preload library; the socket was reset")

enum pel_err {
#define PEL_ERR_ENUM(name, category, sentence) PEL_E_##name,
    PEL_ERR_LIST(PEL_ERR_ENUM)
#undef PEL_ERR_ENUM
        PEL_ERR_NR
};
#define PEL_OK PEL_E_OK

#define PEL_MUST_USE __attribute__((warn_unused_result))

/* pel_err_name returns the error's name ("TLS_CERT_EXPIRED", the constant without its prefix), as `pel stats`
 * shows it; "UNKNOWN" for a value outside the list. The string is static. Any thread. */
const char *pel_err_name(enum pel_err err);

/* pel_err_text returns the sentence for people; never NULL. The string is static. Any thread. */
const char *pel_err_text(enum pel_err err);

/* pel_err_category returns whom the error concerns. Any thread. */
enum pel_err_category pel_err_category(enum pel_err err);

/* An error with its circumstances, for slow paths: `text` says what, where and what to do, in one line.
 * Written only on failure. */
struct pel_error {
    enum pel_err code;
    char text[512];
};

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif
#endif
