/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/ipsecmb/ipsecmb.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Without it the header leaves out the alignment of gcm_key_data that the library was built with. */
#ifndef LINUX
#define LINUX
#endif
#include <intel-ipsec-mb.h>

struct gcm_calls {
    aes_gcm_pre_t pre;
    aes_gcm_init_t init;
    aes_gcm_enc_dec_update_t enc_update;
    aes_gcm_enc_dec_finalize_t enc_finalize;
    aes_gcm_enc_dec_t dec;
    aes_gcm_enc_dec_update_t dec_update;
    aes_gcm_enc_dec_finalize_t dec_finalize;
};

struct pel_ipsecmb {
    struct gcm_calls gcm128, gcm256;
    chacha_poly_init_t chacha_init;
    chacha_poly_enc_dec_update_t chacha_enc_update, chacha_dec_update;
    chacha_poly_finalize_t chacha_finalize;
};

static void take_calls(const IMB_MGR *manager, struct pel_ipsecmb *lib)
{
    *lib = (struct pel_ipsecmb){
        .gcm128 = {manager->gcm128_pre, manager->gcm128_init, manager->gcm128_enc_update,
                   manager->gcm128_enc_finalize, manager->gcm128_dec, manager->gcm128_dec_update,
                   manager->gcm128_dec_finalize},
        .gcm256 = {manager->gcm256_pre, manager->gcm256_init, manager->gcm256_enc_update,
                   manager->gcm256_enc_finalize, manager->gcm256_dec, manager->gcm256_dec_update,
                   manager->gcm256_dec_finalize},
        .chacha_init = manager->chacha20_poly1305_init,
        .chacha_enc_update = manager->chacha20_poly1305_enc_update,
        .chacha_dec_update = manager->chacha20_poly1305_dec_update,
        .chacha_finalize = manager->chacha20_poly1305_finalize,
    };
}

static enum pel_err check(IMB_MGR *manager, struct pel_error *reterr)
{
    const uint64_t wanted = IMB_FEATURE_SAFE_DATA | IMB_FEATURE_SAFE_PARAM;
    int error = imb_get_errno(manager);
    if (error != 0)
        return pel_error_set(reterr, PEL_E_TLS_INTERNAL, "IPsec-MB does not start: %s",
                             imb_get_strerror(error));
    if ((manager->features & wanted) != wanted)
        return pel_error_set(
            reterr, PEL_E_TLS_INTERNAL,
            "IPsec-MB was built without SAFE_DATA or SAFE_PARAM and would leave keys behind");
    return PEL_OK;
}

enum pel_err pel_ipsecmb_new(struct pel_ipsecmb **ret_lib, struct pel_error *reterr)
{
    struct pel_ipsecmb *lib = calloc(1, sizeof *lib);
    size_t manager_len = imb_get_mb_mgr_size();
    /* Pages of its own: from the heap, what is allocated after it would lie in the 200 kB hole that it
     * leaves, and each environment would cost that much. */
    void *room = lib != NULL
                     ? mmap(NULL, manager_len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
                     : MAP_FAILED;
    if (room == MAP_FAILED) {
        free(lib);
        return pel_error_set(reterr, PEL_E_NO_MEMORY, "out of memory");
    }
    IMB_MGR *manager = imb_set_pointers_mb_mgr(room, 0, 1);
    init_mb_mgr_auto(manager, NULL);
    enum pel_err err = check(manager, reterr);
    take_calls(manager, lib);
    munmap(room, manager_len);
    if (err != PEL_OK) {
        free(lib);
        return err;
    }
    *ret_lib = lib;
    return PEL_OK;
}

void pel_ipsecmb_free(struct pel_ipsecmb *lib)
{
    free(lib);
}

/* The library gives the tag and does not compare it. In constant time: how much of it was right tells a
 * forger nothing. */
static enum pel_err check_tag(const uint8_t *tag, const uint8_t *wanted, uint8_t *out, size_t out_len)
{
    uint8_t differ = 0;
    for (size_t i = 0; i < PEL_AEAD_TAG_LEN; i++)
        differ |= (uint8_t)(tag[i] ^ wanted[i]);
    if (differ == 0)
        return PEL_OK;
    if (out_len > 0)
        explicit_bzero(out, out_len);
    return PEL_E_TLS_BAD_RECORD_MAC;
}

struct gcm_ctx {
    struct gcm_key_data key;
    const struct gcm_calls *calls; /* of struct pel_ipsecmb */
};

static enum pel_err gcm_key_init(void *ctx, const struct pel_ipsecmb *lib, const uint8_t *key, size_t key_len)
{
    struct gcm_ctx *gcm = ctx;
    assert((uintptr_t)ctx % PEL_AEAD_CTX_ALIGN == 0);
    if (key_len != 16 && key_len != 32)
        return PEL_E_TLS_INTERNAL;
    gcm->calls = key_len == 16 ? &lib->gcm128 : &lib->gcm256;
    gcm->calls->pre(key, &gcm->key);
    return PEL_OK;
}

static void gcm_key_fini(void *ctx)
{
    explicit_bzero(ctx, sizeof(struct gcm_ctx));
}

static enum pel_err gcm_seal(void *ctx, const struct pel_aead_job *job)
{
    const struct gcm_ctx *gcm = ctx;
    const struct gcm_calls *calls = gcm->calls;
    struct gcm_context_data work;
    calls->init(&gcm->key, &work, job->nonce, job->aad, job->aad_len);
    if (job->in_len > 0)
        calls->enc_update(&gcm->key, &work, job->out, job->in, job->in_len);
    if (job->tail_len > 0)
        calls->enc_update(&gcm->key, &work, job->out + job->in_len, job->tail, job->tail_len);
    calls->enc_finalize(&gcm->key, &work, job->out + job->in_len + job->tail_len, PEL_AEAD_TAG_LEN);
    explicit_bzero(&work, sizeof work);
    return PEL_OK;
}

static enum pel_err gcm_open_pieces(const struct gcm_ctx *gcm, const struct pel_aead_job *job)
{
    const struct gcm_calls *calls = gcm->calls;
    struct gcm_context_data work;
    uint8_t tag[PEL_AEAD_TAG_LEN];
    size_t len = 0;
    calls->init(&gcm->key, &work, job->nonce, job->aad, job->aad_len);
    for (size_t i = 0; i < job->num_pieces; len += job->pieces[i++].len)
        calls->dec_update(&gcm->key, &work, job->out + len, job->pieces[i].bytes, job->pieces[i].len);
    calls->dec_finalize(&gcm->key, &work, tag, sizeof tag);
    explicit_bzero(&work, sizeof work);
    return check_tag(tag, job->tag, job->out, len);
}

static enum pel_err gcm_open(void *ctx, const struct pel_aead_job *job)
{
    const struct gcm_ctx *gcm = ctx;
    struct gcm_context_data work;
    uint8_t tag[PEL_AEAD_TAG_LEN], none = 0;
    if (job->tag != NULL)
        return gcm_open_pieces(gcm, job);
    if (job->in_len < PEL_AEAD_TAG_LEN)
        return PEL_E_TLS_BAD_RECORD_MAC;
    size_t len = job->in_len - PEL_AEAD_TAG_LEN;
    gcm->calls->dec(&gcm->key, &work, len > 0 ? job->out : &none, job->in, len, job->nonce, job->aad,
                    job->aad_len, tag, sizeof tag);
    explicit_bzero(&work, sizeof work);
    return check_tag(tag, job->in + len, job->out, len);
}

struct chacha_ctx {
    const struct pel_ipsecmb *lib;
    uint8_t key[32];
};

static enum pel_err chacha_key_init(void *ctx, const struct pel_ipsecmb *lib, const uint8_t *key,
                                    size_t key_len)
{
    struct chacha_ctx *chacha = ctx;
    if (key_len != sizeof chacha->key)
        return PEL_E_TLS_INTERNAL;
    chacha->lib = lib;
    memcpy(chacha->key, key, key_len);
    return PEL_OK;
}

static void chacha_key_fini(void *ctx)
{
    explicit_bzero(ctx, sizeof(struct chacha_ctx));
}

static enum pel_err chacha_seal(void *ctx, const struct pel_aead_job *job)
{
    const struct chacha_ctx *chacha = ctx;
    const struct pel_ipsecmb *lib = chacha->lib;
    struct chacha20_poly1305_context_data work;
    lib->chacha_init(chacha->key, &work, job->nonce, job->aad, job->aad_len);
    if (job->in_len > 0)
        lib->chacha_enc_update(chacha->key, &work, job->out, job->in, job->in_len);
    if (job->tail_len > 0)
        lib->chacha_enc_update(chacha->key, &work, job->out + job->in_len, job->tail, job->tail_len);
    lib->chacha_finalize(&work, job->out + job->in_len + job->tail_len, PEL_AEAD_TAG_LEN);
    explicit_bzero(&work, sizeof work);
    return PEL_OK;
}

static enum pel_err chacha_open_pieces(const struct chacha_ctx *chacha, const struct pel_aead_job *job)
{
    const struct pel_ipsecmb *lib = chacha->lib;
    struct chacha20_poly1305_context_data work;
    uint8_t tag[PEL_AEAD_TAG_LEN];
    size_t len = 0;
    lib->chacha_init(chacha->key, &work, job->nonce, job->aad, job->aad_len);
    for (size_t i = 0; i < job->num_pieces; len += job->pieces[i++].len)
        lib->chacha_dec_update(chacha->key, &work, job->out + len, job->pieces[i].bytes, job->pieces[i].len);
    lib->chacha_finalize(&work, tag, sizeof tag);
    explicit_bzero(&work, sizeof work);
    return check_tag(tag, job->tag, job->out, len);
}

static enum pel_err chacha_open(void *ctx, const struct pel_aead_job *job)
{
    const struct chacha_ctx *chacha = ctx;
    const struct pel_ipsecmb *lib = chacha->lib;
    struct chacha20_poly1305_context_data work;
    uint8_t tag[PEL_AEAD_TAG_LEN];
    if (job->tag != NULL)
        return chacha_open_pieces(chacha, job);
    if (job->in_len < PEL_AEAD_TAG_LEN)
        return PEL_E_TLS_BAD_RECORD_MAC;
    size_t len = job->in_len - PEL_AEAD_TAG_LEN;
    lib->chacha_init(chacha->key, &work, job->nonce, job->aad, job->aad_len);
    if (len > 0)
        lib->chacha_dec_update(chacha->key, &work, job->out, job->in, len);
    lib->chacha_finalize(&work, tag, sizeof tag);
    explicit_bzero(&work, sizeof work);
    return check_tag(tag, job->in + len, job->out, len);
}

const struct pel_aead_ops pel_aead_ipsecmb_aes_gcm = {
    .name = "ipsecmb-aes-gcm",
    .ctx_len = sizeof(struct gcm_ctx),
    .key_init = gcm_key_init,
    .key_fini = gcm_key_fini,
    .seal = gcm_seal,
    .open = gcm_open,
};

const struct pel_aead_ops pel_aead_ipsecmb_chacha20 = {
    .name = "ipsecmb-chacha20-poly1305",
    .ctx_len = sizeof(struct chacha_ctx),
    .key_init = chacha_key_init,
    .key_fini = chacha_key_fini,
    .seal = chacha_seal,
    .open = chacha_open,
};
