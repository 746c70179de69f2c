/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signal handlers of the program run through one of ours, which counts that one began: so that a wait that
 * has not reached the kernel yet knows that it has been interrupted (wait.h). The program sees its own
 * handlers only; everything else about them, flags, masks and stacks, is the kernel's business as before.
 *
 * A signal has two places for a handler, each with a trampoline of its own, used in turn: a new handler goes
 * to the place that the kernel does not lead to, then the kernel is told. So a handler always runs with the
 * flags it was installed with; and a vfork child, which shares these tables but not the kernel's, does its
 * parent no harm. Which place is in use the kernel knows, and only it.
 */
#include <errno.h>
#include <signal.h>
#include <stddef.h>

#include "apps/preload/wait.h"
#include "apps/preload/wake.h"
#include "ipc/raw.h"

#define NUM_SIGNALS 65
#define SIGNALS_LEN 8

/* The C library's own, by its other name: it brings the way back from a handler. */
int __sigaction(int signal_number, const struct sigaction *action, struct sigaction *ret_old);

typedef void handler_fn(int, siginfo_t *, void *);

struct place {
    handler_fn *handler; /* atomic; called with all three arguments, of which it may take one */
    uint32_t is_final;   /* atomic: without SA_RESTART */
};

static struct place places[2][NUM_SIGNALS];
static uint32_t is_locked;    /* atomic; taken with all signals blocked */
static uint64_t interrupting; /* atomic: signals for which siginterrupt was asked, as bits */

static inline __attribute__((always_inline)) void run(const struct place *place, int signal_number,
                                                      siginfo_t *info, void *context)
{
    pel_thread.num_handlers++;
    pel_thread.num_final_handlers += __atomic_load_n(&place->is_final, __ATOMIC_RELAXED);
    __atomic_load_n(&place->handler, __ATOMIC_ACQUIRE)(signal_number, info, context);
}

static void trampoline_0(int signal_number, siginfo_t *info, void *context)
{
    run(&places[0][signal_number], signal_number, info, context);
}

static void trampoline_1(int signal_number, siginfo_t *info, void *context)
{
    run(&places[1][signal_number], signal_number, info, context);
}

static handler_fn *const trampolines[2] = {trampoline_0, trampoline_1};

static uint64_t lock_places(void)
{
    uint64_t all = ~0ull, before = 0;
    pel_raw(SYS_rt_sigprocmask, SIG_SETMASK, (long)&all, (long)&before, SIGNALS_LEN, 0, 0);
    while (__atomic_exchange_n(&is_locked, 1, __ATOMIC_ACQUIRE) != 0)
        __builtin_ia32_pause();
    return before;
}

static void unlock_places(uint64_t before)
{
    __atomic_store_n(&is_locked, 0, __ATOMIC_RELEASE);
    pel_raw(SYS_rt_sigprocmask, SIG_SETMASK, (long)&before, 0, SIGNALS_LEN, 0, 0);
}

void pel_signals_forked(void)
{
    __atomic_store_n(&is_locked, 0, __ATOMIC_RELEASE);
}

/* Which place the kernel leads to; -1: none of ours. */
static int place_of(const struct sigaction *action)
{
    for (int i = 0; i < 2; i++) {
        if (action->sa_sigaction == trampolines[i])
            return i;
    }
    return -1;
}

static bool is_function(const struct sigaction *action)
{
    return action->sa_handler != SIG_DFL && action->sa_handler != SIG_IGN;
}

/* Installs what is to run instead of `action`, and says what the program had before. Locked. */
static int replace(int signal_number, const struct sigaction *action, struct sigaction *ret_old)
{
    struct sigaction now, ours;
    if (__sigaction(signal_number, NULL, &now) != 0)
        return -1;
    int used = place_of(&now), unused = used == 0 ? 1 : 0;
    handler_fn *used_handler = used < 0 ? NULL : places[used][signal_number].handler;
    if (action != NULL) {
        ours = *action;
        if (is_function(action)) {
            struct place *place = &places[unused][signal_number];
            __atomic_store_n(&place->is_final, (action->sa_flags & SA_RESTART) == 0, __ATOMIC_RELAXED);
            __atomic_store_n(&place->handler, action->sa_sigaction, __ATOMIC_RELEASE);
            ours.sa_sigaction = trampolines[unused];
        }
        if (__sigaction(signal_number, &ours, NULL) != 0)
            return -1;
    }
    if (used_handler != NULL)
        now.sa_sigaction = used_handler;
    if (ret_old != NULL)
        *ret_old = now;
    return 0;
}

PEL_EXPORT int sigaction(int signal_number, const struct sigaction *action, struct sigaction *ret_old)
{
    if (signal_number <= 0 || signal_number >= NUM_SIGNALS)
        return __sigaction(signal_number, action, ret_old);
    uint64_t before = lock_places();
    int result = replace(signal_number, action, ret_old);
    unlock_places(before);
    return result;
}

/* --- the older ways to say it --- */

static sighandler_t install(int signal_number, sighandler_t handler, int flags, bool is_masked)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags}, old;
    if (handler == SIG_ERR || signal_number <= 0 || signal_number >= NUM_SIGNALS) {
        errno = EINVAL;
        return SIG_ERR;
    }
    if (is_masked)
        sigaddset(&action.sa_mask, signal_number);
    return sigaction(signal_number, &action, &old) == 0 ? old.sa_handler : SIG_ERR;
}

PEL_EXPORT sighandler_t signal(int signal_number, sighandler_t handler)
{
    bool is_interrupting = signal_number > 0 && signal_number < NUM_SIGNALS &&
                           (__atomic_load_n(&interrupting, __ATOMIC_RELAXED) >> (signal_number - 1) & 1);
    return install(signal_number, handler, is_interrupting ? 0 : SA_RESTART, true);
}

sighandler_t bsd_signal(int signal_number, sighandler_t handler);
sighandler_t ssignal(int signal_number, sighandler_t handler);
sighandler_t sysv_signal(int signal_number, sighandler_t handler);
sighandler_t __sysv_signal(int signal_number, sighandler_t handler);

PEL_EXPORT sighandler_t bsd_signal(int signal_number, sighandler_t handler)
{
    return signal(signal_number, handler);
}

PEL_EXPORT sighandler_t ssignal(int signal_number, sighandler_t handler)
{
    return signal(signal_number, handler);
}

PEL_EXPORT sighandler_t __sysv_signal(int signal_number, sighandler_t handler)
{
    return install(signal_number, handler, (int)SA_RESETHAND | SA_NODEFER, false);
}

PEL_EXPORT sighandler_t sysv_signal(int signal_number, sighandler_t handler)
{
    return __sysv_signal(signal_number, handler);
}

PEL_EXPORT int siginterrupt(int signal_number, int is_interrupting)
{
    struct sigaction action;
    if (sigaction(signal_number, NULL, &action) != 0)
        return -1;
    uint64_t bit = 1ull << (signal_number - 1);
    if (is_interrupting) {
        __atomic_fetch_or(&interrupting, bit, __ATOMIC_RELAXED);
        action.sa_flags &= ~SA_RESTART;
    } else {
        __atomic_fetch_and(&interrupting, ~bit, __ATOMIC_RELAXED);
        action.sa_flags |= SA_RESTART;
    }
    return sigaction(signal_number, &action, NULL);
}

sighandler_t sigset(int signal_number, sighandler_t handler);

PEL_EXPORT sighandler_t sigset(int signal_number, sighandler_t handler)
{
    sigset_t one, before;
    sigemptyset(&one);
    if (handler == SIG_ERR || sigaddset(&one, signal_number) != 0) {
        errno = EINVAL;
        return SIG_ERR;
    }
    struct sigaction old;
    if (handler == SIG_HOLD) {
        if (sigprocmask(SIG_BLOCK, &one, &before) != 0 || sigaction(signal_number, NULL, &old) != 0)
            return SIG_ERR;
        return sigismember(&before, signal_number) ? SIG_HOLD : old.sa_handler;
    }
    sighandler_t old_handler = install(signal_number, handler, 0, false);
    if (old_handler == SIG_ERR || sigprocmask(SIG_UNBLOCK, &one, &before) != 0)
        return SIG_ERR;
    return sigismember(&before, signal_number) ? SIG_HOLD : old_handler;
}
