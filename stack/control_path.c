/* SPDX-License-Identifier: Apache-2.0 */
#include "stack/control_path.h"

#include <dirent.h>
#include <errno.h>
#include <libgen.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <pellucid/control.h>

static bool is_directory(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static enum pel_err make_directory(const char *dir, struct pel_error *reterr)
{
    if (mkdir(dir, 0755) == 0 || (errno == EEXIST && is_directory(dir)))
        return PEL_OK;
    return pel_error_set(reterr, PEL_E_IO, "cannot make the directory %s for the control socket: %s", dir,
                         strerror(errno));
}

enum pel_err pel_control_path_choose(const char *path_or_dir, const char *program_name, char *ret_path,
                                     struct pel_error *reterr)
{
    const char *place = path_or_dir != NULL ? path_or_dir : PEL_CONTROL_DIR;
    size_t place_len = strlen(place);
    bool is_dir =
        path_or_dir == NULL || is_directory(place) || (place_len > 0 && place[place_len - 1] == '/');
    char path[PEL_CONTROL_PATH_MAX_LEN + 1];
    int len = is_dir ? snprintf(path, sizeof path, "%s/%s-%d.sock", place, program_name, (int)getpid())
                     : snprintf(path, sizeof path, "%s", place);
    if (len <= 0 || (size_t)len >= sizeof path)
        return pel_error_set(reterr, PEL_E_TOO_BIG,
                             "the control socket's path under %s is empty or longer than %zu bytes", place,
                             sizeof path - 1);
    char copy[sizeof path];
    memcpy(copy, path, sizeof path);
    PEL_TRY(make_directory(dirname(copy), reterr));
    memcpy(ret_path, path, sizeof path);
    return PEL_OK;
}

static socklen_t fill_address(struct sockaddr_un *address, const char *path)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(address->sun_path, path, strlen(path) + 1);
    return (socklen_t)sizeof *address;
}

/* Whether a process accepts connections at `path`. Does not wait: a full backlog (EAGAIN) is an answer,
 * too. */
static bool answers(const char *path, int type)
{
    int fd = socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    struct sockaddr_un address;
    socklen_t len = fill_address(&address, path);
    bool yes = connect(fd, (const struct sockaddr *)&address, len) == 0 || errno == EAGAIN;
    close(fd);
    return yes;
}

/* A name that something else than a dead socket holds is not ours to replace. */
static enum pel_err check_free(const char *path, struct pel_error *reterr)
{
    struct stat st;
    if (lstat(path, &st) != 0)
        return PEL_OK;
    if (!S_ISSOCK(st.st_mode))
        return pel_error_set(reterr, PEL_E_EXISTS,
                             "%s exists and is no socket; remove it or configure another socket", path);
    if (answers(path, SOCK_STREAM) || answers(path, SOCK_SEQPACKET))
        return pel_error_set(reterr, PEL_E_EXISTS,
                             "another process answers on %s; stop it or configure another socket", path);
    return PEL_OK;
}

/* fchmod before bind gives the file its mode from its first moment on. */
static bool bind_and_listen(int fd, mode_t mode, const char *bind_path, const char *path)
{
    struct sockaddr_un address;
    socklen_t len = fill_address(&address, bind_path);
    unlink(bind_path);
    return fchmod(fd, mode) == 0 && bind(fd, (const struct sockaddr *)&address, len) == 0 &&
           chmod(bind_path, mode) == 0 && listen(fd, 64) == 0 && rename(bind_path, path) == 0;
}

enum pel_err pel_control_path_listen(const char *path, int type, mode_t mode, int *ret_fd,
                                     struct pel_error *reterr)
{
    PEL_TRY(check_free(path, reterr));
    int fd = socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    char bind_path[sizeof(((struct sockaddr_un *)0)->sun_path)];
    snprintf(bind_path, sizeof bind_path, "%s.~", path);
    if (fd >= 0 && bind_and_listen(fd, mode, bind_path, path)) {
        *ret_fd = fd;
        return PEL_OK;
    }
    int error = errno;
    if (fd >= 0) {
        unlink(bind_path);
        close(fd);
    }
    return pel_error_set(reterr, PEL_E_IO, "cannot listen on the socket %s: %s", path, strerror(error));
}

enum pel_err pel_control_path_connect(const char *path, int *ret_fd, struct pel_error *reterr)
{
    struct sockaddr_un address;
    if (strlen(path) >= sizeof address.sun_path)
        return pel_error_set(reterr, PEL_E_TOO_BIG, "%s is too long for a socket's path", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return pel_error_set(reterr, PEL_E_IO, "cannot make a socket: %s", strerror(errno));
    socklen_t len = fill_address(&address, path);
    if (connect(fd, (const struct sockaddr *)&address, len) == 0) {
        *ret_fd = fd;
        return PEL_OK;
    }
    int error = errno;
    close(fd);
    const char *hint = error == ECONNREFUSED ? " (its process is gone)"
                       : error == EACCES     ? " (ask as its user, or as root)"
                                             : "";
    return pel_error_set(reterr, PEL_E_CONTROL_UNREACHABLE, "no stack answers on %s: %s%s", path,
                         strerror(error), hint);
}

static bool has_suffix(const char *text, const char *suffix)
{
    size_t text_len = strlen(text), suffix_len = strlen(suffix);
    return text_len > suffix_len && strcmp(text + text_len - suffix_len, suffix) == 0;
}

struct found {
    size_t num;
    char path[PEL_CONTROL_PATH_MAX_LEN + 1]; /* the first */
    char list[400];                          /* all of them, as far as they fit */
};

static void collect_live(DIR *listing, const char *dir, struct found *found)
{
    const struct dirent *entry;
    while ((entry = readdir(listing)) != NULL) {
        char path[PEL_CONTROL_PATH_MAX_LEN + 1];
        int len = snprintf(path, sizeof path, "%s/%s", dir, entry->d_name);
        if (len <= 0 || (size_t)len >= sizeof path || !has_suffix(path, ".sock") ||
            !answers(path, SOCK_STREAM))
            continue;
        if (found->num++ == 0)
            memcpy(found->path, path, sizeof path);
        size_t list_len = strlen(found->list);
        snprintf(found->list + list_len, sizeof found->list - list_len, " %s", path);
    }
}

enum pel_err pel_control_path_find(const char *dir, char *ret_path, struct pel_error *reterr)
{
    struct found found = {0};
    DIR *listing = opendir(dir);
    if (listing != NULL) {
        collect_live(listing, dir, &found);
        closedir(listing);
    }
    if (found.num == 0)
        return pel_error_set(
            reterr, PEL_E_CONTROL_UNREACHABLE,
            "no stack answers in %s: start a program that hosts one, or name its socket with --socket", dir);
    if (found.num > 1)
        return pel_error_set(reterr, PEL_E_CONTROL_UNREACHABLE,
                             "%zu stacks answer; choose one with --socket:%s", found.num, found.list);
    memcpy(ret_path, found.path, sizeof found.path);
    return PEL_OK;
}
