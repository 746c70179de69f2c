/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/signatures.h"

#include <stddef.h>

/* `available` follows kSignatureAlgorithms of BoringSSL's ssl/ssl_privkey.cc, 13.0.0 r24, less Ed25519, which
 * no certificate of a keyring can have. */
static const struct pel_signature signatures[] = {
    {0x0601, true, true, false, "RSA with SHA-512"},
    {0x0602, false, false, false, "DSA with SHA-512"},
    {0x0603, true, false, true, "ECDSA with SHA-512"},
    {0x0501, true, true, false, "RSA with SHA-384"},
    {0x0502, false, false, false, "DSA with SHA-384"},
    {0x0503, true, false, true, "ECDSA with SHA-384"},
    {0x0401, true, true, false, "RSA with SHA-256"},
    {0x0402, false, false, false, "DSA with SHA-256"},
    {0x0403, true, false, true, "ECDSA with SHA-256"},
    {0x0301, false, true, false, "RSA with SHA-224"},
    {0x0302, false, false, false, "DSA with SHA-224"},
    {0x0303, false, false, false, "ECDSA with SHA-224"},
    {0x0201, true, true, false, "RSA with SHA-1"},
    {0x0202, false, false, false, "DSA with SHA-1"},
    {0x0203, true, false, false, "ECDSA with SHA-1"},
    {0x0101, false, true, false, "RSA with MD5"},
    {0x0102, false, false, false, "DSA with MD5"},
    {0x0103, false, false, false, "ECDSA with MD5"},
    {0x0804, true, true, true, "RSA-PSS with SHA-256"},
    {0x0805, true, true, true, "RSA-PSS with SHA-384"},
    {0x0806, true, true, true, "RSA-PSS with SHA-512"},
    {0x0807, false, false, true, "Ed25519"},
    {0x0808, false, false, true, "Ed448"},
    {0x0809, false, true, true, "RSA-PSS of a PSS key with SHA-256"},
    {0x080a, false, true, true, "RSA-PSS of a PSS key with SHA-384"},
    {0x080b, false, true, true, "RSA-PSS of a PSS key with SHA-512"},
};

const struct pel_signature *pel_signature_by_code(unsigned code)
{
    for (size_t i = 0; i < sizeof signatures / sizeof *signatures; i++) {
        if (signatures[i].code == code)
            return &signatures[i];
    }
    return NULL;
}
