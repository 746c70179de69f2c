/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stack is built without lwIP's statistics. By these its allocations are counted from outside, as lwIP
 * would: the program is linked with --wrap for each function here.
 */
#include <malloc.h>

#include "lwip/mem.h"
#include "lwip/memp.h"
#include "lwip/stats.h"

#include "stack/lwip/upstream/upstream.h"

struct stats_ lwip_stats;

static struct stats_mem pools[MEMP_MAX];

void upstream_counts_start(void)
{
    memset(&lwip_stats, 0, sizeof(lwip_stats));
    memset(pools, 0, sizeof(pools));
    for (int i = 0; i < MEMP_MAX; i++)
        lwip_stats.memp[i] = &pools[i];
}

void *__real_memp_malloc(memp_t type);
void *__wrap_memp_malloc(memp_t type);
void __real_memp_free(memp_t type, void *element);
void __wrap_memp_free(memp_t type, void *element);
void *__real_mem_malloc(mem_size_t len);
void *__wrap_mem_malloc(mem_size_t len);
void *__real_mem_calloc(mem_size_t count, mem_size_t len);
void *__wrap_mem_calloc(mem_size_t count, mem_size_t len);
void __real_mem_free(void *block);
void __wrap_mem_free(void *block);

void *__wrap_memp_malloc(memp_t type)
{
    void *element = __real_memp_malloc(type);
    if (element != NULL)
        pools[type].used++;
    return element;
}

void __wrap_memp_free(memp_t type, void *element)
{
    if (element != NULL)
        pools[type].used--;
    __real_memp_free(type, element);
}

void *__wrap_mem_malloc(mem_size_t len)
{
    void *block = __real_mem_malloc(len);
    lwip_stats.mem.used += malloc_usable_size(block);
    return block;
}

void *__wrap_mem_calloc(mem_size_t count, mem_size_t len)
{
    void *block = __real_mem_calloc(count, len);
    lwip_stats.mem.used += malloc_usable_size(block);
    return block;
}

void __wrap_mem_free(void *block)
{
    lwip_stats.mem.used -= malloc_usable_size(block);
    __real_mem_free(block);
}
