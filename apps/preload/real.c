/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/preload/real.h"

#include <dlfcn.h>

struct pel_real pel_real_functions;

void *pel_real_next(const char *name)
{
    return dlsym(RTLD_NEXT, name);
}

/* Two threads that meet here write the same values. */
void pel_real_find(void)
{
    struct pel_real *real = &pel_real_functions;
#define PEL_REAL_FIND(type, name, args) *(void **)(void *)&real->name = dlsym(RTLD_NEXT, #name);
    PEL_REAL_LIST(PEL_REAL_FIND)
#undef PEL_REAL_FIND
    __atomic_store_n(&real->is_ready, true, __ATOMIC_RELEASE);
}
