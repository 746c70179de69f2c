/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of users with anything in them. What is read is found again, by the certificate that stands for it.
 */
#include <string.h>

#include "tls/users.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    const struct pel_pem text = {bytes, len, "users"};
    struct pel_users *users = NULL;
    struct pel_error error = {.text = ""};
    uint8_t sha256[PEL_USERS_SHA256_LEN] = {0};
    char subject[64] = "";
    enum pel_err err = pel_users_parse(&text, &users, &error);
    if (err == PEL_E_KEYRING_USERS && strncmp(error.text, "users:", 6) != 0)
        __builtin_trap();
    if (err != PEL_OK)
        return 0;
    size_t subject_len = len < sizeof subject - 1 ? len : sizeof subject - 1;
    if (subject_len > 0)
        memcpy(subject, bytes + len - subject_len, subject_len);
    for (int round = 0; round < 2; round++) {
        const char *user = pel_users_find(users, sha256, round == 0 ? "" : subject);
        if (user != NULL && (user[0] == '\0' || strlen(user) > PEL_USER_MAX_LEN))
            __builtin_trap();
    }
    pel_users_free(users);
    return 0;
}
