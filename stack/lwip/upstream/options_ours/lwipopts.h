/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The options that the stack is built with, for tests that are linked to the stack's own archives. The
 * statistics are those of counts_ours.c: no structure of the core depends on these.
 */
#ifndef PEL_STACK_LWIP_UPSTREAM_OURS_H
#define PEL_STACK_LWIP_UPSTREAM_OURS_H

#include "stack/lwip/port/lwipopts.h"

#undef LWIP_STATS
#define LWIP_STATS 1
#define MEM_STATS  1
#define MEMP_STATS 1
#define MIB2_STATS 0

/* The tests' segments carry windows in 16 bits, and are up to six of the largest segments long. */
#define UPSTREAM_TCP_WND     (7 * TCP_MSS)
#define UPSTREAM_TCP_SND_BUF (9 * TCP_MSS)

#endif
