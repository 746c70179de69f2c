/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/pel/policy/out.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "apps/pel/policy/file.h"

bool policy_out_begin(struct policy_out *out)
{
    *out = (struct policy_out){0};
    out->stream = open_memstream(&out->text, &out->len);
    return out->stream != NULL;
}

bool policy_out_end(struct policy_out *out)
{
    bool failed = out->stream == NULL || ferror(out->stream) != 0;
    if (out->stream != NULL && fclose(out->stream) != 0)
        failed = true;
    out->stream = NULL;
    return !failed && out->text != NULL;
}

void policy_out_free(struct policy_out *out)
{
    if (out->stream != NULL)
        fclose(out->stream);
    free(out->text);
    *out = (struct policy_out){0};
}

static bool failed(const char *path)
{
    fprintf(stderr, "pel: %s: %s\n", path, strerror(errno));
    return false;
}

/* A file that was there keeps its mode. */
static mode_t mode_of(const char *path, mode_t wanted)
{
    struct stat stat_of;
    mode_t mask = umask(0);
    umask(mask);
    return stat(path, &stat_of) == 0 ? stat_of.st_mode & 07777 & (wanted | 0111) : wanted & ~mask;
}

bool policy_is_apart(const char *output, const char *const *inputs, size_t num_inputs)
{
    struct stat out, in;
    if (output == NULL || strcmp(output, "-") == 0 || stat(output, &out) != 0 || !S_ISREG(out.st_mode))
        return true;
    for (size_t i = 0; i < num_inputs; i++) {
        if (stat(inputs[i], &in) == 0 && in.st_dev == out.st_dev && in.st_ino == out.st_ino) {
            fprintf(stderr, "pel: %s: this file is read, and would be overwritten: name another one\n",
                    output);
            return false;
        }
    }
    return true;
}

static bool write_to(int fd, const char *name, const char *text, size_t len)
{
    bool fine = policy_write_all(fd, text, len);
    if (close(fd) != 0)
        fine = false;
    return fine || failed(name);
}

static bool save(const char *path, const char *text, size_t len, bool keep, mode_t mode)
{
    struct stat stat_of;
    if (path == NULL || strcmp(path, "-") == 0) {
        if (fwrite(text, 1, len, stdout) == len && fflush(stdout) == 0)
            return true;
        (void)failed("stdout");
        __fpurge(stdout); /* it has been said */
        clearerr(stdout);
        return false;
    }
    bool is_there = stat(path, &stat_of) == 0;
    if (keep && is_there) {
        fprintf(stderr, "pel: %s: there is such a file; --force replaces it\n", path);
        return false;
    }
    if (!is_there || S_ISREG(stat_of.st_mode))
        return policy_write_file(path, mode_of(path, mode), text, len);
    /* A device or a pipe is written to as it is. */
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    return fd >= 0 ? write_to(fd, path, text, len) : failed(path);
}

bool policy_save(const char *path, const char *text, size_t len, bool keep)
{
    return save(path, text, len, keep, 0666);
}

bool policy_save_secret(const char *path, const char *text, size_t len, bool keep)
{
    return save(path, text, len, keep, 0600);
}

/* By a file in memory, since policies come by path. */
enum pel_err policy_open_text(const char *text, size_t len, pel_policy_message_fn *fn, void *arg,
                              struct pel_policy **ret_policy, struct pel_error *reterr)
{
    char path[40];
    const char *paths[] = {path};
    int fd = memfd_create("policy", MFD_CLOEXEC);
    enum pel_err err = PEL_E_NO_MEMORY;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (fd >= 0 && policy_write_all(fd, text, len))
        err = pel_policy_open(paths, 1, NULL, fn, arg, ret_policy, NULL, reterr);
    else
        snprintf(reterr->text, sizeof reterr->text, "%s", strerror(errno));
    if (fd >= 0)
        close(fd);
    return err;
}

const char *policy_base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

void policy_out_versions(FILE *to, unsigned indent, const char *const *versions)
{
    static const struct {
        const char *version, *keyword;
    } all[] = {{"1.0", "TLSv1"}, {"1.1", "TLSv1.1"}, {"1.2", "TLSv1.2"}, {"1.3", "TLSv1.3"}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        bool is_on = false;
        for (size_t v = 0; versions[v] != NULL; v++)
            is_on = is_on || strcmp(versions[v], all[i].version) == 0;
        fprintf(to, "%*s%s %s\n", (int)indent, "", all[i].keyword, is_on ? "On" : "Off");
    }
}
