/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/preload/env.h"

#include <stdlib.h>
#include <string.h>

static struct pel_env env;

static void take_text(char *ret, size_t len, const char *name)
{
    const char *value = getenv(name);
    if (value != NULL && strlen(value) < len)
        strcpy(ret, value);
}

static void read_env(void)
{
    env.attach.sun_family = AF_UNIX;
    take_text(env.attach.sun_path, sizeof env.attach.sun_path, PEL_ENV_ATTACH);
    take_text(env.job, sizeof env.job, PEL_ENV_JOB);
    take_text(env.preload, sizeof env.preload, PEL_ENV_PRELOAD);
    const char *allow = getenv(PEL_ENV_ALLOW_KERNEL);
    env.is_kernel_allowed = allow != NULL && strcmp(allow, "") != 0 && strcmp(allow, "0") != 0;
    env.is_held = getenv(PEL_ENV_HELD) != NULL;
    env.is_active = getenv(PEL_ENV_ATTACH) != NULL;
    __atomic_store_n(&env.is_read, true, __ATOMIC_RELEASE);
}

const struct pel_env *pel_env(void)
{
    if (!__atomic_load_n(&env.is_read, __ATOMIC_ACQUIRE))
        read_env();
    return &env;
}

void pel_env_forget_held(void)
{
    unsetenv(PEL_ENV_HELD);
}
