/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Expanded keys, shared by the connections of one thread. An AEAD's key as it is used takes over a kilobyte,
 * an idle connection needs none of it: it keeps the key itself, and the expanded form is made when a record
 * is due and stays until another connection needs the place.
 *
 *     pel_key_cache_new -> pel_key_cache_get for each record, pel_key_cache_drop when a key ends ->
 *     pel_key_cache_free
 *
 * What leaves is wiped. Not for several threads.
 */
#ifndef PEL_TLS_KEY_CACHE_H
#define PEL_TLS_KEY_CACHE_H

#include <stdint.h>

#include "base/counters.h"
#include "tls/aead.h"

struct pel_key_cache;

/* Which key: its owner keeps this, zeroed at first, as long as it uses the cache. */
struct pel_key_place {
    uint32_t slot;
};

/* pel_key_cache_new makes a cache for `num` keys (1 or more). `counters` (borrowed, may be NULL) counts the
 * expansions. NULL: no memory. */
struct pel_key_cache *pel_key_cache_new(uint32_t num, struct pel_counters *counters);

/* pel_key_cache_free wipes and frees it; its keys' owners may not use it any more. NULL is harmless. */
void pel_key_cache_free(struct pel_key_cache *cache);

/* pel_key_cache_get returns in `ret_ctx` the expanded form of the key that stands at `place`, valid until the
 * next call of the cache; `aead`, `lib` and `key` make it when it is not there. Errors: as aead->key_init. */
PEL_MUST_USE enum pel_err pel_key_cache_get(struct pel_key_cache *cache, struct pel_key_place *place,
                                            const struct pel_aead_ops *aead, const struct pel_ipsecmb *lib,
                                            const uint8_t *key, size_t key_len, void **ret_ctx);

/* pel_key_cache_drop wipes the expanded form, if it is there: the key at `place` ends, or changes. */
void pel_key_cache_drop(struct pel_key_cache *cache, const struct pel_key_place *place);

#endif
