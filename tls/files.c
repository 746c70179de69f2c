/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* strerror's static buffer is not for threads; glibc's %m goes through the thread's own. */
#define WHY "%m"

enum pel_err pel_path_join(const char *dir, const char *name, const char *suffix, char *ret_path, size_t cap,
                           struct pel_error *reterr)
{
    int len = snprintf(ret_path, cap, "%s/%s%s", dir, name, suffix);
    if (len < 0 || (size_t)len >= cap)
        return pel_error_set(reterr, PEL_E_TOO_BIG, "%.100s…: the path is too long", dir);
    return PEL_OK;
}

static enum pel_err check_stat(const char *path, int fd, bool secret, size_t *ret_len,
                               struct pel_error *reterr)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return pel_error_set(reterr, PEL_E_KEYRING_UNREADABLE, "%s: " WHY, path);
    if (!S_ISREG(st.st_mode))
        return pel_error_set(reterr, PEL_E_KEYRING_UNREADABLE, "%s: is not a regular file", path);
    if (secret && (st.st_mode & 077) != 0)
        return pel_error_set(reterr, PEL_E_KEYRING_MODE,
                             "%s: mode %04o lets others at a private key; do `chmod 600 '%s'`", path,
                             (unsigned)(st.st_mode & 07777), path);
    if (st.st_size < 0 || (uint64_t)st.st_size > PEL_FILE_MAX_LEN)
        return pel_error_set(reterr, PEL_E_TOO_BIG, "%s: is larger than %u bytes", path, PEL_FILE_MAX_LEN);
    *ret_len = (size_t)st.st_size;
    return PEL_OK;
}

static enum pel_err read_all(const char *path, int fd, size_t len, struct pel_file *ret_file,
                             struct pel_error *reterr)
{
    struct pel_file file = {.bytes = malloc(len + 1)};
    if (file.bytes == NULL)
        return pel_error_set(reterr, PEL_E_NO_MEMORY, "%s: out of memory", path);
    while (file.len < len) {
        ssize_t n = read(fd, file.bytes + file.len, len - file.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            pel_error_set(reterr, PEL_E_KEYRING_UNREADABLE, "%s: " WHY, path);
            pel_file_free(&file);
            return PEL_E_KEYRING_UNREADABLE;
        }
        if (n == 0)
            break;
        file.len += (size_t)n;
    }
    file.bytes[file.len] = '\0';
    *ret_file = file;
    return PEL_OK;
}

enum pel_err pel_file_read(const char *path, bool secret, struct pel_file *ret_file, struct pel_error *reterr)
{
    size_t len = 0;
    int fd =
        open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not hang us before fstat has seen it */
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return pel_error_set(reterr, PEL_E_NOT_FOUND, "%s: " WHY, path);
    if (fd < 0)
        return pel_error_set(reterr, PEL_E_KEYRING_UNREADABLE,
                             "%s: " WHY "; check who runs the stack and who owns it", path);
    enum pel_err err = check_stat(path, fd, secret, &len, reterr);
    if (err == PEL_OK)
        err = read_all(path, fd, len, ret_file, reterr);
    close(fd);
    return err;
}

void pel_file_free(struct pel_file *file)
{
    if (file->bytes != NULL)
        explicit_bzero(file->bytes, file->len);
    free(file->bytes);
    *file = (struct pel_file){0};
}

static bool write_all(int fd, const uint8_t *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, bytes, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        bytes += n;
        len -= (size_t)n;
    }
    return true;
}

/* link() refuses where rename() would replace. */
static bool put_in_place(const char *temp, const char *path, bool replace)
{
    if (replace)
        return rename(temp, path) == 0;
    return link(temp, path) == 0;
}

static enum pel_err write_failed(const char *path, struct pel_error *reterr)
{
    if (errno == EEXIST)
        return pel_error_set(reterr, PEL_E_EXISTS, "%s: exists already; give --force to replace it", path);
    return pel_error_set(reterr, PEL_E_IO, "%s: cannot be written: " WHY, path);
}

enum pel_err pel_file_write(const char *path, const uint8_t *bytes, size_t len, unsigned mode, bool replace,
                            struct pel_error *reterr)
{
    char temp[PEL_PATH_CAP + 16];
    int temp_len = snprintf(temp, sizeof temp, "%s.XXXXXX", path);
    if (temp_len < 0 || temp_len >= (int)sizeof temp)
        return pel_error_set(reterr, PEL_E_TOO_BIG, "%.100s…: the path is too long", path);
    int fd = mkostemp(temp, O_CLOEXEC);
    if (fd < 0)
        return write_failed(path, reterr);
    bool fine = fchmod(fd, (mode_t)mode) == 0 && write_all(fd, bytes, len) && fsync(fd) == 0;
    fine = fine && put_in_place(temp, path, replace);
    enum pel_err err = fine ? PEL_OK : write_failed(path, reterr);
    close(fd);
    unlink(temp); /* after a rename it is gone already */
    return err;
}

static enum pel_err make_one(const char *path, struct pel_error *reterr)
{
    struct stat st;
    if (mkdir(path, 0700) == 0)
        return PEL_OK;
    if (errno == EEXIST && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return PEL_OK;
    return pel_error_set(reterr, PEL_E_IO, "%s: cannot be made: " WHY, path);
}

enum pel_err pel_dir_make(const char *path, struct pel_error *reterr)
{
    char part[PEL_PATH_CAP];
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof part)
        return pel_error_set(reterr, PEL_E_TOO_BIG, "%.100s: no path of a directory", path);
    memcpy(part, path, len + 1);
    for (size_t i = 1; i < len; i++) {
        if (part[i] != '/')
            continue;
        part[i] = '\0';
        PEL_TRY(make_one(part, reterr));
        part[i] = '/';
    }
    return make_one(part, reterr);
}

void pel_names_free(struct pel_names *names)
{
    for (size_t i = 0; i < names->num; i++)
        free(names->names[i]);
    free(names->names);
    *names = (struct pel_names){0};
}

static enum pel_err add_name(struct pel_names *names, const char *name, size_t len)
{
    char **grown = realloc(names->names, (names->num + 1) * sizeof *grown);
    if (grown == NULL)
        return PEL_E_NO_MEMORY;
    names->names = grown;
    grown[names->num] = strndup(name, len);
    if (grown[names->num] == NULL)
        return PEL_E_NO_MEMORY;
    names->num++;
    return PEL_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static enum pel_err list_dir(const char *dir, DIR *stream, const char *suffix, size_t max,
                             struct pel_names *names, struct pel_error *reterr)
{
    size_t suffix_len = strlen(suffix);
    for (struct dirent *entry = readdir(stream); entry != NULL; entry = readdir(stream)) {
        size_t len = strlen(entry->d_name);
        if (entry->d_name[0] == '.' || len <= suffix_len ||
            strcmp(entry->d_name + len - suffix_len, suffix) != 0)
            continue;
        if (names->num == max)
            return pel_error_set(reterr, PEL_E_TOO_BIG, "%s: holds more than %zu files", dir, max);
        if (add_name(names, entry->d_name, len - suffix_len) != PEL_OK)
            return pel_error_set(reterr, PEL_E_NO_MEMORY, "out of memory");
    }
    if (names->num > 1)
        qsort(names->names, names->num, sizeof names->names[0], by_name);
    return PEL_OK;
}

enum pel_err pel_dir_list(const char *dir, const char *suffix, size_t max, struct pel_names *ret_names,
                          struct pel_error *reterr)
{
    struct pel_names names = {0};
    DIR *stream = opendir(dir);
    if (stream == NULL && errno == ENOMEM)
        return pel_error_set(reterr, PEL_E_NO_MEMORY, "out of memory");
    if (stream == NULL && (errno == ENOENT || errno == ENOTDIR))
        return pel_error_set(reterr, PEL_E_KEYRING_MISSING, "%s: no such directory", dir);
    if (stream == NULL)
        return pel_error_set(reterr, PEL_E_KEYRING_UNREADABLE, "%s: " WHY, dir);
    enum pel_err err = list_dir(dir, stream, suffix, max, &names, reterr);
    closedir(stream);
    if (err != PEL_OK) {
        pel_names_free(&names);
        return err;
    }
    *ret_names = names;
    return PEL_OK;
}
