/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An environment from the inside: what tls.h's functions check and keep. Immutable once pel_tls_env_new
 * has returned it, so sessions of many threads read it without locks; only the reference count is written,
 * and a client's cache of sessions, which has a lock of its own.
 */
#ifndef PEL_TLS_ENV_H
#define PEL_TLS_ENV_H

#include "tls/context.h"
#include "tls/ipsecmb/ipsecmb.h"
#include "tls/offer.h"
#include "tls/sessions.h"
#include "tls/tls.h"
#include "tls/users.h"

/* What a peer must bring beyond a chain that holds; 0 and false: nothing. */
struct pel_peer_demands {
    uint32_t min_rsa_bits, min_ecc_bits, min_own_rsa_bits;
    bool cert_version_3, extended_master_secret, renegotiation_indicated, des_key_check;
};

struct pel_tls_env {
    uint32_t num_refs; /* atomic */
    enum pel_tls_role role;
    enum pel_tls_client_auth client_auth;
    struct pel_tls_offer ours; /* what is configured, after the checks */
    bool default_sigalgs;      /* those of `ours` are BoringSSL's own */
    uint16_t tls13_groups[PEL_OFFER_MAX_GROUPS], key_shares[2];
    uint16_t cert_sigalgs[PEL_OFFER_MAX_SIGALGS];
    uint8_t num_tls13_groups, num_key_shares, num_cert_sigalgs; /* 0: as `groups`; the first; any */
    enum pel_tls_demand sni;                                    /* never DEFAULT */
    bool sni_match;
    char *sni_name, *reference_dns, *reference_cn; /* NULL: none */
    bool reference_wildcards;
    struct pel_peer_demands demands;
    uint64_t handshake_timeout_us, reset_cipher_us;
    struct pel_tls_sessions session_config; /* with the defaults filled in */
    int64_t cert_expiry_s;
    struct pel_users *users; /* a server's that asks for certificates; NULL: its ring has none */
    struct pel_ctx *ctx;
    struct pel_ipsecmb *ipsecmb;
    struct pel_sessions *sessions; /* a client's, to resume; a server has none */
    bool library_records;          /* BoringSSL's record layer for every suite: set by tests alone */
};

/* pel_env_lists checks the versions, suites and groups of `config` against each other and writes them into
 * `ret_ours`: TLS 1.3 goes when no suite of it is listed, the others when only suites of it are. Errors:
 * TLS_CONFIG. Any thread. */
PEL_MUST_USE enum pel_err pel_env_lists(const struct pel_tls_config *config, struct pel_tls_offer *ret_ours,
                                        struct pel_error *reterr);

/* pel_env_has_version tells whether the environment speaks `version` (0x0304 for TLS 1.3). */
static inline bool pel_env_has_version(const struct pel_tls_env *env, uint16_t version)
{
    return pel_offer_has_version(&env->ours, version);
}

#endif
