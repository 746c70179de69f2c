/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Our record engines, each behind the seam of tls/aead.h.
 */
#include <stdlib.h>
#include <string.h>

#include "bench/record_speed.h"
#include "tls/aead.h"
#include "tls/ipsecmb/ipsecmb.h"

struct key {
    const struct pel_aead_ops *ops;
    struct pel_ipsecmb *lib;
    void *ctx;
};

static void close_key(void *arg)
{
    struct key *key = arg;
    if (key->ctx != NULL)
        key->ops->key_fini(key->ctx);
    pel_ipsecmb_free(key->lib);
    free(key->ctx);
    free(key);
}

static void *open_key(const struct pel_aead_ops *ops)
{
    static const uint8_t bytes[16] = {1};
    struct key *key = calloc(1, sizeof *key);
    if (key == NULL)
        return NULL;
    key->ops = ops;
    size_t ctx_len = (ops->ctx_len + PEL_AEAD_CTX_ALIGN - 1) / PEL_AEAD_CTX_ALIGN * PEL_AEAD_CTX_ALIGN;
    key->ctx = aligned_alloc(PEL_AEAD_CTX_ALIGN, ctx_len);
    if (key->ctx != NULL)
        memset(key->ctx, 0, ctx_len);
    if (key->ctx == NULL || pel_ipsecmb_new(&key->lib, NULL) != PEL_OK ||
        ops->key_init(key->ctx, key->lib, bytes, sizeof bytes) != PEL_OK) {
        close_key(key);
        return NULL;
    }
    return key;
}

static void *open_ipsecmb(void)
{
    return open_key(&pel_aead_ipsecmb_aes_gcm);
}

static void *open_boringssl(void)
{
    return open_key(&pel_aead_library_aes_gcm);
}

static bool seal(void *arg, uint64_t seq, const uint8_t *text, size_t len, uint8_t *ret_sealed)
{
    const struct key *key = arg;
    uint8_t nonce[PEL_AEAD_NONCE_LEN] = {0}, aad[5] = {23, 3, 3};
    memcpy(nonce + 4, &seq, 8);
    struct pel_aead_job job = {.nonce = nonce,
                               .aad = aad,
                               .aad_len = sizeof aad,
                               .in = text,
                               .in_len = len - 1,
                               .tail = text + len - 1,
                               .tail_len = 1,
                               .out = ret_sealed};
    return key->ops->seal(key->ctx, &job) == PEL_OK;
}

static bool open_sealed(void *arg, uint64_t seq, const uint8_t *sealed, size_t len, uint8_t *ret_text)
{
    const struct key *key = arg;
    uint8_t nonce[PEL_AEAD_NONCE_LEN] = {0}, aad[5] = {23, 3, 3};
    memcpy(nonce + 4, &seq, 8);
    struct pel_aead_job job = {
        .nonce = nonce, .aad = aad, .aad_len = sizeof aad, .in = sealed, .in_len = len, .out = ret_text};
    return key->ops->open(key->ctx, &job) == PEL_OK;
}

int main(int argc, char **argv)
{
    static const struct record_engine engines[] = {
        {"ipsecmb", open_ipsecmb, close_key, seal, open_sealed},
        {"boringssl", open_boringssl, close_key, seal, open_sealed},
    };
    return record_speed_main(argc, argv, engines, 2);
}
