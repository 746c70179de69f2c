/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/offer.h"

#include <stdio.h>
#include <string.h>

#include "tls/names.h"

static bool has(const uint16_t *codes, size_t num, uint16_t code)
{
    for (size_t i = 0; i < num; i++)
        if (codes[i] == code)
            return true;
    return false;
}

bool pel_offer_has_version(const struct pel_tls_offer *offer, uint16_t code)
{
    return has(offer->versions, offer->num_versions, code);
}

bool pel_offer_has_cipher(const struct pel_tls_offer *offer, uint16_t code)
{
    return has(offer->ciphers, offer->num_ciphers, code);
}

bool pel_offer_has_group(const struct pel_tls_offer *offer, uint16_t code)
{
    return has(offer->groups, offer->num_groups, code);
}

bool pel_offer_has_sigalg(const struct pel_tls_offer *offer, uint16_t code)
{
    return has(offer->sigalgs, offer->num_sigalgs, code);
}

/* The list of an offer that an error is about. */
struct subject {
    enum pel_name_kind kind;
    const char *word;
    const uint16_t *codes;
    size_t num;
};

static struct subject subject_of(enum pel_err err, const struct pel_tls_offer *offer)
{
    switch ((int)err) {
    case PEL_E_TLS_NO_COMMON_VERSION:
        return (struct subject){PEL_NAME_VERSION, "versions", offer->versions, offer->num_versions};
    case PEL_E_TLS_NO_COMMON_GROUP:
        return (struct subject){PEL_NAME_GROUP, "groups", offer->groups, offer->num_groups};
    case PEL_E_TLS_NO_COMMON_SIGNATURE:
        return (struct subject){PEL_NAME_SIGALG, "signature algorithms", offer->sigalgs, offer->num_sigalgs};
    default: return (struct subject){PEL_NAME_CIPHER, "suites", offer->ciphers, offer->num_ciphers};
    }
}

/* What a client offered, whose server says only that it does not like it. */
static enum pel_err explain_alert(enum pel_err err, const char *reason, const struct pel_tls_offer *ours,
                                  struct pel_error *reterr)
{
    char versions[40], groups[60], sigalgs[90], ciphers[110];
    return pel_error_set(
        reterr, err, "%s: %s; offered here: %s; suites %s; groups %s; signatures %s", pel_err_text(err),
        reason,
        pel_name_list(PEL_NAME_VERSION, ours->versions, ours->num_versions, versions, sizeof versions),
        pel_name_list(PEL_NAME_CIPHER, ours->ciphers, ours->num_ciphers, ciphers, sizeof ciphers),
        pel_name_list(PEL_NAME_GROUP, ours->groups, ours->num_groups, groups, sizeof groups),
        pel_name_list(PEL_NAME_SIGALG, ours->sigalgs, ours->num_sigalgs, sigalgs, sizeof sigalgs));
}

enum pel_err pel_offer_explain(enum pel_err err, const char *reason, const struct pel_tls_offer *peer,
                               const struct pel_tls_offer *ours, struct pel_error *reterr)
{
    char theirs_text[200], ours_text[120], versions_text[48] = "";
    bool common = err == PEL_E_TLS_NO_COMMON_VERSION || err == PEL_E_TLS_NO_COMMON_GROUP ||
                  err == PEL_E_TLS_NO_COMMON_SIGNATURE || err == PEL_E_TLS_NO_COMMON_CIPHER;
    if (err == PEL_E_TLS_ALERT_RECEIVED)
        return explain_alert(err, reason, ours, reterr);
    if (!common)
        return pel_error_set(reterr, err, "%s: %s", pel_err_text(err), reason);
    struct subject configured = subject_of(err, ours);
    pel_name_list(configured.kind, configured.codes, configured.num, ours_text, sizeof ours_text);
    if (peer == NULL)
        return pel_error_set(reterr, err, "%s: %s; %s configured here: %s", pel_err_text(err), reason,
                             configured.word, ours_text);
    struct subject offered = subject_of(err, peer);
    pel_name_list(offered.kind, offered.codes, offered.num, theirs_text, sizeof theirs_text);
    if (err != PEL_E_TLS_NO_COMMON_VERSION)
        pel_name_list(PEL_NAME_VERSION, peer->versions, peer->num_versions, versions_text,
                      sizeof versions_text);
    return pel_error_set(reterr, err, "%s: %s; %s: the peer offers %s; configured here: %s%s%s",
                         pel_err_text(err), reason, offered.word, theirs_text, ours_text,
                         versions_text[0] != '\0' ? "; the peer's versions: " : "", versions_text);
}
