/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenSSL's AES-128-GCM, as OpenSSL's own record layer uses it: one context a key, a new nonce each record.
 */
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "bench/record_speed.h"

struct key {
    EVP_CIPHER_CTX *sealing, *opening;
};

static void close_key(void *arg)
{
    struct key *key = arg;
    EVP_CIPHER_CTX_free(key->sealing);
    EVP_CIPHER_CTX_free(key->opening);
    free(key);
}

static void *open_key(void)
{
    static const uint8_t bytes[16] = {1};
    struct key *key = calloc(1, sizeof *key);
    if (key == NULL)
        return NULL;
    key->sealing = EVP_CIPHER_CTX_new();
    key->opening = EVP_CIPHER_CTX_new();
    if (key->sealing != NULL && key->opening != NULL &&
        EVP_EncryptInit_ex(key->sealing, EVP_aes_128_gcm(), NULL, bytes, NULL) == 1 &&
        EVP_DecryptInit_ex(key->opening, EVP_aes_128_gcm(), NULL, bytes, NULL) == 1)
        return key;
    close_key(key);
    return NULL;
}

static bool seal(void *arg, uint64_t seq, const uint8_t *text, size_t len, uint8_t *ret_sealed)
{
    EVP_CIPHER_CTX *ctx = ((struct key *)arg)->sealing;
    uint8_t nonce[12] = {0}, aad[5] = {23, 3, 3};
    int n = 0;
    memcpy(nonce + 4, &seq, 8);
    return EVP_EncryptInit_ex(ctx, NULL, NULL, NULL, nonce) == 1 &&
           EVP_EncryptUpdate(ctx, NULL, &n, aad, 5) == 1 &&
           EVP_EncryptUpdate(ctx, ret_sealed, &n, text, (int)len) == 1 &&
           EVP_EncryptFinal_ex(ctx, ret_sealed + n, &n) == 1 &&
           EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, RECORD_TAG_LEN, ret_sealed + len) == 1;
}

static bool open_sealed(void *arg, uint64_t seq, const uint8_t *sealed, size_t len, uint8_t *ret_text)
{
    EVP_CIPHER_CTX *ctx = ((struct key *)arg)->opening;
    uint8_t nonce[12] = {0}, aad[5] = {23, 3, 3}, tag[RECORD_TAG_LEN];
    size_t text_len = len - RECORD_TAG_LEN;
    int n = 0;
    memcpy(nonce + 4, &seq, 8);
    memcpy(tag, sealed + text_len, sizeof tag);
    return EVP_DecryptInit_ex(ctx, NULL, NULL, NULL, nonce) == 1 &&
           EVP_DecryptUpdate(ctx, NULL, &n, aad, 5) == 1 &&
           EVP_DecryptUpdate(ctx, ret_text, &n, sealed, (int)text_len) == 1 &&
           EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, sizeof tag, tag) == 1 &&
           EVP_DecryptFinal_ex(ctx, ret_text + n, &n) == 1;
}

int main(int argc, char **argv)
{
    static const struct record_engine engine = {"openssl", open_key, close_key, seal, open_sealed};
    return record_speed_main(argc, argv, &engine, 1);
}
