/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The library's beginning and end in a process, and what happens at a fork in between.
 */
#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#include "apps/preload/accept.h"
#include "apps/preload/adopt.h"
#include "apps/preload/close.h"
#include "apps/preload/decide.h"
#include "apps/preload/env.h"
#include "apps/preload/io.h"
#include "apps/preload/names.h"
#include "apps/preload/real.h"
#include "apps/preload/shared.h"
#include "apps/preload/table.h"
#include "apps/preload/wait.h"

/* What errno was before a fork of this thread. Meanwhile it is 0, since only by it can be told afterwards
 * whether there is a child. */
static __thread int errno_before __attribute__((tls_model("initial-exec")));

static void before_fork(void)
{
    pel_epoll_fork_begins();
    pel_daemon_fork_begins();
    pel_table_lock();
    pel_close_count_child();
    errno_before = errno;
    errno = 0;
}

static void after_fork_in_parent(void)
{
    if (errno == 0)
        errno = errno_before;
    else
        pel_close_uncount_child();
    pel_table_unlock();
    pel_daemon_fork_ends(false);
    pel_epoll_fork_ends(false);
}

static void after_fork_in_child(void)
{
    pel_lock_forked();
    pel_table_forked();
    pel_close_forked();
    pel_decide_forked();
    pel_listen_forked();
    pel_names_forked();
    pel_stdio_forked();
    pel_daemon_fork_ends(true);
    pel_epoll_fork_ends(true);
    pel_wait_forked();
    errno = errno_before;
}

__attribute__((constructor)) static void start(void)
{
    pel_real();
    if (!pel_env()->is_active)
        return;
    pel_close_forked();
    pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
    if (pel_env()->is_held) {
        pel_adopt_inherited();
        pel_env_forget_held();
    }
}

/* A process that ends by itself ends its connections cleanly; one that is killed does not come by here. */
__attribute__((destructor)) static void end(void)
{
    if (!pel_close_is_borrowed())
        pel_close_leave_all(true);
}

PEL_EXPORT void _exit(int status)
{
    if (!pel_close_is_borrowed())
        pel_close_leave_all(true);
    pel_real()->_exit(status);
    __builtin_unreachable();
}

PEL_EXPORT void _Exit(int status)
{
    _exit(status);
}
