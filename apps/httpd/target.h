/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The target of a request (RFC 9112 section 3.2): from "/a%20b?c=d" or "http://host/a%20b" to the path of a
 * file. No allocation, any thread.
 */
#ifndef PEL_APPS_HTTPD_TARGET_H
#define PEL_APPS_HTTPD_TARGET_H

#include <stdbool.h>
#include <stddef.h>

#include "apps/http/head.h"

/* http_target_path writes the decoded path, NUL-terminated, and its length. `ret_path` holds at least
 * target.len + 2 bytes. False when the target is neither form, a percent sign is not followed by two
 * hexadecimal digits, or the decoded path has a NUL or a ".." segment. */
bool http_target_path(struct http_text target, char *ret_path, size_t *ret_path_len);

#endif
