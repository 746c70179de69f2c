/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/keys.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "tls/ipsecmb/ipsecmb.h"

/* RFC 8446 section 5.5: "For AES-GCM, up to 2^24.5 full-size records (about 24 million) may be encrypted on a
 * given connection while keeping a safety margin of approximately 2^-57". For ChaCha20-Poly1305 "the record
 * sequence number would wrap before the safety limit is reached". */
#define GCM_MAX_RECORDS (UINT64_C(1) << 24)

#define GCM13(code, key_len, secret_len)                                                                     \
    {                                                                                                        \
        (code), true, (key_len), (secret_len), 12, 0, &pel_aead_ipsecmb_aes_gcm, GCM_MAX_RECORDS             \
    }
#define GCM12(code, key_len)                                                                                 \
    {                                                                                                        \
        (code), false, (key_len), 0, 4, 8, &pel_aead_ipsecmb_aes_gcm, UINT64_MAX                             \
    }
#define CHACHA(code, tls13, secret_len)                                                                      \
    {                                                                                                        \
        (code), (tls13), 32, (secret_len), 12, 0, &pel_aead_ipsecmb_chacha20, UINT64_MAX                     \
    }

static const struct pel_suite suites[] = {
    GCM13(0x1301, 16, 32), GCM13(0x1302, 32, 48),    CHACHA(0x1303, true, 32), GCM12(0x009c, 16),
    GCM12(0x009d, 32),     GCM12(0xc02b, 16),        GCM12(0xc02c, 32),        GCM12(0xc02f, 16),
    GCM12(0xc030, 32),     CHACHA(0xcca8, false, 0), CHACHA(0xcca9, false, 0),
};

const struct pel_suite *pel_suite_find(uint16_t code)
{
    for (size_t i = 0; i < sizeof suites / sizeof suites[0]; i++)
        if (suites[i].code == code)
            return &suites[i];
    return NULL;
}

enum pel_err pel_expand_label(const uint8_t *secret, size_t secret_len, const char *label, uint8_t *out,
                              size_t out_len)
{
    uint8_t info[64];
    struct pel_writer w = pel_writer_of(info, sizeof info);
    pel_write_uint(&w, out_len, 2);
    pel_write_uint(&w, 6 + strlen(label), 1);
    pel_write_bytes(&w, "tls13 ", 6);
    pel_write_bytes(&w, label, strlen(label));
    pel_write_uint(&w, 0, 1);
    assert(!w.failed);
    return pel_hkdf_expand(secret, secret_len, info, w.len, out, out_len);
}

/* The key in use ends here, wiped; `key` takes its place, with a sequence of its own. */
static enum pel_err use_key(struct pel_keys *keys, const uint8_t *key, uint64_t sequence)
{
    const struct pel_aead_ops *aead = keys->suite->aead;
    if (keys->cache != NULL) {
        pel_key_cache_drop(keys->cache, &keys->place);
        memcpy(keys->key, key, keys->suite->key_len);
    } else {
        aead->key_fini(keys->ctx);
        PEL_TRY(aead->key_init(keys->ctx, keys->lib, key, keys->suite->key_len));
    }
    keys->sequence = sequence;
    keys->used = UINT64_MAX;
    return PEL_OK;
}

/* RFC 8446 section 7.3. */
static enum pel_err use_secret(struct pel_keys *keys, uint64_t sequence)
{
    uint8_t key[PEL_AEAD_MAX_KEY_LEN];
    const struct pel_suite *suite = keys->suite;
    enum pel_err err = pel_expand_label(keys->secret, suite->secret_len, "key", key, suite->key_len);
    if (err == PEL_OK)
        err = pel_expand_label(keys->secret, suite->secret_len, "iv", keys->iv, sizeof keys->iv);
    if (err == PEL_OK)
        err = use_key(keys, key, sequence);
    explicit_bzero(key, sizeof key);
    return err;
}

static enum pel_err make_ctx(struct pel_keys *keys)
{
    size_t len = keys->suite->aead->ctx_len;
    keys->memory = calloc(1, len + PEL_AEAD_CTX_ALIGN);
    if (keys->memory == NULL)
        return PEL_E_NO_MEMORY;
    uintptr_t at = (uintptr_t)keys->memory;
    keys->ctx = (uint8_t *)keys->memory + (PEL_AEAD_CTX_ALIGN - at % PEL_AEAD_CTX_ALIGN);
    return PEL_OK;
}

static enum pel_err take_half(struct pel_keys *keys, const struct pel_handover_half *half)
{
    if (keys->cache == NULL)
        PEL_TRY(make_ctx(keys));
    if (keys->suite->tls13) {
        memcpy(keys->secret, half->secret, keys->suite->secret_len);
        return use_secret(keys, half->sequence);
    }
    memcpy(keys->iv, half->iv, keys->suite->iv_len);
    return use_key(keys, half->key, half->sequence);
}

enum pel_err pel_keys_init(struct pel_keys *keys, const struct pel_suite *suite,
                           const struct pel_ipsecmb *lib, struct pel_key_cache *cache,
                           const struct pel_handover_half *half)
{
    *keys = (struct pel_keys){.suite = suite, .lib = lib, .cache = cache};
    enum pel_err err = take_half(keys, half);
    if (err != PEL_OK)
        pel_keys_fini(keys);
    return err;
}

void pel_keys_fini(struct pel_keys *keys)
{
    if (keys->ctx != NULL)
        keys->suite->aead->key_fini(keys->ctx);
    if (keys->cache != NULL)
        pel_key_cache_drop(keys->cache, &keys->place);
    free(keys->memory);
    explicit_bzero(keys, sizeof *keys);
}

enum pel_err pel_keys_update(struct pel_keys *keys)
{
    uint8_t secret[PEL_MAX_SECRET_LEN];
    size_t len = keys->suite->secret_len;
    assert(keys->suite->tls13);
    PEL_TRY(pel_expand_label(keys->secret, len, "traffic upd", secret, len));
    memcpy(keys->secret, secret, len);
    explicit_bzero(secret, sizeof secret);
    return use_secret(keys, 0);
}

static enum pel_err find_ctx(struct pel_keys *keys, void **ret_ctx)
{
    *ret_ctx = keys->ctx;
    if (keys->cache == NULL)
        return PEL_OK;
    return pel_key_cache_get(keys->cache, &keys->place, keys->suite->aead, keys->lib, keys->key,
                             keys->suite->key_len, ret_ctx);
}

static void write_sequence(uint64_t sequence, uint8_t *out)
{
    for (size_t i = 0; i < 8; i++)
        out[i] = (uint8_t)(sequence >> (56 - 8 * i));
}

/* RFC 8446 section 5.3 and RFC 7905 section 2: the sequence, padded on the left, xor the IV. */
static void mix_nonce(const struct pel_keys *keys, uint8_t *nonce)
{
    uint8_t sequence[8];
    write_sequence(keys->sequence, sequence);
    memcpy(nonce, keys->iv, PEL_AEAD_NONCE_LEN);
    for (size_t i = 0; i < sizeof sequence; i++)
        nonce[4 + i] ^= sequence[i];
}

enum pel_err pel_keys_seal(struct pel_keys *keys, struct pel_aead_job *job, uint8_t *explicit_nonce)
{
    uint8_t nonce[PEL_AEAD_NONCE_LEN];
    void *ctx = NULL;
    assert(keys->used == UINT64_MAX || keys->sequence > keys->used);
    if (keys->sequence == UINT64_MAX)
        return PEL_E_TLS_INTERNAL;
    PEL_TRY(find_ctx(keys, &ctx));
    if (keys->suite->explicit_len > 0) {
        /* RFC 5288 section 3: "The nonce_explicit MAY be the 64-bit sequence number." */
        write_sequence(keys->sequence, explicit_nonce);
        memcpy(nonce, keys->iv, 4);
        memcpy(nonce + 4, explicit_nonce, 8);
    } else {
        mix_nonce(keys, nonce);
    }
    job->nonce = nonce;
    keys->used = keys->sequence++; /* moved also when sealing fails: the nonce may have been used */
    enum pel_err err = keys->suite->aead->seal(ctx, job);
    job->nonce = NULL;
    return err;
}

enum pel_err pel_keys_open(struct pel_keys *keys, struct pel_aead_job *job, const uint8_t *explicit_nonce)
{
    uint8_t nonce[PEL_AEAD_NONCE_LEN];
    void *ctx = NULL;
    if (keys->sequence == UINT64_MAX)
        return PEL_E_TLS_INTERNAL;
    PEL_TRY(find_ctx(keys, &ctx));
    if (keys->suite->explicit_len > 0) {
        memcpy(nonce, keys->iv, 4);
        memcpy(nonce + 4, explicit_nonce, 8);
    } else {
        mix_nonce(keys, nonce);
    }
    job->nonce = nonce;
    enum pel_err err = keys->suite->aead->open(ctx, job);
    job->nonce = NULL;
    if (err == PEL_OK)
        keys->used = keys->sequence++;
    return err;
}
