/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Profiles: what SuiteBProfile (RFC 6460) and FIPS140 leave of a rule's lists. A list that is coded keeps
 * its order and loses what a profile does not allow; one that is not coded is the profile's own.
 */
#include <string.h>

#include "policy/effective_parts.h"

static const uint16_t suite_b_ciphers[] = {0xc02b, 0xc02c}, suite_b_groups[] = {23, 24},
                      suite_b_signatures[] = {0x0403, 0x0503};

/* SP 800-52 revision 2: ECDHE with AES; the key transport of RSA went with 2023 (SP 800-131A revision 2). */
static const uint16_t fips_ciphers[] = {0x1301, 0x1302, 0xc02b, 0xc02f, 0xc02c,
                                        0xc030, 0xc009, 0xc013, 0xc00a, 0xc014};
static const uint16_t fips_groups[] = {23, 24, 25};
static const uint16_t fips_signatures[] = {0x0403, 0x0804, 0x0401, 0x0503, 0x0805,
                                           0x0501, 0x0603, 0x0806, 0x0601};

#define LEN(array) (sizeof(array) / sizeof((array)[0]))

/* `from` and `num` choose among the two strengths. */
#define SUITE_B(word, from, num)                                                                             \
    {                                                                                                        \
        .name = "SuiteBProfile " word, .versions = PEL_POLICY_TLS1_2, .ciphers = suite_b_ciphers + (from),   \
        .groups = suite_b_groups + (from), .signatures = suite_b_signatures + (from), .num_ciphers = (num),  \
        .num_groups = (num), .num_signatures = (num), .num_default_ciphers = (num), .min_rsa_bits = 0,       \
        .min_ecc_bits = (from) == 0 ? 256 : 384                                                              \
    }

/* In the order of the schema's values; the first is Off. */
static const struct pel_profile suite_b[] = {
    {.name = NULL},       SUITE_B("128", 0, 1),    SUITE_B("128Min", 0, 2),
    SUITE_B("192", 1, 1), SUITE_B("192Min", 1, 1), SUITE_B("All", 0, 2),
};

static const struct pel_profile fips = {
    .name = "FIPS140",
    .versions = PEL_POLICY_TLS1_2 | PEL_POLICY_TLS1_3,
    .ciphers = fips_ciphers,
    .groups = fips_groups,
    .signatures = fips_signatures,
    .num_ciphers = LEN(fips_ciphers),
    .num_groups = LEN(fips_groups),
    .num_signatures = LEN(fips_signatures),
    .num_default_ciphers = 6,
    .min_rsa_bits = 2048,
    .min_ecc_bits = 224,
};

size_t pel_profiles_of(const struct pel_stmt *env, bool is_fips, const struct pel_profile *ret_profiles[2])
{
    const struct pel_param *level = pel_stmt_get(env, PEL_SLOT_SUITE_B);
    size_t num = 0;
    if (level != NULL && level->number != PEL_OFF)
        ret_profiles[num++] = &suite_b[level->number];
    if (is_fips)
        ret_profiles[num++] = &fips;
    return num;
}

bool pel_profile_has(const uint16_t *codes, size_t num, uint16_t code)
{
    for (size_t i = 0; i < num; i++) {
        if (codes[i] == code)
            return true;
    }
    return false;
}

/* One list of a rule beside what a profile says of it. */
struct cut {
    const uint16_t **list;
    size_t *num;
    const uint16_t *allowed;
    size_t num_allowed, num_default;
    const char *what;
};

static enum pel_err cut_down(struct pel_eff *eff, const struct pel_profile *profile, const struct cut *cut)
{
    if (*cut->num == 0) {
        *cut->list = cut->allowed;
        *cut->num = cut->num_default;
        return PEL_OK;
    }
    uint16_t *kept = pel_arena_alloc(eff->parse->kept, *cut->num * sizeof *kept);
    size_t num = 0;
    if (kept == NULL)
        return PEL_E_NO_MEMORY;
    for (size_t i = 0; i < *cut->num; i++) {
        if (pel_profile_has(cut->allowed, cut->num_allowed, (*cut->list)[i]))
            kept[num++] = (*cut->list)[i];
    }
    if (num == 0)
        pel_stmt_fail(eff->parse, eff->rule, eff->rule->pos, "%s: %s leaves nothing of its %s",
                      pel_stmt_title(eff->rule).text, profile->name, cut->what);
    else if (num < *cut->num)
        pel_diag_note(&eff->parse->diags, eff->rule->pos, "%s: %s leaves out %zu of its %zu %s",
                      pel_stmt_title(eff->rule).text, profile->name, *cut->num - num, *cut->num, cut->what);
    *cut->list = kept;
    *cut->num = num;
    return PEL_OK;
}

static enum pel_err apply(struct pel_eff *eff, const struct pel_profile *profile)
{
    struct pel_effective *e = &eff->values;
    const bool client = e->role == PEL_ROLE_CLIENT;
    const struct cut cuts[] = {
        {&e->ciphers, &e->num_ciphers, profile->ciphers, profile->num_ciphers, profile->num_default_ciphers,
         "suites"},
        {&e->groups, &e->num_groups, profile->groups, profile->num_groups, profile->num_groups, "groups"},
        {&e->signatures, &e->num_signatures, profile->signatures, profile->num_signatures,
         profile->num_signatures, "SignaturePairs"},
        {&e->cert_signatures, &e->num_cert_signatures, profile->signatures, profile->num_signatures,
         profile->num_signatures, "SignaturePairsCert"},
        {&e->tls13_groups, &e->num_tls13_groups, profile->groups, profile->num_groups, profile->num_groups,
         "ServerKeyShareGroups"},
    };
    for (size_t i = 0; i < LEN(cuts) - (client ? 1 : 0) && !eff->rule->bad; i++)
        PEL_TRY(cut_down(eff, profile, &cuts[i]));
    if (e->min_rsa_bits < profile->min_rsa_bits)
        e->min_rsa_bits = profile->min_rsa_bits;
    if (e->min_ecc_bits < profile->min_ecc_bits)
        e->min_ecc_bits = profile->min_ecc_bits;
    return PEL_OK;
}

enum pel_err pel_profiles_apply(struct pel_eff *eff)
{
    const struct pel_profile *profiles[2];
    size_t num = pel_profiles_of(eff->env, eff->values.fips, profiles);
    for (size_t i = 0; i < num && !eff->rule->bad; i++)
        PEL_TRY(apply(eff, profiles[i]));
    return PEL_OK;
}
