/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/sim/internal.h"

#include <stdlib.h>

void sim_pool_init(struct sim_pool *pool, enum sim_kind kind, uint32_t room_len, uint32_t max_packets)
{
    memset(pool, 0, sizeof *pool);
    pool->kind = kind;
    pool->room_len = room_len;
    pool->max_packets = max_packets;
}

void sim_pool_fini(struct sim_pool *pool)
{
    struct sim_pkt *p = pool->made;
    while (p != NULL) {
        struct sim_pkt *next = p->next_made;
        free(p->bytes);
        free(p->exact);
        free(p);
        p = next;
    }
    pool->made = NULL;
}

/* Each buffer is an allocation of its own, of exactly the room, so that ASan sees a write past it. */
static struct sim_pkt *make(struct sim_pool *pool)
{
    struct sim_pkt *p =
        aligned_alloc(SIM_CACHE_LINE, (sizeof *p + SIM_CACHE_LINE - 1) & ~(size_t)(SIM_CACHE_LINE - 1));
    if (p == NULL)
        return NULL;
    memset(p, 0, sizeof *p);
    if (pool->room_len > 0 && (p->bytes = malloc(pool->room_len)) == NULL) {
        free(p);
        return NULL;
    }
    p->pool = pool;
    p->next_made = pool->made;
    pool->made = p;
    __atomic_store_n(&pool->num_made, pool->num_made + 1, __ATOMIC_RELAXED);
    return p;
}

/* Takes all that others have returned in one exchange: with no pop of single elements there is no ABA. */
static void collect_returned(struct sim_pool *pool)
{
    struct sim_pkt *p = __atomic_exchange_n(&pool->returned, NULL, __ATOMIC_ACQUIRE);
    uint32_t num = 0;
    pool->free = p;
    for (; p != NULL; p = p->next_free)
        num++;
    __atomic_store_n(&pool->num_free, num, __ATOMIC_RELAXED);
    __atomic_sub_fetch(&pool->num_returned, num, __ATOMIC_RELAXED);
}

static void reset(struct sim_pool *pool, struct sim_pkt *p)
{
    p->pkt.data = p->bytes;
    p->pkt.len = 0;
    p->pkt.room_len = pool->room_len;
    p->pkt.flags = 0;
    p->pkt.tso_mss = 0;
    p->pkt.l2_len = p->pkt.l3_len = p->pkt.l4_len = 0;
    p->pkt.queue = 0;
    p->pkt.next = p->pkt.more = NULL;
    __atomic_store_n(&p->num_refs, 1, __ATOMIC_RELAXED);
}

struct sim_pkt *sim_pool_take(struct sim_pool *pool)
{
    /* The limit may have been set below what was made. */
    if (pool->max_packets < pool->num_made && sim_pool_in_use(pool) >= pool->max_packets)
        return NULL;
    if (pool->free == NULL && __atomic_load_n(&pool->returned, __ATOMIC_RELAXED) != NULL)
        collect_returned(pool);
    struct sim_pkt *p = pool->free;
    if (p != NULL) {
        pool->free = p->next_free;
        __atomic_store_n(&pool->num_free, pool->num_free - 1, __ATOMIC_RELAXED);
    } else if (pool->num_made < pool->max_packets) {
        p = make(pool);
    }
    if (p != NULL)
        reset(pool, p);
    return p;
}

void sim_pool_give(struct sim_pool *pool, struct sim_pkt *p)
{
    p->next_free = pool->free;
    pool->free = p;
    __atomic_store_n(&pool->num_free, pool->num_free + 1, __ATOMIC_RELAXED);
}

void sim_pool_return(struct sim_pool *pool, struct sim_pkt *first, struct sim_pkt *last, uint32_t num)
{
    __atomic_add_fetch(&pool->num_returned, num, __ATOMIC_RELAXED);
    struct sim_pkt *top = __atomic_load_n(&pool->returned, __ATOMIC_RELAXED);
    do {
        last->next_free = top;
    } while (
        !__atomic_compare_exchange_n(&pool->returned, &top, first, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED));
}

uint32_t sim_pool_in_use(const struct sim_pool *pool)
{
    return __atomic_load_n(&pool->num_made, __ATOMIC_RELAXED) -
           __atomic_load_n(&pool->num_free, __ATOMIC_RELAXED) -
           __atomic_load_n(&pool->num_returned, __ATOMIC_RELAXED);
}
