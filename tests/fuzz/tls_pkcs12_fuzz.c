/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PKCS#12 keyrings with anything in them. The seeds' password is "secret".
 */
#include <stdbool.h>
#include <string.h>

#include "tls/pkcs12.h"

/* Iterations of the password's derivation above this only take time, up to where they are refused. */
#define MAX_ITERATIONS 0xffffu

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

/* Whether something stands there that may be read as a DER INTEGER of 3 or 4 bytes above the maximum. */
static bool may_be_slow(const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i + 6 <= len; i++) {
        if (bytes[i] != 2 || (bytes[i + 1] != 3 && bytes[i + 1] != 4))
            continue;
        uint32_t value = 0;
        for (size_t k = 0; k < bytes[i + 1]; k++)
            value = value << 8 | bytes[i + 2 + k];
        if (value > MAX_ITERATIONS)
            return true;
    }
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct pel_pem der = {bytes, len, "fuzz.p12"};
    struct pel_pkcs12 pkcs12 = {0};
    struct pel_error error = {0};
    if (may_be_slow(bytes, len))
        return 0;
    enum pel_err err = pel_pkcs12_parse(&der, "secret", &pkcs12, &error);
    if (err == PEL_OK && memchr(pkcs12.label, '\0', sizeof pkcs12.label) == NULL)
        __builtin_trap();
    if (err == PEL_OK && (pkcs12.chain.len > 0) != (pkcs12.key.len > 0))
        __builtin_trap();
    if (err != PEL_OK && error.text[0] == '\0')
        __builtin_trap();
    pel_pkcs12_free(&pkcs12);
    return 0;
}
