/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as an image: as they are, and with header and checksum made right, so that the facts behind are
 * reached. What loads can be looked at and written, and loads again from what was written. */
#include <pellucid/policy.h>
#include <stdlib.h>
#include <string.h>

#include "policy/view/image.h"
#include "policy/view/image_inside.h"
#include "policy/view/out.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static enum pel_err add_text(void *arg, const char *text, size_t text_len)
{
    pel_out_add(arg, text, text_len);
    return PEL_OK;
}

static void put(unsigned char *to, uint64_t number, size_t len)
{
    for (size_t i = 0; i < len; i++)
        to[i] = (unsigned char)(number >> (8 * i));
}

static void count_setting(void *arg, const struct pel_policy_setting *setting)
{
    *(size_t *)arg += setting->name[0] != '\0';
}

static void look(const struct pel_policy *policy)
{
    struct pel_out out = {0};
    struct pel_policy *again = NULL;
    for (size_t i = 0; i < pel_policy_count(policy); i++) {
        size_t num = 0;
        if (pel_policy_settings(policy, i, PEL_POLICY_SETTINGS_ALL, count_setting, &num) != PEL_OK ||
            num == 0)
            abort();
    }
    if (pel_policy_write_image(policy, add_text, &out) != PEL_OK ||
        pel_image_read("again", out.text, out.len, NULL, &again, NULL) != PEL_OK)
        abort();
    pel_policy_unref(again);
    pel_out_free(&out);
}

static void read_bytes(const unsigned char *bytes, size_t len)
{
    struct pel_policy *policy = NULL;
    struct pel_error error = {0};
    enum pel_err err = pel_image_read("fuzz", bytes, len, NULL, &policy, &error);
    if ((err == PEL_OK) != (policy != NULL) || (err != PEL_OK && error.text[0] == '\0'))
        abort();
    if (policy != NULL)
        look(policy);
    pel_policy_unref(policy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    /* In memory of its exact size, so that the sanitizer sees a read behind the end. */
    unsigned char *bytes = malloc(len > 0 ? len : 1);
    if (bytes == NULL)
        return 0;
    if (len > 0)
        memcpy(bytes, data, len);
    read_bytes(bytes, len);
    if (len >= PEL_IMAGE_HEADER) {
        memcpy(bytes, pel_image_magic, PEL_IMAGE_MAGIC_LEN);
        put(bytes + PEL_IMAGE_AT_VERSION, PEL_IMAGE_VERSION, 4);
        put(bytes + PEL_IMAGE_AT_LENGTH, len, 8);
        put(bytes + PEL_IMAGE_AT_SCHEMA, pel_image_schema_mark(), 4);
        put(bytes + PEL_IMAGE_AT_CHECKSUM, pel_image_checksum(bytes, len), 4);
        read_bytes(bytes, len);
    }
    free(bytes);
    return 0;
}
