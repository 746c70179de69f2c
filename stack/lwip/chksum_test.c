/* SPDX-License-Identifier: Apache-2.0 */
/* The checksum of headers and data against the sum as RFC 1071 writes it down. */
#include <stdlib.h>
#include <string.h>

#include "lwip/arch.h"
#include "tests/harness/harness.h"

static uint16_t sum_of_words(const uint8_t *bytes, int len)
{
    uint64_t sum = 0;
    for (int i = 0; i < len; i += 2) {
        uint8_t pair[2] = {bytes[i], i + 1 < len ? bytes[i + 1] : 0};
        uint16_t word;
        memcpy(&word, pair, 2);
        sum += word;
    }
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

/* In a buffer of the exact size, so that a byte read past the end is seen. */
static void compare(const uint8_t *bytes, int len)
{
    uint8_t *exact = malloc((size_t)len + 1);
    PEL_REQUIRE(exact != NULL);
    memcpy(exact + 1, bytes, (size_t)len);
    PEL_REQUIRE(pel_lwip_chksum(exact + 1, len) == sum_of_words(bytes, len));
    free(exact);
}

PEL_TEST(lwip_chksum, as_in_rfc_1071)
{
    static uint8_t bytes[65535];
    compare(bytes, 0);
    compare(bytes, 65535);
    uint32_t x = 1;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)((x = x * 1664525 + 1013904223) >> 24);
    for (int len = 0; len < 300; len++)
        for (int at = 0; at < 9; at++)
            compare(bytes + at * 100 + len, len);
    compare(bytes, 1460);
    compare(bytes, 65535);
    memset(bytes, 255, sizeof(bytes));
    compare(bytes, 65534);
    compare(bytes, 65535);
}
