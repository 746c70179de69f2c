/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/key_cache.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* The largest context that an engine may have (tls/ipsecmb: AES-GCM's key and its powers of H). */
#define CTX_MAX_LEN 1536u

struct slot {
    _Alignas(PEL_AEAD_CTX_ALIGN) uint8_t ctx[CTX_MAX_LEN];
    const struct pel_key_place *owner; /* NULL: free */
    const struct pel_aead_ops *aead;
    bool used; /* since the hand last passed */
};

struct pel_key_cache {
    struct pel_counters *counters;
    uint32_t num, hand;
    struct slot *slots;
};

struct pel_key_cache *pel_key_cache_new(uint32_t num, struct pel_counters *counters)
{
    struct pel_key_cache *cache = calloc(1, sizeof *cache);
    if (cache == NULL)
        return NULL;
    cache->slots = aligned_alloc(PEL_AEAD_CTX_ALIGN, num * sizeof *cache->slots);
    if (cache->slots == NULL) {
        free(cache);
        return NULL;
    }
    for (uint32_t i = 0; i < num; i++)
        cache->slots[i].owner = NULL;
    cache->num = num;
    cache->counters = counters;
    return cache;
}

static void empty(struct slot *slot)
{
    if (slot->owner != NULL)
        slot->aead->key_fini(slot->ctx);
    slot->owner = NULL;
}

void pel_key_cache_free(struct pel_key_cache *cache)
{
    if (cache == NULL)
        return;
    for (uint32_t i = 0; i < cache->num; i++)
        empty(&cache->slots[i]);
    free(cache->slots);
    free(cache);
}

/* The hand goes round and takes the first that has not been used since it last came by. */
static uint32_t choose(struct pel_key_cache *cache)
{
    for (;;) {
        uint32_t at = cache->hand;
        struct slot *slot = &cache->slots[at];
        cache->hand = at + 1 < cache->num ? at + 1 : 0;
        if (slot->owner == NULL || !slot->used)
            return at;
        slot->used = false;
    }
}

enum pel_err pel_key_cache_get(struct pel_key_cache *cache, struct pel_key_place *place,
                               const struct pel_aead_ops *aead, const struct pel_ipsecmb *lib,
                               const uint8_t *key, size_t key_len, void **ret_ctx)
{
    struct slot *slot = &cache->slots[place->slot];
    if (slot->owner != place) {
        assert(aead->ctx_len <= CTX_MAX_LEN);
        place->slot = choose(cache);
        slot = &cache->slots[place->slot];
        empty(slot);
        memset(slot->ctx, 0, aead->ctx_len);
        PEL_TRY(aead->key_init(slot->ctx, lib, key, key_len));
        slot->owner = place;
        slot->aead = aead;
        pel_count_stat(cache->counters, PEL_STAT_tls_keys_expanded, 1);
    }
    slot->used = true;
    *ret_ctx = slot->ctx;
    return PEL_OK;
}

void pel_key_cache_drop(struct pel_key_cache *cache, const struct pel_key_place *place)
{
    struct slot *slot = &cache->slots[place->slot];
    if (slot->owner == place)
        empty(slot);
}
