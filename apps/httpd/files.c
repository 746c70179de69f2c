/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/httpd/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "apps/http/head.h"

#define LISTING_NUM_NAMES_MAX 2000

static int status_of_errno(int error)
{
    switch (error) {
    case ENOENT:
    case ENOTDIR:
    case ENAMETOOLONG:
    case EXDEV: /* out of the directory */
    case ELOOP:
        return 404;
    case EACCES:
    case EPERM:
    case EISDIR:
    case ENOTEMPTY:
    case EEXIST:
    case EROFS:
        return 403;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
        return 503;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return 507;
    default:
        return 500;
    }
}

/* An absolute path means the directory itself here. */
static int open_beneath(int root_fd, const char *path, uint64_t flags)
{
    while (*path == '/')
        path++;
    struct open_how how = {
        .flags = flags | O_CLOEXEC,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
    };
    return (int)syscall(SYS_openat2, root_fd, *path != '\0' ? path : ".", &how, sizeof how);
}

int http_file_open(int root_fd, const char *path, struct http_file *ret_file)
{
    /* Non-blocking, so that a named pipe cannot hold the server. */
    int fd = open_beneath(root_fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return status_of_errno(errno == ENXIO ? EACCES : errno);
    struct stat st;
    if (fstat(fd, &st) != 0 || (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))) {
        close(fd);
        return 403;
    }
    *ret_file = (struct http_file){
        .fd = fd,
        .size = (uint64_t)st.st_size,
        .modified_s = (int64_t)st.st_mtime,
        .is_directory = S_ISDIR(st.st_mode),
    };
    return 0;
}

char *http_path_encode(const char *path)
{
    char *encoded = malloc(strlen(path) * 3 + 1), *out = encoded;
    if (encoded == NULL)
        return NULL;
    for (; *path != '\0'; path++) {
        unsigned char c = (unsigned char)*path;
        bool is_plain =
            c < 0x80 && (c == '/' || (http_is_token_char((char)c) && strchr("#%&'`|^", c) == NULL));
        if (is_plain)
            *out++ = (char)c;
        else
            out += sprintf(out, "%%%02X", c);
    }
    *out = '\0';
    return encoded;
}

static void print_html(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        switch (*text) {
        case '<': fputs("&lt;", out); break;
        case '>': fputs("&gt;", out); break;
        case '&': fputs("&amp;", out); break;
        case '"': fputs("&quot;", out); break;
        default: fputc(*text, out);
        }
    }
}

static void print_entry(FILE *out, const struct dirent *entry)
{
    const char *slash = entry->d_type == DT_DIR ? "/" : "";
    char *link = http_path_encode(entry->d_name);
    if (link == NULL)
        return;
    fprintf(out, "<li><a href=\"./%s%s\">", link, slash);
    print_html(out, entry->d_name);
    fprintf(out, "%s</a></li>\n", slash);
    free(link);
}

char *http_file_listing(int dir_fd, const char *path, size_t *ret_len)
{
    char *page = NULL;
    int list_fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *listing = list_fd >= 0 ? fdopendir(list_fd) : NULL;
    if (listing == NULL) {
        if (list_fd >= 0)
            close(list_fd);
        return NULL;
    }
    FILE *out = open_memstream(&page, ret_len);
    if (out != NULL) {
        fputs("<!doctype html>\n<title>", out);
        print_html(out, path);
        fputs("</title>\n<ul>\n", out);
        const struct dirent *entry;
        for (int num = 0; num < LISTING_NUM_NAMES_MAX && (entry = readdir(listing)) != NULL; num++) {
            if (entry->d_name[0] != '.')
                print_entry(out, entry);
        }
        fputs("</ul>\n", out);
        if (fclose(out) != 0) {
            free(page);
            page = NULL;
        }
    }
    closedir(listing);
    return page;
}

/* A name for the unfinished file: hidden, and of this process and this upload alone. */
static void temporary_name(char *ret_name, size_t cap)
{
    static atomic_ulong counter;
    snprintf(ret_name, cap, ".upload-%d-%lu", (int)getpid(), atomic_fetch_add(&counter, 1));
}

int http_upload_start(int root_fd, const char *path, struct http_upload *ret_upload)
{
    const char *name = strrchr(path, '/');
    name = name != NULL ? name + 1 : path;
    size_t name_len = strlen(name), dir_len = (size_t)(name - path);
    struct http_upload upload = {.dir_fd = -1, .fd = -1};
    if (name_len == 0 || name_len >= sizeof upload.name || strcmp(name, ".") == 0)
        return 400;
    char *dir = strndup(path, dir_len);
    if (dir == NULL)
        return 503;
    upload.dir_fd = open_beneath(root_fd, dir, O_RDONLY | O_DIRECTORY);
    free(dir);
    if (upload.dir_fd < 0)
        return status_of_errno(errno);
    memcpy(upload.name, name, name_len + 1);
    temporary_name(upload.temporary_name, sizeof upload.temporary_name);
    upload.fd = openat(upload.dir_fd, upload.temporary_name,
                       O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (upload.fd < 0) {
        int status = status_of_errno(errno);
        close(upload.dir_fd);
        return status;
    }
    *ret_upload = upload;
    return 0;
}

int http_upload_write(struct http_upload *upload, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t num = write(upload->fd, bytes, len);
        if (num < 0 && errno == EINTR)
            continue;
        if (num < 0)
            return status_of_errno(errno);
        bytes += num;
        len -= (size_t)num;
        upload->len += (uint64_t)num;
    }
    return 0;
}

int http_upload_finish(struct http_upload *upload)
{
    struct stat st;
    bool is_new = fstatat(upload->dir_fd, upload->name, &st, AT_SYMLINK_NOFOLLOW) != 0;
    int error = close(upload->fd) != 0 ? errno : 0;
    upload->fd = -1;
    if (error == 0 && renameat(upload->dir_fd, upload->temporary_name, upload->dir_fd, upload->name) != 0)
        error = errno;
    if (error != 0)
        unlinkat(upload->dir_fd, upload->temporary_name, 0);
    close(upload->dir_fd);
    upload->dir_fd = -1;
    return error != 0 ? status_of_errno(error) : is_new ? 201 : 200;
}

void http_upload_abandon(struct http_upload *upload)
{
    if (upload->fd < 0)
        return;
    close(upload->fd);
    unlinkat(upload->dir_fd, upload->temporary_name, 0);
    close(upload->dir_fd);
    upload->fd = upload->dir_fd = -1;
}
