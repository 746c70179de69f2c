/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/env.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tls/keyring.h"
#include "tls/names.h"
#include "tls/pkcs12.h"

static const struct {
    uint32_t bit;
    uint16_t code;
} versions[] = {
    {PEL_TLS_V1_0, 0x0301},
    {PEL_TLS_V1_1, 0x0302},
    {PEL_TLS_V1_2, 0x0303},
    {PEL_TLS_V1_3, 0x0304},
};

static const uint16_t default_groups[] = {29, 23, 24, 25};
/* kSignSignatureAlgorithms of BoringSSL's ssl/extensions.cc, less Ed25519: for messages. */
static const uint16_t default_sigalgs[] = {0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501,
                                           0x0603, 0x0806, 0x0601, 0x0203, 0x0201};
static const uint16_t ciphers_aes_first[] = {0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f,
                                             0xc02c, 0xc030, 0xcca9, 0xcca8};
static const uint16_t ciphers_chacha_first[] = {0x1303, 0x1301, 0x1302, 0xcca9, 0xcca8,
                                                0xc02b, 0xc02f, 0xc02c, 0xc030};

#define LEN(array) (sizeof(array) / sizeof((array)[0]))

static bool is_tls13_cipher(uint16_t code)
{
    return code >> 8 == 0x13;
}

static bool has_cipher_of(const struct pel_tls_offer *ours, bool tls13)
{
    for (size_t i = 0; i < ours->num_ciphers; i++)
        if (is_tls13_cipher(ours->ciphers[i]) == tls13)
            return true;
    return false;
}

/* Suites and groups that the library lacks are left out (the policy has warned of them); duplicates keep
 * their place. */
static void take_ciphers(const uint16_t *ciphers, size_t num, struct pel_tls_offer *ours)
{
    for (size_t i = 0; i < num && ours->num_ciphers < PEL_OFFER_MAX_CIPHERS; i++)
        if (pel_ctx_has_cipher(ciphers[i]) && !pel_offer_has_cipher(ours, ciphers[i]))
            ours->ciphers[ours->num_ciphers++] = ciphers[i];
}

static void take_groups(const uint16_t *groups, size_t num, struct pel_tls_offer *ours)
{
    for (size_t i = 0; i < num && ours->num_groups < PEL_OFFER_MAX_GROUPS; i++)
        if (pel_ctx_has_group(groups[i]) && !pel_offer_has_group(ours, groups[i]))
            ours->groups[ours->num_groups++] = groups[i];
}

static enum pel_err take_versions(uint32_t bits, struct pel_tls_offer *ours, struct pel_error *reterr)
{
    bool tls13 = has_cipher_of(ours, true), older = has_cipher_of(ours, false);
    for (size_t i = 0; i < LEN(versions); i++)
        if ((bits & versions[i].bit) && (versions[i].code == 0x0304 ? tls13 : older))
            ours->versions[ours->num_versions++] = versions[i].code;
    if (ours->num_versions == 0)
        return pel_error_set(
            reterr, PEL_E_TLS_CONFIG,
            "no TLS version is left: the suites listed and the versions switched on have none in common");
    if ((size_t)(ours->versions[ours->num_versions - 1] - ours->versions[0]) !=
        (size_t)ours->num_versions - 1)
        return pel_error_set(
            reterr, PEL_E_TLS_CONFIG,
            "the TLS versions have a gap; switch on every version between the lowest and the highest");
    return PEL_OK;
}

static uint8_t copy_codes(const uint16_t *from, size_t num, uint16_t *to, size_t max)
{
    size_t num_copied = num < max ? num : max;
    if (num_copied > 0)
        memcpy(to, from, num_copied * sizeof to[0]);
    return (uint8_t)num_copied;
}

static void take_sigalgs(const struct pel_tls_config *config, struct pel_tls_offer *ours)
{
    bool coded = config->num_signatures > 0;
    ours->num_sigalgs = copy_codes(coded ? config->signatures : default_sigalgs,
                                   coded ? config->num_signatures : LEN(default_sigalgs), ours->sigalgs,
                                   PEL_OFFER_MAX_SIGALGS);
}

enum pel_err pel_env_lists(const struct pel_tls_config *config, struct pel_tls_offer *ret_ours,
                           struct pel_error *reterr)
{
    struct pel_tls_offer ours = {0};
    const uint16_t *defaults = pel_ctx_aes_is_fast() ? ciphers_aes_first : ciphers_chacha_first;
    take_ciphers(config->num_ciphers > 0 ? config->ciphers : defaults,
                 config->num_ciphers > 0 ? config->num_ciphers : LEN(ciphers_aes_first), &ours);
    if (ours.num_ciphers == 0)
        return pel_error_set(reterr, PEL_E_TLS_CONFIG,
                             "no cipher suite is left: none of those listed exists here");
    take_groups(config->num_groups > 0 ? config->groups : default_groups,
                config->num_groups > 0 ? config->num_groups : LEN(default_groups), &ours);
    if (ours.num_groups == 0)
        return pel_error_set(
            reterr, PEL_E_TLS_CONFIG,
            "no key exchange group is left: of those listed none exists here (x25519, P-224 to P-521 do)");
    PEL_TRY(take_versions(config->versions, &ours, reterr));
    take_sigalgs(config, &ours);
    *ret_ours = ours;
    return PEL_OK;
}

/* Where certificates are taken from: a ring's directory, or a PKCS#12 file that has been read. */
struct ring {
    const struct pel_tls_config *config;
    const char *path;
    struct pel_pkcs12 *file; /* NULL: a directory */
};

static enum pel_err add_cert(struct pel_tls_env *env, const struct ring *ring,
                             const struct pel_ctx_identity *identity, struct pel_error *reterr)
{
    int64_t expiry_s = 0;
    PEL_TRY(pel_ctx_add_cert(env->ctx, identity, ring->config->now_s, &expiry_s, reterr));
    if (expiry_s < env->cert_expiry_s)
        env->cert_expiry_s = expiry_s;
    return PEL_OK;
}

static enum pel_err add_pkcs12_cert(struct pel_tls_env *env, const struct ring *ring, const char *label,
                                    const char *host, struct pel_error *reterr)
{
    const struct pel_pkcs12 *file = ring->file;
    if (strcmp(label, file->label) != 0)
        return pel_error_set(reterr, PEL_E_KEYRING_NO_LABEL,
                             "%s: no label \"%.130s\"; the certificate with a key is \"%s\"", ring->path,
                             label, file->label);
    const struct pel_ctx_identity identity = {.chain = {file->chain.bytes, file->chain.len, ring->path},
                                              .key = {file->key.bytes, file->key.len, ring->path},
                                              .host = host};
    return add_cert(env, ring, &identity, reterr);
}

static enum pel_err load_cert(struct pel_tls_env *env, const struct ring *ring, const char *label,
                              const char *host, struct pel_error *reterr)
{
    char cert_path[PEL_PATH_CAP], key_path[PEL_PATH_CAP];
    struct pel_file cert = {0}, key = {0};
    if (ring->file != NULL)
        return add_pkcs12_cert(env, ring, label, host, reterr);
    PEL_TRY(pel_keyring_read_cert(ring->path, label, &cert, cert_path, sizeof cert_path, reterr));
    enum pel_err err = pel_keyring_read_key(ring->path, label, &key, key_path, sizeof key_path, reterr);
    if (err == PEL_OK) {
        const struct pel_ctx_identity identity = {
            .chain = {cert.bytes, cert.len, cert_path}, .key = {key.bytes, key.len, key_path}, .host = host};
        err = add_cert(env, ring, &identity, reterr);
    }
    pel_file_free(&cert);
    pel_file_free(&key);
    return err;
}

static enum pel_err default_label(const struct ring *ring, char *ret_label, size_t cap,
                                  struct pel_error *reterr)
{
    if (ring->file == NULL)
        return pel_keyring_default_label(ring->path, ret_label, cap, reterr);
    if (ring->file->key.len == 0)
        return pel_error_set(reterr, PEL_E_KEYRING_NO_LABEL,
                             "%s: this PKCS#12 file holds authorities only, and no private key", ring->path);
    snprintf(ret_label, cap, "%s", ring->file->label);
    return PEL_OK;
}

/* The certificate of the ring's default label, where it is one to use. */
static enum pel_err load_default(struct pel_tls_env *env, const struct ring *ring, struct pel_error *reterr)
{
    const struct pel_tls_config *config = ring->config;
    char label[PEL_KEYRING_MAX_LABEL_LEN + 1];
    if (config->role == PEL_TLS_SERVER && config->num_more_labels > 0)
        return PEL_OK; /* the list says which */
    if (config->label != NULL)
        return pel_error_set(reterr, PEL_E_KEYRING_NO_LABEL,
                             "CertificateLabel is empty, but a server must show a certificate");
    enum pel_err err = default_label(ring, label, sizeof label, reterr);
    if (err == PEL_E_KEYRING_NO_LABEL && config->role == PEL_TLS_CLIENT)
        return PEL_OK; /* a client without a certificate of its own */
    PEL_TRY(err);
    return load_cert(env, ring, label, NULL, reterr);
}

static enum pel_err load_certs(struct pel_tls_env *env, const struct ring *ring, struct pel_error *reterr)
{
    const struct pel_tls_config *config = ring->config;
    bool machine = strcmp(ring->path, PEL_KEYRING_AUTH) == 0;
    if (config->role == PEL_TLS_CLIENT && (config->label == NULL ? machine : config->label[0] == '\0'))
        return PEL_OK;
    if (machine)
        return pel_error_set(
            reterr, PEL_E_KEYRING_NO_LABEL,
            "the ring *AUTH*/* holds authorities only; a certificate needs a ring of its own");
    if (config->label == NULL || config->label[0] == '\0')
        PEL_TRY(load_default(env, ring, reterr));
    else
        PEL_TRY(load_cert(env, ring, config->label, NULL, reterr));
    for (size_t i = 0; config->role == PEL_TLS_SERVER && i < config->num_more_labels; i++)
        PEL_TRY(load_cert(env, ring, config->more_labels[i], NULL, reterr));
    for (size_t i = 0; env->sni != PEL_TLS_OFF && env->role == PEL_TLS_SERVER && i < config->num_sni; i++)
        PEL_TRY(load_cert(env, ring, config->sni_labels[i], config->sni_hosts[i], reterr));
    return PEL_OK;
}

static enum pel_err load_trust_file(struct pel_tls_env *env, const char *path, bool announce, size_t *num,
                                    struct pel_error *reterr)
{
    struct pel_file file = {0};
    size_t num_added = 0;
    PEL_TRY(pel_file_read(path, false, &file, reterr));
    struct pel_pem pem = {file.bytes, file.len, path};
    enum pel_err err = pel_ctx_add_trust(env->ctx, &pem, announce, &num_added, reterr);
    pel_file_free(&file);
    *num += num_added;
    return err;
}

static enum pel_err load_trust_dir(struct pel_tls_env *env, const char *ring, size_t *num,
                                   struct pel_error *reterr)
{
    char dir[PEL_PATH_CAP], path[PEL_PATH_CAP];
    struct pel_names names = {0};
    PEL_TRY(pel_path_join(ring, "trust", "", dir, sizeof dir, reterr));
    enum pel_err err = pel_dir_list(dir, ".crt", PEL_KEYRING_MAX_FILES, &names, reterr);
    if (err == PEL_E_KEYRING_MISSING)
        return PEL_OK; /* as if empty: the caller says what that means */
    PEL_TRY(err);
    for (size_t i = 0; i < names.num && err == PEL_OK; i++) {
        err = pel_path_join(dir, names.names[i], ".crt", path, sizeof path, reterr);
        if (err == PEL_OK)
            err = load_trust_file(env, path, env->role == PEL_TLS_SERVER, num, reterr);
    }
    pel_names_free(&names);
    return err;
}

static bool needs_trust(const struct pel_tls_config *config)
{
    return config->role == PEL_TLS_CLIENT || config->client_auth == PEL_TLS_AUTH_FULL ||
           config->client_auth == PEL_TLS_AUTH_REQUIRED || config->client_auth == PEL_TLS_AUTH_SAFCHECK;
}

static enum pel_err add_pkcs12_trust(struct pel_tls_env *env, const struct ring *ring, size_t *ret_num,
                                     struct pel_error *reterr)
{
    const struct pel_pem pem = {ring->file->trust.bytes, ring->file->trust.len, ring->path};
    return pem.len > 0 ? pel_ctx_add_trust(env->ctx, &pem, env->role == PEL_TLS_SERVER, ret_num, reterr)
                       : PEL_OK;
}

static enum pel_err load_trust(struct pel_tls_env *env, const struct ring *ring, struct pel_error *reterr)
{
    const struct pel_tls_config *config = ring->config;
    size_t num = 0;
    if (!needs_trust(config) && config->client_auth == PEL_TLS_AUTH_NONE)
        return PEL_OK;
    if (strcmp(ring->path, PEL_KEYRING_AUTH) == 0) {
        enum pel_err err = load_trust_file(env, PEL_KEYRING_MACHINE_CAS, false, &num, reterr);
        return err == PEL_E_NOT_FOUND ? pel_error_set(reterr, PEL_E_KEYRING_NO_TRUST,
                                                      "%s: the machine has no bundle of authorities; install "
                                                      "ca-certificates",
                                                      PEL_KEYRING_MACHINE_CAS)
                                      : err;
    }
    PEL_TRY(ring->file != NULL ? add_pkcs12_trust(env, ring, &num, reterr)
                               : load_trust_dir(env, ring->path, &num, reterr));
    if (num == 0 && needs_trust(config))
        return pel_error_set(reterr, PEL_E_KEYRING_NO_TRUST,
                             "%s%s; put the authority's certificate there that the %s is checked against",
                             ring->path,
                             ring->file != NULL ? ": holds no authority" : "/trust: holds no *.crt",
                             config->role == PEL_TLS_CLIENT ? "server" : "client");
    return PEL_OK;
}

static uint32_t at_most(uint32_t number, uint32_t most)
{
    return number < most ? number : most;
}

static struct pel_tls_sessions fill_sessions(const struct pel_tls_sessions *config)
{
    struct pel_tls_sessions sessions = *config;
    sessions.timeout_s = config->timeout_s > 0 ? config->timeout_s : 2 * 3600;
    sessions.max_kept = at_most(config->max_kept > 0 ? config->max_kept : 64, PEL_SESSIONS_MAX);
    sessions.max_tickets = at_most(config->max_tickets > 0 ? config->max_tickets : 64, PEL_SESSIONS_MAX);
    sessions.max_ticket_len = config->max_ticket_len > 0 ? config->max_ticket_len : UINT32_MAX;
    sessions.num_tickets = at_most(config->num_tickets > 0 ? config->num_tickets : 2, 16);
    /* RFC 8446 section 4.6.1: "MUST NOT use any value greater than 604800 seconds". */
    sessions.ticket_timeout_s =
        at_most(config->ticket_timeout_s > 0 ? config->ticket_timeout_s : 2 * 86400, 604800);
    return sessions;
}

static enum pel_tls_demand fill_sni(const struct pel_tls_config *config)
{
    if (config->sni != PEL_TLS_DEFAULT)
        return config->sni;
    return config->role == PEL_TLS_CLIENT ? PEL_TLS_OPTIONAL : PEL_TLS_OFF;
}

static bool copy_text(const char *text, char **ret_copy)
{
    return text == NULL || (*ret_copy = strdup(text)) != NULL;
}

/* What needs no checking. */
static enum pel_err take_plain(struct pel_tls_env *env, const struct pel_tls_config *config,
                               struct pel_error *reterr)
{
    const bool client = config->role == PEL_TLS_CLIENT;
    env->role = config->role;
    env->client_auth = client ? PEL_TLS_AUTH_NONE : config->client_auth;
    env->handshake_timeout_us = config->handshake_timeout_us;
    env->reset_cipher_us = config->reset_cipher_us;
    env->cert_expiry_s = INT64_MAX;
    env->default_sigalgs = config->num_signatures == 0;
    env->num_tls13_groups = copy_codes(config->tls13_groups, client ? 0 : config->num_tls13_groups,
                                       env->tls13_groups, LEN(env->tls13_groups));
    env->num_key_shares = copy_codes(config->key_shares, client ? config->num_key_shares : 0, env->key_shares,
                                     LEN(env->key_shares));
    env->num_cert_sigalgs = copy_codes(config->cert_signatures, config->num_cert_signatures,
                                       env->cert_sigalgs, LEN(env->cert_sigalgs));
    env->sni = fill_sni(config);
    env->sni_match = config->sni_match;
    env->reference_wildcards = config->reference_wildcards;
    env->session_config = fill_sessions(&config->sessions);
    env->demands = (struct pel_peer_demands){config->min_rsa_bits,           config->min_ecc_bits,
                                             config->min_own_rsa_bits,       config->cert_version_3,
                                             config->extended_master_secret, config->renegotiation_indicated,
                                             config->des_key_check};
    if (client && (!copy_text(config->sni_name, &env->sni_name) ||
                   !copy_text(config->reference_dns, &env->reference_dns) ||
                   !copy_text(config->reference_cn, &env->reference_cn)))
        return pel_error_set(reterr, PEL_E_NO_MEMORY, "out of memory");
    return PEL_OK;
}

/* Whom certificates stand for is the server's to know. Without the file SAFCheck would refuse everybody. */
static enum pel_err load_users(struct pel_tls_env *env, const char *ring, struct pel_error *reterr)
{
    char path[PEL_PATH_CAP];
    struct pel_file file = {0};
    if (env->client_auth == PEL_TLS_AUTH_NONE || strcmp(ring, PEL_KEYRING_AUTH) == 0)
        return PEL_OK;
    PEL_TRY(pel_keyring_users_path(ring, path, sizeof path, reterr));
    enum pel_err err = pel_file_read(path, false, &file, reterr);
    if (err == PEL_E_NOT_FOUND)
        return env->client_auth != PEL_TLS_AUTH_SAFCHECK
                   ? PEL_OK
                   : pel_error_set(
                         reterr, PEL_E_KEYRING_USERS,
                         "%s: does not exist; with ClientAuthType SAFCheck it says whom certificates "
                         "stand for: `pel keyring user`",
                         path);
    PEL_TRY(err);
    const struct pel_pem text = {file.bytes, file.len, path};
    err = pel_users_parse(&text, &env->users, reterr);
    pel_file_free(&file);
    return err;
}

static enum pel_err load_ring(struct pel_tls_env *env, const struct pel_tls_config *config,
                              struct pel_error *reterr)
{
    struct pel_pkcs12 file = {0};
    struct ring ring = {.config = config, .path = config->keyring_path};
    if (pel_keyring_is_file(ring.path)) {
        const struct pel_keyring_secret secret = {config->keyring_password, config->keyring_stash_file};
        PEL_TRY(pel_pkcs12_read(ring.path, &secret, &file, reterr));
        ring.file = &file;
    }
    enum pel_err err = load_certs(env, &ring, reterr);
    if (err == PEL_OK)
        err = load_trust(env, &ring, reterr);
    if (err == PEL_OK)
        err = load_users(env, ring.path, reterr);
    pel_pkcs12_free(&file);
    return err;
}

static enum pel_err load(struct pel_tls_env *env, const struct pel_tls_config *config,
                         struct pel_error *reterr)
{
    PEL_TRY(take_plain(env, config, reterr));
    PEL_TRY(pel_env_lists(config, &env->ours, reterr));
    if (env->role == PEL_TLS_CLIENT && (env->sessions = pel_sessions_new(&env->session_config)) == NULL)
        return pel_error_set(reterr, PEL_E_NO_MEMORY, "out of memory");
    PEL_TRY(pel_ipsecmb_new(&env->ipsecmb, reterr));
    PEL_TRY(pel_ctx_new(env, &env->ctx, reterr));
    PEL_TRY(load_ring(env, config, reterr));
    return pel_ctx_finish(env->ctx, reterr);
}

enum pel_err pel_tls_env_new(const struct pel_tls_config *config, struct pel_tls_env **ret_env,
                             struct pel_error *reterr)
{
    if (config->keyring_path == NULL || config->keyring_path[0] == '\0')
        return pel_error_set(reterr, PEL_E_TLS_CONFIG, "no keyring: TTLSKeyringParms is required");
    struct pel_tls_env *env = calloc(1, sizeof *env);
    if (env == NULL)
        return pel_error_set(reterr, PEL_E_NO_MEMORY, "out of memory");
    env->num_refs = 1;
    enum pel_err err = load(env, config, reterr);
    if (err != PEL_OK) {
        pel_tls_env_unref(env);
        return err;
    }
    *ret_env = env;
    return PEL_OK;
}

struct pel_tls_env *pel_tls_env_ref(struct pel_tls_env *env)
{
    if (env != NULL)
        __atomic_add_fetch(&env->num_refs, 1, __ATOMIC_RELAXED);
    return env;
}

void pel_tls_env_unref(struct pel_tls_env *env)
{
    if (env == NULL || __atomic_sub_fetch(&env->num_refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    pel_sessions_free(env->sessions);
    pel_ctx_free(env->ctx);
    pel_users_free(env->users);
    pel_ipsecmb_free(env->ipsecmb);
    free(env->sni_name);
    free(env->reference_dns);
    free(env->reference_cn);
    free(env);
}

int64_t pel_tls_env_cert_expiry_s(const struct pel_tls_env *env)
{
    return env->cert_expiry_s;
}
