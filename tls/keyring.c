/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/keyring.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/text.h"
#include "tls/pkcs12.h"

/* A component of a path that stays where it is put. */
static bool is_component(const char *name, size_t len)
{
    if (len == 0 || len > 255 || name[0] == '.')
        return false;
    for (size_t i = 0; i < len; i++)
        if (name[i] == '/' || (unsigned char)name[i] < 0x20 || name[i] == 0x7f)
            return false;
    return true;
}

static enum pel_err put_path(char *ret_path, size_t cap, struct pel_error *reterr, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static enum pel_err put_path(char *ret_path, size_t cap, struct pel_error *reterr, const char *format, ...)
{
    char path[PEL_PATH_CAP];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(path, sizeof path, format, args);
    va_end(args);
    if (len < 0 || (size_t)len >= sizeof path || (size_t)len >= cap)
        return pel_error_set(reterr, PEL_E_TOO_BIG, "the keyring's path is too long: %.100s…", path);
    memcpy(ret_path, path, (size_t)len + 1);
    return PEL_OK;
}

static enum pel_err resolve_absolute(const char *name, char *ret_path, size_t cap, struct pel_error *reterr)
{
    if (strstr(name, "/../") != NULL || (strlen(name) >= 3 && strcmp(name + strlen(name) - 3, "/..") == 0))
        return pel_error_set(reterr, PEL_E_ARG, "keyring \"%s\": \"..\" is not allowed in a keyring's path",
                             name);
    return put_path(ret_path, cap, reterr, "%s", name);
}

enum pel_err pel_keyring_resolve(const char *keyring_dir, const char *owner_user, const char *name,
                                 char *ret_path, size_t cap, struct pel_error *reterr)
{
    if (name[0] == '/')
        return resolve_absolute(name, ret_path, cap, reterr);
    if (strcmp(name, PEL_KEYRING_AUTH) == 0 || strcmp(name, PEL_KEYRING_AUTH "/*") == 0)
        return put_path(ret_path, cap, reterr, "%s", PEL_KEYRING_AUTH);
    if (name[0] == '*')
        return pel_error_set(reterr, PEL_E_UNSUPPORTED,
                             "keyring \"%s\": of the virtual rings only *AUTH*/* exists here", name);
    const char *slash = strchr(name, '/');
    const char *user = slash != NULL ? name : owner_user;
    const char *ring = slash != NULL ? slash + 1 : name;
    size_t user_len = slash != NULL ? (size_t)(slash - name) : strlen(owner_user != NULL ? owner_user : "");
    if (user == NULL || !is_component(user, user_len))
        return pel_error_set(reterr, PEL_E_ARG, "keyring \"%.200s\": its owner is no user name", name);
    if (!is_component(ring, strlen(ring)))
        return pel_error_set(
            reterr, PEL_E_ARG,
            "keyring \"%.200s\": a ring's name is one word without slashes that does not begin with a dot",
            name);
    return put_path(ret_path, cap, reterr, "%s/%.*s/%s", keyring_dir, (int)user_len, user, ring);
}

enum pel_err pel_keyring_check_label(const char *label, struct pel_error *reterr)
{
    size_t len = strlen(label);
    if (is_component(label, len) && len <= PEL_KEYRING_MAX_LABEL_LEN)
        return PEL_OK;
    return pel_error_set(reterr, PEL_E_KEYRING_NO_LABEL,
                         "label \"%.140s\" cannot be one: 1 to %u characters, no slash, no leading dot",
                         label, PEL_KEYRING_MAX_LABEL_LEN);
}

static enum pel_err check_ring(const char *ring, struct pel_error *reterr)
{
    struct stat st;
    bool there = stat(ring, &st) == 0;
    if (there && S_ISDIR(st.st_mode))
        return PEL_OK;
    if (!there && errno != ENOENT && errno != ENOTDIR)
        return pel_error_set(reterr, PEL_E_KEYRING_UNREADABLE,
                             "%s: %m; check who runs the stack and who owns it", ring);
    return pel_error_set(reterr, PEL_E_KEYRING_MISSING,
                         "%s: no such keyring directory; make it with `pel keyring cert --dir %s …`", ring,
                         ring);
}

/* Writes "a, b, c" of the names, cut at `cap`. */
static void join_names(const struct pel_names *names, char *text, size_t cap)
{
    size_t at = 0;
    text[0] = '\0';
    for (size_t i = 0; i < names->num && at + strlen(names->names[i]) + 8 < cap; i++)
        at += (size_t)snprintf(text + at, cap - at, "%s%s", i > 0 ? ", " : "", names->names[i]);
}

static enum pel_err no_label(const char *ring, const char *label, struct pel_error *reterr)
{
    struct pel_names names = {0};
    char there[200];
    PEL_TRY(pel_dir_list(ring, ".crt", PEL_KEYRING_MAX_FILES, &names, reterr));
    join_names(&names, there, sizeof there);
    const char *nearest = pel_text_nearest(label, (const char *const *)names.names, names.num);
    if (names.num == 0)
        pel_error_set(reterr, PEL_E_KEYRING_NO_LABEL, "%s: holds no certificate; label \"%s\" is wanted",
                      ring, label);
    else if (nearest != NULL)
        pel_error_set(reterr, PEL_E_KEYRING_NO_LABEL,
                      "%s: no label \"%s\"; did you mean \"%s\"? (there are: %s)", ring, label, nearest,
                      there);
    else
        pel_error_set(reterr, PEL_E_KEYRING_NO_LABEL, "%s: no label \"%s\"; there are: %s", ring, label,
                      there);
    pel_names_free(&names);
    return PEL_E_KEYRING_NO_LABEL;
}

enum pel_err pel_keyring_users_path(const char *ring, char *ret_path, size_t cap, struct pel_error *reterr)
{
    bool is_file = pel_keyring_is_file(ring);
    int len = snprintf(ret_path, cap, "%s%susers", ring, is_file ? "." : "/");
    return len >= 0 && (size_t)len < cap
               ? PEL_OK
               : pel_error_set(reterr, PEL_E_TOO_BIG, "%s: the path is too long", ring);
}

enum pel_err pel_keyring_default_label(const char *ring, char *ret_label, size_t cap,
                                       struct pel_error *reterr)
{
    char path[PEL_PATH_CAP];
    struct pel_file file = {0};
    PEL_TRY(check_ring(ring, reterr));
    PEL_TRY(pel_path_join(ring, "default", "", path, sizeof path, reterr));
    enum pel_err err = pel_file_read(path, false, &file, reterr);
    if (err == PEL_E_NOT_FOUND)
        return pel_error_set(
            reterr, PEL_E_KEYRING_NO_LABEL,
            "%s: no default label: code CertificateLabel, or make one with `pel keyring cert … --default`",
            ring);
    PEL_TRY(err);
    char *label = (char *)file.bytes;
    label[strcspn(label, "\r\n")] = '\0';
    err = pel_keyring_check_label(label, reterr);
    if (err == PEL_OK && strlen(label) >= cap)
        err = pel_error_set(reterr, PEL_E_KEYRING_NO_LABEL, "%s: the label is too long", path);
    if (err == PEL_OK)
        memcpy(ret_label, label, strlen(label) + 1);
    pel_file_free(&file);
    return err;
}

enum pel_err pel_keyring_read_cert(const char *ring, const char *label, struct pel_file *ret_file,
                                   char *ret_path, size_t cap, struct pel_error *reterr)
{
    PEL_TRY(check_ring(ring, reterr));
    PEL_TRY(pel_keyring_check_label(label, reterr));
    PEL_TRY(pel_path_join(ring, label, ".crt", ret_path, cap, reterr));
    enum pel_err err = pel_file_read(ret_path, false, ret_file, reterr);
    return err == PEL_E_NOT_FOUND ? no_label(ring, label, reterr) : err;
}

enum pel_err pel_keyring_read_key(const char *ring, const char *label, struct pel_file *ret_file,
                                  char *ret_path, size_t cap, struct pel_error *reterr)
{
    PEL_TRY(check_ring(ring, reterr));
    PEL_TRY(pel_keyring_check_label(label, reterr));
    PEL_TRY(pel_path_join(ring, label, ".key", ret_path, cap, reterr));
    enum pel_err err = pel_file_read(ret_path, true, ret_file, reterr);
    if (err != PEL_E_NOT_FOUND)
        return err;
    return pel_error_set(
        reterr, PEL_E_KEYRING_NO_KEY,
        "%s: the certificate \"%s\" has no private key beside it; put it there with mode 0600", ret_path,
        label);
}

enum pel_err pel_keyring_check_times(const char *path, int64_t not_before_s, int64_t not_after_s,
                                     int64_t now_s, struct pel_error *reterr)
{
    char when[48];
    int64_t days = (now_s - not_after_s) / 86400;
    if (now_s < not_before_s)
        return pel_error_set(reterr, PEL_E_KEYRING_CERT_EXPIRED,
                             "%s: not valid for another %lld second(s); check the machine's clock", path,
                             (long long)(not_before_s - now_s));
    if (now_s <= not_after_s)
        return PEL_OK;
    if (days > 0)
        snprintf(when, sizeof when, "%lld day(s) ago", (long long)days);
    else
        snprintf(when, sizeof when, "less than a day ago");
    return pel_error_set(reterr, PEL_E_KEYRING_CERT_EXPIRED,
                         "%s: expired %s; renew it with `pel keyring cert`", path, when);
}
