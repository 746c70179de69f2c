/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the policy wants of a handshake that the library itself is content with. Looked at when it is done and
 * before the application sends or gets a byte.
 */
#include <string.h>

#include "base/bytes.h"
#include "tls/boringssl/vendor.h"

enum { SERVER_HELLO = 2, ENCRYPTED_EXTENSIONS = 8, DES_KEY_LEN = 8 };

/* ANSI X9.52: the three keys must differ; the lowest bit of each byte is parity. */
static bool are_equal(const uint8_t *a, const uint8_t *b)
{
    for (size_t i = 0; i < DES_KEY_LEN; i++)
        if ((a[i] | 1) != (b[i] | 1))
            return false;
    return true;
}

bool pel_des_keys_are_weak(const uint8_t *block, size_t mac_len)
{
    for (size_t i = 0; i < 2; i++) {
        const uint8_t *key = block + 2 * mac_len + i * 3 * DES_KEY_LEN;
        if (are_equal(key, key + DES_KEY_LEN) || are_equal(key + DES_KEY_LEN, key + 2 * DES_KEY_LEN) ||
            are_equal(key, key + 2 * DES_KEY_LEN))
            return true;
    }
    return false;
}

/* RFC 5246 section 6.3: two MAC keys of SHA-1, two keys, and up to TLS 1.0 two IVs. */
static bool has_weak_des_keys(const SSL *ssl)
{
    enum { MAC_LEN = 20, MAX_LEN = 2 * (MAC_LEN + 3 * DES_KEY_LEN + DES_KEY_LEN) };
    uint8_t block[MAX_LEN];
    size_t len = SSL_get_key_block_len(ssl);
    bool weak = len < 2 * (MAC_LEN + 3 * DES_KEY_LEN) || len > sizeof block ||
                !SSL_generate_key_block(ssl, block, len) || pel_des_keys_are_weak(block, MAC_LEN);
    OPENSSL_cleanse(block, sizeof block);
    return weak; /* what cannot be looked at is not trusted */
}

static enum pel_err refuse(struct pel_hs *hs, uint8_t alert, enum pel_err err, const char *text,
                           struct pel_error *reterr)
{
    pel_hs_alert(hs, alert);
    return pel_error_set(reterr, err, "%s: %s", pel_err_text(err), text);
}

/* A certificate that nobody has validated is its holder's all the same: the fingerprint tells whose. Its
 * subject is anybody's word. */
static const char *find_user(const struct pel_tls_env *env, X509 *peer, const char *subject)
{
    uint8_t sha256[PEL_USERS_SHA256_LEN];
    if (!X509_digest(peer, EVP_sha256(), sha256, NULL))
        return NULL;
    return pel_users_find(env->users, sha256, env->client_auth == PEL_TLS_AUTH_PASSTHRU ? "" : subject);
}

static enum pel_err check_user(struct pel_hs *hs, struct pel_error *reterr)
{
    char subject[PEL_USER_SUBJECT_CAP] = "";
    X509 *peer = hs->env->users != NULL ? SSL_get_peer_certificate(hs->ssl) : NULL;
    if (peer != NULL) {
        pel_x509_name_text(X509_get_subject_name(peer), subject, sizeof subject);
        hs->user = find_user(hs->env, peer, subject);
        X509_free(peer);
    }
    if (hs->env->client_auth != PEL_TLS_AUTH_SAFCHECK || hs->user != NULL)
        return PEL_OK;
    pel_hs_alert(hs, SSL_AD_ACCESS_DENIED);
    return pel_error_set(
        reterr, PEL_E_TLS_NO_USER,
        "the client's certificate \"%.200s\" stands for no user (RC 5002), and ClientAuthType "
        "SAFCheck wants one: `pel keyring user`",
        subject);
}

enum pel_err pel_demands_check(struct pel_hs *hs, struct pel_error *reterr)
{
    const struct pel_tls_env *env = hs->env;
    const struct pel_peer_demands *demands = &env->demands;
    const bool client = env->role == PEL_TLS_CLIENT, old = SSL_version(hs->ssl) < TLS1_3_VERSION;
    if (demands->extended_master_secret && old && !SSL_get_extms_support(hs->ssl))
        return refuse(hs, SSL_AD_HANDSHAKE_FAILURE, PEL_E_TLS_WEAK,
                      "no extended master secret (RFC 7627), which ExtendedMasterSecret Required wants",
                      reterr);
    if (demands->renegotiation_indicated && old && !SSL_get_secure_renegotiation_support(hs->ssl))
        return refuse(hs, SSL_AD_HANDSHAKE_FAILURE, PEL_E_TLS_WEAK,
                      "no sign of secure renegotiation (RFC 5746), which RenegotiationIndicator wants",
                      reterr);
    if (demands->des_key_check && SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(hs->ssl)) == 0x000a &&
        has_weak_des_keys(hs->ssl))
        return refuse(hs, SSL_AD_HANDSHAKE_FAILURE, PEL_E_TLS_WEAK,
                      "the keys of 3DES have equal parts, or could not be looked at (3DesKeyCheck)", reterr);
    /* A server does not acknowledge the name again when it resumes (RFC 6066 section 3). */
    if (client && (env->sni == PEL_TLS_REQUIRED || (env->sni == PEL_TLS_OPTIONAL && env->sni_match)) &&
        SSL_get_servername(hs->ssl, TLSEXT_NAMETYPE_host_name) != NULL && !hs->name_acknowledged &&
        !SSL_session_reused(hs->ssl))
        return refuse(hs, SSL_AD_UNRECOGNIZED_NAME, PEL_E_TLS_SERVER_NAME,
                      "the server did not acknowledge the name that was asked for", reterr);
    return check_user(hs, reterr);
}

/* Whether the list of extensions, with its length, has an acknowledgement of the server's name. */
static bool acknowledges(struct pel_reader *r)
{
    size_t left_len = pel_read_u16(r);
    while (left_len >= 4 && !r->failed) {
        uint16_t type = pel_read_u16(r), len = pel_read_u16(r);
        if (!r->failed && type == TLSEXT_TYPE_server_name)
            return true;
        (void)pel_read_bytes(r, len);
        left_len = left_len > 4u + len ? left_len - 4 - len : 0;
    }
    return false;
}

void pel_message_callback(int is_write, int version, int content_type, const void *bytes, size_t len,
                          SSL *ssl, void *arg)
{
    (void)version, (void)arg;
    struct pel_hs *hs = SSL_get_app_data(ssl);
    struct pel_reader r = pel_reader_of(bytes, len);
    uint8_t type = pel_read_u8(&r);
    (void)pel_read_uint(&r, 3);
    if (is_write || content_type != SSL3_RT_HANDSHAKE || hs == NULL ||
        (type != SERVER_HELLO && type != ENCRYPTED_EXTENSIONS))
        return;
    if (type == SERVER_HELLO) { /* RFC 5246 section 7.4.1.3 */
        (void)pel_read_bytes(&r, 2 + SSL3_RANDOM_SIZE);
        uint8_t id_len = pel_read_u8(&r);
        (void)pel_read_bytes(&r, id_len + 3u);
    }
    hs->name_acknowledged = hs->name_acknowledged || (!r.failed && acknowledges(&r));
}
