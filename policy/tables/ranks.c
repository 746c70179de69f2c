/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/tables/ranks.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

enum { LINE = 64, WIDE = LINE / sizeof(int64_t), NARROW = LINE / sizeof(int32_t) };

/* ---- sorted numbers ---- */

static void *alloc_blocks(struct pel_arena *arena, size_t num_blocks)
{
    uintptr_t at = (uintptr_t)pel_arena_alloc(arena, num_blocks * LINE + LINE);
    return at == 0 ? NULL : (void *)((at + LINE - 1) / LINE * LINE);
}

static void put(const struct pel_keys *keys, void *level, size_t i, const int64_t *number)
{
    if (keys->narrow)
        ((int32_t *)level)[i] = number == NULL ? INT32_MAX : (int32_t)*number;
    else
        ((int64_t *)level)[i] = number == NULL ? INT64_MAX : *number;
}

/* Fills a level: number i of it is the lowest below the block that follows the one it stands for. */
static void fill_level(const struct pel_keys *keys, void *level, size_t num_blocks, const int64_t *sorted)
{
    size_t block_num = keys->narrow ? NARROW : WIDE, fan_out = block_num + 1;
    for (size_t i = 0; i < num_blocks * block_num; i++) {
        size_t lowest = i;
        if (keys->num_levels > 0) {
            lowest = i / block_num * fan_out + i % block_num + 1;
            for (uint32_t below = 1; below < keys->num_levels; below++)
                lowest *= fan_out;
            lowest *= block_num;
        }
        put(keys, level, i, lowest < keys->num ? &sorted[lowest] : NULL);
    }
}

enum pel_err pel_keys_make(struct pel_arena *arena, const int64_t *sorted, size_t num, bool narrow,
                           struct pel_keys *ret_keys)
{
    struct pel_keys keys = {.num = (uint32_t)num, .narrow = narrow};
    size_t block_num = narrow ? NARROW : WIDE, num_blocks = (num + block_num - 1) / block_num;
    if (num > INT32_MAX / 2)
        return PEL_E_NO_MEMORY;
    while (num > 0 && (keys.num_levels == 0 || num_blocks > 1)) {
        if (keys.num_levels > 0)
            num_blocks = (num_blocks + block_num) / (block_num + 1);
        void *level = alloc_blocks(arena, num_blocks);
        if (level == NULL)
            return PEL_E_NO_MEMORY;
        fill_level(&keys, level, num_blocks, sorted);
        keys.levels[keys.num_levels++] = level;
    }
    *ret_keys = keys;
    return PEL_OK;
}

/* Several at a time, so that the compiler compares them in one instruction. */
typedef int64_t pair __attribute__((vector_size(16)));
typedef int32_t four __attribute__((vector_size(16)));

/* How many of a block's numbers are at or below the key. A comparison that holds is -1. */
static uint32_t count_wide(const void *blocks, size_t block, int64_t key)
{
    const pair *pairs = (const pair *)blocks + block * 4;
    pair keys = {key, key};
    pair below = (pairs[0] <= keys) + (pairs[1] <= keys) + (pairs[2] <= keys) + (pairs[3] <= keys);
    return (uint32_t) - (below[0] + below[1]);
}

static uint32_t count_narrow(const void *blocks, size_t block, int32_t key)
{
    const four *fours = (const four *)blocks + block * 4;
    four keys = {key, key, key, key};
    four below = (fours[0] <= keys) + (fours[1] <= keys) + (fours[2] <= keys) + (fours[3] <= keys);
    return (uint32_t) - (below[0] + below[1] + below[2] + below[3]);
}

uint32_t pel_keys_rank(const struct pel_keys *keys, int64_t key)
{
    size_t block = 0;
    if (keys->num == 0 || key == INT64_MAX)
        return keys->num; /* the empty places hold INT64_MAX */
    for (uint32_t level = keys->num_levels - 1; level > 0; level--)
        block = block * (WIDE + 1) + count_wide(keys->levels[level], block, key);
    return (uint32_t)block * WIDE + count_wide(keys->levels[0], block, key);
}

uint32_t pel_keys_rank32(const struct pel_keys *keys, int32_t key)
{
    size_t block = 0;
    if (keys->num == 0 || key == INT32_MAX)
        return keys->num;
    for (uint32_t level = keys->num_levels - 1; level > 0; level--)
        block = block * (NARROW + 1) + count_narrow(keys->levels[level], block, key);
    return (uint32_t)block * NARROW + count_narrow(keys->levels[0], block, key);
}

/* ---- addresses ---- */

static int32_t v4_number(const uint8_t *bytes)
{
    uint32_t number;
    memcpy(&number, bytes, sizeof number);
    return (int32_t)(be32toh(number) ^ (uint32_t)1 << 31);
}

static struct pel_v6 v6_number(const uint8_t *bytes)
{
    struct pel_v6 number;
    memcpy(&number, bytes, sizeof number);
    return (struct pel_v6){be64toh(number.high), be64toh(number.low)};
}

/* Keeps the order and fits a signed number. */
static int64_t turned(uint64_t number)
{
    return (int64_t)(number ^ (uint64_t)1 << 63);
}

static uint32_t v6_rank(const struct pel_ip_ranks *ranks, const struct pel_v6 *ip)
{
    uint32_t halves = pel_keys_rank(&ranks->v6_high, turned(ip->high));
    if (halves == 0)
        return 0;
    uint32_t from = ranks->v6_from[halves - 1], num = ranks->v6_from[halves] - from;
    if (((const int64_t *)ranks->v6_high.levels[0])[halves - 1] != turned(ip->high))
        return from + num;
    while (num > 0) {
        uint32_t half = num / 2;
        bool above = ranks->v6_low[from + half] <= ip->low;
        from = above ? from + half + 1 : from;
        num = above ? num - half - 1 : half;
    }
    return from;
}

uint32_t pel_ip_rank(const struct pel_ip_ranks *ranks, const struct pel_ip *ip)
{
    if (ip->version == 4)
        return 1 + pel_keys_rank32(&ranks->v4, v4_number(ip->bytes));
    if (ip->version != 6)
        return 0;
    struct pel_v6 number = v6_number(ip->bytes);
    return ranks->v6_base + v6_rank(ranks, &number);
}

/* Makes room for two more elements. */
static bool grow(void **array, size_t *cap, size_t num, size_t size)
{
    if (*cap - num >= 2)
        return true;
    size_t more = *cap == 0 ? 64 : *cap * 2;
    void *grown = realloc(*array, more * size);
    if (grown == NULL)
        return false;
    *array = grown;
    *cap = more;
    return true;
}

static void add_v6(struct pel_ip_bounds *bounds, const struct pel_ip_range *range)
{
    struct pel_v6 after = v6_number(range->high);
    bounds->v6[bounds->num_v6++] = v6_number(range->low);
    after.low++;
    after.high += after.low == 0;
    if (after.high != 0 || after.low != 0)
        bounds->v6[bounds->num_v6++] = after;
}

void pel_ip_bounds_add(struct pel_ip_bounds *bounds, const struct pel_ip_range *range)
{
    if (!grow((void **)&bounds->v4, &bounds->cap_v4, bounds->num_v4, sizeof *bounds->v4) ||
        !grow((void **)&bounds->v6, &bounds->cap_v6, bounds->num_v6, sizeof *bounds->v6)) {
        bounds->failed = true;
    } else if (range->version == 4) {
        bounds->v4[bounds->num_v4++] = v4_number(range->low);
        bounds->v4[bounds->num_v4] = (int64_t)v4_number(range->high) + 1;
        bounds->num_v4 += bounds->v4[bounds->num_v4] <= INT32_MAX; /* nothing is behind the last address */
    } else {
        add_v6(bounds, range);
    }
}

void pel_ip_bounds_free(struct pel_ip_bounds *bounds)
{
    free(bounds->v4);
    free(bounds->v6);
    *bounds = (struct pel_ip_bounds){0};
}

static int compare_v4(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static int compare_v6(const void *a, const void *b)
{
    const struct pel_v6 *x = a, *y = b;
    if (x->high != y->high)
        return x->high < y->high ? -1 : 1;
    return x->low < y->low ? -1 : x->low > y->low;
}

static enum pel_err make_v4(struct pel_arena *arena, struct pel_ip_bounds *bounds, struct pel_ip_ranks *ranks)
{
    size_t num = 0;
    if (bounds->num_v4 > 0)
        qsort(bounds->v4, bounds->num_v4, sizeof *bounds->v4, compare_v4);
    for (size_t i = 0; i < bounds->num_v4; i++) {
        if (i == 0 || bounds->v4[i] != bounds->v4[i - 1])
            bounds->v4[num++] = bounds->v4[i];
    }
    ranks->v6_base = (uint32_t)num + 2;
    return pel_keys_make(arena, bounds->v4, num, true, &ranks->v4);
}

static enum pel_err make_v6(struct pel_arena *arena, struct pel_ip_bounds *bounds, struct pel_ip_ranks *ranks)
{
    size_t num = 0, num_halves = 0;
    uint64_t *lows = pel_arena_alloc(arena, (bounds->num_v6 + 1) * sizeof *lows);
    uint32_t *from = pel_arena_alloc(arena, (bounds->num_v6 + 1) * sizeof *from);
    int64_t *halves = malloc((bounds->num_v6 + 1) * sizeof *halves);
    if (lows == NULL || from == NULL || halves == NULL) {
        free(halves);
        return PEL_E_NO_MEMORY;
    }
    if (bounds->num_v6 > 0)
        qsort(bounds->v6, bounds->num_v6, sizeof *bounds->v6, compare_v6);
    for (size_t i = 0; i < bounds->num_v6; i++) {
        const struct pel_v6 *bound = &bounds->v6[i];
        if (i > 0 && compare_v6(bound, bound - 1) == 0)
            continue;
        if (i == 0 || bound->high != (bound - 1)->high) {
            from[num_halves] = (uint32_t)num;
            halves[num_halves++] = turned(bound->high);
        }
        lows[num++] = bound->low;
    }
    from[num_halves] = (uint32_t)num;
    ranks->v6_low = lows;
    ranks->v6_from = from;
    enum pel_err err = pel_keys_make(arena, halves, num_halves, false, &ranks->v6_high);
    free(halves);
    return err;
}

enum pel_err pel_ip_ranks_make(struct pel_arena *arena, struct pel_ip_bounds *bounds,
                               struct pel_ip_ranks *ret_ranks)
{
    if (bounds->failed)
        return PEL_E_NO_MEMORY;
    PEL_TRY(make_v4(arena, bounds, ret_ranks));
    return make_v6(arena, bounds, ret_ranks);
}

struct pel_rank_range pel_ip_range_ranks(const struct pel_ip_ranks *ranks, const struct pel_ip_range *range)
{
    struct pel_ip low = {.version = range->version}, high = {.version = range->version};
    memcpy(low.bytes, range->low, sizeof low.bytes);
    memcpy(high.bytes, range->high, sizeof high.bytes);
    return (struct pel_rank_range){pel_ip_rank(ranks, &low), pel_ip_rank(ranks, &high)};
}

/* ---- names ---- */

static struct pel_name fold(const char *text, size_t len)
{
    struct pel_name name = {.words[PEL_NAME_WORDS - 1] = len > PEL_NAME_BYTES};
    size_t kept_len = len < PEL_NAME_BYTES ? len : PEL_NAME_BYTES;
    for (size_t i = 0; i < kept_len; i++) {
        unsigned char c = (unsigned char)text[i];
        uint64_t folded = c + (c >= 'A' && c <= 'Z' ? 'a' - 'A' : 0u);
        name.words[i / 8] |= folded << (56 - i % 8 * 8);
    }
    return name;
}

static int compare_names(const void *a, const void *b)
{
    const struct pel_name *x = a, *y = b;
    for (int i = 0; i < PEL_NAME_WORDS; i++) {
        if (x->words[i] != y->words[i])
            return x->words[i] < y->words[i] ? -1 : 1;
    }
    return 0;
}

/* Few names begin with the same 8 bytes. */
static uint32_t rank_of_name(const struct pel_name_ranks *ranks, const struct pel_name *name)
{
    uint32_t firsts = pel_keys_rank(&ranks->firsts, turned(name->words[0]));
    if (firsts == 0)
        return 0;
    uint32_t from = ranks->from[firsts - 1], num = ranks->from[firsts] - from;
    if (ranks->names[from].words[0] != name->words[0])
        return from + num;
    while (num > 0) {
        uint32_t half = num / 2;
        bool above = compare_names(&ranks->names[from + half], name) <= 0;
        from = above ? from + half + 1 : from;
        num = above ? num - half - 1 : half;
    }
    return from;
}

uint32_t pel_name_rank(const struct pel_name_ranks *ranks, const char *name)
{
    if (ranks->num == 0 || name == NULL || name[0] == '\0')
        return 0;
    struct pel_name folded = fold(name, strnlen(name, PEL_NAME_BYTES + 1));
    return rank_of_name(ranks, &folded);
}

/* The first name that the pattern matches. */
static struct pel_name first_name(const struct pel_pattern *pattern)
{
    struct pel_name name = fold(pattern->text, pattern->len);
    if (pattern->len == 0)
        name.words[0] = (uint64_t)1 << 56; /* behind "unknown" */
    return name;
}

/* The first name behind those that the pattern matches; false when there is none. */
static bool name_behind(const struct pel_pattern *pattern, struct pel_name *ret_name)
{
    struct pel_name name = fold(pattern->text, pattern->len);
    if (!pattern->prefix) {
        name.words[PEL_NAME_WORDS - 1]++; /* a longer one that begins alike, or the next of this length */
        *ret_name = name;
        return true;
    }
    for (uint32_t i = pattern->len; i-- > 0;) {
        uint64_t one = (uint64_t)1 << (56 - i % 8 * 8);
        bool carry = (name.words[i / 8] / one & 0xff) == 0xff;
        name.words[i / 8] = carry ? name.words[i / 8] - 0xff * one : name.words[i / 8] + one;
        if (!carry) {
            *ret_name = name;
            return true;
        }
    }
    return false;
}

void pel_name_bounds_add(struct pel_name_bounds *bounds, const struct pel_pattern *pattern)
{
    if (pattern->text == NULL)
        return;
    if (!grow((void **)&bounds->names, &bounds->cap, bounds->num, sizeof *bounds->names)) {
        bounds->failed = true;
        return;
    }
    bounds->names[bounds->num++] = first_name(pattern);
    if (name_behind(pattern, &bounds->names[bounds->num]))
        bounds->num++;
}

void pel_name_bounds_free(struct pel_name_bounds *bounds)
{
    free(bounds->names);
    *bounds = (struct pel_name_bounds){0};
}

static enum pel_err index_firsts(struct pel_arena *arena, struct pel_name_ranks *ranks)
{
    uint32_t *from = pel_arena_alloc(arena, (ranks->num + 1) * sizeof *from), num = 0;
    int64_t *firsts = malloc((ranks->num + 1) * sizeof *firsts);
    enum pel_err err = from == NULL || firsts == NULL ? PEL_E_NO_MEMORY : PEL_OK;
    for (uint32_t i = 0; i < ranks->num && err == PEL_OK; i++) {
        if (i > 0 && ranks->names[i].words[0] == ranks->names[i - 1].words[0])
            continue;
        from[num] = i;
        firsts[num++] = turned(ranks->names[i].words[0]);
    }
    if (err == PEL_OK) {
        from[num] = ranks->num;
        ranks->from = from;
        err = pel_keys_make(arena, firsts, num, false, &ranks->firsts);
    }
    free(firsts);
    return err;
}

enum pel_err pel_name_ranks_make(struct pel_arena *arena, struct pel_name_bounds *bounds,
                                 struct pel_name_ranks *ret_ranks)
{
    size_t num = 0;
    if (bounds->failed)
        return PEL_E_NO_MEMORY;
    if (bounds->num > 0)
        qsort(bounds->names, bounds->num, sizeof *bounds->names, compare_names);
    for (size_t i = 0; i < bounds->num; i++) {
        if (i == 0 || compare_names(&bounds->names[i], &bounds->names[i - 1]) != 0)
            bounds->names[num++] = bounds->names[i];
    }
    struct pel_name *names = pel_arena_alloc(arena, (num + 1) * sizeof *names);
    if (names == NULL)
        return PEL_E_NO_MEMORY;
    if (num > 0)
        memcpy(names, bounds->names, num * sizeof *names);
    *ret_ranks = (struct pel_name_ranks){.num = (uint32_t)num, .names = names};
    return index_firsts(arena, ret_ranks);
}

struct pel_rank_range pel_pattern_ranks(const struct pel_name_ranks *ranks, const struct pel_pattern *pattern)
{
    struct pel_name low = first_name(pattern), behind;
    struct pel_rank_range range = {rank_of_name(ranks, &low), ranks->num};
    if (name_behind(pattern, &behind))
        range.high = rank_of_name(ranks, &behind) - 1;
    return range;
}
