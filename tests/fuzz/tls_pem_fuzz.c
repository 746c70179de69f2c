/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificate and key files with anything in them: what `pel keyring list` and an environment read.
 */
#include <string.h>

#include "tls/issue.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct pel_pem pem = {bytes, len, "fuzz.crt"};
    struct pel_cert_facts facts;
    struct pel_error error;
    if (pel_cert_facts(&pem, &facts, &error) != PEL_OK)
        return 0;
    if (memchr(facts.subject, '\0', sizeof facts.subject) == NULL ||
        memchr(facts.names, '\0', sizeof facts.names) == NULL)
        __builtin_trap();
    (void)pel_cert_check_key(&pem, &pem, &error);
    return 0;
}
