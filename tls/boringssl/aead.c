/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/aead.h"

#include <openssl/aead.h>
#include <openssl/err.h>
#include <string.h>

struct context {
    EVP_AEAD_CTX *aead;
};

static enum pel_err key_init(void *ctx, const EVP_AEAD *aead, const uint8_t *key, size_t key_len)
{
    struct context *context = ctx;
    context->aead = EVP_AEAD_CTX_new(aead, key, key_len, PEL_AEAD_TAG_LEN);
    ERR_clear_error();
    return context->aead != NULL ? PEL_OK : PEL_E_NO_MEMORY;
}

static enum pel_err gcm_key_init(void *ctx, const struct pel_ipsecmb *lib, const uint8_t *key, size_t key_len)
{
    (void)lib;
    if (key_len != 16 && key_len != 32)
        return PEL_E_TLS_INTERNAL;
    return key_init(ctx, key_len == 16 ? EVP_aead_aes_128_gcm() : EVP_aead_aes_256_gcm(), key, key_len);
}

static enum pel_err chacha_key_init(void *ctx, const struct pel_ipsecmb *lib, const uint8_t *key,
                                    size_t key_len)
{
    (void)lib;
    return key_len == 32 ? key_init(ctx, EVP_aead_chacha20_poly1305(), key, key_len) : PEL_E_TLS_INTERNAL;
}

static void key_fini(void *ctx)
{
    struct context *context = ctx;
    EVP_AEAD_CTX_free(context->aead); /* wipes: BoringSSL's OPENSSL_free always does */
    context->aead = NULL;
}

static enum pel_err seal(void *ctx, const struct pel_aead_job *job)
{
    struct context *context = ctx;
    size_t tag_len = 0;
    if (EVP_AEAD_CTX_seal_scatter(context->aead, job->out, job->out + job->in_len, &tag_len,
                                  job->tail_len + PEL_AEAD_TAG_LEN, job->nonce, PEL_AEAD_NONCE_LEN, job->in,
                                  job->in_len, job->tail, job->tail_len, job->aad, job->aad_len))
        return PEL_OK;
    ERR_clear_error();
    return PEL_E_TLS_INTERNAL;
}

static enum pel_err open_bytes(const struct context *context, const struct pel_aead_job *job,
                               const uint8_t *in, size_t len, const uint8_t *tag)
{
    if (EVP_AEAD_CTX_open_gather(context->aead, job->out, job->nonce, PEL_AEAD_NONCE_LEN, in, len, tag,
                                 PEL_AEAD_TAG_LEN, job->aad, job->aad_len))
        return PEL_OK;
    ERR_clear_error();
    if (len > 0)
        explicit_bzero(job->out, len);
    return PEL_E_TLS_BAD_RECORD_MAC;
}

/* BoringSSL opens in one piece: pieces come together where they are to go, and are opened there. */
static enum pel_err open_sealed(void *ctx, const struct pel_aead_job *job)
{
    if (job->tag != NULL) {
        size_t len = pel_pieces_len(job->pieces, job->num_pieces);
        pel_pieces_copy(job->pieces, job->num_pieces, 0, job->out, len);
        return open_bytes(ctx, job, job->out, len, job->tag);
    }
    if (job->in_len < PEL_AEAD_TAG_LEN)
        return PEL_E_TLS_BAD_RECORD_MAC;
    size_t len = job->in_len - PEL_AEAD_TAG_LEN;
    return open_bytes(ctx, job, job->in, len, job->in + len);
}

const struct pel_aead_ops pel_aead_library_aes_gcm = {
    .name = "boringssl-aes-gcm",
    .ctx_len = sizeof(struct context),
    .key_init = gcm_key_init,
    .key_fini = key_fini,
    .seal = seal,
    .open = open_sealed,
};

const struct pel_aead_ops pel_aead_library_chacha20 = {
    .name = "boringssl-chacha20-poly1305",
    .ctx_len = sizeof(struct context),
    .key_init = chacha_key_init,
    .key_fini = key_fini,
    .seal = seal,
    .open = open_sealed,
};
