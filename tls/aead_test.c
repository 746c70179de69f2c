/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The AEAD engines against each other, both ways, and the key schedule against RFC 8448.
 */
#include <malloc.h>
#include <stdlib.h>

#include "base/clock.h"
#include "tests/harness/harness.h"
#include "tls/ipsecmb/ipsecmb.h"
#include "tls/keys.h"

#define MAX_LEN 16640u

struct engine {
    const struct pel_aead_ops *ops;
    void *ctx;
};

static bool engine_init(struct engine *engine, const struct pel_aead_ops *ops, const struct pel_ipsecmb *lib,
                        const uint8_t *key, size_t key_len)
{
    engine->ops = ops;
    engine->ctx = aligned_alloc(PEL_AEAD_CTX_ALIGN, (ops->ctx_len + PEL_AEAD_CTX_ALIGN - 1) /
                                                        PEL_AEAD_CTX_ALIGN * PEL_AEAD_CTX_ALIGN);
    return engine->ctx != NULL && ops->key_init(engine->ctx, lib, key, key_len) == PEL_OK;
}

static void engine_fini(struct engine *engine)
{
    engine->ops->key_fini(engine->ctx);
    for (size_t i = 0; i < engine->ops->ctx_len; i++)
        PEL_EXPECT_EQ(((uint8_t *)engine->ctx)[i], 0); /* wiped */
    free(engine->ctx);
}

static void fill(struct pel_prng *prng, uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)pel_prng_next(prng);
}

/* Each wrong bit must be found, by both, and leave nothing. */
static void expect_refused(struct engine *engine, const struct pel_aead_job *good, uint8_t *sealed,
                           size_t sealed_len, struct pel_prng *prng)
{
    static const uint8_t zeros[MAX_LEN];
    uint8_t nonce[PEL_AEAD_NONCE_LEN], aad[16], *out = malloc(sealed_len + 1);
    struct pel_aead_job job = {
        .nonce = nonce, .aad = aad, .aad_len = good->aad_len, .in = sealed, .in_len = sealed_len, .out = out};
    for (unsigned what = 0; what < 5; what++) {
        memcpy(nonce, good->nonce, sizeof nonce);
        memcpy(aad, good->aad, good->aad_len);
        uint8_t *at = what == 0   ? &nonce[pel_prng_below(prng, sizeof nonce)]
                      : what == 1 ? &aad[pel_prng_below(prng, good->aad_len)]
                      : what == 2 ? &sealed[pel_prng_below(prng, sealed_len)]
                                  : &sealed[sealed_len - 1 - pel_prng_below(prng, PEL_AEAD_TAG_LEN)];
        uint8_t bit = (uint8_t)(1u << pel_prng_below(prng, 8));
        *at ^= bit;
        memset(out, 0xee, sealed_len);
        PEL_EXPECT_ERR(engine->ops->open(engine->ctx, &job), PEL_E_TLS_BAD_RECORD_MAC);
        *at ^= bit;
        PEL_EXPECT_MEM(out, zeros, sealed_len - PEL_AEAD_TAG_LEN);
    }
    job.in_len = sealed_len - 1; /* cut; also shorter than a tag */
    PEL_EXPECT_ERR(engine->ops->open(engine->ctx, &job), PEL_E_TLS_BAD_RECORD_MAC);
    job.in_len = PEL_AEAD_TAG_LEN - 1;
    PEL_EXPECT_ERR(engine->ops->open(engine->ctx, &job), PEL_E_TLS_BAD_RECORD_MAC);
    free(out);
}

/* The same from pieces of random lengths, right and with one bit wrong in the tag. */
static void compare_pieces(struct engine *engine, const struct pel_aead_job *whole, const uint8_t *plain,
                           struct pel_prng *prng)
{
    size_t len = whole->in_len - PEL_AEAD_TAG_LEN, at = 0, num = 0;
    uint8_t tag[PEL_AEAD_TAG_LEN], *out = calloc(1, len + 1), *zeros = calloc(1, len + 1);
    struct pel_piece pieces[40];
    for (; at < len && num < 39; num++) {
        size_t part_len = pel_prng_below(prng, 1 + (len - at) / (1 + pel_prng_below(prng, 6)));
        pieces[num] = (struct pel_piece){whole->in + at, part_len};
        at += part_len;
    }
    pieces[num++] = (struct pel_piece){whole->in + at, len - at};
    memcpy(tag, whole->in + len, sizeof tag);
    struct pel_aead_job job = *whole;
    job.in = NULL;
    job.in_len = 0;
    job.pieces = pieces;
    job.num_pieces = num;
    job.tag = tag;
    job.out = out;
    PEL_EXPECT_ERR(engine->ops->open(engine->ctx, &job), PEL_OK);
    PEL_EXPECT_MEM(out, plain, len);
    tag[pel_prng_below(prng, sizeof tag)] ^= 1;
    PEL_EXPECT_ERR(engine->ops->open(engine->ctx, &job), PEL_E_TLS_BAD_RECORD_MAC);
    PEL_EXPECT_MEM(out, zeros, len);
    free(out);
    free(zeros);
}

/* One message of `len` bytes with a tail, sealed by both, opened by both. `shift`: addresses that are not
 * aligned. */
static void compare(struct engine engines[2], size_t len, size_t tail_len, size_t shift,
                    struct pel_prng *prng)
{
    uint8_t nonce[PEL_AEAD_NONCE_LEN], aad[13], tail = (uint8_t)pel_prng_next(prng);
    size_t sealed_len = len + tail_len + PEL_AEAD_TAG_LEN;
    uint8_t *plain = malloc(len + 1 + shift), *sealed[2], *opened = malloc(len + tail_len + 1 + shift);
    fill(prng, nonce, sizeof nonce);
    fill(prng, aad, sizeof aad);
    fill(prng, plain + shift, len);
    plain[shift + len] = tail;
    struct pel_aead_job job = {.nonce = nonce,
                               .aad = aad,
                               .aad_len = pel_prng_below(prng, 2) ? 13 : 5,
                               .in = plain + shift,
                               .in_len = len,
                               .tail = &tail,
                               .tail_len = tail_len};
    for (int i = 0; i < 2; i++) {
        sealed[i] = malloc(sealed_len + shift);
        job.out = sealed[i] + shift;
        PEL_EXPECT_ERR(engines[i].ops->seal(engines[i].ctx, &job), PEL_OK);
    }
    PEL_EXPECT_MEM(sealed[0] + shift, sealed[1] + shift, sealed_len);
    job.in = sealed[0] + shift;
    job.in_len = sealed_len;
    for (int i = 0; i < 2; i++) {
        job.out = opened + shift;
        PEL_EXPECT_ERR(engines[i].ops->open(engines[i].ctx, &job), PEL_OK);
        PEL_EXPECT_MEM(opened + shift, plain + shift, len + tail_len);
        expect_refused(&engines[i], &job, sealed[0] + shift, sealed_len, prng);
        compare_pieces(&engines[i], &job, plain + shift, prng);
        job.out = sealed[1] + shift; /* in place */
        memcpy(sealed[1], sealed[0], sealed_len + shift);
        job.in = sealed[1] + shift;
        PEL_EXPECT_ERR(engines[i].ops->open(engines[i].ctx, &job), PEL_OK);
        PEL_EXPECT_MEM(sealed[1] + shift, plain + shift, len + tail_len);
        job.in = sealed[0] + shift;
    }
    free(plain);
    free(sealed[0]);
    free(sealed[1]);
    free(opened);
}

static void differential(const struct pel_aead_ops *ours, const struct pel_aead_ops *theirs, size_t key_len,
                         uint64_t seed)
{
    static const size_t lens[] = {0,   1,   15,  16,  17,  31,  32,   63,   64,    65,   127,
                                  128, 255, 256, 257, 511, 767, 1023, 1460, 16383, 16384};
    struct pel_ipsecmb *lib = NULL;
    struct pel_prng prng;
    uint8_t key[32];
    PEL_REQUIRE_OK(pel_ipsecmb_new(&lib, NULL));
    pel_prng_seed(&prng, seed);
    for (int round = 0; round < 12 && !pel_test_has_failed(); round++) {
        struct engine engines[2];
        fill(&prng, key, sizeof key);
        PEL_REQUIRE(engine_init(&engines[0], ours, lib, key, key_len));
        PEL_REQUIRE(engine_init(&engines[1], theirs, NULL, key, key_len));
        for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++)
            compare(engines, lens[i], i % 2, pel_prng_below(&prng, 17), &prng);
        for (int i = 0; i < 60; i++)
            compare(engines, pel_prng_below(&prng, i % 10 == 0 ? 16385 : 700), pel_prng_below(&prng, 2),
                    pel_prng_below(&prng, 17), &prng);
        engine_fini(&engines[0]);
        engine_fini(&engines[1]);
    }
    pel_ipsecmb_free(lib);
}

PEL_TEST(aead, aes_128_gcm)
{
    differential(&pel_aead_ipsecmb_aes_gcm, &pel_aead_library_aes_gcm, 16, 1);
}

PEL_TEST(aead, aes_256_gcm)
{
    differential(&pel_aead_ipsecmb_aes_gcm, &pel_aead_library_aes_gcm, 32, 2);
}

PEL_TEST(aead, chacha20_poly1305)
{
    differential(&pel_aead_ipsecmb_chacha20, &pel_aead_library_chacha20, 32, 3);
}

PEL_TEST(aead, lengths_of_keys)
{
    static const uint8_t key[32];
    struct pel_ipsecmb *lib = NULL;
    struct engine engine;
    PEL_REQUIRE_OK(pel_ipsecmb_new(&lib, NULL));
    PEL_EXPECT(!engine_init(&engine, &pel_aead_ipsecmb_aes_gcm, lib, key, 24));
    free(engine.ctx);
    PEL_EXPECT(!engine_init(&engine, &pel_aead_ipsecmb_chacha20, lib, key, 16));
    free(engine.ctx);
    pel_ipsecmb_free(lib);
}

/* RFC 8448 section 3, "Simple 1-RTT Handshake": the client's application traffic secret, its first record. */
static const uint8_t rfc8448_secret[32] = {0x9e, 0x40, 0x64, 0x6c, 0xe7, 0x9a, 0x7f, 0x9d, 0xc0, 0x5a, 0xf8,
                                           0x88, 0x9b, 0xce, 0x65, 0x52, 0x87, 0x5a, 0xfa, 0x0b, 0x06, 0xdf,
                                           0x00, 0x87, 0xf7, 0x92, 0xeb, 0xb7, 0xc1, 0x75, 0x04, 0xa5};
static const uint8_t rfc8448_key[16] = {0x17, 0x42, 0x2d, 0xda, 0x59, 0x6e, 0xd5, 0xd9,
                                        0xac, 0xd8, 0x90, 0xe3, 0xc6, 0x3f, 0x50, 0x51};
static const uint8_t rfc8448_iv[12] = {0x5b, 0x78, 0x92, 0x3d, 0xee, 0x08,
                                       0x57, 0x90, 0x33, 0xe5, 0x23, 0xd9};
static const uint8_t rfc8448_record[72] = {
    0x17, 0x03, 0x03, 0x00, 0x43, 0xa2, 0x3f, 0x70, 0x54, 0xb6, 0x2c, 0x94, 0xd0, 0xaf, 0xfa,
    0xfe, 0x82, 0x28, 0xba, 0x55, 0xcb, 0xef, 0xac, 0xea, 0x42, 0xf9, 0x14, 0xaa, 0x66, 0xbc,
    0xab, 0x3f, 0x2b, 0x98, 0x19, 0xa8, 0xa5, 0xb4, 0x6b, 0x39, 0x5b, 0xd5, 0x4a, 0x9a, 0x20,
    0x44, 0x1e, 0x2b, 0x62, 0x97, 0x4e, 0x1f, 0x5a, 0x62, 0x92, 0xa2, 0x97, 0x70, 0x14, 0xbd,
    0x1e, 0x3d, 0xea, 0xe6, 0x3a, 0xee, 0xbb, 0x21, 0x69, 0x49, 0x15, 0xe4};

PEL_TEST(keys, rfc_8448)
{
    uint8_t key[16], iv[12], plain[50], sealed[67], opened[51], type = 23;
    struct pel_ipsecmb *lib = NULL;
    struct pel_keys keys;
    struct pel_handover_half half = {0};
    for (size_t i = 0; i < sizeof plain; i++)
        plain[i] = (uint8_t)i;
    PEL_REQUIRE_OK(pel_ipsecmb_new(&lib, NULL));
    PEL_REQUIRE_OK(pel_expand_label(rfc8448_secret, 32, "key", key, sizeof key));
    PEL_REQUIRE_OK(pel_expand_label(rfc8448_secret, 32, "iv", iv, sizeof iv));
    PEL_EXPECT_MEM(key, rfc8448_key, sizeof key);
    PEL_EXPECT_MEM(iv, rfc8448_iv, sizeof iv);
    memcpy(half.secret, rfc8448_secret, sizeof rfc8448_secret);
    PEL_REQUIRE_OK(pel_keys_init(&keys, pel_suite_find(0x1301), lib, NULL, &half));
    struct pel_aead_job job = {.aad = rfc8448_record,
                               .aad_len = 5,
                               .in = plain,
                               .in_len = 50,
                               .tail = &type,
                               .tail_len = 1,
                               .out = sealed};
    PEL_REQUIRE_OK(pel_keys_seal(&keys, &job, NULL));
    PEL_EXPECT_MEM(sealed, rfc8448_record + 5, sizeof sealed);
    PEL_EXPECT_EQ(keys.sequence, 1);
    pel_keys_fini(&keys);
    PEL_REQUIRE_OK(pel_keys_init(&keys, pel_suite_find(0x1301), lib, NULL, &half));
    job = (struct pel_aead_job){.aad = rfc8448_record,
                                .aad_len = 5,
                                .in = rfc8448_record + 5,
                                .in_len = sizeof sealed,
                                .out = opened};
    PEL_REQUIRE_OK(pel_keys_open(&keys, &job, NULL));
    PEL_EXPECT_MEM(opened, plain, sizeof plain);
    PEL_EXPECT_EQ(opened[50], 23);
    PEL_EXPECT_ERR(pel_keys_open(&keys, &job, NULL), PEL_E_TLS_BAD_RECORD_MAC); /* the next sequence */
    PEL_EXPECT_EQ(keys.sequence, 1);
    keys.sequence = UINT64_MAX; /* never wraps */
    PEL_EXPECT_ERR(pel_keys_open(&keys, &job, NULL), PEL_E_TLS_INTERNAL);
    PEL_EXPECT_ERR(pel_keys_seal(&keys, &job, NULL), PEL_E_TLS_INTERNAL);
    pel_keys_fini(&keys);
    pel_ipsecmb_free(lib);
}

enum { NUM_LIBS = 100, BETWEEN_LEN = 5000 };

/* A policy's rules have a library each, with smaller things allocated in between: none may cost the 200 kB
 * that its start takes. */
PEL_TEST(ipsecmb, many_cost_little)
{
    struct pel_ipsecmb *libs[NUM_LIBS] = {NULL};
    void *between[NUM_LIBS] = {NULL};
    size_t before = mallinfo2().arena + mallinfo2().hblkhd;
    if (before == 0)
        PEL_SKIP("the sanitizer's allocator gives no figures");
    for (int i = 0; i < NUM_LIBS; i++) {
        PEL_EXPECT_ERR(pel_ipsecmb_new(&libs[i], NULL), PEL_OK);
        between[i] = malloc(BETWEEN_LEN);
    }
    size_t after = mallinfo2().arena + mallinfo2().hblkhd;
    PEL_EXPECT(after - before < (size_t)NUM_LIBS * (BETWEEN_LEN + 5000));
    for (int i = 0; i < NUM_LIBS; i++) {
        pel_ipsecmb_free(libs[i]);
        free(between[i]);
    }
}

/* More keys than places, used in random order: each record is what the key alone would have made. */
PEL_TEST(keys, share_a_cache)
{
    enum { NUM = 24 };
    static struct pel_keys cached[NUM], alone[NUM];
    struct pel_counters counters = {0};
    struct pel_key_cache *cache = pel_key_cache_new(5, &counters);
    struct pel_ipsecmb *lib = NULL;
    struct pel_prng prng;
    PEL_REQUIRE_OK(pel_ipsecmb_new(&lib, NULL));
    PEL_REQUIRE(cache != NULL);
    pel_prng_seed(&prng, 5);
    for (int i = 0; i < NUM; i++) {
        struct pel_handover_half half = {0};
        fill(&prng, half.secret, sizeof half.secret);
        const struct pel_suite *suite = pel_suite_find(i % 3 == 0 ? 0x1301 : i % 3 == 1 ? 0x1302 : 0x1303);
        PEL_REQUIRE_OK(pel_keys_init(&cached[i], suite, lib, cache, &half));
        PEL_REQUIRE_OK(pel_keys_init(&alone[i], suite, lib, NULL, &half));
    }
    for (int round = 0; round < 5000 && !pel_test_has_failed(); round++) {
        uint64_t i = pel_prng_below(&prng, NUM), what = pel_prng_below(&prng, 40);
        uint8_t aad[5] = {0}, plain[64], a[80], b[80];
        fill(&prng, plain, sizeof plain);
        struct pel_aead_job job = {.aad = aad, .aad_len = 5, .in = plain, .in_len = 64, .out = a};
        PEL_EXPECT_ERR(pel_keys_seal(&cached[i], &job, NULL), PEL_OK);
        job.out = b;
        PEL_EXPECT_ERR(pel_keys_seal(&alone[i], &job, NULL), PEL_OK);
        PEL_EXPECT_MEM(a, b, sizeof a);
        if (what == 0) {
            PEL_EXPECT_ERR(pel_keys_update(&cached[i]), PEL_OK);
            PEL_EXPECT_ERR(pel_keys_update(&alone[i]), PEL_OK);
        }
    }
    uint64_t expanded = counters.stat[PEL_STAT_tls_keys_expanded];
    PEL_EXPECT(expanded > 2000 && expanded < 5000);
    for (int i = 0; i < NUM; i++) {
        pel_keys_fini(&cached[i]);
        pel_keys_fini(&alone[i]);
    }
    pel_key_cache_free(cache);
    pel_ipsecmb_free(lib);
}
