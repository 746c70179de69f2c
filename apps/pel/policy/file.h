/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that come into being whole: a new one beside the old, synced, then in its place.
 */
#ifndef PEL_APPS_PEL_POLICY_FILE_H
#define PEL_APPS_PEL_POLICY_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* policy_write_file writes the file with that mode, whatever the umask; one that was there keeps its owner,
 * as far as we may, and with `mode` 0 its mode too. A symbolic link is followed. False: it was reported on
 * stderr, and the old file is as it was. */
bool policy_write_file(const char *path, mode_t mode, const char *text, size_t text_len);

/* policy_write_all writes all of it. False: errno says why. */
bool policy_write_all(int fd, const char *text, size_t text_len);

#endif
