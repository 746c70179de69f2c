/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/view/holding.h"

#include <stdlib.h>
#include <string.h>

#include "policy/ciphers.h"
#include "policy/profiles.h"

/* What limits the rule. */
struct limits {
    const struct pel_profile *profiles[2];
    size_t num;
    char name[64]; /* of both, for messages */
};

static struct limits limits_of(const struct pel_holding *holding, const struct pel_levels *whole)
{
    struct limits limits = {0};
    if (!holding->rule->effective.ttls_enabled)
        return limits;
    limits.num = pel_profiles_of(whole->env, holding->rule->effective.fips, limits.profiles);
    for (size_t i = 0; i < limits.num; i++) {
        strncat(limits.name, i > 0 ? " and " : "", sizeof limits.name - strlen(limits.name) - 1);
        strncat(limits.name, limits.profiles[i]->name, sizeof limits.name - strlen(limits.name) - 1);
    }
    return limits;
}

/* ---- lists ---- */

struct codes {
    const uint16_t *codes;
    size_t num;
};

/* What the profile allows in the list of that slot. */
static struct codes allowed_of(const struct pel_profile *profile, enum pel_slot slot)
{
    if (slot == PEL_SLOT_CIPHERS)
        return (struct codes){profile->ciphers, profile->num_ciphers};
    if (slot == PEL_SLOT_SIGNATURES || slot == PEL_SLOT_CERT_SIGNATURES)
        return (struct codes){profile->signatures, profile->num_signatures};
    return (struct codes){profile->groups, profile->num_groups};
}

/* The compiled list; none when it is not one of the rule's role. */
static bool compiled_of(const struct pel_effective *e, enum pel_slot slot, struct codes *ret_codes)
{
    const bool client = e->role == PEL_ROLE_CLIENT;
    const struct {
        enum pel_slot slot;
        bool applies;
        struct codes codes;
    } lists[] = {
        {PEL_SLOT_CIPHERS, true, {e->ciphers, e->num_ciphers}},
        {PEL_SLOT_CLIENT_CURVES, client, {e->groups, e->num_groups}},
        {PEL_SLOT_SERVER_CURVES, !client, {e->groups, e->num_groups}},
        {PEL_SLOT_CLIENT_SHARES, client, {e->key_shares, e->num_key_shares}},
        {PEL_SLOT_SERVER_SHARES, !client, {e->tls13_groups, e->num_tls13_groups}},
        {PEL_SLOT_SIGNATURES, true, {e->signatures, e->num_signatures}},
        {PEL_SLOT_CERT_SIGNATURES, true, {e->cert_signatures, e->num_cert_signatures}},
    };
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        if (lists[i].slot != slot || !lists[i].applies || !e->ttls_enabled)
            continue;
        *ret_codes = lists[i].codes;
        return true;
    }
    return false;
}

/* What is coded, without what is not available here; no codes for Any and for what is not coded. */
static struct codes coded_of(const struct pel_row *row, struct pel_found found)
{
    if (found.param == NULL)
        return (struct codes){0};
    if (row->slot == PEL_SLOT_CIPHERS)
        return (struct codes){found.stmt->suites, found.stmt->num_suites};
    return (struct codes){found.param->groups, found.param->groups != NULL ? found.param->number : 0};
}

/* What the profiles leave of a list that the rule itself does not use. */
static struct codes left_by(const struct limits *limits, enum pel_slot slot, struct codes coded,
                            uint16_t kept[PEL_MAX_SUITES])
{
    struct codes left = {kept, 0};
    for (size_t i = 0; i < coded.num && i < PEL_MAX_SUITES; i++) {
        bool allowed = true;
        for (size_t k = 0; k < limits->num; k++) {
            struct codes list = allowed_of(limits->profiles[k], slot);
            allowed = allowed && pel_profile_has(list.codes, list.num, coded.codes[i]);
        }
        if (allowed)
            kept[left.num++] = coded.codes[i];
    }
    return left;
}

static void write_codes(struct pel_out *out, const struct pel_row *row, struct codes list)
{
    const bool suites = row->slot == PEL_SLOT_CIPHERS, groups = row->type == PEL_V_GROUPS;
    for (size_t i = 0; i < list.num; i++) {
        if (i > 0)
            pel_out_text(out, suites ? "\n" : " ");
        if (suites)
            pel_out_text(out, pel_cipher_by_code(list.codes[i])->name);
        else
            pel_out_format(out, groups ? "%04u" : "%04X", list.codes[i]);
    }
}

/* `coded` without codes: Any. */
static void note_cut(struct pel_out *note, const struct limits *limits, struct codes coded, struct codes left)
{
    if (coded.num == 0) {
        pel_out_format(note, "Any is narrowed by %s", limits->name);
        return;
    }
    if (left.num >= coded.num)
        return;
    if (limits->num > 0)
        pel_out_format(note, "%zu of %zu left out by %s", coded.num - left.num, coded.num, limits->name);
    else
        pel_out_format(note, "%zu of %zu left out: not in ClientECurves, or more than %d",
                       coded.num - left.num, coded.num, PEL_MAX_KEY_SHARES);
}

static bool is_list(const struct pel_row *row)
{
    return row->slot == PEL_SLOT_CIPHERS ||
           (row->slot >= PEL_SLOT_CLIENT_CURVES && row->slot <= PEL_SLOT_CERT_SIGNATURES);
}

/* Where the list that holds is from, when it is not coded: the first profile gave it its own. Signatures of
 * certificates are those of the handshake. */
static struct pel_held origin_of(const struct limits *limits, const struct pel_levels *whole,
                                 enum pel_slot slot)
{
    const struct pel_param *copied =
        slot == PEL_SLOT_CERT_SIGNATURES ? pel_stmt_get(whole->signature, PEL_SLOT_SIGNATURES) : NULL;
    if (copied != NULL && copied->groups != NULL)
        return (struct pel_held){.differs = true, .copied = {whole->signature, copied}};
    return (struct pel_held){.differs = true, .by = limits->profiles[0]->name};
}

static struct pel_held apply_list(const struct pel_holding *holding, const struct limits *limits,
                                  const struct pel_levels *whole, const struct pel_row *row,
                                  struct pel_found found, struct pel_out *value, struct pel_out *note)
{
    uint16_t kept[PEL_MAX_SUITES];
    struct codes coded = coded_of(row, found), holds = {0};
    bool is_rules = row->slot == PEL_SLOT_CIPHERS ? holding->levels->ciphers == whole->ciphers
                                                  : holding->levels->signature == whole->signature;
    if (coded.num == 0 && limits->num == 0)
        return (struct pel_held){0}; /* Any, or not coded */
    bool compiled = is_rules && compiled_of(&holding->rule->effective, row->slot, &holds);
    /* What another role would have by default is no news, but it has to be right as well. */
    bool other = !compiled && coded.num == 0 && limits->num > 0 && value->len > 0;
    if (!compiled)
        holds = left_by(limits, row->slot, other ? allowed_of(limits->profiles[0], row->slot) : coded, kept);
    if (holds.num == 0 && coded.num == 0)
        return (struct pel_held){0};
    pel_out_clear(value);
    pel_out_text(value, "");
    write_codes(value, row, holds);
    if (found.param != NULL)
        note_cut(note, limits, coded, holds);
    if (!other && found.param == NULL)
        return origin_of(limits, whole, row->slot);
    return (struct pel_held){.differs = !other && (coded.num == 0 || holds.num < coded.num)};
}

/* ---- versions and sizes of keys ---- */

static uint32_t version_of(enum pel_slot slot)
{
    switch (slot) {
    case PEL_SLOT_TLSV1: return PEL_POLICY_TLS1_0;
    case PEL_SLOT_TLSV1_1: return PEL_POLICY_TLS1_1;
    case PEL_SLOT_TLSV1_2: return PEL_POLICY_TLS1_2;
    case PEL_SLOT_TLSV1_3: return PEL_POLICY_TLS1_3;
    default: return 0;
    }
}

/* Of one action only the profiles are looked at: another action may have the lists. Returns the profile that
 * forbids the version. */
static struct pel_held apply_version(const struct pel_holding *holding, const struct limits *limits,
                                     uint32_t version, struct pel_out *value, struct pel_out *note)
{
    const struct pel_effective *e = &holding->rule->effective;
    struct pel_held held = {0};
    for (size_t i = 0; i < limits->num; i++) {
        if (held.by == NULL && (limits->profiles[i]->versions & version) == 0)
            held.by = limits->profiles[i]->name;
    }
    if (value->text == NULL || strcmp(value->text, "On") != 0 || !e->ttls_enabled ||
        (e->versions & version) != 0 || (holding->one_action && held.by == NULL))
        return (struct pel_held){0};
    pel_out_clear(value);
    pel_out_text(value, "Off");
    if (held.by != NULL)
        pel_out_format(note, "not offered: %s does not allow it", held.by);
    else
        pel_out_text(note,
                     "not offered: no suite or signature of the lists is for it, or a version beside it "
                     "is off");
    held.differs = true;
    return held;
}

static struct pel_held apply_size(const struct limits *limits, enum pel_slot slot, struct pel_out *value)
{
    struct pel_held held = {0};
    uint32_t least = 0;
    for (size_t i = 0; i < limits->num; i++) {
        const struct pel_profile *profile = limits->profiles[i];
        uint32_t bits = slot == PEL_SLOT_MIN_RSA ? profile->min_rsa_bits : profile->min_ecc_bits;
        if (bits <= least)
            continue;
        least = bits;
        held.by = profile->name;
    }
    if (value->text == NULL || strtoul(value->text, NULL, 10) >= least)
        return (struct pel_held){0};
    pel_out_clear(value);
    pel_out_format(value, "%u", least);
    held.differs = true;
    return held;
}

struct pel_held pel_holding_apply(const struct pel_holding *holding, const struct pel_row *row,
                                  struct pel_found found, struct pel_out *value, struct pel_out *note)
{
    struct pel_held held = {0};
    struct pel_levels whole;
    uint32_t version = version_of(row->slot);
    bool list = is_list(row), size = row->slot == PEL_SLOT_MIN_RSA || row->slot == PEL_SLOT_MIN_ECC;
    if (!list && !size && version == 0)
        return held;
    pel_levels_of(holding->levels->rule, &whole);
    struct limits limits = limits_of(holding, &whole);
    if (list)
        held = apply_list(holding, &limits, &whole, row, found, value, note);
    else if (size)
        held = apply_size(&limits, row->slot, value);
    else
        held = apply_version(holding, &limits, version, value, note);
    if (found.param != NULL)
        held.by = NULL;
    return held;
}
