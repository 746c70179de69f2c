/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `pel run` tells the library through the environment. Read once, before the program can change it.
 */
#ifndef PEL_PRELOAD_ENV_H
#define PEL_PRELOAD_ENV_H

#include <stdbool.h>
#include <sys/un.h>

#include "ipc/message.h"

#define PEL_ENV_ATTACH       "PELLUCID_ATTACH"
#define PEL_ENV_JOB          "PELLUCID_JOB"
#define PEL_ENV_ALLOW_KERNEL "PELLUCID_ALLOW_KERNEL"
#define PEL_ENV_HELD         "PELLUCID_HELD" /* set by exec: the image before held sockets of the stack */
#define PEL_ENV_PRELOAD      "LD_PRELOAD"

#define PEL_ENV_PRELOAD_LEN 4096

struct pel_env {
    bool is_read, is_active; /* active: there is a daemon to attach to */
    bool is_kernel_allowed, is_held;
    struct sockaddr_un attach;
    char job[PEL_IPC_NAME_LEN];
    char preload[PEL_ENV_PRELOAD_LEN]; /* LD_PRELOAD as it was */
};

/* pel_env returns it. Any thread, also before the constructor. */
const struct pel_env *pel_env(void);

/* pel_env_forget_held takes PELLUCID_HELD out of the program's environment. */
void pel_env_forget_held(void);

#endif
