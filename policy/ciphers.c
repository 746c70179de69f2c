/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/ciphers.h"

#include <string.h>
#include <strings.h>

#include "base/text.h"
#include "policy/policy.h"

#define TLS13    PEL_POLICY_TLS1_3
#define TLS12    PEL_POLICY_TLS1_2
#define UP_TO_12 (PEL_POLICY_TLS1_0 | PEL_POLICY_TLS1_1 | PEL_POLICY_TLS1_2)

/* `available` follows kCiphers of BoringSSL's ssl/ssl_cipher.cc, 13.0.0 r24, but for the suites without
 * encryption, which are never used. The CBC suites with SHA-256 and SHA-384 are not in it. */
static const struct pel_cipher ciphers[] = {
    {0x1301, "TLS_AES_128_GCM_SHA256", TLS13, true},
    {0x1302, "TLS_AES_256_GCM_SHA384", TLS13, true},
    {0x1303, "TLS_CHACHA20_POLY1305_SHA256", TLS13, true},
    {0xC02B, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", TLS12, true},
    {0xC02C, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", TLS12, true},
    {0xC02F, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", TLS12, true},
    {0xC030, "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", TLS12, true},
    {0xCCA8, "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", TLS12, true},
    {0xCCA9, "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", TLS12, true},
    {0xC023, "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256", TLS12, false},
    {0xC024, "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384", TLS12, false},
    {0xC027, "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256", TLS12, false},
    {0xC028, "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384", TLS12, false},
    {0xC025, "TLS_ECDH_ECDSA_WITH_AES_128_CBC_SHA256", TLS12, false},
    {0xC026, "TLS_ECDH_ECDSA_WITH_AES_256_CBC_SHA384", TLS12, false},
    {0xC029, "TLS_ECDH_RSA_WITH_AES_128_CBC_SHA256", TLS12, false},
    {0xC02A, "TLS_ECDH_RSA_WITH_AES_256_CBC_SHA384", TLS12, false},
    {0xC02D, "TLS_ECDH_ECDSA_WITH_AES_128_GCM_SHA256", TLS12, false},
    {0xC02E, "TLS_ECDH_ECDSA_WITH_AES_256_GCM_SHA384", TLS12, false},
    {0xC031, "TLS_ECDH_RSA_WITH_AES_128_GCM_SHA256", TLS12, false},
    {0xC032, "TLS_ECDH_RSA_WITH_AES_256_GCM_SHA384", TLS12, false},
    {0xC009, "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", UP_TO_12, true},
    {0xC00A, "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA", UP_TO_12, true},
    {0xC013, "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", UP_TO_12, true},
    {0xC014, "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA", UP_TO_12, true},
    {0xC004, "TLS_ECDH_ECDSA_WITH_AES_128_CBC_SHA", UP_TO_12, false},
    {0xC005, "TLS_ECDH_ECDSA_WITH_AES_256_CBC_SHA", UP_TO_12, false},
    {0xC00E, "TLS_ECDH_RSA_WITH_AES_128_CBC_SHA", UP_TO_12, false},
    {0xC00F, "TLS_ECDH_RSA_WITH_AES_256_CBC_SHA", UP_TO_12, false},
    {0xC007, "TLS_ECDHE_ECDSA_WITH_RC4_128_SHA", UP_TO_12, false},
    {0xC011, "TLS_ECDHE_RSA_WITH_RC4_128_SHA", UP_TO_12, false},
    {0xC002, "TLS_ECDH_ECDSA_WITH_RC4_128_SHA", UP_TO_12, false},
    {0xC00C, "TLS_ECDH_RSA_WITH_RC4_128_SHA", UP_TO_12, false},
    {0xC008, "TLS_ECDHE_ECDSA_WITH_3DES_EDE_CBC_SHA", UP_TO_12, false},
    {0xC012, "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA", UP_TO_12, false},
    {0xC003, "TLS_ECDH_ECDSA_WITH_3DES_EDE_CBC_SHA", UP_TO_12, false},
    {0xC00D, "TLS_ECDH_RSA_WITH_3DES_EDE_CBC_SHA", UP_TO_12, false},
    {0x009C, "TLS_RSA_WITH_AES_128_GCM_SHA256", TLS12, true},
    {0x009D, "TLS_RSA_WITH_AES_256_GCM_SHA384", TLS12, true},
    {0x009E, "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256", TLS12, false},
    {0x009F, "TLS_DHE_RSA_WITH_AES_256_GCM_SHA384", TLS12, false},
    {0x00A2, "TLS_DHE_DSS_WITH_AES_128_GCM_SHA256", TLS12, false},
    {0x00A3, "TLS_DHE_DSS_WITH_AES_256_GCM_SHA384", TLS12, false},
    {0x00A0, "TLS_DH_RSA_WITH_AES_128_GCM_SHA256", TLS12, false},
    {0x00A1, "TLS_DH_RSA_WITH_AES_256_GCM_SHA384", TLS12, false},
    {0x00A4, "TLS_DH_DSS_WITH_AES_128_GCM_SHA256", TLS12, false},
    {0x00A5, "TLS_DH_DSS_WITH_AES_256_GCM_SHA384", TLS12, false},
    {0x003C, "TLS_RSA_WITH_AES_128_CBC_SHA256", TLS12, false},
    {0x003D, "TLS_RSA_WITH_AES_256_CBC_SHA256", TLS12, false},
    {0x0067, "TLS_DHE_RSA_WITH_AES_128_CBC_SHA256", TLS12, false},
    {0x006B, "TLS_DHE_RSA_WITH_AES_256_CBC_SHA256", TLS12, false},
    {0x0040, "TLS_DHE_DSS_WITH_AES_128_CBC_SHA256", TLS12, false},
    {0x006A, "TLS_DHE_DSS_WITH_AES_256_CBC_SHA256", TLS12, false},
    {0x003E, "TLS_DH_DSS_WITH_AES_128_CBC_SHA256", TLS12, false},
    {0x0068, "TLS_DH_DSS_WITH_AES_256_CBC_SHA256", TLS12, false},
    {0x003F, "TLS_DH_RSA_WITH_AES_128_CBC_SHA256", TLS12, false},
    {0x0069, "TLS_DH_RSA_WITH_AES_256_CBC_SHA256", TLS12, false},
    {0x002F, "TLS_RSA_WITH_AES_128_CBC_SHA", UP_TO_12, true},
    {0x0035, "TLS_RSA_WITH_AES_256_CBC_SHA", UP_TO_12, true},
    {0x0033, "TLS_DHE_RSA_WITH_AES_128_CBC_SHA", UP_TO_12, false},
    {0x0039, "TLS_DHE_RSA_WITH_AES_256_CBC_SHA", UP_TO_12, false},
    {0x0032, "TLS_DHE_DSS_WITH_AES_128_CBC_SHA", UP_TO_12, false},
    {0x0038, "TLS_DHE_DSS_WITH_AES_256_CBC_SHA", UP_TO_12, false},
    {0x0030, "TLS_DH_DSS_WITH_AES_128_CBC_SHA", UP_TO_12, false},
    {0x0036, "TLS_DH_DSS_WITH_AES_256_CBC_SHA", UP_TO_12, false},
    {0x0031, "TLS_DH_RSA_WITH_AES_128_CBC_SHA", UP_TO_12, false},
    {0x0037, "TLS_DH_RSA_WITH_AES_256_CBC_SHA", UP_TO_12, false},
    {0x000A, "TLS_RSA_WITH_3DES_EDE_CBC_SHA", UP_TO_12, true},
    {0x0016, "TLS_DHE_RSA_WITH_3DES_EDE_CBC_SHA", UP_TO_12, false},
    {0x0013, "TLS_DHE_DSS_WITH_3DES_EDE_CBC_SHA", UP_TO_12, false},
    {0x0010, "TLS_DH_RSA_WITH_3DES_EDE_CBC_SHA", UP_TO_12, false},
    {0x000D, "TLS_DH_DSS_WITH_3DES_EDE_CBC_SHA", UP_TO_12, false},
    {0x0009, "TLS_RSA_WITH_DES_CBC_SHA", UP_TO_12, false},
    {0x0015, "TLS_DHE_RSA_WITH_DES_CBC_SHA", UP_TO_12, false},
    {0x0012, "TLS_DHE_DSS_WITH_DES_CBC_SHA", UP_TO_12, false},
    {0x000F, "TLS_DH_RSA_WITH_DES_CBC_SHA", UP_TO_12, false},
    {0x000C, "TLS_DH_DSS_WITH_DES_CBC_SHA", UP_TO_12, false},
    {0x0005, "TLS_RSA_WITH_RC4_128_SHA", UP_TO_12, false},
    {0x0004, "TLS_RSA_WITH_RC4_128_MD5", UP_TO_12, false},
    {0x0003, "TLS_RSA_EXPORT_WITH_RC4_40_MD5", UP_TO_12, false},
    {0x0006, "TLS_RSA_EXPORT_WITH_RC2_CBC_40_MD5", UP_TO_12, false},
    {0x0002, "TLS_RSA_WITH_NULL_SHA", UP_TO_12, false},
    {0x0001, "TLS_RSA_WITH_NULL_MD5", UP_TO_12, false},
    {0x0000, "TLS_NULL_WITH_NULL_NULL", UP_TO_12, false},
};

enum { NUM_CIPHERS = sizeof ciphers / sizeof *ciphers };

const struct pel_cipher *pel_cipher_by_code(uint16_t code)
{
    for (size_t i = 0; i < NUM_CIPHERS; i++) {
        if (ciphers[i].code == code)
            return &ciphers[i];
    }
    return NULL;
}

const struct pel_cipher *pel_cipher_by_name(const char *name, size_t name_len)
{
    for (size_t i = 0; i < NUM_CIPHERS; i++) {
        if (strncasecmp(ciphers[i].name, name, name_len) == 0 && ciphers[i].name[name_len] == '\0')
            return &ciphers[i];
    }
    return NULL;
}

const char *pel_cipher_nearest(const char *name)
{
    const char *names[NUM_CIPHERS];
    for (size_t i = 0; i < NUM_CIPHERS; i++)
        names[i] = ciphers[i].name;
    return pel_text_nearest(name, names, NUM_CIPHERS);
}

const struct pel_cipher *pel_cipher_table(size_t *ret_num)
{
    *ret_num = NUM_CIPHERS;
    return ciphers;
}
