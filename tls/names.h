/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The IANA names of what TLS negotiates, and lists of them as text for messages. Numbers without a name
 * here show as hexadecimal. Nothing allocates; any thread.
 */
#ifndef PEL_TLS_NAMES_H
#define PEL_TLS_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum pel_name_kind { PEL_NAME_VERSION, PEL_NAME_CIPHER, PEL_NAME_GROUP, PEL_NAME_SIGALG, PEL_NAME_ALERT };

/* pel_name_of returns the IANA name of `code`; NULL when it is not known here. Static. */
const char *pel_name_of(enum pel_name_kind kind, uint16_t code);

/* pel_name_is_grease tells whether `code` is one of RFC 8701's values without meaning. */
bool pel_name_is_grease(uint16_t code);

/* pel_name_list writes the names of `num` codes, comma separated and without GREASE, into `text` of `cap`
 * bytes (at least 8), cut with "…" at what fits, "none" when there are none; returns `text`. */
const char *pel_name_list(enum pel_name_kind kind, const uint16_t *codes, size_t num, char *text, size_t cap);

#endif
