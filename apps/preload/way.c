/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/preload/way.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "apps/preload/daemon.h"
#include "apps/preload/env.h"
#include "apps/preload/real.h"

static int way_fd = -1; /* hidden */

void pel_way_keep(void)
{
    char dir[sizeof pel_env()->attach.sun_path];
    if (way_fd >= 0)
        return;
    snprintf(dir, sizeof dir, "%s", pel_env()->attach.sun_path);
    char *slash = strrchr(dir, '/');
    if (slash == NULL || slash == dir)
        return;
    *slash = '\0';
    long fd = pel_raw(SYS_openat, AT_FDCWD, (long)dir, O_PATH | O_DIRECTORY | O_CLOEXEC, 0, 0, 0);
    if (fd >= 0)
        way_fd = pel_daemon_hide((int)fd);
}

static long connect_to(int fd, const struct sockaddr_un *address)
{
    long error;
    do {
        error = pel_raw(SYS_connect, fd, (long)address, sizeof *address, 0, 0, 0);
    } while (error == -EINTR);
    return error;
}

struct errand {
    int fd;
    long error;
};

/* In a thread whose current directory is its own, so that it may go there without the others. */
static void *connect_from_there(void *arg)
{
    struct errand *errand = arg;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *slash = strrchr(pel_env()->attach.sun_path, '/');
    snprintf(address.sun_path, sizeof address.sun_path, "%s", slash + 1);
    errand->error = pel_raw(SYS_unshare, CLONE_FS, 0, 0, 0, 0, 0);
    if (errand->error == 0)
        errand->error = pel_raw(SYS_fchdir, way_fd, 0, 0, 0, 0, 0);
    if (errand->error == 0)
        errand->error = connect_to(errand->fd, &address);
    return NULL;
}

static long send_errand(int fd)
{
    struct errand errand = {.fd = fd, .error = -ENOENT};
    sigset_t all, before;
    pthread_t thread;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&thread, NULL, connect_from_there, &errand);
    if (error == 0)
        pthread_join(thread, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error != 0 ? -error : errand.error;
}

int pel_way_connect(void)
{
    int fd = (int)pel_raw(SYS_socket, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, 0, 0, 0);
    if (fd < 0)
        return fd;
    long error = connect_to(fd, &pel_env()->attach);
    bool is_out_of_sight = error == -ENOENT || error == -ENOTDIR || error == -EACCES;
    if (is_out_of_sight && way_fd >= 0)
        error = send_errand(fd);
    if (error == 0)
        return fd;
    pel_raw(SYS_close, fd, 0, 0, 0, 0, 0);
    return (int)error;
}

PEL_EXPORT int chroot(const char *path)
{
    if (pel_env()->is_active)
        pel_way_keep();
    return pel_real()->chroot(path);
}
