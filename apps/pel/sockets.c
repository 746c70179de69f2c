/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/pel/sockets.h"

#include <dirent.h>
#include <errno.h>
#include <pellucid/control.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Whether somebody takes connections there, as far as this user can tell: who is gone says so. */
static bool may_answer(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        return false;
    memcpy(address.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool yes = connect(fd, (const struct sockaddr *)&address, sizeof address) == 0 ||
               (errno != ECONNREFUSED && errno != EPROTOTYPE && errno != ENOENT);
    if (fd >= 0)
        close(fd);
    return yes;
}

static int is_control_socket(const struct dirent *entry)
{
    size_t len = strlen(entry->d_name);
    return len > 5 && strcmp(entry->d_name + len - 5, ".sock") == 0;
}

void sockets_each(sockets_fn *found, void *arg)
{
    struct dirent **entries = NULL;
    int num = scandir(PEL_CONTROL_DIR, &entries, is_control_socket, alphasort);
    for (int i = 0; i < num; i++) {
        char path[sizeof PEL_CONTROL_DIR + sizeof entries[i]->d_name];
        snprintf(path, sizeof path, PEL_CONTROL_DIR "/%s", entries[i]->d_name);
        if (may_answer(path))
            found(arg, path);
        free(entries[i]);
    }
    free(entries);
}
