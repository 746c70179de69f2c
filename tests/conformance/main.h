/* SPDX-License-Identifier: Apache-2.0 */
/* Where a case's words go: a pipe to the process that runs the cases. */
#ifndef PEL_TESTS_CONFORMANCE_MAIN_H
#define PEL_TESTS_CONFORMANCE_MAIN_H

enum { OUTCOME_FD = 199 };

#endif
