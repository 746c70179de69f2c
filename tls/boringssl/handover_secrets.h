/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one call of BoringSSL that exists in C++ only, for C. Only tls/boringssl includes this.
 */
#ifndef PEL_TLS_BORINGSSL_HANDOVER_SECRETS_H
#define PEL_TLS_BORINGSSL_HANDOVER_SECRETS_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* pel_ssl_traffic_secrets copies the traffic secrets of a finished TLS 1.3 handshake, each exactly `len`
 * bytes. False when there are none or they have another length. The session's thread. */
bool pel_ssl_traffic_secrets(const SSL *ssl, size_t len, uint8_t *ret_reading, uint8_t *ret_writing);

#ifdef __cplusplus
}
#endif

#endif
