/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/preload/shared.h"

#include <errno.h>
#include <sched.h>
#include <time.h>

#include "ipc/raw.h"

#define NUM_SPINS  200
#define NUM_YIELDS 100
#define PAUSE_NS   50000
/* How many pauses one owner may last before it is asked for whether it lives. */
#define NUM_PAUSES 200

__thread uint32_t pel_lock_tid __attribute__((tls_model("initial-exec")));

void pel_lock_forked(void)
{
    pel_lock_tid = (uint32_t)pel_raw(SYS_gettid, 0, 0, 0, 0, 0, 0);
}

static void pause_for(unsigned num_tries)
{
    struct timespec time = {.tv_nsec = PAUSE_NS};
    if (num_tries < NUM_SPINS)
        __builtin_ia32_pause();
    else if (num_tries < NUM_SPINS + NUM_YIELDS)
        pel_raw(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
    else
        pel_raw(SYS_nanosleep, (long)&time, 0, 0, 0, 0, 0);
}

/* Whoever holds it copies at most a ring's length: it is soon free, or its owner is dead. */
bool pel_lock_wait(uint32_t *lock)
{
    if (pel_lock_tid == 0)
        pel_lock_forked();
    uint32_t last_owner = 0;
    for (unsigned num_tries = 0;; num_tries++) {
        uint32_t owner = __atomic_load_n(lock, __ATOMIC_RELAXED);
        if (owner == pel_lock_tid)
            return false;
        bool is_dead = owner != 0 && owner == last_owner && num_tries > NUM_SPINS + NUM_YIELDS + NUM_PAUSES &&
                       pel_raw(SYS_tkill, owner, 0, 0, 0, 0, 0) == -ESRCH;
        if ((owner == 0 || is_dead) && __atomic_compare_exchange_n(lock, &owner, pel_lock_tid, false,
                                                                   __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            return true;
        if (owner != last_owner)
            num_tries = num_tries < NUM_SPINS ? num_tries : NUM_SPINS;
        last_owner = owner;
        pause_for(num_tries);
    }
}
