/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/effective.h"

#include "policy/ciphers.h"

/* Where a rule's values come from, nearest first; any may be NULL. */
struct levels {
    struct pel_stmt *conn, *conn_adv, *env, *env_adv, *group;
};

/* The nearest statement of the two that has the slot. */
static const struct pel_param *either(const struct pel_stmt *near, const struct pel_stmt *far,
                                      enum pel_slot slot)
{
    const struct pel_param *param = pel_stmt_get(near, slot);
    return param != NULL ? param : pel_stmt_get(far, slot);
}

static uint32_t number_or(const struct pel_param *param, uint32_t otherwise)
{
    return param != NULL ? param->number : otherwise;
}

static const char *text_or_null(const struct pel_param *param)
{
    return param != NULL ? param->text : NULL;
}

#define OLD ((uint32_t)PEL_POLICY_TLS1_0 | PEL_POLICY_TLS1_1)

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

/* Versions that the rule's suites can serve, of those that are on. One that was turned on by name and falls
 * out is worth a word. */
static uint32_t served_versions(struct pel_parse *parse, const struct pel_stmt *rule,
                                const struct levels *levels, const struct pel_effective *effective,
                                uint32_t on)
{
    uint32_t served = effective->num_ciphers == 0 ? on : 0;
    for (size_t i = 0; i < effective->num_ciphers; i++)
        served |= on & pel_cipher_by_code(effective->ciphers[i])->versions;
    for (size_t i = 0; i < sizeof versions / sizeof *versions && served != 0; i++) {
        const struct pel_param *coded = either(levels->conn_adv, levels->env_adv, versions[i].slot);
        if ((on & ~served & versions[i].version) != 0 && coded != NULL)
            pel_diag_warning(&parse->diags, rule->pos,
                             "%s: %s is on, but no suite of the list is for it: not offered",
                             pel_stmt_title(rule).text, versions[i].name);
    }
    return served;
}

/* The versions that are on, coded or not. Old ones that the original's defaults turn on are worth a word. */
static uint32_t versions_on(struct pel_parse *parse, const struct pel_stmt *rule, const struct levels *levels)
{
    const bool zos = (parse->options.flags & PEL_POLICY_COMPAT_ZOS) != 0;
    uint32_t on = 0, uncoded = 0;
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
        const struct pel_param *coded = either(levels->conn_adv, levels->env_adv, versions[i].slot);
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
    pel_diag_warning(&parse->diags, rule->pos,
                     "%s: old versions are on, since not coded Off (compat zos):%s%s%s",
                     pel_stmt_title(rule).text, (uncoded & PEL_POLICY_TLS1_0) != 0 ? " TLSv1" : "",
                     (uncoded & PEL_POLICY_TLS1_1) != 0 ? " TLSv1.1" : "",
                     gap ? "; not offered, since TLSv1.2 is not on" : "");
    return gap ? on & ~(uncoded & OLD) : on;
}

/* Only versions without a gap can be offered. */
static void compile_versions(struct pel_parse *parse, struct pel_stmt *rule, const struct levels *levels,
                             struct pel_effective *effective)
{
    const struct pel_title title = pel_stmt_title(rule);
    const uint32_t on = versions_on(parse, rule, levels);
    if (on == 0) {
        pel_stmt_fail(parse, rule, rule->pos, "%s: no TLS version is on", title.text);
        return;
    }
    uint32_t served = served_versions(parse, rule, levels, effective, on);
    if (served == 0) {
        pel_stmt_fail(parse, rule, rule->pos, "%s: no suite of its list is for a TLS version that is on",
                      title.text);
        return;
    }
    if ((served & OLD) != 0 && (served & PEL_POLICY_TLS1_2) == 0 && (served & PEL_POLICY_TLS1_3) != 0) {
        pel_stmt_fail(parse, rule, rule->pos,
                      "%s: TLSv1.3 and an older version are on without TLSv1.2 between them", title.text);
        return;
    }
    if ((served & OLD) == PEL_POLICY_TLS1_0 && (served & PEL_POLICY_TLS1_2) != 0) {
        pel_diag_warning(&parse->diags, rule->pos, "%s: TLSv1 is on without TLSv1.1 above it: not offered",
                         title.text);
        served &= ~(uint32_t)PEL_POLICY_TLS1_0;
    }
    effective->versions = served;
}

static bool has_labels(const struct pel_stmt *stmt)
{
    const struct pel_param *item = stmt == NULL ? NULL : stmt->items;
    while (item != NULL && item->row->slot != PEL_SLOT_SERVER_CERT_LABEL)
        item = item->next;
    return item != NULL;
}

static enum pel_err compile_labels(struct pel_parse *parse, const struct levels *levels,
                                   struct pel_effective *effective)
{
    struct pel_stmt *from = levels->conn_adv; /* keeps the list for its next rule */
    if (!has_labels(from))
        from = levels->env_adv;
    effective->certificate_label =
        text_or_null(either(levels->conn_adv, levels->env_adv, PEL_SLOT_CERT_LABEL));
    if (!has_labels(from))
        return PEL_OK;
    size_t num = 0;
    for (const struct pel_param *item = from->items; item != NULL; item = item->next)
        num += item->row->slot == PEL_SLOT_SERVER_CERT_LABEL;
    if (from->compiled == NULL) {
        const char **labels = pel_arena_alloc(parse->kept, num * sizeof *labels);
        if (labels == NULL)
            return PEL_E_NO_MEMORY;
        num = 0;
        for (const struct pel_param *item = from->items; item != NULL; item = item->next) {
            if (item->row->slot == PEL_SLOT_SERVER_CERT_LABEL)
                labels[num++] = item->text;
        }
        from->compiled = labels;
    }
    effective->server_certificate_labels = from->compiled;
    effective->num_server_certificate_labels = num;
    return PEL_OK;
}

static void compile_suites_and_groups(const struct levels *levels, struct pel_effective *effective)
{
    const struct pel_param *ciphers = either(levels->conn, levels->env, PEL_SLOT_CIPHER_PARMS);
    const struct pel_param *signature = either(levels->conn, levels->env, PEL_SLOT_SIGNATURE_PARMS);
    if (ciphers != NULL) {
        effective->ciphers = ciphers->child->suites;
        effective->num_ciphers = ciphers->child->num_suites;
    }
    if (signature == NULL)
        return;
    const struct pel_param *groups =
        pel_stmt_get(signature->child,
                     effective->role == PEL_ROLE_CLIENT ? PEL_SLOT_CLIENT_CURVES : PEL_SLOT_SERVER_CURVES);
    if (groups != NULL && groups->groups != NULL) {
        effective->groups = groups->groups;
        effective->num_groups = groups->number;
    }
}

/* One of the parameters that a group has too. */
static bool is_secondary_map(const struct levels *levels)
{
    const struct pel_param *near = either(levels->conn_adv, levels->env_adv, PEL_SLOT_SECONDARY_MAP);
    const struct pel_stmt *group_adv = pel_stmt_child(levels->group, PEL_SLOT_ADVANCED);
    return number_or(near != NULL ? near : pel_stmt_get(group_adv, PEL_SLOT_SECONDARY_MAP), PEL_OFF) ==
           PEL_ON;
}

static void compile_keyring(const struct levels *levels, struct pel_effective *effective)
{
    const struct pel_stmt *keyring = pel_stmt_child(levels->env, PEL_SLOT_KEYRING_PARMS);
    effective->keyring = pel_stmt_get(keyring, PEL_SLOT_KEYRING)->text;
    effective->keyring_pw = text_or_null(pel_stmt_get(keyring, PEL_SLOT_KEYRING_PW));
    effective->keyring_stash_file = text_or_null(pel_stmt_get(keyring, PEL_SLOT_KEYRING_STASH));
}

enum pel_err pel_effective_compile(struct pel_parse *parse, struct pel_stmt *rule,
                                   struct pel_effective *ret_effective)
{
    struct levels levels = {.conn = pel_stmt_child(rule, PEL_SLOT_CONN_ACTION),
                            .env = pel_stmt_child(rule, PEL_SLOT_ENV_ACTION),
                            .group = pel_stmt_child(rule, PEL_SLOT_GROUP_ACTION)};
    struct pel_effective effective = {.keyring = "",
                                      .handshake_timeout_s = 10,
                                      .client_tickets = true,
                                      .client_auth = PEL_CLIENT_AUTH_REQUIRED};
    levels.conn_adv = pel_stmt_child(levels.conn, PEL_SLOT_ADVANCED);
    levels.env_adv = pel_stmt_child(levels.env, PEL_SLOT_ADVANCED);
    const struct pel_param *trace = either(levels.conn, levels.env, PEL_SLOT_TRACE);
    effective.trace = number_or(trace != NULL ? trace : pel_stmt_get(levels.group, PEL_SLOT_TRACE), 2);
    effective.ttls_enabled = pel_stmt_get(levels.group, PEL_SLOT_ENABLED)->number == PEL_ON;
    if (effective.ttls_enabled) {
        if (levels.env == NULL) {
            pel_stmt_fail(parse, rule, rule->pos,
                          "%s: TTLSEnvironmentAction or TTLSEnvironmentActionRef is required, "
                          "since its TTLSGroupAction has TTLSEnabled On",
                          pel_stmt_title(rule).text);
            return PEL_OK;
        }
        const struct pel_stmt *near = levels.conn_adv, *far = levels.env_adv;
        /* The values of both enums stand in the order of the schema's lists. */
        effective.role = (enum pel_handshake_role)either(levels.conn, levels.env, PEL_SLOT_ROLE)->number;
        effective.client_auth = (enum pel_client_auth_type)number_or(pel_stmt_get(far, PEL_SLOT_CLIENT_AUTH),
                                                                     PEL_CLIENT_AUTH_REQUIRED);
        effective.application_controlled =
            number_or(either(near, far, PEL_SLOT_APPL_CONTROLLED), PEL_OFF) == PEL_ON;
        effective.secondary_map = is_secondary_map(&levels);
        effective.handshake_timeout_s = number_or(either(near, far, PEL_SLOT_HANDSHAKE_TIMEOUT), 10);
        effective.client_tickets =
            number_or(pel_stmt_get(pel_stmt_child(levels.env, PEL_SLOT_GSK), PEL_SLOT_CLIENT_TICKETS),
                      PEL_ON) == PEL_ON;
        effective.host_reference_dns = text_or_null(either(near, far, PEL_SLOT_REF_DNS));
        effective.host_reference_cn = text_or_null(either(near, far, PEL_SLOT_REF_CN));
        compile_keyring(&levels, &effective);
        compile_suites_and_groups(&levels, &effective);
        PEL_TRY(compile_labels(parse, &levels, &effective));
        compile_versions(parse, rule, &levels, &effective);
    }
    *ret_effective = effective;
    return PEL_OK;
}
