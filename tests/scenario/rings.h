/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keyrings for scenarios, made once per process in a temporary directory that is removed at exit: under
 * "tester/" the rings server, client (trusts the CA, and has a certificate), stranger (trusts another CA),
 * expired, badmode, mismatch, empty.
 */
#ifndef PEL_TESTS_RINGS_H
#define PEL_TESTS_RINGS_H

/* rings_dir returns the directory; aborts when it cannot be made. */
const char *rings_dir(void);

#endif
