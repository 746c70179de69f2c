/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Reads until the end of the file, or until `cap` bytes are there. */
static ssize_t read_all(int fd, char *text, size_t cap)
{
    size_t len = 0;
    while (len < cap) {
        ssize_t got = read(fd, text + len, cap - len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        len += (size_t)got;
    }
    return (ssize_t)len;
}

static enum pel_err read_open_file(int fd, const char *path, char **ret_text, size_t *ret_text_len,
                                   struct pel_error *reterr)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return pel_error_set(reterr, PEL_E_IO, "%s: %s", path, strerror(errno));
    if (!S_ISREG(status.st_mode))
        return pel_error_set(reterr, PEL_E_ARG, "%s: %s, not a policy file", path,
                             S_ISDIR(status.st_mode) ? "a directory" : "not a regular file");
    if (status.st_size > (off_t)PEL_POLICY_FILE_MAX_BYTES)
        return pel_error_set(reterr, PEL_E_TOO_BIG, "%s: %lld bytes; a policy file has at most %u", path,
                             (long long)status.st_size, PEL_POLICY_FILE_MAX_BYTES);
    size_t cap = (size_t)status.st_size;
    char *text = malloc(cap + 1);
    if (text == NULL)
        return pel_error_set(reterr, PEL_E_NO_MEMORY, "%s: out of memory", path);
    ssize_t len = read_all(fd, text, cap);
    if (len < 0) {
        free(text);
        return pel_error_set(reterr, PEL_E_IO, "%s: %s", path, strerror(errno));
    }
    text[len] = '\0';
    *ret_text = text;
    *ret_text_len = (size_t)len;
    return PEL_OK;
}

enum pel_err pel_policy_read_file(const char *path, char **ret_text, size_t *ret_text_len,
                                  struct pel_error *reterr)
{
    /* Without O_NONBLOCK, opening a FIFO would wait for its writer. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return pel_error_set(reterr, errno == ENOENT ? PEL_E_NOT_FOUND : PEL_E_IO, "%s: %s", path,
                             strerror(errno));
    enum pel_err err = read_open_file(fd, path, ret_text, ret_text_len, reterr);
    close(fd);
    return err;
}

enum pel_err pel_policy_load_files(const char *const *paths, size_t num_paths,
                                   const struct pel_policy_options *options, pel_policy_diag_fn *diag,
                                   void *diag_arg, struct pel_policy **ret_policy, size_t *ret_num_warnings,
                                   struct pel_error *reterr)
{
    struct pel_policy_source *sources = calloc(num_paths + 1, sizeof *sources);
    char **texts = calloc(num_paths + 1, sizeof *texts);
    enum pel_err err = PEL_OK;
    if (sources == NULL || texts == NULL)
        err = pel_error_set(reterr, PEL_E_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < num_paths && err == PEL_OK; i++) {
        err = pel_policy_read_file(paths[i], &texts[i], &sources[i].text_len, reterr);
        sources[i].file = paths[i];
        sources[i].text = texts[i];
    }
    if (err == PEL_OK) {
        err = pel_policy_parse(sources, num_paths, options, diag, diag_arg, ret_policy, ret_num_warnings);
        if (err != PEL_OK)
            (void)pel_error_set(reterr, err, "%s", pel_err_text(err));
    }
    for (size_t i = 0; i < num_paths && texts != NULL; i++)
        free(texts[i]);
    free(texts);
    free(sources);
    return err;
}
