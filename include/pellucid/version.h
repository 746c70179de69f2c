/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The version of the headers at compile time, and of the library at run time.
 */
#ifndef PELLUCID_VERSION_H
#define PELLUCID_VERSION_H

#define PEL_VERSION_MAJOR 0
#define PEL_VERSION_MINOR 1
#define PEL_VERSION_PATCH 0

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

/* pel_version returns the library's version, "0.1.0"; static. Any thread. */
const char *pel_version(void);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif
#endif
