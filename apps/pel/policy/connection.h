/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection in words: ADDR:PORT and a time, for the verbs that ask a policy about one.
 */
#ifndef PEL_APPS_PEL_POLICY_CONNECTION_H
#define PEL_APPS_PEL_POLICY_CONNECTION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/* policy_read_endpoint reads "1.2.3.4:443" or "[2001:db8::1]:443"; false when it is neither. */
bool policy_read_endpoint(const char *text, struct sockaddr_storage *ret_address);

/* policy_read_time reads a time of RFC 3339, "2026-03-29T02:30:00Z" or "...+02:00", fractions dropped, as
 * seconds since 1970 UTC; false when it is none. */
bool policy_read_time(const char *text, int64_t *ret_wall_s);

/* policy_read_direction reads "inbound" or "outbound", letters without case; false when it is neither. */
bool policy_read_direction(const char *text, int *ret_inbound);

#endif
