/* SPDX-License-Identifier: Apache-2.0 */
#include "base/counters.h"

#include <stddef.h>

struct stat_row {
    const char *name;
    const char *text;
};

static const struct stat_row stat_rows[PEL_STAT_NR] = {
#define STAT_ROW(name, sentence) [PEL_STAT_##name] = {#name, sentence},
    PEL_STAT_LIST(STAT_ROW)
#undef STAT_ROW
};

const char *pel_stat_name(enum pel_stat stat)
{
    return (unsigned)stat < PEL_STAT_NR ? stat_rows[stat].name : "unknown";
}

const char *pel_stat_text(enum pel_stat stat)
{
    return (unsigned)stat < PEL_STAT_NR ? stat_rows[stat].text : "unknown";
}

void pel_counters_add(struct pel_counters *into, const struct pel_counters *from)
{
    for (size_t i = 0; i < PEL_ERR_NR; i++)
        into->err[i] += __atomic_load_n(&from->err[i], __ATOMIC_RELAXED);
    for (size_t i = 0; i < PEL_STAT_NR; i++)
        into->stat[i] += __atomic_load_n(&from->stat[i], __ATOMIC_RELAXED);
}
