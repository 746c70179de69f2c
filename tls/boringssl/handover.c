/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/handover.h"

#include <openssl/hkdf.h>
#include <string.h>

#include "tls/boringssl/handover_secrets.h"
#include "tls/boringssl/vendor.h"

/* RFC 5246 section 6.3: client key, server key, client IV, server IV; an AEAD has no MAC keys. */
static bool take_key_block(const SSL *ssl, size_t key_len, size_t iv_len, struct pel_handover *handover)
{
    uint8_t block[2 * (32 + 12)];
    size_t len = 2 * (key_len + iv_len);
    bool server = SSL_is_server(ssl);
    struct pel_handover_half *client_half = server ? &handover->reading : &handover->writing;
    struct pel_handover_half *server_half = server ? &handover->writing : &handover->reading;
    if (key_len > 32 || iv_len > 12 || SSL_get_key_block_len(ssl) != len ||
        !SSL_generate_key_block(ssl, block, len))
        return false;
    memcpy(client_half->key, block, key_len);
    memcpy(server_half->key, block + key_len, key_len);
    memcpy(client_half->iv, block + 2 * key_len, iv_len);
    memcpy(server_half->iv, block + 2 * key_len + iv_len, iv_len);
    explicit_bzero(block, sizeof block);
    return true;
}

enum pel_err pel_handover_take(const struct pel_hs *hs, size_t secret_len, size_t key_len, size_t iv_len,
                               struct pel_handover *ret_handover)
{
    struct pel_handover handover = {
        .reading = {.sequence = SSL_get_read_sequence(hs->ssl)},
        .writing = {.sequence = SSL_get_write_sequence(hs->ssl)},
    };
    bool taken = SSL_version(hs->ssl) == TLS1_3_VERSION
                     ? secret_len <= PEL_MAX_SECRET_LEN &&
                           pel_ssl_traffic_secrets(hs->ssl, secret_len, handover.reading.secret,
                                                   handover.writing.secret)
                     : take_key_block(hs->ssl, key_len, iv_len, &handover);
    ERR_clear_error();
    if (taken)
        *ret_handover = handover;
    explicit_bzero(&handover, sizeof handover);
    return taken ? PEL_OK : PEL_E_TLS_INTERNAL;
}

enum pel_err pel_hkdf_expand(const uint8_t *secret, size_t secret_len, const uint8_t *info, size_t info_len,
                             uint8_t *out, size_t out_len)
{
    const EVP_MD *hash = secret_len == 48 ? EVP_sha384() : EVP_sha256();
    if (secret_len != EVP_MD_size(hash))
        return PEL_E_TLS_INTERNAL;
    bool done = HKDF_expand(out, out_len, hash, secret, secret_len, info, info_len);
    ERR_clear_error();
    return done ? PEL_OK : PEL_E_NO_MEMORY;
}
