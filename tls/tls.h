/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One TLS connection as a machine without I/O: bytes in, bytes out, time as an argument.
 *
 * An environment (struct pel_tls_env) holds what connections share: role, versions, suites, certificates,
 * trust. It is immutable and reference-counted: connections keep theirs when the policy changes. A session
 * (struct pel_tls) is one connection:
 *
 *     pel_tls_new -> pel_tls_feed / pel_tls_out_* until pel_tls_is_secure -> pel_tls_read / pel_tls_write ->
 * pel_tls_close
 *
 * The caller moves bytes: what came from TCP goes into pel_tls_feed, what pel_tls_out_peek shows goes to TCP.
 * After every call that may produce output the caller looks at pel_tls_out_peek, also after an error: the
 * fatal alert is there.
 *
 * Failure: an error other than AGAIN and EOF is final; the session keeps saying it, and the caller resets the
 * TCP connection after the alert has left. Clear text is never returned for a record whose tag has not
 * verified, and an end of the TCP stream without close_notify is TLS_TRUNCATED, never EOF.
 *
 * What it does not do: sockets, timers (it names its deadline), policy, certificates' revocation.
 */
#ifndef PEL_TLS_TLS_H
#define PEL_TLS_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/counters.h"
#include "base/err.h"
#include "base/pieces.h"

enum pel_tls_role { PEL_TLS_CLIENT, PEL_TLS_SERVER };

/* What a server asks of its client's certificate (AT-TLS ClientAuthType; NONE for HandshakeRole Server). */
enum pel_tls_client_auth {
    PEL_TLS_AUTH_NONE,
    PEL_TLS_AUTH_PASSTHRU, /* asked for, not validated */
    PEL_TLS_AUTH_FULL,     /* validated if sent */
    PEL_TLS_AUTH_REQUIRED, /* must be sent, validated */
    PEL_TLS_AUTH_SAFCHECK, /* as REQUIRED, and it must stand for a user (tls/users.h) */
};

enum pel_tls_versions {
    PEL_TLS_V1_0 = 1,
    PEL_TLS_V1_1 = 2,
    PEL_TLS_V1_2 = 4,
    PEL_TLS_V1_3 = 8,
};

/* What is done about a server's name (SNI). */
enum pel_tls_demand { PEL_TLS_DEFAULT, PEL_TLS_OFF, PEL_TLS_OPTIONAL, PEL_TLS_REQUIRED };

/* Which sessions are kept to be resumed, and how long. Zeros are the defaults in brackets. */
struct pel_tls_sessions {
    bool off;                  /* up to TLS 1.2: none is resumed, in either role */
    uint32_t timeout_s;        /* up to TLS 1.2 [two hours] */
    uint32_t max_kept;         /* client, up to TLS 1.2 [64, at most 4096] */
    bool tickets_off;          /* TLS 1.3: a client keeps none, a server sends and takes none */
    uint32_t max_ticket_len;   /* client: bytes of a ticket [any that came] */
    uint32_t max_tickets;      /* client: tickets of TLS 1.3 kept [64, at most 4096] */
    uint32_t num_tickets;      /* server: of TLS 1.3, after a full handshake [2, at most 16] */
    uint32_t ticket_timeout_s; /* server: TLS 1.3 [two days, at most seven] */
    uint32_t key_refresh_s;    /* server: until a new key seals tickets of TLS 1.3 [never] */
    bool aes256;               /* server: seals tickets [with AES-128] */
};

/* What an environment is made of. Everything is borrowed for the time of the call. Zeros are defaults.
 *
 * The suites listed are the only ones, in that order: a client offers them so, and a server takes the first
 * one that its client offers. Without a suite of TLS 1.3 in the list that version is off; with no other, it
 * is the only one. The version is agreed first: a client that speaks TLS 1.3 and shares no suite of it is
 * refused, not taken down to TLS 1.2. */
struct pel_tls_config {
    enum pel_tls_role role;
    enum pel_tls_client_auth client_auth; /* server only */
    uint32_t versions;       /* enum pel_tls_versions; a gap (1.1 and 1.3 without 1.2) is TLS_CONFIG */
    const uint16_t *ciphers; /* IANA code points, most wanted first; all versions in one list */
    size_t num_ciphers;      /* 0: TLS 1.3's and the ECDHE AEAD suites, AES-GCM first with AES instructions */
    const uint16_t
        *groups;       /* IANA named groups, most wanted first; a server's up to TLS 1.2 alone when it has
                                tls13_groups */
    size_t num_groups; /* 0: X25519, P-256, P-384, P-521 */
    const uint16_t *tls13_groups;    /* server: in TLS 1.3 */
    size_t num_tls13_groups;         /* 0: those of `groups` */
    const uint16_t *key_shares;      /* client: sends one at once, for these of its groups, 2 at most */
    size_t num_key_shares;           /* 0: the first */
    const uint16_t *signatures;      /* IANA signature schemes of the handshake, most wanted first */
    size_t num_signatures;           /* 0: BoringSSL's own */
    const uint16_t *cert_signatures; /* that the certificates of the peer's chain may have */
    size_t num_cert_signatures;      /* 0: any that can be verified */
    const char
        *keyring_path; /* a keyring directory as in tls/keyring.h, a PKCS#12 file as in tls/pkcs12.h, or
                                 "*AUTH*" for the machine's CAs */
    const char *keyring_password;   /* of a PKCS#12 file; NULL: */
    const char *keyring_stash_file; /* it stands in this file; NULL: it is empty */
    const char *label; /* the certificate's label; NULL: the ring's default; "": none (a client) */
    const char *const *more_labels; /* certificates of a server, chosen by what the client can; with them the
                                       ring's default is not one */
    size_t num_more_labels;
    enum pel_tls_demand sni; /* client [OPTIONAL]: sends the name that it knows; REQUIRED: and the server must
                                acknowledge it. Server [OFF]: looks at it; REQUIRED: it must be there */
    bool sni_match;          /* a name that the server does not know ends the handshake */
    const char *sni_name;    /* client: the name to send; NULL: the one that is checked */
    const char *const *sni_hosts;  /* server: a name that a client may ask for (compared without case), */
    const char *const *sni_labels; /* and beside it the label of its certificate */
    size_t num_sni;
    const char *reference_dns; /* client: a name of the server's certificate must be this */
    const char *reference_cn;  /* client: or its common name this; NULL both: what pel_tls_new gives */
    bool reference_wildcards;  /* "*.example" in the certificate is for a reference too */
    uint32_t min_rsa_bits;     /* of the peer's chain, its trusted authority apart */
    uint32_t min_ecc_bits;
    uint32_t min_own_rsa_bits;     /* of our own certificates */
    bool cert_version_3;           /* of the peer's chain */
    bool extended_master_secret;   /* the peer must have RFC 7627 or TLS 1.3 */
    bool renegotiation_indicated;  /* the peer must have RFC 5746 or TLS 1.3 */
    bool des_key_check;            /* 3DES keys with equal parts end the handshake */
    uint64_t handshake_timeout_us; /* 0: none. The end that connected: five times that until the first byte */
    uint64_t reset_cipher_us;      /* TLS 1.3: so old keys are renewed at the next read or write; 0: never */
    struct pel_tls_sessions sessions;
    int64_t now_s; /* for the check that certificates are in force */
};

struct pel_tls_env;
struct pel_tls;

/* pel_tls_env_new makes an environment with one reference, the caller's. Reads the keyring's files. Errors,
 * each with a text that names the file and what to do: KEYRING_*, TLS_CONFIG, NO_MEMORY. Any thread. */
PEL_MUST_USE enum pel_err pel_tls_env_new(const struct pel_tls_config *config, struct pel_tls_env **ret_env,
                                          struct pel_error *reterr);

/* pel_tls_env_ref takes a reference; pel_tls_env_unref drops one and frees the environment, its keys wiped,
 * with the last. NULL is harmless. Any thread. */
struct pel_tls_env *pel_tls_env_ref(struct pel_tls_env *env);
void pel_tls_env_unref(struct pel_tls_env *env);

/* pel_tls_env_cert_expiry_s returns when the environment's own certificate ends (seconds since 1970), or
 * INT64_MAX when it has none. Any thread. */
int64_t pel_tls_env_cert_expiry_s(const struct pel_tls_env *env);

/* pel_tls_new makes a session that holds a reference on `env`. `server_name` (client only, may be NULL) is
 * the name that the program resolved: the server's certificate must be for it, unless the environment has a
 * reference name; without either only the chain is checked. SNI is the environment's name to send, else its
 * reference, else `server_name`, unless that is an address. `now_us` starts the handshake timer. `counters`
 * (borrowed, may be NULL) counts records, bytes and errors. A client's first flight is at once ready in
 * pel_tls_out_peek. Errors: NO_MEMORY, TLS_INTERNAL, ARG (a server_name that cannot be one: empty or over 255
 * characters), TLS_SERVER_NAME (SNI is required, and no name is known). The session belongs to one thread. */
PEL_MUST_USE enum pel_err pel_tls_new(struct pel_tls_env *env, const char *server_name, uint64_t now_us,
                                      struct pel_counters *counters, struct pel_tls **ret_tls);

/* pel_tls_new_bound is pel_tls_new for one of several users of the environment, a rule of the policy:
 * sessions and tickets of one `binding` resume at the same binding alone. pel_tls_new is bound to 0. */
PEL_MUST_USE enum pel_err pel_tls_new_bound(struct pel_tls_env *env, uint32_t binding,
                                            const char *server_name, uint64_t now_us,
                                            struct pel_counters *counters, struct pel_tls **ret_tls);

/* pel_tls_set_key_cache has the session keep its expanded keys in the thread's cache (tls/key_cache.h;
 * borrowed, must outlive it); before the handshake is done, else it changes nothing. */
struct pel_key_cache;
void pel_tls_set_key_cache(struct pel_tls *tls, struct pel_key_cache *cache);

/* pel_tls_set_active says which end of TCP the session is, where that is not what its role says (an FTP
 * server's data connection): the end that connected waits five times as long for the peer's first byte. Only
 * right after pel_tls_new, with its `now_us`. */
void pel_tls_set_active(struct pel_tls *tls, bool active, uint64_t now_us);

/* pel_tls_free wipes and frees the session at any moment. NULL is harmless. */
void pel_tls_free(struct pel_tls *tls);

/* pel_tls_feed takes bytes from the peer: as many of `len` as it can hold goes into `ret_used_len` (it holds
 * a bounded amount of unread records; feed the rest after pel_tls_read). Advances the handshake. PEL_OK also
 * when nothing became readable. Errors: TLS_*: final; STATE after pel_tls_feed_fin. */
PEL_MUST_USE enum pel_err pel_tls_feed(struct pel_tls *tls, const uint8_t *bytes, size_t len, uint64_t now_us,
                                       size_t *ret_used_len);

/* pel_tls_feed_fin says that the peer has ended the TCP stream, after every byte before it has been taken by
 * pel_tls_feed. Without a close_notify before it pel_tls_read ends with TLS_TRUNCATED after the last whole
 * record; during the handshake it is TLS_HANDSHAKE_FAILED at once. */
PEL_MUST_USE enum pel_err pel_tls_feed_fin(struct pel_tls *tls);

/* pel_tls_read copies out up to `cap` bytes of verified clear text. PEL_OK with `ret_len` > 0; AGAIN when
 * more must be fed first; EOF after the peer's close_notify; TLS_*: final. */
PEL_MUST_USE enum pel_err pel_tls_read(struct pel_tls *tls, uint8_t *bytes, size_t cap, size_t *ret_len);

/* pel_tls_write seals up to `len` bytes into records in the output; `ret_len` says how many (the output is
 * bounded, about 64 KiB: take from it and write on). AGAIN when not secure yet or the output is full; STATE
 * after pel_tls_close. */
PEL_MUST_USE enum pel_err pel_tls_write(struct pel_tls *tls, const uint8_t *bytes, size_t len,
                                        size_t *ret_len);

/* The straight way, without a copy: records opened from where TCP has put them to where the application wants
 * its bytes, and sealed where they will leave from.
 *
 * pel_tls_is_straight tells whether received bytes may go through pel_tls_open: secure, and nothing waits
 * inside. */
bool pel_tls_is_straight(const struct pel_tls *tls);

/* pel_tls_open opens the record that `pieces` (1 to 64) begin with into `room`, of which PEL_TLS_ROOM_LEN is
 * always enough; the first `ret_len` bytes of it are the application's then, 0 for a record of another kind,
 * and `ret_used_len` bytes of the pieces are done with. After a failure the room holds nothing that may be
 * shown. Errors: AGAIN (no whole record is there: nothing happened), STATE (not straight), ARG (too many
 * pieces, too little room), TLS_*: final. */
#define PEL_TLS_ROOM_LEN   (16384u + 256u)
#define PEL_TLS_RECORD_LEN 16384u /* the most that a record holds */
PEL_MUST_USE enum pel_err pel_tls_open(struct pel_tls *tls, const struct pel_piece *pieces, size_t num,
                                       uint8_t *room, size_t room_len, size_t *ret_used_len, size_t *ret_len);

/* pel_tls_sealed_len returns how long the record of the next `len` bytes (1 to 16384) is; 0: not now, use
 * pel_tls_write (output waits, a KeyUpdate is due, or the record layer is BoringSSL's). pel_tls_seal makes
 * that record at `record`, whose bytes must leave before anything else of the session. Errors: STATE (the
 * length was 0), TLS_INTERNAL. */
size_t pel_tls_sealed_len(const struct pel_tls *tls, size_t len);
PEL_MUST_USE enum pel_err pel_tls_seal(struct pel_tls *tls, const uint8_t *bytes, size_t len,
                                       uint8_t *record);

/* pel_tls_close queues a close_notify after what was written; reading goes on (half close). Harmless when
 * repeated or before the handshake is done (then nothing is sent). */
PEL_MUST_USE enum pel_err pel_tls_close(struct pel_tls *tls);

/* What a program that controls TLS itself may ask for.
 *
 * pel_tls_keep_rest says that bytes after the peer's close_notify are not the session's: pel_tls_feed takes
 * none of them, where it would take and drop them all.
 *
 * pel_tls_has_ended tells whether the peer's close_notify has come, and all before it been read.
 *
 * pel_tls_renew_keys renews the keys of what is sent; with `ask_peer` the peer is asked to renew its own (RFC
 * 8446 section 4.6.3). Errors: UNSUPPORTED (not TLS 1.3), STATE (not secure, or closed), NO_MEMORY,
 * TLS_INTERNAL: final.
 *
 * pel_tls_forget_session makes worthless what could resume the session, so that the peer's next handshake is
 * a full one: a client's sessions with the same server, and all tickets that a server's environment has
 * given, since tickets cannot be told apart.
 *
 * pel_tls_peer_cert returns the DER of the peer's certificate, valid as long as the session; NULL: none. */
void pel_tls_keep_rest(struct pel_tls *tls);
bool pel_tls_has_ended(const struct pel_tls *tls);
PEL_MUST_USE enum pel_err pel_tls_renew_keys(struct pel_tls *tls, bool ask_peer);
void pel_tls_forget_session(struct pel_tls *tls);
const uint8_t *pel_tls_peer_cert(const struct pel_tls *tls, size_t *ret_len);

/* pel_tls_out_peek shows the bytes that wait for the peer (`ret_len` 0: none), valid until the next call on
 * the session; pel_tls_out_consume drops the first `len` of them. */
const uint8_t *pel_tls_out_peek(const struct pel_tls *tls, size_t *ret_len);
void pel_tls_out_consume(struct pel_tls *tls, size_t len);

/* pel_tls_is_secure tells whether the handshake is done: the first moment at which application bytes may
 * pass. */
bool pel_tls_is_secure(const struct pel_tls *tls);

/* pel_tls_deadline_us returns when pel_tls_tick is due; UINT64_MAX for never. It changes with
 * pel_tls_feed and pel_tls_tick alone. */
uint64_t pel_tls_deadline_us(const struct pel_tls *tls);

/* pel_tls_tick tells the session the time. TLS_HANDSHAKE_START_TIMEOUT (no byte of the peer's hello came) and
 * TLS_HANDSHAKE_TIMEOUT are final. */
PEL_MUST_USE enum pel_err pel_tls_tick(struct pel_tls *tls, uint64_t now_us);

/* What is known of a session; strings are valid as long as the session. */
struct pel_tls_info {
    const char *state;        /* the state's name */
    const char *version;      /* "TLSv1.3"; "" before it is known */
    uint16_t version_number;  /* 0x0304; 0 before */
    uint16_t cipher;          /* IANA code point; 0 before */
    const char *cipher_name;  /* IANA name */
    uint16_t group;           /* IANA named group; 0 when unknown */
    const char *peer_subject; /* "CN=…,O=…" of the peer's certificate; "" when none */
    const char *user;         /* server: whom the client's certificate stands for (tls/users.h); "" nobody */
    const char *server_name;  /* SNI sent or received, else the name checked; "" when none */
    bool name_checked;        /* client: the certificate's name was compared with one */
    bool resumed;
    const char *
        failure; /* what went wrong, for people: alert or reason, with what the peer offered; "" if nothing */
};

/* pel_tls_info fills `ret_info`. */
void pel_tls_info(const struct pel_tls *tls, struct pel_tls_info *ret_info);

#endif
