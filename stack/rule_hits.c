/* SPDX-License-Identifier: Apache-2.0 */
#include "stack/rule_hits.h"

#include <stdlib.h>
#include <string.h>

struct pel_rule_hits *pel_rule_hits_new(uint32_t num_engines)
{
    size_t size = sizeof(struct pel_rule_hits) + num_engines * sizeof(struct pel_rule_hits_row);
    struct pel_rule_hits *hits = aligned_alloc(_Alignof(struct pel_rule_hits), size);
    if (hits == NULL)
        return NULL;
    memset(hits, 0, size);
    hits->num_refs = 1;
    hits->num_engines = num_engines;
    return hits;
}

struct pel_rule_hits *pel_rule_hits_ref(struct pel_rule_hits *hits)
{
    if (hits != NULL)
        __atomic_add_fetch(&hits->num_refs, 1, __ATOMIC_RELAXED);
    return hits;
}

void pel_rule_hits_unref(struct pel_rule_hits *hits)
{
    if (hits != NULL && __atomic_sub_fetch(&hits->num_refs, 1, __ATOMIC_ACQ_REL) == 0)
        free(hits);
}

void pel_rule_hits_sum(const struct pel_rule_hits *hits, uint64_t *ret_count, int64_t *ret_last_s)
{
    *ret_count = 0;
    *ret_last_s = 0;
    for (uint32_t i = 0; hits != NULL && i < hits->num_engines; i++) {
        int64_t last_s = __atomic_load_n(&hits->of_engine[i].last_s, __ATOMIC_RELAXED);
        *ret_count += __atomic_load_n(&hits->of_engine[i].count, __ATOMIC_RELAXED);
        *ret_last_s = last_s > *ret_last_s ? last_s : *ret_last_s;
    }
}
