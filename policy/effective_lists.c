/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lists of a rule: certificates by label and by name, suites, groups, key shares and signatures.
 */
#include <stdio.h>
#include <string.h>

#include "policy/effective_parts.h"

/* ---- certificates ---- */

/* What the labels and names of an advanced statement come to, kept with it for its next rule. */
struct adv_lists {
    const char **labels, **sni_hosts, **sni_labels;
    size_t num_labels, num_sni;
};

static size_t count(const struct pel_stmt *stmt, enum pel_slot slot)
{
    size_t num = 0;
    for (const struct pel_param *item = stmt->items; item != NULL; item = item->next)
        num += item->row->slot == slot;
    return num;
}

static enum pel_err make_lists(struct pel_parse *parse, struct pel_stmt *stmt, struct adv_lists **ret_lists)
{
    size_t num_labels = count(stmt, PEL_SLOT_SERVER_CERT_LABEL),
           num_sni = count(stmt, PEL_SLOT_SERVER_SNI_NAME);
    struct adv_lists *lists = pel_arena_alloc(parse->kept, sizeof *lists);
    const char **texts = pel_arena_alloc(parse->kept, (num_labels + 2 * num_sni) * sizeof *texts);
    if (lists == NULL || texts == NULL)
        return PEL_E_NO_MEMORY;
    *lists = (struct adv_lists){
        .labels = texts, .sni_hosts = texts + num_labels, .sni_labels = texts + num_labels + num_sni};
    for (const struct pel_param *item = stmt->items; item != NULL; item = item->next) {
        if (item->row->slot == PEL_SLOT_SERVER_CERT_LABEL)
            lists->labels[lists->num_labels++] = item->text;
        if (item->row->slot != PEL_SLOT_SERVER_SNI_NAME)
            continue;
        lists->sni_hosts[lists->num_sni] = item->pair;
        lists->sni_labels[lists->num_sni++] = item->pair + strlen(item->pair) + 1;
    }
    stmt->compiled = lists;
    *ret_lists = lists;
    return PEL_OK;
}

/* NULL for no statement. Many rules may share one of many items: those are looked at once. */
static enum pel_err lists_of(struct pel_parse *parse, struct pel_stmt *stmt, struct adv_lists **ret_lists)
{
    *ret_lists = stmt != NULL ? stmt->compiled : NULL;
    return stmt == NULL || *ret_lists != NULL ? PEL_OK : make_lists(parse, stmt, ret_lists);
}

enum pel_err pel_eff_labels(struct pel_eff *eff)
{
    struct pel_effective *e = &eff->values;
    struct adv_lists *conn = NULL, *env = NULL;
    e->certificate_label = pel_eff_text(eff, PEL_SLOT_CERT_LABEL);
    PEL_TRY(lists_of(eff->parse, eff->conn_adv, &conn));
    PEL_TRY(lists_of(eff->parse, eff->env_adv, &env));
    const struct adv_lists *labels = conn != NULL && conn->num_labels > 0 ? conn : env;
    const struct adv_lists *sni = conn != NULL && conn->num_sni > 0 ? conn : env;
    if (labels != NULL) {
        e->server_certificate_labels = labels->labels;
        e->num_server_certificate_labels = labels->num_labels;
    }
    if (sni != NULL) {
        e->server_sni_hosts = sni->sni_hosts;
        e->server_sni_labels = sni->sni_labels;
        e->num_server_sni = sni->num_sni;
    }
    return PEL_OK;
}

/* ---- groups and signatures ---- */

static void take(const struct pel_eff *eff, enum pel_slot slot, const uint16_t **ret_codes, size_t *ret_num)
{
    const struct pel_param *param = pel_stmt_get(eff->signature, slot);
    if (param == NULL || param->groups == NULL)
        return; /* not coded, or Any */
    *ret_codes = param->groups;
    *ret_num = param->number;
}

static bool offers_group(const struct pel_effective *e, uint16_t group)
{
    for (size_t i = 0; i < e->num_groups; i++) {
        if (e->groups[i] == group)
            return true;
    }
    return e->num_groups == 0;
}

/* A client sends key shares for groups that it offers, and not for many: each costs it a key pair. */
static enum pel_err cut_key_shares(struct pel_eff *eff)
{
    struct pel_effective *e = &eff->values;
    const char *title = NULL;
    if (e->num_key_shares == 0)
        return PEL_OK;
    uint16_t *kept = pel_arena_alloc(eff->parse->kept, PEL_MAX_KEY_SHARES * sizeof *kept);
    size_t num = 0, num_offered = 0;
    if (kept == NULL)
        return PEL_E_NO_MEMORY;
    for (size_t i = 0; i < e->num_key_shares; i++) {
        if (!offers_group(e, e->key_shares[i]))
            continue;
        if (num_offered++ < PEL_MAX_KEY_SHARES)
            kept[num++] = e->key_shares[i];
    }
    struct pel_title of_rule = pel_stmt_title(eff->rule);
    title = of_rule.text;
    if (num == 0)
        pel_stmt_fail(eff->parse, eff->rule, eff->rule->pos,
                      "%s: no group of ClientKeyShareGroups is offered (ClientECurves)", title);
    else if (num_offered < e->num_key_shares)
        pel_diag_warning(&eff->parse->diags, eff->rule->pos,
                         "%s: %zu of ClientKeyShareGroups not offered (ClientECurves) and left out", title,
                         e->num_key_shares - num_offered);
    if (num < num_offered)
        pel_diag_warning(&eff->parse->diags, eff->rule->pos,
                         "%s: a client sends %d key shares at most; the others of ClientKeyShareGroups wait "
                         "until the server asks",
                         title, PEL_MAX_KEY_SHARES);
    e->key_shares = kept;
    e->num_key_shares = num;
    return PEL_OK;
}

static void add_name(char *text, size_t cap, const char *name)
{
    size_t len = strlen(text);
    snprintf(text + len, cap - len, "%s%s", len > 0 ? ", " : "", name);
}

/* What the environment's statement codes and the connection's does not. */
static void list_lost(const struct pel_stmt *by, const struct pel_stmt *from, char *text, size_t cap)
{
    static const enum pel_slot slots[] = {PEL_SLOT_CLIENT_CURVES, PEL_SLOT_CLIENT_SHARES,
                                          PEL_SLOT_SERVER_CURVES, PEL_SLOT_SERVER_SHARES,
                                          PEL_SLOT_SIGNATURES,    PEL_SLOT_CERT_SIGNATURES};
    if (from->coded_suites && !by->coded_suites)
        add_name(text, cap, "V3CipherSuites");
    for (size_t i = 0; i < sizeof slots / sizeof slots[0]; i++) {
        const struct pel_param *lost = pel_stmt_get(from, slots[i]);
        if (lost != NULL && pel_stmt_get(by, slots[i]) == NULL)
            add_name(text, cap, lost->row->name);
    }
}

/* Of a connection action these statements hold whole, as the report of z/OS has them: who adds one value to
 * those of the environment loses the others. Said once of two statements, not for each of their rules: what
 * the one has taken the place of last is kept with it. */
static void warn_of_lost(const struct pel_eff *eff, enum pel_slot slot, const char *name)
{
    struct pel_stmt *by = pel_stmt_child(eff->conn, slot), *from = pel_stmt_child(eff->env, slot);
    char lost[300] = "";
    if (by == NULL || from == NULL || by->compiled == from)
        return;
    by->compiled = from;
    list_lost(by, from, lost, sizeof lost);
    if (lost[0] != '\0')
        pel_diag_warning(&eff->parse->diags, by->pos,
                         "%s: %s of the environment action not used: the connection action's %s takes the "
                         "place of the whole statement",
                         pel_stmt_title(eff->rule).text, lost, name);
}

/* Those of ServerKexECurves are for TLS 1.2: in TLS 1.3 a server has a default of its own. */
static void default_tls13_groups(struct pel_effective *e)
{
    static const uint16_t groups[] = {29, 23, 24, 25};
    if (e->role == PEL_ROLE_CLIENT || e->num_tls13_groups > 0)
        return;
    e->tls13_groups = groups;
    e->num_tls13_groups = sizeof groups / sizeof *groups;
}

enum pel_err pel_eff_lists(struct pel_eff *eff)
{
    struct pel_effective *e = &eff->values;
    const struct pel_stmt *ciphers = pel_stmt_child(eff->conn, PEL_SLOT_CIPHER_PARMS);
    const bool client = e->role == PEL_ROLE_CLIENT;
    warn_of_lost(eff, PEL_SLOT_CIPHER_PARMS, "TTLSCipherParms");
    warn_of_lost(eff, PEL_SLOT_SIGNATURE_PARMS, "TTLSSignatureParms");
    if (ciphers == NULL)
        ciphers = pel_stmt_child(eff->env, PEL_SLOT_CIPHER_PARMS);
    if (ciphers != NULL) {
        e->ciphers = ciphers->suites;
        e->num_ciphers = ciphers->num_suites;
    }
    take(eff, client ? PEL_SLOT_CLIENT_CURVES : PEL_SLOT_SERVER_CURVES, &e->groups, &e->num_groups);
    if (client)
        take(eff, PEL_SLOT_CLIENT_SHARES, &e->key_shares, &e->num_key_shares);
    else
        take(eff, PEL_SLOT_SERVER_SHARES, &e->tls13_groups, &e->num_tls13_groups);
    take(eff, PEL_SLOT_SIGNATURES, &e->signatures, &e->num_signatures);
    e->cert_signatures = e->signatures;
    e->num_cert_signatures = e->num_signatures;
    const struct pel_param *cert = pel_stmt_get(eff->signature, PEL_SLOT_CERT_SIGNATURES);
    if (cert != NULL && cert->groups == NULL)
        e->num_cert_signatures = 0; /* Any */
    take(eff, PEL_SLOT_CERT_SIGNATURES, &e->cert_signatures, &e->num_cert_signatures);
    PEL_TRY(pel_profiles_apply(eff));
    default_tls13_groups(e);
    return client ? cut_key_shares(eff) : PEL_OK;
}
