/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which name the program resolved to which address, so that it can travel with its connect. A table of fixed
 * size for each process; the youngest answer for an address counts, the oldest ones make room.
 */
#ifndef PEL_PRELOAD_NAMES_H
#define PEL_PRELOAD_NAMES_H

#include "ipc/message.h"

/* pel_names_add remembers that `name` led to an address (its port does not matter). Names that are addresses
 * themselves, and those that are too long, are not remembered. Any thread. */
void pel_names_add(const union pel_ipc_address *address, const char *name);

/* pel_names_find writes the name, or "". Any thread. */
void pel_names_find(const union pel_ipc_address *address, char *ret_name, size_t name_len);

/* pel_names_forked makes the lock new in a forked child. */
void pel_names_forked(void);

#endif
