/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A policy in the language of z/OS AT-TLS: text -> checked model -> immutable generation -> verdict. Pure: no
 * socket, no clock, no global; files come in as text.
 *
 *     pel_policy_parse (every error of the text in one pass) -> pel_policy_lookup per connection ->
 * pel_policy_unref
 *
 * A generation is immutable and reference-counted: a connection that was mapped keeps its generation until it
 * closes. Failure: any error in the text and no policy is made; warnings do not stop it. The order of rules
 * is the original's: priority, then name.
 */
#ifndef PEL_POLICY_POLICY_H
#define PEL_POLICY_POLICY_H

#include <pellucid/policy.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/err.h"

struct pel_policy;

/* A note is about what is accepted and has no effect here; nothing makes it an error. */
enum pel_severity { PEL_SEV_NOTE, PEL_SEV_WARNING, PEL_SEV_ERROR };

/* pel_severity_name returns "note", "warning" or "error". Any thread. */
const char *pel_severity_name(enum pel_severity severity);

/* One message about a policy text. `line` and `column` count from 1; columns are bytes. */
struct pel_policy_diag {
    enum pel_severity severity;
    const char *file;
    uint32_t line;
    uint32_t column;
    const char *message; /* without position and severity */
};

/* Takes messages in the order of the text; the pointers are valid during the call. */
typedef void pel_policy_diag_fn(void *arg, const struct pel_policy_diag *diag);

/* A text and the name that messages give it. Borrowed for the time of the call. */
struct pel_policy_source {
    const char *file;
    const char *text; /* any bytes; need not end with NUL */
    size_t text_len;
    bool apart; /* names in it are its own, but for the rules': references to and from others do not meet */
};

/* pel_policy_parse reads one or more texts as one policy and makes a generation with one reference, the
 * caller's. `options` may be NULL; of it only PEL_POLICY_COMPAT_ZOS matters here. Every message of all texts
 * goes to `diag` (may be NULL), at most 100 errors. Errors:
 * POLICY_SYNTAX (at least one error was reported), NO_MEMORY. `ret_num_warnings` may be NULL. Any thread. */
PEL_MUST_USE enum pel_err pel_policy_parse(const struct pel_policy_source *sources, size_t num_sources,
                                           const struct pel_policy_options *options, pel_policy_diag_fn *diag,
                                           void *diag_arg, struct pel_policy **ret_policy,
                                           size_t *ret_num_warnings);

/* pel_policy_ref takes a reference; pel_policy_unref drops one and frees the policy with the last. NULL is
 * harmless. Any thread. */
struct pel_policy *pel_policy_ref(struct pel_policy *policy);
void pel_policy_unref(struct pel_policy *policy);

enum pel_direction { PEL_INBOUND = 1, PEL_OUTBOUND = 2, PEL_BOTH = 3 };

enum pel_handshake_role { PEL_ROLE_CLIENT, PEL_ROLE_SERVER, PEL_ROLE_SERVER_WITH_CLIENT_AUTH };

enum pel_client_auth_type {
    PEL_CLIENT_AUTH_PASSTHRU,
    PEL_CLIENT_AUTH_FULL,
    PEL_CLIENT_AUTH_REQUIRED,
    PEL_CLIENT_AUTH_SAFCHECK,
};

enum pel_policy_version {
    PEL_POLICY_TLS1_0 = 1,
    PEL_POLICY_TLS1_1 = 2,
    PEL_POLICY_TLS1_2 = 4,
    PEL_POLICY_TLS1_3 = 8,
};

/* Off, or what is done when the peer cannot: go on without, or refuse. In the order of the schema. */
enum pel_demand { PEL_DEMAND_OFF, PEL_DEMAND_OPTIONAL, PEL_DEMAND_REQUIRED };

/* Which sessions are kept, and how long they may be resumed. */
struct pel_effective_sessions {
    uint32_t timeout_s;                  /* up to TLS 1.2; 0: none is resumed */
    uint32_t max_kept;                   /* of a client, up to TLS 1.2; 0: none is resumed, in either role */
    bool client_tickets, server_tickets; /* TLS 1.3 */
    bool server_ticket_aes256;           /* else AES-128 seals tickets */
    uint32_t client_ticket_max_len, client_tickets_max_kept;
    uint32_t server_ticket_count, server_ticket_timeout_s, server_ticket_refresh_s;
};

/* What holds in effect for a rule, after inheritance connection -> environment -> group -> default. All
 * pointers belong to the policy; strings are never NULL unless said. */
struct pel_effective {
    bool ttls_enabled;
    bool application_controlled;
    bool secondary_map; /* connections mapped by it are primaries: stack/secondary.h */
    enum pel_handshake_role role;
    enum pel_client_auth_type client_auth;
    uint32_t versions;       /* enum pel_policy_version */
    const uint16_t *ciphers; /* IANA code points in the policy's order */
    size_t num_ciphers;      /* 0: not coded */
    /* IANA named groups, most wanted first; none: not coded. */
    const uint16_t *groups; /* a client offers, a server takes up to TLS 1.2 */
    size_t num_groups;
    const uint16_t *tls13_groups; /* a server takes in TLS 1.3; the default ones where not coded */
    size_t num_tls13_groups;
    const uint16_t *key_shares; /* a client sends a key share for at once */
    size_t num_key_shares;
    /* IANA signature schemes, most wanted first; none: not coded. */
    const uint16_t *signatures; /* of the handshake, in TLS 1.2 and 1.3 */
    size_t num_signatures;
    const uint16_t *cert_signatures; /* of the peer's certificates */
    size_t num_cert_signatures;
    const char *keyring; /* as written: "ring", "user/ring", "/path", the ring *AUTH*; "" when not enabled */
    const char *keyring_pw;         /* NULL when not coded */
    const char *keyring_stash_file; /* NULL when not coded */
    const char *certificate_label;  /* NULL: not coded; "": coded empty, no certificate */
    const char *const *server_certificate_labels;
    size_t num_server_certificate_labels;
    enum pel_demand sni;                  /* of the role: a client sends a name, a server looks at it */
    bool sni_match;                       /* of the role: a name that the server does not know is refused */
    const char *client_sni_name;          /* NULL when not coded */
    const char *const *server_sni_hosts;  /* a name that a client may ask for, */
    const char *const *server_sni_labels; /* and beside it the label of its certificate */
    size_t num_server_sni;
    const char *host_reference_dns; /* NULL when not coded */
    const char *host_reference_cn;  /* NULL when not coded */
    bool host_reference_wildcards;
    bool fips;                            /* FIPS140: said in displays; the lists are cut already */
    uint32_t min_rsa_bits, min_ecc_bits;  /* of the peer's keys */
    bool cert_version_3;                  /* of the peer's certificates, no older one */
    bool extended_master_secret_required; /* of the role; up to TLS 1.2 */
    bool renegotiation_indicated;         /* the peer must; up to TLS 1.2 */
    bool des_key_check;                   /* keys of 3DES with equal parts are refused */
    uint32_t handshake_timeout_s;         /* 0 to 600; 0: none */
    uint32_t reset_cipher_s;              /* TLS 1.3: age at which keys are renewed; 0: never */
    struct pel_effective_sessions sessions;
    uint32_t trace; /* bits 0 to 255 */
};

struct pel_rule {
    const char *name;
    uint32_t index; /* in match order, from 0 */
    uint32_t priority;
    enum pel_direction direction;
    const char *group_action;
    const char *environment_action; /* "" when none */
    const char *connection_action;  /* "" when none */
    uint32_t settings;              /* rules with the same number have the same effective values */
    struct pel_effective effective;
};

/* pel_policy_num_rules and pel_policy_rule give the rules in match order. The rule belongs to the policy. Any
 * thread. */
size_t pel_policy_num_rules(const struct pel_policy *policy);
const struct pel_rule *pel_policy_rule(const struct pel_policy *policy, size_t index);

/* What an engine remembers of the policy that it asks: which time conditions hold, and until when. All zero
 * is an empty one. It belongs to one thread; it is cleared when the engine takes another policy. */
enum { PEL_POLICY_NOTES = 64 };

struct pel_policy_note {
    const void *time;
    int64_t from_s, until_s;
    bool holds;
};

struct pel_policy_cache {
    const struct pel_policy *policy;
    struct pel_policy_note notes[PEL_POLICY_NOTES];
};

/* pel_policy_num_settings returns how many different pel_rule.settings there are: 0 to that less 1. Any
 * thread. */
size_t pel_policy_num_settings(const struct pel_policy *policy);

/* One connection, as the policy sees it. */
struct pel_policy_query {
    struct pel_endpoint local;
    struct pel_endpoint remote;
    enum pel_direction direction;   /* PEL_INBOUND: passive open; PEL_OUTBOUND: active open */
    const char *user;               /* NULL or "": unknown, which matches only rules without a Userid */
    const char *job;                /* likewise */
    int64_t wall_s;                 /* seconds since 1970 UTC, for time conditions */
    struct pel_policy_cache *cache; /* the asking thread's; NULL: time conditions are worked out each time */
};

/* pel_policy_lookup returns the first rule that matches, or NULL. The rule belongs to the policy: hold a
 * reference as long as it is used. Any thread; allocates nothing. */
const struct pel_rule *pel_policy_lookup(const struct pel_policy *policy,
                                         const struct pel_policy_query *query);

#endif
