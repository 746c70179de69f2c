/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where things stand in an image; for its writer and its reader.
 */
#ifndef PEL_POLICY_VIEW_IMAGE_INSIDE_H
#define PEL_POLICY_VIEW_IMAGE_INSIDE_H

#include <stddef.h>
#include <stdint.h>

enum {
    PEL_IMAGE_MAGIC_LEN = 8,
    PEL_IMAGE_AT_VERSION = 8,
    PEL_IMAGE_AT_CHECKSUM = 12,
    PEL_IMAGE_AT_LENGTH = 16,
    PEL_IMAGE_AT_SCHEMA = 24,
};

/* No text begins so, and what changes ends of lines or cuts the eighth bit is found at once. */
static const unsigned char pel_image_magic[PEL_IMAGE_MAGIC_LEN] = {0x89, 'P',  'E',  'L',
                                                                   '\r', '\n', 0x1a, '\n'};

/* pel_image_checksum sums all but the checksum itself. pel_image_schema_mark changes with every statement and
 * parameter that is added, renamed or moved. Any thread. */
uint32_t pel_image_checksum(const unsigned char *bytes, size_t len);
uint32_t pel_image_schema_mark(void);

#endif
