/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/preload/next.h"

#include <dlfcn.h>
#include <stdlib.h>

static struct pel_next found;
static int is_found; /* atomic */

/* A function pointer from an object pointer, which POSIX allows and ISO C does not know. */
static void find(void *ret_function, const char *name)
{
    void *symbol = dlsym(RTLD_NEXT, name);
    if (symbol == NULL)
        abort(); /* a C library without poll */
    *(void **)ret_function = symbol;
}

/* Another library's constructor may call us before ours has run; twice does no harm. */
__attribute__((constructor)) static void find_all(void)
{
    find(&found.poll, "poll");
    find(&found.ppoll, "ppoll");
    find(&found.select, "select");
    find(&found.pselect, "pselect");
    find(&found.epoll_pwait, "epoll_pwait");
    __atomic_store_n(&is_found, 1, __ATOMIC_RELEASE);
}

const struct pel_next *pel_next(void)
{
    if (!__atomic_load_n(&is_found, __ATOMIC_ACQUIRE))
        find_all();
    return &found;
}
