/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What lwIP's own unit tests see of ours; rewrite.py has each of their files include it after lwIP's headers.
 * The tests know sizes at compile time and a counter of initial sequence numbers, and here a window is a
 * member of the instance, and sequence numbers are the hook's.
 */
#ifndef PEL_STACK_LWIP_UPSTREAM_UPSTREAM_H
#define PEL_STACK_LWIP_UPSTREAM_UPSTREAM_H

#include "pel_lwip_state.h"

/* Each case has an instance with windows of this size: lwipopts.h of the options that the program has. */
#undef TCP_WND
#define TCP_WND UPSTREAM_TCP_WND
#undef TCP_SND_BUF
#define TCP_SND_BUF UPSTREAM_TCP_SND_BUF

/* upstream_next_iss returns what lwIP's tcp_next_iss does without a hook: 6510 at first, and each time more
 * by tcp_ticks. The tests choose their sequence numbers by it, to have them wrap. */
u32_t upstream_next_iss(void);
#define tcp_next_iss(pcb) upstream_next_iss()

/* There is no thread of lwIP's, whose messages a case would have to take. */
#define tcpip_thread_poll_one() ((void)0)

/* A pool that there is only with lwIP's timer lists; the tests leave it out of what may not be in use. */
#define MEMP_SYS_TIMEOUT MEMP_MAX

/* upstream_counts_start makes lwip_stats ready, for a case that begins. */
void upstream_counts_start(void);

#endif
