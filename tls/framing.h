/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Record headers (RFC 8446 section 5.1) before anybody trusts them: type, version, length; and a guess at
 * what the bytes are when they are no TLS at all, for the message that an operator reads.
 */
#ifndef PEL_TLS_FRAMING_H
#define PEL_TLS_FRAMING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum pel_content_type {
    PEL_CONTENT_CHANGE_CIPHER_SPEC = 20,
    PEL_CONTENT_ALERT = 21,
    PEL_CONTENT_HANDSHAKE = 22,
    PEL_CONTENT_APPLICATION_DATA = 23,
};

/* Where in a connection a header stands: it decides what may come. */
enum pel_framing_phase {
    PEL_FRAMING_FIRST_OF_CLIENT, /* a server's first record: a handshake record */
    PEL_FRAMING_FIRST_OF_SERVER, /* a client's first record: a handshake record or an alert */
    PEL_FRAMING_HANDSHAKE,
    PEL_FRAMING_SECURE,
};

/* pel_framing_check looks at the first `len` bytes (0 or more) of a record in `phase`. PEL_OK: good so
 * far; with 5 bytes or more `ret_record_len` is the whole record's length, header included, else 0.
 * Errors, with `reterr` filled: TLS_CLEARTEXT_RECEIVED, TLS_RECORD_MALFORMED, TLS_RECORD_TOO_LONG,
 * TLS_NO_COMMON_VERSION (an SSLv2 hello), TLS_PROTOCOL (a TLS record, but not of a type that may come
 * first). Any thread. */
PEL_MUST_USE enum pel_err pel_framing_check(const uint8_t *bytes, size_t len, enum pel_framing_phase phase,
                                            size_t *ret_record_len, struct pel_error *reterr);

/* pel_framing_guess names what `len` bytes look like ("an HTTP request"); "no protocol known here" when
 * nothing fits. The string is static. Any thread. */
const char *pel_framing_guess(const uint8_t *bytes, size_t len);

#endif
