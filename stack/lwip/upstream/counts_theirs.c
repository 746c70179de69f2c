/* SPDX-License-Identifier: Apache-2.0 */
/* lwIP's statistics, kept by lwIP. */
#include "lwip/stats.h"

#include "stack/lwip/upstream/upstream.h"

struct stats_ lwip_stats;

void stats_init(void)
{
}

/* memp_init has set where each pool counts; those counts are of the process. */
void upstream_counts_start(void)
{
    memset(&lwip_stats.mem, 0, sizeof(lwip_stats.mem));
    for (int i = 0; i < MEMP_MAX; i++)
        memset(lwip_stats.memp[i], 0, sizeof(*lwip_stats.memp[i]));
}
