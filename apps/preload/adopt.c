/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/preload/adopt.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apps/preload/decide.h"
#include "apps/preload/env.h"
#include "apps/preload/io.h"
#include "apps/preload/real.h"
#include "apps/preload/shared.h"
#include "apps/preload/stream.h"
#include "apps/preload/table.h"

static int option_of(int fd, int name)
{
    int value = -1;
    socklen_t len = sizeof value;
    return pel_raw(SYS_getsockopt, fd, SOL_SOCKET, name, (long)&value, (long)&len, 0) == 0 ? value : -1;
}

/* A channel is a Unix socketpair's end that the daemon made. */
static bool may_be_channel(int fd)
{
    struct ucred peer = {.pid = 0};
    socklen_t len = sizeof peer;
    if (option_of(fd, SO_DOMAIN) != AF_UNIX || option_of(fd, SO_TYPE) != SOCK_SEQPACKET)
        return false;
    if (pel_daemon_app() == NULL)
        return false;
    pel_raw(SYS_getsockopt, fd, SOL_SOCKET, SO_PEERCRED, (long)&peer, (long)&len, 0);
    return (uint32_t)peer.pid == pel_daemon_pid();
}

/* Another number of this process that leads to the slot already. */
static struct pel_file *find_file(const struct pel_app *app, uint32_t number, uint32_t serial)
{
    struct pel_file *file = NULL, *found = NULL;
    pel_table_lock();
    for (int fd = pel_table_next(0, &file); fd >= 0 && found == NULL; fd = pel_table_next(fd + 1, &file)) {
        if (file != PEL_TABLE_HIDDEN && file->app == app && file->number == number && file->serial == serial)
            found = file;
    }
    if (found != NULL)
        pel_table_ref(found);
    pel_table_unlock();
    return found;
}

static struct pel_file *new_file(struct pel_app *app, uint32_t number, uint32_t serial)
{
    struct pel_file *file = pel_table_make(PEL_FILE_STREAM);
    if (file == NULL)
        return NULL;
    pel_file_point(file, app, number, serial);
    if (file->slot->type == SOCK_DGRAM)
        file->kind = PEL_FILE_DGRAM;
    else if (pel_file_state(file) & PEL_SLOT_LISTENING)
        file->kind = PEL_FILE_LISTENER;
    __atomic_fetch_add(&file->slot->num_holders, 1, __ATOMIC_ACQ_REL);
    return file;
}

int pel_adopt_received(int fd)
{
    uint32_t number, serial;
    int error;
    if (pel_table_peek(fd) != NULL || !may_be_channel(fd))
        return 0;
    struct pel_app *app = pel_daemon_who(fd, &number, &serial, &error);
    if (app == NULL)
        return error == ENOTSOCK ? 0 : error;
    struct pel_file *file = find_file(app, number, serial);
    if (file == NULL)
        file = new_file(app, number, serial);
    if (file == NULL)
        return ENOMEM;
    error = pel_file_install(fd, file);
    if (error != 0)
        pel_file_put(file);
    else
        pel_stdio_moved(fd);
    return error;
}

void pel_adopt_inherited(void)
{
    DIR *dir = opendir("/proc/self/fd");
    struct dirent *entry;
    if (dir == NULL)
        return;
    while ((entry = readdir(dir)) != NULL) {
        int fd = atoi(entry->d_name);
        if (entry->d_name[0] == '.' || fd == dirfd(dir))
            continue;
        int error = pel_adopt_received(fd);
        if (error != 0)
            fprintf(stderr, "pellucid: descriptor %d is a socket that the stack does not know any more: %s\n",
                    fd, strerror(error));
    }
    closedir(dir);
}
