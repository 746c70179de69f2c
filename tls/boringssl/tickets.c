/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys that seal a server's tickets. A ticket of TLS 1.3 and one of an older version come from rings of
 * their own, since they are good for different times. A ring makes a new key when its newest is older than
 * its refresh interval, and forgets keys whose tickets have all ended. Time is the session's, as its caller
 * gives it.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/cipher.h>
#include <openssl/hmac.h>
#include <openssl/mem.h>
#include <openssl/rand.h>

#include "tls/boringssl/vendor.h"

/* Keys of one ring at most: with a refresh interval so short that more would be needed, it is lengthened. */
#define KEYS_MAX 64u

struct key {
    uint8_t name[16], hmac[32], cipher[32];
    uint64_t made_us; /* of a key that is there, never 0 */
};

struct ring {
    uint64_t refresh_us, timeout_us; /* refresh 0: never */
    struct key keys[KEYS_MAX];       /* the newest at `newest` */
    size_t newest;
};

struct pel_tickets {
    pthread_mutex_t mutex;
    bool aes256;
    struct ring tls13, older;
};

static void set_times(struct ring *ring, uint32_t refresh_s, uint32_t timeout_s)
{
    const uint64_t shortest_s = timeout_s / (KEYS_MAX - 2) + 1;
    uint64_t interval_s = refresh_s > 0 && refresh_s < shortest_s ? shortest_s : refresh_s;
    ring->refresh_us = interval_s * 1000000u;
    ring->timeout_us = (uint64_t)timeout_s * 1000000u;
}

struct pel_tickets *pel_tickets_new(const struct pel_tls_sessions *config)
{
    struct pel_tickets *tickets = calloc(1, sizeof *tickets);
    if (tickets == NULL)
        return NULL;
    pthread_mutex_init(&tickets->mutex, NULL); /* cannot fail with these attributes */
    tickets->aes256 = config->aes256;
    set_times(&tickets->tls13, config->key_refresh_s, config->ticket_timeout_s);
    /* Forward secrecy lasts twice as long as a session may be resumed, at most. */
    set_times(&tickets->older, config->timeout_s, config->timeout_s);
    return tickets;
}

void pel_tickets_free(struct pel_tickets *tickets)
{
    if (tickets == NULL)
        return;
    pthread_mutex_destroy(&tickets->mutex);
    OPENSSL_cleanse(tickets, sizeof *tickets);
    free(tickets);
}

static void forget_all(struct ring *ring)
{
    OPENSSL_cleanse(ring->keys, sizeof ring->keys);
    ring->newest = 0;
}

void pel_tickets_forget(struct pel_tickets *tickets)
{
    pthread_mutex_lock(&tickets->mutex);
    forget_all(&tickets->tls13);
    forget_all(&tickets->older);
    pthread_mutex_unlock(&tickets->mutex);
}

static bool make_key(struct key *key, uint64_t now_us)
{
    bool made = RAND_bytes(key->name, sizeof key->name) && RAND_bytes(key->hmac, sizeof key->hmac) &&
                RAND_bytes(key->cipher, sizeof key->cipher);
    key->made_us = now_us;
    return made;
}

/* A key seals for `refresh_us`, and its last ticket lives for `timeout_us` more. */
static void forget_old(struct ring *ring, uint64_t now_us)
{
    for (size_t i = 0; i < KEYS_MAX && ring->refresh_us > 0; i++) {
        struct key *key = &ring->keys[i];
        if (key->made_us != 0 && now_us > key->made_us &&
            now_us - key->made_us > ring->refresh_us + ring->timeout_us)
            OPENSSL_cleanse(key, sizeof *key);
    }
}

static bool take_newest(struct ring *ring, uint64_t now_us, struct key *ret_key)
{
    struct key *newest = &ring->keys[ring->newest];
    now_us = now_us > 0 ? now_us : 1;
    bool is_old =
        ring->refresh_us > 0 && now_us > newest->made_us && now_us - newest->made_us >= ring->refresh_us;
    if (newest->made_us == 0 || is_old) {
        size_t next = newest->made_us == 0 ? ring->newest : (ring->newest + 1) % KEYS_MAX;
        if (!make_key(&ring->keys[next], now_us))
            return false;
        ring->newest = next;
        forget_old(ring, now_us);
    }
    *ret_key = ring->keys[ring->newest];
    return true;
}

static bool find(struct ring *ring, const uint8_t *name, uint64_t now_us, struct key *ret_key,
                 bool *ret_is_old)
{
    forget_old(ring, now_us);
    for (size_t i = 0; i < KEYS_MAX; i++) {
        const struct key *key = &ring->keys[i];
        if (key->made_us == 0 || memcmp(key->name, name, sizeof key->name) != 0)
            continue;
        *ret_key = *key;
        *ret_is_old = i != ring->newest;
        return true;
    }
    return false;
}

static int use(const struct pel_tickets *tickets, const struct key *key, uint8_t *iv,
               EVP_CIPHER_CTX *cipher_ctx, HMAC_CTX *hmac_ctx, int encrypt)
{
    const EVP_CIPHER *cipher = tickets->aes256 ? EVP_aes_256_cbc() : EVP_aes_128_cbc();
    return HMAC_Init_ex(hmac_ctx, key->hmac, sizeof key->hmac, EVP_sha256(), NULL) &&
           EVP_CipherInit_ex(cipher_ctx, cipher, NULL, key->cipher, iv, encrypt);
}

int pel_ticket_callback(SSL *ssl, uint8_t *key_name, uint8_t *iv, EVP_CIPHER_CTX *cipher_ctx,
                        HMAC_CTX *hmac_ctx, int encrypt)
{
    const struct pel_hs *hs = SSL_get_app_data(ssl);
    struct pel_tickets *tickets = hs->env->ctx->tickets;
    struct ring *ring = SSL_version(ssl) >= TLS1_3_VERSION ? &tickets->tls13 : &tickets->older;
    struct key key;
    bool is_old = false;
    pthread_mutex_lock(&tickets->mutex);
    bool found =
        encrypt ? take_newest(ring, hs->now_us, &key) : find(ring, key_name, hs->now_us, &key, &is_old);
    pthread_mutex_unlock(&tickets->mutex);
    if (!found)
        return encrypt ? -1 : 0;
    if (encrypt) {
        memcpy(key_name, key.name, sizeof key.name);
        found = RAND_bytes(iv, 16);
    }
    int ret = found && use(tickets, &key, iv, cipher_ctx, hmac_ctx, encrypt) ? (is_old ? 2 : 1) : -1;
    OPENSSL_cleanse(&key, sizeof key);
    return ret;
}
