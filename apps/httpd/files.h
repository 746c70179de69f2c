/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files that the server gives out and takes in, found below a directory that no path can leave: the
 * kernel itself refuses (openat2 with RESOLVE_BENEATH), so symbolic links cannot be used to get out either.
 *
 * Results are HTTP status codes, 0 for fine. Any thread.
 */
#ifndef PEL_APPS_HTTPD_FILES_H
#define PEL_APPS_HTTPD_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http_file {
    int fd;
    uint64_t size;
    int64_t modified_s;
    bool is_directory;
};

/* http_file_open opens the file or directory at `path` ("/a/b") below `root_fd` for reading. Returns 0 (the
 * caller closes fd), 403, 404, 500 or 503. */
int http_file_open(int root_fd, const char *path, struct http_file *ret_file);

/* http_file_listing makes an HTML page that lists the directory, at most 2000 names. malloc'd; NULL when out
 * of memory. */
char *http_file_listing(int dir_fd, const char *path, size_t *ret_len);

/* http_path_encode percent-encodes a path for a link or a Location. malloc'd; NULL when out of memory. */
char *http_path_encode(const char *path);

/* A file that is being taken in: under a name of its own until it is whole, so that nobody sees half of
 * one. */
struct http_upload {
    int dir_fd, fd; /* -1: no upload */
    char temporary_name[48];
    char name[256];
    uint64_t len;
};

/* http_upload_start begins to take in the file `path` ("/a/b", its directory must exist) below `root_fd`.
 * Returns 0, 400 (no file name), 403, 404, 500, 503 or 507. */
int http_upload_start(int root_fd, const char *path, struct http_upload *ret_upload);

/* http_upload_write appends. Returns 0, 500 or 507 (no space). */
int http_upload_write(struct http_upload *upload, const char *bytes, size_t len);

/* http_upload_finish puts the whole file in its place. Returns 201 when it is new, 200 when it replaces one,
 * 403, 500 or 507. Ends the upload in every case. */
int http_upload_finish(struct http_upload *upload);

/* http_upload_abandon forgets what came; harmless when there is no upload. */
void http_upload_abandon(struct http_upload *upload);

#endif
