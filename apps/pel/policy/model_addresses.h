/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists of addresses and of ports in the one form that a policy comes to: sorted, and joined where they
 * touch.
 */
#ifndef PEL_APPS_PEL_POLICY_MODEL_ADDRESSES_H
#define PEL_APPS_PEL_POLICY_MODEL_ADDRESSES_H

#include <stdbool.h>
#include <stddef.h>

struct address_range {
    unsigned char family, low[16], high[16]; /* 4: the first four bytes */
};

struct port_range {
    unsigned low, high;
};

enum { ADDRESS_TEXT_MAX = 100 };

/* address_parse reads an address, ADDRESS/PREFIX or ADDRESS-ADDRESS; false: it is none of them. */
bool address_parse(const char *text, struct address_range *ret_range);

/* addresses_join sorts and joins the ranges in place and returns how many are left. */
size_t addresses_join(struct address_range *ranges, size_t num);

/* address_print writes the range as an address, a prefix or LOW-HIGH, the first that fits. */
void address_print(const struct address_range *range, char ret_text[ADDRESS_TEXT_MAX]);

/* port_parse reads a port or LOW-HIGH from 1 to 65535; ports_join is as addresses_join. */
bool port_parse(const char *text, struct port_range *ret_range);
size_t ports_join(struct port_range *ranges, size_t num);

#endif
