/* SPDX-License-Identifier: Apache-2.0 */
/* Adding to a keyring's file of users. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pellucid/keyring.h>

#include "tls/issue.h"
#include "tls/keyring.h"
#include "tls/pkcs12.h"
#include "tls/users.h"

#define LINE_CAP (PEL_USER_MAX_LEN + PEL_USER_SUBJECT_CAP + 32u)

static void keep_first(void *arg, size_t index, const struct pel_cert_dates *dates)
{
    if (index == 0)
        memcpy(arg, dates->sha256, PEL_USERS_SHA256_LEN);
}

static enum pel_err fingerprint(const char *cert_path, uint8_t ret_sha256[PEL_USERS_SHA256_LEN],
                                struct pel_error *reterr)
{
    struct pel_file file = {0};
    PEL_TRY(pel_file_read(cert_path, false, &file, reterr));
    const struct pel_pem pem = {file.bytes, file.len, cert_path};
    enum pel_err err = pel_cert_dates_each(&pem, keep_first, ret_sha256, reterr);
    pel_file_free(&file);
    return err;
}

static enum pel_err write_line(const char *user, const char *cert_path, const char *subject,
                               char line[LINE_CAP], struct pel_error *reterr)
{
    char hex[2 * PEL_USERS_SHA256_LEN + 1] = "";
    uint8_t sha256[PEL_USERS_SHA256_LEN];
    if (cert_path != NULL)
        PEL_TRY(fingerprint(cert_path, sha256, reterr));
    for (size_t i = 0; cert_path != NULL && i < sizeof sha256; i++)
        snprintf(hex + 2 * i, 3, "%02X", sha256[i]);
    int len = snprintf(line, LINE_CAP, "%s %s%s\n", user,
                       cert_path != NULL ? "sha256:" : "subject:", cert_path != NULL ? hex : subject);
    if (len < 0 || (size_t)len >= LINE_CAP)
        return pel_error_set(reterr, PEL_E_ARG, "the user's name or the subject is too long");
    return PEL_OK;
}

/* The old text, the new line behind it; false: no memory. */
static bool join(const struct pel_file *old, const char *line, struct pel_file *ret_file)
{
    size_t line_len = strlen(line), at = old->len;
    uint8_t *bytes = malloc(old->len + 1 + line_len + 1);
    if (bytes == NULL)
        return false;
    if (old->len > 0)
        memcpy(bytes, old->bytes, old->len);
    if (old->len > 0 && old->bytes[old->len - 1] != '\n') /* the last line has no end */
        bytes[at++] = '\n';
    memcpy(bytes + at, line, line_len + 1);
    *ret_file = (struct pel_file){.bytes = bytes, .len = at + line_len};
    return true;
}

static bool has_line(const struct pel_file *file, const char *line)
{
    const char *found = file->len > 0 ? strstr((const char *)file->bytes, line) : NULL;
    return found != NULL && (found == (const char *)file->bytes || found[-1] == '\n');
}

static enum pel_err put(const char *path, const struct pel_file *file, struct pel_error *reterr)
{
    struct pel_users *users = NULL;
    const struct pel_pem text = {file->bytes, file->len, path};
    PEL_TRY(pel_users_parse(&text, &users, reterr)); /* what could not be read again is not written */
    pel_users_free(users);
    return pel_file_write(path, file->bytes, file->len, 0644, true, reterr);
}

static enum pel_err add(const char *path, const char *line, struct pel_error *reterr)
{
    struct pel_file old = {0}, new = {0};
    enum pel_err err = pel_file_read(path, false, &old, reterr);
    if (err == PEL_E_NOT_FOUND)
        err = PEL_OK;
    if (err == PEL_OK && !has_line(&old, line))
        err = join(&old, line, &new) ? put(path, &new, reterr)
                                     : pel_error_set(reterr, PEL_E_NO_MEMORY, "out of memory");
    pel_file_free(&old);
    pel_file_free(&new);
    return err;
}

enum pel_err pel_keyring_add_user(const char *dir, const char *user, const char *cert_path,
                                  const char *subject, struct pel_error *reterr)
{
    char path[PEL_PATH_CAP], line[LINE_CAP];
    bool is_user = user[0] != '\0' && user[0] != '#' && strpbrk(user, " \t\r\n") == NULL;
    if ((cert_path == NULL) == (subject == NULL) || !is_user ||
        (subject != NULL && strpbrk(subject, "\r\n") != NULL))
        return pel_error_set(reterr, PEL_E_ARG,
                             "a user's name without blanks is wanted, and a certificate or a subject");
    PEL_TRY(write_line(user, cert_path, subject, line, reterr));
    PEL_TRY(pel_keyring_users_path(dir, path, sizeof path, reterr));
    if (!pel_keyring_is_file(dir))
        PEL_TRY(pel_dir_make(dir, reterr));
    return add(path, line, reterr);
}
