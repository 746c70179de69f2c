/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/pkcs12.h"

#include <string.h>
#include <sys/stat.h>

bool pel_keyring_is_file(const char *path)
{
    struct stat st;
    return path[0] == '/' && stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* The caller frees `ret_stash`, whose bytes are then the password. */
static enum pel_err read_stash(const char *path, struct pel_file *ret_stash, struct pel_error *reterr)
{
    PEL_TRY(pel_file_read(path, true, ret_stash, reterr));
    ret_stash->bytes[strcspn((const char *)ret_stash->bytes, "\r\n")] = '\0';
    return PEL_OK;
}

enum pel_err pel_pkcs12_read(const char *path, const struct pel_keyring_secret *secret,
                             struct pel_pkcs12 *ret_pkcs12, struct pel_error *reterr)
{
    struct pel_file file = {0}, stash = {0};
    const char *password = secret->password;
    enum pel_err err = PEL_OK;
    if (password == NULL && secret->stash_file != NULL) {
        err = read_stash(secret->stash_file, &stash, reterr);
        password = (const char *)stash.bytes;
    }
    if (err == PEL_OK)
        err = pel_file_read(path, password == NULL, &file, reterr);
    if (err == PEL_OK) {
        const struct pel_pem der = {file.bytes, file.len, path};
        err = pel_pkcs12_parse(&der, password != NULL ? password : "", ret_pkcs12, reterr);
    }
    pel_file_free(&file);
    pel_file_free(&stash);
    if (err == PEL_E_NOT_FOUND) {
        err = PEL_E_KEYRING_MISSING;
        if (reterr != NULL)
            reterr->code = err;
    }
    return err;
}

void pel_pkcs12_free(struct pel_pkcs12 *pkcs12)
{
    pel_file_free(&pkcs12->chain);
    pel_file_free(&pkcs12->key);
    pel_file_free(&pkcs12->trust);
    pkcs12->label[0] = '\0';
}
