/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/effective_parts.h"

#include "policy/ciphers.h"
#include "policy/signatures.h"

#define OLD ((uint32_t)PEL_POLICY_TLS1_0 | PEL_POLICY_TLS1_1)

const struct pel_param *pel_eff_get(const struct pel_eff *eff, enum pel_slot slot)
{
    const struct pel_param *param = pel_stmt_get(eff->conn_adv, slot);
    return param != NULL ? param : pel_stmt_get(eff->env_adv, slot);
}

static uint32_t number_or(const struct pel_param *param, uint32_t otherwise)
{
    return param != NULL ? param->number : otherwise;
}

static const char *text_or_null(const struct pel_param *param)
{
    return param != NULL ? param->text : NULL;
}

uint32_t pel_eff_number(const struct pel_eff *eff, enum pel_slot slot, uint32_t otherwise)
{
    return number_or(pel_eff_get(eff, slot), otherwise);
}

const char *pel_eff_text(const struct pel_eff *eff, enum pel_slot slot)
{
    return text_or_null(pel_eff_get(eff, slot));
}

static const struct {
    enum pel_slot slot;
    uint32_t version;
    bool on_by_default, on_by_default_zos;
    const char *name;
} versions[] = {
    {PEL_SLOT_TLSV1, PEL_POLICY_TLS1_0, false, true, "TLSv1"},
    {PEL_SLOT_TLSV1_1, PEL_POLICY_TLS1_1, false, true, "TLSv1.1"},
    {PEL_SLOT_TLSV1_2, PEL_POLICY_TLS1_2, true, false, "TLSv1.2"},
    {PEL_SLOT_TLSV1_3, PEL_POLICY_TLS1_3, true, false, "TLSv1.3"},
};

static void warn(const struct pel_eff *eff, const char *version, const char *why, const char *more)
{
    pel_diag_warning(&eff->parse->diags, eff->rule->pos, "%s: %s is on, but %s%s: not offered",
                     pel_stmt_title(eff->rule).text, version, why, more);
}

/* Versions that the rule's suites can serve, of those that are on. One that was turned on by name and falls
 * out is worth a word. */
static uint32_t served_by_suites(const struct pel_eff *eff, uint32_t on)
{
    const struct pel_effective *e = &eff->values;
    uint32_t served = e->num_ciphers == 0 ? on : 0;
    for (size_t i = 0; i < e->num_ciphers; i++)
        served |= on & pel_cipher_by_code(e->ciphers[i])->versions;
    for (size_t i = 0; i < sizeof versions / sizeof *versions && served != 0; i++) {
        if ((on & ~served & versions[i].version) != 0 && pel_eff_get(eff, versions[i].slot) != NULL)
            warn(eff, versions[i].name, "no suite of the list is for it", "");
    }
    return served;
}

/* Of TLS 1.3, whose signatures a list from before it may lack. */
static uint32_t served_by_signatures(const struct pel_eff *eff, uint32_t on)
{
    const struct pel_effective *e = &eff->values;
    const bool coded = pel_eff_get(eff, PEL_SLOT_TLSV1_3) != NULL;
    bool any = e->num_signatures == 0, rsa = any, old_rsa = false;
    for (size_t i = 0; i < e->num_signatures; i++) {
        const struct pel_signature *signature = pel_signature_by_code(e->signatures[i]);
        any |= signature->tls13;
        rsa |= signature->tls13 && signature->rsa;
        old_rsa |= signature->rsa;
    }
    if ((on & PEL_POLICY_TLS1_3) == 0 || (any && (rsa || !old_rsa)))
        return on;
    if (any && coded) {
        pel_diag_warning(
            &eff->parse->diags, eff->rule->pos,
            "%s: SignaturePairs has no 0804, 0805 or 0806: in TLS 1.3 no RSA certificate can be used",
            pel_stmt_title(eff->rule).text);
        return on;
    }
    /* Without any in common with RSA keys a peer that speaks TLS 1.3 could not fall back to TLS 1.2. */
    if ((on & ~(uint32_t)PEL_POLICY_TLS1_3) == 0 && any)
        return on;
    warn(eff, "TLSv1.3",
         any ? "SignaturePairs has no 0804, 0805 or 0806 for RSA certificates in it"
             : "no signature of SignaturePairs is for it",
         any ? " (code TLSv1.3 On to offer it all the same)" : "");
    return on & ~(uint32_t)PEL_POLICY_TLS1_3;
}

static uint32_t served_by_profiles(const struct pel_eff *eff, uint32_t on)
{
    const struct pel_profile *profiles[2];
    size_t num = pel_profiles_of(eff->env, eff->values.fips, profiles);
    for (size_t k = 0; k < num; k++) {
        for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
            bool falls_out = (on & versions[i].version & ~profiles[k]->versions) != 0;
            if (falls_out && number_or(pel_eff_get(eff, versions[i].slot), PEL_OFF) == PEL_ON)
                warn(eff, versions[i].name, "not allowed by ", profiles[k]->name);
        }
        on &= profiles[k]->versions;
    }
    return on;
}

/* The versions that are on, coded or not. Old ones that the original's defaults turn on are worth a word. */
static uint32_t versions_on(const struct pel_eff *eff)
{
    const bool zos = (eff->parse->options.flags & PEL_POLICY_COMPAT_ZOS) != 0;
    uint32_t on = 0, uncoded = 0;
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
        const struct pel_param *coded = pel_eff_get(eff, versions[i].slot);
        bool by_default = zos ? versions[i].on_by_default_zos : versions[i].on_by_default;
        if (coded != NULL ? coded->number == PEL_ON : by_default)
            on |= versions[i].version;
        if (coded == NULL && by_default)
            uncoded |= versions[i].version;
    }
    if (!zos || (uncoded & OLD) == 0)
        return on;
    /* No gap may remain between what the defaults turn on and TLS 1.3. */
    bool gap = (on & PEL_POLICY_TLS1_3) != 0 && (on & PEL_POLICY_TLS1_2) == 0;
    pel_diag_warning(&eff->parse->diags, eff->rule->pos,
                     "%s: old versions are on, since not coded Off (compat zos):%s%s%s",
                     pel_stmt_title(eff->rule).text, (uncoded & PEL_POLICY_TLS1_0) != 0 ? " TLSv1" : "",
                     (uncoded & PEL_POLICY_TLS1_1) != 0 ? " TLSv1.1" : "",
                     gap ? "; not offered, since TLSv1.2 is not on" : "");
    return gap ? on & ~(uncoded & OLD) : on;
}

static void fail(const struct pel_eff *eff, const char *text)
{
    pel_stmt_fail(eff->parse, eff->rule, eff->rule->pos, "%s: %s", pel_stmt_title(eff->rule).text, text);
}

/* Only versions without a gap can be offered. */
void pel_eff_versions(struct pel_eff *eff)
{
    uint32_t on = versions_on(eff);
    if (on == 0) {
        fail(eff, "no TLS version is on");
        return;
    }
    on = served_by_profiles(eff, on);
    if (on == 0) {
        fail(eff, "no TLS version that is on is allowed by its SuiteBProfile or FIPS140");
        return;
    }
    uint32_t served = served_by_suites(eff, on);
    if (served == 0) {
        fail(eff, "no suite of its list is for a TLS version that is on");
        return;
    }
    served = served_by_signatures(eff, served);
    if (served == 0) {
        fail(eff, "no signature of its SignaturePairs is for a TLS version that is on");
        return;
    }
    if ((served & OLD) != 0 && (served & PEL_POLICY_TLS1_2) == 0 && (served & PEL_POLICY_TLS1_3) != 0) {
        fail(eff, "TLSv1.3 and an older version are on without TLSv1.2 between them");
        return;
    }
    if ((served & OLD) == PEL_POLICY_TLS1_0 && (served & PEL_POLICY_TLS1_2) != 0) {
        pel_diag_warning(&eff->parse->diags, eff->rule->pos,
                         "%s: TLSv1 is on without TLSv1.1 above it: not offered",
                         pel_stmt_title(eff->rule).text);
        served &= ~(uint32_t)PEL_POLICY_TLS1_0;
    }
    eff->values.versions = served;
}

static void compile_keyring(struct pel_eff *eff)
{
    const struct pel_stmt *keyring = pel_stmt_child(eff->env, PEL_SLOT_KEYRING_PARMS);
    eff->values.keyring = pel_stmt_get(keyring, PEL_SLOT_KEYRING)->text;
    eff->values.keyring_pw = text_or_null(pel_stmt_get(keyring, PEL_SLOT_KEYRING_PW));
    eff->values.keyring_stash_file = text_or_null(pel_stmt_get(keyring, PEL_SLOT_KEYRING_STASH));
}

/* Names: which a client sends and checks, which a server knows. */
static void compile_names(struct pel_eff *eff)
{
    struct pel_effective *e = &eff->values;
    const bool client = e->role == PEL_ROLE_CLIENT;
    e->host_reference_dns = pel_eff_text(eff, PEL_SLOT_REF_DNS);
    e->host_reference_cn = pel_eff_text(eff, PEL_SLOT_REF_CN);
    e->host_reference_wildcards = pel_eff_number(eff, PEL_SLOT_REF_WILDCARDS, PEL_OFF) == PEL_ON;
    e->sni = client ? (enum pel_demand)pel_eff_number(eff, PEL_SLOT_CLIENT_SNI, PEL_DEMAND_OPTIONAL)
                    : (enum pel_demand)pel_eff_number(eff, PEL_SLOT_SERVER_SNI, PEL_DEMAND_OFF);
    e->sni_match =
        pel_eff_number(eff, client ? PEL_SLOT_CLIENT_SNI_MATCH : PEL_SLOT_SERVER_SNI_MATCH, 0) == 1;
    e->client_sni_name = pel_eff_text(eff, PEL_SLOT_CLIENT_SNI_NAME);
}

/* What the peer must show, beyond a chain that holds. */
static void compile_demands(struct pel_eff *eff)
{
    /* In the order of the schema's values: who must show that it knows RFC 5746. */
    enum { INDICATOR_OPTIONAL, INDICATOR_CLIENT, INDICATOR_SERVER, INDICATOR_BOTH };
    struct pel_effective *e = &eff->values;
    const bool client = e->role == PEL_ROLE_CLIENT;
    uint32_t indicator = number_or(pel_stmt_get(eff->env_adv, PEL_SLOT_RENEGOTIATION_INDICATOR), 0);
    uint32_t secret = number_or(
        pel_stmt_get(eff->env_adv, client ? PEL_SLOT_CLIENT_MASTER_SECRET : PEL_SLOT_SERVER_MASTER_SECRET),
        PEL_ON);
    e->min_rsa_bits = number_or(pel_stmt_get(eff->env_adv, PEL_SLOT_MIN_RSA), 1024);
    e->min_ecc_bits = number_or(pel_stmt_get(eff->env_adv, PEL_SLOT_MIN_ECC), 192);
    e->cert_version_3 = number_or(pel_stmt_get(eff->env_adv, PEL_SLOT_MIN_CERT_VERSION), 0) == 1;
    e->extended_master_secret_required = secret == 2;
    e->renegotiation_indicated =
        indicator == INDICATOR_BOTH || indicator == (client ? INDICATOR_SERVER : INDICATOR_CLIENT);
    e->des_key_check = number_or(pel_stmt_get(eff->env_adv, PEL_SLOT_DES_KEY_CHECK), PEL_OFF) == PEL_ON;
}

static void compile_sessions(struct pel_eff *eff)
{
    struct pel_effective_sessions *s = &eff->values.sessions;
    const struct pel_stmt *gsk = eff->gsk;
    s->timeout_s = number_or(pel_stmt_get(gsk, PEL_SLOT_SESSION_TIMEOUT), 86400);
    s->max_kept = number_or(pel_stmt_get(gsk, PEL_SLOT_SESSION_CACHE), 512);
    s->client_tickets = number_or(pel_stmt_get(gsk, PEL_SLOT_CLIENT_TICKETS), PEL_ON) == PEL_ON;
    s->client_ticket_max_len = number_or(pel_stmt_get(gsk, PEL_SLOT_CLIENT_TICKET_LEN), 8192);
    s->client_tickets_max_kept = number_or(pel_stmt_get(gsk, PEL_SLOT_CLIENT_TICKETS_KEPT), 64);
    s->server_tickets = number_or(pel_stmt_get(gsk, PEL_SLOT_SERVER_TICKETS), PEL_ON) == PEL_ON;
    s->server_ticket_aes256 = number_or(pel_stmt_get(gsk, PEL_SLOT_SERVER_TICKET_CIPHER), 0) == 1;
    s->server_ticket_count = number_or(pel_stmt_get(gsk, PEL_SLOT_SERVER_TICKET_COUNT), 2);
    s->server_ticket_timeout_s = number_or(pel_stmt_get(gsk, PEL_SLOT_SERVER_TICKET_TIMEOUT), 300);
    s->server_ticket_refresh_s = number_or(pel_stmt_get(gsk, PEL_SLOT_SERVER_TICKET_REFRESH), 300);
}

/* One of the parameters that a group has too. */
static bool is_secondary_map(const struct pel_eff *eff)
{
    const struct pel_param *near = pel_eff_get(eff, PEL_SLOT_SECONDARY_MAP);
    const struct pel_stmt *group_adv = pel_stmt_child(eff->group, PEL_SLOT_ADVANCED);
    return number_or(near != NULL ? near : pel_stmt_get(group_adv, PEL_SLOT_SECONDARY_MAP), PEL_OFF) ==
           PEL_ON;
}

/* What is coded and cannot do what it seems to. */
static void remark(const struct pel_eff *eff)
{
    const struct pel_effective *e = &eff->values;
    if (e->reset_cipher_s > 0 && e->versions != 0 && (e->versions & PEL_POLICY_TLS1_3) == 0)
        pel_diag_note(
            &eff->parse->diags, eff->rule->pos,
            "%s: ResetCipherTimer: accepted, no effect: only TLS 1.3 renews its keys, and it is not offered",
            pel_stmt_title(eff->rule).text);
    if (e->role != PEL_ROLE_CLIENT && e->sni != PEL_DEMAND_OFF && e->sni_match && e->num_server_sni == 0)
        pel_diag_warning(
            &eff->parse->diags, eff->rule->pos,
            "%s: ServerHandshakeSNIMatch is Required, but ServerHandshakeSNIList has no name: every "
            "client that names a server is refused",
            pel_stmt_title(eff->rule).text);
}

static enum pel_err compile_enabled(struct pel_eff *eff)
{
    struct pel_effective *e = &eff->values;
    const struct pel_param *role = pel_stmt_get(eff->conn, PEL_SLOT_ROLE);
    /* The values of both enums stand in the order of the schema's lists. */
    e->role = (enum pel_handshake_role)(role != NULL ? role : pel_stmt_get(eff->env, PEL_SLOT_ROLE))->number;
    e->client_auth = (enum pel_client_auth_type)number_or(pel_stmt_get(eff->env_adv, PEL_SLOT_CLIENT_AUTH),
                                                          PEL_CLIENT_AUTH_REQUIRED);
    e->application_controlled = pel_eff_number(eff, PEL_SLOT_APPL_CONTROLLED, PEL_OFF) == PEL_ON;
    e->secondary_map = is_secondary_map(eff);
    e->handshake_timeout_s = pel_eff_number(eff, PEL_SLOT_HANDSHAKE_TIMEOUT, 10);
    e->reset_cipher_s = 60 * pel_eff_number(eff, PEL_SLOT_RESET_CIPHER, 0);
    compile_keyring(eff);
    compile_names(eff);
    compile_demands(eff);
    compile_sessions(eff);
    PEL_TRY(pel_eff_labels(eff));
    PEL_TRY(pel_eff_lists(eff));
    if (!eff->rule->bad)
        pel_eff_versions(eff);
    remark(eff);
    return PEL_OK;
}

enum pel_err pel_effective_compile(struct pel_parse *parse, struct pel_stmt *rule,
                                   struct pel_effective *ret_effective)
{
    struct pel_eff eff = {.parse = parse,
                          .rule = rule,
                          .conn = pel_stmt_child(rule, PEL_SLOT_CONN_ACTION),
                          .env = pel_stmt_child(rule, PEL_SLOT_ENV_ACTION),
                          .group = pel_stmt_child(rule, PEL_SLOT_GROUP_ACTION),
                          .values = {.keyring = ""}};
    eff.conn_adv = pel_stmt_child(eff.conn, PEL_SLOT_ADVANCED);
    eff.env_adv = pel_stmt_child(eff.env, PEL_SLOT_ADVANCED);
    eff.gsk = pel_stmt_child(eff.env, PEL_SLOT_GSK);
    eff.signature = pel_stmt_child(eff.conn, PEL_SLOT_SIGNATURE_PARMS);
    if (eff.signature == NULL)
        eff.signature = pel_stmt_child(eff.env, PEL_SLOT_SIGNATURE_PARMS);
    const struct pel_param *trace = pel_stmt_get(eff.conn, PEL_SLOT_TRACE);
    if (trace == NULL)
        trace = pel_stmt_get(eff.env, PEL_SLOT_TRACE);
    eff.values.trace = number_or(trace != NULL ? trace : pel_stmt_get(eff.group, PEL_SLOT_TRACE), 2);
    eff.values.ttls_enabled = pel_stmt_get(eff.group, PEL_SLOT_ENABLED)->number == PEL_ON;
    eff.values.fips = number_or(pel_stmt_get(eff.group, PEL_SLOT_FIPS), PEL_OFF) != PEL_OFF;
    if (eff.values.ttls_enabled && eff.env != NULL) /* else it was reported */
        PEL_TRY(compile_enabled(&eff));
    *ret_effective = eff.values;
    return PEL_OK;
}
