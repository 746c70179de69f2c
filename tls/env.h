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

struct pel_tls_env {
    uint32_t num_refs; /* atomic */
    enum pel_tls_role role;
    enum pel_tls_client_auth client_auth;
    struct pel_tls_offer ours; /* what is configured, after the checks; sigalgs are BoringSSL's own */
    uint64_t handshake_timeout_us;
    int64_t cert_expiry_s;
    bool no_tickets; /* a client's */
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
