/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/boringssl/handover_secrets.h"

#include <string.h>

bool pel_ssl_traffic_secrets(const SSL *ssl, size_t len, uint8_t *ret_reading, uint8_t *ret_writing)
{
    bssl::Span<const uint8_t> reading, writing;
    if (!bssl::SSL_get_traffic_secrets(ssl, &reading, &writing) || reading.size() != len ||
        writing.size() != len)
        return false;
    memcpy(ret_reading, reading.data(), len);
    memcpy(ret_writing, writing.data(), len);
    return true;
}
