/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/pel/policy/levels.h"

#include <strings.h>

static const char *const tls13[] = {"1.3", NULL};
static const char *const tls12_and_13[] = {"1.2", "1.3", NULL};

static const char *const platinum[] = {"TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256", NULL};

#define AEAD                                                                                                 \
    "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256",                      \
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",                  \
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",                  \
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"
#define ECDHE_CBC                                                                                            \
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",                            \
        "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA", "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA"
#define STATIC_RSA                                                                                           \
    "TLS_RSA_WITH_AES_128_GCM_SHA256", "TLS_RSA_WITH_AES_256_GCM_SHA384", "TLS_RSA_WITH_AES_128_CBC_SHA",    \
        "TLS_RSA_WITH_AES_256_CBC_SHA"

static const char *const silver[] = {AEAD, ECDHE_CBC, NULL};
static const char *const bronze[] = {AEAD, ECDHE_CBC, STATIC_RSA, NULL};

static const struct level levels[] = {
    {"Platinum", "TLS 1.3 alone, 256-bit suites", false, tls13, platinum},
    {"Gold", "TLS 1.2 and 1.3, suites with forward secrecy and authenticated encryption", false, tls12_and_13,
     NULL},
    {"Silver", "Gold, and for older peers the CBC suites that have forward secrecy", false, tls12_and_13,
     silver},
    {"Bronze", "Silver, and for old peers suites without forward secrecy", false, tls12_and_13, bronze},
    {"Clear", "no TLS, on purpose", true, NULL, NULL},
};

const struct level *levels_table(size_t *ret_num)
{
    *ret_num = sizeof levels / sizeof *levels;
    return levels;
}

const struct level *levels_find(const char *name)
{
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
        if (strcasecmp(levels[i].name, name) == 0)
            return &levels[i];
    }
    return NULL;
}
