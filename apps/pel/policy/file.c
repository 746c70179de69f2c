/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/pel/policy/file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool policy_write_all(int fd, const char *text, size_t text_len)
{
    while (text_len > 0) {
        ssize_t put = write(fd, text, text_len);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return false;
        text += put;
        text_len -= (size_t)put;
    }
    return true;
}

static bool fill(int fd, const struct stat *old, mode_t mode, const char *text, size_t text_len)
{
    /* The owner may be one that we cannot give files to: then it is ours. */
    if (old != NULL && fchown(fd, old->st_uid, old->st_gid) != 0 && errno != EPERM)
        return false;
    if (mode == 0)
        mode = old != NULL ? old->st_mode & 07777 : 0644;
    return fchmod(fd, mode) == 0 && policy_write_all(fd, text, text_len) && fsync(fd) == 0;
}

bool policy_write_file(const char *path, mode_t mode, const char *text, size_t text_len)
{
    char real[PATH_MAX], folder[PATH_MAX], temporary[PATH_MAX + 32];
    struct stat status;
    if (realpath(path, real) == NULL)
        snprintf(real, sizeof real, "%s", path); /* a new one */
    bool exists = stat(real, &status) == 0;
    snprintf(folder, sizeof folder, "%s", real);
    if (exists && !S_ISREG(status.st_mode)) {
        fprintf(stderr, "pel: %s: not a regular file\n", path);
        return false;
    }
    snprintf(temporary, sizeof temporary, "%s/.pel-policy-XXXXXX", dirname(folder));
    int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0) {
        fprintf(stderr, "pel: %s: %s\n", path, strerror(errno));
        return false;
    }
    bool done = fill(fd, exists ? &status : NULL, mode, text, text_len);
    int error = errno;
    if (close(fd) != 0 && done) {
        done = false;
        error = errno;
    }
    if (done && rename(temporary, real) != 0) {
        done = false;
        error = errno;
    }
    if (!done) {
        (void)unlink(temporary);
        fprintf(stderr, "pel: %s: %s\n", path, strerror(error));
    }
    return done;
}
